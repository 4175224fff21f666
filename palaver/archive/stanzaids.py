"""Ids of archived messages as clients see them (XEP-0359): written, read, and taken off when forged."""

from __future__ import annotations

import re
from functools import lru_cache

from palaver import jid
from palaver.archive.messages import NS_STANZA_ID
from palaver.jid import InvalidJID
from palaver.markup import attribute
from palaver.stanza import Stanza

# Ids have 63 bits; in hexadecimal digits an id has one form only.
_ID = re.compile(r"[1-9a-f][0-9a-f]{0,15}\Z")
MAX_ID = 2**63 - 1


def to_text(id: int) -> str:
    """Give an entry's id as clients see it."""
    return f"{id:x}"


def from_text(text: str) -> int | None:
    """Give the id that `to_text` wrote; None for anything else."""
    if not _ID.match(text):
        return None
    id = int(text, 16)
    return id if id <= MAX_ID else None


def with_id(message: Stanza, by: str, id: int) -> Stanza:
    """Give a message with the id that it has in the archive of ``by``, a bare JID."""
    return message.with_child(_start(by) + f"{id:x}'/>".encode(), NS_STANZA_ID, "stanza-id")


@lru_cache(1024)
def _start(by: str) -> bytes:
    return f"<stanza-id xmlns='{NS_STANZA_ID}' by='{attribute(by)}' id='".encode()


def without_ids_of(message: Stanza, domain: str) -> Stanza:
    """Take off every id that claims to be given by a domain or one of its accounts (section 3.1)."""
    if (NS_STANZA_ID, "stanza-id") not in message.children:
        return message
    return message.with_children(
        node
        for node in message.element.children
        if isinstance(node, str)
        or (node.uri, node.name) != (NS_STANZA_ID, "stanza-id")
        or not _is_of(node.getAttribute("by", ""), domain)
    )


def _is_of(by: str, domain: str) -> bool:
    try:
        return jid.parse(by).domain == domain
    except InvalidJID:
        return False
