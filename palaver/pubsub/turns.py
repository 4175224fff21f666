"""Changes of one thing, one after the other; those of different things do not wait for each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import DeferredLock

T = TypeVar("T")


class Turns:
    """Locks by name, there while somebody works or waits."""

    def __init__(self) -> None:
        self._locks: dict[str, DeferredLock] = {}

    async def take(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` while nobody else works on ``name``; gives what it gives, or raises what it raises.

        ``work`` must not take a turn of the same name itself.
        """
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = DeferredLock()
        await lock.acquire()
        try:
            return await work()
        finally:
            lock.release()
            if not lock.locked and self._locks.get(name) is lock:
                del self._locks[name]
