"""One stanza for everybody in a room: encoded once, only ``to`` differs; others have their turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from palaver.rooms.occupants import Seat
from palaver.stanza import NS_CLIENT, Stanza, start_attributes

if TYPE_CHECKING:
    from palaver.routing.pipeline import Track
    from palaver.routing.router import Router

# About a millisecond of work: everybody else's stanzas come in between.
MAX_PER_TURN = 200

# How a stanza reaches the sessions of a track: past nobody, past who looks at sessions, or the whole way.
_DIRECT, _BY_SESSION, _ROUTED = range(3)


class Broadcast:
    """A message or presence for any number of sessions; ``stanza`` is without ``to``."""

    __slots__ = ("head", "kind", "stanza", "tail")

    def __init__(self, stanza: Stanza) -> None:
        self.stanza = stanza
        # Stanzas of one kind reach a session in the same way.
        self.kind = f"{stanza.name} {stanza.attrs.get('type')}"
        self.head = f"<{stanza.name}{start_attributes(stanza.attrs)} to='".encode()
        self.tail = b"'>%b</%b>" % (stanza.inner, stanza.name.encode()) if stanza.inner else b"'/>"

    def encode(self, address: bytes) -> bytes:
        """Give the bytes for one; ``address`` is the full JID as an attribute holds it."""
        return b"%b%b%b" % (self.head, address, self.tail)

    def to(self, full: str) -> Stanza:
        """Give the stanza for one."""
        stanza = self.stanza
        return Stanza(stanza.name, {**stanza.attrs, "to": full}, stanza.children, stanza.inner, NS_CLIENT)


Pairs = Sequence[tuple[Seat, Iterable[Broadcast]]]


class Mail:
    """Takes broadcasts to seats, on one service."""

    def __init__(self, router: Router, clock: Any) -> None:
        self._router = router
        self._clock = clock

    def send(self, pairs: Pairs) -> Deferred[None] | None:
        """Send broadcasts to seats, in order; the Deferred, for many, never fails."""
        if len(pairs) <= MAX_PER_TURN:
            self._send(pairs)
            return None
        return Deferred.fromCoroutine(self._send_in_turns(pairs))

    async def _send_in_turns(self, pairs: Pairs) -> None:
        for start in range(0, len(pairs), MAX_PER_TURN):
            self._send(pairs[start : start + MAX_PER_TURN])
            await deferLater(self._clock, 0)

    def _send(self, pairs: Pairs) -> None:
        # By type of stanza and track; most sessions have the same one.
        ways: dict[str, dict[Track, int]] = {}
        for seat, broadcasts in pairs:
            session = seat.session
            if session is None:
                for broadcast in broadcasts:
                    self._router.route(broadcast.to(seat.jid.full))
                continue
            stream = session.stream
            if stream is None:
                continue
            track = session.user.pipeline
            for broadcast in broadcasts:
                known = ways.get(broadcast.kind)
                if known is None:
                    known = ways[broadcast.kind] = {}
                way = known.get(track)
                if way is None:
                    way = known[track] = _way(track, broadcast.stanza)
                if way == _DIRECT:
                    stream.write(b"%b%b%b" % (broadcast.head, seat.address, broadcast.tail))
                elif way == _BY_SESSION:
                    session.send(broadcast.to(seat.jid.full), broadcast.encode(seat.address))
                else:
                    self._router.route(broadcast.to(seat.jid.full))


def _way(track: Track, stanza: Stanza) -> int:
    """Tell how stanzas like this one reach the sessions of a track."""
    if track.groupchat if stanza.attrs.get("type") == "groupchat" else stanza.name in track.to_user:
        return _ROUTED
    return _BY_SESSION if stanza.name in track.to_session else _DIRECT
