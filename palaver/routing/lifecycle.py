"""The life of an account: made, given another password, deleted; and what goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.errors import StreamError
from palaver.events import AccountCreated, AccountDeleted, AccountDeleting, PasswordChanged
from palaver.interfaces import ISession
from palaver.jid import JID
from palaver.log import Log

if TYPE_CHECKING:
    from palaver.routing.host import Host

log = Log("accounts")


async def create_account(host: Host, local: str, password: str, address: str | None = None) -> None:
    """Make an account. Raises AccountExists, InvalidPassword, NotSupported, StorageError."""
    await host.accounts.create(local, password)
    log.info("account-created", user=local, host=host.domain, address=address)
    await _fire(host, AccountCreated(JID(local, host.domain, ""), address))


async def set_password(host: Host, local: str, password: str, by: ISession | None = None) -> None:
    """Change a password and end every session but ``by``, which may have been opened with the old one.

    Raises NoSuchAccount, InvalidPassword, NotSupported, StorageError.
    """
    await host.accounts.set_password(local, password)
    log.info("password-changed", user=local, host=host.domain)
    end_sessions(host, local, StreamError("reset", "Password changed"), but=by)
    await _fire(host, PasswordChanged(JID(local, host.domain, ""), by))


async def delete_account(host: Host, local: str) -> None:
    """Delete an account and all that is stored for it; its sessions end. Raises NoSuchAccount, NotSupported, StorageError."""
    jid = JID(local, host.domain, "")
    await _fire(host, AccountDeleting(jid))
    await host.accounts.delete(local)
    log.info("account-deleted", user=local, host=host.domain)
    end_sessions(host, local, StreamError("not-authorized", "Account deleted"))
    await _fire(host, AccountDeleted(jid))


def end_sessions(host: Host, local: str, error: StreamError, but: ISession | None = None) -> None:
    """End the sessions of an account."""
    user = host.users.get(local)
    if user is not None:
        for session in list(user.sessions.values()):
            if session is not but:
                session.end(error)


async def _fire(host: Host, event: object) -> None:
    waiting = host.events.fire(event)
    if waiting is not None:
        await waiting
