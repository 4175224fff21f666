"""mod_remote_roster."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from palaver.stanza import Stanza
from palaver.test.house import House, now, stanza
from palaver.tree import parse_element
from palaver.xeps.groups import Groups
from palaver.xeps.remote_roster import ASK_AGAIN_S, KIND, MAX_SERVICES, RemoteRoster
from palaver.xeps.roster import Roster

GATE, ROMEO = "icq.example.com", "romeo@example.org"
BUDDY = f"123@{GATE}"
NS = "urn:xmpp:tmp:roster-management:0"
REQUEST = f"<query xmlns='{NS}' type='request' reason='Contacts &amp; more'/>"


class Gateway:
    """A service of this server that asks by IQ and keeps what it gets."""

    name = "A gateway"

    def __init__(self, house, domain=GATE):
        self.domain = domain
        self.house = house
        self.got = []
        house.router.add(self)

    def deliver(self, given, to):
        self.got.append(given)

    def take(self):
        """Give what came, as trees."""
        found = [parse_element(given.encode(declare=True)) for given in self.got]
        self.got.clear()
        return found

    def ask(self, kind, payload, to=ROMEO, sender=None):
        """Send an IQ; gives its answer."""
        given = stanza(f"<iq type='{kind}' id='g1' to='{to}' from='{sender or self.domain}'>{payload}</iq>")
        self.take()
        self.house.router.route(given)
        (answer,) = [got for got in self.take() if got["id"] == "g1"]
        return answer

    def set(self, item):
        """Send a roster set; gives the answer."""
        return self.ask("set", f"<query xmlns='jabber:iq:roster'>{item}</query>")

    def get(self):
        """Ask for the roster; gives the answer."""
        return self.ask("get", "<query xmlns='jabber:iq:roster'/>")


def condition(node):
    """Give an error's type and condition."""
    return node.error["type"], node.error.firstChildElement().name


class RemoteRosterCase(SynchronousTestCase):
    """Romeo, whose presence a gateway sees."""

    trusted: tuple[str, ...] = ()

    def setUp(self):
        self.house = House(Roster)
        self.house.add(RemoteRoster, trusted=self.trusted)
        self.gate = Gateway(self.house)
        self.romeo = self.house.login("romeo", "orchard", "<presence/>")
        self.romeo.ask("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        self.romeo.send(f"<presence type='subscribed' to='{GATE}'/>")
        self.house.router.route(Stanza("presence", {"type": "subscribe", "from": GATE, "to": ROMEO}))
        self.gate.take()
        self.romeo.take()

    def question(self):
        """Have the gateway ask; gives the message that Romeo gets."""
        self.assertEqual(self.gate.ask("set", REQUEST)["type"], "result")
        (message,) = [node for node in self.romeo.take() if node.name == "message"]
        return message

    def challenge(self, message):
        (field,) = [field for field in message.x.elements() if field.getAttribute("var") == "challenge"]
        return str(field.value)

    def submit(self, challenge, answer):
        self.romeo.send(
            f"<message to='example.org' id='a'><x xmlns='jabber:x:data' type='submit'>"
            f"<field var='FORM_TYPE'><value>{NS}</value></field>"
            f"<field var='challenge'><value>{challenge}</value></field>"
            f"<field var='answer'><value>{answer}</value></field></x></message>"
        )

    def allow(self):
        """Have the gateway ask, and Romeo agree."""
        self.submit(self.challenge(self.question()), "1")
        self.gate.take()

    def items(self):
        """Give what the gateway sees, by address."""
        return {item["jid"]: item for item in self.get_query().elements()}

    def get_query(self):
        answer = self.gate.get()
        self.assertEqual(answer["type"], "result")
        return answer.query

    def informed(self):
        return [got.query["type"] for got in self.gate.take() if got.query and got.query.uri == NS]


class PermissionTests(RemoteRosterCase):
    """Who may, and who says so."""

    def test_asked(self):
        """The user is asked with a form and in words, by the server."""
        message = self.question()
        self.assertEqual((message["from"], message["to"]), ("example.org", ROMEO))
        self.assertIn("Contacts & more", str(message.body))
        self.assertIn(f"yes {self.challenge(message)}", str(message.body))
        self.assertEqual(message.x["type"], "form")
        self.assertEqual(condition(self.gate.get()), ("auth", "forbidden"))

    def test_allowed(self):
        """After a yes in the form the gateway is told, and may."""
        self.submit(self.challenge(self.question()), "true")
        self.assertEqual(self.informed(), ["allowed"])
        self.assertEqual(self.get_query().uri, "jabber:iq:roster")

    def test_typed(self):
        """A yes that is written back counts."""
        challenge = self.challenge(self.question())
        self.romeo.send(f"<message to='example.org'><body>Yes {challenge}</body></message>")
        self.assertEqual(self.informed(), ["allowed"])
        self.assertEqual(self.gate.get()["type"], "result")

    def test_rejected(self):
        """After a no the gateway is told, and may not; Romeo is not asked again on the same day."""
        challenge = self.challenge(self.question())
        self.romeo.send(f"<message to='example.org'><body>no {challenge}</body></message>")
        self.assertEqual(self.informed(), ["rejected"])
        self.assertEqual(condition(self.gate.get()), ("auth", "forbidden"))
        self.gate.ask("set", REQUEST)
        self.assertEqual(self.romeo.take(), [])
        self.house.clock.advance(ASK_AGAIN_S)
        self.question()

    def test_asked_once(self):
        """A gateway that asks again and again does not make the server do so."""
        self.question()
        self.assertEqual(self.gate.ask("set", REQUEST)["type"], "result")
        self.assertEqual(self.romeo.take(), [])

    def test_granted_before(self):
        """Who has the permission gets a yes at once."""
        self.allow()
        self.assertEqual(self.gate.ask("set", REQUEST)["type"], "result")
        self.assertEqual(self.romeo.take(), [])

    def test_wrong_challenge(self):
        """An answer to no question is refused, and an old one counts for nothing."""
        message = self.question()
        self.submit("x", "1")
        (error,) = self.romeo.take()
        self.assertEqual(condition(error), ("cancel", "item-not-found"))
        self.submit(self.challenge(message), "0")
        self.romeo.take()
        self.submit(self.challenge(message), "1")
        self.assertEqual(condition(self.romeo.take()[0]), ("cancel", "item-not-found"))
        self.assertEqual(condition(self.gate.get()), ("auth", "forbidden"))

    def test_other_messages(self):
        """What else is written to the server is answered as ever."""
        self.romeo.send("<message to='example.org'><body>yes, please</body></message>")
        self.assertEqual(condition(self.romeo.take()[0]), ("cancel", "service-unavailable"))

    def test_no_subscription(self):
        """Who does not see the presence may not ask."""
        other = Gateway(self.house, "msn.example.com")
        self.assertEqual(condition(other.ask("set", REQUEST)), ("modify", "forbidden"))

    def test_no_service(self):
        """Users are no services: no permission and no roster for them."""
        for kind, payload in (("set", REQUEST), ("get", "<query xmlns='jabber:iq:roster'/>")):
            answer = self.gate.ask(kind, payload, sender=f"eve@{GATE}")
            self.assertEqual(condition(answer), ("auth", "forbidden"))

    def test_bad_request(self):
        """Other types of requests, and reasons without end, are refused."""
        self.assertEqual(condition(self.gate.ask("set", f"<query xmlns='{NS}'/>")), ("modify", "bad-request"))
        long = f"<query xmlns='{NS}' type='request' reason='{'x' * 1025}'/>"
        self.assertEqual(condition(self.gate.ask("set", long)), ("modify", "not-acceptable"))

    def test_too_many(self):
        """Services that ask do not fill an account's store."""
        for number in range(MAX_SERVICES):
            module: Any = self.house.modules["RemoteRoster"]
            now(module._put("romeo", f"g{number}.example", state="asked", at=0.0))
        self.assertEqual(condition(self.gate.ask("set", REQUEST)), ("modify", "policy-violation"))

    def test_list_and_revoke(self):
        """The user sees who may, and takes it back; the gateway is told."""
        self.allow()
        listed = self.romeo.ask(f"<iq type='get' id='l' to='{GATE}'><query xmlns='{NS}'/></iq>")
        self.assertEqual(
            [(i["jid"], i["reason"]) for i in listed.query.elements()], [(GATE, "Contacts & more")]
        )
        reject = f"<iq type='set' id='l' to='{GATE}'><query xmlns='{NS}' type='reject'/></iq>"
        self.assertEqual(self.romeo.ask(reject)["type"], "result")
        self.assertEqual(self.informed(), ["rejected"])
        self.assertEqual(condition(self.gate.get()), ("auth", "forbidden"))
        self.assertEqual(condition(self.romeo.ask(reject)), ("cancel", "item-not-found"))
        wrong = f"<iq type='set' id='l' to='{GATE}'><query xmlns='{NS}' type='more'/></iq>"
        self.assertEqual(condition(self.romeo.ask(wrong)), ("modify", "bad-request"))

    def test_revoke_by_item(self):
        """Who is meant may stand in the request, which is then for the own server."""
        self.allow()
        item = f"<query xmlns='{NS}' type='reject'><item jid='{GATE}'/></query>"
        self.assertEqual(self.romeo.ask(f"<iq type='set' id='l'>{item}</iq>")["type"], "result")
        self.assertEqual(condition(self.gate.get()), ("auth", "forbidden"))

    def test_unsubscribed(self):
        """With the service's subscription its permission ends, and does not come back with it."""
        self.allow()
        self.romeo.send(f"<presence type='unsubscribed' to='{GATE}'/>")
        self.assertEqual(self.informed(), ["rejected"])
        self.romeo.send(f"<presence type='subscribed' to='{GATE}'/>")
        self.assertEqual(condition(self.gate.get()), ("auth", "forbidden"))

    def test_kept(self):
        """A permission and an open question are stored."""
        self.allow()
        (held,) = now(self.house.storage.documents.list("example.org", "romeo", [KIND]))
        self.assertEqual((held.key, held.value["state"]), (GATE, "granted"))
        self.house.modules["RemoteRoster"].detach()
        self.assertEqual(condition(self.gate.get()), ("auth", "forbidden"))
        self.house.add(RemoteRoster)
        self.assertEqual(self.gate.get()["type"], "result")


class RosterTests(RemoteRosterCase):
    """What a service sees and changes."""

    def setUp(self):
        super().setUp()
        self.allow()
        self.romeo.take()

    def pushes(self):
        """Give (address, subscription) of the pushes that Romeo got."""
        got = [node.query.item for node in self.romeo.take() if node.name == "iq" and node.query]
        return [(item["jid"], item["subscription"]) for item in got]

    def test_own_contacts(self):
        """A service sees the contacts on its domain alone."""
        item = "<item jid='nurse@example.org'/>"
        self.romeo.ask(f"<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
        self.gate.set(f"<item jid='{BUDDY}' name='Buddy' subscription='both'><group>ICQ</group></item>")
        found = self.items()
        self.assertEqual(set(found), {GATE, BUDDY})
        self.assertEqual((found[BUDDY]["name"], found[BUDDY]["subscription"]), ("Buddy", "both"))

    def test_set(self):
        """A contact is stored with the subscription given, and pushed; nobody gets presence for it."""
        for wanted in ("both", "to", "from", "none"):
            answer = self.gate.set(f"<item jid='{BUDDY}' subscription='{wanted}'/>")
            self.assertEqual(answer["type"], "result")
            self.assertEqual(self.pushes(), [(BUDDY, wanted)])
        self.assertEqual([got.name for got in self.gate.take()], [])

    def test_subscription_kept(self):
        """Without a subscription, or with one that there is not, it stays as it is."""
        self.gate.set(f"<item jid='{BUDDY}' subscription='both'/>")
        for item in (f"<item jid='{BUDDY}'/>", f"<item jid='{BUDDY}' subscription='most'/>"):
            self.gate.set(item)
            self.assertEqual(self.items()[BUDDY]["subscription"], "both")

    def test_remove(self):
        """A contact is removed without a word to it; one that is not there is not found."""
        self.gate.set(f"<item jid='{BUDDY}' subscription='both'/>")
        self.pushes()
        self.assertEqual(self.gate.set(f"<item jid='{BUDDY}' subscription='remove'/>")["type"], "result")
        self.assertEqual(self.pushes(), [(BUDDY, "remove")])
        answer = self.gate.set(f"<item jid='{BUDDY}' subscription='remove'/>")
        self.assertEqual(condition(answer), ("modify", "item-not-found"))

    def test_refused(self):
        """Others' contacts, resources and more than one item are refused, and nothing changes."""
        before = self.romeo.session.user.roster.version
        for item in (
            "<item jid='nurse@example.org' subscription='both'/>",
            f"<item jid='{BUDDY}/r'/>",
            "<item jid='pending'/>",
            "<item/>",
            f"<item jid='{BUDDY}'/><item jid='a@{GATE}'/>",
            "",
        ):
            self.assertEqual(condition(self.gate.set(item)), ("modify", "bad-request"))
        self.assertEqual(condition(self.gate.set(f"<item jid='{ROMEO}'/>")), ("cancel", "not-allowed"))
        self.assertEqual(self.romeo.session.user.roster.version, before)

    def test_forwarded(self):
        """What the user changes of a contact of the service's is told to it, and nothing else is."""
        for contact in (BUDDY, "nurse@example.org"):
            item = f"<item jid='{contact}' name='Friend'/>"
            self.romeo.ask(f"<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
        items = [got.query.item for got in self.gate.take() if got.name == "iq"]
        self.assertEqual([(item["jid"], item["name"]) for item in items], [(BUDDY, "Friend")])
        remove = f"<item jid='{BUDDY}' subscription='remove'/>"
        self.romeo.ask(f"<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{remove}</query></iq>")
        items = [got.query.item for got in self.gate.take() if got.name == "iq"]
        self.assertEqual([item["subscription"] for item in items], ["remove"])

    def test_away(self):
        """A service changes the roster of somebody who is away."""
        self.romeo.session.unbind()
        self.gate.set(f"<item jid='{BUDDY}' subscription='to'/>")
        self.assertEqual(self.items()[BUDDY]["subscription"], "to")

    def test_shared(self):
        """A contact that the administrator has put there is renamed and no more."""
        self.house.add(Groups, groups={"Crew": {ROMEO: "", BUDDY: ""}})
        self.house.clock.advance(0)
        self.gate.set(f"<item jid='{BUDDY}' name='Pal' subscription='none'/>")
        item = self.items()[BUDDY]
        self.assertEqual((item["name"], item["subscription"]), ("Pal", "both"))
        answer = self.gate.set(f"<item jid='{BUDDY}' subscription='remove'/>")
        self.assertEqual(condition(answer), ("cancel", "not-allowed"))


class TrustedTests(RemoteRosterCase):
    """A service that the administrator trusts."""

    trusted = (GATE, "elsewhere.example")

    def test_trusted(self):
        """It need not ask, and the user sees that it may."""
        self.assertEqual(self.gate.set(f"<item jid='{BUDDY}' subscription='both'/>")["type"], "result")
        self.assertEqual(self.gate.ask("set", REQUEST)["type"], "result")
        self.assertEqual([node for node in self.romeo.take() if node.name == "message"], [])
        listed = self.romeo.ask(f"<iq type='get' id='l' to='{GATE}'><query xmlns='{NS}'/></iq>")
        self.assertEqual([item["jid"] for item in listed.query.elements()], [GATE])

    def test_nobody(self):
        """It makes no roster for an account that there is not."""
        answer = self.gate.ask("get", "<query xmlns='jabber:iq:roster'/>", to="nobody@example.org")
        self.assertEqual(condition(answer), ("cancel", "service-unavailable"))
