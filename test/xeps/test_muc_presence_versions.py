"""Versions of presence in rooms (XEP-0436)."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.words.xish import domish

from palaver.rooms.namespaces import NS_MUC, NS_REGISTER, NS_REGISTER_FORM
from palaver.test.house import Client
from palaver.test.rooms.cases import ROOM, RoomCase, codes, form, item, x_of
from palaver.xeps.muc_presence_versions import NS_VERSIONS, PresenceVersions


def version(presence: domish.Element) -> str:
    """Give the version in a presence."""
    (found,) = x_of(presence).elements(NS_VERSIONS, "version")
    ver: str = found["ver"]
    return ver


def asked(ver: str) -> str:
    """Give what a client says that has a version."""
    return f"<version xmlns='{NS_VERSIONS}' ver='{ver}'/>"


class VersionsCase(RoomCase):
    """A room with Romeo and Juliet."""

    settings: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Make the room."""
        super().setUp()
        self.house.add(PresenceVersions, **self.settings)
        self.make((self.juliet, "Juliet"), persistentroom="1")

    def join(self, client: Client, nick: str, ver: str | None = None) -> tuple[list[domish.Element], str]:
        """Enter; give the presence before one's own, and the version told."""
        came = self.enter(client, nick, asked(ver) if ver is not None else "")
        number = next(n for n, one in enumerate(came) if one.name == "presence" and "110" in codes(one))
        return came[:number], version(came[number])

    def back(self, ver: str) -> list[tuple[str, str]]:
        """Have the nurse come back with a version; give whose presence she is told, and of which type."""
        told, _ = self.join(self.nurse, "Nurse", ver)
        self.leave(self.nurse, "Nurse")
        return [(one["from"].partition("/")[2], one.getAttribute("type", "")) for one in told]

    def been(self) -> str:
        """Have the nurse in the room for a while; give the version that she leaves with."""
        self.join(self.nurse, "Nurse", "")
        self.leave(self.nurse, "Nurse")
        return version(self.nurse.take()[-1])

    def register(self, client: Client, nick: str) -> None:
        """Reserve a nick."""
        inner = form({"muc#register_roomnick": nick}, NS_REGISTER_FORM)
        client.ask(f"<iq type='set' id='g' to='{ROOM}'><query xmlns='{NS_REGISTER}'>{inner}</query></iq>")


class ReturningTests(VersionsCase):
    """What somebody is told who has been there."""

    def test_nothing_new(self) -> None:
        """Nothing, when nothing has happened."""
        self.assertEqual(self.back(self.been()), [])

    def test_changes(self) -> None:
        """Who came, who went, who has another nick or says something else of himself."""
        self.enter(self.mercutio, "Mercutio")
        known = self.been()
        self.juliet.send(f"<presence to='{ROOM}/Julia'/>")
        self.leave(self.mercutio, "Mercutio")
        self.assertEqual(
            self.back(known),
            [("Juliet", "unavailable"), ("Mercutio", "unavailable"), ("Julia", "")],
        )
        known = self.been()
        self.romeo.send(f"<presence to='{ROOM}/Romeo'><show>away</show></presence>")
        self.assertEqual(self.back(known), [("Romeo", "")])

    def test_went_and_came(self) -> None:
        """Who has gone and is back is there."""
        known = self.been()
        self.leave(self.juliet, "Juliet")
        self.enter(self.juliet, "Juliet")
        self.assertEqual(self.back(known), [("Juliet", "")])

    def test_shown_otherwise(self) -> None:
        """Who knows presence from before the room showed more of it is told everything anew."""
        known = self.been()
        self.configure(whois="anyone")
        self.assertIn(("Juliet", ""), self.back(known))

    def test_probe(self) -> None:
        """A probe makes no new version."""
        known = self.been()
        self.juliet.send(f"<presence type='probe' to='{ROOM}/Romeo'/>")
        self.assertEqual(self.back(known), [])

    def test_oneself(self) -> None:
        """Nobody is told that he himself was away."""
        known = version(self.enter(self.nurse, "Nurse")[-2])
        self.leave(self.nurse, "Nurse")
        self.assertEqual(self.back(known), [])

    def test_one_of_two(self) -> None:
        """Who has left with one of two clients is still there."""
        phone = self.house.login("juliet", "phone", "<presence/>")
        self.enter(phone, "Juliet")
        known = self.been()
        self.leave(phone, "Juliet")
        self.assertEqual(self.back(known), [("Juliet", "")])

    def test_hidden(self) -> None:
        """Those whose presence is not broadcast stay hidden when they have gone."""
        self.configure(presencebroadcast=["moderator"])
        known = self.been()
        self.enter(self.mercutio, "Mercutio")
        self.leave(self.mercutio, "Mercutio")
        self.assertEqual(self.back(known), [])

    def test_unknown(self) -> None:
        """A version that the room does not know: a reset, and everybody."""
        epoch = self.been().partition("-")[0]
        for wrong in ("x", "x-1", f"{epoch}-999", f"{epoch}-", f"{epoch}--1", f"{epoch}-{'9' * 1000}"):
            (reset, *others), _ = self.join(self.nurse, "Nurse", wrong)
            self.assertEqual(reset["from"], ROOM)
            self.assertEqual(len(list(x_of(reset).elements(NS_VERSIONS, "reset"))), 1)
            self.assertEqual(len(others), 2, wrong)
            self.leave(self.nurse, "Nurse")

    def test_restart(self) -> None:
        """After a restart there is a reset as well."""
        known = self.been()
        self.restart()
        self.enter(self.romeo, "Romeo")
        (reset, other), _ = self.join(self.nurse, "Nurse", known)
        self.assertEqual((reset["from"], other["from"]), (ROOM, f"{ROOM}/Romeo"))

    def test_user_element(self) -> None:
        """A client that asks in the element that the text names is heard as well."""
        known = self.been()
        self.nurse.take()
        x = f"<x xmlns='{NS_MUC}'/><x xmlns='{NS_MUC}#user'>{asked(known)}</x>"
        self.nurse.send(f"<presence to='{ROOM}/Nurse'>{x}</presence>")
        self.assertIn("110", codes(self.nurse.take()[0]))


class TellingTests(VersionsCase):
    """What everybody is told."""

    def test_each(self) -> None:
        """Each presence has a new version; a client that does not ask gets everybody's."""
        told, first = self.join(self.nurse, "Nurse")
        self.assertEqual(len(told), 2)
        self.leave(self.nurse, "Nurse")
        came, went = self.romeo.take()
        self.assertEqual(version(came), first)
        self.assertNotEqual(version(went), first)

    def test_not_passed_on(self) -> None:
        """Nobody sees which version others have."""
        self.join(self.nurse, "Nurse", "secret")
        self.assertNotIn("secret", self.romeo.take()[0].toXml())

    def test_first(self) -> None:
        """Who has no version is told of everybody, and of members who are away; there is no reset."""
        self.register(self.mercutio, "Merc")
        for ver in ("", None):
            told, _ = self.join(self.nurse, "Nurse", ver)
            self.assertEqual([one["from"].partition("/")[2] for one in told], ["Merc", "Romeo", "Juliet"])
            self.assertEqual((told[0]["type"], item(told[0])["affiliation"]), ("unavailable", "member"))
            self.assertNotIn("mercutio@", told[0].toXml())
            self.leave(self.nurse, "Nurse")

    def test_absent_member(self) -> None:
        """Who becomes a member while he is away is shown at once, with his JID to those who see JIDs."""
        known = self.been()
        self.quiet()
        self.register(self.mercutio, "Merc")
        seen = [one for one in self.romeo.take() if one.name == "presence"]
        self.assertEqual(item(seen[0])["jid"], "mercutio@example.org")
        (told,) = self.juliet.take()
        self.assertEqual((told["from"], told["type"]), (f"{ROOM}/Merc", "unavailable"))
        self.assertFalse(item(told).hasAttribute("jid"))
        self.assertEqual(self.back(known), [("Merc", "unavailable")])
        known = self.been()
        self.affiliate("mercutio", "none")
        self.assertEqual(item(self.juliet.take()[-1])["affiliation"], "none")
        self.assertEqual(self.back(known), [("Merc", "unavailable")])

    def test_disco(self) -> None:
        """The room says that it has versions."""
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        self.assertIn(NS_VERSIONS, self.nurse.ask(f"<iq type='get' id='i' to='{ROOM}'>{query}</iq>").toXml())


class BoundTests(VersionsCase):
    """How much is remembered."""

    settings: ClassVar[dict[str, Any]] = {"max_gone": 2, "max_absent": 1}

    def test_gone(self) -> None:
        """Who returns after more have left than the room remembers gets a reset."""
        known = self.been()
        for nick in ("Una", "Dua", "Tria"):
            self.enter(self.mercutio, nick)
            self.leave(self.mercutio, nick)
        self.assertEqual(self.back(known)[0], ("", ""))
        self.assertEqual(self.back(self.been()), [])

    def test_absent(self) -> None:
        """Only so many absent members are told."""
        self.register(self.mercutio, "Merc")
        self.do(self.romeo, "<item jid='tybalt@example.org' affiliation='member' nick='Tybalt'/>")
        told, _ = self.join(self.nurse, "Nurse", "")
        self.assertEqual(len(told), 3)
