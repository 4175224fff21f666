"""One timer for all connections: deadlines are kept in buckets of a second."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from palaver.log import Log

log = Log("streams")

TICK_S = 1.0


class HasDeadline(Protocol):
    """What the wheel holds."""

    deadline: float | None
    """Seconds of the wheel's clock; None when there is nothing to wait for."""
    bucket: int | None
    """The wheel's own note, None to begin with."""

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
        if item.deadline is None:
            return
        bucket = max(int(item.deadline / TICK_S) + 1, self._turned + 1)
        if item.bucket is not None:
            if item.bucket <= bucket:
                # It is looked at before that, and again then.
                return
            self._buckets[item.bucket].discard(item)
        item.bucket = bucket
        self._buckets.setdefault(bucket, set()).add(item)

    def forget(self, item: HasDeadline) -> None:
        """Hold the item no longer, and do not call it again."""
        item.deadline = None
        if item.bucket is not None:
            self._buckets[item.bucket].discard(item)
            item.bucket = None

    def _turn(self) -> None:
        now = self._clock.seconds()
        last = int(now / TICK_S)
        for bucket in range(self._turned + 1, last + 1):
            self._turned = bucket
            while items := self._buckets.get(bucket):
                item = items.pop()
                item.bucket = None
                self._look_at(item, now)
            self._buckets.pop(bucket, None)

    def _look_at(self, item: HasDeadline, now: float) -> None:
        if item.deadline is not None and item.deadline <= now:
            try:
                item.deadline_passed()
            except Exception:
                # The deadlines of all others must be kept.
                log.failure("deadline-failed", Failure())
        self.watch(item)
