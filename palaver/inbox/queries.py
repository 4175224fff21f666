"""What clients ask of their inbox: which conversations and in which order; the forms of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from twisted.words.xish import domish

from palaver.errors import StanzaError
from palaver.forms import NS_DATA
from palaver.inbox.conversations import ALL, ARCHIVE, BIN, INBOX, NS_CONVERSATION, NS_INBOX, Conversation
from palaver.markup import element, escape
from palaver.rsm import MAX_DIGITS, NS_RSM
from palaver.times import read_stamp

BOXES = (INBOX, ARCHIVE, BIN)
_TRUTHS = {"true": True, "false": False, "1": True, "0": False}


class InboxQuery(NamedTuple):
    """Which conversations; ``box`` None stands for all but the bin, ``limit`` None for no limit."""

    start: float | None = None
    end: float | None = None
    descending: bool = True
    unread_only: bool = False
    box: str | None = None
    limit: int | None = None

    def choose(self, conversations: Iterable[Conversation]) -> list[Conversation]:
        """Give those that are asked for, in order."""
        found = [one for one in conversations if self._admits(one)]
        found.sort(key=lambda one: one.at, reverse=self.descending)
        return found[: self.limit]

    def _admits(self, one: Conversation) -> bool:
        if self.box is None:
            if one.box == BIN:
                return False
        elif self.box not in (ALL, one.box):
            return False
        if self.unread_only and not one.unread:
            return False
        return (self.start is None or one.time >= self.start) and (self.end is None or one.time <= self.end)


def read(node: domish.Element, boxes: Sequence[str]) -> InboxQuery:
    """Read an ``<inbox/>``; ``boxes`` are those that there are. Raises StanzaError(bad-request)."""
    query = InboxQuery(limit=_limit(node))
    box_given = False
    for form in node.elements(NS_DATA, "x"):
        for field in form.elements(NS_DATA, "field"):
            name = field.getAttribute("var", "")
            value = str(next(field.elements(NS_DATA, "value"), ""))
            if name == "FORM_TYPE" or (name == "archive" and box_given):
                continue
            query = _with(query, name, value, boxes)
            box_given = box_given or name == "box"
    return query


def _with(query: InboxQuery, name: str, value: str, boxes: Sequence[str]) -> InboxQuery:
    try:
        if name == "start":
            return query._replace(start=read_stamp(value) if value else None)
        if name == "end":
            return query._replace(end=read_stamp(value) if value else None)
        if name == "order":
            return query._replace(descending={"asc": False, "desc": True}[value])
        if name == "hidden_read":
            return query._replace(unread_only=_TRUTHS[value])
        if name == "archive":
            return query._replace(box=ARCHIVE if _TRUTHS[value] else INBOX)
        if name == "box" and value in (ALL, *boxes):
            return query._replace(box=value)
        if name != "box":
            raise StanzaError("bad-request", f"Unknown inbox form field={name}, value={value}")
    except (KeyError, ValueError):
        pass
    raise StanzaError("bad-request", f"Invalid inbox form field value, field={name}, value={value}")


def _limit(node: domish.Element) -> int | None:
    """Give how many are asked for by ``<set><max/></set>``, the one thing that it may hold; 0 is no limit."""
    asked = next(node.elements(NS_RSM, "set"), None)
    if asked is None:
        return None
    children = list(asked.elements())
    text = str(children[0]).strip() if len(children) == 1 and children[0].name == "max" else ""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise StanzaError("bad-request", "bad-request")
    return int(text) or None


# -- forms -----------------------------------------------------------------------------


def _field(var: str, kind: str, value: str | None = None, options: Iterable[tuple[str, str]] = ()) -> bytes:
    inner = element("value", None, escape(value)) if value is not None else b""
    for label, option in options:
        inner += element("option", None, element("value", None, escape(option)), label=label)
    return element("field", None, inner, var=var, type=kind)


def _box(boxes: Sequence[str]) -> bytes:
    return _field("box", "list-single", ALL, [(box, box) for box in (ALL, *boxes)])


def _form(fields: Iterator[bytes], ns: str) -> bytes:
    return element("query", ns, element("x", NS_DATA, b"".join(fields), type="form"))


def form(boxes: Sequence[str]) -> bytes:
    """Give the form of a query."""

    def fields() -> Iterator[bytes]:
        yield _field("FORM_TYPE", "hidden", NS_INBOX)
        yield _field("start", "text-single")
        yield _field("end", "text-single")
        # The attribute is what clients of this protocol read.
        yield element("field", None, var="hidden_read", type="text-single", value="false")
        orders = (("Ascending by timestamp", "asc"), ("Descending by timestamp", "desc"))
        yield _field("order", "list-single", "desc", orders)
        yield _box(boxes)
        yield _field("archive", "boolean", "false")

    return _form(fields(), NS_INBOX)


def properties_form(boxes: Sequence[str]) -> bytes:
    """Give the form of a conversation's properties."""

    def fields() -> Iterator[bytes]:
        yield _field("FORM_TYPE", "hidden", NS_CONVERSATION)
        yield _box(boxes)
        yield _field("archive", "boolean", "false")
        yield _field("read", "boolean", "false")
        yield _field("mute", "text-single", "0")

    return _form(fields(), NS_CONVERSATION)


class Wish(NamedTuple):
    """What a conversation's properties are to be; None leaves one as it is. ``mute`` is in seconds."""

    box: str | None = None
    read: bool | None = None
    mute: int | None = None


def read_wish(node: domish.Element, boxes: Sequence[str]) -> Wish:
    """Read the children of a ``<query/>`` that sets properties. Raises StanzaError(bad-request)."""
    wish = Wish()
    box_given = False
    for child in node.children:
        if not isinstance(child, domish.Element):
            raise StanzaError("bad-request", "bad-request")
        value = str(child)
        if child.name == "box":
            if value not in boxes:
                raise StanzaError("bad-request", "invalid-box")
            wish, box_given = wish._replace(box=value), True
        elif child.name == "archive" and value in _TRUTHS:
            if not box_given:
                wish = wish._replace(box=ARCHIVE if _TRUTHS[value] else INBOX)
        elif child.name == "read" and value in _TRUTHS:
            wish = wish._replace(read=_TRUTHS[value])
        elif child.name == "mute" and value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS:
            wish = wish._replace(mute=int(value))
        else:
            raise StanzaError("bad-request", "bad-request")
    if wish == Wish():
        raise StanzaError("bad-request", "no-property")
    return wish
