"""Ids that sort by time: 63 bits, Unix microseconds above the number of the process that made them.

Ten low bits tell the processes of a cluster apart, so that two never make the same id;
the microseconds above them suffice until the year 2255.
"""

from __future__ import annotations

import time
from collections.abc import Callable

WORKER_BITS = 10
MAX_WORKER = (1 << WORKER_BITS) - 1
_US_PER_S = 1_000_000


def from_time(seconds: float, *, end: bool = False) -> int:
    """Give the first id that a Unix time can have; with ``end`` the last one, for inclusive upper bounds."""
    first = round(seconds * _US_PER_S) << WORKER_BITS
    return first | MAX_WORKER if end else first


def to_time(id: int) -> float:
    """Give the Unix time in seconds at which an id was made, to the microsecond."""
    return (id >> WORKER_BITS) / _US_PER_S


class Ids:
    """Makes ids; each is greater than the one before, even when the clock goes back."""

    __slots__ = ("_last_us", "_seconds", "_worker")

    def __init__(self, seconds: Callable[[], float] = time.time, worker: int = 0) -> None:
        """``seconds`` reads the Unix time; ``worker`` (0 to `MAX_WORKER`) is this process's own number."""
        if not 0 <= worker <= MAX_WORKER:
            raise ValueError(f"worker must be 0 to {MAX_WORKER}")
        self._seconds = seconds
        self._worker = worker
        self._last_us = -1

    def new(self) -> int:
        """Give the next id: of this microsecond, or of the one after the last id's when that is later."""
        now_us = round(self._seconds() * _US_PER_S)
        self._last_us = now_us if now_us > self._last_us else self._last_us + 1
        return self._last_us << WORKER_BITS | self._worker


new_id = Ids().new
"""Makes the ids of a process that is alone."""
