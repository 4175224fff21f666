"""slixmpp and @xmpp/client on a bad network, with stream management."""

from __future__ import annotations

import os
import random
import secrets
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from palaver.test.endure.clients import NodeTalker, SlixTalker, Tally, wrong
from palaver.test.endure.proxy import BadNetwork
from palaver.test.peers.peer import PASSWORD, need
from palaver.test.peers.server import ServerProcess

SECONDS = float(os.environ.get("PALAVER_ENDURE_S") or 30)
# A client that has just lost its connection comes back in seconds, and has minutes' worth of nothing to send.
SETTLE_S = 60
LOOK_S = 0.5
CONFIG: dict[str, Any] = {"modules": {"mod_mam": {}}, "limits": {"enabled": False}}

reactor: Any = _reactor


class EndureTests(TestCase):
    """Both talk to each other for a while; the network cuts, delays and half-opens their connections."""

    timeout = SECONDS + SETTLE_S + 60

    async def test_endure(self) -> None:
        """Each gets all that the other has sent, once and in order."""
        need("node", "npm")
        seed = int(os.environ.get("PALAVER_ENDURE_SEED") or secrets.randbelow(10**6))
        dice = random.Random(seed)
        await self.start_server()
        slix, node = await self.talkers(dice)
        for talker in (slix, node):
            await deferToThread(talker.start)
        await deferLater(reactor, SECONDS)
        self.network.heal()
        for talker in (slix, node):
            await deferToThread(talker.finish)
        await self.settle(slix, node)
        self.report(seed, slix.tally, node.tally)
        self.assertEqual(wrong(slix.tally, node.tally), [])
        self.assertEqual(wrong(node.tally, slix.tally), [])
        for tally in (slix.tally, node.tally):
            # With less than this there was no load, and no network to speak of.
            self.assertGreater(len(tally.sent), SECONDS)
            self.assertGreater(tally.counts["resumed"], 0)

    async def start_server(self) -> None:
        """Start a server with two accounts, and a bad network before it."""
        self.server = ServerProcess(CONFIG)
        await deferToThread(self.server.start)
        self.addCleanup(self.server.stop)
        for local in ("slix", "node"):
            await deferToThread(
                self.server.command, "account", "create", f"{local}@localhost", "--password", PASSWORD
            )

    async def talkers(self, dice: random.Random) -> tuple[SlixTalker, NodeTalker]:
        """Give the two clients, not connected yet."""
        self.network = BadNetwork(self.server.port, dice)
        self.addCleanup(self.network.stop)
        certificate = self.server.data_dir / "localhost.pem"
        folder = Path(self.mktemp())
        folder.mkdir()
        port = self.network.port
        node = NodeTalker("node@localhost", "slix@localhost", port, certificate, folder)
        self.addCleanup(deferToThread, node.close)
        slix = SlixTalker("slix@localhost", "node@localhost", port, certificate, random.Random(dice.random()))
        self.addCleanup(deferToThread, slix.close)
        return slix, node

    async def settle(self, slix: SlixTalker, node: NodeTalker) -> None:
        """Wait until everything is acknowledged and has arrived, or for long enough."""
        end = reactor.seconds() + SETTLE_S
        while reactor.seconds() < end:
            await deferLater(reactor, LOOK_S)
            await deferToThread(slix.ask)
            one, other = slix.tally, node.tally
            if not wrong(one, other) and not wrong(other, one):
                break
        # What comes twice has the time to do so.
        await deferLater(reactor, 2 * LOOK_S)

    def report(self, seed: int, slix: Tally, node: Tally) -> None:
        """Say what the test consisted of."""
        faults = ", ".join(f"{count} {fault}" for fault, count in sorted(self.network.faults.items()))
        print(f"seed {seed}: {SECONDS:.0f} s, {faults}", file=sys.stderr)
        for name, tally in (("slixmpp", slix), ("@xmpp/client", node)):
            print(
                f"{name}: {len(tally.sent)} sent, {len(tally.acked)} acknowledged, {len(tally.got)} got,"
                f" {len(tally.again)} sent again by hand, {dict(tally.counts)}, {tally.errors[:3]}",
                file=sys.stderr,
            )


class WrongTests(SynchronousTestCase):
    """The judge of this test sees what it is there for."""

    def setUp(self) -> None:
        self.sender, self.receiver = Tally(), Tally()
        self.sender.sent = ["a", "b", "c"]
        self.sender.acked = {"a", "b", "c"}
        self.receiver.got = ["a", "b", "c"]

    def assert_wrong(self, got: list[str], *found: str) -> None:
        self.receiver.got = got
        self.assertEqual(wrong(self.sender, self.receiver), list(found))

    def test_got(self) -> None:
        """Lost, doubled, swapped and strange messages are found."""
        self.assert_wrong(["a", "b", "c"])
        self.assert_wrong(["a", "c"], "b was sent and never came")
        self.assert_wrong(["a", "b", "b", "c"], "b came 2 times")
        self.assert_wrong(["a", "c", "b"], "b came behind c")
        self.assert_wrong(["a", "b", "c", "d"], "d came and was never sent")

    def test_again(self) -> None:
        """What was sent again by hand may come once more, and not more often."""
        self.sender.again = {"b"}
        self.assert_wrong(["a", "b", "b", "c"])
        self.assert_wrong(["a", "b", "b", "b", "c"], "b came 3 times")

    def test_sent(self) -> None:
        """What was refused, or never acknowledged, is found."""
        self.sender.errors, self.sender.acked = ["a"], {"a", "b"}
        self.assert_wrong(["a", "b", "c"], "a was refused", "c was sent and never acknowledged")
