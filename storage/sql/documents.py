"""Documents: the reads, and the statements of the changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, select, tuple_
from sqlalchemy.sql.dml import Delete
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from palaver.interfaces import IDocuments
from palaver.storage import Document, PutDocument
from palaver.storage.codec import decode_values, encode_value
from palaver.storage.sql.lane import Reader
from palaver.storage.sql.prepared import Given, Row, Statements, padded
from palaver.storage.sql.schema import document_tags, documents

# `list` is a method of the class that gives them.
DocumentList = list[Document]
Owners = list[str]

KEY = ("host", "owner", "kind", "key")
COLUMNS = (*KEY, "value", "rank", "tags")
TAG_COLUMNS = ("host", "kind", "tag", "owner", "key")

_c = documents.c


def to_row(change: PutDocument, texts: dict[int, str]) -> Row:
    """Give the values of `COLUMNS`; raises `TypeError` or `ValueError` when the value is not JSON.

    ``texts`` has values that are encoded already by their identity, while they are in use.
    """
    host, owner, kind, key, value, rank, tags = change.document
    text = texts.get(id(value))
    if text is None:
        text = texts[id(value)] = encode_value(value)
    return host, owner, kind, key, text, rank, json.dumps(tags) if tags else ""


def from_rows(rows: Sequence[Row]) -> list[Document]:
    """Give the documents of rows of `COLUMNS`."""
    values = decode_values([row[4] for row in rows])
    return [
        Document(host, owner, kind, key, value, rank, tuple(json.loads(tags)) if tags else ())
        for (host, owner, kind, key, _, rank, tags), value in zip(rows, values, strict=True)
    ]


def _equal(names: Sequence[str], table: Any = documents) -> Any:
    return and_(*(table.c[name] == bindparam(name) for name in names))


def _get() -> Select[Any]:
    return select(*(_c[name] for name in COLUMNS)).where(_equal(KEY))


def _list(kinds: int, descending: bool, limited: bool, continued: bool) -> Select[Any]:
    found = select(*(_c[name] for name in COLUMNS)).where(_equal(("host", "owner")))
    found = found.where(_c.kind.in_([bindparam(f"kind{n}") for n in range(kinds)]))
    if continued:
        place = tuple_(_c.rank, _c.key)
        last = tuple_(bindparam("after_rank"), bindparam("after_key"))
        found = found.where(place < last if descending else place > last)
    order = (_c.kind, _c.rank, _c.key)
    found = found.order_by(*(column.desc() for column in order) if descending else order)
    return found.limit(bindparam("limit")) if limited else found


def _find(limited: bool, continued: bool) -> Select[Any]:
    t = document_tags.c
    same = and_(*(t[name] == _c[name] for name in KEY))
    found = select(*(_c[name] for name in COLUMNS)).join_from(document_tags, documents, same)
    found = found.where(_equal(("host", "kind", "tag"), document_tags))
    if continued:
        found = found.where(tuple_(t.owner, t.key) > tuple_(bindparam("after_owner"), bindparam("after_key")))
    found = found.order_by(t.owner, t.key)
    return found.limit(bindparam("limit")) if limited else found


def _owners(columns: Sequence[str], limited: bool, continued: bool) -> Select[Any]:
    found = select(_c.owner).distinct().where(_equal(columns)).order_by(_c.owner)
    if continued:
        found = found.where(_c.owner > bindparam("after"))
    return found.limit(bindparam("limit")) if limited else found


def _count() -> Select[Any]:
    return select(func.count()).select_from(documents).where(_equal(KEY[:3]))


def delete_documents(columns: int) -> Delete:
    """Build the deletion by the first ``columns`` of `KEY`."""
    return documents.delete().where(_equal(KEY[:columns]))


def delete_tags(columns: int) -> Delete:
    """Build the deletion of the tags of what `delete_documents` deletes."""
    return document_tags.delete().where(_equal(KEY[:columns], document_tags))


@implementer(IDocuments)
class SqlDocuments:
    """Reads documents: quick ones on one lane, those that may take long on another."""

    def __init__(self, statements: Statements, quick: Reader, slow: Reader) -> None:
        self._statements = statements
        self._quick = quick
        self._slow = slow

    def get(self, host: str, owner: str, kind: str, key: str = "") -> Deferred[Document | None]:
        """See `IDocuments`."""
        query = self._statements.bind(_get, {"host": host, "owner": owner, "kind": kind, "key": key})

        def read(connection: Connection) -> Document | None:
            return next(iter(from_rows(query(connection))), None)

        return self._quick.hand_over(read)

    def list(
        self,
        host: str,
        owner: str,
        kinds: Sequence[str],
        *,
        descending: bool = False,
        limit: int | None = None,
        after: tuple[int, str] | None = None,
    ) -> Deferred[DocumentList]:
        """See `IDocuments`."""
        if after is not None and len(kinds) != 1:
            return fail(ValueError("after needs a single kind"))
        if not kinds:
            return succeed([])
        asked = padded(kinds)
        given: Given = {"host": host, "owner": owner, **{f"kind{n}": kind for n, kind in enumerate(asked)}}
        if after is not None:
            given["after_rank"], given["after_key"] = after
        if limit is not None:
            given["limit"] = limit
        shape = (len(asked), descending, limit is not None, after is not None)
        query = self._statements.bind(_list, given, *shape)
        return self._quick.hand_over(lambda connection: from_rows(query(connection)))

    def find(
        self,
        host: str,
        kind: str,
        tag: str,
        *,
        limit: int | None = None,
        after: tuple[str, str] | None = None,
    ) -> Deferred[DocumentList]:
        """See `IDocuments`."""
        given: Given = {"host": host, "kind": kind, "tag": tag}
        if after is not None:
            given["after_owner"], given["after_key"] = after
        if limit is not None:
            given["limit"] = limit
        query = self._statements.bind(_find, given, limit is not None, after is not None)
        return self._slow.hand_over(lambda connection: from_rows(query(connection)))

    def owners(
        self, host: str, kind: str | None, *, limit: int | None = None, after: str | None = None
    ) -> Deferred[Owners]:
        """See `IDocuments`."""
        given: Given = {"host": host} if kind is None else {"host": host, "kind": kind}
        columns = tuple(given)
        if after is not None:
            given["after"] = after
        if limit is not None:
            given["limit"] = limit
        query = self._statements.bind(_owners, given, columns, limit is not None, after is not None)
        return self._slow.hand_over(lambda connection: [owner for (owner,) in query(connection)])

    def count(self, host: str, owner: str, kind: str) -> Deferred[int]:
        """See `IDocuments`."""
        query = self._statements.bind(_count, {"host": host, "owner": owner, "kind": kind})
        return self._quick.hand_over(lambda connection: query(connection)[0][0])
