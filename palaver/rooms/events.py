"""What happens in rooms, told to whoever listens: ``@on(RoomMessage)`` on the host that has the service.

All of it is told once it is committed. What a listener gives an awaitable for is done before a message is
acknowledged; the others in the room do not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from palaver.jid import JID
    from palaver.rooms.occupants import Occupant
    from palaver.rooms.room import Room
    from palaver.stanza import Stanza


class RoomMessage(NamedTuple):
    """A groupchat message goes to all occupants, a change of the subject too.

    ``occupant`` is None for what the room says itself; ``sender`` is the real JID of who wrote it, else
    None. ``id`` is what the message goes by in the room (XEP-0359), None for what is not worth keeping, such
    as chat states; only rooms with ``has_archive`` keep it. ``stanza`` has no ``to``.
    """

    room: Room
    occupant: Occupant | None
    sender: JID | None
    stanza: Stanza
    id: int | None


class OccupantJoined(NamedTuple):
    """Somebody has entered, or has come with one more session: ``first`` tells which."""

    room: Room
    occupant: Occupant
    full: str
    first: bool


class OccupantLeft(NamedTuple):
    """A session has left, or was removed; ``last`` when no other one of the occupant is there.

    ``codes`` are the status codes that the others see, such as 307 for a kick.
    """

    room: Room
    occupant: Occupant
    full: str
    last: bool
    codes: tuple[str, ...] = ()
    reason: str = ""


class NickChanged(NamedTuple):
    """An occupant has another nick; ``before`` is the old one."""

    room: Room
    occupant: Occupant
    before: str


class AffiliationChanged(NamedTuple):
    """Somebody's affiliation is another one; ``by`` is the bare JID of who did it, None for the room."""

    room: Room
    bare: str
    before: str
    after: str
    by: str | None
    reason: str = ""


class RoomConfigured(NamedTuple):
    """A room's configuration is another one; ``changed`` are the names of the fields."""

    room: Room
    changed: frozenset[str]


class RoomCreated(NamedTuple):
    """There is a new room; ``owner`` is the bare JID of who made it."""

    room: Room
    owner: str


class RoomDestroyed(NamedTuple):
    """A room is gone for good, and all that was stored for it; one that is merely out of memory is not."""

    room: Room
    reason: str = ""


class Invited(NamedTuple):
    """A mediated invitation is on its way to ``invitee``."""

    room: Room
    by: JID
    invitee: JID
