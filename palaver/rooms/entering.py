"""Entering a room (XEP-0045 section 7.2), changing one's nick (7.6) and one's presence (7.7)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.markup import element
from palaver.pubsub.fields import Values
from palaver.rooms import cleaning, history
from palaver.rooms.affiliations import ADMIN, NONE, OUTCAST, OWNER, RANK, VISITOR, first_role
from palaver.rooms.broadcast import Broadcast
from palaver.rooms.events import NickChanged, OccupantJoined
from palaver.rooms.limits import MAX_SESSIONS, check_presence, check_seats, check_size
from palaver.rooms.namespaces import (
    CREATED,
    FAILED,
    KICKED,
    LOGGED,
    NICK_CHANGED,
    NS_MUC,
    NS_USER,
    SEES_JIDS,
    SELF,
    statuses,
)
from palaver.rooms.occupants import Occupant, Seat
from palaver.rooms.presence import Note, Versions, show, shown_to, to_all
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.rooms.room import Room


def available(room: Room, presence: Stanza, sender: JID, nick: str) -> None:
    """Take an available presence for an occupant JID, in the room's turn. Raises StanzaError."""
    seat = room.seats.get(sender.full)
    joins = (NS_MUC, "x") in presence.children
    if seat is None:
        if joins:
            _enter(room, presence, sender, nick)
        else:
            _tell_outside(room, presence, sender, nick)
        return
    check_size(presence)
    if nick and nick != seat.occupant.nick:
        _rename(room, presence, seat, nick)
    elif joins:
        # The client does not know that it is here: it is told everything again.
        check_presence(room, seat.occupant, presence)
        seat.show(cleaning.presence(room, presence, seat.occupant.role))
        _welcome(room, seat, history.read_wanted(presence.child(NS_MUC, "x")), presence)
    else:
        _change(room, presence, seat)


def _tell_outside(room: Room, presence: Stanza, sender: JID, nick: str) -> None:
    """Tell a client that thinks it is here that it is not, as if it were removed (section 7.2.18)."""
    if not nick:
        raise StanzaError("item-not-found", "You are not in this room: enter it first", type="cancel")
    reason = element("reason", None, b"You are not in this room.")
    item = element("item", None, reason, affiliation=room.affiliation(sender.bare), role="none")
    attrs = {"from": room.address(nick), "to": sender.full, "type": "unavailable"}
    x = element("x", NS_USER, item + statuses(SELF, KICKED, FAILED))
    room.service.host.router.route(Stanza("presence", attrs, ((NS_USER, "x"),), x))


# -- entering --------------------------------------------------------------------------


def _enter(room: Room, presence: Stanza, sender: JID, nick: str) -> None:
    if presence.origin is not None and presence.origin.stream is None:
        # It has ended while the room was read.
        return
    wanted, before = check(room, presence, sender, nick)
    session = room.service.session_of(presence, sender)
    if before is not None:
        occupant = before
    else:
        role = first_role(room.affiliation(sender.bare), room.config)
        bare = session.user.bare if session is not None else sender.bare
        occupant = Occupant(nick, bare, role, room.address(nick))
    seat = Seat(occupant, sender, session)
    seat.show(cleaning.presence(room, presence, occupant.role))
    room.seat(occupant, seat)
    room.service.seated(room, seat)
    _welcome(room, seat, wanted, presence)
    room.service.events.fire(OccupantJoined(room, occupant, sender.full, before is None))


def check(room: Room, presence: Stanza, sender: JID, nick: str) -> tuple[history.Wanted, Occupant | None]:
    """Refuse whoever may not enter. Raises StanzaError.

    Gives what he wants to be told, and the occupant whose nick this is to be another session of.
    """
    wanted = history.read_wanted(presence.child(NS_MUC, "x"))
    check_size(presence)
    before = _check(room, presence, sender, nick)
    check_seats(room.service, sender)
    return wanted, before


def _check(room: Room, presence: Stanza, sender: JID, nick: str) -> Occupant | None:
    held = room.held(sender.bare)
    if held.affiliation == OUTCAST:
        raise StanzaError("forbidden", "You are banned from this room")
    if room.locked_for is not None and room.locked_for != sender.bare:
        raise StanzaError("item-not-found", "This room is not open yet")
    if room.config["membersonly"] and RANK[held.affiliation] <= RANK[NONE]:
        raise StanzaError("registration-required", "This room is for its members")
    if held.affiliation != OWNER:
        check_password(room.config, presence)
    before = check_nick(room, nick, sender.bare)
    if before is not None and not room.config["allowmultisessions"]:
        raise StanzaError("conflict", "Another client of yours has this nick")
    if before is not None and len(before.seats) >= MAX_SESSIONS:
        raise StanzaError("resource-constraint", f"At most {MAX_SESSIONS} clients share a nick", type="wait")
    if before is None:
        _check_room_left(room, RANK[held.affiliation] >= RANK[ADMIN])
    for guard in room.service.hooks.entry:
        guard(room, sender, nick)
    return before


def check_password(config: Values, presence: Stanza) -> None:
    """Refuse a wrong password or none, where one is needed (section 7.2.6). Raises StanzaError."""
    if not config["passwordprotectedroom"]:
        return
    if not hmac.compare_digest(given_password(presence).encode(), str(config["roomsecret"]).encode()):
        raise StanzaError("not-authorized", "This room has a password")


def given_password(presence: Stanza) -> str:
    """Give the password that comes with a presence; "" for none."""
    x = presence.child(NS_MUC, "x")
    node = next(x.elements(NS_MUC, "password"), None) if x is not None else None
    return str(node) if node is not None else ""


def _check_room_left(room: Room, is_admin: bool) -> None:
    """Refuse one more where there are enough (section 7.2.9)."""
    most, limits = room.config["maxusers"], room.service.limits
    limit = min(most, limits.max_users) if isinstance(most, int) else limits.max_users
    if is_admin:
        limit += limits.max_users_admin_threshold
    if len(room.occupants) >= limit:
        raise StanzaError("service-unavailable", "There are enough people in this room", type="wait")


def check_nick(room: Room, nick: str, bare: str, own: Occupant | None = None) -> Occupant | None:
    """Refuse a nick that is, or looks like, somebody else's (section 7.2.8).

    ``own`` is who is to have it; else gives the occupant of this account that has it. Raises StanzaError.
    """
    if not nick:
        raise StanzaError("jid-malformed", "A nick is missing")
    if not nick.strip():
        raise StanzaError("not-acceptable", "A nick is more than spaces")
    if len(nick) > room.service.limits.max_nick_chars:
        raise StanzaError("not-acceptable", "The nick is too long")
    known = room.known_as(nick, own)
    taken = known is not None and (own is not None or known.bare != bare or known.nick != nick)
    if taken or room.reserved_for(nick, bare) is not None:
        raise StanzaError("conflict", "Somebody else has this nick, or one that looks like it")
    return known


def _welcome(room: Room, seat: Seat, wanted: history.Wanted, presence: Stanza) -> None:
    """Tell whoever enters who is there, the others of it, and then what was said and the subject (7.1)."""
    occupant = seat.occupant
    own, nicks = b"", None
    for greet in room.service.hooks.welcome:
        greeting = greet(room, seat, presence)
        own += greeting.own
        nicks = greeting.nicks if greeting.nicks is not None else nicks
        room.send([(seat, [Broadcast(stanza) for stanza in greeting.first])])
    room.send(shown_to(room, seat, nicks))
    note = Note(own_codes=_entry_codes(room, occupant), own_more=own, id=presence.id)
    room.send(to_all(room, occupant, Versions(room, occupant, occupant.shown, note)))
    room.send([(seat, (*history.told(room, wanted, seat.jid.full), subject(room)))])


def _entry_codes(room: Room, occupant: Occupant) -> tuple[str, ...]:
    codes: tuple[str, ...] = ()
    if room.is_open:
        codes += (SEES_JIDS,)
    if room.config["enablelogging"]:
        codes += (LOGGED,)
    if room.locked_for == occupant.bare:
        codes += (CREATED,)
    return codes


def subject(room: Room) -> Broadcast:
    """Give the message with the subject, which everybody gets who has entered (section 7.2.15)."""
    held = room.subject
    stanza = Stanza("message", {"from": held.address, "type": "groupchat"}, held.children, held.inner)
    return Broadcast(cleaning.delayed(room, stanza, held.at))


# -- changes ---------------------------------------------------------------------------


def _change(room: Room, presence: Stanza, seat: Seat) -> None:
    """Take a new presence of somebody who is here (section 7.7)."""
    occupant = seat.occupant
    check_presence(room, occupant, presence)
    seat.show(cleaning.presence(room, presence, occupant.role))
    # The session that speaks last is the one that the others see.
    occupant.seats.remove(seat)
    occupant.seats.append(seat)
    room.send(show(room, occupant, Note(id=presence.id)))


def _rename(room: Room, presence: Stanza, seat: Seat, nick: str) -> None:
    """Give somebody who is here another nick (section 7.6), with all of his sessions."""
    occupant = seat.occupant
    if occupant.role == VISITOR and not room.config["allowvisitornickchange"]:
        raise StanzaError("not-allowed", "Visitors keep their nicks in this room")
    check_presence(room, occupant, presence)
    check_nick(room, nick, occupant.bare, occupant)
    seat.show(cleaning.presence(room, presence, occupant.role))
    before, address = occupant.nick, occupant.address
    leaves = Versions(room, occupant, seat, Note((NICK_CHANGED,), nick=nick), gone=True, address=address)
    room.send(to_all(room, occupant, leaves))
    room.rename(occupant, nick)
    room.send(show(room, occupant, Note(id=presence.id)))
    room.service.events.fire(NickChanged(room, occupant, before))
