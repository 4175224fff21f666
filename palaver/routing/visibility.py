"""Sessions that are there without being seen (XEP-0186): how they vanish, and how they come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from palaver.events import BecameAvailable, BecameUnavailable
from palaver.routing import announce, presence
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.sessions import Session


def hide(session: Session, asks_contacts: bool) -> Deferred[Any] | None:
    """Make a session invisible (XEP-0186 section 3.1); whoever saw it sees it go.

    Without ``asks_contacts`` its first presence from now on brings it nobody's.
    """
    waiting: announce.Waiting = []
    if not session.invisible:
        shown, priority = session.presence, session.priority
        waiting = presence.unavailable(session, _gone(session))
        # What is for the account still comes to it.
        session.presence, session.priority = shown, priority
    session.invisible, session.asks_contacts = True, asks_contacts
    return announce.settle(waiting)


def withdraw(session: Session) -> Deferred[Any] | None:
    """End the invisibility of a session: it is as before its first presence (XEP-0186 section 3.2).

    Whom it has directed presence at meanwhile still sees it.
    """
    told = None
    if session.invisible and session.presence is not None:
        told = session.host.events.fire(BecameUnavailable(session, _gone(session)))
        session.presence, session.priority = None, 0
    session.invisible, session.asks_contacts = False, True
    return told


def show(session: Session) -> Deferred[Any] | None:
    """Make an invisible session visible, with the presence that it has sent last (XEP-0018)."""
    if not session.invisible:
        return None
    session.invisible, session.asks_contacts = False, True
    if session.presence is None:
        return None
    waiting = announce.broadcast(session, session.presence)
    told = session.host.events.fire(BecameAvailable(session, True))
    if told is not None:
        waiting.append(told)
    return announce.settle(waiting)


def _gone(session: Session) -> Stanza:
    return Stanza("presence", {"type": "unavailable", "from": session.jid.full}, origin=session)
