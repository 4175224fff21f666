"""Streams that other servers open (RFC 6120, XEP-0178, 0220, 0288): who they are, and what they may send."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from palaver import metrics
from palaver.errors import NS_STANZAS, StanzaError, StreamError
from palaver.framing import StreamHeader
from palaver.log import Log
from palaver.markup import element
from palaver.routing.failures import failed
from palaver.stanza import Stanza
from palaver.streams.received import Received
from palaver.streams.s2s import dialback
from palaver.streams.s2s.dialback import MAX_PENDING, NS_DIALBACK, NS_DIALBACK_FEATURE
from palaver.streams.s2s.stream import (
    COMMON,
    NS_BIDI,
    NS_BIDI_FEATURE,
    NS_SASL,
    NS_TLS,
    ServerStream,
    State,
    addresses,
    has_version,
    limits,
    prepared,
)
from palaver.streams.s2s.traffic import NS_SM
from palaver.streams.tls import ALPN_SERVER

log = Log("s2s")

STREAM_ID_BYTES = 18
MAX_AUTH_ATTEMPTS = 3
# Domains for which one stream may speak: those of a large service provider.
MAX_DOMAINS = 1000


class _Refused(Exception):
    """A SASL attempt fails; the argument is the condition (RFC 6120 section 6.5)."""


class IncomingStream(ServerStream):
    """A stream over which another server sends to us, and with XEP-0288 we to it."""

    direction = "in"

    def __init__(self, connection: Any, federation: Any) -> None:
        super().__init__(connection, federation)
        self._offers_external = False
        self._attempts = 0
        # The domains whose keys are being looked at.
        self._asked: dict[tuple[str, str], Deferred[None]] = {}
        # Proved by SASL; the stream is still to begin anew.
        self._external = False

    def ended(self, unacked: list[Stanza], error: StreamError | None) -> None:
        """See ServerStream; whether a key was good matters to nobody any more."""
        for asking in list(self._asked.values()):
            asking.cancel()
        self.federation.lost(self, unacked)

    # -- headers ---------------------------------------------------------------------------

    def tls_side(self, tls: Any) -> Any:
        """See ServerStream."""
        return tls.for_server(self.local, ALPN_SERVER)

    def open_header(self) -> None:
        """See ServerStream; each header has another id (RFC 6120 section 4.7.3)."""
        self.id = secrets.token_urlsafe(STREAM_ID_BYTES)
        attrs = {"id": self.id, "version": "1.0", "xml:lang": "en"}
        if self.local is not None:
            attrs["from"] = self.local
        if self.remote is not None:
            attrs["to"] = self.remote
        self.connection.open_stream(attrs)
        self.state = State.OPEN

    def header_received(self, header: StreamHeader) -> None:
        """Answer a header with ours and the features."""
        sender, to = prepared(header.attrs.get("from")), prepared(header.attrs.get("to"))
        for known, named in ((self.remote, sender), (self.local, to)):
            if known is not None and named is not None and named != known:
                raise StreamError("improper-addressing", "A restarted stream is for the same domains")
        self.remote, self.local = sender or self.remote, to or self.local
        self.open_header()
        self._check_names()
        if self.remote is not None and self.secure:
            self.judge(self.remote)
            self._check_certificate(self.remote)
        if has_version(header):
            self.write(self._features())
        elif self.federation.policy.needs_tls(self.remote or ""):
            raise StreamError("unsupported-version", "This server speaks XMPP 1.0")
        if self._external:
            self._external = False
            self.federation.carries(self)

    def _check_names(self) -> None:
        """Refuse domains that may not speak, or be spoken to; raises `StreamError`."""
        serves, policy = self.federation.router.serves, self.federation.policy
        if self.local is not None and not serves(self.local):
            raise StreamError("host-unknown")
        if self.remote is None:
            return
        if serves(self.remote):
            raise StreamError("undefined-condition", "That domain is served here")
        if not policy.allows(self.remote):
            raise StreamError("policy-violation", "This server does not speak to yours")

    def _check_certificate(self, domain: str) -> None:
        """Refuse a bad certificate where a good one is demanded, so that the other side can read why."""
        fault = self.fault if domain == self.remote else self.judge(domain)
        if fault is not None and self.federation.policy.needs_certificate(domain):
            raise StreamError("not-authorized", f"Your server's certificate {fault}")

    # -- features --------------------------------------------------------------------------

    def _features(self) -> bytes:
        policy, remote = self.federation.policy, self.remote or ""
        parts = []
        if not self.secure and policy.offers_tls:
            required = policy.needs_tls(remote)
            parts.append(element("starttls", NS_TLS, element("required") if required else b""))
            if required:
                return self._encode(parts)
        if not self.inbound.domains:
            named = self.remote is not None and self.local is not None
            self._offers_external = self.secure and named and self.fault is None
            if self._offers_external:
                name = element("mechanism", None, b"EXTERNAL")
                parts.append(element("mechanisms", NS_SASL, name))
            if self.secure:
                parts.append(element("bidi", NS_BIDI_FEATURE))
        else:
            parts.append(element("sm", NS_SM))
        if policy.dialback:
            parts.append(element("dialback", NS_DIALBACK_FEATURE, element("errors")))
        if not parts:
            raise StreamError("undefined-condition", "There is no way to show who you are")
        return self._encode(parts)

    def _encode(self, parts: list[bytes]) -> bytes:
        settings = self.federation.settings
        parts.append(limits(settings.max_stanza_bytes, self.connection.factory.settings.idle_s))
        return b"<stream:features>%b</stream:features>" % b"".join(parts)

    # -- TLS, SASL, bidi, stream management -------------------------------------------------------

    def _tls_wanted(self, stanza: Stanza) -> None:
        begun = self.inbound.domains or self._asked
        if self.secure or begun or not self.federation.policy.offers_tls:
            self.write(element("failure", NS_TLS))
            raise StreamError("policy-violation", "There is no TLS to start here")
        # Whoever asks in the clear may be somebody else.
        self.connection.write(element("proceed", NS_TLS))
        self.start_tls()

    def _log_in(self, stanza: Stanza) -> None:
        """Take SASL EXTERNAL (XEP-0178 section 3)."""
        try:
            self._check_external(stanza)
        except _Refused as refused:
            self._attempts += 1
            self.write(element("failure", NS_SASL, element(str(refused))))
            if self._attempts >= MAX_AUTH_ATTEMPTS:
                raise StreamError("policy-violation", "Too many failed logins") from None
            return
        assert self.remote is not None
        self.write(element("success", NS_SASL))
        self.restart()
        self._external = True
        self._proved(self.remote, "external")

    def _check_external(self, stanza: Stanza) -> None:
        if stanza.attrs.get("mechanism") != "EXTERNAL":
            raise _Refused("invalid-mechanism")
        if not self.secure:
            raise _Refused("encryption-required")
        if self.inbound.domains or self.remote is None or self.local is None:
            raise _Refused("not-authorized")
        text = stanza.text
        if not text:
            raise _Refused("malformed-request")
        try:
            identity = b"" if text == "=" else base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise _Refused("incorrect-encoding") from None
        if identity and identity != self.remote.encode():
            raise _Refused("invalid-authzid")
        if not self._offers_external or self.judge(self.remote) is not None:
            raise _Refused("not-authorized")

    def _two_ways(self, stanza: Stanza) -> None:
        """Note that we may answer over this stream (XEP-0288); only before the other side is known."""
        if self.inbound.domains or not self.secure:
            raise StreamError("policy-violation", "Too late for a stream of both directions")
        self.bidi = True

    def _manage(self, stanza: Stanza) -> None:
        """Count stanzas (XEP-0198); nothing is resumed."""
        if not self.inbound.domains or self.inbound.received is not None:
            self.write(element("failed", NS_SM, element("unexpected-request", NS_STANZAS)))
            return
        self.inbound.received = Received()
        self.write(element("enabled", NS_SM))
        self.outbound.manage()

    # -- dialback -----------------------------------------------------------------------------

    def _key_shown(self, stanza: Stanza) -> None:
        """Have a key looked at by whoever answers for the domain (XEP-0220 section 2.1.1)."""
        if stanza.type is not None:
            # An answer, as if we had shown a key over a stream that is not ours.
            raise StreamError("invalid-from", "Nothing was asked over this stream")
        remote, local = addresses(stanza)
        pair = (remote, local)
        if pair in self._asked:
            return
        refusal = self._refusal(remote, local)
        if refusal is not None:
            self.write(dialback.answer("result", local, remote, refusal))
            return
        if self.remote is None or self.local is None:
            self.remote, self.local = self.remote or remote, local
        # The answer may be there at once.
        begin: Deferred[None] = Deferred()
        begin.addCallback(lambda _: Deferred.fromCoroutine(self._look_at(remote, local, stanza.text)))
        self._asked[pair] = begin
        begin.addErrback(self._not_looked_at)
        begin.callback(None)

    def _not_looked_at(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            failed("s2s", failure)

    def _refusal(self, remote: str, local: str) -> StanzaError | None:
        """Say why a key is not looked at; raises `StreamError` when nobody else depends on the stream."""
        policy, serves = self.federation.policy, self.federation.router.serves
        fault = self.judge(remote) if policy.needs_certificate(remote) else None
        checks = (
            (not policy.dialback, "not-allowed", "policy-violation", "Dialback is not spoken here"),
            (not serves(local), "item-not-found", "host-unknown", None),
            (serves(remote), "not-allowed", "invalid-from", "That domain is served here"),
            (not policy.allows(remote), "policy-violation", "policy-violation", "Not with that domain"),
            (
                policy.needs_tls(remote) and not self.secure,
                "policy-violation", "policy-violation", "TLS is demanded",
            ),
            (fault is not None, "not-authorized", "not-authorized", f"Your server's certificate {fault}"),
        )  # fmt: skip
        for wrong, condition, ending, text in checks:
            if wrong and not self.inbound.domains:
                raise StreamError(ending, text)
            if wrong:
                return StanzaError(condition, text)
        if len(self._asked) >= MAX_PENDING or len(self.inbound.domains) >= MAX_DOMAINS:
            return StanzaError("resource-constraint")
        return None

    async def _look_at(self, remote: str, local: str, key: str) -> None:
        outcome: bool | StanzaError
        try:
            outcome = await self.federation.check(local, remote, self.id, key)
        except StanzaError as error:
            outcome = error
        del self._asked[remote, local]
        if self.federation.router.serves(remote):
            outcome = StanzaError("not-allowed", "That domain is served here")
        if outcome is True:
            self._proved(remote, "dialback")
        # Before anything that we send over the stream ourselves.
        self.write(dialback.answer("result", local, remote, outcome))
        if outcome is True and remote == self.remote:
            self.federation.carries(self)
        elif not self._asked and not self.inbound.domains:
            self.end(StreamError("not-authorized", "It is not shown who you are"))

    def _proved(self, domain: str, how: str) -> None:
        """Take stanzas of a domain from here on."""
        self.inbound.domains.add(domain)
        self.trust()
        metrics.s2s_streams[f"in-{how}"] += 1
        log.info(
            "s2s-accepted", remote=domain, local=self.local, by=how, secure=self.secure, address=self.address
        )

    steps: ClassVar[dict[tuple[str, str], Callable[[Any, Stanza], None]]] = {
        **COMMON,
        (NS_TLS, "starttls"): _tls_wanted,
        (NS_SASL, "auth"): _log_in,
        (NS_BIDI, "bidi"): _two_ways,
        (NS_SM, "enable"): _manage,
        (NS_DIALBACK, "result"): _key_shown,
    }
