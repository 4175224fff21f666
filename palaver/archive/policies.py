"""Whether an account wants a message archived: its preferences, remembered, and its roster."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from palaver.archive.preferences import Preferences, from_json
from palaver.interfaces import IRosters
from palaver.jid import JID
from palaver.storage import Batch, Document

KIND = "archive-prefs"
# Of how many accounts the preferences are remembered; each takes a few hundred bytes.
MAX_REMEMBERED = 10_000


class Policies:
    """The preferences of one host's accounts.

    ``host`` is an IHost, ``default`` the policy of those who have set nothing.
    """

    def __init__(self, host: Any, default: str) -> None:
        self._host = host
        self.default = Preferences(default)
        self._known: OrderedDict[str, Preferences] = OrderedDict()

    def wants(self, local: str, peer: JID) -> bool | Deferred[bool]:
        """Tell whether an account wants messages from or to somebody archived.

        Usually at once. The Deferred fails with StorageError.
        """
        known = self._known.get(local)
        if known is not None:
            admits = known.admits(peer)
            if admits is not None:
                return admits
            user = self._host.users.get(local)
            if user is not None:
                return bool(user.roster.item(peer.bare).listed)
        return Deferred.fromCoroutine(self._ask(local, peer))

    async def _ask(self, local: str, peer: JID) -> bool:
        admits = (await self.of(local)).admits(peer)
        if admits is None:
            rosters: Any = self._host.query(IRosters)
            return bool((await rosters.load(local)).item(peer.bare).listed)
        return admits

    async def of(self, local: str) -> Preferences:
        """Give an account's preferences. Raises StorageError."""
        known = self._known.get(local)
        if known is not None:
            return known
        found: Document | None = await self._host.storage.documents.get(self._host.domain, local, KIND)
        # Somebody may have set them in the meantime.
        return self._known.get(local) or self._remember(local, found)

    async def set(self, local: str, wanted: Preferences, batch: Batch | None = None) -> None:
        """Store an account's preferences, together with a batch if there is one. Raises StorageError."""
        batch = (batch or Batch()).put(self._host.domain, local, KIND, "", wanted.to_json())
        await self._host.storage.write(batch)
        self._known[local] = wanted

    def take(self, local: str, documents: Sequence[Document]) -> None:
        """Take an account's preferences from what its login has read, documents of `KIND` among it."""
        if local not in self._known:
            self._remember(local, next((found for found in documents if found.kind == KIND), None))

    def forget(self, local: str) -> None:
        """Forget an account."""
        self._known.pop(local, None)

    def _remember(self, local: str, document: Document | None) -> Preferences:
        found = self._known[local] = self.default if document is None else from_json(document.value)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return found
