"""Kinds of nodes, with what each of them is like at first (MongooseIM calls them plugins)."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING

from twisted.words.xish import domish
from zope.interface import implementer

from palaver.errors import StanzaError
from palaver.interfaces import INodeTree, INodeType, IPushService
from palaver.pubsub.conditions import refusal
from palaver.pubsub.fields import Submitted, Value, Values, bare_name
from palaver.pubsub.trees import Homes
from palaver.push.elements import NS_PUSH, read_summary
from palaver.push.service import DeviceGone, PushFailed

if TYPE_CHECKING:
    from palaver.routing.host import Host

SECRET = "secret"
"""The field of the configuration and the publish option by which publishers show that they may."""


@implementer(INodeType)
class Kind:
    """A kind of nodes that differs in its defaults and its names."""

    # Whether publish options are for `check_item`, and no preconditions.
    own_options = False

    def __init__(self, name: str, defaults: Mapping[str, Value], tree: INodeTree | None = None) -> None:
        self.name = name
        self.defaults = defaults
        self.tree = tree

    def check_item(self, payload: domish.Element | None, options: Submitted, config: Values) -> None:
        """See INodeType; any item will do."""

    def published(
        self, host: Host, payload: domish.Element | None, options: Submitted
    ) -> Awaitable[None] | None:
        """See INodeType; nothing is left to be done."""
        return None


class Push(Kind):
    """Nodes to which servers publish what phones are to be woken for (XEP-0357)."""

    own_options = True

    def check_item(self, payload: domish.Element | None, options: Submitted, config: Values) -> None:
        """See INodeType; it is a notification, says which device it is for, and knows the node's secret."""
        if payload is None or (payload.uri, payload.name) != (NS_PUSH, "notification"):
            raise StanzaError("bad-request", "This takes push notifications")
        given = {bare_name(name): texts[0] for name, texts in options.items() if any(texts)}
        secret = str(config.get(SECRET, ""))
        if secret and not hmac.compare_digest(given.get(SECRET, "").encode(), secret.encode()):
            raise refusal("conflict", "precondition-not-met", "The secret is another one")
        if not {"device_id", "service"} <= given.keys():
            raise refusal("conflict", "precondition-not-met", "device_id and service are needed")

    def published(
        self, host: Host, payload: domish.Element | None, options: Submitted
    ) -> Awaitable[None] | None:
        """See INodeType; the notification goes to the host's push service, if there is one."""
        service = host.query(IPushService)
        if service is None or payload is None:
            return None
        bare = {bare_name(name): texts for name, texts in options.items() if bare_name(name) != SECRET}
        return _hand_on(service.push(read_summary(payload), bare))


async def _hand_on(pushed: Awaitable[None]) -> None:
    """Wait for a push service; raises StanzaError with the conditions that MongooseIM has."""
    try:
        await pushed
    except DeviceGone:
        text = "Nothing reaches the device any more"
        raise refusal("not-acceptable", "device-not-registered", text, type="cancel") from None
    except PushFailed:
        # The misspelled name is what clients and servers of the field know.
        raise refusal("bad-request", "faild-to-submit-push-notification") from None


ON_PRESENCE = "on_sub_and_presence"

KINDS = {
    kind.name: kind
    for kind in (
        Kind("flat", {}),
        Kind("hometree", {}, Homes()),
        Kind("dag", {}),
        Push(
            "push",
            {
                SECRET: "",
                "access_model": "whitelist",
                "publish_model": "open",
                "max_items": 1,
                "persist_items": False,
                "presence_based_delivery": True,
                "send_last_published_item": ON_PRESENCE,
            },
        ),
    )
}
"""The kinds of a service, by name."""

# XEP-0163 section 3: what an account publishes is for those who see its presence, and one item is enough.
PERSONAL = Kind("pep", {"access_model": "presence", "max_items": 1, "send_last_published_item": ON_PRESENCE})
