"""Clients over WebSocket (RFC 7395), on real sockets."""

from __future__ import annotations

from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode

from palaver.test.web.case import WebCase
from palaver.test.web.socket import CLOSE, OPEN

BODY = "<message xmlns='jabber:client' type='chat' to='{}'><body>{}</body></message>"


class SessionTests(WebCase):
    """What a client does all day."""

    async def test_opening(self) -> None:
        """The stream is opened by an element, without an XML declaration; what follows can be read alone."""
        socket = await self.socket()
        socket.send(OPEN)
        opened = await socket.take()
        self.assertTrue(opened.startswith("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='"), opened)
        self.assertIn(" from='localhost' version='1.0'", opened)
        features = await socket.take()
        self.assertTrue(
            features.startswith("<stream:features xmlns:stream='http://etherx.jabber.org/streams'>")
        )
        self.assertNotIn("starttls", features)

    async def test_messages(self) -> None:
        """A client over WebSocket and one over TCP write to each other."""
        juliet = await self.log_in("juliet@localhost/balcony")
        romeo = await self.log_in_by_socket("romeo")
        romeo.send(BODY.format("juliet@localhost/balcony", "from the web"))
        self.assertEqual(str((await juliet.next()).body), "from the web")
        juliet.send("<message type='chat' to='romeo@localhost/web'><body>to the web</body></message>")
        got = await romeo.take()
        self.assertTrue(got.startswith("<message xmlns='jabber:client' "), got)
        self.assertIn("<body>to the web</body></message>", got)

    async def test_close(self) -> None:
        """The end of the stream is an element as well, and then the WebSocket ends."""
        romeo = await self.log_in_by_socket("romeo")
        romeo.send(CLOSE)
        self.assertEqual(await romeo.take(), CLOSE)
        self.assertEqual(await romeo.closed(), CloseCode.NORMAL_CLOSURE)
        self.assertEqual(self.palaver.server.sessions(), 0)

    async def test_fragments(self) -> None:
        """A message that comes cut is taken whole."""
        romeo = await self.log_in_by_socket("romeo")
        ping = b"<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"
        romeo.client.send_text(ping[:20], fin=False)
        romeo.client.send_continuation(ping[20:], fin=True)
        romeo.flush()
        self.assertIn("id='p'", await romeo.take())

    async def test_large(self) -> None:
        """A frame of any length arrives, up to the limit of a stanza."""
        romeo = await self.log_in_by_socket("romeo")
        for size in (200, 70_000, 200_000):
            romeo.send(BODY.format("romeo@localhost/web", "x" * size))
            self.assertIn("x" * size, await romeo.take())


class BadInputTests(WebCase):
    """Whatever comes, the right end follows, and the next client is served."""

    async def refused(self, text: str, condition: str) -> None:
        """Send a frame as the first thing in a session; expect a stream error."""
        romeo = await self.log_in_by_socket("romeo")
        romeo.send(text)
        error = await romeo.take()
        self.assertTrue(error.startswith("<stream:error xmlns:stream="), error)
        self.assertIn(condition, error)
        self.assertEqual(await romeo.take(), CLOSE)
        await romeo.closed()
        await self.test_next()

    async def test_next(self) -> None:
        """The next client is served."""
        await self.log_in_by_socket("juliet")

    async def test_no_element(self) -> None:
        """A frame begins with an element."""
        await self.refused(" <presence/>", "bad-format")

    async def test_half(self) -> None:
        """A frame is a whole element."""
        await self.refused("<message xmlns='jabber:client'><body>", "not-well-formed")

    async def test_opened_twice(self) -> None:
        """A stream is not opened inside of itself."""
        await self.refused(OPEN, "not-well-formed")

    async def test_too_large(self) -> None:
        """Too large a frame ends the session, so that nobody sends it again after resuming."""
        await self.refused("<message xmlns='jabber:client'><body>" + "x" * 300_000, "stanza-too-big")

    async def test_binary(self) -> None:
        """A binary frame is refused with the code for that."""
        romeo = await self.log_in_by_socket("romeo")
        romeo.client.send_binary(b"<presence/>")
        romeo.flush()
        self.assertEqual(await romeo.closed(), CloseCode.UNSUPPORTED_DATA)
        await self.test_next()

    async def test_unmasked(self) -> None:
        """A client's frames are masked (RFC 6455 section 5.1)."""
        romeo = await self.log_in_by_socket("romeo")
        romeo.transport.write(b"\x81\x02<a")
        self.assertEqual(await romeo.closed(), CloseCode.PROTOCOL_ERROR)
        await self.test_next()

    async def test_other_namespace(self) -> None:
        """What opens a stream is an open of RFC 7395."""
        socket = await self.socket()
        socket.send("<open xmlns='urn:other' to='localhost' version='1.0'/>")
        self.assertTrue((await socket.take()).startswith("<open "))
        self.assertIn("invalid-namespace", await socket.take())
        await socket.closed()

    async def test_subprotocol(self) -> None:
        """A WebSocket of another subprotocol is refused."""
        with self.assertRaises(InvalidStatus) as refused:
            await self.socket(subprotocols=("chat",))
        self.assertEqual(refused.exception.response.status_code, 501)

    async def test_ping(self) -> None:
        """A ping of the WebSocket's own is answered."""
        romeo = await self.log_in_by_socket("romeo")
        romeo.client.send_ping(b"here")
        romeo.flush()
        romeo.send("<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertIn("id='p'", await romeo.take())
        self.assertEqual(romeo.pongs, [b"here"])
