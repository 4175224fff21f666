"""XEP-0425 and 0424 in rooms: moderators, and authors, take messages back; the archive keeps a tombstone."""

from __future__ import annotations

import secrets
import time
from functools import partial
from typing import Any, NamedTuple

from twisted.words.xish import domish

from palaver.archive import retraction
from palaver.archive.messages import NS_STANZA_ID
from palaver.archive.retraction import NS_RETRACT, TOMBSTONE_FEATURES
from palaver.archive.stanzaids import from_text, to_text, with_id
from palaver.errors import StanzaError
from palaver.events import MessageRetracted
from palaver.markup import element, escape
from palaver.modules import Module, on
from palaver.rooms import history
from palaver.rooms.broadcast import Broadcast
from palaver.rooms.events import RoomMessage
from palaver.rooms.hooks import Announced, Hooks, RoomRequest
from palaver.rooms.namespaces import NS_OCCUPANT_ID
from palaver.rooms.occupants import Occupant
from palaver.rooms.room import Room
from palaver.rooms.store import KIND_LOG
from palaver.stanza import Child, Stanza
from palaver.storage import Batch, Entry, ids
from palaver.times import stamp

NS_MODERATE = "urn:xmpp:message-moderate:1"
# What clients say that know version 0.2 of XEP-0425: the same inside of a fastening (XEP-0422).
NS_MODERATE_BEFORE = "urn:xmpp:message-moderate:0"
NS_RETRACT_BEFORE = "urn:xmpp:message-retract:0"
NS_FASTEN = "urn:xmpp:fasten:0"
APPLY_TO: Child = (NS_FASTEN, "apply-to")
RETRACT: Child = (NS_RETRACT, "retract")
RETRACTED: Child = (NS_RETRACT, "retracted")
OCCUPANT_ID: Child = (NS_OCCUPANT_ID, "occupant-id")
# What says whose message it was, and which; all else of it goes.
STAYS = frozenset((OCCUPANT_ID, (NS_STANZA_ID, "origin-id")))
# A reason goes to everybody and stays in the archive.
MAX_REASON_CHARS = 1000
ID_BYTES = 9


class _Order(NamedTuple):
    """What a moderator wants: which message, under its id in the room, is to go, and why."""

    id: int
    reason: bytes
    by: Occupant | None


class Moderation(Module):
    """Takes retracted messages out of the archive and out of what whoever enters is told."""

    def start(self) -> None:
        """Answer moderators."""
        hooks = Hooks.of(self.host)
        self.undo(hooks.add_iq("set", NS_MODERATE, "moderate", self.name, self.moderate))
        self.undo(hooks.add_iq("set", *APPLY_TO, self.name, self.moderate_before))
        # Only a room says that one of its messages was moderated (section 5 of XEP-0425).
        self.undo(hooks.add_reserved(*RETRACTED))
        self.undo(hooks.add_room_info(self._tell))
        self._hooks = hooks

    def _tell(self, room: Room) -> Announced:
        kept = TOMBSTONE_FEATURES if room.has_archive else ()
        return Announced((NS_MODERATE, NS_MODERATE_BEFORE, NS_RETRACT, *kept))

    # -- moderators ---------------------------------------------------------------------

    async def moderate(self, request: RoomRequest) -> None:
        """Retract somebody's message (XEP-0425 section 4). Raises StanzaError, StorageError."""
        node = request.iq.child(NS_MODERATE, "moderate")
        assert node is not None
        await self._moderate(request, node, node.getAttribute("id", ""), RETRACT)

    async def moderate_before(self, request: RoomRequest) -> None:
        """Do the same for a client of version 0.2. Raises StanzaError, StorageError."""
        fastening = request.iq.child(*APPLY_TO)
        assert fastening is not None
        node = next(fastening.elements(NS_MODERATE_BEFORE, "moderate"), None)
        if node is None:
            raise StanzaError("service-unavailable")
        id = fastening.getAttribute("id", "")
        await self._moderate(request, node, id, (NS_RETRACT_BEFORE, "retract"))

    async def _moderate(self, request: RoomRequest, node: domish.Element, id: str, wanted: Child) -> None:
        room, occupant = request.room, request.occupant
        assert room is not None
        if next(node.elements(*wanted), None) is None:
            raise StanzaError("bad-request", "Messages are moderated by a retraction")
        order = self._read(request, node, from_text(id))
        await room.order.take(partial(self._retract, room, order, request.sender.bare, occupant))

    @staticmethod
    def _read(request: RoomRequest, node: domish.Element, id: int | None) -> _Order:
        if id is None:
            raise StanzaError("item-not-found", "There is no such message")
        reason = next((str(child) for child in node.elements(node.uri, "reason")), "")
        if len(reason) > MAX_REASON_CHARS:
            raise StanzaError("not-acceptable", f"A reason has at most {MAX_REASON_CHARS} characters")
        inner = element("reason", None, escape(reason)) if reason else b""
        return _Order(id, inner, request.occupant)

    async def _retract(self, room: Room, order: _Order, bare: str, occupant: Occupant | None) -> None:
        """Put a tombstone in a message's place and tell everybody, in one commit and in its turn."""
        # Whoever was a moderator when he asked may be none any more.
        moderates = occupant is not None and occupant.is_moderator and occupant.nick in room.occupants
        if not moderates and not room.service.is_owner(room, bare):
            raise StanzaError("forbidden", "Moderators retract others' messages")
        moderated = self._moderated(room, order)
        batch = Batch()
        target = None
        if room.has_archive:
            target = await _find(room, order.id)
            if target is None:
                raise StanzaError("item-not-found", "There is no such message")
            _bury(batch, target, moderated, None)
        elif not _is_remembered(room, order.id):
            raise StanzaError("item-not-found", "There is no such message")
        inner = element("retract", NS_RETRACT, moderated, id=to_text(order.id)) + _fastened(room, order)
        attrs = {"from": room.jid.bare, "type": "groupchat", "id": secrets.token_urlsafe(ID_BYTES)}
        message = Stanza("message", attrs, (RETRACT, APPLY_TO), inner)
        id = ids.new_id()
        if room.has_archive:
            batch.append(_entry(room, id, message))
            await room.service.store.write(batch)
        if target is not None:
            _tell(room, target)
        _forget(room, order.id)
        kept = bool(room.config["enablearchiving"])
        waiting = room.service.events.fire(RoomMessage(room, None, None, message, id if kept else None))
        if waiting is not None:
            await waiting
        told = (Broadcast(with_id(message, room.jid.bare, id) if kept else message),)
        history.remember(room, message, id, archived=kept)
        room.send([(seat, told) for seat in room.seats.values()])

    def _moderated(self, room: Room, order: _Order) -> bytes:
        by = order.by
        inner, address = b"", room.jid.bare
        if by is not None:
            address = by.address
            inner = b"".join(give(room, by) for child, give in self._hooks.presence if child == OCCUPANT_ID)
        return element("moderated", NS_MODERATE, inner, by=address) + order.reason

    # -- authors ------------------------------------------------------------------------

    @on(RoomMessage)
    def said(self, event: RoomMessage) -> Any:
        """Put a tombstone where somebody has retracted what he wrote himself (XEP-0424 section 4)."""
        if event.sender is None or not event.room.has_archive:
            return None
        retracted = retraction.read(event.stanza)
        if retracted is None:
            return None
        id = from_text(retracted.target)
        return self._bury_own(event, id, retracted.id) if id is not None else None

    @staticmethod
    async def _bury_own(event: RoomMessage, id: int, by_id: str | None) -> None:
        room = event.room
        target = await _find(room, id)
        # Nobody takes back what another one wrote; the others see who it is that tries.
        if target is None or event.sender is None or target.peer != event.sender.bare:
            return
        batch = Batch()
        _bury(batch, target, b"", by_id)
        if batch.changes:
            await room.service.store.write(batch)
            _tell(room, target)
        _forget(room, id)


def _tell(room: Room, entry: Entry) -> None:
    if entry.peer is not None:
        room.service.events.fire(MessageRetracted(entry.peer, entry.payload))


def _fastened(room: Room, order: _Order) -> bytes:
    """Give what clients of version 0.2 are told."""
    address = order.by.address if order.by is not None else room.jid.bare
    inner = element("retract", NS_RETRACT_BEFORE) + order.reason
    moderated = element("moderated", NS_MODERATE_BEFORE, inner, by=address)
    return element("apply-to", NS_FASTEN, moderated, id=to_text(order.id))


async def _find(room: Room, id: int) -> Entry | None:
    found = await room.archive.logs.get(room.service.domain, room.name, KIND_LOG, [id])
    return found[0] if found else None


def _bury(batch: Batch, entry: Entry, inner: bytes, by_id: str | None) -> None:
    """Replace an entry by its tombstone; one that is a tombstone already stays what it is."""
    message = history.read(entry)
    if RETRACTED in message.children:
        return
    if RETRACT in message.children:
        raise StanzaError("not-acceptable", "A retraction is not retracted")
    left = message.with_children(
        node for node in message.element.elements() if (node.uri, node.name) in STAYS
    )
    mark = element("retracted", NS_RETRACT, inner, stamp=stamp(int(time.time())), id=by_id)
    payload = left.with_child(mark, *RETRACTED).encode(declare=True)
    batch.drop(entry.host, entry.owner, entry.kind, ids=[entry.id])
    batch.append(entry._replace(payload=payload, text=None))


def _entry(room: Room, id: int, message: Stanza) -> Entry:
    return Entry(room.service.domain, room.name, KIND_LOG, id, message.encode(declare=True))


def _ends(id: int) -> bytes:
    """Give what a remembered message ends with: its id is added last."""
    return f" id='{to_text(id)}'/>".encode()


def _is_remembered(room: Room, id: int) -> bool:
    return any(known.broadcast.stanza.inner.endswith(_ends(id)) for known in room.recent)


def _forget(room: Room, id: int) -> None:
    """Let nobody who enters be told a message any more."""
    left = [known for known in room.recent if not known.broadcast.stanza.inner.endswith(_ends(id))]
    room.recent.clear()
    room.recent.extend(left)
