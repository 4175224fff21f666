"""What administrators may know about accounts (XEP-0133 sections 4.8 to 4.10, 4.13 to 4.22)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from heapq import nsmallest
from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

from palaver.commands.accounts import NS_ADMIN, SomeAccounts, existing, explained
from palaver.commands.command import Arguments, Call, Command, Done
from palaver.commands.typed import Account
from palaver.interfaces import ILastActivity
from palaver.routing.host import Host
from palaver.routing.rosters import rosters
from palaver.times import stamp


class OneAccount(Arguments):
    """Which account."""

    accountjid: Account = Field(description="The account, user@host.")


class HowMany(Arguments):
    """How many of a list."""

    max_items: Literal["25", "50", "75", "100", "150", "200", "none"] = Field(
        "none", description="How many at most; none: all."
    )


class FindSessions(Arguments):
    """Which sessions."""

    find: str = Field("", max_length=3071, description="What their addresses have in them; empty: all.")
    limit: int = Field(100, ge=1, le=10_000, description="How many at most.")


class SessionReport(BaseModel):
    """Sessions."""

    sessions: tuple[str, ...] = Field(description="address, where from and presence, a line each.")


class RosterReport(BaseModel):
    """What accounts have as contacts."""

    accountjids: tuple[str, ...] = Field(description="The accounts.")
    contacts: tuple[str, ...] = Field(description="account contact subscription, a line each.")


class LastLogins(BaseModel):
    """Since when accounts are away."""

    accountjids: tuple[str, ...] = Field(description="The accounts.")
    lastlogin: tuple[str, ...] = Field(description="For each: online, the time it went, or never.")


class Statistics(BaseModel):
    """One account in figures."""

    ipaddresses: tuple[str, ...] = Field(description="Where its sessions come from.")
    rostersize: int = Field(description="How many contacts it has.")
    onlineresources: tuple[str, ...] = Field(description="Its sessions.")


# -- about some accounts -------------------------------------------------------------------


async def get_rosters(call: Call, given: SomeAccounts) -> Done:
    """Give the contacts of accounts."""
    lines = []
    for text in given.accountjids:
        roster = await rosters(call.host).load(await existing(call.host, text))
        lines += [f"{text} {item.jid} {item.subscription}" for item in roster.items.values() if item.listed]
    return Done("", RosterReport(accountjids=given.accountjids, contacts=tuple(lines)))


async def last_logins(call: Call, given: SomeAccounts) -> Done:
    """Give since when accounts are away."""
    found = [await _last(call.host, await existing(call.host, text)) for text in given.accountjids]
    return Done("", LastLogins(accountjids=given.accountjids, lastlogin=tuple(found)))


async def _last(host: Host, local: str) -> str:
    if local in host.users:
        return "online"
    activity = host.query(ILastActivity)
    went = await activity.went(local) if activity is not None else None
    return "never" if went is None else stamp(went)


async def statistics(call: Call, given: OneAccount) -> Done:
    """Give figures of one account."""
    local = await existing(call.host, given.accountjid)
    roster = await rosters(call.host).load(local)
    user = call.host.users.get(local)
    sessions = list(user.sessions.values()) if user is not None else []
    addresses = {session.stream.address for session in sessions if session.stream is not None}
    found = Statistics(
        ipaddresses=tuple(sorted(addresses)),
        rostersize=sum(item.listed for item in roster.items.values()),
        onlineresources=tuple(sorted(session.jid.resource for session in sessions)),
    )
    return Done("", found)


async def list_sessions(call: Call, given: FindSessions) -> Done:
    """Give sessions by address."""
    found = {
        session.jid.full: session for user in call.host.users.values() for session in user.sessions.values()
    }
    wanted = nsmallest(given.limit, (full for full in found if given.find.lower() in full.lower()))
    lines = []
    for full in wanted:
        stream, presence = found[full].stream, found[full].presence
        show = "unavailable" if presence is None else str(presence.element.show or "") or "available"
        lines.append(f"{full} {stream.address if stream is not None and stream.address else '-'} {show}")
    return Done("", SessionReport(sessions=tuple(lines)))


# -- about all -------------------------------------------------------------------------------


async def _registered(host: Host) -> list[str]:
    return list(await explained(host.accounts.list(), host.domain))


async def _disabled(host: Host) -> list[str]:
    return list(await explained(host.accounts.disabled(), host.domain))


async def _online(host: Host) -> list[str]:
    return sorted(host.users)


async def _active(host: Host) -> list[str]:
    return sorted(local for local in host.users if _is_active(host, local))


async def _idle(host: Host) -> list[str]:
    return sorted(local for local in host.users if not _is_active(host, local))


def _is_active(host: Host, local: str) -> bool:
    """Tell whether an account has a session that says that somebody is there (RFC 6121 section 4.7.2.1)."""
    shows = [session.presence.element for session in host.users[local].available() if session.presence]
    return any(str(node.show or "") in ("", "chat", "dnd") for node in shows)


def _model(name: str, kind: Any, title: str) -> Any:
    """Give a model with one field, which XEP-0133 names differently for each kind of accounts."""
    fields: dict[str, Any] = {name: (kind, Field(description=title))}
    return create_model(name, **fields)


Finder = Callable[[Host], Awaitable[list[str]]]


def _count(find: Finder, name: str, title: str) -> Callable[[Call, None], Awaitable[Done]]:
    result = _model(name, int, title)

    async def run(call: Call, given: None) -> Done:
        return Done("", result(**{name: len(await find(call.host))}))

    return run


def _listing(find: Finder, name: str, title: str) -> Callable[[Call, HowMany], Awaitable[Done]]:
    result = _model(name, tuple[str, ...], title)

    async def run(call: Call, given: HowMany) -> Done:
        found = await find(call.host)
        wanted = found if given.max_items == "none" else found[: int(given.max_items)]
        return Done("", result(**{name: tuple(f"{local}@{call.host.domain}" for local in wanted)}))

    return run


def _command(
    node: str, name: str, title: str, run: Callable[..., Any], arguments: type[Arguments] | None
) -> Command:
    return Command(f"{NS_ADMIN}#{node}", name, title, run, arguments, form_type=NS_ADMIN)


def _pair(kind: str, node: str, find: Finder, listed: str = "") -> tuple[Command, Command]:
    """Give the commands that count and list one kind of accounts."""
    many, number, names = f"{kind} users", f"{kind}usersnum", listed or f"{kind}userjids"
    counting = _count(find, number, many)
    listing = _listing(find, names, many)
    return (
        _command(f"get-{kind}-users-num", f"count {kind}", f"Number of {many}", counting, None),
        _command(node, f"list {kind}", f"List of {many}", listing, HowMany),
    )


REPORTS = (
    _command("get-user-roster", "account roster", "Rosters of users", get_rosters, SomeAccounts),
    _command("get-user-lastlogin", "account last", "Last logins of users", last_logins, SomeAccounts),
    _command("user-stats", "account stats", "Statistics of a user", statistics, OneAccount),
    Command("palaver#session-list", "session list", "List sessions", list_sessions, FindSessions),
    *_pair("registered", "get-registered-users-list", _registered),
    *_pair("disabled", "get-disabled-users-list", _disabled),
    *_pair("online", "get-online-users-list", _online),
    *_pair("active", "get-active-users", _active),
    # The XEP names this field like that of the active ones.
    *_pair("idle", "get-idle-users", _idle, "activeuserjids"),
)
