"""Registration with a room: membership, and a nick that nobody else gets (XEP-0045 sections 7.10 and 9.9)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from palaver import jid
from palaver.errors import StanzaError
from palaver.forms import Field, Form, encode
from palaver.forms import read as read_form
from palaver.jid import JID, InvalidJID
from palaver.markup import element, escape
from palaver.rooms import affiliating
from palaver.rooms.affiliating import Change
from palaver.rooms.affiliations import ADMIN, MEMBER, NONE, OUTCAST, RANK
from palaver.rooms.hooks import MemberField, RoomRequest
from palaver.rooms.limits import too_fast
from palaver.rooms.namespaces import NS_REGISTER, NS_REGISTER_FORM
from palaver.rooms.room import Room
from palaver.stanza import Stanza, make

if TYPE_CHECKING:
    from palaver.rooms.service import Service

NICK = "muc#register_roomnick"
ALLOW = "muc#register_allow"
JID_FIELD = "muc#register_jid"
# Requests that wait for an admin's answer; who is behind them asks again.
MAX_WAITING = 100
# Each request makes a message to every admin.
ASK_AGAIN_S = 60


class _Asked(NamedTuple):
    """A request that waits for an answer; ``at`` is when it came, in the clock's seconds."""

    nick: str
    at: float


def _room(request: RoomRequest) -> Room:
    room = request.room
    assert room is not None
    if room.affiliation(request.sender.bare) == OUTCAST:
        raise StanzaError("forbidden", "You are banned from this room")
    return room


def get(service: Service, request: RoomRequest) -> bytes:
    """Give the form to be filled in; or the nick that is registered."""
    room = _room(request)
    held = room.held(request.sender.bare)
    fields = [Field("text-single", NICK, held.nick or None, label="Desired nickname", required=True)]
    for own in service.hooks.member_fields:
        choice = own.get(room, request.sender.bare)
        fields.append(Field("list-single", own.var, choice, options=dict(own.options), label=own.label))
    form = Form(
        "form", title=f"Registration with {room.jid.bare}", formNamespace=NS_REGISTER_FORM, fields=fields
    )
    registered = (
        element("registered", None) + element("username", None, escape(held.nick)) if held.nick else b""
    )
    return element("query", NS_REGISTER, registered + encode(form))


async def set(service: Service, request: RoomRequest) -> None:
    """Register, under a new nick too, or take the registration back. Raises StanzaError, StorageError."""
    room = _room(request)
    query = request.iq.child(NS_REGISTER, "query")
    assert query is not None
    if next(query.elements(NS_REGISTER, "remove"), None) is not None:
        await room.order.take(partial(_remove, room, request.sender))
        return
    submitted = read_form(query, NS_REGISTER_FORM)
    if submitted is None:
        raise StanzaError("bad-request", "A form is submitted")
    given = (submitted.get(NICK) or [""])[0]
    try:
        nick = jid.prepare_resource(given)
    except InvalidJID as error:
        raise StanzaError("not-acceptable" if not given else "jid-malformed", str(error)) from None
    choices = _choices(service, submitted)
    await room.order.take(partial(_register, room, request.sender, nick, choices))


def _choices(service: Service, submitted: Mapping[str, list[str]]) -> list[tuple[MemberField, str]]:
    """Give what somebody has chosen of modules' fields. Raises StanzaError(not-acceptable)."""
    found = []
    for field in service.hooks.member_fields:
        for choice in submitted.get(field.var, [])[:1]:
            if choice not in field.options:
                raise StanzaError("not-acceptable", f"{field.var} is one of {', '.join(field.options)}")
            found.append((field, choice))
    return found


async def _register(room: Room, sender: JID, nick: str, choices: list[tuple[MemberField, str]]) -> None:
    held = room.held(sender.bare)
    known = room.known_as(nick)
    if room.reserved_for(nick, sender.bare) or (known is not None and known.bare != sender.bare):
        raise StanzaError("conflict", "Somebody else has this nick, or one that looks like it")
    if not nick.strip() or len(nick) > room.service.limits.max_nick_chars:
        raise StanzaError("not-acceptable", "A nick is more than spaces, and not too long")
    if held.affiliation == NONE and needs_approval(room):
        _ask(room, sender, nick)
        return
    if held.affiliation == NONE and len(room.affiliations) >= room.service.limits.max_affiliations // 2:
        # Whoever comes along leaves room for those whom admins take in and keep out.
        raise StanzaError("resource-constraint", "Too many people are registered here")
    affiliation = MEMBER if held.affiliation == NONE else held.affiliation
    await affiliating.change(room, [Change(sender.bare, affiliation, held.reason, nick, sender.bare)])
    for field, choice in choices:
        await field.put(room, sender.bare, choice)


def needs_approval(room: Room) -> bool:
    """Tell whether a member may do more here than whoever comes along."""
    config = room.config
    return bool(config["membersonly"] or config["passwordprotectedroom"]) or (
        bool(config["moderatedroom"]) and not config["members_by_default"]
    )


async def _remove(room: Room, sender: JID) -> None:
    held = room.held(sender.bare)
    if not held.nick and held.affiliation == NONE:
        raise StanzaError("item-not-found", "You are not registered here")
    affiliation = NONE if held.affiliation == MEMBER else held.affiliation
    await affiliating.change(room, [Change(sender.bare, affiliation, nick="", by=sender.bare)])


# -- approval (section 9.9) ------------------------------------------------------------


def _ask(room: Room, sender: JID, nick: str) -> None:
    """Ask the admins who are here, as nobody else can answer. Raises StanzaError."""
    admins = [one for one in room.occupants.values() if RANK[room.affiliation(one.bare)] >= RANK[ADMIN]]
    if not admins:
        raise StanzaError("service-unavailable", "No admin is here to approve of it", type="wait")
    waiting: dict[str, _Asked] = room.state.setdefault("registrations", {})
    now = room.service.clock.seconds()
    before = waiting.get(sender.bare)
    if before is None and len(waiting) >= MAX_WAITING:
        raise StanzaError("resource-constraint", "Too many wait for an admin's answer")
    if before is not None and now - before.at < ASK_AGAIN_S:
        raise too_fast("The admins have just been asked")
    waiting[sender.bare] = _Asked(nick, now)
    form = Form(
        "form",
        title="Registration request",
        instructions=["Allow this person to register with the room?"],
        formNamespace=NS_REGISTER_FORM,
        fields=[
            Field("jid-single", JID_FIELD, sender.bare, label="User's JID"),
            Field("text-single", NICK, nick, label="Desired nickname"),
            Field("boolean", ALLOW, False, label="Allow this person to register?"),
        ],
    )
    payload = encode(form)
    for admin in admins:
        for seat in admin.seats:
            room.service.host.router.route(
                make("message", {"from": room.jid.bare, "to": seat.jid.full}, payload)
            )


async def answered(room: Room, message: Stanza, sender: JID) -> None:
    """Take an admin's answer, in the room's turn. Raises StanzaError, StorageError."""
    submitted = read_form(message.element, NS_REGISTER_FORM)
    if submitted is None:
        return
    if RANK[room.affiliation(sender.bare)] < RANK[ADMIN]:
        raise StanzaError("forbidden", "Admins approve of registrations")
    waiting: dict[str, _Asked] = room.state.get("registrations", {})
    bare = (submitted.get(JID_FIELD) or [""])[0]
    asked = waiting.pop(bare, None)
    if asked is None:
        raise StanzaError("item-not-found", "There is no such request")
    if (submitted.get(ALLOW) or ["0"])[0] in ("1", "true") and room.affiliation(bare) == NONE:
        # Somebody else may have got the nick while this one waited.
        nick = asked.nick if room.reserved_for(asked.nick, bare) is None else ""
        await affiliating.change(room, [Change(bare, MEMBER, nick=nick, by=sender.bare)])
