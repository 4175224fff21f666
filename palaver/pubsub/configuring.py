"""What nodes are like, and how they hang together (XEP-0060 section 8.2, XEP-0248 section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.markup import element
from palaver.pubsub import access, config, graph, membership, notices, store
from palaver.pubsub.conditions import NS_OWNER, unsupported
from palaver.pubsub.fields import MAX_VALUES, Values
from palaver.pubsub.node import Node, Subscription
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.pubsub.request import Request
    from palaver.pubsub.space import Space

# What may leave a node with more items than it keeps.
_TRIMMING = frozenset(("max_items", "persist_items", "node_type"))


async def get_configuration(space: Space, request: Request) -> bytes:
    """Give the form with the configuration (section 8.2). Raises StanzaError, StorageError."""
    node = await access.owned(space, request)
    children = None
    if node.is_collection:
        found = await space.nodes(node.name, "", MAX_VALUES + 1)
        # A longer list could not be submitted again, and a part of it would take the others out.
        children = [child.name for child in found] if len(found) <= MAX_VALUES else None
    form = config.form(node.config, children)
    return element("pubsub", NS_OWNER, element("configure", None, form, node=node.name))


async def configure(space: Space, request: Request) -> None:
    """Change the configuration (section 8.2.4). Raises StanzaError, StorageError."""
    if request.cancelled:
        await access.owned(space, request)
        return
    await change(
        space, request.nodeIdentifier, config.read(request.configuration or {}, space.bounds), request.sender
    )


async def change(space: Space, name: str, values: Values, by: JID) -> None:
    """Change some fields of a configuration. Raises StanzaError, StorageError."""
    await tell_changed(space, await space.configuring(lambda: commit_change(space, name, values, by)))


class Changed(NamedTuple):
    """What a change of a configuration has done: who is no longer subscribed, and what has moved.

    ``moved`` are nodes with the collections that they were in before.
    """

    node: Node
    gone: list[Subscription]
    moved: list[tuple[Node, list[str]]]


async def commit_change(space: Space, name: str, values: Values, by: JID) -> Changed:
    """Change some fields of a configuration, in a turn of `Space.configuring`.

    Raises StanzaError, StorageError.
    """
    node = await space.get(name)
    access.check_owner(space, node, by)
    moves = await _check_graph(space, node, values, by)
    values = {field: value for field, value in values.items() if field != "children"}

    async def work(node: Node) -> Changed:
        access.check_owner(space, node, by)
        old, before = node.config, node.parents
        node.config = {**old, **values}
        batch = Batch()
        gone = _shut_out(space, node) if node.config["access_model"] != old["access_model"] else []
        for held in gone:
            store.drop_subscription(batch, space.place(name), held.subid)
        store.put_node(batch, space.place(name), node)
        graph.put(space, batch, moves)
        try:
            if any(old[field] != node.config[field] for field in _TRIMMING):
                await _trim(space, node, batch)
            await space.store.write(batch)
        except BaseException:
            node.config = old
            raise
        for held in gone:
            node.drop(held.subid)
        space.made(node)
        moved = [(node, before), *[(child, child.parents) for child, _ in moves]]
        graph.take_over(moves)
        return Changed(node, gone, moved)

    return await space.change(name, work)


async def tell_changed(space: Space, changed: Changed) -> None:
    """Tell everybody whom a change concerns. Raises StorageError."""
    for held in changed.gone:
        await membership.tell_subscriber(space, changed.node, held._replace(state="none"))
    await _tell_configured(space, changed.node)
    for node, before in changed.moved:
        await _tell_moved(space, node, before)


async def _check_graph(space: Space, node: Node, values: Values, by: JID) -> list[graph.Placed]:
    """Refuse what cannot be in one another; gives which other nodes change (XEP-0248 section 7.2)."""
    kind, parents = (values.get(field, node.config[field]) for field in ("node_type", "collection"))
    children = values.get("children")
    if not space.has_collections:
        if kind == "collection" or parents or children:
            raise unsupported("collections")
        return []
    if node.is_collection and kind == "leaf":
        raise graph.invalid("A collection does not become a leaf")
    new = [parent for parent in parents if parent not in node.parents] if isinstance(parents, list) else []
    await graph.check_parents(space, node.name, new, by)
    if not isinstance(children, list):
        return []
    return await graph.place(space, node.name, {**node.config, **values}, children, by)


def _shut_out(space: Space, node: Node) -> list[Subscription]:
    """Give the subscriptions of those whom a whitelist leaves out (section 8.2.4)."""
    if node.config["access_model"] != "whitelist":
        return []
    return [
        held
        for held in node.subscriptions.values()
        if node.affiliation(held.bare) in ("none", "outcast", "publish-only")
        and not space.is_owner(node, held.bare)
    ]


async def _trim(space: Space, node: Node, batch: Batch) -> None:
    """Have the items deleted that are too many after a change; what may be very many goes piece by piece."""
    place, most = space.place(node.name), config.limit_items(node.config, space.bounds)
    space.cache.drop_newest(space.key(node.name))
    if node.is_collection or most == 0:
        store.drop_items(batch, place)
        node.count = 0
        return
    count = node.count = await space.store.count(place)
    while count > most:
        piece = Batch()
        for item in await space.store.page(place, min(count - most, store.PIECE)):
            store.drop_item(piece, place, item.id)
        await space.store.write(piece)
        count = node.count = count - len(piece.changes)


async def _tell_configured(space: Space, node: Node) -> None:
    if node.config["notify_config"]:
        form = config.form(node.config, kind="result") if node.config["deliver_payloads"] else b""
        event = element("configuration", None, form, node=node.name)
        await notices.done(
            await notices.Notice(space, node, event).send(await notices.about_node(space, node))
        )


async def _tell_moved(space: Space, node: Node, before: list[str]) -> None:
    """Tell a collection's subscribers that a node is put in or taken out (XEP-0248 section 6.1.3)."""
    for what, names in (
        ("associate", [name for name in node.parents if name not in before]),
        ("dissociate", [name for name in before if name not in node.parents]),
    ):
        for name in names:
            collection = await space.find(name)
            if collection is not None and not collection.moved:
                event = element("collection", None, element(what, None, node=node.name), node=name)
                recipients = await notices.about_node(space, collection)
                await notices.done(await notices.Notice(space, collection, event).send(recipients))


async def associate(space: Space, request: Request) -> None:
    """Put a node into a collection, or take it out (XEP-0248 sections 7.5 and 7.6).

    Raises StanzaError, StorageError.
    """
    if not space.has_collections:
        raise unsupported("collections")
    (what, child), name, by = request.association, request.nodeIdentifier, request.sender

    async def work() -> Changed:
        collection, node = await space.get(name), await space.get(child)
        if what == "associate":
            parents = [*node.parents, *([name] if name not in node.parents else [])]
            return await commit_change(space, child, {"collection": parents}, by)
        if name not in node.parents:
            raise StanzaError("bad-request", "The node is not in the collection")
        if not space.is_owner(collection, by.bare):
            parents = [parent for parent in node.parents if parent != name]
            return await commit_change(space, child, {"collection": parents}, by)
        others = [inside for inside in await graph.children(space, name) if inside != child]
        return await commit_change(space, name, {"children": others}, by)

    await tell_changed(space, await space.configuring(work))
