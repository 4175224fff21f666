"""@xmpp/client, which nobody here wrote, uses the server."""

from __future__ import annotations

from palaver.test.peers.case import PeerCase, PeerTests
from palaver.test.peers.node_peer import NodePeer
from palaver.test.peers.peer import Peer, need
from palaver.test.peers.slix import LoginRefused


class NodeTests(PeerTests, PeerCase):
    """@xmpp/client at one end, slixmpp at the other."""

    def setUp(self) -> None:
        """Look for Node first."""
        need("node", "npm")
        super().setUp()

    def peer(self, jid: str) -> Peer:
        """See PeerTests."""
        return NodePeer(jid, self.server.port, self.certificate)

    def test_wrong_password(self) -> None:
        """A wrong password is refused, and the right one accepted after it."""
        jid = self.account("romeo")
        refused = NodePeer(jid, self.server.port, self.certificate, password="wrong")
        self.addCleanup(refused.close)
        self.assertEqual(str(self.assertRaises(LoginRefused, refused.connect)), "not-authorized")
        self.enter(self.peer(jid))


class FastReconnects(PeerCase):
    """Logins by XEP-0388 with all that the client knows of them: Bind 2, tokens, resumption."""

    def setUp(self) -> None:
        """Have two who talk to each other."""
        need("node", "npm")
        super().setUp()
        self.juliet = self.enter(self.slixmpp(self.account("juliet")))
        self.romeo: NodePeer = NodePeer(self.account("romeo"), self.server.port, self.certificate)
        self.enter(self.romeo)

    def login(self, since: int = 0) -> tuple[str, set[str], set[str]]:
        """Give mechanism, requests and answers of the first login that succeeds from an event on."""
        came = self.romeo.expect("success", lambda event: event["event"] == "success", since)
        before = self.romeo.events[: self.romeo.events.index(came, since)]
        asked = next(event for event in reversed(before) if event["event"] == "asks")
        return asked["mechanism"], set(asked["for"]), set(came["with"])

    def assert_talk(self, word: str) -> None:
        """Send a message either way."""
        self.juliet.send(self.romeo.jid, f"{word} of Juliet")
        self.romeo.expect_message(self.juliet.jid, f"{word} of Juliet")
        self.romeo.send(self.juliet.jid, f"{word} of Romeo")
        self.juliet.expect_message(self.romeo.jid, f"{word} of Romeo")

    def test_first(self) -> None:
        """With the password the client gets a resource, stream management and a token at once."""
        mechanism, asked, got = self.login()
        self.assertTrue(mechanism.startswith("SCRAM-"), mechanism)
        self.assertLessEqual({"user-agent", "bind", "request-token"}, asked)
        self.assertLessEqual({"authorization-identifier", "bound", "token"}, got)
        online = self.romeo.expect("binding", lambda event: event["event"] == "online")
        self.assertRegex(online["jid"], r"\Aromeo@localhost/node/[\w-]{12}\Z")
        self.assert_talk("word")

    def test_cut(self) -> None:
        """After a cut the token and the session are enough, and what came meanwhile is there once."""
        self.assert_talk("first word")
        since = len(self.romeo.events)
        self.romeo.cut()
        self.juliet.send(self.romeo.jid, "meanwhile")
        mechanism, asked, got = self.login(since)
        self.assertEqual(mechanism, "HT-SHA-256-NONE")
        self.assertLessEqual({"fast", "resume"}, asked)
        self.assertEqual(got, {"additional-data", "authorization-identifier", "resumed"})
        self.romeo.expect_message(self.juliet.jid, "meanwhile")
        self.assert_talk("second word")
        bodies = [event["body"] for event in self.romeo.events if event["event"] == "message"]
        self.assertEqual(bodies.count("meanwhile"), 1)

    def test_server_restarts(self) -> None:
        """After a restart of the server there is no session to resume, but the token is still good."""
        since = len(self.romeo.events)
        self.server.restart()
        mechanism, _, got = self.login(since)
        self.assertEqual(mechanism, "HT-SHA-256-NONE")
        self.assertLessEqual({"failed", "bound"}, got)

    def test_password_changed(self) -> None:
        """A new password ends the session and the token, and the old password helps no more."""
        since = len(self.romeo.events)
        self.server.command("account", "passwd", self.romeo.jid, "--password", "crayon")
        for _ in range(2):
            asked = self.romeo.expect("attempt", lambda event: event["event"] == "asks", since)
            since = self.romeo.events.index(asked, since) + 1
        self.assertTrue(asked["mechanism"].startswith("SCRAM-"), asked)
        self.romeo.expect("refusal", lambda event: event.get("condition") == "not-authorized", since)
        self.assertFalse([event for event in self.romeo.events[since:] if event["event"] == "success"])
