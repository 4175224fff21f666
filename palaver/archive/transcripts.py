"""The messages of a collection, page by page (XEP-0136 section 7.2)."""

from __future__ import annotations

from twisted.words.xish import domish

from palaver import rsm
from palaver.archive.collections import NS_ARCHIVE, Collection, Intervals, Key, size
from palaver.archive.messages import BODY, address
from palaver.archive.pages import Archive
from palaver.archive.query import not_found
from palaver.archive.stanzaids import from_text, to_text
from palaver.markup import element
from palaver.rsm import PageRequest
from palaver.stanza import NS_CLIENT
from palaver.storage import Entry, LogQuery, ids
from palaver.tree import parse_element, serialize

# A page is one stanza: what other servers, and clients, take.
MAX_PAGE_BYTES = 256 * 1024


async def encode(
    archive: Archive, intervals: Intervals, key: Key, asked: PageRequest, limit: int, bodies_only: bool
) -> bytes:
    """Give the ``<chat/>`` with a page of at most ``limit`` messages, and fewer when they are large.

    Of each message all its elements, or with ``bodies_only`` its bodies if it has any.
    Raises `StanzaError`: item-not-found for a collection, or a message that the page is to begin beside, that
    is not there. Raises StorageError.
    """
    count = await size(archive, intervals, key)
    number, peer = key
    whole = intervals.bounds(number, number)._replace(peer=peer)
    entries = await _read(archive, whole, asked, limit)
    parts, entries = _fitting(entries, archive, bodies_only, asked.backwards)
    first = last = index = None
    written = b""
    if entries:
        first, last = to_text(entries[0].id), to_text(entries[-1].id)
        before = whole._replace(before=entries[0].id)
        index = await archive.size(before)
        earlier = await archive.range(before._replace(limit=1, backwards=True)) if index else None
        start_s = intervals.start_s(number)
        since = int(ids.to_time(earlier.entries[0].id)) if earlier and earlier.entries else start_s
        written = _with_times(entries, parts, since)
    written += rsm.encode(first, last, count, index)
    return intervals.encode(Collection(number, peer, count), written, NS_ARCHIVE)


async def _read(archive: Archive, whole: LogQuery, asked: PageRequest, limit: int) -> list[Entry]:
    """Read a page of the messages that ``whole`` finds."""
    after = await _anchor(archive, asked.after, whole)
    before = await _anchor(archive, asked.before, whole)
    if not limit:
        return []
    query = whole._replace(limit=limit, after=after, before=before, backwards=asked.backwards)
    return (await archive.range(query)).entries


async def _anchor(archive: Archive, text: str | None, whole: LogQuery) -> int | None:
    """Give the id of a message that is to be in a collection; None for no text."""
    if text is None:
        return None
    id = from_text(text)
    if id is None or not (whole.since or 0) <= id <= (whole.until or 0):
        raise not_found()
    (anchor,) = await archive.get([id])
    if anchor.peer != whole.peer:
        raise not_found()
    return id


def _fitting(
    entries: list[Entry], archive: Archive, bodies_only: bool, backwards: bool
) -> tuple[list[tuple[str, bytes]], list[Entry]]:
    """Give the direction and the content of as many messages as fit, at least one, and these messages."""
    parts: list[tuple[str, bytes]] = []
    taken = 0
    for entry in reversed(entries) if backwards else entries:
        content = _content(entry, bodies_only)
        taken += len(content)
        if parts and taken > MAX_PAGE_BYTES:
            break
        sender = address(entry.payload, "from")
        own = sender is not None and sender.bare == f"{archive.owner}@{archive.host}"
        parts.append(("to" if own else "from", content))
    count = len(parts)
    if backwards:
        return parts[::-1], entries[len(entries) - count :]
    return parts, entries[:count]


def _content(entry: Entry, bodies_only: bool) -> bytes:
    """Give what a message held; its bodies come first, and in the archive's namespace."""
    nodes = list(parse_element(entry.payload).elements())
    bodies = [node for node in nodes if _is_body(node)]
    others = [] if bodies_only and bodies else [node for node in nodes if not _is_body(node)]
    return serialize(bodies, NS_CLIENT) + serialize(others, NS_ARCHIVE)


def _is_body(node: domish.Element) -> bool:
    return (node.uri, node.name) == BODY


def _with_times(entries: list[Entry], parts: list[tuple[str, bytes]], since_s: int) -> bytes:
    """Write messages with the whole seconds that lie between them (section 5.6).

    Times are rounded down before they are subtracted, so that the sum is right however many there are.
    """
    written = b""
    for entry, (direction, content) in zip(entries, parts, strict=True):
        at_s = int(ids.to_time(entry.id))
        written += element(direction, None, content, secs=str(at_s - since_s))
        since_s = at_s
    return written
