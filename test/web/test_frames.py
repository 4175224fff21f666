"""WebSocket frames as bytes, whatever way they are cut on their way."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from websockets.frames import Frame, Opcode

from palaver.test.web.case import WebCase
from palaver.web import frames

LIMIT = 100_000
PING = "<iq xmlns='jabber:client' type='get' id='{}'><ping xmlns='urn:xmpp:ping'/></iq>"


def text(data: bytes) -> bytes:
    """Give what a client sends for a text."""
    return Frame(Opcode.TEXT, data).serialize(mask=True)


class TextsTests(SynchronousTestCase):
    """What is read in one go."""

    def test_read(self) -> None:
        """Texts of both short kinds are read, and what they say is what was sent."""
        sent = [b"<a/>", b"x" * 125, b"y" * 126, b"z" * 65_535]
        data = b"".join(map(text, sent))
        self.assertEqual(frames.texts(data, 0, LIMIT), (sent, len(data)))

    def test_left(self) -> None:
        """What is another frame, too long, cut, unmasked or not all here is left, with what follows."""
        first = text(b"<first/>")
        for other in (
            text(b"<second/>")[:-1],
            text(b"<second/>")[:3],
            Frame(Opcode.TEXT, b"<second/>").serialize(mask=False),
            Frame(Opcode.TEXT, b"<second/>", fin=False).serialize(mask=True),
            b"\xc1" + text(b"<second/>")[1:],
            Frame(Opcode.BINARY, b"<second/>").serialize(mask=True),
            Frame(Opcode.PING, b"<second/>").serialize(mask=True),
            text(b"x" * (LIMIT + 1)),
            text(b"x" * 65_536),
        ):
            self.assertEqual(frames.texts(first + other, 0, LIMIT), ([b"<first/>"], len(first)))

    def test_length(self) -> None:
        """A frame's length is known as soon as its head is here."""
        for size, head in ((3, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)):
            for masked in (False, True):
                data = Frame(Opcode.BINARY, b"x" * size).serialize(mask=masked)
                self.assertEqual(frames.frame_bytes(data[:head], 0), len(data))
                self.assertEqual(frames.frame_bytes(data[: head - 1], 0), None)

    def test_header(self) -> None:
        """What the server writes is what the library would write."""
        for size in (0, 125, 126, 65_535, 65_536):
            data = b"x" * size
            self.assertEqual(frames.header(size) + data, Frame(Opcode.TEXT, data).serialize(mask=False))


class CutTests(WebCase):
    """Frames on real sockets."""

    async def test_cut(self) -> None:
        """Frames of every kind that come cut at any place are taken in their order."""
        romeo = await self.log_in_by_socket("romeo")
        halves = PING.format("cut").encode()
        data = b"".join(
            (
                text(PING.format("one").encode()),
                Frame(Opcode.PING, b"here").serialize(mask=True),
                Frame(Opcode.TEXT, halves[:30], fin=False).serialize(mask=True),
                Frame(Opcode.PING, b"there").serialize(mask=True),
                Frame(Opcode.CONT, halves[30:]).serialize(mask=True),
                text(PING.format("x" * 200).encode()),
                text(PING.format("last").encode()),
            )
        )
        (connection,) = self.palaver._door.connections()
        for size in (1, 2, 3, 7, 50, len(data)):
            for start in range(0, len(data), size):
                connection.dataReceived(data[start : start + size])
            answers = [await romeo.take() for _ in range(4)]
            for wanted, answer in zip(("'one'", "'cut'", "'xxxx", "'last'"), answers, strict=True):
                self.assertIn(wanted, answer)
        self.assertEqual(romeo.pongs, [b"here", b"there"] * 6)

    async def test_together(self) -> None:
        """Stanzas that come together are done in their order, up to one that is none."""
        romeo = await self.log_in_by_socket("romeo")
        together = [PING.format(number) for number in range(3)]
        romeo.transport.write(b"".join(text(each.encode()) for each in (*together, " <iq/>", *together)))
        for number in range(3):
            self.assertIn(f"id='{number}'", await romeo.take())
        self.assertIn("bad-format", await romeo.take())
        await romeo.closed()

    async def test_half_in_between(self) -> None:
        """A text that begins another element than it ends is refused, also among others."""
        romeo = await self.log_in_by_socket("romeo")
        ping = PING.format("one")
        romeo.transport.write(b"".join(text(each.encode()) for each in (ping, f"<message>{ping}")))
        self.assertIn("id='one'", await romeo.take())
        self.assertIn("not-well-formed", await romeo.take())
        await romeo.closed()
