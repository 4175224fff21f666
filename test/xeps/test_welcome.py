"""Welcome messages and the message of the day."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from palaver.commands import command as commands
from palaver.commands import typed
from palaver.commands.command import Call
from palaver.errors import StanzaError
from palaver.routing.lifecycle import create_account
from palaver.test.house import House, now
from palaver.xeps.adhoc import AdHocCommands
from palaver.xeps.motd import MessageOfTheDay
from palaver.xeps.offline import Offline
from palaver.xeps.welcome import Welcome


def run_command(house: House, name: str, **values: Any) -> Any:
    """Run a command as the owner of the process does; gives its outcome."""
    command = commands.named(house.host, name)
    assert command is not None
    given = typed.check(command.arguments, values) if command.arguments is not None else None
    return now(command.run(Call(house.host, None), given))


def read(house: House, local: str) -> list[str]:
    """Give the texts that an account finds when it comes online."""
    client = house.login(local, presence="<presence/>")
    return [str(node.body) for node in client.take() if node.name == "message"]


class WelcomeTests(SynchronousTestCase):
    """New accounts are welcomed."""

    def test_welcome(self) -> None:
        """A new account finds the message at its first login, with its name in it."""
        house = House(Offline, Welcome)
        now(create_account(house.host, "bill", "Globe"))
        self.assertEqual(read(house, "bill"), ["Hello bill, welcome to the example.org IM server!"])

    def test_set(self) -> None:
        """An administrator sets another message, or none; that outlives the module."""
        house = House(Offline, Welcome)
        run_command(house, "welcome set", welcome="Hi $username")
        house.modules["Welcome"].detach()
        house.add(Welcome, welcome_message="of the configuration")
        now(create_account(house.host, "bill", "Globe"))
        self.assertEqual(read(house, "bill"), ["Hi bill"])
        run_command(house, "welcome delete")
        now(create_account(house.host, "bull", "Globe"))
        self.assertEqual(read(house, "bull"), [])

    def test_empty(self) -> None:
        """An empty message is no message to set."""
        house = House(Welcome)
        error = self.assertRaises(StanzaError, run_command, house, "welcome set", welcome="")
        self.assertEqual(error.condition, "bad-request")

    def test_prefilled(self) -> None:
        """The form shows the message that is set, line by line."""
        house = House(AdHocCommands, Welcome, Welcome={"welcome_message": "One\nTwo"})
        house.host.admins = frozenset(["juliet@example.org"])
        answer = house.login("juliet").ask(
            "<iq type='set' id='1' to='example.org'><command xmlns='http://jabber.org/protocol/commands'"
            " node='http://jabber.org/protocol/admin#set-welcome'/></iq>"
        )
        field = next(node for node in answer.command.x.elements() if node.getAttribute("var") == "welcome")
        self.assertEqual([str(value) for value in field.elements(field.uri, "value")], ["One", "Two"])


class MotdTests(SynchronousTestCase):
    """Everybody reads the message of the day."""

    def test_login(self) -> None:
        """Each session reads it once, when it becomes available."""
        house = House(MessageOfTheDay, MessageOfTheDay={"motd_text": "Beware"})
        client = house.login("romeo", presence="<presence/>")
        client.send("<presence><show>away</show></presence>")
        messages = [node for node in client.take() if node.name == "message"]
        self.assertEqual([(str(node.body), node["type"]) for node in messages], [("Beware", "headline")])

    def test_set_and_delete(self) -> None:
        """An administrator sets and deletes it; without one nobody reads anything."""
        house = House(MessageOfTheDay)
        self.assertEqual(read(house, "romeo"), [])
        run_command(house, "motd set", motd="Soon")
        self.assertEqual(read(house, "juliet"), ["Soon"])
        run_command(house, "motd delete")
        self.assertEqual(read(house, "nurse"), [])

    def test_restart(self) -> None:
        """What was set is there after a restart."""
        house = House(MessageOfTheDay)
        run_command(house, "motd edit", motd="Soon")
        house.modules["MessageOfTheDay"].detach()
        house.add(MessageOfTheDay)
        self.assertEqual(read(house, "romeo"), ["Soon"])
