"""How a resource becomes a session: names, conflicts, limits, and rosters that cannot be read."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from palaver.errors import StanzaError, StorageError
from palaver.events import SessionBound, SessionUnbound
from palaver.interfaces import IRosters, IUser
from palaver.routing.users import bind
from palaver.stanza import Stanza
from palaver.test.house import Client, House, now
from palaver.xeps.roster import Roster

# Resources by what becomes of them: the prepared one, or None for bad-request.
RESOURCES = {
    "orchard": "orchard",
    "Orchard": "Orchard",
    "with space": "with space",
    "\u212b": "\u00c5",
    "\u2665": "\u2665",
    "x" * 1023: "x" * 1023,
    "x" * 1024: None,
    "a\tb": None,
    "a\x7fb": None,
    "\ue000": None,
}


class BindCase(SynchronousTestCase):
    """A host without sessions."""

    def setUp(self) -> None:
        self.house: Any = House(Roster)
        self.host = self.house.host

    def bind(self, resource: str | None = "orchard", local: str = "romeo", documents: Any = None) -> Any:
        return bind(self.host, Client(self.house), local, resource, documents)

    def refusal(self, waiting: Any) -> tuple[str, str]:
        """Give the condition and type with which a binding is refused."""
        error = self.assertRaises(StanzaError, now, waiting)
        return error.condition, error.type


class ResourceTests(BindCase):
    """Names."""

    def test_prepared(self) -> None:
        """A resource is prepared; a bad one is refused, and leaves no trace."""
        for resource, wanted in RESOURCES.items():
            if wanted is None:
                self.assertEqual(self.refusal(self.bind(resource)), ("bad-request", "modify"))
                self.assertEqual(self.host.users, {})
            else:
                session = now(self.bind(resource))
                self.assertEqual(session.jid.full, f"romeo@example.org/{wanted}")
                session.end()

    def test_made(self) -> None:
        """Without a wish the server makes one up, another one each time."""
        made = {now(self.bind(wish)).jid.resource for wish in (None, "", None)}
        self.assertEqual((len(made), {len(name) for name in made}), (3, {12}))

    def test_account(self) -> None:
        """Sessions of one account share it; it says who is available."""
        one, two = now(self.bind("one")), now(self.bind("two"))
        self.assertIs(one.user, two.user)
        self.assertTrue(verifyObject(IUser, one.user))
        self.assertEqual((one.user.bare, one.user.available()), ("romeo@example.org", []))

    def test_stream(self) -> None:
        """The stream knows its session before modules hear of it, and is waited for no more."""
        client = Client(self.house)
        self.host.unbound.add(client)
        seen: list[Any] = []
        self.host.events.add(SessionBound, "test", lambda event: seen.append(client.session))
        session = now(bind(self.host, client, "romeo", "orchard", []))
        self.assertEqual((seen, self.host.unbound), ([session], set()))

    def test_documents(self) -> None:
        """What the login read goes to the modules, and the roster is not read again."""
        self.house.storage.documents.list = lambda *args, **more: fail(StorageError("read again"))
        seen: list[Any] = []
        self.host.events.add(SessionBound, "test", lambda event: seen.append(event.documents))
        documents: list[Any] = []
        now(self.bind(documents=documents))
        self.assertIs(seen[0], documents)


class ConflictTests(BindCase):
    """Too many of one name, or of one account."""

    def test_conflict(self) -> None:
        """The older session ends; its unavailable presence comes before the new one is there."""
        other = self.house.login("romeo", "other", "<presence/>")
        old = self.house.login("romeo", "orchard", "<presence/>")
        other.take()
        order: list[str] = []
        self.host.events.add(SessionUnbound, "test", lambda event: order.append("unbound"))
        self.host.events.add(SessionBound, "test", lambda event: order.append("bound"))
        new = self.house.login("romeo", "orchard", "<presence/>")
        self.assertEqual((old.error.condition, order), ("conflict", ["unbound", "bound"]))
        self.assertEqual([node.getAttribute("type") for node in other.take()], ["unavailable", None])
        self.assertIs(self.host.users["romeo"].sessions["orchard"], new.session)
        old.session.unbind()
        self.assertIs(self.host.users["romeo"].sessions["orchard"], new.session)

    def test_conflict_of_the_only_one(self) -> None:
        """The account stays in memory though its only session was replaced."""
        self.house.login("romeo")
        new = self.house.login("romeo")
        self.assertIs(self.host.users["romeo"], new.session.user)

    def test_too_many(self) -> None:
        """Beyond the limit the oldest session ends."""
        self.host.max_user_sessions = 3
        clients = [self.house.login("romeo", name) for name in "abcde"]
        ended = [client.error and client.error.condition for client in clients]
        self.assertEqual(ended, ["policy-violation", "policy-violation", None, None, None])
        self.assertEqual(set(self.host.users["romeo"].sessions), set("cde"))

    def test_replacing_at_the_limit(self) -> None:
        """Who replaces a session of their own ends no other one."""
        self.host.max_user_sessions = 2
        first, _ = self.house.login("romeo", "a"), self.house.login("romeo", "b")
        self.house.login("romeo", "b")
        self.assertIsNone(first.error)


class RosterTests(BindCase):
    """Rosters, without which nobody gets in."""

    def test_unread(self) -> None:
        """A roster that cannot be read keeps the client out, and it should try again."""
        self.host.query(IRosters).load = lambda *args: fail(StorageError("gone"))
        self.assertEqual(self.refusal(self.bind()), ("internal-server-error", "wait"))
        self.assertEqual(self.host.users, {})

    def test_two_at_once(self) -> None:
        """Two clients that wait for the same roster share one account."""
        rosters = self.host.query(IRosters)
        gate: Deferred[None] = Deferred()
        load = rosters.load

        async def later(*args: Any) -> Any:
            await gate
            return await load(*args)

        rosters.load = lambda *args: Deferred.fromCoroutine(later(*args))
        waiting = [Deferred.fromCoroutine(self.bind(name)) for name in ("one", "two", "one")]
        rows: list[Any] = []
        for each in waiting:
            each.addCallback(rows.append)
        gate.callback(None)
        self.assertEqual([session.jid.resource for session in rows], ["one", "two", "one"])
        self.assertEqual(set(self.host.users["romeo"].sessions.values()), set(rows[1:]))
        self.assertEqual(rows[0].stream, None)


class GuardTests(BindCase):
    """Accounts with rules of their own."""

    def test_guard(self) -> None:
        """An account is guarded until every module that asked for it has ended that."""
        user = now(self.bind()).user
        self.assertIs(user.pipeline, self.host.pipeline)
        for module in ("one", "two", "one"):
            user.guard(module)
        user.unguard("one")
        self.assertIs(user.pipeline, self.host.pipeline.guarded)
        user.unguard("two")
        user.unguard("two")
        self.assertIs(user.pipeline, self.host.pipeline)

    def test_visible(self) -> None:
        """Invisible sessions and those without presence are not shown."""
        one, two, three = (now(self.bind(resource)) for resource in ("a", "b", "c"))
        for session in (one, two):
            session.receive(Stanza("presence", {"from": session.jid.full}, origin=session))
        two.invisible = True
        self.assertEqual(one.user.visible(), [one])
        self.assertEqual(one.user.available(), [one, two])
        self.assertIsNone(three.presence)
