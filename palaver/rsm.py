"""Result Set Management (XEP-0059): which page of a list is asked for, and where it lies."""

from __future__ import annotations

from typing import NamedTuple

from twisted.words.xish import domish

from palaver.errors import StanzaError
from palaver.markup import element, escape

NS_RSM = "http://jabber.org/protocol/rsm"

# More digits than any list has items; int() would take seconds over a stranger's million digits.
MAX_DIGITS = 9


class PageRequest(NamedTuple):
    """The page asked for: at most ``max`` items (None: as the server likes) after or before an item.

    ``backwards`` takes the page from the end, as any ``<before/>`` does; an empty one leaves ``before`` None.
    """

    max: int | None = None
    after: str | None = None
    before: str | None = None
    backwards: bool = False


ANY_PAGE = PageRequest()


def read(node: domish.Element) -> PageRequest:
    """Read the ``<set/>`` inside a request's payload; `ANY_PAGE` without one.

    Raises `StanzaError`: ``bad-request`` for a ``<max/>`` that is no number, and
    ``feature-not-implemented`` for an ``<index/>`` (section 2.6): finding the n-th item means counting.
    """
    asked = next(node.elements(NS_RSM, "set"), None)
    if asked is None:
        return ANY_PAGE
    given = {child.name: str(child) for child in asked.elements() if child.uri == NS_RSM}
    if "index" in given:
        raise StanzaError("feature-not-implemented", "Pages are found by after and before, not by index")
    before = given.get("before")
    return PageRequest(
        _number(given.get("max")), given.get("after") or None, before or None, before is not None
    )


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    text = text.strip()
    if not (text.isascii() and text.isdigit()):
        raise StanzaError("bad-request", "<max/> is a number of items")
    return int(text) if len(text) <= MAX_DIGITS else 10**MAX_DIGITS


def encode(
    first: str | None = None, last: str | None = None, count: int | None = None, index: int | None = None
) -> bytes:
    """Give the ``<set/>`` of an answer (section 2.1); what is None is left out.

    ``first`` and ``last`` are ids, ``count`` the length of the whole list, ``index`` where ``first`` is.
    """
    inner = b""
    if first is not None and last is not None:
        inner = element("first", None, escape(first), index=None if index is None else str(index))
        inner += element("last", None, escape(last))
    if count is not None:
        inner += element("count", None, str(count).encode())
    return element("set", NS_RSM, inner)
