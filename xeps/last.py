"""XEP-0012: Last Activity of accounts, and the server's uptime."""

from __future__ import annotations

from palaver.errors import StanzaError
from palaver.events import BecameUnavailable
from palaver.markup import element, escape
from palaver.modules import BARE, HOST, SELF, Module, iq, on
from palaver.routing.access import sees_presence
from palaver.stanza import NS_CLIENT, Stanza
from palaver.storage import Batch

NS_LAST = "jabber:iq:last"
KIND = "last"
# RFC 6121 has no limit for a status; what is kept of it for strangers to read has one.
MAX_STATUS_CHARS = 1024


class LastActivity(Module):
    """Says how long the server is up, and to those who see an account's presence, since when it is away."""

    features = (NS_LAST,)
    account_features = (NS_LAST,)

    iq_policy = "one_queue"

    def start(self) -> None:
        """Remember when this was; modules are attached when the server starts."""
        self._started = self.host.clock.seconds()

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
        if user is not None and user.available():
            return _query(0)
        document = await self.host.storage.documents.get(self.host.domain, asked.local, KIND)
        if document is None:
            raise StanzaError("service-unavailable", "This account has never been here")
        away = self.host.clock.seconds() - document.value["time"]
        return _query(away, document.value["status"])

    @iq("set", NS_LAST, "query", to=(HOST, SELF, BARE))
    def refuse(self, request: Stanza) -> None:
        """Nobody sets it."""
        raise StanzaError("not-allowed")

    @on(BecameUnavailable)
    async def went(self, event: BecameUnavailable) -> None:
        """Store when an account's last session went, and its last words."""
        user = event.session.user
        if user.available():
            return
        value = {"time": int(self.host.clock.seconds()), "status": _status(event.presence)}
        await self.host.storage.write(Batch().put(self.host.domain, user.local, KIND, "", value))


def _status(presence: Stanza) -> str:
    node = presence.child(NS_CLIENT, "status")
    return str(node)[:MAX_STATUS_CHARS] if node is not None else ""


def _query(seconds: float, status: str = "") -> bytes:
    return element("query", NS_LAST, escape(status), seconds=str(max(0, int(seconds))))
