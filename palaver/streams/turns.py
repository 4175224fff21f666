"""Stanzas of one client in turn.

They go to the session one after the other: while one waits, for a commit say, the next ones are
queued, and with too many of them the connection is paused. Those that `Host.may_overlap` knows are
begun at once, and keep their order by `Session.ahead`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver.errors import StreamError
from palaver.routing.failures import failed
from palaver.stanza import Stanza
from palaver.streams.settings import StreamSettings
from palaver.streams.slow import watch

if TYPE_CHECKING:
    from palaver.routing.sessions import Session

# What a client may have on the way to the storage at once; one commit takes them all.
MAX_UNDER_WAY = 64


class End(NamedTuple):
    """Stands in the queue for the end of what the client sends."""

    error: StreamError | None


class Turns:
    """What a stream keeps of stanzas that have come and are not done."""

    __slots__ = ("_last", "_queue", "_under_way", "connection", "session", "settings")

    def __init__(self, connection: Any, settings: StreamSettings) -> None:
        self.connection = connection
        self.settings = settings
        self.session: Session | None = None
        # Stanzas that came while an earlier one waits, and the end of the stream; None while none does.
        self._queue: deque[Stanza | End] | None = None
        # How many stanzas were begun and wait.
        self._under_way = 0
        # Fires once the last of them is done; None when nothing may be begun behind it.
        self._last: Deferred[None] | None = None

    def end(self, error: StreamError | None = None) -> None:
        """See IStream."""
        raise NotImplementedError

    def _take(self, stanza: Stanza) -> Deferred[Any] | None:
        """Have a stanza done; gives what fires then, or None when it is done."""
        raise NotImplementedError

    def stanza_received(self, stanza: Stanza) -> None:
        """Take a top-level element in its turn."""
        queue = self._queue
        if queue is None:
            self._begin(stanza)
        elif queue or not self._may_overlap(stanza):
            self._enqueue(queue, stanza)
        else:
            self._begin_behind(stanza)

    def _begin_behind(self, stanza: Stanza) -> None:
        """Begin a stanza while earlier ones wait, and tell the session which is the last of them."""
        session = self.session
        assert session is not None
        session.ahead = self._last
        try:
            self._begin(stanza)
        finally:
            # What looks later would find the stanza itself there, and wait for ever.
            session.ahead = None

    def _begin(self, stanza: Stanza) -> None:
        waiting = self._take(stanza)
        if waiting is None or _is_done(waiting):
            return
        if self._queue is None:
            self._queue = deque()
        done: Deferred[None] = Deferred()
        # One that waits for something before its commit could be overtaken on the way to it.
        overlaps = self._under_way > 0 or self._is_plain(stanza)
        self._under_way += 1
        self._last = done if overlaps else None
        if watch.is_on:
            watch.waits[stanza] = waiting
        waiting.addBoth(self._settled, done, stanza)

    def _may_overlap(self, stanza: Stanza) -> bool:
        """Tell whether a stanza may be begun while earlier ones wait, so that one commit serves them all."""
        return self._last is not None and self._under_way < MAX_UNDER_WAY and self._is_plain(stanza)

    def _is_plain(self, stanza: Stanza) -> bool:
        session = self.session
        may_overlap = session.host.may_overlap if session is not None else None
        return may_overlap is not None and may_overlap(session, stanza)

    def _enqueue(self, queue: deque[Stanza | End], item: Stanza | End) -> None:
        queue.append(item)
        if len(queue) == self.settings.max_pending_stanzas:
            self.connection.pause()

    def _settled(self, outcome: Any, done: Deferred[None], stanza: Stanza) -> None:
        """Go on with the queue when all that earlier stanzas waited for is done."""
        _note_failure(outcome)
        if watch.is_on and watch.waits.pop(stanza, None) is None:
            watch.ended(stanza)
        self._under_way -= 1
        if self._last is done:
            self._last = None
        # Those behind it that wait for nothing else are done inside this call.
        done.callback(None)
        if not self._under_way:
            self._drain()

    def _drain(self) -> None:
        if self.session is not None and self.session.user.roster.gone:
            # What comes behind the end of the account would be stored for whoever has its name next.
            return
        while queue := self._queue:
            item = queue[0]
            if self._under_way and (isinstance(item, End) or not self._may_overlap(item)):
                return
            if len(queue) == self.settings.max_pending_stanzas:
                self.connection.resume()
            queue.popleft()
            if isinstance(item, End):
                self.end(item.error)
                return
            if item.attrs.get("type") == "get" and self._is_gone:
                # Only its answer would have mattered.
                continue
            if self._under_way:
                self._begin_behind(item)
            else:
                self._begin(item)
        if not self._under_way:
            self._queue = None

    @property
    def _is_gone(self) -> bool:
        """True when nobody is there any more, and nobody can come back, to get an answer."""
        return self.session is not None and self.session.stream is None

    def _end_in_turn(self, error: StreamError | None = None) -> None:
        """End the stream for what the client sent, once the stanzas before that are done."""
        if self._queue is not None:
            self._enqueue(self._queue, End(error))
        else:
            self.end(error)


def _is_done(waiting: Deferred[Any]) -> bool:
    """Tell whether all is done already; a callback would go one level deeper for each such stanza."""
    if not waiting.called or waiting.paused:
        return False
    waiting.addBoth(_note_failure)
    return True


def _note_failure(outcome: Any) -> None:
    if isinstance(outcome, Failure):
        failed("core", outcome)
