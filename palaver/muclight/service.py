"""The service: finds rooms, forgets them, and gives each stanza to whatever answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver import jid
from palaver.errors import StanzaError
from palaver.interfaces import IService
from palaver.jid import JID
from palaver.muclight import creating, setting
from palaver.muclight.changes import NONE, Item, Rules
from palaver.muclight.codec import Codec, Key
from palaver.muclight.hooks import Hooks
from palaver.muclight.mail import Mail
from palaver.muclight.messages import Utterance
from palaver.muclight.requests import Request, ServiceRequest, payload
from palaver.muclight.room import Room, new_version
from palaver.muclight.schema import SUBJECT, Schema, Value, read_value
from palaver.muclight.store import Store
from palaver.routing.failures import failed
from palaver.routing.iqs import check_request
from palaver.stanza import Stanza
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.muclight.rosters import RosterRooms
    from palaver.routing.host import Host

MODULE = "mod_muc_light"
IDLE_S = 90.0


@implementer(IService)
class Service:
    """MUC Light on one domain.

    ``archives`` says that rooms keep what is said, ``tells_ids`` that members are told the ids of it;
    ``rooms_per_page`` None that a list of rooms is not cut; ``rosters`` shows rooms in rosters, if anything.
    """

    archives = True
    tells_ids = True
    rooms_per_page: int | None = 10
    rosters: RosterRooms | None = None

    def __init__(
        self, host: Host, domain: str, codec: Codec, rules: Rules, fields: Mapping[str, Value]
    ) -> None:
        """``fields`` are those of rooms' configurations with their defaults."""
        self.host = host
        self.domain = domain
        self.codec = codec
        self.name = codec.name
        self.disco_node = codec.feature
        # Payloads that are right in a request of the other type.
        self._known = frozenset(
            child for table in (codec.anywhere, codec.reads, codec.writes) for _, child in table
        )
        self.rules = rules
        self.schema = Schema(fields)
        self.clock: Any = host.clock
        self.storage = host.storage
        self.store = Store(host.storage, domain)
        self.hooks = Hooks.of(host)
        self.mail = Mail(host)
        self.rooms: dict[str, Room] = {}
        # Rooms that are being read: whoever asks meanwhile gets the same.
        self._loading: dict[str, list[Deferred[Room | None]]] = {}

    # -- rooms --------------------------------------------------------------------------

    async def find(self, name: str) -> Room | None:
        """Give a room; None when there is none. Raises StorageError."""
        room = self.rooms.get(name)
        if room is not None:
            return room
        waiting = self._loading.get(name)
        if waiting is not None:
            mine: Deferred[Room | None] = Deferred()
            waiting.append(mine)
            return await mine
        others = self._loading[name] = []
        try:
            room = await self._read(name)
        except Exception:
            del self._loading[name]
            for other in others:
                other.errback(Failure())
            raise
        del self._loading[name]
        # Somebody may have made it in the meantime.
        room = self.rooms.get(name, room)
        if room is not None:
            self.rooms[name] = room
        for other in others:
            other.callback(room)
        return room

    async def _read(self, name: str) -> Room | None:
        found = await self.store.load(name)
        if found is None:
            return None
        document, users = found
        config = {**self.schema.defaults, **document.value["config"]}
        known = {field: config[field] for field in self.schema.defaults}
        return Room(self, name, known, users, document.value["version"])

    def end(self, room: Room) -> None:
        """Take a room out of memory that is there no more."""
        room.gone = True
        if self.rooms.get(room.name) is room:
            del self.rooms[room.name]

    def sweep(self) -> None:
        """Take idle rooms out of memory."""
        now = self.clock.seconds()
        for name, room in tuple(self.rooms.items()):
            if room.order.is_idle and now - room.used_at > IDLE_S:
                del self.rooms[name]

    async def forget(self, bare: str) -> None:
        """Take an account that is gone out of its rooms. Raises StorageError."""
        for name in await self.store.rooms_of(bare):
            room = await self.find(name)
            if room is not None:
                await room.order.take(partial(self._remove, room, bare))
        batch = Batch()
        self.store.drop_blocks(batch, bare)
        await self.storage.write(batch)

    @staticmethod
    async def _remove(room: Room, bare: str) -> None:
        if not room.gone and bare in room.users:
            await setting.apply(room, bare, [Item(bare, NONE)], new_version())

    # -- stanzas ------------------------------------------------------------------------

    def deliver(self, stanza: Stanza, to: JID) -> Deferred[Any] | None:
        """See IService."""
        kind = stanza.attrs.get("type")
        if kind == "error" or (stanza.name == "iq" and kind == "result"):
            return None
        sender = jid.parse(stanza.attrs["from"])
        if stanza.name == "presence":
            return self._take_presence(stanza, to, sender)
        if to.resource:
            return self.refuse(stanza, StanzaError("bad-request", "Resource expected to be empty"))
        if stanza.name == "iq":
            return self._take_iq(stanza, to, sender)
        if kind != "groupchat" or not to.local:
            return self.refuse(stanza, StanzaError("bad-request"))
        subject = self.codec.subject_of(stanza)
        if subject is not None:
            return self._in_turn(stanza, self._set_subject(stanza, to.local, sender.bare, subject))
        room = self.rooms.get(to.local)
        if room is not None:
            return self._say(room, stanza, sender)
        return self._in_turn(stanza, self._find_and_say(stanza, to, sender))

    def _take_presence(self, presence: Stanza, to: JID, sender: JID) -> Deferred[None] | None:
        try:
            if not self.codec.makes_room(presence, to):
                return None
        except StanzaError as error:
            return self.refuse(presence, error)
        wish = creating.Wish(sender.bare, to.local, {}, (), presence.attrs.get("id") or new_version())
        return self._in_turn(presence, creating.create(self, wish))

    async def _set_subject(self, message: Stanza, name: str, sender: str, subject: str) -> None:
        default = self.schema.defaults.get(SUBJECT)
        if default is None:
            raise StanzaError("bad-request", f"{SUBJECT}:not_found")
        wanted = {SUBJECT: read_value(SUBJECT, subject, default)}
        room = await self.find(name)
        if room is None:
            raise StanzaError("item-not-found")
        id = message.attrs.get("id") or new_version()
        await self._as_member(room, sender, lambda: setting.configure(room, sender, wanted, id))

    def _say(self, room: Room, message: Stanza, sender: JID) -> Deferred[None] | None:
        room.used_at = self.clock.seconds()
        return room.order.say(Utterance(room, message, sender))

    async def _find_and_say(self, message: Stanza, to: JID, sender: JID) -> None:
        room = await self.find(to.local)
        if room is None:
            raise StanzaError("item-not-found")
        waiting = self._say(room, message, sender)
        if waiting is not None:
            await waiting

    def _take_iq(self, iq: Stanza, to: JID, sender: JID) -> Deferred[Any] | None:
        wrong = check_request(iq)
        if wrong is not None:
            return self.refuse(iq, wrong)
        return self._in_turn(iq, self._answer(iq, to, sender))

    async def _answer(self, iq: Stanza, to: JID, sender: JID) -> None:
        key = (iq.attrs["type"], iq.children[0])
        anywhere = self.codec.anywhere.get(key)
        if anywhere is not None:
            outcome = anywhere(ServiceRequest(self, iq, sender, to.local, payload(iq)))
        else:
            room = await self.find(to.local) if to.local else None
            if room is None or sender.bare not in room.users:
                raise StanzaError("item-not-found" if to.local else "feature-not-implemented")
            outcome = self._in_room(room, Request(room, iq, sender, payload(iq)), key)
        if isinstance(outcome, Awaitable):
            outcome = await outcome
        self.host.router.reply(iq, iq.result(outcome))

    def _in_room(self, room: Room, request: Request, key: Key) -> Any:
        if (reads := self.codec.reads.get(key)) is not None:
            room.used_at = self.clock.seconds()
            return reads(request)
        if (writes := self.codec.writes.get(key)) is None:
            raise StanzaError("bad-request" if key[1] in self._known else "feature-not-implemented")
        return self._as_member(room, request.sender.bare, lambda: writes(request))

    async def _as_member(self, room: Room, bare: str, do: Callable[[], Awaitable[None]]) -> None:
        """Do something in the room's turn, if somebody is still a member then."""
        room.used_at = self.clock.seconds()

        async def work() -> None:
            if room.gone or bare not in room.users:
                raise StanzaError("item-not-found")
            await do()

        await room.order.take(work)

    def _in_turn(self, stanza: Stanza, answer: Awaitable[None]) -> Deferred[None]:
        return Deferred.fromCoroutine(self._settled(stanza, answer))

    async def _settled(self, stanza: Stanza, answer: Awaitable[None]) -> None:
        try:
            await answer
        except Exception:
            self.refuse(stanza, failed(MODULE, Failure()))

    def refuse(self, stanza: Stanza, error: StanzaError) -> Deferred[Any] | None:
        """Answer a stanza with an error."""
        return self.host.router.bounce(*self.codec.refused(stanza, error))
