"""RFC 6121 section 2: Managing the Roster; XEP-0237: Roster Versioning."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver import jid
from palaver.errors import StanzaError
from palaver.events import AccountDeleting
from palaver.modules import BARE, SELF, Module, Settings, iq, on
from palaver.routing import subscriptions
from palaver.routing.roster import NS_ROSTER
from palaver.routing.roster import Roster as Contacts
from palaver.routing.rosters import MAX_ITEMS, rosters
from palaver.stanza import Stanza

VERSIONING = b"<ver xmlns='urn:xmpp:features:rosterver'/>"
PRE_APPROVAL = b"<sub xmlns='urn:xmpp:features:pre-approval'/>"

# As long as one part of an address may be; RFC 6121 section 2.3.3 leaves the limit to us.
MAX_NAME_BYTES = 1023
MAX_GROUPS = 100
# A roster is in memory while somebody is online: name and groups together are bounded too.
MAX_ITEM_BYTES = 4096

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
    def get(self, request: Stanza) -> bytes | None:
        """Give the roster, or nothing when the client has this version; from now on it gets pushes."""
        session = request.origin
        if session is None:
            raise StanzaError("forbidden")
        session.roster_interested = True
        roster: Contacts = session.user.roster
        known = _KNOWN_VERSION.match(request.inner) if self.settings.versioning else None
        if known is not None and int(known[1]) == roster.version:
            return None
        return roster.encode()

    @iq("set", NS_ROSTER, "query", to=(SELF,))
    def set(self, request: Stanza) -> Deferred[None]:
        """Add, change or remove one contact."""
        sender = request.sender
        assert sender is not None
        return Deferred.fromCoroutine(self._set(sender, request))

    async def _set(self, account: jid.JID, request: Stanza) -> None:
        query = request.child(NS_ROSTER, "query")
        items = list(query.elements()) if query is not None else []
        if len(items) != 1 or (items[0].uri, items[0].name) != (NS_ROSTER, "item"):
            raise StanzaError("bad-request", "A roster set has exactly one item")
        item = items[0]
        contact = _contact(item)
        if contact == account.bare:
            raise StanzaError("not-allowed", "An account is not in its own roster")
        if item.getAttribute("subscription") == "remove":
            await subscriptions.remove(self.host, account.local, contact)
            return
        name = item.getAttribute("name", "")
        if len(name.encode()) > MAX_NAME_BYTES:
            raise StanzaError("not-acceptable", f"A name has at most {MAX_NAME_BYTES} bytes")
        groups = _groups(item)
        if len("".join((name, *groups)).encode()) > MAX_ITEM_BYTES:
            raise StanzaError("not-acceptable", f"Name and groups have at most {MAX_ITEM_BYTES} bytes")
        await subscriptions.update(self.host, account.local, contact, name, groups)

    @iq("get", NS_ROSTER, "query", to=(BARE,))
    @iq("set", NS_ROSTER, "query", to=(BARE,))
    def refuse(self, request: Stanza) -> None:
        """Keep others' hands off (RFC 6121 section 2.3.3)."""
        raise StanzaError("forbidden")

    @on(AccountDeleting)
    def end_subscriptions(self, event: AccountDeleting) -> Deferred[None]:
        """Tell the contacts of an account that it goes."""
        return Deferred.fromCoroutine(subscriptions.end_all(self.host, event.jid.local))


def _contact(item: domish.Element) -> str:
    """Give an item's address, which must be a bare JID."""
    try:
        contact = jid.parse(item.getAttribute("jid", ""))
    except jid.InvalidJID as error:
        raise StanzaError("bad-request", f"The item's jid is wrong: {error}") from None
    if contact.resource:
        raise StanzaError("bad-request", "A contact is a bare JID")
    return contact.bare


def _groups(item: domish.Element) -> tuple[str, ...]:
    """Give an item's groups, sorted; RFC 6121 section 2.3.3 says which ones are refused."""
    groups = [str(group) for group in item.elements(NS_ROSTER, "group")]
    if len(groups) > MAX_GROUPS:
        raise StanzaError("not-acceptable", f"A contact is in at most {MAX_GROUPS} groups")
    if any(not group or len(group.encode()) > MAX_NAME_BYTES for group in groups):
        raise StanzaError("not-acceptable", f"A group's name has 1 to {MAX_NAME_BYTES} bytes")
    if len(set(groups)) != len(groups):
        raise StanzaError("bad-request", "A group is named twice")
    return tuple(sorted(groups))
