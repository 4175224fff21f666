"""Options of ``[[listen.…]]``: the ports."""

from __future__ import annotations

import ipaddress
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from palaver.settings.values import KIB, Address, ProxyNetwork, Section

# What a port does about TLS, as people read it.
TLS_NOTES = {"direct": "TLS", "required": "STARTTLS", "optional": "STARTTLS optional", "off": "no TLS"}


class Port(Section):
    """A listening socket; a class for each kind of them."""

    # The name of the kind, as in ``[[listen.kind]]``.
    kind: ClassVar[str]

    interface: Address = Field(default="::", description="The IP address to listen on; :: is every address.")
    port: int = Field(default=0, ge=0, le=65535, description="The TCP port; 0 takes any free one.")
    backlog: int = Field(default=1024, ge=1, description="Connections that may wait to be accepted.")

    @property
    def note(self) -> str:
        """What there is to say of TLS."""
        raise NotImplementedError


class C2sListener(Port):
    """A port for clients (RFC 6120; XEP-0368 for direct TLS)."""

    kind = "c2s"

    port: int = Field(default=5222, ge=0, le=65535, description="The TCP port; 0 takes any free one.")
    tls: Literal["off", "optional", "required", "direct"] = Field(
        default="required",
        description="STARTTLS not offered, offered, or demanded; direct: TLS from the first byte.",
    )
    proxy_protocol: bool = Field(
        default=False,
        description="Proxies connect here, and say first for whom (the PROXY protocol, versions 1 and 2).",
    )
    trusted_proxies: list[ProxyNetwork] = Field(
        default=["127.0.0.1", "::1"],
        description="Addresses and networks of these proxies; with `proxy_protocol` nobody else may connect.",
    )

    @property
    def proxies(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network] | None:
        """Who may say for whom it connects; None where clients connect themselves."""
        if not self.proxy_protocol:
            return None
        return [ipaddress.ip_network(text, strict=False) for text in self.trusted_proxies]

    @property
    def note(self) -> str:
        """See Port."""
        return TLS_NOTES[self.tls]


class HttpListener(Port):
    """A port for HTTP: WebSocket, BOSH, pages."""

    kind = "http"

    interface: Address = Field(
        default="127.0.0.1",
        description="The IP address to listen on: this machine, where a proxy may be; :: is every address.",
    )
    port: int = Field(default=5280, ge=0, le=65535, description="The TCP port; 0 takes any free one.")
    tls: Literal["off", "on"] = Field(default="off", description="HTTPS instead of HTTP.")
    trusted_proxies: list[ProxyNetwork] = Field(
        default=["127.0.0.1", "::1"],
        description="Addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )

    @property
    def note(self) -> str:
        """See Port."""
        return "TLS" if self.tls == "on" else "no TLS"


class S2sListener(Port):
    """A port for other servers (RFC 6120; XEP-0368 for direct TLS)."""

    kind = "s2s"

    port: int = Field(default=5269, ge=0, le=65535, description="The TCP port; 0 takes any free one.")
    tls: Literal["starttls", "direct"] = Field(
        default="starttls",
        description="starttls: as `s2s.use_starttls` says; direct: TLS from the first byte.",
    )

    @property
    def note(self) -> str:
        """See Port."""
        return "TLS" if self.tls == "direct" else "STARTTLS"


class ComponentRules(Section):
    """Which components may connect, and what they may do, whatever they connect over."""

    secret: str | None = Field(
        default=None,
        min_length=1,
        description="What components of any domain have to know that has no table in `components`; without "
        "it only those with a table may connect.",
    )
    conflict_behaviour: Literal["disconnect", "kick_old"] = Field(
        default="disconnect",
        description="When a component is connected already: disconnect the newcomer, or end the old stream.",
    )
    hidden_components: bool = Field(
        default=False, description="Leave components without a table out of what hosts list as services."
    )
    check_from: bool = Field(
        default=True,
        description="Take only stanzas of a component's own domains; false lets every component speak for "
        "anybody.",
    )
    max_stanza_bytes: int = Field(
        default=512 * KIB, ge=10_000, description="The longest stanza; a longer one ends the stream."
    )


class ComponentListener(ComponentRules, Port):
    """A port for components (XEP-0114, XEP-0225)."""

    kind = "component"

    interface: Address = Field(
        default="127.0.0.1",
        description="The IP address to listen on: this machine, since the handshake of XEP-0114 goes without "
        "TLS; :: is every address.",
    )
    port: int = Field(default=5347, ge=0, le=65535, description="The TCP port; 0 takes any free one.")
    tls: Literal["off", "optional", "required", "direct"] = Field(
        default="off",
        description="STARTTLS (XEP-0225 only) not offered, offered, or demanded; direct: TLS from the first "
        "byte.",
    )

    @property
    def note(self) -> str:
        """See Port."""
        return TLS_NOTES[self.tls]


class Listen(Section):
    """The ports, an array of tables a kind."""

    c2s: list[C2sListener] = Field(
        default=[C2sListener()],
        description="Ports for clients; with no table one on port 5222, for this machine alone when the only "
        "host is localhost.",
    )
    http: list[HttpListener] = Field(
        default=[],
        description="Ports for HTTP; with no `listen` table at all one on port 5280, for this machine alone.",
    )

    s2s: list[S2sListener] = Field(
        default=[],
        description="Ports for other servers; without one this server speaks to no others.",
    )
    component: list[ComponentListener] = Field(default=[], description="Ports for components.")

    @property
    def ports(self) -> list[Port]:
        """Every port."""
        return [*self.c2s, *self.http, *self.s2s, *self.component]

    @model_validator(mode="after")
    def _no_port_twice(self) -> Listen:
        places = [(listener.interface, listener.port) for listener in self.ports if listener.port]
        if len(set(places)) != len(places):
            raise ValueError("two listeners have the same interface and port")
        return self
