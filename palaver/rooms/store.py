"""Where rooms are kept: one owner in the storage for each, so that one query reads all but what was said."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from palaver.storage import Batch, Document

if TYPE_CHECKING:
    from palaver.rooms.room import Held, Room

KIND = "room"
KIND_AFFILIATION = "room-affiliation"
KIND_LOG = "room-log"
PUBLIC = "public"
# Keys and tags end at 200 characters; what may be longer stands under its hash.
MAX_KEY_CHARS = 190


def short(text: str) -> str:
    """Give a text as a key or tag."""
    return text if len(text) <= MAX_KEY_CHARS else hashlib.sha256(text.encode()).hexdigest()


class Store:
    """The rooms of one service in its host's storage."""

    def __init__(self, storage: Any, domain: str) -> None:
        self.storage = storage
        self.domain = domain

    async def load(self, name: str, more: Iterable[str]) -> list[Document]:
        """Give all documents of a room, those of modules' kinds ``more`` too. Raises StorageError."""
        kinds = (KIND, KIND_AFFILIATION, *more)
        found: list[Document] = await self.storage.documents.list(self.domain, name, kinds)
        return found

    async def public(self, after: str, limit: int) -> list[Document]:
        """Give the documents of public rooms by name, those behind ``after``. Raises StorageError."""
        found: list[Document] = await self.storage.documents.find(
            self.domain, KIND, PUBLIC, limit=limit, after=(after, "\U0010ffff") if after else None
        )
        return found

    async def affiliated(self, bare: str, limit: int, after: str = "") -> list[Document]:
        """Give the affiliations of an account by name of room. Raises StorageError."""
        found: list[Document] = await self.storage.documents.find(
            self.domain,
            KIND_AFFILIATION,
            short(bare),
            limit=limit,
            after=(after, "\U0010ffff") if after else None,
        )
        return found

    async def write(self, batch: Batch) -> Any:
        """Commit. Raises StorageError, Conflict."""
        return await self.storage.write(batch)


def put_room(batch: Batch, room: Room, *, new: bool = False) -> None:
    """Have a room itself stored; with ``new`` it must not be there."""
    tags = (PUBLIC,) if room.config["publicroom"] and not room.gone else ()
    batch.put(room.service.domain, room.name, KIND, "", room.encode(), tags=tags, only="new" if new else None)


def put_affiliation(batch: Batch, room: Room, bare: str, held: Held) -> None:
    """Have an affiliation stored, or taken away when it says nothing."""
    key = short(bare)
    if held.affiliation == "none":
        batch.delete(room.service.domain, room.name, KIND_AFFILIATION, key)
        return
    value = {"jid": bare, "is": held.affiliation}
    if held.nick:
        value["nick"] = held.nick
    if held.reason:
        value["reason"] = held.reason
    batch.put(room.service.domain, room.name, KIND_AFFILIATION, key, value, tags=(key,))


def drop_room(batch: Batch, room: Room) -> None:
    """Have a room deleted with all that is stored for it, by modules too."""
    batch.delete(room.service.domain, room.name).drop(room.service.domain, room.name)
