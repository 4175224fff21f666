"""How much of what a client sends is handled (XEP-0198 section 4): stored, where it has to be stored."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred


class Received:
    """Counts a client's stanzas, in the order in which they came, once everything is stored for them."""

    __slots__ = ("_beside", "_idle", "_late", "_taking", "count")

    def __init__(self) -> None:
        self.count = 0
        # How many stanzas are under way; they are done in the order in which they came.
        self._taking = 0
        # What the stanza under way does not hold up the next ones for, but has to be done all the same.
        self._beside: Deferred[Any] | None = None
        # From the first stanza with something beside that is not done: for each whether it is.
        self._late: deque[list[bool]] = deque()
        self._idle: list[Deferred[None]] = []

    def take(self, waiting: Deferred[Any] | None) -> None:
        """Note a stanza and what the session waits for because of it."""
        if waiting is None:
            if self._beside is None and not self._late:
                self.count += 1
            else:
                self._taken()
        else:
            self._taking += 1
            waiting.addBoth(self._settled)

    def beside(self, waiting: Deferred[Any]) -> None:
        """Note what the stanza under way needs done while the next ones are taken already."""
        self._beside = waiting

    def idle(self) -> Deferred[None] | None:
        """Give what fires when every stanza that was taken is counted; None when that is so."""
        if not self._taking and not self._late:
            return None
        waiting: Deferred[None] = Deferred()
        self._idle.append(waiting)
        return waiting

    def _settled(self, outcome: Any) -> Any:
        self._taking -= 1
        self._taken()
        self._look_idle()
        return outcome

    def _taken(self) -> None:
        beside, self._beside = self._beside, None
        if beside is None and not self._late:
            self.count += 1
            return
        entry = [beside is None]
        self._late.append(entry)
        if beside is not None:
            beside.addBoth(self._beside_done, entry)

    def _beside_done(self, outcome: Any, entry: list[bool]) -> Any:
        entry[0] = True
        while self._late and self._late[0][0]:
            self._late.popleft()
            self.count += 1
        self._look_idle()
        return outcome

    def _look_idle(self) -> None:
        if self._idle and not self._taking and not self._late:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)
