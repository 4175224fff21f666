"""TLS without detours: what leaves, in what order, and what comes in."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from twisted.internet._newtls import _BypassTLS
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from palaver.streams import encrypted
from palaver.streams.tls import TlsContexts, TlsSettings
from palaver.test.streams.sockets import PLENTY, Socket

# A handshake takes three flights; more rounds than this mean that it hangs.
MAX_ROUNDS = 10
LARGE = bytes(range(256)) * 256


class Heard:
    """Keeps what it received."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.lost: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.pieces.append(data)

    def connectionLost(self, reason: Failure) -> None:
        """Keep that."""
        self.lost.append(reason)


class TlsSocket(Socket):
    """A socket that TLS was started on, as Twisted does it."""

    def write(self, data: bytes) -> None:
        """Go through TLS."""
        self.protocol.write(data)


class EncryptedCase(SynchronousTestCase):
    """The server's side of TLS over a socket, and Python's own TLS as the client."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        contexts = TlsContexts(TlsSettings(folder, ("example.org",)))
        self.clock = Clock()
        self.heard: Any = Heard()
        self.socket = TlsSocket(None)
        factory = TLSMemoryBIOFactory(contexts.for_server(), False, None, self.clock)  # type: ignore[arg-type]
        self.tls: Any = factory.protocol(factory, self.heard, False)
        self.socket.protocol = self.tls
        bypass: Any = _BypassTLS
        self.tls.makeConnection(bypass(Socket, self.socket))
        encrypted.read_whole(self.socket)
        self.to_client, self.to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(folder / "example.org.pem")
        self.client = context.wrap_bio(self.to_client, self.to_server, server_hostname="example.org")

    def shake(self) -> None:
        """Shake hands."""
        done = False
        for _ in range(MAX_ROUNDS):
            if not done:
                try:
                    self.client.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    pass
            sent = self.to_server.read()
            if sent:
                self.socket.protocol.dataReceived(sent)
            self._carry()
            if done and not self.to_server.pending:
                return
        raise AssertionError("the handshake hangs")

    def _carry(self) -> None:
        """Have the client get what has left."""
        self.socket.read(PLENTY if self.socket.room > len(LARGE) else 0)
        self.to_client.write(b"".join(self.socket.sends))
        self.socket.sends.clear()

    def received(self) -> bytes:
        """Give what the client has received."""
        self._carry()
        data = b""
        try:
            while True:
                data += self.client.read(len(LARGE))
        except ssl.SSLWantReadError:
            return data


class Sending(EncryptedCase):
    """What is queued leaves."""

    def test_at_once(self) -> None:
        """What is written leaves in the same call, in one send."""
        self.shake()
        self.assertIsNone(encrypted.send(self.socket, b"<presence/>"))
        self.assertEqual(len(self.socket.sends), 1)
        self.assertEqual(self.socket.selector.writing, set())
        self.assertEqual(self.received(), b"<presence/>")

    def test_large(self) -> None:
        """What is larger than a record leaves whole, in one send."""
        self.shake()
        self.assertIsNone(encrypted.send(self.socket, LARGE))
        self.assertEqual(len(self.socket.sends), 1)
        self.assertEqual(self.received(), LARGE)

    def test_before_the_handshake(self) -> None:
        """What is written during the handshake leaves after it."""
        self.assertIsNone(encrypted.send(self.socket, b"<early/>"))
        self.clock.advance(0)
        self.shake()
        self.assertEqual(self.received(), b"<early/>")

    def test_full(self) -> None:
        """What the socket does not take goes later, with what was written meanwhile behind it."""
        for room in (0, 10, 20_000):
            self.setUp()
            self.shake()
            self.socket.room = room
            encrypted.send(self.socket, LARGE)
            encrypted.send(self.socket, b"<second/>")
            self.clock.advance(0)
            self.assertIn(self.socket, self.socket.selector.writing)
            self.socket.read(PLENTY)
            self.clock.advance(0)
            encrypted.send(self.socket, b"<third/>")
            self.assertEqual(self.received(), LARGE + b"<second/><third/>")

    def test_behind_what_twisted_holds(self) -> None:
        """What was written past it keeps its place."""
        self.shake()
        self.socket.write(b"<first/>")
        encrypted.send(self.socket, b"<second/>")
        self.clock.advance(0)
        self.assertEqual(self.received(), b"<first/><second/>")

    def test_broken(self) -> None:
        """A broken socket is told of."""
        self.shake()
        self.socket.broken = True
        self.assertIsInstance(encrypted.send(self.socket, b"<lost/>"), ConnectionLost)

    def test_after_the_end(self) -> None:
        """What is written while the connection ends goes nowhere, and does no harm."""
        self.shake()
        errors = []

        def ended(reason: Failure) -> None:
            errors.append(encrypted.send(self.socket, b"<late/>"))

        self.heard.connectionLost = ended
        self.tls.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((errors, self.socket.sends), ([None], []))


class Reading(EncryptedCase):
    """What comes in."""

    def client_writes(self, *pieces: bytes) -> bytes:
        """Give what a client sends, a record for each piece."""
        for piece in pieces:
            self.client.write(piece)
        return self.to_server.read()

    def test_records_in_one_piece(self) -> None:
        """What one read brings goes on in one piece."""
        self.shake()
        self.socket.protocol.dataReceived(self.client_writes(b"<one/>", b"<two/>"))
        self.assertEqual(self.heard.pieces, [b"<one/><two/>"])

    def test_half_a_record(self) -> None:
        """Half a record waits for its other half."""
        self.shake()
        data = self.client_writes(b"<one/>", b"<two/>")
        self.socket.protocol.dataReceived(data[:-3])
        self.assertEqual(self.heard.pieces, [b"<one/>"])
        self.socket.protocol.dataReceived(data[-3:])
        self.assertEqual(self.heard.pieces, [b"<one/>", b"<two/>"])

    def test_end(self) -> None:
        """What comes before the end of TLS arrives, then the end."""
        self.shake()
        data = self.client_writes(b"<last/>")
        try:
            self.client.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.socket.protocol.dataReceived(data + self.to_server.read())
        self.assertEqual(self.heard.pieces, [b"<last/>"])
        self.assertTrue(self.tls._lostTLSConnection)

    def test_garbled(self) -> None:
        """What comes before a record that was changed on its way arrives, then the connection is gone."""
        self.shake()
        good, bad = self.client_writes(b"<good/>"), bytearray(self.client_writes(b"<bad/>"))
        bad[-1] ^= 1
        self.socket.protocol.dataReceived(good + bytes(bad))
        self.assertEqual(self.heard.pieces, [b"<good/>"])
        self.assertTrue(self.tls._lostTLSConnection)

    def test_cut_off(self) -> None:
        """Who is cut off is not listened to."""
        self.shake()
        data = self.client_writes(b"<late/>")
        self.tls._aborted = True
        self.socket.protocol.dataReceived(data)
        self.assertEqual(self.heard.pieces, [])

    def test_answers_while_writes_wait(self) -> None:
        """Reading goes on while TLS holds what is to be sent."""
        self.shake()
        self.tls._appSendBuffer.append(b"<held/>")
        self.socket.protocol.dataReceived(self.client_writes(b"<one/>"))
        self.assertEqual(self.heard.pieces, [b"<one/>"])
        self.assertEqual(self.received(), b"<held/>")
