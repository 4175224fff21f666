"""Wokkel and alchimia work on today's Twisted and SQLAlchemy, and only with our help."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.test.commands import run_python

IMPORT_ALL = """
import importlib, pkgutil, wokkel
for module in pkgutil.iter_modules(wokkel.__path__, "wokkel."):
    if not module.ispkg:
        importlib.import_module(module.name)
"""


class WokkelTests(SynchronousTestCase):
    """What `palaver.upstream` restores for wokkel."""

    def test_every_module_of_wokkel_can_be_imported(self):
        """With our help, all of wokkel is there."""
        ran = run_python("-c", "import palaver.upstream" + IMPORT_ALL)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))

    def test_the_flag_is_still_needed(self):
        """Without `_PY3`, data forms cannot be imported: when this fails, take the flag out."""
        ran = run_python("-c", "import wokkel.data_form")
        self.assertIn("cannot import name '_PY3' from 'twisted.python.compat'", ran.stderr)

    def test_the_constants_are_still_needed(self):
        """Without `twisted.python.constants`, wokkel.muc cannot be imported: when this fails, take it out."""
        code = "import twisted.python.compat as c; c._PY3 = True; import wokkel.muc"
        self.assertIn("No module named 'twisted.python.constants'", run_python("-c", code).stderr)

    def test_a_name_that_is_there_is_left_alone(self):
        """A Twisted that has the names keeps its own."""
        code = (
            "import sys, types, twisted.python.compat as c\n"
            "c._PY3 = 'theirs'\n"
            "theirs = types.ModuleType('twisted.python.constants')\n"
            "sys.modules['twisted.python.constants'] = theirs\n"
            "import palaver.upstream\n"
            "print(c._PY3, sys.modules['twisted.python.constants'] is theirs)\n"
        )
        self.assertEqual(run_python("-c", code).stdout, "theirs True\n")
