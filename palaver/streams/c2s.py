"""Client streams (RFC 6120), without a socket: bytes in from a connection, bytes out to it.

A stream goes through the states of `State`; `palaver.streams.negotiation` says which top-level
element is taken in which. Once bound, stanzas go to the session in turn (`palaver.streams.turns`).
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver import metrics
from palaver.auth.sasl import Facts
from palaver.errors import StreamError
from palaver.framing import Framer, StreamHeader
from palaver.interfaces import IStream
from palaver.log import Log
from palaver.routing.failures import failed
from palaver.stanza import NS_CLIENT, Stanza
from palaver.streams import features
from palaver.streams.negotiation import STANZAS, State, check_header, take
from palaver.streams.settings import StreamSettings
from palaver.streams.turns import End, Turns

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.sessions import Session
    from palaver.streams.sasl import Login

log = Log("c2s")

STREAM_ID_BYTES = 12
# RFC 5646, as far as its syntax goes; tags of this length name everything that people speak.
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,4}")


@implementer(IStream)
class ClientStream(Turns):
    """One client's stream, over whatever connection carries its bytes."""

    __slots__ = (
        "_changing", "_feeding", "_framer", "_held", "_held_paused", "_language", "_resuming", "address",
        "authenticated_as", "claimed", "documents", "host", "hosts", "login", "offered", "state",
    )  # fmt: skip

    def __init__(self, connection: Any, hosts: dict[str, Host], settings: StreamSettings) -> None:
        """``hosts`` by domain, the first one speaking when no other is known."""
        super().__init__(connection, settings)
        self.address: str = connection.address
        self.hosts = hosts
        self.host: Any = None
        self.state = State.OPENING
        # The localpart, and what its login read, between the login and the binding.
        self.authenticated_as: str | None = None
        self.documents: Any = None
        # The SASL mechanisms that were announced, for the downgrade check.
        self.offered: tuple[str, ...] = ()
        # The attempts to log in, until one succeeds, and who the stream header says that it will be.
        self.login: Login | None = None
        self.claimed: str | None = None
        self._framer = Framer(self, settings.max_unauthenticated_bytes)
        # Bytes that came while a step of the negotiation is under way.
        self._held: list[bytes] | None = None
        self._held_paused = False
        # That of the stream header, for stanzas that name none (RFC 6120 section 4.7.4).
        self._language: str | None = None
        self._feeding = False
        self._resuming = False
        self._changing = False

    @property
    def secure(self) -> bool:
        """True over TLS."""
        return bool(self.connection.secure)

    @property
    def port(self) -> int | None:
        """See IStream."""
        port: int | None = self.connection.port
        return port

    @property
    def heard(self) -> float:
        """See IStream."""
        heard: float = self.connection.heard
        return heard

    @property
    def authenticated(self) -> bool:
        """True once somebody has logged in."""
        return self.state in (State.AUTHENTICATED, State.BOUND) or self.authenticated_as is not None

    @property
    def is_open(self) -> bool:
        """True until the end of the stream."""
        return self.state is not State.CLOSED

    @property
    def unfinished(self) -> bool:
        """True when an element has come in part, as far as has been read."""
        return self._held is None and not self._framer.between_elements

    def facts(self) -> Facts:
        """Give what SASL needs to know of the connection."""
        return Facts(
            self.host.domain,
            self.secure,
            self.connection.bindings(),
            self.connection.certificate(),
            self.offered,
        )

    # -- from the connection ------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes as they came."""
        if self.state is State.CLOSED:
            return
        held = self._held
        if held is not None:
            # A client that waits for its answer, as most do, is never paused.
            if not self._held_paused:
                self._held_paused = True
                self.connection.pause()
            held.append(data)
            return
        self._feeding = True
        try:
            rest = self._framer.feed(data)
        except StreamError as error:
            self._end_in_turn(error)
            return
        finally:
            self._feeding = False
        if self._held is not None:
            if rest:
                self._held.insert(0, rest)
            if self._resuming:
                self._read_on()
        elif self._changing:
            # What came behind <starttls/> was written in the clear, whatever it says (STARTTLS injection);
            # behind <compress/> nothing comes before the answer.
            self._changing = False
        elif rest:
            self.data_received(rest)

    def connection_lost(self) -> None:
        """Note that the connection is gone; stanzas that had come whole are still taken in their turn."""
        if self.state is not State.CLOSED:
            # With its end in the queue the stream is not broken.
            last = self._queue[-1] if self._queue else None
            self._close("Disconnected", lost=not isinstance(last, End))

    def time_out(self) -> None:
        """Note that the login has taken too long."""
        self.end(StreamError("connection-timeout", "The login has taken too long"))

    # -- to the connection ----------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """See IStream."""
        if self.state is not State.CLOSED:
            self.connection.write(data)

    def end(self, error: StreamError | None = None) -> None:
        """See IStream."""
        if self.state is State.CLOSED:
            return
        if error is not None:
            metrics.stream_errors[error.condition] += 1
            log.info("stream-error", address=self.address, condition=error.condition, text=error.text)
            if self.state is State.OPENING:
                self._write_header(None)
        if self.session is not None and self.session.managed is not None:
            # So that the client knows what it need not send again (XEP-0198 section 7).
            self.write(self.session.managed.ack())
        if error is not None:
            self.write(error.encode())
        self._queue = None
        self._close(error.text if error is not None else None)
        self.session = None
        self.connection.close_stream()

    def release(self, error: StreamError) -> None:
        """End the stream and leave its session to another one; what waits here is taken no more."""
        self.session = None
        self._queue = None
        self.end(error)

    def adopt(self, session: Session) -> None:
        """Carry a session that was bound on another stream (XEP-0198 section 5)."""
        self.session = session
        self.documents = None
        self.state = State.BOUND
        self.connection.authenticated()
        self.host.unbound.discard(self)
        log.info("session-resumed", jid=session.jid, address=self.address, secure=self.secure)

    def _close(self, status: str | None, lost: bool = False) -> None:
        """Take and write nothing any more; what is left of the segment is nobody's."""
        self.state = State.CLOSED
        self._framer.reset()
        login, self.login = self.login, None
        if login is not None:
            login.abort()
        if self.host is not None:
            self.host.unbound.discard(self)
        session = self.session
        if session is not None:
            if lost and session.managed is not None and session.managed.lost(self):
                log.info("session-waits", jid=session.jid, address=self.address)
                return
            log.info("session-ended", jid=session.jid, address=self.address)
            session.unbind(status)

    # -- holding bytes back while the negotiation waits ---------------------------------------

    def hold(self) -> None:
        """Read nothing behind the current element until `go_on`."""
        self._held = []
        self._framer.stop()

    def go_on(self) -> None:
        """Read what was held back."""
        if self._feeding:
            self._resuming = True
        else:
            self._read_on()

    def _read_on(self) -> None:
        held, self._held, self._resuming = self._held, None, False
        if self._held_paused:
            self._held_paused = False
            self.connection.resume()
        if held and self.state is not State.CLOSED:
            self.data_received(b"".join(held))

    def restart(self) -> None:
        """Expect a new stream header; what was learnt before it no longer counts (RFC 6120 section 4.3.3)."""
        self.state = State.OPENING
        self._framer.reset()

    # -- from the framer -------------------------------------------------------------------------

    def stream_opened(self, header: StreamHeader) -> None:
        """Answer a stream header with ours and the features."""
        found = check_header(self, header)
        if isinstance(found, Deferred):
            # What follows the header is not even parsed meanwhile.
            self.hold()
            found.addCallback(self._open_when_made, header)
            return
        self._open(found, header)

    def _open_when_made(self, made: bool, header: StreamHeader) -> None:
        """Answer a stream header when its host is there by now."""
        if self.state is State.CLOSED:
            return
        try:
            found = check_header(self, header) if made else None
            if found is None or isinstance(found, Deferred):
                raise StreamError("internal-server-error", "This host cannot be brought up now")
        except StreamError as error:
            self.end(error)
            return
        self._open(found, header)
        self.go_on()

    def _open(self, host: Host, header: StreamHeader) -> None:
        self.host = host
        language = header.attrs.get("xml:lang", "")
        self._language = language if _LANGUAGE.fullmatch(language) else None
        self.claimed = header.attrs.get("from")
        self._write_header(header)
        if self.authenticated_as is not None:
            self.state = State.AUTHENTICATED
        else:
            self.state = State.NEGOTIATING
        self.write(features.encode(self))

    def stream_closed(self) -> None:
        """Close, since the client says good-bye."""
        self._end_in_turn()

    def _take(self, stanza: Stanza) -> Deferred[Any] | None:
        session = self.session
        if session is None or stanza.ns != NS_CLIENT or stanza.name not in STANZAS:
            return self._take_other(stanza)
        metrics.stanzas_received[stanza.name] += 1
        # Whatever the client wrote: a stanza is from its full JID (RFC 6120 section 8.1.2.1).
        stanza.attrs["from"] = session.jid.full
        stanza.origin = session
        if self._language is not None and "xml:lang" not in stanza.attrs:
            stanza.attrs["xml:lang"] = self._language
        waiting = None
        try:
            waiting = session.receive(stanza)
        except Exception:
            session.host.router.bounce(stanza, failed("core", Failure()))
        if session.managed is not None:
            session.managed.received.take(waiting)
        return waiting

    # -- negotiation -------------------------------------------------------------------------------

    def _take_other(self, stanza: Stanza) -> Deferred[Any] | None:
        """Take what is no stanza of a session."""
        if self.state is State.CLOSED:
            return None
        try:
            return take(self, stanza)
        except StreamError as error:
            self.end(error)
        return None

    def _write_header(self, header: StreamHeader | None) -> None:
        host = self.host or next(iter(self.hosts.values()))
        attrs = {
            "id": secrets.token_urlsafe(STREAM_ID_BYTES),
            "from": host.domain,
            "version": "1.0",
            "xml:lang": self.settings.language,
        }
        if header is not None and (sender := header.attrs.get("from")) is not None:
            attrs["to"] = sender
        self.connection.open_stream(attrs)

    def encrypt(self, proceed: bytes) -> None:
        """Begin TLS behind ``proceed``; a new stream begins in it."""
        domain = self.host.domain
        self.restart()
        self.host = None
        self.login = None
        self._changing = True
        self.connection.write(proceed)
        self.connection.start_tls(domain)

    def compress(self, answer: bytes, level: int) -> None:
        """Compress all behind ``answer`` (XEP-0138); a new stream begins in it."""
        self.restart()
        self._changing = True
        self.connection.write(answer)
        self.connection.start_compression(level)

    def logged_in(self, local: str, documents: Any) -> None:
        """Note that somebody has proved who they are; ``documents`` is what their login has read."""
        self.authenticated_as = local
        self.documents = documents
        self.host.unbound.add(self)
        self.login = None
        self._framer.max_stanza_bytes = self.settings.max_stanza_bytes

    def bound(self) -> None:
        """Note that the login is complete: a resource is bound."""
        self.documents = None
        self.state = State.BOUND
        # Only now: whoever logs in and never binds has the time of a stranger.
        self.connection.authenticated()
