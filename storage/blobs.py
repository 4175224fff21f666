"""Large values by reference. The reference is the SHA-256 of the content, in hexadecimal.

Equal contents are one blob: who deletes it must know that nobody else refers to it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver.errors import StorageError
from palaver.interfaces import IBlobs

REFERENCE = re.compile(r"[0-9a-f]{64}\Z")
# 256 folders of 256: a million blobs are 15 files a folder.
LEVEL_CHARS = 2
FOLDER_MODE = 0o700

T = TypeVar("T")


@implementer(IBlobs)
class MemoryBlobs:
    """Blobs in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, data: bytes) -> Deferred[str]:
        """See `IBlobs`."""
        reference = sha256(data).hexdigest()
        self._blobs[reference] = bytes(data)
        return succeed(reference)

    def get(self, reference: str) -> Deferred[bytes | None]:
        """See `IBlobs`."""
        return succeed(self._blobs.get(reference))

    def delete(self, reference: str) -> Deferred[bool]:
        """See `IBlobs`."""
        return succeed(self._blobs.pop(reference, None) is not None)


@implementer(IBlobs)
class DiskBlobs:
    """Blobs as files: ``FOLDER/ab/cd/abcd…``. A file is there whole or not at all, also after a crash."""

    def __init__(self, folder: str | os.PathLike[str], reactor: Any) -> None:
        """Files are read and written in the threads of ``reactor``."""
        self._folder = Path(folder)
        self._reactor = reactor

    def put(self, data: bytes) -> Deferred[str]:
        """See `IBlobs`; fires when the file is on the disk."""

        def put() -> str:
            reference = sha256(data).hexdigest()
            path = self._path(reference)
            if not path.exists():
                path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
                _write(path, data)
            return reference

        return self._in_thread(put)

    def get(self, reference: str) -> Deferred[bytes | None]:
        """See `IBlobs`; what is no reference has no blob."""
        if not REFERENCE.match(reference):
            return succeed(None)

        def get() -> bytes | None:
            try:
                return self._path(reference).read_bytes()
            except FileNotFoundError:
                return None

        return self._in_thread(get)

    def delete(self, reference: str) -> Deferred[bool]:
        """See `IBlobs`; what is no reference has no blob."""
        if not REFERENCE.match(reference):
            return succeed(False)

        def delete() -> bool:
            try:
                self._path(reference).unlink()
            except FileNotFoundError:
                return False
            return True

        return self._in_thread(delete)

    def _path(self, reference: str) -> Path:
        first, second = reference[:LEVEL_CHARS], reference[LEVEL_CHARS : 2 * LEVEL_CHARS]
        return self._folder / first / second / reference

    def _in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        done: Deferred[T] = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)
        return done.addErrback(_storage_failure)


def _write(path: Path, data: bytes) -> None:
    """Write beside the place, to the disk, then move there: nobody sees half a file."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise
    # The name, and those of new folders, must be on the disk as well.
    for folder in (path.parent, *path.parents[1:3]):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _storage_failure(failure: Failure) -> Any:
    failure.trap(OSError)
    raise StorageError(str(failure.value)) from failure.value
