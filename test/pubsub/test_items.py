"""XEP-0060 sections 6.5 and 7: items are published, retrieved and taken away."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import fail

from palaver.errors import StorageError
from palaver.pubsub.conditions import NS_OWNER, NS_PUBLISH_OPTIONS
from palaver.rsm import NS_RSM
from palaver.test.house import House, now
from palaver.test.pubsub.cases import ENTRY, PubSubCase, events, form
from palaver.xeps.pubsub import PubSub


class PublishTests(PubSubCase):
    """Items come."""

    def test_publish(self) -> None:
        """Subscribers get an item with its payload, and those who ask get it too."""
        self.create()
        self.subscribe(self.juliet)
        self.publish("one")
        (items,) = events(self.juliet)
        self.assertEqual((items["node"], items.item["id"]), ("musings", "one"))
        self.assertEqual(str(items.item.entry.title), "one")
        self.assertEqual(self.items(self.nurse), ["one"])

    def test_message(self) -> None:
        """A notification is a headline from the service with an id."""
        self.create()
        self.subscribe(self.juliet)
        self.publish()
        (message,) = self.juliet.take()
        self.assertEqual((message["type"], message["from"]), ("headline", "pubsub.example.org"))
        self.assertTrue(message["id"])

    def test_without_id(self) -> None:
        """An item without an id gets one, and the answer says which."""
        self.create()
        answer = self.do(self.romeo, "set", f"<publish node='musings'><item>{ENTRY}</item></publish>")
        self.assertEqual(self.items(self.romeo), [answer.publish.item["id"]])

    def test_again(self) -> None:
        """An item that is published again takes its own place, as the newest."""
        self.create()
        for item in ("1", "2", "1"):
            self.publish(item)
        self.assertEqual(self.items(self.romeo), ["2", "1"])

    def test_full(self) -> None:
        """A full node loses its oldest item."""
        self.create(max_items=2)
        for item in ("1", "2", "3"):
            self.publish(item)
        self.assertEqual(self.items(self.romeo), ["2", "3"])

    def test_full_notified(self) -> None:
        """Subscribers hear which item has gone when they hear of retractions at all."""
        self.create(max_items=2, notify_retract=1)
        for item in ("1", "2"):
            self.publish(item)
        self.subscribe(self.juliet)
        self.publish("3")
        came, gone = events(self.juliet)
        self.assertEqual((came.item["id"], gone.retract["id"]), ("3", "1"))

    def test_full_rejects(self) -> None:
        """A node may refuse items when it is full; a new version of one that is there is welcome."""
        self.create(max_items=1, publish_node_full="reject")
        self.publish("1")
        self.publish("1")
        inner = f"<publish node='musings'><item id='2'>{ENTRY}</item></publish>"
        self.assertEqual(self.refused(self.romeo, "set", inner), ("cancel", "conflict", "node-full"))
        self.assertEqual(self.items(self.romeo), ["1"])

    def test_singleton(self) -> None:
        """A node for one item has just the newest."""
        self.create(max_items=1)
        for item in ("1", "2"):
            self.publish(item)
        self.assertEqual(self.items(self.romeo), ["2"])

    def test_no_payloads(self) -> None:
        """A node may notify without payloads."""
        self.create(deliver_payloads=0)
        self.subscribe(self.juliet)
        self.publish("1")
        (items,) = events(self.juliet)
        self.assertEqual((items.item["id"], items.item.children), ("1", []))

    def test_no_notifications(self) -> None:
        """A node may notify nobody."""
        self.create(deliver_notifications=0)
        self.subscribe(self.juliet)
        self.publish("1")
        self.assertEqual(events(self.juliet), [])

    def test_event_only(self) -> None:
        """A node without items and payloads only says that something happened."""
        self.create(persist_items=0, deliver_payloads=0)
        self.subscribe(self.juliet)
        self.do(self.romeo, "set", "<publish node='musings'/>")
        (items,) = events(self.juliet)
        self.assertEqual((items["node"], items.children), ("musings", []))
        inner = f"<publish node='musings'><item>{ENTRY}</item></publish>"
        self.assertEqual(self.refused(self.romeo, "set", inner), ("modify", "bad-request", "item-forbidden"))

    def test_transient(self) -> None:
        """What a node does not keep, nobody can ask for."""
        self.create(persist_items=0)
        self.subscribe(self.juliet)
        self.publish("1")
        self.assertEqual(events(self.juliet)[0].item["id"], "1")
        wanted = ("cancel", "feature-not-implemented", "unsupported", "persistent-items")
        self.assertEqual(self.refused(self.juliet, "get", "<items node='musings'/>"), wanted)

    def test_publisher(self) -> None:
        """A node may say who has published an item."""
        self.create(itemreply="publisher")
        self.publish("1")
        answer = self.do(self.juliet, "get", "<items node='musings'/>")
        self.assertEqual(answer["xmlns"] if answer.hasAttribute("xmlns") else answer.uri, answer.uri)
        self.assertEqual(answer.items.item["publisher"], "romeo@example.org/home")

    def test_preconditions(self) -> None:
        """Publish options that the node does not meet stop a publication; those that it meets do not."""
        self.create(access_model="open", max_items=5)
        for options, met in (
            ({"access_model": "open"}, True),
            ({"persist_items": "true", "max_items": 5}, True),
            ({"access_model": "whitelist"}, False),
            ({"max_items": 6}, False),
            ({"max_items": "many"}, False),
            ({"colour": "red"}, False),
        ):
            wanted = form(options, NS_PUBLISH_OPTIONS)
            inner = f"<publish node='musings'><item id='1'>{ENTRY}</item></publish>"
            inner += f"<publish-options>{wanted}</publish-options>"
            if met:
                self.do(self.romeo, "set", inner)
            else:
                refused = self.refused(self.romeo, "set", inner)
                self.assertEqual(refused, ("cancel", "conflict", "precondition-not-met"), options)

    def test_wrong_options(self) -> None:
        """Publish options are a submitted form of their own type."""
        self.create()
        for wrong in ("", form({"access_model": "open"}), form({}, NS_PUBLISH_OPTIONS, "result")):
            inner = f"<publish node='musings'><item>{ENTRY}</item></publish>"
            inner += f"<publish-options>{wrong}</publish-options>"
            self.assertEqual(self.refused(self.romeo, "set", inner), ("modify", "bad-request"))
        self.assertEqual(self.items(self.romeo), [])

    def test_refused(self) -> None:
        """What cannot be published is refused with the condition that says why, and nothing is stored."""
        self.create(max_payload_size=100)
        other = "<geoloc xmlns='http://jabber.org/protocol/geoloc'/>"
        for item, wanted in (
            ("", ("modify", "bad-request", "item-required")),
            ("<item/>", ("modify", "bad-request", "payload-required")),
            (f"<item>{ENTRY}{ENTRY}</item>", ("modify", "bad-request", "invalid-payload")),
            (f"<item>{ENTRY}</item><item>{ENTRY}</item>", ("modify", "bad-request")),
            (f"<item>{ENTRY.format('x' * 100)}</item>", ("modify", "not-acceptable", "payload-too-big")),
            (f"<item id='{'x' * 200}'>{other}</item>", ("modify", "not-acceptable")),
        ):
            inner = f"<publish node='musings'>{item}</publish>"
            self.assertEqual(self.refused(self.romeo, "set", inner), wanted, item)
        self.assertEqual(self.items(self.romeo), [])

    def test_namespace(self) -> None:
        """A node for one kind of payloads takes no others."""
        self.create(type="http://www.w3.org/2005/Atom")
        self.publish("1")
        inner = "<publish node='musings'><item><geoloc xmlns='urn:geo'/></item></publish>"
        self.assertEqual(self.refused(self.romeo, "set", inner), ("modify", "bad-request", "invalid-payload"))

    def test_nowhere(self) -> None:
        """Nothing is published to a node that is not there, or to none."""
        inner = f"<publish node='nowhere'><item>{ENTRY}</item></publish>"
        self.assertEqual(self.refused(self.romeo, "set", inner), ("cancel", "item-not-found"))
        inner = f"<publish><item>{ENTRY}</item></publish>"
        self.assertEqual(self.refused(self.romeo, "set", inner), ("modify", "bad-request", "nodeid-required"))

    def test_models(self) -> None:
        """Who may publish depends on the node and on the affiliation."""
        self.create(publish_model="publishers")
        inner = f"<publish node='musings'><item id='1'>{ENTRY}</item></publish>"
        self.assertEqual(self.refused(self.juliet, "set", inner), ("auth", "forbidden"))
        self.affiliate("juliet", "publisher")
        self.do(self.juliet, "set", inner)
        self.affiliate("nurse", "publish-only")
        self.do(self.nurse, "set", inner)
        self.assertEqual(self.refused(self.nurse, "get", "<items node='musings'/>"), ("auth", "forbidden"))
        self.configure(publish_model="subscribers")
        self.assertEqual(self.refused(self.mercutio, "set", inner), ("auth", "forbidden"))
        self.subscribe(self.mercutio)
        self.do(self.mercutio, "set", inner)
        self.configure(publish_model="open")
        self.affiliate("mercutio", "outcast")
        self.assertEqual(self.refused(self.mercutio, "set", inner), ("auth", "forbidden"))

    def test_storage_fails(self) -> None:
        """What cannot be stored is told to nobody, and the publisher may try again."""
        self.create()
        self.subscribe(self.juliet)
        self.patch(self.house.storage, "write", lambda batch: fail(StorageError("down")))
        inner = f"<publish node='musings'><item id='1'>{ENTRY}</item></publish>"
        self.assertEqual(self.refused(self.romeo, "set", inner), ("wait", "internal-server-error"))
        self.assertEqual(events(self.juliet), [])

    def test_durable_first(self) -> None:
        """Nobody hears of an item, and its publisher gets no answer, before it is committed."""
        self.create()
        self.subscribe(self.juliet)
        write, held = self.house.storage.write, []

        def later(batch: Any) -> Any:
            from twisted.internet.defer import Deferred

            waiting: Deferred[None] = Deferred()
            held.append((waiting, batch))
            return waiting

        self.patch(self.house.storage, "write", later)
        self.romeo.send(
            "<iq type='set' id='p' to='pubsub.example.org'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
            f"<publish node='musings'><item id='1'>{ENTRY}</item></publish></pubsub></iq>"
        )
        self.assertEqual((self.romeo.take(), events(self.juliet)), ([], []))
        ((waiting, batch),) = held
        now(write(batch))
        waiting.callback(None)
        self.assertEqual((len(self.romeo.take()), len(events(self.juliet))), (1, 1))

    def test_large_request(self) -> None:
        """A request that is far too large is refused before it is read a second time."""
        self.create()
        inner = f"<publish node='musings'><item>{ENTRY.format('x' * 80_000)}</item></publish>"
        wanted = ("modify", "not-acceptable", "payload-too-big")
        self.assertEqual(self.refused(self.romeo, "set", inner), wanted)

    def test_restart(self) -> None:
        """Nodes, subscriptions and items are there after a restart."""
        self.create(max_items=5, title="Musings")
        self.subscribe(self.juliet)
        self.publish("1")
        storage = self.house.storage
        self.house = House()
        self.house.storage = self.house.host.storage = storage
        self.house.add(PubSub)
        self.login()
        self.publish("2")
        self.assertEqual(self.items(self.juliet), ["1", "2"])


class RetrieveTests(PubSubCase):
    """Items for those who ask."""

    options: ClassVar[dict[str, Any]] = {"max_page_items": 5}

    def setUp(self) -> None:
        """Have nine items."""
        super().setUp()
        self.create(max_items=9)
        for number in range(1, 10):
            self.publish(str(number))

    def page(self, inner: str) -> tuple[list[str], dict[str, str]]:
        """Ask for a page; give the ids, and what the answer says of the page."""
        xml = f"<items node='musings'/><set xmlns='{NS_RSM}'>{inner}</set>"
        answer = self.do(self.juliet, "get", xml)
        found = [item["id"] for item in answer.items.elements()]
        return found, {child.name: str(child) for child in next(answer.elements(NS_RSM, "set")).elements()}

    def test_all(self) -> None:
        """When there are too many for one answer, it has the newest and says so."""
        answer = self.do(self.juliet, "get", "<items node='musings'/>")
        self.assertEqual([item["id"] for item in answer.items.elements()], list("56789"))
        told = next(answer.elements(NS_RSM, "set"))
        self.assertEqual((str(told.first), str(told.last), str(told.count)), ("5", "9", "9"))

    def test_newest(self) -> None:
        """One may ask for the newest ones, which come in their order."""
        self.assertEqual(self.items(self.juliet, more="max_items='2'"), ["8", "9"])

    def test_ids(self) -> None:
        """Items that are named come in the order of the question; those that are not there do not."""
        inner = "<item id='7'/><item id='none'/><item id='2'/>"
        self.assertEqual(self.items(self.juliet, inner), ["7", "2"])

    def test_pages(self) -> None:
        """All items come in pages."""
        found, told = self.page("<max>4</max>")
        self.assertEqual((found, told), (list("1234"), {"first": "1", "last": "4", "count": "9"}))
        self.assertEqual(self.page("<max>4</max><after>4</after>")[0], list("5678"))
        self.assertEqual(self.page("<max>4</max><after>8</after>")[0], ["9"])
        self.assertEqual(self.page("<max>4</max><after>9</after>"), ([], {"count": "9"}))

    def test_backwards(self) -> None:
        """Pages from the end are in order too."""
        self.assertEqual(self.page("<max>3</max><before/>")[0], list("789"))
        self.assertEqual(self.page("<max>3</max><before>7</before>")[0], list("456"))

    def test_count(self) -> None:
        """A page of no items says how many there are."""
        self.assertEqual(self.page("<max>0</max>"), ([], {"count": "9"}))

    def test_bad(self) -> None:
        """Requests that make no sense are refused."""
        for inner, wanted in (
            ("<items node='musings' max_items='x'/>", ("modify", "bad-request")),
            ("<items node='musings' max_items='0'/>", ("modify", "bad-request")),
            ("<items node='musings'><item/></items>", ("modify", "bad-request", "item-required")),
            ("<items/>", ("modify", "bad-request", "nodeid-required")),
            ("<items node='none'/>", ("cancel", "item-not-found")),
            ("<items node='musings' subid='x'/>", ("modify", "not-acceptable", "invalid-subid")),
            (
                f"<items node='musings'/><set xmlns='{NS_RSM}'><after>x</after></set>",
                ("cancel", "item-not-found"),
            ),
            (f"<items node='musings'/><set xmlns='{NS_RSM}'><max>x</max></set>", ("modify", "bad-request")),
            ("<nonsense/>", ("cancel", "feature-not-implemented")),
            ("", ("cancel", "feature-not-implemented")),
            ("<items node='a'/><affiliations/>", ("modify", "bad-request")),
        ):
            self.assertEqual(self.refused(self.juliet, "get", inner), wanted, inner)


class RetractTests(PubSubCase):
    """Items go."""

    def setUp(self) -> None:
        """Have three items."""
        super().setUp()
        self.create()
        for item in ("1", "2", "3"):
            self.publish(item)
        self.subscribe(self.juliet)

    def retract(self, item: str, more: str = "") -> str:
        """Give a request to take an item away."""
        return f"<retract node='musings' {more}><item id='{item}'/></retract>"

    def test_retract(self) -> None:
        """An item that is taken away is gone; nobody is told unless that is wanted."""
        self.do(self.romeo, "set", self.retract("2"))
        self.assertEqual((self.items(self.romeo), events(self.juliet)), (["1", "3"], []))

    def test_notify(self) -> None:
        """Subscribers are told when the request says so, or the node."""
        self.do(self.romeo, "set", self.retract("2", "notify='true'"))
        self.assertEqual([items.retract["id"] for items in events(self.juliet)], ["2"])
        self.configure(notify_retract=1)
        self.do(self.romeo, "set", self.retract("1"))
        self.assertEqual([items.retract["id"] for items in events(self.juliet)], ["1"])

    def test_own(self) -> None:
        """A publisher takes away only their own items."""
        self.affiliate("nurse", "publisher")
        self.publish("4", client=self.nurse)
        self.assertEqual(self.refused(self.nurse, "set", self.retract("1")), ("auth", "forbidden"))
        self.assertEqual(self.refused(self.mercutio, "set", self.retract("4")), ("auth", "forbidden"))
        self.do(self.nurse, "set", self.retract("4"))
        self.assertEqual(self.items(self.romeo), ["1", "2", "3"])

    def test_bad(self) -> None:
        """What is not there or not named cannot be taken away."""
        for inner, wanted in (
            (self.retract("none"), ("cancel", "item-not-found")),
            ("<retract node='musings'/>", ("modify", "bad-request", "item-required")),
            ("<retract node='musings'><item/></retract>", ("modify", "bad-request", "item-required")),
            ("<retract><item id='1'/></retract>", ("modify", "bad-request", "nodeid-required")),
        ):
            self.assertEqual(self.refused(self.romeo, "set", inner), wanted, inner)

    def test_purge(self) -> None:
        """An owner empties a node, and subscribers hear of it once."""
        self.assertEqual(
            self.refused(self.juliet, "set", "<purge node='musings'/>", NS_OWNER), ("auth", "forbidden")
        )
        self.do(self.romeo, "set", "<purge node='musings'/>", NS_OWNER)
        self.assertEqual(
            [(event.name, event["node"]) for event in events(self.juliet)], [("purge", "musings")]
        )
        self.assertEqual(self.items(self.romeo), [])

    def test_fewer(self) -> None:
        """A node that is to keep fewer items loses the oldest at once."""
        self.configure(max_items=1)
        self.assertEqual(self.items(self.romeo), ["3"])
