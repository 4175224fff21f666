"""Blocking lists: rooms and people by whom one is not taken into rooms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from palaver.errors import StanzaError
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.muclight.service import Service

ROOM, USER = "room", "user"
DENY, ALLOW = "deny", "allow"
# More than anybody means; each change reads the list.
MAX_BLOCKED = 1000


class Block(NamedTuple):
    """A room or a user, by bare JID, and whether it is blocked from now on."""

    what: str
    target: str
    denied: bool


def _check(service: Service) -> None:
    if not service.rules.blocking:
        raise StanzaError("bad-request", "Blocking is off")


async def of(service: Service, bare: str) -> list[tuple[str, str]]:
    """Give what somebody blocks: pairs of `ROOM` or `USER` and a bare JID.

    Raises StanzaError, StorageError.
    """
    _check(service)
    return await service.store.blocked_by(bare)


async def change(service: Service, bare: str, blocks: Iterable[Block]) -> None:
    """Have somebody block, or block no more. Raises StanzaError, StorageError."""
    _check(service)
    batch = Batch()
    denied = 0
    for block in blocks:
        denied += block.denied
        put = service.store.put_block if block.denied else service.store.drop_block
        put(batch, bare, block.what, block.target)
    if denied and denied + len(await service.store.blocked_by(bare)) > MAX_BLOCKED:
        raise StanzaError("bad-request", f"At most {MAX_BLOCKED} are blocked")
    if batch.changes:
        await service.storage.write(batch)


async def welcome(
    service: Service, actor: str, bares: Sequence[str], room: str | None, asks_lists: bool
) -> frozenset[str]:
    """Give those of some people whom ``actor`` may take into a room. Raises StorageError.

    ``room`` is its bare JID, None while nobody knows it. Their blocking lists count when ``asks_lists``; how
    many rooms they are in counts always.
    """
    limit = service.rules.rooms_per_user
    willing = []
    for bare in bares:
        if asks_lists and service.rules.blocking:
            blocked = await service.store.blocked_by(bare)
            if (USER, actor) in blocked or (ROOM, room) in blocked:
                continue
        if limit is not None and len(await service.store.rooms_of(bare)) >= limit:
            continue
        willing.append(bare)
    return frozenset(willing)
