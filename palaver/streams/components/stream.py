"""The stream of a component (XEP-0114, XEP-0225), without a socket: bytes in, bytes out.

The namespace of the stream header says which of the two is spoken: ``jabber:component:accept`` with a
handshake, or ``jabber:client`` with SASL and binding, which is in `palaver.streams.components.binding`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from enum import Enum
from typing import Any

from twisted.internet.defer import Deferred

from palaver import jid, metrics
from palaver.errors import StanzaError, StreamError
from palaver.framing import NS_STREAM, Framer, StreamHeader
from palaver.log import Log
from palaver.markup import element
from palaver.settings import ComponentListener
from palaver.stanza import NS_CLIENT, NS_COMPONENT, Stanza
from palaver.streams.components.acks import Acknowledgements
from palaver.streams.components.binding import Negotiation
from palaver.streams.components.directory import ComponentService, Directory
from palaver.streams.components.traffic import Inbound
from palaver.streams.settings import StreamSettings

log = Log("component")

STREAM_ID_BYTES = 12
STANZAS = frozenset(("message", "presence", "iq"))


class State(Enum):
    """How far a stream has come."""

    OPENING = "opening"
    """No stream header yet, or none since the restart."""
    HANDSHAKE = "handshake"
    """The component has to show that it knows the secret (XEP-0114)."""
    NEGOTIATING = "negotiating"
    """TLS, SASL and binding (XEP-0225)."""
    OPEN = "open"
    """There is a domain, and stanzas are taken."""
    CLOSED = "closed"


class ComponentStream:
    """One component's stream, over whatever connection carries its bytes.

    The connection is what `palaver.streams.c2s.ClientStream` has; its ``open_stream`` is given the content
    namespace as ``xmlns``.
    """

    # What is asked of every stream of a port, and means something to those of clients alone.
    session = None
    host = None

    __slots__ = (
        "_acks", "_below_hosts", "_encrypting", "_feeding", "_framer", "_held", "_id", "_inbound", "_paused",
        "_wanted", "address", "components", "connection", "listener", "negotiation", "ns", "services",
        "settings", "state",
    )  # fmt: skip

    def __init__(
        self, connection: Any, components: Directory, listener: ComponentListener, settings: StreamSettings
    ) -> None:
        self.connection = connection
        self.address: str = connection.address
        self.components = components
        self.listener = listener
        self.settings = settings
        self.state = State.OPENING
        self.ns = NS_COMPONENT
        # By domain; a prefix below every host is here under its own name.
        self.services: dict[str, ComponentService] = {}
        self.negotiation: Negotiation | None = None
        self._framer = Framer(self, settings.max_unauthenticated_bytes)
        self._inbound = Inbound(components.router, connection)
        self._acks = Acknowledgements(self.write)
        self._id = ""
        # The domain of the handshake, and whether it is a prefix below every host.
        self._wanted = ""
        self._below_hosts = False
        # Bytes that came while a step of the negotiation is under way; None while none is.
        self._held: list[bytes] | None = None
        self._paused = False
        self._feeding = False
        self._encrypting = False

    @property
    def secure(self) -> bool:
        """True over TLS."""
        return bool(self.connection.secure)

    @property
    def is_open(self) -> bool:
        """True until the end of the stream."""
        return self.state is not State.CLOSED

    @property
    def unfinished(self) -> bool:
        """True when an element has come in part, as far as has been read."""
        return self._held is None and not self._framer.between_elements

    # -- from the connection ------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes as they came."""
        if self._held is not None:
            self._held.append(data)
            if not self._paused:
                self._paused = True
                self.connection.pause()
            return
        self._feeding = True
        try:
            self._feed(data)
        except StreamError as error:
            self.end(error)
        finally:
            self._feeding = False

    def _feed(self, data: bytes) -> None:
        while data and self.state is not State.CLOSED:
            data = self._framer.feed(data)
            if self._encrypting:
                # What came behind <starttls/> was written in the clear, whatever it says.
                self._encrypting = False
                return
            if self._held is not None:
                self._held.insert(0, data)
                return

    def hold(self) -> None:
        """Read nothing behind the current element until `go_on`."""
        self._held = []
        self._framer.stop()

    def go_on(self) -> None:
        """Read what was held back."""
        held, self._held = self._held, None
        if self._paused:
            self._paused = False
            self.connection.resume()
        if held and not self._feeding:
            self.data_received(b"".join(held))

    def connection_lost(self) -> None:
        """Note that the connection is gone."""
        self._close()

    def time_out(self) -> None:
        """Note that the negotiation has taken too long."""
        self.end(StreamError("connection-timeout", "The handshake has taken too long"))

    # -- to the connection ----------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue one element for the component."""
        if self.state is not State.CLOSED:
            self.connection.write(data)

    def end(self, error: StreamError | None = None) -> None:
        """Close the stream, with an error when one is given."""
        if self.state is State.CLOSED:
            return
        if error is not None:
            metrics.stream_errors[error.condition] += 1
            log.info("stream-error", address=self.address, condition=error.condition, text=error.text)
            if self.state is State.OPENING:
                self.write_header(None)
            self.write(error.encode())
        self._close()
        self.connection.close_stream()

    def _close(self) -> None:
        """Take and write nothing any more; the domains have no stream now."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._framer.reset()
        negotiation, self.negotiation = self.negotiation, None
        if negotiation is not None:
            negotiation.abort()
        for domain in list(self.services):
            self.detach(domain)

    def restart(self) -> None:
        """Expect a new stream header."""
        self.state = State.OPENING
        self._framer.reset()

    def encrypt(self, proceed: bytes, domain: str | None) -> None:
        """Begin TLS behind ``proceed``; a new stream begins in it."""
        self.restart()
        self._encrypting = True
        self.connection.write(proceed)
        self.connection.start_tls(domain)

    # -- domains --------------------------------------------------------------------------------

    def attach(self, domain: str, below_hosts: bool = False) -> None:
        """Serve a domain from here on; raises `StreamError` when something else does."""
        self.services[domain] = self.components.attach(self, domain, self.listener, below_hosts)
        log.info("component-connected", domain=domain, address=self.address, secure=self.secure)

    def detach(self, domain: str) -> None:
        """Serve a domain no more."""
        service = self.services.pop(domain)
        if service.stream is self:
            service.vacate()
            self.components.gone(domain, self._below_hosts)
        log.info("component-gone", domain=domain, address=self.address)

    def opened(self) -> None:
        """Note that the component has shown who it is, and has a domain."""
        self.state = State.OPEN
        self._framer.max_stanza_bytes = self.settings.max_stanza_bytes
        self.connection.authenticated()

    # -- from the framer -------------------------------------------------------------------------

    def stream_opened(self, header: StreamHeader) -> None:
        """Answer a stream header with ours."""
        if header.ns == NS_CLIENT:
            self.ns = NS_CLIENT
            if self.negotiation is None:
                self.negotiation = Negotiation(self)
            self.negotiation.header_received(header)
            self.state = State.NEGOTIATING
            return
        if header.ns != NS_COMPONENT or self.negotiation is not None:
            raise StreamError("invalid-namespace", f"A component's stream has the namespace {NS_COMPONENT}")
        if self.settings.tls == "required" and not self.secure:
            raise StreamError("policy-violation", "Components need TLS here, which XEP-0225 begins")
        self._wanted = prepared(header.attrs.get("to"))
        self._below_hosts = header.attrs.get("is_subdomain") == "true"
        if self.components.secret(self._wanted, self.listener) is None:
            raise StreamError("host-unknown", "There is no such component")
        self.write_header(self._wanted)
        self.state = State.HANDSHAKE

    def write_header(self, domain: str | None, to: str | None = None) -> None:
        """Write a stream header in the name of a domain."""
        self._id = secrets.token_urlsafe(STREAM_ID_BYTES)
        attrs = {"xmlns": self.ns, "id": self._id}
        if domain is not None:
            attrs["from"] = domain
        if to is not None:
            attrs["to"] = to
        if self.ns == NS_CLIENT:
            attrs |= {"version": "1.0", "xml:lang": self.settings.language}
        self.connection.open_stream(attrs)

    def stream_closed(self) -> None:
        """Close, since the component says good-bye."""
        self.end()

    def stanza_received(self, stanza: Stanza) -> None:
        """Take a top-level element; raises `StreamError`."""
        if self.state is State.OPEN and stanza.ns == NS_CLIENT and stanza.name in STANZAS:
            self._acks.note(self._take(stanza))
        elif self.state is State.OPEN and self._acks.takes(stanza):
            return
        elif (stanza.ns, stanza.name) == (NS_STREAM, "error"):
            # An error is no answer to that (RFC 6120 section 4.9.1.1).
            self.end()
        elif self.state is State.HANDSHAKE:
            self._shake_hands(stanza)
        elif self.negotiation is not None:
            self.negotiation.take(stanza)
        else:
            raise StreamError("unsupported-stanza-type")

    def _shake_hands(self, stanza: Stanza) -> None:
        """Check the handshake (XEP-0114 section 3); raises `StreamError`."""
        if (stanza.ns, stanza.name) != (NS_CLIENT, "handshake"):
            raise StreamError("not-authorized", "A handshake comes first")
        secret = self.components.secret(self._wanted, self.listener)
        expected = hashlib.sha1(f"{self._id}{secret}".encode()).hexdigest()
        if secret is None or not hmac.compare_digest(stanza.text.strip().lower().encode(), expected.encode()):
            metrics.login_failures["component"] += 1
            raise StreamError("not-authorized", "The handshake is wrong")
        self.attach(self._wanted, self._below_hosts)
        self.opened()
        self.write(element("handshake"))
        self.components.connected(self._wanted, self._below_hosts)

    # -- stanzas ---------------------------------------------------------------------------------

    def _take(self, stanza: Stanza) -> Deferred[Any] | None:
        """Route a stanza; raises `StreamError` for one that may not be from here.

        Gives what fires when all is done that it asks for, None when that is so.
        """
        if self.negotiation is not None and self.negotiation.takes(stanza):
            return None
        metrics.component_stanzas[stanza.name] += 1
        attrs = stanza.attrs
        sender = attrs.get("from")
        if sender is None:
            if self.ns == NS_COMPONENT or len(self.services) != 1:
                raise StreamError("improper-addressing", "A component's stanza says whom it is from")
            sender = attrs["from"] = next(iter(self.services))
        try:
            parsed = jid.parse(sender)
        except jid.InvalidJID as error:
            raise StreamError("improper-addressing", str(error)) from None
        if parsed.domain not in self.services and not self._is_allowed(parsed.domain):
            raise StreamError("invalid-from", "This stream is not for stanzas of that domain")
        attrs["from"] = parsed.full
        if "to" not in attrs:
            self._inbound.refuse(
                stanza, StanzaError("bad-request", "A component's stanza says whom it is for")
            )
            return None
        return self._inbound.take(stanza)

    def _is_allowed(self, domain: str) -> bool:
        """Tell whether stanzas may be from a domain that the stream did not name itself."""
        if not self.listener.check_from:
            return True
        found = self.components.router.find(domain) if self._below_hosts else None
        return found is not None and found is self.services.get(self._wanted)


def prepared(domain: str | None) -> str:
    """Prepare a domain of a stream header; raises `StreamError`."""
    if domain is None:
        raise StreamError("improper-addressing", "The stream header does not name the component")
    try:
        return jid.prepare_domain(domain)
    except jid.InvalidJID as error:
        raise StreamError("improper-addressing", str(error)) from None
