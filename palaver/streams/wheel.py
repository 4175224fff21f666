"""One timer for all connections: deadlines are kept in buckets of a second."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

TICK_S = 1.0


class HasDeadline(Protocol):
    """What the wheel holds."""

    deadline: float | None
    """Seconds of the wheel's clock; None when there is nothing to wait for."""

    def deadline_passed(self) -> None:
        """Do what is due; a new ``deadline`` may be set before this returns."""


class Wheel:
    """Calls ``deadline_passed`` at most a tick after an item's deadline.

    An item may move its deadline to a later time without telling the wheel: it is looked at
    again then. `watch` is needed for the first deadline and for an earlier one.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock: Any = clock
        self._buckets: dict[int, set[HasDeadline]] = {}
        self._turned = int(clock.seconds())
        self._loop = LoopingCall(self._turn)
        self._loop.clock = self._clock

    def start(self) -> None:
        """Begin to turn."""
        self._turned = int(self._clock.seconds())
        self._loop.start(TICK_S, now=False)

    def stop(self) -> None:
        """Turn no more."""
        if self._loop.running:
            self._loop.stop()

    def now(self) -> float:
        """Give the seconds of the wheel's clock."""
        seconds: float = self._clock.seconds()
        return seconds

    def watch(self, item: HasDeadline) -> None:
        """Look at the item when its deadline has passed."""
        if item.deadline is not None:
            bucket = max(int(item.deadline / TICK_S) + 1, self._turned + 1)
            self._buckets.setdefault(bucket, set()).add(item)

    def forget(self, item: HasDeadline) -> None:
        """Hold the item no longer than until its bucket turns; it is not called again."""
        item.deadline = None

    def _turn(self) -> None:
        now = self._clock.seconds()
        last = int(now / TICK_S)
        for bucket in range(self._turned + 1, last + 1):
            for item in self._buckets.pop(bucket, ()):
                if item.deadline is None:
                    continue
                if item.deadline <= now:
                    item.deadline_passed()
                self.watch(item)
        self._turned = last
