"""XEP-0225: components that log in by SASL, with TLS, and bind any number of domains to one stream."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from palaver import jid
from palaver.auth.accounts import Credentials
from palaver.auth.keys import HASHES, SALT_BYTES, derive
from palaver.auth.sasl import Authenticator, AuthSettings, Facts
from palaver.errors import StanzaError, StreamError
from palaver.framing import StreamHeader
from palaver.markup import element, escape
from palaver.settings import ComponentListener
from palaver.stanza import NS_CLIENT, Stanza
from palaver.streams.components.acks import FEATURE
from palaver.streams.features import NS_SASL, NS_TLS
from palaver.streams.sasl import StreamLogin, decode_base64

if TYPE_CHECKING:
    from palaver.streams.components.directory import Directory
    from palaver.streams.components.stream import ComponentStream

NS_BIND = "urn:xmpp:component:0"

MECHANISMS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN")
# The least that RFC 7677 allows: a component's secret is no word that somebody could guess.
ITERATIONS = 4096
# Domains of one stream; far more than any gateway has.
MAX_DOMAINS = 1000


class SecretAccounts:
    """The components of a listener as accounts, whose names are domains and whose passwords are secrets."""

    hashes = ("sha-256",)

    def __init__(self, components: Directory, listener: ComponentListener, salt: bytes) -> None:
        self._components = components
        self._listener = listener
        self._salt = salt

    def _secret(self, name: str) -> str | None:
        try:
            return self._components.secret(jid.prepare_domain(name), self._listener)
        except jid.InvalidJID:
            return None

    async def _credentials(self, name: str) -> Credentials | None:
        secret = self._secret(name)
        if secret is None:
            return None
        hash_ = HASHES["sha-256"]
        return Credentials(
            {
                hash_.name: await self._components.in_thread(
                    derive, secret.encode(), hash_, self._salt, ITERATIONS
                )
            }
        )

    def credentials(self, local: str) -> Deferred[Credentials | None]:
        """See IAccounts."""
        return Deferred.fromCoroutine(self._credentials(local))

    def check_password(self, local: str, password: str) -> Deferred[bool]:
        """See IAccounts."""
        secret = self._secret(local)
        return succeed(secret is not None and hmac.compare_digest(secret.encode(), password.encode()))


class _Login(StreamLogin):
    """A component's attempts to log in."""

    __slots__ = ("_negotiation",)

    def __init__(self, stream: Any, negotiation: Negotiation) -> None:
        super().__init__(stream)
        self._negotiation = negotiation

    def _take(self, nonza: Stanza) -> None:
        if nonza.name != "auth" or self._exchange is not None:
            super()._take(nonza)
            return
        exchange = self._negotiation.authenticator.begin(
            nonza.attrs.get("mechanism", ""), self._negotiation.facts()
        )
        text = nonza.text
        self._step(exchange, (b"" if text == "=" else decode_base64(text)) if text else None)


class Negotiation:
    """The steps of one stream until it has a domain, and those by which it gets more."""

    def __init__(self, stream: ComponentStream) -> None:
        self.stream = stream
        # The domain that has logged in, prepared.
        self.known: str | None = None
        self._offered: tuple[str, ...] = ()
        # The host that speaks, once the stream header has named it.
        self._host: str | None = None
        self._login: _Login | None = None
        salt = secrets.token_bytes(SALT_BYTES)
        accounts: Any = SecretAccounts(stream.components, stream.listener, salt)
        self.authenticator = Authenticator(
            accounts,
            AuthSettings(salt, MECHANISMS, stream.listener.tls == "off", iterations=ITERATIONS),
        )

    def abort(self) -> None:
        """Give up, since the stream has ended."""
        if self._login is not None:
            self._login.abort()

    def facts(self) -> Facts:
        """Give what SASL needs to know of the connection."""
        connection = self.stream.connection
        return Facts(self._host or "", connection.secure, connection.bindings(), None, self._offered)

    # -- the stream header and the features ---------------------------------------------------

    def header_received(self, header: StreamHeader) -> None:
        """Answer the stream header with ours and the features; raises `StreamError`."""
        to = header.attrs.get("to")
        if to is None:
            raise StreamError("improper-addressing", "The stream header has no to")
        try:
            host = jid.prepare_domain(to)
        except jid.InvalidJID as error:
            raise StreamError("improper-addressing", str(error)) from None
        if self._host not in (None, host) or not self.stream.components.router.serves(host):
            raise StreamError("host-unknown")
        self._host = host
        self.stream.write_header(host, header.attrs.get("from"))
        self.stream.write(element("stream:features", None, self._features()))

    def _features(self) -> bytes:
        stream = self.stream
        if self.known is not None:
            return element("bind", NS_BIND, element("required")) + FEATURE
        tls = b""
        if not stream.secure and stream.settings.tls in ("optional", "required"):
            required = stream.settings.tls == "required"
            tls = element("starttls", NS_TLS, element("required") if required else b"")
            if required:
                return tls
        self._offered = self.authenticator.mechanisms(self.facts())
        names = b"".join(element("mechanism", None, name.encode()) for name in self._offered)
        return tls + element("mechanisms", NS_SASL, names)

    # -- its elements -----------------------------------------------------------------------------

    def take(self, nonza: Stanza) -> None:
        """Take an element of the negotiation; raises `StreamError`."""
        stream = self.stream
        if (nonza.ns, nonza.name) == (NS_TLS, "starttls") and self.known is None:
            self._start_tls()
        elif nonza.ns == NS_SASL and self.known is None:
            if stream.settings.tls == "required" and not stream.secure:
                raise StreamError("policy-violation", "TLS comes first")
            if self._login is None:
                self._login = _Login(_Side(self), self)
            self._login.receive(nonza)
        elif self.known is None or not self.takes(nonza):
            raise StreamError("not-authorized", "Log in and bind a domain first")

    def _start_tls(self) -> None:
        stream = self.stream
        if stream.secure or stream.settings.tls not in ("optional", "required"):
            stream.write(element("failure", NS_TLS))
            raise StreamError("policy-violation", "There is no TLS to start here")
        self._login = None
        stream.encrypt(element("proceed", NS_TLS), self._host)

    # -- domains -----------------------------------------------------------------------------------

    def takes(self, iq: Stanza) -> bool:
        """Answer a request to bind or to unbind a domain (section 4); False for any other stanza."""
        if iq.payload not in ((NS_BIND, "bind"), (NS_BIND, "unbind")) or iq.ns != NS_CLIENT:
            return False
        if (iq.name, iq.type) != ("iq", "set"):
            return False
        try:
            answer = self._bind(iq) if iq.payload[1] == "bind" else self._unbind(iq)
        except StanzaError as error:
            answer = iq.error(error)
        self.stream.write(answer.encode())
        if answer.type == "result" and iq.payload[1] == "bind":
            self.stream.components.connected(_hostname(iq))
        return True

    def _bind(self, iq: Stanza) -> Stanza:
        stream, domain = self.stream, _hostname(iq)
        if domain in stream.services:
            raise StanzaError("conflict", "This domain is bound already")
        if len(stream.services) >= MAX_DOMAINS:
            raise StanzaError("resource-constraint", f"A stream has at most {MAX_DOMAINS} domains")
        own = stream.components.secret(self.known or "", stream.listener)
        if own is None or not stream.components.may_bind(domain, own, stream.listener):
            raise StanzaError("not-allowed", "This domain is not yours")
        try:
            stream.attach(domain)
        except StreamError as error:
            raise StanzaError("conflict", error.text) from None
        if stream.state.value != "open":
            stream.opened()
        return iq.result(element("bind", NS_BIND, element("hostname", None, escape(domain))))

    def _unbind(self, iq: Stanza) -> Stanza:
        domain = _hostname(iq)
        if domain not in self.stream.services:
            raise StanzaError("item-not-found", "This domain is not bound")
        self.stream.detach(domain)
        return iq.result()


class _Side:
    """What a login sees of the stream of a component."""

    login = None

    def __init__(self, negotiation: Negotiation) -> None:
        stream = negotiation.stream
        self._negotiation = negotiation
        self.address = stream.address
        self.settings = stream.settings
        self.hold, self.go_on = stream.hold, stream.go_on
        self.write, self.end, self.restart = stream.write, stream.end, stream.restart

    def logged_in(self, local: str, documents: object) -> None:
        """Note who it is."""
        self._negotiation.known = jid.prepare_domain(local)


def _hostname(iq: Stanza) -> str:
    """Give the domain that a request is about, prepared; raises `StanzaError`."""
    node = iq.element.firstChildElement()
    hostname = next(node.elements(NS_BIND, "hostname"), None)
    try:
        return jid.prepare_domain(str(hostname or ""))
    except jid.InvalidJID as error:
        raise StanzaError("bad-request", str(error)) from None
