"""Which messages write to inboxes, and what."""

from __future__ import annotations

from typing import NamedTuple

from palaver.archive.messages import NS_HINTS, NS_MARKERS, reference
from palaver.archive.retraction import NS_RETRACT
from palaver.inbox.conversations import NS_CONVERSATION, Conversations
from palaver.jid import JID
from palaver.stanza import NS_CLIENT, Stanza
from palaver.storage import Batch

MARKERS = ("received", "displayed", "acknowledged")
_CONTENT = frozenset(((NS_CLIENT, "body"), (NS_HINTS, "store"), (NS_RETRACT, "retract")))
_NEVER = frozenset(
    ((NS_HINTS, "no-store"), (NS_CONVERSATION, "x"), ("urn:xmpp:delay", "delay"), ("jabber:x:delay", "x"))
)
_TYPES = frozenset((None, "normal", "chat", "groupchat"))


def marker(message: Stanza, counted: tuple[str, ...]) -> str | None:
    """Give the id up to which a chat marker says that all is read; None for another message."""
    for ns, name in message.children:
        if ns == NS_MARKERS and name in counted:
            node = message.child(ns, name)
            return node.getAttribute("id") if node is not None else None
    return None


def is_content(message: Stanza) -> bool:
    """Tell whether a message is one that conversations are shown with."""
    children = message.children
    if message.attrs.get("type") not in _TYPES or not _NEVER.isdisjoint(children):
        return False
    if any(name == "result" or (ns == NS_MARKERS and name in MARKERS) for ns, name in children):
        return False
    return not _CONTENT.isdisjoint(children)


class Content(NamedTuple):
    """A message with its form as stored: encoded once for everybody, and as in the archive if it is there."""

    message: Stanza
    payload: bytes

    @classmethod
    def of(cls, message: Stanza) -> Content:
        """Encode a message."""
        return cls(message, message.encode(declare=True))


def wrote(
    conversations: Conversations, batch: Batch, local: str, peer: str, content: Content, at: int
) -> None:
    """Note what an account has written: the last message, and that all before it is read."""
    message, payload = content
    conversations.put_last(batch, local, peer, payload, message.attrs.get("id", ""), at)
    conversations.put_read(batch, local, peer, at)


def got(
    conversations: Conversations,
    batch: Batch,
    to: JID,
    peer: str,
    content: Content,
    at: int,
) -> None:
    """Note what an account is sent: the last message, which is unread."""
    message, payload = content
    id = message.attrs.get("id", "")
    sender = message.sender
    ref = reference(message, sender, to) if sender is not None else None
    conversations.put_last(batch, to.local, peer, payload, id, at)
    conversations.put_unread(batch, to.local, peer, id, at, ref)
