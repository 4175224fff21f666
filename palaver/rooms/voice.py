"""Requests for voice, and moderators' answers (XEP-0045 sections 7.13 and 8.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver import jid
from palaver.errors import StanzaError
from palaver.forms import Field, Form, encode
from palaver.forms import read as read_form
from palaver.jid import JID, InvalidJID
from palaver.rooms.affiliations import PARTICIPANT, VISITOR
from palaver.rooms.namespaces import NS_REQUEST
from palaver.rooms.occupants import Occupant
from palaver.rooms.presence import show
from palaver.stanza import Stanza, make

if TYPE_CHECKING:
    from palaver.rooms.room import Room

JID_FIELD = "muc#jid"
NICK = "muc#roomnick"
ROLE = "muc#role"
ALLOW = "muc#request_allow"


def take(room: Room, message: Stanza, sender: JID) -> None:
    """Take a form: a visitor's request, or a moderator's answer, in the room's turn. Raises StanzaError."""
    submitted = read_form(message.element, NS_REQUEST)
    if submitted is None:
        raise StanzaError("bad-request", f"A form is submitted, and its FORM_TYPE is {NS_REQUEST}")
    occupant = room.occupant_of(sender.full)
    if occupant is None:
        raise StanzaError("not-acceptable", "You are not in this room")
    if ALLOW in submitted:
        _answered(room, occupant, submitted)
    elif submitted.get(ROLE, [PARTICIPANT]) != [PARTICIPANT]:
        raise StanzaError("bad-request", "Voice is asked for")
    elif occupant.role == VISITOR:
        _ask(room, occupant)


def _ask(room: Room, visitor: Occupant) -> None:
    form = Form(
        "form",
        title="Voice request",
        instructions=["To approve this request for voice, select the Grant voice checkbox and submit."],
        formNamespace=NS_REQUEST,
        fields=[
            Field("list-single", ROLE, PARTICIPANT, label="Requested role"),
            Field("jid-single", JID_FIELD, visitor.shown.jid.full, label="User ID"),
            Field("text-single", NICK, visitor.nick, label="Room nickname"),
            Field("boolean", ALLOW, False, label="Grant voice to this person?"),
        ],
    )
    payload = encode(form)
    for moderator in room.moderators():
        for seat in moderator.seats:
            room.service.host.router.route(
                make("message", {"from": room.jid.bare, "to": seat.jid.full}, payload)
            )


def _answered(room: Room, moderator: Occupant, submitted: dict[str, list[str]]) -> None:
    if not moderator.is_moderator:
        raise StanzaError("forbidden", "Moderators grant voice")
    if submitted[ALLOW] not in (["1"], ["true"]):
        return
    visitor = room.occupants.get((submitted.get(NICK) or [""])[0])
    if visitor is None:
        try:
            visitor = room.occupant_of(jid.parse((submitted.get(JID_FIELD) or [""])[0]).full)
        except InvalidJID:
            visitor = None
    if visitor is None:
        raise StanzaError("item-not-found", "There is no such occupant")
    if visitor.role == VISITOR:
        visitor.role = PARTICIPANT
        room.send(show(room, visitor))
