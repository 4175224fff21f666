"""The presence of occupants: what a room says of them, and to whom how much (XEP-0045 section 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from palaver.markup import attribute, element, escape
from palaver.rooms.broadcast import Broadcast, Pairs
from palaver.rooms.namespaces import NS_USER, SELF, statuses
from palaver.rooms.occupants import Occupant, Seat
from palaver.stanza import Child, Stanza

if TYPE_CHECKING:
    from palaver.rooms.room import Room

USER: Child = (NS_USER, "x")


class Note(NamedTuple):
    """What goes with a presence beside who it is.

    ``codes`` are for everybody, ``own_codes`` for the occupant itself, who gets 110 as well; ``by`` is the
    nick of who did it, ``nick`` the one that the occupant has from now on; ``more`` goes into the ``<x/>``,
    ``own_more`` into the occupant's own.
    ``id`` is that of the presence which this answers: its sender gets it back.
    """

    codes: tuple[str, ...] = ()
    own_codes: tuple[str, ...] = ()
    reason: str = ""
    by: str = ""
    nick: str | None = None
    more: bytes = b""
    own_more: bytes = b""
    id: str | None = None


NO_NOTE = Note()


def _item(affiliation: str, role: str, jid: str | None, note: Note) -> bytes:
    inner = b""
    if note.by:
        inner = element("actor", None, nick=note.by)
    if note.reason:
        inner += element("reason", None, escape(note.reason))
    if inner or note.nick is not None:
        return element("item", None, inner, affiliation=affiliation, role=role, jid=jid, nick=note.nick)
    shown = "" if jid is None else f" jid='{attribute(jid)}'"
    return f"<item affiliation='{affiliation}' role='{role}'{shown}/>".encode()


class Versions:
    """One presence of an occupant as everybody sees it, each version made when it is first wanted."""

    def __init__(
        self,
        room: Room,
        occupant: Occupant,
        seat: Seat,
        note: Note = NO_NOTE,
        *,
        gone: bool = False,
        address: str | None = None,
        affiliation: str | None = None,
        known: bool = False,
    ) -> None:
        """``seat`` is whose presence is shown; ``gone`` makes it unavailable.

        ``address`` and ``affiliation`` are said instead of those that the occupant has; ``known`` is for what
        others have been told before.
        """
        self._room = room
        self._occupant = occupant
        self._seat = seat
        self._note = note
        self._attrs = {"from": address or occupant.address}
        if gone:
            self._attrs["type"] = "unavailable"
        if seat.lang is not None:
            self._attrs["xml:lang"] = seat.lang
        self._affiliation = affiliation or room.affiliation(occupant.bare)
        self._mark = b""
        if not known:
            for mark in room.service.hooks.told:
                self._mark += mark(room, occupant, gone)
        self.extra, self.children = b"", (*seat.children, USER)
        for child, give in room.service.hooks.presence:
            if given := give(room, occupant):
                self.extra += given
                self.children += (child,)
        self._plain: Broadcast | None = None
        self._open: Broadcast | None = None

    def _make(
        self, jid: str | None, codes: tuple[str, ...], id: str | None = None, more: bytes = b""
    ) -> Broadcast:
        note, seat = self._note, self._seat
        item = _item(self._affiliation, self._occupant.role, jid, note)
        said = statuses(*codes) if codes else b""
        x = b"<x xmlns='%b'>%b%b%b%b%b</x>" % (_USER_BYTES, item, said, note.more, self._mark, more)
        attrs = self._attrs if id is None else {**self._attrs, "id": id}
        return Broadcast(Stanza("presence", attrs, self.children, seat.inner + x + self.extra))

    @property
    def plain(self) -> Broadcast:
        """For those who are not shown real JIDs."""
        if self._plain is None:
            self._plain = self._make(None, self._note.codes)
        return self._plain

    @property
    def open(self) -> Broadcast:
        """For those who are."""
        if self._open is None:
            self._open = self._make(self._seat.jid.full, self._note.codes)
        return self._open

    def own(self, seat: Seat) -> Broadcast:
        """For a session of the occupant itself."""
        note = self._note
        return self._make(seat.jid.full, (SELF, *note.codes, *note.own_codes), note.id, note.own_more)

    def for_others(self, others: Occupant) -> Broadcast:
        """For the sessions of somebody else."""
        return self.open if self._room.sees_jids(others) else self.plain


_USER_BYTES = NS_USER.encode()


def to_all(room: Room, occupant: Occupant, versions: Versions, *, shown: bool | None = None) -> Pairs:
    """Give who gets which version: everybody, the occupant's own sessions last.

    ``shown`` False leaves out the others; None asks whether the occupant's role is broadcast.
    """
    own: list[tuple[Seat, tuple[Broadcast, ...]]] = [(seat, (versions.own(seat),)) for seat in occupant.seats]
    if not (room.is_shown(occupant.role) if shown is None else shown):
        return own
    is_open = room.is_open
    seen = (versions.open,)
    plain = seen if is_open else (versions.plain,)
    others = [
        (seat, seen if seat.occupant.role == "moderator" else plain)
        for seat in room.seats.values()
        if seat.occupant is not occupant
    ]
    return others + own


def show(room: Room, occupant: Occupant, note: Note = NO_NOTE) -> Pairs:
    """Give everybody the presence of an occupant as it is now."""
    return to_all(room, occupant, Versions(room, occupant, occupant.shown, note))


def shown_to(
    room: Room, seat: Seat, nicks: frozenset[str] | None
) -> list[tuple[Seat, tuple[Broadcast, ...]]]:
    """Give a session that enters the presence of all others (section 7.2.3), or of those with ``nicks``."""
    viewer = seat.occupant
    sees = room.sees_jids(viewer)
    found = []
    for occupant in room.occupants.values():
        if nicks is not None and occupant.nick not in nicks:
            continue
        if occupant is not viewer and room.is_shown(occupant.role):
            versions = Versions(room, occupant, occupant.shown, known=True)
            found.append(versions.open if sees else versions.plain)
    return [(seat, tuple(found))]
