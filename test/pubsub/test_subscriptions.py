"""XEP-0060 sections 4.5, 6.1 to 6.4, 8.6 to 8.8 and 12: who is subscribed, and who may be."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from twisted.words.xish import domish

from palaver.markup import attribute
from palaver.pubsub.conditions import NS_AUTHORIZATION, NS_OWNER, NS_SUBSCRIBE_OPTIONS
from palaver.test.house import Client, House, now
from palaver.test.pubsub.cases import SERVICE, PubSubCase, events, fields, form, options
from palaver.times import stamp
from palaver.xeps.pubsub import PubSub
from palaver.xeps.roster import Roster

COMMANDS = "http://jabber.org/protocol/commands"
PAST = "2001-01-01T00:00:00Z"
GET_PENDING = "http://jabber.org/protocol/pubsub#get-pending"


class SubscribeTests(PubSubCase):
    """People subscribe, and go."""

    options: ClassVar[dict[str, Any]] = {"max_subscriptions_node": 3, "max_subscriptions_user": 2}

    def setUp(self) -> None:
        """Have a node."""
        super().setUp()
        self.create()

    def test_subscribe(self) -> None:
        """Whoever subscribes is subscribed, once."""
        first = self.subscribe(self.juliet)
        self.assertEqual((first["subscription"], first["jid"]), ("subscribed", "juliet@example.org"))
        self.assertEqual(self.subscribe(self.juliet)["subid"], first["subid"])
        self.publish()
        self.assertEqual(len(events(self.juliet)), 1)

    def test_resource(self) -> None:
        """A resource may be subscribed by itself."""
        self.subscribe(self.juliet, jid="juliet@example.org/home")
        other = self.house.login("juliet", "other", "<presence/>")
        other.take()
        self.publish()
        self.assertEqual((len(events(self.juliet)), len(events(other))), (1, 0))

    def test_many(self) -> None:
        """A node has so many subscriptions and no more, and one account fewer of them."""
        wanted = ("wait", "policy-violation", "too-many-subscriptions")
        self.subscribe(self.juliet)
        self.subscribe(self.juliet, jid="juliet@example.org/home")
        inner = "<subscribe node='musings' jid='juliet@example.org/other'/>"
        self.assertEqual(self.refused(self.juliet, "set", inner), wanted)
        self.subscribe(self.nurse)
        inner = "<subscribe node='musings' jid='mercutio@example.org'/>"
        self.assertEqual(self.refused(self.mercutio, "set", inner), wanted)

    def test_several(self) -> None:
        """One address may have several subscriptions with options of their own, told apart by their ids."""
        first = self.subscribe(self.juliet)["subid"]
        second = self.subscribe(self.juliet, options=options(include_body="1"))["subid"]
        self.assertNotEqual(first, second)
        self.assertEqual(self.subscribe(self.juliet, options=options(include_body="1"))["subid"], second)
        self.publish()
        (message,) = self.juliet.take()
        headers = [(header["name"], str(header)) for header in message.headers.elements()]
        self.assertEqual(headers, [("SubID", first), ("SubID", second)])
        jid = "node='musings' jid='juliet@example.org'"
        missing = ("modify", "bad-request", "subid-required")
        for kind, inner in (
            ("set", f"<unsubscribe {jid}/>"),
            ("get", f"<options {jid}/>"),
            ("set", f"<options {jid}>{form({'deliver': '0'}, NS_SUBSCRIBE_OPTIONS)}</options>"),
            ("get", "<items node='musings'/>"),
        ):
            self.assertEqual(self.refused(self.juliet, kind, inner), missing, inner)
        wrong = ("modify", "not-acceptable", "invalid-subid")
        self.assertEqual(self.refused(self.juliet, "set", f"<unsubscribe {jid} subid='{first}0'/>"), wrong)
        inner = "<subscription jid='juliet@example.org' subscription='none'/>"
        inner = f"<subscriptions node='musings'>{inner}</subscriptions>"
        self.assertEqual(self.refused(self.romeo, "set", inner, NS_OWNER), missing)
        self.do(self.juliet, "get", f"<items node='musings' subid='{first}'/>")
        found = fields(self.do(self.juliet, "get", f"<options {jid} subid='{second}'/>").options)
        self.assertEqual(found["include_body"], ["true"])
        self.do(self.juliet, "set", f"<unsubscribe {jid} subid='{second}'/>")
        self.publish()
        (message,) = self.juliet.take()
        self.assertEqual([child.name for child in message.elements()], ["event"])

    def test_digest(self) -> None:
        """Whoever wants digests gets in one message what has happened since the last one."""

        def digests() -> list[list[str]]:
            return [[item["id"] for item in event.elements()] for event in events(self.juliet)]

        self.subscribe(self.nurse)
        self.subscribe(self.juliet, options=options(digest="1", digest_frequency="60000"))
        self.publish("1")
        self.publish("2")
        self.assertEqual((digests(), len(events(self.nurse))), ([], 2))
        self.house.clock.advance(60)
        self.assertEqual(digests(), [["1", "2"]])
        self.house.clock.advance(60)
        self.assertEqual(digests(), [])
        self.publish("3")
        self.do(self.romeo, "set", "<retract node='musings' notify='1'><item id='3'/></retract>")
        self.house.modules["PubSub"].detach()
        self.assertEqual(digests(), [["3", "3"]])

    def test_digest_ends(self) -> None:
        """A digest is sent early when it gets large, and not to those who may not see the node any more."""
        self.subscribe(self.juliet, options=options(digest="1", digest_frequency="60000"))
        for number in range(3):
            item = f"<item id='{number}'><a xmlns='urn:a'>{'x' * 30000}</a></item>"
            self.do(self.romeo, "set", f"<publish node='musings'>{item}</publish>")
        self.house.clock.advance(0)
        self.assertEqual([len(list(event.elements())) for event in events(self.juliet)], [3])
        self.publish("4")
        self.do(self.romeo, "set", "<purge node='musings'/>", NS_OWNER)
        self.assertEqual([event.name for event in events(self.juliet)], ["purge"])
        self.publish("5")
        self.affiliate("juliet", "outcast")
        self.juliet.take()
        self.house.clock.advance(60)
        self.assertEqual(events(self.juliet), [])
        self.publish("6")
        self.do(self.romeo, "set", "<delete node='musings'/>", NS_OWNER)
        self.house.clock.advance(60)

    def test_digest_of_several(self) -> None:
        """Whoever wants one of two subscriptions' items at once gets them at once."""
        self.subscribe(self.juliet)
        self.subscribe(self.juliet, options=options(digest="1", digest_frequency="60000"))
        self.publish()
        self.assertEqual(len(events(self.juliet)), 1)

    def test_body(self) -> None:
        """Whoever wants it gets the item's text as a body too, also that of the last item."""
        self.configure("musings", send_last_published_item="on_sub")
        self.subscribe(self.nurse)
        entry = (
            "<entry xmlns='http://www.w3.org/2005/Atom'><title>Soliloquy</title><id>x</id>"
            "<summary>To be, or <b xmlns='urn:b'>not</b> to be</summary></entry>"
        )
        self.do(self.romeo, "set", f"<publish node='musings'><item id='1'>{entry}</item></publish>")
        self.subscribe_quietly(options(include_body="true"))
        (last,) = self.juliet.take()
        self.assertEqual(str(last.body), "Soliloquy\nTo be, or not to be")
        for payload, wanted in (
            ("<a xmlns='urn:a'>one<b> two </b></a>", "one two"),
            (f"<a xmlns='urn:a'>{'x' * 2000}</a>", "x" * 1000),
            ("<a xmlns='urn:a'/>", None),
        ):
            self.do(self.romeo, "set", f"<publish node='musings'><item id='1'>{payload}</item></publish>")
            (message,) = self.juliet.take()
            self.assertEqual(str(message.body) if message.body else None, wanted)
        self.assertEqual({bool(message.body) for message in self.nurse.take()}, {False})

    def test_unsubscribe(self) -> None:
        """Whoever unsubscribes is not notified any more."""
        self.subscribe(self.juliet)
        self.do(self.juliet, "set", "<unsubscribe node='musings' jid='juliet@example.org'/>")
        self.publish()
        self.assertEqual(events(self.juliet), [])

    def test_bad(self) -> None:
        """Nobody subscribes somebody else, or ends what there is not."""
        self.subscribe(self.juliet)
        for inner, wanted in (
            (
                "<subscribe node='musings' jid='juliet@example.org'/>",
                ("modify", "bad-request", "invalid-jid"),
            ),
            ("<subscribe node='musings' jid='@'/>", ("modify", "bad-request", "invalid-jid")),
            ("<subscribe node='musings'/>", ("modify", "bad-request", "jid-required")),
            ("<subscribe node='none' jid='nurse@example.org'/>", ("cancel", "item-not-found")),
            ("<unsubscribe node='musings' jid='juliet@example.org'/>", ("auth", "forbidden")),
            (
                "<unsubscribe node='musings' jid='nurse@example.org'/>",
                ("cancel", "unexpected-request", "not-subscribed"),
            ),
            ("<unsubscribe node='none' jid='nurse@example.org'/>", ("cancel", "item-not-found")),
            (
                f"<subscribe node='musings' jid='nurse@example.org'/>{options(deliver='maybe')}",
                ("modify", "bad-request", "invalid-options"),
            ),
            (
                f"<subscribe node='musings' jid='nurse@example.org'/>{options(expire=PAST)}",
                ("modify", "bad-request", "invalid-options"),
            ),
            (
                f"<subscribe node='musings' jid='nurse@example.org'/>{options(digest_frequency=1)}",
                ("modify", "bad-request", "invalid-options"),
            ),
            (
                f"<subscribe node='musings' jid='nurse@example.org'/><options>{form({})}</options>",
                ("modify", "bad-request"),
            ),
        ):
            self.assertEqual(self.refused(self.nurse, "set", inner), wanted, inner)
        inner = "<unsubscribe node='musings' jid='juliet@example.org' subid='wrong'/>"
        self.assertEqual(
            self.refused(self.juliet, "set", inner), ("modify", "not-acceptable", "invalid-subid")
        )
        self.assertEqual(list(self.do(self.nurse, "get", "<subscriptions/>").subscriptions.elements()), [])

    def test_closed(self) -> None:
        """A node may take no subscriptions."""
        self.configure(subscribe=0)
        wanted = ("cancel", "feature-not-implemented", "unsupported", "subscribe")
        inner = "<subscribe node='musings' jid='juliet@example.org'/>"
        self.assertEqual(self.refused(self.juliet, "set", inner), wanted)

    def test_own(self) -> None:
        """Everybody may ask where they are subscribed and affiliated."""
        self.create("other")
        self.subscribe(self.juliet)
        self.subscribe(self.juliet, "other")
        found = self.do(self.juliet, "get", "<subscriptions/>").subscriptions
        self.assertEqual({node["node"] for node in found.elements()}, {"musings", "other"})
        found = self.do(self.juliet, "get", "<subscriptions node='other'/>").subscriptions
        self.assertEqual([node["node"] for node in found.elements()], ["other"])
        self.assertEqual(list(self.do(self.juliet, "get", "<affiliations/>").affiliations.elements()), [])

    def test_last(self) -> None:
        """A new subscriber gets the newest item, stamped, when the node says so."""
        self.publish("1")
        self.configure(send_last_published_item="on_sub")
        self.juliet.take()
        self.subscribe_quietly()
        (message,) = self.juliet.take()
        self.assertEqual(message.event.items.item["id"], "1")
        self.assertEqual(message.delay.uri, "urn:xmpp:delay")

    def subscribe_quietly(self, more: str = "") -> None:
        """Subscribe Juliet, keeping what comes beside the answer."""
        self.juliet.send(
            f"<iq type='set' id='q' to='{SERVICE}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
            f"<subscribe node='musings' jid='juliet@example.org'/>{more}</pubsub></iq>"
        )
        del self.juliet.received[-1:]

    def test_notify_sub(self) -> None:
        """Owners hear who comes and goes when the node says so."""
        self.configure(notify_sub=1)
        self.subscribe(self.juliet)
        self.do(self.juliet, "set", "<unsubscribe node='musings' jid='juliet@example.org'/>")
        self.assertEqual([event["subscription"] for event in events(self.romeo)], ["subscribed", "none"])

    def test_options(self) -> None:
        """A subscriber sees and changes options."""
        self.subscribe(self.juliet)
        inner = "<options node='musings' jid='juliet@example.org'/>"
        self.assertEqual(fields(self.do(self.juliet, "get", inner).options)["deliver"], ["true"])
        changed = form({"deliver": 0}, NS_SUBSCRIBE_OPTIONS)
        self.do(self.juliet, "set", f"<options node='musings' jid='juliet@example.org'>{changed}</options>")
        self.assertEqual(fields(self.do(self.juliet, "get", inner).options)["deliver"], ["false"])
        self.publish()
        self.assertEqual(events(self.juliet), [])

    def test_bad_options(self) -> None:
        """Options belong to a subscription, to its subscriber, and to a form."""
        self.subscribe(self.juliet)
        wrong = form({"subscription_depth": "deep"}, NS_SUBSCRIBE_OPTIONS)
        for client, inner, wanted in (
            (self.nurse, "<options node='musings' jid='juliet@example.org'/>", ("auth", "forbidden")),
            (
                self.nurse,
                "<options node='musings' jid='nurse@example.org'/>",
                ("cancel", "unexpected-request", "not-subscribed"),
            ),
            (self.juliet, "<options node='musings'/>", ("modify", "bad-request", "jid-required")),
            (
                self.juliet,
                "<options node='musings' jid='juliet@example.org' subid='x'/>",
                ("modify", "not-acceptable", "invalid-subid"),
            ),
            (self.juliet, "<options node='none' jid='juliet@example.org'/>", ("cancel", "item-not-found")),
        ):
            self.assertEqual(self.refused(client, "get", inner), wanted, inner)
        inner = f"<options node='musings' jid='juliet@example.org'>{wrong}</options>"
        self.assertEqual(
            self.refused(self.juliet, "set", inner), ("modify", "bad-request", "invalid-options")
        )

    def test_default_options(self) -> None:
        """Anybody may ask which options a new subscription has."""
        found = self.do(self.juliet, "get", "<default node='musings'/>").default
        self.assertEqual(fields(found)["subscription_type"], ["nodes"])

    def test_show_values(self) -> None:
        """A subscriber may be notified only in some states of presence."""
        self.subscribe(self.juliet, options=options(**{"show-values": ["chat", "online"]}))
        self.juliet.send("<presence><show>away</show></presence>")
        self.juliet.take()
        self.publish("1")
        self.assertEqual(events(self.juliet), [])
        self.juliet.send("<presence/>")
        self.juliet.take()
        self.publish("2")
        self.assertEqual(len(events(self.juliet)), 1)

    def test_presence_based(self) -> None:
        """A node may notify only those who are online."""
        self.configure(presence_based_delivery=1, notification_type="normal")
        self.subscribe(self.juliet)
        self.juliet.send("<presence type='unavailable'/>")
        self.juliet.take()
        self.publish()
        self.assertEqual(events(self.juliet), [])

    def test_lease(self) -> None:
        """A subscription ends when its lease does, and the subscriber hears of that."""
        ends = stamp(time.time() + 60)
        self.subscribe(self.juliet, options=options(expire=ends))
        self.publish("1")
        self.assertEqual(len(events(self.juliet)), 1)
        later = time.time() + 61
        self.patch(time, "time", lambda: later)
        self.publish("2")
        self.assertEqual(events(self.juliet), [])
        now(self.module.sweep())
        self.assertEqual([event["subscription"] for event in events(self.juliet)], ["none"])
        found = self.do(self.romeo, "get", "<subscriptions node='musings'/>", NS_OWNER)
        self.assertEqual(list(found.subscriptions.elements()), [])

    def test_temporary(self) -> None:
        """A subscription may be for as long as the subscriber is online."""
        self.subscribe(self.juliet, options=options(expire="presence"))
        self.configure(tempsub=1)
        self.subscribe(self.nurse)
        for client in (self.juliet, self.nurse):
            client.send("<presence type='unavailable'/>")
            client.send("<presence/>")
            client.take()
        self.publish()
        self.assertEqual((events(self.juliet), events(self.nurse)), ([], []))

    def test_temporary_resource(self) -> None:
        """Such a subscription of one client ends with that client, whoever else of the account is there."""
        self.subscribe(self.juliet, jid="juliet@example.org/home", options=options(expire="presence"))
        self.subscribe(self.juliet, options=options(expire="presence"))
        other = self.house.login("juliet", "other", "<presence/>")
        self.juliet.send("<presence type='unavailable'/>")
        for count in (1, 0):
            found = self.do(self.romeo, "get", "<subscriptions node='musings'/>", NS_OWNER)
            self.assertEqual(len(list(found.subscriptions.elements())), count)
            other.send("<presence type='unavailable'/>")

    def test_temporary_after_restart(self) -> None:
        """Such a subscription does not outlive the server either."""
        self.subscribe(self.juliet, options=options(expire="presence"))
        storage = self.house.storage
        self.house = House()
        self.house.storage = self.house.host.storage = storage
        self.house.add(PubSub)
        romeo = self.house.login("romeo", "home")
        found = self.do(romeo, "get", "<subscriptions node='musings'/>", NS_OWNER)
        self.assertEqual(list(found.subscriptions.elements()), [])

    def test_purged(self) -> None:
        """A node may be emptied when the publisher goes offline, at once or after a restart."""
        self.configure(purge_offline=1)
        self.affiliate("juliet", "publisher")
        self.publish("1", client=self.juliet)
        self.assertEqual(self.items(self.romeo), ["1"])
        self.juliet.send("<presence type='unavailable'/>")
        self.assertEqual(self.items(self.romeo), [])
        self.publish("2", client=self.juliet)
        now(self.module.sweep())
        self.assertEqual(self.items(self.romeo), [])

    def test_expiry(self) -> None:
        """Items expire when the node says so: nobody gets them, and a sweep deletes them."""
        self.configure(item_expire=60)
        self.publish("1")
        later = time.time() + 61
        self.patch(time, "time", lambda: later)
        self.assertEqual(self.items(self.romeo), [])
        self.assertEqual(self.items(self.romeo, "<item id='1'/>"), [])
        now(self.module.sweep())
        self.configure(item_expire="max")
        self.assertEqual(self.items(self.romeo), [])

    def test_managed(self) -> None:
        """Owners see and change who is subscribed; those concerned hear of it."""

        def change(who: str, state: str) -> str:
            inner = f"<subscription jid='{who}@example.org' subscription='{state}'/>"
            return f"<subscriptions node='musings'>{inner}</subscriptions>"

        self.do(self.romeo, "set", change("juliet", "subscribed"), NS_OWNER)
        self.assertEqual([event["subscription"] for event in events(self.juliet)], ["subscribed"])
        found = self.do(self.romeo, "get", "<subscriptions node='musings'/>", NS_OWNER)
        self.assertEqual([node["jid"] for node in found.subscriptions.elements()], ["juliet@example.org"])
        self.do(self.romeo, "set", change("juliet", "none"), NS_OWNER)
        self.assertEqual([event["subscription"] for event in events(self.juliet)], ["none"])
        for client, inner, wanted in (
            (self.juliet, change("juliet", "subscribed"), ("auth", "forbidden")),
            (self.romeo, change("juliet", "crowned"), ("modify", "not-acceptable")),
        ):
            self.assertEqual(self.refused(client, "set", inner, NS_OWNER), wanted)
        self.assertEqual(
            self.refused(self.juliet, "get", "<subscriptions node='musings'/>", NS_OWNER),
            ("auth", "forbidden"),
        )

    def test_outcast(self) -> None:
        """An outcast loses the subscription and may not subscribe or read."""
        self.subscribe(self.juliet)
        self.affiliate("juliet", "outcast")
        self.publish()
        self.assertNotIn("items", [event.name for event in events(self.juliet)])
        inner = "<subscribe node='musings' jid='juliet@example.org'/>"
        self.assertEqual(self.refused(self.juliet, "set", inner), ("auth", "forbidden"))
        self.assertEqual(self.refused(self.juliet, "get", "<items node='musings'/>"), ("auth", "forbidden"))

    def test_thousand(self) -> None:
        """A thousand subscribers share the bytes of one notification."""
        space = self.module.space
        space.limits = space.limits._replace(max_subscriptions_node=2000)
        names = [f"reader{number}" for number in range(1000)]
        inner = "".join(
            f"<subscription jid='{name}@elsewhere.example' subscription='subscribed'/>" for name in names
        )
        self.do(self.romeo, "set", f"<subscriptions node='musings'>{inner}</subscriptions>", NS_OWNER)
        sent: list[Any] = []
        self.patch(self.house.router.remote, "deliver", lambda stanza, to: sent.append(stanza))
        self.romeo.send(
            f"<iq type='set' id='p' to='{SERVICE}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
            "<publish node='musings'><item id='1'><a xmlns='urn:a'/></item></publish></pubsub></iq>"
        )
        for _ in range(10):
            self.house.clock.advance(0)
        self.assertEqual(len(sent), 1000)
        self.assertEqual({id(stanza.inner) for stanza in sent}, {id(sent[0].inner)})
        self.assertEqual(
            {stanza.attrs["to"] for stanza in sent}, {f"{name}@elsewhere.example" for name in names}
        )


class AccessTests(PubSubCase):
    """Access models, for subscribers, for readers and at each notification."""

    def setUp(self) -> None:
        """Have Juliet see Romeo's presence, as a friend, and the nurse as somebody else."""
        self.house = House(PubSub, Roster)
        self.login()
        for name, group in (("juliet", "friends"), ("nurse", "others")):
            client: Client = getattr(self, name)
            self.romeo.send(
                f"<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='{name}@example.org'>"
                f"<group>{group}</group></item></query></iq>"
            )
            client.send("<presence type='subscribe' to='romeo@example.org'/>")
            self.romeo.send(f"<presence type='subscribed' to='{name}@example.org'/>")
        for client in (self.romeo, self.juliet, self.nurse, self.mercutio):
            client.take()

    def check(self, allowed: str, refused: tuple[str, ...]) -> None:
        """See that some may read and subscribe and the others may not."""
        self.publish()
        for name in ("juliet", "nurse", "mercutio"):
            client = getattr(self, name)
            subscribe = f"<subscribe node='musings' jid='{name}@example.org'/>"
            if name in allowed:
                self.assertEqual(self.items(client), ["1"])
                self.do(client, "set", subscribe)
            else:
                self.assertEqual(self.refused(client, "get", "<items node='musings'/>"), refused)
                self.assertEqual(self.refused(client, "set", subscribe), refused)

    def test_open(self) -> None:
        """An open node is for everybody."""
        self.create(access_model="open")
        self.check("juliet nurse mercutio", ())

    def test_presence(self) -> None:
        """A node may be for those who see an owner's presence."""
        self.create(access_model="presence")
        self.check("juliet nurse", ("auth", "not-authorized", "presence-subscription-required"))

    def test_roster(self) -> None:
        """A node may be for groups of an owner's roster."""
        self.create(access_model="roster", roster_groups_allowed=["friends"])
        self.assertEqual(
            self.refused(self.nurse, "get", "<items node='musings'/>"),
            ("auth", "not-authorized", "not-in-roster-group"),
        )
        self.subscribe(self.juliet)
        self.publish()
        self.assertEqual(len(events(self.juliet)), 1)

    def test_whitelist(self) -> None:
        """A node may be for those whom an owner names."""
        self.create(access_model="whitelist")
        self.affiliate("juliet", "member")
        self.juliet.take()
        self.check("juliet", ("cancel", "not-allowed", "closed-node"))

    def test_lost(self) -> None:
        """Whoever may not see a node any more is not notified any more."""
        self.create(access_model="presence")
        self.subscribe(self.juliet)
        self.romeo.send("<presence type='unsubscribed' to='juliet@example.org'/>")
        self.juliet.take()
        self.publish()
        self.assertEqual(events(self.juliet), [])

    def test_shut_out(self) -> None:
        """When a node becomes one for those who are named, the others' subscriptions end."""
        self.create()
        self.subscribe(self.juliet)
        self.configure(access_model="whitelist")
        self.assertEqual([event["subscription"] for event in events(self.juliet)], ["none"])

    # -- owners decide --------------------------------------------------------------

    def ask_to(self) -> domish.Element:
        """Have Juliet ask to subscribe; give the message that Romeo gets."""
        self.assertEqual(self.subscribe(self.juliet)["subscription"], "pending")
        (message,) = self.romeo.take()
        return message

    def decide(self, client: Client, allow: str, who: str = "juliet@example.org") -> None:
        """Submit the form."""
        values = {"node": "musings", "subscriber_jid": who, "allow": allow}
        client.send(f"<message to='{SERVICE}' id='d'>{form(values, NS_AUTHORIZATION)}</message>")

    def test_authorize(self) -> None:
        """A node may be for those whom an owner lets in."""
        self.create(access_model="authorize")
        message = self.ask_to()
        values = fields(message)
        self.assertEqual((values["subscriber_jid"], values["allow"]), (["juliet@example.org"], ["false"]))
        self.publish("1")
        self.assertEqual(events(self.juliet), [])
        inner = "<subscribe node='musings' jid='juliet@example.org'/>"
        self.assertEqual(
            self.refused(self.juliet, "set", inner), ("auth", "not-authorized", "pending-subscription")
        )
        inner = "<items node='musings'/>"
        self.assertEqual(
            self.refused(self.juliet, "get", inner), ("auth", "not-authorized", "not-subscribed")
        )
        self.decide(self.romeo, "true")
        self.assertEqual([event["subscription"] for event in events(self.juliet)], ["subscribed"])
        self.assertEqual(self.items(self.juliet), ["1"])

    def test_denied(self) -> None:
        """An owner may say no."""
        self.create(access_model="authorize")
        self.ask_to()
        self.decide(self.romeo, "0")
        self.assertEqual([event["subscription"] for event in events(self.juliet)], ["none"])

    def test_forged(self) -> None:
        """Nobody but an owner decides, and only on what was asked."""
        self.create(access_model="authorize")
        self.ask_to()
        self.decide(self.juliet, "true")
        self.assertEqual([node.error.forbidden is not None for node in self.juliet.take()], [True])
        self.decide(self.romeo, "true", "nurse@example.org")
        self.decide(self.romeo, "true", attribute("@"))
        self.romeo.send(f"<message to='{SERVICE}'><body>hello</body></message>")
        self.assertEqual((self.nurse.take(), self.romeo.take()), ([], []))
        found = self.do(self.romeo, "get", "<subscriptions node='musings'/>", NS_OWNER)
        self.assertEqual(list(found.subscriptions.elements()), [])

    def command(self, inner: str = "", node: str = GET_PENDING) -> domish.Element:
        """Have Romeo run the command."""
        xml = f"<command xmlns='{COMMANDS}' node='{node}' action='execute'>{inner}</command>"
        return self.romeo.ask(f"<iq type='set' id='c' to='{SERVICE}'>{xml}</iq>")

    def test_pending(self) -> None:
        """An owner may ask for the requests again."""
        self.create(access_model="authorize")
        self.ask_to()
        first = self.command().command
        self.assertEqual(first["status"], "executing")
        chosen = form({"node": "musings"}, NS_AUTHORIZATION)
        self.romeo.send(
            f"<iq type='set' id='c' to='{SERVICE}'><command xmlns='{COMMANDS}' node='{GET_PENDING}'>{chosen}"
            "</command></iq>"
        )
        message, answer = self.romeo.take()
        self.assertEqual(fields(message)["subscriber_jid"], ["juliet@example.org"])
        self.assertEqual(answer.command["status"], "completed")
        self.assertEqual(self.command(node="other")["type"], "error")
        self.assertEqual(self.command(form({}, NS_AUTHORIZATION))["type"], "error")
