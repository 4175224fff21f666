"""Components over WebSocket: as over TCP, with the framing of RFC 7395."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from websockets.frames import CloseCode, Opcode

from palaver.test.components import test_acks, test_stream
from palaver.test.components.talker import GATEWAY, NS, SHAKEN, Gates, Gateway, handshake, header
from palaver.test.components.websocket import NS_FRAMING, WebGateway
from palaver.test.streams.talker import condition

OPEN = f"<open xmlns='{NS_FRAMING}' to='{GATEWAY}'/>"


class HandshakeTests(test_stream.HandshakeTests):
    """Who gets in."""

    gateway_class = WebGateway

    def test_header(self) -> None:
        """The answer is an element of its own, in the component's name, with an id that is new each time."""
        self.gateway.send(header("IRC.example.org"))
        gateway: Any = self.gateway
        (opened,) = gateway.frames
        self.assertRegex(opened, f"^<open xmlns='{NS_FRAMING}' id='[^']+' from='{GATEWAY}'/>$")
        self.assertNotEqual(self.gates.open().greet(), self.gates.open().greet())

    def test_in_pieces(self) -> None:
        """A frame that comes byte by byte is the same, and so is one that is cut into fragments."""
        text = handshake(self.gateway.greet()).encode()
        gateway: Any = self.gateway
        gateway.client.send_text(text[:9], fin=False)
        gateway.client.send_continuation(text[9:], fin=True)
        for byte in b"".join(gateway.client.data_to_send()):
            gateway.connection.dataReceived(bytes([byte]))
        self.assertEqual(gateway.take(), SHAKEN)
        self.assertEqual(gateway.frames, [f"<handshake xmlns='{NS}'/>"])

    def test_declared(self) -> None:
        """The handshake counts with the namespace of components declared, as a frame alone should have it."""
        text = handshake(self.gateway.greet()).replace("<handshake", f"<handshake xmlns='{NS}'")
        self.assertEqual(self.gateway.send(text), SHAKEN)

    def test_bad_headers(self) -> None:
        """An opening that names no component, or is another one, ends the stream, and the WebSocket."""
        for text, wanted in (
            (header(None), "improper-addressing"),
            (header("exa mple"), "improper-addressing"),
            ("<open xmlns='urn:other' to='x'/>", "invalid-namespace"),
            ("<open xmlns='urn:other' to='x'>", "not-well-formed"),
            (OPEN.replace("/>", f" id='{'x' * 70_000}'/>"), "policy-violation"),
            ("<message/>", "invalid-namespace"),
            ("garbage", "bad-format"),
        ):
            gateway: Any = self.gates.open()
            self.assertEqual(condition(gateway.send(text)), wanted, text[:50])
            self.assertEqual(gateway.connection.calls[-1], "close")
            self.assertEqual(gateway.client.close_rcvd.code, CloseCode.NORMAL_CLOSURE)

    def test_opened_twice(self) -> None:
        """A stream is not opened inside of itself."""
        self.gateway.greet()
        self.assertEqual(condition(self.gateway.send(header())), "not-well-formed")

    def test_tls_demanded(self) -> None:
        """TLS is below HTTP, and not begun here."""
        self.gateway.greet()
        answer = self.gateway.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        self.assertEqual(condition(answer), "not-authorized")


class OthersTests(test_stream.OthersTests):
    """Components without a table of their own, and those below every host."""

    gateway_class = WebGateway


class ConflictTests(test_stream.ConflictTests):
    """Two streams for one component."""

    gateway_class = WebGateway

    def test_both_ways(self) -> None:
        """It makes no difference what the streams are carried by."""
        for first, second in ((Gateway, WebGateway), (WebGateway, Gateway)):
            gates = Gates(gateway=first)
            old = gates.open()
            old.connect()
            gates.gateway = second
            self.assertEqual(condition(gates.open().connect()), "conflict")
            self.assertEqual(gates.open(conflict_behaviour="kick_old").connect(), SHAKEN)
            self.assertEqual(condition(old.take()), "conflict")


class StanzaTests(test_stream.StanzaTests):
    """What goes to and fro."""

    gateway_class = WebGateway

    def test_alone(self) -> None:
        """Each stanza is a frame that can be read alone, in the namespace of components; so is what comes."""
        gateway: Any = self.gateway
        self.romeo.send(
            f"<message to='{GATEWAY}'><body>hi</body></message><iq type='result' id='1' to='{GATEWAY}'/>"
        )
        gateway.take()
        self.assertEqual([frame.partition(" to=")[0] for frame in gateway.frames], [
            f"<message xmlns='{NS}'", f"<iq xmlns='{NS}' type='result' id='1'",
        ])  # fmt: skip
        for ns in (NS, "jabber:client"):
            gateway.send(
                f"<message xmlns='{ns}' from='{GATEWAY}' to='romeo@example.org/orchard'>"
                f"<body>{ns}</body></message>"
            )
            self.assertEqual(str(self.romeo.take()[0].body), ns)

    def test_several_in_a_frame(self) -> None:
        """A frame with half an element, or with none, ends the stream."""
        for text, wanted in (("<message>", "not-well-formed"), (" ", "bad-format"), ("", "bad-format")):
            gateway: Any = self.connected(conflict_behaviour="kick_old")
            gateway.client.send_text(text.encode())
            gateway.deliver()
            self.assertEqual(condition(gateway.take()), wanted, text)

    def test_too_large_a_frame(self) -> None:
        """A frame above the limit is refused when its head has come."""
        gateway: Any = self.connected(conflict_behaviour="kick_old", max_stanza_bytes=10_000)
        gateway.client.send_text(b"<message>" + b"x" * 20_000)
        gateway.connection.dataReceived(b"".join(gateway.client.data_to_send())[:20])
        self.assertEqual(condition(gateway.take()), "policy-violation")

    def test_other_frames(self) -> None:
        """Pings are answered; what is not text ends the stream."""
        gateway: Any = self.gateway
        gateway.client.send_ping(b"?")
        gateway.deliver()
        gateway.connection.flush()
        self.assertEqual(b"".join(gateway.socket.sends), b"\x8a\x01?")
        gateway.take()
        gateway.client.send_binary(b"<message/>")
        gateway.deliver()
        gateway.take()
        self.assertEqual(gateway.client.close_rcvd.code, CloseCode.UNSUPPORTED_DATA)
        self.assertIsNone(self.gates.router.services[GATEWAY].stream)

    def test_quiet(self) -> None:
        """A connection on which nothing comes is pinged, and lives on."""
        gateway: Any = self.gateway
        gateway.connection.factory.wheel.start()
        self.addCleanup(gateway.connection.factory.wheel.stop)
        gateway.clock.pump([1.0] * 900)
        gateway.connection.flush()
        self.assertEqual(gateway.socket.sends[-1][0] & 0x0F, Opcode.PING)
        self.assertTrue(gateway.stream.is_open)


class OrderTests(test_stream.OrderTests):
    """Stanzas that wait."""

    gateway_class = WebGateway


class ReloadTests(test_stream.ReloadTests):
    """Another configuration under open streams."""

    gateway_class = WebGateway


class AcknowledgementTests(test_acks.AcknowledgementTests):
    """Acknowledgements (XEP-0198)."""

    gateway_class = WebGateway


class AloneTests(SynchronousTestCase):
    """The helper of these tests."""

    def test_cut(self) -> None:
        """A text is cut into its elements."""
        from palaver.test.components.websocket import elements

        self.assertEqual(elements("<a/><b x='>'><c/></b><d>1</d>"), ["<a/>", "<b x='>'><c/></b>", "<d>1</d>"])
