"""SCRAM for servers (RFC 5802, RFC 7677) with channel binding.

Written on hmac and hashlib since scramp 1.5 knows no tls-exporter, refuses every authzid and
wants the keys at once, where a database answers later.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from palaver.auth import keys
from palaver.auth.exchange import Challenge, Facts, Mechanism, SaslFailure, Success, local_of
from palaver.jid import InvalidJID, prepare_local

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from palaver.auth.accounts import Credentials
    from palaver.interfaces import IAccounts

# 144 bits, as base64 without padding: a nonce never comes twice.
NONCE_BYTES = 18

_CLIENT_FIRST = re.compile(
    r"(?P<header>(?P<flag>n|y|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>(?:[^=,\0]|=2C|=3D)+))?,)"
    r"(?P<bare>(?P<mandatory>m=[^,]*,)?n=(?P<name>(?:[^=,\0]|=2C|=3D)+),r=(?P<nonce>[!-+\--~]+)"
    r"(?:,[A-Za-z]=[^,\0]+)*)\Z"
)
_CLIENT_FINAL = re.compile(
    r"(?P<unproven>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,\0]+)*)"
    r",p=(?P<proof>[A-Za-z0-9+/=]+)\Z"
)


class _First(NamedTuple):
    """What the client's first message and our answer to it leave for the second."""

    local: str
    header: bytes
    binding: str | None
    bare: bytes
    answer: bytes
    nonce: str
    keys: keys.Keys
    credentials: Credentials | None


class Scram(Mechanism):
    """One SCRAM exchange: two messages of the client, one challenge, and the server's signature."""

    def __init__(
        self,
        hash_: keys.Hash,
        plus: bool,
        accounts: IAccounts,
        facts: Facts,
        decoy: Callable[[str, keys.Hash], keys.Keys],
    ) -> None:
        """``decoy`` gives the keys to pretend with when there is no such account."""
        self._hash = hash_
        self._plus = plus
        self._accounts = accounts
        self._facts = facts
        self._decoy = decoy
        self._first: _First | None = None

    def step(self, data: bytes) -> Deferred[Any] | Challenge | Success:
        """See `Mechanism`."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise SaslFailure("malformed-request", "not UTF-8") from None
        return self._client_first(text) if self._first is None else self._client_final(text, self._first)

    def _client_first(self, text: str) -> Deferred[Any]:
        match = _CLIENT_FIRST.match(text)
        if match is None:
            raise SaslFailure("malformed-request", "invalid client-first-message")
        if match["mandatory"]:
            raise SaslFailure("malformed-request", "extensions-not-supported")
        self._check_flag(match["flag"], match["binding"])
        try:
            local = prepare_local(_unescape(match["name"]))
        except InvalidJID:
            raise SaslFailure("malformed-request", "invalid-username-encoding") from None
        if match["authzid"] and local_of(_unescape(match["authzid"]), self._facts.domain) != local:
            raise SaslFailure("invalid-authzid")
        self.local = local
        found: Deferred[Credentials | None] = self._accounts.credentials(local)
        return found.addCallback(self._challenge, local, match)

    def _check_flag(self, flag: str, binding: str | None) -> None:
        """Compare what the client says about channel binding with what was offered (RFC 5802 section 6)."""
        if flag == "y" and (self._plus or any(name.endswith("-PLUS") for name in self._facts.offered)):
            raise SaslFailure("not-authorized", "server-does-support-channel-binding")
        if (binding is not None) != self._plus:
            raise SaslFailure("malformed-request", "the mechanism and the channel binding flag disagree")
        if binding is not None and binding not in self._facts.bindings:
            raise SaslFailure("not-authorized", "unsupported-channel-binding-type")

    def _challenge(self, credentials: Credentials | None, local: str, match: re.Match[str]) -> Challenge:
        found = credentials.keys.get(self._hash.name) if credentials is not None else None
        # Made in any case, so that an absent account takes as long.
        pretended = self._decoy(local, self._hash)
        used = found or pretended
        nonce = match["nonce"] + secrets.token_urlsafe(NONCE_BYTES)
        salt = binascii.b2a_base64(used.salt, newline=False)
        answer = b"r=%b,s=%b,i=%d" % (nonce.encode(), salt, used.iterations)
        if self._facts.offered:
            answer += b",h=" + _downgrade_hash(
                self._hash.digest, self._facts.offered, tuple(self._facts.bindings)
            )
        self._first = _First(
            local,
            match["header"].encode(),
            match["binding"],
            match["bare"].encode(),
            answer,
            nonce,
            used,
            credentials if found is not None else None,
        )
        return Challenge(answer)

    def _client_final(self, text: str, first: _First) -> Success:
        match = _CLIENT_FINAL.match(text)
        if match is None:
            raise SaslFailure("malformed-request", "invalid client-final-message")
        if not hmac.compare_digest(match["nonce"], first.nonce):
            raise SaslFailure("not-authorized", "another nonce")
        expected = first.header
        if first.binding is not None:
            expected += self._facts.bindings[first.binding]()
        if not hmac.compare_digest(_decode(match["binding"]), expected):
            raise SaslFailure("not-authorized", "channel-bindings-dont-match")
        message = b"%b,%b,%b" % (first.bare, first.answer, match["unproven"].encode())
        proven = self._proves(_decode(match["proof"]), message, first.keys.stored_key)
        signature = hmac.digest(first.keys.server_key, message, self._hash.digest)
        if not proven or first.credentials is None:
            raise SaslFailure("not-authorized")
        if first.credentials.disabled:
            raise SaslFailure("account-disabled")
        return Success(
            first.local,
            b"v=" + binascii.b2a_base64(signature, newline=False),
            self._hash.mechanism + ("-PLUS" if self._plus else ""),
            documents=first.credentials.documents,
        )

    def _proves(self, proof: bytes, message: bytes, stored_key: bytes) -> bool:
        if len(proof) != self._hash.size:
            return False
        signature = hmac.digest(stored_key, message, self._hash.digest)
        client_key = (int.from_bytes(proof) ^ int.from_bytes(signature)).to_bytes(self._hash.size)
        return hmac.compare_digest(hashlib.new(self._hash.digest, client_key).digest(), stored_key)


@lru_cache(64)
def _downgrade_hash(digest: str, offered: tuple[str, ...], bindings: tuple[str, ...]) -> bytes:
    """Give the hash of what was announced, by which a client sees that nobody has shortened it (XEP-0474)."""
    text = "\x1e".join(sorted(offered))
    if any(name.endswith("-PLUS") for name in offered):
        text += "\x1f" + "\x1e".join(sorted(bindings))
    return binascii.b2a_base64(hashlib.new(digest, text.encode()).digest(), newline=False)


def _unescape(name: str) -> str:
    """Undo RFC 5802's escapes in a saslname."""
    return name.replace("=2C", ",").replace("=3D", "=")


def _decode(text: str) -> bytes:
    """Decode base64, strictly; raises SaslFailure."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise SaslFailure("malformed-request", "invalid-encoding") from None
