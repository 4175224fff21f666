"""A space: the nodes under one address, and what its service and its people's relations decide."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from twisted.internet.defer import Deferred

from palaver.errors import StanzaError
from palaver.interfaces import INodeTree, INodeType
from palaver.jid import JID
from palaver.pubsub.conditions import Moved
from palaver.pubsub.config import ACCESS_MODELS, Bounds
from palaver.pubsub.digests import Digests
from palaver.pubsub.fields import Values
from palaver.pubsub.node import PRESENCE, Node
from palaver.pubsub.store import Item, Place, Store, expiry_rank
from palaver.pubsub.turns import Turns
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.sessions import Session

T = TypeVar("T")

# Nodes in memory, each counted with its affiliations and subscriptions; one of them takes about 300 bytes.
MAX_WEIGHT = 100_000
# A newest item that is larger is read again when it is wanted.
MAX_REMEMBERED_BYTES = 4096
MAX_REMEMBERED_ITEMS = 10_000


# How many nodes one sweep looks after; the others wait for the next one.
MAX_SWEPT = 10_000


class Limits(NamedTuple):
    """How much there may be; names as in the options of the modules."""

    max_nodes_user: int
    max_items: int
    max_payload_bytes: int
    max_page_items: int
    max_subscriptions_node: int
    max_subscriptions_user: int
    max_affiliations_node: int


class Cache:
    """Nodes in memory, of one space or of many: those used last, up to `MAX_WEIGHT`.

    ``newest`` are newest items, by what the nodes go by.
    """

    def __init__(self, max_weight: int = MAX_WEIGHT) -> None:
        self._max_weight = max_weight
        self._nodes: OrderedDict[tuple[str, str], tuple[Node, int]] = OrderedDict()
        self._weight = 0
        self._newest: OrderedDict[tuple[str, str], Item | None] = OrderedDict()

    def get(self, key: tuple[str, str]) -> Node | None:
        """Give a node that is in memory, by address and name."""
        held = self._nodes.get(key)
        if held is None:
            return None
        self._nodes.move_to_end(key)
        return held[0]

    def put(self, key: tuple[str, str], node: Node) -> None:
        """Take a node, or one that has changed."""
        self._drop(key)
        weight = 1 + len(node.subscriptions) + len(node.affiliations)
        self._nodes[key] = (node, weight)
        self._weight += weight
        while self._weight > self._max_weight and len(self._nodes) > 1:
            self._drop(next(iter(self._nodes)))

    def drop(self, key: tuple[str, str]) -> None:
        """Forget a node, and its newest item."""
        self._drop(key)
        self._newest.pop(key, None)

    def drop_all(self, address: str) -> None:
        """Forget all nodes of an address."""
        for key in [key for key in (*self._nodes, *self._newest) if key[0] == address]:
            self.drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        held = self._nodes.pop(key, None)
        if held is not None:
            self._weight -= held[1]

    def knows_newest(self, key: tuple[str, str]) -> bool:
        """Tell whether `newest` can say what the newest item is."""
        return key in self._newest

    def newest(self, key: tuple[str, str]) -> Item | None:
        """Give the newest item; None when the node has none."""
        self._newest.move_to_end(key)
        return self._newest[key]

    def put_newest(self, key: tuple[str, str], item: Item | None) -> None:
        """Remember the newest item, or that there is none."""
        self._newest.pop(key, None)
        if item is None or len(item.payload) <= MAX_REMEMBERED_BYTES:
            self._newest[key] = item
        if len(self._newest) > MAX_REMEMBERED_ITEMS:
            self._newest.popitem(last=False)

    def drop_newest(self, key: tuple[str, str]) -> None:
        """Forget which item is the newest."""
        self._newest.pop(key, None)


class Shared:
    """What spaces of one module share: nodes in memory, turns, digests, and who is subscribed for now.

    Both others are (address, node) by bare JID: ``temporary`` of those whose subscriptions end with their
    presence, ``emptied`` of those who have published what is to go with them.
    """

    def __init__(self) -> None:
        self.cache = Cache()
        self.turns = Turns()
        self.digests = Digests()
        self.temporary: dict[str, set[tuple[str, str]]] = {}
        self.emptied: dict[str, set[tuple[str, str]]] = {}

    def concerns(self, bare: str) -> bool:
        """Tell whether there is something to do when somebody goes offline."""
        return bare in self.temporary or bare in self.emptied


class Space:
    """The nodes under one address.

    What is special about a service, or about an account's own, is in methods that each of them overrides.
    """

    access_models: tuple[str, ...] = ACCESS_MODELS
    # Whether publishing to a node that is not there makes it.
    auto_create = False
    has_collections = True

    def __init__(
        self,
        host: Host,
        address: JID,
        limits: Limits,
        kinds: Mapping[str, INodeType],
        tree: INodeTree,
        defaults: Values,
        shared: Shared,
    ) -> None:
        """``kinds`` by name, the first for nodes made without one; ``defaults`` of the config file."""
        self.host = host
        self.address = address
        self.limits = limits
        self.kinds = kinds
        self.tree = tree
        self.defaults = defaults
        self.shared = shared
        self.cache = shared.cache
        self.store = Store(host.storage)
        self.bounds = Bounds(limits.max_items, limits.max_payload_bytes, self.access_models)

    # -- what differs ---------------------------------------------------------------

    def place(self, name: str) -> Place:
        """Say where a node is kept."""
        raise NotImplementedError

    def may_create(self, asker: JID) -> bool:
        """Tell whether somebody may make nodes."""
        raise NotImplementedError

    def is_owner(self, node: Node, bare: str) -> bool:
        """Tell whether somebody owns a node."""
        return node.affiliation(bare) == "owner"

    def owners(self, node: Node) -> list[str]:
        """Give the bare JIDs of those who own a node."""
        return node.owners()

    async def count_nodes(self, creator: str) -> int:
        """Give how many nodes somebody has made, or more than may be."""
        raise NotImplementedError

    async def nodes(self, parent: str, after: str, limit: int) -> list[Node]:
        """Give nodes at the top ("") or in a collection, by name, those behind ``after``.

        Who is affiliated or subscribed is not read.
        """
        raise NotImplementedError

    async def of_entity(self, bare: str) -> list[Node]:
        """Give the nodes that somebody is affiliated with or subscribed to."""
        raise NotImplementedError

    async def implicit(self, node: Node) -> tuple[list[Session], list[str]]:
        """Give who is notified without a subscription: sessions of this host, and full JIDs elsewhere.

        Raises StorageError.
        """
        return [], []

    def hides_nobody(self) -> bool:
        """Tell whether it is known at once that `hides_from` says no to everybody."""
        return True

    def hides_from(self, bare: str) -> bool | Awaitable[bool]:
        """Tell whether the owner has shut somebody out of everything. Raises StorageError."""
        return False

    def made(self, node: Node) -> None:
        """Hear that a node is there."""

    def unmade(self, node: Node) -> None:
        """Hear that a node is there no longer."""

    def published(self, node: Node, item: Item, by: JID | None) -> Awaitable[object] | None:
        """Hear that an item is stored; ``by`` is None when a module published it."""
        return None

    def retracted(self, node: Node, item_id: str | None) -> Awaitable[object] | None:
        """Hear that an item is gone, or all of them."""
        return None

    # -- nodes ------------------------------------------------------------------------

    def key(self, name: str) -> tuple[str, str]:
        """Give what a node goes by in the cache."""
        return self.address.full, name

    def turn(self, name: str, work: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """Run ``work`` while nobody else works on a node; see `Turns`."""
        return self.shared.turns.take(f"{self.address.full} {name}", work)

    async def configuring(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` while nobody else changes what nodes are like or how they hang together.

        It may take turns of nodes; whoever has one of those must not come here.
        """
        # No node has this name.
        return await (self.turn("", work) if self.has_collections else work())

    async def find(self, name: str) -> Node | None:
        """Give a node; None when there is none, or a note of where it has gone. Raises StorageError."""
        node = self.cache.get(self.key(name))
        if node is None:
            node = await self.turn(name, lambda: self.load(name))
        return node

    async def load(self, name: str) -> Node | None:
        """Give a node within a turn of its own. Raises StorageError."""
        node = self.cache.get(self.key(name))
        if node is None:
            node = await self.store.node(self.place(name), name)
            if node is not None:
                self._sort_temporary(node)
                self.cache.put(self.key(name), node)
        return node

    def _sort_temporary(self, node: Node) -> None:
        """Leave out subscriptions of those who have gone, perhaps while the server was down."""
        for held in list(node.subscriptions.values()):
            if held.option("expire") == PRESENCE:
                if self.is_online(held.jid):
                    self.note_temporary(held.bare, node.name)
                else:
                    node.drop(held.subid)

    @staticmethod
    def there(node: Node | None) -> Node:
        """Give the node; raises `StanzaError` ``item-not-found``, or ``gone`` when it has moved."""
        if node is None:
            raise StanzaError("item-not-found", "There is no such node")
        if node.moved:
            raise Moved(node.moved)
        return node

    async def get(self, name: str | None) -> Node:
        """Give a node that must be there. Raises StanzaError, StorageError."""
        return self.there(await self.find(name or ""))

    async def change(self, name: str, work: Callable[[Node], Awaitable[T]]) -> T:
        """Run ``work`` with a node that must be there, in its turn. Raises StanzaError, StorageError."""

        async def take() -> T:
            node = self.there(await self.load(name))
            try:
                return await work(node)
            finally:
                # It may be heavier than before.
                if self.cache.get(self.key(name)) is node:
                    self.cache.put(self.key(name), node)

        return await self.turn(name, take)

    async def newest(self, node: Node) -> Item | None:
        """Give the newest item that has not expired; not to be called within a turn. Raises StorageError."""
        key = self.key(node.name)
        if not self.cache.knows_newest(key):
            item = await self.turn(node.name, lambda: self._read_newest(node))
        else:
            item = self.cache.newest(key)
        return item if item is not None and item.rank >= expiry_rank(node) else None

    async def _read_newest(self, node: Node) -> Item | None:
        found = await self.store.page(self.place(node.name), 1, descending=True)
        item = found[0] if found else None
        self.cache.put_newest(self.key(node.name), item)
        return item

    # -- people -----------------------------------------------------------------------

    def note_temporary(self, bare: str, name: str) -> None:
        """Note that a subscription is for as long as the subscriber is online."""
        self.shared.temporary.setdefault(bare, set()).add(self.key(name))

    def sessions(self, jid: str) -> list[Session] | None:
        """Give the available sessions of an address; None when it is not of this host, and nobody knows."""
        bare, _, resource = jid.partition("/")
        local, _, domain = bare.rpartition("@")
        if domain != self.host.domain:
            return None
        user = self.host.users.get(local)
        present = user.available() if user is not None else []
        return [session for session in present if not resource or session.jid.resource == resource]

    def is_online(self, jid: str) -> bool:
        """Tell whether somebody of this host is online; others are taken to be."""
        sessions = self.sessions(jid)
        return sessions is None or bool(sessions)

    def send(self, stanza: Stanza) -> Deferred[object] | None:
        """Route a stanza that this address sends."""
        return self.host.router.route(stanza)


async def unless_gone(work: Awaitable[object]) -> None:
    """Wait for work on a node that may be gone by now. Raises StorageError."""
    try:
        await work
    except StanzaError:
        return
