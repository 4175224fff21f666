"""The storage kinds and what travels through them; backends are modules beside this one.

Every backend provides `palaver.interfaces.IStorage` and passes the conformance
suite in ``test/storage/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

Json = dict[str, Any]


class Document(NamedTuple):
    """A small JSON value.

    ``host``, ``owner`` (a localpart, or any name that the kind defines) and ``kind``
    say whose and what; ``key`` which one. ``rank`` orders a list, ``tags`` find it.
    """

    host: str
    owner: str
    kind: str
    key: str
    value: Json
    rank: int = 0
    tags: tuple[str, ...] = ()


class Entry(NamedTuple):
    """A log entry. ``id`` sorts by time, see `palaver.storage.ids`; ``payload`` is bytes as they came.

    ``peer`` is who the other side was, ``ref`` an id to refuse a second copy by,
    ``text`` what full-text search reads; all may be None.
    """

    host: str
    owner: str
    kind: str
    id: int
    payload: bytes
    peer: str | None = None
    ref: str | None = None
    text: str | None = None


class LogQuery(NamedTuple):
    """Which entries: every bound that is not None holds.

    ``after`` and ``before`` are ids, exclusive; ``since`` and ``until`` are ids too
    (`palaver.storage.ids.from_time`), inclusive. ``peer`` is exact. ``text``: every word occurs.
    ``backwards`` takes the page from the end; the entries are in time order all the same.
    """

    after: int | None = None
    before: int | None = None
    since: int | None = None
    until: int | None = None
    peer: str | None = None
    text: str | None = None
    limit: int | None = None
    backwards: bool = False


class Page(NamedTuple):
    """What `ILogs.range` gives; ``complete`` when nothing lies beyond it in its direction."""

    entries: list[Entry]
    complete: bool


class Conflict(Exception):
    """A condition of the batch does not hold; nothing was written."""


class PutDocument(NamedTuple):
    """Store a document.

    With ``only`` "new" it must be absent, with "old" present, or the batch fails with Conflict.
    """

    document: Document
    only: Literal["new", "old"] | None = None


class DeleteDocuments(NamedTuple):
    """Delete documents: one by ``key``.

    All of a ``kind`` when key is None; all of the owner when kind is None.
    """

    host: str
    owner: str
    kind: str | None = None
    key: str | None = None


class AppendEntry(NamedTuple):
    """Append an entry; the batch fails with Conflict when its log has one with the same id.

    When ``ref`` is set, ``window`` is not 0, and an entry with the same owner, kind and ref lies
    within ``window`` ids before it, nothing is stored a second time, and the batch goes on.

    One that ``follows`` belongs to an entry of another log with the same id, appended before it in the batch
    with nothing but entries in between: it is not stored when that one was there already.
    """

    entry: Entry
    window: int = 0
    follows: bool = False


class DeleteEntries(NamedTuple):
    """Delete entries by ``ids``; when that is None, all up to ``until`` (inclusive), or simply all.

    Of one log, or of all of the owner's when kind is None.
    """

    host: str
    owner: str
    kind: str | None = None
    ids: Sequence[int] | None = None
    until: int | None = None


Change = PutDocument | DeleteDocuments | AppendEntry | DeleteEntries


class Batch:
    """Changes that are committed together, in order."""

    __slots__ = ("changes",)

    def __init__(self, *changes: Change) -> None:
        self.changes: list[Change] = list(changes)

    def put(
        self,
        host: str,
        owner: str,
        kind: str,
        key: str,
        value: Json,
        *,
        rank: int = 0,
        tags: tuple[str, ...] = (),
        only: Literal["new", "old"] | None = None,
    ) -> Batch:
        """Add a `PutDocument`; gives itself."""
        self.changes.append(PutDocument(Document(host, owner, kind, key, value, rank, tags), only))
        return self

    def delete(self, host: str, owner: str, kind: str | None = None, key: str | None = None) -> Batch:
        """Add a `DeleteDocuments`; gives itself."""
        self.changes.append(DeleteDocuments(host, owner, kind, key))
        return self

    def append(self, entry: Entry, window: int = 0, *, follows: bool = False) -> Batch:
        """Add an `AppendEntry`; gives itself."""
        self.changes.append(AppendEntry(entry, window, follows))
        return self

    def drop(
        self,
        host: str,
        owner: str,
        kind: str | None = None,
        *,
        ids: Sequence[int] | None = None,
        until: int | None = None,
    ) -> Batch:
        """Add a `DeleteEntries`; gives itself."""
        self.changes.append(DeleteEntries(host, owner, kind, ids, until))
        return self
