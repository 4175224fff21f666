"""The life of an account: made, given another password, deleted; and what goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.auth.accounts import NoSuchAccount, NotSupported
from palaver.errors import StreamError
from palaver.events import AccountCreated, AccountDeleted, AccountDeleting, PasswordChanged
from palaver.interfaces import ISession
from palaver.jid import JID
from palaver.log import Log
from palaver.routing.rosters import rosters
from palaver.stanza import Stanza
from palaver.storage import Batch
from palaver.waiting import settled

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
    await end_sessions(host, local, StreamError("reset", "Password changed"), but=by)
    await _fire(host, PasswordChanged(JID(local, host.domain, ""), by))


async def delete_account(host: Host, local: str, by: ISession | None = None) -> None:
    """Delete an account and all that is stored for it; its sessions end.

    ``by`` ends a moment after this returns, so that it can be answered (XEP-0077 section 3.2).
    Raises NoSuchAccount, NotSupported, StorageError.
    """
    if not host.accounts.deletes:
        raise NotSupported("accounts are deleted by whoever they belong to")
    if not await host.accounts.exists(local):
        raise NoSuchAccount(local)
    jid = JID(local, host.domain, "")
    error = StreamError("not-authorized", "Account deleted")
    await _fire(host, AccountDeleting(jid))
    # What is stored because a session goes must be there before the account's stores are emptied.
    if by is not None and by.presence is not None:
        gone = Stanza("presence", {"type": "unavailable", "from": by.jid.full}, origin=by)
        await settled(by.receive(gone))
    await end_sessions(host, local, error, but=by)
    await host.accounts.delete(local)
    rosters(host).forget(local)
    log.info("account-deleted", user=local, host=host.domain)
    # Somebody may have been logging in.
    await end_sessions(host, local, error, but=by)
    await _fire(host, AccountDeleted(jid))
    if by is not None:
        # Not before the listeners are done: the answer comes after them.
        host.clock.callLater(0, by.end, error)


async def forget_guest(host: Host, local: str) -> None:
    """Delete what somebody without an account has stored, once the last session is gone.

    Raises StorageError.
    """
    jid = JID(local, host.domain, "")
    await _fire(host, AccountDeleting(jid))
    deleted = host.storage.write(Batch().delete(host.domain, local).drop(host.domain, local))
    # At once, so that nobody hands over something behind that.
    await _fire(host, AccountDeleted(jid))
    await deleted


async def end_sessions(host: Host, local: str, error: StreamError, but: ISession | None = None) -> None:
    """End an account's sessions and logins; returns when what is stored at their end is stored."""
    # Whoever is logging in goes first: nobody becomes a session while others' ends are waited for.
    if host.authenticator is not None:
        host.authenticator.revoke(local)
    for login in [stream for stream in host.unbound if stream.authenticated_as == local]:
        login.end(error)
    user = host.users.get(local)
    sessions: list[ISession] = list(user.sessions.values()) if user is not None else []
    for session in sessions:
        if session is but:
            continue
        stream = session.stream
        gone = session.unbind(error.text)
        if stream is not None:
            stream.end(error)
        await settled(gone)


async def _fire(host: Host, event: object) -> None:
    await settled(host.events.fire(event))
