"""What streams between servers go over: versions of TLS, addresses, changed certificates, three servers."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from palaver.config import Config
from palaver.service import Palaver
from palaver.streams.s2s.identity import Authorities
from palaver.streams.tls import ALPN_SERVER
from palaver.test.federation.authority import Authority
from palaver.test.federation.case import run
from palaver.test.federation.test_palaver import Pair

CHECKS = 50


class Transport(Pair):
    """Romeo at mantua.example and Juliet at verona.example, and Petruchio at padua.example."""

    def versions(self, palaver: Palaver) -> set[str]:
        """Give the versions of TLS that the streams of a server have."""
        streams = palaver._federation._streams
        return {s.connection.transport.getHandle().get_protocol_version_name() for s in streams}

    @run
    async def test_tls_1_3(self) -> None:
        """Two servers that are left alone speak TLS 1.3."""
        romeo, juliet = await self.pair()
        await self.say(romeo, juliet, "there")
        self.assertEqual(self.versions(self.mantua), {"TLSv1.3"})

    @run
    async def test_tls_1_2(self) -> None:
        """A server that speaks TLS 1.2 at most is spoken to, by certificates, in both directions."""
        romeo, juliet = await self.pair()
        for context in self.verona.tls._contexts[ALPN_SERVER].values():
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
        await self.say(romeo, juliet, "there")
        await self.say(juliet, romeo, "back")
        self.assertEqual(self.versions(self.mantua), {"TLSv1.2"})

    @run
    async def test_dead_ipv6(self) -> None:
        """A server whose IPv6 address does not answer is reached by IPv4."""
        romeo, juliet = await self.pair()
        self.zone.records["xmpp.verona.example"].append(dns.Record_AAAA("::1", ttl=1))
        await self.say(romeo, juliet, "there")

    @run
    async def test_ipv6(self) -> None:
        """A server that has both addresses is reached by IPv6."""
        more: dict[str, Any] = {
            "listen": {
                "c2s": [{"interface": "127.0.0.2", "port": 0, "tls": "off"}],
                "s2s": [{"interface": "127.0.0.2", "port": 0}, {"interface": "::1", "port": 0}],
            }
        }
        self.verona = await self.serve("verona.example", accounts=("juliet",), more=more)
        place = next(text for text in self.verona.addresses() if "::1" in text)
        port = int(place.rpartition(" ")[0].rpartition(":")[2])
        self.zone.serves("verona.example", "127.0.0.2", port)
        self.zone.records["xmpp.verona.example"].append(dns.Record_AAAA("::1", ttl=1))
        self.mantua = await self.serve("mantua.example")
        romeo, juliet = await self.people()
        await self.say(romeo, juliet, "there")
        self.assertEqual({stream.address for stream in self.verona._federation._streams}, {"::1"})

    @run
    async def test_three(self) -> None:
        """Three servers speak to each other, each over streams of its own."""
        romeo, juliet = await self.pair()
        padua = await self.serve("padua.example", accounts=("petruchio",))
        petruchio = await self.log_in(padua, "petruchio@padua.example/home")
        people = (romeo, juliet, petruchio)
        for number, sender in enumerate(people):
            for other in people[:number] + people[number + 1 :]:
                await self.say(sender, other, f"{number}")
        for palaver in (self.mantua, self.verona, padua):
            self.assertEqual(len(palaver._federation.routes), 2)

    @run
    async def test_reload(self) -> None:
        """After a reload new streams are judged by the new table; those that are there stay."""
        romeo, juliet = await self.pair()
        await self.say(romeo, juliet, "before")
        table = self.tables["mantua.example"]
        s2s = {**table["s2s"], "host_policy": [{"host": "padua.example", "policy": "deny"}]}
        await self.mantua.reload(Config.from_dict({**table, "s2s": s2s}))
        await self.say(romeo, juliet, "after")
        await self.serve("padua.example", accounts=("petruchio",))
        self.assertEqual((await self.refused(romeo, "petruchio@padua.example"))[0], "service-unavailable")

    @run
    async def test_certificate_replaced(self) -> None:
        """After a reload a new certificate is shown on streams yet to come; the old one had expired."""
        file = self.authority.for_domain("verona.example", days=-1)
        self.verona = await self.serve("verona.example", accounts=("juliet",), certificate=file)
        self.mantua = await self.serve("mantua.example", max_retry_delay=0.01)
        romeo, juliet = await self.people()
        self.assertEqual((await self.refused(romeo))[0], "remote-server-timeout")
        self.assertEqual(self.authority.for_domain("verona.example"), file)
        await self.verona.reload(Config.from_dict(self.tables["verona.example"]))
        await self.until(lambda: not self.mantua._federation._streams, "no stream")
        await self.say(romeo, juliet, "there")
        await self.say(juliet, romeo, "back")


class Kept(SynchronousTestCase):
    """The store of authorities."""

    def test_outlives_its_context(self) -> None:
        """Authorities judge alike however much memory was freed and used again meanwhile."""
        authority = Authority(Path(self.mktemp()))
        file = Path(authority.for_domain("verona.example")).read_bytes()
        shown = [crypto.load_certificate(crypto.FILETYPE_PEM, file)]
        authorities = Authorities(authority.path)
        gc.collect()
        others = [SSL.Context(SSL.TLS_METHOD) for _ in range(CHECKS)]
        found = {authorities.fault(shown, "verona.example") for _ in others}
        self.assertEqual(found, {None})
