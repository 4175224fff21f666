"""The statements that store a document, of which one differs between databases."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, bindparam
from sqlalchemy.sql import ClauseElement

from palaver.storage.sql.documents import COLUMNS, KEY, TAG_COLUMNS
from palaver.storage.sql.schema import document_tags, documents

_CHANGED = [name for name in COLUMNS if name not in KEY]


def upsert_document(dialect: str) -> ClauseElement:
    """Build the statement that stores a document, there or not; parameters are `COLUMNS`."""
    given: dict[str, Any] = {name: bindparam(name) for name in COLUMNS}
    if dialect in ("mysql", "mariadb"):
        from sqlalchemy.dialects import mysql

        added = mysql.insert(documents).values(given)
        return added.on_duplicate_key_update({name: added.inserted[name] for name in _CHANGED})
    # PostgreSQL took over SQLite's words, or the other way round; SQLAlchemy has a class for each.
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    new = insert(documents).values(given)
    return new.on_conflict_do_update(index_elements=KEY, set_={name: new.excluded[name] for name in _CHANGED})


def insert_document() -> ClauseElement:
    """Build the statement that stores a document which must be absent; parameters are `COLUMNS`."""
    return documents.insert().values({name: bindparam(name) for name in COLUMNS})


def update_document() -> ClauseElement:
    """Build the statement that stores a document which must be there; parameters are `COLUMNS`."""
    same = and_(*(documents.c[name] == bindparam(name) for name in KEY))
    return documents.update().where(same).values({name: bindparam(name) for name in _CHANGED})


def insert_tag() -> ClauseElement:
    """Build the statement that stores a tag; parameters are `TAG_COLUMNS`."""
    return document_tags.insert().values({name: bindparam(name) for name in TAG_COLUMNS})
