"""Small pieces of XML written as bytes, escaped once and never parsed again.

What is sent for every stanza is written with these; what is rare and wants a
tree uses `twisted.words.xish.domish`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# What XML cannot hold at all (XML 1.0 section 2.2) is written as U+FFFD: it can come from JSON or a database.
_FORBIDDEN = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;", "\r": "&#13;"}
_SPECIAL = re.compile(f"[&<>'\"\r{_FORBIDDEN}]")
# White space in an attribute would be read back as a plain space (XML 1.0 section 3.3.3).
_ATTRIBUTE_ENTITIES = _ENTITIES | {"\t": "&#9;", "\n": "&#10;"}
_ATTRIBUTE_SPECIAL = re.compile(f"[&<>'\"\t\n\r{_FORBIDDEN}]")


def escape(text: str) -> bytes:
    """Give character data as UTF-8 bytes, safe between two tags."""
    if _SPECIAL.search(text) is not None:
        text = _SPECIAL.sub(lambda found: _ENTITIES.get(found[0], "\ufffd"), text)
    return text.encode()


def attribute(text: str) -> str:
    """Give an attribute's value, safe between single quotes."""
    if _ATTRIBUTE_SPECIAL.search(text) is None:
        return text
    return _ATTRIBUTE_SPECIAL.sub(lambda found: _ATTRIBUTE_ENTITIES.get(found[0], "\ufffd"), text)


def attributes(attrs: Mapping[str, str]) -> str:
    """Give `` name='value'`` for every attribute, each with a space before it."""
    return "".join([f" {name}='{attribute(value)}'" for name, value in attrs.items()])


def element(name: str, ns: str | None = None, inner: bytes = b"", /, **attrs: str | None) -> bytes:
    """Give one element; attributes that are None are left out, a trailing ``_`` is cut.

    ``inner`` is XML already serialised (use `escape` for text).
    """
    text = f" xmlns='{attribute(ns)}'" if ns is not None else ""
    for key, value in attrs.items():
        if value is not None:
            text += f" {key.rstrip('_')}='{attribute(value)}'"
    if inner:
        return b"<%b%b>%b</%b>" % (name.encode(), text.encode(), inner, name.encode())
    return f"<{name}{text}/>".encode()
