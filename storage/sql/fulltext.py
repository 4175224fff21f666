"""Full-text search, which every database does in its own way; here SQLite's FTS5.

The index is contentless: it holds words, and triggers on ``entries`` keep it in step.
Each row has its log's name as one word of its own (`_SCOPE`), so that a search
reads the words of one log, not those of the whole server.
"""

from __future__ import annotations

from sqlalchemy import DDL, ColumnElement, MetaData, Select, bindparam, column, event, select, table

from palaver.storage.codec import words

DIALECTS = ("sqlite",)

# hex() makes one word of whatever is in a name.
_SCOPE = "hex({row}.host || '/' || {row}.owner || '/' || {row}.kind)"

SQLITE = (
    "CREATE VIRTUAL TABLE entries_words USING fts5("
    "scope, text, content='', tokenize='unicode61 remove_diacritics 2')",
    "CREATE TRIGGER entries_words_add AFTER INSERT ON entries WHEN new.text IS NOT NULL BEGIN "
    "INSERT INTO entries_words(rowid, scope, text) "
    f"VALUES (new.seq, {_SCOPE.format(row='new')}, new.text); END",
    "CREATE TRIGGER entries_words_drop AFTER DELETE ON entries WHEN old.text IS NOT NULL BEGIN "
    "INSERT INTO entries_words(entries_words, rowid, scope, text) "
    f"VALUES ('delete', old.seq, {_SCOPE.format(row='old')}, old.text); END",
)

_words = table("entries_words", column("rowid"), column("entries_words"))


def attach(metadata: MetaData) -> None:
    """Make the index together with the tables."""
    for statement in SQLITE:
        event.listen(metadata, "after_create", DDL(statement).execute_if(dialect="sqlite"))


def matching() -> Select[tuple[int]]:
    """Give the select of ``entries.seq`` of what matches the parameter ``match``, see `pattern`."""
    found: ColumnElement[bool] = _words.c.entries_words.op("MATCH")(bindparam("match"))
    return select(_words.c.rowid).where(found)


def pattern(host: str, owner: str, kind: str, text: str) -> str | None:
    """Give the parameter ``match`` for entries of one log with every word of a text; None without a word."""
    asked = words(text)
    if not asked:
        return None
    scope = f"{host}/{owner}/{kind}".encode().hex()
    quoted = " AND ".join(f'"{word}"' for word in asked)
    return f"scope : {scope} AND text : ({quoted})"
