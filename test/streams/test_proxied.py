"""Clients behind proxies with the PROXY protocol: addresses are right, and nobody makes one up."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from palaver.streams.proxied import InvalidHeader, Source, read_header
from palaver.streams.tcp import Connection
from palaver.test.served import ServedCase
from palaver.test.wire import Wire, connect

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 5222\r\n"


def record(command: int, kind: int, rest: bytes) -> bytes:
    """Give a header of version 2."""
    return SIGNATURE + bytes([command, kind]) + len(rest).to_bytes(2, "big") + rest


def addresses(source: str, to: str) -> bytes:
    """Give what a record of version 2 says of two addresses."""
    ports = (40000).to_bytes(2, "big") + (5222).to_bytes(2, "big")
    return ip_address(source).packed + ip_address(to).packed + ports


IPV4 = record(0x21, 0x11, addresses("192.0.2.7", "198.51.100.1"))
IPV6 = record(0x21, 0x21, addresses("2001:db8::7", "2001:db8::1") + b"\x04\0\x02xy")


class HeaderTests(SynchronousTestCase):
    """Both forms of the header."""

    def test_known(self) -> None:
        """A header says who connects, and how long it is itself."""
        for data, source in (
            (LINE, Source("192.0.2.7", 40000)),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n", Source("2001:db8::7", 1)),
            (b"PROXY UNKNOWN whatever\r\n", None),
            (b"PROXY UNKNOWN\r\n", None),
            (IPV4, Source("192.0.2.7", 40000)),
            (IPV6, Source("2001:db8::7", 40000)),
            (record(0x21, 0x21, addresses("::ffff:192.0.2.7", "::1")), Source("192.0.2.7", 40000)),
            (record(0x20, 0, b""), None),
            (record(0x21, 0, b"socket"), None),
        ):
            self.assertEqual(read_header(data + b"<stream"), (source, len(data)))

    def test_incomplete(self) -> None:
        """A header may come in pieces of any size."""
        for data in (LINE, IPV4, IPV6):
            for size in range(len(data)):
                self.assertIsNone(read_header(data[:size]))

    def test_invalid(self) -> None:
        """What is no header is refused as soon as that is clear."""
        for data in (
            b"<?xml version='1.0'?>",
            b"\x16\x03\x01",
            b"PROXY " + b"x" * 120,
            b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            b"PROXY TCP4 2001:db8::7 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 70000 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
            b"PROXY TCP4 \xff 1.2.3.4 1 2\r\n",
            record(0x31, 0x11, b""),
            record(0x21, 0x11, b"short"),
            record(0x21, 0x11, b"x" * 4000),
        ):
            self.assertRaises(InvalidHeader, read_header, data)


class ProxiedTests(ServedCase):
    """A server behind a proxy."""

    trusted: ClassVar[list[str]] = ["127.0.0.1"]

    def setUp(self) -> Any:
        """Have ports for clear text and for direct TLS."""
        port = {"interface": "127.0.0.1", "port": 0, "proxy_protocol": True, "trusted_proxies": self.trusted}
        type(self).listen = {"c2s": [{**port, "tls": "off"}, {**port, "tls": "direct"}]}
        return super().setUp()

    async def proxied(self, data: bytes, tls: str = "off") -> Wire:
        """Give a connection that begins with something."""
        wire = await connect(self.port(tls))
        self.addCleanup(self._drop, wire)
        wire.send(data)
        return wire

    def address(self) -> tuple[str, int | None]:
        """Give what the server thinks of its only client."""
        (connection,) = self.palaver._connections()
        return connection.stream.address, connection.stream.port

    async def test_login(self) -> None:
        """The client's address is its own."""
        for data in (LINE, IPV4):
            wire = await self.proxied(data)
            await wire.log_in("romeo@localhost/orchard", "sesame")
            self.assertEqual(self.address(), ("192.0.2.7", 40000))
            await wire.close()

    async def test_direct_tls(self) -> None:
        """The header comes before TLS."""
        wire = await self.proxied(IPV6, "direct")
        wire.encrypt()
        await wire.log_in("romeo@localhost/orchard", "sesame")
        self.assertEqual(self.address(), ("2001:db8::7", 40000))

    async def test_health(self) -> None:
        """A proxy that looks whether the server is there is a client of its own."""
        wire = await self.proxied(record(0x20, 0, b""))
        await wire.features()
        self.assertEqual(self.address()[0], "127.0.0.1")

    async def test_limit(self) -> None:
        """Limits for one address are for the client's."""
        self.palaver._admission.max_per_address = 1
        first = await self.proxied(LINE)
        await first.features()
        second = await self.proxied(LINE)
        await second.closed()
        third = await self.proxied(LINE.replace(b"192.0.2.7", b"192.0.2.8"))
        await third.features()

    async def test_none(self) -> None:
        """Without a header nobody is let in."""
        wire = await self.proxied(b"<?xml version='1.0'?>")
        await wire.closed()
        self.assertEqual(self.palaver._connections(), [])

    async def test_silence(self) -> None:
        """The header has to come soon."""
        wire = await self.proxied(b"PROXY ")
        await (await self.proxied(LINE)).features()
        (waiting,) = (
            item for items in self.palaver._wheel._buckets.values() for item in items if _waits(item)
        )
        waiting.deadline_passed()
        await wire.closed()


def _waits(item: object) -> bool:
    """Tell whether this is a connection whose header has not come."""
    return not isinstance(item, Connection)


class UntrustedTests(ProxiedTests):
    """A server whose proxies are elsewhere."""

    trusted: ClassVar[list[str]] = ["192.0.2.0/24"]

    async def test_login(self) -> None:
        """Whoever else connects is refused, whatever it says."""
        wire = await self.proxied(LINE)
        await wire.closed()

    test_direct_tls = test_health = test_limit = test_none = test_silence = test_login
