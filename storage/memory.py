"""Storage in memory: for tests, and for servers that may forget everything."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from palaver.interfaces import IDocuments, ILogs, IStorage
from palaver.storage import (
    AppendEntry,
    Batch,
    Conflict,
    DeleteDocuments,
    DeleteEntries,
    Document,
    Entry,
    LogQuery,
    Page,
    PutDocument,
)

Owned = tuple[str, str, str]
"""Host, owner, kind."""


@implementer(IDocuments)
class MemoryDocuments:
    """Documents in a dictionary by whose and what."""

    def __init__(self) -> None:
        self._kept: dict[Owned, dict[str, Document]] = {}

    def get(self, host: str, owner: str, kind: str, key: str = "") -> Deferred[Document | None]:
        """See IDocuments."""
        return succeed(self._kept.get((host, owner, kind), {}).get(key))

    def list(
        self,
        host: str,
        owner: str,
        kinds: Sequence[str],
        *,
        descending: bool = False,
        limit: int | None = None,
        after: tuple[int, str] | None = None,
    ) -> Deferred[list[Document]]:
        """See IDocuments."""
        found = [
            document for kind in kinds for document in self._kept.get((host, owner, kind), {}).values()
        ]
        found.sort(key=lambda document: (document.kind, document.rank, document.key), reverse=descending)
        if after is not None:
            found = [
                document
                for document in found
                if ((document.rank, document.key) < after if descending else (document.rank, document.key) > after)
            ]
        return succeed(found[:limit])

    def find(
        self,
        host: str,
        kind: str,
        tag: str,
        *,
        limit: int | None = None,
        after: tuple[str, str] | None = None,
    ) -> Deferred[list[Document]]:
        """See IDocuments."""
        found = [
            document
            for (its_host, _, its_kind), documents in self._kept.items()
            if its_host == host and its_kind == kind
            for document in documents.values()
            if tag in document.tags and (after is None or (document.owner, document.key) > after)
        ]
        found.sort(key=lambda document: (document.owner, document.key))
        return succeed(found[:limit])

    def owners(
        self, host: str, kind: str, *, limit: int | None = None, after: str | None = None
    ) -> Deferred[list[str]]:
        """See IDocuments."""
        found = sorted(
            owner
            for (its_host, owner, its_kind), documents in self._kept.items()
            if its_host == host and its_kind == kind and documents and (after is None or owner > after)
        )
        return succeed(found[:limit])

    def count(self, host: str, owner: str, kind: str) -> Deferred[int]:
        """See IDocuments."""
        return succeed(len(self._kept.get((host, owner, kind), {})))

    def holds(self, document: Document) -> bool:
        """Tell whether there is a document of this address."""
        return document.key in self._kept.get((document.host, document.owner, document.kind), {})

    def put(self, document: Document) -> None:
        """Store a document."""
        owned = (document.host, document.owner, document.kind)
        self._kept.setdefault(owned, {})[document.key] = document

    def delete(self, change: DeleteDocuments) -> None:
        """Delete what the change names."""
        for owned in [owned for owned in self._kept if owned[:2] == (change.host, change.owner)]:
            if change.kind is None or change.kind == owned[2]:
                if change.key is None:
                    del self._kept[owned]
                else:
                    self._kept[owned].pop(change.key, None)


@implementer(ILogs)
class MemoryLogs:
    """Entries in lists that are sorted by id."""

    def __init__(self) -> None:
        self._kept: dict[Owned, list[Entry]] = {}

    def get(self, host: str, owner: str, kind: str, ids: Sequence[int]) -> Deferred[list[Entry]]:
        """See ILogs."""
        by_id = {entry.id: entry for entry in self._kept.get((host, owner, kind), ())}
        return succeed([by_id[identity] for identity in ids if identity in by_id])

    def range(self, host: str, owner: str, kind: str, query: LogQuery) -> Deferred[Page]:
        """See ILogs."""
        found = list(_matching(self._kept.get((host, owner, kind), ()), query))
        if query.limit is None or len(found) <= query.limit:
            return succeed(Page(found, True))
        return succeed(Page(found[-query.limit :] if query.backwards else found[: query.limit], False))

    def count(self, host: str, owner: str, kind: str, query: LogQuery | None = None) -> Deferred[int]:
        """See ILogs."""
        entries = self._kept.get((host, owner, kind), [])
        return succeed(len(entries) if query is None else len(list(_matching(entries, query))))

    def append(self, change: AppendEntry) -> None:
        """Store an entry, unless its copy is there."""
        entry = change.entry
        entries = self._kept.setdefault((entry.host, entry.owner, entry.kind), [])
        if entry.ref is not None:
            first = bisect_left(entries, entry.id - change.window, key=lambda kept: kept.id)
            if any(kept.ref == entry.ref for kept in entries[first:]):
                return
        insort(entries, entry, key=lambda kept: kept.id)

    def delete(self, change: DeleteEntries) -> None:
        """Delete what the change names."""
        for owned in [owned for owned in self._kept if owned[:2] == (change.host, change.owner)]:
            if change.kind is not None and change.kind != owned[2]:
                continue
            entries = self._kept[owned]
            if change.ids is not None:
                gone = set(change.ids)
                entries[:] = [entry for entry in entries if entry.id not in gone]
            elif change.until is not None:
                del entries[: bisect_right(entries, change.until, key=lambda kept: kept.id)]
            else:
                del self._kept[owned]


def _matching(entries: Iterable[Entry], query: LogQuery) -> Iterable[Entry]:
    words = query.text.casefold().split() if query.text is not None else []
    for entry in entries:
        if (
            (query.after is None or entry.id > query.after)
            and (query.before is None or entry.id < query.before)
            and (query.since is None or entry.id >= query.since)
            and (query.until is None or entry.id <= query.until)
            and (query.peer is None or entry.peer == query.peer)
            and all(word in (entry.text or "").casefold() for word in words)
        ):
            yield entry


@implementer(IStorage)
class MemoryStorage:
    """Everything in this process's memory; a write is done at once."""

    def __init__(self) -> None:
        self.documents = MemoryDocuments()
        self.logs = MemoryLogs()

    def start(self) -> Deferred[None]:
        """See IStorage."""
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """See IStorage."""
        return succeed(None)

    def write(self, batch: Batch) -> Deferred[None]:
        """See IStorage."""
        for change in batch.changes:
            if isinstance(change, PutDocument) and change.only is not None:
                if self.documents.holds(change.document) != (change.only == "old"):
                    return fail(Conflict(change.document.key))
        for change in batch.changes:
            match change:
                case PutDocument():
                    self.documents.put(change.document)
                case DeleteDocuments():
                    self.documents.delete(change)
                case AppendEntry():
                    self.logs.append(change)
                case DeleteEntries():
                    self.logs.delete(change)
        return succeed(None)
