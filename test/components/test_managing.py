"""Services that act for the host, in four ways: delegated namespaces (XEP-0355) and privileges (XEP-0356)."""

from __future__ import annotations

import asyncio
from typing import Any
from xml.etree import ElementTree

from slixmpp import ComponentXMPP
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from palaver.config import Config
from palaver.entities.delegations import NS_DELEGATION
from palaver.test.components import bots
from palaver.test.components.bots import BOT
from palaver.test.peers.slix import asyncio_thread
from palaver.test.test_embedding import condition
from palaver.test.wire import reactor

NS = "urn:example:notes"
NS_FORWARD = "urn:xmpp:forward:0"
NS_INFO = "http://jabber.org/protocol/disco#info"
ASK = f"<iq type='get' id='1'><notes xmlns='{NS}'/></iq>"


class NotesTests:
    """What each of them can do, with docs/examples/notes_service.py or as that does."""

    example = "notes_service"

    def modules(self) -> dict[str, Any]:
        """See BotCase."""
        return {"mod_delegation": {"managing_entities": {"bot.@HOST@": {"delegations": [NS]}}}}

    def test_notes(self: Any) -> Deferred[None]:
        """Requests to the account and to the host are answered by the service, and nobody can tell."""
        return Deferred.fromCoroutine(self._notes())

    async def _notes(self: Any) -> None:
        note = f"<iq type='set' id='1'><notes xmlns='{NS}'>bread &amp; \u2665</notes></iq>"
        self.assertEqual((await self.juliet.ask(note))["type"], "result")
        for to in ("", " to='juliet@localhost'", " to='localhost'"):
            answer = await self.juliet.ask(f"<iq type='get' id='2'{to}><notes xmlns='{NS}'/></iq>")
            self.assertEqual((answer["type"], str(answer.notes)), ("result", "bread & \u2665"), to)
            self.assertNotIn(BOT, answer.toXml())

    def test_announced(self: Any) -> Deferred[None]:
        """What the service announces, the host does."""
        return Deferred.fromCoroutine(self._announced())

    async def _announced(self: Any) -> None:
        # The answer to what it was asked when it came may still be on its way.
        for _ in range(round(bots.WAIT_S / bots.LOOK_S)):
            features = await self._features()
            if NS in features:
                break
            await deferLater(reactor, bots.LOOK_S)
        self.assertLessEqual({NS, NS_DELEGATION}, features)

    async def _features(self: Any) -> set[str | None]:
        """Give the features of the host."""
        info = await self.juliet.ask(f"<iq type='get' id='2' to='localhost'><query xmlns='{NS_INFO}'/></iq>")
        return {node.getAttribute("var") for node in info.query.elements()}

    def test_reload(self: Any) -> Deferred[None]:
        """A delegation is taken away and given again under open sessions and streams."""
        return Deferred.fromCoroutine(self._reload())

    async def _reload(self: Any) -> None:
        await self.palaver.reload(Config.from_dict(self.configured({})))
        answer = await self.juliet.ask(ASK)
        self.assertEqual((answer["type"], condition(answer)), ("error", "service-unavailable"))
        self.assertTrue({NS, NS_DELEGATION}.isdisjoint(await self._features()))
        await self.palaver.reload(Config.from_dict(self.configured(self.modules())))
        self.assertEqual((await self.juliet.ask(ASK))["type"], "result")
        await self._announced()


class AwayTests:
    """What holds for those that are programs of their own."""

    def test_away(self: Any) -> Deferred[None]:
        """While it is away requests are refused; then it is back."""
        return Deferred.fromCoroutine(self._away())

    async def _away(self: Any) -> None:
        await self.leave()
        await self.until(False)
        answer = await self.juliet.ask(ASK)
        self.assertEqual((answer["type"], condition(answer)), ("error", "service-unavailable"))
        await self.join()
        self.assertEqual((await self.juliet.ask(ASK))["type"], "result")


class InProcessTests(NotesTests, bots.InProcess):
    """docs/examples/notes_service.py inside the server."""


class WokkelTests(AwayTests, NotesTests, bots.WokkelOverTcp):
    """The same handlers, unchanged, behind `wokkel.component.Component`."""


class WebSocketTests(AwayTests, NotesTests, bots.WokkelOverWebSocket):
    """The same handlers over a WebSocket."""


class SlixmppTests(AwayTests, NotesTests, bots.Slixmpp):
    """A component of slixmpp's."""

    def prepare(self, bot: ComponentXMPP) -> None:
        """Have it keep notes."""
        notes: dict[str, str] = {}

        def delegated(iq: Any) -> None:
            path = f"{{{NS_DELEGATION}}}delegation/{{{NS_FORWARD}}}forwarded/{{jabber:client}}iq"
            request = iq.xml.find(path)
            (payload,) = request
            account = request.get("from").partition("/")[0]
            if request.get("type") == "set":
                notes[account] = payload.text or ""
            answer = iq.reply()
            node = answer.xml
            for name in (f"{{{NS_DELEGATION}}}delegation", f"{{{NS_FORWARD}}}forwarded"):
                node = ElementTree.SubElement(node, name)
            said = {"type": "result", "id": request.get("id"), "to": request.get("from")}
            result = ElementTree.SubElement(node, "{jabber:client}iq", said)
            ElementTree.SubElement(result, f"{{{NS}}}notes").text = notes.get(account, "")
            answer.send()

        wanted = MatchXPath(f"{{{bot.default_ns}}}iq/{{{NS_DELEGATION}}}delegation")
        bot.register_handler(Callback("notes", wanted, delegated))
        bot["xep_0030"].add_feature(NS, node=f"{NS_DELEGATION}::{NS}")


class PrivilegeTests(bots.Slixmpp):
    """Privileges as slixmpp knows them."""

    plugins = ("xep_0030", "xep_0199", "xep_0356")

    def modules(self) -> dict[str, Any]:
        """See BotCase."""
        may = {
            "roster": "both",
            "message": "outgoing",
            "presence": "roster",
            "iq": {"jabber:iq:version": "get"},
        }
        return {"mod_privilege": {"privileged_entities": {"bot.@HOST@": may}}}

    def prepare(self, bot: ComponentXMPP) -> None:
        """Note what it hears."""
        self.presence: list[tuple[str, str]] = []
        self.told = asyncio.Event()
        bot.add_event_handler("privileges_advertised", lambda _: self.told.set())
        bot.auto_authorize, bot.auto_subscribe = None, False
        bot.add_event_handler(
            "presence", lambda presence: self.presence.append((str(presence["from"]), presence["type"]))
        )

    def test_privileges(self) -> Deferred[None]:
        """It reads and changes a roster, sends messages and requests in an account's name, sees presence."""
        return Deferred.fromCoroutine(self._privileges())

    async def _privileges(self) -> None:
        bot: Any = self.bot
        self.juliet.send("<presence/>")
        await self.juliet.next()
        await deferToThread(asyncio_thread().run, self._act(bot))
        got = await self.juliet.next()
        self.assertEqual((got["from"], str(got.body)), ("nurse@localhost", "in her name"))
        self.assertEqual(self.presence, [("juliet@localhost/balcony", "available")])

    async def _act(self, bot: Any) -> None:
        plugin = bot["xep_0356"]
        await self.told.wait()
        await plugin.set_roster("juliet@localhost", {f"nick@{BOT}": {"name": "Nick", "subscription": "none"}})
        roster = await plugin.get_roster("juliet@localhost")
        self.assertEqual([str(jid) for jid in roster["roster"]["items"]], [f"nick@{BOT}"])
        asked = bot.make_iq_get("jabber:iq:version", ito="localhost", ifrom="juliet@localhost")
        answer = await plugin.send_privileged_iq(asked)
        self.assertIn("Palaver", str(answer))
        message = bot.make_message("juliet@localhost/balcony", "in her name", mfrom="nurse@localhost")
        plugin.send_privileged_message(message)
