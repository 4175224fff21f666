"""Which messages are in inboxes, and what is stored of them."""

from __future__ import annotations

from functools import lru_cache

from palaver.archive.messages import NS_HINTS, NS_MARKERS, reference
from palaver.archive.retraction import NS_RETRACT
from palaver.inbox.conversations import NS_CONVERSATION, Last
from palaver.jid import JID
from palaver.stanza import NS_CLIENT, Child, Stanza

MARKERS = ("received", "displayed", "acknowledged")
_CONTENT = frozenset(((NS_CLIENT, "body"), (NS_HINTS, "store"), (NS_RETRACT, "retract")))
_NEVER = frozenset(
    ((NS_HINTS, "no-store"), (NS_CONVERSATION, "x"), ("urn:xmpp:delay", "delay"), ("jabber:x:delay", "x"))
)
_TYPES = frozenset((None, "normal", "chat", "groupchat"))
# Messages with more children are rare, and their names need not be remembered.
MAX_REMEMBERED_CHILDREN = 8


def marker(message: Stanza, counted: tuple[str, ...]) -> str | None:
    """Give the id up to which a chat marker says that all is read; None for another message."""
    for ns, name in message.children:
        if ns == NS_MARKERS and name in counted:
            node = message.child(ns, name)
            return node.getAttribute("id") if node is not None else None
    return None


def is_content(message: Stanza) -> bool:
    """Tell whether a message is one that conversations are shown with."""
    if message.attrs.get("type") not in _TYPES:
        return False
    children = message.children
    return (_remembered if len(children) <= MAX_REMEMBERED_CHILDREN else _has_content)(children)


def _has_content(children: tuple[Child, ...]) -> bool:
    if not _NEVER.isdisjoint(children):
        return False
    if any(name == "result" or (ns == NS_MARKERS and name in MARKERS) for ns, name in children):
        return False
    return not _CONTENT.isdisjoint(children)


# Most messages have one of a few sets of children.
_remembered = lru_cache(256)(_has_content)


def last_of(message: Stanza, payload: bytes | None = None) -> Last:
    """Give what conversations hold of a message; ``payload`` is how it is archived, if it is."""
    if payload is None:
        payload = message.encode(declare=True)
    return Last({"xml": payload.decode(), "id": message.attrs.get("id", "")})


def reference_of(message: Stanza, to: JID) -> str | None:
    """Give what tells a message from others, as in `palaver.archive.messages.reference`."""
    sender = message.sender
    return reference(message, sender, to) if sender is not None else None
