"""Options of ``[s2s]``: streams with other servers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from palaver.settings.values import (
    KIB,
    MIB,
    Address,
    Domain,
    ExistingFile,
    NameServer,
    Positive,
    Seconds,
    Section,
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
