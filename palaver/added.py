"""The domains of a running server that no file names: added, disabled, removed, made hosts when needed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver import jid
from palaver.config import Config, ConfigError
from palaver.errors import StanzaError, StreamError
from palaver.idling import Idling
from palaver.interfaces import IDomains, IHost
from palaver.log import Log
from palaver.routing.domains import Added, Domains
from palaver.routing.emptying import delete_accounts, delete_stored

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.server import Server

log = Log("domains")

GONE = StreamError("host-gone", "This host is served no longer")


@implementer(IDomains)
class AddedDomains:
    """What administrators do with domains, and what their hosts need from the server."""

    def __init__(self, server: Server) -> None:
        self.domains = Domains(server.router, self._make)
        # Makes the certificate of a domain, where none is configured.
        self.make_certificate: Callable[[str], None] = lambda domain: None
        self._server = server
        self._stopping = False
        self._idling = Idling(server, self.domains)
        # Removed domains whose data is being deleted.
        self._emptying: dict[str, Deferred[None]] = {}
        self._changes = DeferredLock()

    async def load(self) -> None:
        """Learn which domains there are. Raises StorageError."""
        self._stopping = False
        await self.domains.load(self._server.storage)

    def go_on(self) -> None:
        """Go on with what the last run of the server has not finished, and look who is idle."""
        self._idling.start()
        for domain in self.domains.removed():
            self._empty(domain)

    async def stop(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._stopping = True
        await self._idling.stop()
        self.domains.forget()
        for domain, emptying in list(self._emptying.items()):
            await self._server.bounded(emptying, domain)

    def hosts(self, config: Config) -> dict[str, str]:
        """Give the host types of the added domains that are hosts now and not named by a config.

        Raises `ConfigError` when the config lacks the type of any added domain.
        """
        # A module that is replaced takes its services back from where the router finds them.
        self.domains.show_all()
        known = self.domains.known
        lacking = {added.host_type for added in known.values()} - {"", *config.general.host_types}
        if lacking:
            raise ConfigError(
                f"general.host_types lacks those of added domains: {', '.join(sorted(lacking))}"
            )
        hosts = self._server.hosts
        return {d: known[d].host_type for d in hosts if d in known and d not in config.hosts}

    # -- IDomains ----------------------------------------------------------------------------

    def list(self) -> Iterator[tuple[str, Added]]:
        """See IDomains."""
        yield from sorted(self.domains.known.items())

    async def add(self, domain: str, host_type: str = "") -> None:
        """See IDomains."""
        await self._in_turn(self._add(domain, host_type))

    async def disable(self, domain: str) -> None:
        """See IDomains."""
        await self._in_turn(self._disable(domain))

    async def enable(self, domain: str) -> None:
        """See IDomains."""
        await self._in_turn(self._enable(domain))

    async def remove(self, domain: str) -> None:
        """See IDomains."""
        await self._in_turn(self._remove(domain))

    async def wake(self, domain: str) -> None:
        """See IDomains."""
        waking = self.domains.wake(domain)
        if waking is not None:
            await waking

    # -- changes ---------------------------------------------------------------------------------

    def _in_turn(self, change: Coroutine[Any, Any, None]) -> Deferred[None]:
        """Have one change after the other: each depends on what those before it have stored."""
        return self._changes.run(lambda: Deferred.fromCoroutine(change))

    async def _add(self, domain: str, host_type: str) -> None:
        types = self._server.config.general.host_types
        if host_type and host_type not in types:
            allowed = ", ".join(types) or "none; general.host_types names them"
            raise StanzaError("item-not-found", f"There is no host type {host_type}; there are: {allowed}.")
        if domain in self.domains.known:
            state = self.domains.known[domain].state
            raise StanzaError("conflict", f"{domain} is there already, {state}.")
        above = domain.partition(".")[2]
        while above:
            # Its modules may serve this very domain.
            waking = self.domains.wake(above)
            if waking is not None:
                await waking
            above = above.partition(".")[2]
        if self._server.router.serves(domain) or domain in self.domains.known:
            raise StanzaError("conflict", f"{domain} is served already.")
        await self._make_certificate(domain)
        await self.domains.put(domain, host_type, "enabled")
        log.info("domain-added", host=domain, host_type=host_type)

    async def _make_certificate(self, domain: str) -> None:
        """Have the certificate there before the first handshake, which nobody should have to wait for."""
        reactor = self._server.reactor
        try:
            await deferToThreadPool(reactor, reactor.getThreadPool(), self.make_certificate, domain)
        except OSError as error:
            # The handshake tries again, and serves another host's certificate if it has to.
            log.error("certificate-unusable", host=domain, error=str(error))

    async def _disable(self, domain: str) -> None:
        await self.domains.put(domain, self._known(domain).host_type, "disabled")
        await self._hide(domain)
        log.info("domain-disabled", host=domain)

    async def _enable(self, domain: str) -> None:
        await self.domains.put(domain, self._known(domain).host_type, "enabled")
        log.info("domain-enabled", host=domain)

    async def _remove(self, domain: str) -> None:
        await self.domains.put(domain, self._known(domain).host_type, "removed")
        await self._hide(domain)
        log.info("domain-removed", host=domain)
        self._empty(domain)

    def _known(self, domain: str) -> Added:
        """Give a domain that may be changed; raises StanzaError."""
        added = self.domains.known.get(domain)
        if domain in self._server.config.hosts:
            raise StanzaError("not-allowed", f"{domain} is named in general.hosts of the configuration.")
        if added is None:
            raise StanzaError("item-not-found", f"There is no added domain {domain}.")
        if added.state == "removed":
            raise StanzaError("conflict", f"{domain} is being removed.")
        return added

    # -- hosts -----------------------------------------------------------------------------------

    async def _make(self, domain: str) -> None:
        """Make the host of a domain, found by others when all its modules are there."""

        async def make() -> None:
            # Meanwhile a reload may have made it, or somebody has taken the domain out.
            if domain not in self._server.hosts and self.domains.serves(domain) and not self._stopping:
                await self._server.make_host(domain, self.domains.known[domain].host_type, self._server.show)

        await self._server.changing.run(lambda: Deferred.fromCoroutine(make()))

    async def _hide(self, domain: str) -> None:
        """Take down the host of a domain, if there is one."""

        async def take_down() -> None:
            self.domains.show(domain)
            host = self._server.hosts.get(domain)
            if host is not None:
                await self._server.remove_host(host, GONE)

        await self._server.changing.run(lambda: Deferred.fromCoroutine(take_down()))

    # -- what is stored for removed domains ----------------------------------------------------

    def _empty(self, domain: str) -> None:
        if domain in self._emptying:
            return
        emptying = self._emptying[domain] = Deferred.fromCoroutine(self._delete(domain))
        emptying.addErrback(partial(self._not_deleted, domain))
        emptying.addCallback(partial(self._deleted, domain))

    @staticmethod
    def _not_deleted(domain: str, failure: Failure) -> None:
        # The domain is still marked, so the next start tries again.
        log.failure("domain-not-emptied", failure, host=domain)

    def _deleted(self, domain: str, _: object) -> None:
        del self._emptying[domain]

    async def _delete(self, domain: str) -> None:
        """Delete all that is stored for a domain; whenever it ends before that, a later start goes on."""
        host_type = self.domains.known[domain].host_type
        below: list[str] = []

        async def make() -> Host:
            # Modules know of what they have stored elsewhere, such as files.
            return await self._server.make_host(
                domain, host_type, lambda host: below.extend(self._below(host))
            )

        changing, storage = self._server.changing, self._server.storage
        host = await changing.run(lambda: Deferred.fromCoroutine(make()))
        try:
            done = await delete_accounts(host, self._goes_on)
        finally:
            await changing.run(lambda: Deferred.fromCoroutine(self._server.remove_host(host, GONE)))
        for each in (domain, *below):
            done = done and await delete_stored(storage, self._server.reactor, each, self._goes_on)
        if done:
            await self.domains.drop(domain)
            log.info("domain-emptied", host=domain)

    def _goes_on(self) -> bool:
        return not self._stopping

    def _below(self, host: Host) -> Iterator[str]:
        """Give the domains of services that a host's own modules have below it, whose data is the host's."""
        prefixes = self._server.router.subdomains.values()
        others = {*self._server.config.hosts, *self._server.config.components(), *self.domains.known}
        for domain, service in self._server.router.below(host.domain):
            above = domain
            while above != host.domain and above not in others and not IHost.providedBy(service):
                above = above.partition(".")[2]
            if above == host.domain and service not in prefixes:
                yield jid.prepare_domain(domain)
