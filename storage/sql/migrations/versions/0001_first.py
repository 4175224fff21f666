"""The first schema: documents, their tags, logs, full text."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(2**32 - 1), "mysql", "mariadb")
BYTES = sa.LargeBinary().with_variant(sa.LargeBinary(2**32 - 1), "mysql", "mariadb")
SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")

WORDS_SQLITE = (
    "CREATE VIRTUAL TABLE entries_words USING fts5("
    "scope, text, content='', tokenize='unicode61 remove_diacritics 2')"
)


def name(column: str, chars: int, nullable: bool = False) -> sa.Column[str]:
    """Give a column that compares by code point."""
    type_ = (
        sa.String(chars)
        .with_variant(sa.String(chars, collation="utf8mb4_bin"), "mysql", "mariadb")
        .with_variant(sa.String(collation="C"), "postgresql")
    )
    return sa.Column(column, type_, nullable=nullable)


def upgrade() -> None:
    """Make everything."""
    op.create_table(
        "documents",
        name("host", 128),
        name("owner", 200),
        name("kind", 32),
        name("key", 200),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("rank", sa.BigInteger, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("host", "owner", "kind", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("documents_by_rank", "documents", ["host", "kind", "owner", "rank", "key"])
    op.create_table(
        "document_tags",
        name("host", 128),
        name("kind", 32),
        name("tag", 200),
        name("owner", 200),
        name("key", 200),
        sa.PrimaryKeyConstraint("host", "kind", "tag", "owner", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("document_tags_by_document", "document_tags", ["host", "owner", "kind", "key"])
    _create_entries()


def _create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("seq", SERIAL, primary_key=True),
        name("host", 128),
        name("owner", 200),
        name("kind", 32),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("payload", BYTES, nullable=False),
        name("peer", 200, nullable=True),
        name("ref", 200, nullable=True),
        sa.Column("text", TEXT),
    )
    op.create_index("entries_by_id", "entries", ["host", "owner", "kind", "id"], unique=True)
    for column in ("peer", "ref"):
        given = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"entries_by_{column}",
            "entries",
            ["host", "owner", "kind", column, "id"],
            sqlite_where=given,
        )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(WORDS_SQLITE)
