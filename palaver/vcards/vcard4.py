"""vCard4 over XMPP (XEP-0292) and back: what both kinds of vCard can say; photos are avatars of their own."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.words.xish import domish

from palaver.markup import element, escape
from palaver.vcards.photo import NS_VCARD

NS_VCARD4 = "urn:ietf:params:xml:ns:vcard-4.0"

# By name in vcard-temp: the property of vCard4, and the type of its value (RFC 6351 section 5).
_TEXTS = {
    "FN": ("fn", "text"),
    "NICKNAME": ("nickname", "text"),
    "BDAY": ("bday", "date"),
    "TITLE": ("title", "text"),
    "ROLE": ("role", "text"),
    "URL": ("url", "uri"),
    "DESC": ("note", "text"),
}
# The same where vcard-temp has one child that holds the text.
_NESTED = {
    "EMAIL": ("USERID", "email", "text"),
    "TEL": ("NUMBER", "tel", "text"),
    "ORG": ("ORGNAME", "org", "text"),
}
# And where both have several.
_PARTS = {
    "N": (
        "n",
        {
            "FAMILY": "surname",
            "GIVEN": "given",
            "MIDDLE": "additional",
            "PREFIX": "prefix",
            "SUFFIX": "suffix",
        },
    ),
    "ADR": (
        "adr",
        {
            "POBOX": "pobox",
            "EXTADD": "ext",
            "STREET": "street",
            "LOCALITY": "locality",
            "REGION": "region",
            "PCODE": "code",
            "CTRY": "country",
        },
    ),
}
_NAMES = {*_TEXTS, *_NESTED, *_PARTS}
_TELEPHONE = "tel:"


def to_vcard4(card: domish.Element) -> bytes:
    """Give the vCard4 for a vCard, serialised."""
    parts = []
    for node in card.elements():
        if node.uri != NS_VCARD:
            continue
        if node.name in _TEXTS:
            parts.append(_property(*_TEXTS[node.name], str(node)))
        elif node.name in _NESTED:
            child, name, kind = _NESTED[node.name]
            parts.append(_property(name, kind, _text(node, NS_VCARD, child)))
        elif node.name in _PARTS:
            name, names = _PARTS[node.name]
            texts = [element(new, None, escape(_text(node, NS_VCARD, old))) for old, new in names.items()]
            parts.append(element(name, None, b"".join(texts)))
    return element("vcard", NS_VCARD4, b"".join(parts))


def _property(name: str, kind: str, text: str) -> bytes:
    return element(name, None, element(kind, None, escape(text))) if text else b""


def follow_vcard4(card: domish.Element, newer: domish.Element) -> None:
    """Make a vCard say what a vCard4 says, and leave what only a vCard can say; changes the tree."""
    card.children = [
        node
        for node in card.children
        if isinstance(node, str) or node.uri != NS_VCARD or node.name not in _NAMES
    ]
    for old, (new, _) in _TEXTS.items():
        for node in newer.elements(NS_VCARD4, new):
            card.addElement((NS_VCARD, old), content=_value(node))
    for old, (child, new, _) in _NESTED.items():
        for node in newer.elements(NS_VCARD4, new):
            card.addElement((NS_VCARD, old)).addElement((NS_VCARD, child), content=_value(node))
    for old, (new, names) in _PARTS.items():
        for node in newer.elements(NS_VCARD4, new):
            made = card.addElement((NS_VCARD, old))
            for part, name in names.items():
                text = _text(node, NS_VCARD4, name)
                if text:
                    made.addElement((NS_VCARD, part), content=text)


def _value(node: domish.Element) -> str:
    """Give the text in a property, whatever the type of its value."""
    values: Iterable[str] = (str(child) for child in node.elements() if child.name != "parameters")
    return next(iter(values), "").removeprefix(_TELEPHONE)


def _text(node: domish.Element, ns: str, name: str) -> str:
    child = next(node.elements(ns, name), None)
    return str(child) if child is not None else ""
