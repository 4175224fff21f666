"""Retracted messages (XEP-0424): found in an archive, and replaced by tombstones."""

from __future__ import annotations

from typing import NamedTuple

from palaver.archive.messages import NS_STANZA_ID, address
from palaver.archive.pages import Archive
from palaver.jid import JID
from palaver.markup import attribute, element
from palaver.stanza import Stanza, from_element
from palaver.storage import Entry, LogQuery
from palaver.times import stamp
from palaver.tree import parse_element

NS_RETRACT = "urn:xmpp:message-retract:1"
# Version 0.3 and before, wrapped in XEP-0422's apply-to.
NS_RETRACT_0 = "urn:xmpp:message-retract:0"
NS_FASTEN = "urn:xmpp:fasten:0"
TOMBSTONE_FEATURES = (f"{NS_RETRACT}#tombstone", f"{NS_RETRACT_0}#tombstone")

# People retract what they have just written; how far back it is looked for, with one peer.
PAGE_SIZE = 200
MAX_SEARCHED = 5000


class Retraction(NamedTuple):
    """Which message is to go: ``target`` is its origin-id, or its id; ``ns`` the version of the protocol."""

    target: str
    ns: str
    id: str | None


def read(message: Stanza) -> Retraction | None:
    """Give what a message retracts; None when it retracts nothing."""
    children = message.children
    if (NS_RETRACT, "retract") in children:
        node = message.child(NS_RETRACT, "retract")
        ns = NS_RETRACT
    elif (NS_FASTEN, "apply-to") in children:
        node = message.child(NS_FASTEN, "apply-to")
        if node is None or next(node.elements(NS_RETRACT_0, "retract"), None) is None:
            return None
        ns = NS_RETRACT_0
    else:
        return None
    target = node.getAttribute("id") if node is not None else None
    return Retraction(target, ns, message.id) if target else None


async def find_target(archive: Archive, peer: str, sender: JID, target: str) -> Entry | None:
    """Give the newest message with this id, exchanged with ``peer`` (bare) and sent by ``sender``.

    Nobody retracts what another one wrote (section 5). Raises StorageError.
    """
    query = LogQuery(peer=peer, limit=PAGE_SIZE, backwards=True)
    # Most messages do not even hold the text, which says so at once unless it was written with escapes.
    text = target.encode() if attribute(target) == target else b""
    for _ in range(MAX_SEARCHED // PAGE_SIZE):
        page = await archive.range(query)
        for entry in reversed(page.entries):
            if text in entry.payload and _is_target(entry, sender, target):
                return entry
        if page.complete:
            return None
        query = query._replace(before=page.entries[0].id)
    return None


def _is_target(entry: Entry, sender: JID, target: str) -> bool:
    author = address(entry.payload, "from")
    if author is None or author.bare != sender.bare:
        return False
    message = from_element(parse_element(entry.payload))
    return target in (_origin_id(message), message.id)


def _origin_id(message: Stanza) -> str | None:
    node = message.child(NS_STANZA_ID, "origin-id")
    return node.getAttribute("id") if node is not None else None


def tombstone(entry: Entry, retraction: Retraction, now_s: float) -> Entry:
    """Give what stands in a retracted message's place: its attributes, nothing of its content (section 4)."""
    message = from_element(parse_element(entry.payload))
    kept = b""
    if (origin_id := _origin_id(message)) is not None:
        kept = element("origin-id", NS_STANZA_ID, id=origin_id)
    by = retraction.id if retraction.ns == NS_RETRACT else None
    mark = element("retracted", retraction.ns, kept, stamp=stamp(int(now_s)), id=by)
    left = Stanza(message.name, message.attrs, ((retraction.ns, "retracted"),), mark)
    return entry._replace(payload=left.encode(declare=True), text=None)
