"""Presence of local sessions and accounts (RFC 6121 section 4): what comes in, and what it sets off.

`outbound` takes what a local session sends, `inbound` what is for an account or for the host,
`session_gone` the end of a session. Subscriptions have a file of their own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver import jid
from palaver.errors import StanzaError, StorageError
from palaver.events import BecameAvailable, BecameUnavailable, PresenceReceived
from palaver.jid import JID, InvalidJID
from palaver.markup import element, escape
from palaver.routing import announce, subscriptions
from palaver.routing.failures import failed
from palaver.routing.roster import SUBSCRIPTION_TYPES
from palaver.routing.rosters import rosters
from palaver.stanza import NS_CLIENT, Stanza, make
from palaver.times import stamp

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.sessions import Session

NS_DELAY = "urn:xmpp:delay"

TYPES = SUBSCRIPTION_TYPES | {None, "unavailable", "probe", "error"}
INVALID_TYPE = StanzaError("bad-request", "Invalid presence type")

# Somebody in more rooms than this is no person; each entry stays in memory until logout.
MAX_DIRECTED = 5000

_PRIORITY = re.compile(rb"<priority>\s*([+-]?[0-9]{1,9})\s*</priority>")
_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,9})\s*\Z")


def outbound(host: Host, session: Session, stanza: Stanza) -> Deferred[Any] | None:
    """Take a presence that a local session sends; ``from`` is its full JID.

    The Deferred, if there is one, fires when all that had to be stored is committed.
    """
    kind = stanza.attrs.get("type")
    if kind not in TYPES:
        special = host.presence_types.get(kind)
        return special(session, stanza) if special is not None else host.router.bounce(stanza, INVALID_TYPE)
    text = stanza.attrs.get("to")
    if text is not None:
        try:
            to = jid.parse(text)
        except InvalidJID:
            # The router knows how to answer that.
            return host.router.route(stanza)
        if to.full != session.user.bare:
            if kind in SUBSCRIPTION_TYPES:
                return subscriptions.outbound(host, stanza, session.user, to)
            return _directed(session, stanza, kind, to)
        stanza = stanza.replace(to=None)
    if kind is None:
        return available(session, stanza)
    if kind == "unavailable":
        return announce.settle(unavailable(session, stanza))
    # A subscription to, a probe of or an error for oneself means nothing.
    return None


def session_gone(session: Session, status: str | None) -> Deferred[Any] | None:
    """Tell everybody who saw a session that it is gone; ``status`` says why it was disconnected."""
    payload = element("status", None, escape(f"Disconnected: {status}")) if status else None
    gone = make("presence", {"type": "unavailable", "from": session.jid.full}, payload)
    return announce.settle(unavailable(session, gone.with_origin(session)))


# -- broadcast --------------------------------------------------------------------------------


def priority(stanza: Stanza) -> int:
    """Give a presence's priority (RFC 6121 section 4.7.2.3): 0 without one, clamped to -128..127."""
    if (NS_CLIENT, "priority") not in stanza.children:
        return 0
    found: re.Match[Any] | None = _PRIORITY.search(stanza.inner)
    if found is None or stanza.inner.count(b"<priority") != 1:
        found = _NUMBER.match(str(stanza.child(NS_CLIENT, "priority")))
    return max(-128, min(127, int(found[1]))) if found is not None else 0


def available(session: Session, stanza: Stanza) -> Deferred[Any] | None:
    """Broadcast a session's presence; the first one also brings it what it has missed."""
    host = session.host
    initial = session.presence is None
    below = initial or session.priority < 0
    # Whoever gets it later is told since when it holds (XEP-0203).
    delay = element("delay", NS_DELAY, from_=host.domain, stamp=stamp(host.clock.seconds()))
    session.presence = stanza.with_child(delay, NS_DELAY, "delay")
    session.priority = priority(stanza)
    waiting = announce.broadcast(session, stanza)
    if initial:
        waiting += _catch_up(session)
    if initial or (below and session.priority >= 0):
        told = host.events.fire(BecameAvailable(session, initial))
        if told is not None:
            waiting.append(told)
    return announce.settle(waiting)


def _catch_up(session: Session) -> announce.Waiting:
    """Bring a newly available session others' presence and requests; repeat requests of its own."""
    user, host = session.user, session.host
    for stanza in announce.shown(user, session.jid.full):
        if stanza.origin is not session:
            session.send(stanza)
    waiting = announce.ask_contacts(session) if session.asks_contacts else []
    for request in subscriptions.pending(user.roster):
        session.send(request)
    repeated = [
        Stanza("presence", {"type": "subscribe", "from": user.bare, "to": item.jid}, origin=session)
        for item in user.roster.items.values()
        # A request within this host is stored with the contact and cannot be lost.
        if item.ask and announce.remote(host, item.jid)
    ]
    return waiting + announce.route_all(host, repeated)


def unavailable(session: Session, stanza: Stanza) -> announce.Waiting:
    """Broadcast the end of a session's presence, and send it to whoever had presence directed at them."""
    host = session.host
    waiting: announce.Waiting = []
    if session.presence is not None:
        waiting += announce.broadcast(session, stanza)
        session.presence = None
        session.priority = 0
        told = host.events.fire(BecameUnavailable(session, stanza))
        if told is not None:
            waiting.append(told)
    if session.directed:
        directed, session.directed = session.directed, None
        waiting += announce.route_all(host, [stanza.replace(to=to) for to in directed])
    return waiting


def _directed(session: Session, stanza: Stanza, kind: str | None, to: JID) -> Deferred[Any] | None:
    """Route a presence for one addressee, and note who has to hear of its end (section 4.6)."""
    directed = session.directed
    if kind is None and not session.user.roster.is_seen_by(to.bare):
        if directed is None:
            directed = session.directed = set()
        if to.full not in directed and len(directed) >= MAX_DIRECTED:
            error = StanzaError("policy-violation", f"Presence is directed at {MAX_DIRECTED} others already")
            return session.host.router.bounce(stanza, error)
        directed.add(to.full)
    elif kind is not None and kind != "probe" and directed is not None:
        directed.discard(to.full)
    return session.host.router.route(stanza)


# -- inbound ---------------------------------------------------------------------------------------


def inbound(host: Host, stanza: Stanza, to: JID) -> Deferred[Any] | None:
    """Take a presence for an account of this host or for the host itself, from wherever it comes."""
    if stanza.attrs.get("type") not in TYPES:
        return host.router.bounce(stanza, INVALID_TYPE)
    if not to.local:
        return _to_host(host, stanza)
    passed = announce.to_account(host, stanza, to)
    if isinstance(passed, Deferred):
        return passed.addCallback(lambda passed: _to_account(host, passed, to))
    return _to_account(host, passed, to)


def _to_account(host: Host, stanza: Stanza | None, to: JID) -> Deferred[Any] | None:
    if stanza is None:
        return None
    kind = stanza.attrs.get("type")
    if kind in SUBSCRIPTION_TYPES:
        return subscriptions.inbound(host, stanza, to)
    if kind == "probe":
        return _probed(host, stanza, to)
    if kind == "error":
        _end_directed(host, stanza, to)
    else:
        host.events.fire(PresenceReceived(host, stanza, to))
    announce.deliver(host, stanza, to)
    return None


def _to_host(host: Host, stanza: Stanza) -> Deferred[Any] | None:
    """Answer for the host: it is always available, and grants every request."""
    kinds = {"probe": (None,), "subscribe": ("subscribed", None)}.get(stanza.attrs.get("type", ""), ())
    answers = []
    for kind in kinds:
        attrs = {"from": host.domain, "to": stanza.attrs["from"]}
        answers.append(Stanza("presence", attrs if kind is None else {"type": kind, **attrs}))
    return announce.settle(announce.route_all(host, answers))


def _end_directed(host: Host, stanza: Stanza, to: JID) -> None:
    """Forget a directed presence that its addressee refused."""
    user = host.users.get(to.local)
    session = user.sessions.get(to.resource) if user is not None else None
    if session is not None and session.directed is not None:
        session.directed.discard(stanza.attrs.get("from", ""))


def _probed(host: Host, stanza: Stanza, to: JID) -> Deferred[Any] | None:
    """Answer a probe (RFC 6121 section 4.3.2)."""
    sender = stanza.sender
    if sender is None:
        return None
    user = host.users.get(to.local)
    if user is None:
        return Deferred.fromCoroutine(_probed_absent(host, sender, to))
    answers = announce.shown(user, sender.full)
    if sender.bare == user.bare or user.roster.is_seen_by(sender.bare):
        answers = answers or [_answer("unavailable", to, sender.full)]
    else:
        # Whoever presence was directed at may ask whether it still holds (section 4.6.5).
        asking = (sender.full, sender.bare)
        pointed = [
            session
            for session in user.available()
            if session.directed and not session.directed.isdisjoint(asking)
        ]
        answers = [answer for answer in answers if answer.origin in pointed]
        answers = answers or [_answer("unsubscribed", to, sender.bare)]
    return announce.settle(announce.route_all(host, answers))


async def _probed_absent(host: Host, sender: JID, to: JID) -> None:
    """Answer a probe for an account that nobody is online with, if it exists: a stranger cannot tell."""
    try:
        roster = await rosters(host).load(to.local)
    except StorageError:
        # Saying "unsubscribed" would end the subscription at the other side.
        failed("presence", Failure())
        return
    if sender.bare == to.bare or roster.is_seen_by(sender.bare):
        answer = _answer("unavailable", to, sender.full)
    else:
        answer = _answer("unsubscribed", to, sender.bare)
    for waiting in announce.route_all(host, [answer]):
        await waiting


def _answer(kind: str, account: JID, to: str) -> Stanza:
    return Stanza("presence", {"type": kind, "from": account.bare, "to": to})
