"""Leaving a room (XEP-0045 section 7.14), and being removed from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from palaver.rooms import cleaning
from palaver.rooms.events import OccupantLeft
from palaver.rooms.namespaces import FAILED
from palaver.rooms.occupants import Occupant, Seat
from palaver.rooms.presence import NO_NOTE, Note, Versions, show, to_all
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.rooms.room import Room


def unavailable(room: Room, presence: Stanza | None, full: str, note: Note = NO_NOTE) -> None:
    """Let a session go, in the room's turn; ``presence`` is its last, if it has sent one."""
    seat = room.seats.get(full)
    if seat is None:
        return
    if presence is not None:
        seat.show(cleaning.presence(room, presence, seat.occupant.role))
        note = note._replace(id=presence.id)
    else:
        seat.children, seat.inner = (), b""
    _go(room, seat, note)


def failed(room: Room, full: str, status: bytes) -> None:
    """Remove a session that answers with errors (section 11.1); ``status`` is a ``<status/>``, or b""."""
    seat = room.seats.get(full)
    if seat is not None:
        seat.children = (("jabber:client", "status"),) if status else ()
        seat.inner = status
        _go(room, seat, Note((FAILED,)))


def _go(room: Room, seat: Seat, note: Note) -> None:
    """Take one session out and tell whoever has to know."""
    occupant = seat.occupant
    role = occupant.role
    last = len(occupant.seats) == 1
    if last:
        occupant.role = "none"
    versions = Versions(room, occupant, seat, note, gone=True)
    pairs = to_all(room, occupant, versions, shown=last and room.is_shown(role))
    room.send([pair for pair in pairs if last or pair[0] is seat])
    if last:
        occupant.role = role
    _unseat(room, seat)
    if not last:
        room.send([pair for pair in show(room, occupant) if pair[0].occupant is not occupant])
    _told(room, occupant, seat.jid.full, last, note)


def remove(room: Room, occupants: Iterable[Occupant], note: Note, *, affiliation: str | None = None) -> None:
    """Remove occupants with all of their sessions; what they are affiliated as has changed already.

    ``affiliation`` is what is said instead of theirs.
    """
    for occupant in tuple(occupants):
        role, occupant.role = occupant.role, "none"
        seats = tuple(occupant.seats)
        shown = occupant.shown
        shown.children, shown.inner = (), b""
        versions = Versions(room, occupant, shown, note, gone=True, affiliation=affiliation)
        room.send(to_all(room, occupant, versions, shown=room.is_shown(role)))
        occupant.role = role
        for number, seat in enumerate(seats, 1):
            _unseat(room, seat)
            _told(room, occupant, seat.jid.full, number == len(seats), note)


def _unseat(room: Room, seat: Seat) -> None:
    room.unseat(seat)
    room.service.unseated(room, seat)


def _told(room: Room, occupant: Occupant, full: str, last: bool, note: Note) -> None:
    room.service.events.fire(OccupantLeft(room, occupant, full, last, note.codes, note.reason))
