"""TCP below streams between servers: as below client streams, with another header and other deadlines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from palaver.markup import attributes
from palaver.streams.listener import Listener
from palaver.streams.tcp import Connection

STREAM_HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
    b"xmlns:stream='http://etherx.jabber.org/streams'%b>"
)


class ServerConnection(Connection):
    """One socket to or from another server; ``stream`` is a `palaver.streams.s2s.stream.ServerStream`."""

    # Makes the stream of an outgoing connection.
    make_stream: Callable[[ServerConnection], Any]

    def connectionMade(self) -> None:
        """Begin; a stream to another server speaks first."""
        super().connectionMade()
        self.stream.begin()

    def handshakeCompleted(self) -> None:
        """TLS is up, and the other side's certificate may be looked at."""
        super().handshakeCompleted()
        self.stream.encrypted()

    def open_stream(self, attrs: dict[str, str]) -> None:
        """Write a stream header with these attributes."""
        self.write(STREAM_HEADER % attributes(attrs).encode())

    def _tls_side(self, domain: str | None) -> Any:
        return self.stream.tls_side(self.factory.tls)

    def _idle(self) -> None:
        """Ask the stream what silence means; it says when to ask again, in seconds, or that it has ended."""
        again: float | None = self.stream.fell_silent(self.factory.wheel.now() - self.heard)
        if again is not None:
            self.expire_in(again, self._idle)


class ServerListener(Listener):
    """What the connections of one port for servers share."""

    protocol = ServerConnection

    # After its table the port may be told apart; see `palaver.streams.ports`.
    table: Any = None


class Dialled:
    """A factory of one connection to another server; its stream is made by ``make_stream``."""

    noisy = False

    def __init__(self, listener: ServerListener, make_stream: Callable[[ServerConnection], Any]) -> None:
        self._listener = listener
        self._make_stream = make_stream

    def buildProtocol(self, address: Any) -> ServerConnection:
        """Give the connection."""
        host = getattr(address, "host", "")
        self._listener.admission.admit(host)
        connection = ServerConnection(self._listener, host)
        connection.make_stream = self._make_stream
        return connection

    def doStart(self) -> None:
        """See IProtocolFactory."""

    def doStop(self) -> None:
        """See IProtocolFactory."""


def dialled_stream(connection: ServerConnection) -> Any:
    """Give the stream that an outgoing connection was made for."""
    return connection.make_stream(connection)
