"""The server without sockets: hosts, modules and components after a config, and back when one refuses."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import palaver.upstream  # noqa: F401
from palaver.config import Config, ConfigError
from palaver.modules import Module
from palaver.plugin import ModuleMaker
from palaver.routing.host import Host
from palaver.routing.hosted import HandlerService
from palaver.server import Server
from palaver.streams.components.directory import ComponentService
from palaver.test.house import now

from wokkel.subprotocols import XMPPHandler  # isort: skip

happened: list[str] = []


class Bot(XMPPHandler):
    """Says when it comes and goes."""

    def __init__(self, name: str, fails: bool) -> None:
        super().__init__()
        self.name = name
        self.fails = fails

    def connectionInitialized(self) -> None:
        happened.append(f"{self.name} on")
        if self.fails:
            raise RuntimeError("a defect")

    def connectionLost(self, reason: Any) -> None:
        happened.append(f"{self.name} off")


def bot(name: str = "bot", fails: bool = False) -> Bot:
    """Give a handler; the callable of the tests' components."""
    return Bot(name, fails)


class Provider(Module):
    """Has an option, and is needed by another module."""

    def start(self) -> None:
        happened.append("provider on")

    def stop(self) -> None:
        happened.append("provider off")


class Waiting(Module):
    """Starts and stops with coroutines, which are waited for."""

    async def start(self) -> None:  # type: ignore[override]
        happened.append("waiting on")

    async def stop(self) -> None:  # type: ignore[override]
        happened.append("waiting off")


class Late(Module):
    """Refuses after a while."""

    async def start(self) -> None:  # type: ignore[override]
        raise ValueError("not today")

    def stop(self) -> None:
        happened.append("late off")


MAKERS = [
    ModuleMaker(f"mod_{cls.__name__.lower()}", f"{__name__}.{cls.__name__}", "For tests", default=False)
    for cls in (Provider, Waiting, Late)
]


class ServerCase(SynchronousTestCase):
    """A server on storage in memory."""

    def setUp(self) -> None:
        happened.clear()
        self.folder = self.mktemp()
        self.clock = Clock()

    def config(self, **tables: Any) -> Config:
        """Give a config with some tables."""
        base = {"general": {"data_dir": self.folder}, "storage": {"url": "memory"}}
        return Config.from_dict({**base, **tables}, makers=MAKERS)

    def serve(self, **tables: Any) -> Server:
        """Give a running server, stopped after the test."""
        server = Server(self.config(**tables), self.clock)
        now(server.start())
        self.addCleanup(lambda: now(server.stop()))
        return server

    def reload(self, server: Server, **tables: Any) -> None:
        """Apply another config."""
        now(server.reload(self.config(**tables)))

    def domains(self, server: Server) -> list[str]:
        """Give the domains of hosts and handlers; modules serve some too."""
        served = server.router.services.items()
        return [domain for domain, service in served if isinstance(service, Host | HandlerService)]

    def components(self, **bots: Any) -> dict[str, Any]:
        """Give ``[components]`` of bots below the hosts, by name, each with the callable's options."""
        handler = f"{__name__}:bot"
        return {f"{name}.@HOST@": {"handler": handler, "options": options} for name, options in bots.items()}


def nowhere(router: Any) -> Any:
    """Make a route that knows the domain of a handler."""
    return lambda domain: router.services["a.localhost"] if domain == "elsewhere.example" else None


class OthersComponentTests(ServerCase):
    """Other programs' components, and routes, by a config."""

    def secret(self, domain: str = "a.@HOST@", secret: str = "keep it") -> dict[str, Any]:
        return {domain: {"secret": secret}}

    def test_come_and_go(self) -> None:
        """A component's domain is served while it has a table."""
        server = self.serve(components=self.secret())
        self.assertIn("a.localhost", server.router.services)
        self.reload(server)
        self.assertNotIn("a.localhost", server.router.services)

    def test_another_kind(self) -> None:
        """A domain goes from another program to a handler in the process, and back."""
        server = self.serve(components=self.secret())
        self.reload(server, components=self.components(a={"name": "a"}))
        self.assertEqual(happened, ["a on"])
        self.reload(server, components=self.secret())
        self.assertEqual(happened, ["a on", "a off"])
        self.assertIsInstance(server.router.services["a.localhost"], ComponentService)

    def test_taken(self) -> None:
        """A domain that a module serves is refused, and everything is as it was."""
        server = self.serve(components=self.secret())
        server.host_handlers("b.localhost", [])
        with self.assertRaises(ConfigError) as caught:
            self.reload(server, components=self.secret("b.localhost"))
        self.assertIn("b.localhost is served already", str(caught.exception))
        self.assertIsInstance(server.router.services["a.localhost"], ComponentService)

    def test_own_route(self) -> None:
        """A route of the configuration is asked in its turn, and gone with the next one."""
        name = f"{__name__}:nowhere"
        general = {"data_dir": self.folder, "routing_modules": ["local", name, "s2s"]}
        server = self.serve(general=general, components=self.secret())
        self.assertIs(server.router.find("elsewhere.example"), server.router.services["a.localhost"])
        self.reload(server, components=self.secret())
        self.assertIs(server.router.find("elsewhere.example"), server.router.remote)

    def test_a_route_that_is_none(self) -> None:
        """A callable that cannot be had is named; nothing has changed."""
        server = self.serve()
        general = {"data_dir": self.folder, "routing_modules": ["local", "palaver.nothing:here"]}
        with self.assertRaises(ConfigError) as caught:
            self.reload(server, general=general)
        self.assertIn("palaver.nothing:here", str(caught.exception))
        self.assertIs(server.router.find("elsewhere.example"), server.router.remote)


class ComponentTests(ServerCase):
    """Wokkel handlers by a config."""

    def test_come_change_and_go(self) -> None:
        """Components come, are replaced when their options change, and go; one that has not changed stays."""
        server = self.serve(components=self.components(a={"name": "a"}, b={"name": "b"}))
        self.assertEqual(happened, ["a on", "b on"])
        self.reload(server, components=self.components(a={"name": "a"}, b={"name": "B"}, c={"name": "c"}))
        self.assertEqual(happened[2:], ["b off", "B on", "c on"])
        self.reload(server)
        self.assertEqual(happened[5:], ["a off", "B off", "c off"])
        self.assertEqual(self.domains(server), ["localhost"])

    def test_each_host(self) -> None:
        """With @HOST@ there is one for each host."""
        general = {"hosts": ["a.example", "b.example"], "data_dir": self.folder}
        server = self.serve(general=general, components=self.components(bot={}))
        self.assertEqual(self.domains(server), ["a.example", "b.example", "bot.a.example", "bot.b.example"])

    def test_one_that_cannot_start(self) -> None:
        """A component that cannot start is refused by name, and those before it go on as they were."""
        server = self.serve(components=self.components(a={"name": "a"}), modules={"mod_provider": {}})
        happened.clear()
        with self.assertRaises(ConfigError) as caught:
            self.reload(server, components=self.components(a={"name": "A"}, b={"name": "b", "fails": True}))
        self.assertIn("b.localhost: its handlers cannot start", str(caught.exception))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(
            happened,
            ["a off", "provider off", "A on", "b on", "b off", "A off", "provider on", "a on"],
        )
        self.assertEqual(self.domains(server), ["localhost", "a.localhost"])
        self.assertIn("mod_provider", server.hosts["localhost"].modules)

    def test_wrong_options(self) -> None:
        """Options that the callable does not take are a mistake before anything is touched."""
        server = self.serve(components=self.components(a={"name": "a"}))
        with self.assertRaises(ConfigError) as caught:
            self.reload(server, components=self.components(a={"nam": "a"}))
        self.assertIn("a.localhost", str(caught.exception))
        self.assertEqual(happened, ["a on"])

    def test_by_program(self) -> None:
        """Handlers that the application started stay over a reload, and end when it or the server says so."""
        server = self.serve()
        end = server.host_handlers("One.localhost", bot("one"))
        server.host_handlers("two.localhost", [bot("two")])
        self.assertRaises(ValueError, server.host_handlers, "two.localhost", bot("three"))
        self.reload(server)
        self.assertEqual(self.domains(server), ["localhost", "one.localhost", "two.localhost"])
        end()
        now(server.stop())
        self.assertEqual(happened, ["one on", "two on", "one off", "two off"])


class ModuleTests(ServerCase):
    """Modules by a config."""

    def test_coroutines(self) -> None:
        """A module may start and stop with coroutines."""
        server = self.serve(modules={"mod_waiting": {}})
        self.reload(server)
        self.assertEqual(happened, ["waiting on", "waiting off"])

    def test_late_refusal(self) -> None:
        """A module that refuses after a while leaves nothing behind."""
        server = self.serve()
        before = list(server.hosts["localhost"].modules)
        with self.assertRaises(ConfigError) as caught:
            self.reload(server, modules={"mod_late": {}})
        self.assertEqual(str(caught.exception), "localhost: mod_late: not today")
        self.assertEqual(happened, ["late off"])
        self.assertEqual(list(server.hosts["localhost"].modules), before)

    def test_order_of_hosts(self) -> None:
        """The first host of the config is the first one, whenever it came."""
        server = self.serve()
        hosts = server.hosts
        self.reload(server, general={"hosts": ["a.example", "localhost"], "data_dir": self.folder})
        self.assertIs(server.hosts, hosts)
        self.assertEqual(list(hosts), ["a.example", "localhost"])
