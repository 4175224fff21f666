"""The ways in which a bot can be there: in the process, over TCP, over WebSocket, and with slixmpp.

A test case has one of the classes here in front, and in ``example`` the name of a file in docs/examples with
Wokkel handlers; for slixmpp the case gives a `ComponentXMPP` itself.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Any

from slixmpp import ComponentXMPP
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.words.protocols.jabber.jid import JID
from twisted.words.protocols.jabber.xmlstream import STREAM_AUTHD_EVENT
from twisted.words.xish.utility import EventDispatcher
from twisted.words.xish.xmlstream import STREAM_CONNECTED_EVENT, STREAM_END_EVENT, BootstrapMixin

import palaver.upstream  # noqa: F401
from palaver.service import Palaver
from palaver.stanza import NS_COMPONENT, from_element
from palaver.test.components.talker import handshake
from palaver.test.peers.slix import asyncio_thread
from palaver.test.services import LOOPBACK, ServiceCase
from palaver.test.test_embedding import example
from palaver.test.web import socket as sockets
from palaver.test.web.case import HTTP
from palaver.test.wire import Wire, reactor
from palaver.tree import parse_element

from wokkel.component import Component  # isort: skip
from wokkel.generic import FallbackHandler  # isort: skip
from wokkel.subprotocols import StreamManager  # isort: skip

BOT = "bot.localhost"
SECRET = "keep it"
# Far more than a loaded machine needs.
WAIT_S = 8.0
LOOK_S = 0.01
ADDRESS = re.compile(r"component 127\.0\.0\.1:(\d+) \(no TLS\)")


class BotCase(ServiceCase):
    """A server with a bot, and juliet online."""

    example = "echo_bot"
    juliet: Wire

    def table(self) -> dict[str, Any]:
        """Give the bot's table in ``[components]``."""
        return {"secret": SECRET}

    def modules(self) -> dict[str, Any]:
        """Give what ``[modules]`` has."""
        return {}

    async def join(self) -> None:
        """Start the bot, connected to the server when this is over."""
        raise NotImplementedError

    async def leave(self) -> None:
        """End the bot."""
        raise NotImplementedError

    def setUp(self) -> Any:
        """Start the server and the bot; juliet is online."""
        return maybeDeferred(self._set_up)

    def configured(self, modules: dict[str, Any]) -> dict[str, Any]:
        """Give the configuration with these modules beside the usual ones."""
        modules = {"mod_websockets": {"service": {}}, **modules}
        config = self.config(components={"bot.@HOST@": self.table()}, modules=modules)
        config["listen"] |= {"component": [{"port": 0}], "http": [{"port": 0}]}
        return config

    async def _set_up(self) -> None:
        await self.run_service(Palaver(self.configured(self.modules())), "juliet@localhost")
        self.juliet = await self.log_in("juliet@localhost/balcony")
        await self.join()

    def handlers(self) -> list[Any]:
        """Give the Wokkel handlers of the example."""
        self.addCleanup(sys.modules.pop, self.example, None)
        found: list[Any] = example(self.example).make()
        return found

    def port_of(self, address: re.Pattern[str]) -> int:
        """Give the port of another kind than that of clients."""
        return next(int(found[1]) for found in map(address.fullmatch, self.palaver.addresses()) if found)

    async def until(self, there: bool) -> None:
        """Wait until the bot's stream is there, or gone."""
        for _ in range(round(WAIT_S / LOOK_S)):
            if (self.palaver.server.router.services[BOT].stream is not None) is there:
                return
            await deferLater(reactor, LOOK_S)
        self.fail("the bot has not come" if there else "the bot has not gone")


class InProcess(BotCase):
    """The example inside the server."""

    def table(self) -> dict[str, Any]:
        """See BotCase."""
        self.addCleanup(sys.modules.pop, self.example, None)
        example(self.example)
        return {"handler": f"{self.example}:make"}

    async def join(self) -> None:
        """See BotCase: it is there with the server."""


class WokkelOverTcp(BotCase):
    """The same handlers, unchanged, behind `wokkel.component.Component`."""

    async def join(self) -> None:
        """See BotCase."""
        self.service = Component(LOOPBACK, self.port_of(ADDRESS), BOT, SECRET)
        for handler in (*self.handlers(), FallbackHandler()):
            handler.setHandlerParent(self.service)
        self.service.startService()
        self.addCleanup(self.leave)
        await self.until(True)

    async def leave(self) -> None:
        """See BotCase."""
        if self.service.running:
            await maybeDeferred(self.service.stopService)


class _WebSocketStream(EventDispatcher, sockets.Socket):
    """What Wokkel's handlers know as the XML stream, over a WebSocket."""

    thisEntity = JID(BOT)
    otherEntity = None

    def __init__(self, uri: str) -> None:
        EventDispatcher.__init__(self)
        sockets.Socket.__init__(self, uri, "xmpp")
        self.runs = False

    def dataReceived(self, data: bytes) -> None:
        """Give the handlers what comes, once they have begun."""
        super().dataReceived(data)
        if self.runs:
            self.run()

    def run(self) -> None:
        """Give the handlers what has come, and whatever comes from here on."""
        self.runs = True
        while self.texts:
            node: Any = parse_element(self.texts.popleft().encode())
            node.handled = False
            self.dispatch(node)

    def send(self, given: Any) -> None:
        """Send text, or an element as a component writes it."""
        super().send(given if isinstance(given, str) else from_element(given).encode(True).decode())


class WokkelOverWebSocket(BotCase):
    """The same handlers once more, over a WebSocket."""

    async def join(self) -> None:
        """See BotCase."""
        self.events = BootstrapMixin()
        manager = StreamManager(self.events, reactor)
        for handler in (*self.handlers(), FallbackHandler()):
            handler.setHandlerParent(manager)
        port = self.port_of(HTTP)
        self.stream = _WebSocketStream(f"ws://localhost:{port}/xmpp-component")
        await sockets.reach(self.stream, port)
        self.addCleanup(self.leave)
        self.stream.send(f"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{BOT}'/>")
        identity = (await self.stream.take()).partition(" id='")[2].partition("'")[0]
        self.stream.send(handshake(identity, SECRET))
        self.assertEqual(await self.stream.take(), f"<handshake xmlns='{NS_COMPONENT}'/>")
        self._tell(STREAM_CONNECTED_EVENT, self.stream)
        self._tell(STREAM_AUTHD_EVENT, self.stream)
        self.stream.run()

    def _tell(self, event: str, argument: object) -> None:
        for wanted, function in self.events.bootstraps:
            if wanted == event:
                function(argument)

    async def leave(self) -> None:
        """See BotCase."""
        if not self.stream.lost:
            self.stream.transport.abortConnection()
            await self.stream.closed()
            self._tell(STREAM_END_EVENT, Failure(ConnectionDone()))


class Slixmpp(BotCase):
    """A component of slixmpp's; ``prepare`` makes a bot of it."""

    plugins: tuple[str, ...] = ("xep_0030", "xep_0199")

    def prepare(self, bot: ComponentXMPP) -> None:
        """Have it do what it is for; in slixmpp's thread."""
        raise NotImplementedError

    bot: ComponentXMPP | None = None

    async def join(self) -> None:
        """See BotCase."""
        self.bot = await deferToThread(asyncio_thread().run, self._begin(self.port_of(ADDRESS)))
        self.addCleanup(self.leave)
        await self.until(True)

    async def _begin(self, port: int) -> ComponentXMPP:
        bot = ComponentXMPP(BOT, SECRET, LOOPBACK, port)
        for plugin in self.plugins:
            bot.register_plugin(plugin)
        self.prepare(bot)
        bot.connect()
        return bot

    async def leave(self) -> None:
        """See BotCase."""
        if self.bot is not None:
            bot, self.bot = self.bot, None

            async def end() -> None:
                await bot.disconnect(wait=1.0)
                # slixmpp forgets this one before it has ended, and asyncio says so.
                writing: Any = bot._run_out_filters
                writing.cancel()
                await asyncio.wait([writing])

            await deferToThread(asyncio_thread().run, end())
