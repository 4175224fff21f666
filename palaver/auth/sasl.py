"""SASL for one host (RFC 6120 section 6): which mechanisms are offered, and one exchange at a time.

Nothing here knows XML or base64, so that the profile of RFC 6120 and that of XEP-0388 share it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from palaver.auth.exchange import Challenge, Facts, Mechanism, SaslFailure, Success
from palaver.auth.keys import HASHES, Hash, Keys, decoy
from palaver.auth.mechanisms import Anonymous, External, Plain
from palaver.auth.scram import Scram
from palaver.log import Log

if TYPE_CHECKING:
    from palaver.interfaces import IAccounts

__all__ = ["AuthSettings", "Authenticator", "Challenge", "Exchange", "Facts", "SaslFailure", "Success"]

SCRAM = {hash_.mechanism: hash_ for hash_ in HASHES.values()}
# The order of preference, and everything there is.
MECHANISMS = ("EXTERNAL", *(f"{name}-PLUS" for name in SCRAM), *SCRAM, "PLAIN", "ANONYMOUS")

MechanismMaker = Callable[[Any, Facts], Mechanism]
"""Takes the IAccounts of a host and what is known of the stream."""

log = Log("auth")


@dataclass(frozen=True)
class AuthSettings:
    """How people may log in to a host.

    ``secret`` stays the same over restarts. ``mechanisms`` are names in the order to offer them,
    None for all. ``unencrypted_plain`` allows PLAIN where the stream is not encrypted.
    ``anonymous`` and ``external`` switch these methods on. ``iterations`` is what absent accounts
    pretend to have (see `palaver.auth.keys.decoy`).
    """

    secret: bytes
    mechanisms: tuple[str, ...] | None = None
    unencrypted_plain: bool = False
    anonymous: bool = False
    external: bool = False
    iterations: int = 10000


class Authenticator:
    """Begins exchanges for one host."""

    def __init__(
        self, accounts: IAccounts, settings: AuthSettings, more: Mapping[str, MechanismMaker] | None = None
    ) -> None:
        """``more`` are mechanisms of modules by name, which may come and go; see `Host.mechanisms`."""
        self._more: Mapping[str, MechanismMaker] = more if more is not None else {}
        self._accounts = accounts
        self._settings = settings
        self._known = settings.mechanisms if settings.mechanisms is not None else MECHANISMS
        # By what decides: are there bindings, is the stream encrypted, a certificate, mechanisms of modules.
        self._offers: dict[tuple[bool, bool, bool, tuple[str, ...]], tuple[str, ...]] = {}
        self._under_way: WeakSet[Exchange] = WeakSet()

    def mechanisms(self, facts: Facts) -> tuple[str, ...]:
        """Give the names to offer on this stream, preferred ones first."""
        decides = (bool(facts.bindings), facts.secure, facts.certificate is not None)
        more = tuple(self._more)
        offer = self._offers.get((*decides, more))
        if offer is None:
            known = (*self._known, *(name for name in more if name not in self._known))
            offer = tuple(name for name in known if self._refusal(name, *decides) is None)
            self._offers[*decides, more] = offer
        return offer

    def binding_types(self, facts: Facts) -> tuple[str, ...]:
        """Give the channel binding types to announce (XEP-0440); none when no -PLUS is offered."""
        plus = any(name.endswith("-PLUS") for name in self.mechanisms(facts))
        return tuple(facts.bindings) if plus else ()

    def begin(self, mechanism: str, facts: Facts) -> Exchange:
        """Begin an exchange; raises SaslFailure when the mechanism is not to be had on this stream."""
        refusal = self._refusal(mechanism, bool(facts.bindings), facts.secure, facts.certificate is not None)
        if refusal is not None:
            raise SaslFailure(refusal)
        return self.start(self._make(mechanism, facts), silent_start=mechanism == "ANONYMOUS")

    def start(self, mechanism: Mechanism, *, silent_start: bool = False) -> Exchange:
        """Begin an exchange by a mechanism that is not offered to everybody; see `Exchange`."""
        exchange = Exchange(mechanism, silent_start=silent_start)
        self._under_way.add(exchange)
        return exchange

    def watch(self, local: str) -> Exchange:
        """Give an exchange that is over once what it has read of an account holds no longer, see `revoke`."""
        return self.start(_Proven(local))

    def derive(self, purpose: str) -> bytes:
        """Give a secret of the server for one purpose, the same after a restart; 32 bytes."""
        return hmac.digest(self._settings.secret, f"purpose {purpose}".encode(), "sha256")

    def revoke(self, local: str) -> None:
        """Fail the exchanges that are under way for an account: what they have read of it holds no longer."""
        for exchange in list(self._under_way):
            exchange.revoke(local)

    def _refusal(self, mechanism: str, bindings: bool, secure: bool, certificate: bool) -> str | None:
        """Give the condition that says why a mechanism is not to be had, or None when it is."""
        if mechanism not in MECHANISMS and mechanism not in self._more:
            return "invalid-mechanism"
        if mechanism not in self._known and (self._settings.mechanisms or mechanism not in self._more):
            return "mechanism-too-weak"
        hash_ = SCRAM.get(mechanism.removesuffix("-PLUS"))
        if mechanism == "PLAIN" or mechanism in self._more:
            # Whoever reads it on the way may use it.
            return None if secure or self._settings.unencrypted_plain else "encryption-required"
        if hash_ is not None:
            usable = hash_.name in self._accounts.hashes and (bindings or not mechanism.endswith("-PLUS"))
        elif mechanism == "EXTERNAL":
            usable = self._settings.external and certificate
        else:
            usable = self._settings.anonymous
        return None if usable else "invalid-mechanism"

    def _make(self, mechanism: str, facts: Facts) -> Mechanism:
        if mechanism in self._more:
            return self._more[mechanism](self._accounts, facts)
        if mechanism == "PLAIN":
            return Plain(self._accounts, facts)
        if mechanism == "EXTERNAL":
            return External(self._accounts, facts)
        if mechanism == "ANONYMOUS":
            return Anonymous(self._settings.secret, facts)
        name = mechanism.removesuffix("-PLUS")
        return Scram(SCRAM[name], name != mechanism, self._accounts, facts, self._decoy)

    def _decoy(self, local: str, hash_: Hash) -> Keys:
        return decoy(self._settings.secret, local, hash_, self._settings.iterations)


class _Proven(Mechanism):
    """Somebody who has shown who they are; nothing more is asked."""

    def __init__(self, local: str) -> None:
        self.local = local

    def step(self, data: bytes) -> Deferred[Any] | Challenge | Success:
        """See `Mechanism`."""
        raise SaslFailure("not-authorized", "out of order")


class Exchange:
    """One attempt to log in: `step` with each message of the client until it succeeds or fails."""

    __slots__ = ("__weakref__", "_fresh", "_mechanism", "_silent_start", "_waiting")

    def __init__(self, mechanism: Mechanism, *, silent_start: bool = False) -> None:
        """``silent_start``: the mechanism needs no message at all (XEP-0175 example 2)."""
        self._mechanism: Mechanism | None = mechanism
        self._fresh = True
        self._silent_start = silent_start
        self._waiting: Deferred[Challenge | Success] | None = None

    def step(self, data: bytes | None) -> Deferred[Challenge | Success]:
        """Take the client's next message; None when it sent none, as ``<auth/>`` without text.

        Gives a Deferred of Challenge or Success. It fails with SaslFailure, and then, as
        after Success, the exchange is over: a further step fails with not-authorized.
        """
        if self._mechanism is None or self._waiting is not None:
            self._mechanism = None
            return fail(SaslFailure("not-authorized", "out of order"))
        if data is None and self._fresh and not self._silent_start:
            self._fresh = False
            return succeed(Challenge(b""))
        self._fresh = False
        # The client's own: an abort must not cancel what the storage may do for others too.
        step: Deferred[Challenge | Success] = Deferred()
        self._waiting = step
        try:
            answer = self._mechanism.step(data or b"")
        except Exception:
            self._failed(Failure())
            return step
        if isinstance(answer, Deferred):
            answer.addCallbacks(self._answered, self._failed)
        else:
            self._answered(answer)
        return step

    @property
    def is_over(self) -> bool:
        """True after success, a failure, an abort or a revocation."""
        return self._mechanism is None

    def abort(self) -> None:
        """End the exchange (``<abort/>``, or the stream is gone); a waiting step fails with ``aborted``."""
        self._end("aborted")

    def revoke(self, local: str) -> None:
        """End the exchange when it is about this account."""
        if self._mechanism is not None and self._mechanism.local == local:
            self._end("not-authorized")

    def _answered(self, answer: Challenge | Success) -> None:
        if self._mechanism is None:
            self._end("not-authorized", "out of order")
            return
        if isinstance(answer, Success):
            self._mechanism = None
        step, self._waiting = self._waiting, None
        if step is not None:
            step.callback(answer)

    def _failed(self, failure: Failure) -> None:
        """Make every failure a SaslFailure; one that is not the client's fault is logged."""
        if isinstance(failure.value, SaslFailure):
            self._end(failure.value.condition, failure.value.text)
            return
        log.failure("backend-failed", failure)
        self._end("temporary-auth-failure")

    def _end(self, condition: str, text: str | None = None) -> None:
        """Let nothing more happen; a waiting step fails."""
        self._mechanism = None
        step, self._waiting = self._waiting, None
        if step is not None:
            step.errback(SaslFailure(condition, text))
