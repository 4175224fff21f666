"""Federation: where the router sends what is for no domain of this server."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any, NamedTuple

from zope.interface import implementer

from palaver import jid, metrics
from palaver.errors import StanzaError, StreamError
from palaver.interfaces import IFederation
from palaver.jid import JID
from palaver.log import Log
from palaver.routing.router import Router
from palaver.settings import S2s, S2sListener
from palaver.stanza import Stanza
from palaver.streams.admission import Admission
from palaver.streams.flush import Flusher
from palaver.streams.s2s.connection import ServerListener, dialled_stream
from palaver.streams.s2s.dialback import Keys
from palaver.streams.s2s.identity import Authorities
from palaver.streams.s2s.incoming import IncomingStream
from palaver.streams.s2s.link import FULL, Link
from palaver.streams.s2s.outgoing import OutgoingStream, Unreachable
from palaver.streams.s2s.policy import Policy
from palaver.streams.s2s.resolving import NamingReactor, Resolving
from palaver.streams.s2s.stream import ServerStream
from palaver.streams.settings import StreamSettings
from palaver.streams.wheel import Wheel

log = Log("s2s")

# Servers that are connecting, or that we connect to, at once; each may hold a few sockets.
MAX_CONNECTING = 100
MAX_STRANGERS = 1000
MAX_STRANGERS_PER_ADDRESS = 100
# Domains that something waits for, and what waits for all of them together.
MAX_LINKS = 20_000
MAX_WAITING_BYTES = 64 * 1024 * 1024
# Domains that are let alone for a while; the oldest is forgotten first.
MAX_LET_ALONE = 10_000
FIRST_RETRY_DELAY_S = 5.0

Pair = tuple[str, str]
"""A domain of ours and one of theirs."""


class _LetAlone(NamedTuple):
    until: float
    delay: float
    error: StanzaError


@implementer(IFederation)
class Federation:
    """Speaks to other servers: the links, the streams and what they share."""

    domain = ""
    name = ""

    def __init__(
        self, router: Router, reactor: Any, wheel: Wheel, flusher: Flusher, tls: Any, secret: str
    ) -> None:
        """``tls``: palaver.streams.tls.TlsContexts; ``secret``: that of dialback keys, unless one is set."""
        self.router = router
        self.wheel = wheel
        self.tls = tls
        self._reactor = reactor
        self._flusher = flusher
        self._secret = secret
        self._admission = Admission(MAX_STRANGERS, MAX_STRANGERS_PER_ADDRESS)
        # The streams that stanzas go out over, found once a stanza.
        self.routes: dict[Pair, ServerStream] = {}
        self._pairs: dict[ServerStream, list[Pair]] = {}
        self._links: dict[Pair, Link] = {}
        self._turns: deque[Link] = deque()
        self._connecting = 0
        self._waiting_bytes = 0
        self._let_alone: OrderedDict[str, _LetAlone] = OrderedDict()
        self._streams: set[ServerStream] = set()
        self._stopping = False

    def configure(self, settings: S2s, limited: bool = True) -> None:
        """Apply the table ``[s2s]``; raises ValueError. Streams that are there stay as they are."""
        authorities = Authorities(settings.cacertfile)
        self.settings = settings
        self.authorities = authorities
        self.policy = Policy(settings)
        self.keys = Keys(settings.shared or self._secret)
        self.resolving = Resolving(self._reactor, settings)
        self.naming = NamingReactor(self._reactor, self.resolving)
        self._limited = limited
        self.outgoing = self._listener("s2s-out", "starttls", Admission(None, None), settings.idle_close_s)
        make_stream: Any = dialled_stream
        self.outgoing.make_stream = make_stream

    def _listener(self, name: str, tls: str, admission: Admission, idle_s: float) -> ServerListener:
        return ServerListener(
            name, self.stream_settings(tls, idle_s), self._reactor, self._flusher, self.wheel, admission,
            self.tls, lambda connection: self.began(IncomingStream(connection, self)),
        )  # fmt: skip

    def stream_settings(self, tls: str, idle_s: float) -> StreamSettings:
        """Give what the streams of a listener are allowed."""
        settings = self.settings
        return StreamSettings(
            tls=tls,
            max_stanza_bytes=settings.max_stanza_bytes,
            auth_timeout_s=settings.timeout,
            idle_s=idle_s,
            rate=settings.rate_bytes_per_s if self._limited else None,
            burst=settings.burst_bytes,
        )

    def listener(self, table: S2sListener) -> ServerListener:
        """Give the factory of a port for other servers."""
        return self._listener("s2s", table.tls, self._admission, StreamSettings().idle_s)

    # -- IService -----------------------------------------------------------------------

    def deliver(self, stanza: Stanza, to: JID) -> None:
        """Send a stanza of one of our domains to another server; see IService."""
        local = jid.parse(stanza.attrs["from"]).domain
        stream = self.routes.get((local, to.domain))
        if stream is not None:
            stream.outbound.send(stanza)
        else:
            self._queue(stanza, local, to.domain)

    def _queue(self, stanza: Stanza, local: str, remote: str) -> None:
        """Have a stanza wait for a stream, or answer at once that there will be none."""
        error = None
        if not self.router.serves(local):
            log.warn("not-ours", sender=local)
            return
        if self._stopping or not self.policy.allows(remote):
            error = StanzaError("service-unavailable", "This server does not speak to that one")
        elif (alone := self._let_alone.get(remote)) is not None and alone.until > self.wheel.now():
            error = alone.error
        elif (local, remote) not in self._links and len(self._links) >= MAX_LINKS:
            error = FULL
        if error is not None:
            self.router.bounce(stanza, error)
        else:
            self._link(local, remote).deliver(stanza)

    def _link(self, local: str, remote: str) -> Link:
        link = self._links.get((local, remote))
        if link is None:
            link = self._links[local, remote] = Link(self, local, remote)
        return link

    async def check(self, local: str, remote: str, stream_id: str, key: str) -> bool:
        """Ask a domain's server whether it has made a key (XEP-0220); raises `StanzaError`."""
        if self._stopping or len(self._links) >= MAX_LINKS:
            raise StanzaError("resource-constraint")
        try:
            return await self._link(local, remote).check(stream_id, key)
        except Unreachable as error:
            raise error.error from None

    # -- for links ----------------------------------------------------------------------------

    def reserve(self, size: int) -> bool:
        """Count bytes that wait, or, with a negative number, wait no more; False when there are too many."""
        if size > 0 and self._waiting_bytes + size > MAX_WAITING_BYTES:
            return False
        self._waiting_bytes += size
        return True

    def wants_turn(self, link: Link) -> None:
        """Have a link connect once few enough others do."""
        self._turns.append(link)
        self._next_turns()

    def _next_turns(self) -> None:
        while self._turns and self._connecting < MAX_CONNECTING:
            self._connecting += 1
            over = self._turns.popleft().take_turn()
            if over is None:
                self._connecting -= 1
            else:
                over.addBoth(self._turn_over)

    def _turn_over(self, outcome: Any) -> None:
        self._connecting -= 1
        self._next_turns()

    def shareable(self, remote: str) -> OutgoingStream | None:
        """Give a stream to a domain that takes another domain of ours too (XEP-0220 section 2.6)."""
        if not self.policy.dialback:
            return None
        for (_, other), stream in self.routes.items():
            if other == remote and isinstance(stream, OutgoingStream) and stream.takes_more:
                return stream
        return None

    def reached(self, link: Link, stream: OutgoingStream) -> None:
        """Note that a link has its stream."""
        self._let_alone.pop(link.remote, None)
        self._carry((link.local, link.remote), stream)

    def unreachable(self, link: Link, error: StanzaError) -> None:
        """Note that a link has no stream; its domain is let alone for a while, each time for longer."""
        self.unwanted(link)
        before = self._let_alone.pop(link.remote, None)
        delay = FIRST_RETRY_DELAY_S if before is None else before.delay * 2
        delay = min(delay, self.settings.max_retry_delay)
        self._let_alone[link.remote] = _LetAlone(self.wheel.now() + delay, delay, error)
        if len(self._let_alone) > MAX_LET_ALONE:
            self._let_alone.popitem(last=False)
        metrics.s2s_failures[error.condition] += 1
        log.info(
            "s2s-failed", remote=link.remote, local=link.local, condition=error.condition, text=error.text
        )

    def unwanted(self, link: Link) -> None:
        """Forget a link, for which nothing waits."""
        if self._links.get((link.local, link.remote)) is link:
            del self._links[link.local, link.remote]

    # -- for streams --------------------------------------------------------------------------------

    def began(self, stream: ServerStream) -> ServerStream:
        """Note a new stream, and give it."""
        self._streams.add(stream)
        return stream

    def carries(self, stream: IncomingStream) -> None:
        """Note that a peer is known; where it wants that, what is for it goes over its own stream."""
        if stream.bidi and stream.local is not None and stream.remote in stream.inbound.domains:
            pair = (stream.local, stream.remote)
            self._carry(pair, stream)
            link = self._links.get(pair)
            if link is not None and self.routes.get(pair) is stream:
                # What is sent from here on would overtake it.
                link.send_waiting(stream)

    def _carry(self, pair: Pair, stream: ServerStream) -> None:
        if pair not in self.routes and stream.is_open:
            self.routes[pair] = stream
            self._pairs.setdefault(stream, []).append(pair)

    def may_check(self, stream: OutgoingStream) -> None:
        """Note that a stream takes questions about keys."""
        link = self._links.get((stream.local, stream.remote))
        if link is not None and link.stream is stream:
            link.send_checks()

    def closed(self, stream: ServerStream) -> None:
        """Note that a stream is at its end."""
        self._streams.discard(stream)
        for pair in self._pairs.get(stream, ()):
            del self.routes[pair]
        log.debug("s2s-closed", direction=stream.direction, remote=stream.remote, local=stream.local)

    def lost(self, stream: ServerStream, unacked: list[Stanza]) -> None:
        """Tell the links of a stream that has ended; ``unacked`` is what may not have arrived."""
        by_pair: dict[Pair, list[Stanza]] = {pair: [] for pair in self._pairs.pop(stream, ())}
        for stanza in unacked:
            pair = (jid.parse(stanza.attrs["from"]).domain, jid.parse(stanza.attrs["to"]).domain)
            by_pair.setdefault(pair, []).append(stanza)
        for pair, stanzas in by_pair.items():
            if self._stopping:
                # Those who could be told are gone by now.
                continue
            link = self._link(*pair)
            link.gone(stanzas, stream.outbound.acked)
            if link.stream is None and not link.waits:
                del self._links[pair]

    # -- the whole ------------------------------------------------------------------------------------

    def stop(self, error: StreamError) -> None:
        """Make no more streams, send back what waits, and end every stream."""
        self._stopping = True
        for link in list(self._links.values()):
            if link.connects:
                link.deadline_passed()
        for stream in list(self._streams):
            stream.end(error)

    def streams(self, domain: str) -> list[tuple[str, ServerStream]]:
        """See IFederation."""
        return [(remote, stream) for (local, remote), stream in self.routes.items() if local == domain]

    def is_ours(self, domain: str) -> None:
        """See IFederation."""
        for stream in list(self._streams):
            if domain == stream.remote or domain in stream.inbound.domains:
                stream.end(StreamError("undefined-condition", "That domain is served here"))

    def connections(self) -> list[Any]:
        """Give the connections to other servers that we have made."""
        return list(self.outgoing.connections)

    def status(self) -> dict[str, int]:
        """Give what ``palaver status`` shows."""
        outgoing = sum(stream.direction == "out" for stream in self._streams)
        return {
            "incoming": len(self._streams) - outgoing,
            "outgoing": outgoing,
            "routes": len(self.routes),
            "waiting_domains": sum(link.waits for link in self._links.values()),
            "let_alone": len(self._let_alone),
        }
