"""What the changes of a batch become: steps, each a function that applies many changes of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection

from palaver.storage import (
    AppendEntry,
    Batch,
    Conflict,
    DeleteDocuments,
    DeleteEntries,
    Entry,
    PutDocument,
)
from palaver.storage.sql import documents, fulltext, logs, upserts
from palaver.storage.sql.prepared import Prepared, Row, Statements, padded

# A function that applies a list of items, and one item of its.
Step = Callable[[Connection, list[Any]], "Repeats | None"]
Planned = tuple[Step, Any]
# By host, owner, kind and id of entries that were there already: the ids that they were stored with.
Repeats = dict[tuple[str, str, str, int], int]
# The columns of a document, and its tags.
DocumentItem = tuple[Row, tuple[str, ...]]


class Plan:
    """The changes of one batch as steps: those of documents and those of logs, each in order.

    Documents and logs are different tables, so neither waits for the other.
    """

    __slots__ = ("documents", "logs")

    def __init__(self) -> None:
        self.documents: list[Planned] = []
        self.logs: list[Planned] = []

    def __len__(self) -> int:
        return len(self.documents) + len(self.logs)


def run(plans: Sequence[Plan], connection: Connection) -> Repeats:
    """Apply plans in order, neighbouring items of one step together; gives what was not stored again.

    Raises `Conflict`, or what the driver raises.
    """
    repeats: Repeats = {}
    tracks: Iterable[Iterable[Planned]] = (
        (planned for plan in plans for planned in plan.documents),
        (planned for plan in plans for planned in plan.logs),
    )
    for track in tracks:
        for step, items in groupby(track, itemgetter(0)):
            found = step(connection, [item for _, item in items])
            if found:
                repeats |= found
    return repeats


def repeated(plan: Plan, repeats: Repeats) -> dict[int, int] | None:
    """Give the ids of one plan's entries that were there already, by their new ones; None when none was."""
    entries = [item.entry for _, item in plan.logs if isinstance(item, AppendEntry)]
    return {entry.id: repeats[entry[:4]] for entry in entries if entry[:4] in repeats} or None


class Steps:
    """Makes plans for one database."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        dialect = statements.dialect.name
        # Made once: groupby compares them.
        self._puts: dict[str | None, Step] = {
            None: partial(self._upsert, statements.get(upserts.upsert_document, documents.COLUMNS, dialect)),
            "new": self._insert,
            "old": self._update,
        }
        self._append: Step = self._append_entries
        self._deletions: dict[tuple[Any, ...], Step] = {}

    def plan(self, batch: Batch) -> Plan:
        """Turn a batch into steps; raises `TypeError` or `ValueError` for values that are not JSON."""
        plan = Plan()
        # Values of several documents, such as a message in the inboxes of a whole room, are encoded once.
        texts: dict[int, str] = {}
        for change in batch.changes:
            if isinstance(change, AppendEntry):
                plan.logs.append((self._append, change))
            elif isinstance(change, PutDocument):
                item = documents.to_row(change, texts), change.document.tags
                plan.documents.append((self._puts[change.only], item))
            elif isinstance(change, DeleteDocuments):
                plan.documents.append(self._document_deletion(change))
            else:
                plan.logs.extend(self._entry_deletions(change))
        return plan

    # -- documents ------------------------------------------------------------------

    def _upsert(self, statement: Prepared, connection: Connection, items: list[DocumentItem]) -> None:
        last = _last(items)
        statement.write(connection, _rows(last))
        self._set_tags(connection, last)

    def _insert(self, connection: Connection, items: list[DocumentItem]) -> None:
        self._statements.get(upserts.insert_document, documents.COLUMNS).write(connection, _rows(items))
        self._add_tags(connection, items)

    def _update(self, connection: Connection, items: list[DocumentItem]) -> None:
        statement = self._statements.get(upserts.update_document, documents.COLUMNS)
        if statement.write(connection, _rows(items)) != len(items):
            raise Conflict("a document that should be replaced is not there")
        self._set_tags(connection, _last(items))

    def _set_tags(self, connection: Connection, items: list[DocumentItem]) -> None:
        keys = [row[: len(documents.KEY)] for row, _ in items]
        self._statements.get(documents.delete_tags, documents.KEY, len(documents.KEY)).write(connection, keys)
        self._add_tags(connection, items)

    def _add_tags(self, connection: Connection, items: Iterable[DocumentItem]) -> None:
        rows = [
            (host, kind, tag, owner, key)
            for (host, owner, kind, key, *_), tags in items
            for tag in dict.fromkeys(tags)
        ]
        if rows:
            self._statements.get(upserts.insert_tag, documents.TAG_COLUMNS).write(connection, rows)

    def _document_deletion(self, change: DeleteDocuments) -> Planned:
        columns = 2 if change.kind is None else 3 if change.key is None else 4
        step = self._deletions.get(("documents", columns))
        if step is None:
            step = self._deletions["documents", columns] = partial(self._delete_documents, columns)
        return step, change[:columns]

    def _delete_documents(self, columns: int, connection: Connection, rows: list[Row]) -> None:
        for make in (documents.delete_documents, documents.delete_tags):
            self._statements.get(make, documents.KEY[:columns], columns).write(connection, rows)

    # -- logs -----------------------------------------------------------------------

    def _append_entries(self, connection: Connection, items: list[AppendEntry]) -> Repeats:
        entries, repeats = self._fresh(connection, items)
        if not entries:
            return repeats
        get = self._statements.get
        worded = any(entry.text is not None for entry in entries)
        last = get(fulltext.last_entry, ()).read(connection, ()) if worded else []
        get(logs.append, logs.COLUMNS).write(connection, entries)
        if worded:
            get(fulltext.add, ("last",)).write(connection, last)
        return repeats

    def _fresh(self, connection: Connection, items: list[AppendEntry]) -> tuple[list[Entry], Repeats]:
        """Take out the entries whose ref is there, from before or from earlier in the list."""
        lows: dict[Row, int] = {}
        for entry, window, _ in items:
            if window and entry.ref is not None:
                ref = _ref(entry)
                lows[ref] = min(entry.id - window, lows.get(ref, logs.MAX_ID))
        known = self._known_refs(connection, lows)
        fresh: list[Entry] = []
        gone: set[int] = set()
        repeats: Repeats = {}
        for entry, window, follows in items:
            if follows and entry.id in gone:
                continue
            ids = known.get(_ref(entry)) if known else None
            if ids is not None:
                if window:
                    same = max((id for id in ids if entry.id - window <= id <= entry.id), default=None)
                    if same is not None:
                        repeats[entry[:4]] = same
                        gone.add(entry.id)
                        continue
                ids.append(entry.id)
            fresh.append(entry)
        return fresh, repeats

    def _known_refs(self, connection: Connection, lows: dict[Row, int]) -> dict[Row, list[int]]:
        """Give the stored ids of each ref, from the lowest that matters on."""
        known: dict[Row, list[int]] = {ref: [] for ref in lows}
        asked = [(*ref, low) for ref, low in lows.items()]
        for start in range(0, len(asked), logs.MAX_REFS):
            some = padded(asked[start : start + logs.MAX_REFS])
            query = self._statements.get(logs.with_refs, logs.ref_names(len(some)), len(some))
            for *ref, id in query.read(connection, tuple(chain.from_iterable(some))):
                known[tuple(ref)].append(id)
        return known

    def _entry_deletions(self, change: DeleteEntries) -> Iterable[Planned]:
        columns = 2 if change.kind is None else 3
        log: Row = change[:columns]
        if change.ids is not None:
            step = self._entry_deletion(columns, "id")
            return [(step, (*log, id)) for id in change.ids]
        if change.until is not None:
            return [(self._entry_deletion(columns, "until"), (*log, change.until))]
        return [(self._entry_deletion(columns), log)]

    def _entry_deletion(self, columns: int, *by: str) -> Step:
        step = self._deletions.get((columns, *by))
        if step is None:
            step = self._deletions[columns, *by] = partial(self._delete_entries, columns, by)
        return step

    def _delete_entries(
        self, columns: int, by: tuple[str, ...], connection: Connection, rows: list[Row]
    ) -> None:
        for make in (logs.delete_words, logs.delete_entries):
            self._statements.get(make, (*logs.LOG[:columns], *by), columns, *by).write(connection, rows)


def _ref(entry: Entry) -> Row:
    return entry.host, entry.owner, entry.kind, entry.ref


def _last(items: list[DocumentItem]) -> list[DocumentItem]:
    """Leave out what is put again later in the list."""
    return list({item[0][: len(documents.KEY)]: item for item in items}.values())


def _rows(items: Iterable[DocumentItem]) -> list[Row]:
    return [row for row, _ in items]
