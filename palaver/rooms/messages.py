"""Messages to everybody in a room, and its subject (XEP-0045 sections 7.4 and 8.1)."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver.archive.messages import body_text, is_kept, reference
from palaver.archive.stanzaids import with_id
from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.rooms import cleaning, history
from palaver.rooms.affiliations import MODERATOR, VISITOR
from palaver.rooms.broadcast import Broadcast
from palaver.rooms.events import RoomMessage
from palaver.rooms.hooks import GROUPCHAT, SUBJECT, Said
from palaver.rooms.limits import check_message
from palaver.rooms.occupants import Occupant
from palaver.rooms.room import Subject
from palaver.rooms.store import KIND_LOG, put_room
from palaver.routing.failures import failed
from palaver.stanza import NS_CLIENT, Stanza
from palaver.storage import Batch, Entry, ids

if TYPE_CHECKING:
    from palaver.rooms.room import Room

_SUBJECT = (NS_CLIENT, "subject")
_BODY = (NS_CLIENT, "body")
_THREAD = (NS_CLIENT, "thread")
# A message sent again after a lost connection comes within the time that one may be resumed in.
RESENT_WITHIN = ids.from_time(600)
# A subject is sent to everybody who enters, and stands in every client's title bar.
MAX_SUBJECT_BYTES = 8192
ID_BYTES = 9


def is_subject(message: Stanza) -> bool:
    """Tell whether a message sets the subject (section 8.1): one and nothing to read beside it."""
    children = message.children
    return _SUBJECT in children and _BODY not in children and _THREAD not in children


class Utterance:
    """A groupchat message on its way, from an occupant or, with ``occupant`` None, from the room itself."""

    __slots__ = (
        "_archived",
        "_id",
        "_message",
        "_occupant",
        "_repeated",
        "_sent",
        "broadcast",
        "room",
        "sender",
    )

    broadcast: Broadcast

    def __init__(self, room: Room, message: Stanza, sender: JID | None) -> None:
        """``message`` is as it came; or, from the room, as everybody is to get it."""
        self.room = room
        self.sender = sender
        self._message = message
        self._occupant: Occupant | None = None
        self._sent = message
        self._id = 0
        self._archived = self._repeated = False

    # -- see order.Utterance ------------------------------------------------------------

    def begin(self) -> Deferred[bool] | bool:
        """Check the message and begin to commit it."""
        try:
            waiting = self._commit()
        except Exception:
            return self._refused(Failure())
        if waiting is None:
            told = self._said(None)
            return True if told is None else told
        return waiting.addCallbacks(self._said, self._refused)

    def goes_out(self) -> None:
        """Remember it for whoever enters from now on."""
        room, message = self.room, self._sent
        if is_subject(message):
            self._set_subject()
        elif not self._repeated:
            history.remember(room, message, self._id, archived=self._archived)
        sent = with_id(message, room.jid.bare, self._id) if self._archived else message
        self.broadcast = Broadcast(sent)

    # -- steps --------------------------------------------------------------------------

    def _commit(self) -> Deferred[Any] | None:
        room, sender = self.room, self.sender
        kind = SUBJECT if is_subject(self._message) else GROUPCHAT
        said = self._checked(sender, kind) if sender is not None else None
        message = self._sent
        self._id = ids.new_id()
        self._archived = bool(room.config["enablearchiving"]) and is_kept(message.children)
        batch = Batch()
        if self._archived and room.is_persistent:
            batch.append(self._entry(), RESENT_WITHIN)
        if kind == SUBJECT and room.is_persistent:
            before = room.subject
            self._set_subject()
            put_room(batch, room)
            room.subject = before
        if said is not None and room.service.hooks.store:
            said = said._replace(id=self._id if self._archived else None)
            for store in room.service.hooks.store:
                store(said, batch)
        if not batch.changes:
            return None
        written: Deferred[Any] = room.service.store.storage.write(batch)
        return written

    def _checked(self, sender: JID, kind: str) -> Said:
        """Refuse what may not be said; makes of the rest what everybody gets. Raises StanzaError."""
        room, given = self.room, self._message
        occupant = room.occupant_of(sender.full)
        if occupant is None:
            raise StanzaError("not-acceptable", "You are not in this room")
        if kind == SUBJECT:
            _check_subject(room, occupant, given)
        elif occupant.role == VISITOR and room.config["moderatedroom"]:
            raise StanzaError("forbidden", "Visitors have no voice in this room")
        check_message(room, occupant, given)
        self._occupant = occupant
        attrs = {"from": occupant.address, "type": "groupchat"}
        attrs["id"] = given.attrs.get("id") or secrets.token_urlsafe(ID_BYTES)
        if (lang := given.attrs.get("xml:lang")) is not None:
            attrs["xml:lang"] = lang
        cleaned = cleaning.clean(room, given)
        self._sent = Stanza("message", attrs, cleaned.children, cleaned.inner)
        said = Said(room, occupant, sender, self._sent, kind)
        for guard in room.service.hooks.guard:
            guard(said)
        for change in room.service.hooks.change:
            changed = change(said)
            if changed is not None:
                self._sent = changed
                said = said._replace(stanza=changed)
        return said

    def _entry(self) -> Entry:
        room, message, sender = self.room, self._sent, self.sender
        ref = None
        if sender is not None and "id" in self._message.attrs:
            ref = reference(self._message, sender, room.jid)
        payload = message.encode(declare=True)
        peer = sender.bare if sender is not None else None
        return Entry(
            room.service.domain, room.name, KIND_LOG, self._id, payload, peer, ref, body_text(message)
        )

    def _set_subject(self) -> None:
        message = self._sent
        self.room.subject = Subject(message.inner, message.children, message.attrs["from"], time.time())

    def _said(self, known: Any) -> Deferred[bool] | bool:
        """Hear that all is committed; ``known`` has the ids of what was there already."""
        if known and self._id in known:
            self._id, self._repeated = known[self._id], True
        identity = self._id if self._archived else None
        event = RoomMessage(self.room, self._occupant, self.sender, self._sent, identity)
        waiting = self.room.service.events.fire(event)
        return True if waiting is None else waiting.addCallback(lambda _: True)

    def _refused(self, failure: Failure) -> bool:
        error = failed("mod_muc", failure)
        if self.sender is not None:
            self.room.service.bounce(self._message, error)
        return False


def _check_subject(room: Room, occupant: Occupant, message: Stanza) -> None:
    allowed = occupant.role == MODERATOR or (occupant.role != VISITOR and room.config["changesubject"])
    if not allowed:
        raise StanzaError("forbidden", "You may not change the subject of this room")
    if len(message.inner) > MAX_SUBJECT_BYTES:
        raise StanzaError("not-acceptable", f"A subject has at most {MAX_SUBJECT_BYTES} bytes")


def say(room: Room, inner: bytes, children: tuple[tuple[str, str], ...]) -> Deferred[None] | None:
    """Have the room itself say something to everybody; gives what fires when it is committed."""
    attrs = {"from": room.jid.bare, "type": "groupchat", "id": secrets.token_urlsafe(ID_BYTES)}
    return room.order.say(Utterance(room, Stanza("message", attrs, children, inner), None))
