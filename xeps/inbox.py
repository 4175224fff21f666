"""MongooseIM's inbox: each account's conversations, with last messages and how many are unread."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Literal

from pydantic import Field, field_validator
from twisted.internet.defer import Deferred

from palaver import jid
from palaver.archive.companions import Companions
from palaver.archive.messages import NS_STANZA_ID
from palaver.archive.retention import Retention
from palaver.archive.stanzaids import from_text
from palaver.commands.command import Call, Done
from palaver.events import ItemPublished, MarkerWithheld
from palaver.inbox import commands, messages
from palaver.inbox.answers import Answers
from palaver.inbox.conversations import (
    ALL,
    KIND,
    KIND_UNREAD,
    MAX_UNREAD,
    NS_CONVERSATION,
    NS_INBOX,
    Conversations,
)
from palaver.inbox.queries import BOXES
from palaver.inbox.writing import Writing
from palaver.interfaces import IUnreadCounts
from palaver.jid import JID, InvalidJID
from palaver.modules import SELF, Module, Settings, command, every, iq, on, phase
from palaver.muclight.hooks import Hooks as LightHooks
from palaver.rooms import hooks as rooms
from palaver.routing.pipeline import SENT, TO_USER, no_groupchat
from palaver.routing.sessions import Session
from palaver.stanza import Stanza
from palaver.storage import Batch, ids
from palaver.tree import parse_element

NS_DISPLAYED = "urn:xmpp:mds:displayed:0"
BIN_CLEAN_S = 3600
# Nobody gets as many messages in a day as would matter.
UNREAD_CLEAN_S = 86_400

Marker = Literal["displayed", "received", "acknowledged"]


class InboxSettings(Settings):
    """Options of mod_inbox."""

    boxes: list[str] = Field(
        default_factory=list, max_length=20, description="Boxes beside inbox, archive and bin."
    )
    bin_ttl: int = Field(30, ge=1, description="Days after which what is in the bin is removed.")
    reset_markers: list[Marker] = Field(
        ["displayed"], description="Chat markers that say that messages are read."
    )
    groupchat: list[Literal["muclight", "muc"]] = Field(
        ["muclight"], description="Rooms whose messages are in inboxes."
    )
    aff_changes: bool = Field(
        True, description="Being taken into a MUC Light room, or out of it, is a message."
    )
    remove_on_kicked: bool = Field(
        True, description="Who leaves a MUC Light room has it in the inbox no more."
    )

    @field_validator("boxes")
    @classmethod
    def _free(cls, given: list[str]) -> list[str]:
        for box in given:
            if not box or box in (ALL, *BOXES) or given.count(box) > 1:
                raise ValueError(f"there is a box {box} already" if box else "a box has a name")
        return given


class Inbox(Module):
    """Keeps each account's conversations; what it writes is committed with the archived message."""

    Settings = InboxSettings
    features = (NS_INBOX,)

    settings: InboxSettings

    def start(self) -> None:
        """Take part in archives and rooms."""
        host, settings = self.host, self.settings
        conversations = self._conversations = Conversations(host.storage, host.domain)
        self._answers = Answers(host, conversations, (*BOXES, *settings.boxes))
        self._markers = tuple(settings.reset_markers)
        writing = self._writing = Writing(
            host,
            conversations,
            aff_changes=settings.aff_changes,
            remove_on_kicked=settings.remove_on_kicked,
        )
        self._retention = Retention(
            host.storage, host.domain, KIND_UNREAD, KIND, host.clock, time.time, None, MAX_UNREAD
        )
        self.undo(self._retention.stop)
        self.undo(host.provide(conversations, IUnreadCounts))
        self.undo(Companions.of(host).add(writing.archived))
        if "muclight" in settings.groupchat:
            self.undo(LightHooks.of(host).add_store(writing.in_light_room))
        if "muc" in settings.groupchat:
            self.undo(rooms.Hooks.of(host).add_phase("store", self.name, writing.in_room))

    # -- messages that no archive holds -----------------------------------------------------

    @phase(TO_USER, "archive", "message")
    @no_groupchat
    def arriving(self, message: Stanza, to: JID) -> Deferred[None] | None:
        """Write what the addressee's archive does not hold."""
        if message.attrs.get("type") == "groupchat":
            return None
        return self._commit(self._writing.arriving(message, to))

    @phase(SENT, "archive", "message")
    def sent(self, message: Stanza, session: Session) -> Deferred[None] | None:
        """Write what the sender's archive does not hold; take a marker of his."""
        user = session.user
        try:
            to = jid.parse(message.attrs.get("to", user.bare))
        except InvalidJID:
            return None
        if (up_to := self._marked(message)) is not None:
            return Deferred.fromCoroutine(self._read(user.local, to.bare, up_to))
        return self._commit(self._writing.sent(message, user.jid, to))

    def _commit(self, batch: Batch | None) -> Deferred[None] | None:
        return None if batch is None else Deferred.fromCoroutine(self._commit_now(batch))

    async def _commit_now(self, batch: Batch) -> None:
        await self.host.storage.write(batch)

    # -- how far somebody has read --------------------------------------------------------------

    def _marked(self, message: Stanza) -> str | None:
        """Give the id up to which a message says that all is read."""
        if not self._markers or message.type == "error":
            return None
        return messages.marker(message, self._markers)

    @on(MarkerWithheld)
    def withheld(self, event: MarkerWithheld) -> Deferred[None] | None:
        """Take a marker that is for this account alone."""
        up_to = self._marked(event.message)
        if up_to is None:
            return None
        return Deferred.fromCoroutine(self._read(event.owner.local, event.to.bare, up_to))

    async def _read(self, local: str, peer: str, message_id: str) -> None:
        found = await self._conversations.find(local, peer, message_id)
        if found is not None:
            await self._conversations.read_up_to(local, peer, found)

    @on(ItemPublished)
    def displayed(self, event: ItemPublished) -> Deferred[None] | None:
        """Take how far an account has read a conversation, as its clients tell each other (XEP-0490)."""
        if event.node != NS_DISPLAYED or not event.payload:
            return None
        node = parse_element(event.payload)
        mark = next(node.elements(NS_STANZA_ID, "stanza-id"), None)
        upto = from_text(mark.getAttribute("id", "")) if mark is not None else None
        try:
            peer = jid.parse(event.item_id).bare
        except InvalidJID:
            return None
        if upto is None:
            return None
        return Deferred.fromCoroutine(
            self._conversations.read_up_to(event.owner, peer, min(upto, ids.new_id()))
        )

    # -- requests -----------------------------------------------------------------------------

    @iq("get", NS_INBOX, "query", to=(SELF,))
    def form(self, request: Stanza) -> bytes:
        """Give the form of a query."""
        return self._answers.form()

    @iq("set", NS_INBOX, "inbox", to=(SELF,))
    def fetch(self, request: Stanza) -> Awaitable[bytes]:
        """Send the conversations that are asked for, then how many they are."""
        return self._answers.fetch(request)

    @iq("set", NS_INBOX, "empty-bin", to=(SELF,))
    def empty_bin(self, request: Stanza) -> Awaitable[bytes]:
        """Remove what is in the bin."""
        return self._answers.empty_bin(request)

    @iq("get", NS_CONVERSATION, "query", to=(SELF,))
    def properties(self, request: Stanza) -> Awaitable[bytes]:
        """Give a conversation's properties, or the form of them."""
        return self._answers.properties(request)

    @iq("set", NS_CONVERSATION, "query", to=(SELF,))
    def set_properties(self, request: Stanza) -> Awaitable[None]:
        """Set some of a conversation's properties."""
        return self._answers.set_properties(request)

    @iq("set", NS_CONVERSATION, "reset", to=(SELF,))
    def reset(self, request: Stanza) -> Awaitable[bytes]:
        """Count a conversation as read."""
        return self._answers.reset(request)

    @every(BIN_CLEAN_S)
    async def clean_up(self) -> None:
        """Remove what has been in the bin for long."""
        await self._conversations.clean_bin(commands.before(self.settings.bin_ttl))

    @every(UNREAD_CLEAN_S)
    async def forget_unread(self) -> None:
        """Delete what is unread for so long that nobody counts it."""
        await self._retention.run()

    @command("empty-inbox-bin", "inbox empty-bin", "Empty the inbox's bin of an account", commands.Bin)
    async def empty_one(self, call: Call, given: commands.Bin) -> Done:
        """Remove what is in one account's bin."""
        return await commands.empty_one(call, given)

    @command("empty-inbox-bins", "inbox empty-bins", "Empty the inbox's bins of all accounts", commands.Bins)
    async def empty_all(self, call: Call, given: commands.Bins) -> Done:
        """Remove what is in everybody's bin."""
        return await commands.empty_all(call, given)
