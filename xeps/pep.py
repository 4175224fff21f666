"""XEP-0163: Personal Eventing Protocol, with 0222 and 0223: every account publishes about itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic import Field, field_validator
from twisted.internet.defer import Deferred
from zope.interface import implementer

from palaver import jid
from palaver.errors import StanzaError
from palaver.events import (
    AccountDeleted,
    BecameAvailable,
    BecameUnavailable,
    CapabilitiesKnown,
    PresenceReceived,
    SessionBound,
    SessionUnbound,
    SubscriptionChanged,
)
from palaver.interfaces import ICapabilities, IPersonalEventing
from palaver.jid import JID
from palaver.modules import BARE, SELF, Module, Settings, every, iq, on
from palaver.pubsub import config, discovery, publishing, retrieving, store, verbs
from palaver.pubsub.account import Accounts, AccountSpace, Nodes, may_see, texts, wanted_nodes
from palaver.pubsub.conditions import NS_OWNER, NS_PUBSUB
from palaver.pubsub.fields import Values
from palaver.pubsub.kinds import ON_PRESENCE
from palaver.pubsub.leaving import gone_offline
from palaver.pubsub.node import Node
from palaver.pubsub.space import Limits
from palaver.pubsub.store import Item
from palaver.routing.roster import SEEN_BY_US, SEES_US
from palaver.routing.rosters import rosters
from palaver.routing.sessions import Session
from palaver.stanza import Stanza
from palaver.waiting import settled

SWEEP_S = 3600

NodeConfig = dict[str, bool | int | str | list[str]]


class PepSettings(Settings):
    """Options of mod_pep."""

    max_items: int = Field(
        256, ge=1, le=100_000, description="Items that a node keeps at most; what max stands for."
    )
    max_payload_size: int = Field(
        131_072, ge=1024, le=1_048_576, description="How large an item's payload may be, in bytes of XML."
    )
    max_nodes_user: int = Field(100, ge=1, le=10_000, description="Nodes that one account may have.")
    max_subscriptions_node: int = Field(
        1000, ge=0, description="Subscriptions that were asked for, which one node may have."
    )
    max_subscriptions_user: int = Field(
        10, ge=1, description="Subscriptions that one account may have to one node, for its resources."
    )
    max_affiliations_node: int = Field(500, ge=1, description="Affiliations that one node may have.")
    max_page_items: int = Field(300, ge=1, le=1000, description="Items in one answer at most.")
    default_node_config: NodeConfig = Field(
        default_factory=dict, description="What new nodes are like, such as access_model or max_items."
    )
    ignore_pep_from_offline: bool = Field(
        True, description="Whoever comes online gets the last items of contacts only who are online too."
    )

    @field_validator("default_node_config")
    @classmethod
    def _known(cls, given: NodeConfig) -> NodeConfig:
        config.from_settings(given)
        return given


@implementer(IPersonalEventing)
class PersonalEventing(Module):
    """Accounts publish about themselves; contacts are notified of what their clients ask for.

    What clients ask for comes from their capabilities (mod_caps). Without that module only those are notified
    who have subscribed to a node.
    """

    Settings = PepSettings
    # Smack asks the server for these, and not the account, before it uses OMEMO or OpenPGP.
    features = (NS_PUBSUB, f"{NS_PUBSUB}#access-whitelist")
    account_features = discovery.ACCOUNT_FEATURES
    account_identities = (("pubsub", "pep", ""),)
    provides = (IPersonalEventing,)

    settings: PepSettings

    def start(self) -> None:
        """Have the nodes of whoever logs in read with the account."""
        settings = self.settings
        limits = Limits(
            settings.max_nodes_user,
            settings.max_items,
            settings.max_payload_size,
            settings.max_page_items,
            settings.max_subscriptions_node,
            settings.max_subscriptions_user,
            settings.max_affiliations_node,
        )
        defaults: Values = {"max_payload_size": settings.max_payload_size}
        defaults |= config.from_settings(settings.default_node_config)
        self.accounts = Accounts(self.host, limits, defaults)
        self.undo(self.accounts.shared.digests.send_all)
        self.undo(self.host.add_login_kind(store.ACCOUNT_NODE))
        self.undo(self.host.disco.add_account_nodes(self))

    # -- requests ---------------------------------------------------------------------------

    @iq("get", NS_PUBSUB, "pubsub", to=(SELF, BARE))
    @iq("set", NS_PUBSUB, "pubsub", to=(SELF, BARE))
    @iq("get", NS_OWNER, "pubsub", to=(SELF, BARE))
    @iq("set", NS_OWNER, "pubsub", to=(SELF, BARE))
    async def request(self, request: Stanza) -> Stanza:
        """Do what somebody asks of an account's nodes."""
        owner = _account(request)
        answer = await verbs.answer(self.accounts.space(owner.local), request)
        return request.result(answer).replace(from_=owner.bare)

    async def node_info(self, request: Stanza, node: str) -> bytes:
        """Give the disco#info of a node. Raises StanzaError, StorageError."""
        assert request.sender is not None
        return await discovery.node_info(self._asked(request), node, request.sender)

    async def node_items(self, request: Stanza, node: str) -> bytes:
        """Give the disco#items of a node. Raises StanzaError, StorageError."""
        return await discovery.items(self._asked(request), request, node)

    async def listed(self, request: Stanza) -> bytes:
        """Give an ``<item/>`` for each node. Raises StorageError."""
        assert request.sender is not None
        return await discovery.listed(self._asked(request), request.sender)

    def _asked(self, request: Stanza) -> AccountSpace:
        return self.accounts.space(_account(request).local)

    # -- who comes and goes -------------------------------------------------------------------

    @on(SessionBound)
    def bound(self, event: SessionBound) -> None:
        """Note which nodes somebody has."""
        self.accounts.came(event.session.user.local, event.documents)

    @on(SessionUnbound)
    def unbound(self, event: SessionUnbound) -> None:
        """Forget the nodes of somebody whose last session has ended."""
        user = event.session.user
        if not user.sessions:
            self.accounts.gone(user.local)

    @on(AccountDeleted)
    def deleted(self, event: AccountDeleted) -> Deferred[None]:
        """Forget the account's nodes, which are deleted with it, and what it was to others' nodes."""
        self.accounts.deleted(event.jid.local)
        return Deferred.fromCoroutine(self.accounts.forget(event.jid.bare))

    @on(BecameAvailable)
    def available(self, event: BecameAvailable) -> None:
        """Send the last items that a client asks for, where that is known already."""
        capabilities = self.host.query(ICapabilities)
        if event.initial and capabilities is not None:
            session: Any = event.session
            self._asks(session, capabilities.features(event.session.jid.full))

    @on(CapabilitiesKnown)
    def capable(self, event: CapabilitiesKnown) -> None:
        """Send the last items that a client asks for."""
        local, _, rest = event.full_jid.partition("@")
        domain, _, resource = rest.partition("/")
        if domain != self.host.domain:
            self._asks_from_elsewhere(event.full_jid, event.features)
            return
        user = self.host.users.get(local)
        session = user.sessions.get(resource) if user is not None else None
        if session is not None:
            self._asks(session, event.features)

    def _asks(self, session: Session, features: frozenset[str] | None) -> None:
        """Send last items of those nodes that a client asks for and did not ask for just before."""
        if features is None or session.presence is None:
            return
        wanted = wanted_nodes(features)
        if not wanted and (session.state is None or self.name not in session.state):
            return
        served = session.remember(self.name)
        new = wanted - served.get("nodes", frozenset())
        # Whoever asks for nothing any more may ask for the same again later.
        served["nodes"] = wanted
        if new:
            # Nothing of it has to be there before the client's next stanza is read.
            self.host.guard(self.name, partial(self._catch_up, session, new))

    @on(PresenceReceived)
    def received(self, event: PresenceReceived) -> None:
        """Note a contact's client on another server; send it last items if it is known what it asks for."""
        sender = event.presence.sender
        if sender is None or not sender.resource or sender.domain == self.host.domain:
            return
        if event.presence.type is not None:
            self.accounts.remote.gone(sender.full, event.to.local)
            return
        user = self.host.users.get(event.to.local)
        if user is None or not user.roster.is_seen_by(sender.bare):
            return
        self.accounts.remote.came(sender.full, event.to.local)
        capabilities = self.host.query(ICapabilities)
        if capabilities is not None:
            self._asks_from_elsewhere(sender.full, capabilities.features(sender.full))

    def _asks_from_elsewhere(self, full: str, features: frozenset[str] | None) -> None:
        if features is None:
            return
        for owner, new in self.accounts.remote.new(full, wanted_nodes(features)):
            self.host.guard(self.name, partial(self._send_last, owner, new, jid.parse(full)))

    @on(BecameUnavailable)
    def unavailable(self, event: BecameUnavailable) -> Deferred[None] | None:
        """Forget what a client has been sent; do what nodes want done when their owner goes."""
        session = event.session
        if session.state is not None:
            session.state.pop(self.name, None)
        shared, bare = self.accounts.shared, session.user.bare
        if not shared.concerns(bare):
            return None
        return Deferred.fromCoroutine(gone_offline(shared, self.accounts.space_of, bare))

    @on(SubscriptionChanged)
    def subscription(self, event: SubscriptionChanged) -> None:
        """Send last items to a contact who sees the account's presence from now on."""
        local, _, domain = event.contact.partition("@")
        capabilities = self.host.query(ICapabilities)
        contact = self.host.users.get(local) if domain == self.host.domain else None
        if event.subscription not in SEES_US or contact is None or capabilities is None:
            return
        for session in contact.available():
            wanted = wanted_nodes(capabilities.features(session.jid.full) or ())
            if wanted:
                self.host.guard(self.name, partial(self._send_last, event.local, wanted, session.jid))

    # -- last items ---------------------------------------------------------------------------

    async def _catch_up(self, session: Session, wanted: frozenset[str]) -> None:
        """Send a session the last items of its own account and of the contacts whose presence it sees."""
        await self._send_last(session.user.local, wanted, session.jid)
        for item in list(session.user.roster.items.values()):
            local, _, domain = item.jid.partition("@")
            if item.subscription in SEEN_BY_US and domain == self.host.domain:
                if self.settings.ignore_pep_from_offline and local not in self.host.users:
                    continue
                await self._send_last(local, wanted, session.jid)

    async def _send_last(self, owner: str, wanted: frozenset[str], to: JID) -> None:
        nodes = self.accounts.known(owner)
        if nodes is None:
            nodes = await self.accounts.nodes(owner)
        for name in wanted.intersection(nodes):
            await self._send_newest(owner, nodes, name, to)

    async def _send_newest(self, owner: str, nodes: Nodes, name: str, to: JID) -> None:
        """Send the last item of a node, if the node is for that and whoever gets it may see it."""
        if name not in nodes or nodes[name].config["send_last_published_item"] != ON_PRESENCE:
            return
        space = self.accounts.space(owner)
        node = await space.find(name)
        if node is None or node.moved or not await self._may_see(owner, node, to):
            return
        if space.is_online(to.full) and not await settled(space.hides_from(to.bare)):
            await retrieving.send_newest(space, node, to.full)

    async def _may_see(self, owner: str, node: Node, asker: JID) -> bool:
        if asker.bare == f"{owner}@{self.host.domain}":
            return True
        user = self.host.users.get(owner)
        roster = user.roster if user is not None else await rosters(self.host).load(owner)
        return bool(roster.is_seen_by(asker.bare)) and may_see(node, roster.item(asker.bare))

    # -- IPersonalEventing ----------------------------------------------------------------------

    def publish(
        self,
        owner: str,
        node: str,
        item_id: str | None,
        payload: bytes,
        options: Mapping[str, str | list[str]] | None = None,
    ) -> Deferred[str]:
        """See IPersonalEventing."""
        return Deferred.fromCoroutine(self._publish(owner, node, item_id, payload, options))

    async def _publish(
        self,
        owner: str,
        node: str,
        item_id: str | None,
        payload: bytes,
        options: Mapping[str, str | list[str]] | None,
    ) -> str:
        made = publishing.publication(node, item_id, payload, texts(options))
        item = await publishing.put(self.accounts.space(owner), made)
        assert item is not None
        return item.id

    def items(
        self, owner: str, node: str, ids: list[str] | None = None, limit: int | None = None
    ) -> Deferred[list[Item]]:
        """See IPersonalEventing."""
        return Deferred.fromCoroutine(self._items(owner, node, ids, limit))

    async def _items(self, owner: str, name: str, ids: list[str] | None, limit: int | None) -> list[Item]:
        space = self.accounts.space(owner)
        node = await space.find(name)
        if node is None or node.moved:
            return []
        if ids is not None:
            return await retrieving.by_ids(space, node, ids)
        return await retrieving.newest(space, node, limit or self.settings.max_page_items)

    def retract(self, owner: str, node: str, item_id: str, notify: bool = True) -> Deferred[bool]:
        """See IPersonalEventing."""
        space = self.accounts.space(owner)
        return Deferred.fromCoroutine(_found(publishing.take_away(space, node, [item_id], None, notify)))

    def purge(self, owner: str, node: str) -> Deferred[bool]:
        """See IPersonalEventing."""
        return Deferred.fromCoroutine(_found(publishing.take_all(self.accounts.space(owner), node, None)))

    def configuration(self, owner: str, node: str) -> Deferred[Values | None]:
        """See IPersonalEventing."""
        return Deferred.fromCoroutine(self._configuration(owner, node))

    async def _configuration(self, owner: str, name: str) -> Values | None:
        node = await self.accounts.space(owner).find(name)
        return dict(node.config) if node is not None and not node.moved else None

    # -- now and then ---------------------------------------------------------------------------

    @every(SWEEP_S)
    def sweep(self) -> Deferred[None]:
        """Delete what has expired."""
        return Deferred.fromCoroutine(self.accounts.sweep())


async def _found(work: Any) -> bool:
    """Tell whether there was something to take away. Raises StanzaError, StorageError."""
    try:
        await work
    except StanzaError as error:
        if error.condition != "item-not-found":
            raise
        return False
    return True


def _account(request: Stanza) -> JID:
    """Give the account that a request is about."""
    account = request.to or request.sender
    assert account is not None
    return account.without_resource()
