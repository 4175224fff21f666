"""A WebSocket client for tests: handshake, frames and elements, by the websockets library's other side."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from palaver.test.wire import WAIT_S, AnyCertificate

reactor: Any = _reactor

OPEN = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"
CLOSE = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"


class Socket(Protocol):
    """One WebSocket. ``texts`` holds the frames that came and were not taken yet."""

    transport: Any

    def __init__(self, uri: str, *subprotocols: str, origin: str | None = None) -> None:
        options: Any = {"subprotocols": list(subprotocols) or None, "origin": origin}
        self.client = ClientProtocol(parse_uri(uri), **options)
        self.texts: deque[str] = deque()
        self.pongs: list[bytes] = []
        self.pings = 0
        self.tls = False
        self.lost = False
        self._waiting: Deferred[None] | None = None

    def connectionMade(self) -> None:
        """Begin the handshake."""
        if self.tls:
            self.transport.startTLS(AnyCertificate("localhost", b"http/1.1"))
        self.client.send_request(self.client.connect())
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.client.receive_data(data)
        for event in self.client.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self.texts.append(bytes(event.data).decode())
            elif isinstance(event, Frame) and event.opcode is Opcode.PONG:
                self.pongs.append(bytes(event.data))
            elif isinstance(event, Frame) and event.opcode is Opcode.PING:
                self.pings += 1
        self.flush()
        self._changed()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """See IProtocol."""
        self.lost = True
        if self.client.state is not State.CONNECTING:
            self.client.receive_eof()
        self._changed()

    def flush(self) -> None:
        """Send what the library wants to send."""
        for data in self.client.data_to_send():
            if data and self.transport is not None:
                self.transport.write(data)

    def send(self, text: str) -> None:
        """Send one frame."""
        self.client.send_text(text.encode())
        self.flush()

    def _changed(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def _change(self) -> None:
        self._waiting = Deferred()
        await self._waiting.addTimeout(WAIT_S, reactor)

    async def take(self) -> str:
        """Give the next frame; raises `ConnectionError` when there is none any more."""
        while not self.texts:
            if self.lost:
                raise ConnectionError("the WebSocket is closed")
            await self._change()
        return self.texts.popleft()

    async def opened(self) -> None:
        """Wait for the end of the handshake; raises what the library says against it."""
        while self.client.state is State.CONNECTING and self.client.handshake_exc is None and not self.lost:
            await self._change()
        if self.client.handshake_exc is not None:
            raise self.client.handshake_exc

    async def closed(self) -> int | None:
        """Wait for the end; gives the code of the WebSocket's close."""
        while not self.lost:
            await self._change()
        return self.client.close_code


async def connect(port: int, path: str = "/xmpp-websocket", **options: Any) -> Socket:
    """Give a WebSocket after its handshake."""
    subprotocols = options.pop("subprotocols", ("xmpp",))
    tls = options.pop("tls", False)
    socket = Socket(f"ws://localhost:{port}{path}", *subprotocols, **options)
    socket.tls = tls
    await reach(socket, port)
    return socket


async def reach(socket: Socket, port: int) -> None:
    """Connect a WebSocket, and wait for the end of its handshake."""
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), socket)
    await socket.opened()
