"""Owners: the form, instant and reserved rooms, and the end of a room."""

from __future__ import annotations

from typing import Any, ClassVar

from palaver.rooms.config import FIELDS
from palaver.rooms.namespaces import NS_ROOM_CONFIG
from palaver.test.rooms.cases import ROOM, SERVICE, RoomCase, codes, fields, form, item, refusal, x_of


class ConfigTests(RoomCase):
    """XEP-0045 sections 10.1 and 10.2."""

    def test_form(self) -> None:
        """The form has every field, with what the room is like."""
        self.make(roomname="Verona")
        held = fields(self.owner(self.romeo, "get", "").query)
        self.assertEqual(set(held), {"FORM_TYPE", *[field.var for field in FIELDS.values()]})
        self.assertEqual(held["FORM_TYPE"], [NS_ROOM_CONFIG])
        self.assertEqual(held["muc#roomconfig_roomname"], ["Verona"])
        self.assertEqual(held["muc#roomconfig_roomowners"], ["romeo@example.org"])

    def test_whole_form(self) -> None:
        """What is submitted unchanged changes nothing."""
        self.make((self.juliet, "Juliet"))
        before = dict(self.room.config)
        held = fields(self.owner(self.romeo, "get", "").query)
        held.pop("FORM_TYPE")
        self.assertEqual(self.owner(self.romeo, "set", form(held))["type"], "result")
        self.assertEqual(self.room.config, before)

    def test_others(self) -> None:
        """Only owners see and change the configuration, and destroy the room."""
        self.make((self.juliet, "Juliet"))
        self.affiliate("juliet", "admin")
        for kind, inner in (("get", ""), ("set", form({"roomname": "X"})), ("set", "<destroy/>")):
            self.assertEqual(refusal(self.owner(self.juliet, kind, inner)), ("auth", "forbidden"))
        self.assertEqual(self.room.config["roomname"], "")

    def test_wrong(self) -> None:
        """What is no configuration is refused and changes nothing."""
        self.make()
        before = dict(self.room.config)
        for given, condition in (
            ({"whois": "everybody"}, "not-acceptable"),
            ({"membersonly": "perhaps"}, "not-acceptable"),
            ({"maxusers": "-1"}, "not-acceptable"),
            ({"maxusers": "100000"}, "not-acceptable"),
            ({"roomname": "x" * 2000}, "not-acceptable"),
            ({"lang": "x" * 2000}, "not-acceptable"),
            ({"roomsecret": "x" * 2000}, "not-acceptable"),
            ({"passwordprotectedroom": "1"}, "not-acceptable"),
            ({"roomowners": []}, "conflict"),
            ({"roomowners": ["@"]}, "not-acceptable"),
            ({"presencebroadcast": ["king"]}, "not-acceptable"),
        ):
            self.assertEqual(refusal(self.owner(self.romeo, "set", form(given)))[1], condition, given)
        for inner in ("", form({}, "other"), "<x xmlns='jabber:x:data'/>"):
            self.assertEqual(refusal(self.owner(self.romeo, "set", inner))[1], "bad-request", inner)
        self.assertEqual(self.room.config, before)

    def test_cancelled(self) -> None:
        """Who does not fill in the form of a new room has no room; later it means nothing."""
        self.enter(self.romeo, "Romeo")
        answer = self.owner(self.romeo, "set", "<x xmlns='jabber:x:data' type='cancel'/>")
        self.assertEqual(answer["type"], "result")
        self.assertNotIn("verona", self.service.rooms)
        self.make()
        self.owner(self.romeo, "set", "<x xmlns='jabber:x:data' type='cancel'/>")
        self.assertIn("verona", self.service.rooms)

    def test_told(self) -> None:
        """Everybody is told what kind of room it has become."""
        self.make((self.juliet, "Juliet"))
        for given, expected in (
            ({"roomname": "Verona"}, ["104"]),
            ({"enablelogging": "1"}, ["170"]),
            ({"enablelogging": "0"}, ["171"]),
            ({"whois": "anyone"}, ["172"]),
            ({"whois": "moderators"}, ["173"]),
        ):
            self.configure(**given)
            (told,) = self.juliet.take()
            self.assertEqual((told["from"], told["type"], codes(told)), (ROOM, "groupchat", expected))

    def test_members_only(self) -> None:
        """A room that becomes one for members is left by the others."""
        self.make((self.juliet, "Juliet"), (self.nurse, "Nurse"))
        self.affiliate("nurse", "member")
        self.quiet()
        self.configure(membersonly="1")
        gone = self.nurse.take()[-1]
        self.assertEqual((gone["from"], codes(gone)), (f"{ROOM}/Juliet", ["322"]))
        self.assertEqual(sorted(self.room.occupants), ["Nurse", "Romeo"])

    def test_lists(self) -> None:
        """Owners and admins stand in the form."""
        self.make((self.juliet, "Juliet"))
        self.configure(
            roomadmins=["juliet@example.org"], roomowners=["romeo@example.org", "nurse@example.org"]
        )
        self.assertEqual(self.room.owners(), ["nurse@example.org", "romeo@example.org"])
        self.assertEqual(self.room.occupants["Juliet"].role, "moderator")
        self.configure(roomadmins=[])
        self.assertEqual(self.room.affiliation("juliet@example.org"), "member")

    def test_persistent(self) -> None:
        """A room that stays is there when all have left, as it was; until it is to stay no more."""
        self.make(persistentroom="1", roomname="Verona", membersonly="1")
        self.leave(self.romeo, "Romeo")
        self.house.clock.pump([30] * 5)
        self.assertEqual(self.service.rooms, {})
        self.assertEqual(self.refused(self.juliet, "Juliet"), ("auth", "registration-required"))
        self.enter(self.romeo, "Romeo")
        self.assertEqual(self.room.config["roomname"], "Verona")
        self.configure(persistentroom="0")
        self.leave(self.romeo, "Romeo")
        self.assertIn("201", codes(self.enter(self.juliet, "Juliet")[0]))

    def test_roles(self) -> None:
        """In a moderated room those who come are visitors, in others participants."""
        self.make(moderatedroom="1")
        self.assertEqual(item(self.enter(self.juliet, "Juliet")[1])["role"], "visitor")
        self.configure(moderatedroom="0")
        self.assertEqual(item(self.enter(self.nurse, "Nurse")[2])["role"], "participant")


class LimitTests(RoomCase):
    """How many people may be affiliated with a room."""

    options: ClassVar[dict[str, Any]] = {"max_affiliations": 3}

    def test_lists(self) -> None:
        """The lists in the form make no more of them, and take nobody away when they are too long."""
        self.make()
        people = ["romeo@example.org", *(f"m{number}@example.org" for number in range(3))]
        answer = self.owner(self.romeo, "set", form({"roomowners": people}))
        self.assertEqual(refusal(answer), ("wait", "resource-constraint"))
        self.assertEqual(self.room.owners(), ["romeo@example.org"])
        self.configure(roomowners=people[:3])
        self.assertEqual(len(self.room.affiliations), 3)

    def test_registered(self) -> None:
        """Strangers who register themselves leave room for whom admins keep out."""
        self.make((self.juliet, "Juliet"))
        x = form({"muc#register_roomnick": "Juliet"}, "http://jabber.org/protocol/muc#register")
        register = f"<iq type='set' id='r' to='{ROOM}'><query xmlns='jabber:iq:register'>{x}</query></iq>"
        self.assertEqual(refusal(self.juliet.ask(register)), ("wait", "resource-constraint"))
        self.affiliate("juliet", "outcast")
        self.assertEqual(self.room.affiliation("juliet@example.org"), "outcast")


class DefaultTests(RoomCase):
    """The option default_room."""

    options: ClassVar[dict[str, Any]] = {
        "default_room": {
            "title": "Hall",
            "persistent": True,
            "members_only": True,
            "anonymous": False,
            "subject": "Welcome",
            "affiliations": [
                {"user": "nurse", "server": "example.org", "resource": "", "affiliation": "admin"}
            ],
        },
        "room_locking": False,
        "access_persistent": "none",
    }

    def test_new(self) -> None:
        """New rooms are like that from the start, and stored."""
        got = self.enter(self.romeo, "Romeo")
        self.assertEqual(codes(got[0]), ["110", "100"])
        self.assertEqual(str(got[1].subject), "Welcome")
        self.assertEqual(self.room.config["roomname"], "Hall")
        self.assertEqual(self.refused(self.juliet, "Juliet"), ("auth", "registration-required"))
        self.assertEqual(item(self.enter(self.nurse, "Nurse")[1])["role"], "moderator")
        self.restart()
        self.assertEqual(item(self.enter(self.nurse, "Nurse")[0])["affiliation"], "admin")

    def test_not_persistent(self) -> None:
        """Who may not make rooms that stay may leave one as it is."""
        self.enter(self.romeo, "Romeo")
        self.configure(persistentroom="0")
        answer = self.owner(self.romeo, "set", form({"persistentroom": "1"}))
        self.assertEqual(refusal(answer), ("cancel", "not-allowed"))


class DestroyTests(RoomCase):
    """XEP-0045 section 10.9."""

    DESTROY = "<destroy jid='mantua@muc.example.org'><reason>Exile</reason><password>p</password></destroy>"

    def test_told(self) -> None:
        """Everybody is told why, and where to go."""
        self.make((self.juliet, "Juliet"))
        self.romeo.send(
            f"<iq type='set' id='d' to='{ROOM}'><query xmlns='http://jabber.org/protocol/muc#owner'>"
            f"{self.DESTROY}</query></iq>"
        )
        own = next(one for one in self.juliet.take() if one["from"] == f"{ROOM}/Juliet")
        destroy = x_of(own).destroy
        self.assertEqual(
            (destroy["jid"], str(destroy.reason), str(destroy.password)),
            ("mantua@muc.example.org", "Exile", "p"),
        )
        self.assertEqual((item(own)["affiliation"], item(own)["role"]), ("none", "none"))
        self.assertEqual(self.service.seats, {})

    def test_name(self) -> None:
        """The name of a room that was destroyed is its owners'; others learn where it has gone."""
        self.make(persistentroom="1")
        self.say(self.romeo, "Farewell")
        self.owner(self.romeo, "set", self.DESTROY)
        self.restart()
        (answer,) = self.enter(self.juliet, "Juliet")
        self.assertEqual(refusal(answer), ("cancel", "gone"))
        self.assertIn("xmpp:mantua@muc.example.org?join", answer.toXml())
        got = self.enter(self.romeo, "Romeo")
        self.assertIn("201", codes(got[0]))
        self.assertEqual([str(one.body) for one in got if one.body is not None], [])

    def test_expiry(self) -> None:
        """After a month it is anybody's."""
        self.make(persistentroom="1")
        self.owner(self.romeo, "set", self.DESTROY)
        self.service.tombstone_s = -1
        self.assertIn("201", codes(self.enter(self.juliet, "Juliet")[0]))

    def test_wrong(self) -> None:
        """An alternative that is no JID is refused."""
        self.make()
        self.assertEqual(refusal(self.owner(self.romeo, "set", "<destroy jid='@'/>"))[1], "jid-malformed")
        self.assertIn("verona", self.service.rooms)

    def test_no_room(self) -> None:
        """What is not there is neither configured nor destroyed."""
        for kind, inner in (("get", ""), ("set", "<destroy/>")):
            answer = self.owner(self.romeo, kind, inner, f"other@{SERVICE}")
            self.assertEqual(refusal(answer), ("cancel", "item-not-found"))
