"""Palaver as a Twisted service: run it alone, or inside another application.

palaver = Palaver(Config.from_file("palaver.toml"))
palaver.setServiceParent(application)
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from twisted.application.service import MultiService
from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from palaver import metrics
from palaver.auth.cred import CredAccounts
from palaver.auth.methods import AccountsMaker
from palaver.config import Config, ConfigError
from palaver.derived import component_settings, stream_settings, tls_contexts, tls_settings
from palaver.errors import StreamError
from palaver.log import Log
from palaver.routing.router import NoRemote
from palaver.server import DOWN, GONE, Server
from palaver.settings import C2sListener, ComponentListener, Port, S2sListener
from palaver.streams.admission import Admission
from palaver.streams.c2s import ClientStream
from palaver.streams.components.connection import ComponentPort
from palaver.streams.components.stream import ComponentStream
from palaver.streams.flush import Flusher
from palaver.streams.ports import Ports
from palaver.streams.proxied import ClientPort
from palaver.streams.slow import SlowLog
from palaver.streams.tcp import Connection
from palaver.streams.wheel import Wheel
from palaver.web.door import Door
from palaver.web.interfaces import IWeb

log = Log("service")

# For clients to read their last words; the process must end whatever they do.
GOODBYE_S = 5.0
# How often to look whether they are gone.
LOOK_S = 0.01

Checkers = ICredentialsChecker | Mapping[str, ICredentialsChecker]


class Palaver(MultiService):
    """An XMPP server.

    ``config``   a `Config`, or a dictionary of what palaver.toml would hold; localhost without one
    ``checker``  the application's own accounts: a twisted.cred checker for every host, or a mapping
                 from domains to checkers, the other hosts having accounts in the storage
    ``accounts`` the same as a callable from domain to IAccounts, or to None
    ``modules``  IModuleMaker objects beside the installed plugins, when ``config`` is no `Config`
    ``ready``    a Deferred that fires with this service once every listener accepts, or fails:
                 with `ConfigError`, `StorageError`, `CannotListenError`, or `CancelledError` when
                 the service is stopped before
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any] | None = None,
        *,
        checker: Checkers | None = None,
        accounts: AccountsMaker | None = None,
        modules: Iterable[Any] = (),
        reactor: Any = None,
    ) -> None:
        """Check the config, raising `ConfigError`; nothing is opened or written yet."""
        super().__init__()
        if reactor is None:
            from twisted.internet import reactor
        if not isinstance(config, Config):
            config = Config.from_dict(config or {}, makers=modules)
        elif modules:
            raise ValueError("a Config knows its modules already: Config.from_dict(…, makers=modules)")
        if checker is not None:
            accounts = _accounts_by(checker)
        self.setName("palaver")
        self.config = config
        self.reactor: Any = reactor
        self.server = Server(config, reactor, accounts)
        self.server.end_streams = lambda host, error: self._end(error, lambda each: each.stream.host is host)
        self.server.hosts_spoken_to = lambda: {each.stream.host for each in self._streams()}
        self.server.added.make_certificate = lambda domain: self.tls.make_certificate(domain)
        self._wake, self._named = self.server.added.domains.wake, self.server.added.domains.named
        self.tls: Any = None
        self.ready: Deferred[Palaver] = Deferred()
        self._ports = Ports(reactor, self._listener)
        # Over HTTP there is no STARTTLS; whoever comes by HTTPS is secure already.
        self._door = Door(
            self.hosts, reactor, partial(self._client_listener, tls="off"), self._component_port
        )
        self._door.addresses = self.addresses
        self.server.registry.registerUtility(self._door, IWeb)
        self._flusher = Flusher(reactor)
        self._wheel = Wheel(reactor)
        self._admission = Admission(None, None)
        self._slow = SlowLog(reactor)
        # Speaks to other servers, while there is a port for them.
        self._federation: Any = None
        self._started = 0.0
        self._ungauge: Callable[[], None] | None = None
        # Start, stop and reload wait for each other.
        self._changing = DeferredLock()

    @property
    def hosts(self) -> dict[str, Any]:
        """The virtual hosts by domain."""
        return self.server.hosts

    # -- IService -----------------------------------------------------------------------

    def startService(self) -> None:
        """Start; `ready` says when all is up. After a stop it may start again, with a new `ready`."""
        self.running = 1
        if self.ready.called:
            self.ready = Deferred()
        ready = self.ready

        def start() -> Deferred[None]:
            starting = Deferred.fromCoroutine(self._start())
            return starting.addCallbacks(lambda _: ready.callback(self), ready.errback)

        self._changing.run(start)

    def stopService(self) -> Deferred[Any]:
        """End every stream with ``system-shutdown``, commit everything, close. Never fails."""
        self.running = 0
        return self._changing.run(lambda: Deferred.fromCoroutine(self._stop()))

    async def _start(self) -> None:
        config = self.config
        try:
            super().startService()
            config.make_data_dir()
            self.tls = tls_contexts(config, self._named)
            await self.server.start()
            if not self.running:
                raise CancelledError("stopped before it was up")
            self._started = time.monotonic()
            self._wheel.start()
            self._ungauge = metrics.gauge("sessions", "Bound sessions.", self.server.sessions)
            self._apply_limits(config)
            self._federate(config)
            await self._ports.open(config.listen.ports)
        except BaseException:
            await self._stop()
            raise

    async def _stop(self) -> None:
        """Take down what is up, however far the start has come; what goes wrong is logged."""
        for step in (self._ports.close, self._end_streams, self.server.stop, self._stop_rest):
            try:
                await step()
            except Exception:
                log.failure("stop-failed", Failure())
        log.info("stopped")

    async def _stop_rest(self) -> None:
        await self._door.stop()
        self._wheel.stop()
        self._slow.set(0)
        if self._ungauge is not None:
            self._ungauge()
            self._ungauge = None
        stopping: Any = super().stopService()
        if isinstance(stopping, Deferred):
            await stopping

    async def _end_streams(self) -> None:
        """Say good-bye, and wait for a while until all is sent and stored."""
        waiting = DeferredList(self.server.end_sessions(DOWN), consumeErrors=True)
        self._end(DOWN, lambda connection: True)
        if self._federation is not None:
            # After the sessions, whose contacts elsewhere are told first.
            self._federation.stop(DOWN)
        deadline = self.reactor.seconds() + GOODBYE_S
        while self.reactor.seconds() < deadline and (self._connections() or not waiting.called):
            await deferLater(self.reactor, LOOK_S)
        for connection in self._connections():
            connection.transport.abortConnection()
        self._federation = None
        self.server.router.remote = NoRemote(self.server.router)

    def _connections(self) -> list[Any]:
        """Give every connection, those to other servers too."""
        outgoing = self._federation.connections() if self._federation is not None else []
        return self._streams() + outgoing

    def _end(self, error: StreamError, which: Callable[[Connection], bool]) -> None:
        for connection in self._streams():
            if which(connection):
                connection.stream.end(error)

    def _streams(self) -> list[Any]:
        """Give the connections that have come to our ports, each with its stream."""
        return self._ports.connections() + self._door.connections()

    # -- after the config ---------------------------------------------------------------------

    def _listener(self, table: Any) -> Any:
        """Give the factory of a port."""
        if isinstance(table, C2sListener):
            clients = self._client_listener("c2s", table.tls)
            clients.proxies = table.proxies
            return clients
        if isinstance(table, ComponentListener):
            return self._component_port(table)
        if isinstance(table, S2sListener):
            return self._federation.listener(table)
        return self._door.port(table, self.tls)

    def _update(self, listener: Any, table: Port) -> None:
        """Give the factory of a port new settings."""
        if isinstance(table, C2sListener):
            listener.settings, listener.proxies = (
                stream_settings(self.config, table.tls, self._wake),
                table.proxies,
            )
        elif isinstance(table, ComponentListener):
            listener.table = table
            listener.settings = component_settings(self.config, table, self._wake)
        elif isinstance(table, S2sListener):
            listener.settings = self._federation.stream_settings(table.tls, listener.settings.idle_s)
        else:
            listener.table = table

    def _update_behind_http(self, listener: Any) -> None:
        """Give what carries streams over HTTP new settings."""
        if isinstance(listener, ComponentPort):
            self._update(listener, listener.table)
        else:
            listener.settings = stream_settings(self.config, "off", self._wake)

    def _client_listener(self, name: str, tls: str) -> ClientPort:
        listener = ClientPort(
            name, stream_settings(self.config, tls, self._wake), self.reactor, self._flusher, self._wheel,
            self._admission, self.tls,
            lambda connection: ClientStream(connection, self.hosts, listener.settings),
        )  # fmt: skip
        return listener

    def _component_port(self, table: ComponentListener) -> ComponentPort:
        port: ComponentPort = ComponentPort(
            table, "component", component_settings(self.config, table, self._wake), self.reactor,
            self._flusher, self._wheel, self._admission, self.tls,
            lambda connection: ComponentStream(
                connection, self.server.beside.components, port.table, port.settings
            ),
        )  # fmt: skip
        return port

    def _federate(self, config: Config) -> None:
        """Speak to other servers after the config, or no longer; raises `ConfigError`."""
        router = self.server.router
        if not config.listen.s2s:
            if self._federation is not None:
                self._federation.stop(GONE)
                self._federation, router.remote = None, NoRemote(router)
            return
        # Name servers and certificates of others are nothing to a server that speaks to no other one.
        from palaver.streams.s2s.federation import Federation

        if self._federation is None:
            self._federation = Federation(
                router, self.reactor, self._wheel, self._flusher, self.tls, self.server.dialback_secret()
            )
        try:
            self._federation.configure(config.s2s, config.limits.enabled)
        except ValueError as error:
            raise ConfigError(f"s2s.cacertfile: {error}") from None
        router.remote = self._federation

    def _apply_limits(self, config: Config) -> None:
        limits = config.limits
        self._admission.max_total = limits.max_unauthenticated if limits.enabled else None
        self._admission.max_per_address = limits.max_unauthenticated_per_address if limits.enabled else None
        self._slow.set(config.general.slow_stanza_ms / 1000)

    # -- while it runs --------------------------------------------------------------------------

    async def reload(self, config: Config) -> None:
        """Apply another config, and certificates that have changed; sessions stay.

        Only those of a host that is gone end, with ``host-gone``. Raises `ConfigError`, and then
        nothing has changed.
        """
        await self._changing.run(lambda: Deferred.fromCoroutine(self._reload(config)))

    async def _reload(self, config: Config) -> None:
        old = self.config
        if not self.running or self.tls is None:
            raise ConfigError("the server does not run")
        if config.storage != old.storage or config.general.data_dir != old.general.data_dir:
            raise ConfigError("storage and data_dir are changed by a restart, not by a reload")
        tls_contexts(config, self._named)
        self.config = config
        take_back: Callable[[], Awaitable[None]] | None = None
        try:
            if config.listen.s2s:
                self._federate(config)
            take_back = await self._ports.open(config.listen.ports)
            await self.server.reload(config)
        except BaseException as error:
            self.config = old
            self._federate(old)
            if take_back is not None:
                await take_back()
            if isinstance(error, CannotListenError):
                raise ConfigError(str(error)) from error
            raise
        self.tls.reload(tls_settings(config, self._named))
        await self._ports.settle(config.listen.ports, self._update)
        self._door.update(self._update_behind_http)
        self._apply_limits(config)
        self._federate(config)
        log.info("reloaded")

    def addresses(self) -> list[str]:
        """Give a text for every listener: kind, address, port, what it does about TLS."""
        return self._ports.addresses()

    def status(self) -> dict[str, Any]:
        """Give what ``palaver status`` shows."""
        return {
            "uptime_s": round(time.monotonic() - self._started, 1),
            "sessions": self.server.sessions(),
            "hosts": sorted(self.hosts),
            "listeners": self.addresses(),
            "modules": {domain: sorted(host.modules) for domain, host in self.hosts.items()},
            **({"federation": self._federation.status()} if self._federation is not None else {}),
            "metrics": metrics.snapshot(),
        }


def _accounts_by(checker: Checkers) -> AccountsMaker:
    def accounts(domain: str) -> CredAccounts | None:
        found = checker.get(domain) if isinstance(checker, Mapping) else checker
        return CredAccounts(found, domain) if found is not None else None

    return accounts
