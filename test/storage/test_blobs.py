"""Blobs in memory and on the disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from palaver.errors import StorageError
from palaver.storage.blobs import DiskBlobs, MemoryBlobs
from palaver.test.storage.conformance import BlobsConformance


class MemoryBlobsTests(BlobsConformance, TestCase):
    """Blobs in memory."""

    def setUp(self):
        self.blobs = MemoryBlobs()


class DiskBlobsTests(BlobsConformance, TestCase):
    """Blobs as files."""

    def setUp(self):
        self.folder = Path(self.mktemp())
        self.blobs = DiskBlobs(self.folder, reactor)

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    async def test_place(self):
        """A blob is one file, two folders deep, that nobody else can read; nothing else is left there."""
        reference = await self.blobs.put(b"x")
        (path,) = self.files()
        self.assertEqual(path, self.folder / reference[:2] / reference[2:4] / reference)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)

    async def test_reopened(self):
        """A blob is there for the next process."""
        reference = await self.blobs.put(b"x")
        self.assertEqual(await DiskBlobs(self.folder, reactor).get(reference), b"x")

    async def test_failed_write(self):
        """When the disk fails nothing is left, and the next attempt succeeds."""

        def fail(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        patched = self.patch(os, "fsync", fail)
        await self.assertFailure(self.blobs.put(b"x"), StorageError)
        self.assertEqual(self.files(), [])
        patched.restore()
        self.assertEqual(await self.blobs.get(await self.blobs.put(b"x")), b"x")

    async def test_unreadable(self):
        """What is there but cannot be read is an error, not an absent blob."""
        reference = await self.blobs.put(b"x")
        (path,) = self.files()
        path.unlink()
        path.mkdir()
        await self.assertFailure(self.blobs.get(reference), StorageError)
