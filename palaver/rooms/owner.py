"""What owners do with a room: configure it (XEP-0045 section 10.2), and destroy it (10.9)."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from twisted.words.xish import domish

from palaver import jid
from palaver.errors import StanzaError
from palaver.forms import NS_DATA
from palaver.forms import read as read_form
from palaver.jid import JID, InvalidJID
from palaver.markup import element, escape
from palaver.pubsub.fields import Value, Values
from palaver.rooms import affiliating, history, leaving
from palaver.rooms.affiliations import ADMIN, MEMBER, OWNER, RANK
from palaver.rooms.config import LISTS
from palaver.rooms.events import RoomConfigured, RoomDestroyed
from palaver.rooms.hooks import RoomRequest
from palaver.rooms.limits import MAX_TEXT_CHARS, check_texts
from palaver.rooms.namespaces import (
    CONFIG_CHANGED,
    LOGGED,
    MEMBERS_ONLY_NOW,
    NON_ANONYMOUS,
    NOT_LOGGED,
    NS_OWNER,
    NS_ROOM_CONFIG,
    NS_USER,
    SEMI_ANONYMOUS,
    statuses,
)
from palaver.rooms.presence import Note
from palaver.rooms.store import drop_room, put_affiliation, put_room
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.rooms.room import Room
    from palaver.rooms.service import Service


class Destruction(NamedTuple):
    """Why a room goes, and where people go: a room's JID, and its password."""

    reason: str = ""
    alternate: str = ""
    password: str = ""


def _room(service: Service, request: RoomRequest) -> Room:
    """Give the room that the asker owns. Raises StanzaError."""
    room = request.room
    assert room is not None
    if not service.is_owner(room, request.sender.bare):
        raise StanzaError("forbidden", "Owners configure a room")
    return room


def get(service: Service, request: RoomRequest) -> bytes:
    """Give the configuration as a form."""
    room = _room(service, request)
    values: dict[str, Value] = {
        **room.config,
        "roomadmins": room.with_affiliation(ADMIN),
        "roomowners": room.owners(),
    }
    return element("query", NS_OWNER, service.fields.form(values, f"Configuration of {room.jid.bare}"))


async def set(service: Service, request: RoomRequest) -> None:
    """Take a form, the refusal to fill it in, or the order to destroy the room."""
    room = _room(service, request)
    query = request.iq.child(NS_OWNER, "query")
    assert query is not None
    ordered = next(query.elements(NS_OWNER, "destroy"), None)
    if ordered is not None:
        gone = _destruction(ordered)

        async def end() -> None:
            # Another owner may have taken the room from the asker in the meantime.
            await destroy(_room(service, request), gone)

        await room.order.take(end)
        return
    form = next(query.elements(NS_DATA, "x"), None)
    if form is not None and form.getAttribute("type") == "cancel":
        # Whoever does not want to configure a new room does not want it (section 10.1.3).
        if room.locked_for is not None:
            await room.order.take(partial(destroy, room, Destruction(), tombstone=False))
        return
    submitted = read_form(query, NS_ROOM_CONFIG)
    if submitted is None:
        raise StanzaError("bad-request", f"A form is submitted, and its FORM_TYPE is {NS_ROOM_CONFIG}")
    await room.order.take(partial(configure, room, service.fields.read(submitted), request.sender))


def _destruction(ordered: domish.Element) -> Destruction:
    texts = {child.name: str(child) for child in ordered.elements() if child.uri == NS_OWNER}
    try:
        alternate = jid.parse(ordered["jid"]).bare if ordered.getAttribute("jid") else ""
    except InvalidJID as error:
        raise StanzaError("jid-malformed", str(error)) from None
    reason, password = (texts.get(name, "")[:MAX_TEXT_CHARS] for name in ("reason", "password"))
    return Destruction(reason, alternate, password)


# -- the configuration -----------------------------------------------------------------


async def configure(room: Room, given: Values, by: JID | None) -> None:
    """Change what a room is like, in its turn. Raises StanzaError, StorageError."""
    if by is not None and not room.service.is_owner(room, by.bare):
        raise StanzaError("forbidden", "Owners configure a room")
    lists = {name: given.pop(name) for name in LISTS if name in given}
    if given.get("moderatedroom") and "members_by_default" not in given:
        # Who asks for a moderated room by its standard name means what the standard says (section 5.1.2).
        given["members_by_default"] = False
    after = {**room.config, **given}
    _check(room, after, by)
    changes = _affiliations(room, lists)
    before, room.config = room.config, after
    try:
        await _commit(room, before, changes)
    except BaseException:
        room.config = before
        raise
    room.locked_for = None
    changed = frozenset(name for name in after if after[name] != before.get(name))
    for change in changes:
        affiliating.apply(room, change)
    _tell(room, changed)
    if room.config["membersonly"] and "membersonly" in changed:
        away = [one for one in room.occupants.values() if RANK[room.affiliation(one.bare)] < RANK[MEMBER]]
        leaving.remove(room, away, Note((MEMBERS_ONLY_NOW,)))
    while len(room.recent) > history.limit(room):
        room.recent.popleft()
    if changed:
        waiting = room.service.events.fire(RoomConfigured(room, changed))
        if waiting is not None:
            # What modules store of a room that stays from now on is part of it.
            await waiting


def _check(room: Room, config: Values, by: JID | None) -> None:
    check_texts(room.service.limits, config)
    if config["passwordprotectedroom"] and not config["roomsecret"]:
        raise StanzaError("not-acceptable", "A room with a password needs one")
    persists = config["persistentroom"] and not room.is_persistent
    if persists and by is not None and not room.service.may(by, room.service.access_persistent):
        raise StanzaError("not-allowed", "You may not make rooms that stay")
    if by is not None:
        for guard in room.service.hooks.configuration:
            guard(room, config, by)


def _affiliations(room: Room, lists: Values) -> list[affiliating.Change]:
    """Give what the lists of admins and owners in a form change. Raises StanzaError."""
    wanted: dict[str, str] = {}
    for name, affiliation in zip(LISTS, (ADMIN, OWNER), strict=True):
        given = lists.get(name)
        if not isinstance(given, list):
            continue
        for bare in room.with_affiliation(affiliation):
            if bare not in given:
                wanted.setdefault(bare, MEMBER if affiliation == ADMIN else ADMIN)
        wanted.update(dict.fromkeys((jid.parse(text).bare for text in given), affiliation))
    changes = [
        affiliating.Change(bare, affiliation)
        for bare, affiliation in wanted.items()
        if room.affiliation(bare) != affiliation
    ]
    affiliating.check_owner_left(room, changes)
    affiliating.check_room_left(room, changes)
    return changes


async def _commit(room: Room, before: Values, changes: list[affiliating.Change]) -> None:
    batch = Batch()
    if room.is_persistent:
        put_room(batch, room)
        if not before["persistentroom"]:
            for bare, held in room.affiliations.items():
                put_affiliation(batch, room, bare, held)
        affiliating.put(batch, room, changes)
    elif before["persistentroom"]:
        drop_room(batch, room)
    if batch.changes:
        await room.service.store.write(batch)


def _tell(room: Room, changed: frozenset[str]) -> None:
    """Tell everybody what matters to him of a change (section 10.2.1)."""
    codes = []
    if "enablelogging" in changed:
        codes.append(LOGGED if room.config["enablelogging"] else NOT_LOGGED)
    if "whois" in changed:
        codes.append(NON_ANONYMOUS if room.is_open else SEMI_ANONYMOUS)
    if changed - {"enablelogging", "whois"}:
        codes.append(CONFIG_CHANGED)
    if codes:
        room.notify(element("x", NS_USER, statuses(*codes)), ((NS_USER, "x"),))


# -- the end ---------------------------------------------------------------------------


async def destroy(room: Room, gone: Destruction, *, tombstone: bool = True) -> None:
    """Destroy a room in its turn: its name stays its owners'. Raises StorageError."""
    service = room.service
    owners = room.owners()
    batch = Batch()
    drop_room(batch, room)
    keeps = tombstone and service.tombstone_s > 0
    left = {"reason": gone.reason, "alternate": gone.alternate, "owners": owners, "at": time.time()}
    if keeps:
        room.gone = left
        put_room(batch, room)
        # It is there until that is committed: whoever comes meanwhile has his turn behind this one.
        room.gone = {}
    await service.store.write(batch)
    room.gone = left
    inner = element("reason", None, escape(gone.reason)) if gone.reason else b""
    if gone.password:
        inner += element("password", None, escape(gone.password))
    more = element("destroy", None, inner, jid=gone.alternate or None)
    leaving.remove(room, room.occupants.values(), Note(more=more), affiliation="none")
    service.forget(room)
    service.events.fire(RoomDestroyed(room, gone.reason))
