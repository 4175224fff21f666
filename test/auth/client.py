"""The client's side of SCRAM (RFC 5802 section 3), for tests, and accounts that are a dictionary."""

from __future__ import annotations

import base64
import hashlib
import hmac

from twisted.internet.defer import Deferred, succeed

from palaver.auth.accounts import Credentials
from palaver.auth.keys import HASHES, derive
from palaver.auth.sasl import Facts

# Enough for the arithmetic; what a server should use is another matter.
ITERATIONS = 4096
_SALTED: dict[tuple[str, str, bytes, int], bytes] = {}

FACTS = Facts("example.org", True, {})
BOUND = Facts("example.org", True, {"tls-exporter": lambda: b"channel", "tls-unique": lambda: b"other"})


class FixedAccounts:
    """Accounts with known passwords, all with the same salt."""

    hashes = tuple(HASHES)

    def __init__(self, salt: bytes = b"sixteen bytes...", **passwords: str) -> None:
        self.passwords = passwords
        self.found = {
            local: Credentials(
                {name: derive(password.encode(), HASHES[name], salt, ITERATIONS) for name in HASHES},
                documents=[],
            )
            for local, password in passwords.items()
        }

    def credentials(self, local: str) -> Deferred[Credentials | None]:
        """See IAccounts."""
        return succeed(self.found.get(local))

    def check_password(self, local: str, password: str) -> Deferred[bool]:
        """See IAccounts."""
        return succeed(self.passwords.get(local) == password)


class ScramClient:
    """Makes the client's messages; every part can be falsified."""

    def __init__(
        self,
        name: str = "romeo",
        password: str = "pencil",
        *,
        digest: str = "sha1",
        header: str = "n,,",
        nonce: str = "fyko+d2lbbFgONRv9qkxdawL",
    ) -> None:
        self.password = password
        self.digest = digest
        self.header = header
        self.bare = f"n={name},r={nonce}"
        self.signature = b""

    def first(self) -> bytes:
        """Give the client-first-message."""
        return (self.header + self.bare).encode()

    def final(self, challenge: bytes, *, channel: bytes = b"", nonce: str | None = None) -> bytes:
        """Give the client-final-message; ``channel`` is the channel binding's data."""
        parts = dict(part.split("=", 1) for part in challenge.decode().split(","))
        salt = base64.b64decode(parts["s"])
        key = (self.digest, self.password, salt, int(parts["i"]))
        if key not in _SALTED:
            _SALTED[key] = hashlib.pbkdf2_hmac(self.digest, self.password.encode(), salt, int(parts["i"]))
        client_key = self._hmac(_SALTED[key], b"Client Key")
        binding = base64.b64encode(self.header.encode() + channel).decode()
        unproven = f"c={binding},r={nonce or parts['r']}"
        message = b",".join((self.bare.encode(), challenge, unproven.encode()))
        mask = self._hmac(hashlib.new(self.digest, client_key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client_key, mask, strict=True))
        self.signature = b"v=" + base64.b64encode(
            self._hmac(self._hmac(_SALTED[key], b"Server Key"), message)
        )
        return f"{unproven},p={base64.b64encode(proof).decode()}".encode()

    def _hmac(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, self.digest)
