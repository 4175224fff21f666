"""Entering rooms, leaving them, nicks and presence."""

from __future__ import annotations

from typing import Any, ClassVar

from palaver.rooms.limits import MAX_PRESENCE_BYTES, MAX_SESSIONS
from palaver.rooms.namespaces import NS_HATS, NS_HATS_BEFORE, NS_MUC
from palaver.test.rooms.cases import ROOM, SERVICE, RoomCase, codes, item, refusal


class EnterTests(RoomCase):
    """XEP-0045 section 7.2."""

    def test_first(self) -> None:
        """Whoever enters a room that is not there makes it, and is its owner and moderator."""
        presence, subject = self.enter(self.romeo, "Romeo")
        self.assertEqual(presence["from"], f"{ROOM}/Romeo")
        self.assertEqual((item(presence)["affiliation"], item(presence)["role"]), ("owner", "moderator"))
        self.assertEqual(codes(presence), ["110", "201"])
        self.assertEqual((subject["type"], str(subject.subject)), ("groupchat", ""))

    def test_locked(self) -> None:
        """Nobody else comes in before the owner has configured the room; an empty form is enough."""
        self.enter(self.romeo, "Romeo")
        self.assertEqual(self.refused(self.juliet, "Juliet"), ("cancel", "item-not-found"))
        self.owner(self.romeo, "set", "<x xmlns='jabber:x:data' type='submit'/>")
        self.assertEqual(codes(self.enter(self.juliet, "Juliet")[1]), ["110"])

    def test_lock_ends(self) -> None:
        """A room that nobody configures is open after a while."""
        self.enter(self.romeo, "Romeo")
        self.house.clock.pump([30] * 12)
        self.assertEqual(codes(self.enter(self.juliet, "Juliet")[1]), ["110"])

    def test_order(self) -> None:
        """First come the others, then oneself, then history, then the subject."""
        self.make()
        self.say(self.romeo, "But soft")
        self.set_subject(self.romeo, "Balconies")
        self.enter(self.nurse, "Nurse")
        got = self.enter(self.juliet, "Juliet")
        self.assertEqual(
            [one["from"].partition("/")[2] for one in got], ["Romeo", "Nurse", "Juliet", "Romeo", "Romeo"]
        )
        self.assertEqual(str(got[3].body), "But soft")
        self.assertEqual(got[3].delay["from"], ROOM)
        self.assertEqual(str(got[4].subject), "Balconies")

    def test_others_hear(self) -> None:
        """The others see who has come; real JIDs are for moderators in a semi-anonymous room."""
        self.make((self.juliet, "Juliet"))
        self.enter(self.nurse, "Nurse")
        (seen,) = self.romeo.take()
        self.assertEqual(item(seen)["jid"], "nurse@example.org/home")
        (seen,) = self.juliet.take()
        self.assertFalse(item(seen).hasAttribute("jid"))
        self.assertEqual(codes(seen), [])

    def test_open(self) -> None:
        """In a non-anonymous room everybody sees real JIDs, and is told so."""
        self.make((self.juliet, "Juliet"), whois="anyone")
        first, _, own, _ = self.enter(self.nurse, "Nurse")
        self.assertEqual(item(first)["jid"], "romeo@example.org/home")
        self.assertEqual(codes(own), ["110", "100"])
        (seen,) = self.juliet.take()
        self.assertEqual(item(seen)["jid"], "nurse@example.org/home")

    def test_logged(self) -> None:
        """Whoever enters a room that is logged in public is told."""
        self.make(enablelogging="1")
        self.assertEqual(codes(self.enter(self.nurse, "Nurse")[1]), ["110", "170"])

    def test_presence_content(self) -> None:
        """What a client says of itself is seen; what only rooms say is not taken from clients."""
        self.make((self.juliet, "Juliet"))
        forged = "<x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator'/></x>"
        for ns in (NS_HATS, NS_HATS_BEFORE):
            forged += f"<hats xmlns='{ns}'><hat uri='urn:king' title='King'/></hats>"
        self.nurse.send(
            f"<presence to='{ROOM}/Nurse'><show>away</show>{forged}<x xmlns='{NS_MUC}'>"
            "<password>secret</password></x></presence>"
        )
        (seen,) = self.juliet.take()
        self.assertEqual(str(seen.show), "away")
        self.assertEqual(item(seen)["role"], "participant")
        self.assertNotIn("secret", seen.toXml())
        self.assertNotIn("King", seen.toXml())

    def test_many_sessions(self) -> None:
        """So many clients share a nick, and no more."""
        self.make()
        for number in range(MAX_SESSIONS):
            self.enter(self.house.login("juliet", f"r{number}", "<presence/>"), "Juliet")
        self.assertEqual(self.refused(self.juliet, "Juliet"), ("wait", "resource-constraint"))
        self.assertEqual(len(self.room.occupants["Juliet"].seats), MAX_SESSIONS)

    def test_large(self) -> None:
        """A presence that is too large is not kept for everybody who enters."""
        self.make()
        large = f"<status>{'x' * MAX_PRESENCE_BYTES}</status><x xmlns='{NS_MUC}'/>"
        for client, nick in ((self.nurse, "Nurse"), (self.romeo, "Romeo")):
            client.send(f"<presence to='{ROOM}/{nick}'>{large}</presence>")
            self.assertEqual(refusal(client.take()[0]), ("modify", "not-acceptable"))
        self.assertEqual(list(self.room.occupants), ["Romeo"])
        self.assertNotIn(b"xx", self.room.occupants["Romeo"].shown.inner)

    def test_without_x(self) -> None:
        """A client that thinks it is here, and says nothing of entering, is told that it is not."""
        self.make()
        self.juliet.send(f"<presence to='{ROOM}/Juliet'/>")
        (told,) = self.juliet.take()
        self.assertEqual((told["from"], told["type"]), (f"{ROOM}/Juliet", "unavailable"))
        self.assertEqual((codes(told), item(told)["role"]), (["110", "307", "333"], "none"))
        self.assertEqual((list(self.room.occupants), self.romeo.take()), (["Romeo"], []))
        for to in (ROOM, f"other@{SERVICE}/Juliet"):
            self.juliet.send(f"<presence to='{to}'/>")
            self.assertEqual(refusal(self.juliet.take()[0]), ("cancel", "item-not-found"))

    def test_no_nick(self) -> None:
        """Without a nick nobody enters."""
        self.make()
        self.juliet.send(f"<presence to='{ROOM}'><x xmlns='{NS_MUC}'/></presence>")
        self.assertEqual(refusal(self.juliet.take()[0]), ("modify", "jid-malformed"))
        self.juliet.send(f"<presence to='other@{SERVICE}'><x xmlns='{NS_MUC}'/></presence>")
        self.assertEqual(refusal(self.juliet.take()[0]), ("modify", "jid-malformed"))
        self.assertNotIn("other", self.service.rooms)

    def test_banned(self) -> None:
        """Who is banned stays out, and so does a whole domain."""
        self.make()
        self.affiliate("juliet", "outcast")
        self.assertEqual(self.refused(self.juliet, "Juliet"), ("auth", "forbidden"))
        self.do(self.romeo, "<item jid='example.org' affiliation='outcast'/>")
        self.assertEqual(self.refused(self.nurse, "Nurse"), ("auth", "forbidden"))

    def test_members_only(self) -> None:
        """A room for members lets members in."""
        self.make(membersonly="1")
        self.assertEqual(self.refused(self.juliet, "Juliet"), ("auth", "registration-required"))
        self.affiliate("juliet", "member")
        self.assertEqual(item(self.enter(self.juliet, "Juliet")[1])["affiliation"], "member")

    def test_password(self) -> None:
        """A room with a password is entered with it."""
        self.make(passwordprotectedroom="1", roomsecret="moonlight")
        for inner in ("", "<password>sun</password>"):
            self.assertEqual(self.refused(self.juliet, "Juliet", inner), ("auth", "not-authorized"))
        self.assertEqual(
            codes(self.enter(self.juliet, "Juliet", "<password>moonlight</password>")[1]), ["110"]
        )

    def test_password_of_creation(self) -> None:
        """The password that comes with the presence that makes a room is the room's."""
        self.enter(self.romeo, "Romeo", "<password>moonlight</password>")
        self.configure()
        self.assertEqual(self.refused(self.juliet, "Juliet"), ("auth", "not-authorized"))

    def test_full(self) -> None:
        """A room has an end; for admins there is some room left."""
        self.make((self.nurse, "Nurse"), maxusers="2")
        self.assertEqual(self.refused(self.juliet, "Juliet"), ("wait", "service-unavailable"))
        self.affiliate("juliet", "admin")
        self.assertEqual(codes(self.enter(self.juliet, "Juliet")[2]), ["110"])

    def test_nick_taken(self) -> None:
        """A nick is one person's, and so are those that look like it."""
        self.make()
        for nick in ("Romeo", "ROMEO", "romeo ", "R\u043emeo", "\uff32omeo", "Rom\u200beo"):
            self.assertIn(
                self.refused(self.juliet, nick), [("cancel", "conflict"), ("modify", "jid-malformed")], nick
            )
        self.assertEqual(self.refused(self.juliet, "R\u043emeo"), ("cancel", "conflict"))
        self.assertEqual(list(self.room.occupants), ["Romeo"])

    def test_nick_capital(self) -> None:
        """A capital I is taken for a small l, whoever was first; a small i is not."""
        self.make((self.juliet, "Ian"), (self.nurse, "will"))
        for nick in ("lan", "ian", "\u0406an", "wilI", "WILL"):
            self.assertEqual(self.refused(self.mercutio, nick), ("cancel", "conflict"), nick)
        self.enter(self.mercutio, "wili")
        self.mercutio.send(f"<presence to='{ROOM}/wilI'/>")
        self.assertEqual(refusal(self.mercutio.take()[0]), ("cancel", "conflict"))
        self.leave(self.juliet, "Ian")
        self.mercutio.send(f"<presence to='{ROOM}/lan'/>")
        self.assertEqual(list(self.room.occupants), ["Romeo", "will", "lan"])
        self.assertEqual(self.refused(self.juliet, "Ian"), ("cancel", "conflict"))
        self.mercutio.send(f"<presence to='{ROOM}/Ian'/>")
        self.assertEqual(list(self.room.occupants), ["Romeo", "will", "Ian"])

    def test_nick_bad(self) -> None:
        """A nick is more than a space, and not longer than the service wants."""
        self.make()
        self.assertEqual(self.refused(self.juliet, "\u00a0")[0], "modify")
        self.assertEqual(self.refused(self.juliet, "a" * 300), ("modify", "not-acceptable"))

    def test_second_session(self) -> None:
        """Two clients of one account share a nick; the others hear of the last one's end only."""
        self.make((self.juliet, "Juliet"))
        phone = self.house.login("juliet", "phone", "<presence/>")
        self.assertEqual(codes(self.enter(phone, "Juliet")[1]), ["110"])
        self.quiet()
        self.say(self.romeo, "Hear me")
        self.assertEqual([str(one.body) for one in (*phone.take(), *self.juliet.take())], ["Hear me"] * 2)
        self.romeo.take()
        self.leave(self.juliet, "Juliet")
        self.assertEqual([one.getAttribute("type") for one in self.romeo.take()], [None])
        self.leave(phone, "Juliet")
        self.assertEqual([one["type"] for one in self.romeo.take()], ["unavailable"])

    def test_second_session_refused(self) -> None:
        """A room may want one client for each nick."""
        self.make((self.juliet, "Juliet"), allowmultisessions="0")
        phone = self.house.login("juliet", "phone", "<presence/>")
        self.assertEqual(self.refused(phone, "Juliet"), ("cancel", "conflict"))

    def test_again(self) -> None:
        """A client that enters a room it is in already is told everything again, and stays one."""
        self.make((self.juliet, "Juliet"))
        got = self.enter(self.juliet, "Juliet")
        self.assertEqual([one["from"].partition("/")[2] for one in got], ["Romeo", "Juliet", ""])
        self.assertEqual(len(self.room.seats), 2)

    def test_not_available(self) -> None:
        """Presence of other types makes no room, and leaving one that is not there is not answered."""
        self.romeo.send(f"<presence type='unavailable' to='{ROOM}/Romeo'/>")
        self.assertEqual(self.romeo.take(), [])
        self.assertEqual(self.service.rooms, {})


class LimitTests(RoomCase):
    """What the service's options limit."""

    options: ClassVar[dict[str, Any]] = {
        "max_user_conferences": 1,
        "max_room_id": 8,
        "access_create": "local",
        "min_presence_interval": 10,
    }

    def test_rooms(self) -> None:
        """A session is in so many rooms and no more."""
        self.make()
        self.assertEqual(
            self.refused(self.romeo, "R", room=f"other@{SERVICE}"), ("wait", "resource-constraint")
        )
        self.assertNotIn("other", self.service.rooms)
        self.leave(self.romeo, "Romeo")
        self.assertEqual(codes(self.enter(self.romeo, "R", room=f"other@{SERVICE}")[0]), ["110", "201"])

    def test_name(self) -> None:
        """A room's name may be too long."""
        self.assertEqual(
            self.refused(self.romeo, "R", room=f"123456789@{SERVICE}"), ("modify", "not-acceptable")
        )

    def test_presence(self) -> None:
        """Presence does not change too often."""
        self.make()
        self.house.clock.advance(11)
        self.romeo.send(f"<presence to='{ROOM}/Romeo'><show>away</show></presence>")
        self.assertEqual([one.getAttribute("type") for one in self.romeo.take()], [None])
        self.romeo.send(f"<presence to='{ROOM}/Romeo'><show>dnd</show></presence>")
        self.assertEqual(refusal(self.romeo.take()[0]), ("wait", "resource-constraint"))
        self.assertIn(b"away", self.room.occupants["Romeo"].shown.inner)
        self.assertEqual(self.refused(self.romeo, "Romeo"), ("wait", "resource-constraint"))
        self.house.clock.advance(11)
        self.assertEqual(codes(self.enter(self.romeo, "Romeo")[0]), ["110"])


class AccessTests(RoomCase):
    """Who may make rooms."""

    options: ClassVar[dict[str, Any]] = {"access_create": "none"}

    def test_refused(self) -> None:
        """Where nobody may make rooms, nobody does; those that are there are entered."""
        self.assertEqual(self.refused(self.romeo, "Romeo"), ("cancel", "not-allowed"))
        self.house.host.admins = frozenset(("romeo@example.org",))
        self.make()
        self.assertEqual(codes(self.enter(self.juliet, "Juliet")[1]), ["110"])


class StrangerTests(RoomCase):
    """A service that is not for everybody."""

    options: ClassVar[dict[str, Any]] = {"access": "admin"}

    def test_refused(self) -> None:
        """Who may not use the service neither enters its rooms nor reads, joins or makes any."""
        self.house.host.admins = frozenset(("romeo@example.org",))
        self.make(persistentroom="1")
        self.say(self.romeo, "Among ourselves")
        for kind, inner in (
            ("set", "<query xmlns='urn:xmpp:mam:2'/>"),
            ("get", "<query xmlns='jabber:iq:register'/>"),
            ("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
        ):
            for to in (ROOM, SERVICE, f"other@{SERVICE}", f"{ROOM}/Romeo"):
                answer = self.nurse.ask(f"<iq type='{kind}' id='s' to='{to}'>{inner}</iq>")
                self.assertEqual(refusal(answer), ("auth", "forbidden"), (inner, to))
        for room in (ROOM, f"other@{SERVICE}"):
            self.assertEqual(self.refused(self.nurse, "Nurse", room=room), ("auth", "forbidden"))
        self.nurse.send(f"<message to='{ROOM}/Romeo'><body>Hi</body></message>")
        self.assertEqual(refusal(self.nurse.take()[0]), ("auth", "forbidden"))
        self.assertEqual((list(self.service.rooms), len(self.room.occupants)), (["verona"], 1))

    def test_inside(self) -> None:
        """Who is in a room already stays a user."""
        self.house.host.admins = frozenset(("romeo@example.org", "juliet@example.org"))
        self.make((self.juliet, "Juliet"))
        self.house.host.admins = frozenset()
        self.juliet.send(f"<presence to='{ROOM}/Juliet'><show>away</show></presence>")
        self.assertEqual([str(one.show) for one in self.romeo.take()], ["away"])


class PresenceTests(RoomCase):
    """Nicks (section 7.6), availability (7.7) and leaving (7.14)."""

    def setUp(self) -> None:
        """Have two in a room."""
        super().setUp()
        self.make((self.juliet, "Juliet"))

    def test_nick(self) -> None:
        """A new nick is told as a leaving under the old one and a coming under the new one."""
        self.juliet.send(f"<presence to='{ROOM}/Julia'/>")
        gone, come = self.romeo.take()
        self.assertEqual(
            (gone["from"], gone["type"], item(gone)["nick"]), (f"{ROOM}/Juliet", "unavailable", "Julia")
        )
        self.assertEqual(codes(gone), ["303"])
        self.assertEqual(come["from"], f"{ROOM}/Julia")
        gone, come = self.juliet.take()
        self.assertEqual((codes(gone), codes(come)), (["110", "303"], ["110"]))

    def test_nick_of_another(self) -> None:
        """Somebody else's nick is not to be had, and nothing changes."""
        self.juliet.send(f"<presence to='{ROOM}/romeo'/>")
        self.assertEqual(refusal(self.juliet.take()[0]), ("cancel", "conflict"))
        self.assertEqual(self.romeo.take(), [])
        self.assertEqual(sorted(self.room.occupants), ["Juliet", "Romeo"])

    def test_nick_case(self) -> None:
        """One may write one's own nick another way."""
        self.juliet.send(f"<presence to='{ROOM}/JULIET'/>")
        self.assertEqual([one["from"] for one in self.romeo.take()], [f"{ROOM}/Juliet", f"{ROOM}/JULIET"])

    def test_nick_of_visitor(self) -> None:
        """Visitors may have to keep their nicks."""
        self.configure(moderatedroom="1", allowvisitornickchange="0")
        self.enter(self.nurse, "Nurse")
        self.nurse.send(f"<presence to='{ROOM}/Angelica'/>")
        self.assertEqual(refusal(self.nurse.take()[0]), ("cancel", "not-allowed"))

    def test_show(self) -> None:
        """A change of availability goes to everybody."""
        self.juliet.send(f"<presence to='{ROOM}/Juliet'><show>xa</show></presence>")
        self.assertEqual([str(one.show) for one in (*self.romeo.take(), *self.juliet.take())], ["xa", "xa"])

    def test_visitor_status(self) -> None:
        """Visitors' texts may be hidden."""
        self.configure(moderatedroom="1", allowvisitorstatus="0")
        self.enter(self.nurse, "Nurse")
        self.romeo.take()
        self.nurse.send(f"<presence to='{ROOM}/Nurse'><show>away</show><status>spam</status></presence>")
        (seen,) = self.romeo.take()
        self.assertEqual((str(seen.show), seen.status), ("away", None))

    def test_broadcast(self) -> None:
        """A room may keep visitors' presence to themselves."""
        self.configure(moderatedroom="1", presencebroadcast=["moderator", "participant"])
        self.quiet()
        got = self.enter(self.nurse, "Nurse")
        self.assertEqual(codes(got[2]), ["110"])
        self.assertEqual(self.romeo.take(), [])
        self.role("Nurse", "participant")
        self.assertEqual([one["from"] for one in self.romeo.take()], [f"{ROOM}/Nurse"])

    def test_leave(self) -> None:
        """Everybody hears of a leaving, with its status; oneself too."""
        self.juliet.send(f"<presence type='unavailable' to='{ROOM}/Juliet'><status>gone</status></presence>")
        (seen,) = self.romeo.take()
        self.assertEqual(
            (seen["type"], item(seen)["role"], str(seen.status)), ("unavailable", "none", "gone")
        )
        (own,) = self.juliet.take()
        self.assertEqual(codes(own), ["110"])
        self.assertNotIn("Juliet", self.room.occupants)

    def test_logout(self) -> None:
        """A session that ends leaves its rooms."""
        self.juliet.session.end(None)
        self.assertEqual([one["type"] for one in self.romeo.take()], ["unavailable"])
        self.assertNotIn("juliet@example.org/home", self.service.seats)

    def test_blocked_logout(self) -> None:
        """It does so even when its unavailable presence does not get through."""
        self.juliet.session.directed = None
        self.juliet.session.end(None)
        self.assertEqual([one["type"] for one in self.romeo.take()], ["unavailable"])

    def test_last(self) -> None:
        """A room that does not stay is gone with the last who leaves, and is another one after that."""
        self.leave(self.romeo, "Romeo")
        self.leave(self.juliet, "Juliet")
        self.assertEqual(self.service.rooms, {})
        self.assertIn("201", codes(self.enter(self.nurse, "Nurse")[0]))

    def test_probe(self) -> None:
        """Occupants may ask for each other's presence."""
        self.juliet.send(f"<presence type='probe' to='{ROOM}/Romeo'/>")
        (seen,) = self.juliet.take()
        self.assertEqual((seen["from"], item(seen).hasAttribute("jid")), (f"{ROOM}/Romeo", False))
        self.nurse.send(f"<presence type='probe' to='{ROOM}/Romeo'/>")
        self.assertEqual(self.nurse.take(), [])

    def test_error(self) -> None:
        """Whoever cannot be reached is removed; the error's text tells nothing in a semi-anonymous room."""
        error = "<error type='cancel'><{} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        self.juliet.send(f"<message type='error' to='{ROOM}/Romeo'>{error.format('forbidden')}</message>")
        self.assertIn("Juliet", self.room.occupants)
        self.juliet.send(f"<message type='error' to='{ROOM}/Romeo'>{error.format('gone')}</message>")
        (seen,) = self.romeo.take()
        self.assertEqual((codes(seen), str(seen.status)), (["333"], "Kicked: gone"))
        self.assertNotIn("Juliet", self.room.occupants)

    def test_shutdown(self) -> None:
        """When the service ends everybody is told."""
        self.module.detach()
        got = self.juliet.take()
        self.assertEqual([codes(one) for one in got], [["332"], ["110", "332"]])
