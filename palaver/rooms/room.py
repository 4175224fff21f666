"""A room in memory: what it is like, who has to do with it, and who is in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from palaver.archive.pages import Archive
from palaver.jid import JID
from palaver.pubsub.fields import Values
from palaver.rooms.affiliations import NONE, OWNER
from palaver.rooms.broadcast import Broadcast, Pairs
from palaver.rooms.nicks import Alike
from palaver.rooms.occupants import Occupant, Seat
from palaver.rooms.order import Order
from palaver.rooms.store import KIND, KIND_AFFILIATION, KIND_LOG
from palaver.stanza import Child, Stanza
from palaver.storage import Document, Json

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from palaver.rooms.history import Remembered
    from palaver.rooms.service import Service


class Held(NamedTuple):
    """What is held of an account: its affiliation, and the nick that is reserved for it."""

    affiliation: str
    nick: str = ""
    reason: str = ""


NOTHING = Held(NONE)


class Subject(NamedTuple):
    """The subject: ``inner`` are the ``<subject/>`` elements, ``address`` who set it, ``at`` a Unix time."""

    inner: bytes
    children: tuple[Child, ...]
    address: str
    at: float


class Room:
    """One room.

    ``config``        by the names of `palaver.rooms.config.FIELDS`, and of modules' fields
    ``affiliations``  `Held` by bare JID, or by domain
    ``occupants``     by nick; ``seats`` their sessions by real full JID
    ``locked_for``    the bare JID of who has made it and not configured it yet; else None
    ``gone``          why it was destroyed, and what is instead; {} while it is there
    ``state``         modules' own, one key a module
    """

    __slots__ = (
        "_nicks", "_reserved", "_unsent", "affiliations", "config", "created", "gone", "jid",
        "locked_for", "name", "occupants", "order", "recent", "seats", "service", "state", "subject",
        "used_at",
    )  # fmt: skip

    def __init__(self, service: Service, name: str, config: Values, created: float) -> None:
        self.service = service
        self.name = name
        self.jid = JID(name, service.domain, "")
        self.config = config
        self.created = created
        self.affiliations: dict[str, Held] = {}
        self.occupants: dict[str, Occupant] = {}
        self.seats: dict[str, Seat] = {}
        self.subject = Subject(b"<subject/>", (("jabber:client", "subject"),), self.jid.bare, created)
        self.locked_for: str | None = None
        self.gone: Json = {}
        self.state: dict[str, Any] = {}
        self.order = Order(self.send_all, self.flush)
        self._unsent: list[tuple[Seat, Iterable[Broadcast]]] = []
        # What was said last, for whoever enters; the newest last.
        self.recent: deque[Remembered] = deque()
        self.used_at = service.clock.seconds()
        self._nicks: Alike[Occupant] = Alike()
        self._reserved: Alike[str] = Alike()

    # -- what it is like ----------------------------------------------------------------

    @property
    def is_persistent(self) -> bool:
        """Whether it stays when nobody is in it."""
        return bool(self.config["persistentroom"])

    @property
    def is_open(self) -> bool:
        """Whether everybody sees everybody's real JID."""
        return self.config["whois"] == "anyone"

    @property
    def has_archive(self) -> bool:
        """Whether what is said is kept in the storage: a room that does not stay remembers the last of it."""
        return self.is_persistent and bool(self.config["enablearchiving"])

    @property
    def archive(self) -> Archive:
        """The log of what is said, of a stored room."""
        return Archive(self.service.store.storage.logs, self.service.domain, self.name, KIND_LOG)

    def address(self, nick: str) -> str:
        """Give an occupant JID as text."""
        return f"{self.jid.bare}/{nick}"

    # -- affiliations -------------------------------------------------------------------

    def held(self, bare: str) -> Held:
        """Give what is held of an account, or of its domain."""
        found = self.affiliations.get(bare)
        if found is None:
            found = self.affiliations.get(bare.rpartition("@")[2], NOTHING)
        return found

    def affiliation(self, bare: str) -> str:
        """Give an account's affiliation."""
        return self.held(bare).affiliation

    def hold(self, bare: str, held: Held) -> None:
        """Take what is held of an account now."""
        before = self.affiliations.pop(bare, NOTHING)
        if before.nick:
            self._reserved.drop(before.nick, bare)
        if held.affiliation != NONE:
            self.affiliations[bare] = held
            if held.nick:
                self._reserved.put(held.nick, bare)

    def with_affiliation(self, affiliation: str) -> list[str]:
        """Give the bare JIDs with an affiliation, sorted."""
        return sorted(bare for bare, held in self.affiliations.items() if held.affiliation == affiliation)

    def owners(self) -> list[str]:
        """Give the bare JIDs of the owners."""
        return self.with_affiliation(OWNER)

    def reserved_for(self, nick: str, but: str | None = None) -> str | None:
        """Give the bare JID, other than ``but``, that a nick, or one that looks like it, is reserved for."""
        return self._reserved.get(nick, but)

    # -- occupants ----------------------------------------------------------------------

    def occupant_of(self, full: str) -> Occupant | None:
        """Give the occupant that a real full JID is."""
        seat = self.seats.get(full)
        return seat.occupant if seat is not None else None

    def known_as(self, nick: str, but: Occupant | None = None) -> Occupant | None:
        """Give the occupant, other than ``but``, with a nick or with one that looks like it."""
        return self._nicks.get(nick, but)

    def occupants_of(self, bare: str) -> list[Occupant]:
        """Give the occupants that are an account's; or those of a domain, but for who is held by himself."""
        if "@" not in bare:
            return [
                one
                for one in self.occupants.values()
                if one.bare.rpartition("@")[2] == bare and one.bare not in self.affiliations
            ]
        return [one for one in self.occupants.values() if one.bare == bare]

    def seat(self, occupant: Occupant, seat: Seat) -> None:
        """Take a session of an occupant in, who may be new."""
        self.occupants[occupant.nick] = occupant
        self._nicks.put(occupant.nick, occupant)
        occupant.seats.append(seat)
        self.seats[seat.jid.full] = seat

    def unseat(self, seat: Seat) -> bool:
        """Let a session go; tells whether its occupant is gone with it."""
        occupant = seat.occupant
        self.seats.pop(seat.jid.full, None)
        occupant.seats.remove(seat)
        if occupant.seats:
            return False
        del self.occupants[occupant.nick]
        self._nicks.drop(occupant.nick, occupant)
        return True

    def rename(self, occupant: Occupant, nick: str) -> None:
        """Give an occupant another nick."""
        del self.occupants[occupant.nick]
        self._nicks.drop(occupant.nick, occupant)
        occupant.nick, occupant.address = nick, self.address(nick)
        self.occupants[nick] = occupant
        self._nicks.put(nick, occupant)

    def sees_jids(self, occupant: Occupant) -> bool:
        """Tell whether an occupant is shown real JIDs."""
        return occupant.is_moderator or self.is_open

    def is_shown(self, role: str) -> bool:
        """Tell whether the presence of occupants with a role is broadcast."""
        shown = self.config["presencebroadcast"]
        return not isinstance(shown, list) or role in shown

    def moderators(self) -> Iterator[Occupant]:
        """Give the occupants who are moderators."""
        return (occupant for occupant in self.occupants.values() if occupant.is_moderator)

    # -- to everybody -------------------------------------------------------------------

    def send_all(self, broadcasts: list[Broadcast]) -> Deferred[None] | None:
        """Send broadcasts to every session that is in the room now."""
        return self.service.mail.send([(seat, broadcasts) for seat in self.seats.values()])

    def send(self, pairs: Pairs) -> None:
        """Send each session its own, at the end of the turn."""
        self._unsent += pairs

    def notify(self, inner: bytes, children: tuple[Child, ...]) -> None:
        """Send everybody a groupchat message from the room itself that nobody keeps, such as status codes."""
        message = Stanza("message", {"from": self.jid.bare, "type": "groupchat"}, children, inner)
        told = (Broadcast(message),)
        self.send([(seat, told) for seat in self.seats.values()])

    def flush(self) -> Deferred[None] | None:
        """Send what was put together in this turn; gives what fires once all is sent."""
        unsent, self._unsent = self._unsent, []
        return self.service.mail.send(unsent) if unsent else None

    # -- what is stored -----------------------------------------------------------------

    def encode(self) -> Json:
        """Give what is stored of the room itself."""
        if self.gone:
            return {"gone": self.gone}
        subject = self.subject
        value: Json = {"created": self.created, "config": self.service.fields.different(self.config)}
        if subject.inner != b"<subject/>":
            value["subject"] = {
                "xml": subject.inner.decode(),
                "names": [list(child) for child in subject.children],
                "by": subject.address,
                "at": subject.at,
            }
        return value

    def fill(self, documents: Iterable[Document]) -> None:
        """Take what was stored of the room, of `KIND` and `KIND_AFFILIATION`."""
        for document in documents:
            value = document.value
            if document.kind == KIND_AFFILIATION:
                self.hold(value["jid"], Held(value["is"], value.get("nick", ""), value.get("reason", "")))
            elif document.kind == KIND:
                self._fill(value)

    def _fill(self, value: Json) -> None:
        self.gone = value.get("gone", {})
        self.created = value.get("created", self.created)
        self.config = {**self.config, **value.get("config", {})}
        if stored := value.get("subject"):
            names = tuple((str(ns), str(name)) for ns, name in stored["names"])
            self.subject = Subject(stored["xml"].encode(), names, stored["by"], stored["at"])
