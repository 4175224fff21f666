"""A web server behind the proxy: what comes is kept as it came, and a test says every byte of the answers."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

reactor: Any = _reactor
# A wait ends after so many looks.
LOOKS = 1000
LOOK_S = 0.005


async def until(condition: Any) -> None:
    """Wait until something is true."""
    for _ in range(LOOKS):
        if condition():
            return
        await deferLater(reactor, LOOK_S)
    raise AssertionError("it does not come true")


class Behind(Protocol):
    """One connection of the proxy's."""

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.lost = False

    def connectionMade(self) -> None:
        """See IProtocol."""
        factory: Any = self.factory
        factory.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.lost = True

    async def has(self, text: bytes) -> None:
        """Wait until something has come."""
        await until(lambda: text in self.data)

    @property
    def head(self) -> list[str]:
        """The lines of the request's head, its headers in small letters."""
        first, *lines = self.data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        parts = [line.partition(": ") for line in lines]
        return [first, *sorted(f"{name.lower()}: {value}" for name, _, value in parts)]

    @property
    def body(self) -> bytes:
        """What is behind the head."""
        return self.data.partition(b"\r\n\r\n")[2]

    def answer(self, body: bytes = b"", head: str = "", status: str = "200 OK") -> None:
        """Answer whole."""
        length = "" if "ength" in head or "ncoding" in head else f"Content-Length: {len(body)}\r\n"
        self.transport.write(f"HTTP/1.1 {status}\r\n{length}{head}\r\n".encode() + body)


class Upstream:
    """Listens on a free port."""

    def __init__(self, context: Any = None) -> None:
        """With ``context`` it speaks TLS."""
        made: Any = Factory.forProtocol(Behind)
        made.noisy = False
        self.connections: list[Behind] = []
        made.connections = self.connections
        self._taken = 0
        if context is None:
            self._port = reactor.listenTCP(0, made, interface="127.0.0.1")
        else:
            self._port = reactor.listenSSL(0, made, context, interface="127.0.0.1")

    @property
    def port(self) -> int:
        """Its port."""
        number: int = self._port.getHost().port
        return number

    async def next(self) -> Behind:
        """Give the next new connection, once a head has come over it."""
        await until(lambda: len(self.connections) > self._taken)
        found = self.connections[self._taken]
        self._taken += 1
        await found.has(b"\r\n\r\n")
        return found

    def stop(self) -> Deferred[None]:
        """Close everything."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if not self._port.disconnected:
            await self._port.stopListening()
        for connection in self.connections:
            if not connection.lost:
                connection.transport.abortConnection()
        await until(lambda: all(connection.lost for connection in self.connections))
