"""Archives of accounts as they are written: entries, tombstones that they bring, and who has an archive."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from palaver.archive import retraction
from palaver.archive.companions import Companions
from palaver.archive.messages import body_text, reference
from palaver.archive.pages import Archive
from palaver.jid import JID
from palaver.stanza import Stanza
from palaver.storage import Batch, Entry, ids

KIND = "archive"
# Each owner of an archive has a document of this kind, so that retention finds them all.
KIND_OWNER = "archive-owner"

# A message sent again after a lost connection comes within the time that one may be resumed in.
RESENT_WITHIN = ids.from_time(600)
# How many owners are remembered to have a document of KIND_OWNER.
MAX_MARKED = 10_000

Written = dict[int, int] | None
"""What `IStorage.write` gives."""

Told = Callable[[str, bytes], object]


class Writer:
    """Commits messages to the archives of one host's accounts.

    ``host`` is an IHost. With ``full_text`` the texts are indexed. With ``retracted`` a retraction replaces
    what it retracts by a tombstone; then that is called with the author's bare address and what was there.
    """

    def __init__(self, host: Any, *, full_text: bool, retracted: Told | None) -> None:
        self._host = host
        self._full_text = full_text
        self._tell_retracted = retracted
        self._companions = Companions.of(host)
        # Owners whose document of KIND_OWNER is there for certain.
        self._marked: OrderedDict[str, None] = OrderedDict()

    def archive(self, owner: str, host: str | None = None) -> Archive:
        """Give an account's archive, for reading."""
        return Archive(self._host.storage.logs, host or self._host.domain, owner, KIND)

    def entry(self, message: Stanza, owner: str, peer: JID, sender: JID, to: JID) -> Entry:
        """Give what the owner's archive is to hold of a message, under a new id."""
        text = body_text(message) if self._full_text else None
        payload = message.encode(declare=True)
        ref = reference(message, sender, to)
        return Entry(self._host.domain, owner, KIND, ids.new_id(), payload, peer.bare, ref, text)

    def copy(self, entry: Entry, owner: str, peer: JID) -> Entry:
        """Give what the owner's archive is to hold of a message that another one's holds already."""
        _, _, _, _, payload, _, ref, text = entry
        return Entry(self._host.domain, owner, KIND, ids.new_id(), payload, peer.bare, ref, text)

    def write(self, message: Stanza, entries: list[Entry]) -> Deferred[Written]:
        """Commit entries of a message; gives what `IStorage.write` gives. Fails with StorageError."""
        batch = Batch()
        marked = self._marked
        for entry in entries:
            batch.append(entry, RESENT_WITHIN)
            if entry.owner not in marked:
                batch.put(entry.host, entry.owner, KIND_OWNER, "", {})
        all_marked = len(batch.changes) == len(entries)
        for companion in self._companions.all:
            companion(message, entries, batch)
        retracted = retraction.read(message) if self._tell_retracted is not None else None
        if retracted is not None:
            return Deferred.fromCoroutine(self._write_retraction(batch, message, entries, retracted))
        written: Deferred[Written] = self._host.storage.write(batch)
        return written if all_marked else written.addCallback(self._mark, entries)

    def forget(self, owner: str) -> None:
        """Forget an account whose documents are gone."""
        self._marked.pop(owner, None)

    def _mark(self, there: Written, entries: list[Entry]) -> Written:
        for entry in entries:
            if entry.host == self._host.domain:
                self._marked[entry.owner] = None
        while len(self._marked) > MAX_MARKED:
            self._marked.popitem(last=False)
        return there

    async def _write_retraction(
        self, batch: Batch, message: Stanza, entries: list[Entry], retracted: retraction.Retraction
    ) -> Written:
        """Commit a retraction together with the tombstones of what it retracts."""
        sender, tell, gone = message.sender, self._tell_retracted, b""
        assert sender is not None and tell is not None
        for entry in entries:
            assert entry.peer is not None
            archive = self.archive(entry.owner, entry.host)
            target = await retraction.find_target(archive, entry.peer, sender, retracted.target)
            if target is not None:
                gone = target.payload
                batch.drop(entry.host, entry.owner, KIND, ids=[target.id])
                batch.append(retraction.tombstone(target, retracted, time.time()))
        there: Written = await self._host.storage.write(batch)
        if gone:
            tell(sender.bare, gone)
        return there
