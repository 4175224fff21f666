"""What people of two servers share: rooms, nodes, what they publish about themselves, and whom they block."""

from __future__ import annotations

import base64
import hashlib

from twisted.words.xish import domish

from palaver.test.federation.case import JOIN, run
from palaver.test.federation.test_palaver import Pair
from palaver.test.wire import Wire

ROOM = "balcony@muc.verona.example"
NODES = "pubsub.verona.example"
MOOD = "http://jabber.org/protocol/mood"
DISCO_INFO = "http://jabber.org/protocol/disco#info"
EVENT = "http://jabber.org/protocol/pubsub#event"
FEATURES = sorted((DISCO_INFO, f"{MOOD}+notify"))
VERSION = base64.b64encode(
    hashlib.sha1("".join(f"{part}<" for part in ("client/pc//Test", *FEATURES)).encode()).digest()
).decode()
CAPABLE = (
    "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:test' "
    f"ver='{VERSION}'/></presence>"
)


class TogetherCase(Pair):
    """Verona's services are found by DNS as well."""

    async def meet(self) -> tuple[Wire, Wire]:
        """Start both servers, and log in."""
        people = await self.pair()
        for domain in ("muc.verona.example", NODES):
            self.zone.serves(domain, *self.place(self.verona, "s2s"))
        return people

    async def befriend(self, romeo: Wire, juliet: Wire) -> None:
        """Subscribe them to each other, both being online."""
        for wire in (romeo, juliet):
            await wire.ask("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")
            wire.send("<presence/>")
            await wire.ask()
        for one, other in ((romeo, juliet), (juliet, romeo)):
            one_bare, other_bare = (wire.jid.partition("/")[0] for wire in (one, other))
            one.send(f"<presence to='{other_bare}' type='subscribe'/>")
            await self.wanted(other, "presence", one_bare, "subscribe")
            other.send(f"<presence to='{one_bare}' type='subscribed'/>")
            await self.wanted(one, "presence", other.jid)


class Rooms(TogetherCase):
    """Romeo is in a room of Juliet's server."""

    async def enter(self) -> tuple[Wire, Wire]:
        """Have Juliet make the room, and Romeo enter it."""
        romeo, juliet = await self.meet()
        juliet.send(JOIN.format(ROOM, "Juliet"))
        await self.wanted(juliet, "presence", f"{ROOM}/Juliet")
        owner = "http://jabber.org/protocol/muc#owner"
        form = "<x xmlns='jabber:x:data' type='submit'/>"
        await juliet.ask(f"<iq type='set' id='o' to='{ROOM}'><query xmlns='{owner}'>{form}</query></iq>")
        romeo.send(JOIN.format(ROOM, "Romeo"))
        await self.wanted(romeo, "presence", f"{ROOM}/Juliet")
        await self.wanted(romeo, "presence", f"{ROOM}/Romeo")
        await self.wanted(juliet, "presence", f"{ROOM}/Romeo")
        return romeo, juliet

    @run
    async def test_messages(self) -> None:
        """What either says in the room both hear, under the names that they have there."""
        romeo, juliet = await self.enter()
        for wire, nick in ((romeo, "Romeo"), (juliet, "Juliet")):
            wire.send(f"<message to='{ROOM}' type='groupchat'><body>I am {nick}</body></message>")
            for hearer in (romeo, juliet):
                heard = await self.wanted(hearer, "message", f"{ROOM}/{nick}", "groupchat")
                while heard.body is None:
                    heard = await self.wanted(hearer, "message", f"{ROOM}/{nick}", "groupchat")
                self.assertEqual(str(heard.body), f"I am {nick}")

    @run
    async def test_private_message(self) -> None:
        """A message to one occupant reaches it at its own server, and does not name the sender's address."""
        romeo, juliet = await self.enter()
        juliet.send(f"<message to='{ROOM}/Romeo' type='chat'><body>psst</body></message>")
        heard = await self.wanted(romeo, "message", f"{ROOM}/Juliet", "chat")
        self.assertEqual(str(heard.body), "psst")
        self.assertNotIn("juliet@", heard.toXml())

    @run
    async def test_leaving(self) -> None:
        """Whose session ends leaves rooms on other servers too."""
        romeo, juliet = await self.enter()
        await romeo.close()
        await self.wanted(juliet, "presence", f"{ROOM}/Romeo", "unavailable")

    @run
    async def test_server_gone(self) -> None:
        """When an occupant's server cannot be reached any more, nobody is told which server that was."""
        romeo, juliet = await self.enter()
        padua = await self.serve("padua.example", accounts=("petruchio",))
        petruchio = await self.log_in(padua, "petruchio@padua.example/home")
        petruchio.send(JOIN.format(ROOM, "Petruchio"))
        await self.wanted(juliet, "presence", f"{ROOM}/Petruchio")
        self.zone.records = {name: kept for name, kept in self.zone.records.items() if "mantua" not in name}
        for stream in list(self.verona._federation._streams):
            if stream.remote == "mantua.example":
                stream.connection.transport.abortConnection()
        await self.until(
            lambda: all(s.remote != "mantua.example" for s in self.verona._federation._streams), "all is cut"
        )
        petruchio.send(f"<message to='{ROOM}/Romeo' type='chat' id='p'><body>psst</body></message>")
        heard: list[domish.Element] = []
        while not any(
            e.name == "presence" and e["from"] == f"{ROOM}/Romeo" and "type" in e.attributes for e in heard
        ):
            heard.append(await petruchio.next())
        petruchio.send(f"<message to='{ROOM}' type='groupchat' id='g'><body>Gone?</body></message>")
        while heard[-1].getAttribute("id") != "g":
            heard.append(await petruchio.next())
        self.assertNotIn("mantua", "".join(element.toXml() for element in heard))
        await romeo.close()
        await self.until(lambda: not self.mantua.server.sessions(), "Romeo is gone")
        servers = [palaver._federation for palaver in (self.mantua, self.verona, padua)]
        await self.until(lambda: not any(server._connecting for server in servers), "nobody connects")


class Nodes(TogetherCase):
    """What is published on one server reaches subscribers on the other."""

    def item(self, event: domish.Element) -> str:
        """Give the text of the item in a notification."""
        (found,) = event.elements(EVENT, "event")
        return str(found.firstChildElement().firstChildElement().firstChildElement())

    def tell(self, wire: Wire, asked: domish.Element) -> None:
        """Answer a question for what the client can do."""
        features = "".join(f"<feature var='{feature}'/>" for feature in FEATURES)
        identity = "<identity category='client' type='pc' name='Test'/>"
        node = asked.firstChildElement()["node"]
        wire.send(
            f"<iq type='result' id='{asked['id']}' to='{asked['from']}'>"
            f"<query xmlns='{DISCO_INFO}' node='{node}'>{identity}{features}</query></iq>"
        )

    @run
    async def test_pubsub(self) -> None:
        """Romeo subscribes to a node on Juliet's server, and hears what she publishes."""
        romeo, juliet = await self.meet()
        pubsub = "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
        request = "<iq type='set' id='{}' to='" + NODES + "'>" + pubsub
        end = "</pubsub></iq>"
        made = await juliet.ask(f"{request.format('c')}<create node='news'/>{end}")
        self.assertEqual(made["type"], "result", made.toXml())
        subscribe = f"<subscribe node='news' jid='{romeo.jid}'/>"
        self.assertEqual((await romeo.ask(f"{request.format('s')}{subscribe}{end}"))["type"], "result")
        item = "<publish node='news'><item id='1'><note xmlns='urn:test'>banished</note></item></publish>"
        await juliet.ask(f"{request.format('p')}{item}{end}")
        self.assertEqual(self.item(await self.wanted(romeo, "message", NODES, "headline")), "banished")

    @run
    async def test_personal_events(self) -> None:
        """Romeo's client says that it wants moods, and gets Juliet's when she publishes it."""
        romeo, juliet = await self.meet()
        await self.befriend(romeo, juliet)
        romeo.send(CAPABLE)
        # Each server asks for itself, its own first.
        for server in ("mantua.example", "verona.example"):
            self.tell(romeo, await self.wanted(romeo, "iq", server, "get"))
        await romeo.ask("<iq type='get' id='s' to='verona.example'><ping xmlns='urn:xmpp:ping'/></iq>")
        juliet.send(
            "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
            f"<publish node='{MOOD}'><item><mood xmlns='{MOOD}'><text>in love</text></mood></item></publish>"
            "</pubsub></iq>"
        )
        event = await self.wanted(romeo, "message", "juliet@verona.example", "headline")
        self.assertIn("in love", event.toXml())


class People(TogetherCase):
    """Presence, and whom somebody does not want to hear."""

    @run
    async def test_probe(self) -> None:
        """Who comes online later learns by a probe that a contact elsewhere is there, and how."""
        romeo, juliet = await self.meet()
        await self.befriend(romeo, juliet)
        juliet.send("<presence><show>dnd</show><status>wooing</status></presence>")
        await self.wanted(romeo, "presence", juliet.jid)
        later = await self.log_in(self.mantua, "romeo@mantua.example/later")
        later.send("<presence/>")
        seen = await self.wanted(later, "presence", juliet.jid)
        self.assertEqual((str(seen.show), str(seen.status)), ("dnd", "wooing"))

    @run
    async def test_probe_of_a_stranger(self) -> None:
        """Who has no subscription learns nothing by a probe."""
        romeo, juliet = await self.meet()
        juliet.send("<presence/>")
        await juliet.ask()
        romeo.send("<presence to='juliet@verona.example' type='probe'/>")
        await romeo.ask("<iq type='get' id='s' to='verona.example'><ping xmlns='urn:xmpp:ping'/></iq>")
        came = [item.toXml() for item in romeo.elements if item.name == "presence"]
        self.assertNotIn("balcony", "".join(came))

    @run
    async def test_blocked(self) -> None:
        """Who is blocked sees the blocker go, gets errors, and is not heard; unblocked, it is heard again."""
        romeo, juliet = await self.meet()
        await self.befriend(romeo, juliet)
        item = "<item jid='mantua.example'/>"
        await juliet.ask(f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>{item}</block></iq>")
        await self.wanted(romeo, "presence", juliet.jid, "unavailable")
        condition, _ = await self.refused(romeo, juliet.jid)
        self.assertEqual(condition, "service-unavailable")
        self.assertEqual([e.toXml() for e in juliet.elements if e.name == "message"], [])
        await juliet.ask(f"<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'>{item}</unblock></iq>")
        await self.wanted(romeo, "presence", juliet.jid)
        romeo.send(f"<message to='{juliet.jid}' type='chat'><body>again</body></message>")
        heard = await self.wanted(juliet, "message", romeo.jid, "chat")
        self.assertEqual(str(heard.body), "again")
