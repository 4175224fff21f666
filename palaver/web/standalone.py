"""Elements of a stream, made readable without it.

Over TCP the stream header declares the namespaces of what follows. A WebSocket frame (RFC 7395
section 3.3) and the body of a BOSH response (XEP-0206) have no such header.
"""

from __future__ import annotations

from palaver.framing import NS_STREAM
from palaver.stanza import NS_CLIENT

_CLIENT = f" xmlns='{NS_CLIENT}'".encode()
_STREAM = f" xmlns:stream='{NS_STREAM}'".encode()

# How a tag begins that leans on the header, with the place of the missing declaration, and that.
_LEANING = {
    b"<mes": (len("<message"), _CLIENT),
    b"<pre": (len("<presence"), _CLIENT),
    b"<iq ": (len("<iq"), _CLIENT),
    b"<iq>": (len("<iq"), _CLIENT),
    b"<iq/": (len("<iq"), _CLIENT),
}
_STREAM_TAGS = (b"<stream:features", b"<stream:error")


def standalone(data: bytes) -> bytes:
    """Give an element as the server writes it to a stream, with the declarations that it leans on."""
    found = _LEANING.get(data[:4])
    if found is not None:
        at, declaration = found
        return data[:at] + declaration + data[at:]
    for tag in _STREAM_TAGS:
        if data.startswith(tag):
            return tag + _STREAM + data[len(tag) :]
    return data
