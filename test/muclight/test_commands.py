"""Rooms of MUC Light as administrators see them: the commands about them."""

from __future__ import annotations

from typing import Any, ClassVar

from palaver.commands import command as commands
from palaver.commands import lines
from palaver.commands.command import Call
from palaver.errors import StanzaError
from palaver.muclight import commands as about
from palaver.test.house import now
from palaver.test.muclight.cases import SERVICE, LightCase, bare


class CommandTests(LightCase):
    """Through the commands, as every interface runs them."""

    def run_command(self, name: str, **values: Any) -> str:
        """Run a command; gives what a terminal shows."""
        found = commands.named(self.house.host, f"light {name}")
        assert found is not None and found.arguments is not None
        given = found.arguments.model_validate(values)
        return lines.text(now(found.run(Call(self.house.host, None), given)))

    def refusal_of(self, name: str, **values: Any) -> str:
        """Run a command that is refused; gives the condition."""
        with self.assertRaises(StanzaError) as caught:
            self.run_command(name, **values)
        condition: str = caught.exception.condition
        return condition

    def test_life(self) -> None:
        """A room is made, its members are told, it is shown, listed and destroyed."""
        said = self.run_command(
            "create", room="Orchard", owner=bare("romeo"), title="Capulet's", members=(bare("juliet"),)
        )
        self.assertEqual(said, f"orchard@{SERVICE} has been created.")
        (told,) = self.juliet.take()
        self.assertIn("member", told.toXml())
        self.assertTrue(told.getAttribute("id"))
        self.assertEqual(self.run_command("list"), f"orchard@{SERVICE} 2 Capulet's")
        shown = self.run_command("show", room=f"orchard@{SERVICE}")
        for part in (f"{bare('romeo')} owner", f"{bare('juliet')} member", "roomname: Capulet's"):
            self.assertIn(part, shown)
        self.assertEqual(
            self.run_command("destroy", room="orchard"), f"orchard@{SERVICE} has been destroyed."
        )
        self.assertIn("none", "".join(got.toXml() for got in self.juliet.take()))
        self.assertEqual(self.run_command("list"), "")

    def test_any_name(self) -> None:
        """Without a name the service finds one."""
        said = self.run_command("create", owner=bare("romeo"))
        self.assertRegex(said, rf"^[0-9a-f]+@{SERVICE} has been created\.$")

    def test_wrong(self) -> None:
        """What is there, is not there, or is no room of this service is refused."""
        self.run_command("create", room="orchard", owner=bare("romeo"))
        for name, values, condition in (
            ("create", {"room": "orchard", "owner": bare("juliet")}, "conflict"),
            ("create", {"room": "x", "owner": bare("nobody")}, "item-not-found"),
            ("create", {"room": "x@elsewhere.example", "owner": bare("juliet")}, "not-allowed"),
            ("show", {"room": "nowhere"}, "item-not-found"),
            ("destroy", {"room": "nowhere"}, "item-not-found"),
        ):
            self.assertEqual(self.refusal_of(name, **values), condition, values)

    def test_pages(self) -> None:
        """Rooms come in pages, each once."""
        for name in "abcde":
            self.run_command("create", room=name, owner=bare("romeo"))
        seen: list[str] = []
        after = ""
        for _ in range(10):
            found, after = now(about.page(self.service, "", after, 2))
            seen += [line.name for line in found]
            if not after:
                break
        self.assertEqual(seen, list("abcde"))

    def test_permission(self) -> None:
        """Only administrators run them."""
        for found in about.ROOMS:
            with self.assertRaises(StanzaError):
                now(commands.check(found, Call(self.house.host, self.romeo.session.jid)))


class OwnerlessTests(CommandTests):
    """Where rooms have no owners."""

    options: ClassVar[dict[str, Any]] = {"equal_occupants": True}

    def test_life(self) -> None:
        """An administrator destroys a room that belongs to nobody."""
        self.run_command("create", room="orchard", owner=bare("romeo"))
        self.run_command("destroy", room="orchard")
        self.assertEqual(self.run_command("list"), "")
