"""mod_compression: streams by zlib, over real sockets, and who does not get them."""

from __future__ import annotations

import secrets
import zlib
from typing import Any, ClassVar

from palaver import metrics
from palaver.streams.compression import MAX_RATIO, SLACK_BYTES
from palaver.test.served import PASSWORD, ServedCase
from palaver.test.wire import Wire, bind

NS = "http://jabber.org/protocol/compress"
COMPRESS = f"<compress xmlns='{NS}'><method>zlib</method></compress>"
PING = "<iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>"


class Packing:
    """Compresses what a `Wire` sends and reads, from `start` on."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.sent = 0
        self.received = 0
        self._deflate = zlib.compressobj()

    def finish(self) -> None:
        """End what is compressed; what is sent behind that is not."""
        self.wire.transport.write(self._deflate.flush(zlib.Z_FINISH))
        wire: Any = self.wire
        wire.send = lambda data: wire.transport.write(data.encode())

    def start(self) -> None:
        """Take the place of the wire's socket and of its parser's input."""
        deflate, inflate = self._deflate, zlib.decompressobj()
        transport, parse = self.wire.transport, self.wire.dataReceived

        def write(data: bytes) -> None:
            packed = deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)
            self.sent += len(packed)
            transport.write(packed)

        def data_received(data: bytes) -> None:
            self.received += len(data)
            parse(inflate.decompress(data))

        wire: Any = self.wire
        wire.send = lambda data: write(data if isinstance(data, bytes) else data.encode())
        wire.dataReceived = data_received


class CompressionCase(ServedCase):
    """Switches the module on."""

    modules: ClassVar[dict[str, Any]] = {"mod_compression": {}}

    async def authenticated(self, tls: str = "off") -> Wire:
        """Give a connection that has logged in and is shown what may follow."""
        wire = await self.connect(tls)
        await wire.features()
        await wire.authenticate("romeo", PASSWORD)
        self.features = await wire.features()
        return wire

    async def compressed(self, tls: str = "off") -> tuple[Wire, Packing]:
        """Give a compressed stream with a resource."""
        wire = await self.authenticated(tls)
        wire.send(COMPRESS)
        answer = await wire.next()
        self.assertEqual((answer.uri, answer.name), (NS, "compressed"))
        packing = Packing(wire)
        packing.start()
        features = await wire.features()
        self.assertEqual([child.name for child in features.elements() if child.name == "compression"], [])
        await wire.ask(bind("packed"))
        return wire, packing


class StreamTests(CompressionCase):
    """Clients that ask for it."""

    async def test_announced(self) -> None:
        """It is announced behind the login, and not before."""
        wire = await self.connect()
        before = await wire.features()
        self.assertNotIn("compression", [child.name for child in before.elements()])
        await self.authenticated()
        found = next(child for child in self.features.elements() if child.name == "compression")
        self.assertEqual([str(method) for method in found.elements()], ["zlib"])

    async def test_messages(self) -> None:
        """What is sent and what comes is small, and the same."""
        juliet = await self.log_in("juliet@localhost/balcony")
        wire, packing = await self.compressed()
        text = "wherefore art thou " * 500
        juliet.send(f"<message type='chat' to='romeo@localhost/packed'><body>{text}</body></message>")
        self.assertEqual(str((await wire.next()).body), text)
        wire.send(f"<message type='chat' to='juliet@localhost/balcony'><body>{text}</body></message>")
        self.assertEqual(str((await juliet.next()).body), text)
        self.assertLess(packing.sent + packing.received, len(text))

    async def test_within_tls(self) -> None:
        """It goes over TLS as well."""
        wire, _ = await self.compressed("direct")
        self.assertEqual((await wire.ask(PING))["type"], "result")

    async def test_resumed(self) -> None:
        """A session is resumed on a compressed stream."""
        wire = await self.log_in("romeo@localhost/plain")
        wire.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        token = (await wire.next())["id"]
        wire.drop()
        await wire.closed()
        again = await self.authenticated()
        again.send(COMPRESS)
        await again.next()
        Packing(again).start()
        await again.features()
        again.send(f"<resume xmlns='urn:xmpp:sm:3' previd='{token}' h='0'/>")
        self.assertEqual((await again.next()).name, "resumed")

    async def test_stream_management(self) -> None:
        """A compressed session can be resumed by a stream without compression."""
        wire, _ = await self.compressed()
        wire.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        token = (await wire.next())["id"]
        wire.drop()
        await wire.closed()
        again = await self.authenticated()
        again.send(f"<resume xmlns='urn:xmpp:sm:3' previd='{token}' h='0'/>")
        self.assertEqual((await again.next()).name, "resumed")


class RefusedTests(CompressionCase):
    """What is refused, with the conditions of the XEP; and nobody else notices."""

    async def refused(self, request: str, condition: str) -> None:
        """Expect a refusal after which the client may go on."""
        wire = await self.authenticated()
        wire.send(request)
        answer = await wire.next()
        self.assertEqual((answer.name, answer.firstChildElement().name), ("failure", condition))
        self.assertEqual((await wire.ask(bind()))["type"], "result")

    async def test_other_method(self) -> None:
        """Nothing but zlib is there."""
        await self.refused(f"<compress xmlns='{NS}'><method>lzw</method></compress>", "unsupported-method")

    async def test_no_method(self) -> None:
        """A request names a method."""
        await self.refused(f"<compress xmlns='{NS}'/>", "setup-failed")

    async def test_too_late(self) -> None:
        """Once a resource is bound it is too late."""
        wire = await self.log_in("romeo@localhost/plain")
        wire.send(COMPRESS)
        self.assertEqual((await wire.next()).firstChildElement().name, "setup-failed")

    async def test_twice(self) -> None:
        """What is compressed is not compressed again."""
        wire, _ = await self.compressed()
        wire.send(COMPRESS)
        self.assertEqual((await wire.next()).firstChildElement().name, "setup-failed")

    async def test_before_login(self) -> None:
        """Strangers get none."""
        wire = await self.connect()
        await wire.features()
        wire.send(COMPRESS)
        self.assertEqual((await wire.next()).firstChildElement().name, "setup-failed")

    async def test_no_zlib(self) -> None:
        """What cannot be unpacked ends the stream."""
        wire, _ = await self.compressed()
        wire.transport.write(b"<presence/>")
        self.assertEqual(await wire.stream_error(), "undefined-condition")
        await self.log_in("juliet@localhost/next")

    async def test_bomb(self) -> None:
        """What unpacks to a thousand times its size ends the stream before it is unpacked."""
        wire, _ = await self.compressed()
        before = metrics.stanzas_received["message"]
        stanza = b"<message to='romeo@localhost/packed'/>"
        wire.send(stanza * (30 * SLACK_BYTES // len(stanza)))
        self.assertEqual(await wire.stream_error(), "policy-violation")
        taken = (metrics.stanzas_received["message"] - before) * len(stanza)
        self.assertLess(taken, SLACK_BYTES + 2 * MAX_RATIO * 16 * 1024)
        await self.log_in("juliet@localhost/next")

    async def test_saved_up(self) -> None:
        """Nobody saves up for a bomb with what hardly packs."""
        wire, _ = await self.compressed()
        for _ in range(20):
            wire.send(f"<message to='juliet@localhost'><body>{secrets.token_hex(10_000)}</body></message>")
        await wire.ask()
        wire.send("<message to='romeo@localhost/packed'/>" * 100_000)
        self.assertEqual(await wire.stream_error(), "policy-violation")

    async def test_behind_the_end(self) -> None:
        """Nothing follows the end of what is compressed."""
        wire, packing = await self.compressed()
        packing.finish()
        wire.send("<presence/>")
        self.assertEqual(await wire.stream_error(), "undefined-condition")

    async def test_long_stanza(self) -> None:
        """A stanza is as long as it is unpacked."""
        wire, _ = await self.compressed()
        wire.send(f"<message><body>{'x' * 300_000}</body></message>")
        self.assertEqual(await wire.stream_error(), "policy-violation")
