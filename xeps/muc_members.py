"""Membership without presence: members of rooms that they are not in are notified of what is said there.

What they have missed is in the room's archive, which members read without entering; mod_inbox counts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from palaver import jid
from palaver.archive.messages import body_text
from palaver.archive.stanzaids import with_id
from palaver.events import MessageKept
from palaver.interfaces import IEventPusher
from palaver.jid import JID
from palaver.modules import Module, Settings, on
from palaver.pubsub.fields import Spec
from palaver.rooms import mentions
from palaver.rooms.affiliations import MEMBER, RANK
from palaver.rooms.config import PREFIX, RoomField
from palaver.rooms.events import AffiliationChanged, RoomConfigured, RoomMessage
from palaver.rooms.hooks import Hooks, MemberField
from palaver.rooms.room import Held, Room
from palaver.rooms.store import short
from palaver.stanza import Stanza
from palaver.storage import Batch, Document

KIND = "room-notify"
NAME = "notify_members"
VAR = "muc#register_notify"
ALL, MENTIONS, NOTHING, AUTOMATIC = "all", "mentions", "none", "automatic"
LABELS = {
    AUTOMATIC: "As the room has it",
    ALL: "All messages",
    MENTIONS: "Messages that mention me",
    NOTHING: "Nothing",
}
# Nicks are looked for in so much of a text, once for each member.
MAX_LOOKED_AT_CHARS = 4096
# Answers to these would tell the room which account a member is.
ANSWERED = ("jabber:x:event", "http://jabber.org/protocol/amp")


class MembersSettings(Settings):
    """Options of mod_muc_members."""

    default_notify: Literal["automatic", "all", "mentions", "none"] = Field(
        "automatic",
        description="What members who are not in a room are notified of, where its owners have not said: all "
        "messages, those that mention them by nick or as XEP-0513 says, or none; automatic is all in rooms "
        "for members, else mentions.",
    )
    max_members: int = Field(
        1000, ge=1, le=100_000, description="Rooms with more affiliations than this notify nobody."
    )


class RoomMembers(Module):
    """Has mod_event_pusher tell devices of members what is said in rooms that they are not in.

    Owners switch it for a room (`muc#roomconfig_notify_members`), members for themselves when they register
    with it (`muc#register_notify`). Members are notified who have reserved a nick, or whom an admin has made
    members. They read what they have missed from the room's archive, without entering it. How much that is
    comes with each push notification, when mod_inbox counts it: its option `groupchat` has to name "muc".
    """

    Settings = MembersSettings

    settings: MembersSettings

    def start(self) -> None:
        """Add the switches."""
        hooks = Hooks.of(self.host)
        label = "Who is not in the room is notified of"
        spec = Spec("choice", f"{label} (members only)", tuple(LABELS))
        self.undo(hooks.add_field(NAME, RoomField(f"{PREFIX}{NAME}", spec, self.settings.default_notify)))
        field = MemberField(
            VAR, "When I am not in the room, notify me of", LABELS, self._choice, self._choose
        )
        self.undo(hooks.add_member_field(field))
        self.undo(hooks.add_kind(KIND, self._load))

    # -- what members have chosen -------------------------------------------------------

    def _choices(self, room: Room) -> dict[str, str]:
        """Give what members have chosen, by bare JID."""
        found: dict[str, str] = room.state.setdefault(self.name, {})
        return found

    def _load(self, room: Room, documents: Sequence[Document]) -> None:
        self._choices(room).update({one.value["jid"]: one.value["notify"] for one in documents})

    def _choice(self, room: Room, bare: str) -> str:
        return self._choices(room).get(bare, AUTOMATIC)

    async def _choose(self, room: Room, bare: str, choice: str) -> None:
        """Store a choice. Raises StorageError."""
        if choice == self._choice(room, bare):
            return
        if room.is_persistent:
            batch = Batch()
            if choice == AUTOMATIC:
                batch.delete(room.service.domain, room.name, KIND, short(bare))
            else:
                _put(batch, room, bare, choice)
            await room.service.store.write(batch)
        if choice == AUTOMATIC:
            self._choices(room).pop(bare, None)
        else:
            self._choices(room)[bare] = choice

    @on(AffiliationChanged)
    async def changed(self, event: AffiliationChanged) -> None:
        """Forget the choice of who is no member any more."""
        if RANK[event.after] < RANK[MEMBER]:
            await self._choose(event.room, event.bare, AUTOMATIC)

    @on(RoomConfigured)
    async def configured(self, event: RoomConfigured) -> None:
        """Store the choices in a room that stays from now on."""
        room, batch = event.room, Batch()
        if "persistentroom" in event.changed and room.is_persistent:
            for bare, choice in self._choices(room).items():
                _put(batch, room, bare, choice)
        if batch.changes:
            await room.service.store.write(batch)

    # -- what is said -------------------------------------------------------------------

    @on(RoomMessage)
    def said(self, event: RoomMessage) -> None:
        """Notify members who are not there of a message that stays in the archive."""
        room = event.room
        if event.id is None or event.sender is None or len(room.affiliations) > self.settings.max_members:
            return
        if self.host.query(IEventPusher) is None:
            return
        text = (body_text(event.stanza) or "")[:MAX_LOOKED_AT_CHARS]
        mentioned = mentions.members(room, event.stanza) if mentions.has_any(event.stanza) else set()
        away = list(self._away(room, event.sender, text, mentioned)) if text else []
        if not away:
            return
        stanza = with_id(event.stanza, room.jid.bare, event.id) if room.has_archive else event.stanza
        for ns in ANSWERED:
            stanza = stanza.without_child(ns)
        for member in away:
            told = Stanza("message", {**stanza.attrs, "to": member.bare}, stanza.children, stanza.inner)
            self.host.events.fire(MessageKept(told, member))

    def _away(self, room: Room, sender: JID, text: str, mentioned: set[str]) -> Iterator[JID]:
        """Give the members of this host who are not in a room and are to be notified of a text.

        ``mentioned`` are those whom the message mentions otherwise than by their nicks in the text.
        """
        end = f"@{self.host.domain}"
        choices = self._choices(room)
        usual, folded = self._usual(room), text.casefold()
        here: set[str] | None = None
        for bare, held in room.affiliations.items():
            wanted = choices.get(bare, usual)
            if wanted == NOTHING or not bare.endswith(end) or bare == sender.bare:
                continue
            if RANK[held.affiliation] < RANK[MEMBER]:
                continue
            if wanted == MENTIONS and bare not in mentioned and not _mentions(held, text, folded):
                continue
            if here is None:
                here = {one.bare for one in room.occupants.values()}
            if bare not in here:
                yield jid.parse(bare)

    def _usual(self, room: Room) -> str:
        chosen = str(room.config.get(NAME, self.settings.default_notify))
        if chosen != AUTOMATIC:
            return chosen
        return ALL if room.config["membersonly"] else MENTIONS


def _put(batch: Batch, room: Room, bare: str, choice: str) -> None:
    batch.put(room.service.domain, room.name, KIND, short(bare), {"jid": bare, "notify": choice})


def _mentions(held: Held, text: str, folded: str) -> bool:
    """Tell whether a text names the nick that a member has reserved, as a word of its own."""
    nick = held.nick
    if not nick or nick.casefold() not in folded:
        return False
    return re.search(rf"(?<!\w){re.escape(nick)}(?!\w)", text, re.IGNORECASE) is not None
