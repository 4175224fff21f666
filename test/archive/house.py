"""A house with archives: who writes to whom, and what their archives then hold."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.archive import stanzaids
from palaver.interfaces import IStorage
from palaver.modules import Module
from palaver.storage import Entry, LogQuery
from palaver.test.house import Client, House, now
from palaver.xeps.mam import MessageArchive

NS_SID = "urn:xmpp:sid:0"
BODY = "<body>hi</body>"


class ArchiveCase(SynchronousTestCase):
    """Romeo and Juliet are online; mod_mam has the options of ``options``."""

    options: ClassVar[dict[str, Any]] = {}
    modules: ClassVar[tuple[type[Module], ...]] = ()

    def setUp(self) -> None:
        self.house = House(*self.modules, MessageArchive, MessageArchive=self.options)
        self.storage: Any = self.house.storage
        self.romeo = self.house.login("romeo", presence="<presence/>")
        self.juliet = self.house.login("juliet", "balcony", "<presence/>")
        self.romeo.take()
        self.juliet.take()

    def put_storage(self, storage: Any) -> None:
        """Have the host use another storage from now on."""
        self.assertTrue(IStorage.providedBy(storage))
        self.storage = self.house.host.storage = storage

    def write(
        self, body: str, to: str = "juliet@example.org", who: Client | None = None, more: str = ""
    ) -> Any:
        """Have somebody (Romeo) send a chat message; its id is its text."""
        xml = f"<message type='chat' id='{body}' to='{to}'><body>{body}</body>{more}</message>"
        return (who or self.romeo).send(xml)

    def entries(self, local: str, **query: Any) -> list[Entry]:
        """Give what an archive holds."""
        found: list[Entry] = now(
            self.house.storage.logs.range("example.org", local, "archive", LogQuery(**query))
        ).entries
        return found

    def texts(self, local: str) -> list[str | None]:
        """Give the texts that an archive can be searched for."""
        return [entry.text for entry in self.entries(local)]

    def ids(self, local: str) -> list[str]:
        """Give the ids of an archive as clients see them."""
        return [stanzaids.to_text(entry.id) for entry in self.entries(local)]

    def sid(self, message: domish.Element) -> list[tuple[str, str]]:
        """Give the (by, id) of each stanza-id of a message."""
        return [(node["by"], node["id"]) for node in message.elements(NS_SID, "stanza-id")]
