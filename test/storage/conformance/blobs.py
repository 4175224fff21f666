"""What every IBlobs does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from palaver.interfaces import IBlobs

if TYPE_CHECKING:
    _Base = TestCase
else:
    _Base = object


class BlobsConformance(_Base):
    """IBlobs; the test case has the object as ``blobs``."""

    blobs: Any

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
