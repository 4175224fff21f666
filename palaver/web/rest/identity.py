"""Who asks over REST: an account, whoever knows the configured password, or the bearer of a token."""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, NamedTuple

from palaver.auth.exchange import SaslFailure
from palaver.auth.mechanisms import log_in
from palaver.commands.admins import is_admin
from palaver.jid import JID, InvalidJID, parse
from palaver.throttle import Address, Throttle, parse_address
from palaver.web.rest.routes import RestError
from palaver.web.rest.tokens import TokenStore

# Wrong passwords and tokens from one address.
FAILURES = 20
FAILURES_PERIOD_S = 300.0
MAX_ADDRESSES = 10_000


class Identity(NamedTuple):
    """Who asks: ``account`` or None, whether all hosts are theirs, and whether they may change anything."""

    account: JID | None
    everywhere: bool = False
    writes: bool = True


Check = Callable[[str, str], Awaitable[Identity | None]]


class Doorkeeper:
    """Reads Authorization headers, and counts the wrong ones."""

    def __init__(self, host: Any, web: Any) -> None:
        self.host = host
        self._web = web
        self._failures: Throttle = web.shared(
            "rest-failures", lambda: Throttle(host.clock, FAILURES, FAILURES_PERIOD_S, MAX_ADDRESSES)
        )

    async def who(
        self, request: Any, basic: Check, bearer: Callable[[str], Awaitable[Identity | None]]
    ) -> Identity:
        """Give who asks. Raises RestError.

        401 for who is not known, 403 without encryption from elsewhere, 429 after too many tries.
        """
        scheme, _, rest = (request.getHeader("authorization") or "").partition(" ")
        client = self._web.client(request)
        address = parse_address(client.address)
        if scheme and not client.secure and address is not None and not address.is_loopback:
            raise RestError(HTTPStatus.FORBIDDEN, "Passwords and tokens are taken by HTTPS only")
        if scheme:
            self._check_open(address)
        found = None
        if scheme.lower() == "bearer":
            found = await bearer(rest.strip())
        elif scheme.lower() == "basic" and (pair := _pair(rest)) is not None:
            found = await basic(*pair)
        if scheme:
            # Others may have failed meanwhile; whoever tries many at once learns no more by that.
            self._check_open(address)
        if found is not None:
            return found
        if scheme and address is not None:
            self._failures.allow(address)
        raise RestError(HTTPStatus.UNAUTHORIZED, "Say who you are in an Authorization header")

    def _check_open(self, address: Address | None) -> None:
        """Raise RestError while an address has to wait; who waits is let in again one try at a time."""
        if address is not None and not self._failures.would_allow(address):
            raise RestError(HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong passwords. Try again in a moment.")


def _pair(text: str) -> tuple[str, str] | None:
    try:
        name, colon, password = b64decode(text.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (name, password) if colon else None


async def account(host: Any, name: str, password: str) -> JID | None:
    """Give the account of a host with this bare JID and password; None for any other. Raises StorageError."""
    try:
        found = parse(name)
    except InvalidJID:
        return None
    if not found.local or found.domain != host.domain or found.resource or not password:
        return None
    if not await host.accounts.check_password(found.local, password):
        return None
    try:
        await log_in(host.accounts, found.local, "PLAIN")
    except SaslFailure:
        # It is locked out.
        return None
    return found


async def administrator(host: Any, name: str, password: str) -> Identity | None:
    """Give an administrator by account. Raises StorageError."""
    found = await account(host, name, password)
    if found is None or not await is_admin(host, found):
        return None
    return Identity(found, everywhere=found.bare in host.server_admins)


async def by_token(store: TokenStore, secret: str) -> Identity | None:
    """Give the bearer of a token. Raises StorageError."""
    token = await store.get(secret)
    return Identity(None, writes=token.scope == "write") if token is not None else None


def same(one: str, other: str) -> bool:
    """Compare secrets in the same time wherever they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
