"""Permissions to upload one file each: bound to its name, size and type, for a short time, usable once."""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from typing import Any, NamedTuple

from palaver.errors import StanzaError

# As many as somebody needs who sends an album; each is held in memory until it is used or too old.
MAX_PENDING = 100
TOKEN_BYTES = 32


class Wanted(NamedTuple):
    """What somebody wants to upload; ``expires_s`` is when it goes, in seconds since 1970, None for never."""

    owner: str
    filename: str
    size: int
    type: str
    expires_s: int | None


class Slot(NamedTuple):
    """A permission; ``id`` names the file in its address, ``token`` lets its bearer put it there."""

    id: str
    token: str
    wanted: Wanted
    deadline_s: float


class Slots:
    """Those of one host that are not used yet. They end with the process: clients ask for others then."""

    def __init__(self, clock: Any, lifetime_s: float, id_bytes: int) -> None:
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._id_bytes = id_bytes
        self._pending: dict[str, Slot] = {}
        # What slots, used at this moment or not at all yet, may bring: bytes by owner.
        self._reserved: Counter[str] = Counter()
        self._held: Counter[str] = Counter()

    def open(self, wanted: Wanted) -> Slot:
        """Give a new slot. Raises StanzaError when somebody has too many."""
        self.sweep()
        if self._held[wanted.owner] >= MAX_PENDING:
            raise StanzaError(
                "resource-constraint", "Use the slots that you have, or wait until they are gone"
            )
        deadline = self._clock.seconds() + self._lifetime_s
        slot = Slot(secrets.token_hex(self._id_bytes), secrets.token_urlsafe(TOKEN_BYTES), wanted, deadline)
        self._pending[slot.id] = slot
        self._reserved[wanted.owner] += wanted.size
        self._held[wanted.owner] += 1
        return slot

    def reserved(self, owner: str) -> int:
        """Give how many bytes the slots of an account may still bring."""
        return self._reserved[owner]

    @property
    def all_reserved(self) -> int:
        """How many bytes all slots may still bring."""
        return self._reserved.total()

    def find(self, id: str, token: str) -> Slot | None:
        """Give the slot that a request may use now."""
        slot = self._pending.get(id)
        if slot is None or not hmac.compare_digest(slot.token.encode(), token.encode()):
            return None
        return slot if slot.deadline_s > self._clock.seconds() else None

    def take(self, slot: Slot) -> None:
        """Note that a request uses a slot now: nobody else may."""
        del self._pending[slot.id]

    def give_back(self, slot: Slot) -> None:
        """Note that nothing came of a request: its client may try again while the slot lasts."""
        self._pending[slot.id] = slot

    def close(self, slot: Slot) -> None:
        """Note that a slot was used, or is too old."""
        owner = slot.wanted.owner
        self._reserved[owner] -= slot.wanted.size
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner], self._reserved[owner]

    def sweep(self) -> None:
        """Forget slots that are too old."""
        now = self._clock.seconds()
        for slot in [slot for slot in self._pending.values() if slot.deadline_s <= now]:
            del self._pending[slot.id]
            self.close(slot)

    def forget(self, owner: str) -> None:
        """Take away the slots of an account that is gone."""
        for slot in [slot for slot in self._pending.values() if slot.wanted.owner == owner]:
            del self._pending[slot.id]
            self.close(slot)
