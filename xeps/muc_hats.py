"""XEP-0317: Hats: admins of a room make titles such as "Speaker" and give them to people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from pydantic import Field as Option

from palaver.errors import StanzaError
from palaver.events import AccountDeleted
from palaver.forms import Field
from palaver.interfaces import IRooms
from palaver.markup import element
from palaver.modules import Module, Settings, on
from palaver.rooms import hats as stored
from palaver.rooms.adhoc import RoomCommand, Submitted
from palaver.rooms.affiliations import ADMIN, MEMBER, OUTCAST, RANK
from palaver.rooms.events import RoomConfigured
from palaver.rooms.hatforms import (
    HUE,
    NS_HATS_COMMANDS,
    TITLE,
    URI,
    WHO,
    form_of_new,
    form_of_old,
    form_of_wearer,
    read_hat,
    read_one,
    read_who,
    table,
)
from palaver.rooms.hats import Hat, Hats, of
from palaver.rooms.hooks import Announced, Hooks, RoomRequest
from palaver.rooms.namespaces import CONFIG_CHANGED, NS_HATS, NS_USER, statuses
from palaver.rooms.occupants import Occupant
from palaver.rooms.order import Ended
from palaver.rooms.presence import show
from palaver.rooms.room import Room
from palaver.rooms.store import short
from palaver.storage import Batch, Document

# Rooms of one account that are read in one piece.
MAX_ROOMS = 500


class HatsSettings(Settings):
    """Options of mod_muc_hats."""

    max_hats: int = Option(50, ge=1, le=500, description="Hats that a room may have.")
    max_worn: int = Option(10, ge=1, le=50, description="Hats that one person may wear in a room.")
    max_wearers: int = Option(
        1000,
        ge=1,
        le=100_000,
        description="People who may wear hats in a room, whether they are there or not.",
    )


class RoomHats(Module):
    """Shows with presence which hats an occupant wears; nobody puts one on himself.

    Owners and admins of a room make hats and give them by the commands that clients find in the room.
    """

    Settings = HatsSettings

    settings: HatsSettings

    def start(self) -> None:
        """Add hats to presence and the commands to rooms."""
        hooks = Hooks.of(self.host)
        self.undo(hooks.add_presence(NS_HATS, "hats", _shown))
        self.undo(hooks.add_room_info(_announced))
        # Hats are read before who wears them.
        for kind in (stored.KIND, stored.KIND_WEARER):
            self.undo(hooks.add_kind(kind, _load))
        for command in self._commands():
            self.undo(hooks.add_command(command))

    def _commands(self) -> Iterable[RoomCommand]:
        def command(name: str, title: str, *rest: Any) -> RoomCommand:
            return RoomCommand(f"{NS_HATS_COMMANDS}:{name}", title, NS_HATS_COMMANDS, *rest)

        yield command("list", "List hats", _check_viewer, _list)
        yield command("list-assigned", "List who wears hats", _check_admin, _list_assigned)
        yield command("create", "Create a hat", _check_admin, self._create, form_of_new)
        yield command("destroy", "Destroy a hat", _check_admin, self._destroy, form_of_old)
        yield command("assign", "Assign a hat", _check_admin, self._assign, form_of_wearer)
        yield command("unassign", "Take a hat away", _check_admin, self._unassign, form_of_wearer)

    # -- what is asked for: each in the room's turn, where the asker may be no admin any more ------------

    async def _create(self, request: RoomRequest, fields: Submitted) -> bytes:
        """Make a hat, or change the one with its URI (section 3.2)."""
        hat = read_hat(fields, request.iq.attrs.get("xml:lang", ""))
        return await _take(request, partial(self._put, _room(request), hat))

    async def _put(self, room: Room, hat: Hat) -> None:
        known = of(room)
        if hat.uri not in known.hats and len(known.hats) >= self.settings.max_hats:
            raise StanzaError("resource-constraint", f"A room has at most {self.settings.max_hats} hats")
        if known.hats.get(hat.uri) == hat:
            return
        batch = Batch()
        stored.put_hat(batch, room, hat)
        await _commit(room, batch)
        known.put(hat)
        _tell(room, known.wearers(hat.uri))

    async def _destroy(self, request: RoomRequest, fields: Submitted) -> bytes:
        """Take a hat away from everybody, for good (section 3.3)."""
        return await _take(request, partial(self._remove, _room(request), read_one(fields, URI)))

    @staticmethod
    async def _remove(room: Room, uri: str) -> None:
        known = _known(room, uri)
        wearers = known.wearers(uri)
        batch = Batch()
        stored.drop_hat(batch, room, uri)
        for bare in wearers:
            stored.put_worn(batch, room, bare, stored.without(known.worn[bare], uri))
        await _commit(room, batch)
        known.remove(uri)
        _tell(room, wearers)

    async def _assign(self, request: RoomRequest, fields: Submitted) -> bytes:
        """Give somebody a hat, whether he is there or not (section 3.5)."""
        room, uri = _room(request), read_one(fields, URI)
        return await _take(request, partial(self._give, room, read_who(room, read_one(fields, WHO)), uri))

    async def _give(self, room: Room, bare: str, uri: str) -> None:
        known, most = _known(room, uri), self.settings
        worn = known.worn.get(bare, ())
        if uri in worn:
            return
        if len(worn) >= most.max_worn:
            raise StanzaError("resource-constraint", f"Nobody wears more than {most.max_worn} hats")
        if not worn and len(known.worn) >= most.max_wearers:
            raise StanzaError("resource-constraint", f"At most {most.max_wearers} people wear hats here")
        await _dress(room, bare, (*worn, uri))

    async def _unassign(self, request: RoomRequest, fields: Submitted) -> bytes:
        """Take a hat from somebody (section 3.6)."""
        room, uri = _room(request), read_one(fields, URI)
        return await _take(request, partial(self._unhat, room, read_who(room, read_one(fields, WHO)), uri))

    @staticmethod
    async def _unhat(room: Room, bare: str, uri: str) -> None:
        known = _known(room, uri)
        if uri not in known.worn.get(bare, ()):
            raise StanzaError("item-not-found", "This person does not wear this hat")
        await _dress(room, bare, stored.without(known.worn[bare], uri))

    # -- what happens elsewhere ---------------------------------------------------------

    @on(RoomConfigured)
    async def configured(self, event: RoomConfigured) -> None:
        """Store the hats of a room that stays from now on."""
        room = event.room
        if "persistentroom" not in event.changed or not room.is_persistent:
            return
        batch, known = Batch(), of(room)
        for hat in known.hats.values():
            stored.put_hat(batch, room, hat)
        for bare, uris in known.worn.items():
            stored.put_worn(batch, room, bare, uris)
        await _commit(room, batch)

    @on(AccountDeleted)
    async def deleted(self, event: AccountDeleted) -> None:
        """Take an account's hats: another one may get its name, and is another person."""
        rooms = self.host.query(IRooms)
        if rooms is None:
            return
        bare = event.jid.bare
        names = {room.name for room in rooms.online() if bare in of(room).worn}
        names.update(await self._dressed_in(rooms.domain, bare))
        for name in names:
            room = await rooms.load(name)
            if room is not None and bare in of(room).worn:
                with suppress(Ended):
                    await room.order.take(partial(_dress, room, bare, ()))

    async def _dressed_in(self, domain: str, bare: str) -> list[str]:
        """Give the names of the stored rooms where an account wears hats."""
        names: list[str] = []
        page: Sequence[Document] = ()
        while True:
            after = (page[-1].owner, page[-1].key) if page else None
            page = await self.host.storage.documents.find(
                domain, stored.KIND_WEARER, short(bare), limit=MAX_ROOMS, after=after
            )
            names += [document.owner for document in page]
            if len(page) < MAX_ROOMS:
                return names


# -- what rooms show -------------------------------------------------------------------


def _shown(room: Room, occupant: Occupant) -> bytes:
    known: Hats | None = room.state.get(stored.STATE)
    return known.shown(occupant.bare) if known is not None else b""


def _announced(room: Room) -> Announced:
    digest = of(room).hash()
    return Announced((NS_HATS,), (Field(var="hats#hash", value=digest),) if digest else ())


def _load(room: Room, documents: Sequence[Document]) -> None:
    if documents:
        of(room).fill(documents)


def _tell(room: Room, wearers: Iterable[str]) -> None:
    """Tell everybody that the list is another one, and what those wear who are here (section 3.2)."""
    room.notify(element("x", NS_USER, statuses(CONFIG_CHANGED)), ((NS_USER, "x"),))
    for bare in wearers:
        _show(room, bare)


def _show(room: Room, bare: str) -> None:
    for occupant in room.occupants_of(bare):
        room.send(show(room, occupant))


async def _dress(room: Room, bare: str, uris: tuple[str, ...]) -> None:
    batch = Batch()
    stored.put_worn(batch, room, bare, uris)
    await _commit(room, batch)
    of(room).wear(bare, uris)
    _show(room, bare)


async def _commit(room: Room, batch: Batch) -> None:
    if room.is_persistent and batch.changes:
        await room.service.store.write(batch)


# -- who may -----------------------------------------------------------------------------


def _room(request: RoomRequest) -> Room:
    assert request.room is not None
    return request.room


def _check_admin(request: RoomRequest) -> None:
    room, bare = _room(request), request.sender.bare
    if RANK[room.affiliation(bare)] < RANK[ADMIN] and not room.service.is_owner(room, bare):
        raise StanzaError("forbidden", "Admins and owners of a room have to do with its hats")


def _check_viewer(request: RoomRequest) -> None:
    """Let those see the hats who might see them worn."""
    room, bare = _room(request), request.sender.bare
    held, config = room.affiliation(bare), room.config
    closed = config["membersonly"] or config["passwordprotectedroom"] or held == OUTCAST
    if closed and request.occupant is None and RANK[held] < RANK[MEMBER]:
        _check_admin(request)


async def _take(request: RoomRequest, do: Any) -> bytes:
    """Do something in the room's turn, as an admin who still is one by then."""

    async def take() -> None:
        _check_admin(request)
        await do()

    await _room(request).order.take(take)
    return b""


def _known(room: Room, uri: str) -> Hats:
    """Give the hats of a room that has this one. Raises StanzaError(item-not-found)."""
    known = of(room)
    if uri not in known.hats:
        raise StanzaError("item-not-found", "This room has no such hat")
    return known


# -- lists ---------------------------------------------------------------------------


async def _list(request: RoomRequest, fields: Submitted) -> bytes:
    rows = [(hat.title, hat.uri, hat.hue) for hat in of(_room(request)).hats.values()]
    return table("Hats", (TITLE, URI, HUE), rows)


async def _list_assigned(request: RoomRequest, fields: Submitted) -> bytes:
    known = of(_room(request))
    worn = [(bare, known.hats[uri]) for bare in sorted(known.worn) for uri in known.worn[bare]]
    rows = [(bare, hat.uri, hat.title, hat.hue) for bare, hat in worn]
    return table("Who wears hats", (WHO, URI, TITLE, HUE), rows)
