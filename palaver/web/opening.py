"""Stream headers for transports that have none: a WebSocket begins with ``<open/>``, BOSH with a body."""

from __future__ import annotations

from collections.abc import Mapping

from palaver.markup import attributes
from palaver.streams.tcp import STREAM_HEADER

END = b"</stream:stream>"


def stream_header(attrs: Mapping[str, str]) -> bytes:
    """Give the stream header that a client with these attributes would have sent over TCP."""
    return STREAM_HEADER % attributes(dict(attrs)).encode()
