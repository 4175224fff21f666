"""Every option of the configuration outside ``[modules]``, with its type, its default and what it means.

Names follow MongooseIM where it has the option, else Prosody. Times are seconds, sizes
bytes. docs/configuration.md is made from this file.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

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
Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]
Positive = Annotated[int, Field(gt=0)]


class General(Section):
    """What concerns the whole server."""

    hosts: list[Domain] = Field(
        default=["localhost"], min_length=1, description="The domains that have accounts here."
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


class C2sListener(Section):
    """A port for clients (RFC 6120; XEP-0368 for direct TLS)."""

    interface: Address = Field(default="::", description="The IP address to listen on; :: is every address.")
    port: int = Field(default=5222, ge=0, le=65535, description="The TCP port; 0 takes any free one.")
    tls: Literal["off", "optional", "required", "direct"] = Field(
        default="required",
        description="STARTTLS not offered, offered, or demanded; direct: TLS from the first byte.",
    )
    backlog: int = Field(default=1024, ge=1, description="Connections that may wait to be accepted.")


class Listen(Section):
    """The ports, an array of tables a kind."""

    c2s: list[C2sListener] = Field(
        default=[C2sListener()],
        description="Ports for clients; with no table one on port 5222, for this machine alone when the only "
        "host is localhost.",
    )

    @field_validator("c2s")
    @classmethod
    def _no_port_twice(cls, listeners: list[C2sListener]) -> list[C2sListener]:
        places = [(listener.interface, listener.port) for listener in listeners if listener.port]
        if len(set(places)) != len(places):
            raise ValueError("two listeners have the same interface and port")
        return listeners


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


class Component(Section):
    """A Wokkel handler inside this process that answers for a domain of its own."""

    handler: Annotated[str, _matching(HANDLER, "package.module:factory")] = Field(
        description="A callable that gives an XMPPHandler or a list of them."
    )
    options: dict[str, Any] = Field(default={}, description="Keyword arguments for the callable.")

    def make(self) -> Any:
        """Import the callable and call it; raises `ConfigError` when there is none."""
        try:
            factory = namedAny(self.handler.replace(":", "."))
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
    """What is different for one of the hosts."""

    host: Domain = Field(description="One of general.hosts.")
    auth: Auth | None = Field(default=None, description="Takes the place of [auth] for this host.")
    admins: list[Account] = Field(default=[], description="Bare JIDs of those who administer this host too.")
    modules: dict[str, dict[str, Any]] = Field(
        default={}, description="Each table here takes the place of the one of the same name in [modules]."
    )


class Root(Section):
    """The whole configuration file."""

    general: General = Field(default=General(), description="The whole server.")
    listen: Listen = Field(default=Listen(), description="Ports.")
    tls: Tls = Field(default=Tls(), description="Certificates.")
    storage: Storage = Field(default=Storage(), description="Persistence.")
    auth: Auth = Field(default=Auth(), description="Logging in.")
    limits: Limits = Field(default=Limits(), description="Protection against too much.")
    modules: dict[str, dict[str, Any]] = Field(
        default={}, description="A table a module; enabled = false takes one away that is on by default."
    )
    components: dict[str, Component] = Field(
        default={}, description="Wokkel handlers by domain, which may have @HOST@."
    )
    host_config: list[HostConfig] = Field(default=[], description="Differences of one host.")
