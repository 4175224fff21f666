"""slixmpp in rooms: made, configured, entered, spoken in, read, and still there after a crash."""

from __future__ import annotations

from typing import Any

from slixmpp import JID
from slixmpp.exceptions import IqError, PresenceError

from palaver.test.peers.case import PeerCase
from palaver.test.peers.peer import wait_for

ROOM = JID("verona@muc.localhost")
PLUGINS = ("xep_0030", "xep_0045", "xep_0249", "xep_0313")


class RoomTests(PeerCase):
    """XEP-0045 by slixmpp's plugins."""

    def setUp(self) -> None:
        """Log two in."""
        super().setUp()
        self.romeo = self.person("romeo")
        self.juliet = self.person("juliet")

    def person(self, name: str, *, new: bool = True) -> Any:
        """Give a client that notes what is said in rooms."""
        bare = self.account(name) if new else f"{name}@localhost"
        client = self.enter(self.slixmpp(f"{bare}/home"))
        for plugin in PLUGINS:
            client.xmpp.register_plugin(plugin)
        client.said = []
        client.xmpp.add_event_handler(
            "groupchat_message", lambda message: client.said.append((message["mucnick"], message["body"]))
        )
        return client

    def call(self, client: Any, name: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the plugin."""
        return client.call(getattr(client.xmpp["xep_0045"], name), ROOM, *arguments, **options)

    def join(self, client: Any, nick: str, **options: Any) -> Any:
        """Enter the room."""
        return self.call(client, "join_muc_wait", nick, timeout=10, **options)

    def say(self, client: Any, body: str) -> None:
        """Say something to everybody."""
        client.call(client.xmpp.send_message, ROOM, body, mtype="groupchat")

    def make(self, **config: Any) -> None:
        """Have Romeo make the room, and Juliet enter it."""
        self.join(self.romeo, "Romeo")
        form = self.call(self.romeo, "get_room_config")
        form["type"] = "submit"
        values = form.get_values()
        values.update({f"muc#roomconfig_{name}": value for name, value in config.items()})
        form.set_values(values)
        self.call(self.romeo, "set_room_config", form)
        self.join(self.juliet, "Juliet")

    def wait_for_two(self, client: Any) -> None:
        """Wait until somebody has heard two messages."""
        wait_for(lambda: len(client.said) == 2, "two messages")

    def test_talk(self) -> None:
        """Both hear both, the one who comes later hears what was said, and a nick changes."""
        self.make()
        self.say(self.romeo, "But soft")
        self.say(self.juliet, "Ay me")
        for client in (self.romeo, self.juliet):
            self.wait_for_two(client)
            self.assertEqual(sorted(client.said), [("Juliet", "Ay me"), ("Romeo", "But soft")])
        nurse = self.person("nurse")
        _, _, occupants, history = self.join(nurse, "Nurse", maxstanzas=10)
        self.assertEqual({one["from"].resource for one in occupants}, {"Romeo", "Juliet", "Nurse"})
        self.assertEqual(len(history), 2)
        self.call(nurse, "set_self_nick", "Angelica")
        wait_for(lambda: "Angelica" in self.romeo.xmpp["xep_0045"].get_roster(ROOM), "a new nick")
        # The library waits for a refusal only when it enters, which is how a nick is changed as well.
        with self.assertRaises(PresenceError):
            self.join(nurse, "romeo")

    def test_people(self) -> None:
        """Affiliations and roles are given and listed, by those who may."""
        self.make()
        self.call(self.romeo, "set_affiliation", "admin", jid="juliet@localhost")
        listed = self.call(self.romeo, "get_affiliation_list", "admin")
        self.assertEqual([str(jid) for jid in listed], ["juliet@localhost"])
        nurse = self.person("nurse")
        self.join(nurse, "Nurse")
        self.call(self.juliet, "set_role", "Nurse", "visitor")
        self.call(self.juliet, "set_affiliation", "outcast", jid="nurse@localhost")
        with self.assertRaises(PresenceError):
            self.join(nurse, "Nurse")
        with self.assertRaises(IqError):
            self.call(self.juliet, "set_affiliation", "none", jid="romeo@localhost")

    def test_crash(self) -> None:
        """After a crash a room that stays has its people, its subject and what was said in it."""
        self.make(persistentroom=True, membersonly=False)
        self.call(self.romeo, "set_affiliation", "member", jid="juliet@localhost")
        self.call(self.romeo, "set_subject", "Balconies")
        self.say(self.juliet, "Ay me")
        wait_for(lambda: ("Juliet", "Ay me") in self.romeo.said, "a message")
        self.server.kill()
        self.server.start()
        again = self.person("juliet", new=False)
        own, subject, _, history = self.join(again, "Juliet", maxstanzas=10)
        self.assertEqual(subject["subject"], "Balconies")
        self.assertEqual([one["body"] for one in history], ["Ay me"])
        self.assertEqual(own["muc"]["affiliation"], "member")

    def test_archive(self) -> None:
        """A client reads the room's archive."""
        self.make(persistentroom=True)
        self.say(self.romeo, "But soft")
        wait_for(lambda: self.juliet.said, "a message")
        found = self.juliet.call(self.juliet.xmpp["xep_0313"].retrieve, jid=ROOM)
        bodies = [one["mam_result"]["forwarded"]["message"]["body"] for one in found["mam"]["results"]]
        self.assertEqual(bodies, ["But soft"])

    def test_destroyed(self) -> None:
        """A room is destroyed, and others do not get its name."""
        self.make()
        self.call(self.romeo, "destroy", reason="Exile")
        with self.assertRaises(PresenceError):
            self.join(self.juliet, "Juliet")
