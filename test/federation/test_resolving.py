"""In which order the places of a server are tried (RFC 2782)."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from palaver.streams.s2s.resolving import Target, _Record, in_order

TIMES = 2000


def record(host: str, priority: int, weight: int) -> _Record:
    """Give what a service record says."""
    return _Record(priority, weight, Target(host, 5269, False))


class OrderTests(SynchronousTestCase):
    """Priorities and weights."""

    def test_priorities(self) -> None:
        """Every place is tried once, lower numbers before higher ones whatever their weights are."""
        records = [record("c", 20, 60000), record("a", 5, 0), record("b", 10, 1)]
        self.assertEqual([target.host for target in in_order(records)], ["a", "b", "c"])

    def test_weights(self) -> None:
        """Of one priority a place comes first as often as its weight says; one of weight 0 hardly ever."""
        records = [record("heavy", 1, 90), record("light", 1, 10), record("idle", 1, 0)]
        first = Counter(in_order(records)[0].host for _ in range(TIMES))
        # Six standard deviations of a fair choice.
        self.assertLess(abs(first["heavy"] - TIMES * 0.9), 6 * (TIMES * 0.09) ** 0.5)
        self.assertLess(first["idle"], TIMES * 0.01)
        self.assertEqual({len(in_order(records)) for _ in range(10)}, {3})

    def test_no_weights(self) -> None:
        """Those without weights are chosen alike."""
        records = [record("a", 1, 0), record("b", 1, 0)]
        first = Counter(in_order(records)[0].host for _ in range(TIMES))
        self.assertLess(abs(first["a"] - TIMES / 2), 6 * (TIMES / 4) ** 0.5)
