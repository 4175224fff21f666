"""Last chat markers: kept, asked for, and shown to those whom they concern."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.test.house import Client, House, now
from palaver.test.muclight.cases import ROOM, bare, users
from palaver.xeps import smart_markers
from palaver.xeps.muc import MultiUserChat
from palaver.xeps.muc_light import MucLight
from palaver.xeps.smart_markers import NS_SMART_MARKERS, SmartMarkers

MUC_ROOM = "verona@muc.example.org"


class MarkerTests(SynchronousTestCase):
    """Markers of two, and in rooms."""

    def enter(self, **options: Any) -> None:
        """Let three in."""
        self.house = House(SmartMarkers, MucLight, MultiUserChat, SmartMarkers=options)
        self.romeo, self.juliet, self.nurse = (
            self.house.login(name, presence="<presence/>") for name in ("romeo", "juliet", "nurse")
        )

    def mark(self, client: Client, to: str, id: str, more: str = "", kind: str = "chat") -> None:
        """Send a marker."""
        marker = f"<displayed xmlns='urn:xmpp:chat-markers:0' id='{id}'/>"
        client.send(f"<message type='{kind}' to='{to}'>{marker}{more}</message>")

    def ask(self, client: Client, attrs: str) -> Any:
        """Ask for markers; gives pairs of whose and what, or the error's text."""
        answer = client.ask(f"<iq type='get' id='q'><query xmlns='{NS_SMART_MARKERS}' {attrs}/></iq>")
        if answer["type"] == "error":
            (error,) = [child for child in answer.elements() if child.name == "error"]
            return "".join(str(child) for child in error.elements())
        return [(one["from"].partition("@")[0], one["id"]) for one in answer.firstChildElement().elements()]

    def test_two(self) -> None:
        """Both see the last marker of each; a third sees nothing of it."""
        self.enter()
        self.mark(self.romeo, bare("juliet"), "m1")
        self.mark(self.romeo, bare("juliet"), "m2")
        self.mark(self.juliet, bare("romeo"), "m3", "<thread>t</thread>")
        expected = [("romeo", "m2"), ("juliet", "m3")]
        self.assertEqual(self.ask(self.romeo, f"peer='{bare('juliet')}'"), expected)
        self.assertEqual(self.ask(self.juliet, f"peer='{bare('romeo')}'"), expected)
        self.assertEqual(self.ask(self.juliet, f"peer='{bare('romeo')}' thread='t'"), expected[1:])
        self.assertEqual(self.ask(self.juliet, f"peer='{bare('romeo')}' after='2999-01-01T00:00:00Z'"), [])
        self.assertEqual(self.ask(self.nurse, f"peer='{bare('romeo')}'"), [])

    def test_wrong(self) -> None:
        """What cannot be read is refused, and markers are not set by requests."""
        self.enter()
        self.assertEqual(self.ask(self.romeo, "peer='@'"), "invalid-peer")
        self.assertEqual(self.ask(self.romeo, ""), "invalid-peer")
        self.assertEqual(self.ask(self.romeo, f"peer='{bare('juliet')}' after='soon'"), "invalid-timestamp")
        answer = self.romeo.ask(f"<iq type='set' id='q'><query xmlns='{NS_SMART_MARKERS}'/></iq>")
        self.assertIn("not-allowed", answer.toXml())

    def test_too_many(self) -> None:
        """Of very many markers the oldest are forgotten."""
        self.enter()
        self.patch(smart_markers, "MAX_KEPT", 2)
        self.patch(smart_markers, "OWNERS_PAGE", 1)
        for second in range(4):
            self.patch(time, "time", lambda now=1e9 + second: now)
            self.mark(self.romeo, bare("juliet"), f"m{second}", f"<thread>{second}</thread>")
            self.mark(self.juliet, bare("nurse"), f"n{second}")
        module: Any = self.house.modules["SmartMarkers"]
        now(Deferred.fromCoroutine(module.sweep()))
        left = [("romeo", "m2"), ("romeo", "m3")]
        self.assertEqual(self.ask(self.romeo, f"peer='{bare('juliet')}'"), left)
        self.assertEqual(self.ask(self.juliet, f"peer='{bare('nurse')}'"), [("juliet", "n3")])

    def test_private(self) -> None:
        """Markers that are private go to nobody, and are shown to who sent them alone."""
        self.enter(keep_private=True)
        self.juliet.take()
        self.mark(self.romeo, bare("juliet"), "m1")
        self.assertEqual(self.juliet.take(), [])
        self.assertEqual(self.ask(self.romeo, f"peer='{bare('juliet')}'"), [("romeo", "m1")])
        self.assertEqual(self.ask(self.juliet, f"peer='{bare('romeo')}'"), [])

    def test_light_room(self) -> None:
        """Members see those of all members; who leaves sees nothing more, and is seen no more."""
        self.enter()
        light = "urn:xmpp:muclight:0"
        inner = f"<query xmlns='{light}#create'><occupants>{users(romeo='member')}</occupants></query>"
        self.juliet.send(f"<iq type='set' id='c' to='{ROOM}'>{inner}</iq>")
        self.mark(self.romeo, ROOM, "m1", kind="groupchat")
        self.assertEqual(self.ask(self.juliet, f"peer='{ROOM}'"), [("romeo", "m1")])
        self.assertEqual(self.ask(self.nurse, f"peer='{ROOM}'"), [])
        inner = f"<query xmlns='{light}#affiliations'>{users(romeo='none')}</query>"
        self.romeo.send(f"<iq type='set' id='c' to='{ROOM}'>{inner}</iq>")
        self.assertEqual(self.ask(self.juliet, f"peer='{ROOM}'"), [])
        self.assertEqual(self.ask(self.romeo, f"peer='{ROOM}'"), [])

    def test_light_room_again(self) -> None:
        """Who comes back to a room has none of the markers from before, of any thread, until he sends one."""
        self.enter()
        light = "urn:xmpp:muclight:0"
        inner = f"<query xmlns='{light}#create'><occupants>{users(romeo='member')}</occupants></query>"
        self.juliet.send(f"<iq type='set' id='c' to='{ROOM}'>{inner}</iq>")
        self.mark(self.romeo, ROOM, "m1", kind="groupchat")
        self.mark(self.romeo, ROOM, "m2", "<thread>t</thread>", kind="groupchat")
        self.assertEqual(len(self.ask(self.juliet, f"peer='{ROOM}'")), 2)
        for affiliation in ("none", "member"):
            inner = f"<query xmlns='{light}#affiliations'>{users(romeo=affiliation)}</query>"
            self.juliet.send(f"<iq type='set' id='c' to='{ROOM}'>{inner}</iq>")
        for client in (self.juliet, self.romeo):
            self.assertEqual(self.ask(client, f"peer='{ROOM}'"), [])
        self.mark(self.romeo, ROOM, "m3", "<thread>t</thread>", kind="groupchat")
        for client in (self.juliet, self.romeo):
            self.assertEqual(self.ask(client, f"peer='{ROOM}'"), [("romeo", "m3")])

    def test_room(self) -> None:
        """Who is in a room, or belongs to it, sees the markers there, if he sees whose they are anyway."""
        self.enter()
        for client in (self.juliet, self.romeo):
            join = "<x xmlns='http://jabber.org/protocol/muc'/>"
            client.send(f"<presence to='{MUC_ROOM}/{client.session.user.local}'>{join}</presence>")
            if client is self.juliet:
                owner = "http://jabber.org/protocol/muc#owner"
                form = f"<query xmlns='{owner}'><x xmlns='jabber:x:data' type='submit'/></query>"
                client.send(f"<iq type='set' id='o' to='{MUC_ROOM}'>{form}</iq>")
        self.mark(self.juliet, MUC_ROOM, "m1", kind="groupchat")
        self.mark(self.romeo, MUC_ROOM, "m2", kind="groupchat")
        both = [("juliet", "m1"), ("romeo", "m2")]
        self.assertEqual(self.ask(self.romeo, f"peer='{MUC_ROOM}'"), both[1:])
        self.assertEqual(self.ask(self.juliet, f"peer='{MUC_ROOM}'"), both)
        var = "<field var='muc#roomconfig_whois'><value>anyone</value></field>"
        type = "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"
        form = f"<query xmlns='{owner}'><x xmlns='jabber:x:data' type='submit'>{type}{var}</x></query>"
        self.juliet.send(f"<iq type='set' id='o' to='{MUC_ROOM}'>{form}</iq>")
        self.assertEqual(self.ask(self.romeo, f"peer='{MUC_ROOM}'"), both)
        self.assertEqual(self.ask(self.nurse, f"peer='{MUC_ROOM}'"), [])
