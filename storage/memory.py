"""Storage in memory: everything is gone when the process ends. For tests and for trying things out.

Every Deferred has already fired when it is returned.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from palaver.errors import StorageError
from palaver.interfaces import IDocuments, ILogs, IStorage
from palaver.storage import (
    AppendEntry,
    Batch,
    Change,
    Conflict,
    DeleteDocuments,
    DeleteEntries,
    Document,
    Entry,
    LogQuery,
    Page,
    PutDocument,
)
from palaver.storage.codec import decode_value, encode_value, words

Undo = list[Callable[[], object]]
# `list` is a method of the class that gives them.
DocumentList = list[Document]
Owners = list[str]

EVERYTHING = LogQuery()


class _Stored:
    """A document as it is kept: the value as text, so that nobody changes it from outside."""

    __slots__ = ("document", "text")

    def __init__(self, document: Document) -> None:
        self.text = encode_value(document.value)
        self.document = document._replace(value={})

    def load(self) -> Document:
        return self.document._replace(value=decode_value(self.text))


@implementer(IDocuments)
class MemoryDocuments:
    """Documents in dictionaries: by (host, kind), then owner, then key; and an index of tags."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], dict[str, dict[str, _Stored]]] = {}
        self._tags: dict[tuple[str, str, str], set[tuple[str, str]]] = {}

    def get(self, host: str, owner: str, kind: str, key: str = "") -> Deferred[Document | None]:
        """See `IDocuments`."""
        stored = self._keys(host, owner, kind).get(key)
        return succeed(stored.load() if stored else None)

    def list(
        self,
        host: str,
        owner: str,
        kinds: Sequence[str],
        *,
        descending: bool = False,
        limit: int | None = None,
        after: tuple[int, str] | None = None,
    ) -> Deferred[DocumentList]:
        """See `IDocuments`."""
        if after is not None and len(kinds) != 1:
            return fail(ValueError("after needs a single kind"))
        found = (stored for kind in set(kinds) for stored in self._keys(host, owner, kind).values())
        places = sorted(
            ((_place(stored.document), stored) for stored in found), key=_first, reverse=descending
        )
        if after is not None:
            last = (kinds[0], *after)
            places = [pair for pair in places if (pair[0] < last if descending else pair[0] > last)]
        return succeed([stored.load() for _, stored in places[:limit]])

    def find(
        self,
        host: str,
        kind: str,
        tag: str,
        *,
        limit: int | None = None,
        after: tuple[str, str] | None = None,
    ) -> Deferred[DocumentList]:
        """See `IDocuments`."""
        bearers = sorted(self._tags.get((host, kind, tag), ()))
        start = 0 if after is None else bisect_right(bearers, after)
        owners = self._kinds.get((host, kind), {})
        return succeed([owners[owner][key].load() for owner, key in bearers[start:][:limit]])

    def owners(
        self, host: str, kind: str | None, *, limit: int | None = None, after: str | None = None
    ) -> Deferred[Owners]:
        """See `IDocuments`."""
        kinds = [kind] if kind is not None else [known for at, known in self._kinds if at == host]
        owners = sorted({owner for known in kinds for owner in self._kinds.get((host, known), ())})
        start = 0 if after is None else bisect_right(owners, after)
        return succeed(owners[start:][:limit])

    def count(self, host: str, owner: str, kind: str) -> Deferred[int]:
        """See `IDocuments`."""
        return succeed(len(self._keys(host, owner, kind)))

    def put(self, change: PutDocument, undo: Undo) -> None:
        """Apply one change; raises `Conflict`."""
        stored = _Stored(change.document)
        host, owner, kind, key = change.document[:4]
        old = self._keys(host, owner, kind).get(key)
        if (change.only == "new" and old) or (change.only == "old" and not old):
            raise Conflict(f"{kind} {key!r} of {owner} is {'there' if old else 'not there'}")
        self._set(host, owner, kind, key, stored)
        undo.append(partial(self._set, host, owner, kind, key, old))

    def delete(self, change: DeleteDocuments, undo: Undo) -> None:
        """Apply one change."""
        host, owner = change.host, change.owner
        kinds = [change.kind] if change.kind is not None else [kind for at, kind in self._kinds if at == host]
        for kind in kinds:
            keys = self._keys(host, owner, kind)
            for key in [change.key] if change.key is not None else tuple(keys):
                if old := keys.get(key):
                    self._set(host, owner, kind, key, None)
                    undo.append(partial(self._set, host, owner, kind, key, old))

    def _keys(self, host: str, owner: str, kind: str) -> dict[str, _Stored]:
        return self._kinds.get((host, kind), {}).get(owner, {})

    def _set(self, host: str, owner: str, kind: str, key: str, stored: _Stored | None) -> None:
        owners = self._kinds.setdefault((host, kind), {})
        keys = owners.setdefault(owner, {})
        if old := keys.pop(key, None):
            for tag in old.document.tags:
                self._tags[host, kind, tag].discard((owner, key))
        if stored:
            keys[key] = stored
            for tag in stored.document.tags:
                self._tags.setdefault((host, kind, tag), set()).add((owner, key))
        elif not keys:
            del owners[owner]


def _place(document: Document) -> tuple[str, int, str]:
    return document.kind, document.rank, document.key


def _first(pair: tuple[tuple[str, int, str], _Stored]) -> tuple[str, int, str]:
    return pair[0]


class _Log:
    """The entries of one (host, owner, kind)."""

    __slots__ = ("entries", "ids", "refs")

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.entries: dict[int, Entry] = {}
        self.refs: dict[str, list[int]] = {}

    def add(self, entry: Entry) -> None:
        insort(self.ids, entry.id)
        self.entries[entry.id] = entry
        if entry.ref is not None:
            insort(self.refs.setdefault(entry.ref, []), entry.id)

    def remove(self, id: int) -> None:
        entry = self.entries.pop(id)
        del self.ids[bisect_left(self.ids, id)]
        if entry.ref is not None:
            self.refs[entry.ref].remove(id)
            if not self.refs[entry.ref]:
                del self.refs[entry.ref]

    def repeated(self, entry: Entry, window: int) -> int | None:
        """Give the id of the last entry with this one's ref within ``window`` ids before it, if any."""
        same = self.refs.get(entry.ref, ()) if window and entry.ref is not None else ()
        at = bisect_right(same, entry.id)
        return same[at - 1] if at > 0 and same[at - 1] >= entry.id - window else None

    def within(self, query: LogQuery) -> list[int]:
        """Give the ids inside the bounds of a query."""
        low, high = 0, len(self.ids)
        if query.after is not None:
            low = max(low, bisect_right(self.ids, query.after))
        if query.since is not None:
            low = max(low, bisect_left(self.ids, query.since))
        if query.before is not None:
            high = min(high, bisect_left(self.ids, query.before))
        if query.until is not None:
            high = min(high, bisect_right(self.ids, query.until))
        return self.ids[low:high]


@implementer(ILogs)
class MemoryLogs:
    """Logs in sorted lists, by (host, kind), then owner."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], dict[str, _Log]] = {}

    def get(self, host: str, owner: str, kind: str, ids: Sequence[int]) -> Deferred[list[Entry]]:
        """See `ILogs`."""
        entries = self._log(host, owner, kind).entries
        return succeed([entries[id] for id in ids if id in entries])

    def range(self, host: str, owner: str, kind: str, query: LogQuery) -> Deferred[Page]:
        """See `ILogs`."""
        found = self._matching(host, owner, kind, query)
        # One more than asked for says whether the page is the last.
        entries = list(islice(found, None if query.limit is None else query.limit + 1))
        complete = query.limit is None or len(entries) <= query.limit
        entries = entries[: query.limit]
        return succeed(Page(entries[::-1] if query.backwards else entries, complete))

    def count(self, host: str, owner: str, kind: str, query: LogQuery | None = None) -> Deferred[int]:
        """See `ILogs`."""
        return succeed(sum(1 for _ in self._matching(host, owner, kind, query or EVERYTHING)))

    def append(self, change: AppendEntry, undo: Undo) -> int | None:
        """Apply one change; gives the id of the entry that is there already.

        Raises `Conflict` for a taken id.
        """
        entry = change.entry
        log = self._kinds.setdefault((entry.host, entry.kind), {}).setdefault(entry.owner, _Log())
        repeated = log.repeated(entry, change.window)
        if repeated is not None:
            return repeated
        if entry.id in log.entries:
            raise Conflict(f"{entry.kind} {entry.id} of {entry.owner} is there")
        log.add(entry)
        undo.append(partial(log.remove, entry.id))
        return None

    def delete(self, change: DeleteEntries, undo: Undo) -> None:
        """Apply one change."""
        kinds = (
            [change.kind] if change.kind is not None else [k for at, k in self._kinds if at == change.host]
        )
        for kind in kinds:
            log = self._log(change.host, change.owner, kind)
            for id in change.ids if change.ids is not None else log.within(LogQuery(until=change.until)):
                if entry := log.entries.get(id):
                    log.remove(id)
                    undo.append(partial(log.add, entry))

    def _log(self, host: str, owner: str, kind: str) -> _Log:
        return self._kinds.get((host, kind), {}).get(owner) or _Log()

    def _matching(self, host: str, owner: str, kind: str, query: LogQuery) -> Iterable[Entry]:
        log = self._log(host, owner, kind)
        ids = log.within(query)
        found: Iterable[Entry] = (log.entries[id] for id in (reversed(ids) if query.backwards else ids))
        if query.peer is not None:
            found = (entry for entry in found if entry.peer == query.peer)
        if query.text is not None:
            asked = set(words(query.text))
            found = (entry for entry in found if asked and asked <= set(words(entry.text or "")))
        return found


@implementer(IStorage)
class MemoryStorage:
    """Documents and logs in memory."""

    def __init__(self) -> None:
        self.documents = MemoryDocuments()
        self.logs = MemoryLogs()
        self._stopped = False

    def start(self) -> Deferred[None]:
        """See `IStorage`."""
        self._stopped = False
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """See `IStorage`."""
        self._stopped = True
        return succeed(None)

    def write(self, batch: Batch) -> Deferred[Any]:
        """See `IStorage`."""
        if self._stopped:
            return fail(StorageError("the storage is stopped"))
        undo: Undo = []
        repeats: dict[int, int] = {}
        try:
            for change in batch.changes:
                self._apply(change, undo, repeats)
        except (Conflict, TypeError, ValueError) as error:
            for step in reversed(undo):
                step()
            return fail(error)
        return succeed(repeats or None)

    def _apply(self, change: Change, undo: Undo, repeats: dict[int, int]) -> None:
        if isinstance(change, PutDocument):
            self.documents.put(change, undo)
        elif isinstance(change, DeleteDocuments):
            self.documents.delete(change, undo)
        elif isinstance(change, AppendEntry):
            if change.follows and change.entry.id in repeats:
                return
            same = self.logs.append(change, undo)
            if same is not None:
                repeats[change.entry.id] = same
        else:
            self.logs.delete(change, undo)
