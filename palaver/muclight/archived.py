"""The archive of a room (XEP-0313 section 6): for its members."""

from __future__ import annotations

from palaver import jid
from palaver.archive import pages
from palaver.archive import query as queries
from palaver.archive.pages import Found
from palaver.archive.query import ArchiveQuery
from palaver.errors import StanzaError
from palaver.jid import InvalidJID
from palaver.markup import element
from palaver.muclight.changes import OWNER
from palaver.muclight.requests import Request
from palaver.muclight.room import Room
from palaver.rooms.namespaces import NS_USER
from palaver.storage import Entry

MAX_RESULTS = 50
_END = b"</message>"


def _check(room: Room) -> None:
    if not room.service.archives:
        raise StanzaError("feature-not-implemented", "Nothing is kept of what is said here")


def form(request: Request) -> bytes:
    """Give the form of a query (section 4.1.6)."""
    _check(request.room)
    return queries.form(True)


async def metadata(request: Request) -> bytes:
    """Give the first and the last message's id and time (section 5)."""
    _check(request.room)
    return await pages.metadata(request.room.archive)


async def query(request: Request) -> bytes:
    """Send a page of the archive, then say where it lies (section 4)."""
    room, sender = request.room, request.sender
    _check(room)
    asked = _by_author(room, queries.read(request.node, MAX_RESULTS, MAX_RESULTS, True))
    found = await pages.find(room.archive, asked)
    own = Found([_with_own(room, entry, sender.bare) for entry in found.entries], found.complete)
    origin = request.iq.origin
    send = origin.send if origin is not None else room.service.host.router.route
    query_id = request.node.getAttribute("queryid")
    for result in pages.results(own, asked, query_id, room.jid.bare, sender.full):
        if send(result) is False:
            # The session is gone.
            break
    return pages.fin(found)


def _by_author(room: Room, asked: ArchiveQuery) -> ArchiveQuery:
    """Give a query for one member's messages by his own address: the log knows nothing else."""
    if asked.peer is None or asked.peer.bare != room.jid.bare or not asked.peer.resource:
        return asked
    try:
        return asked._replace(peer=jid.parse(asked.peer.resource).without_resource())
    except InvalidJID:
        return asked


def _with_own(room: Room, entry: Entry, bare: str) -> Entry:
    """Say with the asker's own messages what he is in the room; others' are without."""
    if entry.peer != bare or not entry.payload.endswith(_END):
        return entry
    affiliation = room.users.get(bare, "none")
    role = "moderator" if affiliation == OWNER else "participant"
    x = element("x", NS_USER, element("item", affiliation=affiliation, jid=bare, role=role))
    return entry._replace(payload=entry.payload[: -len(_END)] + x + _END)
