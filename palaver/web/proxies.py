"""Who a request is from, when proxies stand between (X-Forwarded-For and X-Forwarded-Proto)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from palaver.throttle import Network, parse_address

# No chain of proxies is longer; what a client writes before them is not read.
MAX_HOPS = 16


class Client(NamedTuple):
    """The sender of a request."""

    address: str
    secure: bool
    """True over TLS, to us or to a trusted proxy."""


def client_of(request: Any, trusted: Iterable[Network]) -> Client:
    """Give the sender: the last address of the chain that is no trusted proxy.

    A header counts only when the connection comes from a trusted proxy.
    """
    networks = tuple(trusted)
    peer = getattr(request.getClientAddress(), "host", None) or "local"
    secure = bool(request.isSecure())
    if not _is_trusted(peer, networks):
        return Client(peer, secure)
    hops = _values(request, b"x-forwarded-for")[-MAX_HOPS:]
    for hop in reversed(hops):
        if parse_address(hop) is None:
            break
        peer = hop
        if not _is_trusted(hop, networks):
            break
    protocols = _values(request, b"x-forwarded-proto")
    if protocols:
        secure = protocols[-1].lower() in ("https", "wss")
    return Client(peer, secure)


def _is_trusted(text: str, networks: tuple[Network, ...]) -> bool:
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)


def _values(request: Any, name: bytes) -> list[str]:
    """Give the values of all headers of a name, split at commas."""
    found = []
    for line in request.requestHeaders.getRawHeaders(name, ()):
        found += [value.strip() for value in line.decode("latin-1").split(",")]
    return found
