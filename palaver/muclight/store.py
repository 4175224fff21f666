"""Where rooms are kept: one owner in the storage for each, so that one query reads all but what was said."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from palaver.muclight.changes import Users
from palaver.muclight.schema import Config
from palaver.storage import Batch, Document

if TYPE_CHECKING:
    from palaver.muclight.room import Room

KIND = "muclight"
KIND_USER = "muclight-user"
KIND_BLOCKING = "muclight-blocking"
# Keys and tags end at 200 characters; what may be longer stands under its hash.
MAX_KEY_CHARS = 190
PAGE_SIZE = 500
_LAST = "\U0010ffff"


def short(text: str) -> str:
    """Give a text as a key, a tag or an owner."""
    return text if len(text) <= MAX_KEY_CHARS else hashlib.sha256(text.encode()).hexdigest()


class Store:
    """The rooms of one service in its host's storage. Every method raises StorageError."""

    def __init__(self, storage: Any, domain: str) -> None:
        self.storage = storage
        self.domain = domain

    async def load(self, name: str) -> tuple[Document, Users] | None:
        """Give a room's document and who belongs to it; None when there is no such room."""
        documents = await self.storage.documents.list(self.domain, name, (KIND, KIND_USER))
        room = next((document for document in documents if document.kind == KIND), None)
        if room is None:
            return None
        users = (document.value for document in documents if document.kind == KIND_USER)
        return room, {value["jid"]: value["is"] for value in users}

    async def rooms_of(self, bare: str) -> list[str]:
        """Give the names of the rooms that somebody belongs to, sorted."""
        names: list[str] = []
        after = None
        while True:
            page = await self.storage.documents.find(
                self.domain, KIND_USER, short(bare), limit=PAGE_SIZE, after=after
            )
            names += [document.owner for document in page]
            if len(page) < PAGE_SIZE:
                return names
            after = (page[-1].owner, _LAST)

    # -- blocking lists -----------------------------------------------------------------

    async def blocked_by(self, bare: str) -> list[tuple[str, str]]:
        """Give what somebody has blocked: pairs of "room" or "user" and a bare JID."""
        documents = await self.storage.documents.list(self.domain, _holder(bare), (KIND_BLOCKING,))
        return [(document.value["what"], document.value["jid"]) for document in documents]

    def put_block(self, batch: Batch, bare: str, what: str, target: str) -> None:
        """Have somebody block a room or a user."""
        value = {"what": what, "jid": target}
        batch.put(self.domain, _holder(bare), KIND_BLOCKING, short(f"{what} {target}"), value)

    def drop_block(self, batch: Batch, bare: str, what: str, target: str) -> None:
        """Have somebody block a room or a user no more."""
        batch.delete(self.domain, _holder(bare), KIND_BLOCKING, short(f"{what} {target}"))

    def drop_blocks(self, batch: Batch, bare: str) -> None:
        """Have somebody block nothing."""
        batch.delete(self.domain, _holder(bare), KIND_BLOCKING)


def _holder(bare: str) -> str:
    """Give the owner of a blocking list; rooms' names have no @."""
    return short(bare) if len(bare) <= MAX_KEY_CHARS else f"@{short(bare)}"


def put_room(batch: Batch, room: Room, config: Config, version: str, *, new: bool = False) -> None:
    """Have a room's configuration and version stored; with ``new`` it must not be there."""
    value = {"config": config, "version": version}
    batch.put(room.service.domain, room.name, KIND, "", value, only="new" if new else None)


def put_users(batch: Batch, room: Room, users: Users, changed: Iterable[str]) -> None:
    """Have those stored, or taken away, whose affiliations have changed; ``users`` are all from now on."""
    for bare in changed:
        key = short(bare)
        if bare in users:
            value = {"jid": bare, "is": users[bare]}
            batch.put(room.service.domain, room.name, KIND_USER, key, value, tags=(key,))
        else:
            batch.delete(room.service.domain, room.name, KIND_USER, key)


def drop_room(batch: Batch, room: Room) -> None:
    """Have a room deleted, with all that was said in it."""
    batch.delete(room.service.domain, room.name).drop(room.service.domain, room.name)
