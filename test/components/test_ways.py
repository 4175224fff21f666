"""One bot in four ways: in the process, with Wokkel over TCP and over WebSocket, and with slixmpp."""

from __future__ import annotations

from typing import Any

from slixmpp import ComponentXMPP
from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver.test.components import bots
from palaver.test.components.bots import BOT
from palaver.test.test_embedding import condition

NS_DISCO = "http://jabber.org/protocol/disco"


class BotTests:
    """What each of them can do, with docs/examples/echo_bot.py or as that does."""

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


class AwayTests:
    """What holds for those that are programs of their own."""

    def test_back(self: Any) -> Deferred[None]:
        """While it is away senders are told to wait; then it is back, as if nothing had happened."""
        return Deferred.fromCoroutine(self._back())

    async def _back(self: Any) -> None:
        await self.leave()
        await self.until(False)
        self.juliet.send(f"<message to='echo@{BOT}' id='1'><body>there?</body></message>")
        answer = await self.juliet.next()
        self.assertEqual((answer["type"], answer.error["type"]), ("error", "wait"))
        self.assertEqual(condition(answer), "service-unavailable")
        await self.join()
        self.juliet.send(f"<message to='echo@{BOT}' id='2'><body>there?</body></message>")
        self.assertEqual(str((await self.juliet.next()).body), "there?")


class InProcessTests(BotTests, bots.InProcess):
    """docs/examples/echo_bot.py inside the server."""


class WokkelTests(AwayTests, BotTests, bots.WokkelOverTcp):
    """The same handlers, unchanged, behind `wokkel.component.Component`."""


class WebSocketTests(AwayTests, BotTests, bots.WokkelOverWebSocket):
    """The same handlers over a WebSocket."""


class SlixmppTests(AwayTests, BotTests, bots.Slixmpp):
    """A component of slixmpp's."""

    def prepare(self, bot: ComponentXMPP) -> None:
        """Make it an echo, and everybody's friend."""

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
