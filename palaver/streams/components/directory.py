"""Which components there may be, which are connected, and what the router is told of them."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver.auth.accounts import InThread
from palaver.errors import StanzaError, StreamError
from palaver.interfaces import IComponents, IHost, IService
from palaver.jid import JID
from palaver.routing.failures import failed
from palaver.routing.router import Router
from palaver.settings import Component, ComponentListener
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.streams.components.stream import ComponentStream

Watcher = Callable[[str], object]
"""Is told a domain."""

# It may be back in a moment, so senders are told to wait.
AWAY = StanzaError("service-unavailable", "The component is not connected", type="wait")
REPLACED = StreamError("conflict", "Replaced by a new connection")
GONE = StreamError("host-gone", "This component is served no longer")


@implementer(IService)
class ComponentService:
    """One domain of a component: what is for it goes to its stream, or comes back while there is none."""

    __slots__ = ("_leave", "_router", "domain", "hidden", "name", "stream")

    def __init__(self, router: Router, domain: str, name: str | None, hidden: bool) -> None:
        self._router = router
        self.domain = domain
        self.name = name or domain
        self.hidden = hidden
        self.stream: ComponentStream | None = None
        # Takes it off the router; None for one that stays when its stream ends.
        self._leave: Callable[[], object] | None = None

    def deliver(self, stanza: Stanza, to: JID) -> Deferred[Any] | None:
        """See IService."""
        stream = self.stream
        if stream is None:
            return self._router.bounce(stanza, AWAY)
        stream.write(stanza.encode())
        return None

    def stay_until(self, leave: Callable[[], object]) -> None:
        """Be served only while a stream is there; ``leave`` is called at its end."""
        self._leave = leave

    def vacate(self) -> None:
        """Have no stream any more."""
        self.stream = None
        if self._leave is not None:
            self._leave()


@implementer(IComponents)
class Directory:
    """The components of a server.

    Those with a table in ``[components]`` are served whether they are connected or not; others, which show
    the secret of their listener, only while they are.
    """

    def __init__(self, router: Router, in_thread: InThread = deferToThread) -> None:
        """``in_thread`` runs what takes milliseconds."""
        self.router = router
        self.in_thread = in_thread
        # Those who are told what connects, and what goes.
        self._connected: list[Watcher] = []
        self._gone: list[Watcher] = []
        # By domain; `configure` replaces them.
        self.tables: Mapping[str, Component] = {}
        # By domain; by prefix with a dot behind it for those below every host.
        self._services: dict[str, ComponentService] = {}

    def configure(self, tables: Mapping[str, Component]) -> None:
        """Take the tables by domain; the streams of those that are gone, or have another secret, end.

        Raises ValueError, and then nothing has changed, for a domain that is served by something else.
        """
        for domain in tables:
            if domain in self.router.services and domain not in self._services:
                raise ValueError(f"{domain} is served already")
        old, self.tables = self.tables, dict(tables)
        for domain in [domain for domain, table in old.items() if tables.get(domain) != table]:
            self._remove(domain)
        for domain, table in tables.items():
            if old.get(domain) == table:
                continue
            if domain in self._services:
                # It came by the listener's secret, and has a table now.
                self._remove(domain)
            service = ComponentService(self.router, domain, table.name, table.hidden)
            self._services[domain] = service
            self.router.add(service)

    def _remove(self, domain: str) -> None:
        service = self._services.pop(domain)
        self.router.services.pop(domain, None)
        if service.stream is not None:
            service.stream.end(GONE)

    def end(self, error: StreamError) -> None:
        """End every stream."""
        for service in list(self._services.values()):
            if service.stream is not None:
                service.stream.end(error)

    def secret(self, domain: str, listener: ComponentListener) -> str | None:
        """Give what a component of a domain has to know; None when there may be none of that domain."""
        table = self.tables.get(domain)
        return table.secret if table is not None else listener.secret

    def may_bind(self, domain: str, known: str, listener: ComponentListener) -> bool:
        """Tell whether a stream that showed to know the secret ``known`` may have a domain."""
        wanted = self.secret(domain, listener)
        return wanted is not None and hmac.compare_digest(wanted.encode(), known.encode())

    def attach(
        self, stream: ComponentStream, domain: str, listener: ComponentListener, below_hosts: bool = False
    ) -> ComponentService:
        """Give a domain to a stream; ``below_hosts``: it is a prefix of domains below every host.

        Raises `StreamError` ``conflict`` for a domain that something else serves.
        """
        key = f"{domain}." if below_hosts else domain
        service = self._services.get(key)
        if service is None:
            service = self._services[key] = self._temporary(key, domain, listener, below_hosts)
        elif service.stream is not None:
            if self._conflict_behaviour(domain, listener) == "disconnect":
                raise StreamError("conflict", "This component is connected already")
            service.stream.end(REPLACED)
            if service is not self._services.get(key):
                return self.attach(stream, domain, listener, below_hosts)
        service.stream = stream
        return service

    def connected(self, domain: str, below_hosts: bool = False) -> None:
        """Note that a component knows by now that it has a domain; ``below_hosts``: as in `attach`."""
        self._tell(self._connected, domain, below_hosts)

    def gone(self, domain: str, below_hosts: bool = False) -> None:
        """Note that a component has a domain no longer."""
        self._tell(self._gone, domain, below_hosts)

    def _tell(self, watchers: list[Watcher], domain: str, below_hosts: bool) -> None:
        hosts = [host for host, service in self.router.services.items() if IHost.providedBy(service)]
        for name in [f"{domain}.{host}" for host in hosts] if below_hosts else [domain]:
            for watcher in list(watchers):
                try:
                    watcher(name)
                except Exception:
                    failed("component", Failure())

    def watch(self, connected: Watcher, gone: Watcher | None = None) -> Callable[[], None]:
        """See IComponents."""
        self._connected.append(connected)
        if gone is not None:
            self._gone.append(gone)

        def end() -> None:
            self._connected.remove(connected)
            if gone is not None:
                self._gone.remove(gone)

        return end

    def is_away(self, domain: str) -> bool:
        """See IComponents."""
        service = self._services.get(domain)
        return service is not None and service.stream is None

    def _conflict_behaviour(self, domain: str, listener: ComponentListener) -> str:
        table = self.tables.get(domain)
        own = table.conflict_behaviour if table is not None else None
        return own or listener.conflict_behaviour

    def _temporary(
        self, key: str, domain: str, listener: ComponentListener, below_hosts: bool
    ) -> ComponentService:
        if self.router.is_reserved(domain):
            raise StreamError("conflict", f"{domain} is a host, which sleeps or is disabled")
        service = ComponentService(self.router, domain, None, listener.hidden_components)
        try:
            remove = self.router.add_subdomain(domain, service) if below_hosts else self.router.add(service)
        except ValueError as error:
            raise StreamError("conflict", str(error)) from None

        def leave() -> None:
            self._services.pop(key, None)
            remove()

        service.stay_until(leave)
        return service
