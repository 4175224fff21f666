"""What messages write to inboxes, in the batch that archives them where that is possible."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any

from palaver import jid
from palaver.inbox.conversations import Conversations, Last
from palaver.inbox.messages import is_content, last_of, reference_of
from palaver.jid import JID
from palaver.muclight.changes import NONE
from palaver.muclight.hooks import Affiliated
from palaver.muclight.hooks import Said as LightSaid
from palaver.rooms.affiliations import OUTCAST
from palaver.rooms.hooks import GROUPCHAT, Said
from palaver.stanza import Stanza
from palaver.storage import Batch, Entry, ids

# Messages between the batch that archives them and the phase that would write what no archive holds.
MAX_UNDER_WAY = 10_000


class Writing:
    """Writes for the accounts of one host."""

    def __init__(
        self, host: Any, conversations: Conversations, *, aff_changes: bool, remove_on_kicked: bool
    ) -> None:
        """``aff_changes`` and ``remove_on_kicked`` are options of mod_inbox."""
        self._host = host
        self._domain: str = host.domain
        self._conversations = conversations
        self._aff_changes = aff_changes
        self._remove_on_kicked = remove_on_kicked
        # By identity of a message's attributes, which all forms of it share: for whom it is written.
        self._written: OrderedDict[int, tuple[dict[str, str], set[str]]] = OrderedDict()

    # -- conversations of two -------------------------------------------------------------

    def archived(self, message: Stanza, entries: Sequence[Entry], batch: Batch) -> None:
        """Write with the archives of those who have archived a message."""
        sender = message.sender
        if sender is None or message.attrs.get("type") == "groupchat" or not is_content(message):
            return
        done = self._done(message)
        last: Last | None = None
        for entry in entries:
            owner, peer = entry.owner, entry.peer
            if entry.host != self._domain or peer is None:
                continue
            if last is None:
                last = last_of(message, entry.payload)
            outgoing = sender.local == owner and sender.domain == self._domain
            self._write(batch, owner, peer, last, entry.id, None, outgoing=outgoing)
            done.add(owner)

    def _done(self, message: Stanza) -> set[str]:
        """Give the accounts that a message is written for, to be added to."""
        known = self._written.setdefault(id(message.attrs), (message.attrs, set()))
        if len(self._written) > MAX_UNDER_WAY:
            self._written.popitem(last=False)
        return known[1]

    def _write(
        self, batch: Batch, local: str, peer: str, last: Last, at: int, ref: str | None, *, outgoing: bool
    ) -> None:
        conversations = self._conversations
        if outgoing and peer != f"{local}@{self._domain}":
            conversations.put_written(batch, local, peer, last, at)
            return
        if outgoing:
            # Of what one writes to oneself the copy that arrives is unread.
            conversations.put_read(batch, local, peer, at - 1)
        conversations.put_got(batch, (local,), peer, last, at, ref)

    def arriving(self, message: Stanza, to: JID) -> Batch | None:
        """Give what is to be written for the addressee; None when that is nothing, or done."""
        known = self._written.get(id(message.attrs))
        if known is None and not is_content(message):
            return None
        done = known[1] if known is not None else self._done(message)
        if message.origin is None:
            # It passes no later phase.
            self._written.pop(id(message.attrs), None)
        sender = message.sender
        if sender is None or to.local in done:
            return None
        done.add(to.local)
        batch = Batch()
        ref = reference_of(message, to)
        outgoing = sender.bare == to.bare
        self._write(batch, to.local, sender.bare, last_of(message), ids.new_id(), ref, outgoing=outgoing)
        return batch

    def sent(self, message: Stanza, own: JID, to: JID) -> Batch | None:
        """Give what is to be written for the sender; None when that is nothing, or done."""
        known = self._written.pop(id(message.attrs), None)
        if (known is not None and own.local in known[1]) or to.bare == own.bare:
            return None
        if message.attrs.get("type") == "groupchat" or not is_content(message):
            return None
        batch = Batch()
        self._conversations.put_written(batch, own.local, to.bare, last_of(message), ids.new_id())
        return batch

    # -- rooms ------------------------------------------------------------------------------

    def in_light_room(self, event: LightSaid | Affiliated, batch: Batch) -> None:
        """Write what is said in MUC Light, and who belongs to it from now on."""
        if isinstance(event, Affiliated):
            self._affiliated(event, batch)
        elif is_content(event.stanza):
            room, said = event.room, event.stanza
            self._in_group(batch, room.jid, room.users, event.author, said, event.id, event.id is not None)

    def in_room(self, said: Said, batch: Batch) -> None:
        """Write what is said in Multi-User Chat."""
        if said.kind != GROUPCHAT or not is_content(said.stanza):
            return
        members = [bare for bare, held in said.room.affiliations.items() if held.affiliation != OUTCAST]
        stored = said.id is not None and said.room.is_persistent
        self._in_group(batch, said.room.jid, members, said.sender.bare, said.stanza, said.id, stored)

    def _in_group(
        self,
        batch: Batch,
        room: JID,
        members: Collection[str],
        author: str,
        message: Stanza,
        id: int | None,
        stored: bool,
    ) -> None:
        """Write a room's message for all of its members that have their accounts here.

        ``id`` is what the room knows it by, None when it does not; ``stored`` that the batch archives it.
        """
        at = id if id is not None else ids.new_id()
        last, ref = last_of(message), None if stored else reference_of(message, room)
        here = f"@{self._domain}"
        locals = [bare[: -len(here)] for bare in members if bare.endswith(here) and bare != author]
        self._conversations.put_got(batch, locals, room.bare, last, at, ref)
        if author.endswith(here) and author in members:
            self._conversations.put_written(batch, author[: -len(here)], room.bare, last, at)

    def _affiliated(self, event: Affiliated, batch: Batch) -> None:
        """Write what a room tells those of themselves whose affiliation changes."""
        room = event.room.jid.bare
        for bare, (affiliation, told) in event.notices.items():
            own = jid.parse(bare)
            if own.domain != self._domain:
                continue
            if affiliation == NONE and self._remove_on_kicked:
                self._conversations.drop(batch, own.local, room)
            elif self._aff_changes and told is not None and told.name == "message":
                ref = reference_of(told, own)
                self._conversations.put_got(batch, (own.local,), room, last_of(told), ids.new_id(), ref)
