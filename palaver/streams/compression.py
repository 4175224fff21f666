"""Compression of a stream by zlib (XEP-0138), between its socket and its parser."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

from palaver.errors import StreamError
from palaver.markup import element

NS_COMPRESS = "http://jabber.org/protocol/compress"

# What is unpacked is handed on in pieces of this size, so that a bomb never lies in memory as a whole.
PIECE_BYTES = 16 * 1024
# Others have their turn behind so many.
PIECES_A_TURN = 8
# zlib makes 1 byte of 1032 at best. People's stanzas come to 20; what is beyond this is meant to hurt.
MAX_RATIO = 100
# How far what was unpacked may be ahead of that: a few stanzas that are alike.
SLACK_BYTES = 64 * 1024
# A small window: 16 KiB a direction instead of 256, at a few per cent more bytes.
WINDOW_BITS = 12
MEMORY_LEVEL = 5

TOO_MUCH = StreamError("policy-violation", "What was compressed is too much")
FAILED = StreamError(
    "undefined-condition", extra=element("failure", NS_COMPRESS, element("processing-failed"))
)


class Below(Protocol):
    """The connection, as far as unpacking concerns it."""

    @property
    def is_paused(self) -> bool:
        """True while nothing is to be read."""

    def unpacked(self, data: bytes) -> None:
        """Take a piece; it counts against the rate like what comes without compression."""

    def later(self, do: Callable[[], None]) -> None:
        """Do something in the next turn of the reactor."""

    def refuse(self, error: StreamError) -> None:
        """End the stream."""


class Compression:
    """Both directions of one stream."""

    __slots__ = ("_below", "_busy", "_credit", "_deflate", "_inflate", "_packed", "_waits")

    def __init__(self, below: Below, level: int) -> None:
        self._below = below
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL)
        self._inflate = zlib.decompressobj()
        # What has come and is not unpacked yet: no more than one read, as nothing is read meanwhile.
        self._packed = b""
        self._credit = SLACK_BYTES
        self._busy = False
        self._waits = False

    def pack(self, data: bytes) -> bytes:
        """Give bytes as they are sent; all of them can be unpacked when they arrive."""
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def received(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._packed += data
        self.go_on()

    def go_on(self) -> None:
        """Unpack what is there, until nothing more is to be read."""
        if self._busy:
            return
        self._busy = True
        try:
            for _ in range(PIECES_A_TURN):
                if not self._packed or self._below.is_paused:
                    return
                self._below.unpacked(self._next())
            if self._packed and not self._waits:
                self._waits = True
                self._below.later(self._turn)
        except StreamError as error:
            self._packed = b""
            self._below.refuse(error)
        finally:
            self._busy = False

    def _turn(self) -> None:
        self._waits = False
        self.go_on()

    def _next(self) -> bytes:
        """Unpack one piece; raises StreamError."""
        before = len(self._packed)
        if self._inflate.eof:
            raise FAILED
        try:
            piece = self._inflate.decompress(self._packed, PIECE_BYTES)
        except zlib.error:
            raise FAILED from None
        self._packed = self._inflate.unconsumed_tail or self._inflate.unused_data
        credit = self._credit + (before - len(self._packed)) * MAX_RATIO - len(piece)
        if credit < 0:
            raise TOO_MUCH
        self._credit = min(credit, SLACK_BYTES)
        return piece


class Unpacking:
    """What `Compression` knows of a `Connection`; ``deliver`` takes what was unpacked."""

    __slots__ = ("_connection", "_deliver")

    def __init__(self, connection: Any, deliver: Callable[[bytes], None]) -> None:
        self._connection = connection
        self._deliver = deliver

    @property
    def is_paused(self) -> bool:
        """See Below."""
        paused: bool = self._connection.is_paused
        return paused

    def unpacked(self, data: bytes) -> None:
        """See Below."""
        self._connection.spend(len(data))
        self._deliver(data)

    def later(self, do: Callable[[], None]) -> None:
        """See Below."""
        self._connection.factory.clock.callLater(0, do)

    def refuse(self, error: StreamError) -> None:
        """See Below."""
        self._connection.stream.end(error)
