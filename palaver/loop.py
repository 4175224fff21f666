"""Twisted's epoll reactor without a log context for each event.

Twisted sets up two contexts around every read and write so that log lines can be traced to a
transport. Nothing here logs by them, and they are a tenth of what a short message costs.
Only ``palaver start`` runs on this; inside another application its reactor serves as well.
"""

from __future__ import annotations

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor


class Reactor(EPollReactor):
    """An `EPollReactor` that goes straight to the transports."""

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events and serve them; see `EPollReactor.doPoll`, whose private names this leans on."""
        selectables = self._selectables
        serve = self._doReadOrWrite
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, len(selectables) or 1)
        except InterruptedError:
            return
        for descriptor, event in events:
            # An event before this one may have closed it.
            selectable = selectables.get(descriptor)
            if selectable is not None:
                serve(selectable, descriptor, event)

    doIteration = doPoll


def install() -> None:
    """Make it the reactor of this process; raises `ReactorAlreadyInstalledError` when there is one."""
    installReactor(Reactor())
