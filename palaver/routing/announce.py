"""Presence on its way to those who may see it (RFC 6121 section 4): written once, addressed many times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater

from palaver.jid import JID
from palaver.routing.pipeline import Reply, Step, Verdict, run
from palaver.routing.roster import SEEN_BY_US, SEES_US, SUBSCRIPTION_TYPES
from palaver.stanza import NS_CLIENT, Stanza, start_attributes

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.sessions import Session
    from palaver.routing.users import User

# Presence to more contacts than this fills a turn of the reactor: the session's next stanza waits.
MAX_CONTACTS_PER_TURN = 100

Waiting = list[Deferred[Any]]


class Notice:
    """A presence without ``to`` whose bytes are made once for any number of contacts."""

    __slots__ = ("_attrs", "_head", "_stanza", "_tail")

    def __init__(self, stanza: Stanza) -> None:
        attrs = {name: value for name, value in stanza.attrs.items() if name != "to"}
        self._attrs = attrs
        self._stanza = stanza
        self._head = f"<presence{start_attributes(attrs)} to='".encode()
        self._tail = b"'>%b</presence>" % stanza.inner if stanza.inner else b"'/>"

    def to(self, bare: str) -> tuple[Stanza, bytes]:
        """Give the presence for a bare JID, which is prepared and so needs no escaping, and its bytes."""
        stanza = self._stanza
        copy = Stanza(
            "presence", {**self._attrs, "to": bare}, stanza.children, stanza.inner, NS_CLIENT, stanza.origin
        )
        return copy, b"%b%b%b" % (self._head, bare.encode(), self._tail)

    def send(self, user: User, bare: str) -> None:
        """Send it to every available session of an account of this process, addressed to ``bare``."""
        stanza, encoded = self.to(bare)
        for session in user.available():
            session.send(stanza, encoded)


def settle(waiting: Waiting) -> Deferred[Any] | None:
    """Give one Deferred for several, or None when there is nothing to wait for."""
    if len(waiting) > 1:
        return DeferredList(waiting)
    return waiting[0] if waiting else None


# -- from a session to others ----------------------------------------------------------------


def broadcast(session: Session, stanza: Stanza) -> Waiting:
    """Send a session's presence, or its end, to the account's subscribers and to its own sessions.

    That of an invisible one comes back to itself alone.
    """
    if session.invisible:
        session.send(stanza.replace(to=session.user.bare))
        return []
    notice = Notice(stanza)
    waiting = _to_subscribers(session, notice)
    notice.send(session.user, session.user.bare)
    return waiting


def _to_subscribers(session: Session, notice: Notice) -> Waiting:
    host = session.host
    domain, users = host.domain, host.users
    pipeline = host.pipeline
    plain = not _guards(session.user) and "presence" not in pipeline.to_user
    waiting: Waiting = []
    items = list(session.user.roster.items.values())
    if len(items) > MAX_CONTACTS_PER_TURN:
        clock: Any = host.clock
        waiting.append(deferLater(clock, 0))
    for item in items:
        if item.subscription not in SEES_US:
            continue
        contact = item.jid
        local, _, contact_domain = contact.partition("@")
        if contact_domain == domain:
            user = users.get(local)
            if user is None:
                continue
            if plain and user.pipeline is pipeline:
                notice.send(user, contact)
                continue
        answer = route(host, notice.to(contact)[0])
        if answer is not None:
            waiting.append(answer)
    return waiting


def route(host: Host, stanza: Stanza) -> Deferred[Any] | None:
    """Route a presence that this host sends for a session: past those who may stop it, then on its way."""
    guards = _guards(stanza.origin.user) if stanza.origin is not None else ()
    if not guards:
        return host.router.route(stanza)

    def settle_guards(outcome: Stanza | Verdict) -> Deferred[Any] | None:
        if isinstance(outcome, Stanza):
            return host.router.route(outcome)
        # For the rest nobody asked, so a refusal is told to nobody.
        if isinstance(outcome, Reply) and stanza.type in SUBSCRIPTION_TYPES:
            return host.router.reply(stanza, outcome.stanza)
        return None

    outcome = run(guards, stanza, stanza.origin)
    return outcome.addCallback(settle_guards) if isinstance(outcome, Deferred) else settle_guards(outcome)


def route_all(host: Host, stanzas: Iterable[Stanza]) -> Waiting:
    """Route presences in order; gives what there is to wait for."""
    answers = [route(host, stanza) for stanza in stanzas]
    return [answer for answer in answers if answer is not None]


def _guards(user: User) -> tuple[Step, ...]:
    """Give the handlers that may stop a presence on its way out; each contact's copy passes them."""
    steps = user.pipeline.from_client.get("presence")
    return tuple([step for step in steps if step.phase == "guard"]) if steps is not None else ()


def shown(user: User | None, contact: str) -> list[Stanza]:
    """Give the presence of every visible session, addressed to somebody who may see it now."""
    sessions = user.visible() if user is not None else []
    return [session.presence.replace(to=contact) for session in sessions if session.presence is not None]


def hidden(user: User | None, contact: str) -> list[Stanza]:
    """Give the unavailable presence of every visible session for somebody who may see it no longer."""
    return [
        Stanza("presence", {"type": "unavailable", "from": session.jid.full, "to": contact}, origin=session)
        for session in (user.visible() if user is not None else ())
    ]


# -- from others to the account's sessions ---------------------------------------------------------


def deliver(host: Host, stanza: Stanza, to: JID) -> None:
    """Hand a presence to the session it is addressed to, or to every available one."""
    user = host.users.get(to.local)
    if user is None:
        return
    if to.resource:
        session = user.sessions.get(to.resource)
        if session is not None:
            session.send(stanza)
        return
    encoded = stanza.encode()
    for session in user.available():
        session.send(stanza, encoded)


def ask_contacts(session: Session) -> Waiting:
    """Bring a newly available session the presence of the account's contacts (RFC 6121 section 4.3).

    Contacts online here are looked at directly; the others' servers get a probe.
    """
    host = session.host
    own, me, domain = session.user.bare, session.jid.full, host.domain
    waiting: Waiting = []
    for item in list(session.user.roster.items.values()):
        if item.subscription not in SEEN_BY_US:
            continue
        local, _, contact_domain = item.jid.partition("@")
        if contact_domain == domain:
            user = host.users.get(local)
            # Whoever is not online has nothing to show, and that is what the client thinks already.
            if user is None:
                continue
            if user.roster.is_seen_by(own):
                waiting += _look_at(user, session)
                continue
        answer = route(host, probe(me, item.jid, session))
        if answer is not None:
            waiting.append(answer)
    return waiting


def _look_at(user: User, session: Session) -> Waiting:
    """Send a local contact's presence to one session, past the guards of both sides."""
    host = session.host
    if not _guards(user) and "presence" not in session.user.pipeline.to_user:
        for stanza in shown(user, session.jid.full):
            session.send(stanza)
        return []
    return route_all(host, shown(user, session.jid.full))


def probe(sender: str, contact: str, origin: Session | None = None) -> Stanza:
    """Give the probe that asks for a contact's presence."""
    return Stanza("presence", {"type": "probe", "from": sender, "to": contact}, origin=origin)


def to_account(host: Host, stanza: Stanza, to: JID) -> Stanza | Deferred[Stanza | None] | None:
    """Take a presence through the TO_USER phases; gives None when it ends there."""
    user = host.users.get(to.local)
    steps = (user.pipeline if user is not None else host.pipeline.guarded).to_user.get("presence")
    if steps is None:
        return stanza

    def settle_steps(outcome: Stanza | Verdict) -> Stanza | None:
        if isinstance(outcome, Stanza):
            return outcome
        if isinstance(outcome, Reply):
            host.router.reply(stanza, outcome.stanza)
        return None

    outcome = run(steps, stanza, to)
    return outcome.addCallback(settle_steps) if isinstance(outcome, Deferred) else settle_steps(outcome)


def remote(host: Host, contact: str) -> bool:
    """Tell whether a contact's account is kept by another server or service."""
    return contact.partition("@")[2] != host.domain
