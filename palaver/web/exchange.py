"""Answers that are written whole, head and all: what a long poll gets costs no more than its bytes."""

from __future__ import annotations

from typing import Any

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%b\r\n%b"
_CLOSE = b"connection: close\r\n"


def answer(request: Any, data: bytes, headers: bytes = b"") -> None:
    """Answer 200 with a body; ``headers`` are whole lines. A client that is gone gets nothing."""
    channel = request.channel
    if channel is None or request.finished:
        return
    if not channel.persistent:
        headers += _CLOSE
    request.startedWriting = 1
    request.sentLength = len(data)
    channel.send(_OK % (len(data), headers, data))
    request.finish()
