"""Blocking lists: rooms and people by whom one is not taken into rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from palaver import jid
from palaver.errors import StanzaError
from palaver.jid import InvalidJID
from palaver.markup import element, escape
from palaver.muclight.namespaces import NS_BLOCKING
from palaver.muclight.requests import ServiceRequest, children
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.muclight.service import Service

ROOM, USER = "room", "user"
DENY, ALLOW = "deny", "allow"
# More than anybody means; each change reads the list.
MAX_BLOCKED = 1000


def _check(request: ServiceRequest) -> None:
    if request.name or not request.service.rules.blocking:
        raise StanzaError("bad-request", "Blocking is off" if not request.name else None)


async def get(request: ServiceRequest) -> bytes:
    """Give what somebody blocks."""
    _check(request)
    blocked = await request.service.store.blocked_by(request.sender.bare)
    inner = b"".join(element(what, None, escape(target), action=DENY) for what, target in blocked)
    return element("query", NS_BLOCKING, inner)


async def set(request: ServiceRequest) -> None:
    """Block, or block no more."""
    _check(request)
    service, bare = request.service, request.sender.bare
    batch = Batch()
    denied = 0
    for node in children(request.node):
        action, address = node.getAttribute("action"), str(node).strip()
        try:
            target = jid.parse(address)
        except InvalidJID:
            raise StanzaError("bad-request", "That is no JID") from None
        if node.name not in (ROOM, USER) or action not in (DENY, ALLOW) or not target.local:
            raise StanzaError("bad-request")
        if action == DENY:
            denied += 1
            service.store.put_block(batch, bare, node.name, target.bare)
        else:
            service.store.drop_block(batch, bare, node.name, target.bare)
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
