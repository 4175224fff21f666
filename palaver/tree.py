"""Element trees: `domish.Element` read from bytes and written to bytes, with namespaces kept.

domish has a parser and a serialiser of its own; they lose ``xmlns=''``, and declare prefixes
that the receiver of a fragment does not know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.parsers import expat

from twisted.words.xish import domish

from palaver.errors import StreamError
from palaver.markup import attribute, escape
from palaver.parsing import NS_XML, SEPARATOR, create_parser


class _Builder:
    """Makes the tree of everything that is inside a root element."""

    def __init__(self) -> None:
        self.found: list[domish.Element] = []
        self._open: list[domish.Element] = []
        self._prefixes: dict[str, str] = {}
        self._depth = 0
        parser = self._parser = create_parser()
        parser.buffer_text = True
        parser.StartElementHandler = self._started
        parser.EndElementHandler = self._ended
        parser.CharacterDataHandler = self._text
        parser.StartNamespaceDeclHandler = self._declared

    def parse(self, data: bytes) -> None:
        """Read one document; raises `ValueError`."""
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            raise ValueError(expat.ErrorString(error.code)) from None
        except StreamError as error:
            raise ValueError(error.condition) from None

    def _declared(self, prefix: str | None, uri: str | None) -> None:
        if prefix and uri:
            self._prefixes[prefix] = uri

    def _started(self, name: str, attrs: dict[str, str]) -> None:
        prefixes, self._prefixes = self._prefixes, {}
        self._depth += 1
        if self._depth == 1:
            return
        ns, _, local = name.rpartition(SEPARATOR)
        node = domish.Element((ns, local), ns, localPrefixes=prefixes)
        node.attributes = {_attribute_key(key): value for key, value in attrs.items()}
        if self._open:
            self._open[-1].addChild(node)
        else:
            self.found.append(node)
        self._open.append(node)

    def _ended(self, name: str) -> None:
        self._depth -= 1
        if self._open:
            self._open.pop()

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1].addContent(text)


def _attribute_key(name: str) -> str | tuple[str, str]:
    ns, _, local = name.rpartition(SEPARATOR)
    return (ns, local) if ns else local


def parse_element(data: bytes, context: bytes = b"<r>") -> domish.Element:
    """Read one element; raises `ValueError` when it is none, or has more than elements and text.

    ``context`` is a start tag with the declarations that the element leans on.
    """
    name = context[1:].split(maxsplit=1)[0].rstrip(b">")
    builder = _Builder()
    builder.parse(b"%b%b</%b>" % (context, data, name))
    if len(builder.found) != 1:
        raise ValueError("not one element")
    return builder.found[0]


def serialize(nodes: Iterable[Any], ns: str) -> bytes:
    """Give nodes as bytes that are well-formed inside an element of namespace ``ns``.

    No element gets a prefix; one without a namespace of its own (None) has its parent's.
    """
    parts: list[str] = []
    for node in nodes:
        _write(node, ns, parts)
    return "".join(parts).encode()


def _write(node: Any, ns: str, parts: list[str]) -> None:
    if not isinstance(node, domish.Element):
        parts.append(node if isinstance(node, domish.SerializedXML) else escape(str(node)).decode())
        return
    uri = ns if node.uri is None else node.uri
    parts.append(f"<{node.name}")
    if uri != ns:
        parts.append(f" xmlns='{attribute(uri)}'")
    # Text may speak of a prefix (a qualified name, say), so declarations stay.
    for prefix, declared in node.localPrefixes.items():
        parts.append(f" xmlns:{prefix}='{attribute(declared)}'")
    for number, (key, value) in enumerate(node.attributes.items()):
        parts.append(_attribute_text(key, value, number, node.localPrefixes))
    if not node.children:
        parts.append("/>")
        return
    parts.append(">")
    for child in node.children:
        _write(child, uri, parts)
    parts.append(f"</{node.name}>")


def _attribute_text(key: str | tuple[str, str], value: str, number: int, prefixes: dict[str, str]) -> str:
    if isinstance(key, tuple):
        ns, name = key
        if ns == NS_XML:
            key = f"xml:{name}"
        elif not ns:
            key = name
        else:
            prefix = f"a{number}"
            while prefix in prefixes:
                prefix += "_"
            return f" xmlns:{prefix}='{attribute(ns)}' {prefix}:{name}='{attribute(value)}'"
    return f" {key}='{attribute(value)}'"
