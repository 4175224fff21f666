"""How long archived messages stay: deleted by age and by number, in small pieces with pauses between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from palaver.archive.pages import Archive
from palaver.archive.pauses import Pauses
from palaver.storage import Batch, LogQuery, ids

# Small enough that a login never waits for it noticeably.
PAGE_SIZE = 200
OWNERS_PAGE = 100


class Retention:
    """Deletes what is too old or too much from the archives of one host and kind.

    ``max_age_s`` and ``max_entries`` may be None; ``owner_kind`` is the kind of document that each
    owner of an archive has. ``now_s`` reads the Unix time, of which the entries' ids are made.
    """

    def __init__(
        self,
        storage: Any,
        host: str,
        kind: str,
        owner_kind: str,
        clock: IReactorTime,
        now_s: Callable[[], float],
        max_age_s: float | None,
        max_entries: int | None,
    ) -> None:
        self._storage = storage
        self._host = host
        self._kind = kind
        self._owner_kind = owner_kind
        self._pauses = Pauses(clock)
        self._now_s = now_s
        self._max_age_s = max_age_s
        self._max_entries = max_entries

    @property
    def limited(self) -> bool:
        """True when there is anything to do at all."""
        return self._max_age_s is not None or self._max_entries is not None

    def stop(self) -> None:
        """End the run that is under way before its next piece."""
        self._pauses.stop()

    async def run(self) -> int:
        """Look after every archive once; gives how many entries were deleted. Raises StorageError."""
        deleted, last = 0, None
        while not self._pauses.stopped:
            owners: list[str] = await self._storage.documents.owners(
                self._host, self._owner_kind, limit=OWNERS_PAGE, after=last
            )
            for owner in owners:
                deleted += await self._trim(owner)
                if not await self._pauses.pause():
                    return deleted
            if len(owners) < OWNERS_PAGE:
                return deleted
            last = owners[-1]
        return deleted

    async def _trim(self, owner: str) -> int:
        archive = Archive(self._storage.logs, self._host, owner, self._kind)
        deleted = 0
        if self._max_age_s is not None:
            oldest = max(0, ids.from_time(self._now_s() - self._max_age_s))
            deleted += await self._delete(archive, oldest - 1, None)
        if self._max_entries is not None:
            surplus = await archive.size(LogQuery()) - self._max_entries
            deleted += await self._delete(archive, None, surplus)
        return deleted

    async def _delete(self, archive: Archive, until: int | None, most: int | None) -> int:
        """Delete the oldest entries: those up to an id, or so many."""
        deleted = 0
        while most is None or deleted < most:
            limit = PAGE_SIZE if most is None else min(PAGE_SIZE, most - deleted)
            page = await archive.range(LogQuery(until=until, limit=limit))
            if page.entries:
                last = page.entries[-1].id
                await self._storage.write(Batch().drop(archive.host, archive.owner, archive.kind, until=last))
                deleted += len(page.entries)
            if page.complete or not await self._pauses.pause():
                break
        return deleted
