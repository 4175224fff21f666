"""Removing what somebody has chosen from an archive, in small pieces with pauses between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from palaver.archive.pages import Archive
from palaver.archive.pauses import Pauses
from palaver.storage import Batch, Entry, LogQuery

# Small enough that a login never waits for it noticeably.
PAGE_SIZE = 200


async def remove(
    storage: Any, archive: Archive, query: LogQuery, admits: Callable[[Entry], bool], pauses: Pauses
) -> int:
    """Delete the entries that a query finds and ``admits`` agrees to; gives how many there were.

    ``storage`` is the IStorage of the archive. What is there when it begins is deleted, oldest first; it
    ends early when ``pauses`` are stopped. Raises StorageError; what was deleted before that stays deleted.
    """
    newest = await archive.range(query._replace(limit=1, backwards=True))
    if not newest.entries:
        return 0
    query = query._replace(until=newest.entries[0].id, limit=PAGE_SIZE)
    deleted = 0
    while True:
        page = await archive.range(query)
        chosen = [entry.id for entry in page.entries if admits(entry)]
        if chosen:
            await storage.write(Batch().drop(archive.host, archive.owner, archive.kind, ids=chosen))
            deleted += len(chosen)
        if page.complete or not await pauses.pause():
            return deleted
        query = query._replace(after=page.entries[-1].id)
