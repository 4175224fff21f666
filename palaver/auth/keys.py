"""What is kept instead of a password: SCRAM keys (RFC 5802 section 3), by hash function."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from functools import lru_cache
from typing import NamedTuple

from precis_i18n import get_profile

# An attacker's choice of a long password must not cost the server time or memory.
MAX_PASSWORD_BYTES = 1024
# RFC 5802 section 5.1 leaves the length open; 16 bytes is what PBKDF2's guides ask for.
SALT_BYTES = 16

_PRINTABLE_ASCII = re.compile(r"[ -~]+\Z")


class Hash(NamedTuple):
    """A hash function: its name in accounts, in SASL and in hashlib; the digest's size in bytes."""

    name: str
    mechanism: str
    digest: str
    size: int


# Strongest first, the order of preference (RFC 5802, RFC 7677, draft-melnikov-scram-sha-512).
HASHES = {
    "sha-512": Hash("sha-512", "SCRAM-SHA-512", "sha512", 64),
    "sha-256": Hash("sha-256", "SCRAM-SHA-256", "sha256", 32),
    "sha-1": Hash("sha-1", "SCRAM-SHA-1", "sha1", 20),
}


class Keys(NamedTuple):
    """The SCRAM keys of one password with one hash function."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


class InvalidPassword(ValueError):
    """The text cannot be a password; the message says why."""


def prepare_password(text: str) -> bytes:
    """Prepare a password (RFC 8265 section 4.2, OpaqueString); raises `InvalidPassword`."""
    if not text:
        raise InvalidPassword("the password is empty")
    if len(text) > MAX_PASSWORD_BYTES:
        raise InvalidPassword(f"the password has more than {MAX_PASSWORD_BYTES} bytes")
    if _PRINTABLE_ASCII.match(text):
        return text.encode()
    try:
        prepared = str(get_profile("OpaqueString").enforce(text)).encode()
    except UnicodeError as error:
        raise InvalidPassword(f"the password is not allowed: {error.args[-1]}") from None
    if len(prepared) > MAX_PASSWORD_BYTES:
        raise InvalidPassword(f"the password has more than {MAX_PASSWORD_BYTES} bytes")
    return prepared


def derive(password: bytes, hash_: Hash, salt: bytes, iterations: int) -> Keys:
    """Derive keys from a prepared password; takes milliseconds, so call it in a thread."""
    return from_salted(hashlib.pbkdf2_hmac(hash_.digest, password, salt, iterations), hash_, salt, iterations)


def from_salted(salted: bytes, hash_: Hash, salt: bytes, iterations: int) -> Keys:
    """Give the keys that follow from a SaltedPassword."""
    client_key = hmac.digest(salted, b"Client Key", hash_.digest)
    return Keys(
        salt,
        iterations,
        hashlib.new(hash_.digest, client_key).digest(),
        hmac.digest(salted, b"Server Key", hash_.digest),
    )


def make_keys(password: bytes, names: tuple[str, ...], iterations: int) -> dict[str, Keys]:
    """Derive keys with fresh salts for several hash functions, by name; call it in a thread."""
    return {
        name: derive(password, HASHES[name], secrets.token_bytes(SALT_BYTES), iterations) for name in names
    }


def decoy(secret: bytes, name: str, hash_: Hash, iterations: int) -> Keys:
    """Give keys that no password has, with the same salt each time: absent accounts look like others.

    The salt is all that anybody sees of them.
    """
    salt = hmac.digest(secret, b"salt\0%b\0%b" % (hash_.name.encode(), name.encode()), "sha512")
    return Keys(salt[:SALT_BYTES], iterations, *_unmatched(hash_.size))


@lru_cache
def _unmatched(size: int) -> tuple[bytes, bytes]:
    """Give a stored key and a server key of nobody's."""
    return secrets.token_bytes(size), secrets.token_bytes(size)
