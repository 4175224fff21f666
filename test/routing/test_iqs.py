"""Routes are exact, have one owner, and overlap as their policy says."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from palaver import jid
from palaver.errors import StanzaError
from palaver.routing.iqs import BARE, HOST, DuplicateRoute, IqRoute, IqTable, Requests, check_request
from palaver.stanza import Stanza

NS = "urn:example:1"


def iq(**attrs: str) -> Stanza:
    """Give an IQ with one child."""
    return Stanza(
        "iq", {"type": "get", "id": "1", **attrs}, ((NS, "query"),), b"<query xmlns='urn:example:1'/>"
    )


class TableTests(SynchronousTestCase):
    """One look-up finds the handler or nothing."""

    def route(self, **changes) -> IqRoute:
        return IqRoute("get", NS, "query", HOST, "mod_a", lambda iq: None)._replace(**changes)

    def test_exact(self) -> None:
        """Type, namespace, name and addressee kind must all be the same."""
        table = IqTable()
        table.add(self.route())
        self.assertIsNotNone(table.find(HOST, "get", (NS, "query")))
        for kind, type, payload in (
            (BARE, "get", (NS, "query")),
            (HOST, "set", (NS, "query")),
            (HOST, "get", (NS, "other")),
            (HOST, "get", ("urn:example:2", "query")),
        ):
            self.assertIsNone(table.find(kind, type, payload))

    def test_second_owner(self) -> None:
        """A second owner of a route is refused, and the message names both."""
        table = IqTable()
        table.add(self.route())
        with self.assertRaisesRegex(DuplicateRoute, "mod_b and mod_a"):
            table.add(self.route(module="mod_b"))

    def test_taken_back(self) -> None:
        """A route that is taken back can have another owner."""
        table = IqTable()
        table.add(self.route())()
        table.add(self.route(module="mod_b"))
        found = table.find(HOST, "get", (NS, "query"))
        assert found is not None
        self.assertEqual(found.module, "mod_b")


class PolicyTests(SynchronousTestCase):
    """iqdisc: how calls of one module overlap."""

    def start(self, policy: str, *senders: str) -> tuple[list[str], list[Deferred[None]]]:
        began: list[str] = []
        gates: list[Deferred[None]] = []

        def handler(stanza: Stanza) -> Deferred[None]:
            began.append(stanza.attrs["from"])
            gates.append(Deferred())
            return gates[-1]

        table = IqTable()
        route = IqRoute("get", NS, "query", HOST, "mod_a", handler, policy)
        table.add(route)
        for sender in senders:
            table.call(route, iq().replace(from_=sender))
        return began, gates

    def test_not_queued(self) -> None:
        """With no_queue and parallel nobody waits for anybody."""
        for policy in ("no_queue", "parallel"):
            table = IqTable()
            table.add(IqRoute("get", NS, "query", HOST, "mod_a", lambda iq: None, policy))
            found = table.find(HOST, "get", (NS, "query"))
            assert found is not None
            self.assertFalse(found.queued)

    def test_one_queue(self) -> None:
        """The second call begins when the first has ended."""
        began, gates = self.start("one_queue", "a@b/c", "d@e/f")
        self.assertEqual(began, ["a@b/c"])
        gates[0].callback(None)
        self.assertEqual(began, ["a@b/c", "d@e/f"])

    def test_queues(self) -> None:
        """One sender's calls follow each other; no more than the workers run at once."""
        began, gates = self.start("queues:2", *(f"user{number}@b/c" for number in range(20)), "user0@b/c")
        self.assertIn(len(began), (1, 2))
        while gates:
            gates.pop().callback(None)
        self.assertEqual(len(began), 21)


class CheckTests(SynchronousTestCase):
    """RFC 6120 section 8.2.3."""

    def test_rows(self) -> None:
        """Each mistake is bad-request; what is right passes."""
        good = iq()
        self.assertIsNone(check_request(good))
        self.assertIsNone(check_request(Stanza("iq", {"type": "result", "id": "1"})))
        for bad in (
            good.replace(type=None),
            good.replace(type="push"),
            good.replace(id=None),
            good.replace(id=""),
            Stanza("iq", {"type": "get", "id": "1"}),
            good.with_child(b"<two xmlns='urn:example:1'/>", NS, "two"),
        ):
            wrong = check_request(bad)
            assert wrong is not None
            self.assertEqual(wrong.condition, "bad-request")


class RequestTests(SynchronousTestCase):
    """IQs of the server's own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.requests = Requests(self.clock)
        self.sent: list[Stanza] = []
        self.waiting = self.requests.send(iq(to="romeo@example.org/orchard"), self.sent.append, 10)

    def answer(self, sender: str, **attrs: str) -> bool:
        return self.requests.answer(
            Stanza("iq", {"type": "result", "id": self.sent[0].id or "", **attrs}), jid.parse(sender)
        )

    def test_answer(self) -> None:
        """The answer of whom the request went to is the result."""
        self.assertTrue(self.answer("romeo@example.org/orchard"))
        self.assertEqual(self.successResultOf(self.waiting).type, "result")

    def test_stranger(self) -> None:
        """Nobody else can answer, whatever id they guess."""
        self.assertFalse(self.answer("mallory@example.org/orchard"))
        self.assertFalse(self.answer("romeo@example.org/balcony"))
        self.assertNoResult(self.waiting)
        self.assertTrue(self.answer("romeo@example.org/orchard"))
        self.assertIsNotNone(self.successResultOf(self.waiting))

    def test_error(self) -> None:
        """An error answer is the failure, with its condition."""
        error = self.sent[0].error(StanzaError("item-not-found"))
        self.requests.answer(error, jid.parse("romeo@example.org/orchard"))
        self.assertEqual(self.failureResultOf(self.waiting, StanzaError).value.condition, "item-not-found")

    def test_what_an_error_says(self) -> None:
        """An error answer is raised with its condition, its text, and what an application says of it."""
        error = StanzaError("conflict", "No", type="wait", extra=b"<closed-node xmlns='urn:x'/>")
        refused = iq(to="romeo@example.org/orchard").error(error).replace(id=self.sent[0].id)
        self.assertTrue(self.requests.answer(refused, jid.parse("romeo@example.org/orchard")))
        self.assertEqual(self.failureResultOf(self.waiting, StanzaError).value.encode(), error.encode())

    def test_end(self) -> None:
        """At the end nobody waits, and no timer is left."""
        self.requests.end()
        self.failureResultOf(self.waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.answer("romeo@example.org/orchard"))

    def test_timeout(self) -> None:
        """Without an answer the wait ends, and a late answer counts for nothing."""
        self.clock.advance(10)
        self.failureResultOf(self.waiting, TimeoutError)
        self.assertFalse(self.answer("romeo@example.org/orchard"))
