"""Accounts and sessions of the administrators' interface, and whose hosts an asker administers."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import Field, SecretStr

from palaver.commands import accounts
from palaver.commands.command import Call
from palaver.jid import JID, parse
from palaver.routing.host import Host
from palaver.web.rest.routes import Ask, Created, Given, RestError, Route

MAX_JID_CHARS = 3071


class NewUser(Given):
    """An account."""

    username: str = Field(min_length=1, max_length=1023, description="In front of @host.")
    password: SecretStr = Field(min_length=1, max_length=1023, description="Its password.")


class NewUserOf(NewUser):
    """An account, and of which host."""

    host: str = Field(max_length=1023, description="The host.")


class NewPassword(Given):
    """Another password."""

    newpass: SecretStr = Field(min_length=1, max_length=1023, description="The password.")


# -- whose hosts --------------------------------------------------------------------------------


def host_of(ask: Ask, domain: str) -> Host:
    """Give a host that the asker administers. Raises RestError."""
    if domain == ask.host.domain:
        return ask.host  # type: ignore[no-any-return]
    found = ask.host.router.find(domain)
    if not isinstance(found, Host) or found.domain != domain:
        raise RestError(HTTPStatus.NOT_FOUND, f"There is no host {domain}")
    if not ask.identity.everywhere:
        raise RestError(HTTPStatus.FORBIDDEN, f"You do not administer {domain}")
    return found


def account_of(ask: Ask, text: str) -> tuple[Host, JID]:
    """Give an account of a host that the asker administers. Raises RestError, InvalidJID."""
    found = parse(text)
    if not found.local:
        raise RestError(HTTPStatus.BAD_REQUEST, f"{text} is no account")
    return host_of(ask, found.domain), found


async def existing(ask: Ask, text: str) -> tuple[Host, JID]:
    """Give an account that is there. Raises RestError, InvalidJID, StorageError."""
    host, found = account_of(ask, text)
    if not await host.accounts.exists(found.local):
        raise RestError(HTTPStatus.NOT_FOUND, f"There is no account {found.bare}")
    return host, found


async def speaker(ask: Ask, text: str) -> tuple[Host, JID]:
    """Give an account that the asker may speak for, as `existing` does; StanzaError for one that may more."""
    host, found = await existing(ask, text)
    accounts.check_rank(call_of(ask, host), found.local)
    return host, found


def call_of(ask: Ask, host: Host) -> Call:
    """Give the use of a command that a request is."""
    return Call(host, ask.caller, ask.identity.everywhere)


def _jid(ask: Ask) -> str:
    return f"{ask.path['user']}@{ask.path['host']}"


# -- accounts and sessions ----------------------------------------------------------------------


async def users(ask: Ask) -> list[str]:
    """Give the accounts of a host."""
    host = host_of(ask, ask.path["host"])
    done = await accounts.list_users(call_of(ask, host), None)
    assert isinstance(done.result, accounts.Listed)
    return sorted(done.result.accountjids)


async def add_user(ask: Ask) -> Created:
    """Make an account."""
    host, found = account_of(ask, f"{ask.body.username}@{ask.path['host']}")
    if found.resource or "@" in ask.body.username:
        raise RestError(HTTPStatus.BAD_REQUEST, "That is no name")
    given = accounts.AddUser.model_validate({"accountjid": found.bare, "password": ask.body.password})
    await accounts.add_user(call_of(ask, host), given)
    return Created(found.bare, f"User {found.bare} successfully registered")


async def add_user_of(ask: Ask) -> Created:
    """Make an account of a host that the body names."""
    return await add_user(ask._replace(path={"host": ask.body.host}))


async def change_password(ask: Ask) -> None:
    """Give an account another password."""
    host, found = account_of(ask, _jid(ask))
    given = accounts.ChangePassword(accountjid=found.bare, password=ask.body.newpass)
    await accounts.change_password(call_of(ask, host), given)


async def delete_user(ask: Ask) -> None:
    """Delete an account."""
    host, found = account_of(ask, _jid(ask))
    given = accounts.SomeAccounts(accountjids=(found.bare,))
    await accounts.delete_users(call_of(ask, host), given)


async def sessions(ask: Ask) -> list[str]:
    """Give the sessions of a host."""
    host = host_of(ask, ask.path["host"])
    return sorted(session.jid.full for user in host.users.values() for session in user.sessions.values())


async def kick(ask: Ask) -> None:
    """End a session."""
    host, found = account_of(ask, _jid(ask))
    user = host.users.get(found.local)
    session = user.sessions.get(ask.path["res"]) if user is not None else None
    if session is None:
        raise RestError(HTTPStatus.NOT_FOUND, "no active session")
    session.end(accounts.ENDED)


NO_CONTENT, CREATED = HTTPStatus.NO_CONTENT, HTTPStatus.CREATED

ACCOUNTS: tuple[Route, ...] = (
    Route("GET", "/users/{host}", users, "Accounts", None, None, list[str]),
    Route("POST", "/users/{host}", add_user, "Make an account", NewUser, status=CREATED, writes=True),
    Route("POST", "/users", add_user_of, "Make an account", NewUserOf, status=CREATED, writes=True),
    Route(
        "PUT", "/users/{host}/{user}", change_password, "Password", NewPassword, None, None, NO_CONTENT, True
    ),
    Route("DELETE", "/users/{host}/{user}", delete_user, "Delete an account", status=NO_CONTENT, writes=True),
    Route("GET", "/sessions/{host}", sessions, "Sessions", None, None, list[str]),
    Route("DELETE", "/sessions/{host}/{user}/{res}", kick, "End a session", status=NO_CONTENT, writes=True),
)
