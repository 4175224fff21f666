"""A BOSH session (XEP-0124): a connection for client streams whose bytes come and go in requests.

Requests are taken in the order of their rid; one that came early waits unread. What the stream
writes leaves with the oldest request that is held, all of a reactor turn together.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, NamedTuple

from palaver import metrics
from palaver.errors import NS_ERRORS, StreamError
from palaver.log import Log
from palaver.markup import element
from palaver.streams.listener import Listener
from palaver.streams.tcp import Connection
from palaver.streams.wheel import TICK_S
from palaver.web.bosh import body
from palaver.web.bosh.body import MAX_RID, VERSION, Body, number
from palaver.web.bosh.replies import Replies, Reply
from palaver.web.exchange import answer
from palaver.web.opening import END, stream_header
from palaver.web.standalone import standalone

log = Log("bosh")

# The same request may come again as often as networks break in a minute, not in a loop.
MAX_REPEATS = 10
# Section 9: a client that has not got an answer by then is told of it.
REPORT_AFTER_S = 5.0

_match_error = re.compile(rb"<stream:error><([\w-]+)").match
# Stream errors that have a condition of their own (section 17.2); all others are remote-stream-error.
_CONDITIONS = {
    b"host-unknown": "host-unknown",
    b"improper-addressing": "improper-addressing",
    b"system-shutdown": "system-shutdown",
}


class Terms(NamedTuple):
    """What was agreed upon when the session began. Times are seconds."""

    wait: int
    hold: int
    inactivity: float
    polling: int
    max_pause: int
    acks: bool
    """Whether the server acknowledges requests."""
    client_acks: bool
    headers: bytes
    """Of every answer."""

    @property
    def requests(self) -> int:
        """How many requests may be open at once."""
        return self.hold + 1

    @property
    def polls(self) -> bool:
        """True when no request is held."""
        return not self.hold or not self.wait


class Poll:
    """A request that came."""

    __slots__ = ("arrived", "body", "repeats", "request", "rid")

    def __init__(self, rid: int, body: Body, request: Any, arrived: float) -> None:
        self.rid = rid
        self.body = body
        # None once its client is gone.
        self.request = request
        self.arrived = arrived
        self.repeats = 0


class BoshSession(Connection):
    """One session; ``stream`` gets what a client over TCP would have sent."""

    __slots__ = (
        "_condition", "_early", "_feeding", "_held", "_key", "_last_poll", "_last_words", "_login_by",
        "_opened", "_pause", "_quiet_since", "_replies", "_report", "_rid", "_sessions", "_sid", "_size",
        "_told", "terms",
    )  # fmt: skip

    def __init__(
        self,
        factory: Listener,
        address: str,
        secure: bool,
        sessions: dict[str, BoshSession],
        sid: str,
        terms: Terms,
    ) -> None:
        """``sessions`` is where requests find it by its ``sid``."""
        super().__init__(factory, address)
        self.secure = secure
        self.terms = terms
        self._sid = sid
        self._sessions = sessions
        # The last request that was taken, and those that came before their turn.
        self._rid = 0
        self._early: dict[int, Poll] = {}
        # Those that are not answered, the oldest first.
        self._held: list[Poll] = []
        self._replies = Replies(terms.requests, terms.client_acks)
        self._key: str | None = None
        self._last_poll: Poll | None = None
        # True when the answer to the last poll had no payload.
        self._told = False
        self._feeding = False
        self._size = 0
        self._pause: float | None = None
        self._quiet_since = self.heard
        self._login_by = self.heard + factory.settings.auth_timeout_s
        # What the first answer says of the session, None from then on.
        self._opened: dict[str, str] | None = {}
        # Why the stream ends, and what is said of it to whoever asks next.
        self._condition: str | None = None
        self._last_words: bytes | None = None
        self._report: int | None = None

    def begin(self, first: Body, rid: int, request: Any, opened: dict[str, str]) -> None:
        """Open the session; ``opened`` is what the first answer says of it."""
        self._sessions[self._sid] = self
        self._opened = opened
        self._rid = rid - 1
        self.connectionMade()
        self.receive(first, rid, request)

    # -- requests ---------------------------------------------------------------------------

    def receive(self, what: Body, rid: int, request: Any) -> None:
        """Take a request."""
        now = self._quiet_since = self.factory.wheel.now()
        poll = Poll(rid, what, request, now)
        request.awaits = self
        early = self._early.get(rid)
        if self._closing:
            self._refuse(poll)
        elif rid <= self._rid:
            self._repeat(poll)
        elif rid > self._rid + self.terms.requests:
            self._fail(poll, "item-not-found")
        elif self._are_too_many(poll):
            self._fail(poll, "policy-violation")
        else:
            if early is not None:
                self._answer_alone(early, body.RECOVERABLE)
            self._early[rid] = poll
            self._take_all()
        self._restore_deadline()

    def _are_too_many(self, poll: Poll) -> bool:
        """Tell whether a client has more requests open than it may; one more is for a pause or the end."""
        if poll.body.ends or "pause" in poll.body.attrs:
            return False
        others = (*self._held, *self._early.values())
        return sum(other.request is not None for other in others) >= self.terms.requests

    def _take_all(self) -> None:
        """Take the requests whose turn it is, unless the stream has enough for now."""
        while not self._paused and not self._closing:
            poll = self._early.pop(self._rid + 1, None)
            if poll is None:
                return
            self._rid = poll.rid
            self._take(poll)

    def _take(self, poll: Poll) -> None:
        what = poll.body
        self.heard, before = poll.arrived, self.heard
        if not self._knows_key(what):
            self._fail(poll, "item-not-found")
            return
        self._note_ack(what, poll)
        pause = what.attrs.get("pause")
        if pause is None and not what.ends and self._is_too_fast(poll):
            self._fail(poll, "policy-violation")
            return
        self._last_poll = poll
        self._pause = None
        self._held.append(poll)
        size = len(what.inner)
        metrics.bytes_in.value += size
        rate = self.factory.settings.rate
        if rate is not None:
            self._spend(size, rate, self.heard - before)
        if pause is not None and not self._set_pause(pause):
            self._held.remove(poll)
            self._fail(poll, "policy-violation")
            return
        self._feed(what)
        if self._closing:
            return
        if pause is not None:
            self._answer_all_empty()
        self._settle()

    def _feed(self, what: Body) -> None:
        """Give the stream what a request holds; what it answers at once leaves together."""
        stream = self.stream
        self._feeding = True
        try:
            if what.restarts or self._opened is not None:
                stream.data_received(_header(what.attrs))
            if what.inner and not what.restarts:
                self._payload(what.inner)
            if what.ends:
                stream.data_received(END)
        finally:
            self._feeding = False

    def _payload(self, inner: bytes) -> None:
        stream, settings = self.stream, self.factory.settings
        limit = settings.max_stanza_bytes if stream.authenticated else settings.max_unauthenticated_bytes
        if len(inner) > limit:
            stream.end(StreamError("policy-violation", extra=element("stanza-too-big", NS_ERRORS)))
            return
        stream.data_received(inner)
        if stream.is_open and stream.unfinished:
            stream.end(StreamError("not-well-formed", "A body holds whole elements"))

    def _knows_key(self, what: Body) -> bool:
        """Check the key of a request, and note what the next one must have (section 15)."""
        attrs = what.attrs
        key = attrs.get("key")
        if self._key is not None:
            if key is None:
                return False
            digest = hashlib.sha1(key.lower().encode(), usedforsecurity=False).hexdigest()
            if not hmac.compare_digest(digest, self._key):
                return False
        following = attrs.get("newkey", key if self._key is not None else None)
        self._key = following.lower() if following is not None else None
        return True

    def _is_too_fast(self, poll: Poll) -> bool:
        """Tell whether a client polls more often than it may (sections 11 and 12)."""
        last, terms = self._last_poll, self.terms
        if poll.body.inner or poll.body.restarts or last is None:
            return False
        if poll.arrived - last.arrived >= terms.polling:
            return False
        if terms.polls:
            return self._told and not last.body.inner and not last.body.restarts
        return sum(held.request is not None for held in self._held) + 1 >= terms.requests

    def _set_pause(self, text: str) -> bool:
        """Let the client be away for a while; False when that is too long (section 10)."""
        self._pause = number(text, int(self.terms.max_pause))
        return bool(self._pause)

    def _note_ack(self, what: Body, poll: Poll) -> None:
        """Forget answers that the client has, and see whether it has missed one (section 9.2)."""
        if not self.terms.client_acks or self._opened is not None:
            return
        acked = number(what.attrs.get("ack"), MAX_RID)
        if acked is None:
            acked = poll.rid - 1
        self._replies.acknowledge(acked)
        missed = self._replies.get(acked + 1) if acked < self._replies.last else None
        if missed is not None and poll.arrived - missed.when >= REPORT_AFTER_S:
            self._report = acked + 1

    def _repeat(self, poll: Poll) -> None:
        """Answer a request that has come before (section 14.3)."""
        reply, key = self._replies.get(poll.rid), poll.body.attrs.get("key")
        held = next((held for held in self._held if held.rid == poll.rid), None)
        if reply is not None and reply.key == key:
            metrics.bosh_requests["repeated"] += 1
            self._answer_alone(poll, reply.data)
        elif held is None or held.body.attrs.get("key") != key:
            self._fail(poll, "item-not-found")
        elif held.repeats >= MAX_REPEATS:
            self._fail(poll, "policy-violation")
        else:
            self._answer_alone(held, body.RECOVERABLE)
            held.repeats += 1
            held.request, held.arrived = poll.request, poll.arrived
            self.heard = poll.arrived
            self._settle()

    def request_lost(self, request: Any) -> None:
        """Note that the client of a request is gone; it may ask again."""
        for poll in (*self._held, *self._early.values()):
            if poll.request is request:
                poll.request = None
        if not self._closing:
            self._quiet_since = self.factory.wheel.now()
            self._restore_deadline()

    # -- answers -------------------------------------------------------------------------------

    def flush(self) -> None:
        """See Connection: give what is queued to the oldest request."""
        if self._closing:
            return
        if self._size > self.factory.settings.max_unsent_bytes:
            log.info("cut-off", address=self.address)
            self._lose()
        else:
            self._settle()
            self._restore_deadline()

    def _settle(self) -> None:
        """Answer what is not to be held any longer."""
        held, hold = self._held, 0 if self.terms.polls else self.terms.hold
        while held and (len(held) > hold or self._out or not self._is_settled()):
            poll = held[0]
            if poll.request is None and len(held) == 1:
                # Its client will ask again, or is gone.
                return
            self._answer(held.pop(0), poll.request is not None)

    def _is_settled(self) -> bool:
        """Tell whether there is nothing to say of the session itself."""
        return self._opened is None and self._report is None

    def _answer(self, poll: Poll, with_payload: bool = True) -> None:
        """Answer a request, with what is queued."""
        payload = b""
        if with_payload and self._out:
            payload = b"".join(map(standalone, self._out))
            self._out.clear()
            self._size = 0
        if poll is self._last_poll:
            self._told = not payload
        self._give(poll, body.write(payload, self._attributes(poll)))

    def _attributes(self, poll: Poll) -> dict[str, str] | None:
        """Give what an answer says of the session."""
        opened, self._opened = self._opened, None
        attrs = opened or {}
        if self.terms.acks and poll.rid != self._rid:
            attrs["ack"] = str(self._rid)
        report, self._report = self._report, None
        missed = self._replies.get(report) if report is not None else None
        if missed is not None:
            attrs["report"] = str(report)
            attrs["time"] = str(int((self.factory.wheel.now() - missed.when) * 1000))
        return attrs

    def _answer_all_empty(self) -> None:
        """Answer every request with nothing, also when there is something (section 10)."""
        held, self._held = self._held, []
        for poll in held:
            self._answer(poll, False)

    def _give(self, poll: Poll, data: bytes) -> None:
        """Answer a request, and keep the answer."""
        now = self.factory.wheel.now()
        self._quiet_since = now
        self._replies.add(poll.rid, Reply(data, poll.body.attrs.get("key"), now))
        self._answer_alone(poll, data)

    def _answer_alone(self, poll: Poll, data: bytes) -> None:
        request, poll.request = poll.request, None
        if request is not None:
            request.awaits = None
            metrics.bytes_out.value += len(data)
            answer(request, data, self.terms.headers)

    def _refuse(self, poll: Poll) -> None:
        """Answer a request behind the end."""
        reply = self._replies.get(poll.rid)
        if reply is not None:
            self._answer_alone(poll, reply.data)
        elif self._last_words is not None:
            last_words, self._last_words = self._last_words, None
            self._give(poll, last_words)
        else:
            self._answer_alone(poll, body.terminate("item-not-found"))

    def _fail(self, poll: Poll, condition: str) -> None:
        """End the session for what its client did against BOSH."""
        log.info("refused", address=self.address, condition=condition)
        metrics.bosh_requests[condition] += 1
        for other in (poll, *self._requests_left()):
            self._answer_alone(other, body.terminate(condition))
        self._lose()

    # -- the stream speaks --------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue one element; it leaves with the others of this reactor turn."""
        if not self._out and not self._feeding:
            # A request that is being taken looks for what was written itself.
            self.factory.flusher.add(self)
        found = _match_error(data)
        if found is not None:
            self._condition = _CONDITIONS.get(found[1], "remote-stream-error")
            if found[1] in _CONDITIONS:
                return
        before, limit = self._size, self.factory.settings.max_unsent_bytes
        self._size = before + len(data)
        if self._size <= limit:
            self._out.append(data)
        elif before <= limit:
            # It is gone a turn later only; what else it has sent would be answered into nowhere.
            self.stream.hold()
            self.factory.flusher.add(self)

    def open_stream(self, attrs: dict[str, str]) -> None:
        """See Connection; the first answer has what a stream header says."""
        if self._opened is not None:
            self._opened["from"] = attrs["from"]
            self._opened["authid"] = attrs["id"]

    def close_stream(self) -> None:
        """See Connection: the oldest request gets the rest, and the end."""
        self._end_session()
        condition = self._condition
        last_words = body.terminate(condition, b"".join(map(standalone, self._out)))
        self._out.clear()
        self._last_words = last_words
        for poll in self._requests_left():
            if poll.request is not None:
                told, self._last_words = self._last_words, None
                self._give(poll, told or (body.terminate(condition) if condition else body.EMPTY))
        # Whoever asks again, or for the first time since, is told what happened.
        self.expire_in(self.terms.inactivity, self._forget)

    def _requests_left(self) -> list[Poll]:
        """Take the requests that are not answered, in their order."""
        left = [*self._held, *(self._early[rid] for rid in sorted(self._early))]
        self._held = []
        self._early.clear()
        return left

    def close(self) -> None:
        """See Connection."""
        self._lose()

    def keep_alive(self) -> None:
        """Do nothing: a client that is there asks."""

    def bindings(self) -> Any:
        """Give no channel bindings: requests come over many connections."""
        return {}

    @property
    def may_compress(self) -> bool:
        """See Connection: elements come and go in bodies here, which is no place for XEP-0138."""
        return False

    def certificate(self) -> None:
        """Give no certificate."""

    def pause(self) -> None:
        """Take no more requests until `resume` has been called as often."""
        self._paused += 1

    def resume(self) -> None:
        """Take one reason to pause away."""
        self._paused -= 1
        if not self._paused and self._early and not self._feeding:
            # Not under whoever is done with what came before.
            self.factory.clock.callLater(0, self._go_on)

    def _go_on(self) -> None:
        if not self._closing:
            self._take_all()
            self._restore_deadline()

    # -- the end ---------------------------------------------------------------------------------

    def _end_session(self) -> None:
        """Count it no longer."""
        self.authenticated()
        self._closing = True
        if self._refill is not None:
            self._refill.cancel()
            self._refill = None
        self.factory.connections.discard(self)

    def _lose(self) -> None:
        """Note that the client is gone."""
        if not self._closing:
            self._end_session()
            self.stream.connection_lost()
        self._out.clear()
        self._forget()

    def _forget(self) -> None:
        self.factory.wheel.forget(self)
        self._on_deadline = None
        if self._sessions.get(self._sid) is self:
            del self._sessions[self._sid]

    # -- deadlines ---------------------------------------------------------------------------------

    def _restore_deadline(self) -> None:
        """Wait for the login, for the end of the oldest request's wait, or for another request."""
        if not self._closing:
            self._on_deadline = self._due
            self.deadline = min(self._next_deadline(), self._login_by if self._stranger else float("inf"))
            self.factory.wheel.watch(self)

    def _next_deadline(self) -> float:
        for poll in self._held:
            if poll.request is not None:
                # The wheel is late by a tick at most, and never too early for what is at least two.
                return poll.arrived + max(self.terms.wait - TICK_S, TICK_S / 2)
        return self._quiet_since + (self.terms.inactivity if self._pause is None else self._pause)

    def _due(self) -> None:
        now = self.factory.wheel.now()
        if self._stranger and now >= self._login_by:
            self._login_timed_out()
            return
        if now >= self._next_deadline():
            while self._held and self._held[0].request is None:
                self._answer(self._held.pop(0), False)
            if self._held:
                self._answer(self._held.pop(0))
            elif self._paused:
                # What has come is not taken yet: it is not the client that keeps silent.
                self._quiet_since = now
            else:
                log.info("inactive", address=self.address)
                self._lose()
        self._restore_deadline()


def _header(attrs: dict[str, str]) -> bytes:
    """Give the stream header that a request stands for."""
    known: dict[str, str] = {name: attrs[name] for name in ("to", "from", "xml:lang") if name in attrs}
    known["version"] = attrs.get(VERSION, "1.0")
    return stream_header(known)
