"""A bad network: a TCP proxy that cuts, delays and half-opens the connections through it."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

LOOPBACK = "127.0.0.1"
# A connection is well for so long; then something happens to it.
WELL_S = (0.2, 5.0)
# Long enough that clients and server go on writing into it.
DELAY_S = (0.1, 1.5)
HALF_OPEN_S = (0.5, 3.0)

reactor: Any = _reactor


class _Side(Protocol):
    """One of the two connections of a `_Link`; what comes while the link is held waits."""

    transport: Any

    def __init__(self) -> None:
        self.other: _Side | None = None
        self.held: list[bytes] | None = []
        self.is_open = True

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self.held is not None:
            self.held.append(data)
        elif self.other is not None and self.other.is_open:
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """See IProtocol."""
        self.is_open = False
        if self.held is None and self.other is not None and self.other.is_open:
            self.other.transport.loseConnection()

    def flow(self) -> None:
        """Pass on what was held, and whatever comes from now on."""
        held, self.held = self.held, None
        for data in held or ():
            self.dataReceived(data)
        if not self.is_open:
            self.connectionLost()

    def end(self, abort: bool) -> None:
        """End this side alone."""
        if self.is_open:
            self.is_open = False
            if abort:
                self.transport.abortConnection()
            else:
                self.transport.loseConnection()


class BadNetwork(Factory):
    """Listens on ``port`` of loopback and connects to ``server_port``. Everything random is ``dice``'s."""

    def __init__(self, server_port: int, dice: random.Random) -> None:
        self._server_port = server_port
        self._dice = dice
        self._links: list[tuple[_Side, _Side]] = []
        self._calls: list[Any] = []
        self.is_bad = True
        self.faults: Counter[str] = Counter()
        self._listening = reactor.listenTCP(0, self, interface=LOOPBACK)
        self.port: int = self._listening.getHost().port

    def buildProtocol(self, address: object) -> _Side:
        """See IProtocolFactory."""
        client = _Side()
        Deferred.fromCoroutine(self._connect(client))
        return client

    async def _connect(self, client: _Side) -> None:
        server = _Side()
        await connectProtocol(TCP4ClientEndpoint(reactor, LOOPBACK, self._server_port), server)
        client.other, server.other = server, client
        self._links.append((client, server))
        client.flow()
        server.flow()
        self._later(WELL_S, self._spoil, client, server)

    def _later(self, span: tuple[float, float], function: Any, *arguments: Any) -> None:
        self._calls = [call for call in self._calls if call.active()]
        self._calls.append(reactor.callLater(self._dice.uniform(*span), function, *arguments))

    def _spoil(self, client: _Side, server: _Side) -> None:
        """Do one of the bad things to a connection, unless the network is well by now."""
        if not self.is_bad or not client.is_open or not server.is_open:
            return
        fault = self._dice.choice(("reset", "close", "delay", "deaf", "server gone", "client gone"))
        self.faults[fault] += 1
        if fault in ("reset", "close"):
            client.end(fault == "reset")
            server.end(fault == "reset")
        elif fault == "delay":
            client.held, server.held = [], []
            self._later(DELAY_S, self._go_on, client, server)
        elif fault == "deaf":
            # What the server says gets lost on the way, and what the client says arrives.
            server.held = []
            self._later(HALF_OPEN_S, self._cut, client, server)
        else:
            # One end is gone, and the other one hears nothing of it for a while.
            client.held, server.held = [], []
            (server if fault == "server gone" else client).end(abort=True)
            self._later(HALF_OPEN_S, self._cut, client, server)

    def _go_on(self, client: _Side, server: _Side) -> None:
        client.flow()
        server.flow()
        self._later(WELL_S, self._spoil, client, server)

    @staticmethod
    def _cut(client: _Side, server: _Side) -> None:
        client.end(abort=True)
        server.end(abort=True)

    def heal(self) -> None:
        """Do nothing bad any more; what is half-open ends in its time."""
        self.is_bad = False

    def stop(self) -> Any:
        """End everything; gives a Deferred."""
        for call in self._calls:
            if call.active():
                call.cancel()
        for link in self._links:
            self._cut(*link)
        return self._listening.stopListening()
