"""Components over XEP-0114: who gets in, what they may send, and what ends their stream alone."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from palaver.interfaces import IService
from palaver.streams.components.traffic import MAX_PENDING_STANZAS
from palaver.test.components.talker import GATEWAY, NS, SECRET, SHAKEN, Gates, Gateway, handshake, header
from palaver.test.streams.talker import condition

HELLO = f"<message from='nick@{GATEWAY}' to='romeo@example.org/orchard'><body>hi</body></message>"


class Case(SynchronousTestCase):
    """A host with romeo on it, and a gateway that may connect."""

    gateway_class: type[Gateway] = Gateway

    def setUp(self) -> None:
        self.gates = Gates(gateway=self.gateway_class)
        self.gateway = self.gates.open()
        self.romeo = self.gates.house.login("romeo", "orchard")

    def connected(self, **listener: Any) -> Gateway:
        gateway = self.gates.open(**listener)
        self.assertEqual(gateway.connect(), SHAKEN)
        return gateway

    def heard(self) -> list[tuple[str, str]]:
        """Give name and sender of what romeo got since the last call."""
        return [(node.name, node["from"]) for node in self.romeo.take()]


class HandshakeTests(Case):
    """Who gets in."""

    def test_in(self) -> None:
        """A component that knows its secret is let in, and told so by an empty handshake."""
        identity = self.gateway.greet()
        self.assertEqual(self.gateway.connection.logged_in, 0)
        self.assertEqual(self.gateway.send(handshake(identity)), SHAKEN)
        self.assertEqual(self.gateway.connection.logged_in, 1)
        verifyObject(IService, self.gates.router.services[GATEWAY])

    def test_header(self) -> None:
        """The server's stream header is in the component's name, and has an id that is new each time."""
        first, second = self.gates.open(), self.gates.open()
        answer = first.send(header("IRC.example.org"))
        self.assertTrue(answer.startswith("<?xml version='1.0'?><stream:stream "), answer)
        self.assertIn(f" xmlns='{NS}' ", answer)
        self.assertIn(f" from='{GATEWAY}'>", answer)
        self.assertNotEqual(second.greet(), self.gates.open().greet())

    def test_upper_case(self) -> None:
        """A handshake in capital letters is the same number."""
        text = handshake(self.gateway.greet()).replace("handshake", "HS").upper().replace("HS", "handshake")
        self.assertEqual(self.gateway.send(text), SHAKEN)

    def test_in_pieces(self) -> None:
        """What comes byte by byte is the same."""
        identity = self.gateway.greet()
        pieces = [self.gateway.send(bytes([byte])) for byte in handshake(identity).encode()]
        self.assertEqual("".join(pieces), SHAKEN)

    def test_wrong_handshake(self) -> None:
        """Whoever does not know the secret is turned away."""
        for secret in ("", "keep  it", "keep it "):
            gateway = self.gates.open()
            self.assertEqual(condition(gateway.connect(secret=secret)), "not-authorized")
            self.assertEqual(gateway.connection.calls[-1], "close")
        for text in ("<handshake/>", "<handshake>x</handshake>", "<handshake>\u00e4</handshake>"):
            gateway = self.gates.open()
            gateway.greet()
            self.assertEqual(condition(gateway.send(text)), "not-authorized")

    def test_id_of_another_stream(self) -> None:
        """A handshake counts for its stream alone."""
        identity = self.gates.open().greet()
        self.gateway.greet()
        self.assertEqual(condition(self.gateway.send(handshake(identity))), "not-authorized")

    def test_wrong_order(self) -> None:
        """Nothing is taken before the handshake."""
        for text in (
            HELLO,
            "<presence/>",
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
            "<x xmlns='y'/>",
        ):
            gateway = self.gates.open()
            gateway.greet()
            self.assertEqual(condition(gateway.send(text)), "not-authorized", text)
        self.assertEqual(self.heard(), [])

    def test_second_handshake(self) -> None:
        """Who is in need not shake hands again."""
        self.gateway.connect()
        self.assertEqual(condition(self.gateway.send("<handshake/>")), "unsupported-stanza-type")

    def test_unknown(self) -> None:
        """A domain that is no component's is refused when no secret for others is set."""
        for domain in ("icq.example.org", "example.org", "irc"):
            answer = self.gates.open().send(header(domain))
            self.assertEqual(condition(answer), "host-unknown", domain)

    def test_bad_headers(self) -> None:
        """A stream header that names no component, or speaks something else, ends the stream."""
        for text, wanted in (
            (header(None), "improper-addressing"),
            (header("exa mple"), "improper-addressing"),
            (header(ns="jabber:server"), "invalid-namespace"),
            (header(ns="jabber:component:connect"), "invalid-namespace"),
            ("<message/>", "invalid-namespace"),
            ("garbage", "not-well-formed"),
        ):
            gateway = self.gates.open()
            self.assertEqual(condition(gateway.send(text)), wanted, text)
            self.assertEqual(gateway.connection.calls[-1], "close")

    def test_time_out(self) -> None:
        """Who takes too long is turned away."""
        self.gateway.greet()
        self.gateway.stream.time_out()
        self.assertEqual(condition(self.gateway.take()), "connection-timeout")

    def test_tls_demanded(self) -> None:
        """Where TLS is demanded, the handshake in the clear is not even begun."""
        answer = self.gates.open(tls="required").send(header())
        self.assertEqual(condition(answer), "policy-violation")
        self.assertEqual(self.gates.open(tls="direct").connect(), SHAKEN)


class OthersTests(Case):
    """Components without a table of their own, and those below every host."""

    def test_common_secret(self) -> None:
        """With a secret for all, any domain that nobody serves may connect, and is gone at its end."""
        gateway = self.gates.open(secret="all")
        self.assertEqual(gateway.connect("icq.example.org", "all"), SHAKEN)
        self.assertIn("icq.example.org", self.gates.router.services)
        gateway.send("</stream:stream>")
        self.assertNotIn("icq.example.org", self.gates.router.services)

    def test_own_secret_counts(self) -> None:
        """A component that has a secret of its own does not get in by that for all."""
        gateway = self.gates.open(secret="all")
        self.assertEqual(condition(gateway.connect(GATEWAY, "all")), "not-authorized")

    def test_taken(self) -> None:
        """A domain that a host has is no component's."""
        gateway = self.gates.open(secret="all")
        self.assertEqual(condition(gateway.connect("example.org", "all")), "conflict")
        self.romeo.send("<iq id='1' type='get' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual(self.heard(), [("iq", "example.org")])

    def test_sleeping_host(self) -> None:
        """Neither is that of a host that was added and sleeps, or is disabled."""
        self.gates.router.is_reserved = {"school.example"}.__contains__
        gateway = self.gates.open(secret="all")
        self.assertEqual(condition(gateway.connect("school.example", "all")), "conflict")
        self.assertNotIn("school.example", self.gates.router.services)

    def test_taken_back(self) -> None:
        """Whoever has the domain when a component goes keeps it."""
        gateway = self.gates.open(secret="all")
        gateway.connect("icq.example.org", "all")
        host = self.gates.router.services["example.org"]
        self.gates.router.services["icq.example.org"] = host
        gateway.send("</stream:stream>")
        self.assertIs(self.gates.router.services["icq.example.org"], host)

    def test_below_hosts(self) -> None:
        """A component with is_subdomain stands below every host, and speaks for it there only."""
        gateway = self.gates.open(secret="all")
        self.assertEqual(gateway.connect("chat", "all", more=" is_subdomain='true'"), SHAKEN)
        self.romeo.send("<message to='room@chat.example.org'><body>hi</body></message>")
        self.assertIn("to='room@chat.example.org'", gateway.take())
        gateway.send("<message from='room@chat.example.org' to='romeo@example.org/orchard'/>")
        self.assertEqual(self.heard(), [("message", "room@chat.example.org")])
        self.romeo.send("<message to='room@chat.example.net'/>")
        self.assertEqual(self.heard(), [("message", "room@chat.example.net")])
        answer = gateway.send("<message from='room@chat.example.net' to='romeo@example.org/orchard'/>")
        self.assertEqual(condition(answer), "invalid-from")
        self.romeo.send("<message id='2' to='room@chat.example.org'/>")
        self.assertEqual(self.romeo.take()[0].error["type"], "cancel")

    def test_prefix_that_is_taken(self) -> None:
        """A prefix whose domain is served already below some host is refused."""
        gateway = self.gates.open(secret="all")
        self.assertEqual(condition(gateway.connect("irc", "all", more=" is_subdomain='true'")), "conflict")


class ConflictTests(Case):
    """Two streams for one component."""

    def test_disconnect(self) -> None:
        """The newcomer is turned away, unless told otherwise; the old one stays."""
        self.gateway.connect()
        self.assertEqual(condition(self.gates.open().connect()), "conflict")
        self.gateway.send(HELLO)
        self.assertEqual(self.heard(), [("message", f"nick@{GATEWAY}")])

    def test_kick_old(self) -> None:
        """The old one is ended for the newcomer."""
        self.gateway.connect()
        new = self.connected(conflict_behaviour="kick_old")
        self.assertEqual(condition(self.gateway.take()), "conflict")
        self.romeo.send(f"<message to='{GATEWAY}'/>")
        self.assertIn("<message ", new.take())
        self.assertEqual(self.gateway.take(), "")

    def test_kick_a_temporary_one(self) -> None:
        """The same for one that is served only while it is connected."""
        old = self.gates.open(secret="all", conflict_behaviour="kick_old")
        old.connect("icq.example.org", "all")
        new = self.gates.open(secret="all", conflict_behaviour="kick_old")
        self.assertEqual(new.connect("icq.example.org", "all"), SHAKEN)
        self.assertEqual(condition(old.take()), "conflict")
        self.romeo.send("<message to='icq.example.org'/>")
        self.assertIn("<message ", new.take())

    def test_own_behaviour(self) -> None:
        """A component's table counts before its listener's."""
        self.gates.configure({GATEWAY: {"secret": SECRET, "conflict_behaviour": "kick_old"}})
        self.gateway.connect()
        self.connected()
        self.assertEqual(condition(self.gateway.take()), "conflict")


class StanzaTests(Case):
    """What goes to and fro."""

    def setUp(self) -> None:
        super().setUp()
        self.gateway.connect()

    def refusal(self) -> tuple[str, str]:
        """Give type and condition of the one error that romeo got."""
        (node,) = self.romeo.take()
        return node.error["type"], node.error.firstChildElement().name

    def test_both_ways(self) -> None:
        """Stanzas of every kind go to the component and come from it, whatever local part they have."""
        self.romeo.send(f"<message to='nick@{GATEWAY}/x' id='1'><body>a &amp; b</body></message>")
        sent = self.gateway.take()
        self.assertEqual(
            sent,
            "<message to='nick@irc.example.org/x' id='1' from='romeo@example.org/orchard'>"
            "<body>a &amp; b</body></message>",
        )
        for name in ("message", "presence", "iq"):
            kind = " type='result' id='1'" if name == "iq" else ""
            self.gateway.send(f"<{name}{kind} from='{GATEWAY}' to='romeo@example.org/orchard'/>")
        self.assertEqual(self.heard(), [(name, GATEWAY) for name in ("message", "presence", "iq")])

    def test_away(self) -> None:
        """While the component is not connected senders are told to wait; its domain is still known."""
        self.gateway.stream.connection_lost()
        for name in ("message", "iq"):
            kind = "get" if name == "iq" else "chat"
            self.romeo.send(f"<{name} id='1' type='{kind}' to='{GATEWAY}'><a xmlns='b'/></{name}>")
            self.assertEqual(self.refusal(), ("wait", "service-unavailable"))
        self.romeo.send(f"<iq id='1' type='result' to='{GATEWAY}'/>")
        self.assertEqual(self.heard(), [])
        self.connected()

    def test_spoofed(self) -> None:
        """A stanza in the name of anybody else ends the stream, and is not delivered."""
        for sender in (
            "juliet@example.org",
            "example.org",
            "irc.example.org.evil.example",
            "x.irc.example.org",
        ):
            gateway = self.connected(conflict_behaviour="kick_old")
            answer = gateway.send(HELLO.replace(f"nick@{GATEWAY}", sender))
            self.assertEqual(condition(answer), "invalid-from", sender)
        self.assertEqual(self.heard(), [])

    def test_no_sender(self) -> None:
        """A stanza that does not say whom it is from, or says it in no JID, ends the stream."""
        for sender in ("", " from=''", " from='a@b@c'"):
            gateway = self.connected(conflict_behaviour="kick_old")
            answer = gateway.send(f"<message{sender} to='romeo@example.org'/>")
            self.assertEqual(condition(answer), "improper-addressing", sender)

    def test_unchecked_sender(self) -> None:
        """With check_from off a component speaks for others too."""
        gateway = self.connected(conflict_behaviour="kick_old", check_from=False)
        gateway.send(HELLO.replace(f"nick@{GATEWAY}", "nick@example.net"))
        self.assertEqual(self.heard(), [("message", "nick@example.net")])

    def test_no_addressee(self) -> None:
        """A stanza for nobody, or for no JID, comes back; the stream goes on."""
        answer = self.gateway.send(f"<message id='1' from='{GATEWAY}'/>")
        self.assertIn("<bad-request ", answer)
        answer = self.gateway.send(f"<message id='1' from='{GATEWAY}' to='a@b@c'/>")
        self.assertIn("<jid-malformed ", answer)
        answer = self.gateway.send(f"<message type='error' from='{GATEWAY}'/>")
        self.assertEqual(answer, "")

    def test_prepared_sender(self) -> None:
        """What is said of the sender is prepared before anybody sees it."""
        self.gateway.send(HELLO.replace(f"nick@{GATEWAY}", "NICK@IRC.example.org/X"))
        self.assertEqual(self.heard(), [("message", f"nick@{GATEWAY}/X")])

    def test_too_large(self) -> None:
        """A stanza above the limit ends the stream; one below it does not."""
        gateway = self.connected(conflict_behaviour="kick_old", max_stanza_bytes=100_000)
        body = "x" * 90_000
        self.assertEqual(gateway.send(HELLO.replace("hi", body)), "")
        self.assertEqual(condition(gateway.send(HELLO.replace("hi", body * 2))), "policy-violation")
        self.assertEqual(len(self.heard()), 1)

    def test_large_before_the_handshake(self) -> None:
        """A stranger may not make the server keep much."""
        gateway = self.gates.open()
        gateway.greet()
        self.assertEqual(condition(gateway.send("<handshake>" + "0" * 70_000)), "policy-violation")

    def test_not_well_formed(self) -> None:
        """What is no XML ends this stream alone."""
        self.assertEqual(condition(self.gateway.send("<message></presence>")), "not-well-formed")
        self.romeo.send("<iq id='1' type='get' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual(self.heard(), [("iq", "example.org")])

    def test_good_bye(self) -> None:
        """The stream ends from either side with its end tag."""
        self.assertEqual(self.gateway.send("</stream:stream>"), "</stream:stream>")
        self.assertIsNone(self.gates.router.services[GATEWAY].stream)

    def test_its_error(self) -> None:
        """A component's own stream error is no reason to answer with one."""
        answer = self.gateway.send(
            "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        )
        self.assertEqual(answer, "</stream:stream>")

    def test_to_another_component(self) -> None:
        """Components speak to each other and to themselves."""
        self.gates.configure({GATEWAY: {"secret": SECRET}, "icq.example.org": {"secret": SECRET}})
        other = self.gates.open()
        self.assertEqual(other.connect("icq.example.org"), SHAKEN)
        self.gateway.send(f"<message from='{GATEWAY}' to='icq.example.org'/>")
        self.assertIn("<message ", other.take())
        self.assertIn("<message ", self.gateway.send(f"<message from='{GATEWAY}' to='{GATEWAY}'/>"))


class OrderTests(Case):
    """Stanzas that wait."""

    def setUp(self) -> None:
        super().setUp()
        self.gateway.connect()
        self.waiting: list[Deferred[None]] = []
        self.routed: list[str] = []
        self.gates.router.route = self.route

    def route(self, stanza: Any) -> Deferred[None]:
        self.routed.append(stanza.attrs["id"])
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def message(self, identity: str, sender: str = "nick") -> None:
        self.gateway.send(f"<message id='{identity}' from='{sender}@{GATEWAY}' to='romeo@example.org'/>")

    def test_order_of_two(self) -> None:
        """Stanzas of the same two keep their order; others do not wait for them."""
        self.message("1")
        self.message("2")
        self.message("3", "jack")
        self.assertEqual(self.routed, ["1", "3"])
        self.waiting[0].callback(None)
        self.assertEqual(self.routed, ["1", "3", "2"])

    def test_failure(self) -> None:
        """What goes wrong with one does not hold up the next."""
        self.message("1")
        self.message("2")
        self.waiting[0].errback(RuntimeError("a defect"))
        self.assertEqual(self.routed, ["1", "2"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_pause(self) -> None:
        """Nothing more is read while too many wait."""
        for number in range(MAX_PENDING_STANZAS):
            self.message(str(number), f"nick{number}")
        self.assertEqual(self.gateway.connection.calls, ["pause"])
        self.waiting[0].callback(None)
        self.assertEqual(self.gateway.connection.calls, ["pause", "resume"])


class ReloadTests(Case):
    """Another configuration under open streams."""

    def test_gone(self) -> None:
        """A component whose table is gone is served no longer; one with the same table stays."""
        self.gates.configure({GATEWAY: {"secret": SECRET}, "icq.example.org": {"secret": SECRET}})
        self.gateway.connect()
        other = self.gates.open()
        other.connect("icq.example.org")
        self.gates.configure({"icq.example.org": {"secret": SECRET}})
        self.assertEqual(condition(self.gateway.take()), "host-gone")
        self.assertNotIn(GATEWAY, self.gates.router.services)
        self.assertEqual(other.take(), "")

    def test_another_secret(self) -> None:
        """A new secret ends the stream that was opened with the old one."""
        self.gateway.connect()
        self.gates.configure({GATEWAY: {"secret": "new"}})
        self.assertEqual(condition(self.gateway.take()), "host-gone")
        self.assertEqual(self.gates.open().connect(secret="new"), SHAKEN)

    def test_taken(self) -> None:
        """A table for a domain that is served already is refused, and changes nothing."""
        self.gateway.connect()
        with self.assertRaises(ValueError):
            self.gates.configure({"example.org": {"secret": SECRET}})
        self.assertEqual(self.gateway.take(), "")
        self.gateway.send(HELLO)
        self.assertEqual(len(self.heard()), 1)

    def test_table_for_a_temporary_one(self) -> None:
        """A component that came by the common secret has to come again when it gets a table."""
        gateway = self.gates.open(secret="all")
        gateway.connect("icq.example.org", "all")
        self.gates.configure({GATEWAY: {"secret": SECRET}, "icq.example.org": {"secret": "own"}})
        self.assertEqual(condition(gateway.take()), "host-gone")
        self.assertEqual(self.gates.open().connect("icq.example.org", "own"), SHAKEN)

    def test_listed(self) -> None:
        """The host lists its components by name, but for those that hide."""
        self.gates.configure(
            {
                GATEWAY: {"secret": SECRET, "name": "IRC"},
                "icq.example.org": {"secret": SECRET, "hidden": True},
            }
        )
        disco = self.gates.house.host.disco
        self.assertEqual(disco.items(), [(GATEWAY, "IRC")])
        self.gates.open(secret="all", hidden_components=True).connect("aim.example.org", "all")
        self.gates.open(secret="all").connect("chat", "all", more=" is_subdomain='true'")
        self.assertEqual(disco.items(), [("chat.example.org", "chat"), (GATEWAY, "IRC")])
