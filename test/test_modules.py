"""The module framework: what modules register, how they fail, how they are found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.plugin import getPlugins
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface
from zope.interface.verify import verifyObject

import twisted.plugins
from palaver import metrics
from palaver.config import Config
from palaver.errors import StanzaError, StorageError
from palaver.events import SessionBound
from palaver.interfaces import IModule, IModuleMaker, IRosters
from palaver.modules import BARE, HOST, SELF, Module, Settings, every, iq, nonza, on, phase
from palaver.plugin import ModuleMaker, Xep
from palaver.rooms.hooks import Hooks
from palaver.routing.iqs import DuplicateRoute
from palaver.routing.pipeline import FROM_CLIENT, TO_SESSION, TO_USER
from palaver.stanza import Stanza
from palaver.test.house import House, now
from palaver.web.door import Door
from palaver.web.interfaces import IWeb

ASK = "<iq type='get' id='{id}' to='example.org'><ask xmlns='urn:example:ask'/></iq>"
# Modules whose defaults leave something out that they can register, or that need an option.
OPTIONS: dict[str, dict[str, Any]] = {
    "mod_event_pusher_http": {"handlers": [{"url": "http://localhost"}]},
    "mod_groups": {"groups": {"Crew": {"romeo@example.org": "", "juliet@example.org": ""}}},
    "mod_keystore": {
        "keys": [{"name": name, "type": "ram"} for name in ("token_secret", "provision_pre_shared")]
    },
    "mod_ping": {"send_pings": True},
    "mod_push_service_mongoosepush": {"url": "http://localhost"},
    "mod_revproxy": {"routes": [{"host": "_", "path": "/proxied", "upstream": "http://localhost"}]},
}


class IAnswers(Interface):
    """For tests: something that modules find by its interface."""


def makers() -> dict[str, Any]:
    """Give the makers of every module that is installed, by name."""
    return {maker.name: maker for maker in getPlugins(IModuleMaker)}


def settings_of(name: str, cls: Any) -> Any:
    """Give options of a module with which it can be attached."""
    return cls.Settings(**OPTIONS.get(name, {}))


def in_order(wanted: Sequence[str]) -> list[str]:
    """Give modules by name, and before each of them those that provide what it requires."""
    classes = {name: namedAny(maker.target) for name, maker in makers().items()}
    providers = {interface: name for name, cls in classes.items() for interface in cls.provides}
    ordered: list[str] = []
    for name in wanted:
        needed = [providers[interface] for interface in classes[name].requires if interface in providers]
        ordered += [one for one in [*in_order(needed), name] if one not in ordered]
    return ordered


def no_listener(what: object) -> Any:
    """Stand for what nobody connects to here."""
    raise NotImplementedError


def furnished() -> House:
    """Give a house with everything that modules put themselves on."""
    house = House()
    house.host.provide(Door({house.host.domain: house.host}, house.clock, no_listener, no_listener), IWeb)
    return house


def registered(house: House) -> dict[str, object]:
    """Give everything that a module can put on a host."""
    host = house.host
    utilities: Any = host.registry.registeredUtilities
    return {
        "iqs": {kind: host.iqs.namespaces(kind) for kind in (HOST, BARE, SELF, "full")},
        "pipeline": host.pipeline.rows(),
        "listeners": {event: list(told) for event, told in host.events._listeners.items() if told},
        "registry": {(found.provided, found.component) for found in utilities()},
        "features": (host.disco.info(), host.disco.account_info()),
        "stream features": list(host.stream_features),
        "nonzas": dict(host.nonzas),
        "within logins": (dict(host.inline), list(host.inline_features)),
        "login": list(host.login_kinds),
        "shared contacts": host.query(IRosters).sharing,
        "timers": len(house.clock.getDelayedCalls()),
        "own_messages": house.host.own_messages,
        "services": list(house.router.services),
        "pages": list(web.mounts.paths) if (web := host.query(IWeb)) is not None else [],
        "rooms": repr(vars(Hooks.of(host))),
        "gauges": {name: len(readers) for name, (_, readers) in metrics._gauges.items()},
    }


class EveryModuleTests(SynchronousTestCase):
    """Rules that every module of the project keeps."""

    def test_attach_and_detach(self) -> None:
        """A module leaves nothing behind, and can be attached again."""
        for name, maker in makers().items():
            house = furnished()
            for needed in in_order([name])[:-1]:
                provider = namedAny(makers()[needed].target)
                now(provider(house.host, needed, settings_of(needed, provider)).attach())
            before = registered(house)
            cls = namedAny(maker.target)
            for _ in range(2):
                module = cls(house.host, name, settings_of(name, cls))
                verifyObject(IModule, module)
                now(module.attach())
                self.assertNotEqual(registered(house), before, f"{name} registers nothing")
                now(module.detach())
                self.assertEqual(registered(house), before, name)

    def test_together(self) -> None:
        """All of them fit on one host, and come off again in any order."""
        for backwards in (False, True):
            house = furnished()
            before = registered(house)
            for name in in_order(list(makers())):
                cls = namedAny(makers()[name].target)
                house.host.modules[name] = cls(house.host, name, settings_of(name, cls))
                now(house.host.modules[name].attach())
            for module in sorted(house.host.modules.values(), key=lambda m: m.name, reverse=backwards):
                now(module.detach())
            self.assertEqual(registered(house), before)

    def test_makers(self) -> None:
        """Each one is named after its file, says what it is for, and claims XEPs with version and status."""
        for maker in makers().values():
            verifyObject(IModuleMaker, maker)
            module, _, _ = maker.target.rpartition(".")
            if not module.startswith("palaver."):
                continue
            self.assertEqual(maker.name, f"mod_{module.rpartition('.')[2]}")
            self.assertTrue(maker.summary)
            for xep in maker.xeps:
                self.assertIsInstance(xep, Xep)
                self.assertIn(xep.status, ("complete", "partial"))
                self.assertRegex(xep.version, r"^\d+\.\d+(\.\d+)?$")

    def test_docstrings(self) -> None:
        """The first line of a module's file names each XEP that it claims, or the RFC."""
        for maker in makers().values():
            file = namedAny(maker.target.rpartition(".")[0])
            for xep in maker.xeps:
                self.assertIn(f"{xep.number:04}", file.__doc__.partition("\n")[0], maker.name)

    def test_options(self) -> None:
        """Every option has a description, and options that do not exist are refused."""
        for name, maker in makers().items():
            settings = namedAny(maker.target).Settings
            self.assertTrue(issubclass(settings, Settings), name)
            self.assertEqual(settings.model_config["extra"], "forbid", name)
            for option, field in settings.model_fields.items():
                self.assertTrue(field.description, f"{name}.{option} has no description")

    def test_defaults(self) -> None:
        """The daily set is on by default; what changes who gets in, or loses messages, is not."""
        on_by_default = {name for name, maker in makers().items() if maker.default}
        daily = {"mod_disco", "mod_last", "mod_offline", "mod_ping", "mod_private", "mod_roster", "mod_time"}
        self.assertLessEqual(daily, on_by_default)
        self.assertFalse({"mod_register", "mod_offline_stub"} & on_by_default)


class AskSettings(Settings):
    """Options of the module below."""

    answer: str = "yes"


class Ask(Module):
    """Registers one of everything."""

    Settings = AskSettings
    features = ("urn:example:ask",)
    provides = (IAnswers,)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.ticks = 0
        self.bound: list[str] = []

    @iq("get", "urn:example:ask", "ask")
    def ask(self, request: Stanza) -> bytes:
        """Answer."""
        return b"<answer xmlns='urn:example:ask'>%b</answer>" % self.settings.answer.encode()

    @phase(TO_USER, "notice", "message")
    def notice(self, message: Stanza, to: Any) -> None:
        """Let it pass."""

    @on(SessionBound)
    def session_bound(self, event: SessionBound) -> None:
        """Note who came."""
        self.bound.append(event.session.jid.full)

    @nonza("urn:example:ask", "hello")
    def hello(self, given: Stanza, stream: Any) -> None:
        """Take a greeting."""

    @every(10)
    def tick(self) -> None:
        """Count."""
        self.ticks += 1

    def stream_feature(self, stream: Any) -> bytes:
        """Announce it."""
        return b"<ask xmlns='urn:example:ask'/>"


class RegistrationTests(SynchronousTestCase):
    """What a module's marks register."""

    def test_all(self) -> None:
        """Every mark takes effect."""
        house = House(Ask, Ask={"answer": "no"})
        module = house.modules["Ask"]
        romeo = house.login("romeo")
        self.assertEqual(str(romeo.ask(ASK.format(id=1)).answer), "no")
        self.assertEqual(module.bound, ["romeo@example.org/orchard"])  # type: ignore[attr-defined]
        self.assertIs(house.host.query(IAnswers), module)
        self.assertIn("urn:example:ask", house.host.disco.features())
        self.assertIn(("urn:example:ask", "hello"), house.host.nonzas)
        self.assertEqual(house.host.stream_features, [module.stream_feature])
        house.clock.pump([10, 10])
        self.assertEqual(module.ticks, 2)  # type: ignore[attr-defined]

    def test_none_left(self) -> None:
        """Detaching takes every one of them back."""
        house = House()
        before = registered(house)
        house.add(Ask).detach()
        self.assertEqual(registered(house), before)

    def test_second_owner(self) -> None:
        """A second owner of a route stops the start, and leaves nothing of itself."""

        class Other(Module):
            features = ("urn:example:other",)

            @iq("get", "urn:example:ask", "ask")
            def ask(self, request: Stanza) -> None:
                """Never reached."""

        house = House(Ask)
        before = registered(house)
        with self.assertRaises(DuplicateRoute):
            Other(house.host, "mod_other", Other.Settings()).attach()
        self.assertEqual(registered(house), before)

    def test_second_provider(self) -> None:
        """A second provider of an interface stops the start."""

        class Other(Module):
            provides = (IAnswers,)

        house = House(Ask)
        with self.assertRaises(ValueError):
            Other(house.host, "mod_other", Other.Settings()).attach()

    def test_failing_start(self) -> None:
        """A module whose start fails leaves nothing of itself."""

        class Failing(Ask):
            def start(self) -> None:
                """Fail."""
                raise RuntimeError("no")

        house = House()
        before = registered(house)
        with self.assertRaises(RuntimeError):
            Failing(house.host, "mod_failing", Failing.Settings()).attach()
        self.assertEqual(registered(house), before)


class SlowAnswers(Module):
    """Answers when told to."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked: list[tuple[str, Deferred[bytes]]] = []

    @iq("get", "urn:example:ask", "ask")
    def ask(self, request: Stanza) -> Deferred[bytes]:
        """Wait."""
        self.asked.append((request.attrs["id"], Deferred()))
        return self.asked[-1][1]

    def answer(self) -> None:
        """Answer the oldest question."""
        self.asked.pop(0)[1].callback(b"<answer xmlns='urn:example:ask'/>")


class PolicyTests(SynchronousTestCase):
    """How the ``iqdisc`` option lets calls overlap, seen by clients."""

    def ask(self, policy: str) -> tuple[SlowAnswers, Any]:
        """Have Romeo ask twice and Juliet once; gives the module and what Romeo's stream waits for."""
        house = House()
        module = SlowAnswers(house.host, "mod_slow", SlowAnswers.Settings(), policy)
        module.attach()
        romeo, juliet = house.login("romeo"), house.login("juliet")
        romeo.send(ASK.format(id="r1"))
        waiting = romeo.send(ASK.format(id="r2"))
        juliet.send(ASK.format(id="j1"))
        return module, waiting

    def answered(self, module: SlowAnswers) -> list[list[str]]:
        """Give which questions are under way at once, at first and after each answer."""
        steps = []
        while module.asked:
            steps.append([identity for identity, _ in module.asked])
            module.answer()
        return steps

    def test_no_queue(self) -> None:
        """Every question is taken at once; the stream that asked waits for its answer."""
        module, waiting = self.ask("no_queue")
        self.assertNoResult(waiting)
        self.assertEqual(self.answered(module), [["r1", "r2", "j1"], ["r2", "j1"], ["j1"]])
        self.successResultOf(waiting)

    def test_parallel(self) -> None:
        """Every question is taken at once, and no stream waits."""
        module, waiting = self.ask("parallel")
        self.assertIsNone(waiting)
        self.assertEqual(self.answered(module)[0], ["r1", "r2", "j1"])

    def test_one_queue(self) -> None:
        """One question at a time, whoever asks, in the order of asking."""
        module, waiting = self.ask("one_queue")
        self.assertEqual(self.answered(module), [["r1"], ["r2"], ["j1"]])
        self.successResultOf(waiting)

    def test_queues(self) -> None:
        """One question of a client at a time; never more at once than there are queues."""
        module, _ = self.ask("queues:100")
        steps = self.answered(module)
        self.assertEqual(sorted(identity for step in steps for identity in step if identity == "r1"), ["r1"])
        self.assertFalse(any({"r1", "r2"} <= set(step) for step in steps))
        module, _ = self.ask("queues:1")
        self.assertEqual(self.answered(module), [["r1"], ["r2"], ["j1"]])


class FailureTests(SynchronousTestCase):
    """A module that fails."""

    def setUp(self) -> None:
        """Count from zero."""
        metrics.module_failures.clear()

    def fails(self, function: Callable[[Stanza], Any]) -> tuple[House, Any]:
        """Give the house with a module whose IQ handler is ``function``, and the error that a client gets."""

        class Failing(Module):
            @iq("get", "urn:example:ask", "ask")
            def ask(self, request: Stanza) -> Any:
                """Fail."""
                return function(request)

        house = House(Ask)
        house.modules["Ask"].detach()
        Failing(house.host, "mod_failing", Failing.Settings()).attach()
        romeo = house.login("romeo")
        answer = romeo.ask(ASK.format(id=1))
        self.assertEqual(answer["type"], "error")
        # The session goes on.
        self.assertFalse(romeo.closed)
        self.assertEqual(romeo.ask(ASK.format(id=2))["type"], "error")
        return house, answer.error

    def test_exception(self) -> None:
        """An exception becomes internal-server-error, is logged and counted; the session goes on."""

        def sync(request: Stanza) -> None:
            raise ZeroDivisionError

        async def waiting(request: Stanza) -> None:
            raise ZeroDivisionError

        for function in (sync, waiting, lambda request: fail(ZeroDivisionError())):
            metrics.module_failures.clear()
            _, error = self.fails(function)
            self.assertEqual(error.firstChildElement().name, "internal-server-error")
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
            self.assertEqual(metrics.module_failures, {"mod_failing": 2})

    def test_refusal(self) -> None:
        """A StanzaError is the answer, and nobody's failure."""

        def refuse(request: Stanza) -> None:
            raise StanzaError("gone", "It was here yesterday")

        _, error = self.fails(refuse)
        self.assertEqual((error.firstChildElement().name, str(error.text)), ("gone", "It was here yesterday"))
        self.assertEqual(metrics.module_failures, {})

    def test_storage(self) -> None:
        """A storage that fails is counted, and the client may try again."""
        _, error = self.fails(lambda request: fail(StorageError("down")))
        self.assertEqual((error["type"], error.firstChildElement().name), ("wait", "internal-server-error"))
        self.assertEqual(metrics.module_failures, {"mod_failing": 2})

    def test_phases(self) -> None:
        """A failing phase refuses the stanza, whichever way it went."""
        for direction in (FROM_CLIENT, TO_USER, TO_SESSION):

            class Failing(Module):
                @phase(direction, "guard", "message")
                def guard(self, message: Stanza, context: Any) -> None:
                    """Fail."""
                    raise ZeroDivisionError

            house = House()
            romeo, juliet = house.login("romeo"), house.login("juliet", presence="<presence/>")
            juliet.take()
            Failing(house.host, "mod_failing", Failing.Settings()).attach()
            juliet.send("<message to='romeo@example.org/orchard' id='1'><body>Ay me</body></message>")
            self.assertEqual((romeo.take(), romeo.closed, juliet.closed), ([], False, False), direction)
            self.assertGreaterEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_listener_and_timer(self) -> None:
        """A failing listener does not keep anybody out, and a failing timer goes on."""

        class Failing(Module):
            @on(SessionBound)
            def session_bound(self, event: SessionBound) -> None:
                """Fail."""
                raise ZeroDivisionError

            @every(1)
            async def tick(self) -> None:
                """Fail."""
                raise ZeroDivisionError

        house = House()
        Failing(house.host, "mod_failing", Failing.Settings()).attach()
        self.assertFalse(house.login("romeo").closed)
        house.clock.pump([1, 1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.assertEqual(metrics.module_failures, {"mod_failing": 3})


class ThirdPartyTests(SynchronousTestCase):
    """A module of another package."""

    PLUGIN = """
        from palaver.plugin import ModuleMaker

        shout = ModuleMaker("mod_shout", "shouting_for_palaver.Shout", "Answers loudly", default=False)
    """
    MODULE = '''
        """XEP-9999: Shouting."""

        from palaver.markup import element, escape
        from palaver.modules import Module, Settings, iq


        class ShoutSettings(Settings):
            word: str = "hey"


        class Shout(Module):
            Settings = ShoutSettings
            features = ("urn:example:shout",)

            @iq("get", "urn:example:shout", "shout")
            def shout(self, request):
                return element("shout", "urn:example:shout", escape(self.settings.word.upper()))
    '''

    def setUp(self) -> None:
        """Install the package in a folder of its own."""
        root = Path(self.mktemp())
        plugins = root / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "shouting.py").write_text(dedent(self.PLUGIN))
        (root / "shouting_for_palaver.py").write_text(dedent(self.MODULE))
        self.patch(sys, "path", [str(root.absolute()), *sys.path])
        self.patch(twisted.plugins, "__path__", [*twisted.plugins.__path__, str(plugins.absolute())])
        self.addCleanup(sys.modules.pop, "twisted.plugins.shouting", None)
        self.addCleanup(sys.modules.pop, "shouting_for_palaver", None)

    def test_found(self) -> None:
        """A plugin file and a class are enough: a table in the config switches the module on."""
        config = Config.from_dict({"modules": {"mod_shout": {"word": "hark"}}})
        (choice,) = [one for one in config.modules_for("localhost") if one.maker.name == "mod_shout"]
        house = House()
        module = choice.load()(house.host, choice.maker.name, choice.settings, choice.iq_policy)
        module.attach()
        xml = "<iq type='get' id='1' to='example.org'><shout xmlns='urn:example:shout'/></iq>"
        self.assertEqual(str(house.login("romeo").ask(xml).shout), "HARK")
        self.assertIn("urn:example:shout", house.host.disco.features())

    def test_listing_loads_nothing(self) -> None:
        """Listing modules does not import them."""
        self.assertIsInstance(makers()["mod_shout"], ModuleMaker)
        self.assertNotIn("shouting_for_palaver", sys.modules)
