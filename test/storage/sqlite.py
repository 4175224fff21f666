"""SQLite storage for tests: each in a folder of its own, with ways to count, to fail and to look inside."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from sqlalchemy import event
from twisted.internet import reactor

from palaver.storage.open import FILE_NAME, open_storage
from palaver.storage.sql.storage import SqlStorage
from palaver.test.storage.conformance import StorageCase


class SqliteCase(StorageCase):
    """Starts a storage on a new file for each test."""

    storage: SqlStorage

    def make_storage(self) -> SqlStorage:
        self.folder = self.mktemp()
        self.path = os.path.join(self.folder, FILE_NAME)
        return self.opened()

    def opened(self) -> SqlStorage:
        """Give another storage on the same file, not started."""
        storage = open_storage("sqlite", self.folder, reactor)
        assert isinstance(storage, SqlStorage)
        return storage

    async def reopen(self) -> None:
        """Stop the storage and start another one on its file."""
        await self.storage.stop()
        self.storage = self.opened()
        await self.storage.start()

    def count_commits(self) -> list[Any]:
        """Give a list that grows by one with each transaction."""
        commits: list[Any] = []
        event.listen(self.storage.engine, "commit", commits.append)
        return commits

    def aside(self) -> sqlite3.Connection:
        """Give a connection of another program's to the same file, closed after the test."""
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=0)
        self.addCleanup(connection.close)
        return connection
