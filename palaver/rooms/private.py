"""Private messages from one occupant to another one (XEP-0045 section 7.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.markup import element
from palaver.rooms import cleaning, errors
from palaver.rooms.affiliations import MODERATOR, PARTICIPANT, ROLE_RANK
from palaver.rooms.hooks import PRIVATE, Said
from palaver.rooms.limits import check_message
from palaver.rooms.namespaces import NS_USER
from palaver.rooms.occupants import Occupant
from palaver.routing import announce
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from palaver.rooms.room import Room

# By what the field allowpm says: the least role that may send them.
_LEAST = {"participants": ROLE_RANK[PARTICIPANT], "moderators": ROLE_RANK[MODERATOR]}
_MARK = element("x", NS_USER)


def send(room: Room, message: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
    """Take a message for an occupant. Raises StanzaError."""
    occupant = room.occupant_of(sender.full)
    if occupant is None:
        raise StanzaError("not-acceptable", "You are not in this room")
    if message.type == "groupchat":
        raise StanzaError("bad-request", "A private message is not of the type groupchat")
    target = room.occupants.get(to.resource)
    if target is None:
        raise StanzaError("item-not-found", "Nobody here has this nick", type="cancel")
    _check_allowed(room, occupant, target)
    check_message(room, occupant, message)
    cleaned = cleaning.clean(room, message).replace(from_=occupant.address).with_origin(None)
    cleaned = cleaned.with_child(_MARK, NS_USER, "x")
    said = Said(room, occupant, sender, cleaned, PRIVATE, target)
    for guard in room.service.hooks.guard:
        guard(said)
    for change in room.service.hooks.change:
        changed = change(said)
        if changed is not None:
            said = said._replace(stanza=changed)
    return _route(room, said.stanza, target)


def _check_allowed(room: Room, occupant: Occupant, target: Occupant) -> None:
    allowed = str(room.config["allowpm"])
    # One's own other clients, and whoever helps, are always there.
    if allowed == "anyone" or target is occupant:
        return
    if allowed == "none" or ROLE_RANK[occupant.role] < _LEAST[allowed]:
        raise StanzaError("forbidden", "You may not send private messages in this room")


def send_error(room: Room, message: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
    """Take the answer that a private message could not be delivered back to who has sent it."""
    occupant, target = room.occupant_of(sender.full), room.occupants.get(to.resource)
    if occupant is None or target is None:
        return None
    cleaned = cleaning.clean(room, message).replace(from_=occupant.address).with_origin(None)
    return _route(room, errors.veiled(room, cleaned, target), target)


def _route(room: Room, message: Stanza, target: Occupant) -> Deferred[Any] | None:
    """Send a message to every session of an occupant."""
    waiting = [
        answer
        for seat in tuple(target.seats)
        if (answer := room.service.host.router.route(message.replace(to=seat.jid.full))) is not None
    ]
    return announce.settle(waiting)
