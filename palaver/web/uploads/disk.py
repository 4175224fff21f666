"""Uploads that are kept on this machine's disk, and given by this server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from palaver.storage import Document
from palaver.web.uploads.files import Folder
from palaver.web.uploads.slots import Slots, Wanted
from palaver.web.uploads.stored import Uploads


class Disk:
    """A folder with files, and a page that takes and gives them."""

    # Where documents say that their file is: here, when they say nothing.
    place = ""

    def __init__(
        self, folder: Path, where: Callable[[], str], uploads: Uploads, slots: Slots, clock: Any
    ) -> None:
        """``where`` gives where the page is for others, without a slash at its end."""
        self._where = where
        self._uploads = uploads
        self._slots = slots
        self._folder = Folder(folder, clock)

    @property
    def url(self) -> str:
        """Where the page is for others."""
        return self._where()

    def start(self) -> Any:
        """Make the folder, and remove what is half done; gives a Deferred, which fails with OSError."""
        return self._folder.in_thread(self._folder.open)

    def stop(self) -> None:
        """Do nothing: what is under way ends with its requests."""

    def page(self, max_bytes: int) -> Any:
        """Give the page."""
        from palaver.web.uploads.page import UploadPage

        return UploadPage(self._slots, self._uploads, self._folder, max_bytes)

    def reserved(self, owner: str) -> int:
        """Give how many bytes an account may still bring beside what is stored of it."""
        return self._slots.reserved(owner)

    @property
    def all_reserved(self) -> int:
        """How many bytes all accounts may still bring."""
        return self._slots.all_reserved

    async def open(self, wanted: Wanted) -> tuple[str, str]:
        """Give the addresses of a new slot, for PUT and for GET. Raises StanzaError."""
        slot = self._slots.open(wanted)
        get = f"{self.url}/{slot.id}/{quote(wanted.filename, safe='')}"
        return f"{get}?token={slot.token}", get

    async def look(self) -> None:
        """Settle what a crash, or a storage that failed, has left open. Raises OSError, StorageError."""
        async for document in self._uploads.unseen(self.place):
            if await self._folder.has(document.key):
                await self._uploads.seen(document.key)
            else:
                await self._uploads.remove(document)

    async def delete(self, document: Document) -> None:
        """Delete a file, if it is there. Raises OSError."""
        await self._folder.delete(document.key)
