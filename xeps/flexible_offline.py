"""XEP-0013: Flexible Offline Message Retrieval."""

from __future__ import annotations

import re
from typing import Any

from twisted.words.xish import domish

from palaver import forms
from palaver.errors import StanzaError
from palaver.interfaces import IOfflineStore, ISession
from palaver.markup import element
from palaver.modules import BARE, SELF, Module, iq
from palaver.routing import disco
from palaver.stanza import Stanza

NS_OFFLINE = "http://jabber.org/protocol/offline"
IDENTITY = ("automation", "message-list", "")

# Ids have as many digits, so that nodes sort as messages do.
NODE_DIGITS = 19
_NODE = re.compile(rf"[0-9]{{{NODE_DIGITS}}}\Z")
# More than an account keeps unless the limit was raised; the next ones are listed when these are gone.
MAX_LISTED = 5000


class FlexibleOffline(Module):
    """Lets a client count, list, read and remove the messages that were kept, as with POP3.

    A client that asks for this before its first presence is not sent all of them by itself, nor are the
    account's other clients as long as it is there. What it does not remove stays.
    """

    features = (NS_OFFLINE,)
    requires = (IOfflineStore,)

    def start(self) -> None:
        """Answer for the node."""
        self.undo(self.host.disco.add_node(SELF, disco.NS_INFO, NS_OFFLINE, self.info))
        self.undo(self.host.disco.add_node(SELF, disco.NS_ITEMS, NS_OFFLINE, self.items))

    @property
    def store(self) -> Any:
        """The IOfflineStore."""
        return self.host.query(IOfflineStore)

    # -- the node ------------------------------------------------------------------------------

    async def info(self, request: Stanza) -> bytes:
        """Say how many messages there are (section 2.2)."""
        session = self._choose(request)
        count = await self.store.count(session.user.local)
        field = forms.Field(None, "number_of_messages", str(count))
        form = forms.encode(forms.Form("result", formNamespace=NS_OFFLINE, fields=[field]))
        return disco.info((IDENTITY,), (NS_OFFLINE,), (form,), NS_OFFLINE)

    async def items(self, request: Stanza) -> bytes:
        """List the messages with their senders (section 2.3)."""
        session = self._choose(request)
        parts: list[bytes] = []
        after = None
        while len(parts) < MAX_LISTED:
            page = await self.store.page(session.user.local, after)
            if not page:
                break
            after = page[-1][0]
            parts += [_header(id, message, session) for id, message in page if message is not None]
        return element("query", disco.NS_ITEMS, b"".join(parts), node=NS_OFFLINE)

    def _choose(self, request: Stanza) -> ISession:
        """Give the session that asks, which from now on fetches messages itself; raises `StanzaError`."""
        session, to = request.origin, request.to
        if session is None or (to is not None and to.bare != session.user.bare):
            raise StanzaError("forbidden")
        self.store.withhold(session)
        return session

    # -- messages --------------------------------------------------------------------------------

    @iq("get", NS_OFFLINE, "offline", to=(SELF,))
    async def read(self, request: Stanza) -> None:
        """Send messages, all or some; they stay (sections 2.4 and 2.6)."""
        session = self._choose(request)
        node = _command(request, "view", "fetch")
        if node is not None:
            for id, message in await self._find(session, node):
                session.send(_marked(id, message))
            return
        after = None
        while page := await self.store.page(session.user.local, after):
            after = page[-1][0]
            for id, message in page:
                if message is not None and not session.send(_marked(id, message)):
                    return

    @iq("set", NS_OFFLINE, "offline", to=(SELF,))
    async def remove(self, request: Stanza) -> None:
        """Remove messages, all or some (sections 2.5 and 2.7)."""
        session = self._choose(request)
        node = _command(request, "remove", "purge")
        ids = [id for id, _ in await self._find(session, node)] if node is not None else None
        await self.store.remove(session.user.local, ids)

    @iq("get", NS_OFFLINE, "offline", to=(BARE,))
    @iq("set", NS_OFFLINE, "offline", to=(BARE,))
    def refuse(self, request: Stanza) -> None:
        """Somebody else's messages are nobody's business."""
        raise StanzaError("forbidden")

    async def _find(self, session: ISession, items: list[domish.Element]) -> list[tuple[int, Stanza]]:
        """Give the messages that items name; raises `StanzaError` unless all of them are there."""
        nodes = [item.getAttribute("node", "") for item in items]
        if all(map(_NODE.match, nodes)):
            found = await self.store.get(session.user.local, [int(node) for node in nodes])
            if len(found) == len(nodes) and all(message is not None for _, message in found):
                return list(found)
        raise StanzaError("item-not-found")


def _node(id: int) -> str:
    return f"{id:0{NODE_DIGITS}}"


def _header(id: int, message: Stanza, session: ISession) -> bytes:
    return element("item", jid=session.user.bare, node=_node(id), name=message.attrs.get("from"))


def _marked(id: int, message: Stanza) -> Stanza:
    """Say which of the kept messages this is, whatever its sender said of that."""
    mark = element("offline", NS_OFFLINE, element("item", node=_node(id)))
    return message.without_child(NS_OFFLINE).with_child(mark, NS_OFFLINE, "offline")


def _command(request: Stanza, action: str, everything: str) -> list[domish.Element] | None:
    """Read a request: give the items that it names, None for all; raises `StanzaError`."""
    offline = request.child(NS_OFFLINE, "offline")
    nodes = list(offline.elements()) if offline is not None else []
    if len(nodes) == 1 and nodes[0].name == everything:
        return None
    if not nodes or any(node.name != "item" or node.getAttribute("action") != action for node in nodes):
        raise StanzaError("bad-request", f"Name items to {action}, or <{everything}/>")
    return nodes
