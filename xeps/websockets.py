"""XMPP over WebSocket (RFC 7395), for components (XEP-0114) too."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from palaver.modules import Module, Settings
from palaver.settings import ComponentListener, ComponentRules
from palaver.web.interfaces import IWeb

# XEP-0156 section 3.
REL = "urn:xmpp:alt-connections:websocket"


class ComponentService(ComponentRules):
    """Components over WebSocket; those with a table in `components` need no secret here."""

    path: str = Field(
        default="/xmpp-component",
        pattern=r"^/[^?#]*$",
        description="Where components connect on the ports for HTTP.",
    )


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
    service: ComponentService | None = Field(
        default=None,
        description="Components over WebSocket, with the options of `listen.component` that are not about "
        "ports; without this table there are none.",
    )


class WebSockets(Module):
    """Clients over WebSocket, on the ports of ``[[listen.http]]``, and components if they may."""

    Settings = WebSocketSettings
    settings: WebSocketSettings

    def start(self) -> None:
        """Mount the page."""
        web = self.host.query(IWeb)
        if web is not None:
            domain, path = self.host.domain, self.settings.path
            self.undo(web.mount(domain, path, lambda: self._page(web)))
            self.undo(web.advertise(domain, REL, path))
            service = self.settings.service
            if service is not None:
                self.undo(web.mount(domain, service.path, lambda: self._component_page(web, service)))

    def _page(self, web: Any) -> Any:
        # Loaded with the first client: a server without any holds nothing of it.
        from palaver.web.upgrade import WebSocketPage

        return WebSocketPage(web, self.settings.origins, self.settings.consider_websocket_secure)

    def _component_page(self, web: Any, service: ComponentService) -> Any:
        from palaver.web.components import ComponentPage

        table = ComponentListener(**service.model_dump(exclude={"path"}))
        listener = web.component_listener(self.host.domain, table)
        return ComponentPage(web, self.settings.consider_websocket_secure, listener)
