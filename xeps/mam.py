"""XEP-0313: Message Archive Management, with 0059, 0334, 0359, 0424, 0431 and 0441."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from itertools import takewhile
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver import jid
from palaver.archive import pages, policies, preferences, query, retraction, stanzaids
from palaver.archive.messages import NS_MAM, NS_STANZA_ID, is_archived
from palaver.archive.overlap import Overlap
from palaver.archive.pages import Archive
from palaver.archive.policies import Policies
from palaver.archive.preferences import Preferences
from palaver.archive.retention import Retention
from palaver.archive.switches import Switches
from palaver.archive.writing import KIND, KIND_OWNER, Writer, Written
from palaver.errors import StanzaError
from palaver.events import AccountDeleted, ArchivePreferencesSet, MessageRetracted, SessionBound
from palaver.interfaces import IMessageArchives, ISession
from palaver.jid import JID, InvalidJID
from palaver.modules import BARE, SELF, Module, Settings, every, iq, on, phase
from palaver.routing.pipeline import FROM_CLIENT, SENT, TABLE, TO_USER, no_groupchat
from palaver.routing.sessions import Session
from palaver.stanza import Stanza
from palaver.storage import Batch, Entry
from palaver.waiting import settled

NS_FULL_TEXT = "urn:xmpp:fulltext:0"

CLEANUP_S = 3600
BEFORE_ARCHIVE = tuple(takewhile(lambda phase: phase != "archive", TABLE[TO_USER]))


class MamSettings(Settings):
    """Options of mod_mam."""

    default_archive_policy: Literal["always", "never", "roster"] = Field(
        "always", description="What is archived for accounts that have set nothing: always, never or roster."
    )
    archive_expires_after: Annotated[int, Field(ge=60)] | Literal["never"] = Field(
        "never", description="Seconds after which a message is deleted from the archive, or never."
    )
    storage_archive_item_limit: Annotated[int, Field(ge=1)] | Literal["infinity"] = Field(
        "infinity", description="How many messages one account's archive keeps; the oldest go, once an hour."
    )
    default_result_limit: int = Field(
        50, ge=1, le=1000, description="Messages in a page when nothing is asked."
    )
    max_result_limit: int = Field(50, ge=1, le=1000, description="Messages in a page at most.")
    full_text_search: bool = Field(True, description="Keep an index of the texts, and search in it.")
    archive_chat_markers: bool = Field(True, description="Archive messages that hold only a chat marker.")
    message_retraction: bool = Field(True, description="Replace retracted messages by tombstones.")
    no_stanzaid_element: bool = Field(False, description="Do not tell clients the ids of archived messages.")


class _Outgoing(NamedTuple):
    """What the sender's archive is to hold of a message on its way: ``message`` as it was sent."""

    entry: Entry
    message: Stanza


class MessageArchive(Module):
    """Keeps what accounts send and receive, and gives it to them page by page.

    What a local account sends to another one is committed to both archives at once, before it is
    delivered; what goes elsewhere or nowhere is committed for its sender once it is routed. In either case
    it is acknowledged after that.
    """

    Settings = MamSettings
    features = (NS_MAM, NS_STANZA_ID, retraction.NS_RETRACT, retraction.NS_RETRACT_0)
    account_features: tuple[str, ...] = (
        NS_MAM,
        f"{NS_MAM}#extended",
        f"{NS_MAM}#groupchat-field",
        NS_STANZA_ID,
        retraction.NS_RETRACT,
        retraction.NS_RETRACT_0,
    )

    provides = (IMessageArchives,)

    settings: MamSettings

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        features = list(self.account_features)
        if self.settings.full_text_search:
            features.append(NS_FULL_TEXT)
        if self.settings.message_retraction:
            features += retraction.TOMBSTONE_FEATURES
        self.account_features = tuple(features)

    def start(self) -> None:
        """Begin with nothing known."""
        settings, host = self.settings, self.host
        self._policies = Policies(host, settings.default_archive_policy)
        self._switches = Switches(
            session for user in host.users.values() for session in user.sessions.values()
        )
        retracted = self._retracted if settings.message_retraction else None
        self._writer = Writer(host, full_text=settings.full_text_search, retracted=retracted)
        self._retention = self._make_retention()
        self.undo(self._retention.stop)
        self.undo(host.add_login_kind(policies.KIND))
        host.may_overlap = Overlap(
            host, self.name, self._policies, self._switches, BEFORE_ARCHIVE, settings.archive_chat_markers
        ).may
        self.undo(self._overlap_no_more)

    def _retracted(self, author: str, payload: bytes) -> None:
        self.host.events.fire(MessageRetracted(author, payload))

    def _make_retention(self) -> Retention:
        age, count = self.settings.archive_expires_after, self.settings.storage_archive_item_limit
        return Retention(
            self.host.storage,
            self.host.domain,
            KIND,
            KIND_OWNER,
            self.host.clock,
            time.time,
            None if age == "never" else age,
            None if count == "infinity" else count,
        )

    def _overlap_no_more(self) -> None:
        self.host.may_overlap = None

    @every(CLEANUP_S)
    def clean_up(self) -> Deferred[int] | None:
        """Delete what is too old or too much."""
        return Deferred.fromCoroutine(self._retention.run()) if self._retention.limited else None

    # -- forged ids ---------------------------------------------------------------------------

    @phase(FROM_CLIENT, "strip", "message")
    @phase(TO_USER, "strip", "message")
    @no_groupchat
    def strip(self, message: Stanza, context: object) -> Stanza | None:
        """Take off ids that only this server gives (XEP-0359 section 3.1)."""
        if (NS_STANZA_ID, "stanza-id") not in message.children:
            return None
        return stanzaids.without_ids_of(message, self.host.domain)

    # -- what is kept -------------------------------------------------------------------------

    @phase(FROM_CLIENT, "archive", "message")
    def leaving(self, message: Stanza, session: Session) -> Deferred[None] | None:
        """Note what the sender's archive is to hold; `arriving` or `sent` commits it."""
        noted = session.remember(self.name)
        # The id of a message that is still being delivered stays.
        noted.pop("outgoing", None)
        if session in self._switches.off or not is_archived(message, self.settings.archive_chat_markers):
            return None
        user = session.user
        try:
            to = jid.parse(message.attrs.get("to", user.bare))
        except InvalidJID:
            return None
        # What one sends to oneself is archived once, when it arrives.
        if to.bare == user.bare:
            return None
        wanted = self._policies.wants(user.local, to)
        if isinstance(wanted, bool):
            self._note(wanted, noted, message, session, to)
            return None
        return wanted.addCallback(self._note, noted, message, session, to)

    def _note(self, wanted: bool, noted: dict[str, Any], message: Stanza, session: Session, to: JID) -> None:
        if wanted:
            noted["outgoing"] = _Outgoing(
                self._writer.entry(message, session.user.local, to, session.jid, to), message
            )

    @phase(TO_USER, "archive", "message")
    @no_groupchat
    def arriving(self, message: Stanza, to: JID) -> Awaitable[Stanza | None] | None:
        """Commit a message to the addressee's archive, and to the sender's when that is here too."""
        outgoing = self._take_outgoing(message)
        sender = message.sender
        if sender is None or not is_archived(message, self.settings.archive_chat_markers):
            return self._keep(message, to, outgoing, None) if outgoing is not None else None
        silenced = self._switches.off and self._is_silenced(to)
        wanted = False if silenced else self._policies.wants(to.local, sender)
        if isinstance(wanted, bool):
            return self._arrived(wanted, message, to, outgoing, sender)
        return self._arrived_later(wanted, message, to, outgoing, sender)

    def _is_silenced(self, to: JID) -> bool:
        """Tell whether the sessions of an account want nothing archived of what comes for an address."""
        user = self.host.users.get(to.local)
        return user is not None and self._switches.silence(user.sessions, to.resource)

    async def _arrived_later(
        self, wanted: Deferred[bool], message: Stanza, to: JID, outgoing: _Outgoing | None, sender: JID
    ) -> Stanza | None:
        kept = self._arrived(await wanted, message, to, outgoing, sender)
        return None if kept is None else await kept

    def _arrived(
        self, wanted: bool, message: Stanza, to: JID, outgoing: _Outgoing | None, sender: JID
    ) -> Deferred[Stanza] | None:
        if not wanted:
            return self._keep(message, to, outgoing, None) if outgoing is not None else None
        if outgoing is not None and outgoing.message is message:
            entry = self._writer.copy(outgoing.entry, to.local, sender)
        else:
            entry = self._writer.entry(message, to.local, sender, sender, to)
        return self._keep(message, to, outgoing, entry)

    def _keep(
        self, message: Stanza, to: JID, outgoing: _Outgoing | None, incoming: Entry | None
    ) -> Deferred[Stanza]:
        """Commit what there is; gives the message as the addressee gets it."""
        entries = [entry for entry in (outgoing.entry if outgoing else None, incoming) if entry is not None]

        def committed(there: Written) -> Stanza:
            known = there or {}
            if outgoing is not None and message.origin is not None:
                identity = outgoing.entry.id
                message.origin.state[self.name]["id"] = known.get(identity, identity)
            if incoming is None or self.settings.no_stanzaid_element:
                return message
            return stanzaids.with_id(message, to.bare, known.get(incoming.id, incoming.id))

        waiting: Deferred[Any] = self._writer.write(message, entries)
        if message.origin is not None and message.origin.ahead is not None:
            waiting.addBoth(_behind, message.origin.ahead)
        return waiting.addCallback(committed)

    @phase(SENT, "archive", "message")
    def sent(self, message: Stanza, session: Session) -> Stanza | Deferred[Stanza] | None:
        """Commit what met no addressee here; gives the message with its id in the sender's archive."""
        noted = session.remember(self.name)
        if (identity := noted.pop("id", None)) is not None:
            return self._own(message, session, identity)
        outgoing = noted.pop("outgoing", None)
        if outgoing is None:
            return None
        identity = outgoing.entry.id
        return self._writer.write(outgoing.message, [outgoing.entry]).addCallback(
            lambda there: self._own(message, session, (there or {}).get(identity, identity))
        )

    def _own(self, message: Stanza, session: Session, identity: int) -> Stanza:
        if self.settings.no_stanzaid_element:
            return message
        return stanzaids.with_id(message, session.user.bare, identity)

    def _take_outgoing(self, message: Stanza) -> _Outgoing | None:
        """Give what the sender's archive is to hold, once; None when that is nothing."""
        origin = message.origin
        noted = origin.state.get(self.name) if origin is not None and origin.state is not None else None
        return noted.pop("outgoing", None) if noted else None

    # -- preferences (XEP-0441) -----------------------------------------------------------------

    @on(SessionBound)
    def bound(self, event: SessionBound) -> None:
        """Take the preferences from what the login has read."""
        if event.documents is not None:
            self._policies.take(event.session.user.local, event.documents)

    @on(AccountDeleted)
    def deleted(self, event: AccountDeleted) -> None:
        """Forget an account; its archive went with its stores."""
        self._policies.forget(event.jid.local)
        self._writer.forget(event.jid.local)

    @iq("get", NS_MAM, "prefs", to=(SELF,))
    async def get_preferences(self, request: Stanza) -> bytes:
        """Give what the account wants archived."""
        return (await self._policies.of(_owner(request))).encode()

    @iq("set", NS_MAM, "prefs", to=(SELF,))
    async def set_preferences(self, request: Stanza) -> bytes:
        """Set what the account wants archived; gives it as it is from now on."""
        wanted = preferences.read(_payload(request, "prefs"))
        owner = _owner(request)
        before = await self._policies.of(owner)
        await self._policies.set(owner, wanted)
        await settled(self.host.events.fire(ArchivePreferencesSet(owner, before, wanted)))
        return wanted.encode()

    # -- for other modules: see IMessageArchives -----------------------------------------------

    def archive(self, local: str) -> Archive:
        """See IMessageArchives."""
        return self._writer.archive(local)

    def default(self) -> Preferences:
        """See IMessageArchives."""
        return self._policies.default

    def preferences(self, local: str) -> Awaitable[Preferences]:
        """See IMessageArchives."""
        return self._policies.of(local)

    def put_preferences(self, local: str, wanted: Preferences, batch: Batch | None = None) -> Awaitable[None]:
        """See IMessageArchives."""
        return self._policies.set(local, wanted, batch)

    def is_on(self, session: ISession) -> bool:
        """See IMessageArchives."""
        return session not in self._switches.off

    def switch(self, session: ISession, on: bool) -> None:
        """See IMessageArchives."""
        self._switches.turn(session, on)

    # -- queries ----------------------------------------------------------------------------------

    @iq("set", NS_MAM, "query", to=(SELF,))
    async def query(self, request: Stanza) -> bytes:
        """Send a page of the account's archive, then say where it lies (section 4)."""
        node = _payload(request, "query")
        settings = self.settings
        limit = min(settings.default_result_limit, settings.max_result_limit)
        asked = query.read(node, limit, settings.max_result_limit, settings.full_text_search)
        sender = request.sender
        assert sender is not None
        found = await pages.find(self._writer.archive(sender.local), asked)
        send = request.origin.send if request.origin is not None else self.host.router.route
        for result in pages.results(found, asked, node.getAttribute("queryid"), sender.bare, sender.full):
            if send(result) is False:
                # The session is gone.
                break
        return pages.fin(found)

    @iq("get", NS_MAM, "query", to=(SELF,))
    def form(self, request: Stanza) -> bytes:
        """Give the form of a query (section 4.1.6)."""
        return query.form(self.settings.full_text_search)

    @iq("get", NS_MAM, "metadata", to=(SELF,))
    async def metadata(self, request: Stanza) -> bytes:
        """Give the first and the last message's id and time (section 5)."""
        return await pages.metadata(self._writer.archive(_owner(request)))

    @iq("get", NS_MAM, "query", to=(BARE,))
    @iq("set", NS_MAM, "query", to=(BARE,))
    @iq("get", NS_MAM, "metadata", to=(BARE,))
    @iq("get", NS_MAM, "prefs", to=(BARE,))
    @iq("set", NS_MAM, "prefs", to=(BARE,))
    def refuse(self, request: Stanza) -> None:
        """Somebody else's archive is nobody's business, and whether there is one neither (section 8.1)."""
        raise StanzaError("forbidden", "An archive is open to its owner only")


def _behind(outcome: Any, ahead: Deferred[None]) -> Any:
    """Give what a commit came to once what is ahead of it is done."""
    if ahead.called:
        return outcome
    turn: Deferred[Any] = Deferred()
    ahead.addCallback(lambda _: turn.callback(outcome))
    return turn


def _owner(request: Stanza) -> str:
    sender = request.sender
    assert sender is not None
    return sender.local


def _payload(request: Stanza, name: str) -> domish.Element:
    node = request.child(NS_MAM, name)
    assert node is not None
    return node
