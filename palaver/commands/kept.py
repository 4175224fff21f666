"""Texts that administrators set through commands; they take the place of those of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from palaver.commands.admins import OWNER
from palaver.storage import Batch, Document

if TYPE_CHECKING:
    from palaver.routing.host import Host

KIND = "text"


class KeptText:
    """One text of a host under a name; in memory once it is loaded, since every login may need it."""

    def __init__(self, host: Host, name: str, default: str) -> None:
        self._host = host
        self._name = name
        self._default = default
        self.text = default

    def load(self) -> Deferred[None]:
        """Read what was set, if anything was. Fails with StorageError."""
        found: Deferred[Document | None] = self._host.storage.documents.get(
            self._host.domain, OWNER, KIND, self._name
        )
        return found.addCallback(self._loaded)

    def _loaded(self, document: Document | None) -> None:
        self.text = document.value["text"] if document is not None else self._default

    async def set(self, text: str) -> None:
        """Store another text; an empty one is none, whatever the configuration has. Raises StorageError."""
        value = {"text": text}
        await self._host.storage.write(Batch().put(self._host.domain, OWNER, KIND, self._name, value))
        self.text = text
