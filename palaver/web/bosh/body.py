"""The wrapper of BOSH: ``<body/>`` read from requests and written into answers (XEP-0124 section 4)."""

from __future__ import annotations

import re
from typing import NamedTuple
from xml.parsers import expat

from palaver import parsing
from palaver.errors import StreamError
from palaver.framing import MAX_ATTRIBUTES, MAX_DEPTH, MAX_HEADER_BYTES, NS_STREAM
from palaver.markup import attributes
from palaver.stanza import NS_CLIENT
from palaver.tree import parse_element, serialize

NS_BODY = "http://jabber.org/protocol/httpbind"
NS_XBOSH = "urn:xmpp:xbosh"

# Section 14.1: beyond it languages whose numbers are floating cannot count.
MAX_RID = (1 << 53) - 1

RESTART = f"{{{NS_XBOSH}}}restart"
VERSION = f"{{{NS_XBOSH}}}version"

_NS_BODY = NS_BODY.encode()
_NAME = parsing.SEPARATOR.join((NS_BODY, "body"))
_DECLARATION = f" xmlns:stream='{NS_STREAM}'".encode()
_OPEN = b"<body xmlns='%b'" % _NS_BODY
# What a stream header of ours declares as well.
_KNOWN = ("stream", NS_STREAM)
_match_tag = re.compile(rb"<[^>'\"]*+(?:'[^']*+'[^>'\"]*+|\"[^\"]*+\"[^>'\"]*+)*+>").match


class InvalidBody(ValueError):
    """What came is no ``<body/>``."""


class Body(NamedTuple):
    """One request of a client's."""

    attrs: dict[str, str]
    """By the names of a `Stanza`."""
    inner: bytes
    """What is to be read in a stream whose default namespace is jabber:client."""

    @property
    def restarts(self) -> bool:
        """True when it asks for a new stream (XEP-0206 section 5)."""
        return self.attrs.get(RESTART) in ("true", "1")

    @property
    def ends(self) -> bool:
        """True when the client says good-bye."""
        return self.attrs.get("type") == "terminate"

    @property
    def rid(self) -> int | None:
        """The number of the request; None when there is none that could be one."""
        return number(self.attrs.get("rid"), MAX_RID)


def number(text: str | None, largest: int) -> int | None:
    """Read a whole number from 0 on; None when it is none, or is too large."""
    if text is None or not (text.isascii() and text.isdecimal()) or len(text) > len(str(MAX_RID)):
        return None
    value = int(text)
    return value if value <= largest else None


class _Reader:
    """Notes what the start tag says; all else need only be well-formed."""

    def __init__(self) -> None:
        self.attrs: dict[str, str] = {}
        self.prefixes: dict[str, str] = {}
        self.start = 0
        parser = self.parser = parsing.create_parser()
        parser.StartNamespaceDeclHandler = self._declared
        parser.StartElementHandler = self._started

    def _declared(self, prefix: str | None, uri: str | None) -> None:
        self.prefixes[prefix or ""] = uri or ""

    def _started(self, name: str, attrs: dict[str, str]) -> None:
        parser = self.parser
        parser.StartElementHandler = None
        parser.StartNamespaceDeclHandler = None
        if name != _NAME:
            raise InvalidBody("The root is no body of BOSH")
        if len(attrs) > MAX_ATTRIBUTES:
            raise InvalidBody("Too many attributes")
        self.start = parser.CurrentByteIndex
        self.attrs = attrs


def read(data: bytes) -> Body:
    """Read what a request brought; raises `InvalidBody`."""
    reader = _Reader()
    try:
        reader.parser.Parse(data, True)
    except (expat.ExpatError, StreamError) as error:
        raise InvalidBody(str(error)) from None
    start = reader.start
    tag = _match_tag(data, start)
    if tag is None or tag.end() - start > MAX_HEADER_BYTES:
        raise InvalidBody("Too large a start tag")
    attrs = parsing.attribute_names(reader.attrs)
    if data[tag.end() - 2 : tag.end() - 1] == b"/":
        return Body(attrs, b"")
    inner = data[tag.end() : data.rindex(b"</")].strip(b" \t\r\n")
    if inner and _leans(inner, reader.prefixes):
        inner = serialize(_elements(data[start:]), NS_BODY)
    return Body(attrs, inner)


def _leans(inner: bytes, prefixes: dict[str, str]) -> bool:
    """Tell whether the elements would mean something else behind a stream header."""
    if prefixes.get("") not in (NS_BODY, NS_CLIENT) or _NS_BODY in inner:
        return True
    for prefix, uri in prefixes.items():
        if prefix and (prefix, uri) != _KNOWN and f"{prefix}:".encode() in inner:
            return True
    return False


def _elements(data: bytes) -> list[object]:
    """Give what is in a body, each with the namespace that it has there."""
    _check_depth(data)
    try:
        children: list[object] = parse_element(data.rstrip()).children
    except ValueError as error:
        raise InvalidBody(str(error)) from None
    return children


def _check_depth(data: bytes) -> None:
    """Refuse what is too deep for a tree."""
    depth = 0

    def started(name: str, attrs: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidBody("Too deep")

    def ended(name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = parsing.create_parser()
    parser.StartElementHandler = started
    parser.EndElementHandler = ended
    parser.Parse(data, True)


def write(payload: bytes, attrs: dict[str, str] | None = None) -> bytes:
    """Give a body with elements that can be read on their own, apart from the prefix ``stream``."""
    head = _OPEN
    if attrs:
        head += attributes(attrs).encode()
    if not payload:
        return head + b"/>"
    if b"<stream:" in payload:
        head += _DECLARATION
    return b"%b>%b</body>" % (head, payload)


def terminate(condition: str | None = None, payload: bytes = b"") -> bytes:
    """Give the body that ends a session, for a condition of XEP-0124 section 17.2 or because it is over."""
    attrs = {"type": "terminate"}
    if condition is not None:
        attrs["condition"] = condition
    return write(payload, attrs)


EMPTY = write(b"")
# Section 17.3: send it again, all that came since the last answer.
RECOVERABLE = write(b"", {"type": "error"})
