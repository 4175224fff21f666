"""The ports that are open, and how a running server changes them without losing a connection."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from twisted.internet.error import CannotListenError

from palaver.settings import Port
from palaver.waiting import settled

Place = tuple[str, int, str, int]
"""Interface and port; where any free port will do, its kind and a running number too."""


class Listener(Protocol):
    """The factory of a port."""

    name: str

    @property
    def connections(self) -> Collection[Any]:
        """Those that are open."""


class OpenPort(NamedTuple):
    """One listening socket."""

    table: Port
    listener: Any
    port: Any


class Ports:
    """Opens, keeps and closes listening sockets after the tables of ``[[listen.…]]``."""

    def __init__(self, reactor: Any, make: Callable[[Any], Listener]) -> None:
        """``make`` gives the factory of a new port, after its table."""
        self._reactor = reactor
        self._make = make
        self._open: dict[Place, OpenPort] = {}
        # Ports are gone that still have connections.
        self._closed: list[Listener] = []

    def connections(self) -> list[Any]:
        """Give every connection, those of ports that are closed by now too."""
        listeners = [here.listener for here in self._open.values()] + self._closed
        return [connection for listener in listeners for connection in listener.connections]

    def addresses(self) -> list[str]:
        """Give a text for every port: kind, address, port, what it does about TLS."""
        found = []
        for table, listener, port in self._open.values():
            host = port.getHost()
            address = f"[{host.host}]" if ":" in host.host else host.host
            found.append(f"{listener.name} {address}:{host.port} ({table.note})")
        return found

    async def open(self, tables: Sequence[Port]) -> Callable[[], Awaitable[None]]:
        """Open the ports that are new; `settle` does the rest. Gives what takes it back.

        Raises `CannotListenError`, and then nothing has changed.
        """
        wanted = dict(_places(tables))
        new = {place: table for place, table in wanted.items() if place not in self._open}
        numbers = {table.port for table in new.values() if table.port}
        # The same port at another address: while the old one is open, the new one often cannot be.
        in_the_way = [p for p in self._open if p not in wanted and self._open[p].table.port in numbers]
        put_aside = {place: self._open.pop(place) for place in in_the_way}

        async def take_back() -> None:
            for place in new:
                if place in self._open:
                    await settled(self._open.pop(place).port.stopListening())
            for place, (table, listener, _) in put_aside.items():
                self._closed.remove(listener)
                self._open[place] = OpenPort(table, listener, self._listen(table, listener))

        for _, listener, port in put_aside.values():
            self._closed.append(listener)
            await settled(port.stopListening())
        try:
            for place, table in new.items():
                listener = self._make(table)
                self._open[place] = OpenPort(table, listener, self._listen(table, listener))
        except CannotListenError:
            await take_back()
            raise
        return take_back

    def _listen(self, table: Port, listener: Listener) -> Any:
        port = self._reactor.listenTCP(table.port, listener, backlog=table.backlog, interface=table.interface)
        # Every accepted socket inherits them.
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return port

    async def settle(self, tables: Sequence[Port], update: Callable[[Any, Any], None]) -> None:
        """Close the ports that are gone, their connections staying.

        ``update`` is called for the others with the factory and its table.
        """
        wanted = dict(_places(tables))
        for place in [place for place in self._open if place not in wanted]:
            _, listener, port = self._open.pop(place)
            self._closed.append(listener)
            await settled(port.stopListening())
        for place, table in wanted.items():
            here = self._open[place]
            update(here.listener, table)
            if table.backlog != here.table.backlog:
                here.port.socket.listen(table.backlog)
            self._open[place] = here._replace(table=table)
        self._closed = [listener for listener in self._closed if listener.connections]

    async def close(self) -> None:
        """Close all; the connections stay, and are still found by `connections`."""
        for place in list(self._open):
            _, listener, port = self._open.pop(place)
            self._closed.append(listener)
            await settled(port.stopListening())


def _places(tables: Sequence[Port]) -> Iterator[tuple[Place, Port]]:
    seen: Counter[tuple[str, str]] = Counter()
    for table in tables:
        if table.port:
            yield (table.interface, table.port, "", 0), table
        else:
            kind = f"{table.kind} {table.note}"
            seen[table.interface, kind] += 1
            yield (table.interface, 0, kind, seen[table.interface, kind]), table
