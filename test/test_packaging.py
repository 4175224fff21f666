"""The package: what a wheel holds, what the documentation claims, what twistd finds."""

from __future__ import annotations

import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from twisted.plugin import getPlugins
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SkipTest, SynchronousTestCase

import palaver
from palaver import docs
from palaver.claims import CORE, TITLES
from palaver.interfaces import IModule, IModuleMaker
from palaver.test.commands import run_python

ROOT = Path(palaver.__file__).parent.parent
LINKS = ("xeps", "storage", "test")


class CheckoutCase(SynchronousTestCase):
    """Tests of files that an installed package does not have."""

    def setUp(self):
        if not (ROOT / "setup.cfg").exists():
            raise SkipTest("not run from a checkout")


class ClaimTests(CheckoutCase):
    """Documentation and code say the same."""

    def test_what_is_made_from_the_code_is_up_to_date(self):
        """README, DOAP and pages are what `make docs` writes."""
        for path, text in docs.files(ROOT).items():
            self.assertTrue(path.exists(), f"{path} is missing: run make docs")
            self.assertEqual(path.read_text("utf-8"), text, f"{path} is out of date: run make docs")

    def test_no_page_is_left_of_a_module_that_is_gone(self):
        """docs/modules/ has a page for each module and nothing else."""
        pages = {path.stem for path in (ROOT / "docs/modules").iterdir()}
        self.assertEqual(pages, {maker.name for maker in docs.makers()})

    def test_every_module_can_be_loaded(self):
        """Each line of the plugin file names a class that is a module with typed options."""
        for maker in docs.makers():
            made = namedAny(maker.target)
            self.assertTrue(IModule.implementedBy(made), maker.name)
            for name, field in made.Settings.model_fields.items():
                self.assertTrue(field.description, f"{maker.name}.{name} has no description")

    def test_every_file_of_xeps_is_announced(self):
        """A module that the plugin file does not name would never run."""
        announced = {maker.target.split(".")[2] for maker in docs.makers()}
        files = {path.stem for path in (ROOT / "xeps").glob("*.py")} - {"__init__"}
        self.assertEqual(files, announced)

    def test_the_status_of_a_claim(self):
        """A claim is complete or partial, and of a version."""
        for xep, by in docs.claims():
            self.assertIn(xep.status, ("complete", "partial"), by)
            self.assertRegex(xep.version, r"^\d+\.\d+(\.\d+)?$")

    def test_every_title_is_needed(self):
        """The table of titles has no XEP that nobody claims."""
        claimed = {xep.number for xep, _ in docs.claims()}
        self.assertEqual(set(TITLES), claimed)
        self.assertLessEqual({xep.number for xep in CORE}, claimed)

    def test_the_options_of_the_readme_exist(self):
        """The module that the README shows as an example can be read by Python."""
        (example, *_) = re.findall(
            r'```python\n("""XEP.*?)```', (ROOT / "README.md").read_text("utf-8"), re.DOTALL
        )
        scope: dict[str, object] = {}
        exec(compile(example, "README.md", "exec", dont_inherit=True), scope)
        self.assertTrue(IModule.implementedBy(scope["Dice"]))


class PluginTests(SynchronousTestCase):
    """What twistd and the server find."""

    def test_twistd_lists_the_server(self):
        """`twistd --help` names palaver."""
        listed = run_python("-m", "twisted", "--help").stdout
        self.assertRegex(listed, r"(?m)^\s+palaver\s+An XMPP server\.$")

    def test_looking_for_modules_loads_none(self):
        """Reading the list of modules imports no module and no part of the server."""
        code = (
            "import sys\n"
            "from twisted.plugin import getPlugins\n"
            "from palaver.interfaces import IModuleMaker\n"
            "names = [maker.name for maker in getPlugins(IModuleMaker)]\n"
            "assert 'mod_ping' in names\n"
            "print([name for name in sys.modules if name.startswith(('palaver.xeps', 'palaver.routing'))])\n"
        )
        self.assertEqual(run_python("-c", code).stdout, "[]\n")

    def test_names_are_unique(self):
        """No two modules have the same name."""
        names = [maker.name for maker in getPlugins(IModuleMaker)]
        self.assertEqual(len(names), len(set(names)))


class BuildTests(CheckoutCase):
    """Source archive and wheel hold plain files, one package palaver."""

    def built(self, command: str, kind: str) -> Path:
        """Run setuptools' own command on a copy of the checkout; gives the archive."""
        copy, out = Path(self.mktemp()), Path(self.mktemp()).absolute()
        copy_checkout(copy)
        done = run_python("setup.py", "-q", command, "--dist-dir", str(out), cwd=str(copy))
        self.assertEqual(done.returncode, 0, done.stderr)
        (archive,) = out.glob(kind)
        return archive

    def assert_complete(self, names: set[str]) -> None:
        for name in (
            "palaver/cli.py",
            "twisted/plugins/palaver_plugin.py",
            "twisted/plugins/palaver_modules.py",
        ):
            self.assertIn(name, names)
        for link in LINKS:
            there = {f"palaver/{path.relative_to(ROOT)}" for path in packaged(ROOT / link)}
            self.assertEqual(there - names, set())
        tops = {name.partition("/")[0] for name in names}
        self.assertEqual(tops & set(LINKS), set())
        self.assertNotIn("twisted/__init__.py", names)

    def test_the_wheel(self):
        """A wheel has every file below palaver/, and nothing generic beside it."""
        with zipfile.ZipFile(self.built("bdist_wheel", "*.whl")) as wheel:
            self.assert_complete(set(wheel.namelist()))
            self.assertFalse([info.filename for info in wheel.infolist() if info.external_attr >> 28 == 0o12])

    def test_the_source_archive(self):
        """A source archive holds files, not links."""
        with tarfile.open(self.built("sdist", "*.tar.gz")) as archive:
            members = archive.getmembers()
        self.assertFalse([member.name for member in members if member.issym() or member.islnk()])
        self.assert_complete({member.name.partition("/")[2] for member in members})


def packaged(folder: Path) -> Iterator[Path]:
    """Give the Python files of a folder that are in a package."""
    for path in folder.rglob("*.py"):
        above = [
            parent
            for parent in path.parents
            if parent != folder.parent and folder in (parent, *parent.parents)
        ]
        if all((parent / "__init__.py").exists() for parent in above):
            yield path


def copy_checkout(to: Path) -> None:
    """Copy what setuptools reads, with the links as links, so that building leaves the checkout alone."""
    to.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", "_trial_temp*", "node_modules", "target")
    for name in ("palaver", "twisted", *LINKS):
        shutil.copytree(ROOT / name, to / name, symlinks=True, ignore=ignore)
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, to / name)
