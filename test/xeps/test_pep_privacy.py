"""mod_pep and mod_pubsub where accounts have shut somebody out (XEP-0191 section 3, XEP-0016)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from palaver.interfaces import IPersonalEventing, IPrivacy
from palaver.jid import parse
from palaver.test.house import Client, now
from palaver.test.pubsub.cases import events, refusal
from palaver.test.xeps.test_pep import MOOD, PepCase
from palaver.xeps.blocking import Blocking
from palaver.xeps.privacy import Privacy
from palaver.xeps.pubsub import PubSub

PAYLOAD = b"<happy xmlns='%b'/>" % MOOD.encode()
SERVICE = "pubsub.example.org"
NEWS = "<pubsub xmlns='http://jabber.org/protocol/pubsub'>{}</pubsub>"


class Case(PepCase):
    """Romeo and Juliet hear of each other's moods until one of them blocks the other."""

    def setUp(self) -> None:
        """Make both ask for moods."""
        super().setUp()
        self.house.add(Blocking)
        self.house.add(Privacy)
        self.romeo.send("<presence type='subscribe' to='juliet@example.org'/>")
        self.juliet.send("<presence type='subscribed' to='romeo@example.org'/>")
        self.asks(self.romeo, MOOD)
        self.asks(self.juliet, MOOD)
        self.phone = self.house.login("romeo", "phone", "<presence/>")
        self.asks(self.phone, MOOD)
        self.take()

    def block(self, client: Client, who: str, verb: str = "block") -> None:
        """Have a client block somebody, or with another verb the reverse."""
        answer = client.ask(
            f"<iq type='set' id='b'><{verb} xmlns='urn:xmpp:blocking'><item jid='{who}'/></{verb}></iq>"
        )
        self.assertEqual(answer["type"], "result", answer.toXml())
        self.take()

    def leave(self) -> None:
        """End Romeo's sessions."""
        for client in (self.romeo, self.phone):
            client.session.unbind()

    def hears(self, client: Client, of: Client | None = None) -> bool:
        """Publish a mood, by Romeo when nobody else is named; tells whether a client is notified."""
        self.take()
        self.phone.take()
        self.publish(client=of)
        return bool(events(client))


class BlockedTests(Case):
    """Blocked contacts."""

    def test_before(self) -> None:
        """Without a block both hear of each other."""
        self.assertTrue(self.hears(self.juliet))
        self.assertTrue(self.hears(self.romeo, of=self.juliet))

    def test_owner_blocks(self) -> None:
        """Whoever is blocked hears nothing of the account's nodes; others and its own clients do."""
        self.block(self.romeo, "juliet@example.org")
        self.asks(self.nurse, MOOD)
        self.take()
        self.publish()
        self.assertEqual(
            [bool(events(who)) for who in (self.juliet, self.nurse, self.phone)], [False, True, True]
        )

    def test_nothing_arrives(self) -> None:
        """Nothing of a blocked contact's nodes arrives, now or with the next presence."""
        self.block(self.romeo, "juliet@example.org")
        self.assertFalse(self.hears(self.romeo, of=self.juliet))
        self.asks(self.romeo, MOOD)
        self.assertNotIn("juliet@example.org", [message["from"] for message in self.romeo.take()])

    def test_unblocked(self) -> None:
        """After the block both hear of each other again."""
        self.block(self.romeo, "juliet@example.org")
        self.block(self.romeo, "juliet@example.org", "unblock")
        self.assertTrue(self.hears(self.juliet))
        self.assertTrue(self.hears(self.romeo, of=self.juliet))

    def test_domain(self) -> None:
        """A block of a whole domain counts for each address there, and never for the account itself."""
        self.block(self.romeo, "example.org")
        self.assertFalse(self.hears(self.juliet))
        self.assertTrue(self.hears(self.phone))

    def test_refused(self) -> None:
        """Whoever is blocked is refused the items as if nobody were there."""
        self.publish()
        self.block(self.romeo, "juliet@example.org")
        answer = self.ask(self.juliet, "get", f"<items node='{MOOD}'/>", "romeo@example.org")
        self.assertEqual(refusal(answer), ("cancel", "service-unavailable"))

    def test_away(self) -> None:
        """A block counts for what is published for an account that is away."""
        self.block(self.romeo, "juliet@example.org")
        self.leave()
        self.take()
        eventing: Any = self.house.host.query(IPersonalEventing)
        now(eventing.publish("romeo", MOOD, "current", PAYLOAD))
        self.assertEqual(events(self.juliet), [])


class ListTests(Case):
    """Privacy lists."""

    def test_group(self) -> None:
        """A default list that hides from a group of the roster counts with nobody online, too."""
        steps = (
            "<list name='l'><item type='group' value='friends' action='deny' order='1'>"
            "<presence-out/></item></list>",
            "<default name='l'/>",
        )
        for step in steps:
            answer = self.romeo.ask(
                f"<iq type='set' id='p'><query xmlns='jabber:iq:privacy'>{step}</query></iq>"
            )
            self.assertEqual(answer["type"], "result", answer.toXml())
        privacy: Any = self.house.host.query(IPrivacy)
        for _ in ("online", "away"):
            found = []
            for name in ("juliet", "nurse"):
                hidden = privacy.hidden_from("romeo", parse(f"{name}@example.org"))
                found.append(now(hidden) if isinstance(hidden, Deferred) else hidden)
            self.assertEqual(found, [True, False])
            self.leave()


class ServiceTests(Case):
    """A PubSub service that an account has blocked."""

    def test_service(self) -> None:
        """Notifications of a blocked service do not arrive."""
        self.house.add(PubSub)
        create = NEWS.format("<create node='n'/>")
        self.juliet.ask(f"<iq type='set' id='1' to='{SERVICE}'>{create}</iq>")
        subscribe = NEWS.format("<subscribe node='n' jid='romeo@example.org'/>")
        answer = self.romeo.ask(f"<iq type='set' id='2' to='{SERVICE}'>{subscribe}</iq>")
        self.assertEqual(answer["type"], "result", answer.toXml())
        publish = NEWS.format("<publish node='n'><item id='1'><a xmlns='urn:a'/></item></publish>")
        for blocked in (False, True):
            if blocked:
                self.block(self.romeo, SERVICE)
            self.take()
            self.juliet.ask(f"<iq type='set' id='3' to='{SERVICE}'>{publish}</iq>")
            self.assertEqual(bool(events(self.romeo)), not blocked)
