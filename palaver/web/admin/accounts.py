"""Accounts: found, looked at; what can be done with them are commands."""

from __future__ import annotations

from http import HTTPStatus

from palaver import jid
from palaver.auth.accounts import NotSupported
from palaver.commands.accounts import SomeAccounts
from palaver.commands.admins import is_admin
from palaver.commands.reports import OneAccount, Statistics, last_logins, statistics
from palaver.jid import JID, InvalidJID
from palaver.web.admin import commands
from palaver.web.admin.frame import (
    NOTHING,
    PageError,
    Visit,
    button,
    do,
    framed,
    link,
    search,
    section,
    sliced,
    table,
)
from palaver.web.admin.sessions import session_table
from palaver.web.pages.html import Html, facts, tag


async def listing(visit: Visit) -> bytes:
    """List the accounts of the host by name."""
    host = visit.host
    top = tag(
        "div",
        button("New account", visit.to("commands", "account-create")),
        button("Invite somebody", visit.to("commands", "invite-create")),
        class_="actions",
    )
    try:
        names, locked = await host.accounts.list(), set(await host.accounts.disabled())
    except NotSupported:
        said = "These accounts belong to another program, which does not list them. Write a whole name:"
        return framed(visit, "Accounts", top, tag("p", said), search(visit, "Name"), _one_found(visit))
    shown, more = sliced(visit, names)
    rows = [
        (
            link(local, visit.to("accounts", local)),
            len(host.users[local].sessions) if local in host.users else NOTHING,
            "locked out" if local in locked else "",
        )
        for local in shown
    ]
    found = table(("Name", "Sessions", "State"), rows, "There is no such account.")
    count = tag("p", f"{len(names):,} in all", class_="soft")
    find = search(visit, "A part of the name")
    return framed(visit, "Accounts", top, count, find, tag("section", found), more)


def _one_found(visit: Visit) -> Html:
    name = visit.asked("find")
    return tag("p", link(name, visit.to("accounts", name))) if name else Html()


async def show(visit: Visit) -> bytes:
    """Show one account."""
    host = visit.host
    try:
        local = jid.prepare_local(visit.rest[0])
    except InvalidJID:
        raise PageError(HTTPStatus.NOT_FOUND, "There is no such account.") from None
    bare = f"{local}@{host.domain}"
    if not await host.accounts.exists(local):
        raise PageError(HTTPStatus.NOT_FOUND, f"There is no account {bare}.")
    credentials = await host.accounts.credentials(local)
    locked = credentials is not None and credentials.disabled
    user = host.users.get(local)
    told = facts(
        ("Address", tag("code", bare)),
        ("State", "locked out" if locked else "may log in"),
        ("Away since", await _last(visit, bare)),
        ("Contacts", await _contacts(visit, bare)),
        ("Administrator", "yes" if await is_admin(host, JID(local, host.domain, "")) else "no"),
    )
    sessions = list(user.sessions.values()) if user is not None else []
    actions = [
        do(visit, "account enable", "Let in again", accountjids=bare)
        if locked
        else do(visit, "account disable", "Lock out", accountjids=bare),
        do(visit, "account kick", "End all sessions", accountjids=bare) if sessions else Html(),
        button("New password", visit.to("commands", "account-passwd", accountjid=bare)),
        button("Delete", visit.to("commands", "account-delete", accountjids=bare), harm=True),
    ]
    return framed(
        visit,
        bare,
        tag("section", told, tag("div", *actions, class_="actions")),
        section("Sessions and devices", session_table(visit, sessions)),
        section("More", await commands.about(visit, bare)),
    )


async def _last(visit: Visit, bare: str) -> str:
    done = await last_logins(visit.call, SomeAccounts(accountjids=(bare,)))
    return str(done.result.model_dump()["lastlogin"][0]) if done.result is not None else ""


async def _contacts(visit: Visit, bare: str) -> int:
    done = await statistics(visit.call, OneAccount(accountjid=bare))
    assert isinstance(done.result, Statistics)
    return done.result.rostersize
