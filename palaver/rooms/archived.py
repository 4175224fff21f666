"""The archive of a room (XEP-0313 section 6): read by those who may enter it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.archive import pages
from palaver.archive import query as queries
from palaver.archive.messages import NS_MAM
from palaver.archive.pages import Archive, Found
from palaver.archive.query import ArchiveQuery
from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.markup import element
from palaver.rooms.affiliations import MEMBER, OUTCAST, RANK
from palaver.rooms.hooks import RoomRequest
from palaver.rooms.namespaces import NS_USER
from palaver.storage import Entry, LogQuery, Page

if TYPE_CHECKING:
    from palaver.rooms.room import Room
    from palaver.rooms.service import Service

MAX_RESULTS = 50


class _ByOccupant(Archive):
    """A room's archive in which an occupant JID is looked for: entries know real JIDs only."""

    async def range(self, query: LogQuery) -> Page:
        """Give a page of the log as if the room itself were the other side of each entry."""
        page: Page = await self.logs.range(self.host, self.owner, self.kind, query._replace(peer=None))
        room = f"{self.owner}@{self.host}"
        return page._replace(entries=[entry._replace(peer=room) for entry in page.entries])


def _room(service: Service, request: RoomRequest) -> Room:
    """Give the room whose archive the asker may read. Raises StanzaError."""
    room = request.room
    assert room is not None
    if not room.has_archive:
        raise StanzaError("feature-not-implemented", "Nothing is kept of what is said here")
    if service.is_owner(room, request.sender.bare):
        return room
    affiliation = room.affiliation(request.sender.bare)
    if affiliation == OUTCAST or (room.locked_for is not None):
        raise StanzaError("forbidden", "You may not read this archive")
    if room.config["membersonly"] and RANK[affiliation] < RANK[MEMBER]:
        raise StanzaError("forbidden", "This archive is for members")
    # Nobody comes round a password that he would have to know in order to enter.
    if room.config["passwordprotectedroom"] and request.occupant is None and RANK[affiliation] < RANK[MEMBER]:
        raise StanzaError("forbidden", "Enter the room first")
    return room


def form(service: Service, request: RoomRequest) -> bytes:
    """Give the form of a query (section 4.1.6)."""
    _room(service, request)
    return queries.form(True)


def preferences(service: Service, request: RoomRequest) -> bytes:
    """Refuse the preferences of an archive that is not the asker's own (XEP-0441 section 2.1).

    Whether a room keeps what is said is in its configuration, for all who are in it.
    """
    raise StanzaError("feature-not-implemented", "The owners of a room say whether messages are kept")


async def metadata(service: Service, request: RoomRequest) -> bytes:
    """Give the first and the last message's id and time (section 5)."""
    return await pages.metadata(_room(service, request).archive)


async def query(service: Service, request: RoomRequest) -> bytes:
    """Send a page of the archive, then say where it lies (section 4)."""
    room = _room(service, request)
    node = request.iq.child(NS_MAM, "query")
    assert node is not None
    asked = queries.read(node, MAX_RESULTS, MAX_RESULTS, True)
    sees = _sees_jids(service, room, request)
    found = await pages.find(_archive(room, asked, sees), asked)
    if sees:
        found = _with_jids(room, found)
    sender = request.sender
    origin = request.iq.origin
    send = origin.send if origin is not None else service.host.router.route
    query_id = node.getAttribute("queryid")
    for result in pages.results(found, asked, query_id, room.jid.bare, sender.full):
        if send(result) is False:
            # The session is gone.
            break
    return pages.fin(found)


def _sees_jids(service: Service, room: Room, request: RoomRequest) -> bool:
    own = request.occupant
    return (
        room.is_open or (own is not None and own.is_moderator) or service.is_owner(room, request.sender.bare)
    )


def _archive(room: Room, asked: ArchiveQuery, sees: bool) -> Archive:
    """Give the archive to look for somebody in. Raises StanzaError."""
    peer: JID | None = asked.peer
    if peer is None:
        return room.archive
    if peer.bare == room.jid.bare:
        return _ByOccupant(*room.archive) if peer.resource else room.archive._replace(kind=room.archive.kind)
    if not sees:
        # It would tell which occupant that is.
        raise StanzaError("forbidden", "You are not shown real JIDs here")
    return room.archive


def _with_jids(room: Room, found: Found) -> Found:
    """Say with each message whose it is: the real JID, as far as it is kept (section 6.2)."""
    return Found([_with_jid(entry) for entry in found.entries], found.complete, found.count, found.index)


def _with_jid(entry: Entry) -> Entry:
    if (
        not entry.peer
        or entry.peer == f"{entry.owner}@{entry.host}"
        or not entry.payload.endswith(b"</message>")
    ):
        return entry
    x = element("x", NS_USER, element("item", None, jid=entry.peer))
    return entry._replace(payload=entry.payload[: -len(b"</message>")] + x + b"</message>")
