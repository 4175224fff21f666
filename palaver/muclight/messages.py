"""What members say: committed to the room's archive, then heard by all of them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver.archive.messages import body_text, is_kept, reference
from palaver.archive.stanzaids import with_id
from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.muclight.hooks import Said
from palaver.muclight.namespaces import NS_AFFILIATIONS, NS_CONFIGURATION, NS_DESTROY
from palaver.muclight.room import KIND_LOG, Room, new_version
from palaver.rooms import cleaning
from palaver.rooms.broadcast import Broadcast
from palaver.routing.failures import failed
from palaver.stanza import Stanza
from palaver.storage import Batch, Entry, ids

# What rooms tell of themselves, which members do not say.
SAID_BY_ROOMS = cleaning.ALWAYS | {(ns, "x") for ns in (NS_AFFILIATIONS, NS_CONFIGURATION, NS_DESTROY)}
# A message sent again after a lost connection comes within the time that one may be resumed in.
RESENT_WITHIN = ids.from_time(600)


class Utterance:
    """A message on its way; see `palaver.rooms.order.Utterance`."""

    __slots__ = ("_archived", "_id", "_message", "_room", "_sender", "_sent", "broadcast")

    broadcast: Broadcast

    def __init__(self, room: Room, message: Stanza, sender: JID) -> None:
        self._room = room
        self._message = message
        self._sender = sender
        self._id = ids.new_id()
        self._archived = False

    def begin(self) -> Deferred[bool] | bool:
        """Check the message and begin to commit it."""
        try:
            batch = self._batch()
        except Exception:
            return self._refused(Failure())
        if not batch.changes:
            return True
        written: Deferred[Any] = self._room.service.storage.write(batch)
        return written.addCallbacks(self._stored, self._refused)

    def goes_out(self) -> None:
        """Encode it for everybody."""
        room, sent = self._room, self._sent
        if self._archived and room.service.tells_ids:
            sent = with_id(sent, room.jid.bare, self._id)
        self.broadcast = Broadcast(sent)

    def _batch(self) -> Batch:
        """Give what is to be committed. Raises StanzaError for who may not say anything."""
        room, sender = self._room, self._sender
        if room.gone or sender.bare not in room.users:
            raise StanzaError("item-not-found")
        # Nobody but this server gives ids and times in the name of rooms, and of accounts that will get this.
        given = cleaning.without(self._message, SAID_BY_ROOMS, room.service.host.router.services)
        attrs = {"from": f"{room.jid.bare}/{sender.bare}", "type": "groupchat"}
        attrs["id"] = given.attrs.get("id") or new_version()
        if (lang := given.attrs.get("xml:lang")) is not None:
            attrs["xml:lang"] = lang
        sent = self._sent = Stanza("message", attrs, given.children, given.inner)
        self._archived = room.service.archives and is_kept(sent.children)
        batch = Batch()
        if self._archived:
            batch.append(self._entry(), RESENT_WITHIN)
        said = Said(room, sender.bare, sent, self._id if self._archived else None)
        for store in room.service.hooks.store:
            store(said, batch)
        return batch

    def _entry(self) -> Entry:
        room, sent = self._room, self._sent
        ref = reference(self._message, self._sender, room.jid)
        payload = sent.encode(declare=True)
        domain, author = room.service.domain, self._sender.bare
        return Entry(domain, room.name, KIND_LOG, self._id, payload, author, ref, body_text(sent))

    def _stored(self, known: dict[int, int] | None) -> bool:
        """Hear that it is committed; ``known`` has the ids of what was there already."""
        if known:
            self._id = known.get(self._id, self._id)
        return True

    def _refused(self, failure: Failure) -> bool:
        self._room.service.refuse(self._message, failed("mod_muc_light", failure))
        return False
