"""Mentions of members who are not in a room (XEP-0452)."""

from __future__ import annotations

from twisted.words.xish import domish

from palaver.rooms.namespaces import NS_REGISTER, NS_REGISTER_FORM
from palaver.test.rooms.cases import ROOM, RoomCase, fields, form
from palaver.xeps.muc_mentions import NS_FORWARD, NS_MENTIONS, NS_REFERENCE, Mentions

VAR = "muc#roomconfig_forwardmentions"


def mention(uri: str, type: str = "mention") -> str:
    """Give a reference."""
    return f"<reference xmlns='{NS_REFERENCE}' type='{type}' begin='0' end='4' uri='{uri}'/>"


class MentionTests(RoomCase):
    """Juliet is a member with a nick, and is not in the room."""

    def setUp(self) -> None:
        """Make the room."""
        super().setUp()
        self.house.add(Mentions)
        self.make((self.mercutio, "Mercutio"), **{VAR: "1", "persistentroom": "1"})
        inner = form({"muc#register_roomnick": "Jule"}, NS_REGISTER_FORM)
        self.juliet.ask(
            f"<iq type='set' id='g' to='{ROOM}'><query xmlns='{NS_REGISTER}'>{inner}</query></iq>"
        )
        self.quiet()

    def told(self, *references: str) -> list[domish.Element]:
        """Have Romeo mention somebody; give what Juliet gets."""
        self.say(self.romeo, "Jule: come", "".join(references))
        self.assertEqual(self.nurse.take(), [])
        return self.juliet.take()

    def test_forwarded(self) -> None:
        """The whole message comes from the room, with its id in the archive."""
        for uri in ("xmpp:juliet@example.org", f"xmpp:{ROOM}/Jule"):
            (told,) = self.told(mention(uri), mention(uri))
            self.assertEqual(told["from"], ROOM)
            (mentions,) = told.elements(NS_MENTIONS, "mentions")
            (forwarded,) = mentions.elements(NS_FORWARD, "forwarded")
            self.assertEqual(forwarded.message["from"], f"{ROOM}/Romeo")
            self.assertEqual(str(forwarded.message.body), "Jule: come")
            self.assertIn("stanza-id", told.toXml())

    def test_not(self) -> None:
        """Strangers, data, nonsense, and those who are in the room get nothing more."""
        uris = (
            "xmpp:nurse@example.org",
            "xmpp:",
            "xmpp:@@",
            f"xmpp:{ROOM}",
            f"xmpp:{ROOM}/Nurse",
            "https://x/",
        )
        self.assertEqual(self.told(*map(mention, uris)), [])
        self.assertEqual(self.told(mention("xmpp:juliet@example.org", "data")), [])
        self.enter(self.juliet, "Jule")
        self.assertEqual(len(self.told(mention("xmpp:juliet@example.org"))), 1)

    def test_switch(self) -> None:
        """Only rooms forward whose owners have said so; the form has the field."""
        self.assertEqual(fields(self.owner(self.romeo, "get", "").query)[VAR], ["true"])
        self.configure(**{VAR: "0"})
        self.assertEqual(self.told(mention("xmpp:juliet@example.org")), [])
