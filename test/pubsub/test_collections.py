"""XEP-0248: collections, what is in them, and what their subscribers hear."""

from __future__ import annotations

from typing import Any

from palaver.errors import StorageError
from palaver.pubsub.conditions import NS_OWNER, NS_PUBSUB
from palaver.test.house import Client, House
from palaver.test.pubsub.cases import SERVICE, PubSubCase, events, fields, form, options
from palaver.xeps.pubsub import PubSub

INVALID = ("cancel", "not-allowed", "invalid-options")
FULL = ("cancel", "not-allowed", "max-nodes-exceeded")


class CollectionTests(PubSubCase):
    """XEP-0248: nodes in collections."""

    def setUp(self) -> None:
        """Have a collection with a node, in another collection."""
        super().setUp()
        self.create("world", node_type="collection")
        self.create("blogs", node_type="collection", collection="world")
        self.create("musings", collection="blogs")

    def children(self, node: str) -> list[str]:
        """Give what is in a collection of Romeo's, as its form says."""
        asked = self.do(self.romeo, "get", f"<configure node='{node}'/>", NS_OWNER).configure
        return fields(asked)["children"]

    def parents(self, node: str) -> list[str]:
        """Give the collections that a node of Romeo's is in, as its form says."""
        asked = self.do(self.romeo, "get", f"<configure node='{node}'/>", NS_OWNER).configure
        return fields(asked)["collection"]

    def test_items(self) -> None:
        """Subscribers of a collection hear of items in it, as deep as they want, and where from."""
        self.subscribe(
            self.juliet, "world", options=options(subscription_type="items", subscription_depth="all")
        )
        self.subscribe(self.nurse, "world", options=options(subscription_type="items"))
        self.subscribe(self.mercutio, "blogs", options=options(subscription_type="items"))
        self.publish()
        (message,) = self.juliet.take()
        self.assertEqual(message.event.items["node"], "musings")
        self.assertEqual(
            (message.headers.header["name"], str(message.headers.header)), ("Collection", "world")
        )
        self.assertEqual((len(events(self.nurse)), len(events(self.mercutio))), (0, 1))

    def test_once(self) -> None:
        """Whoever is subscribed twice over is told once."""
        self.subscribe(self.juliet, "blogs", options=options(subscription_type="all"))
        self.subscribe(self.juliet, "musings")
        self.publish()
        self.assertEqual(len(events(self.juliet)), 1)

    def test_two_kinds(self) -> None:
        """One address may be subscribed to a collection for items and for nodes, but to nothing twice."""
        self.subscribe(self.juliet, "blogs")
        items = self.subscribe(self.juliet, "blogs", options=options(subscription_type="items"))
        for kind in ("items", "nodes", "all"):
            more = options(subscription_type=kind, subscription_depth="all")
            inner = f"<subscribe node='blogs' jid='juliet@example.org'/>{more}"
            self.assertEqual(self.refused(self.juliet, "set", inner), ("cancel", "conflict"))
        self.publish()
        (message,) = self.juliet.take()
        headers = [(header["name"], str(header)) for header in message.headers.elements()]
        self.assertEqual(headers, [("Collection", "blogs"), ("SubID", items["subid"])])

    def test_nodes(self) -> None:
        """Subscribers of a collection hear of nodes that come, are put in or out, and go."""
        self.subscribe(self.juliet, "blogs")
        self.create("new", collection="blogs")
        self.create("free")
        self.configure("free", collection="blogs")
        self.configure("free", collection=[])
        self.do(self.romeo, "set", "<delete node='new'/>", NS_OWNER)
        found = [(event.name, event["node"]) for event in events(self.juliet)]
        self.assertEqual(
            found, [("create", "new"), ("collection", "blogs"), ("collection", "blogs"), ("delete", "new")]
        )

    def test_listed(self) -> None:
        """A collection lists its nodes."""

        def listed(node: str) -> list[str]:
            query = f"<query xmlns='http://jabber.org/protocol/disco#items'{node}/>"
            answer = self.juliet.ask(f"<iq type='get' id='1' to='{SERVICE}'>{query}</iq>")
            return [item["node"] for item in answer.query.elements()]

        self.assertEqual((listed(""), listed(" node='world'")), (["world"], ["blogs"]))
        values = fields(self.do(self.romeo, "get", "<configure node='blogs'/>", NS_OWNER).configure)
        self.assertEqual(values["children"], ["musings"])

    def test_bad(self) -> None:
        """Nodes go into collections that are there, that let them in, and never into themselves."""

        def create(**config: Any) -> str:
            return f"<create node='x'/><configure>{form(config)}</configure>"

        self.create("full", node_type="collection", children_max=1)
        self.create("inside", collection="full")
        for client, inner, wanted in (
            (self.romeo, create(collection="none"), ("cancel", "item-not-found")),
            (self.romeo, create(collection="musings"), INVALID),
            (self.juliet, create(collection="blogs"), ("auth", "forbidden")),
            (self.romeo, create(collection="full"), FULL),
            (self.romeo, create(node_type="collection", children=["a", "b"], children_max=1), FULL),
            (self.romeo, create(node_type="collection", children="none"), ("cancel", "item-not-found")),
            (self.romeo, create(node_type="collection", children="world", collection="blogs"), INVALID),
            (self.juliet, create(node_type="collection", children="musings"), ("auth", "forbidden")),
            (self.romeo, create(children="musings"), INVALID),
        ):
            self.assertEqual(self.refused(client, "set", inner), wanted, inner)
        for node, config, wanted in (
            ("world", {"collection": "blogs"}, INVALID),
            ("blogs", {"children": "world"}, INVALID),
            ("blogs", {"children": "blogs"}, INVALID),
            ("musings", {"children": "inside"}, INVALID),
            ("blogs", {"node_type": "leaf"}, INVALID),
            ("full", {"children": ["inside", "musings"]}, FULL),
            ("full", {"children": ["none"]}, ("cancel", "item-not-found")),
        ):
            inner = f"<configure node='{node}'>{form(config)}</configure>"
            self.assertEqual(self.refused(self.romeo, "set", inner, NS_OWNER), wanted, inner)
        self.assertEqual(
            [self.children(node) for node in ("world", "blogs", "full")], [["blogs"], ["musings"], ["inside"]]
        )
        refused = ("cancel", "feature-not-implemented", "unsupported")
        inner = "<publish node='blogs'><item><a xmlns='urn:a'/></item></publish>"
        self.assertEqual(self.refused(self.romeo, "set", inner), (*refused, "publish"))

    def test_policies(self) -> None:
        """A collection may let in everybody's nodes, or those of some."""
        inner = f"<create node='hers'/><configure>{form({'collection': 'blogs'})}</configure>"
        self.configure("blogs", children_association_policy="whitelist")
        self.assertEqual(self.refused(self.juliet, "set", inner), ("auth", "forbidden"))
        self.configure("blogs", children_association_whitelist="juliet@example.org")
        self.do(self.juliet, "set", inner)
        self.configure("blogs", children_association_policy="all")
        self.create("his", self.mercutio, collection="blogs")

    def test_children(self) -> None:
        """A collection's owner says what is in it; the nodes say the same, and subscribers hear of it."""
        self.create("one")
        self.create("two")
        self.subscribe(self.juliet, "blogs")
        self.configure("blogs", children=["one", "two"])
        self.assertEqual(self.children("blogs"), ["one", "two"])
        self.assertEqual(
            [self.parents(node) for node in ("one", "two", "musings")], [["blogs"], ["blogs"], []]
        )
        told = [event.firstChildElement() for event in events(self.juliet)]
        self.assertEqual(
            sorted((what.name, what["node"]) for what in told),
            [("associate", "one"), ("associate", "two"), ("dissociate", "musings")],
        )
        self.configure("blogs", title="Only that")
        self.assertEqual(self.children("blogs"), ["one", "two"])
        self.configure("blogs", children=[])
        self.assertEqual((self.children("blogs"), self.parents("one")), ([], []))

    def test_created_with_children(self) -> None:
        """A new collection may begin with nodes in it."""
        self.create("shelf", node_type="collection", children=["musings"])
        self.assertEqual((self.children("shelf"), self.parents("musings")), (["musings"], ["blogs", "shelf"]))

    def test_not_stored(self) -> None:
        """When nothing can be written, nothing has moved."""
        self.create("one")
        storage = self.house.host.storage

        async def broken(batch: Any) -> None:
            raise StorageError("broken")

        write, storage.write = storage.write, broken
        inner = f"<configure node='blogs'>{form({'children': ['one']})}</configure>"
        self.assertEqual(self.refused(self.romeo, "set", inner, NS_OWNER)[1], "internal-server-error")
        self.flushLoggedErrors(StorageError)
        storage.write = write
        self.assertEqual((self.children("blogs"), self.parents("one")), (["musings"], []))

    def test_after_restart(self) -> None:
        """What is in a collection is still in it after a restart."""
        self.create("one")
        self.configure("blogs", children=["one", "musings"])
        storage = self.house.storage
        self.house = House()
        self.house.storage = self.house.host.storage = storage
        self.house.add(PubSub)
        self.login()
        self.assertEqual((self.children("blogs"), self.parents("one")), (["musings", "one"], ["blogs"]))

    def test_associate(self) -> None:
        """A node is put into a collection and taken out of it by a request of its own."""

        def request(what: str, node: str, collection: str = "blogs") -> str:
            return f"<collection node='{collection}'><{what} node='{node}'/></collection>"

        self.create("one")
        self.do(self.romeo, "set", request("associate", "one"), NS_OWNER)
        self.assertEqual((self.children("blogs"), self.parents("one")), (["musings", "one"], ["blogs"]))
        self.do(self.romeo, "set", request("dissociate", "one"), NS_OWNER)
        self.assertEqual((self.children("blogs"), self.parents("one")), (["musings"], []))
        self.create("hers", self.juliet)
        for client, inner, wanted in (
            (self.romeo, request("dissociate", "one"), ("modify", "bad-request")),
            (self.romeo, request("associate", "hers"), ("auth", "forbidden")),
            (self.juliet, request("associate", "hers"), ("auth", "forbidden")),
            (self.juliet, request("dissociate", "musings"), ("auth", "forbidden")),
            (self.romeo, request("associate", "world"), INVALID),
            (self.romeo, request("associate", "one", "musings"), INVALID),
            (self.romeo, request("associate", "none"), ("cancel", "item-not-found")),
            (self.romeo, request("associate", "one", "none"), ("cancel", "item-not-found")),
            (self.romeo, "<collection node='blogs'/>", ("modify", "bad-request")),
            (self.romeo, "<collection node='blogs'><associate/></collection>", ("modify", "bad-request")),
        ):
            self.assertEqual(self.refused(client, "set", inner, NS_OWNER), wanted, inner)
        self.configure("blogs", children_association_policy="all")
        self.do(self.juliet, "set", request("associate", "hers"), NS_OWNER)
        self.assertEqual(self.children("blogs"), ["hers", "musings"])
        self.do(self.romeo, "set", request("dissociate", "hers"), NS_OWNER)
        self.assertEqual(self.children("blogs"), ["musings"])

    def test_becomes_collection(self) -> None:
        """A leaf becomes a collection, and its items are gone."""
        self.publish()
        self.configure("musings", node_type="collection")
        self.create("part", collection="musings")
        self.assertEqual(self.children("musings"), ["part"])
        answer = self.do(self.romeo, "get", "<items node='musings'/>")
        self.assertEqual(list(answer.elements()), [])

    def test_deleted(self) -> None:
        """What was in a collection that is deleted is in it no more, also when there is one of its name."""
        self.do(self.romeo, "set", "<delete node='blogs'/>", NS_OWNER)
        self.assertEqual(self.parents("musings"), [])
        self.create("blogs", self.juliet, node_type="collection")
        self.subscribe(self.mercutio, "blogs", options=options(subscription_type="items"))
        self.publish()
        self.assertEqual(events(self.mercutio), [])

    def test_items_of_leaves(self) -> None:
        """Items are fetched through a collection, from those leaves that the asker may read."""
        self.create("closed", collection="blogs", access_model="whitelist")
        self.create("other", collection="blogs")
        for name in ("musings", "closed", "other"):
            self.publish("1", name)
            self.publish("2", name)

        def fetched(client: Client, more: str = "", inner: str = "") -> dict[str, list[str]]:
            answer = self.do(client, "get", f"<items node='blogs' {more}>{inner}</items>")
            return {
                found["node"]: [item["id"] for item in found.elements(NS_PUBSUB, "item")]
                for found in answer.elements(NS_PUBSUB, "items")
            }

        both = ["1", "2"]
        self.assertEqual(fetched(self.juliet), {"musings": both, "other": both})
        self.assertEqual(fetched(self.romeo), {"closed": both, "musings": both, "other": both})
        self.assertEqual(fetched(self.juliet, "max_items='3'"), {"musings": both, "other": ["2"]})
        self.assertEqual(fetched(self.juliet, inner="<item id='2'/>"), {"musings": ["2"], "other": ["2"]})
        self.configure("blogs", access_model="whitelist")
        inner = "<items node='blogs'/>"
        self.assertEqual(self.refused(self.juliet, "get", inner), ("cancel", "not-allowed", "closed-node"))
        page = "<items node='blogs'/><set xmlns='http://jabber.org/protocol/rsm'><max>1</max></set>"
        refused = ("cancel", "feature-not-implemented", "unsupported", "rsm")
        self.assertEqual(self.refused(self.romeo, "get", page), refused)

    def test_closed_leaf(self) -> None:
        """Whoever may not read a leaf does not hear of its items through a collection either."""
        self.configure("musings", access_model="whitelist")
        for client in (self.juliet, self.nurse):
            self.subscribe(client, "blogs", options=options(subscription_type="items"))
        self.affiliate("juliet", "member")
        for client in (self.juliet, self.nurse):
            client.take()
        self.publish()
        self.assertEqual((len(events(self.juliet)), len(events(self.nurse))), (1, 0))
