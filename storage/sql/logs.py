"""Logs: the reads, and the statements of the changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, or_, select
from sqlalchemy.sql.dml import Delete, Insert
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from palaver.interfaces import ILogs
from palaver.storage import Entry, LogQuery, Page
from palaver.storage.sql import fulltext
from palaver.storage.sql.lane import Reader
from palaver.storage.sql.prepared import Given, Statements, padded
from palaver.storage.sql.schema import entries

COLUMNS = Entry._fields
LOG = ("host", "owner", "kind")
REF = (*LOG, "ref")

# What a signed 64-bit column holds; ids are within.
MAX_ID = 2**63 - 1
# Below what any database takes as parameters of one statement.
MAX_IDS = 512
MAX_REFS = 128

EVERYTHING = LogQuery()

_c = entries.c


def _equal(names: Sequence[str]) -> Any:
    return and_(*(_c[name] == bindparam(name) for name in names))


def _get(ids: int) -> Select[Any]:
    asked: list[Any] = [bindparam(f"id{n}") for n in range(ids)]
    return select(*(_c[name] for name in COLUMNS)).where(_equal(LOG), _c.id.in_(asked))


def _matching(found: Select[Any], peer: bool, text: bool) -> Select[Any]:
    found = found.where(_equal(LOG), _c.id >= bindparam("low"), _c.id <= bindparam("high"))
    if peer:
        found = found.where(_equal(("peer",)))
    return found.where(_c.seq.in_(fulltext.matching())) if text else found


def _range(peer: bool, text: bool, backwards: bool, limited: bool) -> Select[Any]:
    found = _matching(select(*(_c[name] for name in COLUMNS)), peer, text)
    found = found.order_by(_c.id.desc() if backwards else _c.id)
    return found.limit(bindparam("limit")) if limited else found


def _count(peer: bool, text: bool) -> Select[Any]:
    return _matching(select(func.count()).select_from(entries), peer, text)


def append() -> Insert:
    """Build the insertion of an entry; parameters are the fields of Entry, in order."""
    return entries.insert().values({name: bindparam(name) for name in COLUMNS})


def with_refs(refs: int) -> Select[Any]:
    """Build the query for `REF` and id of entries with one of these refs; parameters are `ref_names`."""
    # SQLite looks up each alternative by the index; an IN with rows it turns into a scan.
    asked = [
        and_(*(_c[name] == bindparam(f"{name}{n}") for name in REF), _c.id >= bindparam(f"low{n}"))
        for n in range(refs)
    ]
    return select(*(_c[name] for name in REF), _c.id).where(or_(*asked))


@cache
def ref_names(refs: int) -> tuple[str, ...]:
    """Give the parameters of `with_refs`: `REF` and the lowest id that matters, for each of them."""
    return tuple(f"{name}{n}" for n in range(refs) for name in (*REF, "low"))


def delete_entries(columns: int, by: str = "") -> Delete:
    """Build the deletion by the first ``columns`` of `LOG`, and by ``id``, or up to ``until``."""
    return entries.delete().where(_deleted(columns, by))


def delete_words(columns: int, by: str = "") -> Insert:
    """Build the statement that takes what `delete_entries` deletes out of the full-text index."""
    return fulltext.drop(_deleted(columns, by))


def _deleted(columns: int, by: str) -> Any:
    where = _equal(LOG[:columns])
    if by == "id":
        return and_(where, _equal(("id",)))
    return and_(where, _c.id <= bindparam("until")) if by == "until" else where


def bounds(query: LogQuery) -> tuple[int, int]:
    """Give the first and the last id that a query allows."""
    low = max(0, query.since or 0, 0 if query.after is None else query.after + 1)
    high = MAX_ID if query.until is None else query.until
    return low, high if query.before is None else min(high, query.before - 1)


@implementer(ILogs)
class SqlLogs:
    """Reads logs: pages on one lane, searches and counts, which may take long, on another."""

    def __init__(self, statements: Statements, quick: Reader, slow: Reader) -> None:
        self._statements = statements
        self._quick = quick
        self._slow = slow

    def get(self, host: str, owner: str, kind: str, ids: Sequence[int]) -> Deferred[list[Entry]]:
        """See `ILogs`."""
        queries = []
        for start in range(0, len(ids), MAX_IDS):
            asked = padded(ids[start : start + MAX_IDS])
            given: Given = {"host": host, "owner": owner, "kind": kind}
            given |= {f"id{n}": id for n, id in enumerate(asked)}
            queries.append(self._statements.bind(_get, given, len(asked)))

        def read(connection: Connection) -> list[Entry]:
            found = {row[3]: row for query in queries for row in query(connection)}
            return [Entry._make(found[id]) for id in ids if id in found]

        return self._quick.hand_over(read)

    def range(self, host: str, owner: str, kind: str, query: LogQuery) -> Deferred[Page]:
        """See `ILogs`."""
        limit, backwards = query.limit, query.backwards
        given = _given(host, owner, kind, query)
        if given is None:
            return succeed(Page([], True))
        if limit is not None:
            # One more than asked for says whether the page is the last.
            given["limit"] = limit + 1
        shape = (query.peer is not None, query.text is not None, backwards, limit is not None)
        rows_of = self._statements.bind(_range, given, *shape)

        def read(connection: Connection) -> Page:
            rows = rows_of(connection)
            complete = limit is None or len(rows) <= limit
            found = [Entry._make(row) for row in rows[:limit]]
            return Page(found[::-1] if backwards else found, complete)

        return (self._quick if query.text is None else self._slow).hand_over(read)

    def count(self, host: str, owner: str, kind: str, query: LogQuery | None = None) -> Deferred[int]:
        """See `ILogs`."""
        query = query or EVERYTHING
        given = _given(host, owner, kind, query)
        if given is None:
            return succeed(0)
        rows_of = self._statements.bind(_count, given, query.peer is not None, query.text is not None)
        return self._slow.hand_over(lambda connection: rows_of(connection)[0][0])


def _given(host: str, owner: str, kind: str, query: LogQuery) -> Given | None:
    """Give the parameters of `_matching`; None when nothing can match."""
    low, high = bounds(query)
    given: Given = {"host": host, "owner": owner, "kind": kind, "low": low, "high": high}
    if query.peer is not None:
        given["peer"] = query.peer
    if query.text is not None:
        given["match"] = fulltext.pattern(host, owner, kind, query.text)
        if given["match"] is None:
            return None
    return given
