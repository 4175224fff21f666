"""Domains that are added to a running server: streams, stanzas, TLS, reload, restart and removal."""

from __future__ import annotations

from typing import Any

from cryptography.x509 import DNSName, SubjectAlternativeName
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from palaver import admin
from palaver.config import Config, ConfigError
from palaver.service import Palaver
from palaver.test.served import ITERATIONS, PASSWORD, ServedCase

SCHOOL = "school.example"


class DomainsCase(ServedCase):
    """A server to which `SCHOOL` was added, with a host type that knows no pings."""

    hosts = ("localhost",)  # type: ignore[assignment]
    accounts = ("romeo@localhost",)  # type: ignore[assignment]

    def table(self) -> dict[str, Any]:
        return {
            "general": {
                "hosts": ["localhost"],
                "host_types": ["quiet"],
                "data_dir": self.folder,
                "admins": ["romeo@localhost"],
            },
            "auth": {
                "allow_unencrypted_plain_auth": True,
                "password": {"hash": ["SHA-1", "SHA-256"], "scram_iterations": ITERATIONS},
            },
            "modules": {"mod_muc": {}, "mod_offline": {}},
            "host_config": [{"host_type": "quiet", "modules": {"mod_ping": {"enabled": False}}}],
            "listen": {
                "c2s": [{"interface": "127.0.0.1", "port": 0, "tls": tls} for tls in ("off", "direct")],
            },
        }

    async def _set_up(self) -> None:
        self.folder = self.mktemp()
        self.palaver = await self.started()
        await self.create_accounts(["romeo@localhost"])

    async def started(self) -> Palaver:
        """Give a server on the storage of the test."""
        palaver = Palaver(self.table())
        palaver.startService()
        self.addCleanup(palaver.stopService)
        await palaver.ready
        return palaver

    async def restart(self) -> None:
        """Stop the server and start it again."""
        await self.palaver.stopService()
        self.palaver = await self.started()

    async def run_command(self, command: str, **request: Any) -> str:
        return await admin.run(self.palaver.server, {"command": command, **request})

    async def refused(self, command: str, **request: Any) -> str:
        with self.assertRaises(admin.Refused) as caught:
            await self.run_command(command, **request)
        return str(caught.exception)

    async def add(self, domain: str = SCHOOL, host_type: str | None = None) -> None:
        await self.run_command("domain add", domain=domain, host_type=host_type)

    async def pupil(self, name: str = "nurse", tls: str = "off") -> Any:
        """Give a session of a new account of the added domain."""
        await self.run_command("account create", jid=f"{name}@{SCHOOL}", password=PASSWORD)
        return await self.log_in(f"{name}@{SCHOOL}/r", tls)

    async def error_of(self, domain: str) -> str:
        """Give the condition of the error that a stream to a domain ends with."""
        wire = await self.connect()
        wire.open(domain)
        error = await wire.next()
        return str(next(error.elements()).name)

    async def until(self, condition: Any) -> None:
        """Wait, but not for ever."""
        for _ in range(500):
            if condition():
                return
            await deferLater(self.palaver.reactor, 0.01)
        self.fail("it has not happened")


class AddedTest(DomainsCase):
    """What people notice of an added domain."""

    async def test_serves_streams(self) -> None:
        """Somebody logs in to a domain that was added a moment ago, which nobody had used before."""
        self.assertEqual(await self.error_of(SCHOOL), "host-unknown")
        await self.add()
        self.assertNotIn(SCHOOL, self.palaver.hosts)
        nurse = await self.pupil()
        romeo = await self.log_in("romeo@localhost/r")
        nurse.send(f"<message to='{romeo.jid}'><body>Anon!</body></message>")
        self.assertEqual((await romeo.next())["from"], nurse.jid)

    async def test_header_wakes(self) -> None:
        """A stream header alone brings up the host; what was sent behind it is read then."""
        await self.add()
        wire = await self.connect()
        wire.open(SCHOOL)
        features = await wire.next()
        self.assertEqual(features.name, "features")
        self.assertIn(SCHOOL, self.palaver.hosts)

    async def test_message_wakes(self) -> None:
        """A message to an account there is stored for it, though nobody has used the domain yet."""
        await self.add()
        nurse = await self.pupil()
        await nurse.close()
        await self.restart()
        self.assertNotIn(SCHOOL, self.palaver.hosts)
        romeo = await self.log_in("romeo@localhost/r")
        romeo.send(f"<message to='nurse@{SCHOOL}' type='chat'><body>Good morrow</body></message>")
        await self.until(lambda: SCHOOL in self.palaver.hosts)
        nurse = await self.log_in(f"nurse@{SCHOOL}/r")
        nurse.send("<presence/>")
        bodies = [str((await nurse.next()).body) for _ in range(2)]
        self.assertIn("Good morrow", bodies)

    async def test_services_below(self) -> None:
        """A service that a module has below the domain is found while its host sleeps."""
        await self.add()
        romeo = await self.log_in("romeo@localhost/r")
        disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        romeo.send(f"<iq type='get' id='d' to='muc.{SCHOOL}'>{disco}</iq>")
        self.assertEqual((await romeo.next())["type"], "result")
        romeo.send(f"<iq type='get' id='e' to='nothing.{SCHOOL}'>{disco}</iq>")
        answer = await romeo.next()
        self.assertEqual((answer["id"], answer["type"]), ("e", "error"))

    async def test_presence_wakes_nobody(self) -> None:
        """That somebody is online is nothing to a host without sessions."""
        await self.add()
        romeo = await self.log_in("romeo@localhost/r")
        romeo.send(
            f"<presence to='nurse@{SCHOOL}'/><iq type='get' id='p' to='localhost'>"
            "<ping xmlns='urn:xmpp:ping'/></iq>"
        )
        self.assertEqual((await romeo.next())["id"], "p")
        self.assertNotIn(SCHOOL, self.palaver.hosts)

    async def test_host_type(self) -> None:
        """A domain has the settings of its host type."""
        await self.add(host_type="quiet")
        await self.add("other.example")
        for domain in (SCHOOL, "other.example"):
            domains: Any = self.palaver.server.added.domains
            await domains.wake(domain)
        self.assertNotIn("mod_ping", self.palaver.hosts[SCHOOL].modules)
        self.assertIn("mod_ping", self.palaver.hosts["other.example"].modules)

    async def test_certificate(self) -> None:
        """Over TLS an added domain shows a certificate of its own."""
        await self.add()
        for asked, shown in ((SCHOOL, SCHOOL), (f"muc.{SCHOOL}", SCHOOL), ("made-up.example", "localhost")):
            wire = await self.connect("direct", encrypt=False)
            wire.encrypt(asked)
            await wire.features(SCHOOL)
            certificate = wire.transport.getPeerCertificate().to_cryptography()
            names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
            self.assertEqual(names.get_values_for_type(DNSName), [shown])

    async def test_strangers_cost_nothing(self) -> None:
        """Made-up domains leave nothing behind."""
        await self.add()
        domains = self.palaver.server.added.domains
        for number in range(1000):
            self.assertIsNone(domains.wake(f"d{number}.example"))
            self.assertIsNone(domains.find(f"d{number}.example"))
            self.assertIsNone(domains.named(f"d{number}.example"))
        self.assertEqual((len(domains.known), domains._making), (1, {}))


class ChangedTest(DomainsCase):
    """Commands, reload and restart."""

    async def test_list(self) -> None:
        """The list has state and host type, after a restart too."""
        await self.add("b.example", "quiet")
        await self.add("a.example")
        await self.run_command("domain disable", domain="a.example")
        await self.restart()
        self.assertEqual(await self.run_command("domain list"), "a.example disabled\nb.example enabled quiet")

    async def test_refusals(self) -> None:
        """What cannot be done is refused with a sentence."""
        await self.add()
        for command, request, said in (
            ("add", {"domain": "localhost"}, "localhost is served already."),
            ("add", {"domain": f"muc.{SCHOOL}"}, f"muc.{SCHOOL} is served already."),
            ("add", {"domain": SCHOOL}, f"{SCHOOL} is there already, enabled."),
            ("add", {"domain": "x.example", "host_type": "loud"}, "There is no host type loud"),
            ("add", {"domain": "a b"}, "'a b' is no domain"),
            ("remove", {"domain": "localhost"}, "localhost is named in general.hosts"),
            ("remove", {"domain": "x.example"}, "There is no added domain x.example."),
        ):
            self.assertIn(said, await self.refused(f"domain {command}", **request))

    async def test_disable(self) -> None:
        """A disabled domain ends its sessions and refuses streams; enabled again it has its accounts."""
        await self.add()
        nurse = await self.pupil()
        opening = await self.connect()
        opening.open(SCHOOL)
        await opening.next()
        await self.run_command("domain disable", domain=SCHOOL)
        for wire in (nurse, opening):
            error = await wire.next()
            self.assertEqual(next(error.elements()).name, "host-gone")
        self.assertEqual(await self.error_of(SCHOOL), "host-unknown")
        await self.run_command("domain enable", domain=SCHOOL)
        await self.log_in(f"nurse@{SCHOOL}/r")

    async def attempt(self, command: str, **request: Any) -> str:
        """Give what a command says, be it a refusal."""
        try:
            return await self.run_command(f"domain {command}", **request)
        except admin.Refused as refused:
            return str(refused)

    async def at_once(self, *commands: tuple[str, dict[str, Any]]) -> list[str]:
        """Give what commands say that are given at once."""
        running = [Deferred.fromCoroutine(self.attempt(name, **request)) for name, request in commands]
        return [await one for one in running]

    async def test_added_twice_at_once(self) -> None:
        """Of two who add a domain at once one hears that it is there."""
        said = await self.at_once(
            ("add", {"domain": SCHOOL, "host_type": "quiet"}), ("add", {"domain": SCHOOL})
        )
        self.assertIn(f"{SCHOOL} is there already, enabled.", said)
        self.assertEqual(await self.run_command("domain list"), f"{SCHOOL} enabled quiet")

    async def test_enabled_while_removed(self) -> None:
        """What is removed is not enabled again by whoever does that at the same moment."""
        await self.add()
        await self.pupil()
        _, *refused = await self.at_once(
            *((name, {"domain": SCHOOL}) for name in ("remove", "enable", "disable"))
        )
        self.assertEqual(refused, [f"{SCHOOL} is being removed."] * 2)
        await self.until(lambda: SCHOOL not in self.palaver.server.added.domains.known)
        self.assertEqual(await self.error_of(SCHOOL), "host-unknown")

    async def test_logins_meanwhile(self) -> None:
        """Whoever logs in while a domain is disabled and enabled is in, or hears that it is gone."""
        await self.add()
        await self.pupil()
        outcomes = []

        async def log_in(number: int) -> None:
            try:
                wire = await self.log_in(f"nurse@{SCHOOL}/{number}")
            except (AssertionError, ConnectionError) as error:
                outcomes.append(str(error))
            else:
                outcomes.append("")
                logged_in.append(wire)

        logged_in: list[Any] = []
        for number in range(5):
            logins = [Deferred.fromCoroutine(log_in(number * 10 + each)) for each in range(3)]
            await deferLater(self.palaver.reactor, 0.01 * number)
            await self.run_command("domain disable", domain=SCHOOL)
            await self.run_command("domain enable", domain=SCHOOL)
            for login in logins:
                await login
        self.assertEqual(len(outcomes), 15)
        await self.until(lambda: all(wire.lost or wire.jid for wire in logged_in))
        nurse = await self.log_in(f"nurse@{SCHOOL}/last")
        host = self.palaver.hosts[SCHOOL]
        alive = [wire for wire in logged_in if not wire.lost]
        for wire in (*alive, nurse):
            # Nobody speaks to a host that is gone.
            self.assertEqual((await wire.ask())["type"], "result")
        self.assertEqual(len(host.users["nurse"].sessions), len(alive) + 1)

    async def test_reload(self) -> None:
        """A reload keeps added domains and their sessions, and takes no host type away that one needs."""
        await self.add(host_type="quiet")
        nurse = await self.pupil()
        table = self.table()
        table["host_config"] = [{"host_type": "quiet", "modules": {}}]
        await self.palaver.reload(Config.from_dict(table))
        nurse.send(f"<iq type='get' id='p' to='{SCHOOL}'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual((await nurse.next())["type"], "result")
        table["general"]["host_types"], table["host_config"] = [], []
        with self.assertRaises(ConfigError):
            await self.palaver.reload(Config.from_dict(table))
        self.assertIn(SCHOOL, self.palaver.hosts)

    async def test_no_module(self) -> None:
        """A host that cannot be brought up answers so, and the next attempt is one."""
        await self.add()
        server: Any = self.palaver.server
        make, server.make_host = server.make_host, self._fail
        self.assertEqual(await self.error_of(SCHOOL), "internal-server-error")
        romeo = await self.log_in("romeo@localhost/r")
        romeo.send(f"<iq type='get' id='p' to='{SCHOOL}'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual((await romeo.next())["type"], "error")
        server.make_host = make
        romeo.send(f"<iq type='get' id='q' to='{SCHOOL}'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual((await romeo.next())["type"], "result")
        self.flushLoggedErrors(ConfigError)

    async def _fail(self, *arguments: Any) -> Any:
        raise ConfigError("a defect")


class RemovedTest(DomainsCase):
    """What a removed domain leaves: nothing."""

    async def test_remove(self) -> None:
        """Sessions end, accounts and rooms are gone, and the domain can be added anew."""
        await self.add()
        nurse = await self.pupil()
        nurse.send(
            f"<presence to='ball@muc.{SCHOOL}/n'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        )
        await nurse.next()
        await self.run_command("domain remove", domain=SCHOOL)
        await self.until(lambda: SCHOOL not in self.palaver.server.added.domains.known)
        await self.assert_nothing_stored()
        self.assertEqual(await self.error_of(SCHOOL), "host-unknown")
        await self.add()
        self.assertEqual(await self.run_command("account list", host=SCHOOL), "")

    async def test_restart_in_the_middle(self) -> None:
        """A removal that the end of the server cut short is finished by the next start."""
        await self.add()
        await self.pupil()
        for number in range(20):
            await self.run_command("account create", jid=f"p{number}@{SCHOOL}", password=PASSWORD)
        await self.run_command("domain remove", domain=SCHOOL)
        await self.palaver.stopService()
        self.palaver = await self.started()
        self.assertIn(SCHOOL, self.palaver.server.added.domains.known)
        self.assertEqual(
            await self.refused("domain add", domain=SCHOOL), f"{SCHOOL} is there already, removed."
        )
        await self.until(lambda: SCHOOL not in self.palaver.server.added.domains.known)
        await self.assert_nothing_stored()

    async def assert_nothing_stored(self) -> None:
        documents = self.palaver.server.storage.documents
        for domain in (SCHOOL, f"muc.{SCHOOL}"):
            self.assertEqual(await documents.owners(domain, None), [])


# The common class has no tests of its own.
del ServedCase
