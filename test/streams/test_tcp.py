"""Connections: one send a turn, peers that do not read or write too fast, deadlines, and every end."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from palaver import metrics
from palaver.streams.tcp import CLOSE_TIMEOUT_S
from palaver.test.streams.sockets import PLENTY, TcpCase


class WriteTests(TcpCase):
    """What is sent when."""

    def test_one_send(self) -> None:
        """All writes of a turn leave in one send."""
        self.connect()
        for data in (b"a", b"b", b"c"):
            self.connection.write(data)
        self.assertEqual(self.socket.sends, [])
        self.turn()
        self.assertEqual(self.socket.sends, [b"abc"])

    def test_answers(self) -> None:
        """Answers to what was read leave at once, together, in their order behind what waits."""
        self.connect()
        self.stream.answers = b"answer"
        self.connection.dataReceived(b"1")
        self.assertEqual(self.socket.sends, [b"answer"])
        self.connection.write(b"first ")
        self.connection.dataReceived(b"2")
        self.turn()
        self.assertEqual(self.socket.sends, [b"answer", b"first answer"])

    def test_partial(self) -> None:
        """A peer that reads slowly gets everything in order, and what is written meanwhile waits here."""
        self.connect()
        self.socket.room = 3
        self.connection.write(b"abcdef")
        self.turn()
        self.connection.write(b"ghi")
        self.turn()
        self.assertEqual(b"".join(self.socket.sends), b"abc")
        self.socket.read(4)
        self.assertEqual(b"".join(self.socket.sends), b"abcdefg"[: len(b"".join(self.socket.sends))])
        self.socket.read(PLENTY)
        self.connection.write(b"jkl")
        self.turn()
        self.assertEqual(b"".join(self.socket.sends), b"abcdefghijkl")

    def test_tls_back_pressure(self) -> None:
        """The same within TLS, whose buffer says when it is full."""
        self.connect(tls="direct")
        self.assertEqual(self.socket.tls_for, "context of None")
        self.connection.write(b"a")
        self.turn()
        self.socket.producing.pauseProducing()
        self.connection.write(b"b")
        self.connection.write(b"c")
        self.turn()
        self.socket.read(PLENTY)
        self.assertEqual(b"".join(self.socket.sends), b"a")
        self.socket.producing.resumeProducing()
        self.socket.read(PLENTY)
        self.assertEqual(b"".join(self.socket.sends), b"abc")

    def test_too_much_unsent(self) -> None:
        """A peer that reads nothing is cut off before it fills the memory."""
        for tls in ("off", "direct"):
            self.connect(tls=tls, max_unsent_bytes=1000)
            if tls == "off":
                self.socket.room = 0
                self.connection.write(b"x")
                self.turn()
            else:
                self.socket.producing.pauseProducing()
            self.connection.write(b"y" * 1000)
            self.assertTrue(self.socket.connected)
            self.connection.write(b"z")
            self.assert_over()

    def test_much_at_once(self) -> None:
        """The same when everything is written in one turn, before anybody knows that nothing is read."""
        self.connect(max_unsent_bytes=200_000)
        self.socket.room = 0
        for _ in range(20):
            self.connection.write(b"x" * 50_000)
        self.assertEqual(self.stream.events.count("hold"), 1)
        self.assert_over()

    def test_large(self) -> None:
        """What is large leaves in its place, without waiting for the end of the turn."""
        self.connect()
        self.connection.write(b"a")
        self.connection.write(b"b" * 20_000)
        self.connection.write(b"c")
        self.assertEqual(self.socket.sends, [b"a" + b"b" * 20_000])
        self.turn()
        self.assertEqual(self.socket.sends[1:], [b"c"])

    def test_large_on_a_broken_socket(self) -> None:
        """Whoever writes to a broken socket is not interrupted by its end, which comes after the turn."""
        self.connect()
        self.socket.broken = True
        self.connection.write(b"b" * 20_000)
        self.assertEqual(self.stream.events, [])
        self.turn()
        self.assert_over()

    def test_write_timeout(self) -> None:
        """A peer that takes nothing for too long is cut off; one that takes everything in time is not."""
        for reads in (True, False):
            self.connect(write_timeout_s=60)
            self.connection.authenticated()
            self.socket.room = 0
            self.connection.write(b"x")
            self.turn(59)
            self.assertTrue(self.socket.connected)
            if reads:
                self.socket.read(PLENTY)
                self.turn(100)
                self.assertTrue(self.socket.connected)
            else:
                self.turn(3)
                self.assert_over()

    def test_broken_socket(self) -> None:
        """A socket that fails while it is written to is gone at once."""
        self.connect()
        self.socket.broken = True
        self.connection.write(b"x")
        self.turn()
        self.assert_over()


class TlsTests(TcpCase):
    """STARTTLS below a stream."""

    def test_order(self) -> None:
        """What was written before TLS begins leaves before it, in the clear."""
        self.connect(tls="required")
        self.connection.write(b"<proceed/>")
        self.connection.start_tls("example.org")
        self.assertEqual(
            (self.socket.sends, self.socket.tls_for), ([b"<proceed/>"], "context of example.org")
        )

    def test_deaf(self) -> None:
        """Who does not even read the answer is cut off: the rest of it would come within TLS."""
        self.connect(tls="required")
        self.socket.room = 3
        self.connection.write(b"<proceed/>")
        self.connection.start_tls("example.org")
        self.assertIsNone(self.socket.tls_for)
        self.assert_over()

    def test_handshake_timeout(self) -> None:
        """A handshake has its own time; behind it the time for the login counts."""
        self.connect(tls="direct", tls_timeout_s=60, auth_timeout_s=300)
        self.turn(62)
        self.assert_over()
        self.connect(tls="direct", tls_timeout_s=60, auth_timeout_s=300)
        self.turn(50)
        self.connection.handshakeCompleted()
        self.turn(299)
        self.assertEqual(self.stream.events, [])
        self.turn(3)
        self.assertEqual(self.stream.events[:1], ["time out"])


class ReadTests(TcpCase):
    """Reading: pauses, and peers that send too fast."""

    def test_reasons(self) -> None:
        """Several reasons to pause have to end before anything is read again."""
        self.connect()
        self.connection.pause()
        self.connection.pause()
        self.connection.resume()
        self.assertFalse(self.socket.reads)
        self.connection.resume()
        self.assertTrue(self.socket.reads)

    def test_rate(self) -> None:
        """Who sends too fast is read later; nothing is lost, and a pause of the stream's own still counts."""
        metrics.reset()
        self.connect(rate=100.0, burst=200.0)
        self.connection.dataReceived(b"x" * 200)
        self.assertTrue(self.socket.reads)
        self.connection.dataReceived(b"y" * 300)
        self.assertEqual((self.socket.reads, len(b"".join(self.stream.heard))), (False, 500))
        self.connection.pause()
        self.clock.advance(3.1)
        self.assertFalse(self.socket.reads)
        self.connection.resume()
        self.assertTrue(self.socket.reads)
        self.assertEqual(metrics.rate_limited.value, 1)

    def test_rate_within_tls(self) -> None:
        """What TLS still holds is taken, and lengthens the pause."""
        self.connect(rate=100.0, burst=100.0)
        for _ in range(3):
            self.connection.dataReceived(b"x" * 200)
        self.clock.advance(4.9)
        self.assertFalse(self.socket.reads)
        self.clock.advance(0.2)
        self.assertTrue(self.socket.reads)

    def test_lost_while_paused(self) -> None:
        """A connection that goes while it is paused leaves no call behind."""
        self.connect(rate=1.0, burst=1.0)
        self.connection.dataReceived(b"x" * 100)
        self.socket.connectionLost(Failure(ConnectionDone()))
        self.assert_over()


class DeadlineTests(TcpCase):
    """Silence."""

    def test_login(self) -> None:
        """A login has so much time from the accept on, whatever is sent meanwhile."""
        self.connect(auth_timeout_s=300)
        for _ in range(10):
            self.turn(29)
            self.connection.dataReceived(b" ")
        self.assertEqual(self.stream.events, [])
        self.turn(12)
        self.assertEqual((self.stream.events[:1], self.socket.sends), (["time out"], [b"<late/>"]))
        self.socket.read(PLENTY)
        self.assert_over()

    def test_idle(self) -> None:
        """A session that is silent for long gets a space each time; one that speaks gets none."""
        self.connect(idle_s=100)
        self.connection.authenticated()
        self.turn(50)
        self.connection.dataReceived(b"<presence/>")
        self.turn(98)
        self.assertEqual(self.socket.sends, [])
        self.turn(4)
        self.assertEqual(self.socket.sends, [b" "])
        self.turn(102)
        self.assertEqual(self.socket.sends, [b" ", b" "])

    def test_nothing_bound(self) -> None:
        """A client that logs in and then binds nothing does not stay for ever, whatever else it sends."""
        self.connect(idle_s=100)
        self.connection.authenticated()
        self.stream.session = None
        self.turn(90)
        self.connection.dataReceived(b" ")
        self.turn(12)
        self.assertEqual(self.stream.events[:1], ["time out"])


class EndTests(TcpCase):
    """However a connection ends, nothing of it stays."""

    def test_by_the_peer(self) -> None:
        """The peer goes, before its login or after it."""
        for login in (False, True):
            self.connect()
            self.assertEqual((self.connection.port, self.admission._total), (50123, 1))
            if login:
                self.connection.authenticated()
                self.assertEqual(self.admission._total, 0)
            self.socket.connectionLost(Failure(ConnectionDone()))
            self.assert_over()

    def test_close(self) -> None:
        """A close sends what is queued first."""
        self.connect()
        self.connection.write(b"good-bye")
        self.connection.close()
        self.assertEqual(self.socket.sends, [b"good-bye"])
        # Whoever called is not torn from under its feet.
        self.assertTrue(self.socket.connected)
        self.turn()
        self.assert_over()

    def test_close_slowly(self) -> None:
        """A peer that reads slowly gets the last words too; one that does not is cut off."""
        for reads in (True, False):
            self.connect()
            self.socket.room = 2
            self.connection.write(b"good-")
            self.turn()
            self.connection.write(b"bye")
            self.connection.close()
            self.turn(CLOSE_TIMEOUT_S - 1)
            self.assertTrue(self.socket.connected)
            if reads:
                self.socket.read(PLENTY)
                self.assertEqual(b"".join(self.socket.sends), b"good-bye")
            else:
                self.turn(3)
            self.assert_over()

    def test_close_of_a_broken_socket(self) -> None:
        """A socket that fails with the last words is gone, and nothing happens later."""
        self.connect()
        self.socket.broken = True
        self.connection.write(b"good-bye")
        self.connection.close()
        self.assert_over()

    def test_close_within_tls(self) -> None:
        """TLS is closed even while the reading is paused; a handshake that ends late puts nothing off."""
        self.connect(tls="direct")
        self.connection.pause()
        self.connection.close()
        self.assertEqual((self.socket.reads, self.socket.producing), (True, None))
        self.connection.handshakeCompleted()
        self.turn(CLOSE_TIMEOUT_S + 2)
        self.assert_over()

    def test_refused(self) -> None:
        """Where there are too many strangers no connection is made, and none is counted."""
        self.connect()
        metrics.reset()
        self.admission.max_total = 1
        address = IPv4Address("TCP", "192.0.2.2", 50124)
        self.assertIsNone(self.listener.buildProtocol(address))
        self.assertEqual((self.admission._total, dict(metrics.connections_refused)), (1, {"c2s": 1}))
        self.connection.authenticated()
        self.assertIsNotNone(self.listener.buildProtocol(address))
