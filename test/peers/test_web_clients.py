"""Strophe.js and @xmpp/client, which nobody here wrote, over WebSocket and BOSH."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from palaver.test.peers.case import PeerCase, PeerTests
from palaver.test.peers.node_peer import NodePeer
from palaver.test.peers.peer import Peer, need
from palaver.test.peers.slix import LoginRefused
from palaver.test.peers.strophe import StrophePeer

HTTP = re.compile(r"http 127\.0\.0\.1:(\d+)")


class WebCase(PeerCase):
    """A server with a port for HTTP."""

    config: ClassVar[dict[str, Any]] = {"listen": {"http": [{"port": 0}]}}

    def setUp(self) -> None:
        """Look for Node first."""
        need("node", "npm")
        super().setUp()
        found = HTTP.search(self.server.log())
        assert found is not None
        self.websocket = f"ws://127.0.0.1:{found[1]}/xmpp-websocket"
        self.bosh = f"http://127.0.0.1:{found[1]}/http-bind"

    def assert_refused(self, refused: NodePeer, condition: str = "not-authorized") -> None:
        """Have a peer with a wrong password sent away."""
        self.addCleanup(refused.close)
        self.assertEqual(str(self.assertRaises(LoginRefused, refused.connect)), condition)

    def assert_once(self, peer: NodePeer, body: str) -> None:
        """Expect that a message has come, and not twice."""
        bodies = [event.get("body") for event in peer.events if event["event"] == "message"]
        self.assertEqual(bodies.count(body), 1)


class StropheWebSocketTests(PeerTests, WebCase):
    """Strophe.js over WebSocket at one end, slixmpp over TCP at the other."""

    def peer(self, jid: str, **options: Any) -> Peer:
        """See PeerTests."""
        return StrophePeer(jid, 0, self.certificate, service=self.websocket, **options)

    def test_wrong_password(self) -> None:
        """A wrong password is refused, and the right one accepted after it."""
        jid = self.account("romeo")
        self.assert_refused(StrophePeer(jid, 0, self.certificate, password="no", service=self.websocket))
        self.enter(self.peer(jid))

    def test_cut(self) -> None:
        """After a cut the session is resumed, and what came meanwhile is there once."""
        juliet = self.enter(self.slixmpp(self.account("juliet")))
        romeo: Any = self.enter(self.peer(self.account("romeo")))
        since = len(romeo.events)
        romeo.cut()
        juliet.send(romeo.jid, "meanwhile")
        online = romeo.expect("login", lambda event: event["event"] == "online", since)
        self.assertTrue(online["resumed"])
        romeo.expect_message(juliet.jid, "meanwhile")
        romeo.send(juliet.jid, "back")
        juliet.expect_message(romeo.jid, "back")
        self.assert_once(romeo, "meanwhile")


class StropheBoshTests(PeerTests, WebCase):
    """Strophe.js over BOSH."""

    def peer(self, jid: str, **options: Any) -> Peer:
        """See PeerTests."""
        return StrophePeer(jid, 0, self.certificate, service=self.bosh, **options)

    def test_wrong_password(self) -> None:
        """A wrong password is refused, and the right one accepted after it."""
        jid = self.account("romeo")
        self.assert_refused(StrophePeer(jid, 0, self.certificate, password="no", service=self.bosh))
        self.enter(self.peer(jid))


class NodeWebSocketTests(PeerTests, WebCase):
    """@xmpp/client over WebSocket, taken for encrypted so that logins are the same as over TCP (XEP-0388)."""

    config: ClassVar[dict[str, Any]] = {
        **WebCase.config,
        "modules": {"mod_websockets": {"consider_websocket_secure": True}},
    }

    def peer(self, jid: str, **options: Any) -> Peer:
        """See PeerTests."""
        return NodePeer(jid, self.server.port, self.certificate, service=self.websocket, **options)

    def test_between_transports(self) -> None:
        """A session of TCP goes on over WebSocket after a cut, and then over TCP again; nothing is lost."""
        juliet = self.enter(self.slixmpp(self.account("juliet")))
        romeo: Any = self.enter(NodePeer(self.account("romeo"), self.server.port, self.certificate))
        for number, service in enumerate((self.websocket, f"xmpp://127.0.0.1:{self.server.port}")):
            since = len(romeo.events)
            romeo.cut(service)
            juliet.send(romeo.jid, f"meanwhile {number}")
            success = romeo.expect("login", lambda event: event["event"] == "success", since)
            self.assertIn("resumed", success["with"])
            romeo.expect_message(juliet.jid, f"meanwhile {number}")
            romeo.send(juliet.jid, f"back {number}")
            juliet.expect_message(romeo.jid, f"back {number}")
            self.assert_once(romeo, f"meanwhile {number}")
