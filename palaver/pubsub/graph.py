"""Collections (XEP-0248): which nodes are in which, and what may be put where.

A node says itself which collections it is in; the children of a collection are found by that. Whatever
changes this waits for its turn in `palaver.pubsub.space.Space.configuring`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.pubsub import store
from palaver.pubsub.conditions import refusal
from palaver.pubsub.config import MAX_COLLECTIONS
from palaver.pubsub.fields import Values
from palaver.pubsub.node import Node
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.pubsub.space import Space

# A collection may be in others, and those in others again; no further than this.
MAX_LEVELS = 16


class Placed(NamedTuple):
    """A node that is to be in other collections than before; ``parents`` are the new ones."""

    node: Node
    parents: list[str]


def invalid(text: str) -> StanzaError:
    """Give the error for what would break the graph (section 7.2.3)."""
    return refusal("not-allowed", "invalid-options", text)


def _full(most: int) -> StanzaError:
    return refusal("not-allowed", "max-nodes-exceeded", f"The collection holds at most {most} nodes")


# -- parents --------------------------------------------------------------------------------


async def check_parents(space: Space, name: str, parents: Sequence[str], asker: JID) -> None:
    """Refuse collections that a node cannot be put into (section 7.2.3).

    Raises StanzaError, StorageError.
    """
    for parent in parents:
        collection = await space.find(parent)
        if collection is None or collection.moved:
            raise StanzaError("item-not-found", f"There is no collection {parent}")
        if not collection.is_collection:
            raise invalid(f"{parent} is no collection")
        _check_association(space, collection, asker)
        await _check_room(space, collection)
    await check_cycle(space, parents, name)


def _check_association(space: Space, collection: Node, asker: JID) -> None:
    policy, listed = (collection.config[f"children_association_{what}"] for what in ("policy", "whitelist"))
    allowed = policy == "all" or (policy == "whitelist" and isinstance(listed, list) and asker.bare in listed)
    if not allowed and not space.is_owner(collection, asker.bare):
        raise StanzaError("forbidden", "You may not put nodes into this collection")


async def _check_room(space: Space, collection: Node) -> None:
    most = collection.config["children_max"]
    if isinstance(most, int) and len(await space.nodes(collection.name, "", most + 1)) >= most:
        raise _full(most)


async def check_cycle(space: Space, parents: Sequence[str], name: str) -> None:
    """Refuse to put into these collections what they are inside of. Raises StanzaError, StorageError."""
    seen: set[str] = set()
    names = list(parents)
    for _ in range(MAX_LEVELS):
        if name in names:
            break
        found = [await space.find(parent) for parent in names if parent not in seen]
        seen.update(names)
        names = [parent for above in found if above is not None for parent in above.parents]
    if names:
        raise invalid("A collection is not inside of itself, nor too deep")


# -- children -------------------------------------------------------------------------------


async def children(space: Space, name: str) -> list[str]:
    """Give the names of all nodes in a collection. Raises StorageError."""
    found: list[str] = []
    while True:
        page = await space.nodes(name, found[-1] if found else "", store.PIECE)
        found += [node.name for node in page]
        if len(page) < store.PIECE:
            return found


async def place(space: Space, name: str, config: Values, wanted: list[str], asker: JID) -> list[Placed]:
    """Give what changes when exactly these nodes are to be in a collection, whose owner asks.

    ``config`` is what the collection is like then. Raises StanzaError, StorageError.
    """
    if wanted and config["node_type"] != "collection":
        raise invalid("A leaf has no nodes in it")
    most = config["children_max"]
    if isinstance(most, int) and len(wanted) > most:
        raise _full(most)
    now = await children(space, name)
    new = [await _new_child(space, name, child, asker) for child in wanted if child not in now]
    parents = config["collection"]
    for placed in new:
        # What is put in may be where the collection itself is, or is put by the same request.
        await check_cycle(space, [name, *(parents if isinstance(parents, list) else [])], placed.node.name)
    return new + await taken_out(space, name, [child for child in now if child not in wanted])


async def _new_child(space: Space, name: str, child: str, asker: JID) -> Placed:
    node = await space.get(child)
    # Whoever may see the collection hears of what is in it.
    if not space.is_owner(node, asker.bare):
        raise StanzaError("forbidden", f"The node {child} is somebody else's")
    if len(node.parents) >= MAX_COLLECTIONS:
        raise invalid(f"A node is in at most {MAX_COLLECTIONS} collections")
    return Placed(node, [*node.parents, name])


async def taken_out(space: Space, name: str, names: Sequence[str]) -> list[Placed]:
    """Give what changes when nodes are no longer in a collection. Raises StorageError."""
    found = [await space.find(child) for child in names]
    return [
        Placed(node, [parent for parent in node.parents if parent != name])
        for node in found
        if node is not None
    ]


def put(space: Space, batch: Batch, moves: Sequence[Placed]) -> None:
    """Have the nodes stored with their new collections."""
    for node, parents in moves:
        changed = Node(
            node.name, node.creator, node.created, node.kind, {**node.config, "collection": parents}
        )
        changed.moved = node.moved
        store.put_node(batch, space.place(node.name), changed)


def take_over(moves: Sequence[Placed]) -> None:
    """Show in memory what `put` has had committed."""
    for node, parents in moves:
        node.config = {**node.config, "collection": parents}
