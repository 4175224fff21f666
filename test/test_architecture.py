"""The house holds: imports run downwards, in no circle, and no module of xeps/ needs another one's file."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import palaver

ROOT = Path(palaver.__file__).parent

# From the bottom up. A part may import from those below it and from its own floor, in no circle.
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "markup",
        "tree",
        "parsing",
        "jid",
        "stanza",
        "times",
        "interfaces",
        "plugin",
        "upstream",
        "waiting",
    ),
    (
        "segments",
        "framing",
        "forms",
        "rsm",
        "throttle",
        "log",
        "mistakes",
        "settings",
        "choices",
        "config",
        "template",
        "metrics",
    ),
    ("storage", "auth", "cluster"),
    ("archive", "capabilities"),
    ("routing", "events"),
    ("privacy", "commands", "entities", "invites", "vcards"),
    ("modules", "pubsub", "push", "rooms", "roomlogs", "muclight", "inbox", "portable"),
    ("streams", "web"),
    ("xeps",),
    (
        "plan",
        "idling",
        "added",
        "beside",
        "derived",
        "server",
        "service",
        "admin",
        "ask",
        "control",
        "loop",
        "foreground",
        "tap",
        "cli",
        "claims",
        "docs",
    ),
)
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}
TOP_LEVEL_LINKS = {"xeps", "storage", "test"}

Graph = dict[str, set[str]]
"""For each module the modules that it imports when it is imported itself."""


def imports_of(source: str, package: str) -> Iterator[tuple[str, bool]]:
    """Give what a module imports, as dotted names, and whether it does so while it is imported itself.

    An import below ``if TYPE_CHECKING`` or inside a function is not needed then, but is an arrow too.
    """

    def walk(node: ast.AST, at_once: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, at_once
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                yield f"{base}.{alias.name}", at_once
        else:
            later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for child in ast.iter_child_nodes(node):
                yield from walk(child, at_once and not later and not typing_only)

    yield from walk(ast.parse(source), True)


def problems(files: Mapping[str, str]) -> list[str]:
    """Give what is wrong with a tree: ``files`` maps each module's dotted name to its source."""
    found: list[str] = []
    graph: Graph = {}
    for name, source in files.items():
        package = name if _is_package(name, files) else name.rpartition(".")[0]
        graph[name] = set()
        for imported, at_once in imports_of(source, package):
            if imported.partition(".")[0] in TOP_LEVEL_LINKS:
                found.append(f"{name} imports {imported}, which is palaver.{imported}")
            target = _module(imported, files)
            if target is None or target == name:
                continue
            if at_once:
                graph[name].add(target)
            found += _wrong_arrow(name, target)
    return found + _circles(graph)


def _is_package(name: str, files: Iterable[str]) -> bool:
    return any(other.startswith(f"{name}.") for other in files)


def _module(imported: str, files: Mapping[str, str]) -> str | None:
    """Give the module of ours that an imported name is or is in."""
    while imported and imported not in files:
        imported = imported.rpartition(".")[0]
    return imported or None


def _wrong_arrow(name: str, target: str) -> list[str]:
    part, other = _part(name), _part(target)
    if part is None or other is None or part == "test":
        return []
    if part not in FLOOR:
        return [f"{name} has no floor: add {part} to FLOORS"]
    if other == "test":
        return [f"{name} imports {target}: the tests are above everything"]
    if FLOOR.get(other, -1) > FLOOR[part]:
        return [f"{name} imports {target}, which is above it"]
    if part == other == "xeps":
        return [f"{name} imports {target}: modules meet through interfaces"]
    return []


def _part(name: str) -> str | None:
    """Give the part of the house that a module is in: palaver.routing.host is in routing."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else None


def _circles(graph: Graph) -> list[str]:
    """Give one line for a circle that can be reached from each module, none twice."""
    done: set[str] = set()
    found: list[str] = []

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append("a circle: " + " -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for target in sorted(graph.get(name, ())):
                visit(target, [*path, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found


def our_files() -> dict[str, str]:
    """Read the whole tree; links are followed."""
    found = {}
    for folder in (ROOT, *(path for path in ROOT.iterdir() if path.is_dir())):
        for path in folder.rglob("*.py") if folder != ROOT else folder.glob("*.py"):
            parts = path.relative_to(ROOT.parent).with_suffix("").parts
            if "peers" not in parts and "bench" not in parts:
                found[".".join(parts).removesuffix(".__init__")] = path.read_text("utf-8")
    return found


class HouseTests(SynchronousTestCase):
    """The tree as it is."""

    def test_the_house_holds(self):
        """No import of the project points up, goes round, or joins two modules of xeps/."""
        self.assertEqual(problems(our_files()), [])

    def test_every_part_is_read(self):
        """The links are followed: modules, storage and tests are looked at too."""
        parts = {_part(name) for name in our_files()}
        self.assertLessEqual({"xeps", "storage", "test", "routing", "streams", "auth", "cli"}, parts)


class DetectionTests(SynchronousTestCase):
    """What the test above would find."""

    def found(self, **files: str) -> list[str]:
        names = {name.replace("__", "."): source for name, source in files.items()}
        every = {"palaver": ""}
        for name in names:
            while name.count("."):
                name = name.rpartition(".")[0]
                every.setdefault(name, "")
        return problems({**every, **names})

    def test_an_arrow_that_points_up(self):
        """Routing may not know streams."""
        for line in (
            "from palaver.streams import c2s",
            "import palaver.streams.c2s",
            "from ..streams.c2s import X",
        ):
            found = self.found(palaver__routing__host=line, palaver__streams__c2s="")
            self.assertEqual(found, ["palaver.routing.host imports palaver.streams.c2s, which is above it"])

    def test_an_arrow_inside_a_function(self):
        """Importing late hides nothing, nor does importing for types only."""
        for line in ("def f():\n    import palaver.cli", "if TYPE_CHECKING:\n    import palaver.cli"):
            found = self.found(palaver__jid=line, palaver__cli="")
            self.assertEqual(found, ["palaver.jid imports palaver.cli, which is above it"])

    def test_a_core_that_knows_a_module(self):
        """The core finds modules through interfaces."""
        found = self.found(palaver__streams__c2s="from palaver.xeps.ping import Ping", palaver__xeps__ping="")
        self.assertEqual(found, ["palaver.streams.c2s imports palaver.xeps.ping, which is above it"])

    def test_modules_that_know_each_other(self):
        """A module of xeps/ does not import another one's file."""
        found = self.found(palaver__xeps__mam="from palaver.xeps import muc", palaver__xeps__muc="")
        self.assertEqual(
            found, ["palaver.xeps.mam imports palaver.xeps.muc: modules meet through interfaces"]
        )

    def test_a_circle(self):
        """Two files of one floor that import each other are a circle."""
        found = self.found(palaver__jid="import palaver.stanza", palaver__stanza="from palaver import jid")
        self.assertEqual(found, ["a circle: palaver.jid -> palaver.stanza -> palaver.jid"])

    def test_no_circle(self):
        """What is imported for types only, or late, makes no circle on one floor."""
        later = "def f():\n    from palaver import jid"
        self.assertEqual(self.found(palaver__jid="import palaver.stanza", palaver__stanza=later), [])

    def test_names_of_the_top_level(self):
        """The folders of the top level are imported by their names in the package."""
        for name in sorted(TOP_LEVEL_LINKS):
            found = self.found(palaver__cli=f"import {name}")
            self.assertEqual(found, [f"palaver.cli imports {name}, which is palaver.{name}"])

    def test_a_test_in_the_product(self):
        """Nothing but tests imports tests."""
        found = self.found(palaver__cli="from palaver.test import house", palaver__test__house="")
        self.assertEqual(found, ["palaver.cli imports palaver.test.house: the tests are above everything"])

    def test_a_part_without_a_floor(self):
        """A new part of the house says where it stands."""
        found = self.found(palaver__attic="import palaver.jid", palaver__jid="")
        self.assertEqual(found, ["palaver.attic has no floor: add attic to FLOORS"])

    def test_arrows_that_point_down(self):
        """A module may use the core, and a test may use anything."""
        found = self.found(
            palaver__xeps__ping="from palaver.modules import Module\nfrom palaver.routing import host",
            palaver__test__test_ping="from palaver.xeps import ping",
            palaver__modules="",
            palaver__routing__host="",
        )
        self.assertEqual(found, [])
