"""Kinds of nodes, with what each of them is like at first (MongooseIM calls them plugins)."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.words.xish import domish
from zope.interface import implementer

from palaver.errors import StanzaError
from palaver.interfaces import INodeTree, INodeType
from palaver.pubsub.conditions import refusal
from palaver.pubsub.fields import Submitted, Value, bare_name
from palaver.pubsub.trees import Homes

NS_PUSH = "urn:xmpp:push:0"


@implementer(INodeType)
class Kind:
    """A kind of nodes that differs in its defaults and its names."""

    # Whether publish options are for `check_item`, and no preconditions.
    own_options = False

    def __init__(self, name: str, defaults: Mapping[str, Value], tree: INodeTree | None = None) -> None:
        self.name = name
        self.defaults = defaults
        self.tree = tree

    def check_item(self, payload: domish.Element | None, options: Submitted) -> None:
        """See INodeType; any item will do."""


class Push(Kind):
    """Nodes to which servers publish what phones are to be woken for (XEP-0357)."""

    own_options = True

    def check_item(self, payload: domish.Element | None, options: Submitted) -> None:
        """See INodeType; it is a notification, and says which device it is for."""
        if payload is None or (payload.uri, payload.name) != (NS_PUSH, "notification"):
            raise StanzaError("bad-request", "This takes push notifications")
        given = {bare_name(name) for name, texts in options.items() if any(texts)}
        if not {"device_id", "service"} <= given:
            raise refusal("conflict", "precondition-not-met", "device_id and service are needed")


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
