"""Archived messages of one client on the way to the storage together: one commit, and still in order."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.errors import StorageError
from palaver.events import SessionBound
from palaver.routing.pipeline import FROM_CLIENT, TO_USER
from palaver.test.house import House, stanza
from palaver.test.served import ServedCase
from palaver.test.storage.faulty import FaultyStorage
from palaver.test.streams.talker import Talker
from palaver.xeps.mam import MessageArchive
from palaver.xeps.ping import Ping
from palaver.xeps.stream_management import StreamManagement

ENABLE = "<enable xmlns='urn:xmpp:sm:3'/>"
ASK = "<r xmlns='urn:xmpp:sm:3'/>"


class Gates:
    """A storage whose writes are done when the test says so, in any order."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self.writes: list[Deferred[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def write(self, batch: Any) -> Deferred[Any]:
        """See IStorage."""
        gate: Deferred[Any] = Deferred()
        self.writes.append(gate)
        return gate.addCallback(lambda _: self._storage.write(batch))


def message(identity: str, body: str = "<body>hi</body>", to: str = "juliet@example.org") -> str:
    """Give a chat message."""
    return f"<message type='chat' id='{identity}' to='{to}'>{body}</message>"


class OverlapTests(SynchronousTestCase):
    """Romeo writes to Juliet while the storage is slow."""

    def setUp(self) -> None:
        self.house = House(MessageArchive, StreamManagement, Ping)
        self.romeo = self.log_in("romeo", "pencil")
        self.juliet = self.log_in("juliet", "balcony")
        self.storage = Gates(self.house.storage)
        self.house.host.storage = self.storage

    def log_in(self, local: str, password: str) -> Talker:
        talker = Talker(self.house).log_in(local, "orchard", password)
        session: Any = talker.stream.session
        # What a login's one query reads comes with it.
        self.house.host.events.fire(SessionBound(session, []))
        talker.send("<presence/>")
        return talker

    def got(self, talker: Talker | None = None) -> list[str]:
        """Give the ids of what came, oldest first."""
        return [part.partition("'")[0] for part in (talker or self.juliet).take().split("'chat' id='")[1:]]

    def open(self, *gates: int) -> list[str]:
        """Let some writes be done; gives what Juliet gets then."""
        for gate in gates:
            self.storage.writes[gate].callback(None)
        return self.got()

    def test_together(self) -> None:
        """All are handed to the storage at once, and delivered one by one as they are committed."""
        self.romeo.send(message("a") + message("b") + message("c"))
        self.assertEqual((len(self.storage.writes), self.got()), (3, []))
        self.assertEqual([self.open(0), self.open(1), self.open(2)], [["a"], ["b"], ["c"]])

    def test_order(self) -> None:
        """A commit that is done early waits for those before it."""
        self.romeo.send(message("a") + message("b") + message("c"))
        self.assertEqual([self.open(2), self.open(1), self.open(0)], [[], [], ["a", "b", "c"]])

    def test_acknowledged_in_order(self) -> None:
        """Nothing is acknowledged before what came earlier."""
        self.romeo.send(ENABLE)
        self.romeo.send(message("a") + message("b"))
        self.open(1)
        session: Any = self.romeo.stream.session
        self.assertEqual(session.managed.received.count, 0)
        self.open(0)
        self.assertIn("h='2'", self.romeo.send(ASK))

    def test_others_wait(self) -> None:
        """What needs no storage, and whatever else might be seen too early, is taken in its turn."""
        typing = message("t", "<composing xmlns='http://jabber.org/protocol/chatstates'/>")
        ping = "<iq type='get' id='p' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"
        elsewhere = message("e", to="nurse@example.org")
        own = message("o", to="romeo@example.org")
        for other in (typing, ping, elsewhere, own, message("s", to="romeo@@"), "<presence/>"):
            del self.storage.writes[:]
            answer = self.romeo.send(message("a") + other + message("b"))
            self.assertEqual((len(self.storage.writes), answer, self.got()), (1, "", []), other)
            while any(not gate.called for gate in self.storage.writes):
                next(gate for gate in self.storage.writes if not gate.called).callback(None)
            got = self.got()
            self.assertEqual((got[0], got[-1]), ("a", "b"), other)
            self.romeo.take()

    def test_retraction(self) -> None:
        """A retraction finds what was sent just before it."""
        retract = "<retract xmlns='urn:xmpp:message-retract:1' id='a'/><body>gone</body>"
        self.romeo.send(message("a") + message("r", retract))
        self.assertEqual(len(self.storage.writes), 1)

    def test_failure(self) -> None:
        """A message that cannot be stored is refused, and those behind it go on."""
        self.romeo.send(message("a") + message("b"))
        self.storage.writes[1].errback(StorageError("full"))
        self.assertEqual(self.romeo.take(), "")
        self.assertEqual(self.open(0), ["a"])
        refused = self.romeo.take()
        self.assertIn("id='b'", refused)
        self.assertIn("internal-server-error", refused)

    def test_slow_delivery(self) -> None:
        """When something else holds up the first one, the second waits behind it."""
        held: Deferred[None] = Deferred()
        self.house.host.pipeline.add(
            TO_USER, "copy", ("message",), "mod_test", lambda m, _: held if m.id == "a" else None
        )
        self.romeo.send(message("a") + message("b"))
        self.assertEqual(self.open(0, 1), [])
        held.callback(None)
        self.assertEqual(self.got(), ["a", "b"])

    def test_other_modules(self) -> None:
        """With a module that may wait before the archive, messages go one by one."""
        for direction, phase in ((FROM_CLIENT, "rules"), (TO_USER, "guard")):
            remove = self.house.host.pipeline.add(
                direction, phase, ("message",), "mod_test", lambda m, _: None
            )
            del self.storage.writes[:]
            self.romeo.send(message("a") + message("b"))
            self.assertEqual(len(self.storage.writes), 1)
            self.assertEqual([self.open(0), self.open(1)], [["a"], ["b"]])
            remove()

    def test_preferences_first(self) -> None:
        """A message whose addressee's preferences are read first is not overtaken, nor waits for itself."""
        faulty = FaultyStorage(self.house.storage)
        faulty.reads.stall()
        self.house.host.storage = faulty
        self.romeo.send(message("n", to="nurse@example.org") + message("a") + message("b"))
        self.assertEqual(self.got(), [])
        faulty.reads.go_on()
        self.assertEqual(self.got(), ["a", "b"])

    def test_bounded(self) -> None:
        """No more than some are on the way; then the connection is paused, and nothing is lost."""
        ids = [str(number) for number in range(400)]
        self.romeo.send("".join(message(identity) for identity in ids))
        self.assertEqual((len(self.storage.writes), self.romeo.connection.calls), (64, ["pause"]))
        got: list[str] = []
        while len(got) < len(ids):
            number = len(got)
            got += self.open(number)
            self.assertEqual(len(got), number + 1)
        self.assertEqual((got, self.romeo.connection.calls), (ids, ["pause", "resume"]))

    def test_gone_meanwhile(self) -> None:
        """What a client sent before it went is stored and delivered."""
        self.romeo.send(message("a") + message("b") + "</stream:stream>")
        self.assertNotIn("close", self.romeo.connection.calls)
        self.assertEqual(self.open(1, 0), ["a", "b"])
        self.assertIn("close", self.romeo.connection.calls)

    def test_lost_meanwhile(self) -> None:
        """The same when its connection breaks."""
        self.romeo.send(message("a") + message("b"))
        self.romeo.stream.connection_lost()
        self.assertEqual(self.open(1, 0), ["a", "b"])


class DefaultTests(ServedCase):
    """A server with the modules that are on by default, and archives."""

    modules: ClassVar[dict[str, Any]] = {"mod_mam": {}}

    async def test_default_modules(self) -> None:
        """No module that is on by default makes messages to archives wait for each other's commits."""
        juliet = await self.log_in("juliet@localhost/balcony")
        romeo = await self.log_in("romeo@localhost/orchard")
        for number in range(2):
            romeo.send(message(f"{number}", to=juliet.jid))
            await juliet.next()
        host = self.palaver.hosts["localhost"]
        (session,) = host.users["romeo"].sessions.values()
        assert host.may_overlap is not None
        self.assertTrue(host.may_overlap(session, stanza(message("c", to=juliet.jid))))
