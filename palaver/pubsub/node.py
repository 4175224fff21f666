"""A node in memory: its configuration, who has to do with it, and what is kept of all that."""

from __future__ import annotations

from typing import NamedTuple

from palaver.pubsub import config
from palaver.pubsub.fields import Spec, Specs, Value, Values
from palaver.storage import Json
from palaver.times import read_stamp

ALL = "all"
AFFILIATIONS = ("owner", "publisher", "publish-only", "member", "outcast", "none")
STATES = ("subscribed", "pending", "unconfigured", "none")

OPTIONS: Specs = {
    "deliver": Spec("boolean", "Whether to receive notifications at all"),
    "digest": Spec("boolean", "Whether to receive notifications together, and not each by itself"),
    "digest_frequency": Spec("number", "The milliseconds between two such digests"),
    "include_body": Spec("boolean", "Whether to receive a message body beside the payload"),
    "expire": Spec("time", "When the subscription ends: a time, or presence for the end of this presence"),
    "show-values": Spec(
        "choices",
        "The presence states in which to receive notifications",
        ("away", "chat", "dnd", "online", "xa"),
    ),
    "subscription_type": Spec(
        "choice", "Whether a collection's items or nodes are told of", ("items", "nodes", "all")
    ),
    "subscription_depth": Spec("number", "How deep below a collection", (ALL,)),
}
USUAL_OPTIONS: Values = {
    "deliver": True,
    "digest": False,
    "digest_frequency": 86_400_000,
    "include_body": False,
    "expire": "",
    "show-values": ["away", "chat", "dnd", "online", "xa"],
    "subscription_type": "nodes",
    "subscription_depth": 1,
}
PRESENCE = "presence"


class Subscription(NamedTuple):
    """One subscription: ``jid`` is the subscriber, bare or full, ``options`` what differs from usual."""

    subid: str
    jid: str
    state: str
    options: Values

    @property
    def bare(self) -> str:
        """The subscriber's bare JID."""
        return self.jid.partition("/")[0]

    def option(self, name: str) -> Value:
        """Give the value of an option."""
        return self.options.get(name, USUAL_OPTIONS[name])

    def all_options(self) -> Values:
        """Give every option with its value."""
        return {**USUAL_OPTIONS, **self.options}

    def ends(self) -> float | None:
        """Give the Unix time at which the lease ends; None when no time is set."""
        expire = str(self.option("expire"))
        return read_stamp(expire) if expire and expire != PRESENCE else None

    def digest_ms(self) -> int:
        """Give how long notifications wait for others; 0 for not at all."""
        return int(str(self.option("digest_frequency"))) if self.option("digest") else 0

    def encode(self) -> Json:
        """Give what is stored."""
        value: Json = {"jid": self.jid, "state": self.state}
        if self.options:
            value["options"] = self.options
        return value


def read_subscription(subid: str, value: Json) -> Subscription:
    """Give the subscription that `Subscription.encode` wrote."""
    return Subscription(subid, value["jid"], value["state"], value.get("options", {}))


class Node:
    """One node.

    ``creator``       bare JID, and ``created`` the Unix time
    ``kind``          the name of its INodeType
    ``config``        the whole configuration
    ``affiliations``  by bare JID; who is not there has none
    ``count``         how many items it has; None until that was asked
    ``moved``         the URI of what has taken the place of a node that is deleted; else None
    """

    __slots__ = (
        "_by_bare",
        "affiliations",
        "config",
        "count",
        "created",
        "creator",
        "kind",
        "moved",
        "name",
        "subscriptions",
    )

    def __init__(self, name: str, creator: str, created: float, kind: str, config: Values) -> None:
        self.name = name
        self.creator = creator
        self.created = created
        self.kind = kind
        self.config = config
        self.affiliations: dict[str, str] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self._by_bare: dict[str, list[str]] = {}
        self.count: int | None = None
        self.moved: str | None = None

    @property
    def is_collection(self) -> bool:
        """Whether it holds nodes, and no items."""
        return self.config["node_type"] == "collection"

    @property
    def parents(self) -> list[str]:
        """The collections that it is in."""
        parents = self.config["collection"]
        return parents if isinstance(parents, list) else []

    def affiliation(self, bare: str) -> str:
        """Give somebody's affiliation."""
        return self.affiliations.get(bare, "none")

    def owners(self) -> list[str]:
        """Give the bare JIDs of the owners."""
        return [bare for bare, affiliation in self.affiliations.items() if affiliation == "owner"]

    def subscriptions_of(self, bare: str) -> list[Subscription]:
        """Give all subscriptions of an account, whatever resources they are for."""
        return [self.subscriptions[subid] for subid in self._by_bare.get(bare, ())]

    def is_subscribed(self, bare: str) -> bool:
        """Tell whether an account has a subscription that is in force."""
        return any(held.state == "subscribed" for held in self.subscriptions_of(bare))

    def put(self, subscription: Subscription) -> None:
        """Take a new or a changed subscription."""
        known = self._by_bare.setdefault(subscription.bare, [])
        if subscription.subid not in self.subscriptions:
            known.append(subscription.subid)
        self.subscriptions[subscription.subid] = subscription

    def drop(self, subid: str) -> None:
        """Forget a subscription."""
        gone = self.subscriptions.pop(subid)
        known = self._by_bare[gone.bare]
        known.remove(subid)
        if not known:
            del self._by_bare[gone.bare]

    def expired(self, now: float) -> list[Subscription]:
        """Give the subscriptions whose lease has ended."""
        return [held for held in self.subscriptions.values() if (held.ends() or now + 1) <= now]

    def encode(self) -> Json:
        """Give what is stored of the node itself."""
        value: Json = {"by": self.creator, "at": self.created}
        if self.kind:
            value["kind"] = self.kind
        if changed := config.different(self.config):
            value["config"] = changed
        if self.moved:
            value["moved"] = self.moved
        return value


def read_node(name: str, value: Json) -> Node:
    """Give the node that `Node.encode` wrote, with nobody affiliated or subscribed."""
    found = config.complete(value.get("config", {}))
    node = Node(name, value["by"], value["at"], value.get("kind", ""), found)
    node.moved = value.get("moved")
    return node


def depth(subscription: Subscription) -> int | None:
    """Give how many levels below a collection a subscription reaches; None for all."""
    levels = subscription.option("subscription_depth")
    return None if levels == ALL else int(str(levels))
