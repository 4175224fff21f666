"""How fast is read from a socket: pauses, for any number of reasons, and the rate of one client."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol

from palaver import metrics


class Reading(Protocol):
    """What a connection reads; ``factory`` is a `Listener`."""

    transport: Any

    __slots__ = ("_paused", "_refill", "_tokens", "factory")

    def __init__(self, factory: Any) -> None:
        self.factory = factory
        self._paused = 0
        self._tokens = factory.settings.burst
        # The call that reads on once the token bucket is no longer empty.
        self._refill: Any = None

    @property
    def is_paused(self) -> bool:
        """True while nothing is read."""
        return self._paused > 0

    def pause(self) -> None:
        """Read no more until `resume` has been called as often."""
        self._paused += 1
        if self._paused == 1 and self.transport is not None:
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Take one reason to pause away."""
        self._paused -= 1
        if self._paused == 0 and self.transport is not None:
            self.transport.resumeProducing()
            self._resumed()

    def _resumed(self) -> None:
        """Go on with what was read before the pause."""

    def spend(self, size: int) -> None:
        """Count bytes against the rate that were not read from the socket."""
        rate = self.factory.settings.rate
        if rate is not None:
            self._spend(size, rate, 0.0)

    def _spend(self, size: int, rate: float, passed: float) -> None:
        """Take bytes from the token bucket; when it is empty, stop reading until it is not."""
        self._tokens = min(self.factory.settings.burst, self._tokens + passed * rate) - size
        if self._tokens >= 0:
            return
        wait = -self._tokens / rate
        if self._refill is not None:
            # TLS may still hold what was read before the pause.
            self._refill.reset(wait)
            return
        metrics.rate_limited.value += 1
        self.pause()
        self._refill = self.factory.clock.callLater(wait, self._refilled)

    def _refilled(self) -> None:
        self._refill = None
        self.resume()

    def _refill_no_more(self) -> None:
        """Read no more, since the socket is gone."""
        if self._refill is not None:
            self._refill.cancel()
            self._refill = None
