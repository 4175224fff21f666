"""A PubSub service on a domain of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver.errors import StanzaError
from palaver.interfaces import IService
from palaver.jid import JID
from palaver.pubsub import approval, discovery, membership, owning, publishing, store, subscribing, verbs
from palaver.pubsub.commands import NS_COMMANDS, get_pending
from palaver.pubsub.conditions import NS_OWNER, NS_PUBSUB
from palaver.pubsub.node import Node, read_node
from palaver.pubsub.notices import HEADERS, NS_SHIM
from palaver.pubsub.space import MAX_SWEPT, Space, unless_gone
from palaver.pubsub.store import Place
from palaver.push.elements import NS_PUSH
from palaver.routing.disco import NS_INFO, NS_ITEMS, info
from palaver.routing.failures import failed
from palaver.routing.iqs import check_request
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.router import Router

Creators = Literal["all", "local", "none"]

MODULE = "mod_pubsub"
# The type of nodes that make a push service of this (XEP-0357 section 4.2).
PUSH = "push"


class ServiceSpace(Space):
    """The nodes of a service: each is an owner in the storage, and they are found by tags."""

    creators: Creators = "all"

    def place(self, name: str) -> Place:
        """See Space."""
        return store.on_service(self.address.domain, name)

    def may_create(self, asker: JID) -> bool:
        """See Space."""
        return self.creators == "all" or (self.creators == "local" and asker.domain == self.host.domain)

    async def count_nodes(self, creator: str) -> int:
        """See Space."""
        most = self.limits.max_nodes_user
        return len(await self._tagged(store.SERVICE_NODE, f"by:{store.short(creator)}", most))

    async def nodes(self, parent: str, after: str, limit: int) -> list[Node]:
        """See Space."""
        found = await self._tagged(store.SERVICE_NODE, f"in:{parent}", limit, after)
        return [read_node(document.owner, document.value) for document in found]

    async def of_entity(self, bare: str) -> list[Node]:
        """See Space."""
        names: dict[str, None] = {}
        for kind in (store.SERVICE_SUBSCRIPTION, store.SERVICE_AFFILIATION):
            found = await self._tagged(kind, store.short(bare), subscribing.MAX_LISTED)
            names.update(dict.fromkeys(document.owner for document in found))
        nodes = [await self.find(name) for name in names]
        return [node for node in nodes if node is not None and not node.moved]

    async def _tagged(self, kind: str, tag: str, limit: int, after: str = "") -> list[Any]:
        return await self.store.with_tag(self.address.domain, kind, tag, limit, after)

    # -- what nobody asks for ---------------------------------------------------------

    async def sweep(self) -> None:
        """Delete what has expired: items and subscriptions. Raises StorageError."""
        for kind, work in (
            (store.SERVICE_NODE, publishing.expire),
            (store.SERVICE_SUBSCRIPTION, subscribing.end_leases),
        ):
            found = await self._tagged(kind, store.EXPIRING, MAX_SWEPT)
            for name in dict.fromkeys(document.owner for document in found):
                await unless_gone(work(self, name))

    async def forget(self, bare: str) -> None:
        """Take away all that an account has here, which is deleted: another one may get its name.

        Nodes that nobody else owns are deleted. Raises StorageError.
        """
        for node in await self.of_entity(bare):
            if node.owners() == [bare]:
                await unless_gone(owning.remove(self, node.name, None))
            else:
                await unless_gone(self.change(node.name, partial(membership.forget, self, bare)))


@implementer(IService)
class Service:
    """Answers for a domain with a `ServiceSpace`."""

    def __init__(self, router: Router, space: ServiceSpace, name: str) -> None:
        self.domain = space.address.domain
        self.name = name
        self._router = router
        self._space = space
        self._iqs: dict[tuple[str, str, str], Callable[[Stanza], Awaitable[bytes | None]]] = {
            ("get", NS_INFO, "query"): self._info,
            ("get", NS_ITEMS, "query"): self._items,
            ("set", NS_COMMANDS, "command"): partial(get_pending, space),
        }
        for kind in ("get", "set"):
            for ns in (NS_PUBSUB, NS_OWNER):
                self._iqs[kind, ns, "pubsub"] = partial(verbs.answer, space)

    def deliver(self, stanza: Stanza, to: JID) -> Deferred[Any] | None:
        """See IService."""
        if stanza.name == "iq":
            return self._deliver_iq(stanza, to)
        if stanza.name == "message" and stanza.type != "error":
            return Deferred.fromCoroutine(self._take_answer(stanza))
        return None

    def _deliver_iq(self, iq: Stanza, to: JID) -> Deferred[Any] | None:
        wrong = check_request(iq)
        if wrong is not None:
            return self._router.bounce(iq, wrong)
        if iq.type in ("result", "error"):
            return None
        handler = self._iqs.get((str(iq.type), *iq.children[0]))
        if handler is None or to.local or to.resource:
            return self._router.bounce(iq, StanzaError("service-unavailable"))
        return Deferred.fromCoroutine(self._answer(iq, handler))

    async def _answer(self, iq: Stanza, handler: Callable[[Stanza], Awaitable[bytes | None]]) -> None:
        try:
            answer = iq.result(await handler(iq))
        except Exception:
            self._router.bounce(iq, failed(MODULE, Failure()))
            return
        waiting = self._router.reply(iq, answer)
        if waiting is not None:
            await waiting

    async def _take_answer(self, message: Stanza) -> None:
        """Take an owner's answer to a request to subscribe; any other message means nothing here."""
        try:
            await approval.answered(self._space, message)
        except Exception:
            self._router.bounce(message, failed(MODULE, Failure()))

    # -- disco ------------------------------------------------------------------------

    async def _info(self, iq: Stanza) -> bytes:
        node = _node(iq, NS_INFO)
        if node == NS_SHIM:
            return info([], [f"{NS_SHIM}#{name}" for name in HEADERS], node=node)
        if node is not None:
            assert iq.sender is not None
            return await discovery.node_info(self._space, node, iq.sender)
        identities = [("pubsub", "service", self.name)]
        if PUSH in self._space.kinds:
            identities.append(("pubsub", PUSH, self.name))
        return info(identities, sorted(self._features()))

    def _features(self) -> Iterable[str]:
        features = {NS_INFO, NS_ITEMS, NS_COMMANDS, NS_SHIM, *discovery.SERVICE_FEATURES}
        if PUSH in self._space.kinds:
            features.add(NS_PUSH)
        return features.union(discovery.COLLECTION_FEATURES) if self._space.has_collections else features

    async def _items(self, iq: Stanza) -> bytes:
        return await discovery.items(self._space, iq, _node(iq, NS_ITEMS))


def _node(iq: Stanza, ns: str) -> str | None:
    query = iq.child(ns, "query")
    return query.getAttribute("node") or None if query is not None else None
