"""The service as a whole: starting, failing to start, stopping, reloading; over sockets."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface

from palaver import metrics
from palaver.auth.certificates import make_self_signed
from palaver.config import Config, ConfigError
from palaver.errors import StorageError
from palaver.modules import Module, Settings, iq
from palaver.plugin import ModuleMaker
from palaver.service import Palaver
from palaver.stanza import Stanza, text_element
from palaver.test.services import LOOPBACK, PASSWORD, ServiceCase, port_of, ports
from palaver.test.wire import Wire, connect

NS_TEST = "urn:example:test"
ASK = f"<iq type='get' id='ask' to='localhost'><ask xmlns='{NS_TEST}'/></iq>"

happened: list[str] = []


class WordSettings(Settings):
    """What a test's module says."""

    word: str = "yes"


class Answer(Module):
    """Answers with its word."""

    Settings = WordSettings
    settings: Any

    def start(self) -> None:
        happened.append(f"start {self.settings.word}")
        if self.settings.word == "refuse":
            raise ValueError("this word is not spoken here")
        if self.settings.word == "break":
            raise RuntimeError("a defect")

    def stop(self) -> None:
        happened.append(f"stop {self.settings.word}")
        if self.settings.word == "stuck":
            raise RuntimeError("cannot stop")

    @iq("get", NS_TEST, "ask")
    def answer(self, request: Stanza) -> bytes:
        return text_element("ask", NS_TEST, self.settings.word)


class Rival(Module):
    """Wants the same route."""

    @iq("get", NS_TEST, "ask")
    def answer(self, request: Stanza) -> None:
        return None


class INowhere(Interface):
    """Nobody provides this."""


class Needy(Module):
    """Needs what nobody provides."""

    requires = (INowhere,)


def own(name: str, cls: type, *, default: bool = False) -> ModuleMaker:
    """Give the maker of a test's module."""
    return ModuleMaker(name, f"{__name__}.{cls.__name__}", "For tests", default=default)


MAKERS = [own("mod_answer", Answer), own("mod_rival", Rival), own("mod_needy", Needy)]


class PalaverCase(ServiceCase):
    """Services that know the test's modules."""

    def setUp(self) -> None:
        happened.clear()

    def made(self, **more: Any) -> Palaver:
        """Give a service that is not started."""
        return Palaver(self.config(**more), modules=MAKERS)

    def changed(self, **more: Any) -> Config:
        """Give a config that differs from the usual one in some tables."""
        return Config.from_dict(self.config(**more), makers=MAKERS)

    def general(self, *hosts: str) -> dict[str, Any]:
        """Give ``[general]`` with other hosts."""
        return {"hosts": list(hosts), "data_dir": self.folder()}

    async def failure_of(self, palaver: Palaver) -> Exception:
        """Start a service that cannot; gives why, and checks that nothing is left of it."""
        palaver.startService()
        try:
            await palaver.ready
        except Exception as error:
            found = error
        else:
            self.fail("it has started")
        self.assertEqual((palaver.addresses(), palaver.hosts, palaver.running), ([], {}, 0))
        self.assertIsNone(palaver.server.storage)
        # Whatever has failed, stopping is always possible.
        await palaver.stopService()
        return found


class StartTests(PalaverCase):
    """`ready`, and starts that fail."""

    async def test_ready(self):
        """`ready` fires with the service once clients can log in."""
        palaver = self.begin(self.made())
        self.assertIs(await palaver.ready, palaver)
        await palaver.hosts["localhost"].accounts.create("juliet", PASSWORD)
        await self.log_in("juliet@localhost")
        self.assertEqual(palaver.status()["sessions"], 1)

    async def test_port_in_use(self):
        """A port that is taken is an error that names it; no other port stays open."""
        taken = socket.create_server((LOOPBACK, 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        with socket.create_server((LOOPBACK, 0)) as chosen:
            free = chosen.getsockname()[1]
        tables = [{"interface": LOOPBACK, "port": number, "tls": "off"} for number in (free, port)]
        error = await self.failure_of(self.made(listen={"c2s": tables}))
        self.assertIsInstance(error, CannotListenError)
        self.assertIn(str(port), str(error))
        with self.assertRaises(ConnectionRefusedError):
            await connect(free)

    async def test_bad_certificate(self):
        """A certificate that is none is an error that names the file; the storage is not even opened."""
        bad = Path(self.mktemp())
        bad.write_text("no certificate")
        error = await self.failure_of(self.made(tls={"certificate": str(bad), "key": str(bad)}))
        self.assertIsInstance(error, ConfigError)
        self.assertIn(str(bad), str(error))

    async def test_storage_that_cannot_be_opened(self):
        """A database that is no database is a StorageError."""
        Path(self.folder()).mkdir()
        (Path(self.folder()) / "palaver.sqlite").write_bytes(b"no database at all" * 100)
        error = await self.failure_of(self.made(storage={"url": "sqlite"}))
        self.assertIsInstance(error, StorageError)

    async def test_data_folder_that_cannot_be_made(self):
        """A file where the data folder should be is an error that names it."""
        Path(self.folder()).write_text("a file")
        error = await self.failure_of(self.made())
        self.assertIsInstance(error, ConfigError)
        self.assertIn(self.folder(), str(error))

    async def test_two_owners_of_a_route(self):
        """Two modules that answer the same stop the start with both names."""
        error = await self.failure_of(self.made(modules={"mod_answer": {}, "mod_rival": {}}))
        self.assertIsInstance(error, ConfigError)
        self.assertIn("mod_answer", str(error))
        self.assertIn("mod_rival", str(error))
        self.assertEqual(happened, ["start yes", "stop yes"])

    async def test_module_that_refuses(self):
        """A module that does not like its options stops the start in a sentence."""
        error = await self.failure_of(self.made(modules={"mod_answer": {"word": "refuse"}}))
        self.assertEqual(str(error), "localhost: mod_answer: this word is not spoken here")

    async def test_module_with_a_defect(self):
        """A module that breaks stops the start, and the log has the traceback."""
        error = await self.failure_of(self.made(modules={"mod_answer": {"word": "break"}}))
        self.assertIn("mod_answer cannot be attached", str(error))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_module_without_what_it_needs(self):
        """A module whose needs nobody meets stops the start; what is missing is named."""
        error = await self.failure_of(self.made(modules={"mod_needy": {}}))
        self.assertIn("nothing provides what mod_needy needs: INowhere", str(error))

    async def test_daily_module_without_what_it_needs(self):
        """A module of the daily set is left out where what it needs was taken away."""
        palaver = await self.run_service(self.made(modules={"mod_offline": {"enabled": False}}))
        self.assertNotIn("mod_flexible_offline", palaver.hosts["localhost"].modules)

    async def test_component_that_cannot_be_loaded(self):
        """A component whose callable is nowhere stops the start."""
        error = await self.failure_of(self.made(components={"bot.@HOST@": {"handler": "nowhere.bot:make"}}))
        self.assertIn("nowhere.bot:make", str(error))

    async def test_wrong_checker(self):
        """A checker that takes no passwords stops the start."""

        class Keys:
            credentialInterfaces = ()

        error = await self.failure_of(Palaver(self.config(), checker=Keys()))  # type: ignore[arg-type]
        self.assertIsInstance(error, ConfigError)
        self.assertIn("IUsernamePassword", str(error))

    async def test_child_that_fails(self):
        """When a service inside it cannot start, `ready` fails with its error."""
        from twisted.application.service import Service

        class Broken(Service):
            def startService(self) -> None:
                raise ConfigError("the folder is in use")

        palaver = self.made()
        Broken().setServiceParent(palaver)
        self.assertEqual(str(await self.failure_of(palaver)), "the folder is in use")

    async def test_again_after_a_failure(self):
        """A service that could not start may start once the obstacle is gone."""
        taken = socket.create_server((LOOPBACK, 0))
        port = taken.getsockname()[1]
        palaver = self.made(listen={"c2s": [{"interface": LOOPBACK, "port": port, "tls": "off"}]})
        await self.failure_of(palaver)
        taken.close()
        await self.begin(palaver).ready
        self.assertEqual(port_of(palaver), port)


class StopTests(PalaverCase):
    """The end."""

    async def test_order(self):
        """Sessions get system-shutdown and the end of the stream; then modules stop; then nothing listens."""
        palaver = await self.run_service(self.made(modules={"mod_answer": {}}), "juliet@localhost")
        port = port_of(palaver)
        juliet = await self.log_in("juliet@localhost/balcony")
        stranger = await self.connect()
        await stranger.features()
        stopping = palaver.stopService()
        self.assertEqual(await juliet.stream_error(), "system-shutdown")
        self.assertEqual(await stranger.stream_error(), "system-shutdown")
        await stopping
        self.assertEqual(happened, ["start yes", "stop yes"])
        self.assertEqual((palaver.hosts, palaver.addresses()), ({}, []))
        with self.assertRaises(ConnectionRefusedError):
            await connect(port)

    async def test_stored(self):
        """What was sent before the stop is there after the next start."""
        palaver = await self.run_service(
            self.made(storage={"url": "sqlite"}), "juliet@localhost", "romeo@localhost"
        )
        romeo = await self.log_in("romeo@localhost/orchard")
        for number in range(20):
            romeo.send(f"<message to='juliet@localhost' id='{number}'><body>{number}</body></message>")
        await romeo.ask()
        await palaver.stopService()
        palaver.startService()
        await palaver.ready
        juliet = await self.log_in("juliet@localhost/balcony")
        juliet.send("<presence/>")
        bodies: list[str] = []
        while len(bodies) < 20:
            stanza = await juliet.next()
            if stanza.name == "message":
                bodies.append(str(stanza.body))
        self.assertEqual(bodies, [str(number) for number in range(20)])

    async def test_deaf_client(self):
        """A client that reads nothing delays the stop only for a moment."""
        self.patch(sys.modules["palaver.service"], "GOODBYE_S", 0.3)
        palaver = await self.run_service(self.made(), "juliet@localhost")
        juliet = await self.log_in("juliet@localhost/balcony")
        juliet.stop_reading()
        session = palaver.hosts["localhost"].users["juliet"].sessions["balcony"]
        for _ in range(200):
            session.stream.write(b" " * 65536)
        await palaver.stopService()
        self.assertEqual(palaver.server.sessions(), 0)

    async def test_module_that_cannot_stop(self):
        """A module that fails to stop is logged; the storage is closed all the same."""
        palaver = await self.run_service(self.made(modules={"mod_answer": {"word": "stuck"}}))
        await palaver.stopService()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertIsNone(palaver.server.storage)

    async def test_while_starting(self):
        """A stop during the start lets it end first; `ready` fails with CancelledError, nothing listens."""
        palaver = self.begin(self.made(storage={"url": "sqlite"}))
        ready: Deferred[Any] = palaver.ready
        outcome: list[Any] = []
        ready.addBoth(outcome.append)
        await palaver.stopService()
        self.assertIsInstance(outcome[0], Failure)
        self.assertIsNotNone(outcome[0].check(CancelledError))
        self.assertEqual((palaver.addresses(), palaver.hosts, palaver.server.storage), ([], {}, None))

    async def test_twice(self):
        """Stopping twice at once, or before any start, does no harm."""
        palaver = self.made()
        await palaver.stopService()
        await self.run_service(palaver)
        first, second = palaver.stopService(), palaver.stopService()
        await first
        await second
        self.assertEqual(palaver.running, 0)


class TwoTests(PalaverCase):
    """More than one in a process."""

    async def test_two(self):
        """Two servers in one process share no account, session or count, and end one by one."""
        one = await self.run_service(self.made(), "juliet@localhost")
        other = await self.run_service(
            Palaver(self.config(general={"hosts": ["localhost"], "data_dir": self.mktemp()})),
            "romeo@localhost",
        )
        juliet = await self.log_in("juliet@localhost/a", palaver=one)
        romeo = await self.log_in("romeo@localhost/b", palaver=other)
        answer = await (await self.connect(palaver=other)).features()
        self.assertEqual(answer.name, "features")
        self.assertEqual((one.server.sessions(), other.server.sessions()), (1, 1))
        self.assertEqual(metrics.snapshot()["palaver_sessions"], 2)
        romeo.send("<message to='juliet@localhost' id='m'><body>?</body></message>")
        self.assertEqual((await romeo.next())["type"], "error")
        await one.stopService()
        self.assertEqual(await juliet.stream_error(), "system-shutdown")
        self.assertEqual((await romeo.ask())["type"], "result")
        self.assertEqual(metrics.snapshot()["palaver_sessions"], 1)


class ReloadTests(PalaverCase):
    """Another config for a running server."""

    async def word(self, wire: Wire) -> str:
        """Give what mod_answer says; ``none`` when there is no such module."""
        answer = await wire.ask(ASK)
        return str(answer.firstChildElement()) if answer["type"] == "result" else "none"

    async def test_modules(self):
        """Modules come, change and go while sessions stay."""
        palaver = await self.run_service(self.made(), "juliet@localhost")
        juliet = await self.log_in("juliet@localhost/balcony")
        self.assertEqual(await self.word(juliet), "none")
        for modules, word in (
            ({"mod_answer": {}}, "yes"),
            ({"mod_answer": {"word": "no"}}, "no"),
            ({"mod_answer": {"word": "no"}}, "no"),
            ({}, "none"),
        ):
            await palaver.reload(self.changed(modules=modules))
            self.assertEqual(await self.word(juliet), word)
        # What has not changed was left alone.
        self.assertEqual(happened, ["start yes", "stop yes", "start no", "stop no"])

    async def test_policy(self):
        """A change of iqdisc alone counts, and so does its end."""
        palaver = await self.run_service(self.made(modules={"mod_answer": {}}))
        for table, policy in (({"iqdisc": {"type": "parallel"}}, "parallel"), ({}, "no_queue")):
            await palaver.reload(self.changed(modules={"mod_answer": table}))
            self.assertEqual(palaver.hosts["localhost"].modules["mod_answer"].policy, policy)

    async def test_hosts(self):
        """Hosts come; the sessions of one that goes end with host-gone, and the others stay."""
        palaver = await self.run_service(self.made(), "juliet@localhost")
        juliet = await self.log_in("juliet@localhost/balcony")
        await palaver.reload(self.changed(general=self.general("localhost", "verona.example")))
        await palaver.hosts["verona.example"].accounts.create("nurse", PASSWORD)
        nurse = await self.log_in("nurse@verona.example/house")
        stranger = await self.connect()
        await stranger.features("verona.example")
        await palaver.reload(self.changed())
        self.assertEqual(await nurse.stream_error(), "host-gone")
        self.assertEqual(await stranger.stream_error(), "host-gone")
        self.assertEqual(list(palaver.hosts), ["localhost"])
        juliet.send("<message to='nurse@verona.example' id='m'><body>?</body></message>")
        self.assertEqual((await juliet.next()).error.firstChildElement().name, "remote-server-not-found")
        late = await self.connect()
        late.open("verona.example")
        self.assertEqual(await late.stream_error(), "host-unknown")

    async def test_ports(self):
        """Ports come and go; who is connected through one that went stays, until the server stops."""
        palaver = await self.run_service(self.made(), "juliet@localhost")
        old = port_of(palaver)
        juliet = await self.log_in("juliet@localhost/balcony")
        await palaver.reload(self.changed(listen={"c2s": ports("optional", "direct")}))
        self.assertNotEqual(port_of(palaver, "optional"), old)
        with self.assertRaises(ConnectionRefusedError):
            await connect(old)
        self.assertEqual((await juliet.ask())["type"], "result")
        await palaver.stopService()
        self.assertEqual(await juliet.stream_error(), "system-shutdown")

    async def test_tls_of_a_port(self):
        """The same port asks for TLS after a reload, and its old connections stay."""
        with socket.create_server((LOOPBACK, 0)) as chosen:
            port = chosen.getsockname()[1]
        table = {"interface": LOOPBACK, "port": port, "tls": "off"}
        palaver = await self.run_service(self.made(listen={"c2s": [table]}), "juliet@localhost")
        juliet = await self.log_in("juliet@localhost/balcony")
        await palaver.reload(self.changed(listen={"c2s": [{**table, "tls": "required", "backlog": 7}]}))
        self.assertEqual(port_of(palaver, "required"), port)
        self.assertEqual((await juliet.ask())["type"], "result")
        features = await (await self.connect("required")).features()
        self.assertEqual(features.firstChildElement().name, "starttls")

    async def test_address_of_a_port(self):
        """The same port may move to another address, although both cannot be open at once."""
        with socket.create_server((LOOPBACK, 0)) as chosen:
            port = chosen.getsockname()[1]
        table = {"interface": LOOPBACK, "port": port, "tls": "off"}
        palaver = await self.run_service(self.made(listen={"c2s": [table]}), "juliet@localhost")
        juliet = await self.log_in("juliet@localhost/balcony")
        await palaver.reload(self.changed(listen={"c2s": [{**table, "interface": "0.0.0.0"}]}))
        self.assertEqual(palaver.addresses(), [f"c2s 0.0.0.0:{port} (no TLS)"])
        self.assertEqual((await juliet.ask())["type"], "result")
        # Back, with another port that is taken: the address stays.
        taken = socket.create_server((LOOPBACK, 0))
        self.addCleanup(taken.close)
        other = {**table, "port": taken.getsockname()[1]}
        with self.assertRaises(ConfigError):
            await palaver.reload(self.changed(listen={"c2s": [table, other]}))
        self.assertEqual(palaver.addresses(), [f"c2s 0.0.0.0:{port} (no TLS)"])
        (await connect(port)).drop()

    async def test_limits(self):
        """Limits count for streams that come after the reload."""
        palaver = await self.run_service(self.made())
        await palaver.reload(
            self.changed(limits={"max_unauthenticated": 1, "idle_s": 60, "max_user_sessions": 3})
        )
        features = await (await self.connect()).features()
        limits = next(node for node in features.elements() if node.name == "limits")
        self.assertEqual(str(list(limits.elements())[1]), "60")
        self.assertEqual(palaver.hosts["localhost"].max_user_sessions, 3)
        second = await self.connect()
        await second.closed()

    async def test_certificates(self):
        """A certificate that was renewed in its file is used after a reload."""
        file = Path(self.mktemp())
        file.write_bytes(make_self_signed("localhost"))
        more = {
            "tls": {"certificate": str(file), "key": str(file)},
            "listen": {"c2s": ports("direct")},
        }
        palaver = await self.run_service(self.made(**more))

        async def serial() -> int:
            wire = await self.connect("direct")
            wire.encrypt()
            await wire.features()
            return int(wire.transport.getPeerCertificate().get_serial_number())

        before = await serial()
        self.assertEqual(await serial(), before)
        file.write_bytes(make_self_signed("localhost"))
        await palaver.reload(palaver.config)
        renewed = await serial()
        self.assertNotEqual(renewed, before)
        file.write_text("rubbish")
        with self.assertRaises(ConfigError):
            await palaver.reload(palaver.config)
        self.assertEqual(await serial(), renewed)

    async def assert_unchanged(self, palaver: Palaver, words: str, **more: Any) -> None:
        """Reload what must be refused with these words, and check that all is as before."""
        config, addresses = palaver.config, palaver.addresses()
        juliet = await self.log_in("juliet@localhost/balcony")
        modules = {domain: list(host.modules) for domain, host in palaver.hosts.items()}
        happened.clear()
        with self.assertRaises(ConfigError) as caught:
            await palaver.reload(self.changed(**more))
        self.assertIn(words, str(caught.exception))
        self.assertIs(palaver.config, config)
        self.assertIs(palaver.server.config, config)
        self.assertEqual(palaver.addresses(), addresses)
        self.assertEqual(list(palaver.hosts), list(modules))
        for domain, host in palaver.hosts.items():
            self.assertEqual(sorted(host.modules), sorted(modules[domain]))
        self.assertEqual(await self.word(juliet), "yes")
        await juliet.close()

    async def test_module_that_refuses(self):
        """A module that refuses its new options goes on with the old ones; everything else stays too."""
        palaver = await self.run_service(self.made(modules={"mod_answer": {}}), "juliet@localhost")
        await self.assert_unchanged(
            palaver,
            "mod_answer: this word is not spoken here",
            general=self.general("localhost", "verona.example"),
            modules={"mod_answer": {"word": "refuse"}, "mod_ping": {"enabled": False}},
            listen={"c2s": ports("off", "optional")},
        )
        self.assertEqual(happened, ["stop yes", "start refuse", "start yes"])

    async def test_mistakes(self):
        """A reload with any mistake touches nothing: no module is even stopped."""
        palaver = await self.run_service(self.made(modules={"mod_answer": {}}), "juliet@localhost")
        mistakes: list[tuple[str, dict[str, Any]]] = [
            ("mod_needy needs: INowhere", {"modules": {"mod_needy": {}}}),
            ("nowhere:make", {"components": {"bot.@HOST@": {"handler": "nowhere:make"}}}),
            ("data_dir", {"general": {"hosts": ["localhost"], "data_dir": self.mktemp()}}),
            ("storage", {"storage": {"url": "sqlite"}}),
        ]
        taken = socket.create_server((LOOPBACK, 0))
        self.addCleanup(taken.close)
        port = {"interface": LOOPBACK, "port": taken.getsockname()[1], "tls": "off"}
        mistakes.append((str(port["port"]), {"listen": {"c2s": [*ports("optional"), port]}}))
        for words, more in mistakes:
            await self.assert_unchanged(palaver, words, **more)
            self.assertEqual(happened, [])

    async def test_two_owners(self):
        """A module that wants another one's route is refused, and the first one keeps it."""
        palaver = await self.run_service(self.made(modules={"mod_answer": {}}), "juliet@localhost")
        await self.assert_unchanged(
            palaver, "mod_rival and mod_answer", modules={"mod_answer": {}, "mod_rival": {}}
        )

    async def test_auth(self):
        """Another way to log in counts from the reload on; accounts stay what they are otherwise."""
        palaver = await self.run_service(self.made())
        accounts = palaver.hosts["localhost"].accounts
        await palaver.reload(self.changed(limits={"idle_s": 61}))
        self.assertIs(palaver.hosts["localhost"].accounts, accounts)
        await palaver.reload(self.changed(auth={"methods": ["anonymous"]}))
        features = await (await self.connect()).features()
        self.assertEqual([str(name) for name in features.mechanisms.elements()], ["ANONYMOUS"])

    async def test_not_running(self):
        """A server that does not run cannot be reloaded."""
        palaver = self.made()
        with self.assertRaises(ConfigError):
            await palaver.reload(palaver.config)


class ArgumentTests(SynchronousTestCase):
    """What `Palaver` takes."""

    def test_modules_beside_a_config(self):
        """A Config knows its modules; others beside it are refused rather than forgotten."""
        self.assertRaises(ValueError, Palaver, Config.default(), modules=MAKERS)

    def test_mistakes(self):
        """Mistakes in a dictionary are raised at once."""
        self.assertRaises(ConfigError, Palaver, {"general": {"host": "x"}})
