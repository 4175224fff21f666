"""Elements of a stream, made readable without it.

Over TCP the stream header declares the namespaces of what follows. A WebSocket frame (RFC 7395
section 3.3) and the body of a BOSH response (XEP-0206) have no such header.
"""

from __future__ import annotations

from collections.abc import Callable

from palaver.framing import NS_STREAM
from palaver.stanza import NS_CLIENT

_STREAM = f" xmlns:stream='{NS_STREAM}'".encode()

# How a tag begins that leans on the header, with the place of the missing declaration.
_LEANING = {
    b"<mes": len("<message"),
    b"<pre": len("<presence"),
    b"<iq ": len("<iq"),
    b"<iq>": len("<iq"),
    b"<iq/": len("<iq"),
    # XEP-0114 section 3; clients are written none.
    b"<han": len("<handshake"),
}
_STREAM_TAGS = (b"<stream:features", b"<stream:error")


def declaring(ns: str) -> Callable[[bytes], bytes]:
    """Give the function for streams of a content namespace; see `standalone`."""
    leaning, declaration = _LEANING, f" xmlns='{ns}'".encode()

    def declared(data: bytes) -> bytes:
        at = leaning.get(data[:4])
        if at is not None:
            return data[:at] + declaration + data[at:]
        for tag in _STREAM_TAGS:
            if data.startswith(tag):
                return tag + _STREAM + data[len(tag) :]
        return data

    return declared


standalone = declaring(NS_CLIENT)
"""Gives an element as the server writes it to a client's stream, with the declarations that it leans on."""
