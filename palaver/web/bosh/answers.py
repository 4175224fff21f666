"""What leaves a BOSH session: answers to the requests that are held, again those that were lost, and the end.

What the stream writes leaves with the oldest request that is held, all of a reactor turn together.
"""

from __future__ import annotations

import re
from typing import Any

from palaver import metrics
from palaver.log import Log
from palaver.streams.listener import Listener
from palaver.streams.tcp import Connection
from palaver.web.bosh import body
from palaver.web.bosh.replies import Replies, Reply
from palaver.web.bosh.terms import Poll, Terms
from palaver.web.exchange import answer
from palaver.web.standalone import standalone

log = Log("bosh")

# The same request may come again as often as networks break in a minute, not in a loop.
MAX_REPEATS = 10

_match_error = re.compile(rb"<stream:error><([\w-]+)").match
# Stream errors that have a condition of their own (section 17.2); all others are remote-stream-error.
_CONDITIONS = {
    b"host-unknown": "host-unknown",
    b"improper-addressing": "improper-addressing",
    b"system-shutdown": "system-shutdown",
}


class Answers(Connection):
    """A connection whose bytes leave as answers; who asks, and when, is known to `BoshSession`."""

    __slots__ = (
        "_condition", "_early", "_feeding", "_held", "_last_poll", "_last_words", "_opened", "_quiet_since",
        "_replies", "_report", "_rid", "_sessions", "_sid", "_size", "_told", "terms",
    )  # fmt: skip

    def __init__(
        self,
        factory: Listener,
        address: str,
        secure: bool,
        sessions: dict[str, Any],
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
        self._last_poll: Poll | None = None
        # True when the answer to the last poll had no payload.
        self._told = False
        # True while the stream is given what a request holds.
        self._feeding = False
        # Bytes that wait for a request.
        self._size = 0
        self._quiet_since = self.heard
        # What the first answer says of the session, None from then on.
        self._opened: dict[str, str] | None = {}
        # Why the stream ends, and what is said of it to whoever asks next.
        self._condition: str | None = None
        self._last_words: bytes | None = None
        # The rid of an answer that the client has missed.
        self._report: int | None = None

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
