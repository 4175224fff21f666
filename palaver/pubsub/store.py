"""Where nodes and items are kept: documents, so that a page of items costs the same wherever it lies.

An item is a document whose rank is the id of its publication, which sorts by time: pages are read by the
index of ranks, single items by their key, and an item that is published again moves to the end.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from palaver.pubsub import config
from palaver.pubsub.node import Node, Subscription, read_node, read_subscription
from palaver.storage import Batch, Document, ids

# The columns of keys end at 200 characters; what may be longer is stored under its hash.
MAX_KEY_CHARS = 190
# How many are read or deleted in one piece where there may be any number.
PIECE = 500

SERVICE_NODE = "pubsub-node"
SERVICE_SUBSCRIPTION = "pubsub-subscription"
SERVICE_AFFILIATION = "pubsub-affiliation"
SERVICE_ITEM = "pubsub-item"
ACCOUNT_NODE = "pep-node"
ACCOUNT_SUBSCRIPTION = "pep-subscription"
ACCOUNT_AFFILIATION = "pep-affiliation"
# Of the hash of a node's name, in a kind of 32 characters; two names never meet by chance.
MARK_CHARS = 24
EXPIRING = "expiring"


def short(text: str) -> str:
    """Give a text as part of a key: itself, or its hash when it is long."""
    return text if len(text) <= MAX_KEY_CHARS - MARK_CHARS - 1 else hashlib.sha256(text.encode()).hexdigest()


class Place(NamedTuple):
    """Where one node is kept: host, owner and the kinds of its documents; ``key`` is that of the node itself.

    ``prefix`` begins the keys of subscriptions and affiliations, where several nodes have the same owner.
    ``listed`` says that nodes are found by their tags, over all owners.
    """

    host: str
    owner: str
    key: str
    node: str
    subscriptions: str
    affiliations: str
    items: str
    prefix: str
    listed: bool


def on_service(host: str, name: str) -> Place:
    """Give the place of a node of a service: each node is an owner of its own."""
    kinds = (SERVICE_NODE, SERVICE_SUBSCRIPTION, SERVICE_AFFILIATION, SERVICE_ITEM)
    return Place(host, name, "", *kinds, prefix="", listed=True)


def on_account(host: str, local: str, name: str) -> Place:
    """Give the place of a node of an account: everything belongs to the account, and goes with it."""
    mark = hashlib.sha256(name.encode()).hexdigest()[:MARK_CHARS]
    kinds = (ACCOUNT_NODE, ACCOUNT_SUBSCRIPTION, ACCOUNT_AFFILIATION, f"pep-{mark}")
    return Place(host, local, name, *kinds, prefix=f"{mark}.", listed=False)


class Item(NamedTuple):
    """An item: ``payload`` is its serialised element, b"" for none; ``publisher`` a JID as text.

    ``rank`` is the id of its publication (`palaver.storage.ids`).
    """

    id: str
    payload: bytes
    publisher: str
    rank: int

    @property
    def published(self) -> float:
        """The Unix time of its publication."""
        return ids.to_time(self.rank)


class Store:
    """The nodes and items of one space, in its host's storage."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage
        self._documents = storage.documents

    # -- nodes ------------------------------------------------------------------------

    async def node(self, place: Place, name: str) -> Node | None:
        """Read a node with everybody affiliated and subscribed; None when there is none.

        Raises StorageError.
        """
        kinds = (place.node, place.subscriptions, place.affiliations)
        node = None
        others = []
        for document in await self._documents.list(place.host, place.owner, kinds):
            if document.kind != place.node:
                others.append(document)
            elif document.key == place.key:
                node = read_node(name, document.value)
        if node is not None:
            self.fill(node, place, others)
        return node

    @staticmethod
    def fill(node: Node, place: Place, documents: Sequence[Document]) -> None:
        """Put into a node who is affiliated and subscribed after documents of its place."""
        for document in documents:
            if not document.key.startswith(place.prefix):
                continue
            if document.kind == place.affiliations:
                node.affiliations[document.value["jid"]] = document.value["is"]
            elif document.kind == place.subscriptions:
                node.put(read_subscription(document.key.removeprefix(place.prefix), document.value))

    async def with_tag(self, host: str, kind: str, tag: str, limit: int, after: str = "") -> list[Document]:
        """Give documents with a tag, by owner; those behind the owner ``after``. Raises StorageError."""
        behind = (after, "\U0010ffff") if after else None
        found: list[Document] = await self._documents.find(host, kind, tag, limit=limit, after=behind)
        return found

    # -- items ------------------------------------------------------------------------

    async def item(self, place: Place, item_id: str) -> Item | None:
        """Read one item. Raises StorageError."""
        document = await self._documents.get(place.host, place.owner, place.items, item_id)
        return _item(document) if document is not None else None

    async def page(
        self, place: Place, limit: int, after: tuple[int, str] | None = None, *, descending: bool = False
    ) -> list[Item]:
        """Read items in the order of their publication, from one end or from behind a rank and id.

        Raises StorageError.
        """
        documents = await self._documents.list(
            place.host, place.owner, [place.items], descending=descending, limit=limit, after=after
        )
        return [_item(document) for document in documents]

    async def count(self, place: Place) -> int:
        """Count the items. Raises StorageError."""
        count: int = await self._documents.count(place.host, place.owner, place.items)
        return count

    async def write(self, batch: Batch) -> None:
        """Commit. Raises StorageError, Conflict."""
        await self.storage.write(batch)


def _item(document: Document) -> Item:
    value = document.value
    return Item(document.key, value["xml"].encode(), value.get("by", ""), document.rank)


# -- changes ------------------------------------------------------------------------------


def put_node(batch: Batch, place: Place, node: Node, new: bool = False) -> None:
    """Have a node itself stored; with ``new`` it must not be there."""
    tags: list[str] = []
    if place.listed:
        tags.append(f"by:{short(node.creator)}")
    if place.listed and not node.moved:
        tags += [f"in:{parent}" for parent in node.parents] or ["in:"]
    if config.expires_after(node.config) or node.config["purge_offline"]:
        tags.append(EXPIRING)
    value = node.encode()
    only: Literal["new"] | None = "new" if new else None
    batch.put(place.host, place.owner, place.node, place.key, value, tags=tuple(tags), only=only)


def put_affiliation(batch: Batch, place: Place, bare: str, affiliation: str) -> None:
    """Have an affiliation stored, or taken away when it is none."""
    key = place.prefix + short(bare)
    if affiliation == "none":
        batch.delete(place.host, place.owner, place.affiliations, key)
        return
    value = {"jid": bare, "is": affiliation}
    if place.key:
        value["node"] = place.key
    batch.put(place.host, place.owner, place.affiliations, key, value, tags=(short(bare),))


def put_subscription(batch: Batch, place: Place, held: Subscription) -> None:
    """Have a subscription stored."""
    tags = [short(held.bare)]
    if held.ends() is not None:
        tags.append(EXPIRING)
    value, key = held.encode(), place.prefix + held.subid
    if place.key:
        value["node"] = place.key
    batch.put(place.host, place.owner, place.subscriptions, key, value, tags=tuple(tags))


def drop_subscription(batch: Batch, place: Place, subid: str) -> None:
    """Have a subscription taken away."""
    batch.delete(place.host, place.owner, place.subscriptions, place.prefix + subid)


def put_item(batch: Batch, place: Place, item: Item) -> None:
    """Have an item stored, in the place of one with its id."""
    value = {"xml": item.payload.decode()}
    if item.publisher:
        value["by"] = item.publisher
    batch.put(place.host, place.owner, place.items, item.id, value, rank=item.rank)


def drop_item(batch: Batch, place: Place, item_id: str) -> None:
    """Have an item deleted."""
    batch.delete(place.host, place.owner, place.items, item_id)


def drop_items(batch: Batch, place: Place) -> None:
    """Have all items deleted."""
    batch.delete(place.host, place.owner, place.items)


def drop_node(batch: Batch, place: Place, node: Node, redirect: str | None) -> None:
    """Have a node deleted, with all that is in it; where it has moved to is still known."""
    for subid in node.subscriptions:
        drop_subscription(batch, place, subid)
    for bare in node.affiliations:
        put_affiliation(batch, place, bare, "none")
    drop_items(batch, place)
    batch.delete(place.host, place.owner, place.node, place.key)
    if redirect:
        moved = Node(node.name, node.creator, node.created, node.kind, node.config)
        moved.moved = redirect
        put_node(batch, place, moved)


def expiry_rank(node: Node) -> int:
    """Give the rank below which the node's items have expired; 0 when they never do."""
    seconds = config.expires_after(node.config)
    return ids.from_time(time.time() - seconds) if seconds else 0
