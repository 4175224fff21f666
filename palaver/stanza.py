"""Stanza: the one value that travels through the house.

Routing reads the attributes and the names of the children; the bytes between
the start tag and the end tag travel as they came. A tree is built when a
handler asks for one, and only then. A Stanza is never changed in place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.words.xish import domish

from palaver import jid, parsing
from palaver.errors import StanzaError
from palaver.markup import attribute, attributes, element, escape
from palaver.tree import parse_element, serialize

if TYPE_CHECKING:
    from palaver.interfaces import ISession

NS_CLIENT = "jabber:client"
NS_SERVER = "jabber:server"
NS_COMPONENT = "jabber:component:accept"
NS_FORWARD = "urn:xmpp:forward:0"
NS_XML = parsing.NS_XML
CONTENT_NAMESPACES = frozenset((NS_CLIENT, NS_SERVER, NS_COMPONENT))

# An error repeats what it refuses (RFC 6120 section 8.3.1); much of that helps nobody and costs both sides.
MAX_ECHO_BYTES = 16 * 1024

Child = tuple[str, str]
"""A child's namespace and name."""

_EMPTY: tuple[Child, ...] = ()


class Stanza:
    """One top-level element of a stream.

    ``ns``        its namespace; `NS_CLIENT` for what travels through the house
    ``name``      message, presence, iq; or a nonza's name
    ``attrs``     attributes by name; ``xml:lang`` as such, others with a namespace as ``{ns}name``
    ``children``  (namespace, name) of each child element, in order
    ``inner``     the bytes between the start tag and the end tag, well-formed by themselves under ``ns``
    ``origin``    the session that it came in on, when that is a session of this process
    """

    __slots__ = ("_element", "attrs", "children", "inner", "name", "ns", "origin")

    def __init__(
        self,
        name: str,
        attrs: dict[str, str],
        children: tuple[Child, ...] = _EMPTY,
        inner: bytes = b"",
        ns: str = NS_CLIENT,
        origin: ISession | None = None,
    ) -> None:
        self.name = name
        self.attrs = attrs
        self.children = children
        self.inner = inner
        self.ns = ns
        self.origin = origin
        self._element: domish.Element | None = None

    # -- what it says ---------------------------------------------------------

    @property
    def type(self) -> str | None:
        """The type attribute as sent; None when absent."""
        return self.attrs.get("type")

    @property
    def id(self) -> str | None:
        """The id attribute; None when absent."""
        return self.attrs.get("id")

    @property
    def to(self) -> jid.JID | None:
        """The addressee; None when absent. Raises `jid.InvalidJID`."""
        text = self.attrs.get("to")
        return jid.parse(text) if text is not None else None

    @property
    def sender(self) -> jid.JID | None:
        """The ``from`` address; None when absent. Raises `jid.InvalidJID`."""
        text = self.attrs.get("from")
        return jid.parse(text) if text is not None else None

    @property
    def payload(self) -> Child | None:
        """The first child's namespace and name; None when there is no child."""
        return self.children[0] if self.children else None

    def has(self, ns: str, name: str | None = None) -> bool:
        """Tell whether a child of this namespace (and name) is there."""
        if name is not None:
            return (ns, name) in self.children
        return any(child[0] == ns for child in self.children)

    @property
    def text(self) -> str:
        """The text directly inside, such as the data of a SASL element; children's text is left out."""
        if b"<" not in self.inner and b"&" not in self.inner and b"\r" not in self.inner:
            return self.inner.decode()
        return "".join(str(node) for node in self.element.children if isinstance(node, str))

    @property
    def element(self) -> domish.Element:
        """The stanza as a tree, built on the first call. Treat it as read-only."""
        if self._element is None:
            self._element = parse_element(self.encode(declare=True))
        return self._element

    def child(self, ns: str, name: str) -> domish.Element | None:
        """Give the first child of this namespace and name, as a tree; None when absent."""
        if (ns, name) not in self.children:
            return None
        node: domish.Element | None = next(self.element.elements(ns, name), None)
        return node

    # -- made from another ------------------------------------------------------

    def replace(self, **attrs: str | None) -> Stanza:
        """Give a copy with other attributes; None takes one away; ``from_`` and ``lang`` as in `element`."""
        changed = dict(self.attrs)
        for key, value in attrs.items():
            key = "xml:lang" if key == "lang" else key.rstrip("_")
            if value is None:
                changed.pop(key, None)
            else:
                changed[key] = value
        return Stanza(self.name, changed, self.children, self.inner, self.ns, self.origin)

    def with_child(self, child: bytes, ns: str, name: str) -> Stanza:
        """Give a copy with one more child, already serialised, at the end."""
        return Stanza(
            self.name, self.attrs, (*self.children, (ns, name)), self.inner + child, self.ns, self.origin
        )

    def without_child(self, ns: str, name: str | None = None) -> Stanza:
        """Give a copy without the children of this namespace (and name); itself when there is none."""
        if not self.has(ns, name):
            return self
        kept = [
            node
            for node in self.element.children
            if isinstance(node, str) or node.uri != ns or (name is not None and node.name != name)
        ]
        return self.with_children(kept)

    def with_children(self, nodes: Iterable[domish.Element | str]) -> Stanza:
        """Give a copy whose whole content is these nodes."""
        nodes = list(nodes)
        children = tuple((node.uri or "", node.name) for node in nodes if not isinstance(node, str))
        return Stanza(self.name, self.attrs, children, serialize(nodes, self.ns), self.ns, self.origin)

    def with_origin(self, origin: ISession | None) -> Stanza:
        """Give a copy that says which session it came in on."""
        return Stanza(self.name, self.attrs, self.children, self.inner, self.ns, origin)

    # -- answers --------------------------------------------------------------------

    def result(self, payload: bytes | domish.Element | None = None) -> Stanza:
        """Give the result for this IQ; ``payload`` is one element, serialised or a tree."""
        attrs = {"type": "result"}
        if (identity := self.attrs.get("id")) is not None:
            attrs["id"] = identity
        self._turn_round(attrs)
        return Stanza("iq", attrs) if payload is None else make("iq", attrs, payload)

    def error(self, error: StanzaError) -> Stanza:
        """Give the error for this stanza, with its content inside unless that is large."""
        attrs = {key: value for key, value in self.attrs.items() if key not in ("from", "to")}
        attrs["type"] = "error"
        self._turn_round(attrs)
        children, inner = self.children, self.inner
        if len(inner) > MAX_ECHO_BYTES:
            children, inner = _EMPTY, b""
        return Stanza(self.name, attrs, (*children, (self.ns, "error")), inner + error.encode(), self.ns)

    def _turn_round(self, attrs: dict[str, str]) -> None:
        if (sender := self.attrs.get("from")) is not None:
            attrs["to"] = sender
        if (to := self.attrs.get("to")) is not None:
            attrs["from"] = to

    # -- bytes ---------------------------------------------------------------------------

    def encode(self, declare: bool = False) -> bytes:
        """Give the whole stanza as bytes; ``declare`` writes `NS_CLIENT` on the start tag too.

        Without it a stanza of `NS_CLIENT` takes the content namespace of the stream that it is written to.
        """
        name = self.name
        attrs = self.attrs
        head = f"<{name}"
        for key, value in attrs.items():
            head += f" {key}='{value}'"
        # One look at the whole costs less than one at each value; there is hardly ever anything to escape.
        if (
            "&" in head
            or ">" in head
            or "{" in head
            or head.count("<") != 1
            or head.count("'") != 2 * len(attrs)
            or not head.isprintable()
        ):
            head = f"<{name}{start_attributes(attrs)}"
        if declare or self.ns != NS_CLIENT:
            head += f" xmlns='{attribute(self.ns)}'"
        if self.inner:
            return b"%b>%b</%b>" % (head.encode(), self.inner, name.encode())
        return f"{head}/>".encode()

    def __repr__(self) -> str:
        return f"<Stanza {self.name} {self.attrs} {self.children}>"


def start_attributes(attrs: dict[str, str]) -> str:
    """Give the attributes of a start tag; foreign ones get a prefix of their own."""
    text = attributes(attrs)
    return text if "{" not in text or not any(name[0] == "{" for name in attrs) else _with_prefixes(attrs)


def _with_prefixes(attrs: dict[str, str]) -> str:
    plain = {}
    for number, (name, value) in enumerate(attrs.items()):
        if name[0] == "{":
            ns, _, local = name[1:].rpartition("}")
            plain[f"xmlns:a{number}"] = ns
            name = f"a{number}:{local}"
        plain[name] = value
    return attributes(plain)


def make(
    name: str,
    attrs: dict[str, str],
    payload: bytes | domish.Element | None = None,
    ns: str = NS_CLIENT,
) -> Stanza:
    """Give a stanza with at most one child."""
    if payload is None:
        return Stanza(name, attrs, _EMPTY, b"", ns)
    if isinstance(payload, bytes):
        return Stanza(name, attrs, (_payload_name(payload, ns),), payload, ns)
    return Stanza(name, attrs, ((payload.uri or ns, payload.name),), serialize([payload], ns), ns)


_START = re.compile(rb"<([^\s/>]+)(?:\s+xmlns=(?:'([^']*)'|\"([^\"]*)\"))?")


def _payload_name(payload: bytes, ns: str) -> Child:
    """Read the name off a payload that this house wrote: ``xmlns`` comes first, as `element` puts it."""
    found = _START.match(payload)
    if found is None:
        raise ValueError("a payload starts with an element")
    return (found[2] or found[3] or ns.encode()).decode(), found[1].decode()


def from_element(node: domish.Element) -> Stanza:
    """Give the Stanza for a tree, in the client namespace whatever content namespace it has."""
    own = node.uri or NS_CLIENT
    return _from_element(node, own, NS_CLIENT if own in CONTENT_NAMESPACES else own)


def reread(data: bytes, context: bytes, content: str) -> Stanza:
    """Give the Stanza for one element of a stream.

    ``context`` is a start tag with the stream's declarations, ``content`` its content namespace.
    """
    node = parse_element(data, context)
    return _from_element(node, node.uri, NS_CLIENT if node.uri == content else node.uri)


def _from_element(node: domish.Element, own: str, ns: str) -> Stanza:
    attrs = {_attribute_name(name): value for name, value in node.attributes.items()}
    children = tuple(
        (ns if child.uri is None or child.uri == own else child.uri, child.name) for child in node.elements()
    )
    return Stanza(node.name, attrs, children, serialize(node.children, own), ns)


def _attribute_name(name: str | tuple[str, str]) -> str:
    if isinstance(name, str):
        return name
    return f"xml:{name[1]}" if name[0] == NS_XML else f"{{{name[0]}}}{name[1]}"


def forwarded(stanza: Stanza, ns: str, name: str) -> Stanza | None:
    """Give the stanza that is forwarded (XEP-0297) in a child of this name; None when there is none."""
    node = stanza.child(ns, name)
    wrapper = next(node.elements(NS_FORWARD, "forwarded"), None) if node is not None else None
    inner = next((child for child in wrapper.elements() if child.uri == NS_CLIENT), None) if wrapper else None
    return from_element(inner) if inner is not None else None


def text_element(name: str, ns: str, text: str) -> bytes:
    """Give an element that holds only text."""
    return element(name, ns, escape(text))
