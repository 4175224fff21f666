"""A connection over which a test writes what it likes, and reads all that comes."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

reactor: Any = _reactor
LONG_S = 20


class Raw(Protocol):
    """Collects what comes until the other side closes."""

    transport: Any

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = False
        self._end: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.lost = True
        self._end.callback(None)

    async def closed(self) -> None:
        """Wait for the end."""
        await self._end.addTimeout(LONG_S, reactor)

    async def drop(self) -> None:
        """Break off, and wait for the end."""
        if not self.lost:
            self.transport.abortConnection()
            await self.closed()

    async def all(self) -> bytes:
        """Give all that comes until the other side closes."""
        await self.closed()
        return bytes(self.data)


async def connect(port: int) -> Raw:
    """Give a connection to a port of this machine."""
    found: Raw = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Raw())
    return found
