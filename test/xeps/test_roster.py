"""mod_roster: what clients ask and change, and what their other resources hear of it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.errors import StorageError
from palaver.events import AccountDeleting
from palaver.interfaces import IRosters
from palaver.jid import parse
from palaver.routing.roster import RosterItem
from palaver.test.house import House, now
from palaver.xeps.roster import Roster

NS_ROSTER = "jabber:iq:roster"
ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
REMOTE = "benvolio@elsewhere.example"


def get(ver=None):
    version = f" ver='{ver}'" if ver is not None else ""
    return f"<iq type='get' id='g'><query xmlns='jabber:iq:roster'{version}/></iq>"


def put(inner, to=""):
    return f"<iq type='set' id='s'{to}><query xmlns='jabber:iq:roster'>{inner}</query></iq>"


def condition(node):
    """Give an error's type and condition."""
    (error,) = node.elements("jabber:client", "error")
    return error["type"], error.firstChildElement().name


class Elsewhere:
    """Keeps what is sent to other servers."""

    def __init__(self):
        self.stanzas = []

    def deliver(self, stanza, to):
        self.stanzas.append(stanza)

    def take(self):
        found = [(stanza.attrs.get("type"), stanza.attrs["from"]) for stanza in self.stanzas]
        self.stanzas.clear()
        return found


class RosterCase(SynchronousTestCase):
    """Romeo with one resource, and room for more."""

    def setUp(self):
        self.house = House(Roster)
        self.elsewhere = self.house.router.remote = Elsewhere()
        self.romeo = self.house.login("romeo", "one")

    def hold(self, *items):
        """Put items into Romeo's roster."""
        roster = self.romeo.session.user.roster
        version = now(self.house.host.query(IRosters).save("romeo", roster, items))
        roster.apply(items, (), version)

    def items(self, client=None):
        """Ask for the roster; gives the items by address."""
        query = (client or self.romeo).ask(get()).firstChildElement()
        return {item["jid"]: item for item in query.elements()}


class GetTests(RosterCase):
    """Asking for the roster (RFC 6121 section 2.2) and versions (section 2.6)."""

    def test_empty(self):
        """A new account has an empty roster, with a version."""
        answer = self.romeo.ask(get())
        query = answer.firstChildElement()
        self.assertEqual((answer["type"], query.uri, query["ver"]), ("result", NS_ROSTER, "0"))
        self.assertEqual(query.children, [])

    def test_contacts(self):
        """Contacts come with all that is known of them; requests that wait are no contacts."""
        self.hold(
            RosterItem(JULIET, "Jule & Co", ("Capulet",), "both"),
            RosterItem(REMOTE, listed=False, request=b"<presence/>"),
        )
        (item,) = self.items().values()
        self.assertEqual((item["jid"], item["name"], item["subscription"]), (JULIET, "Jule & Co", "both"))
        self.assertEqual([str(group) for group in item.elements()], ["Capulet"])

    def test_version_known(self):
        """A client that has this version is sent nothing."""
        self.hold(RosterItem(JULIET))
        version = self.romeo.ask(get("")).firstChildElement()["ver"]
        answer = self.romeo.ask(get(version))
        self.assertEqual((answer["type"], answer.children), ("result", []))

    def test_version_unknown(self):
        """A client with another version is sent everything, whatever it says."""
        self.hold(RosterItem(JULIET))
        for version in ("1", "x", "9" * 6000, "-1", "&apos;"):
            self.assertIsNotNone(self.romeo.ask(get(version)).firstChildElement(), version[:9])

    def test_versioning_off(self):
        """Without versioning everything is sent each time, and only pre-approval is announced."""
        house = House(Roster, Roster={"versioning": False})
        romeo = house.login("romeo")
        self.assertIsNotNone(romeo.ask(get("0")).firstChildElement())
        self.assertEqual(
            house.modules["Roster"].stream_feature(romeo), b"<sub xmlns='urn:xmpp:features:pre-approval'/>"
        )

    def test_stream_features(self):
        """Versioning and pre-approval are announced."""
        self.assertEqual(
            self.house.modules["Roster"].stream_feature(self.romeo),
            b"<ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/>",
        )

    def test_own_address(self):
        """A request to the own bare JID is the same as one without an address."""
        answer = self.romeo.ask(get().replace("id='g'", f"id='g' to='{ROMEO}'"))
        self.assertEqual(answer["type"], "result")


class SetTests(RosterCase):
    """Adding and changing contacts (sections 2.3 and 2.4)."""

    def test_add(self):
        """A new contact has its name and groups, no subscription, and is stored."""
        answer = self.romeo.ask(
            put("<item jid='Juliet@EXAMPLE.org' name='J'><group>B</group><group>A</group></item>")
        )
        self.assertEqual((answer["type"], answer.children), ("result", []))
        item = self.items()[JULIET]
        self.assertEqual((item["name"], item["subscription"]), ("J", "none"))
        document = now(self.house.storage.documents.get("example.org", "romeo", "roster", JULIET))
        self.assertEqual(document.value, {"name": "J", "groups": ["A", "B"]})

    def test_update_keeps_the_subscription(self):
        """Name and groups are the client's, the subscription is the server's."""
        self.hold(RosterItem(JULIET, "J", ("A",), "both"))
        self.romeo.ask(put(f"<item jid='{JULIET}' name='' subscription='none' ask='subscribe'/>"))
        item = self.items()[JULIET]
        self.assertEqual(item.attributes, {"jid": JULIET, "subscription": "both"})
        self.assertEqual(item.children, [])

    def test_push(self):
        """Every resource that has asked for the roster hears of a change, the one that made it too."""
        two, three = self.house.login("romeo", "two"), self.house.login("romeo", "three")
        self.items(self.romeo), self.items(two)
        self.romeo.take(), two.take()
        self.romeo.send(put(f"<item jid='{JULIET}'/>"))
        version = str(self.romeo.session.user.roster.version)
        for client in (self.romeo, two):
            push = next(node for node in client.take() if node.getAttribute("type") == "set")
            query = push.firstChildElement()
            self.assertEqual(push["to"], client.session.jid.full)
            self.assertTrue(push["id"])
            self.assertEqual((query.uri, query["ver"]), (NS_ROSTER, version))
            self.assertEqual(query.firstChildElement().attributes, {"jid": JULIET, "subscription": "none"})
        self.assertEqual(three.take(), [])

    def test_push_is_answered(self):
        """The client's answer to a push is taken in silence."""
        self.romeo.send("<iq type='result' id='push-1'/>")
        self.assertEqual(self.romeo.take(), [])

    def test_bad_requests(self):
        """Everything that is no roster set is refused with the error of section 2.3.3."""
        long, many = "x" * 1024, "".join(f"<group>{number}</group>" for number in range(101))
        item = f"<item jid='{JULIET}'>%s</item>"
        for inner, expected in (
            ("", ("modify", "bad-request")),
            (f"<item jid='{JULIET}'/><item jid='{REMOTE}'/>", ("modify", "bad-request")),
            ("<item/>", ("modify", "bad-request")),
            ("<item jid=''/>", ("modify", "bad-request")),
            ("<item jid='a@b@c'/>", ("modify", "bad-request")),
            (f"<item jid='{JULIET}/balcony'/>", ("modify", "bad-request")),
            (f"<contact jid='{JULIET}'/>", ("modify", "bad-request")),
            (f"<item xmlns='urn:x' jid='{JULIET}'/>", ("modify", "bad-request")),
            (f"<item jid='{ROMEO}'/>", ("cancel", "not-allowed")),
            (f"<item jid='{REMOTE}' subscription='remove'/>", ("modify", "item-not-found")),
            (f"<item jid='{JULIET}' name='{long}'/>", ("modify", "not-acceptable")),
            (item % f"<group>{long}</group>", ("modify", "not-acceptable")),
            (item % "<group/>", ("modify", "not-acceptable")),
            (item % many, ("modify", "not-acceptable")),
            (item % "<group>A</group><group>A</group>", ("modify", "bad-request")),
        ):
            self.assertEqual(condition(self.romeo.ask(put(inner))), expected, inner[:60])
        self.assertEqual(self.romeo.session.user.roster.items, {})

    def test_largest(self):
        """A name and groups of the largest size are taken, as long as they are small enough together."""
        groups = [f"<group>{number:01023}</group>" for number in range(4)]
        for few, expected in ((groups[:3], "result"), (groups, "error")):
            item = f"<item jid='{JULIET}' name='{'x' * 1023}'>{''.join(few)}</item>"
            self.assertEqual(self.romeo.ask(put(item))["type"], expected)
        many = "".join(f"<group>{number}</group>" for number in range(100))
        self.assertEqual(self.romeo.ask(put(f"<item jid='{JULIET}'>{many}</item>"))["type"], "result")

    def test_other_peoples_rosters(self):
        """Nobody reads or changes the roster of somebody else, whether the account is there or not."""
        for to in (JULIET, "nobody@example.org"):
            for xml in (
                put(f"<item jid='{REMOTE}'/>", f" to='{to}'"),
                get().replace("id=", f"to='{to}' id="),
            ):
                self.assertEqual(condition(self.romeo.ask(xml)), ("auth", "forbidden"))

    def test_limit(self):
        """A full roster takes no more contacts; changing one that is there still works."""
        self.house = House(Roster, Roster={"max_items": 1})
        romeo = self.house.login("romeo")
        self.assertEqual(romeo.ask(put(f"<item jid='{JULIET}'/>"))["type"], "result")
        self.assertEqual(condition(romeo.ask(put(f"<item jid='{REMOTE}'/>"))), ("modify", "policy-violation"))
        self.assertEqual(romeo.ask(put(f"<item jid='{JULIET}' name='J'/>"))["type"], "result")

    def test_limit_is_taken_back(self):
        """Without the module the limit is what it was."""
        rosters = self.house.host.query(IRosters)
        before = rosters.max_items
        house = self.house
        house.modules["Roster"].detach()
        module = house.add(Roster, max_items=3)
        self.assertEqual(rosters.max_items, 3)
        module.detach()
        self.assertEqual(rosters.max_items, before)

    def test_storage_fails(self):
        """A change that cannot be stored is refused with wait, and the roster is as it was."""

        async def fail():
            raise StorageError("the disk is full")

        self.items()
        self.patch(self.house.storage, "write", lambda batch: Deferred.fromCoroutine(fail()))
        answer = self.romeo.ask(put(f"<item jid='{JULIET}'/>"))
        self.assertEqual(condition(answer), ("wait", "internal-server-error"))
        self.assertEqual(self.romeo.session.user.roster.items, {})

    def test_answered_when_stored(self):
        """The answer comes after the commit."""
        commit: Deferred[None] = Deferred()
        write = self.house.storage.write
        self.patch(self.house.storage, "write", lambda batch: commit.addCallback(lambda _: write(batch)))
        done = self.romeo.send(put(f"<item jid='{JULIET}'/>"))
        self.assertNoResult(done)
        self.assertEqual(self.romeo.take(), [])
        commit.callback(None)
        self.successResultOf(done)
        self.assertEqual([node["type"] for node in self.romeo.take()], ["result"])


class RemoveTests(RosterCase):
    """Removing contacts (section 2.5)."""

    def setUp(self):
        super().setUp()
        self.romeo.send("<presence/>")
        self.items()

    def _remove(self, item):
        """Remove a contact that is held in some state; gives what its server hears."""
        self.hold(item)
        self.elsewhere.take()
        answer = self.romeo.ask(put(f"<item jid='{item.jid}' subscription='remove'/>"))
        self.assertEqual(answer["type"], "result")
        self.assertEqual(self.items(), {})
        self.assertIsNone(now(self.house.storage.documents.get("example.org", "romeo", "roster", item.jid)))
        return self.elsewhere.take()

    def test_both(self):
        """Both subscriptions end: unavailable first, then unsubscribed and unsubscribe."""
        self.assertEqual(
            self._remove(RosterItem(REMOTE, subscription="both")),
            [("unavailable", f"{ROMEO}/one"), ("unsubscribed", ROMEO), ("unsubscribe", ROMEO)],
        )

    def test_one_way(self):
        """What does not exist is not ended."""
        for item, expected in (
            (RosterItem(REMOTE), []),
            (RosterItem(REMOTE, ask=True), [("unsubscribe", ROMEO)]),
            (RosterItem(REMOTE, subscription="to"), [("unsubscribe", ROMEO)]),
            (RosterItem(REMOTE, request=b"<presence/>"), [("unsubscribed", ROMEO)]),
            (
                RosterItem(REMOTE, subscription="from"),
                [("unavailable", f"{ROMEO}/one"), ("unsubscribed", ROMEO)],
            ),
        ):
            self.assertEqual(self._remove(item), expected, item)

    def test_push(self):
        """Interested resources hear that the contact is gone."""
        self.hold(RosterItem(JULIET))
        self.romeo.send(put(f"<item jid='{JULIET}' subscription='remove'/>"))
        push = next(node for node in self.romeo.take() if node.getAttribute("type") == "set")
        self.assertEqual(
            push.firstChildElement().firstChildElement().attributes,
            {"jid": JULIET, "subscription": "remove"},
        )

    def test_local_contact(self):
        """The contact's own roster says that the subscriptions are over."""
        juliet = self.house.login("juliet", "balcony", "<presence/>")
        self.romeo.send(f"<presence type='subscribe' to='{JULIET}'/>")
        juliet.send(f"<presence type='subscribed' to='{ROMEO}'/>")
        self.romeo.send(put(f"<item jid='{JULIET}' subscription='remove'/>"))
        self.assertEqual(juliet.session.user.roster.item(ROMEO).state, "none")
        self.assertEqual(self.romeo.session.user.roster.items, {})

    def test_deleted_account(self):
        """The contacts of an account that is deleted are told."""
        self.hold(RosterItem(REMOTE, subscription="both"))
        self.elsewhere.take()
        self.house.host.events.fire(AccountDeleting(parse(ROMEO)))
        self.assertEqual(
            self.elsewhere.take(),
            [("unavailable", f"{ROMEO}/one"), ("unsubscribed", ROMEO), ("unsubscribe", ROMEO)],
        )
