"""XEP-0355: Namespace Delegation, as the administrator configures it."""

from __future__ import annotations

import secrets
from collections import Counter
from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator
from twisted.internet.defer import CancelledError, Deferred, TimeoutError

from palaver.entities.delegations import (
    NS_DELEGATION,
    REST_OF_INFO,
    REST_OF_ITEMS,
    SPECIAL,
    Delegations,
    answers,
)
from palaver.entities.wrapping import forwarded, wrap
from palaver.errors import StanzaError
from palaver.interfaces import IComponents, IHost, IPrivileges
from palaver.jid import JID
from palaver.log import Log
from palaver.markup import element
from palaver.modules import HOST, SELF, Module, Settings, iq
from palaver.routing import nesting
from palaver.routing.access import sees_presence
from palaver.routing.disco import NS_INFO, NS_ITEMS
from palaver.routing.iqs import REQUEST_TIMEOUT_S, IqRoute
from palaver.settings import Domain, Section
from palaver.settings.values import Seconds
from palaver.stanza import Stanza, make

log = Log("delegation")

NS_PUBSUB = "http://jabber.org/protocol/pubsub"

# Requests of one host that a service has not answered yet; each holds its stanza. Nobody has more than a
# small part of them, so that one account cannot have all others refused while a service is silent.
MAX_PENDING = 10_000
MAX_PENDING_BYTES = 64 * 1024 * 1024
MAX_PENDING_EACH = 100
# Section 7.2: the nodes in which a service says what is to be announced, of the host and of accounts.
SEPARATORS = {HOST: "::", SELF: ":bare:"}


class DelegatedNamespace(Section):
    """A namespace that one service answers for."""

    namespace: str = Field(
        min_length=1,
        description="That of the payload of requests; "
        f"`{REST_OF_INFO}` and `{REST_OF_ITEMS}` stand for queries about accounts that nobody here answers.",
    )
    attributes: tuple[str, ...] = Field(
        (), description="Only requests whose payload has all these attributes; the others stay here."
    )

    @field_validator("namespace")
    @classmethod
    def _may_be(cls, namespace: str) -> str:
        if namespace.startswith(NS_DELEGATION) and namespace not in SPECIAL:
            raise ValueError(f"{namespace} cannot be delegated; of this kind there are {', '.join(SPECIAL)}")
        return namespace

    @model_validator(mode="after")
    def _filtered(self) -> DelegatedNamespace:
        if self.attributes and self.namespace in SPECIAL:
            raise ValueError(f"{self.namespace} goes without attributes")
        return self


def _named(given: Any) -> Any:
    return {"namespace": given} if isinstance(given, str) else given


class ManagingEntity(Section):
    """What one service answers for."""

    delegations: list[Annotated[DelegatedNamespace, BeforeValidator(_named)]] = Field(
        min_length=1,
        description="Namespaces: a text each, or `{ namespace = …, attributes = […] }` for requests with "
        "these attributes alone.",
    )


class DelegationSettings(Settings):
    """Options of mod_delegation."""

    managing_entities: dict[Domain, ManagingEntity] = Field(
        {},
        description="By a service's domain a table with `delegations`: namespaces, a text each, or "
        "`{ namespace = …, attributes = […] }` for requests that have these attributes alone.",
    )
    timeout: Seconds = Field(
        REQUEST_TIMEOUT_S, description="Seconds for a service to answer; then the request is refused."
    )


class Delegation(Module):
    """Has services answer requests to the host and to its accounts, by the namespace of the payload.

    The services are components or handlers of this server, and hear what they answer for when they connect.
    What they announce is announced for the host and for accounts. Whoever asks notices nothing, but that
    requests are refused while the service is away, or when it answers with an error.
    """

    Settings = DelegationSettings
    settings: DelegationSettings
    features = (NS_DELEGATION,)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        entities = self.settings.managing_entities
        self._delegations = Delegations(
            {
                domain: [(entry.namespace, entry.attributes) for entry in entity.delegations]
                for domain, entity in entities.items()
            }
        )
        # What services have not answered yet, by their domain.
        self._waiting: dict[str, set[Deferred[Stanza]]] = {domain: set() for domain in entities}
        # How many requests, by service and whoever asks, and how many bytes, are among that.
        self._pending: Counter[tuple[str, str]] = Counter()
        self._pending_bytes = 0

    def start(self) -> None:
        """Take requests, announce nothing of what is delegated, and see services connect.

        Raises ValueError for a host among the services.
        """
        services = self.host.router.services
        for domain in self.settings.managing_entities:
            if domain == self.host.domain or IHost.providedBy(services.get(domain)):
                raise ValueError(f"{domain} is a host, and no service")
            for ns in self._announced(domain):
                for to in SEPARATORS:
                    self.undo(self.host.disco.nest(to, ns, nesting.NOTHING))
        self.host.delegates = self.route
        self.undo(lambda: setattr(self.host, "delegates", None))
        components = self.host.query(IComponents)
        if components is not None:
            self.undo(components.watch(self.connected, self.gone))
        for domain in self.settings.managing_entities:
            if self.host.router.serves(domain):
                self.connected(domain)

    @iq("get", NS_DELEGATION, "query")
    @iq("set", NS_DELEGATION, "query")
    def request(self, request: Stanza) -> None:
        """Refuse those who ask for a delegation: the administrator grants them, and nobody else."""
        raise StanzaError("forbidden")

    # -- services connect (sections 4.2 and 7.2) ------------------------------------------------------

    def connected(self, domain: str) -> None:
        """Tell a service what it answers for, and ask what is to be announced of that."""
        delegations = self._delegations.of(domain)
        if not delegations:
            return
        named = b"".join([_delegated(ns, attributes) for ns, attributes in delegations.items()])
        payload = element("delegation", NS_DELEGATION, named)
        attrs = {"from": self.host.domain, "to": domain, "id": secrets.token_hex(8)}
        self.host.guard(self.name, self.host.router.route, make("message", attrs, payload))
        for ns in self._announced(domain):
            for to in SEPARATORS:
                self.host.guard(self.name, self._ask, domain, to, ns)

    def _announced(self, domain: str) -> list[str]:
        """Give the namespaces of a service that have something to be announced."""
        return [ns for ns in self._delegations.of(domain) if ns not in SPECIAL]

    async def _ask(self, domain: str, to: str, ns: str) -> None:
        """Ask a service what it announces of a namespace, for the host or for accounts."""
        query = element("query", NS_INFO, node=f"{NS_DELEGATION}{SEPARATORS[to]}{ns}")
        try:
            answer = await self._request(domain, make("iq", {"type": "get", "to": domain}, query))
        except StanzaError:
            announced = nesting.NOTHING
        else:
            announced = nesting.read(answer.child(NS_INFO, "query"))
        if self.host.delegates == self.route:
            self.host.disco.nest(to, ns, announced)

    async def _request(self, domain: str, request: Stanza) -> Stanza:
        """Ask a service; whatever goes wrong with it is the service's being away (section 4.3)."""
        waiting = self.host.request(request, self.settings.timeout)
        self._waiting[domain].add(waiting)
        try:
            return await waiting
        except (StanzaError, TimeoutError, CancelledError):
            raise StanzaError("service-unavailable") from None
        finally:
            self._waiting[domain].discard(waiting)

    def gone(self, domain: str) -> None:
        """Wait no longer for a service that has gone."""
        for waiting in list(self._waiting.get(domain, ())):
            waiting.cancel()

    # -- requests (section 4.3) ---------------------------------------------------------------------

    def route(self, kind: str, request: Stanza) -> IqRoute | None:
        """Give the route of a request that a service answers; see `Host.delegates`."""
        ns, name = request.children[0]
        if kind == HOST and "/" in request.attrs.get("to", ""):
            return None
        domain, handler = self._delegations.service(ns, request), self._forward
        if domain is None and kind != HOST and ns in (NS_INFO, NS_ITEMS):
            domain, handler = self._rest(ns, request), self._discover
        if domain is None or self._speaks(domain, request):
            return None
        # Others' requests do not wait for a program that may take a minute (section 9).
        return IqRoute(request.attrs["type"], ns, name, kind, self.name, partial(handler, domain), "parallel")

    def _speaks(self, domain: str, request: Stanza) -> bool:
        """Tell whether a request is a service's own, be it in an account's name: the host answers that."""
        sender = request.sender
        if sender is None or sender.domain == domain:
            return True
        privileges = self.host.query(IPrivileges)
        return privileges is not None and privileges.speaker(request) == domain

    async def _forward(self, domain: str, request: Stanza) -> Stanza:
        """Give a service's answer to a request; raises StanzaError without one, or for one that is none."""
        if not self.host.router.serves(domain):
            # Another server that has the name is not meant.
            raise StanzaError("service-unavailable")
        sender = request.sender
        answer = await self._counted(domain, self._asker(sender), request)
        result = forwarded(answer, NS_DELEGATION, "delegation")
        own = (self.host.domain, sender.bare) if sender is not None else ()
        if result is None or not answers(result, request, *own):
            log.warn("bad-answer", service=domain, id=request.id)
            raise StanzaError("service-unavailable")
        attrs = request.result().attrs
        if "from" not in attrs and "from" in result.attrs:
            attrs["from"] = result.attrs["from"]
        return Stanza("iq", attrs, result.children, result.inner)

    def _asker(self, sender: JID | None) -> str:
        """Give under which name a request counts: an account's, or a whole domain's from elsewhere."""
        if sender is None:
            return ""
        return sender.bare if sender.domain == self.host.domain else sender.domain

    async def _counted(self, domain: str, sender: str, request: Stanza) -> Stanza:
        """Have a service answer one of the requests that may wait for it; raises StanzaError."""
        payload = wrap("delegation", NS_DELEGATION, request)
        size, pending = len(payload), self._pending
        full = len(self._waiting[domain]) >= MAX_PENDING or self._pending_bytes + size > MAX_PENDING_BYTES
        if full or pending[domain, sender] >= MAX_PENDING_EACH:
            raise StanzaError("resource-constraint", "Too many requests wait for this service")
        pending[domain, sender] += 1
        self._pending_bytes += size
        try:
            return await self._request(domain, make("iq", {"type": "set", "to": domain}, payload))
        finally:
            pending[domain, sender] -= 1
            if not pending[domain, sender]:
                del pending[domain, sender]
            self._pending_bytes -= size

    # -- what accounts are asked and nobody here knows (section 7.2) --------------------------------------

    def _rest(self, ns: str, request: Stanza) -> str | None:
        """Give the service for a query about an account, or about a node that no module has added."""
        domain = self._delegations.service(REST_OF_INFO if ns == NS_INFO else REST_OF_ITEMS, request)
        node = _node(request)
        mine = (SELF, ns, node) in self.host.disco.nodes if node else ns == NS_INFO
        return None if mine or request.type != "get" else domain

    async def _discover(self, domain: str, request: Stanza) -> Stanza:
        """Answer a query about an account for those who see its presence, as without a service."""
        sender = request.sender
        assert sender is not None
        account = (request.to or sender).without_resource()
        if sender.bare != account.bare and not await sees_presence(self.host, account.local, sender):
            raise StanzaError("service-unavailable")
        ns, node = request.children[0][0], _node(request)
        published = self.host.disco.account_nodes
        if node and published is not None and NS_PUBSUB not in self._delegations:
            find = published.node_info if ns == NS_INFO else published.node_items
            try:
                return request.result(await find(request, node)).replace(from_=account.bare)
            except StanzaError as error:
                if error.condition != "item-not-found":
                    raise
        return await self._forward(domain, request)


def _node(request: Stanza) -> str:
    node: str = request.element.firstChildElement().getAttribute("node", "")
    return node


def _delegated(ns: str, attributes: tuple[str, ...]) -> bytes:
    inner = b"".join([element("attribute", None, b"", name_=name) for name in attributes])
    return element("delegated", None, inner, namespace=ns)
