"""What whoever enters is told of what was said before (XEP-0045 section 7.2.13)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from twisted.words.xish import domish

from palaver.archive.messages import BODY, is_kept
from palaver.archive.stanzaids import with_id
from palaver.errors import StanzaError
from palaver.markup import element
from palaver.rooms.broadcast import Broadcast
from palaver.rooms.namespaces import NS_DELAY, NS_MUC
from palaver.stanza import NS_CLIENT, Stanza, from_element
from palaver.storage import Entry, LogQuery, ids
from palaver.times import read_stamp, stamp
from palaver.tree import parse_element

if TYPE_CHECKING:
    from palaver.rooms.room import Room

# More digits than any of our limits; int() takes long over a stranger's million digits.
MAX_DIGITS = 9
# What is read of an archive that ends with what nobody who enters is told, such as markers.
MAX_PAGES = 4


class Remembered(NamedTuple):
    """One message as those who enter get it; ``at`` is a Unix time."""

    broadcast: Broadcast
    at: float


def limit(room: Room) -> int:
    """Give how many messages of a room are remembered."""
    most = room.config["maxhistoryfetch"]
    return min(most if isinstance(most, int) else 0, room.service.limits.max_history)


def is_remembered(message: Stanza) -> bool:
    """Tell whether a message is worth telling those who enter: a subject is told anyway, a marker is old."""
    children = message.children
    is_subject = (NS_CLIENT, "subject") in children and BODY not in children
    return not is_subject and is_kept(children, markers=False)


def remember(room: Room, message: Stanza, id: int, *, archived: bool) -> None:
    """Take a message, from its occupant JID and without ``to``, as the newest one."""
    most = limit(room)
    if most and is_remembered(message):
        room.recent.append(_delayed(room, message, id, archived))
    while len(room.recent) > most:
        room.recent.popleft()


def _delayed(room: Room, message: Stanza, id: int, archived: bool) -> Remembered:
    at = ids.to_time(id)
    delay = element("delay", NS_DELAY, from_=room.jid.bare, stamp=stamp(at))
    message = message.with_child(delay, NS_DELAY, "delay")
    if archived:
        message = with_id(message, room.jid.bare, id)
    return Remembered(Broadcast(message), at)


async def load(room: Room) -> None:
    """Remember what a stored room's archive ends with. Raises StorageError."""
    most = limit(room)
    if not most or not room.has_archive:
        return
    found: list[Remembered] = []
    query = LogQuery(limit=most, backwards=True)
    for _ in range(MAX_PAGES):
        page = await room.archive.range(query)
        for entry in reversed(page.entries):
            message = read(entry)
            if is_remembered(message):
                found.append(_delayed(room, message, entry.id, True))
        if page.complete or len(found) >= most:
            break
        query = query._replace(before=page.entries[0].id)
    room.recent.extend(reversed(found[:most]))


def read(entry: Entry) -> Stanza:
    """Give the message of an archive's entry."""
    return from_element(parse_element(entry.payload))


# -- whoever enters --------------------------------------------------------------------


class Wanted(NamedTuple):
    """How much somebody wants to be told; None for no limit."""

    chars: int | None = None
    stanzas: int | None = None
    since: float | None = None


def read_wanted(x: domish.Element | None) -> Wanted:
    """Read the ``<history/>`` of who enters; raises StanzaError(bad-request)."""
    node = next(x.elements(NS_MUC, "history"), None) if x is not None else None
    if node is None:
        return Wanted()
    seconds, since = _number(node, "seconds"), None
    if (text := node.getAttribute("since")) is not None:
        try:
            since = read_stamp(text)
        except ValueError as error:
            raise StanzaError("bad-request", f"since: {error}") from None
    if seconds is not None:
        since = max(since or 0.0, time.time() - seconds)
    return Wanted(_number(node, "maxchars"), _number(node, "maxstanzas"), since)


def _number(node: domish.Element, name: str) -> int | None:
    text = node.getAttribute(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise StanzaError("bad-request", f"{name} is a number")
    return int(text) if len(text) <= MAX_DIGITS else 10**MAX_DIGITS


def told(room: Room, wanted: Wanted, full: str) -> list[Broadcast]:
    """Give what somebody is told, oldest first; ``full`` is the address that it is sent to."""
    found: list[Broadcast] = []
    chars = 0
    for remembered in reversed(room.recent):
        if wanted.stanzas is not None and len(found) >= wanted.stanzas:
            break
        if wanted.since is not None and remembered.at < wanted.since:
            break
        if wanted.chars is not None:
            # Characters of the whole stanza count (section 7.2.13).
            chars += len(remembered.broadcast.to(full).encode().decode())
            if chars > wanted.chars:
                break
        found.append(remembered.broadcast)
    return found[::-1]
