"""mod_privilege: services that act for accounts (XEP-0356)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from palaver import jid
from palaver.entities import contacts
from palaver.entities.permissions import NS_PRIVILEGE, Privileges
from palaver.errors import StorageError
from palaver.events import AccountDeleted
from palaver.interfaces import IComponents
from palaver.routing.roster import Roster as Contacts
from palaver.routing.roster import RosterItem
from palaver.routing.rosters import rosters
from palaver.test.components.talker import GATEWAY, SECRET, Gates
from palaver.test.house import House, now, stanza
from palaver.xeps import privilege
from palaver.xeps.invisible import Invisible
from palaver.xeps.privilege import Privilege
from palaver.xeps.roster import Roster
from palaver.xeps.version import Version

ALL = {
    "roster": "both",
    "message": "outgoing",
    "presence": "managed_entity",
    "iq": {"jabber:iq:version": "get"},
}
ROSTER = "<query xmlns='jabber:iq:roster'/>"
VERSION = "<query xmlns='jabber:iq:version'/>"
TO_ROMEO = (
    "<iq xmlns='jabber:client' type='set' id='in' to='romeo@example.org/orchard'><x xmlns='urn:x'/></iq>"
)


@contextmanager
def patched(thing: object, name: str, value: object) -> Iterator[None]:
    """Have an attribute of an object be something else for a while."""
    setattr(thing, name, value)
    try:
        yield
    finally:
        delattr(thing, name)


class Case(SynchronousTestCase):
    """A host with romeo on it, and a privileged gateway."""

    def serve(self, *modules: Any, **privileges: Any) -> None:
        """Start the host; the gateway has these privileges."""
        self.house = House(Roster, Version, *modules)
        self.gates = Gates(house=self.house)
        self.house.host.registry.registerUtility(self.gates.components, IComponents)
        self.house.add(Privilege, privileged_entities={GATEWAY: privileges})
        self.gateway = self.gates.open()
        self.told = self.gateway.connect()
        self.romeo = self.house.login("romeo", "orchard")

    def ask(self, kind: str, payload: str, to: str = "romeo@example.org") -> str:
        return self.gateway.send(f"<iq id='1' type='{kind}' from='{GATEWAY}' to='{to}'>{payload}</iq>")

    def say(self, message: str, to: str = "example.org") -> str:
        inner = f"<forwarded xmlns='urn:xmpp:forward:0'>{message}</forwarded>"
        return self.gateway.send(
            f"<message id='1' from='{GATEWAY}' to='{to}'>"
            f"<privilege xmlns='{NS_PRIVILEGE}'>{inner}</privilege></message>"
        )

    def privileged(self, inner: str, kind: str = "get", to: str = "romeo@example.org") -> str:
        return self.ask(kind, f"<privileged_iq xmlns='{NS_PRIVILEGE}'>{inner}</privileged_iq>", to)


class AdvertisementTests(Case):
    """What a component is told when it connects."""

    def test_all(self) -> None:
        """Every privilege is named."""
        self.serve(**ALL)
        handshake, message = self.told.split("<message", 1)
        self.assertEqual(handshake, "<handshake/>")
        for part in (
            "<perm access='roster' type='both' push='true'/>",
            "<perm access='message' type='outgoing'/>",
            "<perm access='iq'><namespace ns='jabber:iq:version' type='get'/></perm>",
            "<perm access='presence' type='managed_entity'/>",
        ):
            self.assertIn(part, message)

    def test_set_has_no_push(self) -> None:
        """Who may only change rosters is not told of changes."""
        self.serve(roster="set")
        self.assertIn("<perm access='roster' type='set' push='false'/>", self.told)

    def test_others(self) -> None:
        """A component that is not named is told nothing."""
        self.serve(**ALL)
        other = self.gates.open(secret=SECRET)
        self.assertEqual(other.connect("icq.example.org"), "<handshake/>")

    def test_below_hosts(self) -> None:
        """One that stands below every host is told for each."""
        self.serve(**ALL)
        self.house.modules["Privilege"].detach()
        self.house.add(Privilege, privileged_entities={"chat.example.org": {"message": "outgoing"}})
        told = self.gates.open(secret="all").connect("chat", "all", more=" is_subdomain='true'")
        self.assertIn("<perm access='message' type='outgoing'/>", told)
        self.assertIn("to='chat.example.org'", told)

    def test_reload(self) -> None:
        """Other privileges are told under an open stream, and count at once."""
        self.serve(message="outgoing")
        self.house.modules["Privilege"].detach()
        self.house.add(Privilege, privileged_entities={GATEWAY: {"roster": "get"}})
        self.assertIn("<perm access='roster' type='get' push='true'/>", self.gateway.take())
        self.assertIn("type='result'", self.ask("get", ROSTER))
        self.assertIn("<forbidden ", self.say("<message xmlns='jabber:client' from='example.org' to='a@b'/>"))

    def test_who_is_online(self) -> None:
        """Who comes late is told who is online."""
        self.serve(**ALL)
        self.romeo.send("<presence><show>away</show></presence>")
        self.gateway.stream.connection_lost()
        answer = self.gates.open().connect()
        self.assertIn("<show>away</show>", answer)
        self.assertRegex(answer, "<presence [^>]*from='romeo@example.org/orchard'")


class RosterTests(Case):
    """Other people's rosters."""

    def test_get_and_set(self) -> None:
        """It reads and changes a roster; the account's own clients see the change."""
        self.serve(roster="both")
        self.romeo.send(f"<iq type='get' id='r'>{ROSTER}</iq>")
        self.romeo.take()
        item = "<item jid='nick@irc.example.org' name='Nick'/>"
        answer = self.ask("set", f"<query xmlns='jabber:iq:roster'>{item}</query>")
        self.assertIn("type='result'", answer)
        self.assertEqual(self.romeo.take()[0].query.item["name"], "Nick")
        self.assertIn("nick@irc.example.org", self.ask("get", ROSTER))

    def test_pushes(self) -> None:
        """It is told of what others change, unless told not to be."""
        item = "<query xmlns='jabber:iq:roster'><item jid='nurse@example.org'/></query>"
        for push in (True, False):
            self.serve(roster="get", push=push)
            self.romeo.send(f"<iq type='set' id='r'>{item}</iq>")
            self.assertEqual("nurse@example.org" in self.gateway.take(), push)

    def test_forbidden(self) -> None:
        """What it may not is refused, whoever the account is."""
        for access, kind in (("none", "get"), ("none", "set"), ("get", "set"), ("set", "get")):
            self.serve(roster=access)
            self.assertIn("<forbidden ", self.ask(kind, ROSTER), (access, kind))
            self.assertIn("<forbidden ", self.ask(kind, ROSTER, "nobody@example.org"), (access, kind))

    def test_nobody(self) -> None:
        """An account that is not there has no roster."""
        self.serve(roster="get")
        self.assertIn("<item-not-found ", self.ask("get", ROSTER, "nobody@example.org"))

    def test_another_server(self) -> None:
        """A domain that is no service of this server has no privileges, whoever speaks for it."""
        self.serve(roster="both", message="outgoing", iq={"jabber:iq:version": "get"})
        self.gates.configure({})
        replies: list[Any] = []
        remote = type("Remote", (), {"deliver": lambda self, given, to: replies.append(given)})()
        self.patch(self.gates.router, "remote", remote)
        for text in (
            f"<iq id='1' type='get' from='{GATEWAY}' to='romeo@example.org'>{ROSTER}</iq>",
            f"<iq id='1' type='get' from='{GATEWAY}' to='romeo@example.org'>"
            f"<privileged_iq xmlns='{NS_PRIVILEGE}'><iq xmlns='jabber:client' type='get' id='a'>"
            f"{VERSION}</iq></privileged_iq></iq>",
            f"<message id='1' from='{GATEWAY}' to='example.org'><privilege xmlns='{NS_PRIVILEGE}'>"
            "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='example.org' "
            "to='romeo@example.org/orchard'/></forwarded></privilege></message>",
        ):
            self.gates.router.route(stanza(text))
            self.assertEqual(replies.pop().element.error.firstChildElement().name, "forbidden", text)
        self.romeo.send(
            "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='a@b'/></query></iq>"
        )
        self.assertEqual((replies, [node["type"] for node in self.romeo.take()]), ([], ["result"]))

    def test_a_bad_set(self) -> None:
        """A set that is none changes nothing."""
        self.serve(roster="both")
        for items in ("", "<item/>", "<item jid='a@b/c'/>", "<item jid='a@b'/><item jid='c@d'/>"):
            answer = self.ask("set", f"<query xmlns='jabber:iq:roster'>{items}</query>")
            self.assertIn("<bad-request ", answer, items)


class MessageTests(Case):
    """Messages in the name of the host and of accounts."""

    def test_sent(self) -> None:
        """What is inside is sent as it is, from the host or from an account."""
        self.serve(message="outgoing")
        for sender in ("example.org", "juliet@example.org"):
            self.say(
                f"<message xmlns='jabber:client' from='{sender}' to='romeo@example.org/orchard' id='x'/>"
            )
            (message,) = self.romeo.take()
            self.assertEqual((message["from"], message["id"]), (sender, "x"))

    def test_own_namespace(self) -> None:
        """A message that a component's library has left in the component's namespace is sent as well."""
        self.serve(message="outgoing")
        self.say(
            "<message xmlns='jabber:component:accept' from='juliet@example.org' "
            "to='romeo@example.org/orchard'><body>hi</body></message>"
        )
        (message,) = self.romeo.take()
        self.assertEqual(
            (message.uri, str(message.body), message.body.uri), ("jabber:client", "hi", "jabber:client")
        )

    def test_forbidden(self) -> None:
        """Nobody else's name is used, nor anything but a message; the message comes back."""
        self.serve(message="outgoing")
        to = "to='romeo@example.org/orchard'"
        for inner in (
            f"<message xmlns='jabber:client' from='juliet@example.org/x' {to}/>",
            f"<message xmlns='jabber:client' from='juliet@example.net' {to}/>",
            f"<message xmlns='jabber:client' from='a@b@c' {to}/>",
            f"<message xmlns='jabber:client' {to}/>",
            "<message xmlns='jabber:client' from='juliet@example.org'/>",
            f"<presence xmlns='jabber:client' from='juliet@example.org' {to}/>",
            f"<message xmlns='urn:x' from='juliet@example.org' {to}/>",
            "",
        ):
            self.assertIn("<forbidden ", self.say(inner), inner)
        self.assertEqual(self.romeo.take(), [])

    def test_without_the_privilege(self) -> None:
        """A service that may not, and other messages to the host, are refused."""
        self.serve(roster="both")
        inner = "<message xmlns='jabber:client' from='juliet@example.org' to='romeo@example.org/orchard'/>"
        self.assertIn("<forbidden ", self.say(inner))
        answer = self.gateway.send(f"<message id='1' from='{GATEWAY}' to='example.org'/>")
        self.assertIn("<service-unavailable ", answer)
        self.romeo.send(f"<message to='example.org'><privilege xmlns='{NS_PRIVILEGE}'/></message>")
        self.assertEqual(self.romeo.take()[0].error.firstChildElement().name, "forbidden")


class IqTests(Case):
    """Requests in the name of accounts."""

    def test_sent(self) -> None:
        """The answer is forwarded, with the ids that the service gave."""
        self.serve(**ALL)
        answer = self.privileged(
            f"<iq xmlns='jabber:client' type='get' id='in' to='example.org'>{VERSION}</iq>"
        )
        found = re.search(r"<iq type='result' id='1'.*<forwarded [^>]*>(.*)</forwarded>", answer)
        assert found is not None, answer
        for part in ("type='result'", "id='in'", "from='example.org'", "to='romeo@example.org'", "<name>"):
            self.assertIn(part, found[1])

    def test_application_error(self) -> None:
        """What an application says of an error is forwarded with it."""
        self.serve(iq={"urn:x": "set"})
        self.assertEqual(self.privileged(TO_ROMEO, "set"), "")
        (asked,) = self.romeo.take()
        self.assertEqual(asked["from"], "romeo@example.org")
        self.romeo.send(
            f"<iq type='error' id='{asked['id']}' to='romeo@example.org'><error type='cancel'>"
            "<conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><closed-node xmlns='urn:y'/></error></iq>"
        )
        self.assertIn("<closed-node xmlns='urn:y'/>", self.gateway.take())

    def test_no_answer(self) -> None:
        """A request that nobody answers ends with a timeout."""
        self.serve(iq={"urn:x": "set"})
        self.privileged(TO_ROMEO, "set")
        self.house.clock.advance(61)
        self.assertIn("<remote-server-timeout ", self.gateway.take())

    def test_written_otherwise(self) -> None:
        """Addresses are the same however they are written; one that is none is refused inside."""
        self.serve(**ALL)
        inner = (
            "<iq xmlns='jabber:client' type='get' id='in' from='Romeo@Example.ORG' to='EXAMPLE.org'>"
            f"{VERSION}</iq>"
        )
        self.assertIn("<name>", self.privileged(inner))
        self.assertIn("<jid-malformed ", self.privileged(inner.replace("EXAMPLE.org", "a@b@c")))
        # Without a to it is for the account itself.
        self.assertIn("<service-unavailable ", self.privileged(inner.replace(" to='EXAMPLE.org'", "")))

    def test_an_error(self) -> None:
        """An error that comes back is forwarded too."""
        self.serve(iq={"urn:x": "set"})
        inner = "<iq xmlns='jabber:client' type='set' id='in' to='example.org'><x xmlns='urn:x'/></iq>"
        answer = self.privileged(inner, "set")
        self.assertIn("<service-unavailable ", answer)
        self.assertIn("<iq type='result' id='1'", answer)

    def test_forbidden(self) -> None:
        """Another namespace, type, sender or wrapping is refused."""
        self.serve(**ALL)
        good = f"<iq xmlns='jabber:client' type='get' id='in' to='example.org'>{VERSION}</iq>"
        for inner, kind in (
            (good.replace("jabber:iq:version", "jabber:iq:roster"), "get"),
            (good.replace("type='get'", "type='set'"), "set"),
            (good, "set"),
            (good.replace("<iq ", "<iq from='juliet@example.org' "), "get"),
            (good.replace("jabber:client", "urn:x"), "get"),
            (good.replace("jabber:client", "jabber:component:accept"), "get"),
            (good.replace(VERSION, ""), "get"),
            ("", "get"),
        ):
            self.assertIn("<forbidden ", self.privileged(inner, kind), (inner, kind))
        wrong = good.replace("<iq ", "<iq from='a@b@c' ")
        self.assertIn("<forbidden ", self.privileged(wrong))

    def test_for_no_account(self) -> None:
        """Requests in the name of the host, of a session or of nobody are refused, and reach nobody."""
        self.serve(**ALL)
        good = f"<iq xmlns='jabber:client' type='get' id='in' to='example.org'>{VERSION}</iq>"
        for to in ("example.org", "romeo@example.org/orchard", "nobody@example.org"):
            self.assertIn("<forbidden ", self.privileged(good, to=to), to)
        self.assertEqual(self.romeo.take(), [])

    def test_strangers(self) -> None:
        """People have no privileges, not even over themselves."""
        self.serve(**ALL)
        for to in ("", " to='romeo@example.org'", " to='juliet@example.org'", " to='example.org'"):
            self.romeo.send(f"<iq id='1' type='get'{to}><privileged_iq xmlns='{NS_PRIVILEGE}'/></iq>")
            self.assertEqual(self.romeo.take()[0].error.firstChildElement().name, "forbidden", to)


class PresenceTests(Case):
    """Who is online."""

    def test_shown(self) -> None:
        """Initial presence and its end are shown, nothing between."""
        self.serve(**ALL)
        self.romeo.send("<presence id='a'/>")
        self.assertIn("id='a'", self.gateway.take())
        self.romeo.send("<presence id='b'/>")
        self.assertEqual(self.gateway.take(), "")
        self.romeo.send("<presence type='unavailable' id='c'/>")
        self.assertRegex(self.gateway.take(), "<presence [^>]*type='unavailable'")

    def test_not_shown(self) -> None:
        """Without the privilege nothing is shown."""
        self.serve(roster="both")
        self.romeo.send("<presence/>")
        self.assertEqual(self.gateway.take(), "")

    def test_invisible(self) -> None:
        """A session that hides is shown as gone, and not when it comes or goes unseen."""
        self.serve(Invisible, **ALL)
        self.romeo.send("<presence/>")
        self.gateway.take()
        self.romeo.send("<iq type='set' id='i'><invisible xmlns='urn:xmpp:invisible:1'/></iq>")
        self.assertRegex(self.gateway.take(), "<presence [^>]*type='unavailable'")
        self.romeo.send("<presence type='unavailable'/>")
        self.romeo.send("<presence/>")
        self.assertEqual(self.gateway.take(), "")
        self.gateway.stream.connection_lost()
        self.assertNotIn("<presence", self.gates.open().connect())

    def test_away(self) -> None:
        """While the service is away nobody hears that it did not see them."""
        self.serve(**ALL)
        self.gateway.stream.connection_lost()
        self.romeo.send("<presence/>")
        self.assertEqual([node["from"] for node in self.romeo.take()], ["romeo@example.org/orchard"])


CONTACT = "nurse@capulet.example"


class ContactTests(Case):
    """The presence of contacts (section 7.4)."""

    def setUp(self) -> None:
        self.serve(presence="roster", roster="get", push=False)
        self.befriend("romeo", CONTACT)

    def befriend(self, local: str, contact: str, subscription: str = "to") -> None:
        """Put a contact into a roster, whether its account is online or not."""
        store = rosters(self.house.host)
        roster = now(store.load(local))
        item = RosterItem(contact, subscription=subscription)
        version = now(store.save(local, roster, [item]))
        roster.apply([item], [], version)

    def arrive(self, inner: str = "", to: str = "romeo@example.org", **attrs: str) -> str:
        """Have presence come from elsewhere; gives what the gateway gets."""
        said = {"from": f"{CONTACT}/home", "to": to} | {
            name.rstrip("_"): value for name, value in attrs.items()
        }
        text = "".join(f" {name}='{value}'" for name, value in said.items())
        self.house.router.route(stanza(f"<presence{text}>{inner}</presence>"))
        return self.gateway.take()

    def test_told(self) -> None:
        """The privilege is named."""
        self.assertIn("<perm access='presence' type='roster'/>", self.told)

    def test_shown(self) -> None:
        """Each presence of a contact is shown as it came, also while the account is away."""
        sent = self.arrive("<show>away</show>", id="p")
        self.assertEqual(
            sent, f"<presence from='{CONTACT}/home' to='{GATEWAY}' id='p'><show>away</show></presence>"
        )
        self.befriend("mercutio", "abram@capulet.example")
        self.assertIn("abram@", self.arrive(to="mercutio@example.org", from_="abram@capulet.example/x"))
        self.assertIn("type='unavailable'", self.arrive(type="unavailable"))

    def test_in_use(self) -> None:
        """A host does not sleep while services know contacts as online."""
        module: Any = self.house.modules["Privilege"]
        self.assertFalse(module.in_use())
        self.arrive()
        self.assertTrue(module.in_use())
        self.arrive(type="unavailable")
        self.assertFalse(module.in_use())

    def test_once(self) -> None:
        """What comes for several accounts is shown once; what changes is shown again."""
        self.befriend("juliet", CONTACT, "both")
        self.assertNotEqual(self.arrive(id="1"), "")
        self.assertEqual(self.arrive(id="2", to="juliet@example.org"), "")
        self.assertIn("<show>", self.arrive("<show>dnd</show>", to="juliet@example.org"))
        self.assertEqual(self.arrive("<show>dnd</show>"), "")
        self.assertNotEqual(self.arrive(type="unavailable"), "")
        self.assertEqual(self.arrive(type="unavailable", to="juliet@example.org"), "")

    def test_no_contacts(self) -> None:
        """Presence of strangers, of those who see the account alone, and of other kinds is not shown."""
        self.befriend("romeo", "abram@capulet.example", "from")
        self.assertEqual(self.arrive(from_="tybalt@capulet.example/x"), "")
        self.assertEqual(self.arrive(from_="abram@capulet.example/x"), "")
        self.assertEqual(self.arrive(type="error"), "")
        self.assertEqual(self.arrive(type="subscribed"), "")
        self.assertEqual(self.arrive(to="nobody@example.org"), "")

    def test_its_own(self) -> None:
        """A gateway is not shown its own people."""
        self.befriend("romeo", f"nick@{GATEWAY}")
        self.assertEqual(self.gateway.send(f"<presence from='nick@{GATEWAY}' to='romeo@example.org'/>"), "")

    def test_late(self) -> None:
        """Who connects late is told who of the contacts is online, and no other."""
        self.gateway.stream.connection_lost()
        self.arrive("<show>away</show>")
        self.arrive(from_=f"{CONTACT}/work")
        self.arrive(from_=f"{CONTACT}/work", type="unavailable")
        told = self.gates.open().connect()
        self.assertEqual(told.count("<presence "), 1)
        self.assertIn(f"from='{CONTACT}/home'", told)

    def test_subscription_ends(self) -> None:
        """When the last account that saw a contact sees it no longer, it is shown as gone."""
        self.befriend("juliet", CONTACT)
        self.arrive()
        self.arrive(to="juliet@example.org")
        for kind in ("unsubscribed", "unsubscribed"):
            self.assertEqual(self.arrive(from_=CONTACT, type=kind), "")
        juliet = self.house.login("juliet", "balcony")
        juliet.send(
            "<iq type='set' id='r'><query xmlns='jabber:iq:roster'>"
            f"<item jid='{CONTACT}' subscription='remove'/></query></iq>"
        )
        self.assertEqual(
            self.gateway.take(), f"<presence type='unavailable' from='{CONTACT}/home' to='{GATEWAY}'/>"
        )

    def test_account_deleted(self) -> None:
        """What only an account saw that is deleted is gone as well."""
        self.arrive()
        self.house.host.events.fire(AccountDeleted(jid.parse("romeo@example.org")))
        self.assertIn("type='unavailable'", self.gateway.take())
        self.assertNotIn("<presence", self.gateway.take())

    def test_here(self) -> None:
        """Accounts are shown when they come and go; in between when another one here sees them."""
        self.romeo.send("<presence/>")
        self.assertEqual(self.gateway.take().count("<presence "), 1)
        self.romeo.send("<presence><show>away</show></presence>")
        self.assertEqual(self.gateway.take(), "")
        self.befriend("romeo", "juliet@example.org", "from")
        self.romeo.send("<presence><show>dnd</show></presence>")
        self.assertEqual(
            self.gateway.take(),
            f"<presence from='romeo@example.org/orchard' to='{GATEWAY}'><show>dnd</show></presence>",
        )
        self.romeo.send("<presence to='juliet@example.org'/>")
        self.assertEqual(self.gateway.take(), "")
        self.romeo.send("<presence type='unavailable'/>")
        self.assertEqual(self.gateway.take().count("type='unavailable'"), 1)

    def test_bounded(self) -> None:
        """What is known of contacts is bounded; the longest silent ones are forgotten."""
        self.patch(contacts, "MAX_KNOWN", 2)
        for resource in ("a", "b", "c"):
            self.arrive(from_=f"{CONTACT}/{resource}")
        self.gateway.stream.connection_lost()
        told = self.gates.open().connect()
        self.assertEqual([name for name in "abc" if f"{CONTACT}/{name}'" in told], ["b", "c"])

    def test_away(self) -> None:
        """While the service is away contacts hear nothing of it."""
        self.gateway.stream.connection_lost()
        heard: list[Any] = []
        remote = type("Remote", (), {"deliver": lambda self, given, to: heard.append(given)})()
        self.patch(self.gates.router, "remote", remote)
        self.arrive()
        self.assertEqual(heard, [])

    def test_rosters_unreadable(self) -> None:
        """A roster that cannot be read is logged, and what comes later is shown."""
        faulty = lambda *_: fail(StorageError("the disk is gone"))  # noqa: E731
        with patched(rosters(self.house.host), "load", faulty):
            self.assertEqual(self.arrive(to="juliet@example.org"), "")
        self.assertNotEqual(self.arrive(), "")

    def test_too_much_waits(self) -> None:
        """Presence that would wait behind too much is not shown."""
        reading: Deferred[Any] = Deferred()
        self.patch(privilege, "MAX_WAITING", 1)
        with patched(rosters(self.house.host), "load", lambda *_: reading):
            self.arrive(to="juliet@example.org")
        for resource in ("a", "b"):
            self.arrive(from_=f"{CONTACT}/{resource}")
        reading.callback(Contacts())
        shown = self.gateway.take()
        self.assertEqual([name for name in "ab" if f"{CONTACT}/{name}'" in shown], ["a"])


class OptionTests(SynchronousTestCase):
    """Options that are refused."""

    def test_roster_presence(self) -> None:
        """Presence of contacts goes with reading rosters."""
        for roster in ("none", "set"):
            with self.assertRaisesRegex(ValidationError, "presence is roster only"):
                Privileges.model_validate({"presence": "roster", "roster": roster})
        Privileges.model_validate({"presence": "roster", "roster": "both"})
