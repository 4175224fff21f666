"""The storage that fails on demand does so, and is a storage otherwise."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.errors import StorageError
from palaver.storage import Batch
from palaver.storage.memory import MemoryStorage
from palaver.test.storage.conformance import (
    HOST,
    DocumentsConformance,
    LogsConformance,
    StorageCase,
    WritesConformance,
)
from palaver.test.storage.faulty import FaultyStorage


class _Faulty(StorageCase):
    def make_storage(self):
        return FaultyStorage(MemoryStorage())


class FaultyDocumentsTests(DocumentsConformance, _Faulty):
    """Documents while nothing is planned."""


class FaultyLogsTests(LogsConformance, _Faulty):
    """Logs while nothing is planned."""


class FaultyWritesTests(WritesConformance, _Faulty):
    """Batches while nothing is planned."""


class PlanTests(SynchronousTestCase):
    """Planned faults."""

    def setUp(self):
        self.storage = FaultyStorage(MemoryStorage())

    def write(self, key: str):
        return self.storage.write(Batch().put(HOST, "romeo", "note", key, {}))

    def keys(self) -> list[str]:
        found = self.successResultOf(self.storage.inner.documents.list(HOST, "romeo", ["note"]))
        return [document.key for document in found]

    def test_fail(self):
        """Writes fail after so many, undone, until they may go on; reads do not notice."""
        self.storage.writes.fail(after=1)
        self.successResultOf(self.write("a"))
        for _ in range(2):
            self.failureResultOf(self.write("b"), StorageError)
        self.successResultOf(self.storage.documents.get(HOST, "romeo", "note"))
        self.storage.writes.go_on()
        self.successResultOf(self.write("c"))
        self.assertEqual(self.keys(), ["a", "c"])
        self.assertEqual(self.storage.writes.asked, 4)

    def test_stall(self):
        """Writes wait, undone, and are done in order when they may go on."""
        self.storage.writes.stall()
        waiting = [self.write("a"), self.write("b")]
        self.assertNoResult(waiting[0])
        self.assertEqual(self.keys(), [])
        self.storage.writes.go_on()
        for write in waiting:
            self.successResultOf(write)
        self.assertEqual(self.keys(), ["a", "b"])

    def test_stall_then_fail(self):
        """What waits can fail in the end, or wait on."""
        self.storage.reads.stall()
        read = self.storage.documents.get(HOST, "romeo", "note")
        self.storage.reads.stall()
        self.assertNoResult(read)
        self.storage.reads.fail()
        self.failureResultOf(read, StorageError)

    def test_lose_answer(self):
        """A write can be done and yet reported as failed."""
        self.storage.writes.lose_answer()
        self.failureResultOf(self.write("a"), StorageError)
        self.assertEqual(self.keys(), ["a"])
