"""kill -9: what was acknowledged is there."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from twisted.internet import error, reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from palaver.storage import LogQuery
from palaver.storage.open import open_storage
from palaver.test.storage.conformance import HOST

# Acknowledgements to wait for before the kill, which then hits some commit.
ENOUGH = 2000
TIMEOUT_S = 60

WRITER = """
import os, sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from palaver.storage import Batch, Entry
from palaver.storage.ids import new_id
from palaver.storage.open import open_storage

async def write_forever(storage):
    while True:
        id = new_id()
        batch = Batch().append(Entry("example.org", "romeo", "archive", id, b"x", text="word"))
        await storage.write(batch.put("example.org", "romeo", "note", str(id), {}, tags=("t",)))
        os.write(1, b"%d\\n" % id)

async def main():
    storage = open_storage("sqlite", sys.argv[1], reactor)
    await storage.start()
    for _ in range(50):
        Deferred.fromCoroutine(write_forever(storage))

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
"""


class _Victim(ProcessProtocol):
    """Collects the ids that a process prints, and kills it after `ENOUGH`."""

    def __init__(self) -> None:
        self.printed = b""
        self.errors = b""
        self.ended: Deferred[Any] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.printed += data
        if self.printed.count(b"\n") > ENOUGH and self.transport and self.transport.pid:
            os.kill(self.transport.pid, signal.SIGKILL)

    def errReceived(self, data: bytes) -> None:
        self.errors += data

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(reason.value)


class KillTests(TestCase):
    """A process that is killed while it commits."""

    timeout = TIMEOUT_S

    async def test_acknowledged_is_stored(self):
        """Every id that the process had printed is there afterwards, with its document, and can be found."""
        folder = self.mktemp()
        victim = _Victim()
        reactor.spawnProcess(victim, sys.executable, [sys.executable, "-c", WRITER, folder], env=os.environ)
        ended = await victim.ended
        self.assertIsInstance(ended, error.ProcessTerminated)
        self.assertEqual(ended.signal, signal.SIGKILL, victim.errors.decode())
        acknowledged = {int(line) for line in victim.printed.split(b"\n")[:-1]}
        self.assertGreater(len(acknowledged), ENOUGH)
        storage = open_storage("sqlite", folder, reactor)
        await storage.start()
        self.addCleanup(storage.stop)
        page = await storage.logs.range(HOST, "romeo", "archive", LogQuery(text="word"))
        stored = {entry.id for entry in page.entries}
        self.assertEqual(acknowledged - stored, set())
        # A batch is there whole or not at all.
        found = await storage.documents.find(HOST, "note", "t")
        self.assertEqual({int(document.key) for document in found}, stored)
