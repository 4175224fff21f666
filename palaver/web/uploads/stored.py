"""What is stored of uploads: a document for each, how much there is of whom, and what is too old."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.defer import DeferredLock

from palaver.storage import Batch, Conflict, Document
from palaver.web.uploads.slots import Slot

KIND = "upload"
# The tag of those that nobody has seen yet; no account is called so.
UNSEEN = "/unseen"
# Documents of all accounts are listed together, by when they go.
OWNER = ""
# A rank for what stays: the largest whole number that JSON readers agree about.
NEVER = 2**53 - 1
PAGE = 200


class Uploads:
    """Those of one host. Every method may raise StorageError."""

    def __init__(self, domain: str, storage: Any) -> None:
        self._domain = domain
        self._storage = storage
        self._used: Counter[str] | None = None
        self._reading = DeferredLock()
        self._changing = DeferredLock()

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
        if document is None or document.rank <= time.time() or document.value.get("gone"):
            return None
        return document

    async def add(self, slot: Slot, until_s: int, place: str = "") -> None:
        """Store that a file may come to a place until then (seconds since 1970); later it is `unseen`."""
        used = await self.used()
        wanted = slot.wanted
        value = {
            "owner": wanted.owner,
            "name": wanted.filename,
            "size": wanted.size,
            "type": wanted.type,
            "stored": int(time.time()),
            "place": place,
            "until_s": until_s,
        }
        rank = NEVER if wanted.expires_s is None else wanted.expires_s
        batch = Batch().put(
            self._domain, OWNER, KIND, slot.id, value, rank=rank, tags=(wanted.owner, UNSEEN), only="new"
        )
        # At once, so that what is asked for meanwhile is held against it too.
        used[wanted.owner] += wanted.size
        await self._write(batch)

    async def cancel(self, slot: Slot) -> None:
        """Forget what `add` has stored: the file will not come."""
        used = await self.used()
        await self._write(Batch().delete(self._domain, OWNER, KIND, slot.id))
        self._free(used, slot.wanted.owner, slot.wanted.size)

    async def _write(self, batch: Batch) -> None:
        try:
            await self._storage.write(batch)
        except BaseException:
            # What is stored now is not known; it is counted again.
            self._used = None
            raise

    async def doom(self, documents: Sequence[Document]) -> None:
        """Note that uploads are to be deleted: nobody gets them any more, and they are `expired`."""
        try:
            await self._doom(documents)
        except Conflict:
            # Some have gone meanwhile.
            for document in documents:
                with suppress(Conflict):
                    await self._doom([document])

    async def _doom(self, documents: Sequence[Document]) -> None:
        now, batch = int(time.time()), Batch()
        for document in documents:
            value = {**document.value, "gone": True}
            batch.put(self._domain, OWNER, KIND, document.key, value, rank=now, only="old")
        await self._changing.run(self._storage.write, batch)

    async def remove(self, document: Document) -> None:
        """Forget an upload that is deleted; where it may still come, only once it was deleted after that."""
        until_s = document.value.get("until_s", 0)
        if until_s > time.time():
            value = {**document.value, "gone": True}
            await self._storage.write(
                Batch().put(self._domain, OWNER, KIND, document.key, value, rank=until_s)
            )
            return
        used = await self.used()
        await self._write(Batch().delete(self._domain, OWNER, KIND, document.key))
        self._free(used, document.value["owner"], document.value["size"])

    @staticmethod
    def _free(used: Counter[str], owner: str, size: int) -> None:
        used[owner] -= size
        if used[owner] <= 0:
            del used[owner]

    async def expired(self) -> list[Document]:
        """Give some of the uploads whose time is over, the longest over first."""
        page = await self._storage.documents.list(self._domain, OWNER, [KIND], limit=PAGE)
        now = time.time()
        return [document for document in page if document.rank <= now]

    async def unseen(self, place: str) -> AsyncIterator[Document]:
        """Give those that should have come to a place by now, and that nobody has seen there."""
        after = None
        while True:
            page = await self._storage.documents.find(self._domain, KIND, UNSEEN, limit=PAGE, after=after)
            for document in page:
                if document.value["place"] == place and document.value["until_s"] <= time.time():
                    yield document
            if len(page) < PAGE:
                return
            after = (page[-1].owner, page[-1].key)

    async def seen(self, id: str) -> bool:
        """Note that a file has come; gives False when it counts no longer."""
        await self._changing.acquire()
        try:
            document = await self.get(id)
            if document is None:
                return False
            value = {name: each for name, each in document.value.items() if name != "until_s"}
            tags = (value["owner"],)
            await self._storage.write(
                Batch().put(self._domain, OWNER, KIND, id, value, rank=document.rank, tags=tags, only="old")
            )
            return True
        finally:
            self._changing.release()

    async def of(self, owner: str) -> list[Document]:
        """Give some of an account's uploads."""
        found: list[Document] = await self._storage.documents.find(self._domain, KIND, owner, limit=PAGE)
        return found
