"""TLS with a peer that does what is allowed and rare, and what is neither."""

from __future__ import annotations

from collections.abc import Callable
from unittest import SkipTest

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from palaver.streams import encrypted
from palaver.test.streams import openssl
from palaver.test.streams.openssl import RECORDS_OF_512, TLS_1_2, TLS_1_3, Peer
from palaver.test.streams.sockets import PLENTY
from palaver.test.streams.test_encrypted import LARGE, MAX_ROUNDS, EncryptedCase

VERSIONS = (TLS_1_2, TLS_1_3)
# What one read of a socket brings at most.
READ_BYTES = 64 * 1024
# Far more than a peer has a reason for.
MANY = 5000


class PeerCase(EncryptedCase):
    """The server's side of TLS, and OpenSSL as its client."""

    def setUp(self) -> None:
        if openssl.library() is None:
            raise SkipTest("this system has no OpenSSL")
        super().setUp()

    def meet(self, version: int, record_mode: int = 0) -> None:
        """Begin anew, and shake hands with a peer."""
        self.setUp()
        self.peer = Peer(version, record_mode)
        self.addCleanup(self.peer.close)
        for _ in range(MAX_ROUNDS):
            done = self.peer.shake()
            sent = self.sends()
            self.back()
            if done and not sent:
                return
        raise AssertionError("the handshake hangs")

    def sends(self) -> int:
        """Have the server get what the peer has sent; gives how many bytes that were."""
        data = self.peer.give()
        for start in range(0, len(data), READ_BYTES):
            self.tls.dataReceived(data[start : start + READ_BYTES])
        return len(data)

    def back(self) -> int:
        """Have the peer get what the server has sent; gives how many bytes that were."""
        self.socket.read(PLENTY)
        data = b"".join(self.socket.sends)
        self.socket.sends.clear()
        self.peer.take(data)
        return len(data)

    def heard_by_peer(self) -> bytes:
        """Give what the peer reads of what has left the server."""
        self.back()
        return self.peer.read()


class Records(PeerCase):
    """Records of any size."""

    def test_small_records(self) -> None:
        """A client that can take small records only gets all that is sent to it, in order."""
        for version in VERSIONS:
            self.meet(version, RECORDS_OF_512)
            for data in (b"<first/>", LARGE, b"<last/>"):
                self.assertIsNone(encrypted.send(self.socket, data))
            self.assertEqual(self.heard_by_peer(), b"<first/>" + LARGE + b"<last/>")

    def test_small_records_and_full_socket(self) -> None:
        """So it does when its socket is full in between."""
        for version in VERSIONS:
            self.meet(version, RECORDS_OF_512)
            self.socket.room = 1000
            for data in (LARGE, b"<second/>"):
                encrypted.send(self.socket, data)
            self.clock.advance(0)
            self.assertEqual(self.heard_by_peer(), LARGE + b"<second/>")

    def test_byte_by_byte(self) -> None:
        """Records that come byte by byte arrive once, whole and in order."""
        for version in VERSIONS:
            self.meet(version)
            self.peer.write(b"<one/>")
            self.peer.write(b"<two/>")
            data = self.peer.give()
            for number in range(len(data)):
                self.tls.dataReceived(data[number : number + 1])
            self.assertEqual(self.heard.pieces, [b"<one/>", b"<two/>"])


class Keys(PeerCase):
    """Changes of keys while both sides write (RFC 8446 section 4.6.3)."""

    def test_changed(self) -> None:
        """Whoever changes its keys and asks for the same loses nothing that goes either way."""
        self.meet(TLS_1_3)
        sent = b""
        for number in range(20):
            self.peer.write(b"<before/>")
            self.peer.change_keys()
            self.peer.write(b"<after/>")
            # It is on its way while the peer's wish is.
            encrypted.send(self.socket, b"<n%d/>" % number)
            self.sends()
            encrypted.send(self.socket, LARGE)
            sent += b"<n%d/>" % number + LARGE
        self.assertEqual(b"".join(self.heard.pieces), b"<before/><after/>" * 20)
        self.assertEqual(self.heard_by_peer(), sent)

    def test_answered(self) -> None:
        """The answers to changes leave though nothing else does: they would pile up here."""
        self.meet(TLS_1_3)
        for with_content in (False, True):
            for _ in range(MANY):
                self.peer.change_keys()
                if with_content:
                    self.peer.write(b" ")
            self.sends()
            self.assertGreater(self.back(), MANY * 20)
        encrypted.send(self.socket, b"<prompt/>")
        self.assertEqual(self.heard_by_peer(), b"<prompt/>")

    def test_behind_many_changes(self) -> None:
        """What is sent while answers are due leaves at once behind them."""
        self.meet(TLS_1_3)
        for _ in range(250):
            self.peer.change_keys()
        self.peer.write(b"<one/>")
        self.sends()
        encrypted.send(self.socket, LARGE)
        self.assertEqual(self.heard_by_peer(), LARGE)


class Ends(PeerCase):
    """Ends, and what is not allowed."""

    def test_renegotiation(self) -> None:
        """Nobody gets another handshake, and whoever asks is told so at once."""
        self.meet(TLS_1_2)
        self.peer.renegotiate()
        self.sends()
        self.assertGreater(self.back(), 0)
        self.assertEqual(self.heard.pieces, [])
        self.assertRaises(ConnectionError, self.peer.read)

    def test_end_in_the_middle(self) -> None:
        """What came before the end of TLS arrives; what comes behind it is not looked at."""
        for version in VERSIONS:
            self.meet(version)
            self.peer.write(b"<last/>")
            self.peer.end()
            data = self.peer.give()
            self.tls.dataReceived(data + b"<injected/>")
            self.assertEqual(self.heard.pieces, [b"<last/>"])
            self.assertTrue(self.tls._lostTLSConnection)

    def test_in_the_clear(self) -> None:
        """Bytes that are not encrypted end the connection, and go to nobody."""
        for version in VERSIONS:
            self.meet(version)
            self.tls.dataReceived(b"<message to='juliet@example.org'/>")
            self.assertEqual(self.heard.pieces, [])
            self.assertTrue(self.tls._lostTLSConnection)

    def test_gone_while_reading(self) -> None:
        """A connection that goes away under whoever reads from it does no harm."""
        for version in VERSIONS:
            self.meet(version)
            self.peer.write(b"<one/>")
            self.peer.end()
            self.heard.dataReceived = lambda data: self.tls.connectionLost(Failure(ConnectionLost()))
            self.sends()
            self.assertEqual(len(self.heard.lost), 1)

    def test_closed_while_reading(self) -> None:
        """Whoever closes while reading says so to the peer, behind what was written before."""
        for version in VERSIONS:
            self.meet(version)

            def close(data: bytes) -> None:
                encrypted.send(self.socket, b"<last/>")
                self.tls.loseConnection()

            self.heard.dataReceived = close
            self.peer.write(b"<one/>")
            self.peer.write(b"<two/>")
            self.sends()
            self.assertEqual(self.heard_by_peer(), b"<last/>")
            self.assertTrue(self.tls.disconnecting)

    def test_cut_while_reading(self) -> None:
        """Whoever is cut off while it is read from is read no further."""
        for version in VERSIONS:
            self.meet(version)
            hear = self.heard.dataReceived

            def cut(data: bytes, hear: Callable[[bytes], None] = hear) -> None:
                hear(data)
                self.tls.abortConnection()

            self.heard.dataReceived = cut
            self.peer.write(b"<one/>")
            data = self.peer.give()
            self.peer.write(b"<two/>")
            self.tls.dataReceived(data + self.peer.give())
            self.assertEqual(self.heard.pieces, [b"<one/><two/>"])
