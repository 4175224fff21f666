"""Events: who is told, who is waited for, and what a failing listener costs."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from palaver import metrics
from palaver.events import AccountDeleted, AccountDeleting
from palaver.jid import parse
from palaver.test.house import House, now

ROMEO = parse("romeo@example.org")
DELETED = AccountDeleted(ROMEO)


class EventTests(SynchronousTestCase):
    """The listeners of one host."""

    def setUp(self) -> None:
        metrics.reset()
        self.events: Any = House().host.events
        self.told: list[Any] = []

    def add(self, name: str, answer: Any = None) -> Any:
        def listener(event: Any) -> Any:
            self.told.append(name)
            return answer

        return self.events.add(AccountDeleted, f"mod_{name}", listener)

    def test_order(self) -> None:
        """All are told, in the order in which they came, of their own kind of event only."""
        for name in "abc":
            self.add(name)
        self.assertIsNone(self.events.fire(DELETED))
        self.assertIsNone(self.events.fire(AccountDeleting(ROMEO)))
        self.assertEqual(self.told, ["a", "b", "c"])

    def test_nobody(self) -> None:
        """An event that nobody wants costs nothing."""
        self.assertIsNone(self.events.fire(DELETED))

    def test_taken_back(self) -> None:
        """Who is taken back is not told any more; a listener may do that while an event is told."""
        remove = self.add("a")

        def once(event: Any) -> None:
            remove()
            forget()

        forget = self.events.add(AccountDeleted, "mod_once", once)
        self.add("c")
        self.events.fire(DELETED)
        self.assertEqual(self.told, ["a", "c"])
        self.events.fire(DELETED)
        self.assertEqual(self.told, ["a", "c", "c"])

    def test_waiting(self) -> None:
        """Nobody waits for another listener; whoever fired waits for all."""
        gates: list[Deferred[None]] = [Deferred(), Deferred()]
        self.add("a", gates[0])
        self.add("b", gates[1])
        waiting: Any = self.events.fire(DELETED)
        self.assertEqual(self.told, ["a", "b"])
        gates[1].callback(None)
        self.assertNoResult(waiting)
        gates[0].callback(None)
        self.assertIsNone(now(waiting))

    def test_failures(self) -> None:
        """A listener that fails is logged and counted; the others are told, and whoever fired goes on."""

        async def later() -> None:
            raise ZeroDivisionError

        self.events.add(AccountDeleted, "mod_now", lambda event: 1 / 0)
        self.events.add(AccountDeleted, "mod_later", lambda event: later())
        self.add("c", succeed(None))
        now(self.events.fire(DELETED))
        self.assertEqual(self.told, ["c"])
        self.assertEqual(dict(metrics.module_failures), {"mod_now": 1, "mod_later": 1})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
