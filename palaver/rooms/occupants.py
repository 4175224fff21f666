"""Who is in a room: occupants by nick, each with the sessions that it came with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.jid import JID
from palaver.markup import attribute
from palaver.stanza import Child, Stanza

if TYPE_CHECKING:
    from palaver.routing.sessions import Session


class Seat:
    """One session of an occupant.

    ``session`` is None for one of another server; ``inner`` and ``children`` are what its last presence
    holds and others may see. ``address`` is its full JID as an attribute's bytes.
    """

    __slots__ = ("address", "children", "inner", "jid", "lang", "occupant", "session")

    def __init__(self, occupant: Occupant, jid: JID, session: Session | None) -> None:
        self.occupant = occupant
        # The session's own, which is in memory anyway.
        self.jid = jid if session is None else session.jid
        self.session = session
        self.address = attribute(jid.full).encode()
        self.children: tuple[Child, ...] = ()
        self.inner = b""
        self.lang: str | None = None

    def show(self, presence: Stanza) -> None:
        """Take a presence, cleared of what only rooms say."""
        self.children, self.inner = presence.children, presence.inner
        self.lang = presence.attrs.get("xml:lang")


class Occupant:
    """One nick in a room.

    ``bare`` is the real bare JID, ``role`` moderator, participant or visitor. ``seats`` are never empty
    while it is in the room; the last one is whose presence is shown. ``said_at`` and ``shown_at`` are when
    the last message and the last presence came, in the clock's seconds.
    """

    __slots__ = ("address", "bare", "nick", "role", "said_at", "seats", "shown_at")

    def __init__(self, nick: str, bare: str, role: str, address: str) -> None:
        """``address`` is the occupant JID as text."""
        self.nick = nick
        self.bare = bare
        self.role = role
        self.address = address
        self.seats: list[Seat] = []
        self.said_at = 0.0
        self.shown_at = 0.0

    @property
    def shown(self) -> Seat:
        """The session whose presence is the occupant's."""
        return self.seats[-1]

    @property
    def is_moderator(self) -> bool:
        """Whether it has the role of a moderator."""
        return self.role == "moderator"

    def seat(self, full: str) -> Seat | None:
        """Give the seat of a full JID."""
        return next((seat for seat in self.seats if seat.jid.full == full), None)
