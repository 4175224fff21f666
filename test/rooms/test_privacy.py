"""Semi-anonymous rooms: whoever is no moderator learns nobody's real address, whatever happens."""

from __future__ import annotations

import base64
import re

from palaver.rooms.hatforms import NS_HATS_COMMANDS
from palaver.rooms.namespaces import NS_MUC, NS_REGISTER, NS_REGISTER_FORM, NS_USER
from palaver.test.house import Client
from palaver.test.rooms.cases import ROOM, RoomCase, form
from palaver.xeps.muc_affiliation_versions import NS_VERSIONS as NS_AFFILIATIONS
from palaver.xeps.muc_affiliation_versions import AffiliationVersions
from palaver.xeps.muc_hats import RoomHats
from palaver.xeps.muc_members import RoomMembers
from palaver.xeps.muc_mentions import Mentions
from palaver.xeps.muc_moderation import Moderation
from palaver.xeps.muc_occupant_id import OccupantIds
from palaver.xeps.muc_presence_versions import NS_VERSIONS as NS_PRESENCE
from palaver.xeps.muc_presence_versions import PresenceVersions
from palaver.xeps.muc_slow_mode import SlowMode

MODULES = (
    AffiliationVersions,
    Mentions,
    Moderation,
    OccupantIds,
    PresenceVersions,
    RoomHats,
    RoomMembers,
    SlowMode,
)
ERROR = "<error type='cancel'><{} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{}</error>"
WORD = re.compile(r"[A-Za-z0-9_+/=-]{16,}")


def unpacked(xml: str) -> str:
    """Give a stanza's text, and what its longer words say when they are base64."""
    found = [xml]
    for word in WORD.findall(xml):
        try:
            found.append(base64.urlsafe_b64decode(word.replace("+", "-").replace("/", "_")).decode("latin-1"))
        except ValueError:
            continue
    return " ".join(found)


class PrivacyTests(RoomCase):
    """Mercutio is a participant; Romeo, Juliet and the nurse do what there is to be done."""

    def setUp(self) -> None:
        """Have all of them in a room that has every module."""
        super().setUp()
        for module in MODULES:
            self.house.add(module)
        self.make(persistentroom="1", forwardmentions="1")
        self.heard: list[str] = []
        for client, nick in ((self.juliet, "Juliet"), (self.mercutio, "Mercutio"), (self.nurse, "Nurse")):
            versions = f"<mav xmlns='{NS_AFFILIATIONS}'/><version xmlns='{NS_PRESENCE}' ver=''/>"
            came = self.enter(client, nick, versions)
            if client is self.mercutio:
                self.heard += [one.toXml() for one in came]

    def hear(self) -> None:
        """Look at what Mercutio got: nobody's address but his own."""
        self.heard += [one.toXml() for one in self.mercutio.take()]
        for xml in map(unpacked, self.heard):
            for name in ("romeo", "juliet", "nurse"):
                self.assertNotIn(f"{name}@", xml)

    def ask(self, client: Client, kind: str, inner: str, to: str = ROOM) -> None:
        """Ask, whatever the answer."""
        client.send(f"<iq type='{kind}' id='q' to='{to}'>{inner}</iq>")

    def test_talk(self) -> None:
        """What is said, in public and in private, moderated, mentioned, and with errors."""
        self.say(
            self.juliet, "O", "<mention xmlns='urn:xmpp:mentions:0' mentions='urn:xmpp:mentions:0#owner'/>"
        )
        said = next(one for one in self.mercutio.received if one.name == "message")
        node = said.child("urn:xmpp:sid:0", "stanza-id")
        assert node is not None
        self.juliet.send(f"<message type='chat' to='{ROOM}/Mercutio'><body>Psst</body></message>")
        error = ERROR.format("forbidden", "<text>juliet@example.org</text>")
        self.juliet.send(
            f"<message type='error' to='{ROOM}/Mercutio'><x xmlns='{NS_USER}'/>{error}</message>"
        )
        self.set_subject(self.romeo, "Feuds")
        moderate = f"<moderate xmlns='urn:xmpp:message-moderate:1' id='{node['id']}'>"
        self.ask(self.romeo, "set", f"{moderate}<retract xmlns='urn:xmpp:message-retract:1'/></moderate>")
        self.ask(self.mercutio, "set", "<query xmlns='urn:xmpp:mam:2'/>")
        self.hear()
        self.assertGreater(len(self.heard), 10)

    def test_people(self) -> None:
        """What people become: registered, hatted, renamed, affiliated, removed and banned."""
        nick = form({"muc#register_roomnick": "Giulietta"}, NS_REGISTER_FORM)
        self.ask(self.juliet, "set", f"<query xmlns='{NS_REGISTER}'>{nick}</query>")
        for name, fields in (
            ("create", {"hats#title": "Host", "hats#uri": "urn:host"}),
            ("assign", {"hats#jid": "juliet@example.org", "hats#uri": "urn:host"}),
        ):
            command = f"xmlns='http://jabber.org/protocol/commands' node='{NS_HATS_COMMANDS}:{name}'"
            inner = form(fields, NS_HATS_COMMANDS)
            self.ask(self.romeo, "set", f"<command {command} action='execute'>{inner}</command>")
        self.juliet.send(f"<presence to='{ROOM}/Giulietta'><show>away</show></presence>")
        self.affiliate("nurse", "admin")
        self.affiliate("nurse", "none")
        self.affiliate("tybalt", "outcast")
        self.role("Giulietta", "moderator")
        self.role("Giulietta", "participant")
        self.configure(roomname="Verona", moderatedroom="1")
        self.juliet.send(f"<presence type='error' to='{ROOM}/Mercutio'>{ERROR.format('gone', '')}</presence>")
        self.role("Nurse", "none")
        self.enter(self.nurse, "Nurse")
        self.affiliate("nurse", "outcast")
        self.owner(self.romeo, "set", "<destroy><reason>Over</reason></destroy>")
        self.hear()
        self.assertIn("urn:host", "".join(self.heard))
        self.assertIn("destroy", self.heard[-1])

    def test_asked(self) -> None:
        """What Mercutio asks for, and what others ask him."""
        for kind, inner in (
            ("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"),
            ("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
            (
                "get",
                "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='owner'/></query>",
            ),
            ("get", "<query xmlns='http://jabber.org/protocol/muc#admin'><item role='moderator'/></query>"),
            ("get", "<query xmlns='http://jabber.org/protocol/muc#owner'/>"),
            ("get", "<query xmlns='urn:xmpp:mam:2'/>"),
            ("set", "<query xmlns='urn:xmpp:mam:2'/>"),
        ):
            self.ask(self.mercutio, kind, inner)
        self.mercutio.send(f"<presence type='probe' to='{ROOM}/Romeo'/>")
        self.ask(self.romeo, "get", "<query xmlns='jabber:iq:version'/>", f"{ROOM}/Mercutio")
        self.mercutio.send(f"<presence to='{ROOM}/Mercutio'><x xmlns='{NS_MUC}'/></presence>")
        self.ask(self.mercutio, "get", "<query xmlns='jabber:iq:version'/>", f"{ROOM}/Romeo")
        asked = self.romeo.received[-1].attrs["id"]
        error = ERROR.format("forbidden", "<text>romeo@example.org</text>")
        self.romeo.send(f"<iq type='error' id='{asked}' to='{ROOM}/Mercutio'>{error}</iq>")
        self.hear()
        self.assertEqual(next(one for one in self.heard if "jabber:iq:version" in one).count(ROOM), 1)
