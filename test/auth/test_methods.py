"""From ``[auth]`` to accounts: stored ones, the application's, guests, and mixtures."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from palaver.auth.accounts import AccountExists, NotSupported, StoredAccounts
from palaver.auth.cred import CredAccounts
from palaver.auth.guests import GuestAccounts, is_guest, new_guest
from palaver.auth.methods import SECRET_BYTES, accounts_for, authenticator_for, server_secret
from palaver.interfaces import IAccounts
from palaver.service import Palaver
from palaver.settings import Auth
from palaver.storage.memory import MemoryStorage
from palaver.test.auth.client import FACTS
from palaver.test.services import ITERATIONS, PASSWORD, ServiceCase
from palaver.test.wire import Wire, bind

SECRET = b"secret"
DOMAIN = "example.org"
NS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
ANONYMOUS = f"<auth xmlns='{NS_SASL}' mechanism='ANONYMOUS'/>"
CHECKER = InMemoryUsernamePasswordDatabaseDontUse(romeo=b"mellon")


def auth(*methods: str, **more: Any) -> Auth:
    """Give the section with these methods."""
    password = {"hash": ["SHA-1"], "scram_iterations": ITERATIONS}
    return Auth.model_validate({"methods": list(methods), "password": password, **more})


class AccountsTests(SynchronousTestCase):
    """Which accounts a host has, and how people log in."""

    def accounts(self, *methods: str, custom: Any = None) -> Any:
        """Give the accounts for some methods."""
        return accounts_for(DOMAIN, auth(*methods), SECRET, MemoryStorage(), list, custom)

    def offered(self, *methods: str, custom: Any = None, **more: Any) -> tuple[str, ...]:
        """Give the mechanisms for some methods."""
        accounts = self.accounts(*methods, custom=custom)
        return authenticator_for(accounts, auth(*methods, **more), SECRET, False).mechanisms(FACTS)

    def test_internal(self) -> None:
        """internal: accounts in the storage, with SCRAM and PLAIN."""
        self.assertIsInstance(self.accounts("internal"), StoredAccounts)
        self.assertEqual(self.offered("internal"), ("SCRAM-SHA-1", "PLAIN"))

    def test_anonymous(self) -> None:
        """anonymous: nobody has a password, and no mechanism asks for one."""
        self.assertIsInstance(self.accounts("anonymous", custom=lambda domain: 1 / 0), GuestAccounts)
        self.assertEqual(self.offered("anonymous"), ("ANONYMOUS",))
        self.assertEqual(self.offered("anonymous", sasl_mechanisms=["PLAIN", "ANONYMOUS"]), ("ANONYMOUS",))

    def test_nobody_could_log_in(self) -> None:
        """Guests without their mechanism are a mistake."""
        self.assertRaises(ValueError, self.offered, "anonymous", sasl_mechanisms=["PLAIN"])

    def test_both(self) -> None:
        """Both: accounts are those in the storage, and guests come in too."""
        accounts = self.accounts("internal", "anonymous")
        verifyObject(IAccounts, accounts)
        self.successResultOf(accounts.create("romeo", PASSWORD))
        self.assertTrue(self.successResultOf(accounts.exists("romeo")))
        self.assertEqual(self.successResultOf(accounts.list()), ["romeo"])
        self.assertEqual(self.offered("internal", "anonymous"), ("SCRAM-SHA-1", "PLAIN", "ANONYMOUS"))

    def setUp(self) -> None:
        # The keys of an account are made at once here, not in a thread.
        def at_once(work: Any, *arguments: Any) -> Deferred[Any]:
            done: Deferred[Any] = Deferred()
            done.callback(work(*arguments))
            return done

        defaults: Any = StoredAccounts.__init__.__kwdefaults__
        self.patch(StoredAccounts.__init__, "__kwdefaults__", {**defaults, "in_thread": at_once})

    def test_own(self) -> None:
        """The application's accounts take the place of internal, on the hosts where it has some."""
        accounts = self.accounts("internal", custom=lambda domain: CredAccounts(CHECKER, domain))
        self.assertTrue(self.successResultOf(accounts.check_password("romeo", "mellon")))
        self.assertIsInstance(self.accounts("internal", custom=lambda domain: None), StoredAccounts)
        self.assertEqual(
            self.offered("internal", "anonymous", custom=lambda domain: CredAccounts(CHECKER, domain)),
            ("PLAIN", "ANONYMOUS"),
        )


class GuestTests(SynchronousTestCase):
    """The names of guests."""

    def test_names(self) -> None:
        """They differ, and are known by the server's secret and the domain alone."""
        names = {new_guest(SECRET, DOMAIN) for _ in range(50)}
        self.assertEqual(len(names), 50)
        for name in names:
            self.assertTrue(is_guest(SECRET, DOMAIN, name))
            self.assertFalse(is_guest(b"other", DOMAIN, name))
            self.assertFalse(is_guest(SECRET, "example.net", name))
            self.assertFalse(is_guest(SECRET, DOMAIN, name[:-1] + ("0" if name[-1] != "0" else "1")))
        for name in ("", "romeo", "\u00e9" * 32, "0" * 32):
            self.assertFalse(is_guest(SECRET, DOMAIN, name))

    def test_accounts(self) -> None:
        """Nobody can make an account of a guest's name; nothing else can be done with one."""
        accounts = GuestAccounts(SECRET, DOMAIN)
        verifyObject(IAccounts, accounts)
        guest = new_guest(SECRET, DOMAIN)
        self.failureResultOf(accounts.create(guest, PASSWORD), AccountExists)
        self.failureResultOf(accounts.create("romeo", PASSWORD), NotSupported)
        self.failureResultOf(accounts.set_password(guest, PASSWORD), NotSupported)
        self.failureResultOf(accounts.delete(guest), NotSupported)
        self.assertFalse(self.successResultOf(accounts.exists(guest)))
        self.assertFalse(self.successResultOf(accounts.check_password(guest, "")))
        self.assertIsNone(self.successResultOf(accounts.credentials(guest)))
        self.assertEqual(self.successResultOf(accounts.list()), [])


class SecretTests(SynchronousTestCase):
    """The server's secret."""

    def test_secret(self) -> None:
        """It is made once, stays the same, and only its owner reads it."""
        folder = Path(self.mktemp())
        secret = server_secret(folder)
        self.assertEqual((len(secret), server_secret(folder)), (SECRET_BYTES, secret))
        (file,) = folder.iterdir()
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)


class ServedTests(ServiceCase):
    """Logging in to a real server."""

    async def guest(self, host: str = "localhost") -> Wire:
        """Give a guest's bound session."""
        wire = await self.connect()
        await wire.features(host)
        wire.send(ANONYMOUS)
        self.assertEqual((await wire.next()).name, "success")
        await wire.features(host)
        bound = await wire.ask(bind())
        wire.jid = str(bound.firstChildElement().firstChildElement())
        return wire

    def open(self, **more: Any) -> dict[str, Any]:
        """Give a config with guests and registration; ``more`` changes ``[auth]``."""
        chosen = {"allow_unencrypted_plain_auth": True, "methods": ["internal", "anonymous"], **more}
        return self.config(auth=chosen, modules={"mod_register": {}})

    async def test_what_guests_leave(self):
        """What a guest has stored is gone with its session; accounts keep theirs."""
        palaver = await self.run_service(Palaver(self.open()), "romeo@localhost")
        guest, romeo = await self.guest(), await self.log_in("romeo@localhost/orchard")
        local = guest.jid.partition("@")[0]
        for wire in (guest, romeo):
            wire.send("<presence/>")
            stored = await wire.ask(
                "<iq type='set' id='1'><query xmlns='jabber:iq:private'><a xmlns='urn:a'>x</a></query></iq>"
            )
            self.assertEqual(stored["type"], "result")
            added = await wire.ask(
                "<iq type='set' id='2'><query xmlns='jabber:iq:roster'>"
                "<item jid='nurse@localhost' name='Nurse'/></query></iq>"
            )
            self.assertEqual(added["type"], "result")
        storage = palaver.server.storage
        kinds = ("private", "roster", "roster-state", "last", "account")
        self.assertEqual(len(await storage.documents.list("localhost", local, kinds)), 3)
        await guest.close()
        await romeo.close()
        other = await self.log_in("romeo@localhost/again")
        for _ in range(20):
            await other.ask()
            if not palaver.server._leaving:
                break
        self.assertEqual(await storage.documents.list("localhost", local, kinds), [])
        self.assertGreaterEqual(len(await storage.documents.list("localhost", "romeo", kinds)), 4)
        other.send(f"<message to='{local}@localhost' id='m'><body>?</body></message>")
        self.assertEqual((await other.next()).error.firstChildElement().name, "service-unavailable")

    async def test_left_at_a_stop(self):
        """A guest who is online when the server stops leaves nothing either."""
        config = {**self.open(), "storage": {"url": "sqlite"}}
        palaver = await self.run_service(Palaver(config))
        guest = await self.guest()
        local = guest.jid.partition("@")[0]
        await guest.ask(
            "<iq type='set' id='1'><query xmlns='jabber:iq:private'><a xmlns='urn:a'>x</a></query></iq>"
        )
        await palaver.stopService()
        palaver.startService()
        await palaver.ready
        found = await palaver.server.storage.documents.list("localhost", local, ("private", "last"))
        self.assertEqual(found, [])

    async def test_what_guests_cannot(self):
        """A guest has no password to change and no account to remove; its name cannot be registered."""
        await self.run_service(Palaver(self.open()))
        guest = await self.guest()
        local = guest.jid.partition("@")[0]
        register = "<iq type='set' id='{}'><query xmlns='jabber:iq:register'>{}</query></iq>"
        fields = f"<username>{local}</username><password>{PASSWORD}</password>"
        for number, inner in enumerate((fields, "<remove/>")):
            answer = await guest.ask(register.format(number, inner))
            self.assertEqual(answer.error.firstChildElement().name, "not-allowed")
        stranger = await self.connect()
        await stranger.features()
        answer = await stranger.ask(register.format("r", fields))
        self.assertEqual(answer.error.firstChildElement().name, "conflict")
        self.assertEqual((await guest.ask())["type"], "result")

    async def test_by_host(self):
        """Each host has its own way: the application's checker, accounts in the storage, or guests only."""
        hosts = ["a.example", "b.example", "c.example"]
        config = self.config(
            general={"hosts": hosts, "data_dir": self.folder()},
            host_config=[{"host": "c.example", "auth": {"methods": ["anonymous"]}}],
        )
        palaver = Palaver(config, checker={"a.example": CHECKER, "c.example": CHECKER})
        await self.run_service(palaver, "romeo@b.example")
        offers = {}
        for host in hosts:
            wire = await self.connect()
            features = await wire.features(host)
            offers[host] = [str(name) for name in features.mechanisms.elements()]
        self.assertEqual(
            offers,
            {"a.example": ["PLAIN"], "b.example": ["SCRAM-SHA-1", "PLAIN"], "c.example": ["ANONYMOUS"]},
        )
        await self.log_in("romeo@a.example/x", password="mellon")
        await self.log_in("romeo@b.example/x")
        await self.guest("c.example")
