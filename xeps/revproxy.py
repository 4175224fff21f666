"""A reverse proxy: parts of the site are other web servers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from twisted.internet.defer import Deferred

from palaver.mistakes import ConfigError
from palaver.modules import Module, Settings
from palaver.web.interfaces import IWeb
from palaver.web.revproxy.routes import Route

_is_header = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch


class RouteSettings(BaseModel):
    """One route; the first that fits a request takes it, and one that no route fits gets 404."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        min_length=1,
        description="The host that requests name: _ for any, else labels, where _ and :name are any label.",
    )
    path: str = Field(
        min_length=1,
        description="What their path begins with: segments, where _ and :name are any; / for every path.",
    )
    method: str = Field("_", pattern=r"^(_|[A-Za-z]+)$", description="Their method; _ for any.")
    upstream: str = Field(
        min_length=1,
        description="Where they go: such as http://localhost:8080, followed by the whole path then; with a "
        "path, such as http://localhost:8080/:name, by what is behind the part that `path` has matched. Here "
        ":name is what it was in `host` or `path`.",
    )
    headers: dict[str, str] = Field({}, description="Headers that are set on them.")

    @model_validator(mode="after")
    def _sound(self) -> RouteSettings:
        for name, value in self.headers.items():
            if not _is_header(name) or not value.isprintable():
                raise ValueError(f"{name!r} is no header, or its value cannot be printed")
        self.route()
        return self

    def route(self) -> Route:
        """Give the route. Raises ValueError."""
        return Route(self.host, self.path, self.method, self.upstream, tuple(self.headers.items()))


class RevProxySettings(Settings):
    """Options of mod_revproxy."""

    routes: tuple[RouteSettings, ...] = Field(min_length=1, description="Where requests go, in order.")
    timeout: float = Field(
        60, gt=0, le=3600, description="Seconds without a byte in either direction that end a request."
    )
    connect_timeout: float = Field(5, gt=0, le=60, description="Seconds that a connection may take.")
    max_connections: int = Field(200, ge=1, le=10_000, description="Requests that may be under way at once.")
    max_body_size: int = Field(10_485_760, ge=0, description="Bytes that a request may bring.")
    ca_file: Path | None = Field(
        None, description="Authorities (PEM) to trust for https upstreams, instead of the system's."
    )


class RevProxy(Module):
    """Sends requests on to other web servers, by host, path and method, and their answers back.

    What another module serves stays with that module; where a route begins at ``/``, mod_start_page has to go
    elsewhere. Upstreams learn by X-Forwarded-For, -Proto and -Host who has asked for what.
    """

    Settings = RevProxySettings

    settings: RevProxySettings

    def start(self) -> None:
        """Mount the page wherever a route begins."""
        self._page: Any = None
        web = self.host.query(IWeb)
        if web is None:
            return
        self._check_authorities()
        routes = [route.route() for route in self.settings.routes]
        for path in {route.mount: None for route in routes}:
            self.undo(web.mount(self.host.domain, path, lambda: self._made(routes)))

    def stop(self) -> Deferred[Any] | None:
        """Close the connections that are kept."""
        closed: Deferred[Any] | None = self._page.close() if self._page is not None else None
        return closed

    def _check_authorities(self) -> None:
        ca_file = self.settings.ca_file
        if ca_file is None:
            return
        from palaver.push.http import trusted

        try:
            trusted(ca_file)
        except OSError as error:
            raise ConfigError(f"{self.name}: {ca_file} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from error

    def _made(self, routes: list[Route]) -> Any:
        """Give the page, which all routes share."""
        if self._page is None:
            # With the first request: an HTTP client needs memory.
            from palaver.web.revproxy.page import Limits, ProxyPage

            settings = self.settings
            limits = Limits(
                settings.max_connections, settings.max_body_size, settings.timeout, settings.connect_timeout
            )
            self._page = ProxyPage(routes, limits, self.host.clock, settings.ca_file)
        return self._page
