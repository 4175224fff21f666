"""SQLite storage: the conformance suite, and what only a file can do."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from typing import Any, cast

from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from palaver import metrics
from palaver.errors import StorageError
from palaver.storage import Batch, Conflict, Entry, LogQuery
from palaver.storage.sql import lane
from palaver.test.storage.conformance import (
    HOST,
    DocumentsConformance,
    LogsConformance,
    WritesConformance,
)
from palaver.test.storage.sqlite import SqliteCase

# More than a thread that has nothing left to do takes to end.
JOIN_S = 10


def limit_pages(connection: Connection, pages: int) -> None:
    """Let the database file grow to so many pages only, as on a full disk."""
    connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    connection.rollback()


def set_timeout(connection: Connection, ms: int) -> None:
    connection.exec_driver_sql(f"PRAGMA busy_timeout={ms}")
    connection.rollback()


def disk_error() -> OperationalError:
    return OperationalError(None, None, sqlite3.OperationalError("disk I/O error"))


class SqliteDocumentsTests(DocumentsConformance, SqliteCase):
    """Documents in SQLite."""

    async def test_login_is_one_query(self):
        """Everything that a login reads comes in one statement."""
        await self.storage.write(
            Batch().put(HOST, "romeo", "account", "", {}).put(HOST, "romeo", "roster", "a", {})
        )
        statements: list[str] = []
        event.listen(
            self.storage.reading, "before_cursor_execute", lambda *details: statements.append(details[2])
        )
        self.assertEqual(await self.keys(["account", "roster", "block", "privacy", "push"]), ["", "a"])
        self.assertEqual(len(statements), 1, statements)


class SqliteLogsTests(LogsConformance, SqliteCase):
    """Logs in SQLite."""

    async def test_pages_and_refs_are_looked_up(self):
        """Pages, peers, refs and deletions use an index, so that a long log costs what a short one does."""
        statements: list[tuple[str, Any]] = []
        for engine in (self.storage.engine, self.storage.reading):
            event.listen(engine, "before_cursor_execute", lambda *details: statements.append(details[2:4]))
        batch = Batch()
        for id in range(9):
            batch.append(self.entry(id, ref=f"r{id}", peer="p"), window=5)
        await self.storage.write(batch)
        await self.ids(after=1, limit=10)
        await self.ids(before=9, limit=10, backwards=True, peer="p")
        await self.storage.logs.get(HOST, "romeo", "archive", [1])
        await self.storage.write(Batch().drop(HOST, "romeo", "archive", ids=[1]).drop(HOST, "romeo", until=9))
        aside = self.aside()
        for statement, parameters in statements:
            if statement.startswith(("BEGIN", "SAVEPOINT", "RELEASE")):
                continue
            row = parameters[0] if isinstance(parameters, list) else parameters
            plan = [detail for *_, detail in aside.execute(f"EXPLAIN QUERY PLAN {statement}", row)]
            for step in plan:
                self.assertNotRegex(step, r"SCAN (?!\d* ?CONSTANT ROW)|TEMP B-TREE", statement)


class SqliteWritesTests(WritesConformance, SqliteCase):
    """Batches in SQLite."""

    async def test_reopened(self):
        """Everything is there after a restart."""
        await self.put("k", value={"n": 1}, rank=3, tags=("t",))
        entry = Entry(HOST, "romeo", "archive", 5, b"\x00", "p", "r", "words")
        await self.storage.write(Batch().append(entry))
        await self.reopen()
        (found,) = await self.storage.documents.find(HOST, "note", "t")
        self.assertEqual((found.value, found.rank), ({"n": 1}, 3))
        page = await self.storage.logs.range(HOST, "romeo", "archive", LogQuery(text="words", peer="p"))
        self.assertEqual(page.entries, [entry])

    async def test_waiting_writes_share_a_transaction(self):
        """Writes that are handed over during a commit are the next transaction, all of them."""
        commits = self.count_commits()
        await gatherResults([Deferred.fromCoroutine(self.put(f"k{n}")) for n in range(200)])
        self.assertEqual(len(commits), 2)
        self.assertEqual(await self.storage.documents.count(HOST, "romeo", "note"), 200)

    async def test_group_is_bounded(self):
        """More writes than a transaction may carry become several."""
        self.patch(lane, "MAX_GROUP", 50)
        commits = self.count_commits()
        await gatherResults([Deferred.fromCoroutine(self.put(f"k{n}")) for n in range(201)])
        self.assertEqual(len(commits), 5)

    async def test_queue_is_bounded(self):
        """When more waits than a working database ever leaves undone, what comes fails at once."""
        self.patch(lane, "MAX_WAITING", 3)
        taken = [self.storage.write(Batch()) for _ in range(4)]
        await self.assertFailure(self.storage.write(Batch()), StorageError)
        await gatherResults(taken)
        await self.storage.write(Batch())

    async def test_queue_is_watched(self):
        """How much waits is told while the storage is open, and by nobody afterwards."""
        name = "palaver_storage_waiting"
        self.assertEqual(metrics.snapshot()[name], 0)
        taken = [self.storage.write(Batch()) for _ in range(4)]
        # The first one is under way.
        self.assertEqual(metrics.snapshot()[name], 3)
        await gatherResults(taken)
        await self.storage.stop()
        self.assertEqual(metrics.snapshot()[name], 0)
        await self.reopen()

    async def test_stop_commits(self):
        """What was handed over before the stop is committed, and its Deferreds fire."""
        writes = [Deferred.fromCoroutine(self.put(f"k{n}")) for n in range(100)]
        stopped = self.storage.stop()
        await gatherResults(writes)
        await stopped
        await self.reopen()
        self.assertEqual(await self.storage.documents.count(HOST, "romeo", "note"), 100)

    async def test_full_disk(self):
        """With a full disk writes fail and leave nothing; when there is room again they succeed."""
        await self.put("before")
        before = metrics.storage_failures["write"]
        await self.storage.writer.run(lambda connection: limit_pages(connection, 30))
        big = (
            Batch()
            .put(HOST, "romeo", "note", "small", {})
            .put(HOST, "romeo", "note", "big", {"x": "x" * 500_000})
        )
        await self.assertFailure(self.storage.write(big), StorageError)
        self.assertEqual(metrics.storage_failures["write"], before + 1)
        self.assertEqual(await self.keys(), ["before"])
        await self.storage.writer.run(lambda connection: limit_pages(connection, 100_000))
        await self.storage.write(big)
        self.assertEqual(await self.keys(), ["before", "big", "small"])

    async def test_failed_commit(self):
        """When the commit itself fails every batch of the transaction fails, and nothing is written."""
        await self.put("before")

        def fail(connection: object) -> None:
            raise disk_error()

        event.listen(self.storage.engine, "commit", fail)
        for write in [Deferred.fromCoroutine(self.put(f"k{n}")) for n in range(5)]:
            await self.assertFailure(write, StorageError)
        event.remove(self.storage.engine, "commit", fail)
        await self.put("after")
        self.assertEqual(await self.keys(), ["after", "before"])

    async def test_locked_database(self):
        """While another program holds the database writes fail and reads go on; then writes go on too."""
        await self.put("before")
        await self.storage.writer.run(lambda connection: set_timeout(connection, 1))
        aside = self.aside()
        aside.execute("BEGIN IMMEDIATE")
        await self.assertFailure(
            self.storage.write(Batch().put(HOST, "romeo", "note", "k", {})), StorageError
        )
        self.assertEqual(await self.keys(), ["before"])
        aside.execute("ROLLBACK")
        await self.put("k")
        self.assertEqual(await self.keys(), ["before", "k"])

    async def test_no_secrets_in_errors(self):
        """An error says what the database said, not what should have been written."""
        await self.storage.writer.run(lambda connection: limit_pages(connection, 30))
        write = self.storage.write(Batch().put(HOST, "romeo", "note", "k", {"x": "hush" * 200_000}))
        with self.assertRaises(StorageError) as caught:
            await write
        self.assertNotIn("hush", str(caught.exception))

    async def test_values_that_no_column_takes(self):
        """A batch with a number or a name that the database cannot hold fails; its neighbours are written."""
        good = [Deferred.fromCoroutine(self.put(key)) for key in "ab"]
        batches = [
            Batch().put(HOST, "romeo", "note", "x", {}).put(HOST, "romeo", "note", "c", {}, rank=2**70),
            Batch().put(HOST, "romeo", "note", "\ud800", {}),
            Batch().append(Entry(HOST, "romeo", "archive", 1, cast(bytes, object()))),
        ]
        bad = [self.storage.write(batch) for batch in batches]
        await gatherResults(good)
        for write in bad:
            await self.assertFailure(write, StorageError, ValueError, OverflowError, TypeError)
        await self.assertFailure(
            self.storage.documents.get(HOST, "romeo", "note", "\ud800"), StorageError, ValueError
        )
        self.assertEqual(await self.keys(), ["a", "b"])

    async def test_cancelled_write(self):
        """Who stops waiting for a write does not stop it, nor those behind it."""
        write = self.storage.write(Batch().put(HOST, "romeo", "note", "a", {}))
        write.addErrback(lambda failure: None).cancel()
        await self.put("b")
        self.assertEqual(await self.keys(), ["a", "b"])

    async def test_conflict_among_many_is_one_more_transaction(self):
        """A conflict costs its group one transaction that is taken back, not one for each batch."""
        await self.put("taken")
        commits = self.count_commits()
        writes = [self.storage.write(Batch().put(HOST, "romeo", "note", f"k{n}", {})) for n in range(50)]
        refused = self.storage.write(Batch().put(HOST, "romeo", "note", "taken", {}, only="new"))
        await self.assertFailure(refused, Conflict)
        await gatherResults(writes)
        self.assertEqual(len(commits), 2)

    async def test_file_modes(self):
        """Nobody else can read the database or its journal."""
        await self.put("k")
        names = os.listdir(self.folder)
        self.assertIn("palaver.sqlite-wal", names)
        for name in names:
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.folder, name)).st_mode), 0o600, name)

    async def test_threads_end(self):
        """When the storage has stopped none of its threads is left."""
        before = set(threading.enumerate())
        storage = self.opened()
        await storage.start()
        threads = set(threading.enumerate()) - before
        self.assertGreaterEqual(len(threads), 3)
        await storage.stop()
        for thread in threads:
            await deferToThread(thread.join, JOIN_S)
            self.assertFalse(thread.is_alive(), thread)

    async def test_settings(self):
        """The journal is a write-ahead log, and a commit waits for the disk."""

        def settings(connection):
            return [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous")
            ]

        self.assertEqual(await self.storage.writer.run(settings), ["wal", 2])
