"""Sessions that are resumed, accounts that go, blocked rooms, and messages that others want to see."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from palaver.routing.lifecycle import delete_account
from palaver.routing.pipeline import TO_SESSION, TO_USER, no_groupchat
from palaver.stanza import Stanza
from palaver.test.house import now
from palaver.test.rooms.cases import ROOM, RoomCase, bodies, codes
from palaver.xeps.blocking import Blocking
from palaver.xeps.mam import MessageArchive
from palaver.xeps.muc import MultiUserChat


class SessionTests(RoomCase):
    """What becomes of seats."""

    def login(self) -> None:
        """Have blocking and archives on as well."""
        if "Blocking" not in self.house.modules:
            self.house.add(Blocking)
            self.house.add(MessageArchive)
        super().login()

    def test_deleted(self) -> None:
        """An account that is deleted is nothing in any room any more."""
        self.make((self.juliet, "Juliet"), persistentroom="1")
        self.affiliate("juliet", "owner")
        now(Deferred.fromCoroutine(delete_account(self.house.host, "juliet")))
        self.assertEqual(self.room.owners(), ["romeo@example.org"])
        self.restart_service()
        self.enter(self.romeo, "Romeo")
        self.assertEqual(self.room.owners(), ["romeo@example.org"])

    def restart_service(self) -> None:
        """Start the module anew."""
        self.module.detach()
        self.house.add(MultiUserChat)
        self.quiet()

    def test_deleted_last_owner(self) -> None:
        """Nobody inherits a room by getting the name of its owner."""
        self.make(persistentroom="1")
        now(Deferred.fromCoroutine(delete_account(self.house.host, "romeo")))
        self.service.forget(self.room)
        self.house.accounts.names.add("romeo")
        again = self.house.login("romeo", "new", "<presence/>")
        got = self.enter(again, "Romeo")
        self.assertNotIn("201", codes(got[0]))
        self.assertEqual(self.room.owners(), [])

    def test_blocked(self) -> None:
        """Who has blocked somebody in the room still hears the others, and nobody is removed."""
        self.make((self.juliet, "Juliet"), (self.nurse, "Nurse"))
        self.juliet.send(
            f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{ROOM}/Nurse'/></block></iq>"
        )
        self.quiet()
        self.say(self.nurse, "Madam!")
        self.say(self.romeo, "Lady")
        self.nurse.send(f"<message type='chat' to='{ROOM}/Juliet'><body>psst</body></message>")
        self.assertEqual(bodies(self.juliet.take()), ["Lady"])
        self.assertEqual(len(self.room.occupants), 3)

    def test_room_blocked(self) -> None:
        """Who blocks a whole room is out of it when the session ends."""
        self.make((self.juliet, "Juliet"))
        self.juliet.send(
            f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{ROOM}'/></block></iq>"
        )
        self.juliet.session.end(None)
        self.assertEqual(list(self.room.occupants), ["Romeo"])

    def test_whole_way(self) -> None:
        """A message to all goes past archives, and through whoever wants to see it."""
        self.make((self.juliet, "Juliet"))
        track = self.house.host.pipeline
        self.assertFalse(track.groupchat)
        seen: list[Any] = []

        def look(message: Stanza, to: object) -> None:
            seen.append(to)

        undo = track.add(TO_USER, "notice", ("message",), "test", look)
        self.assertTrue(track.groupchat)
        self.say(self.romeo, "Lady")
        self.assertEqual(len(seen), 2)
        undo()
        undo = track.add(TO_USER, "notice", ("message",), "test", no_groupchat(look))
        self.say(self.romeo, "By yonder moon")
        self.assertEqual(len(seen), 2)
        self.assertEqual(bodies(self.juliet.take()), ["Lady", "By yonder moon"])
        undo()

    def test_inactive(self) -> None:
        """Whoever looks at what sessions get sees messages to all as well."""
        self.make((self.juliet, "Juliet"))
        kept: list[Any] = []
        undo = self.house.host.pipeline.add(
            TO_SESSION,
            "hold",
            ("message",),
            "test",
            lambda message, session: kept.append(message.attrs["to"]),
        )
        self.say(self.romeo, "Lady")
        self.assertEqual(sorted(kept), ["juliet@example.org/home", "romeo@example.org/home"])
        undo()
