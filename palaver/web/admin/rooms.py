"""Rooms of Multi-User Chat: found, looked at; what can be done with them are commands."""

from __future__ import annotations

from http import HTTPStatus

from palaver.errors import StanzaError
from palaver.muclight import commands as light
from palaver.rooms.commands import find, page, report, service_of
from palaver.web.admin.frame import (
    NOTHING,
    PAGE_ROWS,
    PageError,
    Visit,
    button,
    framed,
    link,
    onward,
    search,
    section,
    table,
)
from palaver.web.pages.html import Html, facts, tag


async def listing(visit: Visit) -> bytes:
    """List the rooms of the host by name, those too that nobody finds."""
    service = service_of(visit.call)
    found, after = await page(service, visit.asked("find").lower(), visit.asked("after"), PAGE_ROWS)
    rows = [
        (
            link(f"{room.name}@{service.domain}", visit.to("rooms", room.name)),
            room.title,
            room.occupants,
            _kind(room.is_public, room.is_persistent),
        )
        for room in found
    ]
    listed = table(("Room", "Title", "In it", "Kind"), rows, "There is no such room.")
    return framed(
        visit,
        "Rooms",
        tag("div", button("New room", visit.to("commands", "room-create")), class_="actions"),
        search(visit, "A part of the name"),
        tag("section", listed),
        onward(visit, after=after) if after else Html(),
        _others(visit),
    )


def _others(visit: Visit) -> Html:
    if light.found_service(visit.host) is None:
        return Html()
    return tag("p", link("Rooms of MUC Light", visit.to("light")))


def _kind(is_public: bool, is_persistent: bool) -> str:
    return ", ".join(
        ("public" if is_public else "hidden", "stays" if is_persistent else "goes with the last one")
    )


async def show(visit: Visit) -> bytes:
    """Show one room."""
    service = service_of(visit.call)
    try:
        room = await find(service, f"{visit.rest[0]}@{service.domain}")
    except StanzaError as error:
        raise PageError(HTTPStatus.NOT_FOUND, error.text or "There is no such room.") from None
    found = report(room)
    told = facts(
        ("Address", tag("code", found.address)),
        ("Title", found.title),
        ("Owners", ", ".join(found.owners) or NOTHING),
        ("In it", len(room.occupants)),
    )
    destroy = button("Destroy", visit.to("commands", "room-destroy", room=found.address), harm=True)
    seats = [
        (occupant.nick, occupant.role, seat.jid.full)
        for occupant in room.occupants.values()
        for seat in occupant.seats
    ]
    held = [(bare, one.affiliation) for bare, one in sorted(room.affiliations.items())]
    config = [tuple(line.split(": ", 1)) for line in found.configuration]
    return framed(
        visit,
        found.address,
        tag("section", told, tag("div", destroy, class_="actions")),
        section("In it now", table(("Nick", "Role", "Session"), seats[:PAGE_ROWS], "Nobody.")),
        section("Affiliations", table(("Account", "Affiliation"), held[:PAGE_ROWS], "None.")),
        section("Configuration", facts(*((name, value) for name, value in config))),
    )


# -- MUC Light ----------------------------------------------------------------------------------


async def light_listing(visit: Visit) -> bytes:
    """List the rooms of MUC Light by name."""
    service = light.service_of(visit.call)
    found, after = await light.page(service, visit.asked("find").lower(), visit.asked("after"), PAGE_ROWS)
    rows = [
        (link(f"{room.name}@{service.domain}", visit.to("light", room.name)), room.title, room.members)
        for room in found
    ]
    return framed(
        visit,
        "Rooms of MUC Light",
        tag("div", button("New room", visit.to("commands", "light-create")), class_="actions"),
        search(visit, "A part of the name"),
        tag("section", table(("Room", "Title", "Members"), rows, "There is no such room.")),
        onward(visit, after=after) if after else Html(),
    )


async def light_show(visit: Visit) -> bytes:
    """Show one room of MUC Light."""
    service = light.service_of(visit.call)
    try:
        room = await light.find(service, f"{visit.rest[0]}@{service.domain}")
    except StanzaError as error:
        raise PageError(HTTPStatus.NOT_FOUND, error.text or "There is no such room.") from None
    told = facts(("Address", tag("code", room.jid.bare)), *room.config.items())
    destroy = button("Destroy", visit.to("commands", "light-destroy", room=room.jid.bare), harm=True)
    members = list(room.users.items())[:PAGE_ROWS]
    return framed(
        visit,
        room.jid.bare,
        tag("section", told, tag("div", destroy, class_="actions")),
        section(f"Members: {len(room.users):,}", table(("Account", "Affiliation"), members, "None.")),
    )
