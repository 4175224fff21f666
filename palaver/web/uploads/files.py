"""Uploaded files on the disk: written and read in pieces, in threads, whatever their size.

`palaver.storage.blobs` holds values whole in memory; what is here does not.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool

from palaver.log import Log

log = Log("uploads")

FOLDER_MODE = 0o700
# 256 folders of 256, by the first letters of the names.
LEVEL_CHARS = 2
INCOMING = "incoming"

# What is written to a file at once: less costs more changes of thread.
PIECE_BYTES = 256 * 1024
# What may wait in memory for the disk before its sender is held up.
MAX_WAITING_BYTES = 1024 * 1024

T = TypeVar("T")


class Folder:
    """Where files are: ``FOLDER/ab/cd/abcd…``, and ``FOLDER/incoming`` for what is not all there yet."""

    def __init__(self, folder: Path, reactor: Any) -> None:
        """Files are read and written in the threads of ``reactor``."""
        self._folder = folder
        self._reactor = reactor

    def open(self) -> None:
        """Make the folder, and remove what an earlier process left half done. Raises OSError."""
        incoming = self._folder / INCOMING
        incoming.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        for left in incoming.iterdir():
            left.unlink(missing_ok=True)

    def in_thread(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """Do something where waiting for a disk holds up nobody."""
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work, *arguments)

    def incoming(self, transport: Any) -> Incoming:
        """Give a file for what comes over a transport, which is paused while the disk is behind."""
        return Incoming(self, transport)

    def create(self) -> tuple[BinaryIO, str]:
        """Open a new temporary file; gives it and its path. Raises OSError."""
        handle, path = tempfile.mkstemp(dir=self._folder / INCOMING)
        return open(handle, "wb"), path

    def move(self, path: str, id: str) -> None:
        """Put a temporary file into its place. Raises OSError."""
        place = self._path(id)
        place.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        os.replace(path, place)
        descriptor = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, id: str) -> Deferred[BinaryIO | None]:
        """Open a file; fires with None when there is none, fails with OSError."""

        def read() -> BinaryIO | None:
            try:
                return open(self._path(id), "rb", buffering=0)
            except FileNotFoundError:
                return None

        return self.in_thread(read)

    def has(self, id: str) -> Deferred[bool]:
        """Tell whether a file is there."""
        return self.in_thread(self._path(id).exists)

    def delete(self, id: str) -> Deferred[None]:
        """Delete a file, if it is there; fails with OSError."""
        return self.in_thread(lambda: self._path(id).unlink(missing_ok=True))

    def _path(self, id: str) -> Path:
        return self._folder / id[:LEVEL_CHARS] / id[LEVEL_CHARS : 2 * LEVEL_CHARS] / id


class Incoming:
    """The body of one request on its way to the disk; a file as twisted.web wants one."""

    def __init__(self, folder: Folder, transport: Any) -> None:
        self.size = 0
        self.abandoned: Callable[[], None] | None = None
        self._folder = folder
        self._transport = transport
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._paused = False
        self._file: BinaryIO | None = None
        self._path = ""
        self._error: OSError | None = None
        self._is_over = False
        # Pieces are written in their order, one at a time.
        self._turns = DeferredLock()

    # -- what twisted.web calls -----------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Take a piece."""
        self.size += len(data)
        if self._error is not None or self._is_over:
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= PIECE_BYTES and not self._turns.locked:
            self._flush()
        if self._waiting_bytes >= MAX_WAITING_BYTES and not self._paused:
            self._paused = True
            self._transport.pauseProducing()

    def seek(self, *_: int) -> None:
        """Do nothing: nobody reads it from here."""

    def tell(self) -> int:
        """Give how much has come."""
        return self.size

    def close(self) -> None:
        """Remove what is there; the request is over. Does nothing once `finish` is done."""
        if not self._is_over:
            self.discard()

    # -- for whoever takes it --------------------------------------------------------------

    async def finish(self) -> None:
        """Have all of it on the disk; `keep` or `discard` it then. Raises OSError, and nothing is left."""
        await self._turns.run(self._folder.in_thread, self._write, self._taken(), True)
        if self._is_over:
            raise OSError(errno.ECANCELED, "its sender has gone")
        if self._error is not None:
            raise self._error
        self._is_over = True

    async def keep(self, id: str) -> None:
        """Move it to its place. Raises OSError."""
        await self._folder.in_thread(self._folder.move, self._path, id)

    def discard(self) -> None:
        """Remove what is there."""
        self._is_over = True
        self._waiting.clear()
        if self.abandoned is not None:
            self.abandoned()
        removing = self._turns.run(self._folder.in_thread, self._remove)
        removing.addErrback(lambda failure: log.failure("upload-not-removed", failure))

    def _flush(self) -> None:
        writing = self._turns.run(self._folder.in_thread, self._write, self._taken(), False)
        writing.addCallbacks(self._written, lambda failure: log.failure("upload-not-written", failure))

    def _written(self, _: object) -> None:
        if self._waiting_bytes >= PIECE_BYTES and not self._is_over:
            self._flush()
        if self._paused and self._waiting_bytes < MAX_WAITING_BYTES:
            self._paused = False
            self._transport.resumeProducing()

    def _taken(self) -> bytes:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        return data

    # -- in threads ------------------------------------------------------------------------

    def _write(self, data: bytes, is_last: bool) -> None:
        if self._error is not None:
            return
        try:
            if self._file is None:
                self._file, self._path = self._folder.create()
            self._file.write(data)
            if is_last:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
        except OSError as error:
            self._error = error

    def _remove(self) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                # What it still held does not fit; it goes in any case.
                pass
            Path(self._path).unlink(missing_ok=True)
