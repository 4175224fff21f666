"""A disk that stalls or fails under a running server: nothing unwritten is acknowledged, and others go on."""

from __future__ import annotations

import copy
import random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from palaver.service import Palaver
from palaver.test.crash.client import PING, Client, reactor
from palaver.test.crash.history import History, Name, check
from palaver.test.crash.rounds import CONFIG, all_of
from palaver.test.storage.faulty import FaultyStorage, Plan

SEED = 198
PAIRS = (("romeo", "juliet"), ("juliet", "romeo"), ("nurse", "friar"), ("friar", "nurse"))
# How often the disk changes its mind, and how long it stays so.
CHANGES = 12
CHANGE_S = 0.05


class DiskTests(TestCase):
    """Romeo and Juliet write to each other; the nurse and the friar need no storage for what they do."""

    timeout = 60

    def setUp(self) -> Any:
        """Start a server in this process on SQLite, behind a storage that does what the test says."""
        return Deferred.fromCoroutine(self._set_up())

    async def _set_up(self) -> None:
        config: dict[str, Any] = copy.deepcopy(CONFIG)
        config["general"] = {"hosts": ["localhost"], "data_dir": self.mktemp()}
        config["storage"] = {"url": "sqlite"}
        self.palaver = Palaver(config)
        self.palaver.startService()
        self.addCleanup(self.palaver.stopService)
        await self.palaver.ready
        port = int(self.palaver.addresses()[0].partition(" (")[0].rpartition(":")[2])
        self.history = History()
        dice = random.Random(SEED)
        self.clients = [Client(local, to, self.history, random.Random(dice.random())) for local, to in PAIRS]
        self.romeo, self.juliet, self.nurse, self.friar = self.clients
        await all_of(client.register(port) for client in self.clients)
        await all_of(client.enter(port, 1) for client in self.clients)
        host = self.palaver.hosts["localhost"]
        self.disk = FaultyStorage(host.storage)
        host.storage = self.disk
        self.addCleanup(self.disk.reads.go_on)
        self.addCleanup(self.disk.writes.go_on)

    async def assert_others_go_on(self) -> None:
        """See that the nurse gets an answer to her ping, and that the friar sees her presence."""
        self.friar.shown.clear()
        self.nurse.show("friar")
        await self.nurse.ask(PING, "get")
        await self.friar.until(lambda: "nurse@localhost" in self.friar.shown, "presence")

    async def assert_well(self) -> None:
        """After the fault everything is acknowledged, and is where it has to be."""
        await all_of(client.settle() for client in self.clients)
        await all_of(client.settle() for client in self.clients)
        await all_of(client.read_archive() for client in self.clients)
        self.assertEqual(check(self.history), [])

    def messages(self) -> set[Name]:
        """Give what Romeo has sent."""
        return {name for name in self.history.sent if name.sender == "romeo"}

    async def test_stall(self) -> None:
        """While the disk stalls nothing is acknowledged or delivered; then everything is."""
        self.disk.writes.stall()
        self.romeo.burst(["juliet"])
        for _ in range(3):
            await self.assert_others_go_on()
        self.assertEqual((self.history.acknowledged, self.history.received["juliet"]), (set(), []))
        self.disk.writes.go_on()
        await self.assert_well()
        self.assertEqual(self.history.acknowledged, self.messages())

    async def test_reads_stall(self) -> None:
        """Whoever reads an archive waits, and nobody else does."""
        self.disk.reads.stall()
        reading = Deferred.fromCoroutine(self.romeo.read_archive())
        await self.assert_others_go_on()
        self.assertFalse(reading.called)
        self.disk.reads.go_on()
        await reading
        await self.assert_well()

    async def test_fail(self) -> None:
        """What cannot be written is refused with an error, is nowhere, and may be sent again."""
        self.disk.writes.fail()
        self.romeo.burst(["juliet"])
        await self.romeo.until(lambda: self.history.refused == self.messages(), "refusal of everything")
        await self.assert_others_go_on()
        await self.assert_well()
        self.assertEqual([*self.history.archives["romeo"], *self.history.received["juliet"]], [])
        self.disk.writes.go_on()
        for name in sorted(self.messages()):
            self.romeo.again(name)
        await self.assert_well()
        self.assertEqual(len(self.history.archives["juliet"]), len(self.messages()))

    async def test_answer_lost(self) -> None:
        """What was written and reported as failed, and is sent again, is there once."""
        self.disk.writes.lose_answer()
        self.romeo.burst(["juliet"])
        await self.romeo.until(lambda: self.history.refused == self.messages(), "refusal of everything")
        self.disk.writes.go_on()
        for name in sorted(self.messages()):
            self.romeo.again(name)
        await self.assert_well()
        self.assertEqual(len(self.history.archives["juliet"]), len(self.messages()))

    async def test_changing(self) -> None:
        """A disk that stalls, fails and goes on by turns writes all that is acknowledged and not refused."""
        dice = random.Random(SEED)
        writes = self.disk.writes
        for _ in range(CHANGES):
            for client in self.clients:
                client.burst([client.partner])
            await deferLater(reactor, dice.uniform(0, CHANGE_S))
            _change(writes, dice)
        writes.go_on()
        await self.assert_well()
        self.assertEqual(self.history.acknowledged, self.history.sent)
        kept = {seen.name for archive in self.history.archives.values() for seen in archive}
        self.assertEqual(kept, self.history.sent - self.history.refused)
        # By the seed there is something of both.
        self.assertTrue(self.history.refused and kept)


def _change(plan: Plan, dice: random.Random) -> None:
    fault = dice.choice((plan.stall, plan.fail, None))
    if fault is None:
        plan.go_on()
    else:
        fault(dice.randrange(9))
