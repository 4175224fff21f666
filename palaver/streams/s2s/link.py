"""A link: one domain of ours and one of theirs, what waits to go there, and the stream that it goes over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver.errors import StanzaError, StreamError
from palaver.log import Log
from palaver.routing.failures import failed
from palaver.stanza import Stanza
from palaver.streams.s2s.connecting import connect
from palaver.streams.s2s.outgoing import OutgoingStream, Unreachable, timed_out

if TYPE_CHECKING:
    from palaver.streams.s2s.federation import Federation
    from palaver.streams.s2s.stream import ServerStream

log = Log("s2s")

# What a stanza takes in memory beside its content.
STANZA_BYTES = 1024

FULL = StanzaError("resource-constraint", "Too much waits for the other server")
TIMED_OUT = StanzaError("remote-server-timeout", "The other server does not answer")


class Link:
    """Holds what waits; the wheel looks at it while a stream is being made."""

    __slots__ = (
        "_attempt", "_checks", "_federation", "_queued", "_resent", "_size", "_waiting", "bucket", "deadline",
        "local", "remote", "stream",
    )  # fmt: skip

    def __init__(self, federation: Federation, local: str, remote: str) -> None:
        self._federation = federation
        self.local = local
        self.remote = remote
        # The stream in use, or the one that is being tried.
        self.stream: OutgoingStream | None = None
        self._waiting: list[Stanza] = []
        self._size = 0
        # Questions about keys; each gets the stream to be asked over.
        self._checks: list[Deferred[Any]] = []
        self._attempt: Deferred[Any] | None = None
        # True while it waits for its turn to connect.
        self._queued = False
        # True when what waits has been sent before, over a stream that is gone.
        self._resent = False
        self.deadline: float | None = None
        self.bucket: int | None = None

    @property
    def waits(self) -> bool:
        """True while something waits."""
        return bool(self._waiting or self._checks)

    @property
    def connects(self) -> bool:
        """True while a stream is being made, or to be made."""
        return self._queued or self._attempt is not None

    # -- what is to go there ------------------------------------------------------------

    def deliver(self, stanza: Stanza) -> None:
        """Keep a stanza until there is a stream; it comes back as an error when there is none in time."""
        federation = self._federation
        size = len(stanza.inner) + STANZA_BYTES
        if len(self._waiting) >= federation.settings.send_queue_size or not federation.reserve(size):
            federation.router.bounce(stanza, FULL)
            return
        self._waiting.append(stanza)
        self._size += size
        self._begin()

    def check(self, stream_id: str, key: str) -> Deferred[bool]:
        """Ask the other server whether a key is its; fails with `Unreachable`."""
        if self.stream is not None and self.stream.is_open and self.stream.open_for_dialback:
            return self.stream.check(self.local, stream_id, key)
        waiting: Deferred[Any] = Deferred(self._check_cancelled)
        self._checks.append(waiting)
        waiting.addCallback(lambda stream: stream.check(self.local, stream_id, key))
        self._begin()
        return waiting

    def _check_cancelled(self, cancelled: Deferred[Any]) -> None:
        self._checks = [waiting for waiting in self._checks if waiting is not cancelled]
        if self._queued and not self.waits:
            self._queued = False
            self._federation.wheel.forget(self)
            self._federation.unwanted(self)

    def send_checks(self) -> None:
        """Ask what waits to be asked; the stream is open for that."""
        checks, self._checks = self._checks, []
        for check in checks:
            check.callback(self.stream)

    # -- a stream for it ----------------------------------------------------------------------

    def _begin(self) -> None:
        if self._attempt is not None or self._queued:
            return
        self._queued = True
        wheel = self._federation.wheel
        self.deadline = wheel.now() + self._federation.settings.timeout
        wheel.watch(self)
        self._federation.wants_turn(self)

    def take_turn(self) -> Deferred[Any] | None:
        """Connect; gives what fires when that is over, or None when nothing waits any more."""
        if not self._queued:
            return None
        self._queued = False
        over: Deferred[Any] = Deferred()
        attempt = self._attempt = Deferred.fromCoroutine(self._connect())
        attempt.addCallbacks(self._connected, self._not_connected)
        attempt.addErrback(lambda failure: failed("s2s", failure))
        attempt.addBoth(over.callback)
        return over

    async def _connect(self) -> OutgoingStream:
        """Use the stream of another domain of ours where the peer takes that, else make one."""
        shared = self._federation.shareable(self.remote)
        if shared is not None:
            try:
                await shared.speak_for(self.local)
                self.stream = shared
                return shared
            except Unreachable:
                shared.takes_more = False
        return await connect(self._federation, self)

    def _connected(self, stream: OutgoingStream) -> None:
        self._attempt = None
        self._federation.wheel.forget(self)
        self._federation.reached(self, stream)
        self.send_checks()
        self.send_waiting(stream)

    def send_waiting(self, stream: ServerStream) -> None:
        """Send what waits over a stream, before anything else that is for the same server."""
        for stanza in self._take_waiting():
            stream.outbound.send(stanza)

    def _take_waiting(self) -> list[Stanza]:
        waiting, self._waiting = self._waiting, []
        self._federation.reserve(-self._size)
        self._size = 0
        return waiting

    def _not_connected(self, failure: Failure) -> None:
        if self._attempt is None:
            # Its time was over.
            return
        self._attempt = None
        error = failure.value
        if not isinstance(error, Unreachable):
            failed("s2s", failure)
        self.give_up(error.error if isinstance(error, Unreachable) else TIMED_OUT)

    # -- no stream for it --------------------------------------------------------------------------

    def deadline_passed(self) -> None:
        """See HasDeadline: no stream has come about in time."""
        stream = self.stream
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.cancel()
        if stream is not None and stream.is_open:
            stream.end(StreamError("connection-timeout", "The negotiation has taken too long"))
        self.give_up(TIMED_OUT)

    def give_up(self, error: StanzaError) -> None:
        """Send back what waits."""
        federation = self._federation
        federation.wheel.forget(self)
        self._queued = False
        self.stream = None
        federation.unreachable(self, error)
        checks, self._checks = self._checks, []
        for check in checks:
            check.errback(timed_out("The other server cannot be asked"))
        for stanza in self._take_waiting():
            federation.router.bounce(stanza, error)

    def gone(self, unacked: list[Stanza], acked: bool) -> None:
        """Note the end of the stream in use; what the peer may not have got is sent again, once.

        ``acked``: the peer had acknowledged something over it, so that it does take what we send.
        """
        if self._attempt is not None:
            # It was being tried, and whoever tries knows.
            return
        self.stream = None
        again = not self._resent or acked
        self._resent = bool(unacked)
        for stanza in unacked:
            if (stanza.name == "iq" and stanza.type in ("get", "set")) or not again:
                # A request may have been carried out; only whoever sent it knows whether to ask again.
                self._federation.router.bounce(stanza, TIMED_OUT)
            else:
                self.deliver(stanza)
