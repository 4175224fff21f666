"""What becomes of nodes and subscriptions that were for as long as somebody is online."""

from __future__ import annotations

from collections.abc import Callable

from palaver.pubsub import publishing, subscribing
from palaver.pubsub.node import PRESENCE
from palaver.pubsub.space import Shared, Space, unless_gone


async def gone_offline(shared: Shared, space_of: Callable[[str], Space], bare: str) -> None:
    """Do what nodes want done when a client of an account has gone; others of it may be online still.

    ``space_of`` gives the space of an address. Raises StorageError.
    """
    for address, name in list(shared.emptied.get(bare, ())):
        space = space_of(address)
        if not space.is_online(bare):
            shared.emptied.pop(bare, None)
            await unless_gone(publishing.publisher_gone(space, name))
    for address, name in shared.temporary.pop(bare, set()):
        space = space_of(address)
        await unless_gone(subscribing.end_temporary(space, name, bare))
        node = await space.find(name)
        held = node.subscriptions_of(bare) if node is not None else []
        if any(subscription.option("expire") == PRESENCE for subscription in held):
            space.note_temporary(bare, name)
