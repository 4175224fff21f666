"""SASL on a stream: what its profiles share, and that of RFC 6120 section 6.

Elements to and from `palaver.auth.sasl`; the profile of XEP-0388 is `palaver.streams.sasl2`.
"""

from __future__ import annotations

import base64
import binascii
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

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


class Login(ABC):
    """The attempts of one stream to log in by one profile; it lives until one succeeds."""

    __slots__ = ("_exchange", "attempts", "stream")

    def __init__(self, stream: ClientStream) -> None:
        self.stream = stream
        # Those by another profile count as well.
        self.attempts: int = stream.login.attempts if stream.login is not None else 0
        self._exchange: Exchange | None = None

    def receive(self, nonza: Stanza) -> None:
        """Take an element of the profile."""
        try:
            self._take(nonza)
        except SaslFailure as failure:
            self._fail(failure)

    def abort(self) -> None:
        """Give up, since the stream has ended."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abort()

    # -- for the profiles --------------------------------------------------------------------

    @abstractmethod
    def _take(self, nonza: Stanza) -> None:
        """Take an element; raises SaslFailure."""

    @abstractmethod
    def _encode(self, name: str, inner: bytes) -> bytes:
        """Give an element of the profile: ``challenge`` with base64 in it, or ``failure``."""

    @abstractmethod
    def _succeed(self, outcome: Success) -> None:
        """Go on with somebody who has shown who they are; nothing is read before `ClientStream.go_on`."""

    def _step(self, exchange: Exchange, data: bytes | None) -> None:
        """Hand data over; nothing behind this element is read before the step is done."""
        self._exchange = exchange
        self.stream.hold()
        done = exchange.step(data).addCallbacks(self._stepped, self._step_failed)
        done.addErrback(lambda failure: failed("auth", failure))

    def _stepped(self, outcome: Challenge | Success) -> None:
        stream = self.stream
        if isinstance(outcome, Challenge):
            stream.write(self._encode("challenge", base64.b64encode(outcome.data)))
            stream.go_on()
        else:
            self._succeed(outcome)

    def _note_login(self, outcome: Success) -> None:
        """Count a login, and take it up in the stream."""
        stream = self.stream
        metrics.logins[outcome.mechanism] += 1
        log.debug("logged-in", user=outcome.local, mechanism=outcome.mechanism, address=stream.address)
        stream.logged_in(outcome.local, outcome.documents)

    def _step_failed(self, failure: Failure) -> None:
        if self._exchange is None:
            return
        self._fail(as_sasl(failure))
        self.stream.go_on()

    def _fail(self, failure: SaslFailure) -> None:
        stream = self.stream
        self.abort()
        self.attempts += 1
        metrics.login_failures[failure.condition] += 1
        log.info("login-failed", address=stream.address, condition=failure.condition)
        stream.write(self._encode("failure", self._failure(failure)))
        if self.attempts >= stream.settings.max_auth_attempts:
            stream.end(StreamError("policy-violation", "Too many failed logins"))

    def _failure(self, failure: SaslFailure) -> bytes:
        """Give what is inside of ``<failure/>``."""
        text = element("text", None, escape(failure.text)) if failure.text else b""
        return element(failure.condition) + text


class StreamLogin(Login):
    """The profile of RFC 6120 section 6: a new stream begins behind ``<success/>``."""

    __slots__ = ()

    def _encode(self, name: str, inner: bytes) -> bytes:
        return element(name, NS_SASL, inner)

    def _take(self, nonza: Stanza) -> None:
        stream, exchange = self.stream, self._exchange
        if nonza.name == "abort":
            raise SaslFailure("aborted")
        if nonza.name == "auth":
            if exchange is not None:
                raise SaslFailure("malformed-request", "Another attempt is under way")
            if stream.settings.tls == "required" and not stream.secure:
                raise SaslFailure("encryption-required")
            mechanism = nonza.attrs.get("mechanism", "")
            exchange = stream.host.authenticator.begin(mechanism, stream.facts())
        elif exchange is None:
            raise SaslFailure("not-authorized", "There is no attempt under way")
        self._step(exchange, _decode(nonza.text, initial=nonza.name == "auth"))

    def _succeed(self, outcome: Success) -> None:
        stream = self.stream
        data = base64.b64encode(outcome.data) or b"=" if outcome.data is not None else b""
        stream.write(element("success", NS_SASL, data))
        self._note_login(outcome)
        stream.restart()
        stream.go_on()


def as_sasl(failure: Failure) -> SaslFailure:
    """Give what to tell the client; what is not its fault, and not the storage's, is logged."""
    error = failure.value
    if isinstance(error, SaslFailure):
        return error
    if not isinstance(error, StorageError):
        failed("auth", failure)
    return SaslFailure("temporary-auth-failure")


def _decode(text: str, *, initial: bool) -> bytes | None:
    """Give the data of an element (RFC 6120 section 6.4.2): None for no initial response; ``=`` is empty."""
    if not text:
        return None if initial else b""
    return b"" if text == "=" else decode_base64(text)


def decode_base64(text: str) -> bytes:
    """Decode base64, strictly; raises SaslFailure."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SaslFailure("incorrect-encoding") from None
