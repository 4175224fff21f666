"""Whom a message in a room mentions: by XEP-0513, and by references to people (XEP-0372)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote

from palaver import jid
from palaver.jid import JID, InvalidJID
from palaver.rooms import hats
from palaver.rooms.affiliations import ADMIN, MEMBER, NONE, OWNER, RANK

if TYPE_CHECKING:
    from twisted.words.xish import domish

    from palaver.rooms.room import Room
    from palaver.stanza import Child, Stanza

NS_EXPLICIT = "urn:xmpp:mentions:0"
NS_REFERENCE = "urn:xmpp:reference:0"
MENTION: Child = (NS_EXPLICIT, "mention")
REFERENCE: Child = (NS_REFERENCE, "reference")
# Who mentions more people than this in one message means everybody.
MAX_MENTIONED = 20

INDIVIDUAL, CHANNEL, ASSOCIATIONS, HATS = "individual", "channel", "associations", "hats"
# Roles are of those who are there, and so is nobody's affiliation of none: nobody who is away is meant.
ROLES = ("moderators", "participants", "visitors", NONE)
AFFILIATIONS = (OWNER, ADMIN, MEMBER)
# Whoever is away is not active, and whom nobody wants to disturb hears nothing (section 3.5).
QUIET = frozenset(((NS_EXPLICIT, "active"), (NS_EXPLICIT, "noping")))
_STATE = "mentions"
# Ids of a room's members are made all at once: a few milliseconds.
MAX_IDS = 2000


def kind_of(mention: domish.Element) -> str:
    """Give what a ``<mention/>`` is of (section 3): one of the kinds above; "" for one that is unknown."""
    group = mention.getAttribute("mentions")
    if group is None:
        return INDIVIDUAL
    name = group.removeprefix(f"{NS_EXPLICIT}#") if group.startswith(f"{NS_EXPLICIT}#") else ""
    if name in ROLES or name in AFFILIATIONS:
        return ASSOCIATIONS
    return name if name in (CHANNEL, HATS) else ""


def has_any(message: Stanza) -> bool:
    """Tell whether a message may mention somebody."""
    return MENTION in message.children or REFERENCE in message.children


def members(room: Room, message: Stanza) -> set[str]:
    """Give the bare JIDs of the members, in the room or not, whose attention a message wants."""
    found: set[str] = set()
    for node in islice(message.element.elements(*REFERENCE), MAX_MENTIONED):
        if node.getAttribute("type") == "mention":
            found.update(_at(room, _address(node.getAttribute("uri", ""))))
    # A group may be everybody in a large room: it is looked up once.
    groups: set[tuple[str | None, str | None]] = set()
    for node in islice(message.element.elements(*MENTION), MAX_MENTIONED):
        group = node.getAttribute("mentions"), node.getAttribute("uri")
        if group in groups or any((child.uri, child.name) in QUIET for child in node.elements()):
            continue
        if group[0] is not None:
            groups.add(group)
        found.update(_meant(room, node))
    return {bare for bare in found if "@" in bare and RANK[room.affiliation(bare)] >= RANK[MEMBER]}


def _meant(room: Room, mention: domish.Element) -> Iterable[str]:
    """Give the bare JIDs that one mention is of, as far as a room knows people who are away."""
    kind = kind_of(mention)
    if kind == INDIVIDUAL:
        id = mention.getAttribute("occupantid")
        if id is not None:
            return (bare for bare in (_by_id(room).get(id),) if bare is not None)
        return _at(room, _parse(mention.getAttribute("jid", "")))
    if kind == CHANNEL:
        uri = mention.getAttribute("uri")
        return room.affiliations if uri is None or _address(uri) == room.jid else ()
    if kind == HATS:
        return hats.of(room).wearers(mention.getAttribute("uri", ""))
    if kind == ASSOCIATIONS:
        wanted = mention["mentions"].partition("#")[2]
        return (bare for bare, held in room.affiliations.items() if held.affiliation == wanted)
    return ()


def _by_id(room: Room) -> dict[str, str]:
    """Give the members by occupant id (XEP-0421); made when the first one is mentioned."""
    give = room.service.hooks.occupant_id
    if give is None or len(room.affiliations) > MAX_IDS:
        return {}
    found: dict[str, str] | None = room.state.get(_STATE)
    if found is None:
        found = room.state[_STATE] = {give(room, bare): bare for bare in room.affiliations}
    return found


def forget_ids(room: Room) -> None:
    """Have the ids of members made anew: others are members now."""
    room.state.pop(_STATE, None)


def _at(room: Room, whom: JID | None) -> Iterator[str]:
    """Give the account that an address means: itself, or who has reserved the nick of an occupant JID."""
    if whom is not None and whom.bare != room.jid.bare:
        yield whom.bare
    elif whom is not None and whom.resource and (bare := room.reserved_for(whom.resource)) is not None:
        yield bare


def _address(uri: str) -> JID | None:
    """Give the JID of an XMPP URI (RFC 5122); None for anything else."""
    return _parse(unquote(uri[len("xmpp:") :].partition("?")[0])) if uri.startswith("xmpp:") else None


def _parse(text: str) -> JID | None:
    try:
        return jid.parse(text)
    except InvalidJID:
        return None
