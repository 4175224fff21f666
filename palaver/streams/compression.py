"""Compression of a stream by zlib (XEP-0138), between its socket and its parser."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from palaver.errors import StreamError
from palaver.markup import element

NS_COMPRESS = "http://jabber.org/protocol/compress"

# What is unpacked is handed on in pieces of this size, so that a bomb never lies in memory as a whole.
PIECE_BYTES = 16 * 1024
# zlib makes 1 byte of 1032 at best. People's stanzas come to 20; what is beyond this is meant to hurt.
MAX_RATIO = 100
# The first stanzas of a stream may well be alike.
SLACK_BYTES = 64 * 1024
# A small window: 16 KiB a direction instead of 256, at a few per cent more bytes.
WINDOW_BITS = 12
MEMORY_LEVEL = 5


class Compression:
    """Both directions of one stream."""

    __slots__ = ("_deflate", "_deliver", "_end", "_inflate", "_read", "_spend", "_unpacked")

    def __init__(
        self,
        deliver: Callable[[bytes], None],
        spend: Callable[[int], None],
        end: Callable[[StreamError], None],
        level: int,
    ) -> None:
        """``deliver`` gets what was unpacked, ``spend`` its size; ``end`` ends the stream."""
        self._deliver = deliver
        self._spend = spend
        self._end = end
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL)
        self._inflate = zlib.decompressobj()
        self._read = 0
        self._unpacked = 0

    def pack(self, data: bytes) -> bytes:
        """Give bytes as they are sent; all of them can be unpacked when they arrive."""
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def received(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._read += len(data)
        try:
            while data and not self._inflate.eof:
                piece = self._inflate.decompress(data, PIECE_BYTES)
                data = self._inflate.unconsumed_tail
                if not piece:
                    continue
                self._unpacked += len(piece)
                if self._unpacked > SLACK_BYTES + self._read * MAX_RATIO:
                    self._end(StreamError("policy-violation", "What was compressed is too much"))
                    return
                self._spend(len(piece))
                self._deliver(piece)
        except zlib.error:
            failed = element("failure", NS_COMPRESS, element("processing-failed"))
            self._end(StreamError("undefined-condition", extra=failed))
