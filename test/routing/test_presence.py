"""Presence and subscriptions as users see them: XML in, XML out (RFC 6121 sections 3 and 4)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.errors import StorageError
from palaver.events import BecameAvailable, BecameUnavailable, SubscriptionChanged
from palaver.interfaces import IRosters
from palaver.routing import announce, presence, rosters
from palaver.routing.pipeline import DROP, FROM_CLIENT, TO_USER
from palaver.routing.roster import RosterItem
from palaver.test.house import House, now, stanza
from palaver.xeps.roster import Roster

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
REMOTE = "benvolio@elsewhere.example"


class Elsewhere:
    """Stands for other servers: keeps what is sent there."""

    def __init__(self):
        self.stanzas = []

    def deliver(self, stanza, to):
        self.stanzas.append(stanza)

    def take(self):
        """Give (type, from, to) of what came, oldest first."""
        found = [heads(stanza) for stanza in self.stanzas]
        self.stanzas.clear()
        return found


def heads(stanza):
    return stanza.attrs.get("type"), stanza.attrs["from"], stanza.attrs["to"]


def presences(client):
    """Give (type, from) of the presences that came to a client since the last call."""
    return [(node.getAttribute("type"), node["from"]) for node in client.take() if node.name == "presence"]


class PresenceCase(SynchronousTestCase):
    """A host with rosters, and a place for what leaves it."""

    def setUp(self):
        self.house = House(Roster)
        self.host = self.house.host
        self.elsewhere = self.house.router.remote = Elsewhere()
        self.events: list[object] = []
        for event in (BecameAvailable, BecameUnavailable, SubscriptionChanged):
            self.host.events.add(event, "test", self.events.append)

    def hold(self, local, *items):
        """Put items into an account's stored roster."""
        kept = self.host.query(IRosters)
        roster = now(kept.load(local))
        version = now(kept.save(local, roster, items))
        roster.apply(items, (), version)

    def befriend(self, one=ROMEO, other=JULIET):
        """Let two accounts see each other's presence."""
        for own, contact in ((one, other), (other, one)):
            if own.endswith("@example.org"):
                self.hold(own.partition("@")[0], RosterItem(contact, subscription="both"))

    def stored(self, local, contact):
        """Give what the storage holds about a contact now."""
        document = now(self.house.storage.documents.get("example.org", local, "roster", contact))
        return document.value if document is not None else None

    def arrive(self, xml):
        """Let a stanza come from elsewhere."""
        return self.house.router.route(stanza(xml))


class BroadcastTests(PresenceCase):
    """Available and unavailable presence without an addressee."""

    def test_initial_presence_reaches_contacts(self):
        """A contact who may see it gets the presence as it was sent, addressed to the bare JID."""
        self.befriend()
        juliet = self.house.login("juliet", "balcony", "<presence/>")
        juliet.take()
        romeo = self.house.login("romeo")
        romeo.send("<presence id='p1'><show>away</show><x xmlns='urn:x'/></presence>")
        (node,) = juliet.take()
        self.assertEqual(
            node.attributes, {"id": "p1", "from": f"{ROMEO}/orchard", "to": JULIET}, "no type, no delay"
        )
        self.assertEqual([child.name for child in node.elements()], ["show", "x"])

    def test_initial_presence_is_reflected(self):
        """The resource itself gets its presence back, and the account's other resources get it too."""
        first = self.house.login("romeo", "one", "<presence/>")
        self.assertEqual(presences(first), [(None, f"{ROMEO}/one")])
        second = self.house.login("romeo", "two", "<presence/>")
        self.assertEqual(presences(first), [(None, f"{ROMEO}/two")])
        self.assertEqual(presences(second), [(None, f"{ROMEO}/two"), (None, f"{ROMEO}/one")])

    def test_initial_presence_brings_contacts(self):
        """Who comes online is shown the contacts that are online, with the time of their presence."""
        self.befriend()
        self.house.clock.advance(60)
        self.house.login("juliet", "balcony", "<presence><show>dnd</show></presence>")
        self.house.clock.advance(60)
        romeo = self.house.login("romeo", "orchard", "<presence/>")
        _, shown = romeo.take()
        self.assertEqual((shown["from"], shown["to"]), (f"{JULIET}/balcony", f"{ROMEO}/orchard"))
        show, delay = shown.elements()
        self.assertEqual(str(show), "dnd")
        self.assertEqual(
            (delay.uri, delay["from"], delay["stamp"]),
            ("urn:xmpp:delay", "example.org", "1970-01-01T00:01:00Z"),
        )

    def test_only_subscribed_contacts_see_it(self):
        """Contacts without a subscription from or both get nothing."""
        for subscription in ("none", "to"):
            self.hold("romeo", RosterItem(JULIET, subscription=subscription))
            juliet = self.house.login("juliet", subscription, "<presence/>")
            juliet.take()
            self.house.login("romeo", "orchard", "<presence/>").session.end()
            self.assertEqual(presences(juliet), [])

    def test_connected_is_not_available(self):
        """A contact's resource that has sent no presence gets none."""
        self.befriend()
        juliet = self.house.login("juliet", "balcony")
        self.house.login("romeo", "orchard", "<presence/>")
        self.assertEqual(juliet.take(), [])

    def test_negative_priority_still_gets_presence(self):
        """A resource with negative priority sees its contacts."""
        self.befriend()
        juliet = self.house.login("juliet", "balcony", "<presence><priority>-1</priority></presence>")
        juliet.take()
        self.house.login("romeo", "orchard", "<presence/>")
        self.assertEqual(presences(juliet), [(None, f"{ROMEO}/orchard")])

    def test_remote_contacts(self):
        """Contacts elsewhere get the presence and, the first time, a probe."""
        self.befriend(ROMEO, REMOTE)
        romeo = self.house.login("romeo", "orchard", "<presence/>")
        me = f"{ROMEO}/orchard"
        self.assertEqual(self.elsewhere.take(), [(None, me, REMOTE), ("probe", me, REMOTE)])
        romeo.send("<presence><show>away</show></presence>")
        self.assertEqual(self.elsewhere.take(), [(None, me, REMOTE)])

    def test_rosters_that_disagree(self):
        """A local contact who does not know of the subscription says so, and the roster is put right."""
        self.hold("romeo", RosterItem(JULIET, subscription="to"))
        self.house.login("juliet", "balcony", "<presence/>")
        romeo = self.house.login("romeo", "orchard", "<presence/>")
        self.assertIn(("unsubscribed", JULIET), presences(romeo))
        self.assertEqual(romeo.session.user.roster.item(JULIET).state, "none")

    def test_unavailable(self):
        """Logging out tells contacts and the account's resources, the leaving one included."""
        self.befriend()
        juliet = self.house.login("juliet", "balcony", "<presence/>")
        romeo = self.house.login("romeo", "orchard", "<presence/>")
        other = self.house.login("romeo", "other", "<presence/>")
        for client in (juliet, romeo, other):
            client.take()
        romeo.send("<presence type='unavailable'><status>gone</status></presence>")
        for client in (juliet, romeo, other):
            self.assertEqual(presences(client), [("unavailable", f"{ROMEO}/orchard")])
        self.assertIsNone(romeo.session.presence)
        romeo.send("<presence type='unavailable'/>")
        self.assertEqual(presences(juliet), [], "once is enough")

    def test_lost_connection(self):
        """A session that breaks off is unavailable for its contacts, with the reason."""
        self.befriend()
        juliet = self.house.login("juliet", "balcony", "<presence/>")
        romeo = self.house.login("romeo", "orchard", "<presence/>")
        juliet.take()
        romeo.session.unbind("connection lost")
        (node,) = juliet.take()
        self.assertEqual((node["type"], node["from"]), ("unavailable", f"{ROMEO}/orchard"))
        self.assertEqual(str(node.firstChildElement()), "Disconnected: connection lost")

    def test_many_contacts(self):
        """With many contacts a session's next stanza waits a turn, so that others have theirs."""
        for contacts, waits in ((announce.MAX_CONTACTS_PER_TURN, False), (1, True)):
            self.hold(
                "romeo", *[RosterItem(f"c{contacts}-{number}@example.org") for number in range(contacts)]
            )
            romeo = self.house.login("romeo")
            for sent in (
                "<presence/>",
                "<presence><show>away</show></presence>",
                "<presence type='unavailable'/>",
            ):
                waiting = romeo.send(sent)
                self.assertEqual(waiting is not None, waits)
                if waits:
                    self.assertNoResult(waiting)
                    self.house.clock.advance(0)
                    now(waiting)

    def test_events(self):
        """Modules hear of the first presence, of a priority that becomes good, and of the end."""
        romeo = self.house.login("romeo", "orchard", "<presence><priority>-5</priority></presence>")
        romeo.send("<presence/>")
        romeo.send("<presence><show>away</show></presence>")
        romeo.send("<presence type='unavailable'/>")
        self.assertEqual(
            [(type(event).__name__, getattr(event, "initial", None)) for event in self.events],
            [("BecameAvailable", True), ("BecameAvailable", False), ("BecameUnavailable", None)],
        )

    def test_to_oneself(self):
        """Presence to the own bare JID is the same as presence to nobody."""
        romeo = self.house.login("romeo", "orchard", f"<presence to='{ROMEO}'/>")
        self.assertIsNotNone(romeo.session.presence)

    def test_invalid_type(self):
        """A type that does not exist is refused."""
        romeo = self.house.login("romeo")
        for to in ("", " to='juliet@example.org'"):
            romeo.send(f"<presence id='a' type='hello'{to}/>")
            (node,) = romeo.take()
            self.assertEqual(node["type"], "error")
            self.assertEqual(next(iter(node.elements())).firstChildElement().name, "bad-request")

    def test_bad_address(self):
        """An address that is none is refused."""
        romeo = self.house.login("romeo")
        romeo.send("<presence to='a@b@c'/>")
        (node,) = romeo.take()
        self.assertEqual(next(iter(node.elements())).firstChildElement().name, "jid-malformed")


class PriorityTests(SynchronousTestCase):
    """RFC 6121 section 4.7.2.3."""

    def _priority(self, inner):
        return presence.priority(stanza(f"<presence>{inner}</presence>"))

    def test_values(self):
        """A number counts, clamped to one byte; anything else is 0."""
        for text, expected in (
            ("5", 5),
            (" -3\n", -3),
            ("+7", 7),
            ("127", 127),
            ("128", 127),
            ("-999", -128),
            ("high", 0),
            ("", 0),
            ("1.5", 0),
            ("9" * 5000, 0),
            ("\u0663", 0),
        ):
            self.assertEqual(self._priority(f"<priority>{text}</priority>"), expected, text[:10])
        self.assertEqual(self._priority(""), 0)

    def test_others_of_the_name_do_not_count(self):
        """An element of that name inside or of another namespace is no priority."""
        foreign = "<x xmlns='urn:x'><priority>9</priority></x>"
        self.assertEqual(self._priority(foreign), 0)
        self.assertEqual(self._priority(f"{foreign}<priority>3</priority>"), 3)
        self.assertEqual(self._priority("<p:priority xmlns:p='jabber:client'>4</p:priority>"), 4)


class DirectedTests(PresenceCase):
    """Presence for one addressee (section 4.6)."""

    def test_recorded_until_logout(self):
        """Who got directed presence hears of the end of the session, once."""
        romeo = self.house.login("romeo", "orchard", "<presence/>")
        room = "garden@rooms.example/romeo"
        romeo.send(f"<presence to='{room}'/>")
        me = f"{ROMEO}/orchard"
        self.assertEqual(self.elsewhere.take(), [(None, me, room)])
        romeo.send("<presence type='unavailable'/>")
        romeo.session.unbind()
        self.assertEqual(self.elsewhere.take(), [("unavailable", me, room)])

    def test_ended_by_the_client(self):
        """After a directed unavailable there is nothing left to tell."""
        romeo = self.house.login("romeo", "orchard", "<presence/>")
        romeo.send("<presence to='garden@rooms.example/romeo'/>")
        romeo.send("<presence to='garden@rooms.example/romeo' type='unavailable'/>")
        self.elsewhere.take()
        romeo.send("<presence type='unavailable'/>")
        self.assertEqual(self.elsewhere.take(), [])

    def test_ended_by_an_error(self):
        """An addressee that refuses the presence is forgotten, and the client sees the error."""
        romeo = self.house.login("romeo", "orchard", "<presence/>")
        romeo.send("<presence to='garden@rooms.example/romeo'/>")
        romeo.take()
        self.arrive(
            f"<presence from='garden@rooms.example/romeo' to='{ROMEO}/orchard' type='error'>"
            "<error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
        )
        self.assertEqual(presences(romeo), [("error", "garden@rooms.example/romeo")])
        self.elsewhere.take()
        romeo.session.unbind()
        self.assertEqual(self.elsewhere.take(), [])

    def test_subscribed_contacts_are_not_recorded(self):
        """A contact who gets the broadcast anyhow is told once."""
        self.befriend(ROMEO, REMOTE)
        romeo = self.house.login("romeo", "orchard", "<presence/>")
        romeo.send(f"<presence to='{REMOTE}'/>")
        self.elsewhere.take()
        romeo.session.unbind()
        self.assertEqual(self.elsewhere.take(), [("unavailable", f"{ROMEO}/orchard", REMOTE)])

    def test_limit(self):
        """There is an end to what one session may direct its presence at."""
        self.patch(presence, "MAX_DIRECTED", 2)
        romeo = self.house.login("romeo", "orchard")
        for number in range(3):
            romeo.send(f"<presence to='r{number}@rooms.example/x'/>")
        self.assertEqual(len(self.elsewhere.take()), 2)
        self.assertEqual(presences(romeo), [("error", "r2@rooms.example/x")])

    def test_local_full_jid(self):
        """Presence for one resource reaches that one alone; for one that is not there, nobody."""
        one = self.house.login("juliet", "one", "<presence/>")
        two = self.house.login("juliet", "two", "<presence/>")
        romeo = self.house.login("romeo", "orchard")
        one.take(), two.take()
        romeo.send(f"<presence to='{JULIET}/one'/><presence to='{JULIET}/three'/>")
        self.assertEqual(presences(one), [(None, f"{ROMEO}/orchard")])
        self.assertEqual(presences(two), [])


class ProbeTests(PresenceCase):
    """Questions from other servers (section 4.3.2)."""

    def _probe(self, sender=f"{REMOTE}/x", to=JULIET):
        self.elsewhere.take()
        return self.arrive(f"<presence type='probe' from='{sender}' to='{to}'/>")

    def test_subscribed(self):
        """A subscribed contact gets the presence of every resource, with its time."""
        self.befriend(JULIET, REMOTE)
        for resource in ("one", "two"):
            self.house.login("juliet", resource, "<presence/>")
        self._probe()
        self.assertTrue(all(found.has("urn:xmpp:delay", "delay") for found in self.elsewhere.stanzas))
        self.assertEqual(
            self.elsewhere.take(),
            [(None, f"{JULIET}/one", f"{REMOTE}/x"), (None, f"{JULIET}/two", f"{REMOTE}/x")],
        )

    def test_subscribed_but_away(self):
        """With nobody available, connected or not, the answer is unavailable."""
        self.befriend(JULIET, REMOTE)
        self._probe()
        self.assertEqual(self.elsewhere.take(), [("unavailable", JULIET, f"{REMOTE}/x")])
        self.house.login("juliet", "one")
        self._probe()
        self.assertEqual(self.elsewhere.take(), [("unavailable", JULIET, f"{REMOTE}/x")])

    def test_stranger(self):
        """A stranger gets the same answer for an account that is online, offline or not there."""
        self.house.login("romeo", "one", "<presence/>")
        for to in (ROMEO, JULIET, "nobody@example.org"):
            self._probe(to=to)
            self.assertEqual(self.elsewhere.take(), [("unsubscribed", to, REMOTE)])

    def test_directed(self):
        """Whoever presence was directed at may ask about it."""
        juliet = self.house.login("juliet", "one", "<presence/>")
        self.house.login("juliet", "two", "<presence/>")
        juliet.send(f"<presence to='{REMOTE}/x'/>")
        self._probe()
        self.assertEqual(self.elsewhere.take(), [(None, f"{JULIET}/one", f"{REMOTE}/x")])

    def test_unreadable_roster(self):
        """When the roster cannot be read there is no answer, least of all unsubscribed."""
        self.patch(self.host.query(IRosters), "load", lambda local: Deferred.fromCoroutine(_failing()))
        now(self._probe())
        self.assertEqual(self.elsewhere.take(), [])

    def test_host(self):
        """The host is available for everybody, and lets everybody subscribe."""
        self._probe(to="example.org")
        self.assertEqual(self.elsewhere.take(), [(None, "example.org", f"{REMOTE}/x")])
        self.arrive(f"<presence type='subscribe' from='{REMOTE}' to='example.org'/>")
        self.assertEqual(
            self.elsewhere.take(), [("subscribed", "example.org", REMOTE), (None, "example.org", REMOTE)]
        )
        self.arrive(f"<presence from='{REMOTE}' to='example.org'/>")
        self.assertEqual(self.elsewhere.take(), [])


async def _failing():
    raise StorageError("the disk is full")


class PipelineTests(PresenceCase):
    """Modules that stop presence."""

    def test_outgoing_guard(self):
        """A handler sees each contact's copy, and may stop one of them."""
        self.befriend()
        self.hold("romeo", RosterItem(REMOTE, subscription="from"))

        def guard(stanza, session):
            return DROP if stanza.attrs.get("to") == JULIET else None

        self.host.pipeline.add(FROM_CLIENT, "guard", ["presence"], "mod_blocking", guard)
        juliet = self.house.login("juliet", "balcony", "<presence/>")
        juliet.take()
        self.house.login("romeo", "orchard", "<presence/>")
        self.assertEqual(presences(juliet), [])
        self.assertEqual(self.elsewhere.take(), [(None, f"{ROMEO}/orchard", REMOTE)])

    def test_incoming_guard(self):
        """A handler of the receiving account may stop presence, both when it is sent and when asked for."""
        self.befriend()
        seen = []

        def guard(stanza, to):
            seen.append((stanza.attrs["from"], to.full))
            return DROP if to.local == "romeo" else None

        self.host.pipeline.add(TO_USER, "guard", ["presence"], "mod_blocking", guard)
        juliet = self.house.login("juliet", "balcony", "<presence/>")
        juliet.take()
        romeo = self.house.login("romeo", "orchard", "<presence/>")
        self.assertEqual(presences(juliet), [(None, f"{ROMEO}/orchard")])
        self.assertEqual(presences(romeo), [(None, f"{ROMEO}/orchard")])
        self.assertEqual(seen, [(f"{ROMEO}/orchard", JULIET), (f"{JULIET}/balcony", f"{ROMEO}/orchard")])

    def test_guard_that_waits(self):
        """A handler may take its time; the presence goes on when it is done."""
        self.befriend(ROMEO, REMOTE)
        waiting: Deferred[None] = Deferred()
        self.host.pipeline.add(
            FROM_CLIENT,
            "guard",
            ["presence"],
            "mod_blocking",
            lambda stanza, session: waiting if "to" in stanza.attrs else None,
        )
        romeo = self.house.login("romeo", "orchard")
        done = romeo.send("<presence/>")
        self.assertEqual(self.elsewhere.take(), [])
        self.assertNoResult(done)
        waiting.callback(None)
        self.successResultOf(done)
        self.assertEqual([kind for kind, _, _ in self.elsewhere.take()], [None, "probe"])


class SubscriptionTests(PresenceCase):
    """Asking, granting, refusing and ending (section 3)."""

    def setUp(self):
        super().setUp()
        self.romeo = self._online("romeo")
        self.juliet = self._online("juliet")

    def _online(self, local):
        client = self.house.login(local, "r", "<presence/>")
        client.ask("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        client.take()
        return client

    def _state(self, local, contact):
        return self.host.users[local].roster.item(contact).state

    def _came(self, client):
        """Give what came as short texts: pushes as item attributes, presence as type and sender."""
        found = []
        for node in client.take():
            if node.name == "iq":
                item = node.firstChildElement().firstChildElement()
                ask = "+ask" if item.getAttribute("ask") else ""
                approved = "+approved" if item.getAttribute("approved") else ""
                found.append(f"push {item['jid']} {item['subscription']}{ask}{approved}")
            else:
                found.append(f"{node.getAttribute('type', 'available')} {node['from']}")
        return found

    def _send(self, client, kind, to):
        return client.send(f"<presence type='{kind}' to='{to}'/>")

    def test_who_is_told(self):
        """Answers reach who is available or has asked for the roster; requests reach who is available."""
        self.romeo.send("<presence type='unavailable'/>")
        connected = self.house.login("romeo", "connected")
        available = self.house.login("romeo", "available", "<presence/>")
        self._send(self.romeo, "subscribe", REMOTE)
        for client in (self.romeo, available):
            client.take()
        self.arrive(f"<presence type='subscribed' from='{REMOTE}' to='{ROMEO}'/>")
        self.assertEqual(self._came(self.romeo), [f"subscribed {REMOTE}", f"push {REMOTE} to"])
        self.assertEqual(self._came(available), [f"subscribed {REMOTE}"])
        self.arrive(f"<presence type='subscribe' from='{REMOTE}' to='{ROMEO}'/>")
        self.assertEqual(self._came(available), [f"subscribe {REMOTE}"])
        for client in (self.romeo, connected):
            self.assertEqual(client.take(), [])

    def test_granting_shows_both(self):
        """When a grant makes it mutual, the contact is shown the account's presence and asked for its own."""
        self.hold("romeo", RosterItem(REMOTE, subscription="to", request=b"<presence/>"))
        self._send(self.romeo, "subscribed", REMOTE)
        self.assertEqual(
            self.elsewhere.take(),
            [("subscribed", ROMEO, REMOTE), ("probe", ROMEO, REMOTE), (None, f"{ROMEO}/r", REMOTE)],
        )

    def test_local_request_is_not_repeated(self):
        """A request that lies with an account of the same host is not sent again at the next login."""
        self._send(self.romeo, "subscribe", JULIET)
        romeo = self.house.login("romeo", "again", "<presence/>")
        self.assertNotIn(f"unavailable {JULIET}", self._came(romeo))

    def test_whole_story(self):
        """Romeo asks, Juliet grants, asks back and is granted; both end as both, in the RFC's order."""
        self._send(self.romeo, "subscribe", f"{JULIET}/r")
        self.assertEqual(self._came(self.romeo), [f"push {JULIET} none+ask", f"unavailable {JULIET}"])
        self.assertEqual(self._came(self.juliet), [f"subscribe {ROMEO}"])
        self._send(self.juliet, "subscribed", ROMEO)
        self.assertEqual(self._came(self.juliet), [f"push {ROMEO} from"])
        self.assertEqual(
            self._came(self.romeo),
            [f"subscribed {JULIET}", f"push {JULIET} to", f"available {JULIET}/r"],
        )
        self._send(self.juliet, "subscribe", ROMEO)
        self._send(self.romeo, "subscribed", JULIET)
        self.assertEqual(
            self._came(self.juliet),
            [
                f"push {ROMEO} from+ask",
                f"unavailable {ROMEO}",
                f"subscribed {ROMEO}",
                f"push {ROMEO} both",
                f"available {ROMEO}/r",
            ],
        )
        self.assertEqual(self.stored("romeo", JULIET), {"subscription": "both"})
        self.assertEqual(self.stored("juliet", ROMEO), {"subscription": "both"})
        self.assertIn(SubscriptionChanged("juliet", ROMEO, "both"), self.events)

    def test_refused(self):
        """A refused request leaves nothing with who refuses, and a mere contact with who asked."""
        self._send(self.romeo, "subscribe", JULIET)
        self._came(self.romeo), self._came(self.juliet)
        self._send(self.juliet, "unsubscribed", ROMEO)
        self.assertEqual(self._came(self.romeo), [f"unsubscribed {JULIET}", f"push {JULIET} none"])
        self.assertEqual(self._came(self.juliet), [])
        self.assertEqual(self.stored("romeo", JULIET), {})
        self.assertIsNone(self.stored("juliet", ROMEO))

    def _both(self):
        for local, contact in (("romeo", JULIET), ("juliet", ROMEO)):
            self.hold(local, RosterItem(contact, subscription="both"))

    def test_subscription_cancelled_by_the_contact(self):
        """Unavailable comes before unsubscribed, and the roster says what is left."""
        self._both()
        self._send(self.juliet, "unsubscribed", ROMEO)
        self.assertEqual(
            self._came(self.romeo),
            [f"unavailable {JULIET}/r", f"unsubscribed {JULIET}", f"push {JULIET} from"],
        )
        self.assertEqual(self._came(self.juliet), [f"push {ROMEO} to"])

    def test_subscription_given_up(self):
        """Who unsubscribes is shown the contact as unavailable."""
        self._both()
        self._send(self.romeo, "unsubscribe", JULIET)
        self.assertEqual(self._came(self.romeo), [f"push {JULIET} from", f"unavailable {JULIET}/r"])
        self.assertEqual(self._came(self.juliet), [f"unsubscribe {ROMEO}", f"push {ROMEO} to"])

    def test_pre_approved(self):
        """A request that was approved before it came is granted at once (section 3.4)."""
        self._send(self.juliet, "subscribed", ROMEO)
        self.assertEqual(self._came(self.juliet), [f"push {ROMEO} none+approved"])
        self.assertEqual(self._came(self.romeo), [], "nobody is told")
        self._send(self.romeo, "subscribe", JULIET)
        self.assertEqual(self._came(self.juliet), [f"push {ROMEO} from"])
        self.assertEqual(
            self._came(self.romeo),
            [f"push {JULIET} none+ask", f"subscribed {JULIET}", f"push {JULIET} to", f"available {JULIET}/r"],
        )

    def test_pre_approval_taken_back(self):
        """An approval that is taken back grants nothing."""
        self._send(self.juliet, "subscribed", ROMEO)
        self._send(self.juliet, "unsubscribed", ROMEO)
        self.assertEqual(self._came(self.juliet), [f"push {ROMEO} none+approved", f"push {ROMEO} none"])
        self._send(self.romeo, "subscribe", JULIET)
        self.assertEqual(self._came(self.juliet), [f"subscribe {ROMEO}"])

    def test_granted_already(self):
        """A request of somebody who is subscribed already is granted by the server."""
        self._both()
        self._send(self.romeo, "subscribe", JULIET)
        self.assertEqual(self._came(self.juliet), [])
        self.assertEqual(self._came(self.romeo), [f"available {JULIET}/r"])

    def test_asked_twice(self):
        """A second request is not shown again."""
        for _ in range(2):
            self._send(self.romeo, "subscribe", JULIET)
        self.assertEqual(self._came(self.juliet), [f"subscribe {ROMEO}"])

    def test_offline_request_waits(self):
        """A request for somebody offline is kept as it came and shown at each login until it is answered."""
        self.romeo.send(
            "<presence type='subscribe' to='nurse@example.org' id='q'>"
            "<status>Let me &amp; in</status><x xmlns='urn:x'/></presence>"
        )
        self.assertNotIn("nurse", self.host.users)
        for _ in range(2):
            nurse = self.house.login("nurse", "r", "<presence/>")
            (request,) = [node for node in nurse.take() if node.getAttribute("type") == "subscribe"]
            self.assertEqual((request["from"], request["to"]), (ROMEO, "nurse@example.org"))
            self.assertEqual(str(request.firstChildElement()), "Let me & in")
            self.assertEqual([child.name for child in request.elements()], ["status", "x"])
            nurse.session.end()
        nurse = self.house.login("nurse", "r", "<presence/>")
        self._send(nurse, "subscribed", ROMEO)
        nurse.session.end()
        nurse = self.house.login("nurse", "r", "<presence/>")
        self.assertNotIn("subscribe nurse", " ".join(self._came(nurse)))
        self.assertEqual(self._state("romeo", "nurse@example.org"), "to")

    def test_large_request(self):
        """Of a very large request only that it was made is kept."""
        self.arrive(
            f"<presence type='subscribe' from='{REMOTE}' to='nurse@example.org'>"
            f"<status>{'x' * 20000}</status></presence>"
        )
        self.assertLess(len(self.stored("nurse", REMOTE)["request"]), 300)

    def test_account_that_is_not_there(self):
        """Subscription stanzas for an account that does not exist are passed over."""
        for kind in ("subscribe", "subscribed", "unsubscribe", "unsubscribed"):
            now(self.arrive(f"<presence type='{kind}' from='{REMOTE}' to='nobody@example.org'/>"))
        self.assertEqual(self.elsewhere.take(), [])
        self.assertIsNone(self.stored("nobody", REMOTE))

    def test_oneself(self):
        """Nobody subscribes to their own presence."""
        self._send(self.romeo, "subscribe", ROMEO)
        self._send(self.romeo, "subscribe", f"{ROMEO}/r")
        self.assertEqual(self._came(self.romeo), [])
        self.assertEqual(self.host.users["romeo"].roster.items, {})

    def test_uncalled_for(self):
        """A grant that was not asked for changes nothing and is not shown."""
        self.arrive(f"<presence type='subscribed' from='{REMOTE}' to='{ROMEO}'/>")
        self.assertEqual(self._came(self.romeo), [])
        self.assertEqual(self._state("romeo", REMOTE), "none")

    def test_remote(self):
        """Other servers see bare JIDs, and a request that is not answered yet is repeated at login."""
        self._send(self.romeo, "subscribe", f"{REMOTE}/x")
        self.assertEqual(self.elsewhere.take(), [("subscribe", ROMEO, REMOTE)])
        self._online("romeo")
        self.assertEqual(self.elsewhere.take(), [("subscribe", ROMEO, REMOTE)])
        self.arrive(f"<presence type='subscribed' from='{REMOTE}/y' to='{ROMEO}/r'/>")
        self.assertEqual(self._state("romeo", REMOTE), "to")

    def test_nothing_is_told_before_it_is_stored(self):
        """Until the change is committed there is no push, no stanza on its way and no acknowledgement."""
        commit: Deferred[None] = Deferred()
        write = self.house.storage.write
        self.patch(self.house.storage, "write", lambda batch: commit.addCallback(lambda _: write(batch)))
        done = self._send(self.romeo, "subscribe", REMOTE)
        self.assertNoResult(done)
        self.assertEqual((self._came(self.romeo), self.elsewhere.take()), ([], []))
        self.assertEqual(self._state("romeo", REMOTE), "none")
        commit.callback(None)
        self.successResultOf(done)
        self.assertEqual(self._came(self.romeo), [f"push {REMOTE} none+ask"])
        self.assertEqual(len(self.elsewhere.take()), 1)

    def test_presence_comes_after_the_grant(self):
        """However long a commit takes: first the grant and the push, then the presence they let through."""
        self._send(self.romeo, "subscribe", JULIET)
        self._came(self.romeo)
        commits: list[Deferred[None]] = []
        write = self.house.storage.write

        def held(batch):
            commits.append(Deferred())
            return commits[-1].addCallback(lambda _: write(batch))

        self.patch(self.house.storage, "write", held)
        done = self._send(self.juliet, "subscribed", ROMEO)
        commits[0].callback(None)
        self.assertEqual(self._came(self.romeo), [])
        self.assertNoResult(done)
        commits[1].callback(None)
        self.successResultOf(done)
        self.assertEqual(
            self._came(self.romeo), [f"subscribed {JULIET}", f"push {JULIET} to", f"available {JULIET}/r"]
        )

    def test_storage_fails(self):
        """A change that cannot be stored is refused, and the roster is as it was."""
        self.patch(self.house.storage, "write", lambda batch: Deferred.fromCoroutine(_failing()))
        self.successResultOf(self._send(self.romeo, "subscribe", REMOTE))
        (node,) = self.romeo.take()
        error = next(iter(node.elements()))
        self.assertEqual((node["type"], node["to"], error["type"]), ("error", ROMEO, "wait"))
        self.assertEqual(error.firstChildElement().name, "internal-server-error")
        self.assertEqual(self.elsewhere.take(), [])
        self.assertEqual(self.host.users["romeo"].roster.items, {})

    def test_changes_follow_each_other(self):
        """Two changes at the same time both happen, the second one after the first."""
        commits: list[Deferred[None]] = []
        write = self.house.storage.write

        def held(batch):
            commits.append(Deferred())
            return commits[-1].addCallback(lambda _: write(batch))

        self.patch(self.house.storage, "write", held)
        version = self.host.users["romeo"].roster.version
        for contact in ("a@elsewhere.example", "b@elsewhere.example"):
            self._send(self.romeo, "subscribe", contact)
        self.assertEqual(len(commits), 1)
        commits[0].callback(None)
        self.assertEqual(len(commits), 2)
        commits[1].callback(None)
        roster = self.host.users["romeo"].roster
        self.assertEqual(sorted(roster.items), ["a@elsewhere.example", "b@elsewhere.example"])
        self.assertGreater(roster.version, version + 1)
        self.assertIsNone(roster.lock)

    def test_login_during_a_change(self):
        """Who logs in while an offline account's roster is being changed gets the change."""
        commit: Deferred[None] = Deferred()
        write = self.house.storage.write
        self.patch(self.house.storage, "write", lambda batch: commit.addCallback(lambda _: write(batch)))
        self.arrive(f"<presence type='subscribe' from='{REMOTE}' to='nurse@example.org'/>")
        nurse = self.house.login("nurse", "r", "<presence/>")
        nurse.take()
        commit.callback(None)
        self.assertEqual(self._came(nurse), [f"subscribe {REMOTE}"])

    def test_guard_comes_after_the_roster(self):
        """A blocked contact can still be unsubscribed from: the roster changes, the stanza is stopped."""
        self._both()

        def guard(stanza, session):
            return DROP if stanza.attrs.get("to") == JULIET else None

        self.host.pipeline.add(FROM_CLIENT, "guard", ["presence"], "mod_blocking", guard)
        self._send(self.romeo, "unsubscribe", JULIET)
        self.assertEqual(self._came(self.romeo), [f"push {JULIET} from"])
        self.assertEqual(self._came(self.juliet), [])

    def test_full_roster(self):
        """A full roster takes no more contacts, however they come."""
        self.host.query(IRosters).max_items = 1
        self._send(self.romeo, "subscribe", "a@elsewhere.example")
        self.arrive(f"<presence type='subscribe' from='{REMOTE}' to='{ROMEO}'/>")
        self.elsewhere.take()
        self.romeo.take()
        for kind, contact in (("subscribe", "b@elsewhere.example"), ("subscribed", REMOTE)):
            self._send(self.romeo, kind, contact)
            (node,) = self.romeo.take()
            self.assertEqual(next(iter(node.elements())).firstChildElement().name, "policy-violation")
        self.assertEqual(self.elsewhere.take(), [])

    def test_many_strangers(self):
        """Strangers' requests have a limit of their own and leave room for contacts."""
        self.patch(rosters, "MAX_REQUESTS", 2)
        self.host.query(IRosters).max_items = 1
        for name in "abc":
            self.arrive(f"<presence type='subscribe' from='{name}@elsewhere.example' to='{ROMEO}'/>")
        self.assertEqual(
            [kind for kind, _, _ in self.elsewhere.take()], ["unavailable", "unavailable", "error"]
        )
        self._send(self.romeo, "subscribe", REMOTE)
        self.assertEqual(self._state("romeo", REMOTE), "none+out")


class StoredRostersTests(PresenceCase):
    """What a login is given, and what has changed since."""

    def _documents(self, local="romeo"):
        return now(self.house.storage.documents.list("example.org", local, ("roster", "roster-state")))

    def test_documents_of_the_login(self):
        """A roster comes from what the login read, without another query."""
        self.befriend()
        fresh = rosters.StoredRosters("example.org", None)
        roster = now(fresh.load("romeo", self._documents()))
        self.assertEqual(roster.item(JULIET).subscription, "both")
        self.assertGreater(roster.version, 0)

    def test_documents_that_are_out_of_date(self):
        """A change between the login's query and the binding is not lost."""
        documents = self._documents("nurse")
        self.arrive(f"<presence type='subscribe' from='{REMOTE}' to='nurse@example.org'/>")
        roster = now(self.host.query(IRosters).load("nurse", documents))
        self.assertEqual(roster.item(REMOTE).state, "none+in")

    def test_change_while_it_is_read(self):
        """A change that is committed while somebody waits for an older answer is not lost."""
        documents = self.house.storage.documents
        read: Deferred[None] = Deferred()
        listing = documents.list
        old = listing("example.org", "nurse", rosters.ROSTER_KINDS)
        self.patch(documents, "list", lambda *_: read.addCallback(lambda _: old))
        loading = self.host.query(IRosters).load("nurse")
        self.patch(documents, "list", listing)
        self.arrive(f"<presence type='subscribe' from='{REMOTE}' to='nurse@example.org'/>")
        read.callback(None)
        self.assertEqual(self.successResultOf(loading).item(REMOTE).state, "none+in")

    def test_everything_survives(self):
        """Name, groups, states and requests are read back as they were."""
        items = [
            RosterItem(
                JULIET, "J\u00fclia", ("A", "B"), "to", True, True, True, b"<presence id='\xc3\xbc'/>"
            ),
            RosterItem(REMOTE, listed=False, request=b"<presence/>"),
        ]
        self.hold("romeo", *items)
        fresh = rosters.StoredRosters("example.org", self.house.storage)
        self.assertEqual(sorted(now(fresh.load("romeo")).items.values()), sorted(items))

    def test_unreadable_roster_stops_the_login(self):
        """An account whose roster cannot be read does not come online with an empty one."""
        self.patch(self.host.query(IRosters), "load", lambda *_: Deferred.fromCoroutine(_failing()))
        with self.assertRaises(Exception) as raised:
            self.house.login("romeo")
        self.assertEqual(raised.exception.condition, "internal-server-error")
        self.assertEqual(self.host.users, {})
