"""The tables. A change here needs a revision in ``migrations/versions/`` and the new `HEAD`.

Strings that are part of a key compare by code point in every database; their lengths
matter to MySQL only, whose keys end at 3072 bytes, four a character.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    event,
)

HEAD = "0001"
"""The newest revision in ``migrations/versions/``."""

HOST_CHARS = 128
NAME_CHARS = 200
KIND_CHARS = 32
BYTES_MAX = 2**32 - 1

metadata = MetaData()


def name(chars: int) -> String:
    """Give the type of a key's part."""
    return (
        String(chars)
        .with_variant(String(chars, collation="utf8mb4_bin"), "mysql", "mariadb")
        .with_variant(String(collation="C"), "postgresql")
    )


def key(column: str, chars: int) -> Column[str]:
    """Give a column that is part of the primary key."""
    return Column(column, name(chars), primary_key=True)


# MySQL keeps 64 KiB in a plain TEXT or BLOB; with a length it picks the larger kind.
long_text = Text().with_variant(Text(BYTES_MAX), "mysql", "mariadb")
long_bytes = LargeBinary().with_variant(LargeBinary(BYTES_MAX), "mysql", "mariadb")

# Without a rowid, as what one login reads then lies on neighbouring pages.
documents = Table(
    "documents",
    metadata,
    key("host", HOST_CHARS),
    key("owner", NAME_CHARS),
    key("kind", KIND_CHARS),
    key("key", NAME_CHARS),
    Column("value", long_text, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("tags", Text, nullable=False),
    Index("documents_by_rank", "host", "kind", "owner", "rank", "key"),
    sqlite_with_rowid=False,
)

# The tags of `documents` once more, to find by.
document_tags = Table(
    "document_tags",
    metadata,
    key("host", HOST_CHARS),
    key("kind", KIND_CHARS),
    key("tag", NAME_CHARS),
    key("owner", NAME_CHARS),
    key("key", NAME_CHARS),
    Index("document_tags_by_document", "host", "owner", "kind", "key"),
    sqlite_with_rowid=False,
)

entries = Table(
    "entries",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("host", name(HOST_CHARS), nullable=False),
    Column("owner", name(NAME_CHARS), nullable=False),
    Column("kind", name(KIND_CHARS), nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("payload", long_bytes, nullable=False),
    Column("peer", name(NAME_CHARS)),
    Column("ref", name(NAME_CHARS)),
    Column("text", long_text),
)
Index("entries_by_id", entries.c.host, entries.c.owner, entries.c.kind, entries.c.id, unique=True)
for _column in (entries.c.peer, entries.c.ref):
    _given = _column.is_not(None)
    Index(
        f"entries_by_{_column.name}",
        entries.c.host,
        entries.c.owner,
        entries.c.kind,
        _column,
        entries.c.id,
        # Naming another database's option here would load its whole dialect, 3 MiB.
        sqlite_where=_given,
    )

# Alembic's own table, so that a fresh database is marked without loading Alembic.
alembic_version = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

# Without the texts, which `entries` has; no other database knows such tables.
event.listen(
    metadata,
    "after_create",
    DDL(
        "CREATE VIRTUAL TABLE entries_words USING fts5("
        "scope, text, content='', tokenize='unicode61 remove_diacritics 2')"
    ).execute_if(dialect="sqlite"),
)
