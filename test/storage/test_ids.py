"""Ids that sort by time."""

from __future__ import annotations

import time

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from palaver.storage.ids import MAX_WORKER, Ids, from_time, new_id, to_time

NOW_S = 1_795_226_400.123456


class IdsTests(SynchronousTestCase):
    """Ids."""

    def setUp(self):
        self.clock = Clock()
        self.clock.advance(NOW_S)
        self.ids = Ids(self.clock.seconds)

    def test_strictly_increasing(self):
        """Ids increase within one microsecond, and when the clock goes back an hour."""
        made = [self.ids.new() for _ in range(1000)]
        self.clock.rightNow -= 3600
        made += [self.ids.new() for _ in range(1000)]
        self.clock.rightNow += 7200
        made.append(self.ids.new())
        self.assertEqual(made, sorted(set(made)))
        self.assertAlmostEqual(to_time(made[-1]), NOW_S + 3600, places=6)

    def test_time(self):
        """An id tells when it was made, to the microsecond."""
        self.assertEqual(round(to_time(self.ids.new()) * 1e6), 1_795_226_400_123_456)
        self.assertApproximates(to_time(new_id()), time.time(), 5)

    def test_workers(self):
        """Two processes never make the same id, and ids of one moment lie within its bounds."""
        first, last = (Ids(self.clock.seconds, worker).new() for worker in (0, MAX_WORKER))
        self.assertEqual((first, last), (from_time(NOW_S), from_time(NOW_S, end=True)))
        self.assertLess(from_time(NOW_S, end=True), from_time(NOW_S + 1e-6))
        for worker in (-1, MAX_WORKER + 1):
            self.assertRaises(ValueError, Ids, self.clock.seconds, worker)

    def test_fit(self):
        """Ids fit into 63 bits for two centuries more."""
        self.assertLess(from_time(9_000_000_000), 2**63)
