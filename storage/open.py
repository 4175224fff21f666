"""The storage that a config names."""

from __future__ import annotations

import os
from typing import Any

from palaver.interfaces import IStorage
from palaver.mistakes import ConfigError

FILE_NAME = "palaver.sqlite"
SCHEMES = "sqlite, sqlite:///path, memory"


def open_storage(url: str, data_dir: str | os.PathLike[str], reactor: Any) -> IStorage:
    """Give the storage of ``[storage] url``, to be started; ``data_dir`` is the folder for plain ``sqlite``.

    Nothing is connected yet. Raises `ConfigError` when no backend is called so, its driver is missing,
    or the file of an embedded database cannot be made.
    """
    if url == "memory":
        from palaver.storage.memory import MemoryStorage

        return MemoryStorage()
    from palaver.storage.sql.storage import SqlStorage

    try:
        return SqlStorage(_sql_url(url, data_dir), reactor, alone=True)
    except OSError as error:
        raise ConfigError(f"storage: {error.filename}: {error.strerror}") from None


def upgrade(url: str, data_dir: str | os.PathLike[str]) -> bool:
    """Migrate a database now, blocking; gives True when something was done.

    For `palaver storage upgrade`. Raises `ConfigError` as `open_storage` does, and `StorageError`.
    """
    if url == "memory":
        return False
    from sqlalchemy.exc import SQLAlchemyError

    from palaver.storage.sql.engines import writer_engine
    from palaver.storage.sql.lane import storage_error
    from palaver.storage.sql.migrate import migrate

    try:
        with writer_engine(_sql_url(url, data_dir)).connect() as connection:
            return migrate(connection)
    except OSError as error:
        raise ConfigError(f"storage: {error.filename}: {error.strerror}") from None
    except SQLAlchemyError as error:
        raise storage_error(error) from error


def _sql_url(url: str, data_dir: str | os.PathLike[str]) -> str:
    if url == "sqlite":
        return f"sqlite:///{os.path.abspath(os.path.join(data_dir, FILE_NAME))}"
    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator or not path:
        raise ConfigError(f"storage.url: no backend for {scheme.partition(':')[0]!r}; allowed: {SCHEMES}")
    return url
