"""What streams to and from other servers have in common (RFC 6120), without a socket."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from palaver import jid, metrics
from palaver.errors import StreamError
from palaver.framing import NS_STREAM, Framer, StreamHeader
from palaver.log import Log
from palaver.markup import element
from palaver.stanza import NS_CLIENT, NS_SERVER, Stanza
from palaver.streams.negotiation import STANZAS
from palaver.streams.s2s import dialback
from palaver.streams.s2s.dialback import NS_DIALBACK
from palaver.streams.s2s.traffic import NS_SM, Inbound, Outbound

if TYPE_CHECKING:
    from palaver.streams.s2s.federation import Federation

log = Log("s2s")

NS_TLS = "urn:ietf:params:xml:ns:xmpp-tls"
NS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
NS_BIDI = "urn:xmpp:bidi"
NS_BIDI_FEATURE = "urn:xmpp:features:bidi"
NS_LIMITS = "urn:xmpp:stream-limits:0"

# Before it is known who speaks, as for clients.
MAX_STRANGERS_BYTES = 64 * 1024


class State(Enum):
    """How far a stream has come."""

    OPENING = "opening"
    """The peer's stream header is still to come, or comes again."""
    OPEN = "open"
    CLOSED = "closed"


class ServerStream:
    """One stream between a domain of ours and one of theirs; each side may speak for more domains later."""

    direction: ClassVar[str]
    steps: ClassVar[dict[tuple[str, str], Callable[[Any, Stanza], None]]]

    # What is asked of every stream of a port, and means something to those of clients alone.
    session = None
    host = None

    def __init__(self, connection: Any, federation: Federation) -> None:
        self.connection = connection
        self.address: str = connection.address
        self.federation = federation
        self.state = State.OPENING
        # The domains of the first header; None until there is one, or when it names none.
        self.local: str | None = None
        self.remote: str | None = None
        # The id of the stream, which the receiving side makes.
        self.id = ""
        self.inbound = Inbound(self, federation.router)
        self.outbound = Outbound(self)
        self.bidi = False
        # What is wrong with the other side's certificate; None: nothing is.
        self.fault: str | None = "is not shown"
        self._framer = Framer(self, MAX_STRANGERS_BYTES)
        self._encrypting = False
        self._deaf = False
        self._counted = (0, 0)

    @property
    def secure(self) -> bool:
        """True over TLS."""
        return bool(self.connection.secure)

    @property
    def is_open(self) -> bool:
        """True until the end of the stream."""
        return self.state is not State.CLOSED

    # -- what the two sides do differently ------------------------------------------------

    def begin(self) -> None:
        """Note that the connection is there."""

    def tls_side(self, tls: Any) -> Any:
        """Give what ``startTLS`` takes."""
        raise NotImplementedError

    def open_header(self) -> None:
        """Write our stream header, so that an error may follow it."""
        raise NotImplementedError

    def header_received(self, header: StreamHeader) -> None:
        """Take the peer's stream header; raises `StreamError`."""
        raise NotImplementedError

    def ended(self, unacked: list[Stanza], error: StreamError | None) -> None:
        """Note the end of the stream; ``unacked`` is what the peer may not have got."""

    # -- from the connection -----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes as they came."""
        try:
            while data and self.state is not State.CLOSED and not self._deaf:
                data = self._framer.feed(data)
                if self._encrypting:
                    # What came with it was written in the clear, whatever it says (STARTTLS injection).
                    self._encrypting = False
                    return
        except StreamError as error:
            self.end(error)

    def connection_lost(self) -> None:
        """Note that the connection is gone."""
        self._close(None)

    def time_out(self) -> None:
        """Note that the negotiation has taken too long."""
        self.end(StreamError("connection-timeout", "The negotiation has taken too long"))

    def encrypted(self) -> None:
        """Note that TLS is up: look at the certificate."""
        self.fault = "is not shown"
        if self.remote is not None:
            self.judge(self.remote)

    def judge(self, domain: str) -> str | None:
        """Say what is wrong with the other side's certificate for a domain; None: nothing."""
        federation = self.federation
        shown = federation.tls.peer_certificates(self.connection.transport) if self.secure else []
        fault = federation.authorities.fault(shown, domain)
        if domain == self.remote:
            self.fault = fault
        return fault

    def hold(self) -> None:
        """Take nothing more: the connection is cut off."""
        self._deaf = True

    def fell_silent(self, quiet: float) -> float | None:
        """Say what is to be done after ``quiet`` seconds without a byte; gives when to look again."""
        idle: float = self.connection.factory.settings.idle_s
        if quiet >= idle:
            self.connection.keep_alive()
            return idle
        return idle - quiet

    def was_used(self) -> bool:
        """Tell whether a stanza has gone either way since the last call."""
        before, self._counted = self._counted, (self.inbound.count, self.outbound.count)
        return before != self._counted

    # -- to the connection ----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue one element."""
        if self.state is not State.CLOSED:
            self.connection.write(data)

    def end(self, error: StreamError | None = None) -> None:
        """Close the stream, with an error when one is given."""
        if self.state is State.CLOSED:
            return
        if self.inbound.received is not None:
            # So that the peer knows what it need not send again (XEP-0198 section 7).
            self.write(self.inbound.ack())
        if error is not None:
            metrics.stream_errors[error.condition] += 1
            log.info(
                "stream-error", direction=self.direction, address=self.address, local=self.local,
                remote=self.remote, condition=error.condition, text=error.text,
            )  # fmt: skip
            if self.state is State.OPENING:
                self.open_header()
            self.write(error.encode())
        connection = self.connection
        self._close(error)
        connection.close_stream()

    def _close(self, error: StreamError | None) -> None:
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._framer.reset()
        unacked = self.outbound.close()
        self.federation.closed(self)
        self.ended(unacked, error)

    def restart(self) -> None:
        """Expect a new stream header (RFC 6120 section 4.3.3)."""
        self.state = State.OPENING
        self._framer.reset()

    def start_tls(self) -> None:
        """Speak TLS from here on; a new stream begins in it."""
        self.restart()
        self._encrypting = True
        self.connection.start_tls()

    def trust(self) -> None:
        """Note that it is known who the other side is: it may send as much as any server."""
        self._framer.max_stanza_bytes = self.federation.settings.max_stanza_bytes
        self.connection.authenticated()

    # -- from the framer -----------------------------------------------------------------------

    def stream_opened(self, header: StreamHeader) -> None:
        """Take the peer's stream header."""
        if header.ns != NS_SERVER:
            raise StreamError("invalid-namespace", f"A server's stream has the namespace {NS_SERVER}")
        self.header_received(header)

    def stream_closed(self) -> None:
        """Close, since the peer says good-bye."""
        self.end()

    def stanza_received(self, stanza: Stanza) -> None:
        """Take a top-level element."""
        if stanza.ns == NS_CLIENT and stanza.name in STANZAS:
            if not self.inbound.domains:
                raise StreamError("not-authorized", "It has to be known first who sends")
            self.inbound.take(stanza)
            return
        step = self.steps.get((stanza.ns, stanza.name))
        if step is None:
            raise StreamError("unsupported-stanza-type")
        step(self, stanza)

    # -- what either side may send -----------------------------------------------------------------

    def _peer_failed(self, stanza: Stanza) -> None:
        """Note the peer's stream error; it is the end."""
        condition = next((name for ns, name in stanza.children if name != "text"), "undefined-condition")
        log.info(
            "peer-error", direction=self.direction, local=self.local, remote=self.remote, condition=condition
        )
        self.end()

    def _ask_verified(self, stanza: Stanza) -> None:
        """Say whether a key is ours (XEP-0220 section 2.3); unasked answers are passed over."""
        if stanza.type is not None:
            log.info("unasked-answer", address=self.address, remote=self.remote)
            return
        receiving, originating = addresses(stanza)
        stream_id = stanza.attrs.get("id", "")
        federation = self.federation
        good = federation.router.serves(originating) and federation.keys.check(
            stanza.text, receiving, originating, stream_id
        )
        self.write(dialback.answer("verify", originating, receiving, good, stream_id))

    def _ack_wanted(self, stanza: Stanza) -> None:
        self.write(self.inbound.ack())

    def _acked(self, stanza: Stanza) -> None:
        self.outbound.acknowledged(stanza.attrs.get("h", ""))


COMMON: dict[tuple[str, str], Callable[[Any, Stanza], None]] = {
    (NS_STREAM, "error"): ServerStream._peer_failed,
    (NS_DIALBACK, "verify"): ServerStream._ask_verified,
    (NS_SM, "r"): ServerStream._ack_wanted,
    (NS_SM, "a"): ServerStream._acked,
}
"""What is taken on streams of both directions."""


def prepared(text: str | None) -> str | None:
    """Give a domain of a stream header, prepared; raises `StreamError`."""
    if text is None:
        return None
    try:
        return jid.prepare_domain(text)
    except jid.InvalidJID as error:
        raise StreamError("improper-addressing", str(error)) from None


def addresses(stanza: Stanza) -> tuple[str, str]:
    """Give ``from`` and ``to`` of an element of dialback, prepared; raises `StreamError`."""
    sender, to = prepared(stanza.attrs.get("from")), prepared(stanza.attrs.get("to"))
    if sender is None or to is None:
        raise StreamError("improper-addressing", "Dialback needs from and to")
    return sender, to


def has_version(header: StreamHeader) -> bool:
    """Tell whether a header is of XMPP 1.0, and not of what was before."""
    major = header.attrs.get("version", "").partition(".")[0]
    return major.isdecimal() and bool(major.strip("0"))


def limits(max_bytes: int, idle_s: float) -> bytes:
    """Give what is announced about the size of stanzas and about silence (XEP-0478)."""
    size = element("max-bytes", None, str(max_bytes).encode())
    return element("limits", NS_LIMITS, size + element("idle-seconds", None, str(int(idle_s)).encode()))
