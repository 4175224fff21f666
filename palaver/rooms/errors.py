"""What clients answer with errors: whoever cannot be reached is removed (XEP-0045 section 11.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.markup import element, escape
from palaver.rooms import leaving
from palaver.routing.iqs import read_error
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.rooms.occupants import Occupant
    from palaver.rooms.room import Room

# As Prosody has them: what says that nobody is there, and not that something was wrong.
GONE = frozenset(
    (
        "gone",
        "internal-server-error",
        "item-not-found",
        "jid-malformed",
        "recipient-unavailable",
        "redirect",
        "remote-server-not-found",
        "remote-server-timeout",
        "service-unavailable",
        "undefined-condition",
    )
)


def is_fatal(stanza: Stanza) -> bool:
    """Tell whether an error means that its sender is not there any more; one that cannot be read does."""
    return read_error(stanza).condition in GONE


def veiled(room: Room, error: Stanza, to: Occupant) -> Stanza:
    """Give an error of one occupant's as another one may see it.

    Text, ``by`` and new addresses may tell whose it is: that is for those who see addresses anyway.
    """
    if room.sees_jids(to):
        return error
    read = read_error(error)
    kept = StanzaError(read.condition, type=read.type).encode()
    return error.without_child(error.ns, "error").with_child(kept, error.ns, "error")


def remove(room: Room, stanza: Stanza, sender: JID) -> None:
    """Remove a session, in the room's turn. An error's text may tell whose it is: open rooms show it."""
    error = read_error(stanza)
    text = f"Kicked: {error.condition}"
    if error.text and room.is_open:
        text += f": {error.text}"
    leaving.failed(room, sender.full, element("status", None, escape(text)))
