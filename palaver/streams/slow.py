"""The log of slow stanzas: those whose handling takes longer than ``general.slow_stanza_ms``.

Nothing is timed. Those that wait stand in a dictionary, in the order in which they came; a timer puts marks
between them, and finds behind how many marks the first ones are. Those that block the process are seen by a
thread (`palaver.streams.blocking`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.task import LoopingCall

from palaver import metrics
from palaver.log import Log
from palaver.routing.places import Place, waits_at
from palaver.stanza import Stanza

log = Log("slow")

slow_stanzas = metrics.tally("slow_stanzas", "Stanzas whose handling took too long, and what it did.", "how")

# How often to look within the threshold: so much may be missing in what is said.
LOOKS = 4
# What has not ended after so many thresholds is told of as it is.
PATIENCE = 10
# Lines between two looks; the rest is counted. A database that stops would fill the disk otherwise.
MAX_LINES = 10


class Watch:
    """What waits. There is one for the process, and streams add to it and take away without a call."""

    __slots__ = ("ended", "is_on", "waits")

    def __init__(self) -> None:
        self.is_on = False
        # Stanzas, with the Deferred that their handling has given; between them the marks, which are times.
        self.waits: dict[Stanza | float, Any] = {}
        # Called for one that is done and is in ``waits`` no longer.
        self.ended: Callable[[Stanza], None] = _forget


def _forget(stanza: Stanza) -> None:
    """Do nothing about a stanza that nobody watches."""


watch = Watch()


class _Late(NamedTuple):
    """A stanza that has waited for too long."""

    place: Place
    since_s: float


class SlowLog:
    """Writes the lines."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._threshold_s = 0.0
        self._late: dict[Stanza, _Late] = {}
        self._lines = 0
        self._looks: Any = None
        self._blocking: Any = None

    def set(self, threshold_s: float) -> None:
        """Begin to watch; 0: stop."""
        if threshold_s == self._threshold_s:
            return
        self._stop()
        self._threshold_s = threshold_s
        if threshold_s:
            self._start()

    def _start(self) -> None:
        # A thread is made by those who want it.
        from palaver.streams.blocking import Sampler

        watch.waits.clear()
        watch.ended = self._ended
        watch.is_on = True
        self._looks = LoopingCall(self._look)
        self._looks.clock = self._reactor
        self._looks.start(self._threshold_s / LOOKS, now=False)
        self._blocking = Sampler(self._reactor, self._threshold_s, self._blocked)
        self._blocking.start()

    def _stop(self) -> None:
        if self._looks is None:
            return
        self._looks.stop()
        self._blocking.stop()
        self._looks = self._blocking = None
        self._late.clear()
        # Another server of this process may watch by now.
        if watch.ended == self._ended:
            watch.is_on = False
            watch.ended = _forget
            watch.waits.clear()

    # -- what waits ---------------------------------------------------------------------

    def _look(self) -> None:
        """Find who has waited for too long, and put a mark behind the others."""
        now = self._reactor.seconds()
        if self._lines > MAX_LINES:
            log.warn("more-slow-stanzas", count=self._lines - MAX_LINES)
        self._lines = 0
        self._find_late(now)
        for stanza, late in list(self._late.items()):
            if now - late.since_s < PATIENCE * self._threshold_s:
                break
            del self._late[stanza]
            self._tell("still-waits", stanza, late.place, now - late.since_s)
        watch.waits[now] = None

    def _find_late(self, now: float) -> None:
        found: list[Stanza] = []
        for key in list(watch.waits):
            if isinstance(key, Stanza):
                found.append(key)
                continue
            # Whatever stands before a mark has waited for longer.
            if now - key < self._threshold_s:
                break
            del watch.waits[key]
            for stanza in found:
                self._late[stanza] = _Late(waits_at(watch.waits.pop(stanza), stanza), key)
            found.clear()

    def _ended(self, stanza: Stanza) -> None:
        """Tell of one that has waited for too long and is done."""
        late = self._late.pop(stanza, None)
        if late is not None:
            self._tell("waited", stanza, late.place, self._reactor.seconds() - late.since_s)

    # -- what blocks ---------------------------------------------------------------------

    def _blocked(self, stanza: Stanza, place: Place, at: str, lasted_s: float) -> None:
        """Tell of one that has held up everybody."""
        self._tell("blocked", stanza, place, lasted_s, at=at)

    def _tell(self, how: str, stanza: Stanza, place: Place, lasted_s: float, **more: str) -> None:
        slow_stanzas[how] += 1
        self._lines += 1
        if self._lines > MAX_LINES:
            return
        values = {"type": stanza.attrs.get("type"), "module": place.module, "phase": place.phase, **more}
        if stanza.name == "iq" and stanza.children:
            values["payload"] = " ".join(stanza.children[0])
        log.warn(
            "slow-stanza",
            how=how,
            ms=round(lasted_s * 1000),
            name=stanza.name,
            sender=stanza.attrs.get("from", "").partition("/")[0],
            **{name: value for name, value in values.items() if value},
        )
