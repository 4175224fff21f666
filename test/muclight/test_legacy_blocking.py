"""Blocking in the legacy mode of MUC Light: a privacy list of the service's name."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.words.xish import domish

from palaver.muclight.namespaces import NS_LIGHT
from palaver.test.house import Client
from palaver.test.muclight.cases import ROOM, SERVICE, bare
from palaver.test.muclight.legacy import LegacyCase


class BlockingCase(LegacyCase):
    """What the tests here share."""

    def blocks(self, client: Client, inner: str | None = None, name: str = NS_LIGHT) -> domish.Element:
        """Get the list, or change it; gives the answer."""
        node = f"<list name='{name}'>{inner or ''}</list>"
        kind = "get" if inner is None else "set"
        return client.ask(f"<iq type='{kind}' id='p'><query xmlns='jabber:iq:privacy'>{node}</query></iq>")

    def items(self, client: Client) -> list[dict[str, str]]:
        """Give the list's items."""
        (query,) = self.blocks(client).elements()
        (node,) = query.elements()
        self.assertEqual((query.uri, node["name"]), ("jabber:iq:privacy", NS_LIGHT))
        return [dict(item.attributes) for item in node.elements()]


class BlockingTests(BlockingCase):
    """Blocking lists that are in force."""

    def test_list(self) -> None:
        """What is denied is in the list until it is allowed again."""
        self.assertEqual(self.items(self.romeo), [])
        values = (f"{SERVICE}/{bare('juliet')}", ROOM)
        item = "<item type='jid' order='1' action='{}' value='{}'/>"
        deny = "".join(item.format("deny", value) for value in values)
        answer = self.blocks(self.romeo, deny)
        self.assertEqual((answer["type"], list(answer.elements())), ("result", []))
        found = self.items(self.romeo)
        self.assertEqual(sorted(one["value"] for one in found), sorted(values))
        self.assertEqual(
            {(one["type"], one["order"], one["action"]) for one in found}, {("jid", "1", "deny")}
        )
        self.blocks(self.romeo, item.format("allow", values[0]))
        self.assertEqual([one["value"] for one in self.items(self.romeo)], [ROOM])
        self.assertEqual(self.items(self.juliet), [])

    def test_effect(self) -> None:
        """Who blocks a room is not taken into it."""
        self.blocks(self.nurse, f"<item type='jid' order='1' action='deny' value='{ROOM}'/>")
        answer = self.affiliate(self.juliet, nurse="member")
        self.assertEqual((answer["type"], list(answer.elements())), ("result", []))
        self.assertEqual(self.juliet.take() + self.nurse.take() + self.romeo.take(), [])

    def test_wrong(self) -> None:
        """What is no block is refused, and nothing of the request counts."""
        good = f"<item type='jid' order='1' action='deny' value='{ROOM}'/>"
        for bad in (
            "<item type='jid' order='1' action='deny' value='example.org'/>",
            f"<item type='jid' order='1' action='deny' value='{ROOM}/x'/>",
            f"<item type='jid' order='1' action='deny' value='{SERVICE}/example.org'/>",
            f"<item type='jid' order='1' action='deny' value='elsewhere/{bare('juliet')}'/>",
            f"<item type='jid' order='1' action='maybe' value='{ROOM}'/>",
            "<item type='group' order='1' action='deny' value='Friends'/>",
            "<item type='jid' order='1' action='deny'/>",
        ):
            self.assertEqual(self.blocks(self.romeo, good + bad)["type"], "error", bad)
        self.assertEqual(self.items(self.romeo), [])

    def test_others(self) -> None:
        """Other privacy lists are as they are everywhere."""
        deny = "<item type='jid' order='1' action='deny' value='paris@example.org'/>"
        self.assertEqual(self.blocks(self.romeo, deny, "mine")["type"], "result")
        answer = self.romeo.ask("<iq type='get' id='p'><query xmlns='jabber:iq:privacy'/></iq>")
        (query,) = answer.elements()
        self.assertEqual([node["name"] for node in query.elements()], ["mine"])


class NoBlockingTests(BlockingCase):
    """Blocking that is switched off."""

    options: ClassVar[dict[str, Any]] = {"legacy_mode": True, "blocking": False}

    def test_off(self) -> None:
        """There is no list."""
        for inner in (None, f"<item type='jid' order='1' action='deny' value='{ROOM}'/>"):
            (error,) = [child for child in self.blocks(self.romeo, inner).elements() if child.name == "error"]
            self.assertEqual((error["type"], error.firstChildElement().name), ("modify", "bad-request"))
