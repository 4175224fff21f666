"""New nodes: asked for (XEP-0060 section 8.1), or made by the first item (section 7.1.4)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from palaver.errors import StanzaError
from palaver.interfaces import INodeType
from palaver.jid import JID
from palaver.markup import element
from palaver.pubsub import config, graph, notices, store
from palaver.pubsub.conditions import NS_OWNER, NS_PUBSUB, refusal, unsupported
from palaver.pubsub.fields import Submitted, Values
from palaver.pubsub.node import Node
from palaver.storage import Batch, Conflict
from palaver.waiting import settled

if TYPE_CHECKING:
    from palaver.pubsub.request import Request
    from palaver.pubsub.space import Space


async def create(space: Space, request: Request) -> bytes | None:
    """Make a node (section 8.1). Raises StanzaError, StorageError."""
    asker = request.sender
    if not space.may_create(asker):
        raise StanzaError("forbidden", "You may not make nodes here")
    kind = _kind(space, request.kind)
    tree = kind.tree or space.tree
    name = request.nodeIdentifier or tree.new_name(asker.bare)
    _check_length(name)

    async def owners(other: str) -> list[str] | None:
        node = await space.find(other)
        return None if node is None or node.moved else space.owners(node)

    await settled(tree.check_name(name, asker.bare, owners))
    submitted = request.configuration or {}
    values = _configured(space, kind, submitted)
    node = await space.configuring(lambda: _create(space, name, kind, values, asker))
    await made(space, node)
    if request.nodeIdentifier == name:
        return None
    return element("pubsub", NS_PUBSUB, element("create", None, node=name))


async def _create(space: Space, name: str, kind: INodeType, values: Values, asker: JID) -> Node:
    """Commit a new node. Raises StanzaError, StorageError."""
    children, parents = values.pop("children", []), values["collection"]
    await graph.check_parents(space, name, parents if isinstance(parents, list) else [], asker)
    wanted = children if isinstance(children, list) else []
    moves = await graph.place(space, name, values, wanted, asker) if wanted else []

    async def work() -> Node:
        there = await space.load(name)
        if there is not None and not (there.moved and there.creator == asker.bare):
            raise StanzaError("conflict", "There is such a node")
        await _check_number(space, asker.bare)
        node = Node(name, asker.bare, time.time(), kind.name, values)
        batch = Batch()
        store.put_node(batch, space.place(name), node, new=there is None)
        _own(space, batch, node, asker.bare)
        graph.put(space, batch, moves)
        try:
            await space.store.write(batch)
        except Conflict:
            raise StanzaError("conflict", "There is such a node") from None
        node.count = 0
        graph.take_over(moves)
        space.cache.put(space.key(name), node)
        return node

    return await space.turn(name, work)


async def automatic(space: Space, batch: Batch, name: str, by: JID | None, wanted: Submitted) -> Node:
    """Give a new node as its first item's options want it; the batch stores it.

    Raises StanzaError: ``conflict`` for options that are none, and what `config.read` raises. StorageError.
    """
    _check_length(name)
    creator = by.bare if by is not None else space.address.bare
    kind = next(iter(space.kinds.values()))
    unknown = [field for field in wanted if field.removeprefix("pubsub#") not in config.FIELDS]
    if unknown:
        raise refusal("conflict", "precondition-not-met", f"There is no option {unknown[0]}")
    await _check_number(space, creator)
    node = Node(name, creator, time.time(), kind.name, _configured(space, kind, wanted))
    store.put_node(batch, space.place(name), node, new=True)
    _own(space, batch, node, creator)
    return node


async def made(space: Space, node: Node) -> None:
    """Tell those who are subscribed to the node's collections. Raises StorageError."""
    space.made(node)
    if node.parents:
        event = element("create", None, node=node.name)
        await notices.done(await notices.Notice(space, node, event).send(await notices.above(space, node)))


def _own(space: Space, batch: Batch, node: Node, owner: str) -> None:
    """Give a node its owner; that of an account's node is the account."""
    if owner != space.address.bare:
        node.affiliations[owner] = "owner"
        store.put_affiliation(batch, space.place(node.name), owner, "owner")


def _check_length(name: str) -> None:
    if not name or len(name) > store.MAX_KEY_CHARS:
        raise StanzaError("not-acceptable", f"A node's name has 1 to {store.MAX_KEY_CHARS} characters")


async def _check_number(space: Space, creator: str) -> None:
    most = space.limits.max_nodes_user
    if await space.count_nodes(creator) >= most:
        raise refusal("policy-violation", "max-nodes-exceeded", f"At most {most} nodes for everybody")


def _kind(space: Space, name: str | None) -> INodeType:
    """Give the kind that was asked for; raises `StanzaError` for one that there is not."""
    if name is None or name in ("leaf", "collection"):
        return next(iter(space.kinds.values()))
    kind = space.kinds.get(name)
    if kind is None:
        raise unsupported("create-nodes", f"There are no nodes of type {name}")
    return kind


def _configured(space: Space, kind: INodeType, submitted: Submitted) -> Values:
    """Give the configuration of a new node. Raises StanzaError."""
    values = config.read(submitted, space.bounds)
    if not space.has_collections and (
        values.get("node_type") == "collection" or values.get("collection") or values.get("children")
    ):
        raise unsupported("collections")
    # What the config file says is meant for the first kind, whatever that is like by itself.
    meant = space.defaults if kind is next(iter(space.kinds.values())) else {}
    return config.complete(values, {**space.defaults, **kind.defaults, **meant})


def default(space: Space, request: Request) -> bytes:
    """Give what a new node is like (section 8.3). Raises StanzaError."""
    kind = _kind(space, request.kind)
    node_type = "collection" if "collection" in (request.kind, request.nodeType) else "leaf"
    if node_type == "collection" and not space.has_collections:
        raise unsupported("collections")
    values = _configured(space, kind, {"node_type": [node_type]})
    return element("pubsub", NS_OWNER, element("default", None, config.form(values)))
