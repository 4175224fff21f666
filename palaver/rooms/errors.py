"""What clients answer with errors: whoever cannot be reached is removed (XEP-0045 section 11.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.jid import JID
from palaver.markup import element, escape
from palaver.rooms import leaving
from palaver.routing.iqs import read_error
from palaver.stanza import Stanza

if TYPE_CHECKING:
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


def remove(room: Room, stanza: Stanza, sender: JID) -> None:
    """Remove a session, in the room's turn. An error's text may tell whose it is: open rooms show it."""
    error = read_error(stanza)
    text = f"Kicked: {error.condition}"
    if error.text and room.is_open:
        text += f": {error.text}"
    leaving.failed(room, sender.full, element("status", None, escape(text)))
