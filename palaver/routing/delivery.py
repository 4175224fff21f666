"""Delivery to local accounts: which of their sessions get a message (RFC 6121 section 8.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.routing.failures import failed
from palaver.routing.pipeline import DROP, HANDLED, Reply, Step, Verdict, run
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.sessions import Session


def message(host: Host, stanza: Stanza, to: JID) -> Deferred[Any] | None:
    """Deliver a message to an account: to sessions, or to whoever keeps what no session took."""
    user = host.users.get(to.local)
    if user is not None:
        steps = host.pipeline.to_user.get("message")
        if steps is not None:
            return _after(host, steps, stanza, to)
        session = user.sessions.get(to.resource) if to.resource else None
        # The usual case, and the one that must cost little.
        if session is not None and session.send(stanza):
            return None
        return _deliver(host, stanza, to)
    return Deferred.fromCoroutine(_to_absent(host, stanza, to))


async def _to_absent(host: Host, stanza: Stanza, to: JID) -> None:
    """Deliver to an account that nobody is online with, if there is one."""
    try:
        exists = await host.accounts.exists(to.local)
    except Exception:
        host.router.bounce(stanza, failed("accounts", Failure()))
        return
    if not exists:
        # As for an account that keeps nothing for later: nobody learns from it which accounts there are.
        if stanza.type != "headline":
            host.router.bounce(stanza, StanzaError("service-unavailable"))
        return
    steps = host.pipeline.to_user.get("message")
    waiting = _deliver(host, stanza, to) if steps is None else _after(host, steps, stanza, to)
    if waiting is not None:
        await waiting


def _after(host: Host, steps: tuple[Step, ...], stanza: Stanza, to: JID) -> Deferred[Any] | None:
    """Take a message through the TO_USER phases, then deliver it."""
    outcome = run(steps, stanza, to)
    if isinstance(outcome, Deferred):
        return outcome.addCallback(lambda settled: _settle(host, settled, stanza, to))
    return _settle(host, outcome, stanza, to)


def _settle(host: Host, outcome: Stanza | Verdict, stanza: Stanza, to: JID) -> Deferred[Any] | None:
    if isinstance(outcome, Stanza):
        return _deliver(host, outcome, to)
    if isinstance(outcome, Reply):
        return host.router.reply(stanza, outcome.stanza)
    return None


def _deliver(host: Host, stanza: Stanza, to: JID) -> Deferred[Any] | None:
    """Choose sessions by RFC 6121 section 8.5.4; an unknown type counts as normal (section 5.2.2)."""
    kind = stanza.attrs.get("type", "normal")
    user = host.users.get(to.local)
    if to.resource:
        session = user.sessions.get(to.resource) if user is not None else None
        if session is not None and session.send(stanza):
            return None
        if kind == "headline":
            # A headline for one resource means nothing to the others.
            return None
    if kind == "error":
        return None
    if kind == "groupchat":
        return host.router.bounce(stanza, StanzaError("service-unavailable"))
    sessions = user.available() if user is not None else []
    taken = _to_all(sessions, stanza) if kind == "headline" else _to_top(sessions, stanza)
    return None if taken else undelivered(host, stanza, to)


def _to_all(sessions: list[Session], stanza: Stanza) -> bool:
    """Send to every session of non-negative priority.

    A headline is never kept, so it always counts as taken.
    """
    for session in sessions:
        if session.priority >= 0:
            session.send(stanza)
    return True


def _to_top(sessions: list[Session], stanza: Stanza) -> bool:
    """Send to the sessions that share the highest non-negative priority; tell whether one took it."""
    top = max((session.priority for session in sessions), default=-1)
    if top < 0:
        return False
    encoded = stanza.encode()
    taken = False
    for session in sessions:
        if session.priority == top and session.send(stanza, encoded):
            taken = True
    return taken


def undelivered(host: Host, stanza: Stanza, to: JID) -> Deferred[Any] | None:
    """Give a message that no session took to the UNDELIVERED phases; with nobody to keep it, it bounces."""
    steps = host.pipeline.undelivered.get(stanza.name)
    if steps is None:
        return host.router.bounce(stanza, StanzaError("service-unavailable"))
    outcome = run(steps, stanza, to)
    if isinstance(outcome, Deferred):
        return outcome.addCallback(lambda settled: _settle_undelivered(host, settled, stanza))
    return _settle_undelivered(host, outcome, stanza)


def _settle_undelivered(host: Host, outcome: Stanza | Verdict, stanza: Stanza) -> Deferred[Any] | None:
    if outcome is HANDLED or outcome is DROP:
        return None
    if isinstance(outcome, Reply):
        return host.router.reply(stanza, outcome.stanza)
    return host.router.bounce(stanza, StanzaError("service-unavailable"))
