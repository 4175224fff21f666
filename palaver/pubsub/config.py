"""What a node is like: its configuration (XEP-0060 section 16.4.4, XEP-0248 section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from palaver.pubsub import fields
from palaver.pubsub.conditions import NS_NODE_CONFIG, refusal
from palaver.pubsub.fields import MAX, Spec, Specs, Submitted, Value, Values

ACCESS_MODELS = ("open", "presence", "roster", "authorize", "whitelist")
PUBLISH_MODELS = ("publishers", "subscribers", "open")
SEND_LAST = ("never", "on_sub", "on_sub_and_presence")

FIELDS: Specs = {
    "title": Spec("text", "A friendly name for the node"),
    "description": Spec("text", "A description of the node"),
    "language": Spec("text", "The default language of the node"),
    "type": Spec("text", "The type of node data, usually specified by the namespace of the payload"),
    "contact": Spec("jids", "The JIDs of those to contact with questions"),
    "node_type": Spec("choice", "Whether the node is a leaf or a collection", ("leaf", "collection")),
    "collection": Spec("texts", "The collections with which the node is affiliated"),
    "children": Spec("texts", "The child nodes of a collection"),
    "children_association_policy": Spec(
        "choice", "Who may associate leaf nodes with a collection", ("all", "owners", "whitelist")
    ),
    "children_association_whitelist": Spec("jids", "Who else may associate leaf nodes with a collection"),
    "children_max": Spec("number", "The maximum number of child nodes of a collection", (MAX,)),
    "access_model": Spec("choice", "Who may subscribe and retrieve items", ACCESS_MODELS),
    "roster_groups_allowed": Spec("texts", "The roster groups allowed to subscribe and retrieve items"),
    "publish_model": Spec("choice", "Who may publish", PUBLISH_MODELS),
    "subscribe": Spec("boolean", "Whether to allow subscriptions"),
    "tempsub": Spec("boolean", "Whether all subscriptions end with the subscriber's presence"),
    "persist_items": Spec("boolean", "Whether to keep items"),
    "max_items": Spec("number", "The maximum number of items to keep", (MAX,)),
    "item_expire": Spec("number", "Seconds after which items are deleted; 0 or max: never", (MAX,)),
    "publish_node_full": Spec(
        "choice", "What becomes of a full node", ("retract-oldest", "discard-oldest", "reject")
    ),
    "max_payload_size": Spec("number", "The maximum payload size in bytes"),
    "send_last_published_item": Spec("choice", "When to send the last published item", SEND_LAST),
    "deliver_notifications": Spec("boolean", "Whether to deliver event notifications"),
    "deliver_payloads": Spec("boolean", "Whether to deliver payloads with event notifications"),
    "notification_type": Spec(
        "choice", "The type of the messages with notifications", ("headline", "normal", "chat")
    ),
    "presence_based_delivery": Spec("boolean", "Whether to notify available users only"),
    "notify_config": Spec("boolean", "Whether to notify when the configuration changes"),
    "notify_delete": Spec("boolean", "Whether to notify when the node is deleted"),
    "notify_retract": Spec("boolean", "Whether to notify when items are removed"),
    "notify_sub": Spec("boolean", "Whether to notify owners about new subscribers and unsubscribes"),
    "itemreply": Spec("choice", "Whose address comes with an item", ("none", "publisher", "owner")),
    "purge_offline": Spec("boolean", "Whether to purge all items when the publisher goes offline"),
    # Nodes of the type push have it from the start; nobody but owners sees it.
    "secret": Spec("text", "What publishers have to know, as a publish option (XEP-0357)"),
}

USUAL: Values = {
    "title": "",
    "description": "",
    "language": "",
    "type": "",
    "contact": [],
    "node_type": "leaf",
    "collection": [],
    "access_model": "open",
    "roster_groups_allowed": [],
    "publish_model": "publishers",
    "subscribe": True,
    "tempsub": False,
    "persist_items": True,
    "max_items": 10,
    "item_expire": MAX,
    "publish_node_full": "retract-oldest",
    "max_payload_size": 60000,
    "send_last_published_item": "never",
    "deliver_notifications": True,
    "deliver_payloads": True,
    "notification_type": "headline",
    "presence_based_delivery": False,
    "notify_config": False,
    "notify_delete": False,
    "notify_retract": False,
    "notify_sub": False,
    "itemreply": "none",
    "purge_offline": False,
    "children_association_policy": "owners",
    "children_association_whitelist": [],
    "children_max": MAX,
}
"""What a node is like where nothing else is said: MongooseIM's defaults, for every kind of node."""

_OF_COLLECTIONS = (
    "children",
    "children_association_policy",
    "children_association_whitelist",
    "children_max",
)
# A collection has no items (XEP-0248 section 5).
_OF_LEAVES = (
    "persist_items",
    "max_items",
    "item_expire",
    "publish_node_full",
    "max_payload_size",
    "itemreply",
    "purge_offline",
)
MAX_COLLECTIONS = 10


class Bounds(NamedTuple):
    """What a service allows at most: items of a node, bytes of a payload; and which access models."""

    max_items: int
    max_payload_bytes: int
    access_models: tuple[str, ...] = ACCESS_MODELS


def read(submitted: Submitted, bounds: Bounds) -> Values:
    """Give the values of a submitted configuration; fields that nobody knows are passed over.

    Raises StanzaError: ``not-acceptable``, with ``unsupported-access-model`` where that is what is wrong.
    """
    model = submitted.get("pubsub#access_model") or submitted.get("access_model")
    if model and model[0] not in bounds.access_models:
        raise refusal("not-acceptable", "unsupported-access-model", f"{model[0]} is no access model here")
    try:
        values = fields.read(FIELDS, submitted)
    except ValueError as error:
        raise fields.refused(error) from None
    _check(values, bounds)
    return values


def _check(values: Values, bounds: Bounds) -> None:
    wrong = ""
    collections, most, size = (values.get(name) for name in ("collection", "max_items", "max_payload_size"))
    if isinstance(collections, list) and len(collections) > MAX_COLLECTIONS:
        wrong = f"A node is in at most {MAX_COLLECTIONS} collections"
    elif isinstance(most, int) and most > bounds.max_items:
        wrong = f"max_items is at most {bounds.max_items}"
    elif isinstance(size, int) and size > bounds.max_payload_bytes:
        wrong = f"max_payload_size is at most {bounds.max_payload_bytes}"
    if wrong:
        raise fields.refused(ValueError(wrong))


def complete(values: Mapping[str, Value], defaults: Mapping[str, Value] = USUAL) -> Values:
    """Give a whole configuration: `USUAL`, then ``defaults``, then ``values``."""
    return {**USUAL, **defaults, **values}


def different(config: Values) -> Values:
    """Give what differs from `USUAL`, to be stored."""
    return {name: value for name, value in config.items() if value != USUAL.get(name)}


def limit_items(config: Values, bounds: Bounds) -> int:
    """Give how many items the node keeps."""
    most = config["max_items"]
    if not config["persist_items"]:
        return 0
    return most if isinstance(most, int) else bounds.max_items


def expires_after(config: Values) -> int | None:
    """Give after how many seconds items are deleted; None for never."""
    seconds = config["item_expire"]
    return seconds if isinstance(seconds, int) and not isinstance(seconds, bool) and seconds else None


def form(config: Values, children: list[str] | None = None, kind: str = "form") -> bytes:
    """Give the form with a configuration; ``children`` are those of a collection.

    The kind "form" is for owners; "result", for subscribers, does not tell the secret.
    """
    if config["node_type"] == "collection":
        shown = {name: value for name, value in config.items() if name not in _OF_LEAVES}
        if children is not None:
            shown["children"] = list(children)
    else:
        shown = {name: value for name, value in config.items() if name not in _OF_COLLECTIONS}
    if kind != "form":
        shown.pop("secret", None)
    return fields.filled(FIELDS, shown, NS_NODE_CONFIG, kind)


def unmet(config: Values, wanted: Submitted) -> str | None:
    """Give the name of a precondition that the configuration does not meet (section 7.1.5), or None.

    What nobody knows is not met. Two ways to say the same thing, such as 1 and true, are the same.
    """
    for name, texts in wanted.items():
        spec = FIELDS.get(fields.bare_name(name))
        if spec is None or fields.bare_name(name) not in config:
            return name
        try:
            value = fields.read(FIELDS, {name: texts})[fields.bare_name(name)]
        except ValueError:
            return name
        held = config[fields.bare_name(name)]
        same = sorted(value) == sorted(held) if isinstance(value, list) and isinstance(held, list) else None
        if not (value == held if same is None else same):
            return name
    return None


def from_settings(given: Mapping[str, bool | int | str | list[str]]) -> Values:
    """Give the values of a configuration from the config file; raises ValueError, with a sentence."""
    for name in given:
        if fields.bare_name(name) not in USUAL:
            raise ValueError(f"{name} is no field of a node; allowed: {', '.join(USUAL)}")
    return fields.read(FIELDS, {name: fields.texts_of(value) for name, value in given.items()})
