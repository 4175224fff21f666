"""Full-text search, which every database does in its own way; here SQLite's FTS5 (``entries_words``).

The index holds words and no texts. Each row has its log's name as one word of its own
(`SCOPE`), so that a search reads the words of one log, not those of the whole server.
It is kept in step by statements for many rows, as FTS5 flushes itself to the disk before
every statement of a trigger: that made an append cost four times as much.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, bindparam, column, func, literal_column, select, table
from sqlalchemy.sql.dml import Insert

from palaver.storage.codec import words
from palaver.storage.sql.schema import entries

# hex() makes one word of whatever is in a name.
SCOPE = "hex(host || '/' || owner || '/' || kind)"

_INDEXED = ("rowid", "scope", "text")
# A column that is named like the table takes FTS5's commands, and is what MATCH compares.
_COMMAND = "entries_words"
_index = table("entries_words", *(column(name) for name in (_COMMAND, *_INDEXED)))


def last_entry() -> Select[tuple[int]]:
    """Build the query for the ``seq`` of the newest entry, for `add`."""
    return select(func.coalesce(func.max(entries.c.seq), 0))


def add() -> Insert:
    """Build the statement that indexes all entries newer than the parameter ``last``, a ``seq``."""
    return _index.insert().from_select(_INDEXED, _indexed(entries.c.seq > bindparam("last")))


def drop(where: ColumnElement[bool]) -> Insert:
    """Build the statement that takes entries out of the index; it runs before they are deleted."""
    found = _indexed(where).add_columns(literal_column("'delete'"))
    return _index.insert().from_select((*_INDEXED, _COMMAND), found)


def matching() -> Select[tuple[int]]:
    """Build the query for ``entries.seq`` of what matches the parameter ``match``, see `pattern`."""
    found: ColumnElement[bool] = _index.c[_COMMAND].op("MATCH")(bindparam("match"))
    return select(_index.c.rowid).where(found)


def pattern(host: str, owner: str, kind: str, text: str) -> str | None:
    """Give the parameter ``match`` for entries of one log with every word of a text; None without a word."""
    asked: Sequence[str] = words(text)
    if not asked:
        return None
    scope = f"{host}/{owner}/{kind}".encode().hex()
    quoted = " AND ".join(f'"{word}"' for word in asked)
    return f"scope : {scope} AND text : ({quoted})"


def _indexed(where: ColumnElement[bool]) -> Select[tuple[int, str, str]]:
    scope: ColumnElement[str] = literal_column(SCOPE)
    return select(entries.c.seq, scope, entries.c.text).where(where, entries.c.text.is_not(None))
