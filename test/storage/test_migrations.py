"""Schema migrations."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from palaver.errors import StorageError
from palaver.storage.open import FILE_NAME, open_storage, upgrade
from palaver.storage.sql import migrate, schema
from palaver.storage.sql.engines import writer_engine

START = """
import sys
from sqlalchemy.exc import OperationalError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from palaver.storage.open import open_storage

async def main():
    storage = open_storage("sqlite", sys.argv[1], reactor)
    await storage.start()
    await storage.stop()
    reactor.stop()

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
print(*[name for name in ("alembic", "sqlalchemy.orm", "sqlalchemy.ext.asyncio") if name in sys.modules])
"""


def normal(sql: str | None) -> str:
    """Take away what does not matter in a statement: white space and quotes."""
    return "".join((sql or "").replace('"', "").split())


class MigrationTests(TestCase):
    """The migrations on SQLite."""

    def setUp(self):
        self.folder = self.mktemp()
        os.mkdir(self.folder)

    def connect(self, name: str = FILE_NAME) -> sqlite3.Connection:
        connection = sqlite3.connect(os.path.join(self.folder, name), isolation_level=None)
        self.addCleanup(connection.close)
        return connection

    def tables(self, name: str) -> dict[str, str]:
        rows = self.connect(name).execute("SELECT type || ' ' || name, sql FROM sqlite_master")
        return {name: normal(sql) for name, sql in rows}

    def migrated(self, name: str, work: Any) -> None:
        with writer_engine(f"sqlite:///{self.folder}/{name}").connect() as connection, connection.begin():
            work(connection)

    def test_same_schema(self):
        """All migrations give, to the letter, the schema that a new database gets."""
        self.migrated("migrated", lambda connection: migrate.upgrade_from(connection, None))
        self.migrated("made", schema.metadata.create_all)
        self.assertEqual(self.tables("migrated"), self.tables("made"))
        self.assertIn("table entries_words", self.tables("made"))

    def test_head(self):
        """A new database is marked with the newest revision, and there is one newest."""
        config = Config()
        config.set_main_option("script_location", str(migrate.SCRIPTS))
        self.assertEqual(ScriptDirectory.from_config(config).get_heads(), [schema.HEAD])

    def test_upgrade(self):
        """``palaver storage upgrade`` makes the schema once; the second time there is nothing to do."""
        self.assertIs(upgrade("sqlite", self.folder), True)
        self.assertIs(upgrade("sqlite", self.folder), False)
        self.assertEqual(self.connect().execute("SELECT * FROM alembic_version").fetchall(), [(schema.HEAD,)])

    async def test_newer_schema(self):
        """A database of a newer version is refused and not touched."""
        upgrade("sqlite", self.folder)
        self.connect().execute("UPDATE alembic_version SET version_num = '9999'")
        storage = open_storage("sqlite", self.folder, reactor)
        error = await self.assertFailure(storage.start(), StorageError)
        self.assertIn("newer", str(error))
        await storage.stop()
        self.assertEqual(self.connect().execute("SELECT * FROM alembic_version").fetchall(), [("9999",)])

    def test_failed_migration(self):
        """A migration that fails half-way leaves no table."""
        self.connect("half").execute("CREATE TABLE entries (mine)")
        with self.assertRaises(OperationalError):
            self.migrated("half", lambda connection: migrate.upgrade_from(connection, None))
        self.assertEqual(list(self.tables("half")), ["table entries"])

    def test_start_loads_little(self):
        """A start on a schema that is up to date loads neither Alembic nor SQLAlchemy's ORM."""
        upgrade("sqlite", self.folder)
        ran = subprocess.run(
            [sys.executable, "-c", START, self.folder],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((ran.stdout, ran.returncode), ("\n", 0), ran.stderr)
