"""The verified hashes: the ones used lately in memory, all of them stored, so that a restart asks nobody."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from twisted.internet.defer import Deferred

from palaver.capabilities.claims import Claim
from palaver.errors import StorageError
from palaver.storage import Batch

KIND = "caps"
# No account has this name.
OWNER = ""


class Hashes:
    """What hashes stand for, as sets of features: at most ``size`` of them, each for ``life_s`` seconds."""

    def __init__(self, domain: str, storage: Any, clock: Any, size: int, life_s: float) -> None:
        self._domain = domain
        self._storage = storage
        self._clock = clock
        self._size = size
        self._life_s = life_s
        # With each set of features, when it was learned, in seconds. The one used last is last.
        self._kept: OrderedDict[Claim, tuple[frozenset[str], int]] = OrderedDict()
        # How many more may be stored before the next `sweep`.
        self._room = size

    def get(self, claim: Claim) -> frozenset[str] | None:
        """Give what is known without asking the storage."""
        found = self._kept.get(claim)
        if found is None:
            return None
        self._kept.move_to_end(claim)
        return found[0]

    async def recall(self, claim: Claim) -> frozenset[str] | None:
        """Give what the storage knows; None also while it does not work."""
        try:
            document = await self._storage.documents.get(self._domain, OWNER, KIND, claim.key)
        except StorageError:
            return None
        if document is None or document.rank < self._oldest():
            return None
        features = frozenset(document.value["features"])
        self._remember(claim, features, document.rank)
        return features

    def keep(self, claim: Claim, features: frozenset[str]) -> Deferred[Any] | None:
        """Remember what a hash has been proved to stand for, and store it."""
        now = int(self._clock.seconds())
        self._remember(claim, features, now)
        if self._room == 0:
            return None
        self._room -= 1
        batch = Batch().put(self._domain, OWNER, KIND, claim.key, {"features": sorted(features)}, rank=now)
        stored: Deferred[Any] = self._storage.write(batch)
        return stored

    async def sweep(self) -> None:
        """Forget what is too old; of the stored ones the oldest too when they are too many.

        Raises StorageError.
        """
        oldest = self._oldest()
        for claim in [claim for claim, (_, learned) in self._kept.items() if learned < oldest]:
            del self._kept[claim]
        count = await self._storage.documents.count(self._domain, OWNER, KIND)
        # What was stored since the last time is at most one more measure.
        found = await self._storage.documents.list(self._domain, OWNER, [KIND], limit=2 * self._size)
        gone = [
            document
            for number, document in enumerate(found)
            if document.rank < oldest or number < count - self._size
        ]
        if gone:
            batch = Batch()
            for document in gone:
                batch.delete(self._domain, OWNER, KIND, document.key)
            await self._storage.write(batch)
        self._room = self._size

    def _oldest(self) -> int:
        return int(self._clock.seconds() - self._life_s)

    def _remember(self, claim: Claim, features: frozenset[str], learned: int) -> None:
        self._kept[claim] = features, learned
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
