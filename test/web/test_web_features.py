"""What every client may use, over BOSH and WebSocket as over TCP: carbons, CSI, acknowledgements, reloads."""

from __future__ import annotations

from typing import Any, ClassVar

from palaver.config import Config
from palaver.test.web.bosh import NS_BODY, Answer, Bosh
from palaver.test.web.case import WebCase

MESSAGE = "<message xmlns='jabber:client' type='chat' to='{}'><body>{}</body></message>"
STATE = "<message type='chat' id='{}' to='romeo@localhost/web'><{} xmlns='{}'/></message>"
PING = "<iq xmlns='jabber:client' type='get' id='{}'><ping xmlns='urn:xmpp:ping'/></iq>"
CARBONS = "<iq xmlns='jabber:client' type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
PRESENCE = "<presence xmlns='jabber:client'/>"
NS_SM = "urn:xmpp:sm:3"
NS_CSI = "urn:xmpp:csi:0"
NS_CHAT_STATES = "http://jabber.org/protocol/chatstates"


class FeatureTests(WebCase):
    """Sessions whose other side is a client over TCP."""

    modules: ClassVar[dict[str, Any]] = {"mod_carboncopy": {}, "mod_csi": {}}
    limits: ClassVar[dict[str, Any]] = {"max_unsent_bytes": 65_536}

    async def collect(self, bosh: Bosh, text: str) -> Answer:
        """Ask until an answer holds a text."""
        return await bosh.until(text, await bosh.send())

    async def test_carbons(self) -> None:
        """What one client says and gets comes to the account's others, whatever they speak (XEP-0280)."""
        bosh = await self.log_in_by_bosh("romeo", "bosh")
        web = await self.log_in_by_socket("romeo", "socket")
        await bosh.until("id='c'", await bosh.send(CARBONS + PRESENCE))
        web.send(CARBONS)
        web.send(PRESENCE)
        juliet = await self.log_in("juliet@localhost/balcony")
        web.send(MESSAGE.format("juliet@localhost/balcony", "from the socket"))
        self.assertEqual(str((await juliet.next()).body), "from the socket")
        answer = await self.collect(bosh, "from the socket")
        self.assertIn("<sent xmlns='urn:xmpp:carbons:2'", answer.text)
        juliet.send(MESSAGE.format("romeo@localhost/bosh", "to the polls"))
        await self.collect(bosh, "to the polls")
        while "to the polls" not in (carbon := await web.take()):
            pass
        self.assertIn("<received xmlns='urn:xmpp:carbons:2'", carbon)

    async def test_inactive(self) -> None:
        """What wakes nobody waits until a client over BOSH is active again, or gets a message (XEP-0352)."""
        romeo = await self.log_in_by_bosh("romeo")
        await romeo.until("id='p'", await romeo.send(f"<inactive xmlns='{NS_CSI}'/>" + PING.format("p")))
        juliet = await self.log_in("juliet@localhost/balcony")
        held = await romeo.send()
        juliet.send(STATE.format("typing", "composing", NS_CHAT_STATES))
        await juliet.ask()
        self.assertEqual(held.came, b"")
        juliet.send(MESSAGE.format("romeo@localhost/web", "wake up"))
        self.assertIn("wake up", (await romeo.until("wake up", held)).text)

    async def test_stream_management(self) -> None:
        """Stanzas are acknowledged over BOSH as well (XEP-0198), beside what BOSH itself makes sure of."""
        romeo = await self.log_in_by_bosh("romeo")
        await romeo.until("<enabled", await romeo.send(f"<enable xmlns='{NS_SM}'/>"))
        text = PING.format("p") + f"<r xmlns='{NS_SM}'/>"
        answer = await romeo.until(f"<a xmlns='{NS_SM}' h='1'/>", await romeo.send(text))
        self.assertNotIn("terminate", answer.text)

    async def test_slow(self) -> None:
        """What waits for a client over BOSH that asks no more is bounded; the next client is served."""
        romeo = await self.log_in_by_bosh("romeo")
        juliet = await self.log_in("juliet@localhost/balcony")
        for _ in range(5):
            juliet.send(MESSAGE.format("romeo@localhost/web", "x" * 20_000))
            await juliet.ask()
            if not self.palaver._door.connections():
                break
        self.assertEqual(self.palaver._door.connections(), [])
        self.assertEqual((await romeo.ask())["condition"], "item-not-found")
        await self.log_in_by_bosh("nurse")


class ReloadTests(WebCase):
    """Another config in a running server."""

    async def reload(self, modules: dict[str, Any]) -> None:
        """Apply other options."""
        table = {
            "general": {"hosts": self.hosts, "data_dir": self.palaver.config.general.data_dir},
            "storage": {"url": "memory"},
            "auth": {"allow_unencrypted_plain_auth": True},
            "listen": self.listen,
            "modules": modules,
        }
        await self.palaver.reload(Config.from_dict(table))

    async def test_options(self) -> None:
        """A session goes on by its terms; those that begin behind the reload have the new ones."""
        romeo = await self.log_in_by_bosh("romeo")
        held = await romeo.send()
        await self.reload({"mod_bosh": {"max_wait": 7, "max_pause": 9}})
        await romeo.send(PING.format("p"))
        self.assertIn("id='p'", (await held.answer()).text)
        opened = await self.bosh().open()
        self.assertEqual((opened["wait"], opened["maxpause"]), ("7", "9"))

    async def test_path(self) -> None:
        """Clients connect at the new address, and no longer at the old one."""
        await self.reload({"mod_websockets": {"path": "/elsewhere"}, "mod_bosh": {"path": "/polls"}})
        await self.socket(path="/elsewhere")
        old, new = self.bosh(), self.bosh()
        new.path = "/polls"
        self.assertEqual((await new.open()).status, 200)
        body = f"<body xmlns='{NS_BODY}' rid='1' to='localhost' wait='1'/>"
        self.assertIn((await (await old.post(body)).answer()).status, (404, 405))


class AckTests(WebCase):
    """A server that acknowledges requests (XEP-0124 section 9.1)."""

    modules: ClassVar[dict[str, Any]] = {"mod_bosh": {"server_acks": True}}

    async def test_acks(self) -> None:
        """The first answer says that it does; one to an older request than the last says which that is."""
        romeo = self.bosh()
        self.assertEqual((await romeo.open())["ack"], str(romeo.rid))
        held = await romeo.send()
        await romeo.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='NONE'/>")
        self.assertEqual((await held.answer())["ack"], str(romeo.rid))

    async def test_latest(self) -> None:
        """An answer to the latest request needs none (section 9.1)."""
        romeo = await self.log_in_by_bosh("romeo")
        self.assertEqual((await romeo.ask(PING.format("p")))["ack"], None)
