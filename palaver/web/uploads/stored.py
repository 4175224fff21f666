"""What is stored of uploads: a document for each, how much there is of whom, and what is too old."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from twisted.internet.defer import DeferredLock

from palaver.storage import Batch, Document
from palaver.web.uploads.slots import Slot

KIND = "upload"
# Documents of all accounts are listed together, by when they go.
OWNER = ""
# A rank for what stays: the largest whole number that JSON readers agree about.
NEVER = 2**53 - 1
PAGE = 200


class Uploads:
    """Those of one host. Every method but `used` may raise StorageError."""

    def __init__(self, domain: str, storage: Any) -> None:
        self._domain = domain
        self._storage = storage
        self._used: Counter[str] | None = None
        self._reading = DeferredLock()

    async def used(self) -> Counter[str]:
        """Give how many bytes there are, by owner; read once."""
        await self._reading.acquire()
        try:
            if self._used is None:
                counted: Counter[str] = Counter()
                async for document in self._all():
                    counted[document.value["owner"]] += document.value["size"]
                self._used = counted
            return self._used
        finally:
            self._reading.release()

    async def _all(self) -> AsyncIterator[Document]:
        after = None
        while True:
            page = await self._storage.documents.list(self._domain, OWNER, [KIND], limit=PAGE, after=after)
            for document in page:
                yield document
            if len(page) < PAGE:
                return
            after = (page[-1].rank, page[-1].key)

    async def get(self, id: str) -> Document | None:
        """Give the document of an upload that still counts."""
        document: Document | None = await self._storage.documents.get(self._domain, OWNER, KIND, id)
        return document if document is not None and document.rank > time.time() else None

    async def add(self, slot: Slot) -> None:
        """Store that a file is there."""
        used = await self.used()
        wanted = slot.wanted
        value = {
            "owner": wanted.owner,
            "name": wanted.filename,
            "size": wanted.size,
            "type": wanted.type,
            "stored": int(time.time()),
        }
        rank = NEVER if wanted.expires_s is None else wanted.expires_s
        batch = Batch().put(
            self._domain, OWNER, KIND, slot.id, value, rank=rank, tags=(wanted.owner,), only="new"
        )
        await self._storage.write(batch)
        used[wanted.owner] += wanted.size

    async def remove(self, document: Document) -> None:
        """Forget an upload."""
        used = await self.used()
        await self._storage.write(Batch().delete(self._domain, OWNER, KIND, document.key))
        owner = document.value["owner"]
        used[owner] -= document.value["size"]
        if used[owner] <= 0:
            del used[owner]

    async def expired(self) -> list[Document]:
        """Give some of the uploads whose time is over."""
        page = await self._storage.documents.list(self._domain, OWNER, [KIND], limit=PAGE)
        now = time.time()
        return [document for document in page if document.rank <= now]

    async def of(self, owner: str) -> list[Document]:
        """Give some of an account's uploads."""
        found: list[Document] = await self._storage.documents.find(self._domain, KIND, owner, limit=PAGE)
        return found
