"""Which request is answered by what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from palaver.pubsub import configuring, creating, owning, publishing, retrieving, subscribing
from palaver.pubsub.conditions import too_big
from palaver.pubsub.space import Space
from palaver.stanza import Stanza

# What is around a payload in a request; publish options take most of it.
OVERHEAD_BYTES = 16384

Answer = bytes | None

VERBS: dict[str, Callable[[Space, Any], Answer | Awaitable[Answer]]] = {
    "affiliations": subscribing.affiliations,
    "affiliationsGet": owning.get_affiliations,
    "affiliationsSet": owning.set_affiliations,
    "associate": configuring.associate,
    "configureGet": configuring.get_configuration,
    "configureSet": configuring.configure,
    "create": creating.create,
    "default": creating.default,
    "defaultOptions": subscribing.default_options,
    "delete": owning.delete,
    "items": retrieving.items,
    "optionsGet": subscribing.get_options,
    "optionsSet": subscribing.set_options,
    "publish": publishing.publish,
    "purge": publishing.purge,
    "retract": publishing.retract,
    "subscribe": subscribing.subscribe,
    "subscriptions": subscribing.subscriptions,
    "subscriptionsGet": owning.get_subscriptions,
    "subscriptionsSet": owning.set_subscriptions,
    "unsubscribe": subscribing.unsubscribe,
}
"""By verb, as `palaver.pubsub.request.Request` reads it."""


async def answer(space: Space, iq: Stanza) -> Answer:
    """Do what a request says; gives the payload of the result, None for an empty one.

    Raises StanzaError, StorageError.
    """
    # Before it is parsed a second time.
    if len(iq.inner) > space.limits.max_payload_bytes + OVERHEAD_BYTES:
        raise too_big(space.limits.max_payload_bytes)
    # Wokkel's part of it takes 15 MiB, which a server needs only once somebody asks.
    from palaver.pubsub.request import Request

    request = Request(iq)
    done = VERBS[request.verb](space, request)
    return done if isinstance(done, bytes) or done is None else await done
