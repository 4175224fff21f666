"""MongooseIM's inbox: each account's conversations, with last messages and how many are unread."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, field_validator
from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver import jid
from palaver.archive.companions import Companions
from palaver.archive.messages import NS_STANZA_ID
from palaver.archive.stanzaids import from_text
from palaver.commands.command import Call, Done
from palaver.errors import StanzaError
from palaver.events import ItemPublished, MarkerWithheld
from palaver.inbox import commands, messages, queries
from palaver.inbox.conversations import (
    ALL,
    NS_CONVERSATION,
    NS_INBOX,
    Conversation,
    Conversations,
)
from palaver.inbox.messages import Content
from palaver.inbox.queries import BOXES, Wish
from palaver.jid import JID, InvalidJID
from palaver.markup import attribute, element
from palaver.modules import SELF, Module, Settings, command, every, iq, on, phase
from palaver.muclight.hooks import Affiliated
from palaver.muclight.hooks import Hooks as LightHooks
from palaver.muclight.hooks import Said as LightSaid
from palaver.rooms import hooks as rooms
from palaver.rooms.affiliations import OUTCAST
from palaver.routing.pipeline import SENT, TO_USER
from palaver.routing.sessions import Session
from palaver.stanza import Stanza
from palaver.storage import Batch, Entry, ids
from palaver.tree import parse_element

NS_DISPLAYED = "urn:xmpp:mds:displayed:0"
# Messages between the batch that archives them and the phase that would write what no archive holds.
MAX_UNDER_WAY = 10_000
BIN_CLEAN_S = 3600
ID_BYTES = 9

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
        self._conversations = Conversations(host.storage, host.domain)
        self._boxes = (*BOXES, *settings.boxes)
        self._markers = tuple(settings.reset_markers)
        # By identity of a message's attributes, which all forms of it share: for whom it is written.
        self._written: OrderedDict[int, tuple[dict[str, str], set[str]]] = OrderedDict()
        self.undo(Companions.of(host).add(self._archived))
        if "muclight" in settings.groupchat:
            self.undo(LightHooks.of(host).add_store(self._in_light_room))
        if "muc" in settings.groupchat:
            self.undo(rooms.Hooks.of(host).add_phase("store", self.name, self._in_room))

    # -- conversations of two -------------------------------------------------------------

    def _archived(self, message: Stanza, entries: Sequence[Entry], batch: Batch) -> None:
        """Write with the archives of those who have archived a message."""
        if not messages.is_content(message) or message.attrs.get("type") == "groupchat":
            return
        sender = message.sender
        done = self._done(message)
        for entry in entries:
            if entry.host != self.host.domain or entry.peer is None or sender is None:
                continue
            own = JID(entry.owner, entry.host, "")
            content = Content(message, entry.payload)
            self._write(batch, own, entry.peer, content, entry.id, outgoing=sender.bare == own.bare)
            done.add(entry.owner)

    def _done(self, message: Stanza) -> set[str]:
        """Give the accounts that a message is written for, to be added to."""
        known = self._written.setdefault(id(message.attrs), (message.attrs, set()))
        if len(self._written) > MAX_UNDER_WAY:
            self._written.popitem(last=False)
        return known[1]

    def _write(self, batch: Batch, own: JID, peer: str, content: Content, at: int, *, outgoing: bool) -> None:
        conversations = self._conversations
        if outgoing and peer != own.bare:
            messages.wrote(conversations, batch, own.local, peer, content, at)
            return
        if outgoing:
            # Of what one writes to oneself the copy that arrives is unread.
            conversations.put_read(batch, own.local, peer, at - 1)
        messages.got(conversations, batch, own, peer, content, at)

    @phase(TO_USER, "archive", "message")
    def arriving(self, message: Stanza, to: JID) -> Deferred[None] | None:
        """Write what the addressee's archive does not hold."""
        if message.attrs.get("type") == "groupchat" or not messages.is_content(message):
            return None
        sender = message.sender
        done = self._done(message)
        if message.origin is None:
            # It passes no later phase.
            self._written.pop(id(message.attrs), None)
        if sender is None or to.local in done:
            return None
        done.add(to.local)
        batch = Batch()
        outgoing = sender.bare == to.bare
        self._write(
            batch, to.without_resource(), sender.bare, Content.of(message), ids.new_id(), outgoing=outgoing
        )
        return self._commit(batch)

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
        if message.attrs.get("type") == "groupchat" or not messages.is_content(message):
            return None
        _, done = self._written.pop(id(message.attrs), (None, set()))
        if user.local in done or to.bare == user.bare:
            return None
        batch = Batch()
        self._write(batch, user.jid, to.bare, Content.of(message), ids.new_id(), outgoing=True)
        return self._commit(batch)

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

    async def _commit_now(self, batch: Batch) -> None:
        await self.host.storage.write(batch)

    def _commit(self, batch: Batch) -> Deferred[None]:
        return Deferred.fromCoroutine(self._commit_now(batch))

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

    # -- rooms ------------------------------------------------------------------------------

    def _in_light_room(self, event: LightSaid | Affiliated, batch: Batch) -> None:
        if isinstance(event, Affiliated):
            self._affiliated(event, batch)
        elif messages.is_content(event.stanza):
            at = event.id if event.id is not None else ids.new_id()
            self._in_group(batch, event.room.jid.bare, event.room.users, event.author, event.stanza, at)

    def _in_room(self, said: rooms.Said, batch: Batch) -> None:
        if said.kind != rooms.GROUPCHAT or not messages.is_content(said.stanza):
            return
        at = said.id if said.id is not None else ids.new_id()
        members = [bare for bare, held in said.room.affiliations.items() if held.affiliation != OUTCAST]
        self._in_group(batch, said.room.jid.bare, members, said.sender.bare, said.stanza, at)

    def _in_group(self, batch: Batch, room: str, members: Any, author: str, message: Stanza, at: int) -> None:
        """Write a room's message for all of its members that have their accounts here."""
        content = Content.of(message)
        for bare in members:
            own = jid.parse(bare)
            if own.domain == self.host.domain and own.local:
                self._write_in_group(batch, own, room, content, at, is_author=bare == author)

    def _write_in_group(
        self, batch: Batch, own: JID, room: str, content: Content, at: int, *, is_author: bool
    ) -> None:
        write: Any = messages.wrote if is_author else messages.got
        write(self._conversations, batch, own.local if is_author else own, room, content, at)

    def _affiliated(self, event: Affiliated, batch: Batch) -> None:
        """Write what a room tells those of themselves whose affiliation changes."""
        room = event.room.jid.bare
        for bare, (affiliation, told) in event.notices.items():
            own = jid.parse(bare)
            if own.domain != self.host.domain:
                continue
            if affiliation == "none" and self.settings.remove_on_kicked:
                self._conversations.drop(batch, own.local, room)
            elif self.settings.aff_changes and told is not None and told.name == "message":
                messages.got(self._conversations, batch, own, room, Content.of(told), ids.new_id())

    # -- requests -----------------------------------------------------------------------------

    @iq("get", NS_INBOX, "query", to=(SELF,))
    def form(self, request: Stanza) -> bytes:
        """Give the form of a query."""
        return queries.form(self._boxes)

    @iq("set", NS_INBOX, "inbox", to=(SELF,))
    async def fetch(self, request: Stanza) -> bytes:
        """Send the conversations that are asked for, then how many they are."""
        node = _payload(request, NS_INBOX, "inbox")
        asked = queries.read(node, self._boxes)
        own = _owner(request)
        chosen = asked.choose(await self._conversations.all(own.local))
        query_id = node.getAttribute("queryid") or request.attrs["id"]
        send = request.origin.send if request.origin is not None else self.host.router.route
        for one in chosen:
            if send(_result(one, own, query_id)) is False:
                # The session is gone.
                break
        counts = (
            ("active-conversations", sum(1 for one in chosen if one.unread)),
            ("count", len(chosen)),
            ("unread-messages", sum(one.unread for one in chosen)),
        )
        return element("fin", NS_INBOX, b"".join(element(name, None, b"%d" % n) for name, n in counts))

    @iq("set", NS_INBOX, "empty-bin", to=(SELF,))
    async def empty_bin(self, request: Stanza) -> bytes:
        """Remove what is in the bin."""
        number = await self._conversations.empty_bin(_owner(request).local, ids.new_id())
        return element("empty-bin", NS_INBOX, element("num", None, b"%d" % number))

    @iq("get", NS_CONVERSATION, "query", to=(SELF,))
    async def properties(self, request: Stanza) -> bytes:
        """Give a conversation's properties, or the form of them."""
        node = _payload(request, NS_CONVERSATION, "query")
        try:
            peer = jid.parse(node.getAttribute("jid", "")).bare
        except InvalidJID:
            return queries.properties_form(self._boxes)
        found = await self._conversations.get(_owner(request).local, peer)
        if found is None:
            raise StanzaError("item-not-found", "Entry not found")
        inner = found.forwarded() if node.getAttribute("complete") == "true" else b""
        inner += _read_element(found.unread) + found.properties()
        return element("query", NS_CONVERSATION, inner, jid=peer)

    @iq("set", NS_CONVERSATION, "query", to=(SELF,))
    async def set_properties(self, request: Stanza) -> None:
        """Set some of a conversation's properties, and tell all sessions of the account."""
        node = _payload(request, NS_CONVERSATION, "query")
        peer = _peer(node)
        wish = queries.read_wish(node, self._boxes)
        own = _owner(request)
        found = await self._conversations.get(own.local, peer)
        if found is None:
            raise StanzaError("bad-request", "item-not-found")
        now = await self._set(own.local, found, wish)
        query_id = node.getAttribute("queryid") or request.attrs["id"]
        inner = _read_element(now.unread) + now.properties()
        told = element("x", NS_CONVERSATION, inner, jid=peer, queryid=query_id)
        attrs = {"from": own.full, "to": own.bare, "id": request.attrs["id"]}
        user = self.host.users.get(own.local)
        for session in tuple(user.sessions.values()) if user is not None else ():
            session.send(Stanza("message", attrs, ((NS_CONVERSATION, "x"),), told))

    async def _set(self, local: str, found: Conversation, wish: Wish) -> Conversation:
        """Commit what is wished for; gives the conversation as it is then."""
        batch, unread = Batch(), found.unread
        box, muted = wish.box or found.box, found.muted_until
        if wish.mute is not None:
            muted = time.time() + wish.mute if wish.mute else 0
        if wish.box is not None or wish.mute is not None:
            self._conversations.put_place(batch, local, found.peer, box, muted)
        if wish.read:
            unread = 0
            self._conversations.put_read(batch, local, found.peer, ids.new_id())
        elif wish.read is False and not unread:
            unread = 1
            self._conversations.put_unread(batch, local, found.peer, found.message_id, ids.new_id())
        if batch.changes:
            await self.host.storage.write(batch)
        return found._replace(box=box, muted_until=muted, unread=unread)

    @iq("set", NS_CONVERSATION, "reset", to=(SELF,))
    async def reset(self, request: Stanza) -> bytes:
        """Count a conversation as read."""
        peer = _peer(_payload(request, NS_CONVERSATION, "reset"))
        await self._conversations.read_up_to(_owner(request).local, peer, ids.new_id())
        return element("reset", NS_CONVERSATION)

    @every(BIN_CLEAN_S)
    async def clean_up(self) -> None:
        """Remove what has been in the bin for long."""
        await self._conversations.clean_bin(commands.before(self.settings.bin_ttl))

    @command("empty-inbox-bin", "inbox empty-bin", "Empty the inbox's bin of an account", commands.Bin)
    async def empty_one(self, call: Call, given: commands.Bin) -> Done:
        """Remove what is in one account's bin."""
        return await commands.empty_one(call, given)

    @command("empty-inbox-bins", "inbox empty-bins", "Empty the inbox's bins of all accounts", commands.Bins)
    async def empty_all(self, call: Call, given: commands.Bins) -> Done:
        """Remove what is in everybody's bin."""
        return await commands.empty_all(call, given)


def _result(one: Conversation, own: JID, query_id: str) -> Stanza:
    attrs = {"from": own.bare, "to": own.full, "id": secrets.token_urlsafe(ID_BYTES)}
    head = f"<result xmlns='{NS_INBOX}' unread='{one.unread}' queryid='{attribute(query_id)}'>"
    inner = b"%b%b%b</result>" % (head.encode(), one.forwarded(), one.properties())
    return Stanza("message", attrs, ((NS_INBOX, "result"),), inner)


def _read_element(unread: int) -> bytes:
    return element("read", None, b"false" if unread else b"true")


def _peer(node: domish.Element) -> str:
    """Give whom a conversation is with. Raises StanzaError(bad-request)."""
    text = node.getAttribute("jid")
    if text is None:
        raise StanzaError("bad-request", "jid-required")
    try:
        return jid.parse(text).bare
    except InvalidJID:
        raise StanzaError("bad-request", "invalid-jid") from None


def _owner(request: Stanza) -> JID:
    sender = request.sender
    assert sender is not None
    return sender


def _payload(request: Stanza, ns: str, name: str) -> domish.Element:
    node = request.child(ns, name)
    assert node is not None
    return node
