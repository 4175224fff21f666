"""XEP-0124: Bidirectional-streams Over Synchronous HTTP, and XEP-0206: XMPP Over BOSH."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from palaver.modules import Module, Settings
from palaver.web.interfaces import IWeb

# XEP-0156 section 3.
REL = "urn:xmpp:alt-connections:xbosh"


class BoshSettings(Settings):
    """Options of mod_bosh; times are seconds."""

    path: str = Field(
        default="/http-bind",
        pattern=r"^/[^?#]*$",
        description="Where clients connect on the ports for HTTP.",
    )
    inactivity: int = Field(
        default=30,
        ge=1,
        le=3600,
        description="Seconds without a request after which a client is taken for gone.",
    )
    max_wait: int = Field(
        default=120,
        ge=0,
        le=86400,
        description="Seconds that a request is held at most, whatever the client wants.",
    )
    max_pause: int = Field(
        default=120, ge=0, le=86400, description="Seconds for which a client may ask to be away at most."
    )
    polling: int = Field(
        default=5,
        ge=0,
        le=3600,
        description="Seconds that must be between two empty requests; 0 for no limit.",
    )
    server_acks: bool = Field(
        default=False, description="Tell clients which requests have come (XEP-0124 section 9.1)."
    )
    origins: list[str] = Field(
        default=[],
        description="The pages whose scripts may connect, such as https://chat.example.org; empty for all, "
        "since a login is needed in any case.",
    )
    consider_bosh_secure: bool = Field(
        default=False,
        description="Take requests for encrypted, as behind a proxy that speaks TLS and does not say so.",
    )


class Bosh(Module):
    """Clients over HTTP requests, on the ports of ``[[listen.http]]``."""

    Settings = BoshSettings

    def start(self) -> None:
        """Mount the page."""
        web = self.host.query(IWeb)
        if web is not None:
            domain, path = self.host.domain, self.settings.path
            self.undo(web.mount(domain, path, lambda: self._page(web)))
            self.undo(web.advertise(domain, REL, path))

    def _page(self, web: Any) -> Any:
        # Loaded with the first client: a server without any holds nothing of it.
        from palaver.web.bosh.page import BoshPage

        return BoshPage(web, self.settings)
