"""What members change of a room: its configuration, who belongs to it, and whether it is there at all."""

from __future__ import annotations

from collections.abc import Sequence

from palaver.errors import StanzaError
from palaver.muclight import changes, notices, store
from palaver.muclight.blocking import welcome
from palaver.muclight.changes import NONE, OWNER, Change, Item
from palaver.muclight.hooks import Affiliated
from palaver.muclight.namespaces import NS_AFFILIATIONS
from palaver.muclight.requests import Request, children, items
from palaver.muclight.room import Room, new_version
from palaver.muclight.schema import SUBJECT
from palaver.rooms.broadcast import Broadcast
from palaver.stanza import Stanza
from palaver.storage import Batch


async def configuration(request: Request) -> None:
    """Set some fields of the configuration; the others stay."""
    nodes = list(children(request.node))
    if any(node.name == "version" for node in nodes):
        raise StanzaError("bad-request", "Version element not allowed")
    room = request.room
    wanted = room.service.schema.read(nodes)
    may = room.users[request.sender.bare] == OWNER or room.service.rules.all_can_configure
    if not may and set(wanted) != {SUBJECT}:
        raise StanzaError("not-allowed")
    config, version = {**room.config, **wanted}, new_version()
    said = notices.of_configuration(room, request.id, wanted, room.version, version)
    batch = Batch()
    store.put_room(batch, room, config, version)
    notices.archive(batch, room, said)
    await room.service.storage.write(batch)
    room.config, room.version = config, version
    sending = room.service.mail.send((Broadcast(said),), tuple(room.users))
    if sending is not None:
        await sending


async def affiliations(request: Request) -> None:
    """Take people in, out, or change what they are."""
    room, wanted = request.room, items(request.node)
    if not wanted:
        raise StanzaError("bad-request", "Failed to parse affiliations")
    rules, actor = room.service.rules, request.sender.bare
    changes.check_permission(room.users, actor, wanted, rules)
    changes.check_twice(wanted)
    added = {item.bare for item in wanted if item.affiliation != NONE and item.bare not in room.users}
    asks_lists = room.users[actor] == OWNER
    refused = added - await welcome(room.service, actor, sorted(added), room.jid.bare, asks_lists)
    kept = [item for item in wanted if item.bare not in refused]
    if kept:
        await apply(room, kept, request.id)


async def apply(room: Room, wanted: Sequence[Item], id: str) -> None:
    """Commit a permitted change of affiliations and tell those concerned; an empty room is gone.

    Raises StanzaError, StorageError.
    """
    done = changes.change(room.users, wanted, room.service.rules)
    version = new_version()
    told = notices.of_change(room, id, done, room.version, version)
    batch = Batch()
    if done.users:
        store.put_room(batch, room, room.config, version)
        concerned = {bare for bare, _ in done.items} | (room.users.keys() ^ done.users.keys())
        store.put_users(batch, room, done.users, sorted(concerned))
        entry = notices.versions(version) + notices.of_users(done.items)
        notices.archive(batch, room, notices.message(room, id, (NS_AFFILIATIONS, entry)))
    else:
        store.drop_room(batch, room)
    _have_stored(room, done, told, batch)
    await room.service.storage.write(batch)
    room.version = version
    room.set_users(done.users)
    if not done.users:
        room.service.end(room)
    notices.tell(room, told)


def _have_stored(room: Room, done: Change, told: dict[str, Stanza], batch: Batch) -> None:
    """Have modules store what those are told whose own affiliation changes."""
    if not room.service.hooks.store:
        return
    named = {bare for bare, _ in done.items}
    own = {bare: (done.users.get(bare, NONE), said) for bare, said in told.items() if bare in named}
    for hook in room.service.hooks.store:
        hook(Affiliated(room, own), batch)


async def destroy(request: Request) -> None:
    """Destroy the room; for its owner."""
    room = request.room
    if room.users[request.sender.bare] != OWNER:
        raise StanzaError("not-allowed")
    told = notices.of_end(room, request.id)
    batch = Batch()
    store.drop_room(batch, room)
    for hook in room.service.hooks.store:
        hook(Affiliated(room, {bare: (NONE, said) for bare, said in told.items()}), batch)
    await room.service.storage.write(batch)
    room.service.end(room)
    room.set_users({})
    notices.tell(room, told)
