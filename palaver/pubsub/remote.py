"""Contacts on other servers whose clients are online: they are notified of what accounts here publish."""

from __future__ import annotations

from collections import OrderedDict

Served = dict[str, frozenset[str]]
"""By local account: the nodes whose last items a client has been sent."""

# Whoever was heard of last stays.
MAX_CLIENTS = 10_000


class RemoteClients:
    """Full JIDs on other servers that have sent presence to accounts here."""

    def __init__(self, max_clients: int = MAX_CLIENTS) -> None:
        self._max_clients = max_clients
        self._served: OrderedDict[str, Served] = OrderedDict()
        self._by_bare: dict[str, set[str]] = {}

    def came(self, full: str, local: str) -> None:
        """Note available presence for an account."""
        served = self._served.pop(full, {})
        served.setdefault(local, frozenset())
        self._served[full] = served
        self._by_bare.setdefault(full.partition("/")[0], set()).add(full)
        if len(self._served) > self._max_clients:
            self._forget(next(iter(self._served)))

    def gone(self, full: str, local: str) -> None:
        """Note unavailable presence for an account."""
        served = self._served.get(full)
        if served is not None and served.pop(local, None) is not None and not served:
            self._forget(full)

    def _forget(self, full: str) -> None:
        bare = full.partition("/")[0]
        del self._served[full]
        self._by_bare[bare].discard(full)
        if not self._by_bare[bare]:
            del self._by_bare[bare]

    def of(self, bare: str, local: str) -> list[str]:
        """Give the clients of a contact that are online for an account here."""
        return [full for full in self._by_bare.get(bare, ()) if local in self._served[full]]

    def new(self, full: str, wanted: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
        """Give the accounts that a client sees, each with those wanted nodes that it has not been sent.

        From now on they count as sent.
        """
        served = self._served.get(full, {})
        found = [(local, wanted - sent) for local, sent in served.items() if wanted - sent]
        for local in served:
            served[local] = wanted
        return found
