"""Invitations through a room, and their refusal (XEP-0045 section 7.8)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver import jid
from palaver.errors import StanzaError
from palaver.jid import JID, InvalidJID
from palaver.markup import element, escape
from palaver.rooms import affiliating
from palaver.rooms.affiliations import ADMIN, MEMBER, NONE, OUTCAST, RANK, VISITOR
from palaver.rooms.events import Invited
from palaver.rooms.namespaces import NS_CONFERENCE, NS_USER
from palaver.stanza import Stanza
from palaver.tree import serialize

if TYPE_CHECKING:
    from palaver.rooms.room import Room

# In one message; each makes a message of its own.
MAX_INVITEES = 10
# What may be refused is remembered, so that nobody else writes to somebody through the room.
MAX_REMEMBERED = 1000
MAX_REASON_CHARS = 1000


def take(room: Room, message: Stanza, sender: JID) -> Deferred[Any] | None:
    """Take invitations or a refusal. Raises StanzaError."""
    x = message.child(NS_USER, "x")
    assert x is not None
    invites = list(x.elements(NS_USER, "invite"))
    if invites:
        if len(invites) > MAX_INVITEES:
            raise StanzaError("not-acceptable", f"At most {MAX_INVITEES} people are invited at once")
        return Deferred.fromCoroutine(_invite_all(room, message, sender, invites))
    decline = next(x.elements(NS_USER, "decline"), None)
    if decline is None:
        raise StanzaError("bad-request", "Neither an invitation nor its refusal")
    return _decline(room, message, sender, decline)


def _jid_of(node: domish.Element) -> JID:
    text = node.getAttribute("to")
    if text is None:
        raise StanzaError("jid-malformed", "Nobody is named")
    try:
        return jid.parse(text)
    except InvalidJID as error:
        raise StanzaError("jid-malformed", str(error)) from None


def _reason(node: domish.Element) -> str:
    reason = next(node.elements(NS_USER, "reason"), None)
    return str(reason)[:MAX_REASON_CHARS] if reason is not None else ""


async def _invite_all(room: Room, message: Stanza, sender: JID, invites: list[domish.Element]) -> None:
    """Invite in the room's turn, and wait for what is kept for those who are away."""
    kept: list[Deferred[Any]] = []
    waiting = room.service.turn(room, message, partial(_invite, room, sender, invites, kept))
    if waiting is not None:
        await waiting
    for one in kept:
        await one


async def _invite(room: Room, sender: JID, invites: list[domish.Element], kept: list[Deferred[Any]]) -> None:
    _check(room, sender)
    targets = [(node, _jid_of(node)) for node in invites]
    for _, target in targets:
        if room.affiliation(target.bare) == OUTCAST:
            raise StanzaError("forbidden", "Somebody who is banned is not invited")
    if room.config["membersonly"]:
        # Members-only rooms take whom they invite for members (section 7.8.2).
        new = [target.bare for _, target in targets if room.affiliation(target.bare) == NONE]
        await affiliating.change(
            room, [affiliating.Change(bare, MEMBER, by=sender.bare) for bare in dict.fromkeys(new)]
        )
    for node, target in targets:
        invited: dict[tuple[str, str], None] = room.state.setdefault("invited", {})
        invited[target.bare, sender.bare] = None
        if len(invited) > MAX_REMEMBERED:
            invited.pop(next(iter(invited)))
        waiting = room.service.host.router.route(_invitation(room, sender, node, target))
        if waiting is not None:
            kept.append(waiting)
        room.service.events.fire(Invited(room, sender, target))


def _check(room: Room, sender: JID) -> None:
    """Refuse whoever may not invite. Raises StanzaError."""
    is_admin = RANK[room.affiliation(sender.bare)] >= RANK[ADMIN]
    occupant = room.occupant_of(sender.full)
    if is_admin:
        return
    if occupant is None:
        raise StanzaError("not-acceptable", "You are not in this room")
    # Into a room for members an invitation is a key; into others everybody comes anyway.
    if room.config["membersonly"] and not room.config["allowinvites"]:
        raise StanzaError("forbidden", "Admins invite to this room")
    if occupant.role == VISITOR and not room.config["allowinvites"]:
        raise StanzaError("forbidden", "Visitors do not invite to this room")


def _invitation(room: Room, sender: JID, node: domish.Element, target: JID) -> Stanza:
    reason = _reason(node)
    occupant = room.occupant_of(sender.full)
    by = sender.full if room.is_open or occupant is None else sender.bare
    more = serialize(list(node.elements(NS_USER, "continue")), NS_USER)
    inner = (element("reason", None, escape(reason)) if reason else b"") + more
    content = element("invite", None, inner, from_=by)
    password = str(room.config["roomsecret"]) if room.config["passwordprotectedroom"] else None
    if password:
        content += element("password", None, escape(password))
    text = f"{by} invites you to the room {room.jid.bare}" + (f" ({reason})" if reason else "")
    direct = element("x", NS_CONFERENCE, jid=room.jid.bare, reason=reason or None, password=password)
    body = element("body", None, escape(text))
    return Stanza(
        "message",
        {"from": room.jid.bare, "to": target.full},
        ((NS_USER, "x"), (NS_CONFERENCE, "x"), ("jabber:client", "body")),
        element("x", NS_USER, content) + direct + body,
    )


def _decline(room: Room, message: Stanza, sender: JID, node: domish.Element) -> Deferred[Any] | None:
    """Tell who has invited that the other one does not come (section 7.8.2)."""
    to = _jid_of(node)
    invited = room.state.get("invited", {})
    if (sender.bare, to.bare) not in invited:
        raise StanzaError("item-not-found", "You have not been invited by that person")
    del invited[sender.bare, to.bare]
    reason = _reason(node)
    inner = element("reason", None, escape(reason)) if reason else b""
    x = element("x", NS_USER, element("decline", None, inner, from_=sender.bare))
    answer = Stanza("message", {"from": room.jid.bare, "to": to.full}, ((NS_USER, "x"),), x)
    return room.service.host.router.route(answer)
