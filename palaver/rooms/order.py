"""What happens in a room, one thing after the other: every occupant sees the same order.

What is said is committed while what came before it is still under way, so that one commit serves many; it
goes out in its turn. All else waits for its turn, and what is said behind it is not begun before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver.errors import StanzaError
from palaver.rooms.broadcast import Broadcast
from palaver.routing.failures import failed

T = TypeVar("T")

MODULE = "mod_muc"

# A sender whose room has more than this before it waits; others do not wait for the room.
MAX_UNHEARD = 100
# Messages that leave in one pass, each session getting all of them in one write.
MAX_TOGETHER = 16


class Ended(StanzaError):
    """The room was there when somebody asked for a turn, and is not by the time of it."""

    def __init__(self) -> None:
        super().__init__("item-not-found", "This room is not there any more")


class Utterance(Protocol):
    """Something that is said."""

    broadcast: Broadcast
    """What everybody gets, once it is begun."""

    def begin(self) -> Deferred[bool] | bool:
        """Check it and begin to commit it; gives whether it is to go out. Its sender is answered here."""

    def goes_out(self) -> None:
        """Hear that everybody who is in the room now gets it."""


class _Turn:
    """One entry: something said, or other work. ``verdict`` is whether what is said goes out, once known."""

    __slots__ = ("begun", "done", "finished", "said", "verdict", "work")

    def __init__(self, said: Utterance | None, work: Callable[[], Awaitable[object] | None] | None) -> None:
        self.said = said
        self.work = work
        self.begun = self.finished = False
        self.verdict: bool | None = None
        self.done: Deferred[None] | None = None


class Order:
    """The turns of one room."""

    __slots__ = ("_busy", "_ended", "_flush", "_queue", "_send_all", "_works")

    def __init__(
        self,
        send_all: Callable[[list[Broadcast]], Deferred[None] | None],
        flush: Callable[[], Deferred[None] | None],
    ) -> None:
        """``send_all`` sends broadcasts to everybody who is in the room; ``flush`` what work has put up.

        Both give what fires once all is sent.
        """
        self._send_all = send_all
        self._flush = flush
        self._queue: deque[_Turn] = deque()
        self._works = 0
        self._busy = self._ended = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._queue

    def say(self, said: Utterance) -> Deferred[None] | None:
        """Have something said; gives None, or what fires when it is committed. Never fails."""
        turn = _Turn(said, None)
        crowded = len(self._queue) >= MAX_UNHEARD
        self._queue.append(turn)
        committing = None if self._works else self._begin(turn)
        if not self._busy:
            self._pump()
        if turn.begun and not crowded:
            return committing if turn.verdict is None else None
        return self._wait_for(turn)

    def work(self, do: Callable[[], Awaitable[object] | None]) -> Deferred[None] | None:
        """Do something in its turn; gives None, or what fires when it is done. Never fails."""
        turn = _Turn(None, do)
        self._queue.append(turn)
        self._works += 1
        if not self._busy:
            self._pump()
        return self._wait_for(turn)

    def end(self) -> None:
        """Hear that the room is not there any more: what waits in `take` writes nothing under its name."""
        self._ended = True

    async def take(self, do: Callable[[], Awaitable[T]]) -> T:
        """Do something in its turn; gives what it gives, or raises what it raises; Ended after `end`."""
        outcome: list[T] = []
        failures: list[Exception] = []

        async def attempt() -> None:
            try:
                if self._ended:
                    raise Ended
                outcome.append(await do())
            except Exception as error:
                failures.append(error)

        waiting = self.work(attempt)
        if waiting is not None:
            await waiting
        if failures:
            raise failures[0]
        return outcome[0]

    @staticmethod
    def _wait_for(turn: _Turn) -> Deferred[None] | None:
        if turn.finished:
            return None
        turn.done = Deferred()
        return turn.done

    # -- the turns ----------------------------------------------------------------------

    def _begin(self, turn: _Turn) -> Deferred[None] | None:
        """Begin to commit what is said; gives what fires when that has come to an end."""
        assert turn.said is not None
        turn.begun = True
        try:
            verdict = turn.said.begin()
        except Exception:
            failed(MODULE, Failure())
            verdict = False
        if isinstance(verdict, bool):
            turn.verdict = verdict
            return None
        settled: Deferred[None] = Deferred()

        def settle(outcome: Any) -> None:
            if isinstance(outcome, Failure):
                failed(MODULE, outcome)
            turn.verdict = outcome is True
            if not self._busy:
                self._pump()
            settled.callback(None)

        verdict.addBoth(settle)
        return settled

    def _pump(self) -> None:
        """Go on until something has to be waited for."""
        self._busy = True
        while self._queue:
            turns = self._ready()
            if not turns:
                # Its commit is under way.
                break
            try:
                waiting = self._do(turns)
            except Exception:
                failed(MODULE, Failure())
                waiting = None
            if waiting is not None and not waiting.called:
                waiting.addBoth(self._go_on, turns)
                return
            self._finish(turns)
        self._busy = False

    def _go_on(self, outcome: object, turns: list[_Turn]) -> None:
        if isinstance(outcome, Failure):
            failed(MODULE, outcome)
        self._finish(turns)
        self._pump()

    def _ready(self) -> list[_Turn]:
        """Give what can be done now: some work, or what is said up to something that is not committed."""
        head = self._queue[0]
        if head.work is not None:
            return [head]
        ready: list[_Turn] = []
        for turn in self._queue:
            if turn.verdict is None or len(ready) == MAX_TOGETHER:
                break
            ready.append(turn)
        return ready

    def _do(self, turns: list[_Turn]) -> Deferred[Any] | None:
        work = turns[0].work
        if work is not None:
            answer = work()
            return self._flush() if answer is None else Deferred.fromCoroutine(self._work_on(answer))
        heard = [turn.said for turn in turns if turn.verdict and turn.said is not None]
        for said in heard:
            said.goes_out()
        return self._send_all([said.broadcast for said in heard]) if heard else None

    def _finish(self, turns: list[_Turn]) -> None:
        for turn in turns:
            self._queue.popleft()
            turn.finished = True
            if turn.work is not None:
                self._works -= 1
                self._begin_next()
        for turn in turns:
            if turn.done is not None:
                turn.done.callback(None)

    def _begin_next(self) -> None:
        """Begin what is said up to the next work."""
        for turn in tuple(self._queue):
            if turn.work is not None:
                return
            if not turn.begun:
                self._begin(turn)

    async def _work_on(self, answer: Awaitable[object]) -> None:
        await answer
        if (sending := self._flush()) is not None:
            await sending
