"""TCP below client streams: bytes in, elements out, TLS, back-pressure and rate limits; nothing is parsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener, IPullProducer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver import metrics
from palaver.log import Log
from palaver.markup import attributes
from palaver.streams import encrypted
from palaver.streams.compression import Compression, Unpacking
from palaver.streams.reading import Reading

if TYPE_CHECKING:
    from palaver.streams.listener import Listener

log = Log("tcp")

# A socket that has not taken what is due to be closed by then is cut off.
CLOSE_TIMEOUT_S = 5.0
# What is larger does not wait for the end of the turn: a full socket is noticed before more comes.
LARGE_BYTES = 16 * 1024

STREAM_HEADER = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'%b>"

_DONE = Failure(ConnectionDone())


@implementer(IPushProducer, IPullProducer, IHandshakeListener)
class Connection(Reading):
    """One accepted socket. ``stream`` gets the bytes; see `palaver.streams.c2s.ClientStream`."""

    __slots__ = (
        "_blocked", "_closing", "_compression", "_deliver", "_direct", "_on_deadline", "_out", "_reading",
        "_stranger", "_unsent", "address", "bucket", "deadline", "heard", "secure", "stream",
    )  # fmt: skip

    def __init__(self, factory: Listener, address: str) -> None:
        super().__init__(factory)
        self.address = address
        self.secure = False
        # Bytes go straight to the socket; TLS is not between.
        self._direct = True
        self.stream: Any = None
        self._deliver: Callable[[bytes], None] = _nobody
        self.deadline: float | None = None
        self.bucket: int | None = None
        self._on_deadline: Callable[[], None] | None = None
        self._out: list[bytes] = []
        # Bytes queued here while the socket takes none.
        self._unsent = 0
        self._blocked = False
        self._reading = False
        self._closing = False
        self.heard = factory.wheel.now()
        self._compression: Compression | None = None
        self._stranger = True

    # -- the socket speaks -----------------------------------------------------------

    def connectionMade(self) -> None:
        """Begin: a stream, a deadline for its login, TLS at once on a direct-TLS port."""
        factory = self.factory
        factory.connections.add(self)
        self.stream = factory.make_stream(self)
        self._deliver = self.stream.data_received
        self._restore_deadline()
        if factory.settings.tls == "direct":
            self.start_tls()

    def dataReceived(self, data: bytes) -> None:
        """Count the bytes, then give them to the stream."""
        metrics.bytes_in.value += len(data)
        rate = self.factory.settings.rate
        now = self.heard
        self.heard = self.factory.wheel.now()
        if rate is not None:
            self._spend(len(data), rate, self.heard - now)
        # A login goes step by step, so each answer leaves at once; later ones leave together, turn by turn.
        self._reading = self._stranger and not self._out
        self._deliver(data)
        if self._reading:
            self._reading = False
            if self._out:
                self.flush()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Note that the socket is gone, whoever closed it."""
        self.authenticated()
        self._closing = True
        self.factory.wheel.forget(self)
        self._on_deadline = None
        self._refill_no_more()
        self._out.clear()
        self.factory.connections.discard(self)
        if self.stream is not None:
            self.stream.connection_lost()
        self.transport = None

    def handshakeCompleted(self) -> None:
        """TLS is up; the time for the login goes on from here."""
        self._restore_deadline()

    # -- the stream speaks --------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue one element; it leaves with the others of this reactor turn."""
        if self._blocked:
            before, limit = self._unsent, self.factory.settings.max_unsent_bytes
            self._unsent = before + len(data)
            if self._unsent > limit:
                if before <= limit:
                    # It is gone a turn later only; what else it has sent would be answered into nowhere.
                    self.stream.hold()
                    self._cut()
                return
        elif not self._out and not self._reading:
            self.factory.flusher.add(self)
        self._out.append(data)
        if len(data) > LARGE_BYTES:
            # A broken socket is left to the end of the turn: no session ends under whoever writes to it.
            self._send()

    def open_stream(self, attrs: dict[str, str]) -> None:
        """Write a stream header with these attributes."""
        self.write(STREAM_HEADER % attributes(attrs).encode())

    def close_stream(self) -> None:
        """Write the end of the stream, and close."""
        self.write(b"</stream:stream>")
        self.close()

    def keep_alive(self) -> None:
        """Write what says nothing (RFC 6120 section 4.6.1)."""
        self.write(b" ")

    def flush(self) -> None:
        """Send what is queued, as far as the socket takes it."""
        broken = self._send()
        if broken is not None:
            self.transport.connectionLost(Failure(broken))

    def _send(self) -> Exception | None:
        """Send what is queued; when the socket is broken that stays, and why is given."""
        out = self._out
        if self._blocked or not out or self.transport is None:
            return None
        data = out[0] if len(out) == 1 else b"".join(out)
        if self._compression is not None:
            data = self._compression.pack(data)
        sent = len(data)
        if not self._direct:
            broken = encrypted.send(self.transport, data)
            if broken is not None:
                return broken
        else:
            # The reactor's own way costs two epoll_ctl calls and a turn.
            try:
                sent = self.transport.socket.send(data)
            except OSError as error:
                if error.errno not in encrypted.FULL:
                    return ConnectionLost(str(error))
                sent = 0
        out.clear()
        metrics.bytes_out.value += len(data)
        if sent < len(data):
            self._blocked = True
            self.transport.write(data[sent:])
            self.transport.registerProducer(self, False)
            self._watch_reader()
        return None

    @property
    def port(self) -> int | None:
        """The peer's port; None when it is not known."""
        peer = self.transport.getPeer() if self.transport is not None else None
        port: int | None = getattr(peer, "port", None)
        return port

    def start_tls(self, domain: str | None = None) -> None:
        """Speak TLS from here on, as ``domain`` when the client names no other; queued bytes leave first."""
        self.flush()
        if self._blocked:
            # What the peer has not taken yet would come to it within TLS.
            self._cut()
            return
        self.secure = True
        self._direct = False
        self.expire_in(self.factory.settings.tls_timeout_s, self._cut)
        self.transport.startTLS(self._tls_side(domain))
        encrypted.read_whole(self.transport)
        self.transport.registerProducer(self, True)

    def _tls_side(self, domain: str | None) -> Any:
        """Give what ``startTLS`` takes."""
        return self.factory.tls.for_server(domain)

    @property
    def may_compress(self) -> bool:
        """True until `start_compression`."""
        return self._compression is None

    def start_compression(self, level: int) -> None:
        """Compress all that follows, in both directions; queued bytes leave first."""
        self.flush()
        if self._blocked:
            # What the peer has not taken yet would come to it compressed.
            self._cut()
            return
        self._compression = Compression(Unpacking(self, self._deliver), level)
        self._deliver = self._compression.received

    def _resumed(self) -> None:
        if self._compression is not None:
            self._compression.go_on()

    def bindings(self) -> Mapping[str, Callable[[], bytes]]:
        """Give the channel bindings of the TLS connection; none without TLS."""
        return self.factory.tls.bindings(self.transport) if self.secure else {}

    def certificate(self) -> Any:
        """Give the client's verified certificate, or None."""
        return self.factory.tls.client_certificate(self.transport) if self.secure else None

    def close(self) -> None:
        """Send what is queued, then close; a peer that does not take it is cut off."""
        self.flush()
        if self.transport is None:
            return
        if self._out:
            data = b"".join(self._out)
            self.transport.write(data if self._compression is None else self._compression.pack(data))
            self._out.clear()
        self._closing = True
        if self._direct and not self._blocked:
            # All is sent. Twisted's own way waits for the socket once more to find that out.
            self.factory.flusher.add(_Leaving(self.transport))
            return
        self.expire_in(CLOSE_TIMEOUT_S, self._cut)
        if self._paused:
            # TLS ends with an answer of the peer's, which has to be read.
            self.transport.resumeProducing()
        if not self._direct:
            # TLS is not shut down as long as somebody may still produce.
            self.transport.unregisterProducer()
        self.transport.loseConnection()

    def authenticated(self) -> None:
        """Count it among the strangers no more: a resource is bound, or the socket gone."""
        if self._stranger:
            self._stranger = False
            self.factory.admission.dismiss(self.address)
            self._restore_deadline()

    # -- IPushProducer and IPullProducer: the peer's reading speed ---------------------------

    def pauseProducing(self) -> None:
        """Keep what comes: the TLS connection has more than it can send."""
        self._blocked = True
        self._watch_reader()

    def resumeProducing(self) -> None:
        """All is sent; go on with what was kept meanwhile."""
        if not self._blocked:
            return
        if self._direct:
            if self.transport.dataBuffer or self.transport._tempDataBuffer:
                # A pull producer is asked once when it is registered, before anything was sent.
                return
            self.transport.unregisterProducer()
        self._blocked = False
        self._unsent = 0
        self._restore_deadline()
        self.flush()

    def stopProducing(self) -> None:
        """Do nothing: `connectionLost` follows."""

    def _watch_reader(self) -> None:
        self.expire_in(self.factory.settings.write_timeout_s, self._cut)

    # -- deadlines -----------------------------------------------------------------------------

    def expire_in(self, seconds: float, then: Callable[[], None]) -> None:
        """Set what happens when the time is over; it replaces what was set before."""
        self._on_deadline = then
        self.deadline = self.factory.wheel.now() + seconds
        self.factory.wheel.watch(self)

    def deadline_passed(self) -> None:
        """See HasDeadline."""
        then, self._on_deadline, self.deadline = self._on_deadline, None, None
        if then is not None:
            then()

    def _restore_deadline(self) -> None:
        """Wait for what an undisturbed connection waits for: its login, then a sign of life."""
        settings = self.factory.settings
        if self._closing:
            return
        if self._stranger:
            self.expire_in(settings.auth_timeout_s, self._login_timed_out)
        else:
            self.expire_in(settings.idle_s, self._idle)

    def _login_timed_out(self) -> None:
        metrics.login_failures["timeout"] += 1
        self.stream.time_out()

    def _idle(self) -> None:
        """Write a space when nothing was read for long, so that a dead connection shows itself.

        A client that has logged in and bound nothing by then has had its time.
        """
        if self.stream.session is None:
            self._login_timed_out()
            return
        idle = self.factory.settings.idle_s
        quiet = self.factory.wheel.now() - self.heard
        if quiet >= idle:
            self.keep_alive()
            quiet = 0.0
        self.expire_in(idle - quiet, self._idle)

    def _cut(self) -> None:
        if self.transport is not None:
            log.info("cut-off", address=self.address)
            self.transport.abortConnection()


def _nobody(data: bytes) -> None:
    """Take what comes when nobody listens."""


class _Leaving:
    """Closes a socket at the end of the reactor's turn: not under whoever reads from it now."""

    __slots__ = ("_transport",)

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def flush(self) -> None:
        """See Flushable."""
        self._transport.connectionLost(_DONE)
