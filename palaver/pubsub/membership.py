"""Subscriptions as they are kept, and who is told when they change."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from palaver.jid import JID
from palaver.markup import element
from palaver.pubsub import notices, store
from palaver.pubsub.conditions import refusal
from palaver.pubsub.node import PRESENCE, Node, Subscription
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.pubsub.space import Space

SUBID_BYTES = 9


def new(subscriber: JID, state: str) -> Subscription:
    """Give a subscription with the usual options and an id of its own."""
    return Subscription(secrets.token_urlsafe(SUBID_BYTES), subscriber.full, state, {})


def of(node: Node, subscriber: JID) -> list[Subscription]:
    """Give the subscriptions of exactly this address."""
    return [held for held in node.subscriptions_of(subscriber.bare) if held.jid == subscriber.full]


def pick(node: Node, subscriber: JID, subid: str | None) -> Subscription | None:
    """Give the subscription of exactly this address that is meant; None when it has none at all.

    Raises StanzaError with ``subid-required`` or ``invalid-subid`` (section 6.2.3).
    """
    found = of(node, subscriber)
    if subid is None:
        if len(found) > 1:
            raise refusal("bad-request", "subid-required", "There are several subscriptions")
        return found[0] if found else None
    named = [held for held in found if held.subid == subid]
    if found and not named:
        raise refusal("not-acceptable", "invalid-subid")
    return named[0] if named else None


def describe(name: str, held: Subscription) -> bytes:
    """Give the ``<subscription/>`` for a subscriber or an owner."""
    return element("subscription", None, node=name, jid=held.jid, subscription=held.state, subid=held.subid)


async def put(space: Space, node: Node, *made: Subscription) -> None:
    """Commit subscriptions within the node's turn. Raises StorageError."""
    batch = Batch()
    for held in made:
        store.put_subscription(batch, space.place(node.name), held)
    await space.store.write(batch)
    for held in made:
        node.put(held)
        if held.option("expire") == PRESENCE:
            space.note_temporary(held.bare, node.name)


async def drop(space: Space, node: Node, *gone: Subscription) -> None:
    """Take subscriptions away within the node's turn. Raises StorageError."""
    batch = Batch()
    for held in gone:
        store.drop_subscription(batch, space.place(node.name), held.subid)
    if gone:
        await space.store.write(batch)
    for held in gone:
        node.drop(held.subid)


async def forget(space: Space, bare: str, node: Node) -> None:
    """Take away whatever an account has to do with a node, within the node's turn. Raises StorageError."""
    await drop(space, node, *node.subscriptions_of(bare))
    batch = Batch()
    store.put_affiliation(batch, space.place(node.name), bare, "none")
    await space.store.write(batch)
    node.affiliations.pop(bare, None)


async def tell_owners(space: Space, node: Node, held: Subscription) -> None:
    """Tell the owners of a subscription that came or went, if they want that (section 8.8.4)."""
    if node.config["notify_sub"]:
        owners = notices.Audience(dict.fromkeys(space.owners(node), notices.PLAIN))
        await notices.done(await notices.Notice(space, node, describe(node.name, held)).send(owners))


async def tell_subscriber(space: Space, node: Node, held: Subscription) -> None:
    """Tell a subscriber of another state of the subscription (section 12.13)."""
    told = notices.Audience({held.jid: notices.PLAIN})
    await notices.done(await notices.Notice(space, node, describe(node.name, held)).send(told))
