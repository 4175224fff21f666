"""How an account's privacy lists are changed, and what that shows to others and hides from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from twisted.internet.defer import DeferredLock
from twisted.words.xish import domish

from palaver import jid
from palaver.interfaces import ISession
from palaver.jid import JID
from palaver.privacy.guards import Guards
from palaver.privacy.judging import Account
from palaver.privacy.lists import Lists
from palaver.privacy.rules import PRESENCE_IN, PRESENCE_OUT, PrivacyList
from palaver.routing import announce
from palaver.routing.roster import SEEN_BY_US, SEES_US
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.sessions import Session
    from palaver.routing.users import User

InForce = Mapping[ISession, PrivacyList | None]
"""By session the list that applies to it."""


class ListsChanged(NamedTuple):
    """An account's lists are others, and stored; ``module`` is the one that changed them."""

    user: User
    old: Lists
    new: Lists
    module: str


class Blocked(NamedTuple):
    """A client has blocked somebody (XEP-0191); ``items`` are the request's, each with a valid jid."""

    session: ISession
    items: list[domish.Element]


class Reported(NamedTuple):
    """A client has reported somebody whom it has blocked (XEP-0377); ``jid`` is prepared.

    ``reason`` is a URI, None when the report gives none; ``text`` what the user says; ``report`` the element
    as it came, serialised.
    """

    session: ISession
    jid: JID
    reason: str | None
    text: str
    report: bytes


async def change(guards: Guards, session: ISession, module: str, work: Callable[[Account], Lists]) -> None:
    """Store and apply what ``work`` makes of an account's lists, while nobody else changes them.

    ``work`` may also choose the session's active list. Raises what it raises, and StorageError; then nothing
    is changed.
    """
    user, local = session.user, session.user.local
    lock = guards.locks.setdefault(local, DeferredLock())
    await lock.acquire()
    try:
        await _change(guards, user, module, work)
    finally:
        lock.release()
        if not lock.locked:
            guards.locks.pop(local, None)


async def _change(guards: Guards, user: User, module: str, work: Callable[[Account], Lists]) -> None:
    account = guards.account(user.local)
    if not isinstance(account, Account):
        account = await account
    before = in_force(account, user)
    old = account.lists
    new = work(account)
    if new is not old:
        host = guards.host
        await host.storage.write(old.changes(host.domain, user.local, new))
        guards.note_change(user.local)
        online = host.users.get(user.local)
        if online is None:
            return
        account = guards.install(online, new)
        if online is not user:
            # Everybody has gone and somebody has come meanwhile, with nothing shown before the change.
            return
    for waiting in show(user, before, in_force(account, user)):
        await waiting
    if new is not old:
        told = guards.host.events.fire(ListsChanged(user, old, new, module))
        if told is not None:
            await told


def in_force(account: Account, user: User) -> InForce:
    """Give the list that applies to each of an account's sessions."""
    return {session: account.in_force(session) for session in user.sessions.values()}


# -- presence ---------------------------------------------------------------------------------


def show(user: User, before: InForce, after: InForce) -> announce.Waiting:
    """Show the account to those who may see it now and hide it from the others; likewise others from it.

    XEP-0191 sections 3.3 and 3.4, XEP-0016 sections 2.10 and 2.11.
    """
    waiting: announce.Waiting = []
    for session in user.available():
        old, new = before.get(session), after.get(session)
        if old is not new:
            waiting += _show_to_others(session, old, new)
            waiting += _show_others(session, old, new)
    return waiting


def _show_to_others(session: Session, old: PrivacyList | None, new: PrivacyList | None) -> announce.Waiting:
    user, host = session.user, session.user.host
    waiting: announce.Waiting = []
    seeing: list[str] = []
    if not session.invisible:
        seeing = [item.jid for item in user.roster.items.values() if item.subscription in SEES_US]
        # A rule for one resource of a contact says nothing of the contact.
        seeing += [full for full in _resources(old, new) if user.roster.is_seen_by(jid.parse(full).bare)]
    for contact in [*seeing, *(session.directed or ())]:
        other = jid.parse(contact)
        was, now = _allowed(old, user, PRESENCE_OUT, other), _allowed(new, user, PRESENCE_OUT, other)
        if was == now or other.bare == user.bare:
            continue
        if now and session.presence is not None:
            shown = session.presence.replace(to=contact)
        else:
            attrs = {"type": "unavailable", "from": session.jid.full, "to": contact}
            shown = Stanza("presence", attrs)
            if session.directed is not None:
                session.directed.discard(contact)
        # Straight to the router: the list that is in force now would stop it.
        told = host.router.route(shown)
        if told is not None:
            waiting.append(told)
    return waiting


def _show_others(session: Session, old: PrivacyList | None, new: PrivacyList | None) -> announce.Waiting:
    user, host = session.user, session.user.host
    waiting: announce.Waiting = []
    for item in list(user.roster.items.values()):
        if item.subscription not in SEEN_BY_US:
            continue
        other = jid.parse(item.jid)
        was, now = _allowed(old, user, PRESENCE_IN, other), _allowed(new, user, PRESENCE_IN, other)
        if now and not was:
            told = announce.route(host, announce.probe(session.jid.full, item.jid, session))
            if told is not None:
                waiting.append(told)
        elif was and not now:
            _hide(session, other)
    return waiting


def _hide(session: Session, contact: JID) -> None:
    """Tell a session that a contact is unavailable; of one elsewhere no resource is known."""
    host = session.user.host
    seen = [contact.bare]
    if contact.domain == host.domain:
        user = host.users.get(contact.local)
        seen = [other.jid.full for other in user.visible()] if user is not None else []
    for full in seen:
        session.send(Stanza("presence", {"type": "unavailable", "from": full, "to": session.jid.full}))


def _allowed(held: PrivacyList | None, user: User, kind: str, other: JID) -> bool:
    return held is None or held.allows(kind, other, user.roster)


def _resources(*lists: PrivacyList | None) -> list[str]:
    """Give the full JIDs that lists have rules for."""
    rules = [rule for held in lists if held is not None for rule in held.rules if rule.type == "jid"]
    return list(dict.fromkeys([rule.value for rule in rules if "@" in rule.value and "/" in rule.value]))
