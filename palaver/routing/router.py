"""Where to: the one table from domains to services, and who is asked about domains that are not in it.

A domain that a service has been added for is that service's. About any other domain the routes are
asked, in the order of ``[general] routing_modules``; the first that knows a service for it has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from palaver import jid
from palaver.errors import StanzaError
from palaver.interfaces import IFederation, IHost, IService
from palaver.jid import JID, InvalidJID
from palaver.stanza import Stanza

LOCAL, COMPONENT, CLUSTER, S2S = "local", "component", "cluster", "s2s"
ROUTES = (LOCAL, COMPONENT, CLUSTER, S2S)
"""The routes that are there, in their usual order."""

Route = Callable[[str], IService | None]
"""Gives the service of a prepared domain that no service was added for; None: ask the next one."""


@implementer(IService)
class NoRemote:
    """Stands for every domain that is not here while the server speaks to no other server."""

    domain = ""
    name = ""

    def __init__(self, router: Router) -> None:
        self._router = router

    def deliver(self, stanza: Stanza, to: JID) -> Deferred[Any] | None:
        """Refuse: there is no way there."""
        return self._router.bounce(
            stanza, StanzaError("remote-server-not-found", "This server speaks to no other servers")
        )


class Router:
    """Finds the service of a domain and hands the stanza over."""

    def __init__(self) -> None:
        self.services: dict[str, Any] = {}
        self._nowhere = NoRemote(self)
        # What the route s2s gives; streams with other servers put themselves here.
        self.remote: Any = self._nowhere
        # Services that are below every host, by what stands in front of the host's domain.
        self.subdomains: dict[str, Any] = {}
        self._routes: dict[str, Route] = {COMPONENT: self._below_host, S2S: lambda domain: self.remote}
        # Tells of domains that are not in the table and no component's all the same.
        self.is_reserved: Callable[[str], bool] = lambda domain: False
        self._first: tuple[Route, ...] = ()
        # All that are asked, and those of them that serve a domain here.
        self._order: tuple[Route, ...] = ()
        self._serving: tuple[Route, ...] = ()
        self.arrange(ROUTES)

    def add(self, service: IService) -> Any:
        """Add a service for its domain; gives the function that takes it back.

        Raises `ValueError` for a second one.
        """
        domain = service.domain
        if domain in self.services:
            raise ValueError(f"{domain} is served already")
        self.services[domain] = service
        self.claim(domain)

        def remove() -> None:
            # A host that was hidden may have taken it back meanwhile.
            if self.services.get(domain) is service:
                del self.services[domain]

        return remove

    def claim(self, domain: str) -> None:
        """Note that a domain is served here from now on: other servers may have spoken for it."""
        if IFederation.providedBy(self.remote):
            self.remote.is_ours(domain)

    def add_subdomain(self, prefix: str, service: IService) -> Callable[[], object]:
        """Add a service for the domains with a prefix before that of any host; gives what takes it back.

        Raises `ValueError` for a second one, or for a domain that is served already.
        """
        taken = [host for host in self.services if f"{prefix}.{host}" in self.services]
        if prefix in self.subdomains or taken:
            raise ValueError(f"{prefix}.{taken[0] if taken else ''} is served already")
        self.subdomains[prefix] = service
        return lambda: self.subdomains.pop(prefix, None)

    def _below_host(self, domain: str) -> Any:
        for prefix, service in self.subdomains.items():
            if domain.startswith(f"{prefix}.") and self._is_host(domain[len(prefix) + 1 :]):
                return service
        return None

    def _is_host(self, domain: str) -> bool:
        local = self._routes.get(LOCAL)
        service = self.services.get(domain) or (local(domain) if local is not None else None)
        return bool(IHost.providedBy(service))

    def below(self, host: str) -> Iterator[tuple[str, Any]]:
        """Give (domain, service) of the services whose domain is below a host's."""
        ending = f".{host}"
        yield from ((domain, service) for domain, service in self.services.items() if domain.endswith(ending))
        yield from ((prefix + ending, service) for prefix, service in self.subdomains.items())

    # -- domains that no service was added for ---------------------------------------------

    def add_route(self, name: str, route: Route) -> Callable[[], None]:
        """Have somebody asked about domains, when `arrange` names it; gives the function that takes it back.

        Raises `ValueError` for a second one of one name.
        """
        if name in self._routes:
            raise ValueError(f"there is a route {name} already")
        self._routes[name] = route
        self.arrange(self._names)

        def remove() -> None:
            del self._routes[name]
            self.arrange(self._names)

        return remove

    def arrange(self, names: Sequence[str]) -> None:
        """Ask the routes of these names in this order; those in front of ``local`` before the table too."""
        self._names = tuple(names)
        order = [(name, self._routes[name]) for name in names if name in self._routes]
        self._order = tuple(route for _, route in order)
        self._serving = tuple(route for name, route in order if name != S2S)
        before = self._names[: self._names.index(LOCAL)] if LOCAL in self._names else self._names
        # The routes of the house know no domain that is in the table.
        self._first = tuple(route for name, route in order if name in before and name not in ROUTES)

    def serves(self, domain: str) -> bool:
        """Tell whether a prepared domain is of this server, or of one that belongs to it."""
        return domain in self.services or any(route(domain) is not None for route in self._serving)

    def find(self, domain: str) -> Any:
        """Give the service of a prepared domain, be it one that only refuses."""
        for route in self._first:
            service = route(domain)
            if service is not None:
                return service
        service = self.services.get(domain)
        if service is not None:
            return service
        for route in self._order:
            service = route(domain)
            if service is not None:
                return service
        return self._nowhere

    # -- stanzas -----------------------------------------------------------------------------

    def route(self, stanza: Stanza) -> Deferred[Any] | None:
        """Take a stanza with ``to`` and ``from`` where it goes.

        Gives None when all is done, or a Deferred that fires when everything that had to be
        stored is committed.
        """
        try:
            to = jid.parse(stanza.attrs["to"])
        except InvalidJID as error:
            return self.bounce(stanza.replace(to=None), StanzaError("jid-malformed", str(error)))
        service = self.services.get(to.domain)
        if service is None or self._first:
            service = self.find(to.domain)
        waiting: Deferred[Any] | None = service.deliver(stanza, to)
        return waiting

    def bounce(self, stanza: Stanza, error: StanzaError) -> Deferred[Any] | None:
        """Answer a stanza with an error: never an error or a result, and never presence without need."""
        if stanza.type in ("error", "result"):
            return None
        return self.reply(stanza, stanza.error(error))

    def reply(self, stanza: Stanza, answer: Stanza) -> Deferred[Any] | None:
        """Send an answer back to where a stanza came from; straight to its session when that is here."""
        if stanza.origin is not None:
            stanza.origin.send(answer)
            return None
        return self.route(answer) if "to" in answer.attrs else None
