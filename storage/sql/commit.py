"""Group commit: the batches that wait become one transaction, and one fsync serves them all.

First all batches are applied together, neighbouring changes of one shape in one
`executemany`. Only when a condition of one of them does not hold is the transaction
rolled back and done again with a savepoint around each batch, so that this one fails alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from palaver import metrics
from palaver.storage import Conflict
from palaver.storage.sql.lane import CONTENT_ERRORS, Lane, storage_error
from palaver.storage.sql.steps import Plan, repeated, run

# What the content of one batch can make a driver raise; the rest of the group is not concerned.
Refused = (SQLAlchemyError, Conflict, *CONTENT_ERRORS)


class Writer(Lane[Plan]):
    """The lane of the connection that writes."""

    def __init__(self, engine: Engine, reactor: Any) -> None:
        super().__init__("write", engine, reactor, commit_group)


def commit_group(connection: Connection, plans: Sequence[Plan]) -> list[Any]:
    """Commit plans in one transaction; gives for each what `IStorage.write` fires with, or an exception.

    Raises when the database cannot commit; nothing is written then. It is not tried again: whoever
    waits learns of it and decides.
    """
    began = time.perf_counter()
    outcomes = _commit_all(connection, plans)
    metrics.commit_seconds.observe(time.perf_counter() - began)
    metrics.commit_changes.observe(sum(map(len, plans)))
    return outcomes


def _commit_all(connection: Connection, plans: Sequence[Plan]) -> list[Any]:
    try:
        with connection.begin():
            repeats = run(plans, connection)
    except OperationalError:
        # Disk, locks, the way to the server: no batch is to blame.
        raise
    except Refused:
        with connection.begin():
            return [_commit_one(connection, plan) for plan in plans]
    return [repeated(plan, repeats) for plan in plans] if repeats else [None] * len(plans)


def _commit_one(connection: Connection, plan: Plan) -> Exception | dict[int, int] | None:
    try:
        with connection.begin_nested():
            return repeated(plan, run([plan], connection))
    except OperationalError:
        raise
    except IntegrityError as error:
        return Conflict(str(error.orig))
    except SQLAlchemyError as error:
        return storage_error(error)
    except (Conflict, *CONTENT_ERRORS) as error:
        return error
