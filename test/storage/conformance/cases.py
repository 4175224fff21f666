"""The test case that a backend derives from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import TestCase

from palaver.storage import Batch

HOST = "example.org"
MIB = 1024 * 1024


class StorageCase(TestCase):
    """Starts a storage for each test and stops it after."""

    storage: Any

    def make_storage(self) -> Any:
        """Give a storage that is empty and not started."""
        raise NotImplementedError

    def setUp(self):
        self.storage = self.make_storage()
        return self.storage.start()

    def tearDown(self):
        return self.storage.stop()

    async def put(self, key: str, *, owner: str = "romeo", kind: str = "note", **options: Any) -> None:
        value = options.pop("value", {"is": key})
        await self.storage.write(Batch().put(HOST, owner, kind, key, value, **options))

    async def keys(self, kinds: Iterable[str] = ("note",), owner: str = "romeo", **options: Any) -> list[str]:
        return [found.key for found in await self.storage.documents.list(HOST, owner, list(kinds), **options)]


if TYPE_CHECKING:
    Base = StorageCase
else:
    # Trial would run a TestCase wherever it is imported.
    Base = object
