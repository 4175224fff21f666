"""Changes of affiliations (XEP-0045 sections 9 and 10): committed together, then told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from palaver.errors import StanzaError
from palaver.markup import element
from palaver.rooms import leaving
from palaver.rooms.affiliations import (
    ADMIN,
    MEMBER,
    MODERATOR,
    NONE,
    OUTCAST,
    OWNER,
    RANK,
    first_role,
)
from palaver.rooms.broadcast import Broadcast
from palaver.rooms.events import AffiliationChanged
from palaver.rooms.namespaces import BANNED, NO_MEMBER_ANY_MORE, NS_USER
from palaver.rooms.occupants import Occupant
from palaver.rooms.presence import Note, show
from palaver.rooms.room import Held
from palaver.rooms.store import put_affiliation
from palaver.stanza import Stanza
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.rooms.room import Room


class Change(NamedTuple):
    """Somebody, a bare JID or a domain, is to have an affiliation.

    ``nick`` is the one to reserve, "" for none and None to leave it; ``by`` who wants it.
    """

    bare: str
    affiliation: str
    reason: str = ""
    nick: str | None = None
    by: str | None = None
    actor: str = ""


def _held(room: Room, change: Change) -> Held:
    before = room.affiliations.get(change.bare)
    nick = change.nick if change.nick is not None else (before.nick if before is not None else "")
    if RANK[change.affiliation] < RANK[MEMBER]:
        nick = ""
    return Held(change.affiliation, nick, change.reason)


def check_owner_left(room: Room, changes: Iterable[Change]) -> None:
    """Refuse changes after which nobody owns the room. Raises StanzaError(conflict)."""
    owners = set(room.owners())
    for change in changes:
        if change.affiliation == OWNER:
            owners.add(change.bare)
        else:
            owners.discard(change.bare)
    if not owners:
        raise StanzaError("conflict", "A room has an owner")


def check_room_left(room: Room, changes: Iterable[Change]) -> None:
    """Refuse more affiliations than a room may have. Raises StanzaError(resource-constraint)."""
    added = sum(change.affiliation != NONE and change.bare not in room.affiliations for change in changes)
    if added and len(room.affiliations) + added > room.service.limits.max_affiliations:
        raise StanzaError("resource-constraint", "Too many people have an affiliation here")


def put(batch: Batch, room: Room, changes: Sequence[Change]) -> None:
    """Have changes stored."""
    for change in changes:
        put_affiliation(batch, room, change.bare, _held(room, change))
    for watch in room.service.hooks.affiliations:
        watch.store(room, changes, batch)


async def change(room: Room, changes: list[Change]) -> None:
    """Commit changes and tell of them, in the room's turn. Raises StanzaError, StorageError."""
    check_owner_left(room, changes)
    check_room_left(room, changes)
    await _make(room, changes)


async def forget(room: Room, bare: str) -> None:
    """Take away what an account holds that is deleted, even if nobody owns the room then.

    Another account may get its name, and is another person. Raises StorageError.
    """
    if bare in room.affiliations:
        await _make(room, [Change(bare, NONE)])


async def _make(room: Room, changes: list[Change]) -> None:
    if room.is_persistent:
        batch = Batch()
        put(batch, room, changes)
        await room.service.store.write(batch)
    for one in changes:
        apply(room, one)


def apply(room: Room, change: Change) -> None:
    """Make a change that is committed count."""
    before = room.affiliation(change.bare)
    mark = b"".join([watch.mark(room, change) for watch in room.service.hooks.affiliations])
    room.hold(change.bare, _held(room, change))
    if before == change.affiliation:
        return
    occupants = room.occupants_of(change.bare)
    is_domain = "@" not in change.bare
    # No presence says what a domain is affiliated as.
    note = Note(reason=change.reason, by=change.actor, more=b"" if is_domain else mark)
    if change.affiliation == OUTCAST:
        leaving.remove(room, occupants, note._replace(codes=(BANNED,)))
    elif room.config["membersonly"] and RANK[change.affiliation] < RANK[MEMBER]:
        leaving.remove(room, occupants, note._replace(codes=(NO_MEMBER_ANY_MORE,)))
    else:
        for occupant in occupants:
            occupant.role = _role(room, occupant, before, change.affiliation)
            room.send(show(room, occupant, note))
    if is_domain or not occupants:
        _tell_of_absent(room, change, mark)
    event = AffiliationChanged(room, change.bare, before, change.affiliation, change.by, change.reason)
    room.service.events.fire(event)


def _role(room: Room, occupant: Occupant, before: str, after: str) -> str:
    """Give the role of somebody in the room whose affiliation has changed (section 5.2.2)."""
    first = first_role(after, room.config)
    if RANK[after] >= RANK[ADMIN] or RANK[before] >= RANK[ADMIN]:
        return first
    # Who was given the role of a moderator keeps it, and a member has voice.
    return occupant.role if occupant.role == MODERATOR or RANK[after] < RANK[before] == RANK[NONE] else first


def _tell_of_absent(room: Room, change: Change, mark: bytes) -> None:
    """Tell those who are shown real JIDs of a change for somebody who is not here (sections 9.3 to 10.8)."""
    item = element("item", None, affiliation=change.affiliation, jid=change.bare, role="none")
    x = element("x", NS_USER, item + mark)
    stanza = Stanza("message", {"from": room.jid.bare}, ((NS_USER, "x"),), x)
    told = (Broadcast(stanza),)
    room.send([(seat, told) for seat in room.seats.values() if room.sees_jids(seat.occupant)])
