"""New rooms (XEP-0045 section 10.1), and rooms that are gone (10.9)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from palaver.errors import NS_STANZAS, StanzaError
from palaver.jid import JID
from palaver.markup import element, escape
from palaver.pubsub.fields import Values
from palaver.rooms.affiliations import OWNER
from palaver.rooms.entering import given_password
from palaver.rooms.events import RoomCreated
from palaver.rooms.limits import check_texts
from palaver.rooms.room import Held, Room
from palaver.rooms.store import put_affiliation, put_room
from palaver.stanza import Stanza
from palaver.storage import Batch, Conflict

if TYPE_CHECKING:
    from palaver.rooms.service import Service


class Gone(StanzaError):
    """The room is gone; another one may have taken its place (section 10.9)."""

    def __init__(self, room: Room) -> None:
        super().__init__("gone", room.gone.get("reason") or None, type="cancel")
        self._uri = f"xmpp:{room.gone['alternate']}?join" if room.gone.get("alternate") else ""

    def encode(self) -> bytes:
        """Give the ``<error/>`` element as bytes; the condition holds the address."""
        text = element("text", NS_STANZAS, escape(self.text)) if self.text else b""
        return element("error", None, element("gone", NS_STANZAS, escape(self._uri)) + text, type=self.type)


def is_taken(room: Room) -> bool:
    """Tell whether a name is kept for the owners of a room that is gone."""
    return time.time() - float(room.gone["at"]) <= room.service.tombstone_s


def check_free(service: Service, room: Room | None, bare: str) -> None:
    """Refuse a name that is not free for an account. Raises StanzaError."""
    if room is None:
        return
    if not room.gone:
        raise StanzaError("conflict", "There is such a room")
    if is_taken(room) and bare not in room.gone["owners"] and not service.is_admin(bare):
        raise Gone(room)


def check_name(service: Service, name: str) -> None:
    """Refuse a name that is too long. Raises StanzaError."""
    if len(name) > service.limits.max_room_id:
        raise StanzaError(
            "not-acceptable", f"A room's name has at most {service.limits.max_room_id} characters"
        )


def new_room(service: Service, name: str, owner: str, config: Values) -> Room:
    """Give a room that is in memory only; ``config`` has what differs from the service's defaults."""
    room = Room(service, name, {**service.new_config(), **config}, time.time())
    for bare, affiliation in service.first_affiliations:
        room.hold(bare, Held(affiliation))
    room.hold(owner, Held(OWNER))
    if service.first_subject is not None:
        room.subject = service.first_subject._replace(address=room.jid.bare, at=room.created)
    return room


def for_joiner(service: Service, presence: Stanza, sender: JID, name: str) -> Room:
    """Give a new room for who enters it as the first one; it is locked until it is configured.

    A password that comes with the presence is the room's. Raises StanzaError.
    """
    if not service.may_create(sender):
        raise StanzaError("not-allowed", "You may not make rooms here", type="cancel")
    check_name(service, name)
    config: Values = {}
    if password := given_password(presence):
        config = {"passwordprotectedroom": True, "roomsecret": password}
    room = new_room(service, name, sender.bare, config)
    if service.locks:
        room.locked_for = sender.bare
    return room


async def put(room: Room, *, over_tombstone: bool = False) -> None:
    """Store a new room if it stays, and tell of it.

    Raises StanzaError(conflict) when it is there already, StorageError.
    """
    check_texts(room.service.limits, room.config)
    if room.is_persistent:
        batch = Batch()
        put_room(batch, room, new=not over_tombstone)
        for bare, held in room.affiliations.items():
            put_affiliation(batch, room, bare, held)
        try:
            await room.service.store.write(batch)
        except Conflict:
            raise StanzaError("conflict", "There is such a room") from None
    elif over_tombstone:
        await room.service.store.write(Batch().delete(room.service.domain, room.name))
    room.service.events.fire(RoomCreated(room, room.owners()[0]))
