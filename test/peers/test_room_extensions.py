"""slixmpp in rooms with what its plugins know beside XEP-0045: hats, mentions, moderation, versions."""

from __future__ import annotations

from typing import Any

from slixmpp import JID
from slixmpp.exceptions import IqError
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

from palaver.test.peers.case import PeerCase
from palaver.test.peers.peer import wait_for

ROOM = JID("verona@muc.localhost")
SPEAKER = "urn:example:hats:speaker"
COMMANDS = "urn:xmpp:hats:commands"
PLUGINS = (
    "xep_0030",
    "xep_0045",
    "xep_0050",
    "xep_0317",
    "xep_0359",
    "xep_0421",
    "xep_0424",
    "xep_0425",
    "xep_0463",
    "xep_0513",
)


class RoomExtensionTests(PeerCase):
    """Romeo owns a room that stays, and Juliet is in it."""

    def setUp(self) -> None:
        """Make the room."""
        super().setUp()
        self.romeo = self.person("romeo")
        self.juliet = self.person("juliet")
        self.join(self.romeo, "Romeo")
        form = self.romeo.call(self.muc(self.romeo).get_room_config, ROOM)
        form["type"] = "submit"
        form.set_values({**form.get_values(), "muc#roomconfig_persistentroom": True})
        self.romeo.call(self.muc(self.romeo).set_room_config, ROOM, form)
        self.join(self.juliet, "Juliet")

    def person(self, name: str) -> Any:
        """Give a client that notes what it hears of rooms."""
        client = self.enter(self.slixmpp(f"{self.account(name)}/home"))
        for plugin in PLUGINS:
            client.call(client.xmpp.register_plugin, plugin)
        client.said, client.shown, client.moderated, client.told = [], [], [], []
        # The library has no event for messages without a body.
        client.xmpp.register_handler(Callback("told", StanzaPath("message/muc"), client.told.append))
        for event, heard in (
            ("groupchat_message", client.said),
            ("groupchat_presence", client.shown),
            ("moderated_message", client.moderated),
        ):
            client.xmpp.add_event_handler(event, heard.append)
        return client

    @staticmethod
    def muc(client: Any) -> Any:
        """Give the plugin for rooms."""
        return client.xmpp["xep_0045"]

    def join(self, client: Any, nick: str) -> Any:
        """Enter the room."""
        return client.call(self.muc(client).join_muc_wait, ROOM, nick, timeout=10)

    def command(self, client: Any, name: str, **given: str) -> Any:
        """Ask for a command's form, fill it in, and give the outcome."""
        commands, node = client.xmpp["xep_0050"], f"{COMMANDS}:{name}"
        asked = client.run(commands.send_command(ROOM, node))
        if asked["command"]["status"] == "completed":
            return asked
        form = asked["command"]["form"]
        form.reply()
        form["type"] = "submit"
        form.set_values({f"hats#{field}": text for field, text in given.items()})
        key = asked["command"]["sessionid"]
        return client.run(commands.send_command(ROOM, node, action="complete", payload=[form], sessionid=key))

    def test_hats(self) -> None:
        """Commands make a hat and give it, everybody sees it, and others may not."""
        listed = self.romeo.run(self.romeo.xmpp["xep_0050"].get_commands(ROOM))
        self.assertIn(f"{COMMANDS}:assign", [item[1] for item in listed["disco_items"]["items"]])
        self.command(self.romeo, "create", uri=SPEAKER, title="Speaker", hue="171.4")
        self.command(self.romeo, "assign", uri=SPEAKER, jid="juliet@localhost")
        wait_for(lambda: self.romeo.shown and self.romeo.shown[-1]["hats"]["hats"], "a hat")
        (hat,) = self.romeo.shown[-1]["hats"]["hats"]
        self.assertEqual((hat["title"], hat["uri"], hat["hue"]), ("Speaker", SPEAKER, 171.4))
        items = self.command(self.juliet, "list")["command"]["form"]["items"]
        self.assertEqual([item["hats#title"] for item in items], ["Speaker"])
        with self.assertRaises(IqError):
            self.command(self.juliet, "unassign", uri=SPEAKER, jid="juliet@localhost")

    def test_moderated(self) -> None:
        """A moderator takes a message back by its id in the room."""
        self.juliet.call(self.juliet.xmpp.send_message, ROOM, "Swear not", mtype="groupchat")
        wait_for(lambda: self.romeo.said, "a message")
        id = self.romeo.said[0]["stanza_id"]["id"]
        self.romeo.run(self.romeo.xmpp["xep_0425"].moderate(ROOM, id, "Not here"))
        wait_for(lambda: self.juliet.moderated, "that it is gone")
        told = self.juliet.moderated[0]["retract"]
        self.assertEqual((told["id"], told["reason"]), (id, "Not here"))

    def test_mentioned(self) -> None:
        """A mention of everybody comes from a moderator; somebody else's is taken off."""
        for client in (self.juliet, self.romeo):
            message = client.xmpp.make_message(mto=ROOM, mbody="All", mtype="groupchat")
            message["mention"].mention_group("channel")
            client.call(message.send)
        wait_for(lambda: len(self.juliet.said) == 2, "two messages")
        seen = {one["mucnick"]: one["mention"]["mentions"] for one in self.juliet.said}
        self.assertEqual(seen, {"Juliet": "", "Romeo": "urn:xmpp:mentions:0#channel"})

    def test_versions(self) -> None:
        """Whoever enters with the version that he knows is told which affiliations have changed."""
        until = self.versions()[0]["muc"]["mav"]["until"]
        setting = self.muc(self.romeo).set_affiliation
        self.romeo.call(setting, ROOM, "member", jid="juliet@localhost")
        presence, (told,) = self.versions(until)
        self.assertEqual(told["muc"]["mav"]["since"], until)
        self.assertEqual(told["muc"]["mav"]["until"], presence["muc"]["mav"]["until"])
        self.assertEqual(told["muc"]["item"]["jid"], "juliet@localhost")

    def versions(self, since: str = "") -> tuple[Any, list[Any]]:
        """Have Romeo enter anew; give his own presence, and the messages about affiliations."""
        address = f"{ROOM}/Romeo"
        self.romeo.call(self.romeo.xmpp.make_presence(pto=address, ptype="unavailable").send)
        wait_for(lambda: self.juliet.shown[-1]["type"] == "unavailable", "that he has gone")
        del self.romeo.shown[:], self.romeo.told[:]
        presence = self.romeo.xmpp.make_presence(pto=address)
        presence["muc_join"]["mav"]["since"] = since
        self.romeo.call(presence.send)
        wait_for(lambda: any(110 in one["muc"]["status_codes"] for one in self.romeo.shown), "his presence")
        told = [one for one in self.romeo.told if one["muc"]["mav"]["until"]]
        return next(one for one in self.romeo.shown if 110 in one["muc"]["status_codes"]), told
