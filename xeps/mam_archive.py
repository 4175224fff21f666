"""XEP-0136: Message Archiving, over the archive and the preferences that mod_mam keeps."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import Field
from twisted.words.xish import domish

from palaver import rsm
from palaver.archive import collections, modes, policies, removal, transcripts
from palaver.archive.collections import NS_ARCHIVE, Intervals, Selection, not_found
from palaver.archive.modes import NOTHING_SET, Auto, Modes
from palaver.archive.pauses import Pauses
from palaver.archive.preferences import Preferences
from palaver.errors import StanzaError
from palaver.events import ArchivePreferencesSet, SessionUnbound
from palaver.interfaces import IMessageArchives, ISession
from palaver.markup import element
from palaver.modules import BARE, SELF, Module, Settings, iq, on
from palaver.pubsub.turns import Turns
from palaver.routing.iqs import IqRoute
from palaver.rsm import PageRequest
from palaver.stanza import Stanza, make
from palaver.storage import Batch, Document, ids

ON_BY_DEFAULT = element("feature", NS_ARCHIVE, b"<optional/><default/>")
OFF_BY_DEFAULT = element("feature", NS_ARCHIVE, b"<optional/>")
# What Prosody gives to who does not say how much.
DEFAULT_RESULTS = 20
# Everything that a request may hold.
NAMES = (
    "auto",
    "itemremove",
    "list",
    "modified",
    "pref",
    "remove",
    "retrieve",
    "save",
    "sessionremove",
)

Work = Callable[[Preferences, Modes], tuple[Preferences, Modes]]
"""Takes what is in force, and gives what is to be."""


class MamArchiveSettings(Settings):
    """Options of mod_mam_archive."""

    archive_conversation_interval: int = Field(
        86400, ge=60, le=31_536_000, description="Seconds of the intervals that collections are made of."
    )
    max_archive_query_results: int = Field(
        50,
        ge=1,
        le=1000,
        description="Collections in a list, or messages of a collection, in a page at most.",
    )


class MamArchive(Module):
    """Gives clients of the older protocol the archive that mod_mam keeps, and its preferences.

    A collection is what was exchanged with one contact in one interval of UTC; a day, if nothing else is
    set. What is listed or removed between two times are the collections that start there. Without an end, a
    start names collections that start just then, when they are removed, and all that start then or later,
    when they are listed. Clients cannot upload messages, and there is no record of what was removed.
    """

    Settings = MamArchiveSettings
    features = (
        NS_ARCHIVE,
        f"{NS_ARCHIVE}:auto",
        f"{NS_ARCHIVE}:manage",
        f"{NS_ARCHIVE}:pref",
        rsm.NS_RSM,
    )
    requires = (IMessageArchives,)

    settings: MamArchiveSettings

    def start(self) -> None:
        """Begin with nobody who has asked."""
        self._intervals = Intervals(self.settings.archive_conversation_interval)
        self._asked: set[ISession] = set()
        self._turns = Turns()
        self._removing: set[str] = set()
        self._pauses = Pauses(self.host.clock)
        self.undo(self._pauses.stop)
        # A large archive takes a while, and the client's next stanzas do not wait for it.
        route = IqRoute("set", NS_ARCHIVE, "remove", SELF, self.name, self.remove, "parallel")
        self.undo(self.host.iqs.add(route))
        for name in NAMES:
            for kind in ("get", "set"):
                route = IqRoute(kind, NS_ARCHIVE, name, BARE, self.name, self.refuse)
                self.undo(self.host.iqs.add(route))

    def stream_feature(self, stream: Any) -> bytes | None:
        """Announce the archive to whoever has logged in, and whether it is on by default (section 11)."""
        if stream.authenticated_as is None:
            return None
        return ON_BY_DEFAULT if self._archives.default().default != "never" else OFF_BY_DEFAULT

    @property
    def _archives(self) -> Any:
        return self.host.query(IMessageArchives)

    # -- collections ---------------------------------------------------------------------------

    @iq("get", NS_ARCHIVE, "list", to=(SELF,))
    async def list(self, request: Stanza) -> bytes:
        """Give a page of the collections (section 7.1)."""
        node = _payload(request, "list")
        intervals = self._intervals
        wanted = collections.read_selection(node, intervals)
        asked = rsm.read(node)
        after, before = (text and intervals.read_page_id(text) for text in (asked.after, asked.before))
        found = await collections.find(
            self._archives.archive(_owner(request)),
            intervals,
            wanted,
            self._limit(asked),
            after or None,
            before or None,
            asked.backwards,
        )
        page = found.collections
        if not (page or found.count):
            return element("list", NS_ARCHIVE)
        first, last = (intervals.page_id(page[place]) for place in (0, -1)) if page else (None, None)
        chats = b"".join(map(intervals.encode, page))
        return element("list", NS_ARCHIVE, chats + rsm.encode(first, last, found.count, found.index))

    @iq("get", NS_ARCHIVE, "retrieve", to=(SELF,))
    async def retrieve(self, request: Stanza) -> bytes:
        """Give a page of a collection's messages (section 7.2)."""
        node = _payload(request, "retrieve")
        peer, start = collections.read_peer(node), node.getAttribute("start")
        if peer is None or start is None:
            raise StanzaError("bad-request", "A collection has with and start")
        asked = rsm.read(node)
        number = self._intervals.at(start)
        if number is None:
            raise not_found()
        owner = _owner(request)
        _, wanted = await self._read(owner)
        bodies_only = wanted.of(peer.full).save == "body"
        archive = self._archives.archive(owner)
        key = number, peer.full
        return await transcripts.encode(archive, self._intervals, key, asked, self._limit(asked), bodies_only)

    async def remove(self, request: Stanza) -> None:
        """Remove collections, answering when they are gone (section 7.3)."""
        wanted = self._read_removal(_payload(request, "remove"))
        owner = _owner(request)
        if owner in self._removing:
            raise StanzaError("resource-constraint", "Something is being removed already")
        self._removing.add(owner)
        try:
            removed = await removal.remove(
                self.host.storage,
                self._archives.archive(owner),
                self._intervals.bounds(wanted.first, wanted.last)._replace(peer=wanted.log_peer),
                lambda entry: wanted.admits(entry.peer),
                self._pauses,
            )
        finally:
            self._removing.discard(owner)
        if self._pauses.stopped:
            raise StanzaError("resource-constraint", "Not everything was removed: ask again")
        if not removed:
            raise not_found()

    def _read_removal(self, node: domish.Element) -> Selection:
        """Read which collections are to go. Raises `StanzaError`: also item-not-found."""
        intervals = self._intervals
        wanted = collections.read_selection(node, intervals)
        start = node.getAttribute("start")
        if start is not None and wanted.last is None:
            number = intervals.at(start)
            if number is None:
                raise not_found()
            wanted = wanted._replace(first=number, last=number)
        if collections.read_truth(node, "open"):
            number = intervals.number(ids.from_time(time.time()))
            first = number if wanted.first is None else max(number, wanted.first)
            last = number if wanted.last is None else min(number, wanted.last)
            wanted = wanted._replace(first=first, last=last)
        return wanted

    def _limit(self, asked: PageRequest) -> int:
        most = self.settings.max_archive_query_results
        return min(DEFAULT_RESULTS if asked.max is None else asked.max, most)

    # -- preferences ---------------------------------------------------------------------------

    @iq("get", NS_ARCHIVE, "pref", to=(SELF,))
    async def get_preferences(self, request: Stanza) -> bytes:
        """Give the preferences (section 2.3); from now on the session is told of changes."""
        owner, session = _owner(request), request.origin
        preferences, wanted = await self._read(owner)
        stored = await self.host.storage.documents.get(self.host.domain, owner, policies.KIND)
        on = session is None or self._archives.is_on(session)
        if session is not None and session.stream is not None:
            self._asked.add(session)
        auto = Auto(on and (preferences.default != "never" or bool(preferences.always)), on)
        return modes.encode(wanted, auto, stored is None)

    @iq("set", NS_ARCHIVE, "pref", to=(SELF,))
    async def set_preferences(self, request: Stanza) -> None:
        """Set preferences: all that are given, or none (sections 2.4 to 2.7)."""
        change = modes.read(_payload(request, "pref"))
        session = _session(request) if change.auto is not None else None
        if change.default is not None or change.items or change.methods:
            await self._change(_owner(request), change.apply)
        if change.auto is not None and session is not None:
            await self._switch(session, change.auto)

    @iq("set", NS_ARCHIVE, "itemremove", to=(SELF,))
    async def remove_items(self, request: Stanza) -> None:
        """Take preferences for contacts away: all that are named, or none (section 2.5)."""
        gone = modes.read_items(_payload(request, "itemremove"))
        await self._change(
            _owner(request), lambda preferences, wanted: modes.without(preferences, wanted, gone)
        )

    @iq("set", NS_ARCHIVE, "auto", to=(SELF,))
    async def automatic(self, request: Stanza) -> None:
        """Switch archiving on or off (section 6)."""
        await self._switch(_session(request), modes.read_auto(_payload(request, "auto")))

    async def _switch(self, session: ISession, auto: Auto) -> None:
        """Switch archiving for a stream; or the default for all, as XEP-0441 has no other word for that."""
        self._archives.switch(session, auto.on or auto.lasting)
        if not auto.lasting:
            return

        def work(preferences: Preferences, wanted: Modes) -> tuple[Preferences, Modes]:
            if auto.on == (preferences.default != "never"):
                return preferences, wanted
            after = preferences._replace(default="always" if auto.on else "never")
            return after, modes.combine(after, wanted)

        await self._change(session.user.local, work)

    async def _read(self, owner: str) -> tuple[Preferences, Modes]:
        """Give what is in force for an account. Raises StorageError."""
        found: Document | None = await self.host.storage.documents.get(self.host.domain, owner, modes.KIND)
        noted = NOTHING_SET if found is None else modes.from_json(found.value)
        preferences: Preferences = await self._archives.preferences(owner)
        return preferences, modes.combine(preferences, noted)

    async def _change(self, owner: str, work: Work) -> None:
        """Change what is in force for an account, and tell its clients. Raises what ``work`` raises."""

        async def change() -> None:
            preferences, before = await self._read(owner)
            wanted, after = work(preferences, before)
            batch = Batch().put(self.host.domain, owner, modes.KIND, "", after.to_json())
            await self._archives.put_preferences(owner, wanted, batch)
            self._push(owner, modes.encode_change(before, after))

        await self._turns.take(owner, change)

    # -- who is told ---------------------------------------------------------------------------

    @on(ArchivePreferencesSet)
    async def changed(self, event: ArchivePreferencesSet) -> None:
        """Tell clients of this protocol what one of the newer protocol has set."""
        if self._asked:
            _, after = await self._read(event.local)
            self._push(event.local, modes.encode_change(modes.combine(event.before, after), after))

    @on(SessionUnbound)
    def gone(self, event: SessionUnbound) -> None:
        """Forget a session."""
        self._asked.discard(event.session)

    def _push(self, owner: str, payloads: Iterable[bytes]) -> None:
        user = self.host.users.get(owner)
        sessions: Iterable[ISession] = user.sessions.values() if user is not None else ()
        asked = [session for session in sessions if session in self._asked]
        for payload in payloads:
            for session in asked:
                attrs = {"type": "set", "id": f"push-{secrets.token_hex(4)}", "to": session.jid.full}
                session.send(make("iq", attrs, payload))

    # -- what is refused -------------------------------------------------------------------------

    def refuse(self, request: Stanza) -> None:
        """Somebody else's archive is nobody's business, and whether there is one neither."""
        raise StanzaError("forbidden", "An archive is open to its owner only")

    @iq("set", NS_ARCHIVE, "save", to=(SELF,))
    @iq("set", NS_ARCHIVE, "sessionremove", to=(SELF,))
    @iq("get", NS_ARCHIVE, "modified", to=(SELF,))
    def lack(self, request: Stanza) -> None:
        """Answer what is optional and not there."""
        raise StanzaError("feature-not-implemented")

    @iq("get", NS_ARCHIVE, "auto", to=(SELF,))
    @iq("get", NS_ARCHIVE, "itemremove", to=(SELF,))
    @iq("get", NS_ARCHIVE, "remove", to=(SELF,))
    @iq("set", NS_ARCHIVE, "list", to=(SELF,))
    @iq("set", NS_ARCHIVE, "retrieve", to=(SELF,))
    def mistake(self, request: Stanza) -> None:
        """Answer a get of what is set, and a set of what is got."""
        raise StanzaError("bad-request", f"{request.children[0][1]} is not for a {request.type}")


def _session(request: Stanza) -> ISession:
    """Give the session that a request is from. Raises `StanzaError`: not-allowed."""
    if request.origin is None:
        raise StanzaError("not-allowed", "Only a client's own stream is switched")
    return request.origin


def _owner(request: Stanza) -> str:
    sender = request.sender
    assert sender is not None
    return sender.local


def _payload(request: Stanza, name: str) -> domish.Element:
    node = request.child(NS_ARCHIVE, name)
    assert node is not None
    return node
