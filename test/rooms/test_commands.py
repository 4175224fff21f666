"""Rooms as administrators see them: the commands about them."""

from __future__ import annotations

from typing import Any

from palaver.commands import command as commands
from palaver.commands import lines
from palaver.commands.command import Call
from palaver.errors import StanzaError, StorageError
from palaver.rooms import commands as about
from palaver.test.house import House, now
from palaver.test.rooms.cases import SERVICE, RoomCase
from palaver.test.storage.faulty import FaultyStorage
from palaver.xeps.muc import MultiUserChat

ROMEO = "romeo@example.org"


class CommandTests(RoomCase):
    """Through the commands, as every interface runs them."""

    def run_command(self, name: str, **values: Any) -> str:
        """Run a command; gives what a terminal shows."""
        found = commands.named(self.house.host, f"room {name}")
        assert found is not None and found.arguments is not None
        given = found.arguments.model_validate(values)
        return lines.text(now(found.run(Call(self.house.host, None), given)))

    def refusal_of(self, name: str, **values: Any) -> str:
        """Run a command that is refused; gives the condition."""
        with self.assertRaises(StanzaError) as caught:
            self.run_command(name, **values)
        self.assertTrue(caught.exception.text)
        condition: str = caught.exception.condition
        return condition

    def test_life(self) -> None:
        """A room is made with what was asked for, shown, listed and destroyed; its people are told."""
        said = self.run_command("create", room="Hall", owner=ROMEO, title="Great hall", members_only=True)
        self.assertEqual(said, f"hall@{SERVICE} has been created.")
        self.assertEqual(self.run_command("list"), f"hall@{SERVICE} 0 Great hall")
        self.romeo.send(
            f"<presence to='hall@{SERVICE}/Romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        )
        told = self.run_command("show", room=f"hall@{SERVICE}")
        for part in (
            "romeo@example.org/home",
            "Romeo moderator",
            "membersonly: 1",
            "owners: romeo@example.org",
        ):
            self.assertIn(part, told)
        self.assertEqual(self.run_command("list", find="all"), f"hall@{SERVICE} 1 Great hall")
        self.quiet()
        self.run_command("destroy", room="hall", reason="Banished", alternate=f"cellar@{SERVICE}")
        (gone,) = self.romeo.take()
        self.assertIn("Banished", gone.toXml())
        self.assertIn(f"cellar@{SERVICE}", gone.toXml())
        self.assertEqual(self.run_command("list"), "")
        self.assertEqual(self.refusal_of("show", room="hall"), "item-not-found")

    def test_wrong(self) -> None:
        """What is there, is not there, or is no room of this service is refused with a sentence."""
        self.run_command("create", room="hall", owner=ROMEO)
        for name, values, condition in (
            ("create", {"room": "hall", "owner": ROMEO}, "conflict"),
            ("create", {"room": "cellar", "owner": "nobody@example.org"}, "item-not-found"),
            ("create", {"room": "a b", "owner": ROMEO}, "bad-request"),
            ("create", {"room": "hall@elsewhere.example", "owner": ROMEO}, "not-allowed"),
            ("create", {"room": "x" * 900, "owner": ROMEO}, "not-acceptable"),
            ("show", {"room": f"@{SERVICE}"}, "bad-request"),
            ("show", {"room": f"hall@{SERVICE}/Nick"}, "not-allowed"),
            ("destroy", {"room": "cellar"}, "item-not-found"),
            ("destroy", {"room": "hall", "alternate": "@@"}, "bad-request"),
        ):
            self.assertEqual(self.refusal_of(name, **values), condition, values)
        self.assertIn("hall", self.run_command("list"))

    def test_permission(self) -> None:
        """Only administrators run them."""
        for found in about.ROOMS:
            with self.assertRaises(StanzaError):
                now(commands.check(found, Call(self.house.host, self.romeo.session.jid)))

    def test_pages(self) -> None:
        """Stored rooms and passing ones come in one order, each once, whatever the size of a page."""
        for name in ("a", "c", "e", "g"):
            self.run_command("create", room=name, owner=ROMEO)
        for name in ("b", "d", "h"):
            self.run_command("create", room=name, owner=ROMEO, persistent=False)
        for name in ("a", "c", "e", "g"):
            self.service.forget(self.service.rooms[name])
        self.patch(about, "NAMES_READ", 2)
        for limit in (1, 2, 3, 5, 100):
            seen, after = [], ""
            for _ in range(20):
                found, after = now(about.page(self.service, "", after, limit))
                self.assertLessEqual(len(found), limit)
                seen += [line.name for line in found]
                if not after:
                    break
            self.assertEqual(seen, ["a", "b", "c", "d", "e", "g", "h"], limit)

    def test_long_search(self) -> None:
        """A search that finds little stops after a while, and says behind which room it goes on."""
        for name in ("a", "b", "c", "d", "hall"):
            self.run_command("create", room=name, owner=ROMEO)
        self.patch(about, "NAMES_READ", 1)
        self.patch(about, "MAX_SEARCHED", 3)
        found, after = now(about.page(self.service, "hall", "", 10))
        self.assertEqual((found, after), ([], "c"))
        found, after = now(about.page(self.service, "hall", after, 10))
        self.assertEqual([line.name for line in found], ["hall"])

    def test_tombstones(self) -> None:
        """What is left of a room that is gone is no room."""
        self.service.tombstone_s = 1000
        self.run_command("create", room="hall", owner=ROMEO)
        self.run_command("destroy", room="hall")
        self.assertEqual(self.run_command("list"), "")
        self.service.rooms.clear()
        self.assertEqual(self.run_command("list"), "")

    def test_storage(self) -> None:
        """A room that cannot be read is an error, and no missing room."""
        self.run_command("create", room="hall", owner=ROMEO)
        self.service.rooms.clear()
        self.service.store.storage = FaultyStorage(self.house.storage)
        self.service.store.storage.reads.fail()
        with self.assertRaises(StorageError):
            self.run_command("list")

    def test_secret(self) -> None:
        """A room's password is told to nobody."""
        now(self.service.create("hall", ROMEO, {"passwordprotectedroom": True, "roomsecret": "swordfish"}))
        self.assertNotIn("swordfish", self.run_command("show", room="hall"))

    def test_off(self) -> None:
        """The commands go with the module."""
        house = House(MultiUserChat)
        now(house.modules["MultiUserChat"].detach() or None)
        self.assertIsNone(commands.named(house.host, "room list"))
        with self.assertRaises(StanzaError):
            about.service_of(Call(house.host, None))
