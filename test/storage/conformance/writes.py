"""What every IStorage does with batches."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from zope.interface.verify import verifyObject

from palaver.errors import StorageError
from palaver.interfaces import IStorage
from palaver.storage import Batch, Conflict, Entry, LogQuery
from palaver.test.storage.conformance.cases import HOST, Base


class WritesConformance(Base):
    """IStorage itself."""

    async def test_interface(self):
        """The backend has every method of IStorage."""
        verifyObject(IStorage, self.storage)

    async def test_empty_batch(self):
        """A batch of nothing is committed."""
        self.assertIsNone(await self.storage.write(Batch()))

    async def test_only_new(self):
        """A document that must be new is refused when it is there, and nothing of its batch is written."""
        await self.put("k", value={"n": 1}, tags=("first",), only="new")
        entry = Entry(HOST, "romeo", "archive", 1, b"", text="word")
        batch = Batch().append(entry).put(HOST, "romeo", "note", "other", {}).delete(HOST, "romeo", "list")
        await self.put("kept", kind="list")
        batch.put(HOST, "romeo", "note", "k", {"n": 2}, tags=("second",), only="new")
        await self.assertFailure(self.storage.write(batch), Conflict)
        self.assertEqual((await self.storage.documents.get(HOST, "romeo", "note", "k")).value, {"n": 1})
        self.assertEqual(await self.keys(["note", "list"]), ["kept", "k"])
        self.assertEqual(len(await self.storage.documents.find(HOST, "note", "first")), 1)
        self.assertEqual(await self.storage.documents.find(HOST, "note", "second"), [])
        self.assertEqual(await self.storage.logs.count(HOST, "romeo", "archive"), 0)
        self.assertEqual(await self.storage.logs.count(HOST, "romeo", "archive", LogQuery(text="word")), 0)

    async def test_only_old(self):
        """A document that must be there is replaced, and refused when it is absent."""
        batch = Batch().put(HOST, "romeo", "note", "a", {}).put(HOST, "romeo", "note", "k", {}, only="old")
        await self.assertFailure(self.storage.write(batch), Conflict)
        self.assertEqual(await self.keys(), [])
        await self.put("k", tags=("t",))
        await self.put("k", value={"n": 2}, tags=("u",), only="old")
        (found,) = await self.storage.documents.find(HOST, "note", "u")
        self.assertEqual(found.value, {"n": 2})

    async def test_conflict_undoes_deletions(self):
        """Entries and documents that a refused batch deleted are back, to be found as before."""
        await self.put("k", tags=("t",))
        await self.storage.write(
            Batch().append(Entry(HOST, "romeo", "archive", 1, b"x", ref="r", text="word"))
        )
        batch = Batch().drop(HOST, "romeo").delete(HOST, "romeo").put(HOST, "romeo", "x", "", {}, only="old")
        await self.assertFailure(self.storage.write(batch), Conflict)
        self.assertEqual(len(await self.storage.documents.find(HOST, "note", "t")), 1)
        page = await self.storage.logs.range(HOST, "romeo", "archive", LogQuery(text="word"))
        self.assertEqual([entry.ref for entry in page.entries], ["r"])

    async def test_conflict_concerns_one_batch(self):
        """Of many batches handed over at once only those that conflict fail; the others are all written."""
        await self.put("taken")
        writes = [self.storage.write(Batch().put(HOST, "romeo", "note", f"a{n}", {})) for n in range(20)]
        bad = [
            Batch().put(HOST, "romeo", "note", "taken", {}, only="new"),
            Batch().put(HOST, "romeo", "note", "absent", {}, only="old"),
            Batch().put(HOST, "romeo", "note", "a3", {}, only="new"),
        ]
        refused = [self.assertFailure(self.storage.write(batch), Conflict) for batch in bad]
        writes += [
            self.storage.write(Batch().put(HOST, "romeo", "note", f"b{n}", {}, only="new")) for n in range(20)
        ]
        await gatherResults([*writes, *refused])
        self.assertEqual(await self.storage.documents.count(HOST, "romeo", "note"), 41)

    async def test_first_of_two_wins(self):
        """Of two batches that want to make one document, handed over together, exactly one succeeds."""
        writes = [
            self.storage.write(Batch().put(HOST, "romeo", "account", "", {"n": n}, only="new"))
            for n in range(2)
        ]
        await writes[0]
        await self.assertFailure(writes[1], Conflict)
        self.assertEqual((await self.storage.documents.get(HOST, "romeo", "account")).value, {"n": 0})

    async def test_read_your_writes(self):
        """A read that starts when a write's Deferred fires sees what was written."""
        seen: list[Any] = []
        for n in range(50):
            written: Deferred[Any] = self.storage.write(Batch().put(HOST, "romeo", "note", "k", {"n": n}))
            written.addCallback(lambda _: self.storage.documents.get(HOST, "romeo", "note", "k"))
            seen.append(written)
        values = [found.value["n"] for found in await gatherResults(seen)]
        for n, value in enumerate(values):
            self.assertGreaterEqual(value, n)

    async def test_values_that_are_no_json(self):
        """A batch with a value that JSON does not have fails alone, and nothing of it is written."""
        for value in ({"x": object()}, {"x": float("nan")}):
            batch = Batch().put(HOST, "romeo", "note", "a", {}).put(HOST, "romeo", "note", "b", value)
            write = self.storage.write(batch)
            await self.assertFailure(write, TypeError, ValueError)
        self.assertEqual(await self.keys(), [])

    async def test_write_after_stop(self):
        """A write to a storage that was stopped fails at once."""
        await self.storage.stop()
        await self.assertFailure(self.storage.write(Batch()), StorageError)
