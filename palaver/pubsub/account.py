"""The nodes of accounts (XEP-0163): contacts are notified of what their clients ask for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from palaver.events import ItemPublished, ItemRetracted
from palaver.interfaces import ICapabilities, INodeType, IPrivacy
from palaver.jid import JID, parse
from palaver.pubsub import access, membership, publishing, store, subscribing
from palaver.pubsub.fields import Values
from palaver.pubsub.kinds import PERSONAL
from palaver.pubsub.node import Node, read_node
from palaver.pubsub.remote import RemoteClients
from palaver.pubsub.space import MAX_SWEPT, Limits, Shared, Space, unless_gone
from palaver.pubsub.store import Item, Place
from palaver.pubsub.trees import FreeNames
from palaver.routing.roster import SEES_US, RosterItem
from palaver.routing.rosters import rosters
from palaver.storage import Document

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.sessions import Session

NOTIFY = "+notify"
# Nodes may come and go between a login's query and its end; of so many accounts the changes are known.
MAX_CHANGED = 4096
_TREE = FreeNames()

Nodes = dict[str, Node]
"""By name; who is affiliated or subscribed is not known of these."""


class Accounts:
    """The spaces of a host's accounts, and which nodes those have who are online."""

    def __init__(self, host: Host, limits: Limits, defaults: Values) -> None:
        self.host = host
        self.limits = limits
        self.defaults = defaults
        self.shared = Shared()
        self.remote = RemoteClients()
        self._nodes: dict[str, Nodes] = {}
        self._changed: OrderedDict[str, dict[str, Node | None]] = OrderedDict()

    def space(self, local: str) -> AccountSpace:
        """Give the space of an account; whether there is such an account is not asked."""
        return AccountSpace(self, local)

    # -- what nobody asks for ---------------------------------------------------------------

    async def sweep(self) -> None:
        """Delete what has expired: items and subscriptions. Raises StorageError."""
        documents, domain = self.host.storage.documents, self.host.domain
        for document in await documents.find(domain, store.ACCOUNT_NODE, store.EXPIRING, limit=MAX_SWEPT):
            await unless_gone(publishing.expire(self.space(document.owner), document.key))
        expiring = await documents.find(domain, store.ACCOUNT_SUBSCRIPTION, store.EXPIRING, limit=MAX_SWEPT)
        for owner, name in dict.fromkeys((found.owner, found.value["node"]) for found in expiring):
            await unless_gone(subscribing.end_leases(self.space(owner), name))

    def space_of(self, address: str) -> AccountSpace:
        """Give the space of an account by its address."""
        return self.space(parse(address).local)

    async def forget(self, bare: str) -> None:
        """Take away what an account that is deleted was to others' nodes: another one may get its name.

        Raises StorageError.
        """
        documents, domain = self.host.storage.documents, self.host.domain
        found = []
        for kind in (store.ACCOUNT_SUBSCRIPTION, store.ACCOUNT_AFFILIATION):
            found += await documents.find(domain, kind, store.short(bare), limit=MAX_SWEPT)
        for owner, name in dict.fromkeys((document.owner, document.value["node"]) for document in found):
            space = self.space(owner)
            await unless_gone(space.change(name, partial(membership.forget, space, bare)))

    # -- which nodes there are ------------------------------------------------------------

    def came(self, local: str, documents: Sequence[Document] | None) -> None:
        """Note the nodes of somebody who logs in, where the login has read them."""
        if documents is not None and local not in self._nodes:
            self._nodes[local] = self._as_now(local, documents)

    def gone(self, local: str) -> None:
        """Forget the nodes of somebody who is not online any more."""
        self._nodes.pop(local, None)

    def deleted(self, local: str) -> None:
        """Forget an account that is deleted."""
        self.gone(local)
        self._changed.pop(local, None)
        self.shared.cache.drop_all(self.space(local).address.full)

    def known(self, local: str) -> Nodes | None:
        """Give the nodes of an account that is online; None when that is not known here."""
        return self._nodes.get(local)

    async def nodes(self, local: str) -> Nodes:
        """Give the nodes of any account. Raises StorageError."""
        found = self._nodes.get(local)
        if found is None:
            documents = self.host.storage.documents
            read = await documents.list(self.host.domain, local, [store.ACCOUNT_NODE])
            found = self._as_now(local, read)
            if local in self.host.users:
                found = self._nodes.setdefault(local, found)
        return found

    def note(self, local: str, name: str, node: Node | None) -> None:
        """Note that a node is new or has another configuration, or with None that it is gone."""
        changed = self._changed.pop(local, {})
        # Without those who are affiliated or subscribed, which may be many.
        changed[name] = node and Node(name, node.creator, node.created, node.kind, node.config)
        self._changed[local] = changed
        if len(self._changed) > MAX_CHANGED:
            self._changed.popitem(last=False)
        if local in self._nodes:
            _apply(self._nodes[local], changed)

    def _as_now(self, local: str, documents: Iterable[Document]) -> Nodes:
        """Give the nodes that documents hold, with what has changed since they were read."""
        found = _read(documents)
        _apply(found, self._changed.get(local, {}))
        return found


def _apply(nodes: Nodes, changed: Mapping[str, Node | None]) -> None:
    for name, node in changed.items():
        if node is None:
            nodes.pop(name, None)
        else:
            nodes[name] = node


def _read(documents: Iterable[Document]) -> Nodes:
    found = {
        document.key: read_node(document.key, document.value)
        for document in documents
        if document.kind == store.ACCOUNT_NODE
    }
    return {name: node for name, node in found.items() if not node.moved}


class AccountSpace(Space):
    """The nodes of one account, under its bare JID."""

    # Nobody could answer a request to subscribe: messages to an account are for its clients.
    access_models = ("open", "presence", "roster", "whitelist")
    auto_create = True
    has_collections = False

    def __init__(self, accounts: Accounts, local: str) -> None:
        host = accounts.host
        kinds: dict[str, INodeType] = {PERSONAL.name: PERSONAL}
        address = JID(local, host.domain, "")
        super().__init__(host, address, accounts.limits, kinds, _TREE, accounts.defaults, accounts.shared)
        self._accounts = accounts

    def place(self, name: str) -> Place:
        """See Space."""
        return store.on_account(self.host.domain, self.address.local, name)

    def may_create(self, asker: JID) -> bool:
        """See Space."""
        return asker.bare == self.address.bare

    def is_owner(self, node: Node, bare: str) -> bool:
        """See Space; the account owns all its nodes."""
        return bare == self.address.bare or super().is_owner(node, bare)

    def owners(self, node: Node) -> list[str]:
        """See Space."""
        return [self.address.bare, *[bare for bare in node.owners() if bare != self.address.bare]]

    async def count_nodes(self, creator: str) -> int:
        """See Space."""
        return len(await self._accounts.nodes(self.address.local))

    async def nodes(self, parent: str, after: str, limit: int) -> list[Node]:
        """See Space."""
        found = await self._accounts.nodes(self.address.local)
        return [found[name] for name in sorted(found) if name > after][:limit]

    async def of_entity(self, bare: str) -> list[Node]:
        """See Space."""
        found = []
        for name in sorted(await self._accounts.nodes(self.address.local)):
            node = await self.find(name)
            if node is not None and not node.moved and _concerns(self, node, bare):
                found.append(node)
        return found

    def made(self, node: Node) -> None:
        """See Space."""
        self._accounts.note(self.address.local, node.name, node)

    def unmade(self, node: Node) -> None:
        """See Space."""
        self._accounts.note(self.address.local, node.name, None)

    def published(self, node: Node, item: Item, by: JID | None) -> Awaitable[object] | None:
        """See Space."""
        publisher = by.full if by is not None else None
        return self.host.events.fire(
            ItemPublished(
                self.host,
                self.address.local,
                node.name,
                item.id,
                item.payload,
                publisher,
                node.config["access_model"] == "open",
            )
        )

    def retracted(self, node: Node, item_id: str | None) -> Awaitable[object] | None:
        """See Space."""
        return self.host.events.fire(ItemRetracted(self.host, self.address.local, node.name, item_id))

    def hides_from(self, bare: str) -> bool | Awaitable[bool]:
        """See Space."""
        privacy = self.host.query(IPrivacy)
        if privacy is None or bare == self.address.bare:
            return False
        hidden: bool | Awaitable[bool] = privacy.hidden_from(self.address.local, parse(bare))
        return hidden

    def hides_nobody(self) -> bool:
        """See Space."""
        privacy = self.host.query(IPrivacy)
        return privacy is None or bool(privacy.hides_nobody(self.address.local))

    # -- who is notified --------------------------------------------------------------------

    async def implicit(self, node: Node) -> tuple[list[Session], list[str]]:
        """See Space: those resources of the account and its contacts that have asked for the node."""
        capabilities = self.host.query(ICapabilities)
        if capabilities is None:
            return [], []
        users, domain, wanted = self.host.users, self.host.domain, node.name + NOTIFY
        features, local = capabilities.features, self.address.local
        user = users.get(local)
        roster = user.roster if user is not None else await rosters(self.host).load(local)
        sessions = (
            [session for session in user.available() if wanted in (features(session.jid.full) or ())]
            if user is not None
            else []
        )
        everybody = not node.affiliations and node.config["access_model"] in ("open", "presence")
        elsewhere: list[str] = []
        # Run for each contact at each publication: nothing is called here that can be looked up.
        for item in roster.items.values():
            if item.subscription not in SEES_US or not (everybody or may_see(node, item)):
                continue
            local_part, _, item_domain = item.jid.partition("@")
            if item_domain != domain:
                elsewhere += [
                    full
                    for full in self._accounts.remote.of(item.jid, local)
                    if wanted in (features(full) or ())
                ]
                continue
            contact = users.get(local_part)
            if contact is None:
                continue
            for session in contact.sessions.values():
                if session.presence is not None and wanted in (features(session.jid.full) or ()):
                    sessions.append(session)
        return sessions, elsewhere


def may_see(node: Node, item: RosterItem) -> bool:
    """Tell whether a contact who sees the owner's presence may see a node."""
    affiliation, model = node.affiliation(item.jid), node.config["access_model"]
    if affiliation in ("outcast", "publish-only"):
        return False
    if model in ("open", "presence") or affiliation in access.WHITELISTED:
        return True
    allowed = node.config["roster_groups_allowed"]
    return model == "roster" and isinstance(allowed, list) and not set(allowed).isdisjoint(item.groups)


def wanted_nodes(features: Iterable[str]) -> frozenset[str]:
    """Give the nodes that a client asks for by what it can do (XEP-0060 section 9.2)."""
    return frozenset(feature.removesuffix(NOTIFY) for feature in features if feature.endswith(NOTIFY))


def _concerns(space: Space, node: Node, bare: str) -> bool:
    return space.is_owner(node, bare) or node.affiliation(bare) != "none" or bool(node.subscriptions_of(bare))


def texts(options: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """Give publish options of a module as forms have them."""
    return {
        name: value if isinstance(value, list) else [str(value)] for name, value in (options or {}).items()
    }
