"""Sessions: found, looked at, ended."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from palaver.web.admin.frame import (
    NOTHING,
    PageError,
    Visit,
    do,
    framed,
    link,
    search,
    section,
    sliced,
    table,
)
from palaver.web.pages.html import Html, facts, tag

HEAD = ("Session", "From", "Encrypted", "Presence", "")


async def listing(visit: Visit) -> bytes:
    """List the sessions of the host by address."""
    found = {
        session.jid.full: session for user in visit.host.users.values() for session in user.sessions.values()
    }
    shown, more = sliced(visit, found)
    count = tag("p", f"{len(found):,} in all", class_="soft")
    listed = session_table(visit, [found[full] for full in shown])
    find = search(visit, "A part of the address")
    return framed(visit, "Sessions", count, find, tag("section", listed), more)


def session_table(visit: Visit, sessions: Sequence[Any]) -> Html:
    """Give a table of sessions, each with the button that ends it."""
    rows = [
        (
            link(session.jid.full, visit.to("sessions", session.jid.local, session.jid.resource)),
            _address(session),
            _encrypted(session),
            _presence(session),
            do(visit, "account kick", "End", accountjids=session.jid.full),
        )
        for session in sessions
    ]
    return table(HEAD, rows, "There is none.")


async def show(visit: Visit) -> bytes:
    """Show one session."""
    local, resource = visit.rest
    user = visit.host.users.get(local)
    session = user.sessions.get(resource) if user is not None else None
    if user is None or session is None:
        raise PageError(HTTPStatus.NOT_FOUND, "This session has ended.")
    told = facts(
        ("Account", link(user.bare, visit.to("accounts", local))),
        ("Resource", tag("code", resource)),
        ("From", _address(session)),
        ("Encrypted", _encrypted(session)),
        ("Last heard of", _heard(visit, session)),
        ("Presence", _presence(session)),
        ("Status", _status(session)),
        ("Priority", session.priority),
        ("Wants its contacts", "yes" if session.roster_interested else "no"),
        *_managed(session),
    )
    end = do(visit, "account kick", "End this session", accountjids=session.jid.full)
    hint = tag("p", "Whoever has it may log in again; lock the account out to prevent that.", class_="hint")
    others = section("Others", _others(visit, user))
    return framed(visit, session.jid.full, tag("section", told, end, hint), others)


def _others(visit: Visit, user: Any) -> Html:
    others = [session for session in user.sessions.values() if session.jid.resource != visit.rest[1]]
    return session_table(visit, others)


def _address(session: Any) -> str:
    stream = session.stream
    if stream is None or not stream.address:
        return "waits to be resumed"
    return str(stream.address)


def _encrypted(session: Any) -> str:
    stream = session.stream
    return NOTHING if stream is None or not stream.address else "yes" if stream.secure else "no"


def _heard(visit: Visit, session: Any) -> str:
    if session.stream is None:
        return NOTHING
    return f"{max(0, visit.host.clock.seconds() - session.stream.heard):.0f} s ago"


def _presence(session: Any) -> str:
    if session.presence is None:
        return "unavailable"
    show = str(session.presence.element.show or "") or "available"
    return f"{show}, invisible" if session.invisible else show


def _status(session: Any) -> str:
    return str(session.presence.element.status or "") if session.presence is not None else ""


def _managed(session: Any) -> list[tuple[str, object]]:
    """Say what stream management knows, if the client has switched it on."""
    managed = session.managed
    if managed is None:
        return [("Stream management", "no")]
    return [
        ("Stream management", "yes, can be resumed" if managed.resumable else "yes"),
        ("Not acknowledged", len(managed.unacknowledged)),
    ]
