"""A connection over a socket that is none: the peer reads as much as a test lets it."""

from __future__ import annotations

import errno
from typing import Any, cast

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from palaver.streams.admission import Admission
from palaver.streams.flush import Flusher
from palaver.streams.listener import Listener
from palaver.streams.settings import StreamSettings
from palaver.streams.wheel import Wheel

PLENTY = 1 << 20
ADDRESS = "192.0.2.1"


class Selector:
    """What a descriptor wants of a reactor."""

    def __init__(self) -> None:
        self.reading: set[object] = set()
        self.writing: set[object] = set()
        self.addReader, self.removeReader = self.reading.add, self.reading.discard
        self.addWriter, self.removeWriter = self.writing.add, self.writing.discard


class Socket(FileDescriptor):
    """Twisted's own buffering over a peer that takes as many bytes as there is room for."""

    def __init__(self, protocol: Any) -> None:
        self.selector = Selector()
        super().__init__(cast(Any, self.selector))
        self.protocol = protocol
        self.connected = True
        self.room = PLENTY
        self.sends: list[bytes] = []
        self.broken = False
        self.tls_for: Any = None
        self.producing: Any = None
        self.startReading()

    @property
    def socket(self) -> Socket:
        return self

    def send(self, data: bytes) -> int:
        """See socket.send."""
        if self.broken:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        if not self.room:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return self._take(data)

    def writeSomeData(self, data: bytes) -> int | Exception:
        return ConnectionLost() if self.broken else self._take(data)

    def _take(self, data: bytes) -> int:
        sent = bytes(data[: self.room])
        self.room -= len(sent)
        if sent:
            self.sends.append(sent)
        return len(sent)

    def read(self, room: int) -> None:
        """Let the peer take so many bytes more."""
        self.room += room
        while self.room and self.selector.writing and self.connected:
            reason = self.doWrite()
            if reason is not None:
                self.connectionLost(Failure(reason))

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self.protocol.connectionLost(reason)

    def abortConnection(self) -> None:
        if self.connected:
            self.connectionLost(Failure(ConnectionLost()))

    def startTLS(self, context: object) -> None:
        self.tls_for = context

    def loseConnection(self) -> None:
        # TLS waits for the peer's answer first, which never comes here.
        if self.tls_for is None:
            super().loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if streaming:
            self.producing = producer
        else:
            super().registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self.producing = None
        super().unregisterProducer()

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", ADDRESS, 50123)

    @property
    def reads(self) -> bool:
        return self in self.selector.reading


class Stream:
    """Keeps what it is told."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.heard: list[bytes] = []
        self.answers = b""
        self.session: object | None = "bound"
        self.events: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)
        if self.answers:
            self.connection.write(self.answers)

    def connection_lost(self) -> None:
        self.events.append("lost")

    def hold(self) -> None:
        self.events.append("hold")

    def time_out(self) -> None:
        self.events.append("time out")
        self.connection.write(b"<late/>")
        self.connection.close()


class Tls:
    """Names contexts."""

    def for_server(self, domain: str | None) -> str:
        return f"context of {domain}"


class TcpCase(SynchronousTestCase):
    """One connection of a listener."""

    def connect(self, **settings: Any) -> None:
        """Accept a connection."""
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.wheel.start()
        self.addCleanup(self.wheel.stop)
        self.admission = Admission(None, None)
        self.flusher = Flusher(self.clock)
        self.listener: Any = Listener(
            "c2s", StreamSettings(**{"tls": "off"} | settings), self.clock, self.flusher,
            self.wheel, self.admission, Tls(), Stream,
        )  # fmt: skip
        self.connection = cast(Any, self.listener.buildProtocol(IPv4Address("TCP", ADDRESS, 50123)))
        self.socket = Socket(self.connection)
        self.connection.makeConnection(self.socket)
        self.stream = self.connection.stream

    def turn(self, seconds: float = 0) -> None:
        """Let time pass, a second at a time."""
        self.clock.advance(0)
        self.clock.pump([1.0] * int(seconds))

    def assert_over(self) -> None:
        """Nothing is left of the connection."""
        self.assertFalse(self.socket.connected)
        self.assertEqual((self.listener.connections, self.admission._total), (set(), 0))
        self.assertEqual(self.stream.events[-1:], ["lost"])
        self.assertEqual([held for held in self.wheel._buckets.values() if held], [])
        sends = len(self.socket.sends)
        # Late calls find nobody.
        self.connection.write(b"late")
        self.connection.pause()
        self.connection.resume()
        self.connection.close()
        self.turn(1000)
        self.assertEqual((len(self.socket.sends), self.stream.events.count("lost")), (sends, 1))
        self.assertIsNone(self.connection.port)
