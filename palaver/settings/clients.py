"""Options of ``[auth]`` and ``[limits]``: who may log in, and what one client may use up."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from palaver.settings.values import KIB, MIB, Positive, Seconds, Section


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
