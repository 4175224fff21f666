"""slixmpp uses MUC Light and the inbox by requests of its own; the server is killed meanwhile."""

from __future__ import annotations

from typing import Any, ClassVar
from xml.etree import ElementTree

from slixmpp import JID
from slixmpp.exceptions import IqError
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from palaver.test.peers.case import PeerCase
from palaver.test.peers.peer import wait_for

ROOM = "garden@muclight.localhost"
LIGHT = "urn:xmpp:muclight:0"
INBOX = "erlang-solutions.com:xmpp:inbox:0"
MAM = "urn:xmpp:mam:2"


class LightTests(PeerCase):
    """Two members of a room, one of them away."""

    config: ClassVar[dict[str, Any]] = {
        "modules": {"mod_mam": {}, "mod_muc_light": {}, "mod_inbox": {}},
    }

    def ask(self, client: Any, kind: str, payload: str, to: str | None = None) -> Any:
        """Send a request; gives the answer."""

        def send() -> Any:
            iq = client.xmpp.make_iq(ito=to, itype=kind)
            iq.append(ElementTree.fromstring(payload))
            return iq.send()

        return client.call(send)

    def test_killed(self) -> None:
        """What a room has said is in its archive and in inboxes after a kill, and its members are there."""
        juliet = self.enter(self.slixmpp(self.account("juliet") + "/balcony"))
        romeo = self.account("romeo")
        users = f"<occupants><user affiliation='member'>{romeo}</user></occupants>"
        self.ask(juliet, "set", f"<query xmlns='{LIGHT}#create'>{users}</query>", ROOM)
        juliet.call(lambda: juliet.xmpp.send_message(ROOM, "Where art thou?", mtype="groupchat"))
        wait_for(lambda: [one for one in juliet.messages if one["body"]], "the room said nothing")
        self.server.kill()
        self.server.start()
        away = self.enter(self.slixmpp(romeo + "/orchard"))
        fin = self.ask(away, "set", f"<inbox xmlns='{INBOX}'/>")
        numbers = {child.tag.partition("}")[2]: child.text for child in fin.xml[0]}
        self.assertEqual(numbers, {"active-conversations": "1", "count": "1", "unread-messages": "2"})
        results: list[Any] = []
        wanted = MatchXPath(f"{{jabber:client}}message/{{{MAM}}}result")
        away.xmpp.register_handler(Callback("results", wanted, results.append))
        self.ask(away, "set", f"<query xmlns='{MAM}'/>", ROOM)
        wait_for(lambda: "Where art thou?" in "".join(map(str, results)), "it is not in the archive")
        answer = self.ask(away, "get", f"<query xmlns='{LIGHT}#affiliations'/>", ROOM)
        self.assertEqual([child.text for child in answer.xml[0]][1:], ["juliet@localhost", romeo])


class LegacyTests(PeerCase):
    """slixmpp's Multi-User Chat (XEP-0045) in a room of MUC Light."""

    config: ClassVar[dict[str, Any]] = {
        "modules": {"mod_muc_light": {"legacy_mode": True}},
    }

    def person(self, bare: str) -> Any:
        """Give a client that speaks Multi-User Chat."""
        client = self.enter(self.slixmpp(f"{bare}/home"))
        client.xmpp.register_plugin("xep_0045")
        return client

    def make(self, xmpp: Any) -> None:
        """Send the presence that makes the room."""
        presence = xmpp.make_presence(pto=f"{ROOM}/juliet@localhost")
        presence.append(ElementTree.fromstring("<x xmlns='http://jabber.org/protocol/muc'/>"))
        presence.send()

    def muc(self, client: Any, name: str, *arguments: Any, **options: Any) -> Any:
        """Have a client's Multi-User Chat do something in the room."""
        return client.call(getattr(client.xmpp["xep_0045"], name), JID(ROOM), *arguments, **options)

    def test_life(self) -> None:
        """A room is made, configured, filled, spoken in and destroyed; its members survive a kill."""
        juliet, romeo = (self.person(self.account(name)) for name in ("juliet", "romeo"))
        juliet.call(self.make, juliet.xmpp)
        form = self.muc(juliet, "get_room_config")
        form["type"] = "submit"
        form.set_values({"roomname": "Garden"})
        self.muc(juliet, "set_room_config", form)
        self.assertEqual(self.muc(juliet, "get_room_config").get_values()["roomname"], "Garden")
        self.muc(juliet, "set_affiliation", "member", jid="romeo@localhost")
        self.assertEqual(self.muc(romeo, "get_affiliation_list", "member")[-1:], ["romeo@localhost"])
        self.server.kill()
        self.server.start()
        juliet, romeo = (self.person(f"{name}@localhost") for name in ("juliet", "romeo"))
        romeo.call(lambda: romeo.xmpp.send_message(ROOM, "Shall I hear more?", mtype="groupchat"))
        wait_for(lambda: [one for one in juliet.messages if one["body"]], "the room said nothing")
        self.muc(juliet, "destroy")
        wait_for(lambda: self.refused(romeo), "the room is still there")

    def refused(self, client: Any) -> bool:
        """Tell whether the room is there for somebody no more."""
        try:
            self.muc(client, "get_affiliation_list", "member")
        except IqError as error:
            return bool(error.condition == "item-not-found")
        return False
