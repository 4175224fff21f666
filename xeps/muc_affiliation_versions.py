"""XEP-0463: whoever enters a room is told which affiliations have changed since he was there."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Iterator, Sequence

from pydantic import Field

from palaver.errors import StanzaError
from palaver.markup import element
from palaver.modules import Module, Settings, on
from palaver.rooms.admin import may_list
from palaver.rooms.affiliating import Change
from palaver.rooms.affiliations import ADMIN, MEMBER, NONE, OUTCAST, OWNER
from palaver.rooms.events import RoomConfigured
from palaver.rooms.hooks import Announced, Greeting, Hooks, Watch
from palaver.rooms.namespaces import NS_MUC, NS_USER
from palaver.rooms.occupants import Seat
from palaver.rooms.room import NOTHING, Room
from palaver.rooms.store import short
from palaver.stanza import Stanza
from palaver.storage import Batch, Document

NS_VERSIONS = "urn:xmpp:muc:affiliations:1"
KIND = "room-affiliation-change"
# Items of one message: about 70 bytes each, and clients take stanzas of 256 KiB.
MAX_ITEMS = 1000
SECRET_BYTES = 16
MAC_CHARS = 16
# More digits than a room has changes; int() takes long over a stranger's million digits.
MAX_DIGITS = 18


class History:
    """The last changes of a room's affiliations, numbered.

    ``changes`` has the number of the last one of each account or domain, oldest first; those up to ``floor``
    are not all known. ``stored`` tells whether the storage has the same.
    """

    __slots__ = ("changes", "floor", "secret", "seq", "stored")

    def __init__(self) -> None:
        self.changes: dict[str, int] = {}
        self.floor = self.seq = 0
        self.stored = False
        self.secret = secrets.token_hex(SECRET_BYTES)

    def version(self, seq: int) -> str:
        """Give the version after a change: nobody guesses one that he was not told (section 5)."""
        return f"{seq}-{hmac.digest(self.secret.encode(), str(seq).encode(), 'sha256').hex()[:MAC_CHARS]}"

    def find(self, version: str) -> int | None:
        """Give the number of a version; None when the changes since are not known."""
        number = version.partition("-")[0]
        if not (number.isascii() and number.isdigit() and len(number) <= MAX_DIGITS):
            return None
        seq = int(number)
        known = self.floor <= seq <= self.seq
        return seq if known and hmac.compare_digest(self.version(seq).encode(), version.encode()) else None

    def since(self, seq: int) -> list[str]:
        """Give whose affiliations have changed."""
        return [bare for bare, at in self.changes.items() if at > seq]

    def forget(self) -> None:
        """Know no changes before now."""
        self.changes.clear()
        self.floor = self.seq

    def add(self, bare: str, most: int) -> str | None:
        """Take a change as the next one; gives whose is forgotten in its place."""
        self.seq += 1
        self.changes.pop(bare, None)
        self.changes[bare] = self.seq
        if len(self.changes) <= most:
            return None
        oldest = next(iter(self.changes))
        self.floor = self.changes.pop(oldest)
        return oldest

    def copy(self) -> History:
        """Give one to try changes on."""
        other = History()
        other.changes, other.floor, other.seq = dict(self.changes), self.floor, self.seq
        other.stored, other.secret = self.stored, self.secret
        return other


class VersionsSettings(Settings):
    """Options of mod_muc_affiliation_versions."""

    max_changes: int = Field(
        500,
        ge=1,
        le=10_000,
        description="People whose last changes each room keeps; who knows less gets all.",
    )


class AffiliationVersions(Module):
    """Gives every list of affiliations a version, and tells clients what is new since the one that they have.

    Those get it who may see the lists of owners, admins and members.
    """

    Settings = VersionsSettings

    settings: VersionsSettings

    def start(self) -> None:
        """Follow changes, and greet whoever enters."""
        hooks = Hooks.of(self.host)
        self.undo(hooks.add_watch(Watch(self._store, self._mark)))
        self.undo(hooks.add_welcome(self._greet))
        self.undo(hooks.add_kind(KIND, self._load))
        self.undo(hooks.add_room_info(lambda room: Announced((NS_VERSIONS,))))

    def _history(self, room: Room) -> History:
        found: History | None = room.state.get(self.name)
        if found is None:
            found = room.state[self.name] = History()
        return found

    # -- changes ------------------------------------------------------------------------

    def _store(self, room: Room, changes: Sequence[Change], batch: Batch) -> None:
        """Have changes stored with their numbers."""
        tried = self._history(room).copy()
        if not tried.stored:
            # What happened before the room was one that stays is not in the storage.
            tried.forget()
        now: dict[str, str] = {}
        changed: set[str] = set()
        for change in changes:
            bare = change.bare
            if now.get(bare, _own(room, bare)) == change.affiliation:
                continue
            now[bare] = change.affiliation
            changed.add(bare)
            if (oldest := tried.add(bare, self.settings.max_changes)) is not None:
                changed.discard(oldest)
                batch.delete(room.service.domain, room.name, KIND, short(oldest))
        for bare in sorted(changed):
            value = {"jid": bare, "at": tried.changes[bare], "floor": tried.floor, "secret": tried.secret}
            batch.put(room.service.domain, room.name, KIND, short(bare), value)

    def _mark(self, room: Room, change: Change) -> bytes:
        """Give the versions before and after a change (section 4.2.2)."""
        history = self._history(room)
        if room.is_persistent and not history.stored:
            history.forget()
            history.stored = True
        if _own(room, change.bare) == change.affiliation:
            return b""
        before = history.version(history.seq)
        history.add(change.bare, self.settings.max_changes)
        return element("mav", NS_VERSIONS, since=before, until=history.version(history.seq))

    @on(RoomConfigured)
    def configured(self, event: RoomConfigured) -> None:
        """Hear that a room is stored no more, and its changes neither."""
        if "persistentroom" in event.changed and not event.room.is_persistent:
            self._history(event.room).stored = False

    def _load(self, room: Room, documents: Sequence[Document]) -> None:
        if not documents:
            return
        history = self._history(room)
        ordered = sorted(documents, key=lambda document: int(document.value["at"]))
        history.changes = {document.value["jid"]: int(document.value["at"]) for document in ordered}
        newest = ordered[-1].value
        history.seq, history.floor, history.secret = newest["at"], newest["floor"], newest["secret"]
        history.stored = True

    # -- who enters (section 4.2.1) -----------------------------------------------------

    def _greet(self, room: Room, seat: Seat, presence: Stanza) -> Greeting:
        """Tell what is new, before anybody's presence, and which version that makes."""
        x = presence.child(NS_MUC, "x")
        asked = next(x.elements(NS_VERSIONS, "mav"), None) if x is not None else None
        seen = [one for one in (OWNER, ADMIN, MEMBER, OUTCAST) if _may_list(room, seat, one)]
        if MEMBER not in seen or OWNER not in seen:
            return Greeting((_refusal(room, presence),)) if asked is not None else Greeting()
        history = self._history(room)
        now = history.version(history.seq)
        own = element("mav", NS_VERSIONS, until=now)
        if asked is None:
            return Greeting(own=own)
        version = asked.getAttribute("since", "")
        since = history.find(version)
        if since is None:
            everybody = [bare for bare, held in room.affiliations.items() if held.affiliation in seen]
            return Greeting(tuple(_messages(room, everybody, seen, None, now)), own)
        changed = history.since(since)
        return Greeting(tuple(_messages(room, changed, seen, version, now)) if changed else (), own)


def _own(room: Room, bare: str) -> str:
    """Give what somebody is affiliated as himself, whatever his domain is."""
    return room.affiliations.get(bare, NOTHING).affiliation


def _may_list(room: Room, seat: Seat, affiliation: str) -> bool:
    return may_list(room.service, room, seat.jid, seat.occupant, affiliation)


def _refusal(room: Room, presence: Stanza) -> Stanza:
    attrs = {"from": room.jid.bare, "type": "error"}
    if presence.id is not None:
        attrs["id"] = presence.id
    error = StanzaError("forbidden", "You may not see the affiliations of this room")
    return Stanza("message", attrs, (("jabber:client", "error"),), error.encode())


def _messages(
    room: Room, who: Iterable[str], seen: Sequence[str], since: str | None, until: str
) -> Iterator[Stanza]:
    """Give what people are affiliated as now, in as many messages as it takes.

    Each begins with the version that the one before ends with; nobody is told those in between a second time.
    """
    items = [_item(room, bare, seen) for bare in who]
    for start in range(0, max(len(items), 1), MAX_ITEMS):
        is_last = start + MAX_ITEMS >= len(items)
        version = until if is_last else secrets.token_hex(SECRET_BYTES)
        inner = element("mav", NS_VERSIONS, since=since, until=version)
        x = element("x", NS_USER, inner + b"".join(items[start : start + MAX_ITEMS]))
        yield Stanza("message", {"from": room.jid.bare}, ((NS_USER, "x"),), x)
        since = version


def _item(room: Room, bare: str, seen: Sequence[str]) -> bytes:
    affiliation = _own(room, bare)
    return element("item", None, jid=bare, affiliation=affiliation if affiliation in seen else NONE)
