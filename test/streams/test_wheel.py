"""One timer for all deadlines, and one limit for all strangers."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from palaver.streams.admission import Admission
from palaver.streams.flush import Flusher
from palaver.streams.wheel import Wheel


class Item:
    """Something with a deadline."""

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.bucket: int | None = None
        self.passed = 0

    def deadline_passed(self) -> None:
        self.passed += 1
        self.deadline = None


class WheelTests(SynchronousTestCase):
    """Deadlines are kept within a tick."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.wheel.start()
        self.addCleanup(self.wheel.stop)

    def turn(self, seconds: int) -> None:
        self.clock.pump([1.0] * seconds)

    def test_on_time(self) -> None:
        """Nothing happens before the deadline; it happens once, at most a tick after it."""
        item = Item(10.0)
        self.wheel.watch(item)
        self.turn(9)
        self.assertEqual(item.passed, 0)
        self.turn(2)
        self.assertEqual(item.passed, 1)
        self.turn(30)
        self.assertEqual(item.passed, 1)

    def test_put_off(self) -> None:
        """A deadline that was moved to a later time is kept there, without telling the wheel."""
        item = Item(10.0)
        self.wheel.watch(item)
        self.turn(5)
        item.deadline = 20.0
        self.turn(13)
        self.assertEqual(item.passed, 0)
        self.turn(4)
        self.assertEqual(item.passed, 1)

    def test_earlier(self) -> None:
        """An earlier deadline counts once the wheel is told, and the later look does nothing."""
        item = Item(60.0)
        self.wheel.watch(item)
        item.deadline = 3.0
        self.wheel.watch(item)
        self.turn(5)
        self.assertEqual(item.passed, 1)
        self.turn(60)
        self.assertEqual(item.passed, 1)

    def test_given_up(self) -> None:
        """Without a deadline nothing happens."""
        item = Item(3.0)
        self.wheel.watch(item)
        item.deadline = None
        self.turn(10)
        self.assertEqual(item.passed, 0)

    def test_forgotten(self) -> None:
        """What is forgotten is not held: whoever connects and leaves costs nothing afterwards."""
        item = Item(300.0)
        self.wheel.watch(item)
        item.deadline = 840.0
        self.wheel.watch(item)
        self.wheel.forget(item)
        self.assertEqual([held for held in self.wheel._buckets.values() if held], [])
        self.turn(900)
        self.assertEqual(item.passed, 0)

    def test_forgotten_while_it_turns(self) -> None:
        """An item may forget another one that is due at the same time."""

        class Last(Item):
            def deadline_passed(self) -> None:
                super().deadline_passed()
                for other in items:
                    wheel.forget(other)

        wheel = self.wheel
        items = [Last(3.0), Last(3.0)]
        for item in items:
            wheel.watch(item)
        self.turn(5)
        self.assertEqual(sorted(item.passed for item in items), [0, 1])

    def test_failure(self) -> None:
        """A deadline that cannot be served is logged, and the others are kept."""

        class Broken(Item):
            def deadline_passed(self) -> None:
                self.deadline = None
                raise ZeroDivisionError

        item = Item(4.0)
        for watched in (Broken(3.0), item):
            self.wheel.watch(watched)
        self.turn(6)
        self.assertEqual(item.passed, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_late_turn(self) -> None:
        """After a pause of the process every deadline in between is served."""
        items = [Item(float(second)) for second in range(1, 50)]
        for item in items:
            self.wheel.watch(item)
        self.clock.advance(60)
        self.turn(1)
        self.assertEqual([item.passed for item in items], [1] * 49)


class AdmissionTests(SynchronousTestCase):
    """Strangers are counted, in total and by address."""

    def test_total(self) -> None:
        """No more than the total; one that leaves makes room."""
        admission = Admission(2, None)
        self.assertEqual([admission.admit(name) for name in "abc"], [True, True, False])
        admission.dismiss("a")
        self.assertTrue(admission.admit("c"))

    def test_by_address(self) -> None:
        """One address cannot take the places of all."""
        admission = Admission(10, 1)
        self.assertTrue(admission.admit("a"))
        self.assertFalse(admission.admit("a"))
        self.assertTrue(admission.admit("b"))

    def test_no_limit(self) -> None:
        """None is no limit, and what is counted is forgotten when all have left."""
        admission = Admission(None, None)
        for _ in range(1000):
            self.assertTrue(admission.admit("a"))
        for _ in range(1000):
            admission.dismiss("a")
        self.assertEqual(admission._by_address, {})


class FlusherTests(SynchronousTestCase):
    """Writes of one turn leave together."""

    def test_once_a_turn(self) -> None:
        """Everybody is flushed once, in the turn after; those added meanwhile after them."""
        clock = Clock()
        flusher = Flusher(clock)
        flushed: list[str] = []

        class Socket:
            def __init__(self, name: str, then: Socket | None = None) -> None:
                self.name = name
                self.then = then

            def flush(self) -> None:
                flushed.append(self.name)
                if self.then is not None:
                    flusher.add(self.then)

        flusher.add(Socket("a", Socket("c")))
        flusher.add(Socket("b"))
        self.assertEqual(flushed, [])
        clock.advance(0)
        self.assertEqual(flushed, ["a", "b", "c"])
        clock.advance(1)
        self.assertEqual(flushed, ["a", "b", "c"])
