"""Strangers at the web door: frames, bodies and half requests that no client would send."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher
from websockets.frames import CloseCode, Frame, Opcode

from palaver import log
from palaver.test.web.case import WebCase
from palaver.test.web.raw import LONG_S, Raw, connect
from palaver.test.web.socket import CLOSE
from palaver.web.websocket import MAX_FRAGMENTS

STRANGERS = 5000
# Those that are open at once in this process, on both sides.
MOST_SILENT = 200
AT_ONCE = 100
LOOK_S = 0.01


class FrameTests(WebCase):
    """What RFC 6455 forbids, or nobody needs."""

    async def refused(self, data: bytes, *codes: int) -> None:
        """Send bytes in a session; expect one of these codes, and that the next client is served."""
        romeo = await self.log_in_by_socket("romeo")
        romeo.transport.write(data)
        self.assertIn(await romeo.closed(), codes)
        self.assertEqual(self.palaver._door.connections(), [])
        juliet = await self.log_in_by_socket("juliet")
        juliet.send(CLOSE)
        await juliet.closed()

    async def test_fragments(self) -> None:
        """Nobody may cut a stanza into ever more pieces."""
        piece = Frame(Opcode.CONT, b"x", fin=False).serialize(mask=True)
        first = Frame(Opcode.TEXT, b"<message>", fin=False).serialize(mask=True)
        await self.refused(first + piece * (MAX_FRAGMENTS + 1), CloseCode.POLICY_VIOLATION)

    async def test_pieces_too_large(self) -> None:
        """Pieces are too large together, however small each of them is."""
        first = Frame(Opcode.TEXT, b"<message>", fin=False).serialize(mask=True)
        piece = Frame(Opcode.CONT, b"x" * 60_000, fin=False).serialize(mask=True)
        await self.refused(first + piece * 5, CloseCode.MESSAGE_TOO_BIG)

    async def test_text_among_pieces(self) -> None:
        """A new text before the end of the last one is against the rules, be it as short as it may."""
        first = Frame(Opcode.TEXT, b"<message>", fin=False).serialize(mask=True)
        text = Frame(Opcode.TEXT, b"<presence xmlns='jabber:client'></presence>").serialize(mask=True)
        await self.refused(first + text, CloseCode.PROTOCOL_ERROR)

    async def test_announced(self) -> None:
        """A frame that announces more than anybody could send is refused by its head."""
        await self.refused(b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"mask", CloseCode.MESSAGE_TOO_BIG)

    async def test_reserved(self) -> None:
        """Reserved bits and opcodes are refused, and so is a ping that is cut or long."""
        for data in (
            b"\xc1\x82maskab",
            b"\x83\x82maskab",
            b"\x09\x82maskab",
            b"\x89\xfe\x00\x7emask" + b"x" * 126,
        ):
            await self.refused(data, CloseCode.PROTOCOL_ERROR)

    async def test_behind_the_end(self) -> None:
        """What comes behind the end of a WebSocket is nothing, also when it came with that."""
        juliet = await self.log_in("juliet@localhost/balcony")
        romeo = await self.log_in_by_socket("romeo")
        message = b"<message xmlns='jabber:client' to='juliet@localhost/balcony'><body>late</body></message>"
        end = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
        romeo.transport.write(end + Frame(Opcode.TEXT, message).serialize(mask=True))
        self.assertEqual(await romeo.closed(), CloseCode.NORMAL_CLOSURE)
        juliet.send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual((await juliet.next())["id"], "p")

    async def test_not_utf_8(self) -> None:
        """A text is UTF-8; the stream says so, and then the WebSocket ends."""
        romeo = await self.log_in_by_socket("romeo")
        body = b"<message xmlns='jabber:client'><body>\xff</body></message>"
        romeo.transport.write(Frame(Opcode.TEXT, body).serialize(mask=True))
        self.assertIn("unsupported-encoding", await romeo.take())
        await romeo.closed()
        await self.log_in_by_socket("juliet")


class DoorTests(WebCase):
    """Requests."""

    def setUp(self) -> Any:
        """Have log lines kept."""
        self.out = io.StringIO()
        observer = log.LineObserver(self.out)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return super().setUp()

    async def wire(self) -> Raw:
        """Give a connection."""
        found = await connect(self.http_port)
        self.addCleanup(found.drop)
        return found

    async def status(self, data: bytes) -> int:
        """Give the status of the answer to what is written."""
        wire = await self.wire()
        wire.transport.write(data)
        answer = await wire.all()
        return int(answer.split()[1]) if answer else 0

    async def test_no_request(self) -> None:
        """What is no HTTP is refused or cut off."""
        for data in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"<stream:stream>\r\n\r\n", b"GET\r\n\r\n"):
            self.assertIn(await self.status(data), (0, 400))
        await self.log_in_by_bosh("romeo")

    async def test_chunks(self) -> None:
        """A body over the limit is refused, also when nobody has said how long it will be; that is logged."""
        head = b"POST /http-bind HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertEqual(await self.status(head + b"10000\r\n%b\r\n" % (b"x" * 65_536) * 6), 413)
        self.assertIn("web body-too-large address=127.0.0.1", self.out.getvalue())
        await self.log_in_by_bosh("romeo")

    async def test_half_open(self) -> None:
        """Of 5,000 half requests the oldest are cut off; somebody who asks among them is served."""
        await self.bosh().open()
        (site,) = self.palaver._door.sites
        site.channels.silent.most = MOST_SILENT
        opened: list[Raw] = []
        for number in range(STRANGERS):
            wire = await connect(self.http_port)
            wire.transport.write(b"POST /http-bind HTTP/1.1\r\nHost: local")
            opened.append(wire)
            if number % AT_ONCE == 0:
                await deferLater(_reactor, 0)
                opened = [each for each in opened if not each.lost]
                self.assertLessEqual(len(site.channels), MOST_SILENT)
        await self.log_in_by_bosh("romeo")
        await self.log_in_by_socket("juliet")
        for wire in opened:
            await wire.drop()
        for _ in range(int(LONG_S / LOOK_S)):
            if len(site.channels) < MOST_SILENT // 2:
                return
            await deferLater(_reactor, LOOK_S)
        self.fail(f"{len(site.channels)} connections are left")

    test_half_open.timeout = 120  # type: ignore[attr-defined]
