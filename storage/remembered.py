"""Documents that were read lately are remembered: most logins are of somebody who was here a moment ago.

For a database that this process alone writes to; with several processes a write elsewhere
would go unseen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver.interfaces import IDocuments
from palaver.storage import AppendEntry, Batch, DeleteEntries, Document, PutDocument

# A document takes about a kilobyte in memory; a larger one counts for as many as it has kilobytes.
MAX_DOCUMENTS = 8192
CHARS_OF_ONE = 1024
# Nobody takes more than this part of the room.
MAX_SHARE = 8

Owner = tuple[str, str]
"""Host and owner."""
Touched = tuple[Owner, str | None]
"""Whose documents a change concerns, and of which kind; None for all."""
_OF_LOGS = frozenset((AppendEntry, DeleteEntries))
# Inside the class `list` is a method.
Documents = list[Document]
Names = list[str]


@implementer(IDocuments)
class RememberedDocuments:
    """An IDocuments in front of another one. What it gives is shared, and must not be changed."""

    def __init__(self, documents: Any, max_documents: int = MAX_DOCUMENTS) -> None:
        self._documents = documents
        self._max_documents = max_documents
        # By owner: what was read of which kinds. The owner read last is last.
        self._kept: OrderedDict[Owner, dict[tuple[str, ...], Documents]] = OrderedDict()
        self._size = 0
        # By owner: the kinds that are being written; nothing of them is remembered before that is done.
        self._writing: dict[Owner, list[str | None]] = {}
        # By owner: reads under way that no write has come in between of, with their kinds.
        self._reading: dict[Owner, dict[object, tuple[str, ...]]] = {}

    # -- reads ------------------------------------------------------------------------

    def list(
        self,
        host: str,
        owner: str,
        kinds: Sequence[str],
        *,
        descending: bool = False,
        limit: int | None = None,
        after: tuple[int, str] | None = None,
    ) -> Deferred[Documents]:
        """See IDocuments."""
        if descending or limit is not None or after is not None:
            page: Deferred[Documents] = self._documents.list(
                host, owner, kinds, descending=descending, limit=limit, after=after
            )
            return page
        key = tuple(kinds)
        kept = self._kept.get((host, owner))
        if kept is not None and key in kept:
            self._kept.move_to_end((host, owner))
            return succeed(kept[key].copy())
        return self._read((host, owner), key)

    def get(self, host: str, owner: str, kind: str, key: str = "") -> Deferred[Document | None]:
        """See IDocuments."""
        found: Deferred[Document | None] = self._documents.get(host, owner, kind, key)
        return found

    def find(
        self,
        host: str,
        kind: str,
        tag: str,
        *,
        limit: int | None = None,
        after: tuple[str, str] | None = None,
    ) -> Deferred[Documents]:
        """See IDocuments."""
        found: Deferred[Documents] = self._documents.find(host, kind, tag, limit=limit, after=after)
        return found

    def owners(
        self, host: str, kind: str | None, *, limit: int | None = None, after: str | None = None
    ) -> Deferred[Names]:
        """See IDocuments."""
        found: Deferred[Names] = self._documents.owners(host, kind, limit=limit, after=after)
        return found

    def count(self, host: str, owner: str, kind: str) -> Deferred[int]:
        """See IDocuments."""
        found: Deferred[int] = self._documents.count(host, owner, kind)
        return found

    def _read(self, owner: Owner, kinds: tuple[str, ...]) -> Deferred[Documents]:
        found: Deferred[Documents] = self._documents.list(*owner, kinds)
        if any(_concerns(kind, kinds) for kind in self._writing.get(owner, ())):
            return found
        ticket = object()
        self._reading.setdefault(owner, {})[ticket] = kinds

        def remember(documents: Documents) -> Documents:
            if self._done(owner, ticket):
                self._keep(owner, kinds, documents)
            return documents.copy()

        def give_up(failure: Failure) -> Failure:
            self._done(owner, ticket)
            return failure

        return found.addCallbacks(remember, give_up)

    def _done(self, owner: Owner, ticket: object) -> bool:
        """End a read; tells whether what it found still holds."""
        tickets = self._reading.get(owner)
        if tickets is None or ticket not in tickets:
            return False
        del tickets[ticket]
        if not tickets:
            del self._reading[owner]
        return True

    def _keep(self, owner: Owner, kinds: tuple[str, ...], documents: Documents) -> None:
        weight = _weight(documents)
        if weight * MAX_SHARE > self._max_documents:
            return
        kept = self._kept.setdefault(owner, {})
        if kinds in kept:
            # Two reads were under way at the same time.
            self._size -= _weight(kept[kinds])
        kept[kinds] = documents
        self._kept.move_to_end(owner)
        self._size += weight
        while self._size > self._max_documents:
            self._drop(next(iter(self._kept)))

    def _drop(self, owner: Owner) -> None:
        self._size -= sum(map(_weight, self._kept.pop(owner).values()))

    # -- writes -------------------------------------------------------------------------

    def began(self, batch: Batch) -> set[Touched]:
        """Forget whatever a batch may change, until `ended` is called with what this gives."""
        touched = {_touched(change) for change in batch.changes if type(change) not in _OF_LOGS}
        for owner, kind in touched:
            self._forget(owner, kind)
            tickets = self._reading.get(owner, {})
            for ticket in [ticket for ticket, kinds in tickets.items() if _concerns(kind, kinds)]:
                self._done(owner, ticket)
            self._writing.setdefault(owner, []).append(kind)
        return touched

    def _forget(self, owner: Owner, kind: str | None) -> None:
        kept = self._kept.get(owner)
        if kept is None:
            return
        for kinds in [kinds for kinds in kept if _concerns(kind, kinds)]:
            self._size -= _weight(kept.pop(kinds))
        if not kept:
            del self._kept[owner]

    def ended(self, touched: set[Touched]) -> None:
        """Note that a batch was committed, or refused."""
        for owner, kind in touched:
            self._writing[owner].remove(kind)
            if not self._writing[owner]:
                del self._writing[owner]


def _concerns(kind: str | None, kinds: tuple[str, ...]) -> bool:
    """Tell whether a change of documents of this kind, None for all, matters to whoever read these kinds."""
    return kind is None or kind in kinds


def _weight(documents: Documents) -> int:
    """Give for how many documents these count; an empty answer takes room as well."""
    chars = 0
    for document in documents:
        for value in document.value.values():
            # Numbers are small; lists and dictionaries may hold anything.
            chars += len(value) if isinstance(value, str) else len(repr(value))
    return 1 + len(documents) + chars // CHARS_OF_ONE


def _touched(change: Any) -> Touched:
    if isinstance(change, PutDocument):
        document = change.document
        return (document.host, document.owner), document.kind
    return (change.host, change.owner), change.kind
