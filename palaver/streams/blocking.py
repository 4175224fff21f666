"""A thread that sees which stanza blocks the process, and where in the code.

It looks a few times within the threshold, so whoever is quick costs nothing.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

from palaver.routing.places import Place, Running, runs_at
from palaver.stanza import Stanza

# Within the threshold: what lasts longer by the time between two looks is always seen.
LOOKS = 4

Told = Callable[[Stanza, Place, str, float], None]
"""Called in the reactor's thread with a stanza, where it has mostly been, file and line, and seconds."""


class Sampler:
    """Looks at the thread of the reactor, which makes it."""

    def __init__(self, reactor: Any, threshold_s: float, told: Told) -> None:
        self._reactor = reactor
        self._threshold_s = threshold_s
        self._told = told
        self._watched = threading.get_ident()
        self._over = threading.Event()
        self.now: Callable[[], float] = time.monotonic
        # What was seen the last time, since when, and how often where.
        self._frame: FrameType | None = None
        self._stanza: Stanza | None = None
        self._since_s = 0.0
        self._places: Counter[tuple[Place, str]] = Counter()
        self._is_told = False

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="slow stanzas", daemon=True).start()

    def stop(self) -> None:
        """End; nobody waits for that."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(self._threshold_s / LOOKS):
            self.look()

    def look(self) -> None:
        """See what is running."""
        now_s = self.now()
        running = runs_at(sys._current_frames().get(self._watched))
        if running is None:
            self._frame = self._stanza = None
            return
        if running.frame is not self._frame or running.stanza is not self._stanza:
            self._begin(running, now_s)
        self._places[running.place, running.at] += 1
        lasted = now_s - self._since_s
        if not self._is_told and lasted >= self._threshold_s * (LOOKS - 1) / LOOKS:
            self._is_told = True
            # It is called once the reactor runs again: when all this is over.
            self._reactor.callFromThread(self._tell, running.stanza, self._since_s, self._places)

    def _begin(self, running: Running, now_s: float) -> None:
        self._frame, self._stanza, self._since_s = running.frame, running.stanza, now_s
        self._places = Counter()
        self._is_told = False

    def _tell(self, stanza: Stanza, since_s: float, places: Counter[tuple[Place, str]]) -> None:
        lasted = self.now() - since_s
        if lasted >= self._threshold_s and not self._over.is_set():
            (place, at), _ = places.most_common(1)[0]
            self._told(stanza, place, at, lasted)
