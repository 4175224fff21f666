"""The server without its sockets: storage, hosts and the modules on them, after a config."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface.registry import Components

from palaver.auth.methods import AccountsMaker, accounts_for, authenticator_for, server_secret
from palaver.cluster.registry import MemoryRegistry
from palaver.config import Config, ConfigError, ModuleChoice
from palaver.interfaces import IRegistry, IRosters
from palaver.log import Log
from palaver.routing.host import Host
from palaver.routing.rosters import ROSTER_KINDS, StoredRosters
from palaver.routing.router import Router
from palaver.storage.open import open_storage

log = Log("server")


class Server:
    """Everything that a running Palaver is, except its listening sockets.

    ``accounts`` takes the place of ``[auth] methods``: called with a domain, it gives the
    IAccounts of that host.
    """

    def __init__(self, config: Config, reactor: Any, accounts: AccountsMaker | None = None) -> None:
        self.config = config
        self.reactor = reactor
        self.router = Router()
        self.registry = Components("palaver")
        self.registry.registerUtility(MemoryRegistry(reactor), IRegistry)
        self.hosts: dict[str, Host] = {}
        self.storage = open_storage(config.storage.url, config.general.data_dir, reactor)
        self._accounts = accounts
        self._secret = server_secret(config.general.data_dir)
        self._components: dict[str, Any] = {}

    # -- start and stop -------------------------------------------------------------

    async def start(self) -> None:
        """Open the storage, then bring up hosts, modules and components.

        Raises `ConfigError`, `StorageError`.
        """
        await self.storage.start()
        await self._apply()

    async def stop(self) -> None:
        """Take down components, modules and hosts, then commit and close the storage."""
        for domain in list(self._components):
            await _settled(self._components.pop(domain).stopService())
        for host in list(self.hosts.values()):
            await self._remove_host(host)
        await self.storage.stop()

    async def reload(self, config: Config) -> None:
        """Apply another config to hosts, modules and components; sessions stay."""
        self.config = config
        await self._apply()

    async def _apply(self) -> None:
        for domain, host in list(self.hosts.items()):
            if domain not in self.config.general.hosts:
                await self._remove_host(host)
        for domain in self.config.general.hosts:
            host = self.hosts.get(domain) or self._add_host(domain)
            self._configure_host(host)
            await self._apply_modules(host)
        await self._apply_components()

    # -- hosts ------------------------------------------------------------------------

    def _add_host(self, domain: str) -> Host:
        host = Host(domain, self.router, self.storage, None, self.reactor, self.registry)
        host.provide(StoredRosters(domain, self.storage), IRosters)
        for kind in ROSTER_KINDS:
            host.add_login_kind(kind)
        self.router.add(host)
        self.hosts[domain] = host
        return host

    def _configure_host(self, host: Host) -> None:
        auth = self.config.auth_for(host.domain)
        host.max_user_sessions = self.config.limits.max_user_sessions
        host.accounts = accounts_for(
            host.domain, auth, self._secret, self.storage, lambda: host.login_kinds, self._accounts
        )
        external = self.config.tls.client_ca is not None
        host.authenticator = authenticator_for(host.accounts, auth, self._secret, external)

    async def _remove_host(self, host: Host) -> None:
        for name in reversed(list(host.modules)):
            await self._detach(host, name)
        self.router.services.pop(host.domain, None)
        del self.hosts[host.domain]

    # -- modules -------------------------------------------------------------------------

    async def _apply_modules(self, host: Host) -> None:
        """Attach what is new, detach what is gone, replace what has other options."""
        wanted = {choice.maker.name: choice for choice in self.config.modules_for(host.domain)}
        for name in reversed(list(host.modules)):
            module = host.modules[name]
            choice = wanted.get(name)
            if (
                choice is None
                or choice.settings != module.settings
                or choice.iq_policy not in (None, module.policy)
            ):
                await self._detach(host, name)
        missing = [choice for name, choice in wanted.items() if name not in host.modules]
        while missing:
            ready = [choice for choice in missing if self._may_attach(host, choice)]
            if not ready:
                raise ConfigError(
                    f"{host.domain}: nothing provides what {missing[0].maker.name} needs: "
                    + ", ".join(interface.__name__ for interface in missing[0].load().requires)
                )
            for choice in ready:
                await self._attach(host, choice)
                missing.remove(choice)

    @staticmethod
    def _may_attach(host: Host, choice: ModuleChoice) -> bool:
        return all(host.query(interface) is not None for interface in choice.load().requires)

    async def _attach(self, host: Host, choice: ModuleChoice) -> None:
        name = choice.maker.name
        module = choice.load()(host, name, choice.settings, choice.iq_policy)
        try:
            await _settled(module.attach())
        except ValueError as error:
            raise ConfigError(f"{host.domain}: {name}: {error}") from error
        host.modules[name] = module

    async def _detach(self, host: Host, name: str) -> None:
        await _settled(host.modules.pop(name).detach())

    # -- Wokkel handlers -------------------------------------------------------------------

    async def _apply_components(self) -> None:
        wanted = self.config.components()
        for domain in [domain for domain in self._components if domain not in wanted]:
            await _settled(self._components.pop(domain).stopService())
        for domain, component in wanted.items():
            if domain not in self._components:
                self.host_handlers(domain, component.make())

    def host_handlers(self, domain: str, handlers: Any) -> Any:
        """Run Wokkel handlers on a domain of their own; gives the started service."""
        # wokkel's imports cost a tenth of a second, which a server without components need not spend.
        from palaver.routing.hosted import component

        service = component(self.router, domain, handlers)
        service.startService()
        self._components[domain] = service
        return service

    # -- what people ask -----------------------------------------------------------------------

    def sessions(self) -> int:
        """Give the number of bound sessions."""
        return sum(len(user.sessions) for host in self.hosts.values() for user in host.users.values())

    def pipeline(self) -> list[tuple[str, ...]]:
        """Give (host, direction, stanza, phase, module) for every step on every host."""
        return [(domain, *row) for domain, host in sorted(self.hosts.items()) for row in host.pipeline.rows()]


async def _settled(waiting: Any) -> Any:
    return await waiting if isinstance(waiting, Deferred) else waiting
