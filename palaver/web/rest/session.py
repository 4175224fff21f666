"""A session without a client: what REST does for an account goes the way of everything that clients do."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from palaver.errors import StanzaError, StreamError
from palaver.framing import Framer
from palaver.interfaces import IStream
from palaver.routing.users import bind
from palaver.stanza import Stanza
from palaver.waiting import settled

HEADER = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)
# More than any stanza that the house makes.
MAX_STANZA_BYTES = 4 * 1024 * 1024
RESOURCE_BYTES = 8
ANSWER_S = 30.0

Heard = Callable[[Stanza], None]


@implementer(IStream)
class RestStream:
    """What is below the session: stanzas for it go to ``heard``, answers to whoever has asked."""

    def __init__(self, host: Any, local: str, address: str, heard: Heard | None = None) -> None:
        """``address`` is where the request came from."""
        self.host = host
        self.secure = True
        self.address = address
        self.port: int | None = None
        self.authenticated_as: str | None = local
        self.session: Any = None
        self.on_end: Callable[[], None] | None = None
        self._heard = heard
        self._asked: dict[str, Deferred[Stanza]] = {}
        self._framer = Framer(self, MAX_STANZA_BYTES)
        self._framer.feed(HEADER)

    @property
    def heard(self) -> float:
        """See IStream: it never falls silent, since it ends with the request."""
        return float(self.host.clock.seconds())

    async def open(self, kind: str) -> None:
        """Bind a session whose resource begins with ``kind``. Raises StanzaError, StorageError."""
        resource = f"{kind}-{secrets.token_hex(RESOURCE_BYTES)}"
        self.session = await bind(self.host, self, self.authenticated_as or "", resource, None)

    # -- IStream -------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """See IStream."""
        self._framer.feed(data)

    def end(self, error: StreamError | None = None) -> None:
        """See IStream."""
        for waiting in self._asked.values():
            waiting.errback(StanzaError("service-unavailable", "The session was ended"))
        self._asked.clear()
        if self.on_end is not None:
            self.on_end()

    # -- a framer's receiver -----------------------------------------------------------------

    def stream_opened(self, header: object) -> None:
        """See `palaver.framing`."""

    def stream_closed(self) -> None:
        """See `palaver.framing`."""

    def stanza_received(self, stanza: Stanza) -> None:
        """Take what the house has for the session."""
        if stanza.name == "iq" and stanza.type in ("result", "error"):
            waiting = self._asked.pop(stanza.id or "", None)
            if waiting is not None:
                waiting.callback(stanza)
        elif stanza.name == "iq":
            # There is no client that could answer.
            refusal = stanza.error(StanzaError("service-unavailable"))
            self.host.clock.callLater(0, self._send, refusal)
        elif self._heard is not None:
            self._heard(stanza)

    # -- what REST does with it ----------------------------------------------------------------

    async def send(self, stanza: Stanza) -> None:
        """Send as a client does; returns when what it needed stored is committed."""
        await settled(self._send(stanza))

    def _send(self, stanza: Stanza) -> Deferred[Any] | None:
        session = self.session
        if session is None or session.stream is None:
            return None
        sent: Deferred[Any] | None = session.receive(
            stanza.replace(from_=session.jid.full).with_origin(session)
        )
        return sent

    async def ask(self, iq: Stanza) -> Stanza:
        """Send an IQ and give its result. Raises StanzaError for an error, or for no answer in time."""
        waiting: Deferred[Stanza] = Deferred()
        id = secrets.token_hex(RESOURCE_BYTES)
        self._asked[id] = waiting
        timer = self.host.clock.callLater(ANSWER_S, self._give_up, id)
        await self.send(iq.replace(id=id))
        try:
            answer = await waiting
        finally:
            if timer.active():
                timer.cancel()
        if answer.type == "error":
            raise error_of(answer)
        return answer

    def _give_up(self, id: str) -> None:
        waiting = self._asked.pop(id, None)
        if waiting is not None:
            waiting.errback(StanzaError("remote-server-timeout", "There was no answer"))

    async def close(self) -> None:
        """End the session; returns when what is stored at its end is stored."""
        if self.session is not None:
            await settled(self.session.unbind())


def error_of(stanza: Stanza) -> StanzaError:
    """Give the StanzaError that an error stanza tells of."""
    node = stanza.child("jabber:client", "error")
    children = list(node.elements()) if node is not None else []
    stanzas = [child for child in children if child.uri == "urn:ietf:params:xml:ns:xmpp-stanzas"]
    condition = next((child.name for child in stanzas if child.name != "text"), "undefined-condition")
    text = next((str(child) for child in stanzas if child.name == "text"), None)
    return StanzaError(condition, text)
