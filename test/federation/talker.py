"""A stream with another server, and no socket: XML in, XML out."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from palaver.jid import JID
from palaver.markup import attributes
from palaver.routing.router import Router
from palaver.settings import S2s
from palaver.stanza import Stanza
from palaver.streams.flush import Flusher
from palaver.streams.s2s.connection import STREAM_HEADER
from palaver.streams.s2s.dialback import NS_DIALBACK
from palaver.streams.s2s.federation import Federation
from palaver.streams.s2s.incoming import IncomingStream
from palaver.streams.s2s.outgoing import OutgoingStream
from palaver.streams.settings import StreamSettings
from palaver.streams.wheel import Wheel

OURS, THEIRS = "mantua.example", "verona.example"
STREAMS = "http://etherx.jabber.org/streams"


class Service:
    """A domain of ours."""

    def __init__(self, domain: str = OURS) -> None:
        self.domain = domain
        self.delivered: list[Stanza] = []

    def deliver(self, stanza: Stanza, to: JID) -> None:
        """Keep it."""
        self.delivered.append(stanza)


class Factory:
    """What a connection asks its listener."""

    settings = StreamSettings()


class Carrier:
    """Stands for a connection; ``written`` is what has gone out and was not taken."""

    factory = Factory()
    transport = None
    address = "192.0.2.1"

    def __init__(self) -> None:
        self.secure = False
        self.written = b""
        self.closed = False
        self.known = False

    def write(self, data: bytes) -> None:
        """Note what goes out."""
        self.written += data

    def take(self) -> str:
        """Give what has gone out since the last time."""
        written, self.written = self.written, b""
        return written.decode()

    def open_stream(self, attrs: dict[str, str]) -> None:
        """See ServerConnection."""
        self.write(STREAM_HEADER % attributes(attrs).encode())

    def close_stream(self) -> None:
        """See Connection."""
        self.write(b"</stream:stream>")
        self.closed = True

    def start_tls(self, domain: str | None = None) -> None:
        """See Connection; nothing is encrypted."""
        self.secure = True

    def authenticated(self) -> None:
        """See Connection."""
        self.known = True

    def pause(self) -> None:
        """See Reading."""

    def resume(self) -> None:
        """See Reading."""


class Shown:
    """Certificates, of which none was shown."""

    def peer_certificates(self, transport: object) -> list[Any]:
        """See TlsContexts."""
        return []


class Streams(SynchronousTestCase):
    """``federation`` speaks for mantua.example, and has streams that a test is the other end of."""

    settings: Any = S2s(use_starttls="optional")

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        wheel = Wheel(self.clock)
        wheel.start()
        self.addCleanup(wheel.stop)
        router = Router()
        self.service = Service()
        service: Any = self.service
        router.add(service)
        tls: Any = Shown()
        self.federation = Federation(router, self.clock, wheel, Flusher(self.clock), tls, "secret" * 4)
        self.federation.configure(self.settings)
        router.remote = self.federation

    def outgoing(self) -> OutgoingStream:
        """Give a stream of ours to verona.example, with its answer to our header."""
        carrier: Any = Carrier()
        stream = OutgoingStream(carrier, self.federation, OURS, THEIRS, False)
        stream.established.addErrback(lambda failure: None)
        self.federation.began(stream)
        stream.begin()
        self.say(stream, header(THEIRS, OURS, id="s1"))
        return stream

    def incoming(self, sender: str = THEIRS) -> IncomingStream:
        """Give a stream that verona.example has opened."""
        carrier: Any = Carrier()
        stream = IncomingStream(carrier, self.federation)
        self.federation.began(stream)
        stream.begin()
        self.say(stream, header(sender, OURS))
        return stream

    @staticmethod
    def say(stream: Any, *texts: str) -> str:
        """Say something over a stream, in one piece; gives what it answers."""
        stream.data_received("".join(texts).encode())
        answer: str = stream.connection.take()
        return answer


def header(sender: str, to: str, **attrs: str) -> str:
    """Give a stream header."""
    more = attributes({"from": sender, "to": to, "version": "1.0", **attrs})
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='{STREAMS}'"
        f" xmlns:db='{NS_DIALBACK}'{more}>"
    )
