"""Bring a database to the newest schema. Alembic is loaded only when there is something to do."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, select

from palaver.errors import StorageError
from palaver.storage.sql.schema import HEAD, alembic_version, metadata

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> bool:
    """Make the tables, or run the migrations that are missing; gives True when something was done.

    One transaction: a migration that fails leaves the schema as it was, where the database can undo
    such changes. Raises `StorageError` when the schema is newer than this program.
    """
    with connection.begin():
        found = revision(connection)
        if found == HEAD:
            return False
        if found is None:
            metadata.create_all(connection)
            connection.execute(alembic_version.insert().values(version_num=HEAD))
        else:
            upgrade_from(connection, found)
    return True


def revision(connection: Connection) -> str | None:
    """Give the revision of the schema; None for a database without one."""
    if not connection.dialect.has_table(connection, alembic_version.name):
        return None
    return connection.execute(select(alembic_version.c.version_num)).scalar()


def upgrade_from(connection: Connection, found: str | None) -> None:
    """Run the migrations after a revision, all of them after None, inside the connection's transaction."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["connection"] = connection
    if found is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(found)
        except CommandError:
            raise StorageError(f"the database has schema {found}, written by a newer Palaver") from None
    command.upgrade(config, "head")
