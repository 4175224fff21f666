"""Which storage a config gets."""

from __future__ import annotations

import os
import stat

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from palaver.errors import StorageError
from palaver.mistakes import ConfigError
from palaver.storage import Batch
from palaver.storage.memory import MemoryStorage
from palaver.storage.open import open_storage, upgrade
from palaver.test.storage.conformance import HOST


class OpenTests(TestCase):
    """open_storage."""

    def setUp(self):
        self.folder = self.mktemp()

    def test_memory(self):
        """``memory`` is kept nowhere."""
        self.assertIsInstance(open_storage("memory", self.folder, reactor), MemoryStorage)
        self.assertFalse(os.path.exists(self.folder))
        self.assertIs(upgrade("memory", self.folder), False)

    async def test_default_file(self):
        """``sqlite`` is a file in data_dir, which is made and kept from others."""
        storage = open_storage("sqlite", self.folder, reactor)
        await storage.start()
        await storage.write(Batch().put(HOST, "romeo", "note", "", {}))
        await storage.stop()
        self.assertEqual(os.listdir(self.folder), ["palaver.sqlite"])
        self.assertEqual(stat.S_IMODE(os.stat(self.folder).st_mode), 0o700)

    async def test_named_file(self):
        """``sqlite:///path`` is that file, its name as it is written."""
        os.mkdir(self.folder)
        path = os.path.join(os.path.abspath(self.folder), "my data.db")
        storage = open_storage(f"sqlite:///{path}", "unused", reactor)
        await storage.start()
        await storage.stop()
        self.assertTrue(os.path.exists(path))

    def test_unknown(self):
        """A URL of no backend is refused with what there is."""
        for url in (
            "oracle://h/db",
            "postgresql://h/db",
            "sqlite://",
            "sqlite:///",
            "",
            "sqlite:x",
            "nonsense",
        ):
            error = self.assertRaises(ConfigError, open_storage, url, self.folder, reactor)
            self.assertIn("sqlite, sqlite:///path, memory", str(error), url)

    def test_no_folder(self):
        """A folder that cannot be made is named."""
        with open(self.folder, "w"):
            error = self.assertRaises(ConfigError, open_storage, "sqlite", f"{self.folder}/data", reactor)
        self.assertIn(self.folder, str(error))

    async def test_not_a_database(self):
        """A file that is no database stops the start and is left as it was."""
        os.mkdir(self.folder)
        path = os.path.join(self.folder, "palaver.sqlite")
        with open(path, "w") as file:
            file.write("Dear diary, " * 1000)
        storage = open_storage("sqlite", self.folder, reactor)
        await self.assertFailure(storage.start(), StorageError)
        await storage.stop()
        self.assertRaises(StorageError, upgrade, "sqlite", self.folder)
        with open(path) as file:
            self.assertEqual(file.read(), "Dear diary, " * 1000)

    async def test_write_before_start(self):
        """What comes before the start fails."""
        storage = open_storage("sqlite", self.folder, reactor)
        await self.assertFailure(storage.write(Batch()), StorageError)
        await self.assertFailure(storage.documents.get(HOST, "romeo", "note"), StorageError)
