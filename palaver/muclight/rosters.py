"""Rooms in the rosters of their members, as contacts of a group of their own."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from zope.interface import implementer

from palaver import jid
from palaver.interfaces import IRosterAdditions
from palaver.markup import element, escape
from palaver.muclight.namespaces import NS_LIGHT
from palaver.muclight.schema import ROOM_NAME
from palaver.routing.additions import Addition, push_addition

if TYPE_CHECKING:
    from palaver.muclight.room import Room
    from palaver.muclight.service import Service

_GROUP = element("group", None, escape(NS_LIGHT))


@implementer(IRosterAdditions)
class RosterRooms:
    """A service's rooms in the rosters of the accounts of its host."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def of(self, local: str) -> list[Addition]:
        """See IRosterAdditions."""
        service = self._service
        bare = f"{local}@{service.host.domain}"
        found = [await service.find(name) for name in await service.store.rooms_of(bare)]
        # What has changed while others were read counts.
        return [_addition(room) for room in found if room is not None and bare in room.users]

    def changed(self, room: Room, users: Collection[str], version: str) -> None:
        """Tell clients of a room that is another one now; ``users`` and ``version`` are those before."""
        host = self._service.host
        before, now = Addition(room.jid.bare, version, b""), _addition(room)
        removal = element("item", None, jid=room.jid.bare, subscription="remove")
        for bare in {*users, *room.users}:
            address = jid.parse(bare)
            user = host.users.get(address.local) if address.domain == host.domain else None
            if user is not None:
                was, is_ = bare in users, bare in room.users
                push_addition(user, before if was else None, now if is_ else None, removal)


def _addition(room: Room) -> Addition:
    name = str(room.config.get(ROOM_NAME, room.name))
    inner = _GROUP + element("version", None, escape(room.version))
    item = element("item", None, inner, jid=room.jid.bare, name_=name, subscription="to")
    return Addition(room.jid.bare, room.version, item)
