"""Connections through a proxy that says first for whom it connects (the PROXY protocol, versions 1 and 2).

The header is plain text or a short record, before anything else, TLS included. Only proxies that the
config names may send it, and from those it is demanded: otherwise anybody could have any address.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

from twisted.internet.protocol import Protocol

from palaver import metrics
from palaver.log import Log
from palaver.streams.listener import Listener
from palaver.streams.tcp import Connection
from palaver.throttle import Network, parse_address

log = Log("tcp")

# A proxy sends it with the first segment.
HEADER_TIMEOUT_S = 5.0
# Version 1 has a line of at most so much; one of version 2 has its length, and what it adds is not read.
MAX_LINE_BYTES = 107
MAX_RECORD_BYTES = 2048

Family = type[IPv4Address] | type[IPv6Address]

_SIGNATURE_1 = b"PROXY "
_SIGNATURE_2 = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED_BYTES = 16
_LOCAL, _PROXIED = 0x20, 0x21
# Family and transport of version 2, with the size of an address there.
_STREAMS: dict[int, tuple[Family, int]] = {0x11: (IPv4Address, 4), 0x21: (IPv6Address, 16)}
_FAMILIES: dict[bytes, Family] = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}


class Source(NamedTuple):
    """Where a connection comes from."""

    address: str
    port: int


class InvalidHeader(ValueError):
    """What came is no header of a proxy."""


def read_header(data: bytes) -> tuple[Source | None, int] | None:
    """Read a header; raises `InvalidHeader`.

    Gives the client, which is None when the proxy speaks for itself, and how long the header is; None while
    it is incomplete.
    """
    if data[: len(_SIGNATURE_2)] == _SIGNATURE_2[: len(data)]:
        return _read_record(data)
    if data[: len(_SIGNATURE_1)] == _SIGNATURE_1[: len(data)]:
        return _read_line(data)
    raise InvalidHeader("no header")


def _read_line(data: bytes) -> tuple[Source | None, int] | None:
    end = data.find(b"\r\n", 0, MAX_LINE_BYTES)
    if end < 0:
        if len(data) >= MAX_LINE_BYTES:
            raise InvalidHeader("too long a line")
        return None
    words = data[:end].split(b" ")
    if words[1] == b"UNKNOWN":
        return None, end + 2
    family = _FAMILIES.get(words[1])
    if family is None or len(words) != 6:
        raise InvalidHeader("not understood")
    port = words[4]
    try:
        address = family(words[2].decode("ascii"))
    except ValueError:
        raise InvalidHeader("no address") from None
    if not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise InvalidHeader("no port")
    return _source(address, int(port)), end + 2


def _read_record(data: bytes) -> tuple[Source | None, int] | None:
    if len(data) < _FIXED_BYTES:
        return None
    command, kind = data[12], data[13]
    size = _FIXED_BYTES + int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXIED) or size > MAX_RECORD_BYTES:
        raise InvalidHeader("not understood")
    if len(data) < size:
        return None
    if command == _LOCAL or kind not in _STREAMS:
        return None, size
    family, width = _STREAMS[kind]
    if size < _FIXED_BYTES + 2 * width + 4:
        raise InvalidHeader("too short")
    ports = _FIXED_BYTES + 2 * width
    address = family(data[_FIXED_BYTES : _FIXED_BYTES + width])
    return _source(address, int.from_bytes(data[ports : ports + 2], "big")), size


def _source(address: IPv4Address | IPv6Address, port: int) -> Source:
    mapped = getattr(address, "ipv4_mapped", None)
    return Source(str(mapped or address), port)


class ProxiedConnection(Connection):
    """A connection whose socket is a proxy's."""

    __slots__ = ("_port",)

    def __init__(self, factory: Listener, source: Source) -> None:
        super().__init__(factory, source.address)
        self._port = source.port

    @property
    def port(self) -> int | None:
        """The client's port at the proxy."""
        return self._port


class ClientPort(Listener):
    """A port for clients; behind proxies when some are named."""

    proxies: Sequence[Network] | None = None
    """Those that connect here, and nobody else does; None where clients connect themselves."""

    def buildProtocol(self, address: Any) -> Any:
        """See Listener."""
        if self.proxies is None:
            return super().buildProtocol(address)
        peer = parse_address(getattr(address, "host", ""))
        if peer is None or not any(peer in network for network in self.proxies):
            metrics.connections_refused[self.name] += 1
            log.info("no-proxy", address=getattr(address, "host", None))
            return None
        return _Header(self, Source(str(peer), address.port))


class _Header(Protocol):
    """Reads the header, and hands the socket over to a connection."""

    transport: Any

    def __init__(self, port: ClientPort, peer: Source) -> None:
        self._listener = port
        self._peer = peer
        self._came = b""
        self.deadline: float | None = None
        self.bucket: int | None = None

    def connectionMade(self) -> None:
        """Wait for the header, not for long."""
        wheel = self._listener.wheel
        self.deadline = wheel.now() + HEADER_TIMEOUT_S
        wheel.watch(self)

    def dataReceived(self, data: bytes) -> None:
        """Read what came of the header."""
        self._came += data
        try:
            found = read_header(self._came)
        except InvalidHeader as error:
            log.warn("proxy-header", address=self._peer.address, text=str(error))
            self.transport.abortConnection()
            return
        if found is not None:
            source, size = found
            self._hand_over(source or self._peer, self._came[size:])

    def connectionLost(self, reason: Any = None) -> None:
        """See IProtocol."""
        self._listener.wheel.forget(self)

    def deadline_passed(self) -> None:
        """See HasDeadline."""
        self.transport.abortConnection()

    def _hand_over(self, source: Source, rest: bytes) -> None:
        listener, transport = self._listener, self.transport
        listener.wheel.forget(self)
        if not listener.admission.admit(source.address):
            metrics.connections_refused[listener.name] += 1
            transport.abortConnection()
            return
        metrics.connections[listener.name] += 1
        connection = ProxiedConnection(listener, source)
        transport.protocol = connection
        connection.makeConnection(transport)
        if rest:
            # Of TLS, when the port begins with that.
            transport.protocol.dataReceived(rest)
