"""Moderation (XEP-0425) and retraction (XEP-0424) in rooms."""

from __future__ import annotations

from twisted.words.xish import domish

from palaver.archive.messages import NS_MAM, NS_STANZA_ID
from palaver.archive.retraction import NS_RETRACT
from palaver.rooms.namespaces import NS_OCCUPANT_ID
from palaver.test.house import Client
from palaver.test.rooms.cases import ROOM, RoomCase, bodies, refusal
from palaver.test.storage.faulty import FaultyStorage
from palaver.xeps.muc_moderation import (
    NS_FASTEN,
    NS_MODERATE,
    NS_MODERATE_BEFORE,
    NS_RETRACT_BEFORE,
    Moderation,
)
from palaver.xeps.muc_occupant_id import OccupantIds


def id_of(stanza: domish.Element) -> str:
    """Give the id that the room has given a message."""
    (node,) = stanza.elements(NS_STANZA_ID, "stanza-id")
    found: str = node["id"]
    return found


class ModerationCase(RoomCase):
    """A room with an owner and somebody who says what he should not."""

    persists = "1"

    def setUp(self) -> None:
        """Have Juliet say something."""
        super().setUp()
        self.house.add(OccupantIds)
        self.house.add(Moderation)
        self.make((self.juliet, "Juliet"), persistentroom=self.persists)
        self.say(self.juliet, "swear words")
        self.target = id_of(self.romeo.take()[0])
        self.quiet()

    def moderate(self, client: Client, id: str | None = None, inner: str = "") -> domish.Element:
        """Ask for a message to go; give the answer."""
        inner = inner or f"<retract xmlns='{NS_RETRACT}'/><reason>Not here &amp; now</reason>"
        client.send(
            f"<iq type='set' id='r1' to='{ROOM}'>"
            f"<moderate xmlns='{NS_MODERATE}' id='{self.target if id is None else id}'>"
            f"{inner}</moderate></iq>"
        )
        (answer,) = [one for one in client.received if one.name == "iq"]
        client.received.remove(answer)
        return answer.element

    def moderate_before(self, client: Client, inner: str) -> domish.Element:
        """Ask for it as clients do that know version 0.2; give the answer."""
        client.send(
            f"<iq type='set' id='r1' to='{ROOM}'>"
            f"<apply-to xmlns='{NS_FASTEN}' id='{self.target}'>{inner}</apply-to></iq>"
        )
        (answer,) = [one for one in client.received if one.name == "iq"]
        client.received.remove(answer)
        return answer.element

    def archive(self) -> str:
        """Give all that the archive holds, as the owner sees it."""
        self.romeo.take()
        self.romeo.send(f"<iq type='set' id='q' to='{ROOM}'><query xmlns='{NS_MAM}'/></iq>")
        return "".join(one.toXml() for one in self.romeo.take())


class ModerationTests(ModerationCase):
    """What moderators do, and what others may not."""

    def test_retracted(self) -> None:
        """Everybody is told by whom and why; the moderator is answered."""
        self.assertEqual(self.moderate(self.romeo)["type"], "result")
        for client in (self.romeo, self.juliet):
            (told,) = client.take()
            self.assertEqual((told["from"], told["type"]), (ROOM, "groupchat"))
            (retract,) = told.elements(NS_RETRACT, "retract")
            self.assertEqual(retract["id"], self.target)
            (moderated,) = retract.elements(NS_MODERATE, "moderated")
            self.assertEqual(moderated["by"], f"{ROOM}/Romeo")
            self.assertEqual(len(list(moderated.elements(NS_OCCUPANT_ID, "occupant-id"))), 1)
            self.assertEqual([str(one) for one in retract.elements(NS_RETRACT, "reason")], ["Not here & now"])

    def test_before(self) -> None:
        """A client of the older version asks in its words, and everybody is told in both."""
        retract = f"<retract xmlns='{NS_RETRACT_BEFORE}'/><reason>Not here</reason>"
        asked = f"<moderate xmlns='{NS_MODERATE_BEFORE}'>{retract}</moderate>"
        self.assertEqual(refusal(self.moderate_before(self.juliet, asked))[1], "forbidden")
        self.assertEqual(self.moderate_before(self.romeo, asked)["type"], "result")
        (told,) = self.juliet.take()
        self.assertEqual([one["id"] for one in told.elements(NS_RETRACT, "retract")], [self.target])
        (fastening,) = told.elements(NS_FASTEN, "apply-to")
        (moderated,) = fastening.elements(NS_MODERATE_BEFORE, "moderated")
        self.assertEqual((fastening["id"], moderated["by"]), (self.target, f"{ROOM}/Romeo"))
        self.assertEqual(str(moderated.reason), "Not here")
        self.assertEqual(bodies(self.enter(self.nurse, "Nurse")), [])

    def test_before_wrong(self) -> None:
        """Fastenings of other kinds, and moderation without a retraction, are refused."""
        self.assertEqual(refusal(self.moderate_before(self.romeo, ""))[1], "service-unavailable")
        asked = f"<moderate xmlns='{NS_MODERATE_BEFORE}'/>"
        self.assertEqual(refusal(self.moderate_before(self.romeo, asked))[1], "bad-request")
        self.assertEqual(self.juliet.take(), [])

    def test_history(self) -> None:
        """Whoever enters later is not told what was retracted, also after a restart."""
        self.moderate(self.romeo)
        self.assertEqual(bodies(self.enter(self.nurse, "Nurse")), [])
        if self.persists == "1":
            self.restart()
            self.assertEqual([one for one in bodies(self.enter(self.nurse, "Nurse")) if one], [])

    def test_forbidden(self) -> None:
        """Participants and strangers may not; nothing changes."""
        for client in (self.juliet, self.nurse):
            self.assertEqual(refusal(self.moderate(client))[1], "forbidden")
        self.assertEqual(self.romeo.take(), [])
        self.assertEqual(bodies(self.enter(self.nurse, "Nurse")), ["swear words"])

    def test_absent_owner(self) -> None:
        """An owner who is not in the room moderates it as well."""
        self.role("Juliet", "moderator")
        self.leave(self.romeo, "Romeo")
        self.quiet()
        self.assertEqual(self.moderate(self.romeo)["type"], "result")
        self.assertIn(f"by='{ROOM}'", self.juliet.take()[0].toXml())

    def test_wrong(self) -> None:
        """Ids of nothing, a request without a retraction, and an endless reason are refused."""
        for id in ("", "zz", "1", "f" * 17, "-1"):
            self.assertEqual(refusal(self.moderate(self.romeo, id))[1], "item-not-found", id)
        self.assertEqual(refusal(self.moderate(self.romeo, inner="<reason/>"))[1], "bad-request")
        long = f"<retract xmlns='{NS_RETRACT}'/><reason>{'x' * 1001}</reason>"
        self.assertEqual(refusal(self.moderate(self.romeo, inner=long))[1], "not-acceptable")
        self.assertEqual(self.juliet.take(), [])

    def test_disco(self) -> None:
        """Service discovery tells of it."""
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        answer = self.nurse.ask(f"<iq type='get' id='i' to='{ROOM}'>{query}</iq>").toXml()
        self.assertIn(NS_MODERATE, answer)
        self.assertIn(NS_MODERATE_BEFORE, answer)
        self.assertEqual(f"{NS_RETRACT}#tombstone" in answer, self.persists == "1")


class TemporaryTests(ModerationTests):
    """The same in a room that does not stay, and has no archive."""

    persists = "0"


class ArchiveTests(ModerationCase):
    """What the archive of a stored room holds."""

    def test_tombstone(self) -> None:
        """Nothing of the text stays; whose it was, who took it back and why does."""
        self.moderate(self.romeo)
        held = self.archive()
        self.assertNotIn("swear", held)
        (_, _, after) = held.partition("<retracted")
        self.assertIn("Not here &amp; now", after)
        self.assertIn(f"{ROOM}/Juliet", held)
        self.assertIn(f"id='{self.target}'", held)
        self.assertIn("occupant-id", held.partition("<retracted")[0])

    def test_again(self) -> None:
        """A second moderation is answered like the first; a retraction itself is not retracted."""
        self.moderate(self.romeo)
        told = self.romeo.take()[0]
        self.assertEqual(self.moderate(self.romeo)["type"], "result")
        self.assertEqual(refusal(self.moderate(self.romeo, id_of(told)))[1], "not-acceptable")

    def test_storage_fails(self) -> None:
        """When it cannot be stored the moderator hears so, and nobody is told anything."""
        store = self.service.store
        store.storage = faulty = FaultyStorage(self.house.storage)
        faulty.writes.fail()
        self.assertEqual(self.moderate(self.romeo)["type"], "error")
        store.storage = self.house.storage
        self.assertEqual(self.juliet.take(), [])
        self.assertIn("swear", self.archive())

    def test_own(self) -> None:
        """An author takes his own message back."""
        self.juliet.send(
            f"<message type='groupchat' id='r2' to='{ROOM}'>"
            f"<retract xmlns='{NS_RETRACT}' id='{self.target}'/></message>"
        )
        self.assertEqual(len(self.romeo.take()), 1)
        held = self.archive()
        self.assertNotIn("swear", held)
        self.assertIn("id='r2'", held.partition("<retracted")[2])
        self.assertEqual([one for one in bodies(self.enter(self.nurse, "Nurse")) if one], [])

    def test_others(self) -> None:
        """Somebody else's message stays, even when an owner sends the author's kind of retraction."""
        for client, nick in ((self.nurse, "Nurse"), (self.romeo, "Romeo")):
            self.enter(client, nick)
            client.send(
                f"<message type='groupchat' id='r3' to='{ROOM}'>"
                f"<retract xmlns='{NS_RETRACT}' id='{self.target}'/></message>"
            )
        self.assertIn("swear", self.archive())

    def test_forged(self) -> None:
        """Nobody says a tombstone himself."""
        self.say(self.juliet, "x", f"<retracted xmlns='{NS_RETRACT}' id='1'/>")
        self.assertNotIn("retracted", self.romeo.take()[0].toXml())
