"""Items come and go: publish, retract and purge (XEP-0060 sections 7.1, 7.2 and 8.5)."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.markup import element
from palaver.pubsub import access, config, creating, notices, store
from palaver.pubsub.conditions import NS_PUBSUB, invalid_payload, refusal, too_big, unsupported
from palaver.pubsub.fields import Submitted
from palaver.pubsub.node import Node
from palaver.pubsub.store import Item
from palaver.storage import Batch, ids
from palaver.tree import parse_element, serialize

if TYPE_CHECKING:
    from palaver.pubsub.request import Request
    from palaver.pubsub.space import Space

ITEM_ID_BYTES = 12


class Publication(NamedTuple):
    """What is to be published: without ``item_id`` one is made; ``by`` None is a module for the owner."""

    node: str
    item_id: str | None
    payload: bytes
    element: domish.Element | None
    options: Submitted
    by: JID | None
    has_item: bool = True


class _Done(NamedTuple):
    """What was committed, and what notifications are still being stored."""

    node: Node
    item: Item
    waiting: list[Deferred[Any]]


# -- publish ----------------------------------------------------------------------------


async def publish(space: Space, request: Request) -> bytes:
    """Publish an item (section 7.1). Raises StanzaError, StorageError."""
    item = request.items[0] if request.items else None
    payloads = list(item.elements()) if item is not None else []
    if len(payloads) > 1:
        raise invalid_payload("An item has one payload")
    item_id = item.getAttribute("id") if item is not None else None
    made = Publication(
        request.nodeIdentifier,
        item_id or None,
        serialize(payloads, ""),
        payloads[0] if payloads else None,
        request.preconditions or {},
        request.sender,
        item is not None,
    )
    stored = await put(space, made)
    answer = element("item", None, id=stored.id) if stored is not None else b""
    return element("pubsub", NS_PUBSUB, element("publish", None, answer, node=made.node))


def publication(node: str, item_id: str | None, payload: bytes, options: Submitted) -> Publication:
    """Give what a module publishes for the owner."""
    return Publication(node, item_id, payload, parse_element(payload) if payload else None, options, None)


async def put(space: Space, made: Publication) -> Item | None:
    """Commit and notify; gives the item, None where only an event was published.

    Raises StanzaError, StorageError.
    """
    if made.item_id is not None and len(made.item_id) > store.MAX_KEY_CHARS:
        raise StanzaError("not-acceptable", f"An item's id has at most {store.MAX_KEY_CHARS} characters")
    if len(made.payload) > space.limits.max_payload_bytes:
        raise too_big(space.limits.max_payload_bytes)
    done = await space.turn(made.node, lambda: _put(space, made))
    await notices.done(done.waiting)
    if not made.has_item:
        return None
    await _hear(space.published(done.node, done.item, made.by))
    if (kind := space.kinds.get(done.node.kind)) is not None:
        await _hear(kind.published(space.host, made.element, made.options))
    return done.item


async def _put(space: Space, made: Publication) -> _Done:
    node = await space.load(made.node)
    batch = Batch()
    if node is None and space.auto_create and (made.by is None or space.may_create(made.by)):
        node = await creating.automatic(space, batch, made.node, made.by, made.options)
        node.count = 0
        new = True
    else:
        node, new = space.there(node), False
        _check(space, node, made)
    _check_payload(space, node, made)
    rank = ids.new_id()
    publisher = made.by.full if made.by is not None else space.address.bare
    item = Item(made.item_id or secrets.token_urlsafe(ITEM_ID_BYTES), made.payload, publisher, rank)
    count, pushed_out = await _store_item(space, batch, node, item, new)
    if batch.changes:
        await space.store.write(batch)
    node.count = count
    if new:
        space.cache.put(space.key(node.name), node)
        await creating.made(space, node)
    if node.config["persist_items"]:
        space.cache.put_newest(space.key(node.name), item)
        if node.config["purge_offline"]:
            space.shared.emptied.setdefault(item.publisher.partition("/")[0], set()).add(space.key(node.name))
    waiting = await _notify(space, node, item, made.has_item)
    if pushed_out and node.config["notify_retract"] and node.config["publish_node_full"] == "retract-oldest":
        waiting += await _notify_gone(space, node, pushed_out)
    return _Done(node, item, waiting)


def _check(space: Space, node: Node, made: Publication) -> None:
    """Refuse what the node does not take, or not from this one."""
    if made.by is not None:
        access.check_publish(space, node, made.by)
    if node.is_collection:
        raise unsupported("publish", "A collection has no items")
    unmet = config.unmet(node.config, made.options) if made.options else None
    kind = space.kinds.get(node.kind)
    if unmet is not None and (kind is None or not kind.own_options):
        raise refusal("conflict", "precondition-not-met", f"The node is not as {unmet} says")


def _check_payload(space: Space, node: Node, made: Publication) -> None:
    """Refuse an item that does not suit the node (sections 7.1.3.5 to 7.1.3.7)."""
    persist, payloads = node.config["persist_items"], node.config["deliver_payloads"]
    if not persist and not payloads:
        if made.has_item:
            raise refusal("bad-request", "item-forbidden", "This node has events without items")
        return
    if not made.has_item:
        raise refusal("bad-request", "item-required")
    if payloads and made.element is None:
        raise refusal("bad-request", "payload-required")
    most = node.config["max_payload_size"]
    if isinstance(most, int) and len(made.payload) > most:
        raise too_big(most)
    wanted = node.config["type"]
    # The field may also hold words that are no namespace (version 1.23).
    if wanted and made.element is not None and ":" in str(wanted) and made.element.uri != wanted:
        raise invalid_payload(f"Payloads here have the namespace {wanted}")
    kind = space.kinds.get(node.kind)
    if kind is not None:
        kind.check_item(made.element, made.options, node.config)


async def _store_item(
    space: Space, batch: Batch, node: Node, item: Item, new: bool
) -> tuple[int | None, list[str]]:
    """Have an item stored, and as many of the oldest deleted as are too many.

    Gives how many there are then, and which ones are gone.
    """
    place, most = space.place(node.name), config.limit_items(node.config, space.bounds)
    if not node.config["persist_items"] or most == 0:
        return node.count, []
    if most == 1 and node.config["publish_node_full"] != "reject":
        # The usual node of an account: nothing has to be read.
        if not new:
            store.drop_items(batch, place)
        store.put_item(batch, place, item)
        return 1, []
    if new:
        store.put_item(batch, place, item)
        return 1, []
    count = node.count if node.count is not None else await space.store.count(place)
    if await space.store.item(place, item.id) is None:
        count += 1
    gone = await _oldest(space, node, count - most, item.id) if count > most else []
    for item_id in gone:
        store.drop_item(batch, place, item_id)
    store.put_item(batch, place, item)
    return count - len(gone), gone


async def _oldest(space: Space, node: Node, number: int, but: str) -> list[str]:
    """Give the ids of the oldest items, to make room; a piece at a time when a limit was lowered."""
    if node.config["publish_node_full"] == "reject":
        raise refusal("conflict", "node-full", "The node is full", type="cancel")
    oldest = await space.store.page(space.place(node.name), min(number, store.PIECE) + 1)
    return [item.id for item in oldest if item.id != but][: min(number, store.PIECE)]


async def _notify(space: Space, node: Node, item: Item, has_item: bool) -> list[Deferred[Any]]:
    audience = await notices.about_items(space, node)
    if not audience.addresses and not audience.sessions:
        return []
    inner = (
        notices.encode_item(item, node, payload=bool(node.config["deliver_payloads"])) if has_item else b""
    )
    audience = space.shared.digests.split(space, node, inner, audience)
    event = notices.items(node.name, inner)
    return await notices.Notice(space, node, event, payload=item.payload).send(audience)


async def _notify_gone(space: Space, node: Node, gone: list[str]) -> list[Deferred[Any]]:
    inner = b"".join([element("retract", None, id=item_id) for item_id in gone])
    audience = space.shared.digests.split(space, node, inner, await notices.about_items(space, node))
    return await notices.Notice(space, node, notices.items(node.name, inner)).send(audience)


# -- retract and purge -------------------------------------------------------------------


async def retract(space: Space, request: Request) -> None:
    """Delete items (section 7.2): all that are named, or none. Raises StanzaError, StorageError."""
    await take_away(space, request.nodeIdentifier, request.itemIdentifiers, request.sender, request.notify)


async def take_away(space: Space, name: str, item_ids: list[str], by: JID | None, notify: bool) -> None:
    """Delete items; ``by`` None is a module for the owner. Raises StanzaError, StorageError."""
    if len(item_ids) > store.PIECE:
        raise StanzaError("not-acceptable", f"At most {store.PIECE} items at once")

    async def work(node: Node) -> tuple[Node, list[Deferred[Any]]]:
        _check_keeps(node, "persistent-items")
        place, batch = space.place(name), Batch()
        wanted = list(dict.fromkeys(item_ids))
        for item_id in wanted:
            item = await space.store.item(place, item_id)
            _check_retract(space, node, item, by)
            store.drop_item(batch, place, item_id)
        await space.store.write(batch)
        if node.count is not None:
            node.count -= len(wanted)
        space.cache.drop_newest(space.key(name))
        if notify or node.config["notify_retract"]:
            return node, await _notify_gone(space, node, wanted)
        return node, []

    node, waiting = await space.change(name, work)
    await notices.done(waiting)
    for item_id in item_ids:
        await _hear(space.retracted(node, item_id))


def _check_retract(space: Space, node: Node, item: Item | None, by: JID | None) -> None:
    """Refuse to delete what is not there, or somebody else's (section 7.2.3)."""
    if by is not None and not space.is_owner(node, by.bare):
        access.check_publish(space, node, by)
        if item is not None and item.publisher.partition("/")[0] != by.bare:
            raise StanzaError("forbidden", "The item is somebody else's")
    if item is None:
        raise StanzaError("item-not-found", "There is no such item")


def _check_keeps(node: Node, feature: str) -> None:
    if node.is_collection or not node.config["persist_items"]:
        raise unsupported(feature, "This node keeps no items")


async def purge(space: Space, request: Request) -> None:
    """Delete all items (section 8.5). Raises StanzaError, StorageError."""
    await take_all(space, request.nodeIdentifier, request.sender)


async def take_all(space: Space, name: str, by: JID | None) -> None:
    """Delete all items; ``by`` None is the owner's server.

    Raises StanzaError, StorageError.
    """

    async def work(node: Node) -> tuple[Node, list[Deferred[Any]]]:
        if by is not None:
            access.check_owner(space, node, by)
        _check_keeps(node, "persistent-items")
        batch = Batch()
        store.drop_items(batch, space.place(name))
        await space.store.write(batch)
        node.count = 0
        space.cache.put_newest(space.key(name), None)
        space.shared.digests.forget(space, name)
        recipients = await notices.about_items(space, node)
        return node, await notices.Notice(space, node, element("purge", None, node=name)).send(recipients)

    node, waiting = await space.change(name, work)
    await notices.done(waiting)
    await _hear(space.retracted(node, None))


async def _hear(told: Awaitable[object] | None) -> None:
    if told is not None:
        await told


async def publisher_gone(space: Space, name: str) -> None:
    """Empty a node that is to be empty once the publisher of the newest item is offline.

    Raises StanzaError, StorageError.
    """
    node = await space.get(name)
    item = await space.newest(node) if node.config["purge_offline"] else None
    if item is not None and not space.is_online(item.publisher.partition("/")[0]):
        await take_all(space, name, None)


async def expire(space: Space, name: str) -> None:
    """Delete items of a node that have expired, a piece of them, or all where their publisher has gone.

    Raises StanzaError, StorageError.
    """
    await publisher_gone(space, name)

    async def work(node: Node) -> None:
        place, batch = space.place(name), Batch()
        old = store.expiry_rank(node)
        for item in await space.store.page(place, store.PIECE):
            if item.rank < old:
                store.drop_item(batch, place, item.id)
        if batch.changes:
            await space.store.write(batch)
            node.count = None
            space.cache.drop_newest(space.key(name))

    await space.change(name, work)
