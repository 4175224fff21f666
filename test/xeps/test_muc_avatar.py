"""Avatars of rooms (XEP-0486)."""

from __future__ import annotations

import base64
import hashlib

from palaver.test.house import Client
from palaver.test.rooms.cases import ROOM, SERVICE, RoomCase, codes, fields, refusal
from palaver.xeps.muc_avatar import RoomAvatars

DATA = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
CARD = (
    "<vCard xmlns='vcard-temp'><FN>Verona</FN><PHOTO><TYPE>image/png</TYPE>"
    f"<BINVAL>{base64.b64encode(DATA).decode()}</BINVAL></PHOTO></vCard>"
)
EMPTY = "<vCard xmlns='vcard-temp'/>"
HASH = hashlib.sha1(DATA).hexdigest()


class AvatarTests(RoomCase):
    """A room and its owner's picture."""

    persists = "1"

    def setUp(self) -> None:
        """Have two in a room."""
        super().setUp()
        self.house.add(RoomAvatars)
        self.make((self.juliet, "Juliet"), persistentroom=self.persists)

    def put(self, client: Client, card: str = CARD) -> str | None:
        """Publish a vCard; give the answer's type, or the condition of the refusal."""
        answer = client.ask(f"<iq type='set' id='v' to='{ROOM}'>{card}</iq>")
        return str(answer["type"]) if answer["type"] == "result" else refusal(answer)[1]

    def card(self, client: Client) -> str:
        """Give the vCard that somebody reads."""
        answer = client.ask(f"<iq type='get' id='v' to='{ROOM}'>{EMPTY}</iq>")
        self.assertEqual(answer["type"], "result", answer.toXml())
        (card,) = answer.elements("vcard-temp", "vCard")
        return str(card.toXml())

    def hash(self) -> list[str] | None:
        """Give the hash that service discovery tells."""
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        answer = self.nurse.ask(f"<iq type='get' id='i' to='{ROOM}'>{query}</iq>")
        self.assertIn("vcard-temp", answer.toXml())
        return fields(answer.query).get("muc#roominfo_avatarhash")

    def publish(self) -> None:
        """Have the owner publish, and forget what that has brought."""
        self.romeo.send(f"<iq type='set' id='v' to='{ROOM}'>{CARD}</iq>")
        answers = [one for one in self.romeo.take() if one.name == "iq"]
        self.assertEqual([one["type"] for one in answers], ["result"])

    def test_published(self) -> None:
        """Everybody hears of it, finds its hash, and reads it, inside and outside of the room."""
        self.assertIsNone(self.hash())
        self.publish()
        (told,) = self.juliet.take()
        self.assertEqual(codes(told), ["104"])
        self.assertEqual(self.hash(), [HASH])
        for client in (self.juliet, self.nurse):
            self.assertIn(base64.b64encode(DATA).decode(), self.card(client))

    def test_removed(self) -> None:
        """An empty vCard takes it back."""
        self.publish()
        self.romeo.send(f"<iq type='set' id='v' to='{ROOM}'>{EMPTY}</iq>")
        self.assertIsNone(self.hash())
        self.assertNotIn("PHOTO", self.card(self.nurse))

    def test_refused(self) -> None:
        """Only owners publish; there is a limit; who is banned reads nothing."""
        self.assertEqual(self.put(self.juliet), "forbidden")
        big = f"<vCard xmlns='vcard-temp'><NOTE>{'x' * 70_000}</NOTE></vCard>"
        self.assertEqual(self.put(self.romeo, big), "not-acceptable")
        self.assertIsNone(self.hash())
        self.affiliate("nurse", "outcast")
        answer = self.nurse.ask(f"<iq type='get' id='v' to='{ROOM}'>{EMPTY}</iq>")
        self.assertEqual(refusal(answer)[1], "forbidden")

    def test_stays(self) -> None:
        """It is there after a restart; also when the room was made to stay afterwards."""
        self.publish()
        self.configure(persistentroom="1")
        self.restart()
        self.assertEqual(self.hash(), [HASH])
        self.assertIn("BINVAL", self.card(self.nurse))

    def test_service(self) -> None:
        """The service says that its rooms have vCards."""
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        answer = self.nurse.ask(f"<iq type='get' id='i' to='{SERVICE}'>{query}</iq>")
        self.assertIn("vcard-temp", answer.toXml())


class TemporaryTests(AvatarTests):
    """The same in a room that does not stay."""

    persists = "0"
