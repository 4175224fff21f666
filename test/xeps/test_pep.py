"""XEP-0163, 0222, 0223, and what 0084, 0107, 0118, 0172, 0384 and 0490 need of it."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish
from zope.interface import implementer
from zope.interface.verify import verifyObject

from palaver.errors import StanzaError
from palaver.events import CapabilitiesKnown, ItemPublished, ItemRetracted
from palaver.interfaces import ICapabilities, IPersonalEventing
from palaver.pubsub import notices, store
from palaver.pubsub.conditions import NS_EVENT, NS_OWNER, NS_PUBLISH_OPTIONS, NS_PUBSUB
from palaver.pubsub.remote import RemoteClients
from palaver.routing.lifecycle import delete_account
from palaver.routing.pipeline import DROP, TO_SESSION, TO_USER, Drop
from palaver.routing.users import bind
from palaver.stanza import Stanza
from palaver.test.house import Client, House, now, stanza
from palaver.test.pubsub.cases import events, fields, form, refusal
from palaver.xeps.blocking import Blocking
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.pep import PersonalEventing
from palaver.xeps.roster import Roster

MOOD = "http://jabber.org/protocol/mood"
TUNE = "http://jabber.org/protocol/tune"
DEVICES = "eu.siacs.conversations.axolotl.devicelist"
INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"


@implementer(ICapabilities)
class Capabilities:
    """What clients can do, as a test says."""

    def __init__(self) -> None:
        self.known: dict[str, frozenset[str]] = {}

    def features(self, full: str) -> frozenset[str] | None:
        """See ICapabilities."""
        return self.known.get(full)


class PepCase(SynchronousTestCase):
    """Romeo publishes; Juliet, a friend, and the nurse see his presence, Mercutio does not."""

    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Make friends."""
        self.house = House(Roster, ServiceDiscovery, PersonalEventing, PersonalEventing=self.options)
        self.capabilities = Capabilities()
        self.house.host.provide(self.capabilities, ICapabilities)
        self.romeo = self.house.login("romeo", "home", "<presence/>")
        self.juliet = self.house.login("juliet", "home", "<presence/>")
        self.nurse = self.house.login("nurse", "home", "<presence/>")
        self.mercutio = self.house.login("mercutio", "home", "<presence/>")
        for name, group in (("juliet", "friends"), ("nurse", "others")):
            self.befriend(getattr(self, name), group)
        self.take()

    def befriend(self, client: Client, group: str) -> None:
        """Let a client's account see Romeo's presence."""
        bare = client.session.user.bare
        self.romeo.send(
            f"<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='{bare}'>"
            f"<group>{group}</group></item></query></iq>"
        )
        client.send("<presence type='subscribe' to='romeo@example.org'/>")
        self.romeo.send(f"<presence type='subscribed' to='{bare}'/>")

    def take(self) -> None:
        """Forget what came."""
        for client in (self.romeo, self.juliet, self.nurse, self.mercutio):
            client.take()

    def asks(self, client: Client, *nodes: str) -> None:
        """Have a client say which nodes it wants to hear of."""
        full, features = client.session.jid.full, frozenset(f"{node}+notify" for node in nodes)
        self.capabilities.known[full] = features
        self.house.host.events.fire(CapabilitiesKnown(self.house.host, full, features))

    def ask(self, client: Client, kind: str, inner: str, to: str = "", ns: str = NS_PUBSUB) -> domish.Element:
        """Send a request, to one's own account or another."""
        address = f" to='{to}'" if to else ""
        return client.ask(f"<iq type='{kind}' id='1'{address}><pubsub xmlns='{ns}'>{inner}</pubsub></iq>")

    def publish(
        self, item: str = "current", node: str = MOOD, client: Client | None = None, **options: Any
    ) -> Any:
        """Publish something, by Romeo; give the answer."""
        inner = f"<publish node='{node}'><item id='{item}'><happy xmlns='{node}'/></item></publish>"
        if options:
            inner += f"<publish-options>{form(options, NS_PUBLISH_OPTIONS)}</publish-options>"
        answer = self.ask(client or self.romeo, "set", inner)
        self.assertEqual(answer["type"], "result", answer.toXml())
        return answer

    def items(self, client: Client, node: str = MOOD, to: str = "romeo@example.org") -> list[str]:
        """Give the ids of the items that somebody gets."""
        answer = self.ask(client, "get", f"<items node='{node}'/>", to)
        self.assertEqual(answer["type"], "result", answer.toXml())
        return [item["id"] for item in answer.pubsub.items.elements()]

    def configuration(self, node: str = MOOD) -> dict[str, list[str]]:
        """Give the configuration of a node of Romeo's."""
        answer = self.ask(self.romeo, "get", f"<configure node='{node}'/>", ns=NS_OWNER)
        return fields(answer.pubsub.configure)


class PublishTests(PepCase):
    """What is published makes its node, and goes to those who ask for it."""

    def test_created(self) -> None:
        """The first item makes the node, for those who see the presence, with one item."""
        answer = self.publish()
        self.assertEqual((answer["from"], answer.pubsub.publish["node"]), ("romeo@example.org", MOOD))
        values = self.configuration()
        self.assertEqual((values["access_model"], values["max_items"]), (["presence"], ["1"]))
        self.assertEqual(values["send_last_published_item"], ["on_sub_and_presence"])
        self.publish("second")
        self.assertEqual(self.items(self.juliet), ["second"])

    def test_options(self) -> None:
        """Publish options say what a new node is like, and what one has to be like that is there."""
        self.publish(access_model="whitelist", max_items="max", persist_items="true")
        self.assertEqual(self.configuration()["access_model"], ["whitelist"])
        self.publish(access_model="whitelist", persist_items="true")
        inner = f"<publish node='{MOOD}'><item><a xmlns='urn:a'/></item></publish>"
        inner += f"<publish-options>{form({'access_model': 'open'}, NS_PUBLISH_OPTIONS)}</publish-options>"
        wanted = ("cancel", "conflict", "precondition-not-met")
        self.assertEqual(refusal(self.ask(self.romeo, "set", inner)), wanted)

    def test_wrong_options(self) -> None:
        """Options that no node can have make none."""
        for options, wanted in (
            ({"colour": "red"}, ("cancel", "conflict", "precondition-not-met")),
            ({"access_model": "authorize"}, ("modify", "not-acceptable", "unsupported-access-model")),
            ({"max_items": "1000"}, ("modify", "not-acceptable")),
            (
                {"node_type": "collection"},
                ("cancel", "feature-not-implemented", "unsupported", "collections"),
            ),
        ):
            inner = f"<publish node='{MOOD}'><item><a xmlns='urn:a'/></item></publish>"
            inner += f"<publish-options>{form(options, NS_PUBLISH_OPTIONS)}</publish-options>"
            self.assertEqual(refusal(self.ask(self.romeo, "set", inner)), wanted)
        answer = self.ask(self.romeo, "get", f"<items node='{MOOD}'/>")
        self.assertEqual(refusal(answer), ("cancel", "item-not-found"))

    def test_filtered(self) -> None:
        """Those contacts and those own resources are notified who have asked for the node."""
        phone = self.house.login("romeo", "phone", "<presence/>")
        self.asks(self.juliet, MOOD)
        self.asks(self.nurse, TUNE)
        self.asks(self.mercutio, MOOD)
        self.asks(phone, MOOD)
        self.take()
        phone.take()
        self.publish()
        (message,) = self.juliet.take()
        self.assertEqual((message["from"], message["type"]), ("romeo@example.org", "headline"))
        self.assertEqual(message["to"], "juliet@example.org/home")
        self.assertEqual(message.event.items.item["id"], "current")
        found = [len(events(client)) for client in (phone, self.nurse, self.mercutio, self.romeo)]
        self.assertEqual(found, [1, 0, 0, 0])

    def test_each_resource_once(self) -> None:
        """Whoever has subscribed as well is told once."""
        self.publish()
        self.asks(self.juliet, MOOD)
        inner = f"<subscribe node='{MOOD}' jid='juliet@example.org'/>"
        self.assertEqual(self.ask(self.juliet, "set", inner, "romeo@example.org")["type"], "result")
        self.juliet.take()
        self.publish()
        self.assertEqual(len(events(self.juliet)), 1)

    def test_not_any_more(self) -> None:
        """A contact who does not see the presence any more, or a client that is gone, hears nothing."""
        self.asks(self.juliet, MOOD)
        self.asks(self.nurse, MOOD)
        self.romeo.send("<presence type='unsubscribed' to='juliet@example.org'/>")
        self.nurse.send("<presence type='unavailable'/>")
        self.take()
        self.publish()
        self.assertEqual((events(self.juliet), events(self.nurse)), ([], []))

    def test_roster_groups(self) -> None:
        """A node may be for groups of the roster."""
        self.asks(self.juliet, MOOD)
        self.asks(self.nurse, MOOD)
        self.publish(access_model="roster", roster_groups_allowed="friends")
        self.assertEqual((len(events(self.juliet)), len(events(self.nurse))), (1, 0))

    def test_whitelist(self) -> None:
        """A private node is for the account's own resources, and for those who are named."""
        self.asks(self.juliet, MOOD)
        self.asks(self.romeo, MOOD)
        closed = form({"access_model": "whitelist"}, NS_PUBLISH_OPTIONS)
        self.romeo.send(
            f"<iq type='set' id='p'><pubsub xmlns='{NS_PUBSUB}'><publish node='{MOOD}'><item>"
            f"<a xmlns='urn:a'/></item></publish><publish-options>{closed}</publish-options></pubsub></iq>"
        )
        self.assertEqual((len(events(self.romeo)), len(events(self.juliet))), (1, 0))
        change = "<affiliation jid='juliet@example.org' affiliation='member'/>"
        self.ask(self.romeo, "set", f"<affiliations node='{MOOD}'>{change}</affiliations>", ns=NS_OWNER)
        self.juliet.take()
        self.publish()
        self.assertEqual(len(events(self.juliet)), 1)

    def test_refused(self) -> None:
        """Whoever may not see a node hears why; nobody writes into somebody else's."""
        self.publish()
        self.publish("1", "closed", access_model="whitelist")
        self.publish("1", "group", access_model="roster", roster_groups_allowed="friends")
        for client, node, wanted in (
            (self.mercutio, MOOD, ("auth", "not-authorized", "presence-subscription-required")),
            (self.nurse, "group", ("auth", "not-authorized", "not-in-roster-group")),
            (self.juliet, "closed", ("cancel", "not-allowed", "closed-node")),
            (self.juliet, "none", ("cancel", "item-not-found")),
        ):
            answer = self.ask(client, "get", f"<items node='{node}'/>", "romeo@example.org")
            self.assertEqual(refusal(answer), wanted)
        inner = f"<publish node='{MOOD}'><item><a xmlns='urn:a'/></item></publish>"
        answer = self.ask(self.juliet, "set", inner, "romeo@example.org")
        self.assertEqual(refusal(answer), ("auth", "forbidden"))
        inner = "<publish node='new'><item><a xmlns='urn:a'/></item></publish>"
        for owner in ("romeo", "nobody"):
            answer = self.ask(self.juliet, "set", inner, f"{owner}@example.org")
            self.assertEqual(refusal(answer), ("cancel", "item-not-found"))
        answer = self.ask(self.juliet, "set", "<create node='x'/>", "romeo@example.org")
        self.assertEqual(refusal(answer), ("auth", "forbidden"))
        answer = self.ask(self.juliet, "set", f"<delete node='{MOOD}'/>", "romeo@example.org", NS_OWNER)
        self.assertEqual(refusal(answer), ("auth", "forbidden"))

    def test_omemo(self) -> None:
        """Devices and bundles are open to everybody, with a bundle for each device; so may other nodes be."""
        self.publish("current", DEVICES, access_model="open")
        bundles = "urn:xmpp:omemo:2:bundles"
        for device in ("1", "2", "3"):
            self.publish(device, bundles, access_model="open", max_items="max")
        self.assertEqual(self.items(self.mercutio, DEVICES), ["current"])
        self.assertEqual(self.items(self.mercutio, bundles), ["1", "2", "3"])
        self.publish()
        change = form({"access_model": "open"})
        self.ask(self.romeo, "set", f"<configure node='{MOOD}'>{change}</configure>", ns=NS_OWNER)
        self.assertEqual(self.items(self.mercutio), ["current"])

    def test_private_storage(self) -> None:
        """XEP-0223: an account keeps things for itself, as many as the server allows."""
        for room in ("a@muc", "b@muc"):
            self.publish(
                room,
                "urn:xmpp:bookmarks:1",
                persist_items="true",
                max_items="max",
                send_last_published_item="never",
                access_model="whitelist",
            )
        self.assertEqual(self.items(self.romeo, "urn:xmpp:bookmarks:1"), ["a@muc", "b@muc"])

    def test_retract(self) -> None:
        """Those who would hear of an item hear that it is gone."""
        self.publish()
        self.asks(self.juliet, MOOD)
        self.juliet.take()
        inner = f"<retract node='{MOOD}' notify='1'><item id='current'/></retract>"
        self.ask(self.romeo, "set", inner)
        self.assertEqual([event.retract["id"] for event in events(self.juliet)], ["current"])

    def test_large(self) -> None:
        """An item that is too large is refused; an avatar of 90 KiB is not."""
        for size, kind in ((120_000, "result"), (140_000, "error"), (180_000, "error")):
            inner = (
                f"<publish node='urn:xmpp:avatar:data'><item><data xmlns='urn:xmpp:avatar:data'>{'x' * size}"
            )
            answer = self.ask(self.romeo, "set", f"{inner}</data></item></publish>")
            self.assertEqual(answer["type"], kind, size)


class HiddenTests(PepCase):
    """Those whom an account has shut out."""

    def test_blocked(self) -> None:
        """A contact who is blocked hears of nothing, neither at once nor when coming online."""
        self.house.add(Blocking)
        self.asks(self.juliet, MOOD)
        self.romeo.ask(
            "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>"
            "<item jid='juliet@example.org'/></block></iq>"
        )
        self.take()
        self.publish()
        self.publish("1", TUNE)
        self.asks(self.juliet, MOOD, TUNE)
        self.assertEqual(events(self.juliet), [])
        answer = self.ask(self.juliet, "get", f"<items node='{MOOD}'/>", "romeo@example.org")
        self.assertEqual(refusal(answer), ("cancel", "service-unavailable"))

    def test_blocked_by(self) -> None:
        """A contact who has blocked the account hears of nothing either; the others do."""
        self.house.add(Blocking)
        for client in (self.juliet, self.nurse):
            self.asks(client, MOOD)
        self.juliet.ask(
            "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>"
            "<item jid='romeo@example.org'/></block></iq>"
        )
        self.take()
        self.publish()
        self.assertEqual((events(self.juliet), len(events(self.nurse))), ([], 1))

    def test_looked_at(self) -> None:
        """A module that looks at messages sees notifications too."""
        seen = []

        def look(stanza: Stanza, context: Any) -> Drop:
            seen.append(stanza.attrs["to"])
            return DROP

        self.asks(self.juliet, MOOD)
        for direction in (TO_USER, TO_SESSION):
            remove = self.house.host.pipeline.add(direction, "notice", ("message",), "mod_x", look)
            self.publish()
            self.assertEqual((seen, events(self.juliet)), (["juliet@example.org/home"], []))
            seen.clear()
            remove()

    def test_several_turns(self) -> None:
        """Many notifications do not fill one turn; who goes meanwhile is left out."""
        self.patch(notices, "MAX_PER_TURN", 1)
        for client in (self.juliet, self.nurse):
            self.asks(client, MOOD)
        self.take()
        inner = f"<publish node='{MOOD}'><item id='1'><happy xmlns='{MOOD}'/></item></publish>"
        self.romeo.send(f"<iq type='set' id='1'><pubsub xmlns='{NS_PUBSUB}'>{inner}</pubsub></iq>")
        got = [len(events(client)) for client in (self.juliet, self.nurse)]
        self.assertEqual(sum(got), 1)
        late = (self.juliet, self.nurse)[got.index(0)]
        self.house.clock.advance(0)
        self.assertEqual(len(events(late)), 1)


class LimitTests(PepCase):
    """Nothing grows without end."""

    options: ClassVar[dict[str, Any]] = {"max_nodes_user": 2, "max_items": 3}

    def test_nodes(self) -> None:
        """An account has so many nodes and no more."""
        self.publish(node="a")
        self.publish(node="b")
        answer = self.ask(self.romeo, "set", "<publish node='c'><item><a xmlns='urn:a'/></item></publish>")
        self.assertEqual(refusal(answer), ("modify", "policy-violation", "max-nodes-exceeded"))

    def test_items(self) -> None:
        """What max stands for is what a node keeps."""
        for item in "12345":
            self.publish(item, max_items="max")
        self.assertEqual(self.items(self.romeo), ["3", "4", "5"])


class PresenceTests(PepCase):
    """Last items come with presence."""

    def setUp(self) -> None:
        """Have Romeo in a mood."""
        super().setUp()
        self.publish()
        self.take()

    def test_when_asked(self) -> None:
        """A client gets the last items of the nodes that it asks for, stamped, once."""
        self.asks(self.juliet, MOOD)
        (message,) = self.juliet.take()
        self.assertEqual((message["from"], message["to"]), ("romeo@example.org", "juliet@example.org/home"))
        self.assertEqual((message.event.items["node"], message.delay.uri), (MOOD, "urn:xmpp:delay"))
        self.asks(self.juliet, MOOD)
        self.assertEqual(self.juliet.take(), [])
        self.publish("1", TUNE)
        self.asks(self.juliet, MOOD, TUNE)
        self.assertEqual([event["node"] for event in events(self.juliet)], [TUNE])

    def test_asked_again(self) -> None:
        """A client that has stopped to ask, and asks again, gets the last item again."""
        self.asks(self.juliet, MOOD)
        self.asks(self.juliet)
        self.juliet.take()
        self.asks(self.juliet, MOOD)
        self.assertEqual([event["node"] for event in events(self.juliet)], [MOOD])

    def test_own(self) -> None:
        """The account's own clients get them too."""
        self.asks(self.romeo, MOOD)
        self.assertEqual([event["node"] for event in events(self.romeo)], [MOOD])

    def test_again(self) -> None:
        """A client that comes online again gets them again, when what it can do is known already."""
        self.asks(self.juliet, MOOD)
        self.juliet.send("<presence type='unavailable'/>")
        self.juliet.take()
        self.juliet.send("<presence/>")
        self.assertEqual([event["node"] for event in events(self.juliet)], [MOOD])

    def test_strangers(self) -> None:
        """Whoever does not see the presence gets nothing, nor does one who may not see the node."""
        self.publish("1", "closed", access_model="whitelist")
        self.asks(self.mercutio, MOOD, "closed")
        self.asks(self.juliet, "closed")
        self.assertEqual((events(self.mercutio), events(self.juliet)), ([], []))

    def test_never(self) -> None:
        """A node may have its last item sent to nobody."""
        self.publish("1", TUNE, send_last_published_item="never")
        self.asks(self.juliet, TUNE)
        self.assertEqual(events(self.juliet), [])

    def test_new_contact(self) -> None:
        """A contact who sees the presence from now on gets them."""
        self.asks(self.mercutio, MOOD)
        self.befriend(self.mercutio, "new")
        self.assertEqual([event["node"] for event in events(self.mercutio)], [MOOD])

    def test_offline(self) -> None:
        """Of contacts who are offline nothing comes, unless that is configured."""
        self.romeo.session.unbind()
        self.asks(self.juliet, MOOD)
        self.assertEqual(events(self.juliet), [])
        module: Any = self.house.modules["PersonalEventing"]
        module.settings = module.settings.model_copy(update={"ignore_pep_from_offline": False})
        self.juliet.send("<presence type='unavailable'/><presence/>")
        self.assertEqual([event["node"] for event in events(self.juliet)], [MOOD])

    def test_purge_offline(self) -> None:
        """A node may be emptied when its owner goes."""
        self.publish("1", TUNE, purge_offline="true")
        self.romeo.send("<presence type='unavailable'/>")
        self.assertEqual((self.items(self.romeo), self.items(self.romeo, TUNE)), (["current"], []))

    def test_without_capabilities(self) -> None:
        """Where nobody knows what clients can do, those are notified who have subscribed."""
        house = House(PersonalEventing)
        romeo = house.login("romeo", "home", "<presence/>")
        romeo.take()
        head = f"<iq type='set' id='1'><pubsub xmlns='{NS_PUBSUB}'>"
        inner = f"<publish node='{MOOD}'><item><a xmlns='urn:a'/></item></publish></pubsub></iq>"
        self.assertEqual(romeo.ask(head + inner)["type"], "result")
        romeo.send("<presence type='unavailable'/><presence/>")
        romeo.take()
        romeo.ask(f"{head}<subscribe node='{MOOD}' jid='romeo@example.org/home'/></pubsub></iq>")
        romeo.take()
        romeo.send(head + inner)
        self.assertEqual(len(events(romeo)), 1)


class ElsewhereTests(PepCase):
    """Contacts on other servers."""

    BENVOLIO = "benvolio@elsewhere.example"

    def setUp(self) -> None:
        """Have Benvolio see Romeo's presence, and note what goes to his server."""
        super().setUp()
        self.sent: list[Any] = []
        self.patch(self.house.router.remote, "deliver", lambda stanza, to: self.sent.append(stanza))
        self.come(f"<presence type='subscribe' from='{self.BENVOLIO}' to='romeo@example.org'/>")
        self.romeo.send(f"<presence type='subscribed' to='{self.BENVOLIO}'/>")
        self.publish()
        self.sent.clear()

    def come(self, xml: str) -> None:
        """Have a stanza come from the other server."""
        self.house.router.route(stanza(xml))

    def present(self, type: str = "") -> None:
        """Have Benvolio's presence come."""
        attribute = f" type='{type}'" if type else ""
        self.come(f"<presence from='{self.BENVOLIO}/x' to='romeo@example.org'{attribute}/>")

    def asks_elsewhere(self, *nodes: str) -> None:
        """Have it become known what Benvolio's client asks for."""
        features = frozenset(f"{node}+notify" for node in nodes)
        self.capabilities.known[f"{self.BENVOLIO}/x"] = features
        self.house.host.events.fire(CapabilitiesKnown(self.house.host, f"{self.BENVOLIO}/x", features))

    def got(self) -> list[str]:
        """Give what came for Benvolio's client: the nodes of events."""
        found = [
            sent for sent in self.sent if sent.attrs["to"] == f"{self.BENVOLIO}/x" and sent.name == "message"
        ]
        self.sent.clear()
        return [sent.element.event.items["node"] for sent in found]

    def test_notified(self) -> None:
        """A client there gets the last item once, and new ones, as long as it is online."""
        self.present()
        self.asks_elsewhere(MOOD)
        self.assertEqual(self.got(), [MOOD])
        self.present()
        self.assertEqual(self.got(), [])
        self.publish("2")
        self.assertEqual(self.got(), [MOOD])
        self.asks_elsewhere()
        self.publish("2")
        self.assertEqual(self.got(), [])
        self.asks_elsewhere(MOOD)
        self.assertEqual(self.got(), [MOOD])
        self.present("unavailable")
        self.publish("3")
        self.assertEqual(self.got(), [])
        self.present()
        self.assertEqual(self.got(), [MOOD])

    def test_not_seen(self) -> None:
        """A client there of somebody who does not see the presence gets nothing."""
        self.romeo.send(f"<presence type='unsubscribed' to='{self.BENVOLIO}'/>")
        self.present()
        self.asks_elsewhere(MOOD)
        self.publish("2")
        self.assertEqual(self.got(), [])

    def test_bounded(self) -> None:
        """Only so many clients elsewhere are remembered, those that were heard of last."""
        clients = RemoteClients(2)
        for name in ("a", "b", "a", "c"):
            clients.came(f"{name}@elsewhere.example/x", "romeo")
        found = [len(clients.of(f"{name}@elsewhere.example", "romeo")) for name in "abc"]
        self.assertEqual(found, [1, 0, 1])


class LoginTests(PepCase):
    """What a login costs."""

    def test_no_query(self) -> None:
        """Nodes come with the login's one query: nothing more is read for them."""
        self.publish()
        self.romeo.session.unbind()
        storage: Any = self.house.storage.documents
        reads: list[Any] = []
        documents = now(storage.list("example.org", "romeo", self.house.host.login_kinds))
        self.assertIn(store.ACCOUNT_NODE, [document.kind for document in documents])

        def counted(asked: Any) -> Any:
            def ask(*given: Any, **more: Any) -> Any:
                reads.append(given)
                return asked(*given, **more)

            return ask

        for name in ("get", "list", "find", "count", "owners"):
            self.patch(storage, name, counted(getattr(storage, name)))
        client = Client(self.house)
        client.session = now(bind(self.house.host, client, "romeo", "home", documents))
        client.send("<presence/>")
        self.assertEqual([given for given in reads if "pep" in str(given)], [])
        self.asks(client, TUNE)
        self.assertEqual([given for given in reads if "pep" in str(given)], [])
        self.asks(client, MOOD)
        self.assertEqual([event["node"] for event in events(client)], [MOOD])

    def test_late_change(self) -> None:
        """A node that came between the login's query and its end is known."""
        documents = now(
            self.house.storage.documents.list("example.org", "romeo", self.house.host.login_kinds)
        )
        self.romeo.session.unbind()
        eventing: Any = self.house.host.query(IPersonalEventing)
        now(eventing.publish("romeo", MOOD, "1", b"<a xmlns='urn:a'/>"))
        client = Client(self.house)
        client.session = now(bind(self.house.host, client, "romeo", "home", documents))
        client.send("<presence/>")
        self.asks(client, MOOD)
        self.assertEqual([event["node"] for event in events(client)], [MOOD])


class ModuleTests(PepCase):
    """What other modules do with it."""

    def setUp(self) -> None:
        """Listen."""
        super().setUp()
        self.eventing: Any = self.house.host.query(IPersonalEventing)
        self.heard: list[Any] = []
        for event in (ItemPublished, ItemRetracted):
            self.house.host.events.add(event, "test", self.heard.append)

    def test_interface(self) -> None:
        """The module provides what it says."""
        verifyObject(IPersonalEventing, self.eventing)
        verifyObject(ICapabilities, self.capabilities)

    def test_publish(self) -> None:
        """A module publishes in the name of an account, and reads, and takes away."""
        self.asks(self.juliet, MOOD)
        payload = b"<happy xmlns='urn:a'/>"
        options = {"access_model": "open", "max_items": "max"}
        self.assertEqual(now(self.eventing.publish("romeo", MOOD, "1", payload, options)), "1")
        now(self.eventing.publish("romeo", MOOD, None, payload, options))
        self.assertEqual(len(events(self.juliet)), 2)
        found = now(self.eventing.items("romeo", MOOD))
        self.assertEqual([item.payload for item in found], [payload, payload])
        self.assertEqual([item.id for item in now(self.eventing.items("romeo", MOOD, ["1", "x"]))], ["1"])
        self.assertEqual(len(now(self.eventing.items("romeo", MOOD, limit=1))), 1)
        self.assertEqual(now(self.eventing.configuration("romeo", MOOD))["access_model"], "open")
        self.assertTrue(now(self.eventing.retract("romeo", MOOD, "1")))
        self.assertFalse(now(self.eventing.retract("romeo", MOOD, "1")))
        self.assertTrue(now(self.eventing.purge("romeo", MOOD)))
        self.assertEqual(now(self.eventing.items("romeo", MOOD)), [])

    def test_nothing(self) -> None:
        """Where there is no node there is nothing."""
        self.assertEqual(now(self.eventing.items("romeo", "none")), [])
        self.assertIsNone(now(self.eventing.configuration("romeo", "none")))
        self.assertFalse(now(self.eventing.retract("romeo", "none", "1")))
        self.assertFalse(now(self.eventing.purge("romeo", "none")))

    def test_conflict(self) -> None:
        """A node that is not as a module wants it refuses the module's item too."""
        self.publish(access_model="whitelist")
        waiting = self.eventing.publish("romeo", MOOD, "1", b"<a xmlns='urn:a'/>", {"access_model": "open"})
        self.assertEqual(self.failureResultOf(waiting, StanzaError).value.condition, "conflict")

    def test_events(self) -> None:
        """Modules hear of what is published and taken away, and by whom."""
        self.publish()
        now(self.eventing.publish("romeo", MOOD, "2", b"<a xmlns='urn:a'/>"))
        inner = f"<retract node='{MOOD}'><item id='2'/></retract>"
        self.ask(self.romeo, "set", inner)
        self.ask(self.romeo, "set", f"<purge node='{MOOD}'/>", ns=NS_OWNER)
        host = self.house.host
        payload = f"<happy xmlns='{MOOD}'/>".encode()
        self.assertEqual(
            self.heard,
            [
                ItemPublished(host, "romeo", MOOD, "current", payload, "romeo@example.org/home"),
                ItemPublished(host, "romeo", MOOD, "2", b"<a xmlns='urn:a'/>", None),
                ItemRetracted(host, "romeo", MOOD, "2"),
                ItemRetracted(host, "romeo", MOOD, None),
            ],
        )

    def test_in_turn(self) -> None:
        """A module may publish to the same node when it hears of an item."""

        def listen(event: Any) -> Any:
            return (
                self.eventing.publish("romeo", MOOD, "2", b"<a xmlns='urn:a'/>")
                if event.item_id != "2"
                else None
            )

        self.house.host.events.add(ItemPublished, "test", listen)
        self.publish()
        self.assertEqual(self.items(self.romeo), ["2"])


class AccountTests(PepCase):
    """Accounts say what they have, and take it with them."""

    def disco(self, client: Client, ns: str, node: str = "") -> domish.Element:
        """Ask Romeo's account."""
        more = f" node='{node}'" if node else ""
        return client.ask(f"<iq type='get' id='1' to='romeo@example.org'><query xmlns='{ns}'{more}/></iq>")

    def test_features(self) -> None:
        """An account is a service of its own, with what clients look for."""
        query = self.disco(self.juliet, INFO).query
        identities = [
            (node["category"], node["type"]) for node in query.elements() if node.name == "identity"
        ]
        features = [node["var"] for node in query.elements() if node.name == "feature"]
        self.assertIn(("pubsub", "pep"), identities)
        for feature in (
            "publish-options",
            "auto-create",
            "config-node-max",
            "multi-items",
            "persistent-items",
        ):
            self.assertIn(f"http://jabber.org/protocol/pubsub#{feature}", features)
        self.assertNotIn("http://jabber.org/protocol/pubsub#access-authorize", features)

    def test_server(self) -> None:
        """The server says what some clients look for there."""
        query = self.juliet.ask(f"<iq type='get' id='1' to='example.org'><query xmlns='{INFO}'/></iq>").query
        features = [node["var"] for node in query.elements() if node.name == "feature"]
        self.assertLessEqual({NS_PUBSUB, f"{NS_PUBSUB}#access-whitelist"}, set(features))

    def test_nodes(self) -> None:
        """Nodes are listed that one may know of, with their items, and described."""
        self.publish()
        self.publish("1", "closed", access_model="whitelist")
        found = [node.getAttribute("node") for node in self.disco(self.juliet, ITEMS).query.elements()]
        self.assertEqual(found, [None, MOOD])
        found = [node["name"] for node in self.disco(self.juliet, ITEMS, MOOD).query.elements()]
        self.assertEqual(found, ["current"])
        self.assertEqual(self.disco(self.juliet, INFO, MOOD).query.identity["type"], "leaf")
        self.assertEqual(refusal(self.disco(self.juliet, INFO, "closed")), ("cancel", "item-not-found"))

    def test_deleted(self) -> None:
        """With the account its nodes are gone, and what it was to others' nodes."""
        self.publish()
        change = "<affiliation jid='juliet@example.org' affiliation='member'/>"
        self.publish("1", "closed", access_model="whitelist")
        self.ask(self.romeo, "set", f"<affiliations node='closed'>{change}</affiliations>", ns=NS_OWNER)
        self.ask(
            self.juliet, "set", "<subscribe node='closed' jid='juliet@example.org'/>", "romeo@example.org"
        )
        now(delete_account(self.house.host, "juliet"))
        answer = self.ask(self.romeo, "get", "<affiliations node='closed'/>", ns=NS_OWNER)
        self.assertEqual(
            [node["jid"] for node in answer.pubsub.affiliations.elements()], ["romeo@example.org"]
        )
        answer = self.ask(self.romeo, "get", "<subscriptions node='closed'/>", ns=NS_OWNER)
        self.assertEqual(list(answer.pubsub.subscriptions.elements()), [])
        now(delete_account(self.house.host, "romeo"))
        self.house.accounts.names.add("romeo")
        self.romeo = self.house.login("romeo", "home")
        answer = self.ask(self.romeo, "get", f"<items node='{MOOD}'/>")
        self.assertEqual(refusal(answer), ("cancel", "item-not-found"))

    def test_restart(self) -> None:
        """Nodes and items outlive the server."""
        self.publish()
        storage = self.house.storage
        self.house = House()
        self.house.storage = self.house.host.storage = storage
        self.house.add(PersonalEventing)
        romeo = self.house.login("romeo", "home")
        self.assertEqual(self.items(romeo), ["current"])

    def test_unloaded(self) -> None:
        """Without the module nobody answers."""
        self.house.modules["PersonalEventing"].detach()
        answer = self.ask(self.romeo, "get", f"<items node='{MOOD}'/>")
        self.assertEqual(refusal(answer), ("cancel", "service-unavailable"))
        self.assertEqual(refusal(self.disco(self.romeo, INFO, "x")), ("cancel", "item-not-found"))

    def test_event_namespace(self) -> None:
        """A notification holds an event and nothing else."""
        self.asks(self.juliet, MOOD)
        self.juliet.take()
        self.publish()
        self.assertEqual([got.children for got in self.juliet.received], [((NS_EVENT, "event"),)])
