"""Uploads that are kept in a bucket of Amazon S3, or of what speaks like it; no byte of them passes here.

Clients put and get them there, with addresses that are signed. So nobody tells whether a file has come: its
document is stored with the slot, and the bucket is asked once it is too late for more. The keys need the
permissions s3:PutObject, s3:DeleteObject, and s3:ListBucket (without which a file that is missing looks like
one that may not be seen), also s3:PutObjectAcl with ``add_acl``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from twisted.internet.defer import Deferred

from palaver.errors import StorageError
from palaver.log import Log
from palaver.push.http import HttpPool
from palaver.push.service import PushFailed
from palaver.storage import Document
from palaver.web.uploads.signing import Keys, presigned
from palaver.web.uploads.slots import Slots, Wanted
from palaver.web.uploads.stored import Uploads

log = Log("uploads")

# For a bucket far away, on a bad day; files wait for their deletion, and nobody for that.
TIMEOUT_S = 10.0
MAX_CONNECTIONS = 4
# A signature is looked at when an upload begins; this is how long it may go on.
UPLOAD_S = 900
# For what is asked here; clocks may differ by some seconds.
ASK_S = 60
PUBLIC = {"x-amz-acl": "public-read"}
DONE = (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)


class Bucket:
    """A bucket, by its URL."""

    def __init__(
        self, url: str, keys: Keys, add_acl: bool, lifetime_s: int, uploads: Uploads, slots: Slots, clock: Any
    ) -> None:
        """Signatures hold for ``lifetime_s``; with ``add_acl`` they ask for files that everybody may read."""
        self.url = _plain(url)
        # Documents name it, so that nobody deletes from another bucket once the configuration has changed.
        self.place = self.url
        self._keys = keys
        self._acl = PUBLIC if add_acl else {}
        self._lifetime_s = lifetime_s
        self._uploads = uploads
        self._slots = slots
        self._http = HttpPool(clock, MAX_CONNECTIONS, TIMEOUT_S)
        self.now: Callable[[], float] = time.time

    def start(self) -> None:
        """Do nothing: the bucket is asked when there is something to ask."""

    def stop(self) -> Deferred[Any]:
        """Give up what is under way, and close the connections."""
        return self._http.close()

    def reserved(self, owner: str) -> int:
        """Give 0: the document of a file counts from the beginning."""
        return 0

    all_reserved = 0

    async def open(self, wanted: Wanted) -> tuple[str, str]:
        """Give the addresses of a new slot, for PUT and for GET. Raises StanzaError, StorageError."""
        slot, now = self._slots.open(wanted), self.now()
        until = int(now) + self._lifetime_s + UPLOAD_S
        await self._uploads.add(slot, until, self.place)
        headers = {"content-length": str(wanted.size), **self._acl}
        if wanted.type:
            headers["content-type"] = wanted.type
        get = self._address(slot.id, wanted.filename)
        return presigned(self._keys, "PUT", get, headers, self._lifetime_s, now), get

    async def look(self) -> None:
        """Find out which files have come, of those that cannot come any more. Raises StorageError."""
        async for document in self._uploads.unseen(self.place):
            status = await self._ask("HEAD", document)
            if status == HTTPStatus.NOT_FOUND:
                await self._uploads.remove(document)
                continue
            if status == HTTPStatus.FORBIDDEN:
                log.warn("upload-not-visible", bucket=self.url, status=status)
            elif status != HTTPStatus.OK:
                raise StorageError(f"the bucket answers {status}")
            await self._uploads.seen(document.key)

    async def delete(self, document: Document) -> None:
        """Delete a file, if it is there. Raises StorageError."""
        status = await self._ask("DELETE", document)
        if status not in DONE:
            raise StorageError(f"the bucket answers {status}")

    async def _ask(self, method: str, document: Document) -> int:
        url = self._address(document.key, document.value["name"])
        signed = presigned(self._keys, method, url, {}, ASK_S, self.now())
        try:
            return await self._http.request(method.encode(), signed, {})
        except PushFailed as error:
            raise StorageError(str(error)) from None

    def _address(self, id: str, name: str) -> str:
        return f"{self.url}/{id}/{quote(name, safe='')}"


def _plain(url: str) -> str:
    """Give a URL as HTTP clients send it: percent-encoded, its host in small letters, no slash at the end."""
    parts = urlsplit(url)
    path = quote(parts.path.rstrip("/"), safe="/%~")
    return urlunsplit((parts.scheme, parts.netloc.lower(), path, "", ""))
