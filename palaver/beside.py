"""What a server serves beside its hosts: Wokkel handlers, other programs' components, own routes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from twisted.python.failure import Failure
from twisted.python.reflect import namedAny

from palaver import jid
from palaver.config import Config, ConfigError
from palaver.log import Log
from palaver.plan import Plan
from palaver.routing.router import ROUTES, Router
from palaver.settings import Component
from palaver.streams.components.directory import Directory

log = Log("server")

Undo = list[Callable[[], Any]]
"""What has been done, as functions that take it back; each may give an awaitable."""


class _Hosted(NamedTuple):
    """Handlers that run; ``table`` is None for those that the application has started itself."""

    table: Component | None
    service: Any


class Beside:
    """Brings all of that from one configuration to the next, in the steps of `palaver.server.Server`."""

    def __init__(self, router: Router, reactor: Any) -> None:
        self._router = router
        self._reactor = reactor
        # Those of other programs.
        self.components = Directory(router)
        self._handlers: dict[str, _Hosted] = {}
        # By what the configuration calls them, what takes them back.
        self._routes: dict[str, Callable[[], None]] = {}

    def stop(self) -> None:
        """Stop all handlers."""
        for domain in list(self._handlers):
            self._stop_handlers(domain)

    # -- from one configuration to the next -------------------------------------------------

    def tables(self) -> dict[str, Component]:
        """Give the tables of the handlers that run after the configuration, by domain."""
        return {domain: hosted.table for domain, hosted in self._handlers.items() if hosted.table}

    def release(self, plan: Plan, config: Config, undo: Undo) -> None:
        """Take away what is another's domain now, so that hosts and handlers may be there."""
        for domain in plan.gone_components:
            hosted = self._handlers[domain]
            self._stop_handlers(domain)
            undo.append(partial(self._start_handlers, domain, hosted))
        old = self.components.tables
        wanted = config.components()
        undo.append(partial(self.components.configure, old))
        self.components.configure({d: table for d, table in old.items() if wanted.get(d) == table})

    def start(self, plan: Plan, undo: Undo) -> None:
        """Start the handlers that are new; raises `ConfigError`."""
        for domain, (table, handlers) in plan.new_components.items():
            try:
                self._start_handlers(domain, _Hosted(table, self._service(domain, handlers)))
            except Exception as error:
                log.failure("not-started", Failure(), component=domain)
                raise ConfigError(f"{domain}: its handlers cannot start: {error!r}") from error
            undo.append(partial(self._stop_handlers, domain))

    def arrange(self, config: Config, old: Config, undo: Undo) -> None:
        """Have the router ask in the order of the config; raises `ConfigError` for a route that is none."""
        wanted = [name for name in config.general.routing_modules if name not in ROUTES]
        for name in wanted:
            if name not in self._routes:
                try:
                    route = namedAny(name.replace(":", "."))(self._router)
                except Exception as error:
                    raise ConfigError(f"general.routing_modules: {name}: {error!r}") from error
                self._routes[name] = self._router.add_route(name, route)
                undo.append(partial(self._remove_route, name))
        undo.append(partial(self._router.arrange, old.general.routing_modules))
        self._router.arrange(config.general.routing_modules)

    def configure(self, config: Config) -> None:
        """Have other programs' components be those of the config; raises `ConfigError`, changing nothing."""
        tables = {d: table for d, table in config.components().items() if table.secret is not None}
        try:
            self.components.configure(tables)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def forget_routes(self, config: Config) -> None:
        """Take away the routes that the config has no more."""
        for name in [name for name in self._routes if name not in config.general.routing_modules]:
            self._remove_route(name)

    def _remove_route(self, name: str) -> None:
        self._routes.pop(name)()

    # -- Wokkel handlers ----------------------------------------------------------------------

    def host(self, domain: str, handlers: Any) -> Callable[[], None]:
        """See `palaver.server.Server.host_handlers`."""
        domain = jid.prepare_domain(domain)
        self._start_handlers(domain, _Hosted(None, self._service(domain, handlers)))
        return partial(self._stop_handlers, domain)

    def _service(self, domain: str, handlers: Any) -> Any:
        # wokkel's imports cost a tenth of a second, which a server without components need not spend.
        from palaver.routing.hosted import HandlerService

        return HandlerService(self._router, domain, handlers, self._reactor)

    def _start_handlers(self, domain: str, hosted: _Hosted) -> None:
        hosted.service.start()
        self._handlers[domain] = hosted
        self.components.connected(domain)

    def _stop_handlers(self, domain: str) -> None:
        self._handlers.pop(domain).service.stop()
        self.components.gone(domain)
