"""Blocking lists as a privacy list (XEP-0016), as clients of the legacy mode edit them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.words.xish import domish
from zope.interface import implementer

from palaver import jid
from palaver.errors import StanzaError
from palaver.interfaces import IListElsewhere
from palaver.jid import JID, InvalidJID
from palaver.markup import element
from palaver.muclight import blocking
from palaver.muclight.blocking import ALLOW, DENY, ROOM, USER, Block
from palaver.muclight.namespaces import NS_LIGHT

if TYPE_CHECKING:
    from palaver.muclight.service import Service

# All items are of one kind, and none comes before another.
ORDER = "1"


@implementer(IListElsewhere)
class BlockingAsList:
    """A service's blocking lists; a room is its JID there, a user the resource of the service's."""

    name = NS_LIGHT

    def __init__(self, service: Service) -> None:
        self._service = service

    async def get(self, owner: JID) -> bytes:
        """See IListElsewhere."""
        blocked = await blocking.of(self._service, owner.bare)
        values = [target if what == ROOM else f"{self._service.domain}/{target}" for what, target in blocked]
        items = [element("item", type="jid", value=value, action=DENY, order=ORDER) for value in values]
        return b"".join(items)

    async def set(self, owner: JID, items: Iterable[domish.Element]) -> None:
        """See IListElsewhere."""
        await blocking.change(self._service, owner.bare, [self._block(item) for item in items])

    def _block(self, item: domish.Element) -> Block:
        action = item.getAttribute("action")
        if item.name != "item" or item.getAttribute("type") != "jid" or action not in (DENY, ALLOW):
            raise StanzaError("bad-request")
        try:
            value = jid.parse(item.getAttribute("value", ""))
            if value.local and not value.resource:
                return Block(ROOM, value.bare, action == DENY)
            user = jid.parse(value.resource) if value.domain == self._service.domain else value
        except InvalidJID:
            raise StanzaError("bad-request", "That is no JID") from None
        if value.local or not user.local:
            raise StanzaError("bad-request", "Neither a room nor a user of this service")
        return Block(USER, user.bare, action == DENY)
