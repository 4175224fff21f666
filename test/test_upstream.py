"""Wokkel and alchimia work on today's Twisted and SQLAlchemy, and only with our help."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

IMPORT_ALL = """
import importlib, pkgutil, wokkel
for module in pkgutil.iter_modules(wokkel.__path__, "wokkel."):
    if not module.ispkg:
        importlib.import_module(module.name)
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own, where nothing is restored yet."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


class WokkelTests(SynchronousTestCase):
    """What `palaver.upstream` restores for wokkel."""

    def test_every_module_of_wokkel_can_be_imported(self):
        """With our help, all of wokkel is there."""
        ran = run_python("import palaver.upstream" + IMPORT_ALL)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))

    def test_the_flag_is_still_needed(self):
        """Without `_PY3`, data forms cannot be imported: when this fails, take the flag out of upstream.py."""
        ran = run_python("import wokkel.data_form")
        self.assertIn("cannot import name '_PY3' from 'twisted.python.compat'", ran.stderr)

    def test_the_constants_are_still_needed(self):
        """Without `twisted.python.constants`, wokkel.muc cannot be imported: when this fails, take it out."""
        code = "import twisted.python.compat as c; c._PY3 = True; import wokkel.muc"
        self.assertIn("No module named 'twisted.python.constants'", run_python(code).stderr)

    def test_a_name_that_is_there_is_left_alone(self):
        """A Twisted that has the names keeps its own."""
        code = (
            "import sys, types, twisted.python.compat as c\n"
            "c._PY3 = 'theirs'\n"
            "theirs = sys.modules['twisted.python.constants'] = types.ModuleType('twisted.python.constants')\n"
            "import palaver.upstream\n"
            "print(c._PY3, sys.modules['twisted.python.constants'] is theirs)\n"
        )
        self.assertEqual(run_python(code).stdout, "theirs True\n")
