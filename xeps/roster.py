"""RFC 6121 section 2: Managing the Roster; XEP-0237: Roster Versioning."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any

from pydantic import Field
from twisted.internet.defer import Deferred

from palaver import jid
from palaver.errors import StanzaError
from palaver.events import AccountDeleting
from palaver.interfaces import IPrivileges, IRemoteRosters, IRosterAdditions
from palaver.modules import BARE, SELF, Module, Settings, iq, on
from palaver.routing import subscriptions
from palaver.routing.additions import restamp
from palaver.routing.asked import read_set
from palaver.routing.roster import NS_ROSTER
from palaver.routing.roster import Roster as Contacts
from palaver.routing.rosters import MAX_ITEMS, rosters
from palaver.stanza import Stanza

VERSIONING = b"<ver xmlns='urn:xmpp:features:rosterver'/>"
PRE_APPROVAL = b"<sub xmlns='urn:xmpp:features:pre-approval'/>"

# What the client says it has; anything but digits is no version of ours.
_KNOWN_VERSION = re.compile(rb"\s*<[^>]*?\sver=['\"]([0-9]{1,20})['\"]")


class RosterSettings(Settings):
    """Options of mod_roster."""

    max_items: int = Field(MAX_ITEMS, ge=1, description="How many contacts one roster may hold.")
    versioning: bool = Field(
        True,
        description="Offer roster versioning: a client that has the roster already is not sent it again.",
    )


class Roster(Module):
    """The roster IQs; pushes and subscriptions are part of the core."""

    Settings = RosterSettings
    settings: RosterSettings

    def start(self) -> None:
        """Set the limit, which holds for subscription requests as well."""
        store = rosters(self.host)
        before, store.max_items = store.max_items, self.settings.max_items
        self.undo(lambda: setattr(store, "max_items", before))

    def stream_feature(self, stream: Any) -> bytes | None:
        """Announce versioning and pre-approval (RFC 6121 sections 2.6.1 and 3.4)."""
        return VERSIONING + PRE_APPROVAL if self.settings.versioning else PRE_APPROVAL

    @iq("get", NS_ROSTER, "query", to=(SELF,))
    def get(self, request: Stanza) -> bytes | Awaitable[bytes | None] | None:
        """Give the roster, or nothing when the client has this version; from now on it gets pushes."""
        session = request.origin
        if session is None:
            raise StanzaError("forbidden")
        session.roster_interested = True
        roster: Contacts = session.user.roster
        additions = self.host.query(IRosterAdditions)
        if additions is not None:
            return self._get_with(additions, session.user.local, roster, request)
        if roster.added:
            restamp(roster, [])
        return None if self._is_known(request, roster) else roster.encode()

    async def _get_with(self, additions: Any, local: str, roster: Contacts, request: Stanza) -> bytes | None:
        added = await additions.of(local)
        restamp(roster, added)
        return None if self._is_known(request, roster) else roster.encode([one.item for one in added])

    def _is_known(self, request: Stanza, roster: Contacts) -> bool:
        known = _KNOWN_VERSION.match(request.inner) if self.settings.versioning else None
        return known is not None and int(known[1]) == roster.version

    @iq("set", NS_ROSTER, "query", to=(SELF,))
    def set(self, request: Stanza) -> Deferred[None]:
        """Add, change or remove one contact."""
        sender = request.sender
        assert sender is not None
        return Deferred.fromCoroutine(self._set(sender, request))

    async def _set(self, account: jid.JID, request: Stanza) -> None:
        wanted = read_set(request, account.bare)
        if wanted.subscription == "remove":
            await subscriptions.remove(self.host, account.local, wanted.contact)
        else:
            await subscriptions.update(self.host, account.local, wanted.contact, wanted.name, wanted.groups)

    @iq("get", NS_ROSTER, "query", to=(BARE,))
    @iq("set", NS_ROSTER, "query", to=(BARE,))
    def others(self, request: Stanza) -> Awaitable[bytes | None]:
        """Keep others' hands off (RFC 6121 section 2.3.3), but for those who may (XEP-0321, XEP-0356)."""
        privileges = self.host.query(IPrivileges)
        privileged: Awaitable[bytes | None] | None = privileges.roster(request) if privileges else None
        if privileged is not None:
            return privileged
        remote = self.host.query(IRemoteRosters)
        if remote is None:
            raise StanzaError("forbidden")
        answer: Awaitable[bytes | None] = remote.handle(request)
        return answer

    @on(AccountDeleting)
    def end_subscriptions(self, event: AccountDeleting) -> Deferred[None]:
        """Tell the contacts of an account that it goes."""
        return Deferred.fromCoroutine(subscriptions.end_all(self.host, event.jid.local))
