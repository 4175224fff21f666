"""Hashed tokens (SASL HT-SHA-256-*, draft-schmaus-kitten-sasl-ht-09) and how they are kept (XEP-0484).

A token is made of a secret of the server and of what is stored for it, so whoever reads the storage alone
has no token. Each client has two places: the token that it uses, and a newer one that it has not used yet.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred

from palaver.auth.exchange import Challenge, Facts, Mechanism, SaslFailure, Success
from palaver.jid import InvalidJID, prepare_local
from palaver.storage import Document, Json

# The channel binding of each mechanism, preferred ones first.
MECHANISMS: Mapping[str, str | None] = {
    "HT-SHA-256-EXPR": "tls-exporter",
    "HT-SHA-256-UNIQ": "tls-unique",
    "HT-SHA-256-ENDP": "tls-server-end-point",
    "HT-SHA-256-NONE": None,
}
CURRENT, NEW = "current", "new"
NONCE_BYTES = 18


class Slot(NamedTuple):
    """One token as it is stored: ``expires`` in Unix seconds, ``counted`` the last count of its client."""

    nonce: str
    mechanism: str
    expires: int
    counted: int = 0

    @classmethod
    def make(cls, mechanism: str, expires: int) -> Slot:
        """Make one that never was."""
        return cls(secrets.token_urlsafe(NONCE_BYTES), mechanism, expires)


# What is compared with where there is no token, so that it takes as long.
_NOBODYS = Slot(secrets.token_urlsafe(NONCE_BYTES), "", 0)


class Owner(NamedTuple):
    """Whose a token is: a bare JID as text, and the id of one of its clients."""

    bare: str
    client: str


class Claim(NamedTuple):
    """What a client gives as a proof of its token, with the data of the channel binding."""

    mechanism: str
    proof: bytes
    channel: bytes


def mechanisms(bindings: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the mechanisms that a stream with these channel bindings can use."""
    return tuple(name for name, binding in MECHANISMS.items() if binding is None or binding in bindings)


def token(secret: bytes, owner: Owner, slot: Slot) -> str:
    """Give the token itself."""
    data = "\0".join((owner.bare, owner.client, slot.nonce)).encode()
    return base64.urlsafe_b64encode(hmac.digest(secret, data, "sha256")).decode().rstrip("=")


def slots(value: Json) -> dict[str, Slot]:
    """Give the tokens of a client's document by their place."""
    return {place: Slot(*value[place]) for place in (CURRENT, NEW) if place in value}


def match(secret: bytes, owner: Owner, found: Mapping[str, Slot], claim: Claim) -> tuple[str, bytes] | None:
    """Give the place of the token that a client has proved, and the server's proof in return; or None.

    It takes the same time whatever there is, and whichever it is.
    """
    matched = None
    for place in (NEW, CURRENT):
        slot = found.get(place, _NOBODYS)
        key = token(secret, owner, slot).encode()
        expected = hmac.digest(key, b"Initiator" + claim.channel, "sha256")
        proven = hmac.compare_digest(expected, claim.proof)
        if proven and slot.mechanism == claim.mechanism:
            matched = place, hmac.digest(key, b"Responder" + claim.channel, "sha256")
    return matched


class Check(Protocol):
    """Checks a claim for a localpart; gives the server's proof in return, or fails with SaslFailure."""

    def __call__(self, local: str, documents: list[Document] | None, claim: Claim) -> Awaitable[bytes]:
        """``documents`` is what the login has read, None when it has read none."""


class HashedToken(Mechanism):
    """One message: the name, NUL, and a hash that is keyed with the token."""

    def __init__(self, name: str, accounts: Any, facts: Facts, check: Check) -> None:
        """Refuse with SaslFailure what the stream cannot do."""
        if name not in mechanisms(facts.bindings):
            raise SaslFailure("invalid-mechanism")
        self._name = name
        self._accounts = accounts
        self._check_claim = check
        binding = MECHANISMS[name]
        self._channel: Callable[[], bytes] = facts.bindings[binding] if binding is not None else bytes

    def step(self, data: bytes) -> Deferred[Any] | Challenge | Success:
        """See `Mechanism`."""
        name, separator, proof = data.partition(b"\0")
        try:
            if not separator or not name or not proof:
                raise SaslFailure("malformed-request")
            local = prepare_local(name.decode())
        except UnicodeDecodeError:
            raise SaslFailure("malformed-request", "not UTF-8") from None
        except InvalidJID:
            raise SaslFailure("not-authorized") from None
        self.local = local
        return Deferred.fromCoroutine(self._check(local, Claim(self._name, proof, self._channel())))

    async def _check(self, local: str, claim: Claim) -> Success:
        credentials = await self._accounts.credentials(local)
        answer = await self._check_claim(local, credentials.documents if credentials else [], claim)
        if credentials is None:
            raise SaslFailure("not-authorized")
        if credentials.disabled:
            raise SaslFailure("account-disabled")
        return Success(local, answer, self._name, documents=credentials.documents)
