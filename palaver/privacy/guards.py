"""What applies accounts' privacy lists to stanzas; one for a host, whichever modules share it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock
from zope.interface import implementer

from palaver import jid
from palaver.errors import StanzaError
from palaver.events import AccountDeleted, SessionBound, SessionUnbound
from palaver.interfaces import IPrivacy, ISession
from palaver.jid import JID, InvalidJID
from palaver.privacy import invitations
from palaver.privacy.judging import Account, inbound_kind, lists_for, turn_away
from palaver.privacy.lists import LIST_KINDS, NONE, Lists, from_documents
from palaver.privacy.rules import OTHER, PRESENCE_OUT, PrivacyList
from palaver.routing.pipeline import DROP, FROM_CLIENT, TO_SESSION, TO_USER, Drop, Verdict, refusal
from palaver.routing.roster import Roster
from palaver.routing.rosters import rosters
from palaver.stanza import Stanza
from palaver.storage import Document

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.users import User

# Under this name accounts are guarded, whichever module it was that came first.
GUARD = "privacy"
BLOCKED = b"<blocked xmlns='urn:xmpp:blocking:errors'/>"
# A login may have read an account's lists before they were changed; this many changes are remembered.
MAX_REMEMBERED_CHANGES = 4096
# Whose lists are read for what comes while they are away: the read ones are kept for the next stanza.
MAX_ABSENT = 1024


@implementer(IPrivacy)
class Guards:
    """The accounts with lists that somebody is online with, and the steps that their stanzas go through.

    Nothing is kept for an account without lists, and nothing of an account's stanzas comes here then.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.accounts: dict[str, Account] = {}
        self.locks: dict[str, DeferredLock] = {}
        # Accounts that somebody is online with and whose lists are not read yet.
        self._unread: set[str] = set()
        self._changed: OrderedDict[str, None] = OrderedDict()
        self._absent: OrderedDict[str, tuple[list[Document], Account]] = OrderedDict()
        self._holders: list[str] = []
        self._undo: list[Callable[[], object]] = []

    # -- shared by modules -------------------------------------------------------------------

    @classmethod
    def join(cls, host: Host, module: str) -> Guards:
        """Give the host's one for a module to use until it calls `leave`."""
        shared: Guards = host.query(IPrivacy) or cls(host)
        shared._holders.append(module)
        if len(shared._holders) == 1:
            shared._begin()
        return shared

    def leave(self, module: str) -> None:
        """End a module's use; when it was the last one, everything is taken back."""
        self._holders.remove(module)
        self._end()
        if self._holders:
            self._register(self._holders[0])
            return
        for user in self.host.users.values():
            user.unguard(GUARD)
        self.accounts.clear()

    def _begin(self) -> None:
        self._register(self._holders[0])
        for user in self.host.users.values():
            self._unread.add(user.local)
            user.guard(GUARD)
        # Logins under way have read what was asked for before.
        for stream in self.host.unbound:
            if stream.authenticated_as is not None:
                self.note_change(stream.authenticated_as)

    def _register(self, module: str) -> None:
        """Take part in the phases under a module's name."""
        host = self.host
        for direction, names, handler in (
            (FROM_CLIENT, ("message", "presence", "iq"), self.leaving),
            (TO_USER, ("message", "presence", "iq"), self.arriving),
            (TO_SESSION, ("message", "presence"), self.entering),
        ):
            self._undo.append(host.pipeline.add(direction, "guard", names, module, handler, guarded=True))
        self._undo += [
            host.provide(self, IPrivacy),
            host.events.add(SessionBound, module, self._bound),
            host.events.add(SessionUnbound, module, self._unbound),
            host.events.add(AccountDeleted, module, self._deleted),
            *[host.add_login_kind(kind) for kind in LIST_KINDS],
        ]

    def _end(self) -> None:
        while self._undo:
            self._undo.pop()()

    # -- accounts ----------------------------------------------------------------------------

    def account(self, local: str) -> Account | Deferred[Account]:
        """Give an account's lists; the Deferred fails with StorageError."""
        found = self.accounts.get(local)
        if found is not None:
            return found
        if local in self.host.users and local not in self._unread:
            return Account(NONE)
        waiting: Deferred[Any] = self.host.storage.documents.list(self.host.domain, local, LIST_KINDS)
        return waiting.addCallback(lambda documents: self._read(local, documents))

    def _read(self, local: str, documents: list[Document]) -> Account:
        user = self.host.users.get(local)
        if user is not None:
            if local in self._unread:
                self.install(user, from_documents(documents))
            return self.accounts.get(local) or Account(NONE)
        kept = self._absent.get(local)
        if kept is not None and kept[0] == documents:
            self._absent.move_to_end(local)
            return kept[1]
        account = Account(from_documents(documents))
        if account.lists.lists:
            self._absent[local] = documents, account
            if len(self._absent) > MAX_ABSENT:
                self._absent.popitem(last=False)
        return account

    def install(self, user: User, lists: Lists) -> Account:
        """Apply lists to an account that somebody is online with, from the next stanza on."""
        self._unread.discard(user.local)
        account = self.accounts.get(user.local)
        if not lists.lists:
            self.accounts.pop(user.local, None)
            user.unguard(GUARD)
            return Account(NONE)
        if account is None:
            account = self.accounts[user.local] = Account(lists)
        account.lists = lists
        account.active = {session: name for session, name in account.active.items() if name in lists.lists}
        user.guard(GUARD)
        return account

    def note_change(self, local: str) -> None:
        """Remember that what logins have read of an account's lists may be out of date."""
        self._absent.pop(local, None)
        self._changed[local] = None
        self._changed.move_to_end(local)
        if len(self._changed) > MAX_REMEMBERED_CHANGES:
            self._changed.popitem(last=False)

    def _bound(self, event: SessionBound) -> Deferred[Account] | None:
        user, documents = event.session.user, event.documents
        if len(user.sessions) > 1 and user.local not in self._unread:
            return None
        if documents is not None and user.local not in self._changed:
            self.install(user, from_documents(documents))
            return None
        self._unread.add(user.local)
        user.guard(GUARD)
        waiting = self.account(user.local)
        return waiting if isinstance(waiting, Deferred) else None

    def _unbound(self, event: SessionUnbound) -> None:
        user = event.session.user
        account = self.accounts.get(user.local)
        if account is not None:
            account.active.pop(event.session, None)
        if not user.sessions:
            self.accounts.pop(user.local, None)
            self._unread.discard(user.local)
            user.unguard(GUARD)

    def _deleted(self, event: AccountDeleted) -> None:
        self.note_change(event.jid.local)

    # -- stanzas -----------------------------------------------------------------------------

    def leaving(self, stanza: Stanza, session: ISession) -> Verdict | Deferred[Verdict | None] | None:
        """Refuse what a session sends to somebody whom the list in force there denies (section 2.14)."""
        if "to" not in stanza.attrs:
            return None
        account = self.account(session.user.local)
        if isinstance(account, Deferred):
            return account.addCallback(self._leaving, stanza, session)
        return self._leaving(account, stanza, session)

    def _leaving(self, account: Account, stanza: Stanza, session: ISession) -> Verdict | None:
        held = account.in_force(session)
        if held is None:
            return None
        try:
            to = jid.parse(stanza.attrs["to"])
        except InvalidJID:
            return None
        if self._is_own(session.user.bare, to):
            return None
        shown = stanza.name == "presence" and stanza.type in (None, "unavailable")
        rule = held.rule_for(PRESENCE_OUT if shown else OTHER, to, session.user.roster)
        if rule is None or rule.allow:
            return None
        blocked = rule.blocks and held is account.lists.standing
        return refusal(
            stanza, StanzaError("not-acceptable", type="cancel", extra=BLOCKED if blocked else b"")
        )

    def arriving(self, stanza: Stanza, to: JID) -> Verdict | Deferred[Verdict | None] | None:
        """Refuse what comes for an account from somebody whom the list in force denies (section 2.14)."""
        if stanza.name == "iq" and to.resource and to.local not in self.host.users:
            # It meets nobody, and is answered the same.
            return None
        account = self.account(to.local)
        if isinstance(account, Deferred):
            return account.addCallback(self._arriving, stanza, to)
        return self._arriving(account, stanza, to)

    def _arriving(
        self, account: Account, stanza: Stanza, to: JID
    ) -> Verdict | Deferred[Verdict | None] | None:
        user = self.host.users.get(to.local)
        held = lists_for(account, user, stanza, to)
        if None in held:
            return None
        lists = [one for one in held if one is not None]
        if user is None and any(one.asks_roster for one in lists):
            waiting: Deferred[Roster] = rosters(self.host).load(to.local)
            return waiting.addCallback(lambda roster: self._judge(lists, stanza, to, roster))
        return self._judge(lists, stanza, to, user.roster if user is not None else None)

    def _judge(
        self, lists: Iterable[PrivacyList], stanza: Stanza, to: JID, roster: Roster | None
    ) -> Verdict | None:
        """Refuse a stanza that every list denies."""
        kind = inbound_kind(stanza)
        for sender in self._senders(stanza, to):
            if not any(held.allows(kind, sender, roster) for held in lists):
                return turn_away(stanza)
        return None

    def _senders(self, stanza: Stanza, to: JID) -> list[JID]:
        """Give whose stanza it is: the sender, and who invites through a room; nobody who may always."""
        found = [stanza.sender, invitations.inviter(stanza)]
        return [sender for sender in found if sender is not None and not self._is_own(to.bare, sender)]

    def entering(self, stanza: Stanza, session: ISession) -> Drop | None:
        """Keep from one session what came for the account, when its own active list denies it."""
        account = self.accounts.get(session.user.local)
        if account is None or session not in account.active or "/" in stanza.attrs.get("to", "/"):
            return None
        held, sender = account.in_force(session), stanza.sender
        if held is None or sender is None or self._is_own(session.user.bare, sender):
            return None
        return None if held.allows(inbound_kind(stanza), sender, session.user.roster) else DROP

    def _is_own(self, own: str, other: JID) -> bool:
        """Tell whether it is the account itself or its server, which nothing keeps out (section 2.1)."""
        return other.bare == own or other.full == self.host.domain

    # -- IPrivacy ----------------------------------------------------------------------------

    def hides_nobody(self, local: str) -> bool:
        """See IPrivacy."""
        return local in self.host.users and local not in self._unread and local not in self.accounts

    def hidden_from(self, local: str, other: JID) -> bool | Deferred[bool]:
        """See IPrivacy."""

        def decide(account: Account) -> bool | Deferred[bool]:
            held = account.lists.standing
            if held is None:
                return False
            user = self.host.users.get(local)
            if user is None and held.asks_roster:
                waiting: Deferred[Roster] = rosters(self.host).load(local)
                return waiting.addCallback(lambda roster: not held.allows(PRESENCE_OUT, other, roster))
            return not held.allows(PRESENCE_OUT, other, user.roster if user is not None else None)

        account = self.account(local)
        if isinstance(account, Deferred):
            known: Deferred[Any] = account
            return known.addCallback(decide)
        return decide(account)
