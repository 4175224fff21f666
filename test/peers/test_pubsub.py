"""slixmpp publishes: on the service, for its own account, and its keys for encryption."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from xml.etree import ElementTree

from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0004 import Form

from palaver.test.peers import omemo
from palaver.test.peers.case import PeerCase
from palaver.test.peers.peer import wait_for

SERVICE = "pubsub.localhost"
PICTURE = b"\x89PNG a picture"


def entry(title: str) -> Any:
    """Give a payload."""
    node = ElementTree.Element("{http://www.w3.org/2005/Atom}entry")
    ElementTree.SubElement(node, "{http://www.w3.org/2005/Atom}title").text = title
    return node


class ServiceTests(PeerCase):
    """XEP-0060 by slixmpp's plugin."""

    def setUp(self) -> None:
        """Log two in."""
        super().setUp()
        self.romeo = self.enter(self.slixmpp(self.account("romeo") + "/orchard"))
        self.juliet = self.enter(self.slixmpp(self.account("juliet") + "/balcony"))
        for client in (self.romeo, self.juliet):
            client.xmpp.register_plugin("xep_0060")

    def call(self, client: Any, name: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the plugin."""
        return client.call(getattr(client.xmpp["xep_0060"], name), SERVICE, *arguments, **options)

    def test_whole_life(self) -> None:
        """A node is made, configured, subscribed to, published to, read, emptied and deleted."""
        heard: list[Any] = []
        for event in ("pubsub_publish", "pubsub_retract", "pubsub_purge", "pubsub_delete"):
            self.juliet.xmpp.add_event_handler(event, lambda message, event=event: heard.append(event))
        self.call(self.romeo, "create_node", "musings")
        form = self.call(self.romeo, "get_node_config", "musings")["pubsub_owner"]["configure"]["form"]
        self.assertEqual(form.get_values()["pubsub#access_model"], "open")
        changed = Form()
        changed["type"] = "submit"
        changed.add_field("FORM_TYPE", "hidden", value="http://jabber.org/protocol/pubsub#node_config")
        changed.add_field("pubsub#title", value="Musings")
        self.call(self.romeo, "set_node_config", "musings", changed)
        answer = self.call(self.juliet, "subscribe", "musings")
        self.assertEqual(answer["pubsub"]["subscription"]["subscription"], "subscribed")
        for number in ("1", "2", "3"):
            self.call(self.romeo, "publish", "musings", id=number, payload=entry(number))
        answer = self.call(self.juliet, "get_items", "musings")
        self.assertEqual([item["id"] for item in answer["pubsub"]["items"]], ["1", "2", "3"])
        answer = self.call(self.juliet, "get_item", "musings", "2")
        self.assertEqual(answer["pubsub"]["items"]["item"]["id"], "2")
        self.call(self.romeo, "retract", "musings", "2", notify=True)
        self.call(self.romeo, "purge", "musings")
        self.call(self.romeo, "delete_node", "musings")
        wait_for(lambda: len(heard) == 6, "the subscriber was not told of everything")
        self.assertEqual(heard, ["pubsub_publish"] * 3 + ["pubsub_retract", "pubsub_purge", "pubsub_delete"])

    def test_people(self) -> None:
        """Owners see and change who has to do with a node; the others are refused."""
        self.call(self.romeo, "create_node", "musings")
        self.call(self.romeo, "modify_affiliations", "musings", [("juliet@localhost", "publisher")])
        self.call(self.juliet, "publish", "musings", id="1", payload=entry("hers"))
        held = self.call(self.romeo, "get_node_affiliations", "musings")["pubsub_owner"]["affiliations"]
        self.assertEqual({str(who["jid"]) for who in held}, {"romeo@localhost", "juliet@localhost"})
        error = self.assertRaises(IqError, self.call, self.juliet, "delete_node", "musings")
        self.assertEqual(error.condition, "forbidden")
        answer = self.call(self.juliet, "get_affiliations")
        self.assertEqual([held["node"] for held in answer["pubsub"]["affiliations"]], ["musings"])
        answer = self.juliet.call(self.juliet.xmpp["xep_0030"].get_items, SERVICE)
        self.assertIn(
            (SERVICE, "musings", ""), [(a, b, c or "") for a, b, c in answer["disco_items"]["items"]]
        )


class AccountTests(PeerCase):
    """XEP-0163, 0084, 0118 and 0402 by slixmpp's plugins."""

    def client(self, jid: str, *plugins: str, tune: Callable[[Any], None] | None = None) -> Any:
        """Connect a client with plugins, whose capabilities say what it wants to hear of.

        ``tune`` hears what is played from the first stanza on; the last item comes with the presence.
        """
        client = self.slixmpp(jid)
        for plugin in ("xep_0115", "xep_0163", *plugins):
            client.xmpp.register_plugin(plugin)
        if tune is not None:
            client.xmpp.add_event_handler("user_tune_publish", tune)
        return self.enter(client)

    def befriend(self, one: Any, other: Any) -> None:
        """Let two accounts see each other."""
        for asks, answers in ((one, other), (other, one)):
            asks.add(answers.jid)
            answers.expect_request(asks.jid)
            answers.accept(asks.jid)
        one.expect_subscription(other.jid, "both")

    def test_tune(self) -> None:
        """A contact whose client asks for it hears what is played, at once and when it comes online."""
        romeo = self.client(self.account("romeo"), "xep_0118")
        juliet = self.client(self.account("juliet"), "xep_0118")
        heard: list[str] = []
        juliet.xmpp.add_event_handler("user_tune_publish", lambda message: heard.append(_title(message)))
        self.befriend(romeo, juliet)
        romeo.call(romeo.xmpp["xep_0118"].publish_tune, title="Canon", artist="Pachelbel")
        wait_for(lambda: heard == ["Canon"], "the contact was not told")
        came: list[str] = []
        self.client("juliet@localhost/later", "xep_0118", tune=lambda message: came.append(_title(message)))
        wait_for(lambda: came == ["Canon"], "the contact did not get the last item")

    def test_avatar(self) -> None:
        """XEP-0084: a picture and what it is are published, and read by a contact."""
        romeo = self.client(self.account("romeo"), "xep_0084")
        juliet = self.client(self.account("juliet"), "xep_0084")
        self.befriend(romeo, juliet)
        plugin = romeo.xmpp["xep_0084"]
        name = plugin.generate_id(PICTURE)
        romeo.call(plugin.publish_avatar, PICTURE)
        romeo.call(
            plugin.publish_avatar_metadata, [{"id": name, "type": "image/png", "bytes": str(len(PICTURE))}]
        )
        answer = juliet.call(juliet.xmpp["xep_0084"].retrieve_avatar, romeo.jid, name)
        self.assertEqual(answer["pubsub"]["items"]["item"]["avatar_data"]["value"], PICTURE)

    def test_bookmarks(self) -> None:
        """XEP-0402: a bookmark is there for another client, and for one that knows only private XML."""
        romeo = self.client(self.account("romeo"), "xep_0402", "xep_0048")
        conference = ElementTree.Element("{urn:xmpp:bookmarks:1}conference", {"name": "Hall"})
        romeo.call(
            romeo.xmpp["xep_0060"].publish,
            romeo.jid,
            "urn:xmpp:bookmarks:1",
            id="hall@muc.localhost",
            payload=conference,
            options=_options(access_model="whitelist", max_items="max", persist_items="true"),
        )
        answer = romeo.call(romeo.xmpp["xep_0048"].get_bookmarks, method="xep_0049")
        found = answer["private"]["bookmarks"]["conferences"]
        self.assertEqual([(room["jid"], room["name"]) for room in found], [("hall@muc.localhost", "Hall")])


class OmemoTests(PeerCase):
    """XEP-0384: two clients with the OMEMO plugin of slixmpp, which know nothing of each other at first."""

    def client(self, name: str) -> Any:
        """Connect a client with keys, which it publishes."""
        client = self.slixmpp(self.account(name))
        client.call(omemo.add, client.xmpp)
        self.enter(client)
        client.call(client.xmpp["xep_0384"].get_session_manager)
        return client

    def test_conversation(self) -> None:
        """What one encrypts for the other's devices the other reads, in both directions."""
        romeo, juliet = self.client("romeo"), self.client("juliet")
        for sender, other in ((romeo, juliet), (juliet, romeo)):
            body = f"a secret of {sender.jid}"
            message = sender.xmpp.make_message(mto=other.jid, mbody=body, mtype="chat")
            encrypt = sender.xmpp["xep_0384"].encrypt_message
            encrypted, errors = sender.call(encrypt, message, sender.call(type(message["to"]), other.jid))
            self.assertEqual([str(error) for error in errors], [])
            self.assertNotIn(body, str(encrypted))
            sender.call(encrypted.send)
            wait_for(partial(bool, other.messages), "the message did not come")
            (got,) = other.messages
            read, _ = other.call(other.xmpp["xep_0384"].decrypt_message, got)
            self.assertEqual(read["body"], body)


def _title(message: Any) -> str:
    return str(message["pubsub_event"]["items"]["item"]["tune"]["title"])


def _options(**values: str) -> Form:
    form = Form()
    form["type"] = "submit"
    form.add_field("FORM_TYPE", "hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    for name, value in values.items():
        form.add_field(f"pubsub#{name}", value=value)
    return form
