"""Writes of one reactor turn to one socket leave in one send."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.python.failure import Failure

from palaver.log import Log

log = Log("tcp")


class Flushable(Protocol):
    """Something with queued bytes."""

    def flush(self) -> None:
        """Send what is queued."""


class Flusher:
    """Calls `flush` once for everything that queued bytes in this turn of the reactor."""

    __slots__ = ("_clock", "_waiting")

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._waiting: list[Flushable] = []

    def add(self, item: Flushable) -> None:
        """Flush this one at the end of the turn."""
        if not self._waiting:
            # The reactor runs calls that are due before it waits for events again.
            self._clock.callLater(0, self.flush)
        self._waiting.append(item)

    def flush(self) -> None:
        """Flush everybody now."""
        waiting, self._waiting = self._waiting, []
        for item in waiting:
            try:
                item.flush()
            except Exception:
                # What the others have queued would never leave.
                log.failure("flush-failed", Failure())
