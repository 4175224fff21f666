"""Contacts, vCard, private data, privacy lists and messages of an account (XEP-0227 section 4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from palaver.archive.pages import Archive, forwarded
from palaver.archive.writing import KIND as ARCHIVE
from palaver.interfaces import IOfflineStore
from palaver.markup import element
from palaver.privacy.lists import LIST_KINDS, from_documents
from palaver.routing.rosters import rosters
from palaver.storage import LogQuery
from palaver.vcards.stored import vcards

NS_PRIVATE = "jabber:iq:private"
NS_PRIVACY = "jabber:iq:privacy"
NS_ARCHIVE = "urn:xmpp:pie:0#mam"
# Where mod_private keeps its elements.
PRIVATE = "private"
# Messages in memory at a time.
PAGE = 100


async def roster(host: Any, local: str) -> AsyncIterator[bytes]:
    """Give the roster (section 4.4). Raises StorageError."""
    found = await rosters(host).load(local)
    yield found.encode()


async def requests(host: Any, local: str) -> AsyncIterator[bytes]:
    """Give the requests for a subscription that nobody has answered (section 4.9). Raises StorageError."""
    found = await rosters(host).load(local)
    for item in list(found.items.values()):
        if item.request is not None:
            yield item.request


async def vcard(host: Any, local: str) -> AsyncIterator[bytes]:
    """Give the vCard (section 4.7). Raises StorageError."""
    cards = vcards(host)
    card = await cards.get(local) if cards is not None else None
    if card is not None:
        yield card


async def private(host: Any, local: str) -> AsyncIterator[bytes]:
    """Give private XML (section 4.6). Raises StorageError."""
    documents = await host.storage.documents.list(host.domain, local, (PRIVATE,))
    if documents:
        yield element("query", NS_PRIVATE, b"".join([found.value["xml"].encode() for found in documents]))


async def privacy_lists(host: Any, local: str) -> AsyncIterator[bytes]:
    """Give privacy lists, of which a block list is one (section 4.8). Raises StorageError."""
    lists = from_documents(await host.storage.documents.list(host.domain, local, LIST_KINDS))
    inner = [element("default", name_=lists.default)] if lists.default is not None else []
    for held in lists.lists.values():
        rules = b"".join([rule.encode() for rule in held.rules])
        inner.append(element("list", None, rules, name_=held.name))
    if inner:
        yield element("query", NS_PRIVACY, b"".join(inner))


async def offline(host: Any, local: str) -> AsyncIterator[bytes]:
    """Give the messages that nobody has fetched (section 4.5). Raises StorageError."""
    store = host.query(IOfflineStore)
    kept = await store.page(local) if store is not None else []
    if not kept:
        return
    yield b"<offline-messages>"
    while kept:
        yield b"".join([message.encode(declare=True) for _, message in kept if message is not None])
        kept = await store.page(local, kept[-1][0])
    yield b"</offline-messages>"


async def archive(host: Any, local: str) -> AsyncIterator[bytes]:
    """Give the archive of messages, oldest first (section 4.11). Raises StorageError."""
    log = Archive(host.storage.logs, host.domain, local, ARCHIVE)
    page = await log.range(LogQuery(limit=PAGE))
    if not page.entries:
        return
    yield f"<archive xmlns='{NS_ARCHIVE}'>".encode()
    while page.entries:
        yield b"".join(map(forwarded, page.entries))
        if page.complete:
            break
        page = await log.range(LogQuery(after=page.entries[-1].id, limit=PAGE))
    yield b"</archive>"
