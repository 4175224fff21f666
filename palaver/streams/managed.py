"""Stream management (XEP-0198) of one session, without a socket: what is kept, acknowledged and sent again.

What the client sends is counted in `palaver.streams.received`; what becomes of that which it never
acknowledged is in `palaver.streams.unacked`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from zope.interface import implementer

from palaver.errors import StreamError
from palaver.events import Hibernated, KeptForClient, Resumed
from palaver.interfaces import IStream
from palaver.markup import element
from palaver.streams import unacked
from palaver.streams.received import Received

if TYPE_CHECKING:
    from palaver.routing.sessions import Session
    from palaver.stanza import Stanza

NS_SM = "urn:xmpp:sm:3"
REQUEST = element("r", NS_SM)

# XEP-0198 section 4: both counters start again from zero behind 2^32 - 1.
COUNTER_MODULO = 1 << 32
# What one session may keep in memory, whatever the number of stanzas: a full offline store of usual messages.
MAX_UNACKED_BYTES = 8 * 1024 * 1024
# How exactly it is known when a stanza was sent, and how long one is not asked about.
TICK_S = 1.0


class Keeper(Protocol):
    """What the managed sessions of a host share: their limits, and who knows of them."""

    max_unacked: float
    """Stanzas kept for one session; 0 keeps none."""
    ack_freq: int
    """Unacknowledged stanzas that are enough to ask at once."""
    silent: bool
    """True when clients are never asked."""
    now: float
    """The time in seconds, another object every `TICK_S`."""
    late: list[Managed]
    """Sessions that are asked at the next tick."""

    def hibernates(self, managed: Managed) -> None:
        """Note a session whose connection is gone; it may end others that wait as well."""

    def ended(self, managed: Managed) -> None:
        """Forget a session."""


@implementer(IStream)
class Managed:
    """Stands between a session and its connection, which may go and come again.

    The session writes here, one call a stanza. ``stream`` is the connection's, None while there is none.
    """

    __slots__ = (
        "_asked", "_asked_at", "_bytes", "_dropped", "_first", "_late", "_lost", "_queue", "_time", "_timer",
        "_times", "claimed_by", "keeper", "received", "resume_s", "session", "stream", "token",
    )  # fmt: skip

    def __init__(
        self, session: Session, stream: Any, keeper: Keeper, token: str | None, resume_s: float
    ) -> None:
        """``token`` is what the client resumes with; None when it does not want to."""
        self.session = session
        self.stream = stream
        self.keeper = keeper
        self.token = token
        self.resume_s = resume_s
        self.received = Received()
        # What the client has not acknowledged, and how many stanzas were sent before the first of it.
        self._queue: deque[bytes] = deque()
        self._first = 0
        self._bytes = 0
        # How many of those before are not acknowledged either, and kept no longer.
        self._dropped = 0
        # The number of the first stanza of each tick, and the time; most ticks have several stanzas.
        self._times: deque[tuple[int, float]] = deque()
        self._time: float | None = None
        # True from a request to its answer, and where nobody asks.
        self._asked = keeper.silent
        self._asked_at: float | None = None
        self._late = False
        # The stream of a lost connection: what had come over it may still be under way.
        self._lost: Any = None
        self._timer: Any = None
        # The last stream that wants to resume the session.
        self.claimed_by: Any = None

    # -- IStream -----------------------------------------------------------------------

    @property
    def secure(self) -> bool:
        """See IStream; what is kept for later is nobody's to read."""
        return self.stream is None or bool(self.stream.secure)

    @property
    def address(self) -> str:
        """See IStream; empty while there is no connection."""
        return self.stream.address if self.stream is not None else ""

    @property
    def port(self) -> int | None:
        """See IStream."""
        return self.stream.port if self.stream is not None else None

    @property
    def heard(self) -> float:
        """See IStream; nobody expects to hear something while there is no connection."""
        heard: float = self.stream.heard if self.stream is not None else self.host.clock.seconds()
        return heard

    @property
    def authenticated_as(self) -> str:
        """See IStream."""
        return self.session.user.local

    @property
    def host(self) -> Any:
        """See IStream."""
        return self.session.host

    def write(self, data: bytes) -> None:
        """Keep a stanza, and send it when there is a connection."""
        queue, keeper = self._queue, self.keeper
        now = keeper.now
        if now is not self._time:
            self._time = now
            self._times.append((self._first + len(queue), now))
        queue.append(data)
        self._bytes += len(data)
        if len(queue) > keeper.max_unacked or self._bytes > MAX_UNACKED_BYTES:
            self._overflow()
        stream = self.stream
        if stream is None:
            self.host.events.fire(KeptForClient(self.session, data))
            return
        stream.write(data)
        if not self._asked:
            if len(queue) >= keeper.ack_freq or now is not self._asked_at:
                self._asked = True
                self._asked_at = now
                stream.write(REQUEST)
            elif not self._late:
                self._late = True
                keeper.late.append(self)

    def end(self, error: StreamError | None = None) -> None:
        """See IStream."""
        if self.stream is not None:
            self.stream.end(error)

    # -- acknowledgements ------------------------------------------------------------------

    @property
    def unacknowledged(self) -> tuple[bytes, ...]:
        """The stanzas that the client has not acknowledged, oldest first."""
        return tuple(self._queue)

    def ack(self) -> bytes:
        """Give the acknowledgement of what the client has sent."""
        return element("a", NS_SM, h=str(self.received.count % COUNTER_MODULO))

    def acknowledged(self, h: int) -> None:
        """Forget what the client has; raises `StreamError` when it was never sent so much."""
        queue = self._queue
        count = (h - self._first + self._dropped) % COUNTER_MODULO
        if count > self._dropped + len(queue):
            sent = (self._first + len(queue)) % COUNTER_MODULO
            extra = element("handled-count-too-high", NS_SM, h=str(h), send_count=str(sent))
            extra = extra.replace(b"send_count", b"send-count")
            raise StreamError("undefined-condition", "More was acknowledged than was sent", extra=extra)
        dropped = min(count, self._dropped)
        self._dropped -= dropped
        self._let_go(count - dropped)
        self._asked = self.keeper.silent
        if len(queue) >= self.keeper.ack_freq:
            self.ask()
        elif queue and not self._late:
            self._late = True
            self.keeper.late.append(self)

    def _let_go(self, count: int) -> None:
        """Keep the oldest stanzas no longer."""
        for _ in range(count):
            self._bytes -= len(self._queue.popleft())
        self._first += count
        times = self._times
        while len(times) > 1 and times[1][0] <= self._first:
            times.popleft()

    def ask(self) -> None:
        """Ask for an acknowledgement when there is something to acknowledge."""
        self._late = False
        if self.stream is not None and self._queue and not self._asked:
            self._asked = True
            self._asked_at = self.keeper.now
            self.stream.write(REQUEST)

    def _overflow(self) -> None:
        """Keep no more than is allowed: what waits for nobody goes to the store, what was sent is let go."""
        if self.stream is None:
            if self._timer is not None and self._timer.getTime() > self.host.clock.seconds():
                self._timer.reset(0)
            return
        self._let_go(1)
        self._dropped += 1

    # -- a connection goes, another one comes --------------------------------------------------

    @property
    def resumable(self) -> bool:
        """True when the client may resume, and nothing is missing of what it would be sent again."""
        return self.token is not None and not self._dropped and self.session.stream is self

    def lost(self, stream: Any) -> bool:
        """Note that a connection is gone; tells whether the session waits for another one."""
        if self.stream is stream:
            self.stream, self._lost = None, stream
            if self.resumable:
                self._timer = self.session.host.clock.callLater(self.resume_s, self._expire)
                self.session.host.events.fire(Hibernated(self.session))
                self.keeper.hibernates(self)
        return self._timer is not None

    def hang_up(self, error: StreamError) -> bool:
        """End the connection, and take nothing more of what came over it; tells whether the session waits."""
        if self.stream is not None and self.resumable:
            self.lost(self.stream)
        if self._timer is None:
            return False
        self._lost.release(error)
        return True

    def _expire(self) -> None:
        self._timer = None
        self.session.unbind()

    def resume(self, stream: Any, h: int) -> bytes:
        """Go on over another connection, whose client has got ``h`` stanzas; raises `StreamError`.

        Gives ``<resumed/>``, behind which `send_again` belongs.
        """
        self.acknowledged(h)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.stream = stream
        stream.adopt(self.session)
        return element("resumed", NS_SM, previd=self.token, h=str(self.received.count % COUNTER_MODULO))

    def send_again(self) -> None:
        """Send what the client has not got, and tell that the session goes on."""
        bare = self.session.user.bare
        self._queue = deque([unacked.stamped(data, when, bare) for data, when in self._kept()])
        self._bytes = sum(map(len, self._queue))
        for data in self._queue:
            self.stream.write(data)
        self.ask()
        self.session.host.events.fire(Resumed(self.session))

    def _kept(self) -> list[tuple[bytes, float]]:
        """Give what is not acknowledged, each with the time when it was sent."""
        found = []
        times, when = deque(self._times), 0.0
        for number, data in enumerate(self._queue, self._first):
            while times and times[0][0] <= number:
                when = times.popleft()[1]
            found.append((data, when))
        return found

    # -- the end --------------------------------------------------------------------------------

    def ended(self, shown: Stanza | None, priority: int) -> Deferred[Any] | None:
        """Give what was not acknowledged to others, or to the store; the session is off the account.

        ``shown`` was its last presence. The Deferred fires when all is stored.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.keeper.ended(self)
        kept = self._kept()
        self._queue.clear()
        self._bytes = 0
        return unacked.give_back(self.session, kept, shown, priority)
