"""XEP-0049: Private XML Storage."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from twisted.words.xish import domish

from palaver.errors import StanzaError
from palaver.interfaces import IPrivateElement
from palaver.markup import element
from palaver.modules import BARE, SELF, Module, Settings, iq
from palaver.stanza import CONTENT_NAMESPACES, Stanza
from palaver.storage import Batch
from palaver.tree import serialize

NS_PRIVATE = "jabber:iq:private"
KIND = "private"
# Data is told apart by its namespace, so these, which everything has, cannot name any.
RESERVED = CONTENT_NAMESPACES | {NS_PRIVATE, ""}


class PrivateSettings(Settings):
    """Options of mod_private."""

    max_items: int = Field(
        200, ge=1, le=10000, description="How many elements one account may store, and one request may hold."
    )
    max_item_bytes: int = Field(
        65536, ge=1024, le=1048576, description="How large one stored element may be, in bytes of XML."
    )


class Private(Module):
    """Keeps XML that only its owner reads, one document for each element name."""

    Settings = PrivateSettings
    features = (NS_PRIVATE,)

    iq_policy = "one_queue"

    settings: PrivateSettings

    @iq("get", NS_PRIVATE, "query", to=(SELF,))
    async def get(self, request: Stanza) -> bytes:
        """Give what is stored for each element asked for; an empty one for what is not (section 3.2)."""
        asked = self._elements(request)
        owner = _owner(request)
        documents = self.host.storage.documents
        if len(asked) == 1:
            found = [await documents.get(self.host.domain, owner, KIND, _key(asked[0]))]
        else:
            found = await documents.list(self.host.domain, owner, [KIND])
        stored = {document.key: document.value["xml"].encode() for document in found if document is not None}
        for node in asked:
            elsewhere = self._elsewhere(node)
            if elsewhere is not None and (kept := await elsewhere.get(owner)) is not None:
                stored[_key(node)] = kept
        parts = [stored.get(_key(node)) or element(node.name, node.uri) for node in asked]
        return element("query", NS_PRIVATE, b"".join(parts))

    @iq("set", NS_PRIVATE, "query", to=(SELF,))
    async def put(self, request: Stanza) -> None:
        """Store elements; an empty one takes away what is stored (section 3.1). All of them, or none."""
        owner, batch = _owner(request), Batch()
        given = [(node, self._elsewhere(node), self._serialized(node)) for node in self._elements(request)]
        kept = {_key(node) for node, _, xml in given if xml}
        if kept:
            await self._check_room(owner, kept)
        for node, elsewhere, xml in given:
            if elsewhere is not None and await elsewhere.put(owner, node):
                continue
            if xml:
                batch.put(self.host.domain, owner, KIND, _key(node), {"xml": xml.decode()})
            else:
                batch.delete(self.host.domain, owner, KIND, _key(node))
        await self.host.storage.write(batch)

    def _serialized(self, node: domish.Element) -> bytes:
        """Give an element as bytes, none for an empty one. Raises StanzaError when it is too large."""
        if not node.children and not node.attributes:
            return b""
        xml = serialize([node], NS_PRIVATE)
        if len(xml) > self.settings.max_item_bytes:
            raise StanzaError(
                "policy-violation", f"One element has at most {self.settings.max_item_bytes} bytes"
            )
        return xml

    def _elsewhere(self, node: domish.Element) -> Any:
        """Give the IPrivateElement for an element; None when it is kept here."""
        return self.host.registry.queryUtility(IPrivateElement, _key(node))

    async def _check_room(self, owner: str, kept: set[str]) -> None:
        """Refuse what would be more than one account may store."""
        documents = self.host.storage.documents
        count = await documents.count(self.host.domain, owner, KIND)
        if count + len(kept) <= self.settings.max_items:
            return
        stored = {document.key for document in await documents.list(self.host.domain, owner, [KIND])}
        if len(stored | kept) > self.settings.max_items:
            raise StanzaError(
                "resource-constraint", f"One account stores at most {self.settings.max_items} elements"
            )

    @iq("get", NS_PRIVATE, "query", to=(BARE,))
    @iq("set", NS_PRIVATE, "query", to=(BARE,))
    def refuse(self, request: Stanza) -> None:
        """Somebody else's data is nobody's business (section 5)."""
        raise StanzaError("forbidden", "Only requests from/to your JID are allowed")

    def _elements(self, request: Stanza) -> list[domish.Element]:
        query = request.child(NS_PRIVATE, "query")
        assert query is not None
        nodes = list(query.elements())
        if not nodes:
            raise StanzaError("not-acceptable", "There is no element to store or to look for")
        if len(nodes) > self.settings.max_items:
            raise StanzaError("not-acceptable", f"At most {self.settings.max_items} elements at once")
        if any(node.uri in RESERVED for node in nodes):
            raise StanzaError("not-acceptable", "An element needs a namespace of its own")
        return nodes


def _owner(request: Stanza) -> str:
    sender = request.sender
    assert sender is not None
    return sender.local


def _key(node: domish.Element) -> str:
    return f"{{{node.uri}}}{node.name}"
