"""Files on their way to a client: ranges (RFC 9110 section 14), and a producer that reads in threads."""

from __future__ import annotations

import re
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver.log import Log
from palaver.web.uploads.files import Folder

log = Log("uploads")

# Read at once: less costs more changes of thread, more is memory for each slow reader.
CHUNK_BYTES = 512 * 1024
# No file has more digits.
_match_range = re.compile(r"bytes=(\d{0,15})-(\d{0,15})").fullmatch


class Unsatisfiable(Exception):
    """A range has nothing of the file."""


def span(header: str | None, size: int) -> tuple[int, int] | None:
    """Give the first and the last place that are asked for; None for the whole file.

    Several ranges, and what is no range, are answered with the whole, as section 14.2 allows. Raises
    `Unsatisfiable`.
    """
    found = _match_range(header.strip()) if header is not None else None
    if found is None or found[0] == "bytes=-":
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        if not length:
            raise Unsatisfiable
        return size - length, size - 1
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return first, last


@implementer(IPushProducer)
class FileProducer:
    """Writes a part of a file to a request, as fast as its client reads."""

    def __init__(self, folder: Folder, file: BinaryIO, request: Any, first: int, length: int) -> None:
        self.done: Deferred[None] = Deferred()
        self._folder = folder
        self._file = file
        self._request = request
        self._place = first
        self._left = length
        self._is_paused = False
        self._is_stopped = False
        self._is_reading = False
        self._ready = b""

    def start(self) -> None:
        """Begin."""
        if self._left > CHUNK_BYTES:
            self._request.registerProducer(self, True)
        self._read()

    def pauseProducing(self) -> None:
        """See IPushProducer. What comes next is read all the same, to be at hand."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._is_paused = False
        if not self._is_reading:
            self._write()

    def stopProducing(self) -> None:
        """See IPushProducer; the client is gone."""
        self._is_stopped = True
        if not self._is_reading:
            self._end()

    def _read(self) -> None:
        self._is_reading = True
        length = min(self._left, CHUNK_BYTES)
        reading = self._folder.in_thread(self._read_at, self._place, length)
        reading.addCallbacks(self._came, self._failed)

    def _read_at(self, place: int, length: int) -> bytes:
        self._file.seek(place)
        return self._file.read(length)

    def _came(self, data: bytes) -> None:
        self._is_reading = False
        self._ready = data
        if self._is_stopped:
            self._end()
        elif not data:
            self._cut_off()
        elif not self._is_paused:
            self._write()

    def _write(self) -> None:
        """Write what was read, and read on."""
        data, self._ready = self._ready, b""
        self._place += len(data)
        self._left -= len(data)
        if self._left:
            # Before the write, which may pause us at once.
            self._read()
        if data:
            self._request.write(data)
        if not self._left:
            self._end()

    def _failed(self, failure: Failure) -> None:
        self._is_reading = False
        log.failure("upload-not-read", failure)
        self._cut_off()

    def _cut_off(self) -> None:
        """End the connection: the head has promised more than there is."""
        if not self._is_stopped and self._request.channel is not None:
            self._request.channel.forceAbortClient()
        self._end()

    def _end(self) -> None:
        if self.done.called:
            return
        self._file.close()
        if self._request.producer is self:
            self._request.unregisterProducer()
        self.done.callback(None)
