"""What a listener's streams are allowed; made from ``[limits]`` and the listener's own table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred

KIB = 1024


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Limits and policy of the streams of one listener.

    Times are seconds, sizes bytes, rates bytes a second.
    """

    tls: str = "required"
    """off, optional, required (STARTTLS), or direct (XEP-0368)."""
    max_stanza_bytes: int = 256 * KIB
    max_unauthenticated_bytes: int = 64 * KIB
    auth_timeout_s: float = 300.0
    tls_timeout_s: float = 60.0
    idle_s: float = 840.0
    write_timeout_s: float = 180.0
    max_unsent_bytes: int = 32 * KIB * KIB
    max_pending_stanzas: int = 100
    max_auth_attempts: int = 5
    rate: float | None = None
    """None for no limit."""
    burst: float = 0.0
    language: str = "en"
    wake: Callable[[str], Deferred[bool] | None] | None = None
    """Has the host of a domain made that is none yet (`palaver.routing.domains.Domains.wake`)."""
