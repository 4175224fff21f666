"""What an archive holds of a message: whether it is kept, its text, and what tells it from others."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable
from xml.sax.saxutils import unescape

from palaver import jid
from palaver.jid import JID, InvalidJID
from palaver.stanza import NS_CLIENT, Child, Stanza

NS_MAM = "urn:xmpp:mam:2"
NS_STANZA_ID = "urn:xmpp:sid:0"
NS_HINTS = "urn:xmpp:hints"
NS_MARKERS = "urn:xmpp:chat-markers:0"

BODY: Child = (NS_CLIENT, "body")
ORIGIN_ID: Child = (NS_STANZA_ID, "origin-id")

# A room keeps what is said in it; a headline is news that ages; an error is an answer to one client.
NEVER_KEPT_TYPES = frozenset(("groupchat", "headline", "error"))
# One of these is enough to keep nothing: the sender's wish, or a copy of what some archive has.
NEVER_KEPT: frozenset[Child] = frozenset(
    (
        (NS_HINTS, "no-store"),
        (NS_HINTS, "no-permanent-store"),
        (NS_MAM, "result"),
        ("urn:xmpp:carbons:2", "sent"),
        ("urn:xmpp:carbons:2", "received"),
    )
)
KEPT: frozenset[Child] = frozenset((BODY, (NS_CLIENT, "subject"), (NS_HINTS, "store")))
# What conversations are made of beside text.
KEPT_NAMESPACES = frozenset(
    (
        NS_MARKERS,
        "urn:xmpp:receipts",
        "urn:xmpp:eme:0",
        "urn:xmpp:reactions:0",
        "urn:xmpp:message-correct:0",
        "urn:xmpp:message-retract:1",
        "urn:xmpp:fasten:0",
        "jabber:x:conference",
        "http://jabber.org/protocol/muc#user",
        "urn:xmpp:jingle-message:0",
        "urn:xmpp:jingle-message:1",
    )
)

DIGEST_BYTES = 16

_ADDRESS = re.compile(rb" (from|to)='([^']*)'")
_QUOTES = {"&quot;": '"', "&apos;": "'"}


def is_archived(message: Stanza, markers: bool = True) -> bool:
    """Tell whether an account's archive keeps a message that it sends or receives (XEP-0313 section 5.1.1).

    Of the types chat and normal (an unknown type counts as normal) what has a body, a subject, or one of
    `KEPT_NAMESPACES`, or is marked ``<store/>`` (XEP-0334); nothing that has one of `NEVER_KEPT`. ``markers``
    False leaves out what is only a chat marker (XEP-0333).
    """
    return message.attrs.get("type") not in NEVER_KEPT_TYPES and is_kept(message.children, markers)


def is_kept(children: Iterable[Child], markers: bool = True) -> bool:
    """Tell whether a message with these children is worth keeping, whatever its type; see `is_archived`."""
    kept = False
    for child in children:
        if child in NEVER_KEPT:
            return False
        if child in KEPT or (child[0] in KEPT_NAMESPACES and (markers or child[0] != NS_MARKERS)):
            kept = True
    return kept


def body_text(message: Stanza) -> str | None:
    """Give the text of a message's bodies, in whatever languages, for searches; None without a body."""
    bodies = message.children.count(BODY)
    if not bodies:
        return None
    inner = message.inner
    # Nearly every message begins like this, and a tree costs more than all the rest of its way.
    if bodies == 1 and inner.startswith(b"<body>"):
        text = inner[6 : inner.index(b"</body>")]
        if b"<" not in text and b"&#" not in text:
            return unescape(text.decode(), _QUOTES) if b"&" in text else text.decode()
    return "\n".join(str(node) for node in message.element.elements(*BODY))


def reference(message: Stanza, sender: JID, to: JID) -> str | None:
    """Give what a message has in common with itself when it is sent again; None when it bears no id.

    Some clients use an id again for something else, so the content counts too: better kept twice than
    not at all. The origin-id (XEP-0359) is part of the content, and stands before the id.
    """
    identity = "" if ORIGIN_ID in message.children else message.attrs.get("id")
    if identity is None:
        return None
    digest = hashlib.blake2b(f"{sender.bare}\n{to.bare}\n{identity}\n".encode(), digest_size=DIGEST_BYTES)
    digest.update(message.inner)
    return digest.hexdigest()


def address(payload: bytes, name: str) -> JID | None:
    """Give the address in an attribute, from or to, of a message as it is stored; None when there is none."""
    start = payload[: payload.index(b">")]
    for found in _ADDRESS.finditer(start):
        if found[1] == name.encode():
            try:
                return jid.parse(html.unescape(found[2].decode()))
            except InvalidJID:
                return None
    return None
