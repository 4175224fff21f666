"""slixmpp, a client library that nobody here wrote, uses the server."""

from __future__ import annotations

import ssl
from typing import Any, ClassVar

from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0048 import Bookmarks

from palaver.test.peers.case import PeerCase, PeerTests
from palaver.test.peers.peer import PASSWORD, Peer, wait_for
from palaver.test.peers.slix import LoginRefused

SCRAM = ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512")


class SlixmppTests(PeerTests, PeerCase):
    """slixmpp at both ends."""

    def peer(self, jid: str) -> Peer:
        """See PeerTests."""
        return self.slixmpp(jid)


class Login(PeerCase):
    """The ways in."""

    def assert_enters(self, **options: Any) -> None:
        """Log in as romeo and out again; the server's certificate is verified."""
        client = self.slixmpp("romeo@localhost/orchard", **options)
        client.connect()
        self.assertEqual(str(client.xmpp.boundjid), "romeo@localhost/orchard")
        client.close()

    def test_mechanisms(self) -> None:
        """Each mechanism lets somebody in, by STARTTLS and by direct TLS."""
        self.account("romeo")
        for mechanism in (*SCRAM, "PLAIN"):
            self.assert_enters(mechanism=mechanism)
            self.assert_enters(mechanism=mechanism, direct_tls=True)

    def test_channel_binding(self) -> None:
        """SCRAM is bound to the TLS connection."""
        self.account("romeo")
        for mechanism in SCRAM:
            # In this version of Python slixmpp can bind to TLS 1.2 only.
            context = ssl.create_default_context()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            self.assert_enters(mechanism=f"{mechanism}-PLUS", context=context)

    def test_best_mechanism(self) -> None:
        """A client that may choose gets in."""
        self.account("romeo")
        self.assert_enters()
        self.assert_enters(direct_tls=True)

    def test_wrong_password(self) -> None:
        """A wrong password and an unknown name are refused alike."""
        self.account("romeo")
        for jid, password in (("romeo@localhost", "wrong"), ("tybalt@localhost", PASSWORD)):
            for mechanism in ("SCRAM-SHA-256", "PLAIN"):
                refused = self.slixmpp(jid, password, mechanism=mechanism)
                error = self.assertRaises(LoginRefused, refused.connect)
                self.assertEqual(str(error), "not-authorized")
        self.assert_enters()


class Resumption(PeerCase):
    """XEP-0198 by slixmpp's plugin."""

    def test_broken(self) -> None:
        """A session survives its connections: all that was sent comes once, in both directions."""
        juliet = self.enter(self.slixmpp(self.account("juliet")))
        romeo = self.enter(self.slixmpp(self.account("romeo"), managed=True))
        full = str(romeo.xmpp.boundjid)
        for number in range(3):
            romeo.send(juliet.jid, f"to {number}")
            romeo.break_off()
            juliet.send(romeo.jid, f"from {number}")
            juliet.send(full, f"full {number}")
            # What was sent before it is done when an answer is there.
            juliet.roster()
            romeo.connect()
            self.assertEqual(romeo.resumed, number + 1)
            romeo.expect_message(juliet.jid, f"full {number}")
            juliet.expect_message(romeo.jid, f"to {number}")
        came = [got["body"] for got in romeo.messages]
        self.assertEqual(came, [f"{way} {number}" for number in range(3) for way in ("from", "full")])
        self.assertEqual([got["body"] for got in juliet.messages], [f"to {number}" for number in range(3)])


class Registration(PeerCase):
    """XEP-0077 by slixmpp's plugin."""

    config: ClassVar[dict[str, Any]] = {"modules": {"mod_register": {}}}

    def test_whole_life(self) -> None:
        """An account is made, gets another password, and is removed, all by its owner."""
        romeo = self.enter(self.slixmpp("romeo@localhost/orchard", register=True))
        plugin = romeo.xmpp["xep_0077"]
        romeo.call(plugin.change_password, "sweeter")
        romeo.close()
        self.assertRaises(LoginRefused, self.slixmpp(romeo.jid).connect)
        romeo = self.enter(self.slixmpp("romeo@localhost/orchard", "sweeter"))
        romeo.xmpp.register_plugin("xep_0077")
        romeo.call(romeo.xmpp["xep_0077"].cancel_registration)
        romeo.expect_disconnected()
        self.assertRaises(LoginRefused, self.slixmpp(romeo.jid, "sweeter").connect)

    def test_taken(self) -> None:
        """A name that somebody has is not given to another."""
        self.account("romeo")
        thief = self.slixmpp("romeo@localhost/orchard", "another", register=True)
        self.assertRaises(LoginRefused, thief.connect)
        self.enter(self.slixmpp("romeo@localhost"))


class Plugins(PeerCase):
    """What slixmpp's plugins ask of the server and of each other."""

    def setUp(self) -> None:
        """Log somebody in."""
        super().setUp()
        self.romeo = self.enter(self.slixmpp(self.account("romeo") + "/orchard"))

    def test_version(self) -> None:
        """XEP-0092: the server says what it is."""
        answer = self.romeo.call(self.romeo.xmpp["xep_0092"].get_version, "localhost")
        self.assertEqual(answer["software_version"]["name"], "Palaver")

    def test_time(self) -> None:
        """XEP-0202: the server tells the time."""
        answer = self.romeo.call(self.romeo.xmpp["xep_0202"].get_entity_time, "localhost")
        self.assertIn("utc", answer["entity_time"].xml[1].tag)

    def test_last(self) -> None:
        """XEP-0012: the server says how long it runs, and of a contact how long it is away."""
        answer = self.romeo.call(self.romeo.xmpp["xep_0012"].get_last_activity, "localhost")
        self.assertLess(answer["last_activity"]["seconds"], 600)
        error = self.assertRaises(
            IqError, self.romeo.call, self.romeo.xmpp["xep_0012"].get_last_activity, "x@localhost"
        )
        self.assertIn(error.condition, ("forbidden", "service-unavailable", "subscription-required"))

    def test_ping(self) -> None:
        """XEP-0199: the server answers a ping, and passes those of others on."""
        plugin = self.romeo.xmpp["xep_0199"]
        self.assertLess(self.romeo.call(plugin.ping, "localhost"), 10)
        juliet = self.enter(self.slixmpp(self.account("juliet") + "/balcony"))
        self.assertLess(self.romeo.call(plugin.ping, str(juliet.xmpp.boundjid)), 10)

    def test_private(self) -> None:
        """XEP-0049: bookmarks are kept for another session of the same account."""
        bookmarks = Bookmarks()
        bookmarks.add_conference("orchard@muc.localhost", "romeo")
        self.romeo.xmpp.register_plugin("xep_0048")
        self.romeo.call(self.romeo.xmpp["xep_0048"].set_bookmarks, bookmarks, method="xep_0049")
        other = self.enter(self.slixmpp("romeo@localhost/mantua"))
        other.xmpp.register_plugin("xep_0048")
        answer = other.call(other.xmpp["xep_0048"].get_bookmarks, method="xep_0049")
        found = answer["private"]["bookmarks"]["conferences"]
        self.assertEqual([room["jid"] for room in found], ["orchard@muc.localhost"])

    def test_disco(self) -> None:
        """XEP-0030: the server and the account say what they are and can do."""
        info = self.romeo.call(self.romeo.xmpp["xep_0030"].get_info, "localhost")["disco_info"]
        self.assertIn(("server", "im"), [identity[:2] for identity in info["identities"]])
        self.assertTrue({"urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:time"} <= set(info["features"]))
        own = self.romeo.call(self.romeo.xmpp["xep_0030"].get_info, self.romeo.jid)["disco_info"]
        self.assertIn(("account", "registered"), [identity[:2] for identity in own["identities"]])
        self.romeo.call(self.romeo.xmpp["xep_0030"].get_items, "localhost")

    def test_roster(self) -> None:
        """RFC 6121: a contact gets a name and groups, shown to another session, and goes again."""
        other = self.enter(self.slixmpp("romeo@localhost/mantua"))
        self.romeo.call(self.romeo.xmpp.update_roster, "juliet@localhost", name="Juliet", groups=["Capulet"])

        def shown() -> bool:
            contact = other.xmpp.client_roster["juliet@localhost"]
            return (contact["name"], contact["groups"]) == ("Juliet", ["Capulet"])

        wait_for(shown, "the other session was not told")
        self.assertEqual(other.roster(), {"juliet@localhost": "none"})
        self.romeo.call(self.romeo.xmpp.del_roster_item, "juliet@localhost")
        self.assertEqual(other.roster(), {})

    def test_blocking(self) -> None:
        """XEP-0191: who is blocked is refused until the end of that; another session hears of both."""
        other = self.enter(self.slixmpp("romeo@localhost/mantua"))
        tybalt = self.enter(self.slixmpp(self.account("tybalt")))
        heard: list[tuple[str, str]] = []
        for client in (self.romeo, other):
            client.xmpp.register_plugin("xep_0191")
        for name in ("blocked", "unblocked"):
            other.xmpp.add_event_handler(name, lambda iq, name=name: heard.append((name, str(iq["to"]))))
        self.assertEqual(other.call(other.xmpp["xep_0191"].get_blocked_jids), set())
        plugin = self.romeo.xmpp["xep_0191"]
        self.romeo.call(plugin.block, tybalt.jid)
        wait_for(lambda: len(heard) == 1, "the other session was not told of the block")
        self.assertEqual(self.romeo.call(plugin.get_blocked_jids), {tybalt.jid})
        tybalt.send(self.romeo.jid, "thou wretched boy")
        wait_for(lambda: [got["error"]["condition"] for got in tybalt.messages], "there was no error")
        self.assertEqual(tybalt.messages[0]["error"]["condition"], "service-unavailable")
        self.romeo.call(plugin.unblock, tybalt.jid)
        wait_for(lambda: len(heard) == 2, "the other session was not told of the end of the block")
        self.assertEqual([name for name, _ in heard], ["blocked", "unblocked"])
        tybalt.send(self.romeo.jid, "a word with one of you")
        self.romeo.expect_message(tybalt.jid, "a word with one of you")
        self.assertEqual(len(self.romeo.messages), 1)
