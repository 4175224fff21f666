"""From ``[auth]`` to the accounts of a host and to what it offers for logging in."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from palaver.auth.accounts import StoredAccounts
from palaver.auth.chain import ChainedAccounts
from palaver.auth.guests import GuestAccounts
from palaver.auth.sasl import MECHANISMS, Authenticator, AuthSettings, MechanismMaker
from palaver.settings import Auth

AccountsMaker = Callable[[str], Any]
"""Takes a domain, gives the IAccounts of that host, or None for those in the storage."""

SECRET_BYTES = 32


def server_secret(data_dir: Path) -> bytes:
    """Give the secret that stays the same over restarts; made on first use, for the owner's eyes only."""
    path = data_dir / "server.secret"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        data_dir.mkdir(parents=True, exist_ok=True)
    new = secrets.token_bytes(SECRET_BYTES)
    # Written aside first: a secret that is half there after a crash would be taken for whole.
    aside = path.with_suffix(".new")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(new)
        os.fsync(file.fileno())
    aside.rename(path)
    return new


def accounts_for(
    domain: str,
    auth: Auth,
    secret: bytes,
    storage: Any,
    login_kinds: Callable[[], list[str]],
    custom: AccountsMaker | None,
) -> Any:
    """Give the IAccounts of a host; ``custom`` takes the place of the method internal.

    Raises ValueError when the application's checker cannot be used.
    """
    members: list[Any] = []
    if "anonymous" in auth.methods:
        members.append(GuestAccounts(secret, domain))
    if "internal" in auth.methods:
        own = custom(domain) if custom is not None else None
        if own is None:
            own = _stored_accounts(domain, auth, secret, storage, login_kinds)
        members.append(own)
    return members[0] if len(members) == 1 else ChainedAccounts(members)


def _stored_accounts(
    domain: str, auth: Auth, secret: bytes, storage: Any, login_kinds: Callable[[], list[str]]
) -> StoredAccounts:
    return StoredAccounts(
        domain,
        storage,
        login_kinds,
        secret=secret,
        hashes=tuple(name.lower() for name in auth.password.hash),
        iterations=auth.password.scram_iterations,
    )


def authenticator_for(
    accounts: Any, auth: Auth, secret: bytes, external: bool, more: Mapping[str, MechanismMaker] | None = None
) -> Authenticator:
    """Give what begins the logins of a host; ``external``: client certificates are asked for.

    ``more`` are the mechanisms of its modules.

    Raises ValueError when nobody could log in.
    """
    mechanisms: tuple[str, ...] | None = tuple(auth.sasl_mechanisms) if auth.sasl_mechanisms else None
    if "internal" not in auth.methods:
        # Nobody has a password, so nobody is asked for one.
        mechanisms = tuple(name for name in mechanisms or MECHANISMS if name == "ANONYMOUS")
        if not mechanisms:
            raise ValueError("guests log in with ANONYMOUS, which is not among auth.sasl_mechanisms")
    return Authenticator(
        accounts,
        AuthSettings(
            secret=secret,
            mechanisms=mechanisms,
            unencrypted_plain=auth.allow_unencrypted_plain_auth,
            anonymous="anonymous" in auth.methods,
            external=external,
            iterations=auth.password.scram_iterations,
        ),
        more,
    )
