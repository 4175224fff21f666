"""What becomes of stanzas that a client never acknowledged (XEP-0198 section 4), and of their time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from palaver.errors import StanzaError
from palaver.interfaces import ICarbons
from palaver.jid import JID, InvalidJID
from palaver.log import Log
from palaver.markup import element
from palaver.routing import announce
from palaver.routing.delivery import recipients, undelivered
from palaver.stanza import NS_CLIENT, Stanza, reread
from palaver.times import stamp

if TYPE_CHECKING:
    from palaver.routing.sessions import Session

log = Log("streams")

NS_DELAY = "urn:xmpp:delay"
NS_MAM = "urn:xmpp:mam:2"
NS_CARBONS = "urn:xmpp:carbons:2"

CONTEXT = f"<stream xmlns='{NS_CLIENT}'>".encode()
# To one client alone: an answer about something, what all have got or will get, what its room sends again.
NOT_GIVEN_BACK = frozenset(("error", "headline", "groupchat"))


def stamped(data: bytes, when: float, sender: str) -> bytes:
    """Give a stanza with the time when it was first sent (XEP-0203), in the name of ``sender``.

    IQs, and whatever has a time already, stay as they are.
    """
    if data.startswith(b"<iq") or NS_DELAY.encode() in data:
        return data
    delay = element("delay", NS_DELAY, from_=sender, stamp=stamp(when))
    if data.endswith(b"/>") and data.count(b"<") == 1:
        name = data[1 : data.index(b" ")] if b" " in data else data[1:-2]
        return b"%b>%b</%b>" % (data[:-2], delay, name)
    cut = data.rindex(b"</")
    return data[:cut] + delay + data[cut:]


def give_back(
    session: Session, queue: Iterable[tuple[bytes, float]], shown: Stanza | None, priority: int
) -> Deferred[Any] | None:
    """Treat stanzas as if their session had not been there when they came.

    ``queue`` has each one's bytes and when it was sent; ``shown`` and ``priority`` are the session's last.
    Messages go to other sessions that have not got them already, or to whoever keeps them; they pass
    no archive again. Requests are answered with an error. The Deferred fires when all is stored.
    """
    waiting = []
    for data, when in queue:
        answer = _give_back(session, data, when, shown, priority)
        if answer is not None:
            waiting.append(answer)
    return announce.settle(waiting)


def _give_back(
    session: Session, data: bytes, when: float, shown: Stanza | None, priority: int
) -> Deferred[Any] | None:
    host = session.host
    if data.startswith(b"<iq"):
        return host.router.bounce(reread(data, CONTEXT, NS_CLIENT), StanzaError("service-unavailable"))
    if not data.startswith(b"<message"):
        # Presence is shown, and asked for, anew at the next login.
        return None
    message = reread(stamped(data, when, session.user.bare), CONTEXT, NS_CLIENT)
    if not _is_given_back(message, session):
        return None
    to = _addressee(message, session)
    user = host.users.get(to.local)
    chosen = recipients(user, message, to) if user is not None else []
    if not chosen:
        return undelivered(host, message, to)
    for other in chosen:
        same = shown is not None and other.priority == priority and _since(shown) <= when
        if not _had(other, message, to, when, same):
            other.send(message)
    return None


def _is_given_back(message: Stanza, session: Session) -> bool:
    return (
        message.type not in NOT_GIVEN_BACK
        and not message.has(NS_MAM, "result")
        and not message.has(NS_CARBONS)
        and message.attrs.get("from") != session.jid.full
    )


def _addressee(message: Stanza, session: Session) -> JID:
    try:
        to = message.to
    except InvalidJID:
        to = None
    # What a module sends to a session need not say whom it is for.
    return to if to is not None and to.bare == session.user.bare else session.user.jid


def _had(other: Session, message: Stanza, to: JID, when: float, same: bool) -> bool:
    """Tell whether another session got a message when it came, or a copy of it.

    ``same``: the two sessions had the same priority then, unless the other's presence has changed since.
    After that nobody knows, and a message twice is better than none.
    """
    if other.presence is None or _since(other.presence) > when:
        return False
    if not to.resource:
        return same
    carbons = other.host.query(ICarbons)
    return carbons is not None and carbons.copies(other, message, to)


def _since(presence: Stanza) -> float:
    """Give the time from which a session shows what it does: the last stamp in its presence."""
    stamps = [node.getAttribute("stamp") for node in presence.element.elements(NS_DELAY, "delay")]
    return datetime.fromisoformat(stamps[-1]).timestamp()
