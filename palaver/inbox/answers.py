"""What clients ask their inbox for, and what they change in it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from twisted.words.xish import domish

from palaver import jid
from palaver.errors import StanzaError
from palaver.inbox import queries
from palaver.inbox.conversations import NS_CONVERSATION, NS_INBOX, Conversation, Conversations
from palaver.inbox.queries import Wish
from palaver.jid import JID, InvalidJID
from palaver.markup import attribute, element
from palaver.stanza import Stanza
from palaver.storage import Batch, ids

ID_BYTES = 9


class Answers:
    """Answers the accounts of one host; ``boxes`` are those that there are."""

    def __init__(self, host: Any, conversations: Conversations, boxes: Sequence[str]) -> None:
        self._host = host
        self._conversations = conversations
        self._boxes = boxes

    def form(self) -> bytes:
        """Give the form of a query."""
        return queries.form(self._boxes)

    async def fetch(self, request: Stanza) -> bytes:
        """Send the conversations that are asked for, then how many they are."""
        node = _payload(request, NS_INBOX, "inbox")
        asked = queries.read(node, self._boxes)
        own = _owner(request)
        chosen = asked.choose(await self._conversations.all(own.local))
        query_id = node.getAttribute("queryid") or request.attrs["id"]
        send = request.origin.send if request.origin is not None else self._host.router.route
        for one in chosen:
            if send(_result(one, own, query_id)) is False:
                # The session is gone.
                break
        counts = (
            ("active-conversations", sum(1 for one in chosen if one.unread)),
            ("count", len(chosen)),
            ("unread-messages", sum(one.unread for one in chosen)),
        )
        return element("fin", NS_INBOX, b"".join(element(name, None, b"%d" % n) for name, n in counts))

    async def empty_bin(self, request: Stanza) -> bytes:
        """Remove what is in the bin."""
        number = await self._conversations.empty_bin(_owner(request).local, ids.new_id())
        return element("empty-bin", NS_INBOX, element("num", None, b"%d" % number))

    async def properties(self, request: Stanza) -> bytes:
        """Give a conversation's properties, or the form of them."""
        node = _payload(request, NS_CONVERSATION, "query")
        try:
            peer = jid.parse(node.getAttribute("jid", "")).bare
        except InvalidJID:
            return queries.properties_form(self._boxes)
        found = await self._conversations.get(_owner(request).local, peer)
        if found is None:
            raise StanzaError("item-not-found", "Entry not found")
        inner = found.forwarded() if node.getAttribute("complete") == "true" else b""
        inner += _read_element(found.unread) + found.properties()
        return element("query", NS_CONVERSATION, inner, jid=peer)

    async def set_properties(self, request: Stanza) -> None:
        """Set some of a conversation's properties, and tell all sessions of the account."""
        node = _payload(request, NS_CONVERSATION, "query")
        peer = _peer(node)
        wish = queries.read_wish(node, self._boxes)
        own = _owner(request)
        found = await self._conversations.get(own.local, peer)
        if found is None:
            raise StanzaError("bad-request", "item-not-found")
        now = await self._set(own.local, found, wish)
        query_id = node.getAttribute("queryid") or request.attrs["id"]
        inner = _read_element(now.unread) + now.properties()
        told = element("x", NS_CONVERSATION, inner, jid=peer, queryid=query_id)
        attrs = {"from": own.full, "to": own.bare, "id": request.attrs["id"]}
        user = self._host.users.get(own.local)
        for session in tuple(user.sessions.values()) if user is not None else ():
            session.send(Stanza("message", attrs, ((NS_CONVERSATION, "x"),), told))

    async def _set(self, local: str, found: Conversation, wish: Wish) -> Conversation:
        """Commit what is wished for; gives the conversation as it is then."""
        batch, unread = Batch(), found.unread
        box, muted = wish.box or found.box, found.muted_until
        if wish.mute is not None:
            muted = time.time() + wish.mute if wish.mute else 0
        if wish.box is not None or wish.mute is not None:
            self._conversations.put_place(batch, local, found.peer, box, muted)
        if wish.read:
            unread = 0
            self._conversations.put_read(batch, local, found.peer, ids.new_id())
        elif wish.read is False and not unread:
            unread = 1
            self._conversations.put_unread(batch, local, found.peer, found.message_id, ids.new_id())
        if batch.changes:
            await self._host.storage.write(batch)
        return found._replace(box=box, muted_until=muted, unread=unread)

    async def reset(self, request: Stanza) -> bytes:
        """Count a conversation as read."""
        peer = _peer(_payload(request, NS_CONVERSATION, "reset"))
        await self._conversations.read_up_to(_owner(request).local, peer, ids.new_id())
        return element("reset", NS_CONVERSATION)


def _result(one: Conversation, own: JID, query_id: str) -> Stanza:
    attrs = {"from": own.bare, "to": own.full, "id": secrets.token_urlsafe(ID_BYTES)}
    head = f"<result xmlns='{NS_INBOX}' unread='{one.unread}' queryid='{attribute(query_id)}'>"
    inner = b"%b%b%b</result>" % (head.encode(), one.forwarded(), one.properties())
    return Stanza("message", attrs, ((NS_INBOX, "result"),), inner)


def _read_element(unread: int) -> bytes:
    return element("read", None, b"false" if unread else b"true")


def _peer(node: domish.Element) -> str:
    """Give whom a conversation is with. Raises StanzaError(bad-request)."""
    text = node.getAttribute("jid")
    if text is None:
        raise StanzaError("bad-request", "jid-required")
    try:
        return jid.parse(text).bare
    except InvalidJID:
        raise StanzaError("bad-request", "invalid-jid") from None


def _owner(request: Stanza) -> JID:
    sender = request.sender
    assert sender is not None
    return sender


def _payload(request: Stanza, ns: str, name: str) -> domish.Element:
    node = request.child(ns, name)
    assert node is not None
    return node
