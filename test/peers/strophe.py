"""Strophe.js under Node as a peer, over WebSocket or BOSH."""

from __future__ import annotations

from pathlib import Path

from palaver.test.peers.node_peer import NodePeer


class StrophePeer(NodePeer):
    """One account; ``service`` is an address for http or ws."""

    folder = Path(__file__).with_name("strophe")
