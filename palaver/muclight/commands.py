"""Rooms of MUC Light as administrators see them: found in pages, looked at, made and destroyed."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, Field

from palaver.commands.command import Arguments, Call, Command, Done
from palaver.commands.typed import Account, Accounts
from palaver.errors import StanzaError
from palaver.muclight import creating, setting
from palaver.muclight.changes import MEMBER, Item
from palaver.muclight.creating import Wish
from palaver.muclight.room import Room, new_version
from palaver.muclight.schema import ROOM_NAME, Config, read_value
from palaver.muclight.service import Service
from palaver.muclight.store import KIND
from palaver.rooms.commands import ListRooms, OneRoom, check_owner, name_of, stored_names
from palaver.routing.host import Host


class LightLine(NamedTuple):
    """A room in a list: its localpart, its title, and how many belong to it."""

    name: str
    title: str
    members: int


class NewLight(Arguments):
    """A room of MUC Light."""

    room: str = Field("", max_length=3071, description="Its address, or what is before the @; empty: any.")
    owner: Account = Field(description="The account that owns it.")
    title: str = Field("", max_length=1000, description="What it is called.")
    members: Accounts = Field((), description="Who else belongs to it.")


class Listed(BaseModel):
    """Rooms."""

    rooms: tuple[str, ...] = Field(description="address, members and title, a line each.")


class LightReport(BaseModel):
    """One room."""

    address: str = Field(description="Its address.")
    title: str = Field(description="What it is called.")
    members: tuple[str, ...] = Field(description="account and affiliation, a line each.")
    configuration: tuple[str, ...] = Field(description="What it is like.")


def found_service(host: Host) -> Service | None:
    """Give the service of a host; None while mod_muc_light is off."""
    return next((found for _, found in host.router.below(host.domain) if isinstance(found, Service)), None)


def service_of(call: Call) -> Service:
    """Give the service of a host. Raises StanzaError."""
    found = found_service(call.host)
    if found is None:
        raise StanzaError("service-unavailable", "There are no such rooms here; mod_muc_light is off.")
    return found


async def page(service: Service, find: str, after: str, limit: int) -> tuple[list[LightLine], str]:
    """Give rooms by name, those behind ``after`` whose names have ``find`` in them.

    Also gives behind which one the next page begins, "" at the end. Raises StorageError.
    """
    documents = service.storage.documents
    names, last = await stored_names(documents, (service.domain, KIND), find, after, limit + 1)
    shown = names[:limit]
    rooms = [await service.find(name) for name in shown]
    lines = [LightLine(room.name, title_of(room), len(room.users)) for room in rooms if room is not None]
    return lines, shown[-1] if len(names) > limit else last


def title_of(room: Room) -> str:
    """Give what a room is called."""
    return str(room.config.get(ROOM_NAME, ""))


async def find(service: Service, text: str) -> Room:
    """Give a room by its address or localpart. Raises StanzaError, StorageError."""
    name = name_of(service.domain, text)
    room = await service.find(name)
    if room is None:
        raise StanzaError("item-not-found", f"There is no room {name}@{service.domain}.")
    return room


def report(room: Room) -> LightReport:
    """Give what administrators may know of a room."""
    return LightReport(
        address=room.jid.bare,
        title=title_of(room),
        members=tuple(f"{bare} {affiliation}" for bare, affiliation in room.users.items()),
        configuration=tuple(f"{name}: {value}" for name, value in room.config.items()),
    )


async def list_rooms(call: Call, given: ListRooms) -> Done:
    """List rooms."""
    service = service_of(call)
    lines, _ = await page(service, given.find, given.after.partition("@")[0], given.limit)
    told = [f"{line.name}@{service.domain} {line.members} {line.title}".rstrip() for line in lines]
    return Done("", Listed(rooms=tuple(told)))


async def show_room(call: Call, given: OneRoom) -> Done:
    """Say what a room is like, and who belongs to it."""
    return Done("", report(await find(service_of(call), given.room)))


async def create_room(call: Call, given: NewLight) -> Done:
    """Make a room for an owner; its members are told."""
    service = service_of(call)
    name = name_of(service.domain, given.room) if given.room else creating.new_name()
    await check_owner(call.host, given.owner)
    default = service.schema.defaults.get(ROOM_NAME)
    config: Config = {}
    if given.title and default is not None:
        config[ROOM_NAME] = read_value(ROOM_NAME, given.title, default)
    members = [Item(bare, MEMBER) for bare in dict.fromkeys(given.members) if bare != given.owner]
    await creating.create(service, Wish(given.owner, name, config, members, new_version()))
    return Done(f"{name}@{service.domain} has been created.")


async def destroy_room(call: Call, given: OneRoom) -> Done:
    """Destroy a room; its members are told."""
    room = await find(service_of(call), given.room)

    async def turn() -> None:
        if room.gone:
            raise StanzaError("item-not-found", f"There is no room {room.jid.bare}.")
        await setting.end(room, new_version())

    await room.order.take(turn)
    return Done(f"{room.jid.bare} has been destroyed.")


_GONE = "The room goes, with everything that was said in it."

ROOMS = (
    Command("palaver#light-list", "light list", "List rooms of MUC Light", list_rooms, ListRooms),
    Command("palaver#light-show", "light show", "Show a room of MUC Light", show_room, OneRoom),
    Command("palaver#light-create", "light create", "Create a room of MUC Light", create_room, NewLight),
    Command(
        "palaver#light-destroy",
        "light destroy",
        "Destroy a room of MUC Light",
        destroy_room,
        OneRoom,
        harm=_GONE,
    ),
)
