"""Who may see whose presence: subscription stanzas and what they change (RFC 6121 section 3).

Each change is committed before anybody hears of it, and what has to be routed is routed
after the roster is free again: two accounts of this host may be answering each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver.errors import StanzaError
from palaver.events import SubscriptionChanged
from palaver.interfaces import IInvites
from palaver.jid import JID, parse
from palaver.routing import announce
from palaver.routing.failures import failed
from palaver.routing.roster import INBOUND, OUTBOUND, SEEN_BY_US, SEES_US, Roster, RosterItem
from palaver.routing.rosters import changing, push, store
from palaver.routing.sharing import is_mutual, own_item
from palaver.routing.sharing import shown as shown_item
from palaver.stanza import Stanza, from_element
from palaver.tree import parse_element

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.users import User

# XEP-0379: the token of an invitation.
NS_PREAUTH = "urn:xmpp:pars:0"
# A pending request is kept as it came; a larger one is kept without what it holds.
MAX_REQUEST_BYTES = 4096

FollowUps = list[Stanza | SubscriptionChanged | Callable[[], list[Stanza]]]
"""What there is to route and to tell once a change is committed, in order.

A callable gives what to route when all that stands before it has arrived.
"""


def outbound(host: Host, stanza: Stanza, user: User, contact: JID) -> Deferred[None] | None:
    """Take a subscription stanza that a client sends; to the account itself it means nothing.

    The Deferred fires when everything it changed here is committed; refusals go back as errors.
    """
    if contact.bare == user.bare:
        return None
    # RFC 6121 section 3.1.2: such stanzas travel between bare JIDs.
    stanza = stanza.replace(from_=user.bare, to=contact.bare)

    async def work(roster: Roster) -> FollowUps:
        return await _sent(host, user.local, roster, stanza)

    return Deferred.fromCoroutine(_settled(host, user.local, work, stanza))


def inbound(host: Host, stanza: Stanza, to: JID) -> Deferred[None] | None:
    """Take a subscription stanza for an account of this host; one for nobody is passed over."""
    sender = stanza.sender
    if sender is None or sender.bare == to.bare:
        return None
    stanza = stanza.replace(from_=sender.bare, to=to.bare)

    async def work(roster: Roster) -> FollowUps:
        return await _arrived(host, to.local, roster, stanza)

    if stanza.has(NS_PREAUTH, "preauth") and stanza.attrs["type"] == "subscribe":
        return Deferred.fromCoroutine(_invited(host, to.local, work, stanza))
    return Deferred.fromCoroutine(_settled(host, to.local, work, stanza))


async def _invited(
    host: Host, local: str, work: Callable[[Roster], Awaitable[FollowUps]], stanza: Stanza
) -> None:
    """Grant a request that brings a token of the account's, and ask for the same (XEP-0379 section 3.4)."""
    contact, node, good = stanza.attrs["from"], stanza.child(NS_PREAUTH, "preauth"), False
    try:
        invites = host.query(IInvites)
        if invites is not None and node is not None:
            good = await invites.approve(local, contact, node.getAttribute("token", ""))
        if good:
            await send(host, local, "subscribed", contact)
    except Exception:
        host.router.bounce(stanza, failed("invites", Failure()))
        return
    await _settled(host, local, work, stanza)
    if good:
        await send(host, local, "subscribe", contact)


async def send(host: Host, local: str, kind: str, contact: str) -> None:
    """Send a subscription stanza for an account, whether or not somebody is online with it.

    ``subscribed`` without a request approves one that is still to come. Raises StorageError and StanzaError.
    """
    stanza = Stanza("presence", {"type": kind, "from": f"{local}@{host.domain}", "to": contact})

    async def work(roster: Roster) -> FollowUps:
        return await _sent(host, local, roster, stanza)

    await _carry_out(host, await changing(host, local, work))


async def befriend(host: Host, local: str, contact: str) -> None:
    """Have an account and a contact, a bare JID, see each other's presence.

    A contact on this host is not asked; another one is. Raises StorageError and StanzaError.
    """
    await send(host, local, "subscribed", contact)
    other = parse(contact)
    if other.domain == host.domain:
        await send(host, other.local, "subscribed", f"{local}@{host.domain}")
        await send(host, other.local, "subscribe", f"{local}@{host.domain}")
    await send(host, local, "subscribe", contact)


async def _settled(
    host: Host, local: str, work: Callable[[Roster], Awaitable[FollowUps]], stanza: Stanza
) -> None:
    """Do what a stanza asks, if the account exists; a failure is answered to whoever sent it."""
    try:
        if local in host.users or await host.accounts.exists(local):
            await _carry_out(host, await changing(host, local, work))
    except Exception:
        host.router.bounce(stanza, failed("presence", Failure()))


async def _carry_out(host: Host, follow_ups: FollowUps) -> None:
    """Route and tell; returns when all that came of it is committed."""
    waiting: announce.Waiting = []
    for entry in follow_ups:
        if callable(entry):
            for earlier in waiting:
                await earlier
            waiting = announce.route_all(host, entry())
            continue
        told = announce.route(host, entry) if isinstance(entry, Stanza) else host.events.fire(entry)
        if told is not None:
            waiting.append(told)
    for last in waiting:
        await last


def _shown(host: Host, local: str, contact: str) -> Callable[[], list[Stanza]]:
    """Show the account to a contact that has just been told of its subscription (section 3.1.5)."""

    def now() -> list[Stanza]:
        user = host.users.get(local)
        # Another client of the account may have taken the grant back meanwhile.
        return announce.shown(user, contact) if user is not None and user.roster.is_seen_by(contact) else []

    return now


# -- what the account sends ---------------------------------------------------------------


async def _sent(host: Host, local: str, roster: Roster, stanza: Stanza) -> FollowUps:
    """Change the roster for what the account sends (RFC 6121 sections 3.1.2, 3.1.5, 3.2.2, 3.3.2, 3.4)."""
    kind, contact = stanza.attrs["type"], stanza.attrs["to"]
    if is_mutual(roster, contact):
        return []
    old = roster.item(contact)
    state, travels = OUTBOUND[kind][old.state]
    new = old.after(state)
    if kind == "subscribed" and not travels and old.subscription not in SEES_US:
        new = new._replace(approved=True, listed=True)
    elif kind == "unsubscribed":
        new = new._replace(approved=False)
    follow_ups = await _change(host, local, roster, old, new)
    user = host.users.get(local)
    if old.subscription in SEES_US and new.subscription not in SEES_US:
        # While the contact is still subscribed (section 3.2.1).
        follow_ups += announce.hidden(user, contact)
    if travels:
        follow_ups.append(stanza)
        if kind == "subscribed":
            if new.subscription == "both" and user is not None and user.available():
                follow_ups.append(announce.probe(user.bare, contact))
            follow_ups.append(_shown(host, local, contact))
    return follow_ups


async def _change(host: Host, local: str, roster: Roster, old: RosterItem, new: RosterItem) -> FollowUps:
    """Commit an item and push it; gives the event when the subscription is another one."""
    if new == old:
        return []
    await store(host, local, roster, new)
    return _show_change(host, local, roster, old, new)


def _show_change(host: Host, local: str, roster: Roster, old: RosterItem, new: RosterItem) -> FollowUps:
    if new.listed and not new.looks_like(old):
        push(host, local, roster, new)
    if new.subscription == old.subscription:
        return []
    return [SubscriptionChanged(local, new.jid, new.subscription)]


# -- what a contact sends --------------------------------------------------------------------


async def _arrived(host: Host, local: str, roster: Roster, stanza: Stanza) -> FollowUps:
    """Change the roster for what a contact sends (RFC 6121 sections 3.1.3, 3.1.6, 3.2.3, 3.3.3)."""
    kind, contact = stanza.attrs["type"], stanza.attrs["from"]
    old = roster.item(contact)
    if kind == "subscribe":
        return await _asked(host, local, roster, old, stanza)
    state, travels = INBOUND[kind][old.state]
    if not travels or is_mutual(roster, contact):
        return []
    new = old.after(state)
    await store(host, local, roster, new)
    user = host.users.get(local)
    for session in list(user.sessions.values()) if user is not None else ():
        if session.roster_interested or session.presence is not None:
            # Before the push, so that the client knows what the push comes from (section 3.1.6).
            session.send(stanza)
    follow_ups = _show_change(host, local, roster, old, new)
    if old.subscription in SEES_US and new.subscription not in SEES_US:
        follow_ups += announce.hidden(user, contact)
    return follow_ups


async def _asked(host: Host, local: str, roster: Roster, old: RosterItem, stanza: Stanza) -> FollowUps:
    """Take a request: granted already, approved before, or for the account's clients to decide."""
    bare, contact = stanza.attrs["to"], stanza.attrs["from"]
    granted = [Stanza("presence", {"type": "subscribed", "from": bare, "to": contact})]
    if old.subscription in SEES_US:
        return [*granted, _shown(host, local, contact)]
    state, travels = INBOUND["subscribe"][old.state]
    if old.approved:
        new = old.after(OUTBOUND["subscribed"][state].state)
        told = await _change(host, local, roster, old, new)
        return [*told, *granted, _shown(host, local, contact)]
    if travels:
        await store(host, local, roster, old.after(state, _kept(stanza)))
        announce.deliver(host, stanza, JID(local, host.domain, ""))
    return [Stanza("presence", {"type": "unavailable", "from": bare, "to": contact})]


def _kept(stanza: Stanza) -> bytes:
    """Give a request as it is stored, to be delivered until it is answered."""
    if len(stanza.inner) > MAX_REQUEST_BYTES:
        stanza = Stanza("presence", stanza.attrs)
    return stanza.encode(declare=True)


def pending(roster: Roster) -> list[Stanza]:
    """Give the requests that wait for an answer, as they came."""
    return [
        from_element(parse_element(item.request))
        for item in roster.items.values()
        if item.request is not None
    ]


# -- contacts added, changed and removed -------------------------------------------------------


async def update(host: Host, local: str, contact: str, name: str, groups: tuple[str, ...]) -> None:
    """Add a contact, or give it another name and groups; subscriptions stay (RFC 6121 sections 2.3, 2.4).

    Raises StorageError, and StanzaError ``policy-violation`` when the roster is full.
    """

    async def work(roster: Roster) -> None:
        old = roster.item(contact)
        new = old._replace(name=name, groups=groups, listed=True)
        if contact in roster.shares:
            new = shown_item(roster, own_item(roster, new))
        if new != old:
            await store(host, local, roster, new)
        push(host, local, roster, new)

    await changing(host, local, work)


async def remove(host: Host, local: str, contact: str) -> None:
    """Remove a contact and end both subscriptions (RFC 6121 section 2.5).

    Raises StorageError, and StanzaError ``item-not-found``.
    """

    async def work(roster: Roster) -> FollowUps:
        old = roster.item(contact)
        if not old.listed:
            raise StanzaError("item-not-found", type="modify")
        if contact in roster.shares:
            raise StanzaError("not-allowed", "The administrator has put this contact into the roster")
        gone = RosterItem(contact, listed=False)
        await store(host, local, roster, gone)
        push(host, local, roster, gone)
        told = [SubscriptionChanged(local, contact, "remove")]
        return [*told, *_endings(host, local, old)]

    await _carry_out(host, await changing(host, local, work))


async def end_all(host: Host, local: str) -> None:
    """Tell every contact that the account is no more; its own roster is left to whoever deletes it."""

    async def work(roster: Roster) -> FollowUps:
        return [stanza for item in roster.items.values() for stanza in _endings(host, local, item)]

    await _carry_out(host, await changing(host, local, work))


def _endings(host: Host, local: str, item: RosterItem) -> list[Stanza]:
    """Give what ends both subscriptions with a contact."""
    user = host.users.get(local)
    bare = f"{local}@{host.domain}"
    endings = announce.hidden(user, item.jid) if item.subscription in SEES_US else []
    for kind, ends in (
        ("unsubscribed", item.subscription in SEES_US or item.request is not None),
        ("unsubscribe", item.ask or item.subscription in SEEN_BY_US),
    ):
        if ends:
            endings.append(Stanza("presence", {"type": kind, "from": bare, "to": item.jid}))
    return endings
