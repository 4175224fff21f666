"""Pauses in long work, so that everybody else has his turn."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

# Between two pieces everybody else has the database to himself.
PAUSE_S = 0.01


class Pauses:
    """The pauses of one kind of work, which may go on several times at once, until it is stopped."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._pausing: set[Deferred[None]] = set()
        self.stopped = False

    def stop(self) -> None:
        """End all work before its next piece."""
        self.stopped = True
        for pausing in tuple(self._pausing):
            pausing.cancel()

    async def pause(self) -> bool:
        """Let the others have their turn; gives False when it is time to stop."""
        if self.stopped:
            return False
        pausing: Deferred[None] = deferLater(self._clock, PAUSE_S)
        self._pausing.add(pausing)
        try:
            await pausing
        except CancelledError:
            return False
        finally:
            self._pausing.discard(pausing)
        return True
