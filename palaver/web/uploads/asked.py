"""Requests for a slot (XEP-0363 sections 5 and 6), and the answers, in both namespaces."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from twisted.words.xish import domish

from palaver.errors import StanzaError
from palaver.markup import element, escape
from palaver.stanza import Stanza
from palaver.times import read_stamp

NS_UPLOAD = "urn:xmpp:http:upload:0"
# Until version 0.3 of the specification: texts instead of attributes.
NS_UPLOAD_OLD = "urn:xmpp:http:upload"
NS_PURPOSE = "urn:xmpp:http:upload:purpose:0"
PURPOSES = ("message", "profile", "ephemeral", "permanent")

# What file systems of clients take.
MAX_NAME_BYTES = 255
MAX_TYPE_CHARS = 100
# As people have no larger files; also keeps the numbers readable for the storage.
MAX_DIGITS = 15
UNKNOWN_TYPE = "application/octet-stream"


class Asked(NamedTuple):
    """What a client asks for; ``type`` is "" when it says nothing, ``expire_before_s`` None likewise."""

    filename: str
    size: int
    type: str
    purpose: str
    expire_before_s: float | None


def read(request: Stanza) -> Asked:
    """Read a request. Raises StanzaError ``bad-request``."""
    ns = request.children[0][0]
    node = request.child(ns, "request")
    assert node is not None
    filename, size, type = (_value(node, name) for name in ("filename", "size", "content-type"))
    return checked(filename, size, type, *_purpose(node))


def checked(filename: str, size: str, type: str, purpose: str, expire_before_s: float | None) -> Asked:
    """Give what is asked for. Raises StanzaError ``bad-request``."""
    return Asked(_filename(filename), _size(size), _type(type), purpose, expire_before_s)


def _value(node: domish.Element, name: str) -> str:
    if node.uri == NS_UPLOAD:
        return str(node.getAttribute(name, ""))
    found = next(node.elements(NS_UPLOAD_OLD, name), None)
    return str(found) if found is not None else ""


def _filename(text: str) -> str:
    """Give the last part of a path, without what no file is called."""
    name = text.replace("\\", "/").rpartition("/")[2]
    name = "".join(char for char in name if unicodedata.category(char) not in ("Cc", "Cf", "Cs")).strip()
    if name in ("", ".", ".."):
        raise StanzaError("bad-request", "A file has a name")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise StanzaError("bad-request", f"A file's name has at most {MAX_NAME_BYTES} bytes")
    return name


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS or int(text) == 0:
        raise StanzaError("bad-request", "The size is a number of bytes above 0")
    return int(text)


def _type(text: str) -> str:
    """Give a media type in small letters; "" for none."""
    text = text.strip()
    kind, slash, name = text.partition("/")
    if text and (not text.isascii() or not text.isprintable() or not kind or not slash or not name):
        raise StanzaError("bad-request", "The content type is a media type")
    if len(text) > MAX_TYPE_CHARS:
        raise StanzaError("bad-request", f"A media type has at most {MAX_TYPE_CHARS} characters")
    return text.lower()


def _purpose(node: domish.Element) -> tuple[str, float | None]:
    found = [child for child in node.elements() if child.uri == NS_PURPOSE]
    if not found:
        return "message", None
    if len(found) > 1 or found[0].name not in PURPOSES:
        raise StanzaError("bad-request", "A file has one purpose: " + ", ".join(PURPOSES))
    if found[0].name != "ephemeral":
        return str(found[0].name), None
    try:
        return "ephemeral", read_stamp(found[0].getAttribute("expire-before", ""))
    except ValueError:
        raise StanzaError("bad-request", "What is ephemeral says when it goes, in expire-before") from None


def slot(ns: str, put: str, get: str) -> bytes:
    """Give the answer: where the file goes, and where it will be."""
    if ns == NS_UPLOAD:
        return element("slot", ns, element("put", None, url=put) + element("get", None, url=get))
    return element("slot", ns, element("put", None, escape(put)) + element("get", None, escape(get)))


def too_large(ns: str, limit: int) -> StanzaError:
    """Give the error for a file that is too large."""
    inner = element("max-file-size", None, b"%d" % limit)
    text = f"The file is too large: {limit} bytes are allowed"
    return StanzaError("not-acceptable", text, extra=element("file-too-large", ns, inner))
