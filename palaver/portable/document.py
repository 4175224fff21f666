"""A whole XEP-0227 document of one account, in pieces: an archive of any size takes little memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from palaver.markup import attribute
from palaver.portable import nodes, parts

NS_PIE = "urn:xmpp:pie:0"
TYPE = "application/xml; charset=utf-8"

# In the order of XEP-0227 section 4; what may be the longest comes last.
PARTS = (
    parts.roster,
    parts.requests,
    parts.vcard,
    parts.private,
    parts.privacy_lists,
    parts.offline,
    nodes.configurations,
    nodes.items,
    parts.archive,
)


async def document(host: Any, local: str) -> AsyncIterator[bytes]:
    """Give the document of an account of a host; a piece may be empty. Raises StorageError.

    It has no password and no keys: it is for the account's owner, and lies about on a disk.
    """
    yield (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        f"<server-data xmlns='{NS_PIE}'><host jid='{attribute(host.domain)}'><user name='{attribute(local)}'>"
    ).encode()
    for part in PARTS:
        async for piece in part(host, local):
            yield piece
    yield b"</user></host></server-data>\n"
