"""Requests of one occupant to another one (XEP-0045 section 17.4), and to oneself (XEP-0410).

A request goes on from the asker's occupant JID under an id that says which of its sessions asked, and
whose answer it may be; nothing is kept of it. The answer counts only with that id, and from whom the request
went to.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.rooms import errors
from palaver.rooms.hooks import RoomRequest
from palaver.rooms.namespaces import NS_PING, NS_VCARD
from palaver.routing.disco import NS_INFO, NS_ITEMS
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from palaver.rooms.room import Room

# Answers to what was asked before a restart mean nothing to those who are in rooms after it.
_KEY = secrets.token_bytes(32)
MARK_BYTES = 12
# Asked of the account, which answers for clients that are away as well.
_OF_ACCOUNTS = frozenset((NS_VCARD, "http://jabber.org/protocol/pubsub"))


class _Ticket(NamedTuple):
    """Who asked, with which id, and who is to answer.

    Whoever is asked can read it: it has a digest of the asker's real JID (`_digest`), never the JID.
    """

    asker: str
    id: str
    answerer: str


def on(request: RoomRequest) -> Deferred[Any] | None:
    """Pass a request on to an occupant; a ping to oneself is answered here. Raises StanzaError."""
    room, iq, occupant, target = request.room, request.iq, request.occupant, request.target
    assert room is not None
    if occupant is None:
        if iq.children[0][0] in (NS_INFO, NS_ITEMS):
            raise StanzaError("bad-request", "You are not in this room")
        raise StanzaError("not-acceptable", "You are not in this room", type="cancel")
    if target is None:
        raise StanzaError("item-not-found", "Nobody here has this nick")
    if target is occupant and iq.children[0] == (NS_PING, "ping"):
        return room.service.host.router.reply(iq, iq.result())
    if not room.config["allow_query_users"] and not occupant.is_moderator and target is not occupant:
        raise StanzaError("not-allowed", "Clients are not asked in this room")
    to = target.bare if iq.children[0][0] in _OF_ACCOUNTS else target.shown.jid.full
    ticket = _Ticket(_digest(room, request.sender.full), iq.attrs["id"], to)
    # The asker's session must not hear of it as if it had come from there.
    passed = iq.replace(from_=occupant.address, to=to, id=_write(ticket)).with_origin(None)
    return room.service.host.router.route(passed)


def back(room: Room, iq: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
    """Pass an answer back to who asked; one that nobody has asked for means nothing."""
    ticket = _read(iq.attrs.get("id", ""))
    if ticket is None or sender.full != ticket.answerer:
        return None
    asking = room.occupants.get(to.resource)
    seats = asking.seats if asking is not None else ()
    asker = next((seat for seat in seats if _digest(room, seat.jid.full) == ticket.asker), None)
    if asker is None:
        return None
    found = room.occupants_of(sender.bare)
    address = next((one.address for one in found if one.seat(sender.full) or not sender.resource), None)
    if address is None:
        return None
    answer = iq.replace(from_=address, to=asker.jid.full, id=ticket.id).with_origin(None)
    if answer.type == "error":
        answer = errors.veiled(room, answer, asker.occupant)
    return room.service.host.router.route(answer)


def _mark(data: bytes) -> bytes:
    return hmac.digest(_KEY, data, hashlib.sha256)[:MARK_BYTES]


def _digest(room: Room, full: str) -> str:
    """Give what tells a session of a room from its others, and nobody whose it is."""
    return _mark(f"{room.jid.bare}\0{full}".encode()).hex()


def _write(ticket: _Ticket) -> str:
    data = json.dumps(ticket).encode()
    return base64.urlsafe_b64encode(_mark(data) + data).decode()


def _read(text: str) -> _Ticket | None:
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii"))
    except ValueError:
        return None
    mark, data = data[:MARK_BYTES], data[MARK_BYTES:]
    return _Ticket(*json.loads(data)) if hmac.compare_digest(mark, _mark(data)) else None
