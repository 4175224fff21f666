"""XMPP over WebSocket (RFC 7395)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from palaver.modules import Module, Settings
from palaver.web.interfaces import IWeb

# XEP-0156 section 3.
REL = "urn:xmpp:alt-connections:websocket"


class WebSocketSettings(Settings):
    """Options of mod_websockets."""

    path: str = Field(
        default="/xmpp-websocket",
        pattern=r"^/[^?#]*$",
        description="Where clients connect on the ports for HTTP.",
    )
    origins: list[str] = Field(
        default=[],
        description="The pages whose scripts may connect, such as https://chat.example.org; empty for all, "
        "since a login is needed in any case.",
    )
    consider_websocket_secure: bool = Field(
        default=False,
        description="Take connections for encrypted, as behind a proxy that speaks TLS and does not say so.",
    )


class WebSockets(Module):
    """Clients over WebSocket, on the ports of ``[[listen.http]]``."""

    Settings = WebSocketSettings

    def start(self) -> None:
        """Mount the page."""
        web = self.host.query(IWeb)
        if web is not None:
            domain, path = self.host.domain, self.settings.path
            self.undo(web.mount(domain, path, lambda: self._page(web)))
            self.undo(web.advertise(domain, REL, path))

    def _page(self, web: Any) -> Any:
        # Loaded with the first client: a server without any holds nothing of it.
        from palaver.web.upgrade import WebSocketPage

        return WebSocketPage(web, self.settings.origins, self.settings.consider_websocket_secure)
