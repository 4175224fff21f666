"""The life of accounts as commands (XEP-0133 sections 4.1 to 4.5, 4.7): made, locked out, deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, Field, SecretStr

from palaver import jid
from palaver.auth.accounts import AccountExists, NoSuchAccount, NotSupported
from palaver.auth.keys import InvalidPassword
from palaver.commands.command import Arguments, Call, Command, Done
from palaver.commands.typed import Account, Accounts, Jids
from palaver.errors import StanzaError, StreamError
from palaver.routing.host import Host
from palaver.routing.lifecycle import create_account, delete_account, end_sessions, set_password

NS_ADMIN = "http://jabber.org/protocol/admin"
LOCKED_OUT = StreamError("not-authorized", "Account disabled")
# A session that an administrator ends may be opened again.
ENDED = StreamError("reset", "An administrator has ended the session")

T = TypeVar("T")


class AddUser(Arguments):
    """Make an account."""

    accountjid: Account = Field(description="The new account, user@host.")
    password: SecretStr = Field(description="Its password.")
    password_verify: SecretStr | None = Field(
        None, alias="password-verify", description="The password again, where a person types it."
    )


class ChangePassword(Arguments):
    """Another password."""

    accountjid: Account = Field(description="The account.")
    password: SecretStr = Field(description="Its new password.")


class SomeAccounts(Arguments):
    """Which accounts."""

    accountjids: Accounts = Field(min_length=1, description="The accounts, user@host.")


class SomeSessions(Arguments):
    """Which sessions."""

    accountjids: Jids = Field(
        min_length=1, description="Accounts, whose sessions all end, or full addresses of sessions."
    )


class Listed(BaseModel):
    """Accounts."""

    accountjids: tuple[str, ...] = Field(description="The accounts.")


# -- what each does ---------------------------------------------------------------------


async def add_user(call: Call, given: AddUser) -> Done:
    """Make an account."""
    password = given.password.get_secret_value()
    again = given.password_verify
    if again is not None and again.get_secret_value() != password:
        raise StanzaError("bad-request", "The two passwords differ.")
    local = check_rank(call, local_of(call.host, given.accountjid))
    await explained(create_account(call.host, local, password), given.accountjid)
    return Done(f"{given.accountjid} has been created.")


async def change_password(call: Call, given: ChangePassword) -> Done:
    """Give an account another password; its sessions end."""
    local = check_rank(call, local_of(call.host, given.accountjid))
    await explained(set_password(call.host, local, given.password.get_secret_value()), given.accountjid)
    return Done(f"{given.accountjid} has a new password.")


async def delete_users(call: Call, given: SomeAccounts) -> Done:
    """Delete accounts and everything stored for them."""
    return await _each(call, given, delete_account, "deleted")


async def disable_users(call: Call, given: SomeAccounts) -> Done:
    """Lock accounts out; their sessions end."""

    async def disable(host: Host, local: str) -> None:
        await host.accounts.set_disabled(local, True)
        await end_sessions(host, local, LOCKED_OUT)

    return await _each(call, given, disable, "disabled")


async def reenable_users(call: Call, given: SomeAccounts) -> Done:
    """Let accounts in again."""

    async def enable(host: Host, local: str) -> None:
        await host.accounts.set_disabled(local, False)

    return await _each(call, given, enable, "re-enabled")


async def end_user_sessions(call: Call, given: SomeSessions) -> Done:
    """End sessions; whoever had them may come back."""
    for text in given.accountjids:
        local_of(call.host, text)
    ended = 0
    for text in given.accountjids:
        wanted = jid.parse(text)
        user = call.host.users.get(wanted.local)
        sessions = list(user.sessions.values()) if user is not None else []
        if not wanted.resource:
            ended += len(sessions)
            await end_sessions(call.host, wanted.local, ENDED)
            continue
        for session in sessions:
            if session.jid.resource == wanted.resource:
                session.end(ENDED)
                ended += 1
    return Done(f"{ended} {'session has' if ended == 1 else 'sessions have'} been ended.")


async def list_users(call: Call, given: None) -> Done:
    """Give every account of the host."""
    found = await explained(call.host.accounts.list(), call.host.domain)
    return Done("", Listed(accountjids=tuple(f"{local}@{call.host.domain}" for local in found)))


# -- how -----------------------------------------------------------------------------------


def local_of(host: Host, text: str) -> str:
    """Give the localpart of an account of this host.

    Raises StanzaError ``not-allowed`` for another host's: who administers one host does not thereby
    administer the others.
    """
    found = jid.parse(text)
    if not found.local or found.domain != host.domain:
        raise StanzaError("not-allowed", f"{text} is no account of {host.domain}.")
    return found.local


def check_rank(call: Call, local: str) -> str:
    """Give the localpart of an account, or of one to be, that administers no more than the asker does.

    Raises StanzaError ``forbidden`` for another one: whoever has it would have its rights elsewhere.
    """
    account = f"{local}@{call.host.domain}"
    asker = call.by.bare if call.by is not None else None
    if (asker is None and call.everywhere) or asker in call.host.server_admins:
        return local
    others = [host for host in call.host.router.services.values() if isinstance(host, Host)]
    others.remove(call.host)
    higher = any(account in host.admins and asker not in host.admins for host in others)
    if higher or account in call.host.server_admins:
        raise StanzaError("forbidden", f"{account} administers more than you do.")
    return local


async def existing(host: Host, text: str) -> str:
    """Give the localpart of an account. Raises StanzaError, ``item-not-found`` when it is not there."""
    local = local_of(host, text)
    if not await host.accounts.exists(local):
        raise _nobody(text)
    return local


async def explained(work: Awaitable[T], who: str) -> T:
    """Wait for work on accounts; what can go wrong becomes a StanzaError with a sentence."""
    try:
        return await work
    except AccountExists:
        raise StanzaError("conflict", f"{who} exists already.") from None
    except NoSuchAccount:
        raise _nobody(who) from None
    except InvalidPassword as error:
        raise StanzaError("not-acceptable", f"The password cannot be used: {error}.") from None
    except NotSupported:
        raise StanzaError(
            "not-allowed", "These accounts belong to another program, which has to change them."
        ) from None


def _nobody(who: str) -> StanzaError:
    return StanzaError("item-not-found", f"There is no account {who}.")


async def _each(
    call: Call, given: SomeAccounts, work: Callable[[Host, str], Awaitable[Any]], done: str
) -> Done:
    """Do something with each account, once it is clear that all of them are there, and may be touched."""
    locals = [check_rank(call, await existing(call.host, text)) for text in dict.fromkeys(given.accountjids)]
    for local in locals:
        await explained(work(call.host, local), f"{local}@{call.host.domain}")
    names = ", ".join(f"{local}@{call.host.domain}" for local in locals)
    return Done(f"{names} {'has' if len(locals) == 1 else 'have'} been {done}.")


def _command(
    node: str, name: str, title: str, run: Any, arguments: type[Arguments] | None, harm: str = ""
) -> Command:
    return Command(f"{NS_ADMIN}#{node}", name, title, run, arguments, form_type=NS_ADMIN, harm=harm)


_DELETED = "The accounts go, with their contacts, messages and everything else that is stored for them."


ACCOUNTS = (
    _command("add-user", "account create", "Add a user", add_user, AddUser),
    _command("delete-user", "account delete", "Delete users", delete_users, SomeAccounts, _DELETED),
    _command("disable-user", "account disable", "Disable users", disable_users, SomeAccounts),
    _command("reenable-user", "account enable", "Re-enable users", reenable_users, SomeAccounts),
    _command("end-user-session", "account kick", "End sessions", end_user_sessions, SomeSessions),
    _command("change-user-password", "account passwd", "Change a password", change_password, ChangePassword),
)
"""For clients and the command line. There is no ``get-user-password``: no password is kept to be given."""

LIST = Command("palaver#account-list", "account list", "List the accounts", list_users)
"""For the command line; clients have the lists of XEP-0133, which say how many they want."""
