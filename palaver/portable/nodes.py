"""The nodes of an account and their items (XEP-0227 section 4.10)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from palaver.markup import attribute, element
from palaver.pubsub import config, membership, notices, store
from palaver.pubsub.conditions import NS_OWNER, NS_PUBSUB
from palaver.pubsub.node import Node, read_node

# Items in memory at a time; one has 128 KiB at most.
PAGE = 20

_KINDS = (store.ACCOUNT_NODE, store.ACCOUNT_SUBSCRIPTION, store.ACCOUNT_AFFILIATION)


async def configurations(host: Any, local: str) -> AsyncIterator[bytes]:
    """Give what each node is like, and who has to do with it. Raises StorageError."""
    found = await _nodes(host, local)
    if found:
        yield element("pubsub", NS_OWNER, b"".join(map(_described, found)))


async def items(host: Any, local: str) -> AsyncIterator[bytes]:
    """Give the items of each node, oldest first. Raises StorageError."""
    found = await _nodes(host, local)
    if not found:
        return
    kept = store.Store(host.storage)
    yield f"<pubsub xmlns='{NS_PUBSUB}'>".encode()
    for node in found:
        place = store.on_account(host.domain, local, node.name)
        yield f"<items node='{attribute(node.name)}'>".encode()
        page = await kept.page(place, PAGE)
        while page:
            yield b"".join([notices.encode_item(item, node) for item in page])
            page = await kept.page(place, PAGE, (page[-1].rank, page[-1].id)) if len(page) == PAGE else []
        yield b"</items>"
    yield b"</pubsub>"


async def _nodes(host: Any, local: str) -> list[Node]:
    """Give the nodes of an account with everybody affiliated and subscribed. Raises StorageError."""
    documents = await host.storage.documents.list(host.domain, local, _KINDS)
    found = []
    for document in documents:
        if document.kind == store.ACCOUNT_NODE:
            node = read_node(document.key, document.value)
            place = store.on_account(host.domain, local, node.name)
            others = [other for other in documents if other.kind != store.ACCOUNT_NODE]
            store.Store.fill(node, place, others)
            found.append(node)
    return [node for node in found if node.moved is None]


def _described(node: Node) -> bytes:
    affiliated = b"".join(
        [element("affiliation", None, jid=bare, affiliation=held) for bare, held in node.affiliations.items()]
    )
    subscribed = b"".join([membership.describe(node.name, held) for held in node.subscriptions.values()])
    return b"".join(
        (
            element("configure", None, config.form(node.config), node=node.name),
            element("affiliations", None, affiliated, node=node.name) if affiliated else b"",
            element("subscriptions", None, subscribed, node=node.name) if subscribed else b"",
        )
    )
