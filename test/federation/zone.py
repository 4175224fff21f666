"""A DNS server for a test: it answers from a dictionary, or as badly as it is told to."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.names import dns
from twisted.names.common import ResolverBase
from twisted.names.error import DNSNameError
from twisted.names.server import DNSServerFactory

reactor: Any = _reactor

TTL_S = 1


class Broken(Exception):
    """The name server fails."""


class _Server(DNSServerFactory):
    """Copies "recursion desired" into the answer (RFC 1035 section 4.1.1); else Erlang takes none."""

    noisy = False

    def sendReply(self, protocol: Any, message: Any, address: Any) -> None:
        """See DNSServerFactory; every resolver that is tested asks for recursion."""
        message.recDes = True
        super().sendReply(protocol, message, address)


class Zone(ResolverBase):
    """``records`` maps names to lists of `dns.Record_…`; a name that is not there does not exist.

    ``silent`` names are never answered, ``broken`` ones with an error of the server's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, list[Any]] = {}
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self._ports: list[Any] = []

    def start(self) -> str:
        """Listen on a free port; gives its address as ``dns_servers`` takes it."""
        factory = _Server(clients=[self])
        tcp = reactor.listenTCP(0, factory, interface="127.0.0.1")
        port = tcp.getHost().port
        self._ports = [tcp, reactor.listenUDP(port, dns.DNSDatagramProtocol(factory), interface="127.0.0.1")]
        return f"127.0.0.1:{port}"

    async def stop(self) -> None:
        """Listen no more."""
        for port in self._ports:
            await port.stopListening()

    def serves(
        self, domain: str, address: str, port: int, *, direct: int | None = None, named: bool = True
    ) -> None:
        """Add the usual records of a domain whose server is at an address.

        Without ``named`` the service record bears the address itself, which every resolver understands:
        that is for those who leave names, but not services, to the system.
        """
        host = f"xmpp.{domain}" if named else address
        self.records[host] = [dns.Record_A(address, ttl=TTL_S)]
        self.records[f"_xmpp-server._tcp.{domain}"] = [srv(port, host)]
        if direct is not None:
            self.records[f"_xmpps-server._tcp.{domain}"] = [srv(direct, host)]

    def _lookup(self, name: bytes, cls: int, kind: int, timeout: Any) -> Deferred[Any]:
        text = name.decode().lower()
        self.asked.append(text)
        if text in self.silent:
            return Deferred()
        if text in self.broken:
            return fail(Broken())
        if text not in self.records:
            return fail(DNSNameError())
        found = [record for record in self.records[text] if record.TYPE in (kind, dns.CNAME)]
        return succeed(
            ([dns.RRHeader(name, record.TYPE, dns.IN, TTL_S, record, auth=True) for record in found], [], [])
        )


def srv(port: int, host: str, priority: int = 10, weight: int = 0) -> dns.Record_SRV:
    """Give an SRV record."""
    return dns.Record_SRV(priority, weight, port, host, ttl=TTL_S)
