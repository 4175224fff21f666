"""What a service and its nodes are (XEP-0060 section 5, XEP-0248 section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver import rsm
from palaver.errors import StanzaError
from palaver.forms import Field, Form, encode
from palaver.jid import JID
from palaver.markup import element
from palaver.pubsub import access, retrieving
from palaver.pubsub.conditions import NS_META_DATA, NS_PUBSUB
from palaver.pubsub.config import FIELDS
from palaver.pubsub.fields import Values, texts_of
from palaver.pubsub.node import Node
from palaver.routing.disco import NS_ITEMS, info
from palaver.times import stamp

if TYPE_CHECKING:
    from palaver.pubsub.space import Space
    from palaver.stanza import Stanza

_COMMON = (
    "access-authorize",
    "access-open",
    "access-presence",
    "access-roster",
    "access-whitelist",
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "instant-nodes",
    "item-ids",
    "last-published",
    "leased-subscription",
    "manage-subscriptions",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "multi-subscribe",
    "outcast-affiliation",
    "persistent-items",
    "publish",
    "publish-node-full",
    "publish-only-affiliation",
    "publish-options",
    "publisher-affiliation",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-default-sub",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
    "subscription-notifications",
    "subscription-options",
)
SERVICE_FEATURES = (NS_PUBSUB, *(f"{NS_PUBSUB}#{name}" for name in (*_COMMON, "get-pending")))
COLLECTION_FEATURES = (f"{NS_PUBSUB}#collections", f"{NS_PUBSUB}#multi-collections")
ACCOUNT_FEATURES = (
    NS_PUBSUB,
    *(f"{NS_PUBSUB}#{name}" for name in _COMMON if name != "access-authorize"),
    f"{NS_PUBSUB}#auto-create",
    f"{NS_PUBSUB}#auto-subscribe",
    f"{NS_PUBSUB}#filtered-notifications",
    f"{NS_PUBSUB}#presence-notifications",
    f"{NS_PUBSUB}#presence-subscribe",
    f"{NS_PUBSUB}#pubsub-on-a-jid",
)

# What everybody may know who may know of the node.
_SHOWN = (
    "type",
    "title",
    "description",
    "language",
    "contact",
    "access_model",
    "publish_model",
    "max_items",
)
MAX_LISTED = 200


async def node_info(space: Space, name: str, asker: JID) -> bytes:
    """Give what a node is (sections 5.3 and 5.4). Raises StanzaError, StorageError."""
    node = await space.get(name)
    await _check_visible(space, node, asker)
    kind = "collection" if node.is_collection else "leaf"
    return info([("pubsub", kind, "")], [NS_PUBSUB], [_metadata(space, node)], name)


def _metadata(space: Space, node: Node) -> bytes:
    values: Values = {name: node.config[name] for name in _SHOWN}
    fields = [
        Field(var=f"pubsub#{name}", values=texts_of(value), label=FIELDS[name].label)
        for name, value in values.items()
        if value not in ("", [])
    ]
    publishers = [bare for bare, is_ in node.affiliations.items() if is_ == "publisher"]
    subscribers = {held.bare for held in node.subscriptions.values() if held.state == "subscribed"}
    fields += [
        Field("jid-single", "pubsub#creator", node.creator, label="Who made the node"),
        Field(var="pubsub#creation_date", value=stamp(node.created), label="When the node was made"),
        Field("jid-multi", "pubsub#owner", values=space.owners(node), label="Owners"),
        Field("jid-multi", "pubsub#publisher", values=publishers, label="Publishers"),
        Field(var="pubsub#num_subscribers", value=str(len(subscribers)), label="Number of subscribers"),
    ]
    return encode(Form("result", formNamespace=NS_META_DATA, fields=fields))


async def _check_visible(space: Space, node: Node, asker: JID) -> None:
    """Refuse whoever may not know of the node, as if it were not there."""
    if not await access.visible(space, node, asker):
        raise StanzaError("item-not-found", "There is no such node")


async def items(space: Space, request: Stanza, name: str | None) -> bytes:
    """List nodes, or the items of a leaf (sections 5.2 and 5.5). Raises StanzaError, StorageError."""
    asker = request.sender
    query = request.child(NS_ITEMS, "query")
    assert asker is not None and query is not None
    asked = rsm.read(query)
    if name is None:
        return await _list_nodes(space, asker, None, asked)
    node = await space.get(name)
    await _check_visible(space, node, asker)
    if node.is_collection:
        return await _list_nodes(space, asker, name, asked)
    await access.check_read(space, node, asker)
    found = await retrieving.newest(space, node, asked.max or MAX_LISTED)
    parts = [element("item", None, jid=space.address.full, name_=item.id) for item in found]
    return element("query", NS_ITEMS, b"".join(parts), node=name)


async def _list_nodes(space: Space, asker: JID, parent: str | None, asked: rsm.PageRequest) -> bytes:
    """List the nodes of a collection, or of the top, that the asker may know of, in pages by name."""
    if asked.backwards:
        raise StanzaError("feature-not-implemented", "Nodes are listed forwards")
    limit = min(asked.max if asked.max is not None else MAX_LISTED, MAX_LISTED)
    found = await space.nodes(parent or "", asked.after or "", limit + 1)
    parts = await _visible(space, asker, found[:limit])
    if len(found) > limit or asked != rsm.ANY_PAGE:
        names = [node.name for node in found[:limit]]
        parts.append(rsm.encode(*((names[0], names[-1]) if names else (None, None))))
    return element("query", NS_ITEMS, b"".join(parts), node=parent)


async def listed(space: Space, asker: JID) -> bytes:
    """Give an ``<item/>`` for each node at the top that the asker may know of. Raises StorageError."""
    return b"".join(await _visible(space, asker, await space.nodes("", "", MAX_LISTED)))


async def _visible(space: Space, asker: JID, found: list[Node]) -> list[bytes]:
    parts = []
    for held in found:
        # Who is affiliated is known only of a node that is read as a whole.
        node = await space.find(held.name) if held.config["access_model"] != "open" else held
        if node is not None and not node.moved and await access.visible(space, node, asker):
            title = str(node.config["title"]) or None
            parts.append(element("item", None, jid=space.address.full, node=node.name, name_=title))
    return parts
