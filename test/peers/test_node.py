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
