"""Items for those who ask (XEP-0060 section 6.5), in pages (XEP-0059)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from palaver import rsm
from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.markup import element
from palaver.pubsub import access, membership, notices
from palaver.pubsub.conditions import NS_PUBSUB, refusal, unsupported
from palaver.pubsub.node import Node
from palaver.pubsub.store import Item, expiry_rank
from palaver.storage import ids as storage_ids

if TYPE_CHECKING:
    from palaver.pubsub.request import Request
    from palaver.pubsub.space import Space

# An answer is one stanza; a page ends before it gets larger than this, but has one item at least.
MAX_PAGE_BYTES = 1024 * 1024
# A collection is read no further than this.
MAX_LEAVES = 100


class _Page(NamedTuple):
    """Items in the order of publication; ``rsm`` is the ``<set/>`` that goes with them, or b""."""

    items: list[Item]
    rsm: bytes = b""


async def items(space: Space, request: Request) -> bytes:
    """Give items: those that are named, the newest ones, or a page. Raises StanzaError, StorageError."""
    node = await space.get(request.nodeIdentifier)
    await access.check_read(space, node, request.sender)
    _check_subid(node, request.sender, request.subscriptionIdentifier)
    if node.is_collection:
        return await _of_collection(space, node, request)
    if not node.config["persist_items"]:
        raise unsupported("persistent-items", "This node keeps no items")
    page = await _find(space, node, request)
    inner = b"".join([notices.encode_item(item, node) for item in page.items])
    return element("pubsub", NS_PUBSUB, element("items", None, inner, node=node.name) + page.rsm)


async def _of_collection(space: Space, node: Node, request: Request) -> bytes:
    """Give the newest items, or the named ones, of the leaves in a collection (XEP-0248 section 6.2).

    Who may see the collection and not a leaf gets nothing of the leaf. Raises StanzaError, StorageError.
    """
    if request.page != rsm.ANY_PAGE:
        raise unsupported("rsm", "Items of several nodes are in no order together")
    most = space.limits.max_page_items
    left, size = min(most, request.maxItems or most), 0
    parts: list[bytes] = []
    for child in await space.nodes(node.name, "", MAX_LEAVES):
        leaf = await _readable(space, child.name, request.sender)
        if leaf is None:
            continue
        if request.itemIdentifiers:
            found = await by_ids(space, leaf, request.itemIdentifiers)
        else:
            found = await newest(space, leaf, left)
        left -= len(found)
        size += sum(len(item.payload) for item in found)
        if left < 0 or (size > MAX_PAGE_BYTES and parts):
            break
        if found:
            inner = b"".join([notices.encode_item(item, leaf) for item in found])
            parts.append(element("items", None, inner, node=leaf.name))
        if not left:
            break
    return element("pubsub", NS_PUBSUB, b"".join(parts))


async def _readable(space: Space, name: str, asker: JID) -> Node | None:
    """Give a leaf that keeps items and that somebody may read; else None. Raises StorageError."""
    leaf = await space.find(name)
    if leaf is None or leaf.moved or leaf.is_collection or not leaf.config["persist_items"]:
        return None
    try:
        await access.check_read(space, leaf, asker)
    except StanzaError:
        return None
    return leaf


def _check_subid(node: Node, asker: JID, subid: str | None) -> None:
    """Refuse a subscription id that is not the asker's, or is missing (sections 6.5.9.1 and 6.5.9.2)."""
    entities = (asker, asker.without_resource())
    if subid is None and any(len(membership.of(node, entity)) > 1 for entity in entities):
        raise refusal("bad-request", "subid-required", "There are several subscriptions")
    if subid is not None and subid not in [held.subid for held in node.subscriptions_of(asker.bare)]:
        raise refusal("not-acceptable", "invalid-subid")


async def _find(space: Space, node: Node, request: Request) -> _Page:
    if request.itemIdentifiers:
        return _Page(await by_ids(space, node, request.itemIdentifiers))
    asked, limit = request.page, space.limits.max_page_items
    if asked == rsm.ANY_PAGE:
        limit = min(limit, request.maxItems or limit)
        return await _newest(space, node, limit, told=request.maxItems is None or request.maxItems > limit)
    if asked.max == 0:
        return _Page([], rsm.encode(count=await _count(space, node)))
    limit = min(limit, asked.max or limit, request.maxItems or limit)
    return await _page(space, node, asked, limit)


async def by_ids(space: Space, node: Node, wanted: list[str]) -> list[Item]:
    """Give those items with these ids that are there, in this order.

    Raises StanzaError, StorageError.
    """
    if len(wanted) > space.limits.max_page_items:
        raise StanzaError("not-acceptable", f"At most {space.limits.max_page_items} items at once")
    place, old = space.place(node.name), expiry_rank(node)
    found = [await space.store.item(place, item_id) for item_id in dict.fromkeys(wanted)]
    return _fitting([item for item in found if item is not None and item.rank >= old])


async def newest(space: Space, node: Node, limit: int) -> list[Item]:
    """Give the newest items, the very newest last. Raises StorageError."""
    return (await _newest(space, node, min(limit, space.limits.max_page_items), told=False)).items


async def _newest(space: Space, node: Node, limit: int, told: bool) -> _Page:
    """Give the newest items; ``told`` says that an asker wanted all, and is to know when these are not."""
    found = await space.store.page(space.place(node.name), limit + 1, descending=True)
    old = expiry_rank(node)
    alive = [item for item in found if item.rank >= old]
    fitting = _fitting(alive[:limit])[::-1]
    if not told or len(fitting) == len(alive):
        return _Page(fitting)
    return _Page(fitting, rsm.encode(fitting[0].id, fitting[-1].id, await _count(space, node)))


async def _page(space: Space, node: Node, asked: rsm.PageRequest, limit: int) -> _Page:
    """Give the page after or before an item, from the oldest item on, or of the newest ones."""
    place, old = space.place(node.name), expiry_rank(node)
    anchor_id = asked.before if asked.backwards else asked.after
    behind = None if asked.backwards or not old else (old - 1, "")
    if anchor_id is not None:
        anchor = await space.store.item(place, anchor_id)
        if anchor is None:
            raise StanzaError("item-not-found", "There is no such item to go on from")
        behind = (anchor.rank, anchor.id)
    found = await space.store.page(place, limit, behind, descending=asked.backwards)
    fitting = _fitting([item for item in found if item.rank >= old])
    if asked.backwards:
        fitting.reverse()
    count = await _count(space, node)
    if not fitting:
        return _Page([], rsm.encode(count=count))
    first = 0 if anchor_id is None and not asked.backwards else None
    return _Page(fitting, rsm.encode(fitting[0].id, fitting[-1].id, count, first))


async def _count(space: Space, node: Node) -> int:
    """Give how many items there are; those that have expired and are not deleted yet count."""
    if node.count is None:

        async def count() -> None:
            node.count = await space.store.count(space.place(node.name))

        await space.turn(node.name, count)
    return node.count or 0


def _fitting(found: list[Item]) -> list[Item]:
    """Give as many of the first items as fit into one answer."""
    size = 0
    for number, item in enumerate(found):
        size += len(item.payload)
        if size > MAX_PAGE_BYTES and number:
            return found[:number]
    return found


async def send_newest(
    space: Space, node: Node, recipient: str, manner: notices.Manner = notices.PLAIN
) -> None:
    """Send the newest item to one address, as something from before (section 6.1.7). Raises StorageError."""
    if node.is_collection or not node.config["persist_items"] or not node.config["deliver_notifications"]:
        return
    item = await space.newest(node)
    if item is not None:
        inner = notices.encode_item(item, node, payload=bool(node.config["deliver_payloads"]))
        event, delayed = notices.items(node.name, inner), storage_ids.to_time(item.rank)
        notice = notices.Notice(space, node, event, delayed, item.payload)
        await notices.done(await notice.send(notices.Audience({recipient: manner})))
