"""mod_privilege: services that act for accounts (XEP-0356)."""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from palaver.interfaces import IComponents
from palaver.test.components.talker import GATEWAY, SECRET, Gates
from palaver.test.house import House
from palaver.xeps.privilege import NS_PRIVILEGE, Privilege
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


class Case(SynchronousTestCase):
    """A host with romeo on it, and a privileged gateway."""

    def serve(self, **privileges: Any) -> None:
        """Start the host; the gateway has these privileges."""
        self.house = House(Roster, Version)
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
            (good.replace(VERSION, ""), "get"),
            ("", "get"),
        ):
            self.assertIn("<forbidden ", self.privileged(inner, kind), (inner, kind))
        self.romeo.send(
            f"<iq id='1' type='get' to='juliet@example.org'><privileged_iq xmlns='{NS_PRIVILEGE}'/></iq>"
        )
        self.assertEqual(self.romeo.take()[0].error.firstChildElement().name, "forbidden")


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
