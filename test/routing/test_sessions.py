"""Sessions: what comes in and goes out through the phases, and how one ends."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from palaver.errors import StanzaError, StreamError
from palaver.events import BecameAvailable, BecameUnavailable, SessionUnbound
from palaver.interfaces import ISession
from palaver.routing.pipeline import DROP, FROM_CLIENT, HANDLED, SENT, TO_SESSION, TO_USER, Reply
from palaver.test.house import House, now, stanza
from palaver.xeps.roster import Roster

ROMEO, JULIET = "romeo@example.org/orchard", "juliet@example.org/balcony"
MESSAGE = f"<message id='m' to='{JULIET}'/>"


class SessionCase(SynchronousTestCase):
    """Romeo and Juliet, connected."""

    def setUp(self) -> None:
        self.house: Any = House(Roster)
        self.host = self.house.host
        self.romeo = self.house.login("romeo")
        self.juliet = self.house.login("juliet", "balcony")

    def phase(self, direction: Any, answer: Any, name: str = "message") -> Any:
        """Have a module answer in the guards of a direction."""

        def guard(stanza: Any, session: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer(stanza) if callable(answer) else answer

        return self.host.pipeline.add(direction, "guard", (name,), "mod_guard", guard)

    def ids(self, client: Any) -> list[str]:
        return [node.getAttribute("id") for node in client.take()]


class InTests(SessionCase):
    """From the client."""

    def test_verdicts(self) -> None:
        """A phase may let a stanza pass, change it, stop it, or answer; now or later."""
        reply = stanza("<message id='reply'/>")
        rows: Any = (
            (None, ["m"], []), (lambda stanza: stanza.replace(id="n"), ["n"], []),
            (DROP, [], []), (HANDLED, [], []), (Reply(reply), [], ["reply"]),
        )  # fmt: skip
        for answer, there, back in rows:
            for late in (False, True):
                given = answer
                if late:
                    given = lambda stanza, answer=answer: succeed(  # noqa: E731
                        answer(stanza) if callable(answer) else answer
                    )
                remove = self.phase(FROM_CLIENT, given)
                self.romeo.send(MESSAGE)
                self.assertEqual((self.ids(self.juliet), self.ids(self.romeo)), (there, back))
                remove()

    def test_subscriptions_pass(self) -> None:
        """A subscription stanza meets the guards behind the roster, which changes even when they stop it."""
        seen: list[str | None] = []

        def stop(stanza: Any) -> Any:
            seen.append(stanza.type)
            return DROP

        self.phase(FROM_CLIENT, stop, "presence")
        now(self.romeo.send("<presence type='subscribe' to='rosaline@elsewhere.example'/>"))
        self.assertTrue(self.romeo.session.user.roster.item("rosaline@elsewhere.example").ask)
        self.assertEqual(seen, ["subscribe"])

    def test_presence_after_the_end(self) -> None:
        """A presence that waited until its session had ended is shown to nobody."""
        told: list[object] = []
        self.host.events.add(BecameAvailable, "test", told.append)
        for xml in ("<presence/>", f"<presence to='{JULIET}'/>"):
            gate: Deferred[None] = Deferred()
            remove = self.phase(FROM_CLIENT, gate, "presence")
            client = self.house.login("romeo", "garden")
            waiting = client.send(xml)
            client.session.end()
            gate.callback(None)
            now(waiting)
            self.assertEqual((self.juliet.take(), told, client.session.presence), ([], [], None))
            remove()


class SentTests(SessionCase):
    """What happens once a stanza was routed."""

    def sent(self, answer: Any) -> None:
        """Have a module answer when a message was routed; what it is given is kept."""
        self.seen: list[Any] = []

        def handler(message: Any, session: Any) -> Any:
            self.seen.append((message.id, len(self.juliet.received), session.jid.full))
            return answer

        self.host.pipeline.add(SENT, "archive", ("message",), "mod_mam", handler)

    def test_after_the_delivery(self) -> None:
        """The phase comes when the addressee has the stanza; what it makes of it goes nowhere."""
        self.sent(stanza("<message id='changed'/>"))
        self.assertIsNone(self.romeo.send(MESSAGE))
        self.assertEqual((self.seen, self.ids(self.juliet)), ([("m", 1, ROMEO)], ["m"]))

    def test_waits_for_the_delivery(self) -> None:
        """A delivery that waits is waited for, and so is the phase itself."""
        late: Deferred[None] = Deferred()
        guard: Deferred[None] = Deferred()
        self.sent(late)
        self.phase(TO_USER, guard)
        done: list[Any] = []
        self.romeo.send(MESSAGE).addCallback(done.append)
        self.assertEqual(self.seen, [])
        guard.callback(None)
        self.assertEqual((self.seen, done), ([("m", 1, ROMEO)], []))
        late.callback(None)
        self.assertEqual(done, [None])

    def test_failure(self) -> None:
        """When the phase fails the sender gets an error."""
        self.sent(fail(StanzaError("internal-server-error")))
        self.romeo.send(MESSAGE)
        (error,) = self.romeo.take()
        self.assertEqual((error["type"], error["id"]), ("error", "m"))

    def test_not_sent(self) -> None:
        """What was stopped on its way was not sent."""
        self.sent(None)
        self.phase(FROM_CLIENT, DROP)
        self.romeo.send(MESSAGE)
        self.assertEqual(self.seen, [])


class OutTests(SessionCase):
    """To the client."""

    def test_verdicts(self) -> None:
        """The last phase may let a stanza pass, change it or hold it; it is taken then."""
        rows: Any = ((None, ["m"]), (lambda stanza: stanza.replace(id="n"), ["n"]), (DROP, []), (HANDLED, []))
        for answer, there in rows:
            remove = self.phase(TO_SESSION, answer)
            taken = self.juliet.session.send(stanza(MESSAGE))
            self.assertEqual((self.ids(self.juliet), taken), (there, True))
            remove()

    def test_known_bytes(self) -> None:
        """Bytes that are made already are written as they are, unless the stanza was changed."""
        for answer, wanted in ((None, "encoded"), (lambda stanza: stanza.replace(id="n"), "n")):
            remove = self.phase(TO_SESSION, answer)
            self.juliet.session.send(stanza(MESSAGE), b"<message id='encoded'/>")
            self.assertEqual(self.ids(self.juliet), [wanted])
            remove()

    def test_refusal(self) -> None:
        """A refusal goes back to the sender; where there is none, nowhere."""
        self.phase(TO_SESSION, StanzaError("not-acceptable"))
        self.romeo.send(MESSAGE)
        # The error meets the same guard, and an error is not answered.
        self.assertEqual((self.juliet.take(), self.romeo.take()), ([], []))
        self.assertTrue(self.juliet.session.send(stanza("<message id='1'/>")))

    def test_refusal_by_one(self) -> None:
        """A guard of one account refuses in its name."""
        self.phase(TO_SESSION, lambda stanza: None if stanza.type == "error" else Reply(
            stanza.error(StanzaError("not-acceptable"))
        ))  # fmt: skip
        self.romeo.send(MESSAGE)
        (node,) = self.romeo.take()
        self.assertEqual((node["from"], node.error.firstChildElement().name), (JULIET, "not-acceptable"))

    def test_gone(self) -> None:
        """Nothing is taken by a session that has ended; the message goes on as for anybody absent."""
        self.juliet.session.end()
        self.assertFalse(self.juliet.session.send(stanza(MESSAGE)))
        self.romeo.send(MESSAGE)
        (node,) = self.romeo.take()
        self.assertEqual(node["type"], "error")

    def test_state(self) -> None:
        """A module has a dictionary of its own on a session, and costs nothing until it is used."""
        session = self.juliet.session
        self.assertIsNone(session.state)
        session.remember("mod_a")["x"] = 1
        self.assertEqual((session.remember("mod_a"), session.remember("mod_b")), ({"x": 1}, {}))
        self.assertTrue(verifyObject(ISession, session))


def _wait(gate: Deferred[None], event: object) -> Deferred[None]:
    return gate


class EndTests(SessionCase):
    """How a session ends."""

    def setUp(self) -> None:
        super().setUp()
        self.events: list[str] = []
        for event in (BecameUnavailable, SessionUnbound):
            self.host.events.add(event, "test", lambda event: self.events.append(type(event).__name__))

    def test_end(self) -> None:
        """The account hears of it once, then the stream ends with the reason."""
        self.romeo.send("<presence/>")
        other = self.house.login("romeo", "garden", "<presence/>")
        for client in (self.romeo, other):
            client.take()
        error = StreamError("conflict", "Replaced")
        self.romeo.session.end(error)
        self.romeo.session.end(error)
        (node,) = other.take()
        self.assertEqual(
            (node["type"], node["from"], str(node.status)), ("unavailable", ROMEO, "Disconnected: Replaced")
        )
        self.assertEqual(self.events, ["BecameUnavailable", "SessionUnbound"])
        self.assertEqual((self.romeo.error, self.romeo.take()), (error, []))
        self.assertEqual(set(self.host.users["romeo"].sessions), {"garden"})

    def test_last(self) -> None:
        """With its last session an account leaves the memory."""
        self.romeo.session.unbind()
        self.assertEqual((set(self.host.users), self.events), ({"juliet"}, ["SessionUnbound"]))
        self.assertFalse(self.romeo.closed, "the stream is left as it is")

    def test_waits_for_all(self) -> None:
        """The end is over when everything that modules store at it is stored."""
        for event in (BecameUnavailable, SessionUnbound):
            gates: list[Deferred[None]] = [Deferred(), Deferred()]
            client = self.house.login("romeo", "garden", "<presence/>")
            removes = [
                self.host.events.add(BecameUnavailable, "a", partial(_wait, gates[0])),
                self.host.events.add(SessionUnbound, "b", partial(_wait, gates[1])),
            ]
            waiting: Any = client.session.unbind()
            first, second = gates if event is BecameUnavailable else reversed(gates)
            first.callback(None)
            self.assertNoResult(waiting)
            second.callback(None)
            now(waiting)
            for remove in removes:
                remove()
