"""Last chat markers: how far everybody has got with a conversation, as MongooseIM tells clients."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver import jid
from palaver.archive.messages import NS_MARKERS
from palaver.errors import StanzaError
from palaver.events import MarkerWithheld
from palaver.interfaces import IRooms
from palaver.jid import JID, InvalidJID
from palaver.markup import element
from palaver.modules import SELF, Module, Settings, every, iq, phase
from palaver.muclight import store as light
from palaver.muclight.hooks import Affiliated, Hooks, Said
from palaver.rooms.affiliations import ADMIN, NONE, OUTCAST, RANK
from palaver.rooms.room import Room
from palaver.routing.pipeline import FROM_CLIENT, HANDLED, SENT, Handled
from palaver.routing.sessions import Session
from palaver.stanza import NS_CLIENT, Stanza
from palaver.storage import Batch, Document
from palaver.times import read_stamp, stamp

NS_SMART_MARKERS = "esl:xmpp:smart-markers:0"
KIND = "chat-marker"
# When somebody left a room: what he had marked there before counts no more, in whatever thread.
KIND_END = "chat-marker-end"
TYPES = ("received", "displayed", "acknowledged")
MAX_ID_CHARS = 1000
MAX_LISTED = 2000
# Of one account; nobody looks back further than through so many conversations and threads.
MAX_KEPT = 5000
SWEEP_S = 86400.0
OWNERS_PAGE = 200


class SmartMarkersSettings(Settings):
    """Options of mod_smart_markers."""

    keep_private: bool = Field(
        False, description="Markers are stored and go to nobody; an account is told its own alone."
    )


class SmartMarkers(Module):
    """Keeps the last marker of each kind that an account has sent to a peer, by thread."""

    Settings = SmartMarkersSettings
    features = (NS_SMART_MARKERS,)

    settings: SmartMarkersSettings

    def start(self) -> None:
        """Take part where the options say so."""
        self.undo(Hooks.of(self.host).add_store(self._left))
        if self.settings.keep_private:
            add = self.host.pipeline.add
            self.undo(add(FROM_CLIENT, "notice", ("message",), self.name, self.withhold))

    # -- what is kept ---------------------------------------------------------------------

    def withhold(self, message: Stanza, session: Session) -> Deferred[Handled] | None:
        """Keep a marker that nobody is to get."""
        batch = self._batch(message, session)
        if batch is None:
            return None
        to = jid.parse(message.attrs["to"]).without_resource()
        event = MarkerWithheld(message, session.user.jid, to)
        return Deferred.fromCoroutine(self._withhold(batch, event))

    async def _withhold(self, batch: Batch, event: MarkerWithheld) -> Handled:
        await self.host.storage.write(batch)
        told = self.host.events.fire(event)
        if told is not None:
            await told
        return HANDLED

    @phase(SENT, "archive", "message")
    def sent(self, message: Stanza, session: Session) -> Deferred[None] | None:
        """Keep a marker; what it was sent with is acknowledged after that."""
        batch = self._batch(message, session)
        return None if batch is None else Deferred.fromCoroutine(self._write(batch))

    async def _write(self, batch: Batch) -> None:
        await self.host.storage.write(batch)

    def _batch(self, message: Stanza, session: Session) -> Batch | None:
        """Give what keeps a message's markers; None when there is none."""
        if not message.has(NS_MARKERS) or message.type == "error":
            return None
        try:
            to = jid.parse(message.attrs.get("to", "")).bare
        except InvalidJID:
            return None
        thread = _thread(message)
        batch = Batch()
        for kind in TYPES:
            node = message.child(NS_MARKERS, kind)
            id = node.getAttribute("id") if node is not None else None
            if id and max(len(id), len(thread)) <= MAX_ID_CHARS:
                value = {"to": to, "type": kind, "id": id, "thread": thread, "at": time.time()}
                local = session.user.local
                batch.put(
                    self.host.domain,
                    local,
                    KIND,
                    _key(to, kind, thread),
                    value,
                    rank=int(value["at"]),
                    tags=(light.short(to),),
                )
        return batch if batch.changes else None

    def _left(self, event: Said | Affiliated, batch: Batch) -> None:
        """Forget the markers of who has left a MUC Light room."""
        if not isinstance(event, Affiliated):
            return
        for bare, (affiliation, _) in event.notices.items():
            own = jid.parse(bare)
            if affiliation == "none" and own.domain == self.host.domain:
                value = {"to": event.room.jid.bare, "at": time.time()}
                key = light.short(event.room.jid.bare)
                batch.put(self.host.domain, own.local, KIND_END, key, value, tags=(key,))

    @every(SWEEP_S)
    async def sweep(self) -> None:
        """Forget the oldest markers of accounts that have too many."""
        documents, domain = self.host.storage.documents, self.host.domain
        last = None
        while True:
            owners = await documents.owners(domain, KIND, limit=OWNERS_PAGE, after=last)
            for owner in owners:
                surplus = await documents.count(domain, owner, KIND) - MAX_KEPT
                if surplus > 0:
                    batch = Batch()
                    for old in await documents.list(domain, owner, (KIND,), limit=surplus):
                        batch.delete(domain, owner, KIND, old.key)
                    await self.host.storage.write(batch)
            if len(owners) < OWNERS_PAGE:
                return
            last = owners[-1]

    # -- what is asked --------------------------------------------------------------------

    @iq("set", NS_SMART_MARKERS, "query", to=(SELF,))
    def refuse(self, request: Stanza) -> None:
        """Markers are set by sending them."""
        raise StanzaError("not-allowed")

    @iq("get", NS_SMART_MARKERS, "query", to=(SELF,))
    async def query(self, request: Stanza) -> bytes:
        """Give the last markers of a conversation."""
        node = request.child(NS_SMART_MARKERS, "query")
        own = request.sender
        assert node is not None and own is not None
        peer, after = _peer(node), _after(node)
        thread = node.getAttribute("thread")
        found = [
            document
            for document in await self._find(own, peer)
            if document.value["at"] >= after and (thread is None or document.value["thread"] == thread)
        ]
        found.sort(key=lambda document: document.value["at"])
        inner = b"".join(_element(document) for document in found)
        return element("query", NS_SMART_MARKERS, inner, peer=peer.bare)

    async def _find(self, own: JID, peer: JID) -> list[Document]:
        """Give the markers that somebody may see of a conversation."""
        documents, domain = self.host.storage.documents, self.host.domain
        held = await documents.list(domain, own.local, (KIND, KIND_END))
        mine = _standing([one for one in held if one.value["to"] == peer.bare])
        if self.settings.keep_private or peer.bare == own.bare:
            return mine
        if peer.domain == domain:
            theirs = await documents.list(domain, peer.local, (KIND,))
            return mine + [one for one in theirs if one.value["to"] == own.bare]
        members = await self._members(own, peer)
        if not members:
            return mine
        everybody = [
            one
            for kind in (KIND, KIND_END)
            for one in await documents.find(domain, kind, light.short(peer.bare), limit=MAX_LISTED)
        ]
        of_members = [one for one in everybody if f"{one.owner}@{domain}" in members]
        return _standing([one for one in of_members if one.value["to"] == peer.bare])

    async def _members(self, own: JID, room: JID) -> set[str]:
        """Give who belongs to a room of this server; nobody for who does not belong to it himself.

        Markers say whose they are: where real JIDs are hidden they are for those alone who see them anyway.
        """
        rooms = self.host.query(IRooms)
        members: set[str] = set()
        if rooms is not None and rooms.domain == room.domain:
            found = await rooms.load(room.local)
            if found is not None and _sees_jids(found, own):
                members = {seat.jid.bare for seat in found.seats.values()}
                for bare, held in found.affiliations.items():
                    (members.discard if held.affiliation in (NONE, OUTCAST) else members.add)(bare)
        elif room.local:
            stored = await light.Store(self.host.storage, room.domain).load(room.local)
            members = set(stored[1]) if stored is not None else set()
        return members if own.bare in members else set()


def _sees_jids(room: Room, own: JID) -> bool:
    occupant = room.occupant_of(own.full)
    is_moderator = occupant is not None and occupant.is_moderator
    return room.is_open or is_moderator or RANK[room.affiliation(own.bare)] >= RANK[ADMIN]


def _standing(documents: Iterable[Document]) -> list[Document]:
    """Give the markers of one conversation that were sent after their sender last left it."""
    documents = tuple(documents)
    ended = {one.owner: one.value["at"] for one in documents if one.kind == KIND_END}
    return [one for one in documents if one.kind == KIND and one.value["at"] > ended.get(one.owner, 0.0)]


def _thread(message: Stanza) -> str:
    node = message.child(NS_CLIENT, "thread")
    return str(node) if node is not None else ""


def _key(to: str, kind: str, thread: str) -> str:
    return hashlib.sha256(f"{to}\n{kind}\n{thread}".encode()).hexdigest()


def _element(document: Document) -> bytes:
    value = document.value
    return element(
        "marker",
        None,
        from_=f"{document.owner}@{document.host}",
        id=value["id"],
        type=value["type"],
        timestamp=stamp(value["at"]),
        thread=value["thread"] or None,
    )


def _peer(node: domish.Element) -> JID:
    try:
        return jid.parse(node.getAttribute("peer", "")).without_resource()
    except InvalidJID:
        raise StanzaError("bad-request", "invalid-peer") from None


def _after(node: domish.Element) -> float:
    text = node.getAttribute("after")
    try:
        return read_stamp(text) if text is not None else 0.0
    except ValueError:
        raise StanzaError("bad-request", "invalid-timestamp") from None
