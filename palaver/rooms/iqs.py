"""Requests to the service, to rooms and to occupants: which is answered by what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver.archive.messages import NS_MAM
from palaver.commands.typed import NS_COMMANDS
from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.rooms import adhoc, admin, archived, creating, discovery, owner, passing, registration
from palaver.rooms.hooks import OCCUPANT, ROOM, SERVICE, RoomRequest
from palaver.rooms.namespaces import NS_ADMIN, NS_OWNER, NS_PING, NS_REGISTER, NS_UNIQUE
from palaver.rooms.room import Room
from palaver.routing.disco import NS_INFO, NS_ITEMS
from palaver.routing.failures import failed
from palaver.routing.iqs import check_request
from palaver.stanza import Child, Stanza

if TYPE_CHECKING:
    from palaver.rooms.service import Service

MODULE = "mod_muc"

Answer = Callable[[Any, RoomRequest], Any]


def _pong(service: Service, request: RoomRequest) -> None:
    """Answer a ping (XEP-0199)."""


ANSWERS: dict[tuple[str, str, Child], Answer] = {
    (SERVICE, "get", (NS_INFO, "query")): discovery.service_info,
    (SERVICE, "get", (NS_ITEMS, "query")): discovery.service_items,
    (SERVICE, "get", (NS_UNIQUE, "unique")): discovery.unique,
    (SERVICE, "get", (NS_PING, "ping")): _pong,
    (ROOM, "get", (NS_PING, "ping")): _pong,
    (ROOM, "get", (NS_INFO, "query")): discovery.room_info,
    (ROOM, "get", (NS_ITEMS, "query")): discovery.room_items,
    (ROOM, "get", (NS_OWNER, "query")): owner.get,
    (ROOM, "set", (NS_OWNER, "query")): owner.set,
    (ROOM, "get", (NS_ADMIN, "query")): admin.get,
    (ROOM, "set", (NS_ADMIN, "query")): admin.set,
    (ROOM, "get", (NS_REGISTER, "query")): registration.get,
    (ROOM, "set", (NS_REGISTER, "query")): registration.set,
    (ROOM, "set", (NS_COMMANDS, "command")): adhoc.run,
    (ROOM, "get", (NS_MAM, "query")): archived.form,
    (ROOM, "set", (NS_MAM, "query")): archived.query,
    (ROOM, "get", (NS_MAM, "metadata")): archived.metadata,
    (ROOM, "get", (NS_MAM, "prefs")): archived.preferences,
    (ROOM, "set", (NS_MAM, "prefs")): archived.preferences,
}
"""By addressee, type and payload; modules add to it by `palaver.rooms.hooks.Hooks.add_iq`."""


class Answers:
    """Answers IQs for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def to_service(self, iq: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
        """Take an IQ for the service's domain."""
        if not self._is_request(iq):
            return None
        if to.resource:
            self._service.bounce(iq, StanzaError("service-unavailable"))
            return None
        return self._answer(SERVICE, RoomRequest(iq, sender))

    def to_nothing(self, gone: Room | None, iq: Stanza, to: JID) -> None:
        """Take an IQ for a room that is not there. Raises StanzaError."""
        if not self._is_request(iq):
            return
        if iq.children[0] == (NS_PING, "ping") and to.resource:
            # Whoever asks whether he is still in the room learns that he is not (XEP-0410 section 3).
            raise StanzaError("not-acceptable", "You are not in this room", type="cancel")
        if gone is not None and creating.is_taken(gone):
            raise creating.Gone(gone)
        raise StanzaError("item-not-found", "There is no such room")

    def to_room(self, room: Room, iq: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
        """Take an IQ for a room or for one of its occupants."""
        if iq.type in ("result", "error"):
            return passing.back(room, iq, to, sender) if to.resource else None
        if not self._is_request(iq):
            return None
        occupant = room.occupant_of(sender.full)
        if not to.resource:
            return self._answer(ROOM, RoomRequest(iq, sender, room, occupant))
        target = room.occupants.get(to.resource)
        request = RoomRequest(iq, sender, room, occupant, target)
        if (OCCUPANT, str(iq.type), iq.children[0]) in self._service.hooks.iqs:
            return self._answer(OCCUPANT, request)
        try:
            return passing.on(request)
        except StanzaError as error:
            self._service.bounce(iq, error)
            return None

    def _is_request(self, iq: Stanza) -> bool:
        """Tell whether an IQ is a get or set that can be answered; what is wrong with it is told."""
        wrong = check_request(iq)
        if wrong is not None:
            self._service.bounce(iq, wrong)
        return wrong is None and iq.type in ("get", "set")

    def _answer(self, kind: str, request: RoomRequest) -> Deferred[Any] | None:
        key = (kind, str(request.iq.type), request.iq.children[0])
        service = self._service
        added = service.hooks.iqs.get(key)
        try:
            if added is not None:
                answer = added[1](request)
            elif (known := ANSWERS.get(key)) is not None:
                answer = known(service, request)
            else:
                raise StanzaError("service-unavailable")
        except Exception:
            service.bounce(request.iq, failed(added[0] if added is not None else MODULE, Failure()))
            return None
        if isinstance(answer, Awaitable):
            return Deferred.fromCoroutine(self._answer_later(request.iq, answer))
        return self._reply(request.iq, answer)

    async def _answer_later(self, iq: Stanza, answer: Awaitable[Any]) -> None:
        try:
            self._reply(iq, await answer)
        except Exception:
            self._service.bounce(iq, failed(MODULE, Failure()))

    def _reply(self, iq: Stanza, answer: Any) -> Deferred[Any] | None:
        reply = answer if isinstance(answer, Stanza) else iq.result(answer)
        return self._service.host.router.reply(iq, reply)
