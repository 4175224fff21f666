"""The door for HTTP: its ports, what is mounted behind them, and client streams that come through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any
from weakref import WeakSet

from twisted.internet.task import deferLater
from zope.interface import implementer

from palaver.settings import ComponentListener, HttpListener
from palaver.streams.tls import ALPN_HTTP
from palaver.web.interfaces import IWeb
from palaver.web.mounts import Mounts
from palaver.web.proxies import Client, client_of

# For clients to read the last answers; the process must end whatever they do.
GOODBYE_S = 2.0
# How often to look whether they have.
LOOK_S = 0.01


class HttpPort:
    """The factory of one listening port; HTTP itself is loaded with the first connection."""

    name = "http"
    noisy = False

    def __init__(self, table: HttpListener, door: Door, reactor: Any, tls: Any) -> None:
        self.table = table
        # What becomes a stream is with the listener of its transport; the rest is nobody's to wait for.
        self.connections: tuple[()] = ()
        self._door = door
        self._reactor = reactor
        self._tls = tls
        self._factory: Any = None

    def doStart(self) -> None:
        """See IProtocolFactory."""

    def doStop(self) -> None:
        """See IProtocolFactory."""
        if self._factory is not None:
            self._factory.doStop()
            self._factory = None

    def buildProtocol(self, address: Any) -> Any:
        """Give the protocol of a connection."""
        if self._factory is None:
            self._factory = self._open()
            self._factory.doStart()
        return self._factory.buildProtocol(address)

    def client(self, request: Any) -> Client:
        """Give who sent a request, behind proxies that are trusted."""
        return client_of(request, [ip_network(text, strict=False) for text in self.table.trusted_proxies])

    def _open(self) -> Any:
        from twisted.protocols.tls import TLSMemoryBIOFactory

        from palaver.web.site import WebSite

        site = WebSite(self, self._door.mounts, self._reactor)
        self._door.sites.add(site)
        if self.table.tls == "off":
            return site
        return TLSMemoryBIOFactory(self._tls.for_server(None, ALPN_HTTP), False, site, self._reactor)


@implementer(IWeb)
class Door:
    """What a server shows over HTTP."""

    def __init__(
        self,
        hosts: Mapping[str, Any],
        reactor: Any,
        make_listener: Callable[[str], Any],
        make_component_port: Callable[[ComponentListener], Any],
    ) -> None:
        """``make_listener`` gives the `Listener` of client streams over a transport of this name.

        ``make_component_port`` gives the `ComponentPort` after a table.
        """
        self.mounts = Mounts(hosts)
        # The sites of the ports, those that are closed by now too.
        self.sites: WeakSet[Any] = WeakSet()
        # A text for every listener of the server, as `palaver.service.Palaver.addresses` gives them.
        self.addresses: Callable[[], list[str]] = list
        self._reactor = reactor
        self._make_listener = make_listener
        self._make_component_port = make_component_port
        self._listeners: dict[str, Any] = {}
        self._shared: dict[str, Any] = {}
        self._advertised: dict[str, dict[str, str]] = {}

    def port(self, table: HttpListener, tls: Any) -> HttpPort:
        """Give the factory of a port."""
        return HttpPort(table, self, self._reactor, tls)

    async def stop(self) -> None:
        """Let those who speak HTTP have their answers, and cut off who does not take them."""
        sites = list(self.sites)
        for site in sites:
            site.close()
        deadline = self._reactor.seconds() + GOODBYE_S
        while self._reactor.seconds() < deadline and any(len(site.channels) for site in sites):
            await deferLater(self._reactor, LOOK_S)
        for site in sites:
            site.cut_off()

    def mount(self, domain: str, path: str, make: Callable[[], Any]) -> Callable[[], None]:
        """See IWeb."""
        return self.mounts.mount(domain, path, make)

    def advertise(self, domain: str, rel: str, path: str) -> Callable[[], None]:
        """See IWeb."""
        paths = self._advertised.setdefault(domain, {})
        paths[rel] = path

        def take_back() -> None:
            if paths.get(rel) == path:
                del paths[rel]

        return take_back

    def advertised(self, domain: str) -> Mapping[str, str]:
        """See IWeb."""
        return self._advertised.get(domain, {})

    def listener(self, name: str) -> Any:
        """See IWeb."""
        found = self._listeners.get(name)
        if found is None:
            found = self._listeners[name] = self._make_listener(name)
        return found

    def component_listener(self, domain: str, table: ComponentListener) -> Any:
        """See IWeb."""
        # No name of a transport has a space.
        name = f"component {domain}"
        found = self._listeners.get(name)
        if found is None:
            found = self._listeners[name] = self._make_component_port(table)
        found.table = table
        found.settings = replace(found.settings, max_stanza_bytes=table.max_stanza_bytes)
        return found

    def shared(self, name: str, make: Callable[[], Any]) -> Any:
        """See IWeb."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]

    def connections(self) -> list[Any]:
        """Give the connections of streams that came through here."""
        return [connection for found in self._listeners.values() for connection in found.connections]

    def update(self, change: Callable[[Any], None]) -> None:
        """Have the listeners changed after another config."""
        for found in self._listeners.values():
            change(found)

    def client(self, request: Any) -> Client:
        """See IWeb."""
        return request.site.port.client(request)  # type: ignore[no-any-return]
