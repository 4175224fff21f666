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
    from palaver.routing.users import User


def message(host: Host, stanza: Stanza, to: JID) -> Deferred[Any] | None:
    """Deliver a message to an account: to sessions, or to whoever keeps what no session took."""
    user = host.users.get(to.local)
    if user is not None:
        steps = user.pipeline.to_user.get("message")
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
    steps = host.pipeline.guarded.to_user.get("message")
    waiting = _deliver(host, stanza, to) if steps is None else _after(host, steps, stanza, to)
    if waiting is not None:
        await waiting


def _after(host: Host, steps: tuple[Step, ...], stanza: Stanza, to: JID) -> Deferred[Any] | None:
    """Take a message through the TO_USER phases, then deliver it."""
    outcome = run(steps, stanza, to)
    if isinstance(outcome, Deferred):
        return outcome.addCallback(lambda settled: _settle_late(host, settled, steps, stanza, to))
    return _settle(host, outcome, stanza, to)


def _settle_late(
    host: Host, outcome: Stanza | Verdict, steps: tuple[Step, ...], stanza: Stanza, to: JID
) -> Deferred[Any] | None:
    """Settle a message that has waited; steps that are new since come first, such as one that holds it."""
    user = host.users.get(to.local)
    now = (user.pipeline if user is not None else host.pipeline.guarded).to_user.get("message", ())
    if now is steps or not isinstance(outcome, Stanza):
        return _settle(host, outcome, stanza, to)
    settled = run(tuple(step for step in now if step not in steps), outcome, to)
    if isinstance(settled, Deferred):
        return settled.addCallback(lambda later: _settle_late(host, later, now, stanza, to))
    return _settle(host, settled, stanza, to)


def _settle(host: Host, outcome: Stanza | Verdict, stanza: Stanza, to: JID) -> Deferred[Any] | None:
    if isinstance(outcome, Stanza):
        return _deliver(host, outcome, to)
    if isinstance(outcome, Reply):
        return host.router.reply(stanza, outcome.stanza)
    return None


def recipients(user: User, stanza: Stanza, to: JID) -> list[Session]:
    """Choose the sessions of an account that a message goes to (RFC 6121 section 8.5).

    An unknown type counts as normal (section 5.2.2). None: nobody gets it, or it is kept for later.
    """
    kind = stanza.attrs.get("type", "normal")
    if to.resource:
        session = user.sessions.get(to.resource)
        if session is not None:
            return [session]
    # A headline for one resource means nothing to the others.
    if kind == "error" or kind == "groupchat" or (kind == "headline" and to.resource):
        return []
    sessions = [session for session in user.available() if session.priority >= 0]
    if kind == "headline" or not sessions:
        return sessions
    top = max([session.priority for session in sessions])
    return [session for session in sessions if session.priority == top]


def _deliver(host: Host, stanza: Stanza, to: JID) -> Deferred[Any] | None:
    """Send a message to whoever gets it; what nobody takes is kept, refused or forgotten, by its type."""
    user = host.users.get(to.local)
    if user is not None and _send(recipients(user, stanza, to), stanza):
        return None
    kind = stanza.attrs.get("type", "normal")
    if kind == "headline" or kind == "error":
        return None
    if kind == "groupchat":
        return host.router.bounce(stanza, StanzaError("service-unavailable"))
    return undelivered(host, stanza, to)


def _send(sessions: list[Session], stanza: Stanza) -> bool:
    """Send to sessions, encoded once; tell whether one took it."""
    if not sessions:
        return False
    encoded = stanza.encode()
    taken = False
    for session in sessions:
        if session.send(stanza, encoded):
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
