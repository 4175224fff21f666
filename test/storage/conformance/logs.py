"""What every ILogs does."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import gatherResults
from zope.interface.verify import verifyObject

from palaver.interfaces import ILogs
from palaver.storage import Batch, Conflict, Entry, LogQuery
from palaver.test.storage.conformance.cases import HOST, MIB, Base


class LogsConformance(Base):
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
        """After and before are exclusive, since and until inclusive, and all of them hold together."""
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
            bound: dict[str, Any] = {}
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
        """A page that takes exactly what is left is complete; an empty one says whether there are more."""
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
        await self.append(4, text="daisy")
        for gone in ("rose", "thorn"):
            self.assertEqual(await self.ids(text=gone), [], gone)
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
        """An entry with the ref of one shortly before it is not stored again; in another log it is."""
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
        """A ref counts within a batch and among batches handed over together, and not without a window."""
        await self.append(1, 2, ref="id1", window=50)
        await self.append(3, 4, ref="id2")
        self.assertEqual(await self.ids(), [1, 3, 4])
        asked = ((5, 0), (6, 9), (99, 9))
        batches = [Batch().append(self.entry(id, ref="id3"), window) for id, window in asked]
        await gatherResults([self.storage.write(batch) for batch in batches])
        self.assertEqual(await self.ids(after=4), [5, 99])

    async def test_what_follows_a_repeat(self):
        """What follows an entry is stored with it, and is left out when that was there already."""

        def batch(id: int, ref: str) -> Batch:
            follower = self.entry(id, kind="unread")
            found = Batch().append(self.entry(id, ref=ref), 50).put(HOST, "romeo", "note", "", {})
            return found.append(follower, follows=True).append(self.entry(id, kind="plain"))

        batches = [batch(100, "id1"), batch(120, "id1"), batch(130, "id2")]
        await gatherResults([self.storage.write(one) for one in batches])
        self.assertEqual(await self.storage.write(batch(140, "id2")), {140: 130})
        self.assertEqual(await self.ids(kind="unread"), [100, 130])
        self.assertEqual(await self.ids(kind="plain"), [100, 120, 130, 140])

    async def test_what_a_repeat_is_told(self):
        """Whoever writes an entry that is there learns the id that it has; nobody else learns anything."""
        first = Batch().append(self.entry(100, ref="id1"), 50)
        again = Batch().append(self.entry(120, ref="id1"), 50).append(self.entry(121, ref="id2"), 50)
        other = Batch().append(self.entry(120, ref="id1", owner="juliet"), 50)
        told = await gatherResults([self.storage.write(batch) for batch in (first, again, other)])
        self.assertEqual(told, [None, {120: 100}, None])
        later = Batch().append(self.entry(140, ref="id1"), 50).put(HOST, "romeo", "note", "", {})
        self.assertEqual(await self.storage.write(later), {140: 100})

    async def test_a_repeat_beside_a_conflict(self):
        """A repeat is told the same when another batch of its group fails."""
        await self.append(1, ref="id1")
        taken = self.storage.write(Batch().append(self.entry(1)))
        again = self.storage.write(Batch().append(self.entry(9, ref="id1"), 50))
        await self.assertFailure(taken, Conflict)
        self.assertEqual(await again, {9: 1})

    async def test_many_refs(self):
        """More refs than one statement could ask for are all compared."""
        ids = iter(range(1, 801))
        for _ in range(2):
            batch = Batch()
            for n in range(1, 401):
                batch.append(self.entry(next(ids), ref=f"r{n}"), 10_000)
            await self.storage.write(batch)
        self.assertEqual(len(await self.ids()), 400)

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
