"""Conversations as they are stored and counted."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from palaver.archive.stanzaids import from_text
from palaver.markup import element, escape
from palaver.stanza import NS_FORWARD
from palaver.storage import Batch, Document, Entry, Json, LogQuery, ids
from palaver.times import stamp

NS_INBOX = "erlang-solutions.com:xmpp:inbox:0"
NS_CONVERSATION = f"{NS_INBOX}#conversation"
# The last message that somebody got, and the last one that he wrote, up to which he has read.
KIND = "inbox"
KIND_SENT = "inbox-sent"
KIND_PLACE = "inbox-place"
KIND_READ = "inbox-read"
KIND_UNREAD = "inbox-unread"
KINDS = (KIND, KIND_SENT, KIND_PLACE, KIND_READ)
INBOX, ARCHIVE, BIN, ALL = "inbox", "archive", "bin", "all"
# Keys end at 200 characters; what may be longer stands under its hash.
MAX_KEY_CHARS = 190
# Nobody counts further; what is older counts as read, and is deleted some time.
MAX_UNREAD = 5000
PAGE_SIZE = 200
# A message sent again after a lost connection comes within the time that one may be resumed in.
RESENT_WITHIN = ids.from_time(600)


def key(peer: str) -> str:
    """Give a bare JID as a key."""
    return peer if len(peer) <= MAX_KEY_CHARS else hashlib.sha256(peer.encode()).hexdigest()


class Last:
    """A message as conversations hold it, for any number of them: encoded once for all."""

    __slots__ = ("value",)

    def __init__(self, value: Json) -> None:
        """``value`` has the whole message as ``xml``, and its ``id``."""
        self.value = value

    def of(self, peer: str) -> Json:
        """Give it for a conversation; its key says whom that is with, unless he has too long a name."""
        return self.value if len(peer) <= MAX_KEY_CHARS else {**self.value, "jid": peer}


class Conversation(NamedTuple):
    """One conversation with ``peer``, a bare JID.

    ``payload`` is its last message as stored, ``message_id`` the id of it, ``at`` what it goes by in the
    archive; ``muted_until`` is a Unix time, 0 when not muted; ``read`` is the id up to which all is read.
    """

    peer: str
    payload: bytes
    message_id: str
    at: int
    box: str
    muted_until: float
    read: int
    unread: int

    @property
    def time(self) -> float:
        """When the last message was stored, as a Unix time."""
        return ids.to_time(self.at)

    def properties(self) -> bytes:
        """Give where it is put, and whether it is muted, as elements."""
        muted = stamp(self.muted_until) if self.muted_until > time.time() else "0"
        return (
            element("box", None, escape(self.box))
            + element("archive", None, b"true" if self.box == ARCHIVE else b"false")
            + element("mute", None, muted.encode())
        )

    def forwarded(self) -> bytes:
        """Give the last message with its time."""
        delay = element("delay", "urn:xmpp:delay", stamp=stamp(self.time))
        return element("forwarded", NS_FORWARD, delay + self.payload)


class Conversations:
    """The conversations of one host's accounts in its storage. Every coroutine raises StorageError."""

    def __init__(self, storage: Any, domain: str) -> None:
        self._storage = storage
        self._domain = domain

    async def all(self, local: str) -> list[Conversation]:
        """Give all conversations of an account, the newest last."""
        documents = await self._storage.documents.list(self._domain, local, KINDS)
        if not any(document.kind in (KIND, KIND_SENT) for document in documents):
            return []
        by_key: dict[str, dict[str, Document]] = {}
        for document in documents:
            by_key.setdefault(document.key, {})[document.kind] = document
        read = {name: _read(held) for name, held in by_key.items()}
        entries = await self._unread(local)
        counts = Counter(key(entry.peer) for entry in entries if entry.id > read.get(key(entry.peer), 0))
        found = [_conversation(held, counts[name]) for name, held in by_key.items()]
        return sorted((one for one in found if one is not None), key=lambda one: one.at)

    async def get(self, local: str, peer: str) -> Conversation | None:
        """Give one conversation of an account; None when there is none."""
        held = await self._held(local, peer, KINDS)
        return _conversation(held, await self._count(local, peer, held))

    async def unread(self, local: str, peer: str) -> int:
        """See IUnreadCounts."""
        return await self._count(local, peer, await self._held(local, peer, (KIND_SENT, KIND_READ)))

    async def _held(self, local: str, peer: str, kinds: Iterable[str]) -> dict[str, Document]:
        """Give the documents of a conversation by kind."""
        wanted, get = key(peer), self._storage.documents.get
        found = {kind: await get(self._domain, local, kind, wanted) for kind in kinds}
        return {kind: document for kind, document in found.items() if document is not None}

    async def _count(self, local: str, peer: str, held: dict[str, Document]) -> int:
        query = LogQuery(peer=peer, after=_read(held))
        number: int = await self._storage.logs.count(self._domain, local, KIND_UNREAD, query)
        return number

    async def _unread(self, local: str, peer: str | None = None) -> list[Any]:
        query = LogQuery(peer=peer, limit=MAX_UNREAD, backwards=True)
        page = await self._storage.logs.range(self._domain, local, KIND_UNREAD, query)
        entries: list[Entry] = page.entries
        return entries

    async def find(self, local: str, peer: str, message_id: str) -> int | None:
        """Give the archive's id of a message that is unread, or the last one, by an id that it bears.

        That is the archive's, by which rooms' messages are marked (XEP-0333 section 4.3), or its sender's.
        """
        given, archived = message_id.encode(), from_text(message_id)
        known = [(entry.id, entry.payload) for entry in await self._unread(local, peer)]
        held = await self._held(local, peer, (KIND, KIND_SENT))
        known += [(last.rank, last.value["id"].encode()) for last in held.values()]
        # Another member may have chosen an id that is the archive's of somebody's message.
        if any(id == archived for id, _ in known):
            return archived
        return next((id for id, own in known if own == given), None)

    async def read_up_to(self, local: str, peer: str, id: int) -> None:
        """Count messages of a peer as read up to an id; what was read further stays read."""
        held = await self._storage.documents.get(self._domain, local, KIND_READ, key(peer))
        upto = max(id, held.value["upto"] if held is not None else 0)
        over = [entry.id for entry in await self._unread(local, peer) if entry.id <= upto]
        batch = Batch()
        self.put_read(batch, local, peer, upto)
        if over:
            batch.drop(self._domain, local, KIND_UNREAD, ids=over)
        await self._storage.write(batch)

    async def empty_bin(self, local: str, before: int) -> int:
        """Remove what of an account's was put into the bin before an id was given; gives how many those were.

        What has heard something since stays.
        """
        documents = await self._storage.documents.list(self._domain, local, (KIND, KIND_SENT, KIND_PLACE))
        last: dict[str, int] = {}
        for one in documents:
            if one.kind != KIND_PLACE:
                last[one.key] = max(one.rank, last.get(one.key, 0))
        batch, number = Batch(), 0
        for place in documents:
            binned = place.kind == KIND_PLACE and place.value["box"] == BIN
            if binned and max(place.value["at"], last.get(place.key, 0)) < before:
                self.drop(batch, local, place.value["jid"])
                number += 1
        if number:
            await self._storage.write(batch)
        return number

    async def clean_bin(self, before: int) -> int:
        """Remove from the bins of all accounts as `empty_bin` does; gives how many those were."""
        after, number = None, 0
        while True:
            page = await self._storage.documents.find(
                self._domain, KIND_PLACE, BIN, limit=PAGE_SIZE, after=after
            )
            batch = Batch()
            for place in page:
                held = await self._held(place.owner, place.value["jid"], (KIND, KIND_SENT))
                if max([place.value["at"], *[last.rank for last in held.values()]]) < before:
                    self.drop(batch, place.owner, place.value["jid"])
                    number += 1
            if batch.changes:
                await self._storage.write(batch)
            if len(page) < PAGE_SIZE:
                return number
            after = (page[-1].owner, page[-1].key)

    # -- changes, for a batch -------------------------------------------------------------

    def put_written(self, batch: Batch, local: str, peer: str, last: Last, at: int) -> None:
        """Have a message be the last that an account has written, and so all up to it be read."""
        batch.put(self._domain, local, KIND_SENT, key(peer), last.of(peer), rank=at)

    def put_got(
        self, batch: Batch, locals: Iterable[str], peer: str, last: Last, at: int, ref: str | None
    ) -> None:
        """Have a message be the last that accounts have got, which is unread.

        With a ``ref`` one with the same a short time ago is the same. Without, the batch has archived it
        under the id ``at``, and it counts unless it was there already.
        """
        domain, name, value, id = self._domain, key(peer), last.of(peer), last.value["id"].encode()
        window = RESENT_WITHIN if ref is not None else 0
        for local in locals:
            batch.put(domain, local, KIND, name, value, rank=at)
            batch.append(Entry(domain, local, KIND_UNREAD, at, id, peer, ref), window, follows=ref is None)

    def put_unread(self, batch: Batch, local: str, peer: str, message_id: str, at: int) -> None:
        """Have a message count as unread."""
        batch.append(Entry(self._domain, local, KIND_UNREAD, at, message_id.encode(), peer))

    def put_read(self, batch: Batch, local: str, peer: str, upto: int) -> None:
        """Have all up to an id be read."""
        batch.put(self._domain, local, KIND_READ, key(peer), {"jid": peer, "upto": upto})

    def put_place(self, batch: Batch, local: str, peer: str, box: str, muted_until: float) -> None:
        """Have a conversation put into a box, and muted until a Unix time."""
        value = {"jid": peer, "box": box, "muted": muted_until, "at": ids.new_id()}
        tags = (BIN,) if box == BIN else ()
        batch.put(self._domain, local, KIND_PLACE, key(peer), value, tags=tags)

    def drop(self, batch: Batch, local: str, peer: str) -> None:
        """Have a conversation removed; how far it is read stays, so that nothing of it counts again."""
        for kind in (KIND, KIND_SENT, KIND_PLACE):
            batch.delete(self._domain, local, kind, key(peer))
        self.put_read(batch, local, peer, ids.new_id())


def _read(held: Mapping[str, Document]) -> int:
    """Give the id up to which a conversation is read."""
    written, read = held.get(KIND_SENT), held.get(KIND_READ)
    return max(written.rank if written is not None else 0, read.value["upto"] if read is not None else 0)


def _conversation(held: Mapping[str, Document], unread: int) -> Conversation | None:
    """Put together what is stored of a conversation; None when there is no message in it."""
    messages = [held[kind] for kind in (KIND, KIND_SENT) if kind in held]
    if not messages:
        return None
    last = max(messages, key=lambda one: one.rank)
    place: Json = held[KIND_PLACE].value if KIND_PLACE in held else {"box": INBOX, "muted": 0, "at": 0}
    box = place["box"]
    # What is said in a conversation takes it out of the archive.
    if box == ARCHIVE and last.rank > place["at"]:
        box = INBOX
    peer, xml = last.value.get("jid", last.key), last.value["xml"].encode()
    return Conversation(peer, xml, last.value["id"], last.rank, box, place["muted"], _read(held), unread)
