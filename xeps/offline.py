"""XEP-0160: Best Practices for Handling Offline Messages; stamps of XEP-0203, expiry of XEP-0023."""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from twisted.internet.defer import Deferred, DeferredList

from palaver.errors import StanzaError
from palaver.events import AccountDeleted, BecameAvailable, MessageKept, SessionBound, SessionUnbound
from palaver.interfaces import IOfflineStore, ISession
from palaver.jid import JID
from palaver.log import Log
from palaver.markup import element
from palaver.modules import Module, Settings, on, phase
from palaver.routing.pipeline import DROP, HANDLED, TO_USER, UNDELIVERED, Drop, Handled
from palaver.stanza import NS_CLIENT, Stanza, from_element
from palaver.storage import Batch, Entry, LogQuery, Page, ids
from palaver.times import stamp
from palaver.tree import parse_element

log = Log("offline")

NS_DELAY = "urn:xmpp:delay"
NS_HINTS = "urn:xmpp:hints"
NS_CHAT_STATES = "http://jabber.org/protocol/chatstates"
NS_ORIGIN_ID = "urn:xmpp:sid:0"
NS_EXPIRE = "jabber:x:expire"
NS_MAM = "urn:xmpp:mam:2"
KIND = "offline"
# XEP-0160 section 3: these say nothing to somebody who was not there.
PASSING = frozenset((NS_CHAT_STATES, NS_HINTS))

PAGE_SIZE = 100
_SECONDS = re.compile(r"[0-9]{1,9}\Z")
Kept = list[tuple[int, Stanza | None]]
"""See IOfflineStore.page."""

# How many accounts' counts are remembered, so that storing a message need not count.
MAX_COUNTED_ACCOUNTS = 10000
# A message sent again after a lost connection comes within the time that one may be resumed in.
RESENT_WITHIN_S = 600
# With a storage that does not answer, what need not be stored does not wait for ever.
MAX_HOLD_S = 10.0
FULL = "Your contact offline message queue is full. The message has been discarded."


class OfflineSettings(Settings):
    """Options of mod_offline."""

    access_max_user_messages: Annotated[int, Field(ge=0, le=1000000)] | Literal["infinity"] = Field(
        1000, description="How many messages are kept for one account; the next one goes back to its sender."
    )


class Offline(Module):
    """Keeps messages for accounts that nobody is online with, and hands them to the first who comes.

    A message is acknowledged when it is committed, and deleted when a session has taken it.
    While the queue is handed over, newer messages for the account wait behind it.
    """

    Settings = OfflineSettings
    features = ("msgoffline",)
    account_features = ("msgoffline",)
    provides = (IOfflineStore,)

    settings: OfflineSettings

    def start(self) -> None:
        """Begin with nothing known."""
        self._counts: OrderedDict[str, int] = OrderedDict()
        # By account: how many messages are being stored, and who waits for the last of them.
        self._storing: dict[str, int] = {}
        self._stored: dict[str, Deferred[None]] = {}
        # By account whose queue is handed over: the messages that wait behind it.
        self._held: dict[str, list[Deferred[None]]] = {}
        self._running: set[Deferred[None]] = set()
        self._let_go: Any = None
        # Accounts that something was stored for in this process and not handed over yet.
        self._recent: OrderedDict[str, None] = OrderedDict()
        # Sessions whose login has seen that nothing is kept, until they become available.
        self._nothing_kept: set[ISession] = set()
        # Sessions that fetch messages themselves.
        self._withheld: set[ISession] = set()
        self.undo(self.host.add_login_kind(KIND))

    def stop(self) -> Deferred[Any] | None:
        """Wait for the queues that are being handed over."""
        return DeferredList(list(self._running)) if self._running else None

    @on(AccountDeleted)
    def deleted(self, event: AccountDeleted) -> None:
        """Forget an account's count; its queue went with its stores."""
        self._counts.pop(event.jid.local, None)
        self._recent.pop(event.jid.local, None)

    @on(SessionBound)
    def bound(self, event: SessionBound) -> None:
        """Note when the login has read that there is nothing to hand over."""
        local = event.session.user.local
        if event.documents is None or local in self._recent or local in self._storing:
            return
        if not any(document.kind == KIND for document in event.documents):
            self._nothing_kept.add(event.session)

    @on(SessionUnbound)
    def unbound(self, event: SessionUnbound) -> None:
        """Forget a session."""
        self._nothing_kept.discard(event.session)
        self._withheld.discard(event.session)

    # -- in ---------------------------------------------------------------------------------

    @phase(UNDELIVERED, "store", "message")
    def keep(self, message: Stanza, to: JID) -> Drop | Deferred[Handled] | None:
        """Store a message that no session took; None leaves it to go back to its sender."""
        children = message.children
        if message.has(NS_MAM, "result") or (
            (NS_HINTS, "store") not in children
            and all(ns in PASSING or (ns, name) == (NS_CLIENT, "thread") for ns, name in children)
        ):
            return DROP
        if (NS_HINTS, "no-store") in children:
            return None
        return Deferred.fromCoroutine(self._keep(message, to))

    async def _keep(self, message: Stanza, to: JID) -> Handled:
        local = to.local
        # The id is taken now, so that the order of arrival is the order of delivery.
        entry = self._entry(message, local)
        self._storing[local] = self._storing.get(local, 0) + 1
        self._note(local)
        try:
            await self._take_place(local)
            await self.host.storage.write(
                # The mark is read with the account, so that a login without messages reads no log.
                Batch().append(entry, ids.from_time(RESENT_WITHIN_S)).put(entry.host, local, KIND, "", {})
            )
        except BaseException:
            self._counts.pop(local, None)
            raise
        finally:
            self._stored_one(local)
        self.host.events.fire(MessageKept(message, to))
        self._catch_up(local)
        return HANDLED

    def _note(self, local: str) -> None:
        """Remember that there is something for an account, whatever a login has read before."""
        self._recent[local] = None
        self._recent.move_to_end(local)
        if len(self._recent) > MAX_COUNTED_ACCOUNTS:
            self._recent.popitem(last=False)
        user = self.host.users.get(local)
        if user is not None:
            self._nothing_kept.difference_update(user.sessions.values())

    def _entry(self, message: Stanza, local: str) -> Entry:
        domain = self.host.domain
        sender = message.sender
        peer = sender.bare if sender is not None else None
        identity = ids.new_id()
        when = stamp(ids.to_time(identity))
        delay = element("delay", NS_DELAY, b"Offline Storage", from_=domain, stamp=when)
        kept = _without_own_delay(message, domain).with_child(delay, NS_DELAY, "delay")
        return Entry(
            domain, local, KIND, identity, kept.encode(declare=True), peer, _reference(message, peer)
        )

    async def _take_place(self, local: str) -> None:
        """Count a message before it is stored; raises `StanzaError` when the queue is full."""
        limit = self.settings.access_max_user_messages
        if limit == "infinity":
            return
        if local not in self._counts:
            count = await self.host.storage.logs.count(self.host.domain, local, KIND)
            # Others may have asked at the same time and counted theirs since.
            self._counts.setdefault(local, count)
        if self._counts[local] >= limit:
            raise StanzaError("resource-constraint", FULL)
        self._counts[local] += 1
        self._counts.move_to_end(local)
        if len(self._counts) > MAX_COUNTED_ACCOUNTS:
            self._counts.popitem(last=False)

    def _stored_one(self, local: str) -> None:
        self._storing[local] -= 1
        if not self._storing[local]:
            del self._storing[local]
            if (waiting := self._stored.pop(local, None)) is not None:
                waiting.callback(None)

    def _catch_up(self, local: str) -> None:
        """Somebody may have come, and found nothing, between the decision to store and the store."""
        user = self.host.users.get(local)
        for session in user.available() if user is not None else ():
            if session.priority >= 0:
                self._begin(session)
                return

    # -- out --------------------------------------------------------------------------------

    @on(BecameAvailable)
    def came(self, event: BecameAvailable) -> None:
        """Hand the queue over, in the background: nothing else of the session waits for it."""
        if event.session.priority < 0:
            return
        if event.session in self._nothing_kept:
            self._nothing_kept.discard(event.session)
        else:
            self._begin(event.session)

    def _begin(self, session: ISession) -> None:
        local = session.user.local
        if local in self._held or not self._withheld.isdisjoint(session.user.sessions.values()):
            return
        if not self._held:
            self._let_go = self.host.pipeline.add(TO_USER, "notice", ("message",), self.name, self._hold)
        self._held[local] = []
        running = self.host.guard(self.name, self._flush, session, local)
        if running is not None and not running.called:
            self._running.add(running)
            running.addCallback(lambda _: self._running.discard(running))

    async def _flush(self, session: ISession, local: str) -> None:
        try:
            while await self._hand_over_page(session, local):
                pass
        finally:
            self._release(local)

    async def _hand_over_page(self, session: ISession, local: str) -> bool:
        """Hand over the oldest messages, then delete them; tells whether there may be more."""
        while local in self._storing:
            await self._stored.setdefault(local, Deferred())
        page = await self.host.storage.logs.range(self.host.domain, local, KIND, LogQuery(limit=PAGE_SIZE))
        taken = []
        for entry in page.entries:
            message = _read(entry)
            if message is not None and not session.send(message):
                break
            taken.append(entry.id)
        whole = len(taken) == len(page.entries)
        last = whole and page.complete and local not in self._storing
        if taken:
            batch = Batch().drop(self.host.domain, local, KIND, ids=taken)
            if last:
                batch.delete(self.host.domain, local, KIND)
                self._recent.pop(local, None)
            await self.host.storage.write(batch)
            self._counts.pop(local, None)
        return whole and not last

    def _hold(self, message: Stanza, to: JID) -> Deferred[None] | None:
        """Let a new message wait until the older ones are out."""
        held = self._held.get(to.local)
        if held is None or message.attrs.get("type", "normal") not in ("chat", "normal"):
            return None
        waiting: Deferred[None] = Deferred()
        waiting.addTimeout(MAX_HOLD_S, self.host.clock, onTimeoutCancel=lambda value, timeout: None)
        held.append(waiting)
        return waiting

    def _release(self, local: str) -> None:
        held = self._held.pop(local)
        if not self._held:
            self._let_go()
        for waiting in held:
            if not waiting.called:
                waiting.callback(None)

    # -- IOfflineStore ----------------------------------------------------------------------

    def count(self, local: str) -> Deferred[int]:
        """See IOfflineStore."""
        counted: Deferred[int] = self.host.storage.logs.count(self.host.domain, local, KIND)
        return counted

    def page(self, local: str, after: int | None = None) -> Deferred[Kept]:
        """See IOfflineStore."""
        query = LogQuery(after=after, limit=PAGE_SIZE)
        found: Deferred[Page] = self.host.storage.logs.range(self.host.domain, local, KIND, query)
        return found.addCallback(lambda page: [(entry.id, _read(entry)) for entry in page.entries])

    def get(self, local: str, ids: Sequence[int]) -> Deferred[Kept]:
        """See IOfflineStore."""
        found: Deferred[list[Entry]] = self.host.storage.logs.get(self.host.domain, local, KIND, ids)
        return found.addCallback(lambda entries: [(entry.id, _read(entry)) for entry in entries])

    def remove(self, local: str, ids: Sequence[int] | None = None) -> Deferred[None]:
        """See IOfflineStore."""

        def removed(_: object) -> None:
            self._counts.pop(local, None)

        written: Deferred[Any] = self.host.storage.write(Batch().drop(self.host.domain, local, KIND, ids=ids))
        return written.addCallback(removed)

    def withhold(self, session: ISession) -> None:
        """See IOfflineStore."""
        if session.stream is not None:
            self._withheld.add(session)


def _without_own_delay(message: Stanza, domain: str) -> Stanza:
    """Take away a stamp that claims to be this server's."""
    if not message.has(NS_DELAY, "delay"):
        return message
    return message.with_children(
        node
        for node in message.element.children
        if isinstance(node, str)
        or (node.uri, node.name) != (NS_DELAY, "delay")
        or node.getAttribute("from") != domain
    )


def _reference(message: Stanza, peer: str | None) -> str | None:
    """Give what a second copy of the message would have too; None when it has no id."""
    origin = message.child(NS_ORIGIN_ID, "origin-id")
    identity = origin.getAttribute("id") if origin is not None else message.id
    if not identity:
        return None
    # Some clients use an id again, so the content counts too: better a message twice than not at all.
    digest = hashlib.sha256(f"{peer}\n{identity}\n".encode() + message.inner)
    return digest.hexdigest()[:32]


def _read(entry: Entry) -> Stanza | None:
    """Give the message; None when it is out of date, or damaged and can never be delivered."""
    try:
        message = from_element(parse_element(entry.payload))
    except ValueError as error:
        log.error("message-damaged", owner=entry.owner, host=entry.host, id=entry.id, reason=str(error))
        return None
    return None if _is_expired(message, time.time() - ids.to_time(entry.id)) else message


def _is_expired(message: Stanza, age_s: float) -> bool:
    """Tell whether a message has said that it is of no use any more by now (XEP-0023 section 3)."""
    node = message.child(NS_EXPIRE, "x")
    found = _SECONDS.match(node.getAttribute("seconds", "")) if node is not None else None
    return found is not None and 0 < int(found[0]) < age_s
