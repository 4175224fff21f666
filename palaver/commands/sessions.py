"""Commands that are under way: their steps, whose they are, when they are forgotten (XEP-0050 section 3)."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime

from palaver.commands.command import Command, Step
from palaver.commands.typed import NS_COMMANDS
from palaver.errors import StanzaError
from palaver.markup import element

# 128 bits: an id tells nobody else's, and cannot be guessed within its life.
ID_BYTES = 16


class Running(NamedTuple):
    """A command that waits for a form: ``steps`` are those shown so far, the last one now."""

    command: Command
    owner: str
    steps: tuple[Step, ...]
    until: float


class CommandSessions:
    """The open commands of a host, bounded in number and in time; ``owner`` is a full JID as text."""

    def __init__(self, clock: IReactorTime, life_s: float, max_total: int, max_each: int) -> None:
        self._clock = clock
        self._life_s = life_s
        self._max_total = max_total
        self._max_each = max_each
        # The one that was used longest ago comes first.
        self._running: OrderedDict[str, Running] = OrderedDict()

    def __len__(self) -> int:
        return len(self._running)

    def open(self, command: Command, owner: str, step: Step) -> str:
        """Begin a session with a first step and give its id; one too many of an owner ends their oldest.

        Raises StanzaError ``resource-constraint`` when there are too many of all.
        """
        self.expire()
        own = [key for key, running in self._running.items() if running.owner == owner]
        if len(own) >= self._max_each:
            del self._running[own[0]]
        elif len(self._running) >= self._max_total:
            raise StanzaError("resource-constraint", "Too many commands are under way")
        key = secrets.token_urlsafe(ID_BYTES)
        self.put(key, Running(command, owner, (step,), 0))
        return key

    def put(self, key: str, running: Running) -> None:
        """Have a session wait for its next step, from now on."""
        self._running[key] = running._replace(until=self._clock.seconds() + self._life_s)
        self._running.move_to_end(key)

    def take(self, key: str, command: Command, owner: str) -> Running:
        """Take a session out while its step is done: a second request for it finds nothing.

        Raises StanzaError: ``bad-sessionid`` when it is not theirs, ``session-expired`` when it was.
        """
        running = self._running.get(key)
        if running is None or running.owner != owner or running.command.node != command.node:
            raise StanzaError("bad-request", extra=element("bad-sessionid", NS_COMMANDS))
        del self._running[key]
        if running.until <= self._clock.seconds():
            raise StanzaError("not-allowed", extra=element("session-expired", NS_COMMANDS))
        return running

    def expire(self) -> None:
        """Forget those that nobody has gone on with for twice their life; until then they answer so."""
        now = self._clock.seconds()
        while self._running:
            key, running = next(iter(self._running.items()))
            if running.until + self._life_s > now:
                return
            del self._running[key]

    def forget(self, owner: str) -> None:
        """Forget what somebody has left open."""
        for key in [key for key, running in self._running.items() if running.owner == owner]:
            del self._running[key]
