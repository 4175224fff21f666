"""Slow mode (XEP-0500)."""

from __future__ import annotations

from palaver.test.rooms.cases import ROOM, RoomCase, bodies, codes, fields, form, refusal
from palaver.xeps.muc_slow_mode import SlowMode

VAR = "muc#roomconfig_slow_mode_duration"


class SlowModeTests(RoomCase):
    """A room where everybody waits."""

    def setUp(self) -> None:
        """Have two in a room with twenty seconds between messages."""
        super().setUp()
        self.house.add(SlowMode)
        self.make((self.juliet, "Juliet"), **{VAR: "20", "persistentroom": "1"})

    def test_too_early(self) -> None:
        """A second message is refused with how long to wait; later it is taken."""
        self.say(self.juliet, "one")
        self.juliet.take()
        self.say(self.juliet, "two")
        (answer,) = self.juliet.take()
        self.assertEqual(refusal(answer), ("wait", "policy-violation"))
        self.assertIn("20 seconds", answer.toXml())
        self.house.clock.advance(19.9)
        self.say(self.juliet, "three")
        self.house.clock.advance(0.2)
        self.say(self.juliet, "four")
        self.assertEqual(bodies(self.romeo.take()), ["one", "four"])

    def test_reentering(self) -> None:
        """Who leaves and comes back under another nick has to wait all the same."""
        self.say(self.juliet, "one")
        self.leave(self.juliet, "Juliet")
        self.enter(self.juliet, "Julia")
        self.say(self.juliet, "two")
        self.assertEqual(refusal(self.juliet.take()[-1])[1], "policy-violation")

    def test_free(self) -> None:
        """Owners and admins speak at once; chat states and private messages do not count."""
        for text in ("a", "b"):
            self.say(self.romeo, text)
        self.assertEqual(bodies(self.juliet.take()), ["a", "b"])
        state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
        for _ in range(2):
            self.juliet.send(f"<message type='groupchat' to='{ROOM}'>{state}</message>")
            self.juliet.send(f"<message type='chat' to='{ROOM}/Romeo'><body>psst</body></message>")
        self.say(self.juliet, "c")
        self.assertEqual(bodies(self.juliet.take()), ["c"])

    def test_form(self) -> None:
        """The owner reads and sets it; everybody hears of the change, and finds it in service discovery."""
        self.assertEqual(fields(self.owner(self.romeo, "get", "").query)[VAR], ["20"])
        self.configure(**{VAR: "5"})
        self.assertEqual(codes(self.juliet.take()[0]), ["104"])
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        answer = self.nurse.ask(f"<iq type='get' id='i' to='{ROOM}'>{query}</iq>")
        self.assertEqual(fields(answer.query)["muc#roominfo_slow_mode_duration"], ["5"])
        for wrong in ("soon", "-1"):
            refused = self.owner(self.romeo, "set", form({VAR: wrong}))
            self.assertEqual(refusal(refused)[1], "not-acceptable")
        self.configure(**{VAR: "0"})
        for text in ("a", "b"):
            self.say(self.juliet, text)
        self.assertEqual(bodies(self.romeo.take()), ["a", "b"])

    def test_restart(self) -> None:
        """The pace of a room is the same after a restart."""
        self.restart()
        self.enter(self.romeo, "Romeo")
        self.assertEqual(self.room.config["slow_mode_duration"], 20)


class DefaultTests(RoomCase):
    """What the administrator says."""

    def test_default(self) -> None:
        """A new room has the pace that the administrator has set."""
        self.house.add(SlowMode, default_duration=7)
        self.make((self.juliet, "Juliet"))
        for text in ("a", "b"):
            self.say(self.juliet, text)
        self.assertEqual(bodies(self.romeo.take()), ["a"])
        self.assertEqual(fields(self.owner(self.romeo, "get", "").query)[VAR], ["7"])

    def test_most(self) -> None:
        """No owner makes people wait longer than the administrator allows."""
        self.house.add(SlowMode, max_duration=20)
        self.make((self.juliet, "Juliet"), **{VAR: "500"})
        self.say(self.juliet, "a")
        self.house.clock.advance(20.5)
        self.say(self.juliet, "b")
        self.assertEqual(bodies(self.romeo.take()), ["a", "b"])
