"""What the server does now: sessions and rooms of each host, and for the whole server rates and storage."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from palaver.interfaces import IRooms
from palaver.routing.host import Host
from palaver.web.admin.frame import NOTHING, Visit, address, framed, link, section, table
from palaver.web.interfaces import IDataFolder
from palaver.web.pages.html import Html, facts, tag

# How often a page that is looked at is fetched again.
LIVE_S = 5
# A server can have thousands; those behind are found under their own addresses.
MAX_HOSTS = 100


async def show(visit: Visit) -> bytes:
    """Show it; who administers some hosts sees nothing of the others."""
    parts = [section("Hosts", _hosts(visit))]
    if visit.everywhere:
        parts += _server(visit)
    return framed(visit, "Overview", tag("div", _figures(visit), *parts, data_live=LIVE_S))


def _figures(visit: Visit) -> Html:
    hosts = list(visit.hosts.values())
    sessions = sum(map(_sessions, hosts))
    shown = [
        ("Sessions", sessions),
        ("Accounts online", sum(len(host.users) for host in hosts)),
        ("Rooms in use", sum(len(_rooms(host)) for host in hosts)),
        ("In rooms", sum(len(room.occupants) for host in hosts for room in _rooms(host))),
    ]
    return figures(shown)


def figures(shown: Iterable[tuple[str, object]]) -> Html:
    """Give numbers under their names."""
    return tag(
        "dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in shown), class_="figures"
    )


def _hosts(visit: Visit) -> Html:
    base = visit.pages.path
    rows = [
        (
            link(domain, address(base, domain, "accounts")),
            _sessions(host),
            len(host.users),
            len(_rooms(host)),
        )
        for domain, host in sorted(visit.hosts.items())[:MAX_HOSTS]
    ]
    return table(("Host", "Sessions", "Accounts online", "Rooms in use"), rows, "There is none.")


def _sessions(host: Host) -> int:
    return sum(len(user.sessions) for user in host.users.values())


def _rooms(host: Host) -> list[Any]:
    service = host.query(IRooms)
    return list(service.online()) if service is not None else []


def _server(visit: Visit) -> list[Html]:
    """Give what concerns all hosts together."""
    found = visit.pages.figures
    rates = [
        (rate.name, f"{rate.total:,}", NOTHING if rate.each_second is None else f"{rate.each_second:,.1f}")
        for rate in found.rates()
    ]
    commits, each_ms = found.commit_ms()
    waiting, unbound, unacknowledged = _queues(visit)
    stored = facts(
        ("Commits", f"{commits:,}"),
        ("One takes", NOTHING if each_ms is None else f"{each_ms:.1f} ms"),
        ("Reads and changes that wait", NOTHING if waiting is None else f"{waiting:,.0f}"),
        ("Files of the data folder", f"{_stored_bytes(visit) / 2**20:,.1f} MiB"),
    )
    queues = facts(
        ("Logged in, no session yet", unbound),
        ("Sent to clients, not acknowledged", unacknowledged),
    )
    return [
        section("How often", table(("What", "Since the start", "Each second"), rates, "")),
        section("Storage", stored),
        section("Queues", queues),
    ]


def _stored_bytes(visit: Visit) -> int:
    """Give the size of the database and what lies beside it; uploads have folders of their own."""
    folder = visit.host.query(IDataFolder)
    if folder is None:
        return 0
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


def _queues(visit: Visit) -> tuple[float | None, int, int]:
    """Give what waits: for the storage, for a resource, and for acknowledgements of clients."""
    hosts = list(visit.hosts.values())
    unacknowledged = sum(
        len(session.managed.unacknowledged)
        for host in hosts
        for user in host.users.values()
        for session in user.sessions.values()
        if session.managed is not None
    )
    return visit.pages.figures.waiting(), sum(len(host.unbound) for host in hosts), unacknowledged
