"""XEP-0156: Discovering Alternative XMPP Connection Methods, and XEP-0487: Host Meta 2."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from palaver.modules import Module, Settings
from palaver.settings import Address
from palaver.web.interfaces import IWeb

# Any 32 bytes in base64.
PIN = r"^[A-Za-z0-9+/]{43}=$"


class HostMetaSettings(Settings):
    """Options of mod_host_meta."""

    public_url: str | None = Field(
        default=None,
        pattern=r"^https://[^/?#\s]+$",
        description="Where browsers reach this server, such as https://chat.example.org; without it the "
        "address at which a request came by HTTPS.",
    )
    advertise_bosh: bool = Field(default=True, description="Tell where mod_bosh is.")
    advertise_websocket: bool = Field(default=True, description="Tell where mod_websockets is.")
    bosh_url: str | None = Field(
        default=None, pattern=r"^https://\S+$", description="Another address for BOSH than mod_bosh's own."
    )
    websocket_url: str | None = Field(
        default=None,
        pattern=r"^wss://\S+$",
        description="Another address for WebSocket than mod_websockets' own.",
    )
    ips: list[Address] = Field(
        default=[],
        description="The public IP addresses of this server; with them clients need no DNS (XEP-0487).",
    )
    tls_port: int | None = Field(
        default=None, ge=1, le=65535, description="The public port for clients with direct TLS (XEP-0487)."
    )
    s2s_tls_port: int | None = Field(
        default=None, ge=1, le=65535, description="The public port for servers with direct TLS (XEP-0487)."
    )
    ttl: int = Field(
        default=3600, ge=60, description="Seconds for which clients may remember what XEP-0487 says."
    )
    public_key_pins: list[Annotated[str, Field(pattern=PIN)]] = Field(
        default=[], description="SHA-256 hashes, in base64, of public keys to be trusted (XEP-0487)."
    )


class HostMeta(Module):
    """What clients on the web look up first: how this host is reached."""

    Settings = HostMetaSettings

    def start(self) -> None:
        """Mount both forms of the page."""
        web = self.host.query(IWeb)
        if web is None:
            return
        for name in ("host-meta", "host-meta.json"):
            self.undo(web.mount(self.host.domain, f"/.well-known/{name}", lambda: self._page(web)))

    def _page(self, web: Any) -> Any:
        from palaver.web.discovery import DiscoveryPage

        return DiscoveryPage(web, self.host.domain, self.settings)
