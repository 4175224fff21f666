"""Messages to rooms, subjects, history, private messages, and what is forged."""

from __future__ import annotations

from typing import Any, ClassVar

from palaver.rooms.namespaces import NS_USER
from palaver.test.rooms.cases import ROOM, RoomCase, bodies, codes, refusal

HISTORY = "<history {}/>"


class MessageTests(RoomCase):
    """XEP-0045 section 7.4."""

    def setUp(self) -> None:
        """Have two in a room."""
        super().setUp()
        self.make((self.juliet, "Juliet"))

    def test_all(self) -> None:
        """Everybody gets a message from its occupant JID, the sender too, with its id and the room's."""
        self.say(self.juliet, "O Romeo", id="wherefore")
        for client in (self.romeo, self.juliet):
            (got,) = client.take()
            self.assertEqual(
                (got["from"], got["type"], got["id"]), (f"{ROOM}/Juliet", "groupchat", "wherefore")
            )
            (mark,) = [child for child in got.elements() if child.name == "stanza-id"]
            self.assertEqual(mark["by"], ROOM)

    def test_no_id(self) -> None:
        """A message without an id gets one."""
        self.juliet.send(f"<message type='groupchat' to='{ROOM}'><body>O</body></message>")
        self.assertTrue(self.romeo.take()[0]["id"])

    def test_language(self) -> None:
        """The language of a message stays."""
        self.juliet.send(f"<message xml:lang='it' type='groupchat' to='{ROOM}'><body>Ahi</body></message>")
        self.assertIn("'it'", self.romeo.take()[0].toXml())

    def test_state(self) -> None:
        """Chat states go to all, and are not kept."""
        state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
        self.juliet.send(f"<message type='groupchat' id='c' to='{ROOM}'>{state}</message>")
        (got,) = self.romeo.take()
        self.assertEqual([child.name for child in got.elements()], ["composing"])
        self.assertEqual(len(self.room.recent), 0)

    def test_stranger(self) -> None:
        """Who is not in the room says nothing."""
        self.say(self.nurse, "Madam!")
        self.assertEqual(refusal(self.nurse.take()[0]), ("modify", "not-acceptable"))
        self.assertEqual(self.romeo.take(), [])

    def test_no_room(self) -> None:
        """A message to a room that is not there is refused and makes none."""
        self.nurse.send("<message type='groupchat' to='other@muc.example.org'><body>O</body></message>")
        self.assertEqual(refusal(self.nurse.take()[0]), ("cancel", "item-not-found"))
        self.assertNotIn("other", self.service.rooms)

    def test_visitor(self) -> None:
        """Visitors have no voice in a moderated room."""
        self.configure(moderatedroom="1")
        self.enter(self.nurse, "Nurse")
        self.say(self.nurse, "Madam!")
        self.assertEqual(refusal(self.nurse.take()[0]), ("auth", "forbidden"))
        self.role("Nurse", "participant")
        self.quiet()
        self.say(self.nurse, "Madam!")
        self.assertEqual(bodies(self.romeo.take()), ["Madam!"])

    def test_forged(self) -> None:
        """Times and ids in the room's name, and what only rooms say, are taken off; others' stay."""
        forged = (
            f"<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2002-01-01T00:00:00Z'/>"
            "<delay xmlns='urn:xmpp:delay' stamp='2002-01-01T00:00:00Z'/>"
            "<x xmlns='jabber:x:delay' from='muc.example.org' stamp='20020101T00:00:00'/>"
            f"<stanza-id xmlns='urn:xmpp:sid:0' by='VERONA@muc.example.org' id='forged'/>"
            f"<x xmlns='{NS_USER}'><status code='100'/></x>"
            "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>"
            "<stanza-id xmlns='urn:xmpp:sid:0' by='other.example' id='other'/>"
        )
        self.say(self.juliet, "O", forged)
        (got,) = self.romeo.take()
        self.assertEqual(
            [(child.name, child.getAttribute("by")) for child in got.elements()],
            [("body", None), ("stanza-id", "other.example"), ("stanza-id", ROOM)],
        )

    def test_in_the_rooms_name(self) -> None:
        """Nobody speaks as the room: the sender's address is the client's own."""
        self.juliet.send(
            f"<message from='{ROOM}' type='groupchat' to='{ROOM}'><subject>O</subject></message>"
        )
        self.assertEqual(self.romeo.take()[0]["from"], f"{ROOM}/Juliet")

    def test_wrong_type(self) -> None:
        """A message to a room that is not for everybody, and nothing that a room knows, is refused."""
        self.juliet.send(f"<message to='{ROOM}'><body>O</body></message>")
        self.assertEqual(refusal(self.juliet.take()[0]), ("modify", "bad-request"))

    def test_subject(self) -> None:
        """Moderators set the subject; participants where they may; visitors never."""
        self.set_subject(self.romeo, "Names")
        self.assertEqual(str(self.juliet.take()[0].subject), "Names")
        self.set_subject(self.juliet, "Roses")
        self.assertEqual(self.room.subject.address, f"{ROOM}/Juliet")
        self.configure(changesubject="0", moderatedroom="1")
        self.quiet()
        self.set_subject(self.juliet, "Smells")
        self.assertEqual(refusal(self.juliet.take()[0]), ("auth", "forbidden"))
        self.configure(changesubject="1")
        self.enter(self.nurse, "Nurse")
        self.set_subject(self.nurse, "Juliet!")
        self.assertEqual(refusal(self.nurse.take()[0]), ("auth", "forbidden"))
        self.assertIn(b"Roses", self.room.subject.inner)

    def test_subject_with_body(self) -> None:
        """A message with a body has a subject of its own and leaves the room's alone."""
        self.say(self.romeo, "O", "<subject>Names</subject>")
        self.assertEqual(self.room.subject.inner, b"<subject/>")

    def test_subject_too_long(self) -> None:
        """A subject has a size."""
        self.set_subject(self.romeo, "x" * 9000)
        self.assertEqual(refusal(self.romeo.take()[0]), ("modify", "not-acceptable"))
        self.assertEqual(self.room.subject.inner, b"<subject/>")

    def test_subject_ends(self) -> None:
        """An empty subject takes the last one away."""
        self.set_subject(self.romeo, "Names")
        self.romeo.send(f"<message type='groupchat' to='{ROOM}'><subject/></message>")
        self.assertEqual(str(self.enter(self.nurse, "Nurse")[-1].subject), "")


class RateTests(RoomCase):
    """How fast somebody may speak."""

    options: ClassVar[dict[str, Any]] = {"min_message_interval": 5}

    def test_interval(self) -> None:
        """Messages that come too fast are refused, and nobody gets them."""
        self.make((self.juliet, "Juliet"))
        self.house.clock.advance(6)
        self.say(self.juliet, "O")
        self.say(self.juliet, "Romeo")
        self.assertEqual(bodies(self.romeo.take()), ["O"])
        self.assertEqual(refusal(self.juliet.take()[-1]), ("wait", "resource-constraint"))


class ShaperTests(RoomCase):
    """How much somebody may say."""

    options: ClassVar[dict[str, Any]] = {"user_message_shaper": 100}

    def test_shaper(self) -> None:
        """Bytes are counted, and come back with time."""
        self.make((self.juliet, "Juliet"))
        for text in ("x" * 200, "more"):
            self.say(self.juliet, text)
        self.assertEqual(bodies(self.romeo.take()), ["x" * 200])
        self.house.clock.advance(3)
        self.say(self.juliet, "more")
        self.assertEqual(bodies(self.romeo.take()), ["more"])


class HistoryTests(RoomCase):
    """XEP-0045 section 7.2.13."""

    options: ClassVar[dict[str, Any]] = {"history_size": 5}

    def setUp(self) -> None:
        """Have a room where something was said."""
        super().setUp()
        self.make(persistentroom="1")
        for number in range(7):
            self.say(self.romeo, f"line {number}", id=f"l{number}")

    def heard(self, asked: str = "") -> list[str]:
        """Give what somebody who enters is told."""
        got = bodies(self.enter(self.juliet, "Juliet", asked and HISTORY.format(asked)))
        self.leave(self.juliet, "Juliet")
        return got

    def test_usual(self) -> None:
        """The newest messages are told, as many as the room wants."""
        self.assertEqual(self.heard(), [f"line {number}" for number in range(2, 7)])

    def test_limits(self) -> None:
        """A client may want less."""
        self.assertEqual(self.heard("maxstanzas='2'"), ["line 5", "line 6"])
        self.assertEqual(self.heard("maxstanzas='0'"), [])
        self.assertEqual(self.heard("maxchars='0'"), [])
        self.assertEqual(len(self.heard("maxchars='100000'")), 5)
        self.assertEqual(len(self.heard("maxchars='400'")), 1)
        self.assertEqual(len(self.heard("seconds='3600'")), 5)
        self.assertEqual(self.heard("since='2999-01-01T00:00:00Z'"), [])
        self.assertEqual(len(self.heard("since='1999-01-01T00:00:00Z' maxstanzas='3'")), 3)
        self.assertEqual(len(self.heard("maxstanzas='99999999999999999999'")), 5)

    def test_wrong(self) -> None:
        """What is no number or no time is refused."""
        for asked in ("maxstanzas='-1'", "since='yesterday'", "seconds='x'"):
            self.assertEqual(
                self.refused(self.juliet, "Juliet", HISTORY.format(asked)), ("modify", "bad-request")
            )

    def test_restart(self) -> None:
        """After a restart the history comes from the archive, the subject with it."""
        self.set_subject(self.romeo, "Lines")
        self.restart()
        self.assertEqual(self.heard(), [f"line {number}" for number in range(2, 7)])
        self.assertEqual(str(self.enter(self.juliet, "Juliet")[-1].subject), "Lines")

    def test_resent(self) -> None:
        """A message that is sent again is stored once, and goes out under the id that it has."""
        self.romeo.take()
        self.say(self.romeo, "line 6", id="l6")
        (again,) = self.romeo.take()
        self.assertEqual(len(self.room.recent), 5)
        first = self.enter(self.juliet, "Juliet")[-2]
        ids = [child["id"] for one in (again, first) for child in one.elements() if child.name == "stanza-id"]
        self.assertEqual(ids[0], ids[1])


class PrivateTests(RoomCase):
    """XEP-0045 section 7.5."""

    def setUp(self) -> None:
        """Have three in a room."""
        super().setUp()
        self.make((self.juliet, "Juliet"), (self.nurse, "Nurse"))

    def whisper(self, body: str = "psst", kind: str = "chat", nick: str = "Romeo") -> None:
        """Have Juliet say something to one."""
        self.juliet.send(f"<message type='{kind}' id='p' to='{ROOM}/{nick}'><body>{body}</body></message>")

    def test_one(self) -> None:
        """One occupant gets it, marked as private, and nobody else."""
        self.whisper()
        (got,) = self.romeo.take()
        self.assertEqual((got["from"], got["type"], str(got.body)), (f"{ROOM}/Juliet", "chat", "psst"))
        self.assertEqual([child.uri for child in got.elements() if child.name == "x"], [NS_USER])
        self.assertEqual(self.nurse.take(), [])

    def test_all_sessions(self) -> None:
        """Every session of the occupant gets it."""
        phone = self.house.login("romeo", "phone", "<presence/>")
        self.enter(phone, "Romeo")
        self.quiet()
        self.whisper()
        self.assertEqual((bodies(phone.take()), bodies(self.romeo.take())), (["psst"], ["psst"]))

    def test_refused(self) -> None:
        """It is not for all, not for nobody, and not from outside."""
        self.whisper(kind="groupchat")
        self.assertEqual(refusal(self.juliet.take()[0]), ("modify", "bad-request"))
        self.whisper(nick="Tybalt")
        self.assertEqual(refusal(self.juliet.take()[0]), ("cancel", "item-not-found"))
        self.mercutio.send(f"<message type='chat' to='{ROOM}/Romeo'><body>O</body></message>")
        self.assertEqual(refusal(self.mercutio.take()[0]), ("modify", "not-acceptable"))

    def test_option(self) -> None:
        """A room says whose private messages it takes; moderators' always but with none."""
        self.configure(allowpm="moderators")
        self.quiet()
        self.whisper()
        self.assertEqual(refusal(self.juliet.take()[0]), ("auth", "forbidden"))
        self.romeo.send(f"<message type='chat' to='{ROOM}/Juliet'><body>O</body></message>")
        self.assertEqual(bodies(self.juliet.take()), ["O"])

    def test_error(self) -> None:
        """An error about a private message goes back to its sender, and nobody is removed."""
        self.romeo.send(
            f"<message type='error' id='p' to='{ROOM}/Juliet'><x xmlns='{NS_USER}'/><error type='cancel'>"
            "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        )
        (got,) = self.juliet.take()
        self.assertEqual((got["from"], got["type"]), (f"{ROOM}/Romeo", "error"))
        self.assertIn("Romeo", self.room.occupants)

    def test_error_hides(self) -> None:
        """An error that says whose it is says so to those alone who see addresses anyway."""
        stanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
        error = (
            f"<message type='error' id='p' to='{ROOM}/{{}}'><x xmlns='{NS_USER}'/><error type='cancel' "
            f"by='example.org'><gone xmlns='{stanzas}'>xmpp:romeo@example.net</gone>"
            f"<text xmlns='{stanzas}'>No romeo@example.org</text></error></message>"
        )
        self.romeo.send(error.format("Juliet"))
        (got,) = self.juliet.take()
        self.assertEqual(refusal(got), ("cancel", "gone"))
        self.assertNotIn("example", got.error.toXml())
        self.juliet.send(error.format("Romeo"))
        (got,) = self.romeo.take()
        self.assertIn("No romeo@example.org", got.error.toXml())

    def test_gone(self) -> None:
        """A session that is not there any more leaves the room when something is for it."""
        del self.nurse.session.user.sessions["home"]
        self.nurse.session.stream = None
        self.romeo.send(f"<message type='chat' to='{ROOM}/Nurse'><body>O</body></message>")
        self.assertEqual(codes(self.juliet.take()[0]) if self.juliet.received else [], [])
