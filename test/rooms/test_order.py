"""One order for everybody, commits before anything is heard, and storage that fails."""

from __future__ import annotations

from typing import Any

from palaver.errors import StorageError
from palaver.rooms import broadcast
from palaver.rooms.namespaces import NS_ADMIN, NS_OWNER, NS_REGISTER, NS_REGISTER_FORM, NS_USER
from palaver.rooms.store import KIND, KIND_AFFILIATION
from palaver.test.house import now
from palaver.test.rooms.cases import ROOM, SERVICE, RoomCase, bodies, codes, form, refusal
from palaver.test.storage.faulty import FaultyStorage

DESTROY = f"<iq type='set' id='d' to='{ROOM}'><query xmlns='{NS_OWNER}'><destroy/></query></iq>"


class OrderTests(RoomCase):
    """Storage that stalls and fails when a test says so."""

    def setUp(self) -> None:
        """Have two in a room that stays."""
        super().setUp()
        self.make((self.juliet, "Juliet"), persistentroom="1")
        self.faulty = FaultyStorage(self.house.storage)
        self.plan = self.faulty.writes
        self.service.store.storage = self.faulty

    def test_stored_first(self) -> None:
        """A message is heard, and its sender is done, when it is committed; not before."""
        self.plan.stall()
        waiting = self.say(self.juliet, "O Romeo")
        self.assertEqual(self.romeo.take(), [])
        self.assertFalse(waiting.called)
        self.plan.go_on()
        now(waiting)
        self.assertEqual(bodies(self.romeo.take()), ["O Romeo"])

    def test_many(self) -> None:
        """Messages are committed together, and heard in the order in which they came."""
        self.plan.stall()
        self.say(self.juliet, "one", id="1")
        self.say(self.romeo, "two", id="2")
        self.say(self.juliet, "three", id="3")
        self.assertEqual(self.plan.asked, 3)
        self.plan.go_on()
        for client in (self.romeo, self.juliet):
            self.assertEqual(bodies(client.take()), ["one", "two", "three"])

    def test_with_presence(self) -> None:
        """Who leaves after he has said something is heard first and gone then; who comes gets it once."""
        self.plan.stall()
        self.say(self.juliet, "Farewell")
        self.leave(self.juliet, "Juliet")
        came = self.enter(self.nurse, "Nurse")
        self.assertEqual(came, [])
        self.plan.go_on()
        said, gone, come = self.romeo.take()
        self.assertEqual(str(said.body), "Farewell")
        self.assertEqual((gone["from"], gone["type"]), (f"{ROOM}/Juliet", "unavailable"))
        self.assertEqual(come["from"], f"{ROOM}/Nurse")
        self.assertEqual(bodies(self.nurse.take()), ["Farewell"])

    def test_behind_a_kick(self) -> None:
        """What is said behind a kick that is under way is not heard."""
        self.plan.stall()
        self.say(self.romeo, "Silence")
        self.romeo.send(
            f"<iq type='set' id='k' to='{ROOM}'><query xmlns='http://jabber.org/protocol/muc#admin'>"
            "<item nick='Juliet' role='none'/></query></iq>"
        )
        self.say(self.juliet, "But")
        self.plan.go_on()
        self.assertEqual(bodies(self.romeo.take()), ["Silence"])
        self.assertEqual(refusal(self.juliet.take()[-1]), ("modify", "not-acceptable"))

    def test_commit_fails(self) -> None:
        """A message that is not stored is heard by nobody, and its sender is told to try again."""
        self.plan.fail()
        self.say(self.juliet, "O Romeo")
        self.assertEqual(self.romeo.take(), [])
        self.assertEqual(refusal(self.juliet.take()[0]), ("wait", "internal-server-error"))
        self.set_subject(self.romeo, "Names")
        self.assertEqual(refusal(self.romeo.take()[0]), ("wait", "internal-server-error"))
        self.assertEqual(self.room.subject.inner, b"<subject/>")
        self.plan.go_on()
        self.say(self.juliet, "O Romeo")
        self.assertEqual(bodies(self.romeo.take()), ["O Romeo"])

    def test_changes_fail(self) -> None:
        """Affiliations, configuration and the room itself stay as they are when that is not stored."""
        before = dict(self.room.config)
        self.plan.fail()
        answer = self.admin(self.romeo, "set", "<item jid='juliet@example.org' affiliation='outcast'/>")
        self.assertEqual(refusal(answer), ("wait", "internal-server-error"))
        answer = self.owner(self.romeo, "set", form({"membersonly": "1"}))
        self.assertEqual(refusal(answer), ("wait", "internal-server-error"))
        self.assertEqual(
            refusal(self.owner(self.romeo, "set", "<destroy/>")), ("wait", "internal-server-error")
        )
        self.assertEqual(self.room.config, before)
        self.assertEqual(self.room.affiliation("juliet@example.org"), "none")
        self.assertEqual(len(self.room.occupants), 2)

    def test_people_fail(self) -> None:
        """Who cannot be stored as a member is none, whether he registers, is invited, or is in a list."""
        self.configure(membersonly="1")
        self.quiet()
        before = dict(self.room.affiliations)
        self.plan.fail()
        nick = form({"muc#register_roomnick": "R"}, NS_REGISTER_FORM)
        answer = self.romeo.ask(
            f"<iq type='set' id='r' to='{ROOM}'><query xmlns='{NS_REGISTER}'>{nick}</query></iq>"
        )
        self.assertEqual(refusal(answer), ("wait", "internal-server-error"))
        invite = f"<x xmlns='{NS_USER}'><invite to='nurse@example.org'/></x>"
        self.romeo.send(f"<message to='{ROOM}'>{invite}</message>")
        self.assertEqual(refusal(self.romeo.take()[0]), ("wait", "internal-server-error"))
        answer = self.owner(self.romeo, "set", form({"roomadmins": ["nurse@example.org"]}))
        self.assertEqual(refusal(answer), ("wait", "internal-server-error"))
        self.assertEqual((self.room.affiliations, self.nurse.take()), (before, []))
        self.assertEqual(self.room.reserved_for("R"), None)

    def test_unreadable(self) -> None:
        """A room that cannot be read is an error, and nobody makes it anew."""
        self.leave(self.juliet, "Juliet")
        self.leave(self.romeo, "Romeo")
        self.service.forget(self.room)
        self.faulty.reads.fail()
        self.assertEqual(self.refused(self.nurse, "Nurse"), ("wait", "internal-server-error"))
        self.assertEqual(self.service.rooms, {})
        self.faulty.reads.go_on()
        self.enter(self.nurse, "Nurse")
        self.assertEqual(self.room.owners(), ["romeo@example.org"])

    def test_read_once(self) -> None:
        """All who come while a room is read wait for the same reading, and come in in order."""
        self.leave(self.juliet, "Juliet")
        self.leave(self.romeo, "Romeo")
        self.service.forget(self.room)
        self.faulty.reads.stall()
        before = self.faulty.reads.asked
        self.enter(self.nurse, "Nurse")
        self.enter(self.mercutio, "Mercutio")
        self.assertEqual(self.faulty.reads.asked, before + 1)
        self.faulty.reads.go_on()
        self.assertEqual(list(self.room.occupants), ["Nurse", "Mercutio"])

    def test_two_make_one(self) -> None:
        """Two who enter a room at once that is not there yet are in one room, whose owner is the first."""
        self.faulty.reads.stall()
        mantua = f"mantua@{SERVICE}"
        for client, nick in ((self.nurse, "Nurse"), (self.mercutio, "Mercutio")):
            self.enter(client, nick, room=mantua)
        self.faulty.reads.go_on()
        room = self.service.rooms["mantua"]
        self.assertEqual((room.owners(), list(room.occupants)), (["nurse@example.org"], ["Nurse"]))
        self.assertEqual(refusal(self.mercutio.take()[0]), ("cancel", "item-not-found"))

    def test_two_take_its_place(self) -> None:
        """Two owners who enter at once where their room was destroyed are in one new room."""
        self.affiliate("juliet", "owner")
        self.owner(self.romeo, "set", "<destroy/>")
        self.service.rooms.clear()
        self.quiet()
        self.faulty.reads.stall()
        self.enter(self.juliet, "Juliet")
        self.enter(self.romeo, "Romeo")
        self.faulty.reads.go_on()
        self.assertEqual(self.room.owners(), ["juliet@example.org"])
        self.assertEqual(refusal(self.romeo.take()[0]), ("cancel", "item-not-found"))

    def test_refused_makes_nothing(self) -> None:
        """Who may not enter the room that he would make leaves none behind, in the storage either."""
        self.service._defaults["persistentroom"] = True
        for inner, room in (
            ("<history maxstanzas='x'/>", "mantua"),
            (f"<password>{'x' * 1001}</password>", "padua"),
        ):
            with self.subTest(room=room):
                self.refused(self.nurse, "Nurse", inner, f"{room}@{SERVICE}")
                self.assertIsNone(now(self.service.load(room)))

    def test_behind_the_end(self) -> None:
        """What waits behind the end of a room is refused, and leaves nothing of it for the next one."""
        self.affiliate("juliet", "owner")
        self.quiet()
        self.plan.stall()
        self.say(self.romeo, "Farewell")
        self.romeo.send(DESTROY)
        member = "<item jid='tybalt@example.org' affiliation='owner'/>"
        self.juliet.send(f"<iq type='set' id='m' to='{ROOM}'><query xmlns='{NS_ADMIN}'>{member}</query></iq>")
        config = form({"persistentroom": "1"})
        self.juliet.send(f"<iq type='set' id='c' to='{ROOM}'><query xmlns='{NS_OWNER}'>{config}</query></iq>")
        self.enter(self.nurse, "Nurse")
        self.plan.go_on()
        answers = {one["id"]: refusal(one) for one in self.juliet.take() if one.name == "iq"}
        self.assertEqual(answers, dict.fromkeys("mc", ("cancel", "item-not-found")))
        self.assertEqual(refusal(self.nurse.take()[-1]), ("cancel", "gone"))
        kinds = (KIND, KIND_AFFILIATION)
        (left,) = now(self.house.storage.documents.list(SERVICE, "verona", kinds))
        self.assertIn("gone", left.value)

    def test_end_fails(self) -> None:
        """Who enters while a room is to be destroyed enters it when that fails."""
        self.plan.stall()
        self.romeo.send(DESTROY)
        self.enter(self.nurse, "Nurse")
        self.plan.fail()
        self.assertEqual(list(self.room.occupants), ["Romeo", "Juliet", "Nurse"])

    def test_moderator_no_more(self) -> None:
        """A moderator who is removed first removes nobody."""
        self.role("Juliet", "moderator")
        self.enter(self.nurse, "Nurse")
        self.quiet()
        self.plan.stall()
        self.say(self.romeo, "Farewell")
        for client, nick in ((self.romeo, "Juliet"), (self.juliet, "Nurse")):
            kick = f"<query xmlns='{NS_ADMIN}'><item nick='{nick}' role='none'/></query>"
            client.send(f"<iq type='set' id='k' to='{ROOM}'>{kick}</iq>")
        self.plan.go_on()
        self.assertEqual(refusal(self.juliet.take()[-1]), ("auth", "forbidden"))
        self.assertEqual(list(self.room.occupants), ["Romeo", "Nurse"])

    def test_owner_no_more(self) -> None:
        """Of two owners who turn on each other at once the first one wins, and the room stays."""
        self.affiliate("juliet", "owner")
        self.quiet()
        self.plan.stall()
        self.say(self.romeo, "Farewell")
        member = "<item jid='juliet@example.org' affiliation='member'/>"
        self.romeo.send(f"<iq type='set' id='m' to='{ROOM}'><query xmlns='{NS_ADMIN}'>{member}</query></iq>")
        self.juliet.send(DESTROY)
        self.plan.go_on()
        (answer,) = [one for one in self.juliet.take() if one.name == "iq"]
        self.assertEqual(refusal(answer), ("auth", "forbidden"))
        self.assertEqual(len(self.room.occupants), 2)

    def test_ended_meanwhile(self) -> None:
        """Who has gone while a room was read is not in it."""
        self.leave(self.juliet, "Juliet")
        self.leave(self.romeo, "Romeo")
        self.service.forget(self.room)
        self.faulty.reads.stall()
        self.enter(self.nurse, "Nurse")
        self.nurse.session.end(None)
        self.faulty.reads.go_on()
        self.assertEqual(self.room.occupants, {})

    def test_new_room_fails(self) -> None:
        """A new room that cannot be stored is not there."""
        self.service._defaults["persistentroom"] = True
        self.plan.fail()
        refused = self.refused(self.nurse, "Nurse", room="mantua@muc.example.org")
        self.assertEqual(refused, ("wait", "internal-server-error"))
        self.assertNotIn("mantua", self.service.rooms)

    def test_api(self) -> None:
        """Modules and commands make rooms, find them, and destroy them."""
        room = now(self.service.create("Mantua", "romeo@example.org", {"persistentroom": True}))
        self.assertIs(now(self.service.load("mantua")), room)
        found = sorted(now(self.service.affiliated("romeo@example.org")))
        self.assertEqual(found, [("mantua", "owner"), ("verona", "owner")])
        self.assertTrue(now(self.service.destroy("mantua", "Exile")))
        self.assertIsNone(now(self.service.load("mantua")))
        self.assertFalse(now(self.service.destroy("mantua")))
        self.faulty.reads.fail()
        with self.assertRaises(StorageError):
            now(self.service.load("padua"))


class LongTests(RoomCase):
    """Broadcasts that take more than one turn of the reactor."""

    def setUp(self) -> None:
        """Have few in one turn."""
        super().setUp()
        self.make((self.juliet, "Juliet"), (self.nurse, "Nurse"))
        self.patch(broadcast, "MAX_PER_TURN", 1)

    def test_slices(self) -> None:
        """Others have their turn in between, and the order stays; what waits goes out in one pass."""
        self.say(self.romeo, "one", id="1")
        self.say(self.juliet, "two", id="2")
        self.say(self.romeo, "three", id="3")
        heard: list[Any] = [bodies(client.take()) for client in (self.romeo, self.juliet, self.nurse)]
        self.assertEqual(heard, [["one"], [], []])
        answer = self.nurse.ask(f"<iq type='get' id='p' to='{ROOM}/Nurse'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual(answer["type"], "result")
        self.house.clock.pump([0] * 10)
        heard = [bodies(client.take()) for client in (self.romeo, self.juliet, self.nurse)]
        self.assertEqual(heard, [["two", "three"], ["one", "two", "three"], ["one", "two", "three"]])

    def test_who_comes(self) -> None:
        """Who comes while a message is on its way gets it once, from history."""
        self.say(self.romeo, "one", id="1")
        self.enter(self.mercutio, "Mercutio")
        self.house.clock.pump([0] * 20)
        self.assertEqual(bodies(self.mercutio.take()), ["one"])

    def test_who_goes(self) -> None:
        """Who goes meanwhile is no trouble, and the others hear all of it."""
        self.say(self.romeo, "one", id="1")
        self.juliet.session.end(None)
        self.house.clock.pump([0] * 20)
        said, gone = self.nurse.take()
        self.assertEqual((str(said.body), codes(gone)), ("one", []))
