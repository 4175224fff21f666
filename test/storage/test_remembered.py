"""Documents that are remembered: never an answer that a write has overtaken.

The conformance suite runs over them with SQLite, which remembers.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.errors import StorageError
from palaver.storage import Batch
from palaver.storage.memory import MemoryStorage
from palaver.storage.remembered import RememberedDocuments

HOST = "example.org"


class Slow:
    """Documents whose answers come when the test says so."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.asked = 0
        self.gates: list[Deferred[None]] = []
        self.slow = False

    def list(self, *arguments, **options):
        self.asked += 1
        found = self.storage.documents.list(*arguments, **options)
        if not self.slow:
            return found
        gate: Deferred[None] = Deferred()
        self.gates.append(gate)
        return gate.addCallback(lambda _: found)


class RememberingTests(SynchronousTestCase):
    """When the database is asked, and when not."""

    def setUp(self) -> None:
        self.below: Any = Slow()
        self.documents = RememberedDocuments(self.below, max_documents=20)
        self.put("romeo", "a")

    def put(self, owner: str, key: str, value: int = 0) -> None:
        self.below.storage.write(Batch().put(HOST, owner, "roster", key, {"n": value}))

    def values(self, owner: str = "romeo") -> list[int]:
        found = self.successResultOf(self.documents.list(HOST, owner, ["roster"]))
        return [document.value["n"] for document in found]

    def test_once(self) -> None:
        """The second question is answered from memory, also that there is nothing."""
        self.assertEqual((self.values(), self.values()), ([0], [0]))
        self.assertEqual((self.values("nobody"), self.values("nobody")), ([], []))
        self.assertEqual(self.below.asked, 2)

    def test_pages_are_not_remembered(self) -> None:
        """A page or another order is asked for each time."""
        for _ in range(2):
            self.successResultOf(self.documents.list(HOST, "romeo", ["roster"], limit=1))
        self.assertEqual(self.below.asked, 2)

    def test_write(self) -> None:
        """A write of the owner's makes the next question go to the database; others' do not."""
        self.values()
        self.documents.ended(self.documents.began(Batch().put(HOST, "juliet", "roster", "a", {})))
        self.values()
        self.assertEqual(self.below.asked, 1)
        touched = self.documents.began(Batch().delete(HOST, "romeo"))
        self.put("romeo", "a", 1)
        self.documents.ended(touched)
        self.assertEqual(self.values(), [1])

    def test_while_written(self) -> None:
        """What is read while a write is under way is not remembered."""
        touched = self.documents.began(Batch().put(HOST, "romeo", "roster", "a", {}))
        self.assertEqual(self.values(), [0])
        self.put("romeo", "a", 1)
        self.documents.ended(touched)
        self.assertEqual(self.values(), [1])

    def test_other_kinds(self) -> None:
        """What a login reads is not forgotten for a write of another kind, before or during the read."""
        self.values()
        self.documents.ended(self.documents.began(Batch().put(HOST, "romeo", "last", "", {})))
        self.values()
        self.assertEqual(self.below.asked, 1)
        self.below.slow = True
        reading = self.documents.list(HOST, "tybalt", ["roster"])
        touched = self.documents.began(Batch().put(HOST, "tybalt", "last", "", {}))
        self.below.gates.pop().callback(None)
        self.assertEqual(self.successResultOf(reading), [])
        self.documents.ended(touched)
        self.assertEqual((self.values("tybalt"), self.below.asked), ([], 2))

    def test_whole_owner(self) -> None:
        """When all of an account goes, all of it is forgotten."""
        self.values()
        batch = Batch().delete(HOST, "romeo")
        touched = self.documents.began(batch)
        self.below.storage.write(batch)
        self.documents.ended(touched)
        self.assertEqual((self.values(), self.below.asked), ([], 2))

    def test_overtaken(self) -> None:
        """A read that a write overtakes is not remembered, though it ends after the write."""
        self.below.slow = True
        waiting = self.documents.list(HOST, "romeo", ["roster"])
        self.below.slow = False
        touched = self.documents.began(Batch().put(HOST, "romeo", "roster", "a", {}))
        self.put("romeo", "a", 1)
        self.documents.ended(touched)
        self.below.gates[0].callback(None)
        self.successResultOf(waiting)
        self.assertEqual(self.values(), [1])

    def test_failure(self) -> None:
        """A failed read is not remembered, and leaves nothing behind."""
        self.below.slow = True
        waiting = self.documents.list(HOST, "romeo", ["roster"])
        self.below.slow = False
        self.below.gates[0].errback(StorageError("down"))
        self.failureResultOf(waiting, StorageError)
        self.assertEqual(self.values(), [0])
        self.assertEqual((self.documents._reading, self.documents._writing), ({}, {}))

    def test_bounded(self) -> None:
        """Of too much what was not asked for the longest time is forgotten."""
        for number in range(30):
            self.values(f"user{number}")
        self.assertLessEqual(self.documents._size, 20)
        asked = self.below.asked
        self.values("user29")
        self.assertEqual(self.below.asked, asked)
        self.values("user0")
        self.assertEqual(self.below.asked, asked + 1)

    def test_read_twice_at_once(self) -> None:
        """What two readers wait for at the same time takes room once, however often that happens."""
        self.below.slow = True
        for number in range(100):
            waiting = [self.documents.list(HOST, f"user{number}", ["roster"]) for _ in range(2)]
            gates, self.below.gates = self.below.gates, []
            for gate in gates:
                gate.callback(None)
            self.assertEqual([self.successResultOf(found) for found in waiting], [[], []])
        self.assertEqual((self.documents._size, len(self.documents._kept)), (20, 20))

    def test_size(self) -> None:
        """A large document counts for many, and one owner's do not push out everybody else's."""
        for chars, asked in ((100, 1), (4000, 2)):
            documents = RememberedDocuments(self.below, max_documents=32)
            self.below.asked = 0
            value = {"xml": "x" * chars, "list": ["y"]}
            self.below.storage.write(Batch().put(HOST, "juliet", "private", "a", value))
            for _ in range(2):
                self.successResultOf(documents.list(HOST, "juliet", ["private"]))
            self.assertEqual(self.below.asked, asked)

    def test_list_is_the_callers(self) -> None:
        """Whoever empties the list that they got takes nothing from others."""
        for _ in range(2):
            self.successResultOf(self.documents.list(HOST, "romeo", ["roster"])).clear()
        self.assertEqual(self.values(), [0])

    def test_logs_forget_nothing(self) -> None:
        """An archived message does not touch what is remembered."""
        self.values()
        self.assertEqual(self.documents.began(Batch().drop(HOST, "romeo", "archive")), set())
        self.values()
        self.assertEqual(self.below.asked, 1)
