"""Where another server is: SRV records (RFC 6120 section 3.2, XEP-0368), then addresses, by twisted.names."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IReactorPluggableNameResolver
from twisted.names import dns
from twisted.names.client import Resolver
from twisted.names.error import DNSNameError, DomainError
from twisted.names.hosts import searchFileForAll
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from zope.interface import implementer

from palaver.auth.certificates import ascii_domain
from palaver.log import Log
from palaver.settings import S2s

log = Log("s2s")

RESOLV_CONF = Path("/etc/resolv.conf")
HOSTS_FILE = FilePath("/etc/hosts")
DNS_PORT = 53
# A zone's owner decides how many records there are; more places than this nobody waits for.
MAX_TARGETS = 16
MAX_ADDRESSES = 16
# Names that stand for other names, one after the other; a loop of them ends here.
MAX_ALIASES = 8

_DIRECT, _STARTTLS = "_xmpps-server._tcp", "_xmpp-server._tcp"


class Unresolved(Exception):
    """DNS gives no server. ``lasting`` is False when asking again soon may help."""

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.lasting = lasting


class Target(NamedTuple):
    """A place to connect to; ``direct`` for TLS from the first byte."""

    host: str
    port: int
    direct: bool


class _Record(NamedTuple):
    priority: int
    weight: int
    target: Target


@implementer(IHostnameResolver)
class Resolving:
    """Asks name servers: those of ``[s2s]``, else those of the system."""

    def __init__(self, reactor: Any, settings: S2s) -> None:
        self._settings = settings
        self._timeouts = tuple([settings.dns.timeout] * (settings.dns.retries + 1))
        self._resolver = Resolver(servers=_servers(settings), timeout=self._timeouts, reactor=reactor)
        self._system = not settings.dns_servers
        self._reactor = reactor

    # -- servers ----------------------------------------------------------------------

    async def targets(self, domain: str) -> list[Target]:
        """Give the places of a domain's server in the order in which to try them; raises `Unresolved`."""
        for entry in self._settings.address:
            if entry.host == domain:
                port = entry.port or self._settings.outgoing.port
                return [Target(entry.ip_address, port, entry.tls)]
        literal = domain.strip("[]")
        if _family(literal) is not None:
            return [Target(literal, self._settings.outgoing.port, False)]
        name = ascii_domain(domain)
        kinds = [_STARTTLS] if self._settings.use_starttls == "off" else [_DIRECT, _STARTTLS]
        found: Any = await DeferredList(
            [Deferred.fromCoroutine(self._records(f"{kind}.{name}", kind)) for kind in kinds],
            consumeErrors=True,
        )
        records = [record for good, some in found if good for record in some]
        wanted = [record for record in records if record.target.host]
        if wanted:
            return in_order(wanted)[:MAX_TARGETS]
        if records:
            raise Unresolved("has no server, as DNS says", lasting=True)
        failed = [failure for good, failure in found if not good]
        if failed:
            raise _unresolved(failed[0])
        return [Target(name, self._settings.outgoing.port, False)]

    async def _records(self, name: str, kind: str) -> list[_Record]:
        try:
            answers, _, _ = await self._resolver.lookupService(name)
        except DNSNameError:
            return []
        found = []
        for answer in answers[: MAX_TARGETS * 2]:
            if answer.type == dns.SRV:
                payload = answer.payload
                target = Target(payload.target.name.decode("ascii", "replace"), payload.port, kind == _DIRECT)
                found.append(_Record(payload.priority, payload.weight, target))
        return found

    # -- addresses: IHostnameResolver, for HostnameEndpoint ---------------------------------

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """See IHostnameResolver; the newer family comes first (RFC 8305 section 4)."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)

        def found(addresses: list[str]) -> None:
            for address in addresses:
                kind: Any = IPv6Address if _family(address) == 6 else IPv4Address
                resolutionReceiver.addressResolved(kind("TCP", address, portNumber))
            resolutionReceiver.resolutionComplete()

        Deferred.fromCoroutine(self.addresses(hostName)).addCallbacks(found, lambda failure: found([]))
        return resolution

    async def addresses(self, name: str) -> list[str]:
        """Give the IP addresses of a name, as far as they can be found, IPv6 first."""
        versions = self._settings.outgoing.ip_versions
        family = _family(name)
        if family is not None:
            return [name] if family in versions else []
        if self._system:
            known = [a for a in searchFileForAll(HOSTS_FILE, name.encode()) if _family(a) in versions]
            if known:
                return sorted(known, key=lambda address: ":" not in address)
        lookups = {6: self._resolver.lookupIPV6Address, 4: self._resolver.lookupAddress}
        found: Any = await DeferredList(
            [
                Deferred.fromCoroutine(self._addresses(name, lookup))
                for version, lookup in lookups.items()
                if version in versions
            ],
            consumeErrors=True,
        )
        return [address for good, some in found if good for address in some][:MAX_ADDRESSES]

    async def _addresses(self, name: str, lookup: Any) -> list[str]:
        for _ in range(MAX_ALIASES):
            answers, _, _ = await lookup(name)
            aliases = {str(a.name).lower(): str(a.payload.name) for a in answers if a.type == dns.CNAME}
            addresses = [str(a.payload.dottedQuad()) for a in answers if a.type == dns.A]
            addresses += [_ipv6(a.payload.address) for a in answers if a.type == dns.AAAA]
            alias = _last_alias(name.lower(), aliases)
            if addresses or alias == name.lower():
                return addresses
            name = alias
        return []


class NamingReactor:
    """The reactor with another resolver of names, for HostnameEndpoint."""

    def __init__(self, reactor: Any, resolver: Resolving) -> None:
        self._reactor = reactor
        self.nameResolver = resolver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


implementer(IReactorPluggableNameResolver)(NamingReactor)


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """See IHostResolution; an answer that nobody waits for is dropped."""


def in_order(records: Iterable[_Record]) -> list[Target]:
    """Give targets by priority, those of one priority at random by weight (RFC 2782)."""
    left = sorted(records, key=lambda record: (record.priority, record.weight > 0))
    ordered = []
    while left:
        same = [record for record in left if record.priority == left[0].priority]
        chosen = random.choices(same, [record.weight or 0.01 for record in same])[0]
        left.remove(chosen)
        ordered.append(chosen.target)
    return ordered


def _last_alias(name: str, aliases: dict[str, str]) -> str:
    for _ in range(MAX_ALIASES):
        if name not in aliases:
            break
        name = aliases[name].lower()
    return name


def _ipv6(packed: bytes) -> str:
    return str(ipaddress.IPv6Address(packed))


def _family(text: str) -> int | None:
    """Give 4 or 6 for an IP address; None for a name."""
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return None


def _unresolved(failure: Failure) -> Unresolved:
    """Give what to say of a question that the name servers did not answer."""
    if failure.check(DomainError, CancelledError) is None and failure.check(TimeoutError) is None:
        log.info("dns-failed", reason=failure.getErrorMessage())
    return Unresolved("cannot be found now: DNS does not answer", lasting=False)


def _servers(settings: S2s) -> Sequence[tuple[str, int]]:
    if settings.dns_servers:
        return [_server(text) for text in settings.dns_servers]
    try:
        lines = RESOLV_CONF.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    found = [(word[1], DNS_PORT) for word in words if len(word) > 1 and word[0] == "nameserver"]
    return found or [("127.0.0.1", DNS_PORT)]


def _server(text: str) -> tuple[str, int]:
    """Read ``address`` or ``address:port``; an IPv6 address with a port stands in brackets."""
    if _family(text) is not None:
        return text, DNS_PORT
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)
