"""Rooms as administrators see them: found in pages, looked at, made and destroyed, whoever owns them."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, Field

from palaver import jid
from palaver.commands.accounts import existing
from palaver.commands.command import Arguments, Call, Command, Done
from palaver.commands.typed import Account
from palaver.errors import StanzaError
from palaver.interfaces import IRooms
from palaver.jid import JID, InvalidJID
from palaver.pubsub.fields import texts_of
from palaver.rooms.config import SECRETS
from palaver.rooms.store import KIND

if TYPE_CHECKING:
    from palaver.rooms.room import Room
    from palaver.rooms.service import Service
    from palaver.routing.host import Host

MAX_LISTED = 500
# Names that one search reads at a time, and all in all before it says that there may be more.
NAMES_READ = 1000
MAX_SEARCHED = 20_000
MAX_REASON_CHARS = 1000


class RoomLine(NamedTuple):
    """A room in a list: its localpart, its title, and how many are in it now."""

    name: str
    title: str
    occupants: int
    is_public: bool
    is_persistent: bool


class ListRooms(Arguments):
    """Which rooms."""

    find: str = Field("", max_length=256, description="What their addresses have in them; empty: all.")
    after: str = Field("", max_length=1024, description="Those behind this room.")
    limit: int = Field(100, ge=1, le=MAX_LISTED, description="How many at most.")


class OneRoom(Arguments):
    """Which room."""

    room: str = Field(min_length=1, max_length=3071, description="Its address, or what is before the @.")


class NewRoom(OneRoom):
    """A room."""

    owner: Account = Field(description="The account that owns it.")
    title: str = Field("", max_length=1000, description="What it is called.")
    persistent: bool = Field(True, description="It stays when nobody is in it.")
    public: bool = Field(True, description="Everybody can find it.")
    members_only: bool = Field(False, description="Only members may enter.")


class Destroying(OneRoom):
    """Which room goes, and what those in it are told."""

    reason: str = Field("", max_length=MAX_REASON_CHARS, description="Why.")
    alternate: str = Field("", max_length=3071, description="The address of a room that takes its place.")


class Listed(BaseModel):
    """Rooms."""

    rooms: tuple[str, ...] = Field(description="address, occupants and title, a line each.")


class RoomReport(BaseModel):
    """One room."""

    address: str = Field(description="Its address.")
    title: str = Field(description="What it is called.")
    owners: tuple[str, ...] = Field(description="Its owners.")
    affiliations: tuple[str, ...] = Field(description="account and affiliation, a line each.")
    occupants: tuple[str, ...] = Field(description="nick, role and session, a line each.")
    configuration: tuple[str, ...] = Field(description="What it is like.")


# -- finding them -------------------------------------------------------------------------------


def service_of(call: Call) -> Service:
    """Give the service of a host. Raises StanzaError."""
    found: Service | None = call.host.query(IRooms)
    if found is None:
        raise StanzaError("service-unavailable", "There are no rooms here; mod_muc is off.")
    return found


async def page(service: Service, find: str, after: str, limit: int) -> tuple[list[RoomLine], str]:
    """Give rooms by name, those behind ``after`` whose names have ``find`` in them.

    Also gives behind which one the next page begins, "" at the end. Raises StorageError.
    """
    documents = service.store.storage.documents
    stored, last = await stored_names(documents, (service.domain, KIND), find, after, limit + 1)
    passing = [
        room.name
        for room in service.rooms.values()
        if not room.is_persistent and not room.gone and room.name > after and find in room.name
    ]
    names = [name for name in heapq.merge(stored, sorted(passing)) if not last or name <= last]
    shown = list(dict.fromkeys(names))[:limit]
    lines = [line for name in shown if (line := await _line(service, name)) is not None]
    if len(names) > limit:
        return lines, shown[-1]
    return lines, last


async def stored_names(
    documents: Any, of: tuple[str, str], find: str, after: str, limit: int
) -> tuple[list[str], str]:
    """Give names of rooms that have ``find`` in them, in order, a few more than ``limit`` at times.

    ``of`` is the domain and the kind of their documents. Also gives behind which name the search has to go
    on, "" when it is done. Raises StorageError.
    """
    found: list[str] = []
    for _ in range(MAX_SEARCHED // NAMES_READ):
        names = await documents.owners(*of, limit=NAMES_READ, after=after or None)
        found += [name for name in names if find in name]
        if len(names) < NAMES_READ:
            return found, ""
        after = names[-1]
        if len(found) >= limit:
            break
    return found, after


async def _line(service: Service, name: str) -> RoomLine | None:
    """Give a room's line without taking it into memory; None for one that is gone."""
    room = service.rooms.get(name)
    if room is not None:
        if room.gone:
            return None
        config, inside = room.config, len(room.occupants)
    else:
        document = await service.store.storage.documents.get(service.domain, name, KIND)
        if document is None or document.value.get("gone"):
            return None
        config, inside = {**service.fields.defaults(), "persistentroom": True}, 0
        config.update(document.value.get("config", {}))
    title = str(config["roomname"])
    return RoomLine(name, title, inside, bool(config["publicroom"]), bool(config["persistentroom"]))


async def find(service: Service, text: str) -> Room:
    """Give a room by its address or localpart. Raises StanzaError, StorageError."""
    name = name_of(service.domain, text)
    room = service.get(name) or await service.load(name)
    if room is None:
        raise StanzaError("item-not-found", f"There is no room {name}@{service.domain}.")
    return room


def name_of(domain: str, text: str) -> str:
    """Give the localpart of the address of a room on a service's domain. Raises StanzaError."""
    try:
        if "@" not in text:
            return jid.prepare_local(text)
        found = jid.parse(text)
    except InvalidJID as error:
        raise StanzaError("bad-request", f"{text!r} is no room: {error}.") from None
    if found.domain != domain or not found.local or found.resource:
        raise StanzaError("not-allowed", f"{text} is no room of {domain}.")
    return found.local


def report(room: Room) -> RoomReport:
    """Give what administrators may know of a room; its password is not among it."""
    held = sorted((one.affiliation, bare) for bare, one in room.affiliations.items())
    seats = [
        f"{occupant.nick} {occupant.role} {seat.jid.full}"
        for occupant in sorted(room.occupants.values(), key=lambda one: one.nick)
        for seat in occupant.seats
    ]
    config = [
        f"{name}: {', '.join(texts_of(value))}"
        for name, value in room.config.items()
        if name not in SECRETS and value not in ("", [])
    ]
    return RoomReport(
        address=room.jid.bare,
        title=str(room.config["roomname"]),
        owners=tuple(room.owners()),
        affiliations=tuple(f"{bare} {affiliation}" for affiliation, bare in held),
        occupants=tuple(seats),
        configuration=tuple(config),
    )


# -- the commands -------------------------------------------------------------------------------


async def list_rooms(call: Call, given: ListRooms) -> Done:
    """List rooms, those too that nobody finds."""
    service = service_of(call)
    lines, _ = await page(service, given.find, given.after.partition("@")[0], given.limit)
    told = [f"{line.name}@{service.domain} {line.occupants} {line.title}".rstrip() for line in lines]
    return Done("", Listed(rooms=tuple(told)))


async def show_room(call: Call, given: OneRoom) -> Done:
    """Say what a room is like, and who is in it."""
    return Done("", report(await find(service_of(call), given.room)))


async def check_owner(host: Host, bare: str) -> None:
    """Refuse an owner who would be an account of this host and is not there. Raises StanzaError."""
    if bare.endswith(f"@{host.domain}"):
        await existing(host, bare)


async def create_room(call: Call, given: NewRoom) -> Done:
    """Make a room for an owner."""
    service = service_of(call)
    await check_owner(call.host, given.owner)
    room = await service.create(
        name_of(service.domain, given.room),
        given.owner,
        {
            "roomname": given.title,
            "persistentroom": given.persistent,
            "publicroom": given.public,
            "membersonly": given.members_only,
        },
    )
    return Done(f"{room.jid.bare} has been created.")


async def destroy_room(call: Call, given: Destroying) -> Done:
    """Destroy a room; those in it are told."""
    service = service_of(call)
    name = name_of(service.domain, given.room)
    try:
        alternate = jid.parse(given.alternate).bare if given.alternate else None
    except InvalidJID as error:
        raise StanzaError("bad-request", f"{given.alternate!r} is no address: {error}.") from None
    address = JID(name, service.domain, "").bare
    if not await service.destroy(name, given.reason, alternate):
        raise StanzaError("item-not-found", f"There is no room {address}.")
    return Done(f"{address} has been destroyed.")


_GONE = "The room goes, with everything that was said in it; whoever is in it has to leave."

ROOMS = (
    Command("palaver#room-list", "room list", "List rooms", list_rooms, ListRooms),
    Command("palaver#room-show", "room show", "Show a room", show_room, OneRoom),
    Command("palaver#room-create", "room create", "Create a room", create_room, NewRoom),
    Command("palaver#room-destroy", "room destroy", "Destroy a room", destroy_room, Destroying, harm=_GONE),
)
