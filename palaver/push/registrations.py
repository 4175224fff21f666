"""Which services an account's clients want notifications from (XEP-0357 section 5), as they are stored."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from palaver.storage import Batch, Document, ids

KIND = "push"

Options = dict[str, list[str]]
"""What the client gave for each publish: texts by name of the field. There are secrets among them."""


class Registration(NamedTuple):
    """One node of one push service.

    ``service`` is a JID as text; ``resource`` that of the client which enabled it; ``rank`` sorts by the time
    of that and differs each time. ``key`` stands for service and node.
    """

    key: str
    service: str
    node: str
    options: Options
    resource: str
    rank: int


def new(service: str, node: str, options: Options, resource: str) -> Registration:
    """Give a registration of this moment."""
    return Registration(key_of(service, node), service, node, options, resource, ids.new_id())


def key_of(service: str, node: str) -> str:
    """Give the key for a node of a service, of the same length whatever theirs is."""
    # No JID has a line break.
    return hashlib.sha256(f"{service}\n{node}".encode()).hexdigest()[:32]


class Registrations:
    """The registrations of a host's accounts. Every method raises StorageError."""

    def __init__(self, storage: Any, host: str, max_devices: int) -> None:
        self._storage = storage
        self._host = host
        self._max_devices = max_devices

    async def of(self, local: str) -> list[Registration]:
        """Give an account's registrations, oldest first."""
        documents = await self._storage.documents.list(self._host, local, [KIND])
        return [_read(document) for document in documents]

    async def add(self, local: str, made: Registration) -> list[Registration]:
        """Store one in the place of that with the same key; gives the oldest, which make room for it."""
        others = [held for held in await self.of(local) if held.key != made.key]
        gone = others[: max(0, len(others) + 1 - self._max_devices)]
        batch = self._without(local, gone)
        value = {
            "service": made.service,
            "node": made.node,
            "options": made.options,
            "resource": made.resource,
        }
        await self._storage.write(batch.put(self._host, local, KIND, made.key, value, rank=made.rank))
        return gone

    async def remove(self, local: str, gone: list[Registration]) -> None:
        """Delete registrations."""
        if gone:
            await self._storage.write(self._without(local, gone))

    async def is_current(self, local: str, held: Registration) -> bool:
        """Tell whether a registration is there and no newer one has taken its place."""
        document = await self._storage.documents.get(self._host, local, KIND, held.key)
        return document is not None and document.rank == held.rank

    def _without(self, local: str, gone: list[Registration]) -> Batch:
        batch = Batch()
        for held in gone:
            batch.delete(self._host, local, KIND, held.key)
        return batch


def _read(document: Document) -> Registration:
    value = document.value
    return Registration(
        document.key, value["service"], value["node"], value["options"], value["resource"], document.rank
    )
