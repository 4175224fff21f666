"""The SQL backend."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from palaver.interfaces import IStorage
from palaver.log import Log
from palaver.storage import Batch
from palaver.storage.remembered import RememberedDocuments
from palaver.storage.sql.commit import Writer
from palaver.storage.sql.documents import SqlDocuments
from palaver.storage.sql.engines import reader_engine, writer_engine
from palaver.storage.sql.lane import Reader, storage_error
from palaver.storage.sql.logs import SqlLogs
from palaver.storage.sql.migrate import migrate
from palaver.storage.sql.prepared import Statements
from palaver.storage.sql.steps import Steps

log = Log("storage")


@implementer(IStorage)
class SqlStorage:
    """Documents and logs in an SQL database: one connection writes, two read.

    A search over years of messages has a connection of its own, so that no login waits for it.
    """

    def __init__(self, url: str, reactor: Any, *, alone: bool = False) -> None:
        """``url`` is SQLAlchemy's; raises what `writer_engine` raises.

        ``alone``: no other process writes there, so that what was read may be remembered.
        """
        self.engine = writer_engine(url)
        self.reading = reader_engine(url)
        statements = Statements(self.engine.dialect)
        self._steps = Steps(statements)
        self.writer = Writer(self.engine, reactor)
        self._readers = [Reader(self.reading, reactor), Reader(self.reading, reactor)]
        quick, slow = self._readers
        self.documents: Any = SqlDocuments(statements, quick, slow)
        self._remembered: RememberedDocuments | None = None
        if alone:
            self.documents = self._remembered = RememberedDocuments(self.documents)
        self.logs = SqlLogs(statements, quick, slow)

    def start(self) -> Deferred[None]:
        """See `IStorage`; fails with `StorageError`."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        await self.writer.open()
        try:
            if await self.writer.run(migrate):
                log.info("schema-made")
        except SQLAlchemyError as error:
            raise storage_error(error) from error
        for reader in self._readers:
            await reader.open()

    def stop(self) -> Deferred[None]:
        """See `IStorage`."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        # The writer is last to disconnect: SQLite then tidies its journal away.
        for reader in self._readers:
            await reader.close()
        await self.writer.close()

    def write(self, batch: Batch) -> Deferred[Any]:
        """See `IStorage`. A Deferred that is cancelled stops nobody: the batch is committed all the same."""
        try:
            plan = self._steps.plan(batch)
        except (TypeError, ValueError) as error:
            return fail(error)
        remembered = self._remembered
        if remembered is None:
            return self.writer.hand_over(plan)
        touched = remembered.began(batch)
        if not touched:
            return self.writer.hand_over(plan)

        def ended(outcome: Any) -> Any:
            remembered.ended(touched)
            return outcome

        return self.writer.hand_over(plan).addBoth(ended)
