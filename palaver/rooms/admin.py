"""What moderators, admins and owners do with people: lists and changes (XEP-0045 sections 8 to 10)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from twisted.words.xish import domish

from palaver import jid, rsm
from palaver.errors import StanzaError
from palaver.jid import InvalidJID
from palaver.markup import element, escape
from palaver.rooms import affiliating, leaving
from palaver.rooms.affiliating import Change
from palaver.rooms.affiliations import (
    ADMIN,
    AFFILIATIONS,
    MEMBER,
    MODERATOR,
    NONE,
    OUTCAST,
    OWNER,
    RANK,
    ROLES,
    check_affiliation,
    check_role,
)
from palaver.rooms.hooks import RoomRequest
from palaver.rooms.namespaces import KICKED, NS_ADMIN
from palaver.rooms.occupants import Occupant
from palaver.rooms.presence import Note, show

if TYPE_CHECKING:
    from palaver.jid import JID
    from palaver.rooms.room import Room
    from palaver.rooms.service import Service

# In one answer; who wants more asks for pages (XEP-0059).
MAX_LISTED = 500
MAX_REASON_CHARS = 1000


class _RoleChange(NamedTuple):
    occupant: Occupant
    role: str
    reason: str


def _query(request: RoomRequest) -> tuple[Room, domish.Element, list[domish.Element]]:
    query = request.iq.child(NS_ADMIN, "query")
    assert request.room is not None and query is not None
    items = list(query.elements(NS_ADMIN, "item"))
    if not items:
        raise StanzaError("bad-request", "There is no item")
    return request.room, query, items


# -- lists -----------------------------------------------------------------------------


def get(service: Service, request: RoomRequest) -> bytes:
    """Give a list of those with an affiliation or a role. Raises StanzaError."""
    room, query, items = _query(request)
    affiliation, role = items[0].getAttribute("affiliation"), items[0].getAttribute("role")
    if len(items) > 1 or (affiliation is None) == (role is None):
        raise StanzaError("bad-request", "One item with an affiliation or a role")
    if role is not None:
        return _occupants(service, request, room, role)
    if affiliation not in AFFILIATIONS or affiliation == NONE:
        raise StanzaError("bad-request", "There is no list of that affiliation")
    _check_list(service, request, room, affiliation)
    return _affiliated(room, query, affiliation)


def _check_list(service: Service, request: RoomRequest, room: Room, wanted: str) -> None:
    """Refuse a list to whoever may not see it. Raises StanzaError(forbidden)."""
    if not may_list(service, room, request.sender, request.occupant, wanted):
        raise StanzaError("forbidden", "You may not see this list")


def may_list(service: Service, room: Room, who: JID, occupant: Occupant | None, wanted: str) -> bool:
    """Tell whether somebody, who may be in the room, sees the list of an affiliation (section 9.5)."""
    own = _affiliation(service, room, who)
    if RANK[own] >= RANK[ADMIN]:
        return True
    shown = room.config["getmemberlist"]
    role = occupant.role if occupant is not None else None
    # Whoever sees all real JIDs anyway, of a room that is for members (sections 7.12 and 9.5).
    is_known = RANK[own] >= RANK[MEMBER] and room.is_open and bool(room.config["membersonly"])
    listed = wanted == MEMBER and isinstance(shown, list) and role in shown
    return wanted != OUTCAST and (is_known or (listed and (room.is_open or role == MODERATOR)))


def _affiliated(room: Room, query: domish.Element, affiliation: str) -> bytes:
    """Give those with an affiliation, in pages by JID when they are many or that is asked."""
    asked = rsm.read(query)
    everybody = room.with_affiliation(affiliation)
    found = [
        bare
        for bare in everybody
        if bare > (asked.after or "") and (asked.before is None or bare < asked.before)
    ]
    most = min(asked.max if asked.max is not None else MAX_LISTED, MAX_LISTED)
    page = (found[-most:] if most else []) if asked.backwards else found[:most]
    inner = b"".join([_item(room, bare, affiliation) for bare in page])
    if asked != rsm.ANY_PAGE or len(page) < len(everybody):
        first, last = (page[0], page[-1]) if page else (None, None)
        inner += rsm.encode(first, last, len(everybody))
    return element("query", NS_ADMIN, inner)


def _item(room: Room, bare: str, affiliation: str) -> bytes:
    held = room.affiliations[bare]
    reason = element("reason", None, escape(held.reason)) if held.reason else b""
    here = next(iter(room.occupants_of(bare)), None)
    nick = here.nick if here is not None else held.nick or None
    role = here.role if here is not None else None
    return element("item", None, reason, affiliation=affiliation, jid=bare, nick=nick, role=role)


def _occupants(service: Service, request: RoomRequest, room: Room, role: str) -> bytes:
    if role not in ROLES or role == NONE:
        raise StanzaError("bad-request", "There is no list of that role")
    is_moderator = request.occupant is not None and request.occupant.is_moderator
    own = _affiliation(service, room, request.sender)
    if (role == MODERATOR and RANK[own] < RANK[ADMIN]) or not (is_moderator or RANK[own] >= RANK[ADMIN]):
        raise StanzaError("forbidden", "You may not see this list")
    items = [
        element(
            "item",
            None,
            affiliation=room.affiliation(one.bare),
            jid=one.shown.jid.full,
            nick=one.nick,
            role=one.role,
        )
        for one in room.occupants.values()
        if one.role == role
    ]
    return element("query", NS_ADMIN, b"".join(items))


def _affiliation(service: Service, room: Room, who: JID) -> str:
    return OWNER if service.is_owner(room, who.bare) else room.affiliation(who.bare)


# -- changes ---------------------------------------------------------------------------


async def set(service: Service, request: RoomRequest) -> None:
    """Change affiliations or roles: all that is asked for, or nothing. Raises StanzaError, StorageError."""
    room, _, items = _query(request)
    if len(items) > MAX_LISTED:
        raise StanzaError("not-acceptable", f"At most {MAX_LISTED} changes at once")
    await room.order.take(partial(_change, service, request, room, items))


async def _change(service: Service, request: RoomRequest, room: Room, items: list[domish.Element]) -> None:
    affiliations: list[Change] = []
    roles: list[_RoleChange] = []
    for item in items:
        by_affiliation, by_role = item.getAttribute("affiliation"), item.getAttribute("role")
        if (by_affiliation is None) == (by_role is None):
            raise StanzaError("bad-request", "An item has an affiliation or a role")
        if by_affiliation is not None:
            affiliations.append(_affiliation_change(service, request, room, item, by_affiliation))
        else:
            roles.append(_role_change(service, request, room, item, str(by_role)))
    if affiliations:
        await affiliating.change(room, affiliations)
    for change in roles:
        _set_role(room, request, change)


def _affiliation_change(
    service: Service, request: RoomRequest, room: Room, item: domish.Element, wanted: str
) -> Change:
    if wanted not in AFFILIATIONS:
        raise StanzaError("bad-request", "There is no such affiliation")
    bare = _target(room, item)
    own = request.sender.bare
    before = room.affiliation(bare)
    by = _affiliation(service, room, request.sender)
    if wanted == OUTCAST and bare == own and RANK[by] >= RANK[ADMIN]:
        raise StanzaError("conflict", "Nobody bans himself")
    check_affiliation(by, before, wanted)
    nick = _reserved(room, item, bare) if item.getAttribute("jid") and wanted not in (NONE, OUTCAST) else None
    asker = _asker(room, request)
    return Change(bare, wanted, _reason(item), nick, own, asker.nick if asker is not None else "")


def _asker(room: Room, request: RoomRequest) -> Occupant | None:
    """Give who asks, if he is still in the room by the time of his turn."""
    return room.occupant_of(request.sender.full)


def _reserved(room: Room, item: domish.Element, bare: str) -> str | None:
    """Give the nick that an item reserves for somebody; None to leave it. Raises StanzaError."""
    given = item.getAttribute("nick")
    if not given:
        return None
    try:
        nick = jid.prepare_resource(given)
    except InvalidJID as error:
        raise StanzaError("jid-malformed", str(error)) from None
    if not nick.strip() or len(nick) > room.service.limits.max_nick_chars:
        raise StanzaError("not-acceptable", "A nick is more than spaces, and not too long")
    if room.reserved_for(nick, bare) is not None:
        raise StanzaError("conflict", "This nick is reserved for somebody else")
    return nick


def _target(room: Room, item: domish.Element) -> str:
    """Give the bare JID, or domain, that an item names, by itself or by a nick. Raises StanzaError."""
    text = item.getAttribute("jid")
    if text is None:
        occupant = room.occupants.get(item.getAttribute("nick", ""))
        if occupant is None:
            raise StanzaError("item-not-found", "Nobody here has this nick")
        return occupant.bare
    try:
        found = jid.parse(text)
    except InvalidJID as error:
        raise StanzaError("jid-malformed", str(error)) from None
    if found.resource:
        raise StanzaError("jid-malformed", "Affiliations are of bare JIDs")
    return found.bare


def _reason(item: domish.Element) -> str:
    reason = next(item.elements(NS_ADMIN, "reason"), None)
    return str(reason)[:MAX_REASON_CHARS] if reason is not None else ""


def _role_change(
    service: Service, request: RoomRequest, room: Room, item: domish.Element, wanted: str
) -> _RoleChange:
    if wanted not in ROLES:
        raise StanzaError("bad-request", "There is no such role")
    nick = item.getAttribute("nick")
    if not nick:
        raise StanzaError("bad-request", "Roles are of nicks")
    occupant = room.occupants.get(nick)
    if occupant is None:
        raise StanzaError("item-not-found", "Nobody here has this nick")
    own = _affiliation(service, room, request.sender)
    # Admins have the rights of moderators whether they are in the room or not.
    asker = _asker(room, request)
    role = MODERATOR if RANK[own] >= RANK[ADMIN] else asker.role if asker is not None else NONE
    check_role(role, own, occupant.role, wanted, room.affiliation(occupant.bare))
    return _RoleChange(occupant, wanted, _reason(item))


def _set_role(room: Room, request: RoomRequest, change: _RoleChange) -> None:
    asker = _asker(room, request)
    note = Note(reason=change.reason, by=asker.nick if asker is not None else "")
    if change.occupant.nick not in room.occupants:
        return
    if change.role == NONE:
        leaving.remove(room, [change.occupant], note._replace(codes=(KICKED,)))
    else:
        change.occupant.role = change.role
        room.send(show(room, change.occupant, note))
