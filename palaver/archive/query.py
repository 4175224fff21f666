"""Queries of an archive (XEP-0313 section 4): the form, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

from twisted.words.xish import domish

from palaver import forms, jid, rsm
from palaver.archive.messages import NS_MAM
from palaver.archive.stanzaids import MAX_ID, from_text
from palaver.errors import StanzaError
from palaver.jid import JID, InvalidJID
from palaver.markup import element, escape
from palaver.storage import ids
from palaver.times import read_stamp

# XEP-0431, and MongooseIM's name for the same.
FULL_TEXT = "{urn:xmpp:fulltext:0}fulltext"
FULL_TEXT_FIELDS = (FULL_TEXT, "full-text-search")
# What one query may ask for by name; a page holds less.
MAX_IDS = 500

_FORM_FIELDS = (
    ("with", "jid-single"),
    ("start", "text-single"),
    ("end", "text-single"),
    ("before-id", "text-single"),
    ("after-id", "text-single"),
    ("include-groupchat", "boolean"),
)
_BOOLEANS = ("true", "false", "1", "0")
_OPEN_LIST = element(
    "validate", "http://jabber.org/protocol/xdata-validate", b"<open/>", datatype="xs:string"
)


class ArchiveQuery(NamedTuple):
    """What is asked for; every bound that is not None holds.

    ``peer``    who the other side is: a bare JID, or one of its resources
    ``after``, ``before``  ids, exclusive; ``since``, ``until`` ids, inclusive
    ``ids``     only these, in order
    ``text``    words that all occur
    ``known``   ids that were named and must be in the archive
    ``limit``   how many entries at most; 0 asks for the number of all
    ``backwards``  takes the page from the end, ``flip`` sends it last entry first
    """

    peer: JID | None = None
    after: int | None = None
    before: int | None = None
    since: int | None = None
    until: int | None = None
    ids: tuple[int, ...] | None = None
    text: str | None = None
    known: frozenset[int] = frozenset()
    limit: int = 50
    backwards: bool = False
    flip: bool = False


def form(full_text: bool) -> bytes:
    """Give the ``<query/>`` with the form of all fields (section 4.1.6); ``full_text`` adds the search."""
    fields = [element("field", None, element("value", None, escape(NS_MAM)), type="hidden", var="FORM_TYPE")]
    fields += [element("field", type=kind, var=name) for name, kind in _FORM_FIELDS]
    fields.append(element("field", None, _OPEN_LIST, type="list-multi", var="ids"))
    if full_text:
        fields += [element("field", type="text-single", var=name) for name in FULL_TEXT_FIELDS]
    return element("query", NS_MAM, element("x", forms.NS_DATA, b"".join(fields), type="form"))


def read(node: domish.Element, default_limit: int, max_limit: int, full_text: bool) -> ArchiveQuery:
    """Read a ``<query/>``; ``full_text`` allows searches. The limits are in entries.

    Raises `StanzaError`: bad-request for what cannot be read, item-not-found for an id that no archive
    ever gives, feature-not-implemented for unknown fields, resource-constraint for too many ids.
    """
    values = _values(node)
    asked = _Reading(ArchiveQuery(), full_text)
    for name, given in values.items():
        asked.field(name, given)
    page = rsm.read(node)
    asked.bound("after", page.after)
    asked.bound("before", page.before)
    return asked.query._replace(
        limit=min(default_limit if page.max is None else page.max, max_limit),
        backwards=page.backwards,
        flip=next(node.elements(NS_MAM, "flip-page"), None) is not None,
    )


def _values(node: domish.Element) -> dict[str, list[str]]:
    """Give the values by field; {} without a form."""
    if next(node.elements(forms.NS_DATA, "x"), None) is None:
        return {}
    values = forms.read(node, NS_MAM)
    if values is None:
        raise StanzaError("bad-request", f"The form is submitted, and its FORM_TYPE is {NS_MAM}")
    return values


class _Reading:
    """A query that becomes narrower with each field."""

    def __init__(self, query: ArchiveQuery, full_text: bool) -> None:
        self.query = query
        self._full_text = full_text

    def field(self, name: str, values: list[str]) -> None:
        """Take one field."""
        if name == "ids":
            self._take_ids(values)
            return
        take = self._FIELDS.get(name)
        if take is None or (name in FULL_TEXT_FIELDS and not self._full_text):
            # Section 4.1.6: a filter that is passed over would give what was not asked for.
            raise StanzaError("feature-not-implemented", f"There is no field {name}")
        if len(values) > 1:
            raise StanzaError("bad-request", f"{name} has one value")
        if values:
            take(self, values[0])

    def bound(self, name: str, text: str | None) -> None:
        """Take ``after`` or ``before`` as clients write it: an id that must be there."""
        if text is None:
            return
        id = _id(text)
        self.query = self.query._replace(known=self.query.known | {id})
        if name == "after":
            self.query = self.query._replace(after=max(id, self.query.after or 0))
        else:
            self.query = self.query._replace(before=min(id, self.query.before or MAX_ID))

    def _take_ids(self, values: list[str]) -> None:
        if len(values) > MAX_IDS:
            raise StanzaError("resource-constraint", f"At most {MAX_IDS} ids at once")
        ids = frozenset(map(_id, values))
        self.query = self.query._replace(ids=tuple(sorted(ids)), known=self.query.known | ids)

    def _take_with(self, text: str) -> None:
        try:
            self.query = self.query._replace(peer=jid.parse(text))
        except InvalidJID as error:
            raise StanzaError("bad-request", f"with: {error}") from None

    def _take_start(self, text: str) -> None:
        self.query = self.query._replace(since=_time_bound("start", text))

    def _take_end(self, text: str) -> None:
        self.query = self.query._replace(until=_time_bound("end", text))

    def _take_text(self, text: str) -> None:
        self.query = self.query._replace(text=text or None)

    def _take_groupchat(self, text: str) -> None:
        """There is no groupchat message here to leave out or to take in."""
        if text not in _BOOLEANS:
            raise StanzaError("bad-request", "include-groupchat is true or false")

    _FIELDS: ClassVar[dict[str, Callable[[_Reading, str], None]]] = {
        "with": _take_with,
        "start": _take_start,
        "end": _take_end,
        "after-id": lambda reading, text: reading.bound("after", text),
        "before-id": lambda reading, text: reading.bound("before", text),
        "include-groupchat": _take_groupchat,
        **dict.fromkeys(FULL_TEXT_FIELDS, _take_text),
    }


def _id(text: str) -> int:
    id = from_text(text)
    if id is None:
        raise not_found()
    return id


def not_found() -> StanzaError:
    """Give the refusal of an id that the archive does not have (sections 4.1.4 and 4.3.2)."""
    return StanzaError("item-not-found", "No message has this id")


def _time_bound(name: str, text: str) -> int:
    """Give the first id, or the last one for ``end``, that a time can have."""
    try:
        seconds = read_stamp(text)
    except ValueError as error:
        raise StanzaError("bad-request", f"{name}: {error}") from None
    return max(0, min(ids.from_time(seconds, end=name == "end"), MAX_ID))
