"""Lanes: each a database connection with its thread, and the queue of what waits for it.

A hop to the thread and back costs more than most of what is done there, so everything
that was handed over while the thread was busy goes there together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from twisted._threads import ThreadWorker
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from palaver import metrics, upstream
from palaver.errors import StorageError

# More than a database that is alive ever leaves undone; what comes then fails at once.
MAX_WAITING = 20_000
# One hop's worth: bounds how long a transaction takes, and how long the reactor is busy with its answers.
MAX_GROUP = 1000

# What a value that no column takes makes a driver raise: a number too large, half a character.
CONTENT_ERRORS = (TypeError, ValueError, OverflowError)

Work = TypeVar("Work")


class Lane(Generic[Work]):
    """Runs ``group(connection, works)`` in the connection's thread, with all works that wait.

    ``group`` gives one outcome a work: its result, or the exception that it fails with. When
    ``group`` itself raises, all of its works fail. ``kind`` (read or write) labels the metrics.
    """

    def __init__(
        self,
        kind: str,
        engine: Engine,
        reactor: Any,
        group: Callable[[Connection, Sequence[Work]], list[Any]],
    ) -> None:
        self._kind = kind
        self._engine = engine
        self._reactor = reactor
        self._group = group
        self._connection: Any = None
        self._waiting: list[tuple[Work, Deferred[Any]]] = []
        self._busy = False
        self._idle: Deferred[None] | None = None
        self._ungauge: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Connect; raises `StorageError`."""
        upstream.restore_for_alchimia()
        import alchimia

        workers: list[ThreadWorker] = []
        try:
            engine = alchimia.wrap_engine(self._reactor, self._engine, lambda: _started(workers))
            self._connection = await engine.connect()
        except SQLAlchemyError as error:
            workers[-1].quit()
            raise storage_error(error) from error
        finally:
            # This one is for what is asked of the engine itself, which is nothing more.
            workers[0].quit()
        self._ungauge = metrics.gauge(
            "storage_waiting", "Reads and changes that wait for the database.", lambda: len(self._waiting)
        )

    async def close(self) -> None:
        """Do what was handed over, refuse the rest, then disconnect."""
        connection, self._connection = self._connection, None
        self._ungauge()
        self._ungauge = lambda: None
        if self._busy:
            self._idle = Deferred()
            await self._idle
        if connection is not None:
            await connection.close()

    def run(self, work: Callable[[Connection], Any]) -> Deferred[Any]:
        """Call a function in the thread, outside of any group; for work before the first hand-over."""
        return upstream.run_on(self._connection, work)

    def hand_over(self, work: Work) -> Deferred[Any]:
        """Give a Deferred of the work's outcome; fails at once when the lane is closed or too much waits."""
        if self._connection is None:
            return fail(StorageError("the storage is not open"))
        if len(self._waiting) >= MAX_WAITING:
            return fail(StorageError("the database does not keep up"))
        done: Deferred[Any] = Deferred()
        self._waiting.append((work, done))
        if not self._busy:
            self._busy = True
            self._send(self._connection)
        return done

    def _send(self, connection: Any) -> None:
        group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
        outcomes: Deferred[list[Any]] = upstream.run_on(
            connection, lambda connection: self._group(connection, [work for work, _ in group])
        )
        outcomes.addErrback(self._failed, len(group))
        outcomes.addCallback(self._answer, connection, group)

    def _failed(self, failure: Failure, size: int) -> list[Any]:
        error = failure.value
        return [storage_error(error) if isinstance(error, SQLAlchemyError) else error] * size

    def _answer(self, outcomes: list[Any], connection: Any, group: list[tuple[Work, Deferred[Any]]]) -> None:
        # The next group leaves first: the database works while the reactor deals with these answers.
        if self._waiting:
            self._send(connection)
        else:
            self._busy = False
        for outcome, (_, done) in zip(outcomes, group, strict=True):
            if isinstance(outcome, BaseException):
                if isinstance(outcome, StorageError):
                    metrics.storage_failures[self._kind] += 1
                done.errback(outcome)
            else:
                done.callback(outcome)
        if self._idle is not None and not self._busy:
            idle, self._idle = self._idle, None
            idle.callback(None)


def _started(workers: list[ThreadWorker]) -> ThreadWorker:
    """Add a thread with a queue that is written in C; alchimia's own costs as much as a small read."""

    def start(target: Callable[[], object]) -> None:
        Thread(target=target, daemon=True).start()

    workers.append(ThreadWorker(start, SimpleQueue()))
    return workers[-1]


def storage_error(error: Exception) -> StorageError:
    """Give what the database said, without statement and parameters: those may be somebody's messages."""
    return StorageError(str(getattr(error, "orig", None) or error))


def read_group(connection: Connection, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
    """Run reads one after the other; one that fails does not touch the others."""
    outcomes: list[Any] = []
    for work in works:
        try:
            outcomes.append(work(connection))
        except SQLAlchemyError as error:
            connection.rollback()
            outcomes.append(storage_error(error))
        except CONTENT_ERRORS as error:
            outcomes.append(error)
    return outcomes


class Reader(Lane[Callable[[Connection], Any]]):
    """A lane for reads: works are functions of the connection."""

    def __init__(self, engine: Engine, reactor: Any) -> None:
        super().__init__("read", engine, reactor, read_group)
