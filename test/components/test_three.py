"""One bot three times: in the process, with Wokkel over a socket, and with slixmpp."""

from __future__ import annotations

import re
import sys
from typing import Any

from slixmpp import ComponentXMPP
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.words.xish import domish

import palaver.upstream  # noqa: F401
from palaver.service import Palaver
from palaver.test.peers.slix import asyncio_thread
from palaver.test.services import LOOPBACK, ServiceCase
from palaver.test.test_embedding import condition, example
from palaver.test.wire import Wire, reactor

from wokkel.component import Component  # isort: skip
from wokkel.generic import FallbackHandler  # isort: skip

BOT = "bot.localhost"
SECRET = "keep it"
# Far more than a loaded machine needs.
WAIT_S = 8.0
LOOK_S = 0.01
NS_DISCO = "http://jabber.org/protocol/disco"
ADDRESS = re.compile(r"component 127\.0\.0\.1:(\d+) \(no TLS\)")


class BotTests:
    """What each of them can do."""

    juliet: Wire

    async def join(self: Any) -> None:
        """Start the bot, connected to the server when this is over."""
        raise NotImplementedError

    def table(self) -> dict[str, Any]:
        """Give the bot's table in ``[components]``."""
        return {"secret": SECRET}

    def setUp(self: Any) -> Any:
        """Start the server and the bot; juliet is online."""
        return Deferred.fromCoroutine(self._set_up())

    async def _set_up(self: Any) -> None:
        config = self.config(components={"bot.@HOST@": self.table()})
        config["listen"]["component"] = [{"port": 0}]
        await self.run_service(Palaver(config), "juliet@localhost")
        self.juliet = await self.log_in("juliet@localhost/balcony")
        await self.join()

    def component_port(self: Any) -> int:
        """Give the port for components."""
        return next(int(found[1]) for found in map(ADDRESS.fullmatch, self.palaver.addresses()) if found)

    async def connected(self: Any) -> None:
        """Wait until the bot's stream is there."""
        for _ in range(round(WAIT_S / LOOK_S)):
            if self.palaver.server.router.services[BOT].stream is not None:
                return
            await deferLater(reactor, LOOK_S)
        self.fail("the bot has not come")

    def test_messages(self: Any) -> Deferred[None]:
        """It answers messages to any address on its domain, whatever characters they have, in order."""
        return Deferred.fromCoroutine(self._messages())

    async def _messages(self: Any) -> None:
        bodies = ["Ciao &amp; &lt;addio&gt;", "\u2665\u00e8", "x" * 50_000, *map(str, range(50))]
        for number, body in enumerate(bodies):
            self.juliet.send(
                f"<message to='echo@{BOT}' type='chat' id='{number}'><body>{body}</body></message>"
            )
        for body in bodies:
            answer = await self.juliet.next()
            self.assertEqual(
                (answer.uri, answer["from"], answer["type"]), ("jabber:client", f"echo@{BOT}", "chat")
            )
            self.assertEqual(
                str(answer.body), body.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
            )

    def test_presence(self: Any) -> Deferred[None]:
        """It grants a subscription, is then in the roster, and shows its presence."""
        return Deferred.fromCoroutine(self._presence())

    async def _presence(self: Any) -> None:
        await self.juliet.ask("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        self.juliet.send("<presence/>")
        self.juliet.send(f"<presence to='echo@{BOT}' type='subscribe' id='s'/>")
        found: list[domish.Element] = []
        while not found or found[-1].status is None:
            found.append(await self.juliet.next())
        states = [node.query.item["subscription"] for node in found if node.name == "iq"]
        self.assertEqual((states[0], states[-1]), ("none", "to"))
        self.assertEqual((found[-1]["from"], str(found[-1].status)), (f"echo@{BOT}", "All ears"))

    def test_iqs(self: Any) -> Deferred[None]:
        """It answers a ping; what it does not know is refused."""
        return Deferred.fromCoroutine(self._iqs())

    async def _iqs(self: Any) -> None:
        answer = await self.juliet.ask(f"<iq type='get' id='1' to='{BOT}'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual((answer["type"], answer["from"]), ("result", BOT))
        answer = await self.juliet.ask(f"<iq type='set' id='2' to='{BOT}'><what xmlns='urn:x'/></iq>")
        self.assertEqual(answer["type"], "error")
        self.assertIn(condition(answer), ("service-unavailable", "feature-not-implemented"))

    def test_found(self: Any) -> Deferred[None]:
        """The host lists it, and it says what it is."""
        return Deferred.fromCoroutine(self._found())

    async def _found(self: Any) -> None:
        items = await self.juliet.ask(
            f"<iq type='get' id='1' to='localhost'><query xmlns='{NS_DISCO}#items'/></iq>"
        )
        self.assertIn(BOT, [item["jid"] for item in items.query.elements()])
        info = await self.juliet.ask(
            f"<iq type='get' id='2' to='{BOT}'><query xmlns='{NS_DISCO}#info'/></iq>"
        )
        self.assertIn("urn:xmpp:ping", [node.getAttribute("var") for node in info.query.elements()])


class InProcessTests(BotTests, ServiceCase):
    """docs/examples/echo_bot.py inside the server."""

    def table(self) -> dict[str, Any]:
        """See BotTests."""
        self.addCleanup(sys.modules.pop, "echo_bot", None)
        example("echo_bot")
        return {"handler": "echo_bot:make"}

    async def join(self) -> None:
        """See BotTests: it is there with the server."""


class WokkelTests(BotTests, ServiceCase):
    """The same handlers, unchanged, behind `wokkel.component.Component`."""

    async def join(self) -> None:
        """See BotTests."""
        self.addCleanup(sys.modules.pop, "echo_bot", None)
        service = Component(LOOPBACK, self.component_port(), BOT, SECRET)
        for handler in (*example("echo_bot").make(), FallbackHandler()):
            handler.setHandlerParent(service)
        service.startService()
        self.addCleanup(service.stopService)
        await self.connected()


class SlixmppTests(BotTests, ServiceCase):
    """A component of slixmpp's."""

    async def join(self) -> None:
        """See BotTests."""
        thread = asyncio_thread()
        bot = await deferToThread(thread.run, _slixmpp_bot(self.component_port()))
        self.addCleanup(deferToThread, thread.run, _leave(bot))
        await self.connected()


async def _slixmpp_bot(port: int) -> ComponentXMPP:
    bot = ComponentXMPP(BOT, SECRET, LOOPBACK, port)
    for plugin in ("xep_0030", "xep_0199"):
        bot.register_plugin(plugin)

    def echo(message: Any) -> None:
        answer = message.reply(message["body"])
        # Without, slixmpp answers in the name of the domain.
        answer["from"] = message["to"]
        answer.send()

    def befriend(presence: Any) -> None:
        bot.send_presence(pto=presence["from"].bare, pfrom=presence["to"], ptype="subscribed")
        bot.send_presence(pto=presence["from"].bare, pfrom=presence["to"], pstatus="All ears")

    bot.auto_authorize, bot.auto_subscribe = None, False
    bot.add_event_handler("message", echo)
    bot.add_event_handler("presence_subscribe", befriend)
    bot.connect()
    return bot


async def _leave(bot: ComponentXMPP) -> None:
    await bot.disconnect(wait=1.0)
