"""The server without its sockets: storage, hosts and the modules on them, after a config."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface.registry import Components

from palaver.added import AddedDomains
from palaver.auth.guests import is_guest
from palaver.auth.methods import AccountsMaker, accounts_for, authenticator_for, server_secret
from palaver.beside import Beside, Undo
from palaver.cluster.registry import MemoryRegistry
from palaver.config import Config, ConfigError
from palaver.errors import StreamError
from palaver.events import SessionUnbound
from palaver.interfaces import IComponents, IDomains, IRegistry, IRosters
from palaver.log import Log
from palaver.plan import HostPlan, Plan
from palaver.routing.host import Host
from palaver.routing.lifecycle import forget_guest
from palaver.routing.rosters import ROSTER_KINDS, StoredRosters
from palaver.routing.router import Router
from palaver.settings import Auth
from palaver.storage.open import open_storage
from palaver.waiting import settled
from palaver.web.interfaces import IDataFolder

log = Log("server")

# For a module to stop; whatever it waits for, the storage must still be committed and closed.
STOP_S = 10.0

GONE = StreamError("host-gone", "This host is served no longer")
DOWN = StreamError("system-shutdown", "The server is going down")


class Server:
    """Everything that a running Palaver is, except its listening sockets.

    ``accounts`` takes the place of the method internal of ``[auth]``: called with a domain, it
    gives the IAccounts of that host, or None for those in the storage.
    """

    def __init__(self, config: Config, reactor: Any, accounts: AccountsMaker | None = None) -> None:
        self.config = config
        self.reactor = reactor
        self.router = Router()
        self.registry = Components("palaver")
        self.registry.registerUtility(MemoryRegistry(reactor), IRegistry)
        self.registry.registerUtility(config.general.data_dir, IDataFolder)
        self.hosts: dict[str, Host] = {}
        self.storage: Any = None
        self._accounts = accounts
        self._secret = b""
        self._auth: dict[str, tuple[Auth, bool]] = {}
        self.beside = Beside(self.router, reactor)
        self.registry.registerUtility(self.beside.components, IComponents)
        # Domains that are added while the server runs.
        self.added = AddedDomains(self)
        self.registry.registerUtility(self.added, IDomains)
        # Ends the streams of a host that goes, those without a session too.
        self.end_streams: Callable[[Host, StreamError], None] = lambda host, error: None
        # Gives the hosts that streams are for, those without a session too.
        self.hosts_spoken_to: Callable[[], set[Any]] = set
        # Hosts are made, changed and taken away one after the other.
        self.changing = DeferredLock()
        # Guests who have just gone and whose data is being deleted.
        self._leaving: set[Deferred[None]] = set()

    # -- start and stop -------------------------------------------------------------

    async def start(self) -> None:
        """Open the storage, then bring up hosts, modules and components.

        Raises `ConfigError`, `StorageError`; everything is closed again then.
        """
        general = self.config.general
        self.config.make_data_dir()
        try:
            self._secret = server_secret(general.data_dir)
        except OSError as error:
            raise ConfigError(f"{error.filename} cannot be used: {error.strerror}") from error
        self.storage = open_storage(self.config.storage.url, general.data_dir, self.reactor)
        try:
            await self.storage.start()
            await self.added.load()
            await self._apply(self.config)
        except BaseException:
            await self.stop()
            raise
        self.added.go_on()

    async def stop(self) -> None:
        """End the sessions that are left, take everything down, then commit and close the storage."""
        await self.added.stop()
        await self.changing.run(lambda: Deferred.fromCoroutine(self._stop()))

    async def _stop(self) -> None:
        self.beside.stop()
        for host in reversed(list(self.hosts.values())):
            await self.remove_host(host, DOWN)
        self._auth.clear()
        storage, self.storage = self.storage, None
        if storage is not None:
            await storage.stop()

    async def reload(self, config: Config) -> None:
        """Apply another config to hosts, modules and components; sessions stay where their host does.

        Raises `ConfigError`, and then everything is as it was.
        """
        await self.changing.run(lambda: Deferred.fromCoroutine(self._apply(config)))

    async def _apply(self, config: Config) -> None:
        plan = Plan(config, self.beside.tables(), self.added.hosts(config))
        undo: Undo = []
        try:
            self.beside.release(plan, config, undo)
            for domain, host_plan in plan.hosts.items():
                host = self.hosts.get(domain) or self._add_host(domain, undo)
                self._configure_host(host, config, undo, host_plan.host_type)
                await self._apply_modules(host, host_plan, undo)
            self.beside.start(plan, undo)
            self.beside.arrange(config, self.config, undo)
            # The last step that can fail, which then has changed nothing.
            self.beside.configure(config)
        except BaseException:
            for take_back in reversed(undo):
                await self._take_back(take_back)
            raise
        for domain in [domain for domain in self.hosts if domain not in plan.hosts]:
            await self.remove_host(self.hosts[domain], GONE)
        # The first host speaks where a stream names none; streams hold this very dictionary.
        ordered = {domain: self.hosts[domain] for domain in plan.hosts}
        self.hosts.clear()
        self.hosts.update(ordered)
        self.beside.forget_routes(config)
        self.config = config

    @staticmethod
    async def _take_back(take_back: Callable[[], Any]) -> None:
        try:
            await settled(take_back())
        except Exception:
            log.failure("not-taken-back", Failure())

    # -- hosts ------------------------------------------------------------------------

    def _add_host(self, domain: str, undo: Undo) -> Host:
        host = self._new_host(domain)
        undo.append(lambda: self.remove_host(host, GONE))
        self.show(host)
        return host

    def show(self, host: Host) -> None:
        """Have a host found by streams and stanzas; raises `ConfigError` for a domain that is taken."""
        try:
            self.router.add(host)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        self.hosts[host.domain] = host

    def _new_host(self, domain: str) -> Host:
        host = Host(domain, self.router, self.storage, None, self.reactor, self.registry)
        host.provide(StoredRosters(domain, self.storage), IRosters)
        for kind in ROSTER_KINDS:
            host.add_login_kind(kind)
        host.events.add(SessionUnbound, "auth", partial(self._session_gone, host))
        return host

    def _configure_host(self, host: Host, config: Config, undo: Undo, host_type: str = "") -> None:
        auth, external = config.auth_for(host.domain, host_type), config.tls.client_ca is not None
        known = self._auth.get(host.domain)
        old = (host.accounts, host.authenticator, host.max_user_sessions)
        admins = (host.admins, host.server_admins)

        def take_back() -> None:
            host.accounts, host.authenticator, host.max_user_sessions = old
            host.admins, host.server_admins = admins
            if known is not None:
                self._auth[host.domain] = known

        undo.append(take_back)
        host.max_user_sessions = config.limits.max_user_sessions
        host.admins = config.admins_of(host.domain, host_type)
        host.server_admins = frozenset(config.general.admins)
        if known == (auth, external):
            return
        try:
            if known is None or known[0] != auth:
                host.accounts = accounts_for(
                    host.domain, auth, self._secret, self.storage, lambda: host.login_kinds, self._accounts
                )
            host.authenticator = authenticator_for(
                host.accounts, auth, self._secret, external, host.mechanisms
            )
        except ValueError as error:
            raise ConfigError(f"{host.domain}: {error}") from error
        self._auth[host.domain] = (auth, external)

    async def remove_host(self, host: Host, error: StreamError) -> None:
        """End the host's sessions, then take it down, last module first."""
        # Nobody finds it any more; what its sessions have stored at their end is stored first.
        if self.hosts.get(host.domain) is host:
            del self.hosts[host.domain]
        ending = self.end_sessions(error, [host])
        self.end_streams(host, error)
        for waiting in ending:
            await self.bounded(waiting, host.domain)
        for leaving in list(self._leaving):
            await self.bounded(leaving, host.domain)
        for name in reversed(list(host.modules)):
            await self._detach(host, name)
        host.requests.end()
        if self.router.services.get(host.domain) is host:
            del self.router.services[host.domain]
        self._auth.pop(host.domain, None)

    async def make_host(self, domain: str, host_type: str, then: Callable[[Host], None]) -> Host:
        """Make a host that nobody finds, with its modules, before ``then`` is called with it.

        Raises `ConfigError`, and nothing is left of it.
        """
        plan = HostPlan(self.config, domain, host_type)
        host = self._new_host(domain)
        try:
            self._configure_host(host, self.config, [], host_type)
            await self._apply_modules(host, plan, [])
            then(host)
        except BaseException:
            await self.remove_host(host, GONE)
            raise
        return host

    def end_sessions(self, error: StreamError, hosts: list[Host] | None = None) -> list[Deferred[Any]]:
        """End the sessions of these hosts, or all; gives what they wait for."""
        pending = []
        for host in list(self.hosts.values()) if hosts is None else hosts:
            for session in [session for user in host.users.values() for session in user.sessions.values()]:
                stream = session.stream
                waiting = session.unbind(error.text)
                if stream is not None:
                    stream.end(error)
                if waiting is not None:
                    pending.append(waiting)
        return pending

    def _session_gone(self, host: Host, event: SessionUnbound) -> None:
        """Delete what a guest has stored: nobody comes back to it (XEP-0175)."""
        user = event.session.user
        if user.sessions or not is_guest(self._secret, host.domain, user.local):
            return
        leaving = Deferred.fromCoroutine(self._forget(host, user.local))
        self._leaving.add(leaving)
        leaving.addErrback(lambda failure: log.failure("guest-not-forgotten", failure))
        leaving.addBoth(lambda _: self._leaving.discard(leaving))

    async def _forget(self, host: Host, local: str) -> None:
        # A turn later, so that whatever else is stored at the end of a session is stored before.
        await deferLater(self.reactor, 0)
        await forget_guest(host, local)

    # -- modules -------------------------------------------------------------------------

    async def _apply_modules(self, host: Host, plan: HostPlan, undo: Undo) -> None:
        """Attach what is new, detach what is gone, replace what has other options."""
        for name in plan.outdated(host):
            module = host.modules[name]
            cls: Any = type(module)
            again = partial(cls, host, name, module.settings, module.policy)
            await self._detach(host, name)
            undo.append(partial(self._attach, host, name, again))
        for choice in plan.missing(host):
            name = choice.maker.name
            make = partial(choice.load(), host, name, choice.settings, choice.iq_policy)
            await self._attach(host, name, make)
            undo.append(partial(self._detach, host, name))

    async def _attach(self, host: Host, name: str, make: Callable[[], Any]) -> None:
        """Make and attach a module; raises `ConfigError` when it refuses, and nothing of it is left."""
        try:
            module = make()
            waiting = module.attach()
            try:
                await settled(waiting)
            except BaseException:
                await settled(host.guard(name, module.detach))
                raise
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"{host.domain}: {name}: {error}") from error
        except Exception as error:
            log.failure("not-attached", Failure(), module=name, host=host.domain)
            raise ConfigError(f"{host.domain}: {name} cannot be attached: {error!r}") from error
        host.modules[name] = module

    async def _detach(self, host: Host, name: str) -> None:
        await self.bounded(host.guard(name, host.modules.pop(name).detach), name)

    async def bounded(self, waiting: Deferred[Any] | None, name: str) -> None:
        """Wait for something that stops, but not for ever; what goes wrong is logged."""
        if waiting is None:
            return
        try:
            await waiting.addTimeout(STOP_S, self.reactor)
        except Exception:
            log.failure("stop-failed", Failure(), name=name)

    def host_handlers(self, domain: str, handlers: Any) -> Callable[[], None]:
        """Run Wokkel handlers on a domain of their own, until the server stops; gives what ends it before.

        ``handlers``: an XMPPHandler, or several. Raises ValueError for a domain that is served already.
        """
        return self.beside.host(domain, handlers)

    def dialback_secret(self) -> str:
        """Give the secret of dialback keys (XEP-0220), which others of this server's domains may not know."""
        return hmac.digest(self._secret, b"dialback", "sha256").hex()

    # -- what people ask -----------------------------------------------------------------------

    def sessions(self) -> int:
        """Give the number of bound sessions."""
        return sum(len(user.sessions) for host in self.hosts.values() for user in host.users.values())

    def pipeline(self) -> list[tuple[str, ...]]:
        """Give (host, direction, stanza, phase, module) for every step on every host."""
        return [(domain, *row) for domain, host in sorted(self.hosts.items()) for row in host.pipeline.rows()]
