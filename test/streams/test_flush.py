"""Flushing: what was queued in one turn leaves at its end, whatever becomes of one connection."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from palaver.streams.flush import Flusher


class Item:
    """Counts how often it is flushed; may fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.flushed = 0
        self._error = error

    def flush(self) -> None:
        self.flushed += 1
        if self._error is not None:
            raise self._error


class FlusherTests(SynchronousTestCase):
    """The end of a turn."""

    def test_failure(self) -> None:
        """A connection that cannot be written to is logged and holds up none of the others."""
        clock = Clock()
        flusher = Flusher(clock)
        items = [Item(), Item(RuntimeError("gone")), Item()]
        for item in items:
            flusher.add(item)
        clock.advance(0)
        self.assertEqual([item.flushed for item in items], [1, 1, 1])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        flusher.add(items[0])
        clock.advance(0)
        self.assertEqual(items[0].flushed, 2)
