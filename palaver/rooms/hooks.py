"""What modules add to the rooms of a host: tables that cost nothing until somebody adds to them.

A module registers in its ``start``, whether mod_muc is there yet or not::

    hooks = Hooks.of(self.host)
    self.undo(hooks.add_phase("guard", self.name, self.not_too_fast))

Every ``add_…`` gives the function that takes it back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from palaver.stanza import Child, Stanza
from palaver.storage import Batch, Document

if TYPE_CHECKING:
    from palaver.forms import Field
    from palaver.jid import JID
    from palaver.pubsub.fields import Values
    from palaver.rooms.adhoc import RoomCommand
    from palaver.rooms.affiliating import Change
    from palaver.rooms.config import RoomField
    from palaver.rooms.occupants import Occupant, Seat
    from palaver.rooms.room import Room
    from palaver.routing.host import Host

GROUPCHAT = "groupchat"
SUBJECT = "subject"
PRIVATE = "private"

SERVICE = "service"
"""Addressed to the service's domain."""
ROOM = "room"
"""Addressed to the bare JID of a room that is there."""
OCCUPANT = "occupant"
"""Addressed to an occupant JID; a route here takes the IQ away from the client."""

PHASES: dict[str, tuple[str, ...]] = {
    # may refuse what an occupant says, by a StanzaError
    "guard": ("mod_muc_slow_mode",),
    # may give another stanza
    "change": ("mod_muc_occupant_id",),
    # may add to what is committed with it
    "store": ("mod_muc_moderation", "mod_muc_members"),
}
"""What an occupant says passes these phases in order; modules that are named come first, in this order."""


class Said(NamedTuple):
    """What an occupant says: ``stanza`` is what goes to the others, from the occupant JID, without ``to``.

    ``kind`` is GROUPCHAT, SUBJECT or PRIVATE; ``target`` is whom a private message is for. ``id`` is what it
    goes by in the room, known in the phase "store"; None for what is not worth keeping.
    """

    room: Room
    occupant: Occupant
    sender: JID
    stanza: Stanza
    kind: str
    target: Occupant | None = None
    id: int | None = None


class RoomRequest(NamedTuple):
    """An IQ get or set for a room, for an occupant (``target``), or for the service.

    ``occupant`` is the sender's own one; None when it is not in the room.
    """

    iq: Stanza
    sender: JID
    room: Room | None = None
    occupant: Occupant | None = None
    target: Occupant | None = None


class Greeting(NamedTuple):
    """What whoever enters is told beside the rest.

    ``first`` comes before anybody's presence, without ``to``; ``own`` goes into the ``<x/>`` of his own.
    ``nicks`` are those whose presence he is to be told, None for all.
    """

    first: Sequence[Stanza] = ()
    own: bytes = b""
    nicks: frozenset[str] | None = None


class Watch(NamedTuple):
    """What follows the affiliations of rooms, in a room's turn.

    ``store`` takes the changes of a room that stays and adds to what is committed with them; ``mark`` is
    called for each once that is done, before it counts, and gives what is told with it inside of the
    ``<x/>``.
    """

    store: Callable[[Room, Sequence[Change], Batch], None]
    mark: Callable[[Room, Change], bytes]


class Announced(NamedTuple):
    """What service discovery tells of a room beside the rest: ``fields`` are of its muc#roominfo form."""

    features: Sequence[str] = ()
    fields: Sequence[Field] = ()
    forms: Sequence[bytes] = ()


class MemberField(NamedTuple):
    """A choice that a member makes for himself when he registers with a room.

    ``options`` are what may be chosen, with labels; ``get`` gives the choice of an account (bare JID),
    ``put`` stores it, in the room's turn.
    """

    var: str
    label: str
    options: Mapping[str, str]
    get: Callable[[Room, str], str]
    put: Callable[[Room, str, str], Awaitable[None]]


IqAnswer = Any
"""None, a payload (bytes or domish.Element), a Stanza, or an awaitable of one of them."""
Handler = Callable[..., Any]
Undo = Callable[[], object]


class Hooks:
    """What the modules of one host have added; mod_muc reads it."""

    def __init__(self) -> None:
        # Resolved whenever somebody adds: what is read for every message is a plain tuple.
        self.guard: tuple[Callable[[Said], None], ...] = ()
        self.change: tuple[Callable[[Said], Stanza | None], ...] = ()
        self.store: tuple[Callable[[Said, Batch], None], ...] = ()
        self._phases: dict[str, list[tuple[str, Handler]]] = {name: [] for name in PHASES}
        self.reserved: frozenset[Child] = frozenset()
        self.presence: tuple[tuple[Child, Callable[[Room, Occupant], bytes]], ...] = ()
        # Gives the id of an account in a room (XEP-0421).
        self.occupant_id: Callable[[Room, str], str] | None = None
        self.told: tuple[Callable[[Room, Occupant, bool], bytes], ...] = ()
        self.entry: tuple[Callable[[Room, JID, str], None], ...] = ()
        self.welcome: tuple[Callable[[Room, Seat, Stanza], Greeting], ...] = ()
        self.affiliations: tuple[Watch, ...] = ()
        self.configuration: tuple[Callable[[Room, Values, JID], None], ...] = ()
        self.fields: dict[str, RoomField] = {}
        self.room_info: tuple[Callable[[Room], Announced], ...] = ()
        self.member_fields: tuple[MemberField, ...] = ()
        self.service_features: tuple[str, ...] = ()
        self.commands: dict[str, RoomCommand] = {}
        self.iqs: dict[tuple[str, str, Child], tuple[str, Callable[[RoomRequest], IqAnswer]]] = {}
        self.kinds: dict[str, Callable[[Room, Sequence[Document]], None]] = {}

    @classmethod
    def of(cls, host: Host) -> Hooks:
        """Give the host's one, which is there as long as the host is."""
        found = _OF_HOSTS.get(host)
        if found is None:
            found = _OF_HOSTS[host] = cls()
        return found

    def _append(self, table: str, entry: object) -> Undo:
        setattr(self, table, (*getattr(self, table), entry))

        def remove() -> None:
            setattr(self, table, tuple(known for known in getattr(self, table) if known is not entry))

        return remove

    # -- what is said -------------------------------------------------------------------

    def add_phase(self, phase: str, module: str, handler: Handler) -> Undo:
        """Take part in a phase of what occupants say; nobody waits in one.

        "guard" takes a `Said` and raises StanzaError to refuse; "change" takes a `Said` and gives a Stanza or
        None; "store" takes (Said, Batch) and adds to what is committed. Raises KeyError for another phase.
        """
        entry = (module, handler)
        self._phases[phase].append(entry)
        self._resolve(phase)

        def remove() -> None:
            self._phases[phase].remove(entry)
            self._resolve(phase)

        return remove

    def _resolve(self, phase: str) -> None:
        order = PHASES[phase]
        found = sorted(
            self._phases[phase],
            key=lambda entry: (order.index(entry[0]) if entry[0] in order else len(order), entry[0]),
        )
        setattr(self, phase, tuple(handler for _, handler in found))

    def add_reserved(self, ns: str, name: str) -> Undo:
        """Take a child off whatever clients send to rooms: only rooms say it, or modules of rooms."""
        child = (ns, name)
        self.reserved |= {child}

        def remove() -> None:
            self.reserved -= {child}

        return remove

    # -- presence -----------------------------------------------------------------------

    def add_presence(self, ns: str, name: str, give: Callable[[Room, Occupant], bytes]) -> Undo:
        """Add a child to the presence of occupants; ``give`` gives it serialised, b"" for none.

        The child is taken off what clients send. `palaver.rooms.presence.show` sends one that has changed.
        """
        entry = ((ns, name), give)
        self.presence += (entry,)
        undo_reserved = self.add_reserved(ns, name)

        def remove() -> None:
            self.presence = tuple(known for known in self.presence if known is not entry)
            undo_reserved()

        return remove

    def add_told(self, mark: Callable[[Room, Occupant, bool], bytes]) -> Undo:
        """Hear of each new presence that a room tells: ``mark`` takes whose it is and whether he goes.

        It is called once for a presence and gives what goes into the ``<x/>``.
        """
        return self._append("told", mark)

    def set_occupant_id(self, give: Callable[[Room, str], str]) -> Undo:
        """Say how occupant ids are made; ``give`` takes a room and a bare JID."""
        self.occupant_id = give

        def remove() -> None:
            self.occupant_id = None

        return remove

    def add_entry(self, guard: Callable[[Room, JID, str], None]) -> Undo:
        """Be asked before somebody enters: (room, real full JID, nick); StanzaError refuses."""
        return self._append("entry", guard)

    def add_welcome(self, greet: Callable[[Room, Seat, Stanza], Greeting]) -> Undo:
        """Tell whoever enters more: ``greet`` takes the presence that he entered by."""
        return self._append("welcome", greet)

    def add_watch(self, watch: Watch) -> Undo:
        """Follow changes of affiliations."""
        return self._append("affiliations", watch)

    # -- what rooms are and tell --------------------------------------------------------

    def add_field(self, name: str, field: RoomField) -> Undo:
        """Add a field to the configuration of rooms; its value is ``room.config.get(name, default)``.

        Rooms that were in memory before have none until they are configured.
        Raises ValueError for a second one.
        """
        if name in self.fields:
            raise ValueError(f"there is a field {name} already")
        self.fields[name] = field
        return lambda: self.fields.pop(name, None)

    def add_configuration(self, guard: Callable[[Room, Values, JID], None]) -> Undo:
        """Be asked before somebody configures a room: (room, all values, his JID); StanzaError refuses."""
        return self._append("configuration", guard)

    def add_member_field(self, field: MemberField) -> Undo:
        """Add a choice to the form that people register with a room by."""
        return self._append("member_fields", field)

    def add_room_info(self, tell: Callable[[Room], Announced]) -> Undo:
        """Add to what service discovery tells of a room."""
        return self._append("room_info", tell)

    def add_service_features(self, *features: str) -> Undo:
        """Add features to the service itself."""
        self.service_features += features

        def remove() -> None:
            left = list(self.service_features)
            for feature in features:
                left.remove(feature)
            self.service_features = tuple(left)

        return remove

    def add_iq(
        self,
        type: str,
        ns: str,
        name: str,
        module: str,
        answer: Callable[[RoomRequest], IqAnswer],
        to: Iterable[str] = (ROOM,),
    ) -> Undo:
        """Answer IQs as `palaver.modules.iq` does, for SERVICE, ROOM or OCCUPANT.

        Raises ValueError for a second answer to one.
        """
        keys = [(kind, type, (ns, name)) for kind in to]
        for key in keys:
            if key in self.iqs:
                raise ValueError(f"{self.iqs[key][0]} answers {key} already")
            self.iqs[key] = (module, answer)

        def remove() -> None:
            for key in keys:
                self.iqs.pop(key, None)

        return remove

    def add_command(self, command: RoomCommand) -> Undo:
        """Add a command that people run in rooms. Raises ValueError for a second one with its node."""
        if command.node in self.commands:
            raise ValueError(f"there is a command {command.node} already")
        self.commands[command.node] = command
        return lambda: self.commands.pop(command.node, None)

    def add_kind(self, kind: str, take: Callable[[Room, Sequence[Document]], None]) -> Undo:
        """Have documents read with each stored room; ``take`` gets the room and those of its kind.

        They are put under (``room.service.domain``, ``room.name``, kind) in a batch for
        ``room.service.store.write``, or in the phase "store", if the room ``is_persistent``; they go when it
        is destroyed. What they say is kept in ``room.state[kind]``, say.
        """
        self.kinds[kind] = take
        return lambda: self.kinds.pop(kind, None)


_OF_HOSTS: WeakKeyDictionary[Host, Hooks] = WeakKeyDictionary()
