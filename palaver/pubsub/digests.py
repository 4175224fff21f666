"""Notifications of items that are sent together, for subscribers who want digests (XEP-0060 section 16.4.2).

What waits is in memory: the items themselves are stored, and whoever misses a digest may fetch them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from palaver.pubsub import notices

if TYPE_CHECKING:
    from palaver.pubsub.node import Node
    from palaver.pubsub.space import Space

# What is sent earlier than asked for, so that it is one stanza that every client takes.
MAX_DIGEST_BYTES = 64 * 1024
# When more wait than this, what comes is sent at once.
MAX_DIGESTS = 10_000
MODULE = "pubsub"

Key = tuple[str, str, int]
"""Address of the space, name of the node, milliseconds between two digests."""


class _Digest(NamedTuple):
    """What waits for all who want digests of a node as often as this."""

    space: Space
    pieces: list[bytes]
    timer: Any


class Digests:
    """All digests that wait, of the spaces of one module."""

    def __init__(self) -> None:
        self._waiting: dict[Key, _Digest] = {}

    def split(self, space: Space, node: Node, inner: bytes, audience: notices.Audience) -> notices.Audience:
        """Keep an event's ``<item/>`` or ``<retract/>`` for those who want digests; gives the others."""
        later = {manner.digest_ms for manner in audience.addresses.values()} - {0}
        kept = {every for every in later if self._add((space.address.full, node.name, every), space, inner)}
        if not kept:
            return audience
        now = {to: manner for to, manner in audience.addresses.items() if manner.digest_ms not in kept}
        return notices.Audience(now, audience.sessions)

    def _add(self, key: Key, space: Space, piece: bytes) -> bool:
        """Keep a piece; tells whether there was room for it."""
        held = self._waiting.get(key)
        if held is None:
            if len(self._waiting) >= MAX_DIGESTS:
                return False
            clock: Any = space.host.clock
            held = _Digest(space, [], clock.callLater(key[2] / 1000, self._due, key))
            self._waiting[key] = held
        held.pieces.append(piece)
        if sum(map(len, held.pieces)) > MAX_DIGEST_BYTES:
            held.timer.reset(0)
        return True

    def forget(self, space: Space, name: str) -> None:
        """Forget what waits of a node that is emptied."""
        for key in [key for key in self._waiting if key[:2] == (space.address.full, name)]:
            self._waiting.pop(key).timer.cancel()

    def send_all(self) -> None:
        """Send what waits now."""
        for key, held in list(self._waiting.items()):
            held.timer.cancel()
            self._due(key)

    def _due(self, key: Key) -> None:
        held = self._waiting.pop(key)
        held.space.host.guard(MODULE, _send, held.space, key[1], key[2], b"".join(held.pieces))


async def _send(space: Space, name: str, digest_ms: int, inner: bytes) -> None:
    """Send a digest to those who want it and may have it now. Raises StorageError."""
    node = await space.find(name)
    if node is None or node.moved:
        return
    audience = await notices.about_items(space, node)
    wanted = {to: manner for to, manner in audience.addresses.items() if manner.digest_ms == digest_ms}
    if wanted:
        notice = notices.Notice(space, node, notices.items(name, inner))
        await notices.done(await notice.send(notices.Audience(wanted)))
