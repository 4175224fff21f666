"""Hosts of added domains that nobody uses any more: they are taken out of memory, and made again when needed.

A host is in use while it has a session or a stream, or a module that holds in memory what would be lost. One
that has not been for a while is hidden first: what is under way ends with its modules still there, and
whoever asks for it meanwhile finds it again at once. Then it is taken down, as at the server's end.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from palaver.errors import StreamError
from palaver.log import Log
from palaver.routing.domains import Domains

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.server import Server

log = Log("domains")

LOOK_EVERY_S = 60.0
# What had begun before nobody found the host any more is done by then, with a database that answers.
HIDDEN_S = 30.0

# Hiding looks at every service; a few at once keep nobody waiting.
MAX_AT_ONCE = 50

ASLEEP = StreamError("host-gone", "Nobody has used this host for long")


class Idling:
    """Looks now and then which hosts of added domains are idle."""

    def __init__(self, server: Server, domains: Domains) -> None:
        self._server = server
        self._domains = domains
        self._look: Any = None
        # Since when nothing has used a host, by domain.
        self._since: dict[str, float] = {}
        self._timers: dict[str, Any] = {}
        self._leaving: set[Deferred[None]] = set()

    def start(self) -> None:
        """Look from now on."""
        self._look = LoopingCall(self.look)
        self._look.clock = self._server.reactor
        self._look.start(LOOK_EVERY_S, now=False)

    async def stop(self) -> None:
        """Look no more, have every host found again, and wait for those that are being taken down."""
        if self._look is not None:
            self._look.stop()
            self._look = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._since.clear()
        self._domains.show_all()
        for leaving in list(self._leaving):
            await leaving

    def look(self) -> None:
        """Hide the hosts that have been idle for long enough."""
        idle_s = self._server.config.general.domain_idle_s
        now = self._server.reactor.seconds()
        spoken_to = self._server.hosts_spoken_to()
        since: dict[str, float] = {}
        for domain, host in list(self._server.hosts.items()):
            if not idle_s or not self._was_added(domain) or self._in_use(host, spoken_to):
                continue
            since[domain] = self._since.get(domain, now)
        self._since = since
        due = (domain for domain, begun in since.items() if now - begun >= idle_s)
        for domain in list(islice((domain for domain in due if domain not in self._timers), MAX_AT_ONCE)):
            self._domains.hide(self._server.hosts[domain])
            self._timers[domain] = self._server.reactor.callLater(HIDDEN_S, self._take_down, domain)

    def _was_added(self, domain: str) -> bool:
        return domain in self._domains.known and domain not in self._server.config.hosts

    @staticmethod
    def _in_use(host: Host, spoken_to: set[Any]) -> bool:
        return bool(host.users) or host in spoken_to or any(each.in_use() for each in host.modules.values())

    def _take_down(self, domain: str) -> None:
        del self._timers[domain]
        changing = self._server.changing
        leaving = changing.run(lambda: Deferred.fromCoroutine(self._taken_down(domain)))
        leaving.addErrback(lambda failure: log.failure("host-not-taken-down", failure, host=domain))
        self._leaving.add(leaving)
        leaving.addBoth(lambda _: self._leaving.discard(leaving))

    async def _taken_down(self, domain: str) -> None:
        host = self._server.hosts.get(domain)
        if host is None or not self._domains.is_hidden(domain):
            # Somebody has asked for it, or it is gone already.
            return
        if self._in_use(host, self._server.hosts_spoken_to()):
            self._domains.show(domain)
            return
        self._domains.forget_hidden(domain)
        await self._server.remove_host(host, ASLEEP)
        log.info("host-asleep", host=domain)
