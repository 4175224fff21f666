"""SASL on a stream (RFC 6120 section 6): elements to and from `palaver.auth.sasl`."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from palaver import metrics
from palaver.auth.sasl import Challenge, SaslFailure, Success
from palaver.errors import StorageError, StreamError
from palaver.log import Log
from palaver.markup import element, escape
from palaver.routing.failures import failed
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.auth.sasl import Exchange
    from palaver.streams.c2s import ClientStream

log = Log("c2s")

NS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"


class StreamLogin:
    """The attempts of one stream to log in; it lives until one succeeds."""

    __slots__ = ("_attempts", "_exchange", "_stream")

    def __init__(self, stream: ClientStream) -> None:
        self._stream = stream
        self._exchange: Exchange | None = None
        self._attempts = 0

    def receive(self, nonza: Stanza) -> None:
        """Take ``<auth/>``, ``<response/>`` or ``<abort/>``."""
        try:
            self._step(nonza)
        except SaslFailure as failure:
            self._fail(failure)

    def abort(self) -> None:
        """Give up, since the stream has ended."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abort()

    def _step(self, nonza: Stanza) -> None:
        stream = self._stream
        if nonza.name == "abort":
            raise SaslFailure("aborted")
        if nonza.name == "auth":
            if self._exchange is not None:
                raise SaslFailure("malformed-request", "Another attempt is under way")
            if stream.settings.tls == "required" and not stream.secure:
                raise SaslFailure("encryption-required")
            mechanism = nonza.attrs.get("mechanism", "")
            self._exchange = stream.host.authenticator.begin(mechanism, stream.facts())
        elif self._exchange is None:
            raise SaslFailure("not-authorized", "There is no attempt under way")
        data = _decode(nonza.text, initial=nonza.name == "auth")
        # Nothing behind this element is read before the step is done.
        stream.hold()
        done = self._exchange.step(data).addCallbacks(self._stepped, self._step_failed)
        done.addErrback(lambda failure: failed("auth", failure))

    def _stepped(self, outcome: Challenge | Success) -> None:
        stream = self._stream
        if isinstance(outcome, Challenge):
            stream.write(element("challenge", NS_SASL, base64.b64encode(outcome.data)))
        else:
            data = base64.b64encode(outcome.data) or b"=" if outcome.data is not None else b""
            stream.write(element("success", NS_SASL, data))
            metrics.logins[outcome.mechanism] += 1
            log.debug("logged-in", user=outcome.local, mechanism=outcome.mechanism, address=stream.address)
            stream.logged_in(outcome.local, outcome.documents)
        stream.go_on()

    def _step_failed(self, failure: Failure) -> None:
        if self._exchange is None:
            return
        error: Any = failure.value
        if isinstance(error, StorageError):
            error = SaslFailure("temporary-auth-failure")
        elif not isinstance(error, SaslFailure):
            failed("auth", failure)
            error = SaslFailure("temporary-auth-failure")
        self._fail(error)
        self._stream.go_on()

    def _fail(self, failure: SaslFailure) -> None:
        stream = self._stream
        self.abort()
        self._attempts += 1
        metrics.login_failures[failure.condition] += 1
        log.info("login-failed", address=stream.address, condition=failure.condition)
        text = element("text", None, escape(failure.text)) if failure.text else b""
        stream.write(element("failure", NS_SASL, element(failure.condition) + text))
        if self._attempts >= stream.settings.max_auth_attempts:
            stream.end(StreamError("policy-violation", "Too many failed logins"))


def _decode(text: str, *, initial: bool) -> bytes | None:
    """Give the data of an element (RFC 6120 section 6.4.2): None for no initial response; ``=`` is empty."""
    if not text:
        return None if initial else b""
    if text == "=":
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SaslFailure("incorrect-encoding") from None
