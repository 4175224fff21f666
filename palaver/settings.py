"""Every option of the configuration outside ``[modules]``, with its type, its default and what it means.

Names follow MongooseIM where it has the option, else Prosody. Times are seconds, sizes
bytes. docs/configuration.md is made from this file.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from twisted.python.reflect import namedAny

from palaver import jid
from palaver.log import LogFormat
from palaver.mistakes import ConfigError

KIB = 1024
MIB = 1024 * KIB

STORAGE_URL = re.compile(r"sqlite|sqlite:///.+|memory")
ROUTE = re.compile(r"local|component|cluster|s2s|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
# What a port does about TLS, as people read it.
TLS_NOTES = {"direct": "TLS", "required": "STARTTLS", "optional": "STARTTLS optional", "off": "no TLS"}
HOST_TYPE = re.compile(r"[^\s@/]{1,100}")
HANDLER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class Section(BaseModel):
    """A table of the configuration: closed, and never changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _below(path: Path, info: ValidationInfo) -> Path:
    """Take a relative path from the folder of the config file."""
    base = (info.context or {}).get("base")
    return path if base is None else Path(base) / path


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address; allowed: such as 127.0.0.1, 0.0.0.0 or ::") from None
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no network; allowed: such as 127.0.0.1 or 10.0.0.0/8") from None
    return text


def _name_server(text: str) -> str:
    address, colon, port = text.rpartition(":")
    if colon and (text.count(":") == 1 or address.endswith("]")):
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"{text!r} has no port from 1 to 65535 behind its colon")
        _address(address.strip("[]"))
    else:
        _address(text)
    return text


def _account(text: str) -> str:
    found = jid.parse(text)
    if not found.local or found.resource:
        raise ValueError(f"{text!r} is no account; allowed: user@host")
    return found.bare


def _matching(pattern: re.Pattern[str], allowed: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is not understood; allowed: {allowed}")
        return text

    return AfterValidator(check)


BelowPath = Annotated[Path, AfterValidator(_below)]
ExistingFile = Annotated[BelowPath, AfterValidator(_existing)]
Domain = Annotated[str, AfterValidator(jid.prepare_domain)]
Account = Annotated[str, AfterValidator(_account)]
Address = Annotated[str, AfterValidator(_address)]
NameServer = Annotated[str, AfterValidator(_name_server)]
ProxyNetwork = Annotated[str, AfterValidator(_network)]
HostType = Annotated[str, _matching(HOST_TYPE, "up to 100 characters without spaces, @ and /")]
RouteName = Annotated[str, _matching(ROUTE, "local, component, cluster, s2s, package.module:factory")]
Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]
Positive = Annotated[int, Field(gt=0)]


class General(Section):
    """What concerns the whole server."""

    hosts: list[Domain] = Field(
        default=["localhost"], min_length=1, description="The domains that have accounts here."
    )
    host_types: list[HostType] = Field(
        default=[],
        description="Names for kinds of domains that `palaver domain add` adds while the server runs; what "
        "differs for one of them stands in `host_config`.",
    )
    admins: list[Account] = Field(
        default=[],
        description="Bare JIDs of those who administer every host through their clients; `host_config` adds "
        "those of one host.",
    )
    data_dir: BelowPath = Field(
        default=Path("palaver-data"),
        description="Folder for embedded storage, made certificates and the control socket.",
    )
    loglevel: Literal["none", "critical", "error", "warning", "notice", "info", "debug", "all"] = Field(
        default="info", description="From which level on log lines are written."
    )
    log_format: LogFormat = Field(default="text", description="Log lines as text or as one JSON object each.")
    routing_modules: list[RouteName] = Field(
        default=["local", "component", "cluster", "s2s"],
        min_length=1,
        description="Who is asked, in this order, where a domain is that nothing here has by name: hosts, "
        "components below every host, other processes, other servers. The callable of an own one takes the "
        "router and gives a function from domain to IService or None; in front of local it is asked about "
        "every domain.",
    )
    language: str = Field(
        default="en",
        pattern=r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$",
        description="The xml:lang of streams that do not ask for one.",
    )

    @field_validator("hosts")
    @classmethod
    def _no_host_twice(cls, hosts: list[str]) -> list[str]:
        if len(set(hosts)) != len(hosts):
            raise ValueError("the same domain is there twice")
        return hosts


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


class ComponentListener(Port):
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


class Certificate(Section):
    """A certificate with its key, both PEM files."""

    certificate: ExistingFile | None = Field(
        default=None,
        description="The certificate and the chain above it.",
    )
    key: ExistingFile | None = Field(default=None, description="The private key.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Certificate:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key are given together, or neither")
        return self


class Tls(Certificate):
    """Certificates; without any, a self-signed one is made for each host in ``data_dir``."""

    client_ca: ExistingFile | None = Field(
        default=None,
        description="Authorities (PEM) whose client certificates are accepted for SASL EXTERNAL.",
    )
    hosts: dict[Domain, Certificate] = Field(default={}, description="A certificate of its own for a domain.")
    directory: BelowPath | None = Field(
        default=None,
        description="A folder with files DOMAIN.pem, certificate with chain and key in each, for domains "
        "without one of their own in `hosts`.",
    )


class Storage(Section):
    """Where accounts, rosters and messages are kept."""

    url: Annotated[str, _matching(STORAGE_URL, "sqlite, sqlite:///path/to/file, memory")] = Field(
        default="sqlite",
        description="sqlite (a file in data_dir), sqlite:///path, or memory (nothing survives a restart).",
    )


class Password(Section):
    """How passwords are stored: as SCRAM keys only (RFC 5802)."""

    hash: list[Literal["SHA-1", "SHA-256", "SHA-512"]] = Field(
        default=["SHA-1", "SHA-256", "SHA-512"],
        min_length=1,
        description="Hashes for which keys are kept; they decide which SCRAM mechanisms an account can use.",
    )
    # RFC 7677 asks for 4096 at least; above a million the client, who pays for it, gives up.
    scram_iterations: int = Field(
        default=10000, ge=4096, le=1_000_000, description="Iterations of PBKDF2 for new keys."
    )


Mechanism = Literal[
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-1",
    "PLAIN",
    "EXTERNAL",
    "ANONYMOUS",
    "X-OAUTH",
]


class Auth(Section):
    """Who may log in, and how."""

    methods: list[Literal["internal", "anonymous"]] = Field(
        default=["internal"],
        min_length=1,
        description="internal: accounts in the storage; anonymous: guests with a random name (XEP-0175).",
    )
    sasl_mechanisms: list[Mechanism] | None = Field(
        default=None,
        min_length=1,
        description="Only these are offered; without it, all that the methods can serve.",
    )
    password: Password = Field(default=Password(), description="How passwords are stored.")
    allow_unencrypted_plain_auth: bool = Field(
        default=False,
        description="Offer PLAIN where the stream is not encrypted; anybody on the way reads the password.",
    )


class Limits(Section):
    """What one client may use up; generous, and never in the way of an honest client."""

    enabled: bool = Field(
        default=True, description="false takes the rate and connection limits away, for a benchmark."
    )
    c2s_rate_bytes_per_s: Positive = Field(
        default=256 * KIB,
        description="Bytes a second from one client; reading pauses above it, nothing is dropped.",
    )
    c2s_burst_bytes: Positive = Field(
        default=MIB, description="Bytes that a client may send at once before the rate counts."
    )
    max_stanza_bytes: int = Field(
        default=256 * KIB,
        ge=10_000,
        description="The longest stanza; a longer one ends the stream. At least 10000.",
    )
    auth_timeout_s: Seconds = Field(
        default=300,
        description="From the connection to the end of authentication.",
    )
    tls_timeout_s: Seconds = Field(default=60, description="For the TLS handshake.")
    idle_s: Seconds = Field(
        default=840, description="Silence after which a client is asked whether it is still there."
    )
    write_timeout_s: Seconds = Field(
        default=180, description="For a client to read what was sent; then it is cut off."
    )
    max_unsent_bytes: int = Field(
        default=32 * MIB,
        ge=64 * KIB,
        description="Bytes waiting for one client that does not read; then it is cut off.",
    )
    max_unauthenticated: Positive = Field(
        default=8192, description="Connections that have not authenticated yet, in all."
    )
    max_unauthenticated_per_address: Positive = Field(
        default=2048,
        description="The same from one IP address.",
    )
    max_user_sessions: Positive = Field(
        default=100, description="Sessions of one account; one more ends the oldest, as in MongooseIM."
    )


class HostPolicy(Section):
    """What holds for one domain, and for those below it."""

    host: Domain = Field(description="The domain of another server.")
    policy: Literal["allow", "deny", "secure", "insecure"] = Field(
        description="allow: as everybody; deny: no streams; secure: only with a valid certificate; insecure: "
        "no certificate has to be valid, and no TLS is demanded."
    )


class RemoteAddress(Section):
    """Where one domain's server is, whatever DNS says."""

    host: Domain = Field(description="The domain.")
    ip_address: Address = Field(description="Its server's IP address.")
    port: int | None = Field(default=None, ge=1, le=65535, description="Its port; else that of `outgoing`.")
    tls: bool = Field(default=False, description="TLS from the first byte (XEP-0368).")


class Outgoing(Section):
    """Connections to other servers."""

    port: int = Field(default=5269, ge=1, le=65535, description="The port where DNS names none.")
    ip_versions: list[Literal[4, 6]] = Field(
        default=[4, 6], min_length=1, description="The versions of IP that are used."
    )
    connection_timeout: Seconds = Field(default=10, description="For a TCP connection to be made.")


class Dns(Section):
    """Questions to name servers."""

    timeout: int = Field(default=5, ge=1, le=60, description="Seconds for an answer.")
    retries: int = Field(default=1, ge=0, le=10, description="How often a question is repeated.")


class S2s(Section):
    """Streams with other servers; they are there when a port for them is."""

    default_policy: Literal["allow", "deny"] = Field(
        default="allow", description="Whether domains that `host_policy` does not name are spoken to."
    )
    host_policy: list[HostPolicy] = Field(default=[], description="What holds for single domains.")
    use_starttls: Literal["off", "optional", "required", "required_trusted"] = Field(
        default="required_trusted",
        description="TLS: not spoken, when the other side can, always, or always and with a certificate "
        "that an authority has signed for the domain.",
    )
    cacertfile: ExistingFile | None = Field(
        default=None, description="Authorities (PEM) that are trusted in the place of the system's."
    )
    dialback: bool = Field(
        default=True,
        description="Whether a server may also show by DNS who it is (XEP-0220); a certificate that is "
        "demanded has to be valid all the same.",
    )
    shared: str | None = Field(
        default=None,
        min_length=16,
        description="The secret of dialback keys; servers that answer for the same domains share it. Without "
        "it one is derived from that in `data_dir`.",
    )
    address: list[RemoteAddress] = Field(
        default=[], description="Places of servers that DNS is not asked for."
    )
    dns_servers: list[NameServer] = Field(
        default=[], description="Name servers, as address or address:port; without any those of the system."
    )
    dns: Dns = Field(default=Dns(), description="Questions to name servers.")
    outgoing: Outgoing = Field(default=Outgoing(), description="Connections to other servers.")
    timeout: Seconds = Field(
        default=90, description="From the connection, or the first stanza, until a stream may be used."
    )
    max_retry_delay: Seconds = Field(
        default=300, description="How long at most a domain is let alone that cannot be reached."
    )
    idle_close_s: Seconds = Field(
        default=600, description="A stream over which we sent nothing for so long is closed."
    )
    max_stanza_bytes: int = Field(
        default=512 * KIB, ge=10_000, description="The longest stanza; a longer one ends the stream."
    )
    send_queue_size: Positive = Field(
        default=1000, description="Stanzas that wait for one connection; further ones come back as errors."
    )
    rate_bytes_per_s: Positive = Field(
        default=2 * MIB, description="Bytes a second from one stream; reading pauses above it."
    )
    burst_bytes: Positive = Field(
        default=4 * MIB, description="Bytes that a stream may send at once before the rate counts."
    )


class Component(Section):
    """A service on a domain of its own: a Wokkel handler inside this process, or another program."""

    handler: Annotated[str, _matching(HANDLER, "package.module:factory")] | None = Field(
        default=None,
        description="A callable that gives an XMPPHandler or a list of them, run in this process.",
    )
    options: dict[str, Any] = Field(default={}, description="Keyword arguments for the callable.")
    secret: str | None = Field(
        default=None,
        min_length=1,
        description="What another program has to know to be this component, on a port of `listen.component`.",
    )
    name: str | None = Field(default=None, description="What people call it; its domain without one.")
    hidden: bool = Field(default=False, description="Leave it out of what hosts list as services.")
    conflict_behaviour: Literal["disconnect", "kick_old"] | None = Field(
        default=None, description="As in `listen.component`, for this one."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Component:
        if (self.handler is None) == (self.secret is None):
            raise ValueError("a component has either a handler or a secret")
        if self.handler is None and self.options:
            raise ValueError("options are for a handler")
        return self

    def make(self) -> Any:
        """Import the callable and call it; raises `ConfigError` when there is none."""
        try:
            factory = namedAny((self.handler or "").replace(":", "."))
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"the component handler {self.handler} cannot be loaded: {error}") from error
        return factory(**self.options)


class IqDisc(Section):
    """How the IQs that a module answers overlap."""

    type: Literal["no_queue", "one_queue", "queues", "parallel"] = Field(
        description="no_queue: each sender's in order; one_queue: one after the other; queues: a few at a "
        "time; parallel: all at once."
    )
    workers: int = Field(default=10, ge=1, le=1000, description="How many queues the type queues has.")


class HostConfig(Section):
    """What is different for one of the hosts, or for the added domains of one type."""

    host: Domain | None = Field(default=None, description="One of general.hosts.")
    host_type: HostType | None = Field(
        default=None, description="Instead of `host`: one of general.host_types."
    )
    auth: Auth | None = Field(default=None, description="Takes the place of [auth] for this host.")
    admins: list[Account] = Field(default=[], description="Bare JIDs of those who administer this host too.")
    modules: dict[str, dict[str, Any]] = Field(
        default={}, description="Each table here takes the place of the one of the same name in [modules]."
    )

    @model_validator(mode="after")
    def _host_or_type(self) -> HostConfig:
        if (self.host is None) == (self.host_type is None):
            raise ValueError("either host or host_type says what this is for")
        return self


class Root(Section):
    """The whole configuration file."""

    general: General = Field(default=General(), description="The whole server.")
    listen: Listen = Field(default=Listen(), description="Ports.")
    tls: Tls = Field(default=Tls(), description="Certificates.")
    storage: Storage = Field(default=Storage(), description="Persistence.")
    auth: Auth = Field(default=Auth(), description="Logging in.")
    limits: Limits = Field(default=Limits(), description="Protection against too much.")
    s2s: S2s = Field(default=S2s(), description="Other servers.")
    modules: dict[str, dict[str, Any]] = Field(
        default={}, description="A table a module; enabled = false takes one away that is on by default."
    )
    components: dict[str, Component] = Field(
        default={}, description="Services on domains of their own, by domain, which may have @HOST@."
    )
    host_config: list[HostConfig] = Field(default=[], description="Differences of one host.")
