"""The service: finds rooms, makes them, forgets them, and gives each stanza to whatever answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
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
from palaver.rooms import creating, entering, errors, history, iqs, leaving, limits, owner, talk
from palaver.rooms.broadcast import Mail
from palaver.rooms.config import Fields
from palaver.rooms.events import RoomDestroyed
from palaver.rooms.hooks import Hooks
from palaver.rooms.limits import Limits
from palaver.rooms.messages import Utterance
from palaver.rooms.namespaces import NS_MUC, SHUT_DOWN
from palaver.rooms.occupants import Seat
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
MAX_LISTED = 500


@implementer(IRooms, IService)
class Service:
    """Multi-User Chat on one domain."""

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
        self.iqs = iqs.Answers(self)
        self._defaults = defaults
        # Rooms that are being read: whoever asks meanwhile gets the same.
        self._loading: dict[str, list[Deferred[Room | None]]] = {}
        # The rooms that a session is in, by full JID.
        self.seats: dict[str, set[Room]] = {}

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
        room = self.rooms.get(name, room)
        if room is not None:
            self.rooms[name] = room
        for waiting in self._loading.pop(name):
            if failure is not None:
                waiting.errback(failure)
            else:
                waiting.callback(room)

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

    def create(
        self, name: str, owner: str, config: Values | None = None, occupant: None = None
    ) -> Deferred[Room]:
        """See IRooms."""
        return Deferred.fromCoroutine(self._create(name, owner, config or {}))

    async def _create(self, name: str, owner: str, config: Values) -> Room:
        name = jid.prepare_local(name)
        creating.check_name(self, name)
        before = await self.find(name)
        creating.check_free(self, before, owner)
        room = self.rooms[name] = creating.new_room(self, name, owner, config)
        await room.order.take(partial(self._put_new, room, before))
        return room

    async def _put_new(self, room: Room, before: Room | None) -> None:
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
            gone = owner.Destruction(reason, alternate or "", password)
            await room.order.take(partial(owner.destroy, room, gone))
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

    def online(self) -> Iterable[Room]:
        """See IRooms."""
        return [room for room in self.rooms.values() if room.seats]

    def forget(self, room: Room) -> None:
        """Take a room out of memory."""
        if self.rooms.get(room.name) is room:
            del self.rooms[room.name]

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
        origin = stanza.origin
        return origin if isinstance(origin, Session) and origin.jid.full == sender.full else None

    def seated(self, room: Room, seat: Seat) -> None:
        """Note that a session is in a room."""
        self.seats.setdefault(seat.jid.full, set()).add(room)

    def unseated(self, room: Room, seat: Seat) -> None:
        """Note that a session is in a room no more; a room that does not stay goes with the last one."""
        rooms = self.seats.get(seat.jid.full)
        if rooms is not None:
            rooms.discard(room)
            if not rooms:
                del self.seats[seat.jid.full]
        room.used_at = self.clock.seconds()
        if not (room.seats or room.is_persistent or room.gone) and self.rooms.get(room.name) is room:
            self.forget(room)
            self.events.fire(RoomDestroyed(room))

    def session_gone(self, full: str) -> Deferred[None] | None:
        """Take a session that has ended out of its rooms."""
        for room in tuple(self.seats.get(full, ())):
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
        sender = jid.parse(stanza.attrs["from"])
        room = self.rooms.get(to.local)
        if room is not None and not room.gone:
            if stanza.name == "message" and stanza.attrs.get("type") == "groupchat" and not to.resource:
                return room.order.say(Utterance(room, stanza, sender))
            return self._dispatch(room, stanza, to, sender)
        if not to.local:
            return self._to_service(stanza, to, sender)
        if stanza.type in ("error", "result", "unavailable"):
            return None
        return Deferred.fromCoroutine(self._find_first(stanza, to, sender))

    async def _find_first(self, stanza: Stanza, to: JID, sender: JID) -> None:
        """Take a stanza for a room that is not in memory, or not there."""
        try:
            room = await self.find(to.local)
            if room is not None and not room.gone:
                waiting = self.deliver(stanza, to)
            else:
                waiting = self._to_nothing(room, stanza, to, sender)
        except Exception:
            self.bounce(stanza, failed(MODULE, Failure()))
            return
        if waiting is not None:
            await waiting

    def _to_nothing(self, gone: Room | None, stanza: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
        """Take a stanza for a room that is not there: whoever enters makes it. Raises StanzaError."""
        joins = stanza.name == "presence" and stanza.type is None and (NS_MUC, "x") in stanza.children
        if stanza.name == "iq":
            return self.iqs.to_nothing(gone, stanza, to, sender)
        if not joins:
            raise StanzaError("item-not-found", "There is no such room", type="cancel")
        if not self.may(sender, self.access):
            raise StanzaError("forbidden", "You may not use this service")
        creating.check_free(self, gone, sender.bare)
        room = creating.for_joiner(self, stanza, sender, to.local)
        self.rooms[to.local] = room

        async def make_and_enter() -> None:
            try:
                entering.check_nick(room, to.resource, sender.bare)
                await self._put_new(room, gone)
                entering.available(room, stanza, sender, to.resource)
            except BaseException:
                self.forget(room)
                raise

        return self.turn(room, stanza, make_and_enter)

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

    def _dispatch(self, room: Room, stanza: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
        """Give a stanza for a room that is there to what answers it."""
        room.used_at = self.clock.seconds()
        if stanza.name == "iq":
            return self.iqs.to_room(room, stanza, to, sender)
        if stanza.name == "message":
            return talk.take(room, stanza, to, sender)
        return self._presence(room, stanza, to, sender)

    def _presence(self, room: Room, stanza: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
        kind = stanza.type
        do: Callable[[], Awaitable[object] | None]
        if kind is None:
            if sender.full not in room.seats and not self.may(sender, self.access):
                self.bounce(stanza, StanzaError("forbidden", "You may not use this service"))
                return None
            do = partial(entering.available, room, stanza, sender, to.resource)
        elif kind == "unavailable":
            do = partial(leaving.unavailable, room, stanza, sender.full)
        elif kind == "error":
            if not errors.is_fatal(stanza):
                return None
            do = partial(errors.remove, room, stanza, sender)
        elif kind == "probe":
            do = partial(self._probed, room, to, sender)
        else:
            return None
        return self.turn(room, stanza, do)

    def _probed(self, room: Room, to: JID, sender: JID) -> None:
        """Answer a probe: occupants see whom they would see anyway."""
        asker, target = room.seats.get(sender.full), room.occupants.get(to.resource)
        if asker is None or target is None:
            return
        versions = entering.Versions(room, target, target.shown)
        seen = versions.own(asker) if target is asker.occupant else versions.for_others(asker.occupant)
        room.send([(asker, (seen,))])

    def _to_service(self, stanza: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
        if stanza.name == "iq":
            return self.iqs.to_service(stanza, to, sender)
        if stanza.name == "message":
            self.bounce(stanza, StanzaError("service-unavailable"))
        return None
