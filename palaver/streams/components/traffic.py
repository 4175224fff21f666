"""What a component sends, on its way to the router."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver.errors import StanzaError
from palaver.routing.failures import failed
from palaver.routing.router import Router
from palaver.stanza import Stanza
from palaver.streams.slow import watch

# The connection is paused while so many wait, as that of a client.
MAX_PENDING_STANZAS = 100

Pair = tuple[str, str]


class Inbound:
    """Routes stanzas; those of the same two addresses keep their order while one of them waits."""

    __slots__ = ("_busy", "_connection", "_pending", "_router")

    def __init__(self, router: Router, connection: Any) -> None:
        self._router = router
        self._connection = connection
        # What comes behind a stanza of the same two that is under way.
        self._busy: dict[Pair, deque[tuple[Stanza, Deferred[None]]]] = {}
        self._pending = 0

    def take(self, stanza: Stanza) -> Deferred[Any] | None:
        """Route a stanza that has ``from`` and ``to``, now or in its turn; gives what it waits for."""
        attrs = stanza.attrs
        pair = (attrs["from"], attrs["to"])
        if self._busy and pair in self._busy:
            done: Deferred[None] = Deferred()
            self._busy[pair].append((stanza, done))
            self._count(1)
            return done
        waiting = self._route(stanza)
        if waiting is not None:
            self._busy[pair] = deque()
            self._count(1)
            self._wait(waiting, pair, stanza)
        return waiting

    def _route(self, stanza: Stanza) -> Deferred[Any] | None:
        """Give what is to be waited for; None when all is done."""
        try:
            waiting = self._router.route(stanza)
        except Exception:
            self._router.bounce(stanza, failed("component", Failure()))
            return None
        if waiting is not None and waiting.called and not waiting.paused:
            waiting.addErrback(lambda failure: failed("component", failure))
            return None
        return waiting

    def _wait(self, waiting: Deferred[Any], pair: Pair, stanza: Stanza) -> None:
        if watch.is_on:
            watch.waits[stanza] = waiting
        waiting.addBoth(self._settled, pair, stanza)

    def _settled(self, outcome: Any, pair: Pair, stanza: Stanza) -> None:
        if isinstance(outcome, Failure):
            failed("component", outcome)
        if watch.is_on and watch.waits.pop(stanza, None) is None:
            watch.ended(stanza)
        self._count(-1)
        queue = self._busy[pair]
        while queue:
            stanza, done = queue.popleft()
            waiting = self._route(stanza)
            if waiting is not None:
                # It is counted on, in the place of the one that is done.
                self._wait(waiting, pair, stanza)
                waiting.addCallback(done.callback)
                return
            self._count(-1)
            done.callback(None)
        del self._busy[pair]

    def _count(self, change: int) -> None:
        before, self._pending = self._pending, self._pending + change
        if before < MAX_PENDING_STANZAS <= self._pending:
            self._connection.pause()
        elif self._pending < MAX_PENDING_STANZAS <= before:
            self._connection.resume()

    def refuse(self, stanza: Stanza, error: StanzaError) -> None:
        """Answer a stanza that cannot be routed."""
        self._router.bounce(stanza, error)
