"""A BOSH session (XEP-0124): a connection for client streams whose bytes come and go in requests.

Requests are taken in the order of their rid; one that came early waits unread. How they are answered is in
`palaver.web.bosh.answers`.
"""

from __future__ import annotations

from typing import Any

from palaver import metrics
from palaver.errors import NS_ERRORS, StreamError
from palaver.log import Log
from palaver.markup import element
from palaver.streams.listener import Listener
from palaver.streams.wheel import TICK_S
from palaver.web.bosh import body
from palaver.web.bosh.answers import Answers
from palaver.web.bosh.body import MAX_RID, VERSION, Body, number
from palaver.web.bosh.keys import Keys
from palaver.web.bosh.terms import Poll, Terms
from palaver.web.opening import END, stream_header

log = Log("bosh")

# Section 9: a client that has not got an answer by then is told of it.
REPORT_AFTER_S = 5.0


class BoshSession(Answers):
    """One session; ``stream`` gets what a client over TCP would have sent."""

    __slots__ = ("_keys", "_login_by", "_pause")

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
        super().__init__(factory, address, secure, sessions, sid, terms)
        self._keys = Keys()
        # For how long the client has said that it is away.
        self._pause: float | None = None
        self._login_by = self.heard + factory.settings.auth_timeout_s

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
        if not self._keys.accept(what.attrs):
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

    def request_lost(self, request: Any) -> None:
        """Note that the client of a request is gone; it may ask again."""
        for poll in (*self._held, *self._early.values()):
            if poll.request is request:
                poll.request = None
        if not self._closing:
            self._quiet_since = self.factory.wheel.now()
            self._restore_deadline()

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
