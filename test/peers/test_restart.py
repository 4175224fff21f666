"""Clients that nobody here wrote go through a restart of the server together."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any

from palaver.test.peers.case import PeerCase, befriend
from palaver.test.peers.node_peer import NodePeer
from palaver.test.peers.peer import need
from palaver.test.peers.profanity import Profanity
from palaver.test.peers.slix import LoginRefused, Slixmpp


class Restart(PeerCase):
    """slixmpp, @xmpp/client and profanity on one server, which ends by SIGTERM and starts again."""

    def setUp(self) -> None:
        """Make an account for each client."""
        need("node", "npm", "profanity", "tmux")
        super().setUp()
        self.accounts = [self.account(local) for local in ("romeo", "juliet", "nurse")]

    def enter_all(self) -> list[Any]:
        """Log one client of each kind in."""
        romeo, juliet, nurse = self.accounts
        peers = [
            self.slixmpp(romeo),
            NodePeer(juliet, self.server.port, self.certificate),
            Profanity(nurse, self.server.port),
        ]
        return [self.enter(peer) for peer in peers]

    def assert_together(self, peers: list[Any], word: str) -> None:
        """See that everybody sees everybody, and that a message goes from each to each."""
        for one, other in permutations(peers, 2):
            one.expect_subscription(other.jid, "both")
            one.expect_presence(other.jid, True)
            one.send(other.jid, f"{word} from {one.jid}")
            other.expect_message(one.jid, f"{word} from {one.jid}")

    def test_online(self) -> None:
        """Who is online is told of the shutdown, and afterwards finds friends and password as they were."""
        peers = self.enter_all()
        for one, other in combinations(peers, 2):
            befriend(one, other)
        self.assert_together(peers, "Good morrow")
        self.server.restart()
        for peer in peers:
            peer.expect_disconnected()
        slixmpp: Slixmpp = peers[0]
        self.assertEqual(slixmpp.stream_errors, ["system-shutdown"])
        for peer in peers:
            peer.connect()
        self.assert_together(peers, "Good night")

    def test_away(self) -> None:
        """Messages, rosters and passwords of those who are away outlive the server."""
        friar = self.enter(self.slixmpp(self.account("friar")))
        for account in self.accounts:
            friar.add(account)
            friar.send(account, f"Come to my cell, {account}")
        friar.roster()
        self.server.restart()
        for peer in self.enter_all():
            peer.expect_message(friar.jid, f"Come to my cell, {peer.jid}")
            peer.expect_request(friar.jid)
        for account in self.accounts:
            self.assertRaises(LoginRefused, self.slixmpp(account, "wrong").connect)
        friar.connect()
        self.assertEqual(friar.roster(), dict.fromkeys(self.accounts, "none"))
