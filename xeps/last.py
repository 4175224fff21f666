"""XEP-0012: Last Activity of accounts, and the server's uptime."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from palaver.errors import StanzaError
from palaver.events import AccountDeleted, BecameUnavailable
from palaver.interfaces import ILastActivity
from palaver.markup import element, escape
from palaver.modules import BARE, HOST, SELF, Module, every, iq, on
from palaver.routing.access import sees_presence
from palaver.stanza import NS_CLIENT, Stanza
from palaver.storage import Batch, Json

NS_LAST = "jabber:iq:last"
KIND = "last"
# RFC 6121 has no limit for a status; what is kept of it for strangers to read has one.
MAX_STATUS_CHARS = 1024
# Nobody's login or logout waits for this, so what happens within a moment shares a commit.
STORE_EVERY_S = 1.0


class LastActivity(Module):
    """Says how long the server is up, and to those who see an account's presence, since when it is away."""

    features = (NS_LAST,)
    provides = (ILastActivity,)
    account_features = (NS_LAST,)

    iq_policy = "one_queue"

    def start(self) -> None:
        """Remember when this was; modules are attached when the server starts."""
        self._started = self.host.clock.seconds()
        # By account: what is not stored yet.
        self._fresh: dict[str, Json] = {}

    def stop(self) -> Deferred[None] | None:
        """Store what is not stored yet."""
        return self.store()

    @iq("get", NS_LAST, "query")
    def uptime(self, request: Stanza) -> bytes:
        """Give the server's uptime (section 5)."""
        return _query(self.host.clock.seconds() - self._started)

    @iq("get", NS_LAST, "query", to=(SELF, BARE))
    async def last(self, request: Stanza) -> bytes:
        """Give the seconds since an account went away, 0 while it is available (section 4)."""
        to, sender = request.to, request.sender
        asked = to if to is not None else sender
        assert asked is not None and sender is not None
        if sender.bare != asked.bare and not await sees_presence(self.host, asked.local, sender):
            raise StanzaError("forbidden")
        user = self.host.users.get(asked.local)
        if user is not None and user.visible():
            return _query(0)
        value = await self._went(asked.local)
        if value is None:
            raise StanzaError("service-unavailable", "This account has never been here")
        return _query(self.host.clock.seconds() - value["time"], value["status"])

    def went(self, local: str) -> Deferred[float | None]:
        """See ILastActivity."""
        value = Deferred.fromCoroutine(self._went(local))
        return value.addCallback(lambda found: found["time"] if found is not None else None)

    async def _went(self, local: str) -> Json | None:
        if local in self._fresh:
            return self._fresh[local]
        document = await self.host.storage.documents.get(self.host.domain, local, KIND)
        return document.value if document is not None else None

    @iq("set", NS_LAST, "query", to=(HOST, SELF, BARE))
    def refuse(self, request: Stanza) -> None:
        """Nobody sets it."""
        raise StanzaError("not-allowed")

    @on(BecameUnavailable)
    def note(self, event: BecameUnavailable) -> None:
        """Note when an account's last session went, and its last words."""
        user = event.session.user
        # For the others an invisible session has gone before.
        if not event.session.invisible and not user.visible():
            now = int(self.host.clock.seconds())
            self._fresh[user.local] = {"time": now, "status": _status(event.presence)}

    @on(AccountDeleted)
    def deleted(self, event: AccountDeleted) -> None:
        """Forget an account."""
        self._fresh.pop(event.jid.local, None)

    @every(STORE_EVERY_S)
    def store(self) -> Deferred[None] | None:
        """Store what is not stored yet; what cannot be is tried again."""
        if not self._fresh:
            return None
        batch = Batch()
        for local, value in self._fresh.items():
            batch.put(self.host.domain, local, KIND, "", value)
        stored = dict(self._fresh)
        waiting: Deferred[None] = self.host.storage.write(batch)
        return waiting.addCallback(lambda _: self._stored(stored))

    def _stored(self, stored: dict[str, Json]) -> None:
        for local, value in stored.items():
            if self._fresh.get(local) is value:
                del self._fresh[local]


def _status(presence: Stanza) -> str:
    node = presence.child(NS_CLIENT, "status")
    return str(node)[:MAX_STATUS_CHARS] if node is not None else ""


def _query(seconds: float, status: str = "") -> bytes:
    return element("query", NS_LAST, escape(status), seconds=str(max(0, int(seconds))))
