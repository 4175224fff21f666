"""What every IDocuments does."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from palaver.interfaces import IDocuments
from palaver.storage import Batch, Document
from palaver.test.storage.conformance.cases import HOST, MIB, Base


class DocumentsConformance(Base):
    """IDocuments."""

    async def test_interface(self):
        """The backend has every method of IDocuments."""
        verifyObject(IDocuments, self.storage.documents)

    async def test_round_trip(self):
        """What is put comes back as it was: value, rank and tags."""
        value = {"text": "naïve 日本 🎭 \u0000'\"\\", "n": -1, "list": [1.5, None, True, {"a": []}]}
        await self.put("k", value=value, rank=-7, tags=("b", "ä"))
        found = await self.storage.documents.get(HOST, "romeo", "note", "k")
        self.assertEqual(found, Document(HOST, "romeo", "note", "k", value, -7, ("b", "ä")))

    async def test_absent(self):
        """What is not there is None, and lists are empty."""
        documents = self.storage.documents
        self.assertIsNone(await documents.get(HOST, "romeo", "note"))
        self.assertEqual(await documents.list(HOST, "romeo", ["note", "vcard"]), [])
        self.assertEqual(await documents.list(HOST, "romeo", []), [])
        self.assertEqual(await documents.find(HOST, "note", "tag"), [])
        self.assertEqual(await documents.owners(HOST, "note"), [])
        self.assertEqual(await documents.count(HOST, "romeo", "note"), 0)

    async def test_value_is_a_copy(self):
        """Changing a value that was put or got changes nothing stored."""
        value = {"list": [1]}
        await self.put("k", value=value)
        value["list"].append(2)
        found = await self.storage.documents.get(HOST, "romeo", "note", "k")
        found.value["list"].append(3)
        again = await self.storage.documents.get(HOST, "romeo", "note", "k")
        self.assertEqual(again.value, {"list": [1]})

    async def test_replace(self):
        """A document put again replaces the one before, with its rank and tags."""
        await self.put("k", rank=1, tags=("old", "both"))
        await self.put("k", rank=2, tags=("new", "both"))
        documents = self.storage.documents
        self.assertEqual((await documents.get(HOST, "romeo", "note", "k")).rank, 2)
        for tag, expected in (("old", 0), ("new", 1), ("both", 1)):
            self.assertEqual(len(await documents.find(HOST, "note", tag)), expected, tag)

    async def test_replace_in_one_batch(self):
        """Of two puts of one document in a batch the last one counts, also for finding."""
        batch = Batch().put(HOST, "romeo", "note", "k", {"n": 1}, tags=("old",))
        await self.storage.write(batch.put(HOST, "romeo", "note", "k", {"n": 2}, tags=("new", "new")))
        self.assertEqual(await self.storage.documents.find(HOST, "note", "old"), [])
        (found,) = await self.storage.documents.find(HOST, "note", "new")
        self.assertEqual(found.value, {"n": 2})

    async def test_list_order(self):
        """A list of several kinds is ordered by kind, rank and key, or all of that reversed."""
        for kind, key, rank in (("b", "x", 0), ("a", "z", 1), ("a", "y", 1), ("a", "é", -5), ("c", "w", 0)):
            await self.put(key, kind=kind, rank=rank)
        self.assertEqual(await self.keys(["b", "a"]), ["é", "y", "z", "x"])
        self.assertEqual(await self.keys(["b", "a"], descending=True), ["x", "z", "y", "é"])
        self.assertEqual(await self.keys(["a", "b", "c", "a", "none"], limit=2), ["é", "y"])

    async def test_keys_compare_by_code_point(self):
        """Keys that differ in case or accents are different, and sort by code point."""
        for key in ("a", "A", "á", "", "\U0001f3ad", "\uffee"):
            await self.put(key)
        self.assertEqual(await self.keys(), ["", "A", "a", "á", "\uffee", "\U0001f3ad"])

    async def test_list_pages(self):
        """Pages by rank and key join up to the whole list, in both directions."""
        for n in range(10):
            await self.put(f"k{n}", rank=n // 3)
        for descending in (False, True):
            whole = await self.keys(descending=descending)
            paged: list[str] = []
            after = None
            while page := await self.storage.documents.list(
                HOST, "romeo", ["note"], descending=descending, limit=4, after=after
            ):
                paged += [document.key for document in page]
                after = (page[-1].rank, page[-1].key)
            self.assertEqual(paged, whole)

    async def test_list_after_needs_one_kind(self):
        """A page's start makes no sense for several kinds and is refused."""
        listed = self.storage.documents.list(HOST, "romeo", ["a", "b"], after=(0, ""))
        await self.assertFailure(listed, ValueError)

    async def test_find_pages(self):
        """Documents of any owner are found by tag, in the order of owner and key, page by page."""
        for owner, key in (("b", "1"), ("a", "2"), ("a", "1"), ("c", "1")):
            await self.put(key, owner=owner, tags=("t", "u"))
        await self.put("1", owner="d", kind="other", tags=("t",))
        documents = self.storage.documents
        self.assertEqual(
            [(d.owner, d.key) for d in await documents.find(HOST, "note", "t", limit=2)],
            [("a", "1"), ("a", "2")],
        )
        rest = await documents.find(HOST, "note", "t", after=("a", "2"))
        self.assertEqual([(d.owner, d.tags) for d in rest], [("b", ("t", "u")), ("c", ("t", "u"))])

    async def test_owners(self):
        """The owners of a kind are listed once each, sorted, page by page."""
        for owner in ("juliet", "romeo", "nurse", "juliet"):
            await self.put("1", owner=owner)
            await self.put("2", owner=owner)
        await self.put("1", owner="abram", kind="other")
        documents = self.storage.documents
        self.assertEqual(await documents.owners(HOST, "note"), ["juliet", "nurse", "romeo"])
        self.assertEqual(await documents.owners(HOST, "note", limit=1, after="juliet"), ["nurse"])
        self.assertEqual(await documents.owners("other.example", "note"), [])
        self.assertEqual(await documents.owners(HOST, None, limit=3), ["abram", "juliet", "nurse"])
        self.assertEqual(await documents.owners(HOST, None, after="nurse"), ["romeo"])
        self.assertEqual(await documents.owners("other.example", None), [])

    async def test_count(self):
        """Documents are counted by owner and kind."""
        await self.put("1")
        await self.put("2")
        await self.put("1", kind="other")
        self.assertEqual(await self.storage.documents.count(HOST, "romeo", "note"), 2)

    async def test_delete(self):
        """One document, all of a kind, or all of an owner are deleted, with their tags, and nothing else."""
        for owner in ("romeo", "juliet"):
            for kind in ("a", "b"):
                for key in ("1", "2"):
                    await self.put(key, owner=owner, kind=kind, tags=("t",))
        find = self.storage.documents.find
        await self.storage.write(Batch().delete(HOST, "romeo", "a", "1").delete(HOST, "romeo", "a", "absent"))
        self.assertEqual(await self.keys("ab"), ["2", "1", "2"])
        await self.storage.write(Batch().delete(HOST, "romeo", "b"))
        self.assertEqual(await self.keys("ab"), ["2"])
        self.assertEqual(len(await find(HOST, "b", "t")), 2)
        await self.storage.write(Batch().delete(HOST, "romeo"))
        self.assertEqual(await self.keys("ab"), [])
        self.assertEqual(await self.keys("ab", owner="juliet"), ["1", "2", "1", "2"])
        self.assertEqual({document.owner for document in await find(HOST, "a", "t")}, {"juliet"})

    async def test_changes_apply_in_order(self):
        """A batch that deletes, puts, deletes and puts again leaves what its last change left."""
        await self.put("k", value={"n": 1}, tags=("t",))
        batch = Batch().delete(HOST, "romeo").put(HOST, "romeo", "note", "k", {"n": 2}, only="new")
        batch.put(HOST, "romeo", "note", "k", {"n": 3}, only="old").delete(HOST, "romeo", "note", "k")
        await self.storage.write(batch.put(HOST, "romeo", "note", "k", {"n": 4}))
        self.assertEqual((await self.storage.documents.get(HOST, "romeo", "note", "k")).value, {"n": 4})
        self.assertEqual(await self.storage.documents.find(HOST, "note", "t"), [])

    async def test_big_value(self):
        """A value of several MiB is kept whole."""
        await self.put("k", value={"photo": "x" * (3 * MIB)})
        found = await self.storage.documents.get(HOST, "romeo", "note", "k")
        self.assertEqual(len(found.value["photo"]), 3 * MIB)
