"""What every client that somebody else wrote must be able to do, and the server to do it with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from palaver.test.peers.peer import PASSWORD, Peer
from palaver.test.peers.server import ServerProcess
from palaver.test.peers.slix import Slixmpp


class PeerCase(SynchronousTestCase):
    """Starts a server before each test."""

    config: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Start the server."""
        self.server = ServerProcess(self.config)
        self.server.start()
        self.addCleanup(self.server.stop)

    @property
    def certificate(self) -> Path:
        """The server's self-signed certificate, which the clients trust."""
        return self.server.data_dir / "localhost.pem"

    def account(self, local: str) -> str:
        """Make an account with the password `PASSWORD`; gives its bare JID."""
        jid = f"{local}@localhost"
        self.server.command("account", "create", jid, "--password", PASSWORD)
        return jid

    def slixmpp(self, jid: str, password: str = PASSWORD, **options: Any) -> Slixmpp:
        """Give a client made with slixmpp, not connected yet; options as for `Slixmpp`."""
        port = self.server.direct_port if options.get("direct_tls") else self.server.port
        return Slixmpp(jid, password, port, self.certificate, **options)

    def enter(self, peer: Any) -> Any:
        """Connect a peer; it is closed after the test."""
        self.addCleanup(peer.close)
        peer.connect()
        return peer


class PeerTests:
    """Mix in to a `PeerCase`: what a client must be able to do with slixmpp at the other end."""

    def peer(self: Any, jid: str) -> Peer:
        """Give the client under test for an account, not connected yet."""
        raise NotImplementedError

    def test_messages(self: Any) -> None:
        """Messages arrive in both directions, whatever characters they have."""
        juliet = self.enter(self.slixmpp(self.account("juliet")))
        romeo = self.enter(self.peer(self.account("romeo")))
        for body in ("Soft, what light?", "<&>", "È l'allodola ☼"):
            romeo.send(juliet.jid, body)
            juliet.expect_message(romeo.jid, body)
            juliet.send(romeo.jid, f"{body} indeed")
            romeo.expect_message(juliet.jid, f"{body} indeed")

    def test_presence(self: Any) -> None:
        """Two who have agreed to it see each other come and go."""
        juliet = self.enter(self.slixmpp(self.account("juliet")))
        romeo = self.enter(self.peer(self.account("romeo")))
        befriend(romeo, juliet)
        romeo.expect_subscription(juliet.jid, "both")
        juliet.expect_subscription(romeo.jid, "both")
        romeo.expect_presence(juliet.jid, True)
        juliet.expect_presence(romeo.jid, True)
        juliet.close()
        romeo.expect_presence(juliet.jid, False)
        again = self.enter(self.slixmpp(juliet.jid))
        romeo.expect_presence(juliet.jid, True)
        again.expect_presence(romeo.jid, True)
        romeo.close()
        again.expect_presence(romeo.jid, False)

    def test_offline_messages(self: Any) -> None:
        """What was sent to somebody who was away is there at the next login."""
        juliet = self.enter(self.slixmpp(self.account("juliet")))
        romeo = self.peer(self.account("romeo"))
        juliet.send(romeo.jid, "Where art thou?")
        # What comes later in the same stream has been answered when this is stored.
        juliet.roster()
        self.enter(romeo)
        romeo.expect_message(juliet.jid, "Where art thou?")


def befriend(one: Peer, other: Peer) -> None:
    """Have two peers who are online see each other's presence."""
    one.add(other.jid)
    other.expect_request(one.jid)
    other.accept(one.jid)
    other.add(one.jid)
    one.expect_request(other.jid)
    one.accept(other.jid)
