"""One room in memory: who belongs to it, its configuration, and the version of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from palaver.archive.pages import Archive
from palaver.jid import JID
from palaver.muclight.changes import Users
from palaver.muclight.schema import Config
from palaver.rooms.broadcast import Broadcast
from palaver.rooms.order import Order
from palaver.storage import ids

if TYPE_CHECKING:
    from palaver.muclight.service import Service

KIND_LOG = "muclight-log"
_US_PER_S = 1_000_000


def new_version() -> str:
    """Give a version, or an id of a message, never given before: megaseconds, seconds, microseconds."""
    seconds, microseconds = divmod(ids.new_id() >> ids.WORKER_BITS, _US_PER_S)
    return f"{seconds // _US_PER_S}-{seconds % _US_PER_S}-{microseconds}"


class Room:
    """A room; ``users`` are sorted by bare JID, and are replaced as a whole."""

    def __init__(self, service: Service, name: str, config: Config, users: Users, version: str) -> None:
        self.service = service
        self.name = name
        self.jid = JID(name, service.domain, "")
        self.config = config
        self.version = version
        self.used_at: float = service.clock.seconds()
        # Destroyed, or not there after all.
        self.gone = False
        self.set_users(users)
        self.order = Order(self._send, lambda: None)

    def set_users(self, users: Mapping[str, str]) -> None:
        """Have other members."""
        self.users: Users = dict(sorted(users.items()))

    @property
    def archive(self) -> Archive:
        """The log of what was said."""
        return Archive(self.service.storage.logs, self.service.domain, self.name, KIND_LOG)

    def _send(self, broadcasts: Iterable[Broadcast]) -> Deferred[None] | None:
        return self.service.mail.send(tuple(broadcasts), tuple(self.users))
