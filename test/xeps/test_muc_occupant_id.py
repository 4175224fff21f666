"""Ids of occupants (XEP-0421)."""

from __future__ import annotations

from twisted.words.xish import domish

from palaver.rooms.namespaces import NS_OCCUPANT_ID
from palaver.test.rooms.cases import ROOM, SERVICE, RoomCase, bodies
from palaver.xeps.muc_occupant_id import OccupantIds

FORGED = f"<occupant-id xmlns='{NS_OCCUPANT_ID}' id='forged'/>"


def id_of(stanza: domish.Element) -> str:
    """Give the only id of a stanza."""
    (node,) = stanza.elements(NS_OCCUPANT_ID, "occupant-id")
    found: str = node["id"]
    return found


class OccupantIdTests(RoomCase):
    """One id for each account in a room."""

    def setUp(self) -> None:
        """Have two in a room that stays."""
        super().setUp()
        self.house.add(OccupantIds)
        self.make((self.juliet, "Juliet"), persistentroom="1")

    def said(self, more: str = "") -> str:
        """Have Juliet say something; give the id that Romeo sees."""
        self.quiet()
        self.say(self.juliet, "Ay me", more)
        return id_of(self.romeo.take()[0])

    def test_messages_and_presence(self) -> None:
        """Presence, messages and private messages of one account have one id, and it tells no JID."""
        first = self.said()
        self.assertNotIn("juliet", first)
        self.assertLessEqual(len(first), 128)
        self.juliet.send(f"<presence to='{ROOM}/Julia'/>")
        seen = {id_of(one) for one in self.romeo.take()}
        self.juliet.send(f"<message type='chat' to='{ROOM}/Romeo'><body>psst</body></message>")
        seen.add(id_of(self.romeo.take()[0]))
        self.leave(self.juliet, "Julia")
        seen.add(id_of(self.romeo.take()[0]))
        self.assertEqual(seen, {first})
        self.enter(self.juliet, "Jule")
        self.assertEqual(self.said(), first)

    def test_forged(self) -> None:
        """An id that a client sends is replaced, in messages and in presence."""
        first = self.said()
        self.assertEqual(self.said(FORGED), first)
        self.juliet.send(f"<presence to='{ROOM}/Juliet'>{FORGED}</presence>")
        self.assertEqual(id_of(self.romeo.take()[0]), first)

    def test_differ(self) -> None:
        """Two accounts differ, and so does one account in two rooms."""
        first = self.said()
        self.say(self.romeo, "She speaks")
        mine = id_of(self.juliet.take()[-1])
        self.assertNotEqual(mine, first)
        other = f"padua@{SERVICE}"
        self.assertNotEqual(id_of(self.enter(self.juliet, "Juliet", room=other)[0]), first)

    def test_history(self) -> None:
        """What was said before has the same id for whoever enters later."""
        first = self.said()
        came = self.enter(self.nurse, "Nurse")
        (old,) = [one for one in came if bodies([one])]
        self.assertEqual(id_of(old), first)

    def test_restart(self) -> None:
        """After a restart everybody has the id that he had."""
        first = self.said()
        self.house.modules["OccupantIds"].detach()
        self.restart()
        self.house.add(OccupantIds)
        self.enter(self.romeo, "Romeo")
        self.enter(self.juliet, "Juliet")
        self.assertEqual(self.said(), first)

    def test_disco(self) -> None:
        """Rooms and the service say so; not any more when the module is gone."""
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        for to in (ROOM, SERVICE):
            self.assertIn(
                NS_OCCUPANT_ID, self.nurse.ask(f"<iq type='get' id='i' to='{to}'>{query}</iq>").toXml()
            )
        self.house.modules["OccupantIds"].detach()
        for to in (ROOM, SERVICE):
            answer = self.nurse.ask(f"<iq type='get' id='i' to='{to}'>{query}</iq>")
            self.assertNotIn(NS_OCCUPANT_ID, answer.toXml())
