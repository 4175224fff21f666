"""Streams that we open to other servers (RFC 6120, XEP-0178, 0220, 0288), for one of our domains first."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred

from palaver import metrics
from palaver.errors import StanzaError, StreamError
from palaver.framing import NS_STREAM, StreamHeader
from palaver.log import Log
from palaver.markup import element
from palaver.stanza import Stanza
from palaver.streams.received import Received
from palaver.streams.s2s import dialback
from palaver.streams.s2s.dialback import NS_DIALBACK, NS_DIALBACK_FEATURE
from palaver.streams.s2s.stream import (
    COMMON,
    NS_BIDI,
    NS_BIDI_FEATURE,
    NS_LIMITS,
    NS_SASL,
    NS_TLS,
    ServerStream,
    State,
    addresses,
    has_version,
    prepared,
)
from palaver.streams.s2s.traffic import MAX_DIGITS, NS_SM

if TYPE_CHECKING:
    from palaver.streams.s2s.federation import Federation

log = Log("s2s")

_FEATURES = ((NS_STREAM, "features"),)
_TLS_ANSWERS = ((NS_TLS, "proceed"), (NS_TLS, "failure"))
_SASL_ANSWERS = ((NS_SASL, "success"), (NS_SASL, "failure"))


class Unreachable(Exception):
    """No stream comes about; ``error`` is for whoever has sent something, and names no domain."""

    def __init__(self, error: StanzaError) -> None:
        super().__init__(error.condition, error.text)
        self.error = error


def timed_out(text: str) -> Unreachable:
    """Give what there is when a server was found and no stream came about."""
    return Unreachable(StanzaError("remote-server-timeout", text))


class OutgoingStream(ServerStream):
    """A stream over which we send to another server, and with XEP-0288 it to us.

    ``established`` fires once what we send for ``local`` is taken; it fails with `Unreachable`.
    """

    direction = "out"
    local: str
    remote: str

    def __init__(
        self, connection: Any, federation: Federation, local: str, remote: str, direct: bool
    ) -> None:
        super().__init__(connection, federation)
        self.local = local
        self.remote = remote
        self.established: Deferred[None] = Deferred()
        # True while elements of dialback may be written.
        self.open_for_dialback = False
        # True once the peer has said that it takes further domains of ours over the same stream.
        self.takes_more = False
        self._direct = direct
        self._external = False
        # What the peer may send as the next step, as named in `steps`.
        self._next: tuple[tuple[str, str], ...] = ()
        self._offers_dialback = False
        # Domains of ours whose keys the peer has, until it answers.
        self._shown: dict[str, Deferred[None]] = {}
        # Keys that the peer is asked about, by its stream's id and our domain.
        self._checks: dict[tuple[str, str], Deferred[bool]] = {}

    # -- the beginning ---------------------------------------------------------------------

    def begin(self) -> None:
        """See ServerStream."""
        if self._direct:
            self.connection.start_tls()
        else:
            self._write_header()

    def tls_side(self, tls: Any) -> Any:
        """See ServerStream."""
        return tls.for_client(self.local, self.remote, self._direct)

    def open_header(self) -> None:
        """See ServerStream; our header is out already, unless TLS has only just come up."""

    def _write_header(self) -> None:
        attrs = {"from": self.local, "to": self.remote, "version": "1.0", "xml:lang": "en"}
        self.connection.open_stream(attrs)

    def encrypted(self) -> None:
        """Look at the certificate before anything that shows more than our name."""
        super().encrypted()
        self._write_header()
        if self.fault is not None and self.federation.policy.needs_certificate(self.remote):
            self.end(StreamError("not-authorized", f"Your server's certificate {self.fault}"))

    def header_received(self, header: StreamHeader) -> None:
        """Note the stream's id, without which there is no dialback."""
        sender = prepared(header.attrs.get("from"))
        if sender is not None and sender != self.remote:
            raise StreamError("invalid-from", "The stream is for another domain")
        self.id = header.attrs.get("id", "")
        if not self.id:
            raise StreamError("undefined-condition", "The stream has no id")
        self.state = State.OPEN
        self._next = _FEATURES
        if not has_version(header):
            # From before there were features; dialback was all there was.
            if self.federation.policy.needs_tls(self.remote) and not self.secure:
                raise StreamError("policy-violation", "TLS is demanded")
            self._next = ()
            self._offers_dialback = NS_DIALBACK in header.prefixes.values()
            self._dial_back()

    def _step(self, stanza: Stanza) -> None:
        """Note that the peer has taken the next step; raises `StreamError` when it is none."""
        if (stanza.ns, stanza.name) not in self._next:
            raise StreamError("unsupported-stanza-type", f"<{stanza.name}/> does not belong here")
        self._next = ()

    # -- features ------------------------------------------------------------------------------

    def _features(self, stanza: Stanza) -> None:
        """Take the next step that the peer offers."""
        self._step(stanza)
        policy = self.federation.policy
        if not self.secure and policy.offers_tls:
            if stanza.has(NS_TLS, "starttls") or policy.needs_tls(self.remote):
                # It is tried even where somebody on the way may have taken the offer away.
                self.write(element("starttls", NS_TLS))
                self._next = _TLS_ANSWERS
                return
        elif not self.secure and policy.needs_tls(self.remote):
            raise StreamError("policy-violation", "TLS is demanded")
        self._note(stanza)
        if self._external:
            self._establish("external", stanza.has(NS_SM, "sm"))
            return
        if self.fault is None and stanza.has(NS_BIDI_FEATURE, "bidi"):
            self.bidi = True
            self.write(element("bidi", NS_BIDI))
        if self.secure and "EXTERNAL" in _mechanisms(stanza):
            identity = base64.b64encode(self.local.encode())
            self.write(element("auth", NS_SASL, identity, mechanism="EXTERNAL"))
            self._next = _SASL_ANSWERS
        else:
            self._dial_back()

    def _note(self, features: Stanza) -> None:
        """Note what the peer takes."""
        offer = features.child(NS_DIALBACK_FEATURE, "dialback")
        self._offers_dialback = offer is not None
        self.takes_more = offer is not None and next(offer.elements(), None) is not None
        said = features.child(NS_LIMITS, "limits")
        size = next((str(node) for node in said.elements() if node.name == "max-bytes"), "") if said else ""
        if size.isascii() and size.isdecimal() and len(size) <= MAX_DIGITS:
            self.outbound.max_bytes = int(size)

    def _proceed(self, stanza: Stanza) -> None:
        self._step(stanza)
        self.start_tls()

    def _no_tls(self, stanza: Stanza) -> None:
        raise StreamError("policy-violation", "TLS is demanded")

    def _logged_in(self, stanza: Stanza) -> None:
        self._step(stanza)
        self._external = True
        self.restart()
        self._write_header()

    def _not_logged_in(self, stanza: Stanza) -> None:
        """Show by DNS who we are when our certificate does not do."""
        self._step(stanza)
        self._dial_back()

    # -- dialback --------------------------------------------------------------------------------

    def _dial_back(self) -> None:
        if not self._offers_dialback or not self.federation.policy.dialback:
            raise StreamError("unsupported-feature", "There is no way to show who we are")
        self.open_for_dialback = True
        self._show(self.local).addCallbacks(
            lambda _: self._establish("dialback", False), lambda failure: self._refused(failure.value)
        )
        self.federation.may_check(self)

    def _show(self, local: str) -> Deferred[None]:
        key = self.federation.keys.make(self.remote, local, self.id)
        shown = self._shown[local] = Deferred()
        self.write(dialback.result(local, self.remote, key))
        return shown

    def speak_for(self, local: str) -> Deferred[None]:
        """Have another domain of ours taken over the same stream; fails with `Unreachable`."""
        metrics.s2s_streams["out-shared"] += 1
        return self._show(local)

    def _refused(self, error: Exception) -> None:
        if self.is_open and isinstance(error, Unreachable):
            self._fail(error)
            self.end()

    def _answered(self, stanza: Stanza) -> None:
        """Take the answer to a key of ours (XEP-0220 section 2.1.3)."""
        remote, local = addresses(stanza)
        shown = self._shown.pop(local, None) if remote == self.remote else None
        if shown is None or stanza.type is None:
            raise StreamError("invalid-id" if stanza.type is not None else "unsupported-stanza-type")
        if stanza.type == "valid":
            shown.callback(None)
        else:
            shown.errback(timed_out("The other server does not believe who we are"))

    def check(self, local: str, stream_id: str, key: str) -> Deferred[bool]:
        """Ask whether a key is the peer's (XEP-0220 section 2.1.2); fails with `Unreachable`."""
        asked = self._checks.get((stream_id, local))
        if asked is not None:
            asked.errback(timed_out("The same was asked again"))

        def forget(cancelled: Deferred[bool]) -> None:
            if self._checks.get((stream_id, local)) is cancelled:
                del self._checks[stream_id, local]

        waiting = self._checks[stream_id, local] = Deferred(forget)
        self.write(dialback.verify(local, self.remote, stream_id, key))
        return waiting

    def _verified(self, stanza: Stanza) -> None:
        """Take the answer about a key, when it was asked for over this stream."""
        if stanza.type is None:
            self._ask_verified(stanza)
            return
        remote, local = addresses(stanza)
        pair = (stanza.attrs.get("id", ""), local)
        waiting = self._checks.pop(pair, None) if remote == self.remote else None
        if waiting is None:
            log.info("unasked-answer", address=self.address, remote=self.remote)
        elif stanza.type in ("valid", "invalid"):
            waiting.callback(stanza.type == "valid")
        else:
            waiting.errback(timed_out("The other server does not answer for its key"))

    # -- in use, and the end ---------------------------------------------------------------------------

    def _establish(self, how: str, managed: bool) -> None:
        """Send from here on what was waiting."""
        self.open_for_dialback = True
        if self.bidi:
            self.inbound.domains.add(self.remote)
        if managed:
            self.write(element("enable", NS_SM))
            self.outbound.manage()
        self.trust()
        metrics.s2s_streams[f"out-{how}"] += 1
        log.info(
            "s2s-connected",
            remote=self.remote,
            local=self.local,
            by=how,
            secure=self.secure,
            address=self.address,
        )
        self.established.callback(None)
        self.federation.may_check(self)

    def _managed(self, stanza: Stanza) -> None:
        if self.outbound.managed and self.inbound.received is None:
            self.inbound.received = Received()

    def _not_managed(self, stanza: Stanza) -> None:
        if self.inbound.received is None:
            self.outbound.close()

    def fell_silent(self, quiet: float) -> float | None:
        """See ServerStream; one over which nothing is sent any more is closed."""
        idle: float = self.connection.factory.settings.idle_s
        if self.was_used() or self._checks or not all(shown.called for shown in self._shown.values()):
            return idle
        log.info("s2s-idle", remote=self.remote, local=self.local)
        self.end()
        return None

    def _fail(self, error: Unreachable) -> None:
        if not self.established.called:
            self.established.errback(error)

    def ended(self, unacked: list[Stanza], error: StreamError | None) -> None:
        """See ServerStream."""
        gone = timed_out("The stream to the other server has ended")
        self._fail(gone if error is None else timed_out(f"No stream to the other server: {error.condition}"))
        waiting: list[Deferred[Any]] = [*self._checks.values(), *self._shown.values()]
        for answer in waiting:
            answer.errback(gone)
        self._checks.clear()
        self._shown.clear()
        self.federation.lost(self, unacked)

    steps: ClassVar[dict[tuple[str, str], Callable[[Any, Stanza], None]]] = {
        **COMMON,
        (NS_STREAM, "features"): _features,
        (NS_TLS, "proceed"): _proceed,
        (NS_TLS, "failure"): _no_tls,
        (NS_SASL, "success"): _logged_in,
        (NS_SASL, "failure"): _not_logged_in,
        (NS_DIALBACK, "result"): _answered,
        (NS_DIALBACK, "verify"): _verified,
        (NS_SM, "enabled"): _managed,
        (NS_SM, "failed"): _not_managed,
    }


def _mechanisms(features: Stanza) -> list[str]:
    offered = features.child(NS_SASL, "mechanisms")
    return (
        [str(node) for node in offered.elements() if node.name == "mechanism"] if offered is not None else []
    )
