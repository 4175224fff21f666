"""XEP-0060 sections 5 and 8: nodes are made, found, configured and deleted."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from palaver.errors import StanzaError
from palaver.interfaces import INodeTree, INodeType, IService
from palaver.mistakes import ConfigError
from palaver.pubsub.conditions import NS_META_DATA, NS_OWNER
from palaver.pubsub.kinds import KINDS, PERSONAL
from palaver.test.house import House, now
from palaver.test.pubsub.cases import ENTRY, SERVICE, PubSubCase, events, fields, form, refusal
from palaver.xeps.pubsub import TREES, PubSub

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"


class CreateTests(PubSubCase):
    """Nodes are made."""

    options: ClassVar[dict[str, Any]] = {"max_nodes_user": 3}

    def test_create(self) -> None:
        """A node belongs to whoever made it."""
        self.create()
        answer = self.do(self.romeo, "get", "<affiliations/>")
        (affiliation,) = answer.affiliations.elements()
        self.assertEqual((affiliation["node"], affiliation["affiliation"]), ("musings", "owner"))

    def test_instant(self) -> None:
        """A node without a name gets one."""
        name = self.do(self.romeo, "set", "<create/>").create["node"]
        self.publish("1", name)
        self.assertEqual(self.items(self.juliet, name=name), ["1"])

    def test_configured(self) -> None:
        """A node is made as the request says, and else as the service has it."""
        self.create(title="Musings", access_model="whitelist")
        answer = self.do(self.romeo, "get", "<configure node='musings'/>", NS_OWNER)
        values = fields(answer.configure)
        self.assertEqual((values["title"], values["access_model"]), (["Musings"], ["whitelist"]))
        self.assertEqual((values["max_items"], values["persist_items"]), (["10"], ["true"]))

    def test_twice(self) -> None:
        """There is no second node of a name."""
        self.create()
        for client in (self.romeo, self.juliet):
            self.assertEqual(self.refused(client, "set", "<create node='musings'/>"), ("cancel", "conflict"))

    def test_many(self) -> None:
        """One account makes so many nodes and no more; another one still may."""
        for name in ("a", "b", "c"):
            self.create(name)
        wanted = ("modify", "policy-violation", "max-nodes-exceeded")
        self.assertEqual(self.refused(self.romeo, "set", "<create node='d'/>"), wanted)
        self.create("d", self.juliet)

    def test_bad(self) -> None:
        """A node that cannot be is not made."""

        def configured(inner: str) -> str:
            return f"<create node='x'/><configure>{inner}</configure>"

        for inner, wanted in (
            (f"<create node='{'x' * 191}'/>", ("modify", "not-acceptable")),
            (
                "<create node='x' type='unheard-of'/>",
                ("cancel", "feature-not-implemented", "unsupported", "create-nodes"),
            ),
            (configured(form({"max_items": "many"})), ("modify", "not-acceptable")),
            (configured(form({"max_items": 10_001})), ("modify", "not-acceptable")),
            (configured(form({"max_payload_size": 1_000_000})), ("modify", "not-acceptable")),
            (configured(form({"persist_items": "perhaps"})), ("modify", "not-acceptable")),
            (configured(form({"publish_model": "anarchy"})), ("modify", "not-acceptable")),
            (configured(form({"title": ["one", "two"]})), ("modify", "not-acceptable")),
            (configured(form({"contact": "@"})), ("modify", "not-acceptable")),
            (
                configured(form({"access_model": "guess"})),
                ("modify", "not-acceptable", "unsupported-access-model"),
            ),
            (configured(form({}, "urn:other")), ("modify", "bad-request")),
            (configured(form({}, kind="result")), ("modify", "bad-request")),
        ):
            self.assertEqual(self.refused(self.romeo, "set", inner), wanted, inner)
        self.assertEqual(self.refused(self.romeo, "get", "<items node='x'/>"), ("cancel", "item-not-found"))

    def test_unknown_fields(self) -> None:
        """Fields that nobody knows are passed over."""
        self.create(colour="red", title="Musings")

    def test_default(self) -> None:
        """Anybody may ask what a new node is like, a leaf or a collection."""
        values = fields(self.do(self.juliet, "get", "<default/>", NS_OWNER).default)
        self.assertEqual((values["node_type"], values["access_model"]), (["leaf"], ["open"]))
        values = fields(self.do(self.juliet, "get", "<default type='collection'/>", NS_OWNER).default)
        self.assertEqual(values["node_type"], ["collection"])
        self.assertNotIn("max_items", values)


class AccessTests(PubSubCase):
    """Not everybody may make nodes."""

    options: ClassVar[dict[str, Any]] = {"access_createnode": "none", "host": "news.@HOST@"}

    def test_nobody(self) -> None:
        """A service may let nobody make nodes."""
        answer = self.romeo.ask(
            "<iq type='set' id='1' to='news.example.org'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
            "<create node='x'/></pubsub></iq>"
        )
        self.assertEqual(refusal(answer), ("auth", "forbidden"))


class ConfigureTests(PubSubCase):
    """Owners configure their nodes."""

    def setUp(self) -> None:
        """Have a node."""
        super().setUp()
        self.create(max_items=3)

    def test_change(self) -> None:
        """What an owner changes is changed; the rest stays."""
        self.configure(title="New")
        values = fields(self.do(self.romeo, "get", "<configure node='musings'/>", NS_OWNER).configure)
        self.assertEqual((values["title"], values["max_items"]), (["New"], ["3"]))

    def test_cancel(self) -> None:
        """A form that is cancelled changes nothing."""
        inner = f"<configure node='musings'>{form({'title': 'New'}, kind='cancel')}</configure>"
        self.do(self.romeo, "set", inner, NS_OWNER)
        values = fields(self.do(self.romeo, "get", "<configure node='musings'/>", NS_OWNER).configure)
        self.assertEqual(values["title"], [""])

    def test_notified(self) -> None:
        """Subscribers hear of a new configuration when the node says so."""
        self.subscribe(self.juliet)
        self.configure(title="One")
        self.assertEqual(events(self.juliet), [])
        self.configure(title="Two", notify_config=1)
        (event,) = events(self.juliet)
        self.assertEqual((event.name, fields(event)["title"]), ("configuration", ["Two"]))

    def test_bad(self) -> None:
        """A wrong form changes nothing, and only owners submit any."""
        good = form({"title": "New"})
        for client, inner, wanted in (
            (self.juliet, f"<configure node='musings'>{good}</configure>", ("auth", "forbidden")),
            (self.romeo, f"<configure>{good}</configure>", ("modify", "bad-request", "nodeid-required")),
            (self.romeo, f"<configure node='none'>{good}</configure>", ("cancel", "item-not-found")),
            (self.romeo, "<configure node='musings'/>", ("modify", "bad-request")),
            (
                self.romeo,
                f"<configure node='musings'>{form({'title': 'New', 'subscribe': 'no'})}</configure>",
                ("modify", "not-acceptable"),
            ),
            (
                self.romeo,
                f"<configure node='musings'>{form({'node_type': 'leaf', 'children': 'x'})}</configure>",
                ("cancel", "not-allowed", "invalid-options"),
            ),
        ):
            self.assertEqual(self.refused(client, "set", inner, NS_OWNER), wanted, inner)
        self.assertEqual(
            self.refused(self.juliet, "get", "<configure node='musings'/>", NS_OWNER), ("auth", "forbidden")
        )
        values = fields(self.do(self.romeo, "get", "<configure node='musings'/>", NS_OWNER).configure)
        self.assertEqual(values["title"], [""])

    def test_affiliations(self) -> None:
        """Owners see and change who is affiliated; those concerned hear of it."""
        self.affiliate("juliet", "publisher")
        (message,) = self.juliet.take()
        self.assertEqual(message.pubsub.affiliations.affiliation["affiliation"], "publisher")
        answer = self.do(self.romeo, "get", "<affiliations node='musings'/>", NS_OWNER)
        held = {node["jid"]: node["affiliation"] for node in answer.affiliations.elements()}
        self.assertEqual(held, {"romeo@example.org": "owner", "juliet@example.org": "publisher"})
        self.affiliate("juliet", "none")
        answer = self.do(self.romeo, "get", "<affiliations node='musings'/>", NS_OWNER)
        self.assertEqual(len(list(answer.affiliations.elements())), 1)

    def test_bad_affiliations(self) -> None:
        """All changes are made, or none; a node keeps an owner; only owners change anything."""

        def change(*pairs: tuple[str, str]) -> str:
            inner = "".join(
                f"<affiliation jid='{who}@example.org' affiliation='{is_}'/>" for who, is_ in pairs
            )
            return f"<affiliations node='musings'>{inner}</affiliations>"

        for client, inner, wanted in (
            (self.romeo, change(("juliet", "member"), ("nurse", "king")), ("modify", "not-acceptable")),
            (self.romeo, change(("romeo", "none")), ("modify", "not-acceptable")),
            (
                self.romeo,
                "<affiliations node='musings'><affiliation/></affiliations>",
                ("modify", "bad-request"),
            ),
            (self.juliet, change(("juliet", "owner")), ("auth", "forbidden")),
        ):
            self.assertEqual(self.refused(client, "set", inner, NS_OWNER), wanted, inner)
        answer = self.do(self.romeo, "get", "<affiliations node='musings'/>", NS_OWNER)
        self.assertEqual(len(list(answer.affiliations.elements())), 1)

    def test_give_away(self) -> None:
        """An owner may make somebody else the owner."""
        self.affiliate("juliet", "owner")
        inner = "<affiliation jid='romeo@example.org' affiliation='none'/>"
        self.do(self.juliet, "set", f"<affiliations node='musings'>{inner}</affiliations>", NS_OWNER)
        self.assertEqual(
            self.refused(self.romeo, "set", "<purge node='musings'/>", NS_OWNER), ("auth", "forbidden")
        )

    def test_delete(self) -> None:
        """A node that is deleted is gone, and subscribers hear of it; another may take its name."""
        self.subscribe(self.juliet)
        self.publish("1")
        events(self.juliet)
        self.assertEqual(
            self.refused(self.juliet, "set", "<delete node='musings'/>", NS_OWNER), ("auth", "forbidden")
        )
        self.do(self.romeo, "set", "<delete node='musings'/>", NS_OWNER)
        self.assertEqual([event.name for event in events(self.juliet)], ["delete"])
        self.assertEqual(
            self.refused(self.juliet, "get", "<items node='musings'/>"), ("cancel", "item-not-found")
        )
        self.create(client=self.nurse)
        self.assertEqual(self.items(self.nurse), [])

    def test_moved(self) -> None:
        """Whoever asks for a node that has moved hears where it is."""
        self.subscribe(self.juliet)
        inner = "<delete node='musings'><redirect uri='xmpp:other.example?;node=x'/></delete>"
        self.do(self.romeo, "set", inner, NS_OWNER)
        (event,) = events(self.juliet)
        self.assertEqual(event.redirect["uri"], "xmpp:other.example?;node=x")
        answer = self.ask(self.juliet, "set", "<subscribe node='musings' jid='juliet@example.org'/>")
        self.assertEqual(refusal(answer), ("cancel", "gone"))
        self.assertEqual(str(answer.error.gone), "xmpp:other.example?;node=x")
        self.assertEqual(self.refused(self.juliet, "set", "<create node='musings'/>"), ("cancel", "conflict"))
        self.create()

    def test_deleted_account(self) -> None:
        """An account that is deleted leaves nothing behind that another one of its name could take over."""
        self.subscribe(self.juliet)
        self.affiliate("juliet", "publisher")
        self.create("hers", self.juliet)
        from palaver.routing.lifecycle import delete_account

        now(delete_account(self.house.host, "juliet"))
        answer = self.do(self.romeo, "get", "<affiliations node='musings'/>", NS_OWNER)
        self.assertEqual(len(list(answer.affiliations.elements())), 1)
        answer = self.do(self.romeo, "get", "<subscriptions node='musings'/>", NS_OWNER)
        self.assertEqual(list(answer.subscriptions.elements()), [])
        self.assertEqual(
            self.refused(self.romeo, "get", "<items node='hers'/>"), ("cancel", "item-not-found")
        )


class DiscoveryTests(PubSubCase):
    """What there is."""

    def disco(self, ns: str, node: str = "") -> Any:
        """Ask as Juliet."""
        more = f" node='{node}'" if node else ""
        return self.juliet.ask(f"<iq type='get' id='1' to='{SERVICE}'><query xmlns='{ns}'{more}/></iq>")

    def test_service(self) -> None:
        """The service says that it is one, and what it can do."""
        query = self.disco(INFO).query
        self.assertEqual((query.identity["category"], query.identity["type"]), ("pubsub", "service"))
        features = [node["var"] for node in query.elements() if node.name == "feature"]
        for feature in ("publish", "rsm", "access-whitelist", "collections", "get-pending"):
            self.assertIn(f"http://jabber.org/protocol/pubsub#{feature}", features)

    def test_headers(self) -> None:
        """The service says which headers notifications may have (XEP-0131)."""
        shim = "http://jabber.org/protocol/shim"
        features = [node["var"] for node in self.disco(INFO).query.elements() if node.name == "feature"]
        self.assertIn(shim, features)
        query = self.disco(INFO, shim).query
        self.assertEqual([node["var"] for node in query.elements()], [f"{shim}#Collection", f"{shim}#SubID"])

    def test_listed(self) -> None:
        """The host lists the service."""
        from palaver.xeps.disco import ServiceDiscovery

        self.house.add(ServiceDiscovery)
        query = self.juliet.ask(f"<iq type='get' id='1' to='example.org'><query xmlns='{ITEMS}'/></iq>").query
        self.assertIn(SERVICE, [item["jid"] for item in query.elements()])

    def test_nodes(self) -> None:
        """Those nodes are listed that one may know of."""
        self.create("open", title="For all")
        self.create("closed", access_model="whitelist")
        found = [(item["node"], item.getAttribute("name")) for item in self.disco(ITEMS).query.elements()]
        self.assertEqual(found, [("open", "For all")])
        self.affiliate("juliet", "member", "closed")
        self.assertEqual(len(list(self.disco(ITEMS).query.elements())), 2)

    def test_pages(self) -> None:
        """Many nodes are listed in pages."""
        for name in "abcde":
            self.create(name)
        ask = (
            f"<iq type='get' id='1' to='{SERVICE}'><query xmlns='{ITEMS}'>"
            "<set xmlns='http://jabber.org/protocol/rsm'><max>2</max><after>b</after></set></query></iq>"
        )
        query = self.juliet.ask(ask).query
        self.assertEqual([item["node"] for item in query.elements(ITEMS, "item")], ["c", "d"])

    def test_items(self) -> None:
        """A leaf lists its items."""
        self.create()
        self.publish("1")
        self.assertEqual([item["name"] for item in self.disco(ITEMS, "musings").query.elements()], ["1"])

    def test_metadata(self) -> None:
        """A node says what it is, and who has to do with it."""
        self.create(title="Musings")
        self.affiliate("nurse", "publisher")
        self.subscribe(self.juliet)
        query = self.disco(INFO, "musings").query
        self.assertEqual((query.identity["category"], query.identity["type"]), ("pubsub", "leaf"))
        values = fields(query)
        self.assertEqual(values.pop("FORM_TYPE"), [NS_META_DATA])
        self.assertEqual((values["title"], values["creator"]), (["Musings"], ["romeo@example.org"]))
        self.assertEqual((values["publisher"], values["num_subscribers"]), (["nurse@example.org"], ["1"]))

    def test_hidden(self) -> None:
        """A node that one may not know of is not there."""
        self.create(access_model="whitelist")
        for ns in (INFO, ITEMS):
            for node in ("musings", "none"):
                self.assertEqual(refusal(self.disco(ns, node)), ("cancel", "item-not-found"))

    def test_others(self) -> None:
        """What nobody answers is refused."""
        for xml in ("<query xmlns='jabber:iq:version'/>", "<vCard xmlns='vcard-temp'/>"):
            answer = self.juliet.ask(f"<iq type='get' id='1' to='{SERVICE}'>{xml}</iq>")
            self.assertEqual(refusal(answer), ("cancel", "service-unavailable"))
        answer = self.juliet.ask(f"<iq type='get' id='1' to='x@{SERVICE}'><query xmlns='{INFO}'/></iq>")
        self.assertEqual(refusal(answer), ("cancel", "service-unavailable"))


class KindTests(PubSubCase):
    """Kinds of nodes, and trees."""

    def test_interfaces(self) -> None:
        """What is built in provides its interface."""
        for kind in (*KINDS.values(), PERSONAL):
            verifyObject(INodeType, kind)
        for tree in TREES.values():
            verifyObject(INodeTree, tree)
        verifyObject(IService, self.house.router.services[SERVICE])

    def test_homes(self) -> None:
        """In a home tree everybody has nodes below their own home."""
        self.do(self.romeo, "set", "<create node='/home/example.org/romeo/diary' type='hometree'/>")
        refused = self.refused(
            self.juliet, "set", "<create node='/home/example.org/romeo/x' type='hometree'/>"
        )
        self.assertEqual(refused, ("auth", "forbidden"))
        name = self.do(self.juliet, "set", "<create type='hometree'/>").create["node"]
        self.assertTrue(name.startswith("/home/example.org/juliet/"), name)

    def test_push(self) -> None:
        """A node for push takes notifications for a device, from everybody, and keeps none."""
        self.do(self.romeo, "set", "<create node='phone' type='push'/>")
        options = form({"x": 1}, "http://jabber.org/protocol/pubsub#publish-options")
        push = "<notification xmlns='urn:xmpp:push:0'/>"
        options = options.replace("pubsub#x", "device_id").replace(
            "</x>", "<field var='service'><value>fcm</value></field></x>"
        )
        inner = (
            f"<publish node='phone'><item>{push}</item></publish><publish-options>{options}</publish-options>"
        )
        self.do(self.juliet, "set", inner)
        inner = f"<publish node='phone'><item>{push}</item></publish>"
        self.assertEqual(
            self.refused(self.juliet, "set", inner), ("cancel", "conflict", "precondition-not-met")
        )
        inner = f"<publish node='phone'><item>{ENTRY}</item></publish>"
        self.assertEqual(self.refused(self.juliet, "set", inner), ("modify", "bad-request"))


class PathTests(PubSubCase):
    """A service whose nodes are in a tree by their names."""

    options: ClassVar[dict[str, Any]] = {"nodetree": "tree", "default_node_config": {"max_items": 3}}

    def test_paths(self) -> None:
        """A path's parent has to be there and to be one's own."""
        self.assertEqual(
            self.refused(self.romeo, "set", "<create node='a/b'/>"), ("cancel", "item-not-found")
        )
        self.create("a")
        self.create("a/b")
        self.assertEqual(self.refused(self.juliet, "set", "<create node='a/c'/>"), ("auth", "forbidden"))
        self.assertEqual(self.refused(self.romeo, "set", "<create node='a/'/>"), ("modify", "not-acceptable"))

    def test_no_collections(self) -> None:
        """There are no collections then."""
        inner = f"<create node='c'/><configure>{form({'node_type': 'collection'})}</configure>"
        wanted = ("cancel", "feature-not-implemented", "unsupported", "collections")
        self.assertEqual(self.refused(self.romeo, "set", inner), wanted)
        self.create("a")
        for inner in (
            f"<configure node='a'>{form({'node_type': 'collection'})}</configure>",
            "<collection node='a'><associate node='a'/></collection>",
        ):
            self.assertEqual(self.refused(self.romeo, "set", inner, NS_OWNER), wanted)

    def test_defaults(self) -> None:
        """The config file says what new nodes are like."""
        values = fields(self.do(self.romeo, "get", "<default/>", NS_OWNER).default)
        self.assertEqual(values["max_items"], ["3"])


class OptionTests(SynchronousTestCase):
    """Options of the module."""

    def test_others(self) -> None:
        """An application may bring kinds of nodes and trees of its own."""

        @implementer(INodeTree)
        class Shouting:
            def check_name(self, name: str, creator: str, owners: object) -> None:
                if name != name.upper():
                    raise StanzaError("not-acceptable")

            def new_name(self, creator: str) -> str:
                return "NAME"

        house = House()
        house.host.registry.registerUtility(Shouting(), INodeTree, "shouting")
        house.add(PubSub, nodetree="shouting")
        romeo = house.login("romeo")
        head = f"<iq type='set' id='1' to='{SERVICE}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
        self.assertEqual(romeo.ask(f"{head}<create node='x'/></pubsub></iq>")["type"], "error")
        self.assertEqual(romeo.ask(f"{head}<create node='X'/></pubsub></iq>")["type"], "result")

    def test_wrong(self) -> None:
        """Kinds and trees that there are not, and a domain that is taken, stop the start."""
        for options in ({"nodetree": "oak"}, {"plugins": ("odd",)}, {"host": "@HOST@"}):
            self.assertRaises(ConfigError, House().add, PubSub, **options)

    def test_wrong_defaults(self) -> None:
        """Defaults for nodes are checked when the config is read."""
        for given in ({"colour": "red"}, {"access_model": "secret"}, {"max_items": "many"}):
            self.assertRaises(ValueError, PubSub.Settings, default_node_config=given)

    def test_unloaded(self) -> None:
        """Without the module nobody answers for the domain."""
        house = House(PubSub)
        house.modules["PubSub"].detach()
        self.assertNotIn(SERVICE, house.router.services)
