"""XEP-0402, 0411 and 0048."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish
from zope.interface.verify import verifyObject

from palaver.events import CapabilitiesKnown
from palaver.interfaces import IPrivateElement
from palaver.pubsub.conditions import NS_OWNER, NS_PUBSUB
from palaver.storage import Batch
from palaver.test.house import House, now
from palaver.test.pubsub.cases import form, refusal
from palaver.xeps.bookmarks import NS_BOOKMARKS, NS_CONVERSION, NS_STORAGE, Bookmarks
from palaver.xeps.pep import PersonalEventing
from palaver.xeps.private import Private

HALL = "hall@muc.example.org"
YARD = "yard@muc.example.org"
OLD = f"<storage xmlns='{NS_STORAGE}'>{{}}</storage>"
ROOM = "<conference jid='{}' name='A &amp; B' autojoin='1'><nick>JC</nick></conference>"
PAGE = "<url name='Works' url='http://example.org/'/>"


class BookmarksTests(SynchronousTestCase):
    """Romeo has clients of three generations."""

    def setUp(self) -> None:
        """Log in."""
        self.house = House(PersonalEventing, Private, Bookmarks, Bookmarks={"max_bookmarks": 3})
        self.romeo = self.house.login("romeo", "home", "<presence/>")
        self.romeo.take()

    def ask(self, kind: str, inner: str) -> domish.Element:
        """Send a request."""
        return self.romeo.ask(f"<iq type='{kind}' id='1'>{inner}</iq>")

    def pubsub(self, kind: str, inner: str, ns: str = NS_PUBSUB) -> domish.Element:
        """Send a PubSub request."""
        return self.ask(kind, f"<pubsub xmlns='{ns}'>{inner}</pubsub>")

    def store(self, inner: str) -> domish.Element:
        """Store private XML."""
        return self.ask("set", f"<query xmlns='jabber:iq:private'>{OLD.format(inner)}</query>")

    def stored(self) -> list[str]:
        """Give the addresses in private XML."""
        answer = self.ask("get", f"<query xmlns='jabber:iq:private'>{OLD.format('')}</query>")
        return [_address(node) for node in answer.query.storage.elements()]

    def publish(self, room: str, more: str = "") -> domish.Element:
        """Publish a bookmark of its own."""
        inner = f"<nick>R</nick>{more}"
        payload = f"<conference xmlns='{NS_BOOKMARKS}' name='Hall' autojoin='true'>{inner}</conference>"
        return self.pubsub(
            "set", f"<publish node='{NS_BOOKMARKS}'><item id='{room}'>{payload}</item></publish>"
        )

    def items(self, node: str = NS_BOOKMARKS) -> dict[str, domish.Element]:
        """Give the payloads of a node by id."""
        answer = self.pubsub("get", f"<items node='{node}'/>")
        if answer["type"] == "error":
            return {}
        return {item["id"]: item.firstChildElement() for item in answer.pubsub.items.elements()}

    def close(self) -> None:
        """Make the node for bookmarks as it should be."""
        options = form({"access_model": "whitelist", "max_items": "max"})
        self.pubsub("set", f"<create node='{NS_BOOKMARKS}'/><configure>{options}</configure>")

    def test_from_private(self) -> None:
        """What an old client stores is there for new ones, each bookmark by itself, for nobody else."""
        self.assertEqual(self.store(ROOM.format(HALL) + ROOM.format(YARD))["type"], "result")
        found = self.items()
        self.assertEqual(set(found), {HALL, YARD})
        hall = found[HALL]
        self.assertEqual(
            (hall.uri, hall["name"], hall["autojoin"], str(hall.nick)), (NS_BOOKMARKS, "A & B", "true", "JC")
        )
        self.assertFalse(hall.hasAttribute("jid"))
        juliet = self.house.login("juliet", "home")
        inner = f"<pubsub xmlns='{NS_PUBSUB}'><items node='{NS_BOOKMARKS}'/></pubsub>"
        answer = juliet.ask(f"<iq type='get' id='1' to='romeo@example.org'>{inner}</iq>")
        self.assertEqual(refusal(answer), ("cancel", "not-allowed", "closed-node"))

    def test_to_private(self) -> None:
        """What a new client publishes is there for old ones, in private XML and in one item."""
        self.close()
        self.publish(HALL)
        self.publish(YARD)
        self.assertEqual(self.stored(), [HALL, YARD])
        storage = self.items(NS_STORAGE)["current"]
        self.assertEqual([node["jid"] for node in storage.elements()], [HALL, YARD])
        inner = f"<retract node='{NS_BOOKMARKS}'><item id='{HALL}'/></retract>"
        self.pubsub("set", inner)
        self.assertEqual(self.stored(), [YARD])
        self.assertEqual([node["jid"] for node in self.items(NS_STORAGE)["current"].elements()], [YARD])

    def test_from_one_item(self) -> None:
        """What a client publishes as one item becomes items of their own."""
        inner = OLD.format(ROOM.format(HALL))
        options = form({"access_model": "whitelist"}, f"{NS_PUBSUB}#publish-options")
        self.pubsub(
            "set",
            f"<publish node='{NS_STORAGE}'><item id='current'>{inner}</item></publish>"
            f"<publish-options>{options}</publish-options>",
        )
        self.assertEqual((set(self.items()), self.stored()), ({HALL}, [HALL]))

    def test_changes(self) -> None:
        """A new list takes away what is not in it, and leaves alone what is the same."""
        self.store(ROOM.format(HALL) + ROOM.format(YARD))
        before = now(self.house.storage.documents.list("example.org", "romeo", [_kind(self.house)]))
        self.store(ROOM.format(YARD))
        after = now(self.house.storage.documents.list("example.org", "romeo", [_kind(self.house)]))
        self.assertEqual([document for document in before if document.key == YARD], after)
        self.store("")
        self.assertEqual((self.items(), self.stored()), ({}, []))

    def test_extensions(self) -> None:
        """What new clients have added to a bookmark outlives a change by an old one."""
        self.close()
        self.publish(HALL, "<extensions><state xmlns='urn:s' open='1'/></extensions>")
        self.store(ROOM.format(HALL))
        hall = self.items()[HALL]
        self.assertEqual((hall["name"], hall.extensions.state["open"]), ("A & B", "1"))

    def test_pages(self) -> None:
        """What is no room stays with the rest."""
        self.store(PAGE + ROOM.format(HALL) + "<conference jid='@'/>")
        self.assertEqual(self.stored(), [HALL, "http://example.org/", "@"])
        self.publish(YARD)
        self.assertEqual(self.stored(), [HALL, YARD, "http://example.org/", "@"])

    def test_many(self) -> None:
        """A list that is too long is refused, and nothing is changed."""
        self.store(ROOM.format(HALL))
        rooms = "".join(ROOM.format(f"{number}@muc.example.org") for number in range(4))
        self.assertEqual(refusal(self.store(rooms)), ("modify", "policy-violation"))
        self.assertEqual(self.stored(), [HALL])

    def test_shared(self) -> None:
        """Where others could see the node, private XML stays private."""
        options = form({"access_model": "open"})
        self.pubsub("set", f"<create node='{NS_BOOKMARKS}'/><configure>{options}</configure>")
        self.store(ROOM.format(HALL))
        self.assertEqual((self.items(), self.stored()), ({}, [HALL]))

    def test_too_small(self) -> None:
        """A node without room for all bookmarks gets none of them."""
        options = form({"access_model": "whitelist", "max_items": 1})
        self.pubsub("set", f"<create node='{NS_BOOKMARKS}'/><configure>{options}</configure>")
        self.store(ROOM.format(HALL) + ROOM.format(YARD))
        self.assertEqual((self.items(), self.stored()), ({}, [HALL, YARD]))

    def test_shared_later(self) -> None:
        """Nor does anything go into one item that others could see."""
        self.close()
        options = form({"access_model": "open"})
        self.pubsub("set", f"<create node='{NS_STORAGE}'/><configure>{options}</configure>")
        self.publish(HALL)
        self.assertEqual((self.items(NS_STORAGE), self.stored()), ({}, [HALL]))

    def test_from_before(self) -> None:
        """Bookmarks from before are there for a client that asks for the new ones."""
        xml = OLD.format(ROOM.format(HALL))
        key = f"{{{NS_STORAGE}}}storage"
        now(self.house.storage.write(Batch().put("example.org", "romeo", "private", key, {"xml": xml})))
        self.assertEqual(self.stored(), [HALL])
        features = frozenset((f"{NS_BOOKMARKS}+notify",))
        self.house.host.events.fire(CapabilitiesKnown(self.house.host, "romeo@example.org/home", features))
        self.assertEqual((set(self.items()), self.stored()), ({HALL}, [HALL]))

    def test_odd(self) -> None:
        """What is no bookmark at all does no harm."""
        inner = "<item id='current'><a xmlns='urn:a'/></item>"
        self.assertEqual(
            self.pubsub("set", f"<publish node='{NS_STORAGE}'>{inner}</publish>")["type"], "result"
        )
        self.assertEqual(self.items(), {})

    def test_without_eventing(self) -> None:
        """Without personal eventing private XML is as ever."""
        self.house.modules["PersonalEventing"].detach()
        self.store(ROOM.format(HALL))
        self.assertEqual(self.stored(), [HALL])

    def test_unloaded(self) -> None:
        """Without the module private XML is as ever."""
        self.house.modules["Bookmarks"].detach()
        self.store(ROOM.format(HALL))
        self.assertEqual((self.stored(), self.items()), ([HALL], {}))

    def test_announced(self) -> None:
        """Accounts say that one form is enough."""
        features: Any = self.house.host.disco.account_info()
        for feature in (f"{NS_BOOKMARKS}#compat", f"{NS_BOOKMARKS}#compat-pep", NS_CONVERSION):
            self.assertIn(feature.encode(), features)
        verifyObject(IPrivateElement, self.house.modules["Bookmarks"])

    def test_purged(self) -> None:
        """A client that takes all away takes them away everywhere."""
        self.store(ROOM.format(HALL))
        self.pubsub("set", f"<purge node='{NS_BOOKMARKS}'/>", NS_OWNER)
        self.assertEqual((self.stored(), list(self.items(NS_STORAGE)["current"].elements())), ([], []))


def _address(node: domish.Element) -> str:
    return str(node.getAttribute("jid") or node.getAttribute("url"))


def _kind(house: House) -> str:
    from palaver.pubsub.store import on_account

    return on_account("example.org", "romeo", NS_BOOKMARKS).items
