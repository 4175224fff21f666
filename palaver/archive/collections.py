"""Collections (XEP-0136 section 5) made from an archive.

A collection is everything that was exchanged with one contact, a bare JID, in one interval of UTC. Intervals
are equally long, and the one with number 0 begins in 1970; a collection starts when its interval does.
Nothing is stored for it: lists are made by reading the archive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from twisted.words.xish import domish

from palaver import jid
from palaver.archive.pages import MAX_SCANNED, SCAN_SIZE, Archive
from palaver.archive.stanzaids import MAX_ID
from palaver.errors import StanzaError
from palaver.jid import JID, InvalidJID
from palaver.markup import element
from palaver.storage import LogQuery, ids
from palaver.times import read_stamp, stamp

NS_ARCHIVE = "urn:xmpp:archive"
TRUTHS = {"true": True, "1": True, "false": False, "0": False}
# A year that XMPP can write and Python cannot; section 7.3 uses it for the beginning of time.
_YEAR_0 = "0000-"
_YEAR_1 = "0001-"

Key = tuple[int, str]
"""What sorts and names a collection: the number of its interval, and with whom."""


class Collection(NamedTuple):
    """One collection; ``size`` is its number of messages."""

    number: int
    peer: str
    size: int

    @property
    def key(self) -> Key:
        """What names it."""
        return self.number, self.peer


class Selection(NamedTuple):
    """Which collections: those with a contact (None: all), and with numbers from ``first`` to ``last``.

    ``exact`` has a domain stand for itself only (section 10.1).
    """

    peer: JID | None = None
    exact: bool = False
    first: int | None = None
    last: int | None = None

    @property
    def log_peer(self) -> str | None:
        """The peer that all entries of the collections have in the log; None when they differ.

        No collection is with a full JID, and no entry has one for a peer, so that nothing is found by it.
        """
        return None if self.peer is None or self._is_domain(self.peer) else self.peer.full

    def admits(self, peer: str | None) -> bool:
        """Tell whether collections with a contact are among them."""
        if peer is None:
            return False
        return self.peer is None or not self._is_domain(self.peer) or _domain(peer) == self.peer.domain

    def _is_domain(self, peer: JID) -> bool:
        return not (peer.local or peer.resource or self.exact)


def _domain(bare: str) -> str:
    return bare.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of collections; ``count`` of all, and ``index`` of the first, where they are known."""

    collections: list[Collection]
    count: int | None
    index: int | None


class Intervals:
    """The intervals of a length in whole seconds, and the ids of the entries that lie in them."""

    def __init__(self, width_s: int) -> None:
        self._width_s = width_s

    def number(self, id: int) -> int:
        """Give the interval of an entry."""
        return int(ids.to_time(id)) // self._width_s

    def start_s(self, number: int) -> int:
        """Give the Unix time at which an interval begins."""
        return number * self._width_s

    def first_id(self, number: int) -> int:
        """Give the lowest id of an interval, or 0 before 1970."""
        return min(max(ids.from_time(self.start_s(number)), 0), MAX_ID)

    def bounds(self, first: int | None, last: int | None) -> LogQuery:
        """Give a query for all entries of some intervals, inclusive."""
        since = None if first is None else self.first_id(first)
        # Before 1970 nothing was exchanged, and -1 is below every id.
        return LogQuery(since=since, until=None if last is None else self.first_id(last + 1) - 1)

    def at(self, text: str) -> int | None:
        """Give the interval that begins at a time, as text; None when none does. Raises `StanzaError`."""
        number, rest = divmod(read_time("start", text), self._width_s)
        return None if rest else int(number)

    def from_time(self, text: str) -> int:
        """Give the first interval that begins at a time or after it. Raises `StanzaError`."""
        return math.ceil(read_time("start", text) / self._width_s)

    def before_time(self, text: str) -> int:
        """Give the last interval that begins before a time. Raises `StanzaError`."""
        return math.ceil(read_time("end", text) / self._width_s) - 1

    def encode(self, collection: Collection, inner: bytes = b"", ns: str | None = None) -> bytes:
        """Give the ``<chat/>`` of a collection (section 5).

        Its version grows with each message; the first one makes version 0.
        """
        start = stamp(self.start_s(collection.number))
        version = str(collection.size - 1)
        return element("chat", ns, inner, with_=collection.peer, start=start, version=version)

    def page_id(self, collection: Collection) -> str:
        """Give what names a collection in pages of a list."""
        return f"{stamp(self.start_s(collection.number))}{collection.peer}"

    def read_page_id(self, text: str) -> Key:
        """Give the key of the collection with a `page_id`. Raises `StanzaError`: item-not-found."""
        start, z, peer = text.partition("Z")
        try:
            number = self.at(start + z)
        except StanzaError:
            number = None
        if number is None or not peer:
            raise not_found()
        return number, peer


def not_found() -> StanzaError:
    """Give the refusal of a collection that is not there (sections 7.2 and 7.3)."""
    return StanzaError("item-not-found", "There is no such collection")


def read_time(name: str, text: str) -> float:
    """Give the Unix time of an attribute. Raises `StanzaError`: bad-request."""
    try:
        return read_stamp(_YEAR_1 + text[len(_YEAR_0) :] if text.startswith(_YEAR_0) else text)
    except ValueError as error:
        raise StanzaError("bad-request", f"{name}: {error}") from None


def read_truth(node: domish.Element, name: str, default: bool = False) -> bool:
    """Give an attribute that is true or false. Raises `StanzaError`: bad-request."""
    text = node.getAttribute(name)
    if text is None:
        return default
    if text not in TRUTHS:
        raise StanzaError("bad-request", f"{name} is true or false")
    return TRUTHS[text]


def read_peer(node: domish.Element, name: str = "with") -> JID | None:
    """Give the address in an attribute; None without it. Raises `StanzaError`: jid-malformed."""
    text = node.getAttribute(name)
    if text is None:
        return None
    try:
        return jid.parse(text)
    except InvalidJID as error:
        raise StanzaError("jid-malformed", f"{name}: {error}") from None


def read_selection(node: domish.Element, intervals: Intervals) -> Selection:
    """Read which collections are asked for: those that start at ``start`` or later, and before ``end``.

    Raises `StanzaError`: bad-request, jid-malformed.
    """
    start, end = node.getAttribute("start"), node.getAttribute("end")
    return Selection(
        read_peer(node),
        read_truth(node, "exactmatch"),
        None if start is None else intervals.from_time(start),
        None if end is None else intervals.before_time(end),
    )


async def find(
    archive: Archive,
    intervals: Intervals,
    wanted: Selection,
    limit: int,
    after: Key | None = None,
    before: Key | None = None,
    backwards: bool = False,
) -> Listing:
    """Read a page of collections, ordered by start and contact; ``limit`` 0 asks for the number of all.

    Reads no more than `MAX_SCANNED` messages: the page of an archive where people talk a lot has fewer
    collections than asked for. Raises `StanzaError`: item-not-found for a collection that a page is to begin
    beside and that is not there; resource-constraint when not even one can be counted. Raises StorageError.
    """
    for key in (after, before):
        if key is not None:
            await size(archive, intervals, key)
    first = max((n for n in (wanted.first, after and after[0]) if n is not None), default=None)
    last = min((n for n in (wanted.last, before and before[0]) if n is not None), default=None)
    query = intervals.bounds(first, last)._replace(peer=wanted.log_peer, limit=SCAN_SIZE, backwards=backwards)
    sizes: dict[Key, int] = {}
    for _ in range(MAX_SCANNED // SCAN_SIZE):
        page = await archive.range(query)
        for entry in page.entries:
            if wanted.admits(entry.peer):
                key = intervals.number(entry.id), str(entry.peer)
                sizes[key] = sizes.get(key, 0) + 1
        if page.complete:
            return _cut(_between(sizes, after, before), limit, backwards, not (after or before))
        edge = page.entries[0 if backwards else -1].id
        # Of the interval that was read last there may be more.
        found = [one for one in _between(sizes, after, before) if one.number != intervals.number(edge)]
        if limit and len(found) > limit:
            break
        query = query._replace(before=edge) if backwards else query._replace(after=edge)
    if not (limit and found):
        raise StanzaError("resource-constraint", "Too many messages to look through: ask for a shorter time")
    cut = _cut(found, limit, backwards, False)
    return cut if backwards or after else replace(cut, index=0)


def _between(sizes: dict[Key, int], after: Key | None, before: Key | None) -> list[Collection]:
    return [
        Collection(*key, sizes[key])
        for key in sorted(sizes)
        if (after is None or key > after) and (before is None or key < before)
    ]


def _cut(found: list[Collection], limit: int, backwards: bool, whole: bool) -> Listing:
    """Take a page; ``whole`` says that these are all collections there are."""
    start = max(0, len(found) - limit) if backwards else 0
    page = found[start : start + limit]
    return Listing(page, len(found) if whole else None, start if whole else None)


async def size(archive: Archive, intervals: Intervals, key: Key) -> int:
    """Count the messages of a collection. Raises `StanzaError`: item-not-found; StorageError."""
    number, peer = key
    count = await archive.size(intervals.bounds(number, number)._replace(peer=peer))
    if not count:
        raise not_found()
    return count
