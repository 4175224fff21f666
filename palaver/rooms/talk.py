"""Messages that are not for everybody: private ones, invitations, requests for voice, and errors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from palaver.errors import StanzaError
from palaver.forms import NS_DATA
from palaver.jid import JID
from palaver.rooms import errors, invitations, private, registration, voice
from palaver.rooms.namespaces import NS_CONFERENCE, NS_REGISTER_FORM, NS_USER
from palaver.routing.failures import failed
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from palaver.rooms.room import Room

MODULE = "mod_muc"


def take(room: Room, message: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
    """Take a message for a room or one of its occupants that is not for all."""
    try:
        if message.type == "error":
            return _error(room, message, to, sender)
        return private.send(room, message, to, sender) if to.resource else _to_room(room, message, sender)
    except Exception:
        room.service.bounce(message, failed(MODULE, Failure()))
        return None


def _error(room: Room, message: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
    """Take an error: one about a private message goes back to who has sent that."""
    if to.resource and message.has(NS_USER, "x"):
        return private.send_error(room, message, to, sender)
    if sender.full in room.seats and errors.is_fatal(message):
        return room.service.turn(room, message, partial(errors.remove, room, message, sender))
    return None


def _to_room(room: Room, message: Stanza, sender: JID) -> Deferred[Any] | None:
    children = message.children
    if (NS_USER, "x") in children:
        return invitations.take(room, message, sender)
    if (NS_DATA, "x") in children:
        if _form_type(message) == NS_REGISTER_FORM:
            return room.service.turn(room, message, partial(registration.answered, room, message, sender))
        return room.service.turn(room, message, partial(voice.take, room, message, sender))
    if (NS_CONFERENCE, "x") in children:
        # A direct invitation is for a person (XEP-0249).
        raise StanzaError("bad-request", "A room is not invited")
    raise StanzaError("bad-request", "Messages to a room are of the type groupchat")


def _form_type(message: Stanza) -> str:
    """Give the FORM_TYPE of a message's form; "" without one."""
    form = message.child(NS_DATA, "x")
    assert form is not None
    for field in form.elements(NS_DATA, "field"):
        if field.getAttribute("var") == "FORM_TYPE":
            return next((str(value) for value in field.elements(NS_DATA, "value")), "")
    return ""
