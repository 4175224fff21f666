"""slixmpp's avatars, old and new, its vCards and its capabilities."""

from __future__ import annotations

import hashlib
from typing import Any

from slixmpp.exceptions import IqError

from palaver.test.peers.case import PeerCase
from palaver.test.peers.peer import wait_for

PNG = b"\x89PNG\r\n\x1a\n some pixels"
HASH = hashlib.sha1(PNG).hexdigest()


class Avatars(PeerCase):
    """Romeo and Juliet, who see each other's presence."""

    def setUp(self) -> None:
        """Log in."""
        super().setUp()
        self.romeo = self.client("romeo")
        self.juliet = self.client("juliet")

    def client(self, name: str) -> Any:
        """Log somebody in with the plugins for avatars."""
        client = self.slixmpp(self.account(name) + "/home")
        for plugin in ("xep_0054", "xep_0084", "xep_0115", "xep_0153", "xep_0163"):
            client.xmpp.register_plugin(plugin)
        return self.enter(client)

    def store(self) -> None:
        """Store a vCard for Romeo."""
        plugin = self.romeo.xmpp["xep_0054"]
        card = plugin.make_vcard()
        card["FN"] = "Romeo Montague"
        self.romeo.call(plugin.publish_vcard, card)

    def befriend(self, one: Any, other: Any) -> None:
        """Have one see the presence of the other."""
        one.call(one.xmpp.send_presence_subscription, other.jid, ptype="subscribe")
        wait_for(lambda: one.jid in other.requests, "no request came")
        other.call(other.xmpp.send_presence_subscription, one.jid, ptype="subscribed")

    def test_vcard(self) -> None:
        """XEP-0054: others read what somebody has stored; without a vCard there is nothing to read."""
        self.store()
        answer = self.juliet.call(self.juliet.xmpp["xep_0054"].get_vcard, "romeo@localhost")
        self.assertEqual(answer["vcard_temp"]["FN"], "Romeo Montague")
        get = self.romeo.xmpp["xep_0054"].get_vcard
        error = self.assertRaises(IqError, self.romeo.call, get, "nobody@localhost")
        self.assertEqual(error.condition, "item-not-found")

    def test_old_to_new(self) -> None:
        """XEP-0153 and XEP-0084: an avatar in the vCard is there for new clients, who hear of it at once."""
        heard: list[Any] = []
        self.juliet.xmpp.add_event_handler("avatar_metadata_publish", heard.append)
        self.juliet.call(self.juliet.xmpp["xep_0163"].add_interest, "urn:xmpp:avatar:metadata")
        self.juliet.call(self.juliet.xmpp["xep_0115"].update_caps)
        self.befriend(self.juliet, self.romeo)
        self.befriend(self.romeo, self.juliet)
        self.store()
        # What was sent before it is done when an answer is there.
        self.juliet.roster()
        self.romeo.call(self.romeo.xmpp["xep_0153"].set_avatar, avatar=PNG, mtype="image/png")
        wait_for(lambda: heard, "no notification of the avatar came")
        item = heard[0]["pubsub_event"]["items"]["item"]
        self.assertEqual(item["id"], HASH)
        answer = self.juliet.call(self.juliet.xmpp["xep_0084"].retrieve_avatar, self.romeo.jid, HASH)
        self.assertEqual(answer["pubsub"]["items"]["item"]["avatar_data"]["value"], PNG)
        shown = self.romeo.call(self.romeo.xmpp["xep_0054"].get_vcard, self.romeo.jid)
        self.assertEqual(shown["vcard_temp"]["PHOTO"]["BINVAL"], PNG)
