"""Stanzas for a service, its rooms and their occupants: each goes to whatever answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver import jid
from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.rooms import creating, entering, errors, leaving, talk
from palaver.rooms.messages import Utterance
from palaver.rooms.namespaces import NS_MUC
from palaver.rooms.presence import Versions
from palaver.rooms.room import Room
from palaver.routing.failures import failed
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.rooms.service import Service

MODULE = "mod_muc"


def deliver(service: Service, stanza: Stanza, to: JID) -> Deferred[Any] | None:
    """Take a stanza for the service; see `palaver.interfaces.IService`."""
    sender = jid.parse(stanza.attrs["from"])
    room = service.rooms.get(to.local)
    if room is not None and not room.gone:
        if stanza.name == "message" and stanza.attrs.get("type") == "groupchat" and not to.resource:
            return room.order.say(Utterance(room, stanza, sender))
        return _dispatch(service, room, stanza, to, sender)
    if not to.local:
        return _to_service(service, stanza, to, sender)
    if stanza.type in ("error", "result", "unavailable"):
        return None
    return Deferred.fromCoroutine(_find_first(service, stanza, to, sender))


async def _find_first(service: Service, stanza: Stanza, to: JID, sender: JID) -> None:
    """Take a stanza for a room that is not in memory, or not there."""
    try:
        room = await service.find(to.local)
        if room is not None and not room.gone:
            waiting = deliver(service, stanza, to)
        else:
            waiting = _to_nothing(service, room, stanza, to, sender)
    except Exception:
        service.bounce(stanza, failed(MODULE, Failure()))
        return
    if waiting is not None:
        await waiting


def _to_nothing(
    service: Service, gone: Room | None, stanza: Stanza, to: JID, sender: JID
) -> Deferred[Any] | None:
    """Take a stanza for a room that is not there: whoever enters makes it. Raises StanzaError."""
    if not _may_use(service, sender):
        _refuse(service, stanza)
        return None
    joins = stanza.name == "presence" and stanza.type is None and (NS_MUC, "x") in stanza.children
    if stanza.name == "iq":
        service.iqs.to_nothing(gone, stanza, to)
        return None
    if not joins:
        raise StanzaError("item-not-found", "There is no such room", type="cancel")
    creating.check_free(service, gone, sender.bare)
    room = creating.for_joiner(service, stanza, sender, to.local)
    service.rooms[to.local] = room

    async def make_and_enter() -> None:
        try:
            # What is refused leaves nothing behind.
            entering.check(room, stanza, sender, to.resource)
            await service.put_new(room, gone)
            entering.available(room, stanza, sender, to.resource)
        except BaseException:
            service.forget(room)
            raise

    return service.turn(room, stanza, make_and_enter)


def _may_use(service: Service, sender: JID) -> bool:
    """Tell whether a stanza's sender may use the service; who is in a room already stays a user."""
    access = service.access
    return access == "all" or sender.full in service.seats or service.may(sender, access)


def _refuse(service: Service, stanza: Stanza) -> None:
    if stanza.type not in ("error", "result", "unavailable"):
        service.bounce(stanza, StanzaError("forbidden", "You may not use this service"))


def _dispatch(service: Service, room: Room, stanza: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
    """Give a stanza for a room that is there to what answers it."""
    room.used_at = service.clock.seconds()
    if not _may_use(service, sender):
        _refuse(service, stanza)
        return None
    if stanza.name == "iq":
        return service.iqs.to_room(room, stanza, to, sender)
    if stanza.name == "message":
        return talk.take(room, stanza, to, sender)
    return _presence(service, room, stanza, to, sender)


def _presence(service: Service, room: Room, stanza: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
    kind = stanza.type
    do: Callable[[], Awaitable[object] | None]
    if kind is None:
        do = partial(entering.available, room, stanza, sender, to.resource)
    elif kind == "unavailable":
        do = partial(leaving.unavailable, room, stanza, sender.full)
    elif kind == "error":
        if not errors.is_fatal(stanza):
            return None
        do = partial(errors.remove, room, stanza, sender)
    elif kind == "probe":
        do = partial(_probed, room, to, sender)
    else:
        return None
    return service.turn(room, stanza, do)


def _probed(room: Room, to: JID, sender: JID) -> None:
    """Answer a probe: occupants see whom they would see anyway."""
    asker, target = room.seats.get(sender.full), room.occupants.get(to.resource)
    if asker is None or target is None:
        return
    versions = Versions(room, target, target.shown, known=True)
    seen = versions.own(asker) if target is asker.occupant else versions.for_others(asker.occupant)
    room.send([(asker, (seen,))])


def _to_service(service: Service, stanza: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
    if not _may_use(service, sender):
        _refuse(service, stanza)
        return None
    if stanza.name == "iq":
        return service.iqs.to_service(stanza, to, sender)
    if stanza.name == "message":
        service.bounce(stanza, StanzaError("service-unavailable"))
    return None
