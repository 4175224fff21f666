"""What a room says of itself goes into its archive, to who stores something of it, and to whom it is for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from palaver import jid
from palaver.muclight.changes import NONE
from palaver.muclight.codec import Told
from palaver.muclight.hooks import Affiliated
from palaver.muclight.room import KIND_LOG, Room
from palaver.rooms.broadcast import Broadcast
from palaver.stanza import Stanza
from palaver.storage import Batch, Entry, ids


def archive(batch: Batch, room: Room, said: Stanza | None) -> None:
    """Have the room's archive hold what it says."""
    if said is not None and room.service.archives:
        payload = said.encode(declare=True)
        entry = Entry(room.service.domain, room.name, KIND_LOG, ids.new_id(), payload, room.jid.bare)
        batch.append(entry)


def have_stored(
    batch: Batch, room: Room, told: Told, concerned: Collection[str], users: Mapping[str, str]
) -> None:
    """Have modules store what those are told whose own affiliation changes; ``users`` are from now on."""
    if not room.service.hooks.store:
        return
    own = {
        bare: (users.get(bare, NONE), said[-1] if said else None)
        for bare, said in told.notices.items()
        if bare in concerned
    }
    for hook in room.service.hooks.store:
        hook(Affiliated(room, own), batch)


def show(room: Room, users: Collection[str], version: str) -> None:
    """Have a room shown in rosters as it is now; ``users`` and ``version`` are those before."""
    if room.service.rosters is not None:
        room.service.rosters.changed(room, users, version)


def tell(room: Room, told: Told) -> None:
    """Send each what he is told; what several are told is encoded once.

    A message without a type is one like any other's, which waits for who is away.
    """
    encoded: dict[int, Broadcast] = {}
    for bare, notices in told.notices.items():
        for said in notices:
            if said.name == "message" and "type" not in said.attrs:
                room.service.host.router.route(said.replace(to=bare))
                continue
            broadcast = encoded.get(id(said))
            if broadcast is None:
                broadcast = encoded[id(said)] = Broadcast(said)
            room.service.mail.send_to(broadcast, jid.parse(bare))
