"""New rooms."""

from __future__ import annotations

import secrets

from palaver.errors import StanzaError
from palaver.muclight import changes, notices, store
from palaver.muclight.blocking import welcome
from palaver.muclight.changes import Item, Users
from palaver.muclight.hooks import Affiliated
from palaver.muclight.namespaces import NS_AFFILIATIONS
from palaver.muclight.requests import ServiceRequest, children, items
from palaver.muclight.room import Room, new_version
from palaver.muclight.schema import Config
from palaver.storage import Batch, Conflict

NAME_BYTES = 10
MAX_NAME_CHARS = store.MAX_KEY_CHARS


async def create(request: ServiceRequest) -> None:
    """Make a room, of the name that is asked for or of a new one."""
    service, creator = request.service, request.sender.bare
    config, wanted = _read(request)
    changes.first(creator, wanted, service.rules._replace(max_occupants=None))
    if len(request.name) > MAX_NAME_CHARS:
        raise StanzaError("bad-request", "The room's name is too long")
    if request.name and await service.find(request.name) is not None:
        raise _exists()
    limit = service.rules.rooms_per_user
    if limit is not None and len(await service.store.rooms_of(creator)) >= limit:
        raise StanzaError("bad-request", "You are in as many rooms as you may be")
    known = f"{request.name}@{service.domain}" if request.name else None
    willing = await welcome(service, creator, [item.bare for item in wanted], known, True)
    users = changes.first(creator, [item for item in wanted if item.bare in willing], service.rules)
    await put(request, config, users)


def _read(request: ServiceRequest) -> tuple[Config, list[Item]]:
    service = request.service
    config, wanted = dict(service.schema.defaults), []
    for node in children(request.node):
        if node.name == "configuration":
            config.update(service.schema.read(children(node)))
        elif node.name == "occupants":
            wanted += items(node)
        else:
            raise StanzaError("bad-request")
    return config, wanted


async def put(request: ServiceRequest, config: Config, users: Users) -> None:
    """Commit a room and tell its members. Raises StanzaError, StorageError."""
    service, id = request.service, request.iq.attrs["id"]
    name = request.name or secrets.token_hex(NAME_BYTES)
    if name in service.rooms:
        raise _exists()
    room = service.rooms[name] = Room(service, name, config, users, new_version())

    async def commit() -> None:
        batch = Batch()
        store.put_room(batch, room, room.config, room.version, new=True)
        store.put_users(batch, room, room.users, room.users)
        everybody = notices.of_users(Item(*pair) for pair in room.users.items())
        notices.archive(batch, room, notices.message(room, id, (NS_AFFILIATIONS, everybody)))
        told = notices.of_creation(room, id)
        for hook in service.hooks.store:
            hook(Affiliated(room, {bare: (users[bare], said) for bare, said in told.items()}), batch)
        await service.storage.write(batch)
        notices.tell(room, told)

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
