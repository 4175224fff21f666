"""WebSockets that live long: pings, slow readers, origins, TLS, resumption, reload and shutdown."""

from __future__ import annotations

import socket as sockets
from typing import Any, ClassVar

from websockets.exceptions import InvalidStatus

from palaver.test.web.case import WebCase
from palaver.test.web.socket import CLOSE, OPEN
from palaver.test.wire import plain

ENABLE = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
MESSAGE = "<message xmlns='jabber:client' type='chat' to='{}'><body>{}</body></message>"


class LongTests(WebCase):
    """What happens in the life of a session."""

    limits: ClassVar[dict[str, Any]] = {"max_unsent_bytes": 65536}

    async def test_keep_alive(self) -> None:
        """A client that has been silent for long gets a ping of the WebSocket's own, and no white space."""
        romeo = await self.log_in_by_socket("romeo")
        (connection,) = self.palaver._door.connections()
        connection.keep_alive()
        connection.flush()
        romeo.send("<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertIn("id='p'", await romeo.take())
        self.assertEqual(romeo.pings, 1)

    async def test_slow_reader(self) -> None:
        """Who does not read is cut off, and the next client is served."""
        romeo = await self.log_in_by_socket("romeo")
        romeo.send("<presence xmlns='jabber:client'/>")
        romeo.transport.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        romeo.transport.pauseProducing()
        (connection,) = self.palaver._door.connections()
        connection.transport.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, 4096)
        juliet = await self.log_in("juliet@localhost/balcony")
        for _ in range(200):
            juliet.send(MESSAGE.format("romeo@localhost/web", "x" * 50_000))
            await juliet.ask()
            if not self.palaver._door.connections():
                break
        self.assertEqual(self.palaver._door.connections(), [])
        await self.log_in_by_socket("nurse")

    async def test_resumption(self) -> None:
        """A session that began over TCP goes on over WebSocket, and back again (XEP-0198)."""
        juliet = await self.log_in("juliet@localhost/balcony")
        romeo = await self.log_in("romeo@localhost/orchard")
        romeo.send(ENABLE)
        token = (await romeo.next())["id"]
        romeo.drop()
        await romeo.closed()
        juliet.send(MESSAGE.format("romeo@localhost/orchard", "meanwhile"))
        await juliet.ask()
        web = await self.socket()
        for text, wanted in (
            (OPEN, "<stream:features"),
            (plain("romeo", "sesame"), "<success"),
            (OPEN, "<bind"),
        ):
            web.send(text)
            while wanted not in await web.take():
                pass
        resume = f"<resume xmlns='urn:xmpp:sm:3' previd='{token}' h='{{}}'/>"
        web.send(resume.format(0))
        self.assertTrue((await web.take()).startswith("<resumed"))
        self.assertIn("meanwhile", await web.take())
        again = await self.connect()
        await again.features()
        await again.authenticate("romeo", "sesame")
        await again.features()
        again.send(resume.format(1))
        self.assertEqual((await again.next()).name, "resumed")
        await web.closed()

    async def test_shutdown(self) -> None:
        """When the server goes down, a client is told so."""
        romeo = await self.log_in_by_socket("romeo")
        await self.palaver.stopService()
        self.assertIn("<system-shutdown", await romeo.take())
        self.assertEqual(await romeo.take(), CLOSE)

    async def test_reload(self) -> None:
        """A session outlives a reload, and new ones come after it."""
        romeo = await self.log_in_by_socket("romeo")
        await self.palaver.reload(self.palaver.config)
        romeo.send("<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertIn("id='p'", await romeo.take())
        await self.log_in_by_socket("juliet")


class OriginTests(WebCase):
    """A server that lets in scripts of one site."""

    modules: ClassVar[dict[str, Any]] = {
        "mod_websockets": {"origins": ["https://chat.example.org"]},
        "mod_bosh": {"origins": ["https://chat.example.org"]},
    }

    async def test_allowed(self) -> None:
        """Its own pages may connect."""
        await self.socket(origin="https://chat.example.org")
        answer = await (
            await self.bosh().post("", "Origin: https://chat.example.org\r\n", "OPTIONS")
        ).answer()
        self.assertIn("access-control-allow-origin: https://chat.example.org", answer.head.lower())

    async def test_refused(self) -> None:
        """Those of others may not."""
        with self.assertRaises(InvalidStatus) as refused:
            await self.socket(origin="https://evil.example")
        self.assertEqual(refused.exception.response.status_code, 403)
        answer = await (await self.bosh().post("", "Origin: https://evil.example\r\n", "OPTIONS")).answer()
        self.assertEqual(answer.status, 403)


class TlsTests(WebCase):
    """HTTPS."""

    listen: ClassVar[dict[str, Any]] = {"http": [{"port": 0, "tls": "on"}]}

    async def test_session(self) -> None:
        """A WebSocket within TLS is a secure connection, from its first byte to its last."""
        romeo = await self.log_in_by_socket("romeo")
        (connection,) = self.palaver._door.connections()
        self.assertTrue(connection.stream.secure)
        romeo.send(MESSAGE.format("romeo@localhost/web", "x" * 100_000))
        self.assertIn("x" * 100_000, await romeo.take())
        romeo.send(CLOSE)
        self.assertEqual(await romeo.take(), CLOSE)
        await romeo.closed()
