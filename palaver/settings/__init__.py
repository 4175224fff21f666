"""Every option of the configuration outside ``[modules]``, with its type, its default and what it means.

Names follow MongooseIM where it has the option, else Prosody. Times are seconds, sizes
bytes. docs/configuration.md is made from this package; what others need of it is found here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from twisted.python.reflect import namedAny

from palaver.log import LogFormat
from palaver.mistakes import ConfigError
from palaver.settings.clients import Auth, Limits, Password
from palaver.settings.ports import (
    C2sListener,
    ComponentListener,
    ComponentRules,
    HttpListener,
    Listen,
    Port,
    S2sListener,
)
from palaver.settings.s2s import S2s
from palaver.settings.values import (
    Account,
    Address,
    BelowPath,
    Domain,
    ExistingFile,
    HostType,
    RouteName,
    Section,
    matching,
)

__all__ = [
    "Account",
    "Address",
    "Auth",
    "C2sListener",
    "Certificate",
    "Component",
    "ComponentListener",
    "ComponentRules",
    "Domain",
    "ExistingFile",
    "General",
    "HostConfig",
    "HttpListener",
    "IqDisc",
    "Limits",
    "Listen",
    "Password",
    "Port",
    "Root",
    "S2s",
    "S2sListener",
    "Section",
    "Storage",
    "Tls",
]

STORAGE_URL = re.compile(r"sqlite|sqlite:///.+|memory")
HANDLER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


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
    domain_idle_s: float = Field(
        default=3600,
        ge=0,
        description="After how long the host of a domain that was added is taken out of memory when it has "
        "no session, no stream and no room that is open; it comes back when it is needed. 0 for never.",
    )
    admins: list[Account] = Field(
        default=[],
        description="Bare JIDs of those who administer every host, in a browser (mod_admin_web), by their "
        "clients (mod_admin_adhoc) and over REST; `host_config` adds those of one host.",
    )
    data_dir: BelowPath = Field(
        default=Path("palaver-data"),
        description="Folder for embedded storage, made certificates and the control socket.",
    )
    loglevel: Literal["none", "critical", "error", "warning", "notice", "info", "debug", "all"] = Field(
        default="info", description="From which level on log lines are written."
    )
    log_format: LogFormat = Field(default="text", description="Log lines as text or as one JSON object each.")
    slow_stanza_ms: int = Field(
        default=1000,
        ge=0,
        le=3_600_000,
        description="A line is written about a stanza whose handling takes longer, in milliseconds, and what "
        "took the time; 0 for none.",
    )
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

    url: Annotated[str, matching(STORAGE_URL, "sqlite, sqlite:///path/to/file, memory")] = Field(
        default="sqlite",
        description="sqlite (a file in data_dir), sqlite:///path, or memory (nothing survives a restart).",
    )


class Component(Section):
    """A service on a domain of its own: a Wokkel handler inside this process, or another program."""

    handler: Annotated[str, matching(HANDLER, "package.module:factory")] | None = Field(
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
