"""What the service, rooms and occupants tell of themselves (XEP-0045 section 6), and new names (XEP-0307)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

from twisted.words.xish import domish

from palaver import rsm
from palaver.archive.messages import NS_MAM, NS_STANZA_ID
from palaver.commands.typed import NS_COMMANDS
from palaver.errors import StanzaError
from palaver.forms import Field, Form, encode
from palaver.markup import element, escape
from palaver.pubsub.fields import texts_of
from palaver.rooms import adhoc
from palaver.rooms.affiliations import MEMBER, OWNER, RANK
from palaver.rooms.config import PREFIX
from palaver.rooms.hooks import RoomRequest
from palaver.rooms.namespaces import (
    NS_CONFERENCE,
    NS_MUC,
    NS_PING,
    NS_REGISTER,
    NS_ROOM_INFO,
    NS_ROOM_NICK,
    NS_SELF_PING,
    NS_STABLE_ID,
    NS_TRAFFIC_NODE,
    NS_UNIQUE,
)
from palaver.routing.disco import NS_INFO, NS_ITEMS, info
from palaver.stanza import NS_CLIENT, Stanza

if TYPE_CHECKING:
    from palaver.rooms.room import Room
    from palaver.rooms.service import Service

MAX_LISTED = 200
UNIQUE_BYTES = 10
FEATURES = (NS_INFO, NS_ITEMS, NS_MUC, NS_STABLE_ID, NS_SELF_PING, NS_PING, NS_REGISTER, NS_CONFERENCE)


def _node(request: RoomRequest, ns: str) -> tuple[domish.Element, str | None]:
    query = request.iq.child(ns, "query")
    assert query is not None
    return query, query.getAttribute("node") or None


# -- the service -----------------------------------------------------------------------


def service_info(service: Service, request: RoomRequest) -> bytes:
    """Say what the service is (section 6.2)."""
    if _node(request, NS_INFO)[1] is not None:
        raise StanzaError("item-not-found", "There is no such node")
    features = {*FEATURES, NS_UNIQUE, rsm.NS_RSM, *service.hooks.service_features}
    return info([("conference", "text", service.name)], sorted(features))


async def service_items(service: Service, request: RoomRequest) -> bytes:
    """List the rooms that everybody may find (section 6.3), in pages by name."""
    query, node = _node(request, NS_ITEMS)
    if node is not None:
        raise StanzaError("item-not-found", "There is no such node")
    asked = rsm.read(query)
    if asked.backwards:
        raise StanzaError("feature-not-implemented", "Rooms are listed forwards")
    limit = min(asked.max if asked.max is not None else MAX_LISTED, MAX_LISTED)
    after = (asked.after or "").partition("@")[0]
    stored = await service.store.public(after, limit + 1)
    names = {document.owner: str(document.value.get("config", {}).get("roomname", "")) for document in stored}
    for room in service.rooms.values():
        if room.name > after and not room.is_persistent and room.config["publicroom"]:
            names[room.name] = str(room.config["roomname"])
    page = sorted(names)[:limit]
    parts = [_item(service, name, names[name]) for name in page]
    if len(names) > limit or asked != rsm.ANY_PAGE:
        ends = [f"{name}@{service.domain}" for name in (page[0], page[-1])] if page else [None, None]
        parts.append(rsm.encode(*ends))
    return element("query", NS_ITEMS, b"".join(parts))


def _item(service: Service, name: str, title: str) -> bytes:
    room = service.rooms.get(name)
    shown = title or name
    if room is not None and room.config["public_list"]:
        shown = f"{shown} ({len(room.occupants)})"
    return element("item", None, jid=f"{name}@{service.domain}", name_=shown)


async def unique(service: Service, request: RoomRequest) -> bytes:
    """Give the name of a room that is not there (XEP-0307)."""
    if not service.may_create(request.sender):
        raise StanzaError("not-allowed", "You may not make rooms here")
    name = secrets.token_hex(UNIQUE_BYTES)
    while await service.find(name) is not None:
        name = secrets.token_hex(UNIQUE_BYTES)
    return element("unique", NS_UNIQUE, escape(name))


# -- a room ----------------------------------------------------------------------------


def room_info(service: Service, request: RoomRequest) -> bytes:
    """Say what a room is (section 6.4); or which nick somebody has reserved (7.12)."""
    room = request.room
    assert room is not None
    _, node = _node(request, NS_INFO)
    if node == NS_ROOM_NICK:
        nick = room.held(request.sender.bare).nick
        return info([("conference", "text", nick)] if nick else [], [], (), node)
    if node == NS_TRAFFIC_NODE:
        # What it would list are the only payloads that pass (section 17.3): all do.
        raise StanzaError("service-unavailable")
    if node is not None:
        described = adhoc.describe(service, request, node)
        if described is None:
            raise StanzaError("item-not-found", "There is no such node")
        return described
    config = room.config
    features = {*FEATURES, NS_STANZA_ID, *_kinds(room)}
    if service.hooks.commands:
        features.add(NS_COMMANDS)
    if room.has_archive:
        features |= {NS_MAM, f"{NS_MAM}#extended"}
    forms = [_form(room)]
    for tell in service.hooks.room_info:
        told = tell(room)
        features.update(told.features)
        forms += told.forms
    return info([("conference", "text", str(config["roomname"]) or room.name)], sorted(features), forms)


def _kinds(room: Room) -> Iterator[str]:
    """Give the features that say what kind of room it is (section 15.3)."""
    config = room.config
    yield "muc_public" if config["publicroom"] else "muc_hidden"
    yield "muc_membersonly" if config["membersonly"] else "muc_open"
    yield "muc_moderated" if config["moderatedroom"] else "muc_unmoderated"
    yield "muc_nonanonymous" if room.is_open else "muc_semianonymous"
    yield "muc_passwordprotected" if config["passwordprotectedroom"] else "muc_unsecured"
    yield "muc_persistent" if room.is_persistent else "muc_temporary"


def _form(room: Room) -> bytes:
    config = room.config
    shown = {
        "muc#roominfo_description": config["roomdesc"],
        "muc#roominfo_lang": config["lang"],
        "muc#roominfo_contactjid": room.owners() if room.is_open else [],
        "muc#roominfo_changesubject": config["changesubject"],
        f"{PREFIX}changesubject": config["changesubject"],
        f"{PREFIX}allowinvites": config["allowinvites"],
        f"{PREFIX}allowpm": config["allowpm"],
        f"{PREFIX}roomname": config["roomname"],
        f"{PREFIX}pubsub": config["pubsub"],
        "muc#maxhistoryfetch": config["maxhistoryfetch"],
    }
    if not config["membersonly"]:
        # What is said in rooms for members is no stranger's business (section 13.4).
        shown["muc#roominfo_subject"] = _subject_text(room)
    fields = [Field(var=var, values=texts_of(value)) for var, value in shown.items() if value not in ("", [])]
    if config["public_list"]:
        fields.append(Field(var="muc#roominfo_occupants", value=str(len(room.occupants))))
    for tell in room.service.hooks.room_info:
        fields += tell(room).fields
    return encode(Form("result", formNamespace=NS_ROOM_INFO, fields=fields))


def _subject_text(room: Room) -> str:
    held = room.subject
    node = Stanza("message", {}, held.children, held.inner).child(NS_CLIENT, "subject")
    return str(node) if node is not None else ""


def room_items(service: Service, request: RoomRequest) -> bytes:
    """List who is in a room, for those who may see it (section 6.5)."""
    room = request.room
    assert room is not None
    if _node(request, NS_ITEMS)[1] == NS_COMMANDS:
        return adhoc.items(service, request)
    own = OWNER if service.is_owner(room, request.sender.bare) else room.affiliation(request.sender.bare)
    hidden = not room.config["public_list"] or room.config["membersonly"]
    if request.occupant is None and hidden and RANK[own] < RANK[MEMBER]:
        return element("query", NS_ITEMS)
    parts = [
        element("item", None, jid=one.address, name_=one.nick)
        for one in room.occupants.values()
        if room.is_shown(one.role)
    ]
    return element("query", NS_ITEMS, b"".join(parts))
