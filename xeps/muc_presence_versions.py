"""XEP-0436: whoever enters a room again is told only whose presence has changed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from pydantic import Field

from palaver.markup import element
from palaver.modules import Module, Settings, on
from palaver.rooms.affiliating import Change
from palaver.rooms.affiliations import MEMBER, RANK, first_role
from palaver.rooms.broadcast import Broadcast
from palaver.rooms.events import RoomConfigured
from palaver.rooms.hooks import Announced, Greeting, Hooks, Watch
from palaver.rooms.namespaces import NS_MUC, NS_USER
from palaver.rooms.occupants import Occupant, Seat
from palaver.rooms.room import NOTHING, Room
from palaver.stanza import Child, Stanza

NS_VERSIONS = "urn:xmpp:muc-presence-versioning:0"
USER: Child = (NS_USER, "x")
# What says in a room's configuration whose presence is told, and how much of it.
SHOWN_BY = frozenset(("whois", "presencebroadcast"))
EPOCH_BYTES = 6
# More digits than a room has presences; int() takes long over a stranger's million digits.
MAX_DIGITS = 18


class Log:
    """When each presence of a room has last changed, in numbers that count up while it is in memory.

    ``here`` has the number for each nick that is there, and whether it is shown; ``gone`` the number and the
    bare JID for those that went, oldest first: those up to ``floor`` are forgotten.
    """

    __slots__ = ("epoch", "floor", "gone", "here", "seq")

    def __init__(self, room: Room) -> None:
        self.epoch = secrets.token_hex(EPOCH_BYTES)
        self.here = {nick: (0, room.is_shown(one.role)) for nick, one in room.occupants.items()}
        self.gone: dict[str, tuple[int, str]] = {}
        self.floor = self.seq = 0

    @property
    def version(self) -> str:
        """The version now."""
        return f"{self.epoch}-{self.seq}"

    def find(self, version: str) -> int | None:
        """Give the number of a version; None when what has changed since is not known."""
        epoch, _, number = version.partition("-")
        if epoch != self.epoch or not (number.isascii() and number.isdigit() and len(number) <= MAX_DIGITS):
            return None
        return int(number) if self.floor <= int(number) <= self.seq else None

    def came(self, nick: str, *, shown: bool) -> None:
        """Take a presence of somebody who is there."""
        self.seq += 1
        self.gone.pop(nick, None)
        self.here[nick] = (self.seq, shown)

    def went(self, nick: str, bare: str, most: int) -> None:
        """Hear that a nick is gone, or is that of a member who is away."""
        self.seq += 1
        _, shown = self.here.pop(nick, (0, True))
        if shown:
            self.gone.pop(nick, None)
            self.gone[nick] = (self.seq, bare)
        if len(self.gone) > most:
            self.floor, _ = self.gone.pop(next(iter(self.gone)))


class PresenceVersionsSettings(Settings):
    """Options of mod_muc_presence_versions."""

    max_gone: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="People who have left that each room remembers for those who return.",
    )
    max_absent: int = Field(
        1000,
        ge=0,
        le=100_000,
        description="Absent members whom one who has no version yet is told of at most.",
    )


class PresenceVersions(Module):
    """Gives each presence of a room a version, and tells clients what is new since the one that they have.

    Versions are good as long as the room is in memory; afterwards clients are told to begin anew.
    Members who are away are shown by the nicks that they have reserved, to whoever enters without a version
    that the room knows, and when their affiliation or nick changes.
    """

    Settings = PresenceVersionsSettings

    settings: PresenceVersionsSettings

    def start(self) -> None:
        """Follow presence, and greet whoever enters."""
        hooks = Hooks.of(self.host)
        self.undo(hooks.add_told(self._told))
        self.undo(hooks.add_welcome(self._greet))
        self.undo(hooks.add_watch(Watch(lambda room, changes, batch: None, self._affiliated)))
        self.undo(hooks.add_room_info(lambda room: Announced((NS_VERSIONS,))))

    def _log(self, room: Room) -> Log:
        found: Log | None = room.state.get(self.name)
        if found is None:
            found = room.state[self.name] = Log(room)
        return found

    # -- what changes -------------------------------------------------------------------

    def _told(self, room: Room, occupant: Occupant, gone: bool) -> bytes:
        """Give the version that a presence makes (section 2)."""
        log = self._log(room)
        if gone:
            log.went(occupant.nick, occupant.bare, self.settings.max_gone)
        else:
            log.came(occupant.nick, shown=room.is_shown(occupant.role))
        return _version(log)

    def _affiliated(self, room: Room, change: Change) -> bytes:
        """Show a member who is away as he is from now on (section 4.1); others' presence says it itself."""
        held = room.affiliations.get(change.bare, NOTHING)
        nick = held.nick if change.nick is None else change.nick
        is_member = RANK[change.affiliation] >= RANK[MEMBER]
        shown = nick if is_member else held.nick
        same = (change.affiliation, nick) == (held.affiliation, held.nick)
        if same or not shown or shown in room.occupants or room.occupants_of(change.bare):
            return b""
        if not room.is_shown(first_role(change.affiliation, room.config)):
            return b""
        log = self._log(room)
        log.went(shown, change.bare, self.settings.max_gone)
        for sees in (True, False):
            stanza = _away(room, shown, change.bare, change.affiliation, sees, _version(log))
            told = (Broadcast(stanza),)
            room.send([(seat, told) for seat in room.seats.values() if room.sees_jids(seat.occupant) == sees])
        return b""

    @on(RoomConfigured)
    def configured(self, event: RoomConfigured) -> None:
        """Have everybody begin anew who is told more, or other presence, from now on."""
        if not event.changed.isdisjoint(SHOWN_BY):
            event.room.state.pop(self.name, None)

    # -- who enters ---------------------------------------------------------------------

    def _greet(self, room: Room, seat: Seat, presence: Stanza) -> Greeting:
        """Tell a client that has a version what is new; one that has none, or an old one, everything."""
        version = _asked(presence)
        log = self._log(room)
        since = log.find(version) if version else None
        sees = room.sees_jids(seat.occupant)
        if since is None:
            first = [_reset(room, log)] if version else []
            return Greeting((*first, *self._absent(room, sees)))
        told = [
            _away(room, nick, bare, room.affiliation(bare), sees)
            for nick, (at, bare) in log.gone.items()
            # Whoever enters under it is about to be told of himself.
            if at > since and nick not in room.occupants
        ]
        return Greeting(told, nicks=frozenset(nick for nick, (at, _) in log.here.items() if at > since))

    def _absent(self, room: Room, sees: bool) -> Iterator[Stanza]:
        """Give the members who are not there."""
        here = {one.bare for one in room.occupants.values()}
        left = self.settings.max_absent
        for bare, held in room.affiliations.items():
            if not held.nick or RANK[held.affiliation] < RANK[MEMBER] or bare in here:
                continue
            if left <= 0:
                return
            if room.is_shown(first_role(held.affiliation, room.config)):
                left -= 1
                yield _away(room, held.nick, bare, held.affiliation, sees)


def _asked(presence: Stanza) -> str:
    """Give the version that a client says it has; "" for none.

    The text has it in the ``<x/>`` of muc#user, which other clients leave to rooms.
    """
    for ns in (NS_MUC, NS_USER):
        x = presence.child(ns, "x")
        found = next(x.elements(NS_VERSIONS, "version"), None) if x is not None else None
        if found is not None:
            return str(found.getAttribute("ver", ""))
    return ""


def _version(log: Log) -> bytes:
    return element("version", NS_VERSIONS, ver=log.version)


def _reset(room: Room, log: Log) -> Stanza:
    """Give what tells a client to forget what it knows (section 4.2)."""
    x = element("x", NS_USER, element("reset", NS_VERSIONS, ver=log.version))
    return Stanza("presence", {"from": room.jid.bare}, (USER,), x)


def _away(room: Room, nick: str, bare: str, affiliation: str, sees: bool, more: bytes = b"") -> Stanza:
    """Give the presence of somebody who is not there, for who ``sees`` real JIDs or does not."""
    item = element("item", None, affiliation=affiliation, role="none", jid=bare if sees else None)
    attrs = {"from": room.address(nick), "type": "unavailable"}
    return Stanza("presence", attrs, (USER,), element("x", NS_USER, item + more))
