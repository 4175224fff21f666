"""Pages of an archive: read from its log for a query, and written as results (XEP-0313 section 4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, DeferredList

from palaver import rsm
from palaver.archive.messages import NS_MAM, address
from palaver.archive.query import ArchiveQuery, not_found
from palaver.archive.stanzaids import to_text
from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.markup import attribute, element
from palaver.stanza import Stanza
from palaver.storage import Entry, LogQuery, Page, ids
from palaver.storage.codec import words
from palaver.times import stamp

# A log knows bare addresses; for one resource it is read in such pieces, and not for ever.
SCAN_SIZE = 500
MAX_SCANNED = 20_000


class Archive(NamedTuple):
    """One log; ``logs`` is an ILogs."""

    logs: Any
    host: str
    owner: str
    kind: str

    async def get(self, wanted: Iterable[int]) -> list[Entry]:
        """Give the entries with these ids, in order; all of them must be there.

        Raises StanzaError(item-not-found), StorageError.
        """
        asked = sorted(wanted)
        entries: list[Entry] = await self.logs.get(self.host, self.owner, self.kind, asked)
        if len(entries) != len(asked):
            raise not_found()
        return entries

    async def range(self, query: LogQuery) -> Page:
        """Give a page of the log. Raises StorageError."""
        page: Page = await self.logs.range(self.host, self.owner, self.kind, query)
        return page

    async def size(self, query: LogQuery) -> int:
        """Give how many entries match. Raises StorageError."""
        count: int = await self.logs.count(self.host, self.owner, self.kind, query)
        return count


@dataclass(frozen=True, slots=True)
class Found:
    """Entries in time order.

    ``complete`` when nothing lies beyond them; ``count`` of all that match, and ``index`` of the
    first one among them, where that is known without counting.
    """

    entries: list[Entry]
    complete: bool
    count: int | None = None
    index: int | None = None


# -- reading ---------------------------------------------------------------------------


async def find(archive: Archive, query: ArchiveQuery) -> Found:
    """Read what a query asks for.

    Raises StanzaError: item-not-found for an id that is not there, resource-constraint when too many
    messages would have to be looked at. Raises StorageError.
    """
    if query.ids is not None:
        entries = {entry.id: entry for entry in await archive.get(query.known)}
        return _cut([entries[id] for id in query.ids if _matches(entries[id], query)], query)
    if not query.known:
        return await _read(archive, query)
    anchor = query.before if query.backwards else query.after
    if anchor is not None and query.limit and query == _beside(anchor, query):
        return await _read_beside(archive, anchor, query)
    there: Deferred[Any] = Deferred.fromCoroutine(archive.get(query.known))
    page: Deferred[Any] = Deferred.fromCoroutine(_read(archive, query))
    both = await DeferredList([there, page], consumeErrors=True)
    for succeeded, outcome in both:
        if not succeeded:
            outcome.raiseException()
    found: Found = both[1][1]
    return found


def _beside(anchor: int, query: ArchiveQuery) -> ArchiveQuery:
    """Give the query for the page that begins beside an entry, with no filter."""
    plain = ArchiveQuery(
        known=frozenset((anchor,)), limit=query.limit, backwards=query.backwards, flip=query.flip
    )
    return plain._replace(before=anchor) if query.backwards else plain._replace(after=anchor)


async def _read_beside(archive: Archive, anchor: int, query: ArchiveQuery) -> Found:
    """Read the next page, the usual question: one query gives it, and shows that the anchor is there."""
    asked = LogQuery(limit=query.limit + 1, backwards=query.backwards)
    asked = asked._replace(until=anchor) if query.backwards else asked._replace(since=anchor)
    entries, complete = await archive.range(asked)
    beside = entries[-1 if query.backwards else 0] if entries else None
    if beside is None or beside.id != anchor:
        raise not_found()
    return Found(entries[:-1] if query.backwards else entries[1:], complete)


async def _read(archive: Archive, query: ArchiveQuery) -> Found:
    peer = query.peer
    asked = LogQuery(
        after=query.after,
        before=query.before,
        since=query.since,
        until=query.until,
        peer=peer.bare if peer is not None else None,
        text=query.text,
        limit=query.limit,
        backwards=query.backwards,
    )
    if peer is not None and peer.resource:
        return _cut(*await _scan(archive, asked, query))
    if not query.limit:
        count = await archive.size(asked)
        return Found([], not count, count)
    page = await archive.range(asked)
    # Where nothing says where to begin, the page begins at an end.
    whole = page.complete and not query.known
    at_start = whole or not (query.known or query.backwards)
    return Found(page.entries, page.complete, len(page.entries) if whole else None, 0 if at_start else None)


async def _scan(
    archive: Archive, asked: LogQuery, query: ArchiveQuery
) -> tuple[list[Entry], ArchiveQuery, bool]:
    """Look through the log for entries of one resource: one more than asked for, when there are so many."""
    found: list[Entry] = []
    for _ in range(MAX_SCANNED // SCAN_SIZE):
        page = await archive.range(asked._replace(limit=SCAN_SIZE))
        matching = [entry for entry in page.entries if _matches(entry, query)]
        found = matching + found if query.backwards else found + matching
        if page.complete or len(found) > query.limit:
            return found, query, page.complete
        if query.backwards:
            asked = asked._replace(before=page.entries[0].id)
        else:
            asked = asked._replace(after=page.entries[-1].id)
    if not found:
        raise StanzaError("resource-constraint", "Too many messages to look through: ask for a shorter time")
    return found, query, False


def _cut(entries: list[Entry], query: ArchiveQuery, all_read: bool = True) -> Found:
    """Take a page of all entries that match."""
    if len(entries) > query.limit:
        cut = entries[len(entries) - query.limit :] if query.backwards else entries[: query.limit]
        return Found(cut, False, len(entries) if all_read else None)
    return Found(entries, all_read, len(entries) if all_read else None)


def _matches(entry: Entry, query: ArchiveQuery) -> bool:
    """Tell whether an entry is within the bounds of a query, which a log would see to otherwise."""
    if (query.after is not None and entry.id <= query.after) or (
        query.before is not None and entry.id >= query.before
    ):
        return False
    if (query.since or 0) > entry.id or (query.until is not None and entry.id > query.until):
        return False
    if query.text is not None and not set(words(query.text)) <= set(words(entry.text or "")):
        return False
    return query.peer is None or _is_with(entry, query.peer)


def _is_with(entry: Entry, peer: JID) -> bool:
    """Tell whether a message is from or to an address; a bare one stands for all its resources."""
    if entry.peer != peer.bare:
        return False
    return not peer.resource or peer in (address(entry.payload, "from"), address(entry.payload, "to"))


# -- writing ---------------------------------------------------------------------------


def results(found: Found, query: ArchiveQuery, query_id: str | None, by: str, to: str) -> Iterator[Stanza]:
    """Give a message for each entry, in the order in which they are sent.

    ``by`` is the archive's address, ``to`` who asked, ``query_id`` what the asker calls the query.
    """
    attrs = {"from": by, "to": to}
    named = f" queryid='{attribute(query_id)}'" if query_id else ""
    for entry in reversed(found.entries) if query.flip else found.entries:
        inner = forwarded(entry, named)
        yield Stanza("message", attrs, ((NS_MAM, "result"),), inner)


def forwarded(entry: Entry, named: str = "") -> bytes:
    """Give the ``<result/>`` with an entry; ``named`` are more attributes, serialised."""
    head = (
        f"<result xmlns='{NS_MAM}'{named} id='{to_text(entry.id)}'><forwarded xmlns='urn:xmpp:forward:0'>"
        f"<delay xmlns='urn:xmpp:delay' stamp='{stamp(ids.to_time(entry.id))}'/>"
    )
    return b"%b%b</forwarded></result>" % (head.encode(), entry.payload)


def fin(found: Found) -> bytes:
    """Give the ``<fin/>`` that ends a page; its first and last are in time order whatever was flipped."""
    first, last = (to_text(found.entries[place].id) for place in (0, -1)) if found.entries else (None, None)
    page = rsm.encode(first, last, found.count, found.index)
    return element("fin", NS_MAM, page, complete="true" if found.complete else None)


async def metadata(archive: Archive) -> bytes:
    """Give the ``<metadata/>`` with the first and the last entry (section 5); empty for an empty archive.

    Raises StorageError.
    """
    parts = []
    for name, backwards in (("start", False), ("end", True)):
        page = await archive.range(LogQuery(limit=1, backwards=backwards))
        parts += [
            element(name, None, id=to_text(entry.id), timestamp=stamp(ids.to_time(entry.id)))
            for entry in page.entries
        ]
    return element("metadata", NS_MAM, b"".join(parts))
