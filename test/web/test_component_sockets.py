"""Components over WebSocket on a running server: where they connect, reload, and the end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode

from palaver.config import Config, ConfigError
from palaver.service import Palaver
from palaver.test.components.talker import handshake
from palaver.test.services import ServiceCase
from palaver.test.web import socket as sockets
from palaver.test.web.case import HTTP
from palaver.test.web.socket import CLOSE, Socket

PATH = "/xmpp-component"
BOT = "bot.localhost"
SECRET = "keep it"
OPEN = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{}'/>"
MESSAGE = (
    "<message xmlns='jabber:component:accept' from='{}' to='juliet@localhost/balcony'>"
    "<body>hi</body></message>"
)


class ComponentSocketTests(ServiceCase):
    """A server with components over WebSocket, unless a test says otherwise."""

    def table(self, service: Any = None, **more: Any) -> dict[str, Any]:
        """Give the configuration; ``service`` is the table of the option."""
        listen = {**self.config()["listen"], "http": [{"port": 0}]}
        service = {} if service is None else service
        return self.config(
            listen=listen,
            modules={"mod_websockets": {"service": service} if service is not False else {}},
            components={"bot.@HOST@": {"secret": SECRET}},
            **more,
        )

    async def serve(self, *arguments: Any, **more: Any) -> None:
        """Start the server; juliet is online."""
        await self.run_service(Palaver(self.table(*arguments, **more)), "juliet@localhost")
        self.juliet = await self.log_in("juliet@localhost/balcony")

    async def socket(self, path: str = PATH, **options: Any) -> Socket:
        """Give a WebSocket; it is dropped after the test."""
        matches = map(HTTP.fullmatch, self.palaver.addresses())
        port = next(int(match[1]) for match in matches if match)
        found = await sockets.connect(port, path, **options)
        self.addCleanup(self._end, found)
        return found

    @staticmethod
    async def _end(found: Socket) -> None:
        if not found.lost:
            found.transport.abortConnection()
            await found.closed()

    async def component(
        self, domain: str = BOT, secret: str = SECRET, path: str = PATH
    ) -> tuple[Socket, str]:
        """Open a stream and shake hands; gives the socket, and what came last."""
        found = await self.socket(path)
        found.send(OPEN.format(domain))
        opened = await found.take()
        identity = opened.partition(" id='")[2].partition("'")[0]
        found.send(handshake(identity, secret))
        return found, await found.take()

    def test_messages(self) -> Deferred[None]:
        """A component and a client write to each other."""
        return Deferred.fromCoroutine(self._messages())

    async def _messages(self) -> None:
        await self.serve()
        bot, answer = await self.component()
        self.assertEqual(answer, "<handshake xmlns='jabber:component:accept'/>")
        bot.send(MESSAGE.format(BOT))
        self.assertEqual((await self.juliet.next())["from"], BOT)
        self.juliet.send(f"<message to='x@{BOT}'><body>hi</body></message>")
        self.assertTrue((await bot.take()).startswith("<message xmlns='jabber:component:accept' to='x@"))
        bot.send(CLOSE)
        self.assertEqual(await bot.take(), CLOSE)
        self.assertEqual(await bot.closed(), CloseCode.NORMAL_CLOSURE)
        self.juliet.send(f"<message to='{BOT}'/>")
        self.assertEqual((await self.juliet.next()).error["type"], "wait")

    def test_off(self) -> Deferred[None]:
        """Without the option there is no such place; clients' places are for clients alone."""
        return Deferred.fromCoroutine(self._off())

    async def _off(self) -> None:
        await self.serve(False)
        with self.assertRaises(InvalidStatus) as caught:
            await self.socket()
        self.assertEqual(caught.exception.response.status_code, 404)
        client = await self.socket("/xmpp-websocket")
        client.send(OPEN.format(BOT))
        await client.take()
        self.assertIn("host-unknown", await client.take())

    def test_options(self) -> Deferred[None]:
        """Path, secret for all, hiding and limits are options as for ports."""
        return Deferred.fromCoroutine(self._options())

    async def _options(self) -> None:
        await self.serve(
            {"path": "/gate", "secret": "all", "hidden_components": True, "max_stanza_bytes": 10_000}
        )
        bot, answer = await self.component("icq.localhost", "all", "/gate")
        self.assertIn("<handshake", answer)
        self.assertTrue(self.palaver.server.router.services["icq.localhost"].hidden)
        bot.send(MESSAGE.format("icq.localhost").replace("hi", "x" * 20_000))
        self.assertIn("stanza-too-big", await bot.take())
        _, answer = await self.component("icq.localhost", "other", "/gate")
        self.assertIn("not-authorized", answer)

    def test_subprotocol(self) -> Deferred[None]:
        """The subprotocol is that of XMPP."""
        return Deferred.fromCoroutine(self._subprotocol())

    async def _subprotocol(self) -> None:
        await self.serve()
        with self.assertRaises(InvalidStatus) as caught:
            await self.socket(subprotocols=("chat",))
        self.assertEqual(caught.exception.response.status_code, 501)

    def test_strangers(self) -> Deferred[None]:
        """Those who have not shaken hands are few, as on every port."""
        return Deferred.fromCoroutine(self._strangers())

    async def _strangers(self) -> None:
        await self.serve(limits={"max_unauthenticated_per_address": 1})
        waiting = await self.socket()
        with self.assertRaises(InvalidStatus) as caught:
            await self.socket()
        self.assertEqual(caught.exception.response.status_code, 503)
        waiting.transport.abortConnection()
        await waiting.closed()
        for _ in range(2):
            await self.component()

    def test_reload(self) -> Deferred[None]:
        """Streams stay over a reload; what comes later finds the new options, or nothing."""
        return Deferred.fromCoroutine(self._reload())

    async def _reload(self) -> None:
        await self.serve({"secret": "all"})
        bot, _ = await self.component()
        await self.palaver.reload(Config.from_dict(self.table({"secret": "new", "max_stanza_bytes": 10_000})))
        bot.send(MESSAGE.format(BOT))
        self.assertEqual((await self.juliet.next())["from"], BOT)
        self.assertIn("not-authorized", (await self.component("icq.localhost", "all"))[1])
        other, answer = await self.component("icq.localhost", "new")
        self.assertIn("<handshake", answer)
        other.send(MESSAGE.format("icq.localhost").replace("hi", "x" * 20_000))
        self.assertIn("stanza-too-big", await other.take())
        await self.palaver.reload(Config.from_dict(self.table(False)))
        with self.assertRaises(InvalidStatus):
            await self.socket()
        bot.send(MESSAGE.format(BOT))
        self.assertEqual((await self.juliet.next())["from"], BOT)

    def test_one_place(self) -> Deferred[None]:
        """A place is for clients or for components; the server does not start otherwise."""
        return Deferred.fromCoroutine(self._one_place())

    async def _one_place(self) -> None:
        with self.assertRaises(ConfigError):
            await self.run_service(Palaver(self.table({"path": "/xmpp-websocket"})))

    def test_shutdown(self) -> Deferred[None]:
        """At the end of the server the component hears why, and its WebSocket ends."""
        return Deferred.fromCoroutine(self._shutdown())

    async def _shutdown(self) -> None:
        await self.serve()
        bot, _ = await self.component()
        stopping = self.palaver.stopService()
        self.assertIn("system-shutdown", await bot.take())
        self.assertEqual(await bot.closed(), CloseCode.NORMAL_CLOSURE)
        await stopping
