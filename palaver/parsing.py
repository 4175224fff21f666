"""expat made safe for strangers: what every parser of this house has in common.

No document types, comments or processing instructions (RFC 6120 section 11.1), no other
encoding than UTF-8 (section 11.6), and a separator that no namespace can hold.
"""

from __future__ import annotations

import codecs
from functools import lru_cache
from xml.parsers import expat

from palaver.errors import StreamError
from palaver.markup import attribute

NS_XML = "http://www.w3.org/XML/1998/namespace"
# XML forbids this character.
SEPARATOR = "\x01"
# A table that strangers can fill is emptied at this size, and longer names are not put into it.
MAX_NAMES = 4096
MAX_NAME_CHARS = 256

_HAS_DEFERRAL = hasattr(expat.ParserCreate(), "SetReparseDeferralEnabled")

# Numbers of expat.h; pyexpat has no names for those of the reserved prefixes.
_INVALID_TOKEN, _PARTIAL_CHAR, _UNDEFINED_ENTITY = 4, 6, 11
_UNBOUND, _UNDECLARED, _RESERVED_XML, _RESERVED_XMLNS, _RESERVED_URI = 27, 28, 38, 39, 40
_CONDITIONS = {
    _UNDEFINED_ENTITY: "restricted-xml",
    _UNBOUND: "bad-namespace-prefix",
    _UNDECLARED: "bad-namespace-prefix",
    _RESERVED_XML: "bad-namespace-prefix",
    _RESERVED_XMLNS: "bad-namespace-prefix",
    _RESERVED_URI: "bad-namespace-prefix",
}

Name = tuple[str, str]
"""A namespace and a local name."""


class Names(dict[str, Name]):
    """Namespace and name by expat's name for both; ``content`` reads as ``alias``. Bounded."""

    def __init__(self, content: str = "", alias: str = "") -> None:
        super().__init__()
        self._content = content
        self._alias = alias

    def __missing__(self, key: str) -> Name:
        ns, _, name = key.rpartition(SEPARATOR)
        pair = (self._alias if ns == self._content else ns, name)
        if len(key) <= MAX_NAME_CHARS:
            if len(self) >= MAX_NAMES:
                self.clear()
            self[key] = pair
        return pair


def create_parser() -> expat.XMLParserType:
    """Give a parser that raises `StreamError` from its handlers for what XMPP forbids."""
    # Names are not interned by pyexpat: its table would grow with every name that a stranger makes up.
    parser = expat.ParserCreate("UTF-8", SEPARATOR, None)
    if _HAS_DEFERRAL:
        # Otherwise the last bytes of a stanza may wait for the next one.
        parser.SetReparseDeferralEnabled(False)
    parser.XmlDeclHandler = _check_declaration
    parser.CommentHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    parser.StartDoctypeDeclHandler = _refuse
    return parser


def _check_declaration(version: str, encoding: str | None, standalone: int) -> None:
    if version != "1.0":
        raise StreamError("not-well-formed", "XML 1.0 only")
    if encoding is not None and encoding.upper() != "UTF-8":
        raise StreamError("unsupported-encoding")


def _refuse(*what: object) -> None:
    raise StreamError("restricted-xml")


def stream_error(error: expat.ExpatError, near: bytes) -> StreamError:
    """Give the stream error for a mistake that expat found; ``near`` are the bytes from there on."""
    condition = _CONDITIONS.get(error.code, "not-well-formed")
    if error.code in (_INVALID_TOKEN, _PARTIAL_CHAR):
        try:
            codecs.utf_8_decode(near[:4], "strict", False)
        except UnicodeDecodeError:
            # RFC 6120 section 4.9.3.22 counts broken UTF-8 among the encodings.
            condition = "unsupported-encoding"
    return StreamError(condition, expat.ErrorString(error.code))


def attribute_names(attrs: dict[str, str]) -> dict[str, str]:
    """Give attributes by the names of a `Stanza`: ``name``, ``xml:name`` or ``{ns}name``."""
    if SEPARATOR not in "".join(attrs):
        return attrs
    named = {}
    for key, value in attrs.items():
        ns, _, name = key.rpartition(SEPARATOR)
        if ns == NS_XML:
            key = f"xml:{name}"
        elif ns:
            key = f"{{{ns}}}{name}"
        named[key] = value
    return named


@lru_cache(256)
def start_tag(name: str, ns: str, prefixes: tuple[tuple[str, str], ...]) -> bytes:
    """Give a start tag that makes these declarations: what comes after it reads as in the real stream.

    ``name`` is the tag's as it was written, prefix and all: the stream's end tag repeats it.
    """
    declared = "".join(f" xmlns:{prefix}='{attribute(uri)}'" for prefix, uri in prefixes)
    return f"<{name} xmlns='{attribute(ns)}'{declared}>".encode()


@lru_cache(256)
def prefix_marks(prefixes: tuple[tuple[str, str], ...]) -> tuple[bytes, ...]:
    """Give what is found in each element that leans on one of these declarations."""
    return tuple(f"{prefix}:".encode() for prefix, _ in prefixes)
