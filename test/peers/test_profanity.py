"""profanity, Debian's terminal client, which nobody here wrote, uses the server."""

from __future__ import annotations

from palaver.test.peers.case import PeerCase, PeerTests
from palaver.test.peers.peer import Peer, need
from palaver.test.peers.profanity import Profanity
from palaver.test.peers.slix import LoginRefused


class ProfanityTests(PeerTests, PeerCase):
    """profanity at one end, slixmpp at the other."""

    def setUp(self) -> None:
        """Look for profanity first."""
        need("profanity", "tmux")
        super().setUp()

    def peer(self, jid: str) -> Peer:
        """See PeerTests."""
        profanity = Profanity(jid, self.server.port)
        self.addCleanup(profanity.close)
        return profanity

    def test_wrong_password(self) -> None:
        """A wrong password is refused, and the right one accepted after it."""
        jid = self.account("romeo")
        refused = Profanity(jid, self.server.port, password="wrong")
        self.addCleanup(refused.close)
        self.assertEqual(str(self.assertRaises(LoginRefused, refused.connect)), "Login failed")
        self.enter(self.peer(jid))
