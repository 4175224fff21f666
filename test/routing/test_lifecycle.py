"""Accounts that are made, get another password or go, and what becomes of their sessions."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from palaver.auth.accounts import AccountExists, NoSuchAccount, NotSupported
from palaver.errors import StanzaError
from palaver.events import (
    AccountCreated,
    AccountDeleted,
    AccountDeleting,
    BecameUnavailable,
    PasswordChanged,
    SessionUnbound,
)  # fmt: skip
from palaver.routing.lifecycle import create_account, delete_account, set_password
from palaver.routing.rosters import changing, rosters
from palaver.storage import Batch
from palaver.test.house import Client, House, now
from palaver.xeps.roster import Roster


class Revoking:
    """An authenticator that notes whose logins it has to fail."""

    def __init__(self, order: list[object]) -> None:
        self.revoke = order.append


class LifecycleCase(SynchronousTestCase):
    """Romeo with two sessions, Juliet with one, and a note of every event."""

    def setUp(self) -> None:
        self.house = House(Roster)
        self.host = self.house.host
        self.told: list[Any] = []
        for event in (AccountCreated, AccountDeleting, AccountDeleted, PasswordChanged, SessionUnbound):
            self.host.events.add(event, "test", self.told.append)
        self.one = self.house.login("romeo", "one", "<presence/>")
        self.two = self.house.login("romeo", "two", "<presence/>")
        self.juliet = self.house.login("juliet", "balcony", "<presence/>")

    def ended(self) -> list[str | None]:
        """Give the conditions with which the streams have ended: Romeo's two, then Juliet's."""
        clients = (self.one, self.two, self.juliet)
        return [client.error.condition if client.error is not None else None for client in clients]

    def events(self) -> list[str]:
        return [type(event).__name__ for event in self.told]


class CreateTests(LifecycleCase):
    """A new account."""

    def test_created(self) -> None:
        """It is there, and modules hear who asked for it."""
        now(create_account(self.host, "benvolio", "pax", "192.0.2.1"))
        (event,) = self.told
        self.assertEqual((event.jid.full, event.address), ("benvolio@example.org", "192.0.2.1"))
        self.assertEqual(self.house.accounts.passwords["benvolio"], "pax")

    def test_exists(self) -> None:
        """One that is there already is left as it is, and nobody hears of it."""
        self.assertRaises(AccountExists, now, create_account(self.host, "romeo", "pax"))
        self.assertEqual((self.told, self.house.accounts.passwords), ([], {}))


class PasswordTests(LifecycleCase):
    """Another password."""

    def test_by_a_session(self) -> None:
        """The session that changed it stays; all others of the account end."""
        now(set_password(self.host, "romeo", "new", self.one.session))
        self.assertEqual(self.ended(), [None, "reset", None])
        self.assertEqual(self.events(), ["SessionUnbound", "PasswordChanged"])
        event = self.told[-1]
        self.assertEqual((event.jid.full, event.by), ("romeo@example.org", self.one.session))

    def test_by_somebody_else(self) -> None:
        """Without such a session all end."""
        now(set_password(self.host, "romeo", "new"))
        self.assertEqual(self.ended(), ["reset", "reset", None])

    def test_logged_in_with_the_old_one(self) -> None:
        """Who has logged in with the old one and bound nothing yet ends too; others' logins go on."""
        clients = [Client(self.house) for _ in range(2)]
        for client, local in zip(clients, ("romeo", "juliet"), strict=True):
            client.authenticated_as = local
            self.host.unbound.add(client)
        now(set_password(self.host, "romeo", "new"))
        self.assertEqual([client.closed for client in clients], [True, False])

    def test_logging_in_with_the_old_one(self) -> None:
        """Logins with the old one that are under way fail, before the ends of sessions are waited for."""
        order: list[object] = []
        self.host.authenticator = Revoking(order)
        self.host.events.add(SessionUnbound, "x", lambda event: order.append(type(event)))
        now(set_password(self.host, "romeo", "new"))
        self.assertEqual(order, ["romeo", SessionUnbound, SessionUnbound])

    def test_offline(self) -> None:
        """It is changed for an account that nobody is online with, too."""
        now(set_password(self.host, "nurse", "new"))
        self.assertEqual(
            (self.events(), self.house.accounts.passwords), (["PasswordChanged"], {"nurse": "new"})
        )


class DeleteTests(LifecycleCase):
    """The end of an account."""

    def test_order(self) -> None:
        """Modules hear of it while its stores are there, sessions end, then it is gone."""
        exists: list[bool] = []
        for event in (AccountDeleting, SessionUnbound, AccountDeleted):
            self.host.events.add(
                event, "x", lambda event: exists.append("romeo" in self.house.accounts.names)
            )
        now(delete_account(self.host, "romeo"))
        self.assertEqual(self.ended(), ["not-authorized", "not-authorized", None])
        self.assertEqual(
            self.events(), ["AccountDeleting", "SessionUnbound", "SessionUnbound", "AccountDeleted"]
        )
        self.assertEqual(exists, [True, True, True, False])

    def test_by_itself(self) -> None:
        """The session that asked is unavailable at once, and ends when it can have been answered."""
        now(delete_account(self.host, "romeo", self.one.session))
        self.assertEqual(self.ended(), [None, "not-authorized", None])
        self.assertIsNone(self.one.session.presence)
        self.house.clock.advance(0)
        self.assertEqual(self.ended(), ["not-authorized", "not-authorized", None])
        self.assertNotIn("romeo", self.host.users)

    def test_what_sessions_store_at_their_end(self) -> None:
        """What modules store when the sessions go is there before the stores are emptied."""
        gates: list[Deferred[None]] = []
        storage = self.house.storage

        async def store(event: Any, kind: str) -> None:
            gates.append(Deferred())
            await gates[-1]
            await storage.write(Batch().put("example.org", "romeo", kind, "x", {}))

        for event in (BecameUnavailable, SessionUnbound):
            self.host.events.add(event, "x", lambda event: store(event, type(event).__name__))
        waiting = Deferred.fromCoroutine(delete_account(self.host, "romeo"))
        while gates:
            self.assertIn("romeo", self.house.accounts.names)
            gates.pop().callback(None)
        now(waiting)
        kinds = ("BecameUnavailable", "SessionUnbound")
        self.assertEqual(list(now(storage.documents.list("example.org", "romeo", kinds))), [])

    def test_not_ours(self) -> None:
        """An account that the application keeps loses neither contacts nor sessions when it stays."""
        self.house.accounts.deletes = False
        self.assertRaises(NotSupported, now, delete_account(self.host, "romeo", self.one.session))
        self.assertEqual((self.told, self.ended()), ([], [None, None, None]))

    def test_roster_in_use(self) -> None:
        """Whoever still holds the roster sees nobody in it, and a new account does not get it."""
        self.one.ask("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='a@b'/></query></iq>")
        held = self.one.session.user.roster
        now(delete_account(self.host, "romeo"))
        self.assertEqual((held.items, held.gone), ({}, True))
        self.assertRaises(StanzaError, now, self.add_late(held))
        now(create_account(self.host, "romeo", "new"))
        again = self.house.login("romeo", "one").session.user.roster
        self.assertIsNot(again, held)
        self.assertEqual((again.items, again.gone), ({}, False))

    async def add_late(self, held: Any) -> None:
        """Change a roster that was found before its account went."""

        async def work(roster: Any) -> None:
            self.fail("it was changed")

        store = rosters(self.host)
        self.patch(store, "load", lambda local: succeed(held))
        try:
            await changing(self.host, "romeo", work)
        finally:
            del store.load

    def test_unknown(self) -> None:
        """There is nothing to delete twice."""
        self.assertRaises(NoSuchAccount, now, delete_account(self.host, "nobody"))
        self.assertEqual(self.told, [])
