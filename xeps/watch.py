"""Pages for what watches the server: /metrics (Prometheus), /healthz and /readyz."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from palaver.modules import Module, Settings
from palaver.web.interfaces import IWeb


def _network(text: str) -> str:
    ip_network(text, strict=False)
    return text


class WatchSettings(Settings):
    """Options of mod_watch."""

    addresses: list[Annotated[str, AfterValidator(_network)]] = Field(
        default=["127.0.0.0/8", "::1"],
        description="Addresses and networks that may watch. A proxy on this machine has to send "
        "X-Forwarded-For, or all its clients are taken for this machine.",
    )
    token: str | None = Field(
        default=None,
        min_length=16,
        description="Who sends it as Authorization: Bearer may watch from anywhere.",
    )
    metrics_path: str = Field(
        default="/metrics", pattern=r"^/[^?#]+$", description="Where the counts are, for Prometheus."
    )
    health_path: str = Field(
        default="/healthz", pattern=r"^/[^?#]+$", description="Where the server says that it lives."
    )
    ready_path: str = Field(
        default="/readyz", pattern=r"^/[^?#]+$", description="Where it says that its storage answers too."
    )


class Watch(Module):
    """Tells programs how the server is."""

    Settings = WatchSettings

    settings: WatchSettings

    def start(self) -> None:
        """Mount the pages."""
        web, settings = self.host.query(IWeb), self.settings
        if web is None:
            return
        for path, name in (
            (settings.metrics_path, "counts"),
            (settings.health_path, "alive"),
            (settings.ready_path, "ready"),
        ):
            self.undo(web.mount(self.host.domain, path, partial(self._page, web, name)))

    def _page(self, web: Any, name: str) -> Any:
        # Loaded when somebody first watches.
        from palaver.web import health

        answer = health.ready(self.host) if name == "ready" else getattr(health, name)
        networks = [ip_network(text, strict=False) for text in self.settings.addresses]
        return health.Watched(web, networks, self.settings.token, answer)
