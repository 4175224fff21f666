"""What members change of a room: its configuration, who belongs to it, and whether it is there at all."""

from __future__ import annotations

from collections.abc import Sequence

from palaver.errors import StanzaError
from palaver.muclight import changes, store, telling
from palaver.muclight.blocking import welcome
from palaver.muclight.changes import NONE, OWNER, Item
from palaver.muclight.codec import Changed
from palaver.muclight.room import Room, new_version
from palaver.muclight.schema import SUBJECT, Config
from palaver.rooms.broadcast import Broadcast
from palaver.storage import Batch

# In each function ``actor`` is the bare JID of a member, ``id`` that of his request.


async def configure(room: Room, actor: str, wanted: Config, id: str) -> None:
    """Set some fields of the configuration; the others stay. Raises StanzaError, StorageError."""
    may = room.users[actor] == OWNER or room.service.rules.all_can_configure
    if not may and set(wanted) != {SUBJECT}:
        raise StanzaError("not-allowed")
    config, version = {**room.config, **wanted}, new_version()
    said, kept = room.service.codec.of_configuration(room, id, wanted, room.version, version)
    batch = Batch()
    store.put_room(batch, room, config, version)
    telling.archive(batch, room, said if kept else None)
    await room.service.storage.write(batch)
    before, room.config, room.version = room.version, config, version
    telling.show(room, room.users, before)
    sending = room.service.mail.send((Broadcast(said),), tuple(room.users))
    if sending is not None:
        await sending


async def affiliate(room: Room, actor: str, wanted: Sequence[Item], id: str) -> None:
    """Take people in, out, or change what they are. Raises StanzaError, StorageError."""
    changes.check_permission(room.users, actor, wanted, room.service.rules)
    changes.check_twice(wanted)
    added = {item.bare for item in wanted if item.affiliation != NONE and item.bare not in room.users}
    asks_lists = room.users[actor] == OWNER
    refused = added - await welcome(room.service, actor, sorted(added), room.jid.bare, asks_lists)
    kept = [item for item in wanted if item.bare not in refused]
    if kept:
        await apply(room, actor, kept, id)


async def apply(room: Room, actor: str, wanted: Sequence[Item], id: str) -> None:
    """Commit a permitted change of affiliations and tell those concerned; an empty room is gone.

    Raises StanzaError, StorageError.
    """
    done = changes.change(room.users, wanted, room.service.rules)
    version = new_version()
    told = room.service.codec.of_change(room, Changed(actor, id, done, room.version, version))
    batch = Batch()
    if done.users:
        store.put_room(batch, room, room.config, version)
        concerned = {bare for bare, _ in done.items} | (room.users.keys() ^ done.users.keys())
        store.put_users(batch, room, done.users, sorted(concerned))
        telling.archive(batch, room, told.kept)
    else:
        store.drop_room(batch, room)
    telling.have_stored(batch, room, told, {bare for bare, _ in done.items}, done.users)
    await room.service.storage.write(batch)
    before, room.version, users = room.version, version, room.users
    room.set_users(done.users)
    if not done.users:
        room.service.end(room)
    telling.show(room, users, before)
    telling.tell(room, told)


async def destroy(room: Room, actor: str, id: str) -> None:
    """Destroy the room; for its owner. Raises StanzaError, StorageError."""
    if room.users[actor] != OWNER:
        raise StanzaError("not-allowed")
    await end(room, id)


async def end(room: Room, id: str) -> None:
    """Destroy the room, whoever wants it, and tell its members. Raises StorageError."""
    told = room.service.codec.of_end(room, id)
    batch = Batch()
    store.drop_room(batch, room)
    telling.have_stored(batch, room, told, room.users, {})
    await room.service.storage.write(batch)
    room.service.end(room)
    users = room.users
    room.set_users({})
    telling.show(room, users, room.version)
    telling.tell(room, told)
