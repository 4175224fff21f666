"""Engines by database URL, and what each database needs to be told when it is connected to."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import sqlalchemy
from sqlalchemy import Engine, event
from sqlalchemy.pool import NullPool

# The `palaver` command writes while a server runs; longer than any commit takes.
BUSY_TIMEOUT_S = 10
FILE_MODE = 0o600
FOLDER_MODE = 0o700

# FULL: a commit is on the disk when it returns. The journal's mode is kept by the file itself.
WRITER_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL")
READER_PRAGMAS = ("query_only=ON",)


def writer_engine(url: str) -> Engine:
    """Give the engine for the one connection that writes; every transaction takes the write lock at once.

    Raises what SQLAlchemy raises for an unusable URL, `ImportError` for a missing driver, `OSError`
    when the file of an embedded database cannot be made.
    """
    engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        _create_file(engine.url.database or "")
        event.listen(engine, "connect", _sqlite(WRITER_PRAGMAS))
        event.listen(engine, "begin", _begin_immediate)
    return engine


def reader_engine(url: str) -> Engine:
    """Give the engine for connections that read: each statement sees what is committed when it starts."""
    engine = sqlalchemy.create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite(READER_PRAGMAS))
        return engine
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _create_file(path: str) -> None:
    """Make the database with nobody else allowed; SQLite gives its other files the same mode."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), FOLDER_MODE, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, FILE_MODE))


def _sqlite(pragmas: tuple[str, ...]) -> Callable[[Any, Any], None]:
    def connected(connection: Any, record: Any) -> None:
        # The driver must not begin transactions of its own: SQLAlchemy's events do.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    return connected


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
