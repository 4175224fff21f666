"""What every backend must do: one mix-in an interface. A backend's test case makes the object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from palaver.errors import StorageError
from palaver.interfaces import IBlobs, IDocuments, ILogs, IRegistry, IStorage
from palaver.storage import Batch, Conflict, Document, Entry, LogQuery

HOST = "example.org"
MIB = 1024 * 1024


class StorageCase(TestCase):
    """Starts a storage for each test and stops it after."""

    storage: Any

    def make_storage(self) -> Any:
        """Give a storage that is empty and not started."""
        raise NotImplementedError

    async def setUp(self):
        self.storage = self.make_storage()
        await self.storage.start()

    async def tearDown(self):
        await self.storage.stop()

    async def put(self, key: str, *, owner: str = "romeo", kind: str = "note", **options: Any) -> None:
        value = options.pop("value", {"is": key})
        await self.storage.write(Batch().put(HOST, owner, kind, key, value, **options))

    async def keys(self, kinds: Iterable[str] = ("note",), owner: str = "romeo", **options: Any) -> list[str]:
        return [found.key for found in await self.storage.documents.list(HOST, owner, list(kinds), **options)]


class DocumentsConformance:
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


class LogsConformance:
    """ILogs."""

    def entry(self, id: int, *, owner: str = "romeo", kind: str = "archive", **fields: Any) -> Entry:
        return Entry(HOST, owner, kind, id, fields.pop("payload", b"<body/>"), **fields)

    async def append(self, *ids: int, window: int = 0, **fields: Any) -> None:
        batch = Batch()
        for id in ids:
            batch.append(self.entry(id, **fields), window)
        await self.storage.write(batch)

    async def ids(self, owner: str = "romeo", kind: str = "archive", **query: Any) -> list[int]:
        page = await self.storage.logs.range(HOST, owner, kind, LogQuery(**query))
        return [entry.id for entry in page.entries]

    async def test_interface(self):
        """The backend has every method of ILogs."""
        verifyObject(ILogs, self.storage.logs)

    async def test_round_trip(self):
        """An entry comes back as it was: bytes that are no text, names in any script, the largest id."""
        entry = self.entry(
            2**63 - 1, payload=bytes(range(256)), peer="ジュリエット@例え.jp", ref="é", text="日本 🎭"
        )
        plain = self.entry(0)
        await self.storage.write(Batch().append(entry).append(plain))
        page = await self.storage.logs.range(HOST, "romeo", "archive", LogQuery())
        self.assertEqual(page.entries, [plain, entry])
        self.assertIs(page.complete, True)

    async def test_get(self):
        """Entries are given in the order that was asked for; absent ones are left out, however many."""
        await self.append(*range(1, 1501))
        asked = [7, 1499, 99999, 3, *range(1500, 0, -1)]
        found = await self.storage.logs.get(HOST, "romeo", "archive", asked)
        self.assertEqual([entry.id for entry in found], [id for id in asked if id < 1501])
        self.assertEqual(await self.storage.logs.get(HOST, "romeo", "archive", []), [])
        self.assertEqual(await self.storage.logs.get(HOST, "juliet", "archive", [7]), [])

    async def test_bounds(self):
        """after and before are exclusive, since and until inclusive, and all of them hold together."""
        await self.append(5, 1, 3, 2, 4)
        self.assertEqual(await self.ids(), [1, 2, 3, 4, 5])
        self.assertEqual(await self.ids(after=2), [3, 4, 5])
        self.assertEqual(await self.ids(before=4), [1, 2, 3])
        self.assertEqual(await self.ids(since=2, until=4), [2, 3, 4])
        self.assertEqual(await self.ids(after=1, since=3, before=5, until=9), [3, 4])
        self.assertEqual(await self.ids(after=1, since=0), [2, 3, 4, 5])
        self.assertEqual(await self.ids(after=4, before=2), [])

    async def test_pages(self):
        """Pages join up to the whole log from either end; only the last one is complete."""
        await self.append(*range(1, 11))
        for backwards in (False, True):
            seen: list[list[int]] = []
            bound: dict[str, int] = {}
            for _ in range(10):
                query = LogQuery(limit=4, backwards=backwards, **bound)
                page = await self.storage.logs.range(HOST, "romeo", "archive", query)
                ids = [entry.id for entry in page.entries]
                seen.append(ids)
                if page.complete:
                    break
                bound = {"before": ids[0]} if backwards else {"after": ids[-1]}
            expected = (
                [[7, 8, 9, 10], [3, 4, 5, 6], [1, 2]] if backwards else [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
            )
            self.assertEqual(seen, expected)

    async def test_page_ends_with_the_log(self):
        """A page that takes exactly what is left is complete; one of no entries says whether there are any."""
        await self.append(1, 2)
        logs = self.storage.logs
        self.assertIs((await logs.range(HOST, "romeo", "archive", LogQuery(limit=2))).complete, True)
        self.assertEqual(await logs.range(HOST, "romeo", "archive", LogQuery(limit=0)), ([], False))
        self.assertEqual(await logs.range(HOST, "nobody", "archive", LogQuery(limit=0)), ([], True))

    async def test_peer(self):
        """Entries are found by their exact peer, in pages too."""
        for id in range(1, 7):
            await self.append(id, peer="Juliet@capulet" if id % 2 else "juliet@capulet")
        await self.append(7)
        self.assertEqual(await self.ids(peer="juliet@capulet"), [2, 4, 6])
        self.assertEqual(await self.ids(peer="juliet@capulet", limit=2, backwards=True), [4, 6])
        self.assertEqual(await self.ids(peer="nobody"), [])

    async def test_text(self):
        """A search finds entries with every word, whatever case and accents, of this log only."""
        await self.append(1, text="Wherefore art thou Romeo?")
        await self.append(2, text="A rose by any other name; naïve Café-Roméo")
        await self.append(3, payload=b"<body>romeo</body>")
        await self.append(4, text="日本 romeo 🎭", peer="juliet@capulet")
        await self.append(5, owner="juliet", text="romeo")
        await self.append(6, kind="offline", text="romeo")
        for asked, expected in (
            ("romeo", [1, 2, 4]),
            ("ROMEO rose", [2]),
            ("cafe", [2]),
            ("日本", [4]),
            ("name naive", [2]),
            ("rom", []),
            ("romeo missing", []),
            ('"romeo" OR missing', []),
            ("text : romeo*", []),
            ("'; --", []),
            ("", []),
        ):
            self.assertEqual(await self.ids(text=asked), expected, asked)
        self.assertEqual(await self.ids(text="romeo", peer="juliet@capulet"), [4])
        self.assertEqual(await self.ids(text="romeo", limit=1, backwards=True), [4])
        self.assertEqual(await self.ids(text="romeo", after=1, before=4), [2])
        query = LogQuery(text="romeo")
        self.assertEqual(await self.storage.logs.count(HOST, "romeo", "archive", query), 3)

    async def test_deleted_text_is_not_found(self):
        """A search does not find what was deleted, nor something newer in its place."""
        await self.append(1, text="rose")
        await self.append(2, text="thorn")
        await self.storage.write(Batch().drop(HOST, "romeo", "archive"))
        await self.append(3, text="tulip")
        self.assertEqual(await self.ids(text="thorn"), [])
        self.assertEqual(await self.ids(text="tulip"), [3])

    async def test_count(self):
        """Entries are counted, all or those that match; page limits do not count."""
        await self.append(1, 2, 3, peer="a")
        await self.append(4, peer="b")
        count = self.storage.logs.count
        self.assertEqual(await count(HOST, "romeo", "archive"), 4)
        self.assertEqual(await count(HOST, "romeo", "archive", LogQuery(peer="a", after=1, limit=1)), 2)
        self.assertEqual(await count(HOST, "romeo", "archive", LogQuery(text="")), 0)
        self.assertEqual(await count(HOST, "nobody", "archive"), 0)

    async def test_delete(self):
        """Entries are deleted by id, up to an id, all of a kind, or all of an owner, and nothing else."""
        for owner in ("romeo", "juliet"):
            for kind in ("archive", "offline"):
                await self.append(1, 2, 3, 4, 5, owner=owner, kind=kind, ref="r", text="t")
        await self.storage.write(Batch().drop(HOST, "romeo", "archive", ids=[2, 4, 99]))
        self.assertEqual(await self.ids(), [1, 3, 5])
        await self.storage.write(Batch().drop(HOST, "romeo", "archive", ids=[]))
        self.assertEqual(await self.ids(), [1, 3, 5])
        await self.storage.write(Batch().drop(HOST, "romeo", "archive", until=3))
        self.assertEqual(await self.ids(), [5])
        await self.storage.write(Batch().drop(HOST, "romeo", "archive"))
        self.assertEqual((await self.ids(), await self.ids(kind="offline")), ([], [1, 2, 3, 4, 5]))
        await self.storage.write(Batch().drop(HOST, "romeo"))
        self.assertEqual(await self.ids(kind="offline"), [])
        self.assertEqual(await self.ids(owner="juliet", kind="offline"), [1, 2, 3, 4, 5])

    async def test_same_ref_within_the_window(self):
        """An entry with the ref of one shortly before it is not stored again; it is in another log, or later."""
        await self.append(100, ref="id1", window=50)
        await self.append(120, ref="id1", window=50)
        await self.append(120, ref="id1", window=50, owner="juliet")
        await self.append(130, ref="id2", window=50)
        self.assertEqual(await self.ids(), [100, 130])
        self.assertEqual(await self.ids(owner="juliet"), [120])
        await self.append(150, ref="id1", window=50)
        self.assertEqual(await self.ids(), [100, 130])
        await self.append(151, ref="id1", window=50)
        self.assertEqual(await self.ids(), [100, 130, 151])

    async def test_same_ref_in_one_batch(self):
        """A ref counts within a batch, and not without a window."""
        await self.append(1, 2, ref="id1", window=50)
        await self.append(3, 4, ref="id2")
        self.assertEqual(await self.ids(), [1, 3, 4])

    async def test_same_id(self):
        """A second entry with an id that is taken is a conflict, never a silent loss."""
        await self.append(1, payload=b"first")
        await self.assertFailure(
            self.storage.write(Batch().append(self.entry(1, payload=b"second"))), Conflict
        )
        (found,) = await self.storage.logs.get(HOST, "romeo", "archive", [1])
        self.assertEqual(found.payload, b"first")

    async def test_changes_apply_in_order(self):
        """A batch that empties a log and appends leaves what it appended, and the reverse leaves nothing."""
        await self.append(1)
        await self.storage.write(
            Batch().drop(HOST, "romeo", "archive").append(self.entry(1)).append(self.entry(2))
        )
        self.assertEqual(await self.ids(), [1, 2])
        await self.storage.write(Batch().append(self.entry(3)).drop(HOST, "romeo", "archive"))
        self.assertEqual(await self.ids(), [])

    async def test_big_payload(self):
        """A payload of several MiB is kept whole."""
        await self.append(1, payload=b"x" * (3 * MIB))
        (found,) = await self.storage.logs.get(HOST, "romeo", "archive", [1])
        self.assertEqual(len(found.payload), 3 * MIB)


class WritesConformance:
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
        refused = [
            self.assertFailure(
                self.storage.write(Batch().put(HOST, "romeo", "note", key, {}, only=only)), Conflict
            )
            for key, only in (("taken", "new"), ("absent", "old"), ("a3", "new"))
        ]
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


class RegistryCase(SynchronousTestCase):
    """Makes a registry on a Clock for each test."""

    def setUp(self):
        self.clock = Clock()
        self.registry = self.make_registry()

    def make_registry(self) -> Any:
        """Give an empty registry whose leases ``self.clock`` ends."""
        raise NotImplementedError


class RegistryConformance:
    """IRegistry."""

    def test_interface(self):
        """The backend has every method of IRegistry."""
        verifyObject(IRegistry, self.registry)

    def now(self, deferred: Deferred[Any]) -> Any:
        return self.successResultOf(deferred)

    def test_set_get_delete(self):
        """A key has the value that was set last, until it is deleted."""
        registry = self.registry
        self.assertIsNone(self.now(registry.get("k")))
        self.now(registry.set("k", b"1"))
        self.now(registry.set("k", b"2"))
        self.assertEqual(self.now(registry.get("k")), b"2")
        self.assertIs(self.now(registry.delete("k")), True)
        self.assertIs(self.now(registry.delete("k")), False)
        self.assertIsNone(self.now(registry.get("k")))

    def test_add(self):
        """Only the first of two who add a key gets it."""
        self.assertIs(self.now(self.registry.add("k", b"1")), True)
        self.assertIs(self.now(self.registry.add("k", b"2")), False)
        self.assertEqual(self.now(self.registry.get("k")), b"1")

    def test_delete_one_value(self):
        """A lease that another process has taken over since is not deleted."""
        self.now(self.registry.set("k", b"theirs"))
        self.assertIs(self.now(self.registry.delete("k", b"mine")), False)
        self.assertIs(self.now(self.registry.delete("k", b"theirs")), True)

    def test_lease(self):
        """A key with a lease is gone after it, and can be added again."""
        self.now(self.registry.add("k", b"1", ttl=10))
        self.clock.advance(9.9)
        self.assertEqual(self.now(self.registry.get("k")), b"1")
        self.clock.advance(0.2)
        self.assertIsNone(self.now(self.registry.get("k")))
        self.assertIs(self.now(self.registry.add("k", b"2", ttl=10)), True)

    def test_lease_renewed(self):
        """Setting a key again replaces its lease; without one it stays."""
        self.now(self.registry.set("k", b"1", ttl=10))
        self.clock.advance(8)
        self.now(self.registry.set("k", b"1", ttl=10))
        self.clock.advance(8)
        self.assertEqual(self.now(self.registry.get("k")), b"1")
        self.now(self.registry.set("k", b"1"))
        self.clock.advance(100)
        self.assertEqual(self.now(self.registry.get("k")), b"1")

    def test_watch(self):
        """A watcher hears of changes, deletions and ended leases below its prefix, until it has had enough."""
        heard: list[tuple[str, bytes | None]] = []
        end = self.registry.watch("room/", lambda *change: heard.append(change))
        self.now(self.registry.set("room/a", b"1", ttl=5))
        self.now(self.registry.set("user/a", b"1"))
        self.now(self.registry.set("room/a", b"2", ttl=5))
        self.clock.advance(6)
        self.now(self.registry.set("room/b", b"3"))
        self.now(self.registry.delete("room/b"))
        expected = [("room/a", b"1"), ("room/a", b"2"), ("room/a", None), ("room/b", b"3"), ("room/b", None)]
        self.assertEqual(heard, expected)
        end()
        end()
        self.now(self.registry.set("room/c", b"4"))
        self.assertEqual(heard, expected)


class BlobsConformance:
    """IBlobs; the test case has the object as ``blobs``."""

    async def test_interface(self):
        """The backend has every method of IBlobs."""
        verifyObject(IBlobs, self.blobs)

    async def test_round_trip(self):
        """Bytes come back by their reference; equal bytes have one reference."""
        data = bytes(range(256)) * 8192
        reference = await self.blobs.put(data)
        self.assertEqual(await self.blobs.get(reference), data)
        self.assertEqual(await self.blobs.put(data), reference)
        self.assertNotEqual(await self.blobs.put(b""), reference)
        self.assertEqual(await self.blobs.get(await self.blobs.put(b"")), b"")

    async def test_delete(self):
        """A deleted blob is gone; deleting says whether it was there."""
        reference = await self.blobs.put(b"x")
        self.assertIs(await self.blobs.delete(reference), True)
        self.assertIs(await self.blobs.delete(reference), False)
        self.assertIsNone(await self.blobs.get(reference))

    async def test_made_up_references(self):
        """What is no reference leads nowhere, least of all to another file."""
        for reference in (
            "",
            "a" * 64,
            "../../../etc/passwd",
            "/etc/passwd",
            "0" * 63 + "\n",
            "0" * 64 + "\n",
        ):
            self.assertIsNone(await self.blobs.get(reference), reference)
            self.assertIs(await self.blobs.delete(reference), False, reference)
