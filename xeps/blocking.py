"""XEP-0191: Blocking Command, a view of the account's default privacy list (XEP-0016)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from pydantic import Field
from twisted.words.xish import domish

from palaver import jid
from palaver.errors import StanzaError
from palaver.events import SessionUnbound
from palaver.interfaces import ISession
from palaver.jid import JID, InvalidJID
from palaver.markup import element
from palaver.modules import SELF, Module, Settings, iq, on
from palaver.privacy.changes import Blocked, ListsChanged, change
from palaver.privacy.guards import Guards
from palaver.privacy.judging import Account
from palaver.privacy.lists import Lists
from palaver.routing.roster import Roster
from palaver.routing.rosters import changing, store
from palaver.routing.users import User
from palaver.stanza import Stanza, make
from palaver.waiting import settled

NS_BLOCKING = "urn:xmpp:blocking"


class BlockingSettings(Settings):
    """Options of mod_blocking."""

    max_items: int = Field(
        1000,
        ge=1,
        le=100000,
        description="How many JIDs one account may block, other rules of its list included.",
    )


class Blocking(Module):
    """Lets accounts block others: nothing comes from them, nothing goes to them, and they see nobody here.

    The blocked JIDs are the items of the default privacy list that deny a JID everything. They come first
    in it; an account without a default list gets one.
    """

    Settings = BlockingSettings
    features = (NS_BLOCKING,)

    settings: BlockingSettings

    def start(self) -> None:
        """Join whoever applies the lists."""
        self._guards = Guards.join(self.host, self.name)
        # Sessions that have asked for the list, and are told of its changes.
        self._interested: set[ISession] = set()

    def stop(self) -> None:
        """Leave it."""
        self._guards.leave(self.name)

    @on(SessionUnbound)
    def gone(self, event: SessionUnbound) -> None:
        """Forget a session."""
        self._interested.discard(event.session)

    # -- requests ------------------------------------------------------------------------------

    @iq("get", NS_BLOCKING, "blocklist", to=(SELF,))
    async def blocklist(self, request: Stanza) -> bytes:
        """Give the blocked JIDs; from now on the session gets pushes (section 3.2)."""
        session = _session(request)
        account: Account = await settled(self._guards.account(session.user.local))
        if session.stream is not None:
            self._interested.add(session)
        return _payload("blocklist", account.lists.blocked)

    @iq("set", NS_BLOCKING, "block", to=(SELF,))
    async def block(self, request: Stanza) -> None:
        """Block JIDs: all of them, or none (section 3.3)."""
        session = _session(request)
        items = _items(request, "block")
        if not items:
            raise StanzaError("bad-request", "There is no JID to block")
        jids = [_jid(item) for item in items]

        def work(account: Account) -> Lists:
            blocked = account.lists.with_blocked([one.full for one in jids])
            standing = blocked.standing
            if standing is not None and len(standing.rules) > self.settings.max_items:
                raise StanzaError("policy-violation", f"A list has at most {self.settings.max_items} items")
            return blocked

        await change(self._guards, session, self.name, work)
        await self._forget_requests(session.user, jids)
        self._push(session.user, "block", [one.full for one in jids])
        await settled(self.host.events.fire(Blocked(session, items)))

    @iq("set", NS_BLOCKING, "unblock", to=(SELF,))
    async def unblock(self, request: Stanza) -> None:
        """Unblock JIDs; all that are blocked when none is named (sections 3.4 and 3.5)."""
        session = _session(request)
        jids = [_jid(item).full for item in _items(request, "unblock")]

        def work(account: Account) -> Lists:
            blocked = account.lists.blocked
            gone = jids or blocked
            if not set(gone) & set(blocked):
                return account.lists
            return _without_empty(account.lists.without_blocked(gone), account)

        await change(self._guards, session, self.name, work)
        self._push(session.user, "unblock", jids)

    async def _forget_requests(self, user: User, jids: Iterable[JID]) -> None:
        """Delete subscription requests of those who are blocked: nobody could answer them any more."""

        async def work(roster: Roster) -> None:
            for one in jids:
                item = roster.item(one.bare)
                if item.request is not None and not one.resource:
                    await store(self.host, user.local, roster, item._replace(request=None))

        if any(user.roster.item(one.bare).request is not None for one in jids):
            await changing(self.host, user.local, work)

    # -- pushes --------------------------------------------------------------------------------

    @on(ListsChanged)
    def changed(self, event: ListsChanged) -> None:
        """Tell what a change of the privacy lists means for the block list (section 5)."""
        if event.module == self.name:
            return
        old, new = event.old.blocked, event.new.blocked
        if gone := [one for one in old if one not in new]:
            self._push(event.user, "unblock", gone)
        if added := [one for one in new if one not in old]:
            self._push(event.user, "block", added)

    def _push(self, user: User, name: str, jids: Iterable[str]) -> None:
        payload = _payload(name, jids)
        sessions: list[ISession] = list(user.sessions.values())
        for session in sessions:
            if session in self._interested:
                attrs = {"type": "set", "id": f"push-{secrets.token_hex(4)}", "to": session.jid.full}
                session.send(make("iq", attrs, payload))


def _session(request: Stanza) -> ISession:
    if request.origin is None:
        raise StanzaError("forbidden")
    return request.origin


def _items(request: Stanza, name: str) -> list[domish.Element]:
    node = request.child(NS_BLOCKING, name)
    return list(node.elements(NS_BLOCKING, "item")) if node is not None else []


def _jid(item: domish.Element) -> JID:
    try:
        return jid.parse(item.getAttribute("jid", ""))
    except InvalidJID as error:
        raise StanzaError("jid-malformed", str(error)) from None


def _payload(name: str, jids: Iterable[str]) -> bytes:
    return element(name, NS_BLOCKING, b"".join([element("item", jid=one) for one in jids]))


def _without_empty(lists: Lists, account: Account) -> Lists:
    """Take the default list away when nothing is left in it and no session has it as its active one."""
    standing = lists.standing
    if standing is None or standing.rules or standing.name in account.active.values():
        return lists
    return lists.without_list(standing.name)
