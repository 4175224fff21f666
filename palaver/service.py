"""Palaver as a Twisted service: run it alone, or inside another application.

palaver = Palaver(Config.from_file("palaver.toml"))
palaver.setServiceParent(application)
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from twisted.application.service import MultiService
from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from palaver import metrics
from palaver.auth.cred import CredAccounts
from palaver.config import Config, ConfigError
from palaver.errors import StreamError
from palaver.log import Log
from palaver.server import Server
from palaver.settings import C2sListener, Certificate
from palaver.streams.admission import Admission
from palaver.streams.c2s import ClientStream
from palaver.streams.flush import Flusher
from palaver.streams.settings import StreamSettings
from palaver.streams.tcp import Listener
from palaver.streams.tls import CertificateError, CertificateFiles, TlsContexts, TlsSettings
from palaver.streams.wheel import Wheel

log = Log("service")

# For clients to read their last words; the process must end whatever they do.
GOODBYE_S = 5.0


class Palaver(MultiService):
    """An XMPP server.

    ``config``   a `Config`, or a dictionary of what palaver.toml would hold; localhost without one
    ``checker``  the application's own accounts: a twisted.cred checker for every host
    ``accounts`` the same as a callable from domain to IAccounts
    ``modules``  IModuleMaker objects beside the installed plugins
    ``ready``    a Deferred that fires with this service once every listener accepts, or fails
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any] | None = None,
        *,
        checker: ICredentialsChecker | None = None,
        accounts: Any = None,
        modules: Iterable[Any] = (),
        reactor: Any = None,
    ) -> None:
        super().__init__()
        if reactor is None:
            from twisted.internet import reactor
        if not isinstance(config, Config):
            config = Config.from_dict(config or {}, makers=modules)
        if checker is not None:
            accounts = partial(CredAccounts, checker)
        self.setName("palaver")
        self.config = config
        self.reactor: Any = reactor
        self.server = Server(config, reactor, accounts)
        self.tls: Any = None
        self.ready: Deferred[Palaver] = Deferred()
        self._flusher = Flusher(reactor)
        self._wheel = Wheel(reactor)
        self._admission = Admission(None, None)
        self._listeners: dict[C2sListener, tuple[Listener, Any]] = {}
        self._started = time.monotonic()
        self._starting: Deferred[None] | None = None
        self._ungauge: Any = None

    @property
    def hosts(self) -> dict[str, Any]:
        """The virtual hosts by domain."""
        return self.server.hosts

    # -- IService -----------------------------------------------------------------------

    def startService(self) -> None:
        """Start; `ready` says when all is up."""
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addCallbacks(lambda _: self.ready.callback(self), self.ready.errback)

    def stopService(self) -> Deferred[Any]:
        """End every stream with ``system-shutdown``, commit everything, close."""
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        try:
            self.tls = TlsContexts(self._tls_settings(self.config))
        except CertificateError as error:
            raise ConfigError(str(error)) from None
        self._wheel.start()
        self._ungauge = metrics.gauge("sessions", "Bound sessions.", self.server.sessions)
        await self.server.start()
        self._apply_limits()
        self._apply_listeners()

    async def _stop(self) -> None:
        for _, port in self._listeners.values():
            await _settled(port.stopListening())
        await self._end_streams()
        self._listeners.clear()
        self._wheel.stop()
        if self._ungauge is not None:
            self._ungauge()
        await self.server.stop()
        await _settled(super().stopService())
        log.info("stopped")

    async def _end_streams(self) -> None:
        connections = [
            connection for listener, _ in self._listeners.values() for connection in listener.connections
        ]
        for connection in connections:
            connection.stream.end(StreamError("system-shutdown", "The server is going down"))
        deadline = self.reactor.seconds() + GOODBYE_S
        while self.reactor.seconds() < deadline and any(
            listener.connections for listener, _ in self._listeners.values()
        ):
            await deferLater(self.reactor, 0.01)
        for listener, _ in self._listeners.values():
            for connection in list(listener.connections):
                connection.transport.abortConnection()

    # -- listeners ------------------------------------------------------------------------

    def _apply_limits(self) -> None:
        limits = self.config.limits
        self._admission.max_total = limits.max_unauthenticated if limits.enabled else None
        self._admission.max_per_address = limits.max_unauthenticated_per_address if limits.enabled else None

    def _stream_settings(self, table: C2sListener) -> StreamSettings:
        limits = self.config.limits
        return StreamSettings(
            tls=table.tls,
            max_stanza_bytes=limits.max_stanza_bytes,
            auth_timeout_s=limits.auth_timeout_s,
            tls_timeout_s=limits.tls_timeout_s,
            idle_s=limits.idle_s,
            write_timeout_s=limits.write_timeout_s,
            max_unsent_bytes=limits.max_unsent_bytes,
            rate=limits.c2s_rate_bytes_per_s if limits.enabled else None,
            burst=limits.c2s_burst_bytes,
            language=self.config.general.language,
        )

    def _apply_listeners(self) -> None:
        """Open what is new, close what is gone; streams that are open stay. Raises `CannotListenError`."""
        wanted = set(self.config.listen.c2s)
        for table in [table for table in self._listeners if table not in wanted]:
            _, port = self._listeners.pop(table)
            port.stopListening()
        for table in self.config.listen.c2s:
            if table in self._listeners:
                self._listeners[table][0].settings = self._stream_settings(table)
            else:
                self._listen(table)

    def _listen(self, table: C2sListener) -> None:
        settings = self._stream_settings(table)
        listener = Listener(
            "c2s", settings, self.reactor, self._flusher, self._wheel, self._admission, self.tls,
            lambda connection: ClientStream(connection, self.hosts, listener.settings),
        )  # fmt: skip
        port = self.reactor.listenTCP(table.port, listener, backlog=table.backlog, interface=table.interface)
        self._listeners[table] = (listener, port)

    def addresses(self) -> list[str]:
        """Give a text for every listener: kind, address, port, what it does about TLS."""
        notes = {"direct": "TLS", "required": "STARTTLS", "optional": "STARTTLS optional", "off": "no TLS"}
        found = []
        for table, (listener, port) in self._listeners.items():
            host = port.getHost()
            address = f"[{host.host}]" if ":" in host.host else host.host
            found.append(f"{listener.name} {address}:{host.port} ({notes[table.tls]})")
        return found

    @staticmethod
    def _tls_settings(config: Config) -> TlsSettings:
        def files(table: Certificate) -> CertificateFiles | None:
            if table.certificate is None or table.key is None:
                return None
            return CertificateFiles(table.certificate, table.key)

        hosts = {domain: files(table) for domain, table in config.tls.hosts.items()}
        return TlsSettings(
            config.general.data_dir,
            config.general.hosts,
            files(config.tls),
            {domain: found for domain, found in hosts.items() if found is not None},
            config.tls.client_ca,
        )

    def _reload_tls(self, config: Config) -> None:
        try:
            self.tls.reload(self._tls_settings(config))
        except CertificateError as error:
            raise ConfigError(str(error)) from None

    # -- while it runs --------------------------------------------------------------------------

    async def reload(self, config: Config) -> None:
        """Apply another config, and certificates that have changed; no session ends. Raises `ConfigError`."""
        if config.storage != self.config.storage or config.general.data_dir != self.config.general.data_dir:
            raise ConfigError("storage and data_dir are changed by a restart, not by a reload")
        self._reload_tls(config)
        self.config = config
        await self.server.reload(config)
        self._apply_limits()
        self._apply_listeners()
        log.info("reloaded")

    def status(self) -> dict[str, Any]:
        """Give what ``palaver status`` shows."""
        return {
            "uptime_s": round(time.monotonic() - self._started, 1),
            "sessions": self.server.sessions(),
            "hosts": sorted(self.hosts),
            "listeners": self.addresses(),
            "modules": {domain: sorted(host.modules) for domain, host in self.hosts.items()},
            "metrics": metrics.snapshot(),
        }


async def _settled(waiting: Any) -> Any:
    return await waiting if isinstance(waiting, Deferred) else waiting
