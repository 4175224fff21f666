"""What an item says in plain words, for subscribers who want a body with it (XEP-0060 section 16.4.2)."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.words.xish import domish

from palaver.tree import parse_element

NS_ATOM = "http://www.w3.org/2005/Atom"
# A body is a hint, not the item.
MAX_BODY_CHARS = 1000
_OF_ATOM = ("title", "summary", "content")


def body_of(payload: bytes) -> str:
    """Give the text of a serialised payload, "" when it has none.

    Of an Atom entry that is its title, and below it its summary, or else its content.
    """
    root = parse_element(payload) if payload else None
    if root is None:
        return ""
    if (root.uri, root.name) == (NS_ATOM, "entry"):
        found = {name: next(root.elements(NS_ATOM, name), None) for name in _OF_ATOM}
        title, summary, content = (_joined(node) if node is not None else "" for node in found.values())
        text = "\n".join([part for part in (title, summary or content) if part])
    else:
        text = _joined(root)
    return text[:MAX_BODY_CHARS]


def _joined(node: domish.Element) -> str:
    return " ".join(" ".join(_texts(node)).split())


def _texts(node: domish.Element) -> Iterator[str]:
    for child in node.children:
        if isinstance(child, str):
            yield child
        else:
            yield from _texts(child)
