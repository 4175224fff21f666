"""What clients send, cleared of what only rooms say."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from palaver import jid
from palaver.archive.messages import NS_STANZA_ID
from palaver.jid import InvalidJID
from palaver.markup import element
from palaver.rooms.namespaces import (
    NS_DELAY,
    NS_HATS,
    NS_HATS_BEFORE,
    NS_LEGACY_DELAY,
    NS_MUC,
    NS_OCCUPANT_ID,
    NS_USER,
)
from palaver.stanza import NS_CLIENT, Child, Stanza
from palaver.times import stamp

if TYPE_CHECKING:
    from twisted.words.xish import domish

    from palaver.rooms.room import Room

# Said by rooms alone, and by clients only to them; hats under the name that clients knew before, too.
ALWAYS: frozenset[Child] = frozenset(
    (
        (NS_MUC, "x"),
        (NS_USER, "x"),
        (NS_OCCUPANT_ID, "occupant-id"),
        (NS_HATS, "hats"),
        (NS_HATS_BEFORE, "hats"),
    )
)
# Whose they are is in an attribute.
ATTRIBUTED: dict[Child, str] = {
    (NS_DELAY, "delay"): "from",
    (NS_LEGACY_DELAY, "x"): "from",
    (NS_STANZA_ID, "stanza-id"): "by",
}
_STATUS = (NS_CLIENT, "status")


def clean(room: Room, stanza: Stanza, more: frozenset[Child] = frozenset()) -> Stanza:
    """Give a stanza without what only rooms say, and without ids and times that claim to be of this server.

    ``more`` is taken off as well.
    """
    away = ALWAYS | room.service.hooks.reserved | more
    return without(stanza, away, room.service.host.router.services)


def without(stanza: Stanza, away: frozenset[Child], services: Container[str]) -> Stanza:
    """Give a stanza without some children, and without ids and times that claim to be of ``services``."""
    children = stanza.children
    if away.isdisjoint(children) and ATTRIBUTED.keys().isdisjoint(children):
        return stanza
    return stanza.with_children(
        node
        for node in stanza.element.children
        if isinstance(node, str) or ((node.uri, node.name) not in away and not _claims(node, services))
    )


def _claims(node: domish.Element, services: Container[str]) -> bool:
    """Tell whether an element says that it comes from this server; one that says nothing is read so too.

    Users' servers take off ids that claim to be theirs, which is done here for all of them at once.
    """
    name = ATTRIBUTED.get((node.uri or "", node.name))
    if name is None:
        return False
    try:
        by = node.getAttribute(name)
        return by is None or jid.parse(by).domain in services
    except InvalidJID:
        return True


def presence(room: Room, stanza: Stanza, role: str) -> Stanza:
    """Give what the others may see of a client's presence."""
    hides = role == "visitor" and not room.config["allowvisitorstatus"]
    return clean(room, stanza, frozenset((_STATUS,)) if hides else frozenset())


def delayed(room: Room, stanza: Stanza, at: float) -> Stanza:
    """Give a stanza with the Unix time when it was first sent, in the room's name (XEP-0203)."""
    delay = element("delay", NS_DELAY, from_=room.jid.bare, stamp=stamp(at))
    return stanza.with_child(delay, NS_DELAY, "delay")
