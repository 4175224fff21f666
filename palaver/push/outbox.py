"""Notifications on their way: few at a time, and none waits for longer than one answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from twisted.internet.defer import Deferred

from palaver import metrics
from palaver.push.elements import Summary
from palaver.push.registrations import Registration

# One service that does not answer leaves room for those of others: it gets this part.
SERVICES_SHARE = 4

dropped = metrics.count("pushes_dropped", "Push notifications that found too many others under way.")

Send = Callable[[str, Registration, Summary], Awaitable[bool]]
"""Takes (localpart, registration, summary) and sends it; gives False when the registration is gone."""

Key = tuple[str, str]

Unread = Mapping[str, int]
"""How many messages are unread in conversations, by bare JID of whom each is with."""


class Outbox:
    """Sends one notification at a time to each registration.

    What comes meanwhile becomes one notification, which tells of the last message and counts them all; it
    follows when the one before is answered, or its time is over. With too many under way new ones are lost:
    they say that there is something to fetch, and that is stored.
    """

    def __init__(self, send: Send, max_outstanding: int) -> None:
        """``send`` never fails, and ends some time."""
        self._send = send
        self._max = max_outstanding
        # By localpart and key of the registration: what follows; None when that is nothing yet.
        self._next: dict[Key, tuple[Registration, Summary, Unread] | None] = {}
        self._services: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._next)

    def put(
        self, local: str, registration: Registration, summary: Summary, unread: Unread | None = None
    ) -> None:
        """Send a notification, now or behind the one that is under way.

        ``unread`` is what its count is made of, if that is not simply how many messages it is about.
        """
        key = (local, registration.key)
        if key in self._next:
            waiting = self._next[key]
            if waiting is None:
                self._next[key] = (registration, summary, unread or {})
            elif unread is None:
                self._next[key] = (registration, merge(waiting[1], summary), waiting[2])
            else:
                unread = {**waiting[2], **unread}
                merged = {**summary, "message-count": str(sum(unread.values()))}
                self._next[key] = (registration, merged, unread)
            return
        share = max(1, self._max // SERVICES_SHARE)
        if len(self._next) >= self._max or self._services[registration.service] >= share:
            dropped.value += 1
            return
        self._next[key] = None
        self._services[registration.service] += 1
        Deferred.fromCoroutine(self._run(key, registration, summary))

    def forget(self, local: str, key: str | None = None) -> None:
        """Leave out what is to follow for a registration, or for all of an account's."""
        for held in list(self._next) if key is None else [(local, key)]:
            if held[0] == local and self._next.get(held) is not None:
                self._next[held] = None

    async def _run(self, key: Key, registration: Registration, summary: Summary) -> None:
        service = registration.service
        following: tuple[Registration, Summary, Unread] | None = (registration, summary, {})
        try:
            while following is not None:
                if not await self._send(key[0], *following[:2]):
                    return
                following, self._next[key] = self._next[key], None
        finally:
            del self._next[key]
            self._services[service] -= 1
            if not self._services[service]:
                del self._services[service]


def merge(earlier: Summary, later: Summary) -> Summary:
    """Give one summary for two: that of the later one, with both counts."""
    counts = earlier.get("message-count", ""), later.get("message-count", "")
    if all(count.isascii() and count.isdecimal() for count in counts):
        return {**later, "message-count": str(sum(map(int, counts)))}
    return later
