"""slixmpp as an administrator's client: commands with forms."""

from __future__ import annotations

from typing import Any, ClassVar

from slixmpp.exceptions import IqError

from palaver.test.peers.case import PeerCase
from palaver.test.peers.peer import PASSWORD

ADMIN = "http://jabber.org/protocol/admin"


class CommandTests(PeerCase):
    """Juliet administers the server."""

    config: ClassVar[dict[str, Any]] = {"general": {"admins": ["juliet@localhost"]}}

    def client(self, local: str) -> Any:
        """Give a connected client that can run commands."""
        client = self.enter(self.slixmpp(self.account(local)))
        client.call(client.xmpp.register_plugin, "xep_0050")
        return client

    def test_add_user(self) -> None:
        """An administrator finds the command, fills in its form, and the new account can log in."""
        juliet = self.client("juliet")
        commands = juliet.xmpp.plugin["xep_0050"]
        listed = juliet.run(commands.get_commands("localhost"))
        self.assertIn(f"{ADMIN}#add-user", [item[1] for item in listed["disco_items"]["items"]])
        asked = juliet.run(commands.send_command("localhost", f"{ADMIN}#add-user"))
        form = asked["command"]["form"]
        self.assertEqual(form.get_fields()["password"]["type"], "text-private")
        form.reply()
        form["type"] = "submit"
        form.set_values({"accountjid": "bill@localhost", "password": PASSWORD, "password-verify": PASSWORD})
        done = juliet.run(
            commands.send_command(
                "localhost",
                f"{ADMIN}#add-user",
                action="complete",
                payload=[form],
                sessionid=asked["command"]["sessionid"],
            )
        )
        self.assertEqual(done["command"]["status"], "completed")
        self.enter(self.slixmpp("bill@localhost"))

    def test_others(self) -> None:
        """Somebody else neither finds the command nor may run it."""
        romeo = self.client("romeo")
        commands = romeo.xmpp.plugin["xep_0050"]
        listed = romeo.run(commands.get_commands("localhost"))
        self.assertNotIn(f"{ADMIN}#add-user", [item[1] for item in listed["disco_items"]["items"]])
        error = self.assertRaises(IqError, romeo.run, commands.send_command("localhost", f"{ADMIN}#add-user"))
        self.assertEqual(error.condition, "forbidden")
