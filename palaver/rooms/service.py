"""The service: its rooms, found, made and forgotten; who may do what, and which sessions are where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver import jid
from palaver.errors import StanzaError
from palaver.events import Events
from palaver.interfaces import IRooms, IService
from palaver.jid import JID
from palaver.pubsub.fields import Values
from palaver.rooms import affiliating, creating, dispatch, history, leaving, limits
from palaver.rooms.broadcast import Mail
from palaver.rooms.config import Fields
from palaver.rooms.events import RoomDestroyed
from palaver.rooms.hooks import Hooks
from palaver.rooms.iqs import Answers
from palaver.rooms.limits import Limits
from palaver.rooms.namespaces import SHUT_DOWN
from palaver.rooms.occupants import Seat
from palaver.rooms.order import Ended
from palaver.rooms.owner import Destruction
from palaver.rooms.owner import destroy as destroy_room
from palaver.rooms.presence import Note
from palaver.rooms.room import Room, Subject
from palaver.rooms.store import KIND, Store
from palaver.routing.failures import failed
from palaver.routing.sessions import Session
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.host import Host

MODULE = "mod_muc"
Access = Literal["all", "local", "admin", "none"]
# A room that nobody configures is an instant room after this time, as with Prosody.
LOCK_S = 300.0
# Affiliations of one account that are read in one piece.
MAX_LISTED = 500


@implementer(IRooms, IService)
class Service:
    """Multi-User Chat on one domain: rooms, as many as are in memory, and the others in the storage."""

    access: Access = "all"
    access_create: Access = "all"
    access_admin: Access = "none"
    access_persistent: Access = "all"
    locks = True
    idle_s = 90.0
    tombstone_s = 0
    first_affiliations: tuple[tuple[str, str], ...] = ()
    first_subject: Subject | None = None

    def __init__(self, host: Host, address: JID, name: str, limits: Limits, defaults: Values) -> None:
        """``defaults`` are of the configuration of new rooms."""
        self.host = host
        self.address = address
        self.domain = address.domain
        self.name = name
        self.limits = limits
        self.clock: Any = host.clock
        self.events: Events = host.events
        self.hooks = Hooks.of(host)
        self.fields = Fields(self.hooks.fields)
        self.store = Store(host.storage, self.domain)
        self.mail = Mail(host.router, host.clock)
        self.rooms: dict[str, Room] = {}
        self.iqs = Answers(self)
        self._defaults = defaults
        # Rooms that are being read: whoever asks meanwhile gets the same.
        self._loading: dict[str, list[Deferred[Room | None]]] = {}
        # The rooms that a session is in, by full JID.
        self.seats: dict[str, tuple[Room, ...]] = {}

    # -- who may do what ----------------------------------------------------------------

    def may(self, who: JID, access: Access) -> bool:
        """Tell whether somebody is meant by an option such as ``access_create``."""
        if access == "all" or self.is_admin(who.bare):
            return True
        return access == "local" and who.domain == self.host.domain

    def may_create(self, who: JID) -> bool:
        """Tell whether somebody may make rooms."""
        return self.may(who, self.access_create)

    def is_admin(self, bare: str) -> bool:
        """Tell whether somebody administers the server that this service is of."""
        return bare in self.host.admins

    def is_owner(self, room: Room, bare: str) -> bool:
        """Tell whether somebody owns a room, or has the same rights in all of them."""
        return room.affiliation(bare) == "owner" or (self.access_admin == "admin" and self.is_admin(bare))

    def new_config(self) -> Values:
        """Give what a new room is like."""
        return {**self.fields.defaults(), **self._defaults}

    # -- rooms --------------------------------------------------------------------------

    def get(self, name: str) -> Room | None:
        """See IRooms."""
        room = self.rooms.get(name)
        return room if room is None or not room.gone else None

    def load(self, name: str) -> Deferred[Room | None]:
        """See IRooms."""

        async def find() -> Room | None:
            room = await self.find(name)
            return room if room is None or not room.gone else None

        return Deferred.fromCoroutine(find())

    async def find(self, name: str) -> Room | None:
        """Give a room, or what is left of one that is gone; None when there is none. Raises StorageError."""
        room = self.rooms.get(name)
        if room is not None:
            return room
        mine: Deferred[Room | None] = Deferred()
        waiting = self._loading.get(name)
        if waiting is not None:
            waiting.append(mine)
        else:
            self._loading[name] = [mine]
            Deferred.fromCoroutine(self._load(name))
        return await mine

    async def _load(self, name: str) -> None:
        """Read a room for all who wait for it, in the order in which they came."""
        room, failure = None, None
        try:
            room = await self._read(name)
        except Exception:
            failure = Failure()
        # Somebody may have made it in the meantime.
        if room is not None:
            self.rooms.setdefault(name, room)
        for waiting in self._loading.pop(name):
            if failure is not None:
                waiting.errback(failure)
            else:
                # Who was first may have made it, or another one in the place of what is left.
                waiting.callback(self.rooms.get(name, room))

    async def _read(self, name: str) -> Room | None:
        if len(name) > limits.MAX_ROOM_ID_CHARS:
            return None
        documents = await self.store.load(name, self.hooks.kinds)
        if not any(document.kind == KIND for document in documents):
            return None
        room = Room(self, name, {**self.fields.defaults(), "persistentroom": True}, 0.0)
        room.fill(documents)
        for kind, take in self.hooks.kinds.items():
            take(room, [document for document in documents if document.kind == kind])
        if not room.gone:
            await history.load(room)
        return room

    def create(self, name: str, owner: str, config: Values | None = None) -> Deferred[Room]:
        """See IRooms."""
        return Deferred.fromCoroutine(self._create(name, owner, config or {}))

    async def _create(self, name: str, owner: str, config: Values) -> Room:
        name = jid.prepare_local(name)
        creating.check_name(self, name)
        before = await self.find(name)
        creating.check_free(self, before, owner)
        room = self.rooms[name] = creating.new_room(self, name, owner, config)
        await room.order.take(partial(self.put_new, room, before))
        return room

    async def put_new(self, room: Room, before: Room | None) -> None:
        """Store a new room, in the place of what is left of one; it is not there when that fails."""
        try:
            await creating.put(room, over_tombstone=before is not None)
        except BaseException:
            self.forget(room)
            raise

    def destroy(
        self, name: str, reason: str = "", alternate: str | None = None, password: str = ""
    ) -> Deferred[bool]:
        """See IRooms."""

        async def destroy() -> bool:
            room = await self.find(name)
            if room is None or room.gone:
                return False
            gone = Destruction(reason, alternate or "", password)
            await room.order.take(partial(destroy_room, room, gone))
            return True

        return Deferred.fromCoroutine(destroy())

    def affiliated(self, bare: str) -> Deferred[list[tuple[str, str]]]:
        """See IRooms."""

        async def find() -> list[tuple[str, str]]:
            found: list[tuple[str, str]] = []
            after = ""
            while page := await self.store.affiliated(bare, MAX_LISTED, after):
                found += [(document.owner, document.value["is"]) for document in page]
                after = page[-1].owner
                if len(page) < MAX_LISTED:
                    break
            return found

        return Deferred.fromCoroutine(find())

    async def forget_account(self, bare: str) -> None:
        """Take an account's affiliations away in all rooms. Raises StorageError."""
        names = {name for name, _ in await self.affiliated(bare)}
        names.update(room.name for room in self.rooms.values() if bare in room.affiliations)
        for name in names:
            room = await self.find(name)
            if room is not None and not room.gone:
                with suppress(Ended):
                    await room.order.take(partial(affiliating.forget, room, bare))

    def online(self) -> Iterable[Room]:
        """See IRooms."""
        return [room for room in self.rooms.values() if room.seats]

    def forget(self, room: Room) -> None:
        """Take a room out of memory."""
        if self.rooms.get(room.name) is room:
            del self.rooms[room.name]
        room.order.end()

    def sweep(self) -> None:
        """Take idle rooms out of memory, and open those that nobody has configured."""
        now = self.clock.seconds()
        for room in tuple(self.rooms.values()):
            if room.locked_for is not None and now - room.used_at > LOCK_S:
                room.locked_for = None
            if not room.seats and room.order.is_idle and now - room.used_at > self.idle_s:
                self.forget(room)

    # -- seats --------------------------------------------------------------------------

    @staticmethod
    def session_of(stanza: Stanza, sender: JID) -> Session | None:
        """Give the session of this process that a stanza came in on."""
        origin: Any = stanza.origin
        return origin if isinstance(origin, Session) and origin.jid.full == sender.full else None

    def seated(self, room: Room, seat: Seat) -> None:
        """Note that a session is in a room."""
        self.seats[seat.jid.full] = (*self.seats.get(seat.jid.full, ()), room)

    def unseated(self, room: Room, seat: Seat) -> None:
        """Note that a session is in a room no more; a room that does not stay goes with the last one."""
        left = tuple([one for one in self.seats.pop(seat.jid.full, ()) if one is not room])
        if left:
            self.seats[seat.jid.full] = left
        room.used_at = self.clock.seconds()
        if not (room.seats or room.is_persistent or room.gone) and self.rooms.get(room.name) is room:
            self.forget(room)
            self.events.fire(RoomDestroyed(room))

    def session_gone(self, full: str) -> Deferred[None] | None:
        """Take a session that has ended out of its rooms."""
        for room in self.seats.get(full, ()):
            room.order.work(partial(leaving.unavailable, room, None, full))
        return None

    def shut_down(self) -> None:
        """Tell everybody that the service ends (section 11.2)."""
        for room in self.online():
            leaving.remove(room, room.occupants.values(), Note((SHUT_DOWN,)))
            room.flush()

    # -- stanzas ------------------------------------------------------------------------

    def deliver(self, stanza: Stanza, to: JID) -> Deferred[Any] | None:
        """See IService."""
        return dispatch.deliver(self, stanza, to)

    def turn(
        self, room: Room, stanza: Stanza, do: Callable[[], Awaitable[object] | None]
    ) -> Deferred[None] | None:
        """Do what a stanza asks for in the room's turn; a refusal goes back to its sender."""

        def take() -> Awaitable[object] | None:
            if self.rooms.get(room.name) is not room:
                # It was another room, or none, by the time of its turn.
                return self.host.router.route(stanza)
            try:
                answer = do()
            except Exception:
                self.bounce(stanza, failed(MODULE, Failure()))
                return None
            return self._settled(stanza, answer) if answer is not None else None

        return room.order.work(take)

    async def _settled(self, stanza: Stanza, answer: Awaitable[object]) -> None:
        try:
            await answer
        except Exception:
            self.bounce(stanza, failed(MODULE, Failure()))

    def bounce(self, stanza: Stanza, error: StanzaError) -> None:
        """Answer a stanza with an error."""
        self.host.router.bounce(stanza, error)
