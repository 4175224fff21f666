"""Guests: those who log in with SASL ANONYMOUS (XEP-0175), and the names that only they have.

A guest's name is random, and signed with the server's secret: whether a name is a guest's can be told
without remembering any, after a restart too.
"""

from __future__ import annotations

import builtins
import hmac
import secrets
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from palaver.auth.accounts import AccountExists, NotSupported
from palaver.interfaces import IAccounts

if TYPE_CHECKING:
    from palaver.auth.accounts import Credentials

# No two guests have one name by chance; and nobody without the secret finds a name that counts.
RANDOM_CHARS = 16
TAG_CHARS = 16


def new_guest(secret: bytes, domain: str) -> str:
    """Give a localpart that no account has."""
    chosen = secrets.token_hex(RANDOM_CHARS // 2)
    return chosen + _tag(secret, domain, chosen)


def is_guest(secret: bytes, domain: str, local: str) -> bool:
    """Tell whether a localpart was given to a guest of this domain."""
    if len(local) != RANDOM_CHARS + TAG_CHARS:
        return False
    tag = _tag(secret, domain, local[:RANDOM_CHARS])
    return hmac.compare_digest(local[RANDOM_CHARS:].encode(), tag.encode())


def _tag(secret: bytes, domain: str, chosen: str) -> str:
    return hmac.digest(secret, f"guest {chosen} {domain}".encode(), "sha256").hex()[:TAG_CHARS]


@implementer(IAccounts)
class GuestAccounts:
    """No account at all, and a guard over guests' names: who registered one would share a guest's address."""

    hashes: tuple[str, ...] = ()
    deletes = False

    def __init__(self, secret: bytes, domain: str) -> None:
        self._secret = secret
        self._domain = domain

    def credentials(self, local: str) -> Deferred[Credentials | None]:
        """See IAccounts."""
        return succeed(None)

    def check_password(self, local: str, password: str) -> Deferred[bool]:
        """See IAccounts."""
        return succeed(False)

    def exists(self, local: str) -> Deferred[bool]:
        """See IAccounts; a guest who is gone has nothing that could be reached."""
        return succeed(False)

    def create(self, local: str, password: str) -> Deferred[None]:
        """See IAccounts."""
        if is_guest(self._secret, self._domain, local):
            return fail(AccountExists(local))
        return fail(NotSupported("there are only guests"))

    def set_password(self, local: str, password: str) -> Deferred[None]:
        """See IAccounts."""
        return fail(NotSupported("a guest has no password"))

    def delete(self, local: str) -> Deferred[None]:
        """See IAccounts."""
        return fail(NotSupported("a guest has no account"))

    def set_disabled(self, local: str, disabled: bool) -> Deferred[None]:
        """See IAccounts."""
        return fail(NotSupported("a guest has no account"))

    def disabled(self) -> Deferred[builtins.list[str]]:
        """See IAccounts."""
        return succeed([])

    def list(self) -> Deferred[builtins.list[str]]:
        """See IAccounts."""
        return succeed([])
