"""Accounts in memory, and how a resource becomes a session."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from palaver.errors import StanzaError, StorageError, StreamError
from palaver.events import SessionBound
from palaver.interfaces import IRosters, IStream, IUser
from palaver.jid import JID, InvalidJID
from palaver.routing.pipeline import Track
from palaver.routing.sessions import Session
from palaver.storage import Document

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.roster import Roster

NS_BIND = "urn:ietf:params:xml:ns:xmpp-bind"
NS_SESSION = "urn:ietf:params:xml:ns:xmpp-session"

# Enough that no two clients of one account meet by chance, short enough to read in a log.
RESOURCE_BYTES = 6


@implementer(IUser)
class User:
    """An account that somebody is online with."""

    __slots__ = ("_guards", "bare", "host", "jid", "local", "pipeline", "roster", "sessions")

    def __init__(self, host: Host, local: str, roster: Roster) -> None:
        self.host = host
        self.local = local
        self.jid = JID(local, host.domain, "")
        self.bare = self.jid.bare
        self.roster = roster
        self.sessions: dict[str, Session] = {}
        # What the account's stanzas go through; most accounts have no rules that cost every stanza a look.
        self.pipeline: Track = host.pipeline
        self._guards: frozenset[str] = frozenset()

    def guard(self, module: str) -> None:
        """Have the account's stanzas meet the handlers for guarded accounts, until `unguard`."""
        self._guards |= {module}
        self.pipeline = self.host.pipeline.guarded

    def unguard(self, module: str) -> None:
        """End what a module's `guard` has begun; does nothing twice."""
        self._guards -= {module}
        if not self._guards:
            self.pipeline = self.host.pipeline

    def available(self) -> list[Session]:
        """Give the sessions that have sent available presence."""
        return [session for session in self.sessions.values() if session.presence is not None]

    def visible(self) -> list[Session]:
        """Give the available sessions whose presence others may be shown."""
        return [session for session in self.available() if not session.invisible]


async def bind(
    host: Host, stream: IStream, local: str, resource: str | None, documents: Sequence[Document] | None
) -> Session:
    """Give the stream a session (RFC 6120 section 7).

    ``documents`` is what the login read already. A session of the same full JID ends with
    ``conflict``, the oldest one with ``policy-violation`` when there are too many.
    Raises `StanzaError`: ``bad-request`` for a bad resource, ``internal-server-error``
    when the roster cannot be read.
    """
    try:
        jid = JID(local, host.domain, "").with_resource(resource or secrets.token_hex(RESOURCE_BYTES))
    except InvalidJID as error:
        raise StanzaError("bad-request", str(error)) from None
    user = await _user(host, local, documents)
    replaced = user.sessions.get(jid.resource)
    if replaced is not None:
        replaced.end(StreamError("conflict", "Replaced by new connection"))
    elif len(user.sessions) >= host.max_user_sessions:
        oldest = next(iter(user.sessions.values()))
        oldest.end(StreamError("policy-violation", "Too many sessions of this account"))
    # Ending the last session takes the user out of memory; this one brings it back.
    host.users[local] = user
    session = Session(user, jid, stream)
    user.sessions[jid.resource] = session
    # From here on whoever ends the stream ends the session.
    stream.session = session
    host.unbound.discard(stream)
    waiting = host.events.fire(SessionBound(session, documents))
    if waiting is not None:
        await waiting
    return session


async def _user(host: Host, local: str, documents: Sequence[Document] | None) -> User:
    if (user := host.users.get(local)) is not None:
        return user
    rosters: Any = host.query(IRosters)
    try:
        roster = await rosters.load(local, documents)
    except StorageError:
        raise StanzaError("internal-server-error", "Your roster cannot be read now", type="wait") from None
    # Somebody else may have come online while the roster was read.
    return host.users.get(local) or User(host, local, roster)
