"""XEP-0060: Publish-Subscribe, with 0131 and 0248 (collections), as a service on a domain of its own."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator
from twisted.internet.defer import Deferred

from palaver import jid
from palaver.events import AccountDeleted, BecameUnavailable
from palaver.interfaces import INodeTree, INodeType
from palaver.mistakes import ConfigError
from palaver.modules import Module, Settings, every, on
from palaver.pubsub import config
from palaver.pubsub.fields import Values
from palaver.pubsub.kinds import KINDS
from palaver.pubsub.leaving import gone_offline
from palaver.pubsub.service import Creators, Service, ServiceSpace
from palaver.pubsub.space import Limits, Shared
from palaver.pubsub.trees import FreeNames, Paths

SWEEP_S = 3600
TREES = {"dag": FreeNames(), "tree": Paths()}

NodeConfig = dict[str, bool | int | str | list[str]]


class PubSubSettings(Settings):
    """Options of mod_pubsub."""

    host: str = Field("pubsub.@HOST@", description="The service's domain; @HOST@ stands for the host's.")
    name: str = Field("Publish-Subscribe", description="What the service is called.")
    access_createnode: Creators = Field(
        "all", description="Who may make nodes: all, local (accounts of this host) or none."
    )
    plugins: tuple[str, ...] = Field(
        ("flat", "hometree", "dag", "push"),
        min_length=1,
        description="Kinds of nodes, the first for nodes made without a type; or names under which an "
        "application has registered an INodeType.",
    )
    nodetree: str = Field(
        "dag",
        description="dag: free names, and collections; tree: names are paths, whose parents must be there "
        "and be owned, no collections; or the name under which an application has registered an INodeTree.",
    )
    default_node_config: NodeConfig = Field(
        default_factory=dict, description="What new nodes are like, such as access_model or max_items."
    )
    max_items_node: int = Field(10, ge=0, description="Items that a node keeps when its owner says nothing.")
    max_items: int = Field(
        10_000, ge=1, le=10_000_000, description="Items that a node keeps at most; what max stands for."
    )
    max_payload_size: int = Field(
        60_000, ge=1024, le=1_048_576, description="How large an item's payload may be, in bytes of XML."
    )
    max_nodes_user: int = Field(200, ge=1, le=100_000, description="Nodes that one account may make.")
    max_subscriptions_node: int = Field(10_000, ge=1, description="Subscriptions that one node may have.")
    max_subscriptions_user: int = Field(
        20, ge=1, description="Subscriptions that one account may have to one node, for its resources."
    )
    max_affiliations_node: int = Field(1000, ge=1, description="Affiliations that one node may have.")
    max_page_items: int = Field(200, ge=1, le=1000, description="Items in one answer at most.")
    item_publisher: bool = Field(False, description="Say with every item who has published it.")

    @field_validator("default_node_config")
    @classmethod
    def _known(cls, given: NodeConfig) -> NodeConfig:
        config.from_settings(given)
        return given


class PubSub(Module):
    """Nodes to which people publish items, and whose subscribers are notified."""

    Settings = PubSubSettings

    settings: PubSubSettings

    def in_use(self) -> bool:
        """See Module: there may be subscriptions that end with somebody's presence."""
        return bool(self.space.shared.temporary or self.space.shared.emptied)

    def start(self) -> None:
        """Serve the domain. Raises ConfigError for kinds and trees that there are not, or a taken domain."""
        settings, host = self.settings, self.host
        domain = jid.prepare_domain(settings.host.replace("@HOST@", host.domain))
        kinds = {name: self._find(INodeType, KINDS, name) for name in settings.plugins}
        self.space = ServiceSpace(
            host,
            jid.JID("", domain, ""),
            Limits(
                settings.max_nodes_user,
                settings.max_items,
                settings.max_payload_size,
                settings.max_page_items,
                settings.max_subscriptions_node,
                settings.max_subscriptions_user,
                settings.max_affiliations_node,
            ),
            kinds,
            self._find(INodeTree, TREES, settings.nodetree),
            self._defaults(),
            Shared(),
        )
        self.undo(self.space.shared.digests.send_all)
        self.space.creators = settings.access_createnode
        self.space.has_collections = settings.nodetree != "tree"
        try:
            self.undo(host.router.add(Service(host.router, self.space, settings.name)))
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from None

    def _find(self, interface: Any, known: dict[str, Any], name: str) -> Any:
        found = known.get(name) or self.host.registry.queryUtility(interface, name)
        if found is None:
            raise ConfigError(f"{self.name}: there is no {name!r}; allowed: {', '.join(known)}")
        return found

    def _defaults(self) -> Values:
        settings = self.settings
        defaults: Values = {
            "max_items": min(settings.max_items_node, settings.max_items),
            "max_payload_size": settings.max_payload_size,
            "itemreply": "publisher" if settings.item_publisher else "none",
        }
        return {**defaults, **config.from_settings(settings.default_node_config)}

    @every(SWEEP_S)
    def sweep(self) -> Deferred[None]:
        """Delete what has expired."""
        return Deferred.fromCoroutine(self.space.sweep())

    @on(BecameUnavailable)
    def gone(self, event: BecameUnavailable) -> Deferred[None] | None:
        """End the subscriptions and empty the nodes that were for as long as somebody is online."""
        shared, bare = self.space.shared, event.session.user.bare
        if not shared.concerns(bare):
            return None
        return Deferred.fromCoroutine(gone_offline(shared, lambda address: self.space, bare))

    @on(AccountDeleted)
    def deleted(self, event: AccountDeleted) -> Deferred[None]:
        """Take away what the account had here."""
        return Deferred.fromCoroutine(self.space.forget(event.jid.bare))
