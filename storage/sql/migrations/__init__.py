"""Schema migrations, an Alembic environment; made and run as `palaver.storage.sql.migrate` says."""
