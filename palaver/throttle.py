"""How often strangers may do something: token buckets by address, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime

# One customer of a provider commonly has a whole network of this size.
IPV6_PREFIX_BITS = 64
# Those who are connecting just now.
CACHED_ADDRESSES = 1024

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@lru_cache(CACHED_ADDRESSES)
def parse_address(text: str) -> Address | None:
    """Read an IP address; None when it is none (a local socket, say). IPv4 inside of IPv6 becomes IPv4."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def neighbourhood(address: Address) -> Network:
    """Give the network that counts as one: the address itself, or for IPv6 what one customer has."""
    if isinstance(address, IPv6Address):
        return ip_network((address, IPV6_PREFIX_BITS), strict=False)
    return ip_network(address)


class _Bucket(NamedTuple):
    tokens: float
    filled: float


class Throttle:
    """Allows ``burst`` actions at once to each address, refilled over ``period_s`` seconds."""

    def __init__(self, clock: IReactorTime, burst: int, period_s: float, max_addresses: int) -> None:
        self._clock = clock
        self._burst = burst
        self._period_s = period_s
        self._max_addresses = max_addresses
        self._buckets: OrderedDict[Network, _Bucket] = OrderedDict()

    def allow(self, address: Address) -> bool:
        """Count one action; False when there were too many."""
        key = neighbourhood(address)
        tokens = self._tokens(key)
        allowed = tokens >= 1
        self._buckets[key] = _Bucket(tokens - 1 if allowed else tokens, self._clock.seconds())
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._max_addresses:
            self._buckets.popitem(last=False)
        return allowed

    def would_allow(self, address: Address) -> bool:
        """Tell whether one more action would be allowed, and count none."""
        return self._tokens(neighbourhood(address)) >= 1

    def _tokens(self, key: Network) -> float:
        now = self._clock.seconds()
        bucket = self._buckets.get(key, _Bucket(self._burst, now))
        refilled = (now - bucket.filled) * self._burst / self._period_s
        return min(float(self._burst), bucket.tokens + refilled)
