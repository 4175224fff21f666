"""XEP-0486: rooms have a vCard, and in it an avatar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import Field as Option

from palaver.errors import StanzaError
from palaver.forms import Field
from palaver.markup import element
from palaver.modules import Module, Settings, on
from palaver.rooms.affiliations import MEMBER, RANK
from palaver.rooms.events import RoomConfigured
from palaver.rooms.hooks import Announced, Hooks, RoomRequest
from palaver.rooms.namespaces import CONFIG_CHANGED, NS_USER, NS_VCARD, statuses
from palaver.rooms.room import Room
from palaver.stanza import NS_CLIENT
from palaver.storage import Batch, Document
from palaver.tree import serialize
from palaver.vcards.photo import read_photo

# What every loaded room knows, and what only who asks for it reads.
KIND = "room-avatar"
KIND_CARD = "room-vcard"


class _Avatar(NamedTuple):
    """What is known of a room's vCard: the photo's hash, "" without one.

    ``card`` is the vCard itself where the room is not stored; else None.
    """

    hash: str
    card: str | None


class AvatarSettings(Settings):
    """Options of mod_muc_avatar."""

    max_size: int = Option(65_536, ge=1024, le=1_048_576, description="Bytes of a room's vCard at most.")


class RoomAvatars(Module):
    """Keeps a vCard for each room: owners publish it, whoever may enter reads it."""

    Settings = AvatarSettings

    settings: AvatarSettings

    def start(self) -> None:
        """Answer requests to rooms."""
        hooks = Hooks.of(self.host)
        self.undo(hooks.add_iq("get", NS_VCARD, "vCard", self.name, self.get))
        self.undo(hooks.add_iq("set", NS_VCARD, "vCard", self.name, self.set))
        self.undo(hooks.add_kind(KIND, self._load))
        self.undo(hooks.add_room_info(self._tell))
        self.undo(hooks.add_service_features(NS_VCARD))

    def _load(self, room: Room, documents: Sequence[Document]) -> None:
        for document in documents:
            room.state[self.name] = _Avatar(document.value["hash"], None)

    def _of(self, room: Room) -> _Avatar | None:
        found: _Avatar | None = room.state.get(self.name)
        return found

    def _tell(self, room: Room) -> Announced:
        avatar = self._of(room)
        if avatar is None or not avatar.hash:
            return Announced((NS_VCARD,))
        return Announced((NS_VCARD,), (Field("text-multi", "muc#roominfo_avatarhash", values=[avatar.hash]),))

    async def get(self, request: RoomRequest) -> bytes:
        """Give the vCard, which may be empty (section 3.4). Raises StanzaError, StorageError."""
        room = request.room
        assert room is not None
        affiliation = room.affiliation(request.sender.bare)
        hidden = bool(room.config["membersonly"]) and not room.config["publicroom"]
        if affiliation == "outcast" or (
            hidden and request.occupant is None and RANK[affiliation] < RANK[MEMBER]
        ):
            raise StanzaError("forbidden", "This room is for members")
        avatar = self._of(room)
        if avatar is None:
            return element("vCard", NS_VCARD)
        if avatar.card is not None:
            return avatar.card.encode()
        documents = self.host.storage.documents
        stored: Document | None = await documents.get(room.service.domain, room.name, KIND_CARD)
        return stored.value["xml"].encode() if stored is not None else element("vCard", NS_VCARD)

    async def set(self, request: RoomRequest) -> None:
        """Publish a vCard, or take it back by an empty one. Raises StanzaError, StorageError."""
        room = request.room
        assert room is not None
        card = request.iq.child(NS_VCARD, "vCard")
        assert card is not None
        xml = serialize([card], NS_CLIENT).decode()
        if len(xml.encode()) > self.settings.max_size:
            raise StanzaError("not-acceptable", f"A vCard has at most {self.settings.max_size} bytes")
        photo = read_photo(card)
        avatar = _Avatar(photo.hash if photo is not None else "", xml) if any(card.elements()) else None

        async def change() -> None:
            if not room.service.is_owner(room, request.sender.bare):
                raise StanzaError("forbidden", "Owners publish a room's avatar")
            await self._put(room, avatar)
            # Not a change of the form; clients look at service discovery again (section 3.2).
            room.notify(element("x", NS_USER, statuses(CONFIG_CHANGED)), ((NS_USER, "x"),))

        await room.order.take(change)

    async def _put(self, room: Room, avatar: _Avatar | None) -> None:
        """Store a vCard, if the room is stored. Raises StorageError."""
        domain, name = room.service.domain, room.name
        if room.is_persistent:
            if avatar is None:
                await room.service.store.write(
                    Batch().delete(domain, name, KIND).delete(domain, name, KIND_CARD)
                )
            else:
                batch = Batch().put(domain, name, KIND, "", {"hash": avatar.hash})
                await room.service.store.write(batch.put(domain, name, KIND_CARD, "", {"xml": avatar.card}))
                avatar = avatar._replace(card=None)
        if avatar is None:
            room.state.pop(self.name, None)
        else:
            room.state[self.name] = avatar

    @on(RoomConfigured)
    async def configured(self, event: RoomConfigured) -> None:
        """Store what a room has that stays from now on."""
        avatar = self._of(event.room)
        if "persistentroom" in event.changed and avatar is not None and avatar.card is not None:
            await self._put(event.room, avatar)
