"""Stanzas on a stream between servers, each way: who may send what, in what order, and what has arrived.

XEP-0198 without resumption serves to know what a peer has got, and that it is still there.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver import jid, metrics
from palaver.errors import StanzaError, StreamError
from palaver.jid import JID, InvalidJID
from palaver.markup import element
from palaver.routing.failures import failed
from palaver.routing.router import Router
from palaver.stanza import NS_CLIENT, Stanza, reread
from palaver.streams.received import Received
from palaver.streams.slow import watch

if TYPE_CHECKING:
    from palaver.streams.s2s.stream import ServerStream

NS_SM = "urn:xmpp:sm:3"
REQUEST = element("r", NS_SM)
CONTEXT = f"<stream xmlns='{NS_CLIENT}'>".encode()
COUNTER_MODULO = 1 << 32
# Of a counter, and of the size of the largest stanza; Python reads no number of thousands of digits.
MAX_DIGITS = 10

# What one peer may have on the way to the storage, and behind that, before it is read no further.
MAX_PENDING_STANZAS = 1000
# An acknowledgement is asked for at once, but again only after so many stanzas or so long.
ACK_EVERY = 100
ASK_AGAIN_S = 1.0
# A peer that does not answer for so long is gone (smacks_max_ack_delay of Prosody).
MAX_ACK_DELAY_S = 30.0
# Kept to be sent again; what is older is taken for arrived.
MAX_UNACKED = 5000

Pair = tuple[str, str]


class Inbound:
    """What a peer sends. ``domains`` are those that it has proved to speak for."""

    __slots__ = ("_busy", "_pending", "_router", "_stream", "count", "domains", "received")

    def __init__(self, stream: ServerStream, router: Router) -> None:
        self._stream = stream
        self._router = router
        self.domains: set[str] = set()
        self.count = 0
        self.received: Received | None = None
        # What comes behind a stanza of the same two accounts that is under way.
        self._busy: dict[Pair, deque[tuple[Stanza, Deferred[Any] | None]]] = {}
        self._pending = 0

    def take(self, stanza: Stanza) -> None:
        """Take a stanza; raises `StreamError` for one that may not come over this stream."""
        attrs = stanza.attrs
        sender = self._sender(attrs.get("from"))
        if "to" not in attrs:
            raise StreamError("improper-addressing", "A stanza between servers says whom it is for")
        self.count += 1
        metrics.s2s_stanzas["received"] += 1
        waiting: Deferred[Any] | None = None
        try:
            to = jid.parse(attrs["to"])
        except InvalidJID as error:
            self._refuse(stanza, StanzaError("jid-malformed", str(error)))
        else:
            self._check_addressee(to)
            if attrs["from"] != sender.full or attrs["to"] != to.full:
                stanza = stanza.replace(from_=sender.full, to=to.full)
            waiting = self._deliver(stanza, sender, to)
        if self.received is not None:
            if waiting is not None:
                self.received.beside(waiting)
            self.received.take(None)

    def _sender(self, text: str | None) -> JID:
        """Give who a stanza is from; raises `StreamError`."""
        if text is None:
            raise StreamError("improper-addressing", "A stanza between servers says whom it is from")
        try:
            sender = jid.parse(text)
        except InvalidJID as error:
            raise StreamError("improper-addressing", str(error)) from None
        if sender.domain not in self.domains:
            raise StreamError("invalid-from", "This stream is not for stanzas of that domain")
        return sender

    def _check_addressee(self, to: JID) -> None:
        router, domain = self._router, to.domain
        if domain in router.services or router.serves(domain):
            return
        if not router.serves(domain.partition(".")[2]):
            raise StreamError("host-unknown", "A stanza is for a domain that is not served here")

    def _deliver(self, stanza: Stanza, sender: JID, to: JID) -> Deferred[Any] | None:
        """Have a stanza delivered behind earlier ones of the same two (RFC 6120 section 10.1)."""
        if self._busy:
            queue = self._busy.get((sender.bare, to.bare))
            if queue is not None:
                done: Deferred[Any] | None = Deferred() if self.received is not None else None
                queue.append((stanza, done))
                self._count(1)
                return done
        if to.domain not in self._router.services and not self._router.serves(to.domain):
            # A service below one of our hosts that is gone for now.
            self._refuse(stanza, StanzaError("remote-server-not-found"))
            return None
        waiting = self._route(stanza)
        if waiting is None or (waiting.called and not waiting.paused):
            return None
        pair = (sender.bare, to.bare)
        self._busy[pair] = deque()
        self._count(1)
        self._wait(waiting, pair, stanza)
        return waiting

    def _route(self, stanza: Stanza) -> Deferred[Any] | None:
        try:
            return self._router.route(stanza)
        except Exception:
            self._refuse(stanza, failed("s2s", Failure()))
            return None

    def _wait(self, waiting: Deferred[Any], pair: Pair, stanza: Stanza) -> None:
        if watch.is_on:
            watch.waits[stanza] = waiting
        waiting.addBoth(self._settled, pair, stanza)

    def _settled(self, outcome: Any, pair: Pair, stanza: Stanza) -> None:
        if isinstance(outcome, Failure):
            failed("s2s", outcome)
        if watch.is_on and watch.waits.pop(stanza, None) is None:
            watch.ended(stanza)
        self._count(-1)
        queue = self._busy[pair]
        while queue:
            stanza, done = queue.popleft()
            waiting = self._route(stanza)
            if waiting is not None and not (waiting.called and not waiting.paused):
                # It is counted on, in the place of the one that is done.
                self._wait(waiting, pair, stanza)
                if done is not None:
                    waiting.addCallback(done.callback)
                return
            self._count(-1)
            if done is not None:
                done.callback(None)
        del self._busy[pair]

    def _count(self, change: int) -> None:
        before, self._pending = self._pending, self._pending + change
        if before < MAX_PENDING_STANZAS <= self._pending:
            self._stream.connection.pause()
        elif self._pending < MAX_PENDING_STANZAS <= before:
            self._stream.connection.resume()

    def _refuse(self, stanza: Stanza, error: StanzaError) -> None:
        """Answer with an error in the name of the host: the stanza's own addressee may be no address."""
        if stanza.type not in ("error", "result"):
            self._router.route(stanza.replace(to=self._stream.local).error(error))

    def ack(self) -> bytes:
        """Give the acknowledgement of what is done with."""
        count = self.received.count if self.received is not None else 0
        return element("a", NS_SM, h=str(count % COUNTER_MODULO))


class Outbound:
    """What goes to a peer; it is looked at by the wheel while an acknowledgement is due."""

    __slots__ = (
        "_acked",
        "_asked",
        "_asked_at",
        "_stream",
        "_unacked",
        "bucket",
        "count",
        "deadline",
        "managed",
        "max_bytes",
    )

    def __init__(self, stream: ServerStream) -> None:
        self._stream = stream
        self.count = 0
        # What the peer takes (XEP-0478); None when it has not said.
        self.max_bytes: int | None = None
        self.managed = False
        # As they were written: what is read again if need be costs less to keep than a stanza.
        self._unacked: deque[bytes] = deque()
        self._acked = 0
        self._asked = False
        self._asked_at = 0.0
        self.deadline: float | None = None
        self.bucket: int | None = None

    def send(self, stanza: Stanza) -> None:
        """Write a stanza; one that is larger than the peer takes comes back as an error."""
        data = encode(stanza)
        if self.max_bytes is not None and len(data) > self.max_bytes:
            error = StanzaError("policy-violation", "The other server takes no stanza of this size")
            self._stream.federation.router.bounce(stanza, error)
            return
        self.count += 1
        metrics.s2s_stanzas["sent"] += 1
        self._stream.connection.write(data)
        if self.managed:
            self._keep(data)

    @property
    def acked(self) -> bool:
        """True once the peer has acknowledged something."""
        return self._acked > 0

    def manage(self) -> None:
        """Count from here on."""
        self.managed = True

    def _keep(self, data: bytes) -> None:
        unacked = self._unacked
        unacked.append(data)
        if len(unacked) > MAX_UNACKED:
            unacked.popleft()
            self._acked += 1
        if self._asked:
            return
        if self.deadline is None or len(unacked) >= ACK_EVERY:
            self._ask_soon()

    def _ask_soon(self) -> None:
        """Ask now, unless that was done a moment ago."""
        wait = self._asked_at + ASK_AGAIN_S - self._stream.federation.wheel.now()
        if wait <= 0 or len(self._unacked) >= ACK_EVERY:
            self._ask()
        else:
            self._look_in(wait)

    def _ask(self) -> None:
        self._asked = True
        self._asked_at = self._stream.federation.wheel.now()
        self._stream.connection.write(REQUEST)
        self._look_in(MAX_ACK_DELAY_S)

    def _look_in(self, seconds: float) -> None:
        wheel = self._stream.federation.wheel
        self.deadline = wheel.now() + seconds
        wheel.watch(self)

    def deadline_passed(self) -> None:
        """See HasDeadline."""
        self.deadline = None
        if self._asked:
            self._stream.end(StreamError("connection-timeout", "No acknowledgement has come"))
        elif self._unacked:
            self._ask()

    def acknowledged(self, text: str) -> None:
        """Forget what the peer has got; raises `StreamError` for more than was sent."""
        if not text.isascii() or not text.isdecimal() or len(text) > MAX_DIGITS:
            raise StreamError("bad-format", "An acknowledgement has a number")
        count = (int(text) - self._acked) % COUNTER_MODULO
        if count > len(self._unacked):
            if count > COUNTER_MODULO - MAX_UNACKED:
                # An answer from before the oldest was let go.
                return
            raise StreamError("undefined-condition", "More was acknowledged than was sent")
        for _ in range(count):
            self._unacked.popleft()
        self._acked += count
        self._asked = False
        self.deadline = None
        if self._unacked:
            self._ask_soon()

    def close(self) -> list[Stanza]:
        """Wait for nothing more; gives what was not acknowledged."""
        self._stream.federation.wheel.forget(self)
        left = [reread(data, CONTEXT, NS_CLIENT) for data in self._unacked]
        self._unacked.clear()
        self.managed = False
        return left


def encode(stanza: Stanza) -> bytes:
    """Give a stanza for a stream whose content namespace is that of servers.

    A child without a namespace of its own takes that of the stream; one that names the clients' would
    keep it, and no server would know it.
    """
    if b"jabber:client" in stanza.inner and any(ns == NS_CLIENT for ns, _ in stanza.children):
        stanza = stanza.with_children(stanza.element.children)
    return stanza.encode()
