"""The registry of a process that is alone: keys with values and leases, in a dictionary."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from palaver.interfaces import IRegistry

Watcher = Callable[[str, bytes | None], object]


@implementer(IRegistry)
class MemoryRegistry:
    """See `IRegistry`. Every Deferred has already fired when it is returned."""

    def __init__(self, clock: IReactorTime) -> None:
        """``clock`` ends the leases."""
        self._clock = clock
        self._values: dict[str, bytes] = {}
        self._leases: dict[str, IDelayedCall] = {}
        self._watchers: dict[str, list[Watcher]] = {}

    def set(self, key: str, value: bytes, *, ttl: float | None = None) -> Deferred[None]:
        """See `IRegistry`; ``ttl`` in seconds."""
        self._end_lease(key)
        if ttl is not None:
            self._leases[key] = self._clock.callLater(ttl, self._remove, key)
        changed = self._values.get(key) != value
        self._values[key] = value
        if changed:
            self._tell(key, value)
        return succeed(None)

    def add(self, key: str, value: bytes, *, ttl: float | None = None) -> Deferred[bool]:
        """See `IRegistry`; ``ttl`` in seconds."""
        if key in self._values:
            return succeed(False)
        self.set(key, value, ttl=ttl)
        return succeed(True)

    def get(self, key: str) -> Deferred[bytes | None]:
        """See `IRegistry`."""
        return succeed(self._values.get(key))

    def delete(self, key: str, value: bytes | None = None) -> Deferred[bool]:
        """See `IRegistry`."""
        held = self._values.get(key)
        if held is None or (value is not None and held != value):
            return succeed(False)
        self._end_lease(key)
        self._remove(key)
        return succeed(True)

    def watch(self, prefix: str, callback: Watcher) -> Callable[[], None]:
        """See `IRegistry`."""
        self._watchers.setdefault(prefix, []).append(callback)

        def end() -> None:
            watchers = self._watchers.get(prefix, [])
            if callback in watchers:
                watchers.remove(callback)
            if not watchers:
                self._watchers.pop(prefix, None)

        return end

    def _remove(self, key: str) -> None:
        self._leases.pop(key, None)
        del self._values[key]
        self._tell(key, None)

    def _end_lease(self, key: str) -> None:
        if lease := self._leases.pop(key, None):
            lease.cancel()

    def _tell(self, key: str, value: bytes | None) -> None:
        found = [w for prefix, watchers in self._watchers.items() if key.startswith(prefix) for w in watchers]
        for watcher in found:
            watcher(key, value)
