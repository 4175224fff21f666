"""New rooms."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from palaver.errors import StanzaError
from palaver.muclight import changes, store, telling
from palaver.muclight.blocking import welcome
from palaver.muclight.changes import Item, Users
from palaver.muclight.room import Room, new_version
from palaver.muclight.schema import Config
from palaver.storage import Batch, Conflict

if TYPE_CHECKING:
    from palaver.muclight.service import Service

NAME_BYTES = 10
MAX_NAME_CHARS = store.MAX_KEY_CHARS


class Wish(NamedTuple):
    """A room that ``creator``, a bare JID, wants.

    ``name`` is empty for one that the service finds; ``config`` has the fields that are not to have their
    defaults; ``wanted`` is who else is to be in it; ``id`` that of the request.
    """

    creator: str
    name: str
    config: Config
    wanted: Sequence[Item]
    id: str


def new_name() -> str:
    """Give a name that no room has."""
    return secrets.token_hex(NAME_BYTES)


async def create(service: Service, wish: Wish) -> None:
    """Make a room and tell its members. Raises StanzaError, StorageError."""
    creator, name, wanted = wish.creator, wish.name, wish.wanted
    changes.first(creator, wanted, service.rules._replace(max_occupants=None))
    if len(name) > MAX_NAME_CHARS:
        raise StanzaError("bad-request", "The room's name is too long")
    if name and await service.find(name) is not None:
        raise _exists()
    limit = service.rules.rooms_per_user
    if limit is not None and len(await service.store.rooms_of(creator)) >= limit:
        raise StanzaError("bad-request", "You are in as many rooms as you may be")
    known = f"{name}@{service.domain}" if name else None
    willing = await welcome(service, creator, [item.bare for item in wanted], known, True)
    users = changes.first(creator, [item for item in wanted if item.bare in willing], service.rules)
    await _put(service, wish, users)


async def _put(service: Service, wish: Wish, users: Users) -> None:
    """Commit a room and tell its members. Raises StanzaError, StorageError."""
    name = wish.name or new_name()
    if name in service.rooms:
        raise _exists()
    config = {**service.schema.defaults, **wish.config}
    room = service.rooms[name] = Room(service, name, config, users, new_version())

    async def commit() -> None:
        batch = Batch()
        store.put_room(batch, room, room.config, room.version, new=True)
        store.put_users(batch, room, room.users, room.users)
        told = service.codec.of_creation(room, wish.id)
        telling.archive(batch, room, told.kept)
        telling.have_stored(batch, room, told, users, users)
        await service.storage.write(batch)
        telling.show(room, (), "")
        telling.tell(room, told)

    try:
        await room.order.take(commit)
    except Conflict:
        service.end(room)
        raise _exists() from None
    except BaseException:
        service.end(room)
        raise


def _exists() -> StanzaError:
    return StanzaError("conflict", "Room already exists")
