"""Palaver with Debian's Prosody and with ejabberd: each direction, by certificates and by dialback."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from palaver import metrics
from palaver.test.federation.authority import Authority
from palaver.test.federation.case import JOIN, FederatedCase, run
from palaver.test.federation.foreign import EJABBERD, PROSODY, Foreign
from palaver.test.served import PASSWORD
from palaver.test.wire import Wire, connect

OURS = "mantua.example"
DOMAIN = "venice.example"
MODULES = {"modules": {"mod_muc": {"host": "rooms.@HOST@"}, "mod_pubsub": {"host": "nodes.@HOST@"}}}
NS_PUBSUB = "http://jabber.org/protocol/pubsub"


class ForeignCase(FederatedCase):
    """Romeo at Palaver's mantua.example, and Othello at the other server's venice.example."""

    timeout = 150
    kind: ClassVar[str]
    trusted: ClassVar[bool]

    async def both(self) -> tuple[Wire, Wire]:
        """Start both servers, and log in."""
        folder = Path(tempfile.mkdtemp(prefix="palaver-federation-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        metrics.s2s_streams.clear()
        self.foreign = Foreign(self.kind, folder / "server", DOMAIN, "127.0.0.9")
        self.addCleanup(self.foreign.stop)
        # Where dialback is to do it, neither side may have a certificate that would do.
        authority = self.authority if self.trusted else Authority(self.folder / "unknown")
        file = authority.for_domain(DOMAIN)
        await self.foreign.start(file, self.authority.path, self.dns, trusted=self.trusted)
        options: dict[str, Any] = {} if self.trusted else {"use_starttls": "required"}
        certificate = "" if self.trusted else None
        self.palaver = await self.serve(OURS, certificate=certificate, more=MODULES, **options)
        ours = self.place(self.palaver, "s2s")
        for domain, place in ((OURS, ours), (DOMAIN, (self.foreign.address, self.foreign.s2s))):
            for name in (domain, f"rooms.{domain}", f"nodes.{domain}"):
                self.zone.serves(name, *place, named=self.named)
        romeo = await self.log_in(self.palaver, "romeo@mantua.example/exile")
        return romeo, await self.othello()

    async def othello(self) -> Wire:
        """Make an account on the other server, and log in."""
        wire = await connect(self.foreign.c2s, self.foreign.address)
        self.addCleanup(self._drop, wire)
        await wire.features(DOMAIN)
        fields = f"<username>othello</username><password>{PASSWORD}</password>"
        wire.send(
            f"<iq type='set' id='r' to='{DOMAIN}'><query xmlns='jabber:iq:register'>{fields}</query></iq>"
        )
        answer = await wire.next()
        self.assertEqual(answer["type"], "result", answer.toXml())
        wire.drop()
        wire = await connect(self.foreign.c2s, self.foreign.address)
        self.addCleanup(self._drop, wire)
        await wire.log_in(f"othello@{DOMAIN}/home", PASSWORD)
        return wire

    async def converse(self) -> None:
        """Say something each way, the one who speaks first having the stream made."""
        romeo, othello = await self.both()
        first, second = (romeo, othello) if self._testMethodName.endswith("ours") else (othello, romeo)
        await self.say(first, second, "there")
        await self.say(second, first, "back")
        for wire, other in ((romeo, othello), (othello, romeo)):
            wire.send("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>")
            wire.send(f"<iq type='get' id='settled' to='{other.jid.partition('@')[2].partition('/')[0]}'>"
                      "<ping xmlns='urn:xmpp:ping'/></iq>")  # fmt: skip
            while (await wire.next()).getAttribute("id") != "settled":
                pass
        first_bare, second_bare = first.jid.partition("/")[0], second.jid.partition("/")[0]
        first.send(f"<presence to='{second_bare}' type='subscribe'/>")
        await self.wanted(second, "presence", first_bare, "subscribe")
        second.send(f"<presence to='{first_bare}' type='subscribed'/>")
        await self.wanted(first, "presence", second_bare, "subscribed")
        await self.wanted(first, "presence", second.jid)
        second.send("<presence type='unavailable'/>")
        await self.wanted(first, "presence", second.jid, "unavailable")
        self.proved()

    def proved(self) -> None:
        """See that both sides have shown who they are in the way that this is about."""
        how, other = ("external", "dialback") if self.trusted else ("dialback", "external")
        counted = metrics.s2s_streams
        self.assertTrue(counted[f"in-{how}"], counted)
        self.assertTrue(counted[f"out-{how}"], counted)
        self.assertFalse(counted[f"in-{other}"] + counted[f"out-{other}"], counted)

    async def meet(self) -> None:
        """Have both enter a room on the server of the one who comes first, and speak."""
        romeo, othello = await self.both()
        first, second = (romeo, othello) if self._testMethodName.endswith("ours") else (othello, romeo)
        room = f"council@rooms.{first.jid.partition('@')[2].partition('/')[0]}"
        first.send(JOIN.format(room, "first"))
        await self.wanted(first, "presence", f"{room}/first")
        form = "<x xmlns='jabber:x:data' type='submit'/>"
        query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
        first.send(f"<iq type='set' id='open' to='{room}'>{query}</iq>")
        await self.wanted(first, "iq", room, "result")
        second.send(JOIN.format(room, "second"))
        for wire in (first, second):
            await self.wanted(wire, "presence", f"{room}/second")
        for wire, nick in ((first, "first"), (second, "second")):
            wire.send(f"<message to='{room}' type='groupchat'><body>I am {nick}</body></message>")
            for hearer in (first, second):
                heard = await self.wanted(hearer, "message", f"{room}/{nick}", "groupchat")
                self.assertEqual(str(heard.body), f"I am {nick}")
        second.send(f"<presence to='{room}/second' type='unavailable'/>")
        await self.wanted(first, "presence", f"{room}/second", "unavailable")
        self.proved()

    async def publish(self) -> None:
        """Have Othello subscribe to a node of Palaver's, and hear what Romeo publishes there."""
        romeo, othello = await self.both()
        service = f"nodes.{OURS}"
        for wire, verb in (
            (romeo, "<create node='news'/>"),
            (othello, f"<subscribe node='news' jid='{othello.jid}'/>"),
            (romeo, "<publish node='news'><item id='one'><x xmlns='urn:x'>Fair is foul</x></item></publish>"),
        ):
            pubsub = f"<pubsub xmlns='{NS_PUBSUB}'>{verb}</pubsub>"
            wire.send(f"<iq type='set' id='{verb[1:5]}' to='{service}'>{pubsub}</iq>")
            await self.wanted(wire, "iq", service, "result")
        event = await othello.next()
        while event.name != "message":
            event = await othello.next()
        self.assertEqual(event["from"], service)
        self.assertIn("Fair is foul", event.toXml())
        self.proved()


class WithProsody(ForeignCase):
    """Prosody demands certificates.

    What the methods say of Prosody holds for ejabberd in the classes below.
    """

    kind = PROSODY
    trusted = True

    @run
    async def test_ours(self) -> None:
        """Palaver opens the stream."""
        await self.converse()

    @run
    async def test_theirs(self) -> None:
        """Prosody opens the stream."""
        await self.converse()

    @run
    async def test_room_of_ours(self) -> None:
        """Othello is in a room of Palaver's."""
        await self.meet()

    @run
    async def test_node_of_ours(self) -> None:
        """Othello is subscribed to a node of Palaver's."""
        await self.publish()

    @run
    async def test_room_of_theirs(self) -> None:
        """Romeo is in a room of Prosody's."""
        await self.meet()


class WithProsodyByDialback(WithProsody):
    """Prosody believes by dialback."""

    trusted = False


class WithEjabberd(WithProsody):
    """Ejabberd demands certificates; it asks the system where names are."""

    kind = EJABBERD
    named = False


class WithEjabberdByDialback(WithEjabberd):
    """Ejabberd believes by dialback."""

    trusted = False


for _case in (WithProsody, WithProsodyByDialback, WithEjabberd, WithEjabberdByDialback):
    if shutil.which(_case.kind) is None or os.geteuid() != 0:
        _case.skip = f"{_case.kind} is not installed, or this is not root"

del _case
