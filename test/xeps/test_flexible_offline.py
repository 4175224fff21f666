"""XEP-0013."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.routing.disco import NS_INFO, NS_ITEMS
from palaver.routing.roster import Roster
from palaver.test.house import Client, House, stanza
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.flexible_offline import NS_OFFLINE, FlexibleOffline
from palaver.xeps.offline import PAGE_SIZE, Offline

COUNT = f"<iq type='get' id='1'><query xmlns='{NS_INFO}' node='{NS_OFFLINE}'/></iq>"
LIST = f"<iq type='get' id='2'><query xmlns='{NS_ITEMS}' node='{NS_OFFLINE}'/></iq>"


def ask(kind: str, inner: str) -> str:
    """Give a request for messages."""
    return f"<iq type='{kind}' id='3'><offline xmlns='{NS_OFFLINE}'>{inner}</offline></iq>"


class FlexibleCase(SynchronousTestCase):
    """Three messages are kept for Juliet, and her client has sent no presence yet."""

    def setUp(self) -> None:
        """Send the messages, then log Juliet in."""
        self.house = House(ServiceDiscovery, Offline, FlexibleOffline)
        self.romeo = self.house.login("romeo")
        self.write("a", "b", "c")
        self.juliet = self.house.login("juliet", "balcony")

    def write(self, *bodies: str) -> None:
        """Send messages to Juliet."""
        for body in bodies:
            self.romeo.send(f"<message type='chat' to='juliet@example.org'><body>{body}</body></message>")

    def listed(self) -> list[domish.Element]:
        """Give what Juliet is told of her messages."""
        return list(self.juliet.ask(LIST).query.elements())

    def count(self) -> str:
        """Give how many Juliet is told of."""
        fields = {field["var"]: str(field.value) for field in self.juliet.ask(COUNT).query.x.elements()}
        self.assertEqual(fields["FORM_TYPE"], NS_OFFLINE)
        return fields["number_of_messages"]

    def bodies(self, client: Client) -> list[str]:
        """Give the texts of the messages that a client got."""
        return [str(node.body) for node in client.take() if node.name == "message"]

    def refusal(self, request: str, client: Client | None = None) -> str:
        """Give the condition with which a request is refused."""
        return str((client or self.juliet).ask(request).error.firstChildElement().name)


class ReadTests(FlexibleCase):
    """Messages are counted, listed and read."""

    def test_count(self) -> None:
        """The node says what it is and how many messages there are."""
        query = self.juliet.ask(COUNT).query
        self.assertEqual((query["node"], query.identity["type"], query.feature["var"]), (
            NS_OFFLINE, "message-list", NS_OFFLINE,
        ))  # fmt: skip
        self.assertEqual(self.count(), "3")

    def test_list(self) -> None:
        """The list has each message's sender and a node of its own; nodes sort as messages do."""
        items = self.listed()
        nodes = [item["node"] for item in items]
        self.assertEqual(nodes, sorted(set(nodes)))
        self.assertEqual(
            {(item["jid"], item["name"]) for item in items},
            {("juliet@example.org", "romeo@example.org/orchard")},
        )

    def test_many(self) -> None:
        """A long queue is listed and fetched whole."""
        self.juliet.session.end()
        self.write(*map(str, range(2 * PAGE_SIZE)))
        self.juliet = self.house.login("juliet", "balcony")
        self.assertEqual(len(self.listed()), 2 * PAGE_SIZE + 3)
        self.juliet.send(ask("get", "<fetch/>"))
        self.assertEqual(len(self.bodies(self.juliet)), 2 * PAGE_SIZE + 3)

    def test_view(self) -> None:
        """Messages that were asked for come with their nodes, before the answer, and stay."""
        node = self.listed()[1]["node"]
        self.juliet.send(ask("get", f"<item action='view' node='{node}'/>"))
        message, answer = self.juliet.take()
        self.assertEqual((str(message.body), message.offline.item["node"]), ("b", node))
        self.assertEqual((message.delay["from"], answer["type"]), ("example.org", "result"))
        self.assertEqual(self.count(), "3")

    def test_forged_node(self) -> None:
        """What a sender said about nodes is not believed."""
        forged = f"<body>d</body><offline xmlns='{NS_OFFLINE}'><item node='1'/></offline>"
        self.romeo.send(f"<message to='juliet@example.org'>{forged}</message>")
        node = self.listed()[3]["node"]
        self.juliet.send(ask("get", f"<item action='view' node='{node}'/>"))
        message = self.juliet.take()[0]
        self.assertEqual([mark.item["node"] for mark in message.elements(NS_OFFLINE, "offline")], [node])

    def test_fetch(self) -> None:
        """All messages come in order, and stay."""
        self.juliet.send(ask("get", "<fetch/>"))
        self.assertEqual(self.bodies(self.juliet), ["a", "b", "c"])
        self.assertEqual(self.count(), "3")

    def test_expired(self) -> None:
        """A message that is of no use any more is neither listed nor sent."""
        expires = "<body>d</body><x xmlns='jabber:x:expire' seconds='30'/>"
        self.romeo.send(f"<message to='juliet@example.org'>{expires}</message>")
        node = self.listed()[3]["node"]
        self.patch(time, "time", lambda: time.time_ns() / 1e9 + 60)
        self.assertEqual(len(self.listed()), 3)
        self.juliet.send(ask("get", "<fetch/>"))
        self.assertEqual(self.bodies(self.juliet), ["a", "b", "c"])
        view = ask("get", f"<item action='view' node='{node}'/>")
        self.assertEqual(self.refusal(view), "item-not-found")


class RemoveTests(FlexibleCase):
    """Messages are removed."""

    def test_some(self) -> None:
        """What was removed is gone, and the others are there next time."""
        items = "".join(f"<item action='remove' node='{item['node']}'/>" for item in self.listed()[:2])
        self.assertEqual(self.juliet.ask(ask("set", items))["type"], "result")
        self.assertEqual(self.count(), "1")
        self.juliet.session.end()
        self.assertEqual(self.bodies(self.house.login("juliet", "balcony", "<presence/>")), ["c"])

    def test_all(self) -> None:
        """All are removed at once; then there is room for as many again."""
        self.assertEqual(self.juliet.ask(ask("set", "<purge/>"))["type"], "result")
        self.assertEqual((self.count(), self.listed()), ("0", []))
        self.juliet.session.end()
        self.write("d")
        self.assertEqual(self.bodies(self.house.login("juliet", "balcony", "<presence/>")), ["d"])


class NoFloodTests(FlexibleCase):
    """Who fetches messages is not sent all of them."""

    def test_presence(self) -> None:
        """After each way to ask, presence brings no messages but new ones."""
        for request in (COUNT, LIST, ask("get", "<fetch/>")):
            client = self.house.login("juliet", "balcony")
            client.send(request)
            client.take()
            client.send("<presence/>")
            self.write("new")
            self.assertEqual(self.bodies(client), ["new"])
            client.session.end()

    def test_other_session(self) -> None:
        """Nor are others of the account sent them while it is there; afterwards they are."""
        self.juliet.send(COUNT)
        chamber = self.house.login("juliet", "chamber", "<presence/>")
        self.assertEqual(self.bodies(chamber), [])
        self.juliet.session.end()
        chamber.send("<presence type='unavailable'/><presence/>")
        self.assertEqual(self.bodies(chamber), ["a", "b", "c"])

    def test_usual(self) -> None:
        """Who does not ask gets all of them with the first presence."""
        self.juliet.send("<presence/>")
        self.assertEqual(self.bodies(self.juliet), ["a", "b", "c"])


class WrongRequestTests(FlexibleCase):
    """What is refused."""

    def test_nodes(self) -> None:
        """A node that does not exist, or is none, is not found; then nothing is sent or removed."""
        good = self.listed()[0]["node"]
        for node in ("0" * 19, "7", "-1", "&apos;", "9" * 40, ""):
            for kind, action in (("get", "view"), ("set", "remove")):
                items = f"<item action='{action}' node='{good}'/><item action='{action}' node='{node}'/>"
                self.assertEqual(self.refusal(ask(kind, items)), "item-not-found", node)
        self.assertEqual(self.count(), "3")

    def test_malformed(self) -> None:
        """A request that says nothing, or the wrong thing, is refused."""
        rows = (
            ("get", ""),
            ("get", "<purge/>"),
            ("set", "<fetch/>"),
            ("get", "<item action='remove' node='1'/>"),
            ("set", "<item node='1'/>"),
            ("set", "<purge/><item action='remove' node='1'/>"),
        )
        for kind, inner in rows:
            self.assertEqual(self.refusal(ask(kind, inner)), "bad-request", inner)
        self.assertEqual(self.count(), "3")

    def test_others(self) -> None:
        """Nobody counts, lists, reads or removes somebody else's messages, not even a contact."""
        self.patch(Roster, "is_seen_by", lambda roster, bare: True)
        for request in (COUNT, LIST, ask("get", "<fetch/>"), ask("set", "<purge/>")):
            other = request.replace(" id=", " to='juliet@example.org' id=", 1)
            self.assertEqual(self.refusal(other, self.romeo), "forbidden")
        stranger = ask("set", "<purge/>").replace(
            " id=", " from='juliet@example.org/x' to='juliet@example.org' id=", 1
        )
        self.house.router.route(stanza(stranger))
        self.assertEqual(self.count(), "3")

    def test_unloaded(self) -> None:
        """Without the module the node does not exist."""
        self.house.modules["FlexibleOffline"].detach()
        self.assertEqual(self.refusal(COUNT), "item-not-found")
        self.assertEqual(self.refusal(ask("get", "<fetch/>")), "service-unavailable")
