"""Servers that cannot be found, do not answer, or go away."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.names import dns

from palaver.test.federation.case import FederatedCase, run
from palaver.test.federation.zone import Broken, srv
from palaver.test.wire import Wire

reactor: Any = _reactor

IMPATIENT: dict[str, Any] = {"timeout": 1.5, "dns": {"timeout": 1, "retries": 0}}


class Trouble(FederatedCase):
    """Romeo at mantua.example writes to servers with a trouble each."""

    async def start(self, **s2s: Any) -> Wire:
        """Start Romeo's server, and log in."""
        self.mantua = await self.serve("mantua.example", **{**IMPATIENT, **s2s})
        return await self.log_in(self.mantua, "romeo@mantua.example/exile")

    async def bounced(self, romeo: Wire, condition: str, to: str = "juliet@verona.example") -> None:
        """See a message come back; the error does not name the server."""
        romeo.send(f"<message to='{to}' id='m'><body>hello</body></message>")
        answer = await romeo.next()
        error = next(answer.elements("jabber:client", "error"))
        self.assertEqual((answer["from"], error.firstChildElement().name), (to, condition))
        self.assertNotIn("verona", error.toXml())

    @run
    async def test_no_such_domain(self) -> None:
        """A domain that does not exist is not found."""
        await self.bounced(await self.start(), "remote-server-not-found")

    @run
    async def test_no_service(self) -> None:
        """A domain whose SRV record says that there is no server (RFC 2782) is not looked for further."""
        romeo = await self.start()
        self.zone.records["_xmpp-server._tcp.verona.example"] = [srv(0, "")]
        await self.bounced(romeo, "remote-server-not-found")
        self.assertNotIn("verona.example", self.zone.asked)

    @run
    async def test_silent_dns(self) -> None:
        """Name servers that do not answer cost a while, and the message comes back as one to try again."""
        romeo = await self.start()
        self.zone.silent |= {f"_{kind}._tcp.verona.example" for kind in ("xmpp-server", "xmpps-server")}
        await self.bounced(romeo, "remote-server-timeout")

    @run
    async def test_broken_dns(self) -> None:
        """Name servers that fail are said to."""
        romeo = await self.start()
        self.zone.broken |= {f"_{kind}._tcp.verona.example" for kind in ("xmpp-server", "xmpps-server")}
        await self.bounced(romeo, "remote-server-timeout")
        self.flushLoggedErrors(Broken)

    @run
    async def test_looping_dns(self) -> None:
        """Names that stand for each other lead nowhere, and end."""
        romeo = await self.start()
        self.zone.records["_xmpp-server._tcp.verona.example"] = [srv(5269, "a.verona.example")]
        self.zone.records["a.verona.example"] = [dns.Record_CNAME("b.verona.example", ttl=1)]
        self.zone.records["b.verona.example"] = [dns.Record_CNAME("a.verona.example", ttl=1)]
        await self.bounced(romeo, "remote-server-not-found")

    @run
    async def test_lying_dns(self) -> None:
        """A domain whose records lead to another server gets nothing: that one's certificate is its own."""
        romeo = await self.start()
        padua = await self.serve("padua.example")
        self.zone.serves("verona.example", *self.place(padua, "s2s"))
        await self.bounced(romeo, "remote-server-timeout")

    @run
    async def test_records_that_lead_home(self) -> None:
        """A domain whose records lead to this very server is not served by it."""
        romeo = await self.start()
        self.zone.serves("verona.example", *self.place(self.mantua, "s2s"))
        await self.bounced(romeo, "remote-server-timeout")

    @run
    async def test_alias_and_fallbacks(self) -> None:
        """Of several records the best that works is used, and names that stand for others are followed."""
        romeo = await self.start()
        verona = await self.serve("verona.example", accounts=("juliet",))
        host, port = self.place(verona, "s2s")
        self.zone.records["_xmpp-server._tcp.verona.example"] = [
            srv(1, "gone.verona.example", 1), srv(port, "alias.verona.example", 5),
        ]  # fmt: skip
        self.zone.records["gone.verona.example"] = [dns.Record_A(host, ttl=1)]
        self.zone.records["alias.verona.example"] = [dns.Record_CNAME("xmpp.verona.example", ttl=1)]
        juliet = await self.log_in(verona, "juliet@verona.example/balcony")
        await self.say(romeo, juliet, "there")

    @run
    async def test_let_alone(self) -> None:
        """A server that could not be reached is let alone for a while; who writes to it is told at once."""
        romeo = await self.start()
        await self.bounced(romeo, "remote-server-not-found")
        asked = len(self.zone.asked)
        await self.bounced(romeo, "remote-server-not-found")
        self.assertEqual(len(self.zone.asked), asked)

    @run
    async def test_stalls(self) -> None:
        """A server that takes the connection and says nothing costs no more than the time set."""
        romeo = await self.start()
        port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.zone.serves("verona.example", "127.0.0.1", port.getHost().port)
        await self.bounced(romeo, "remote-server-timeout")

    @run
    async def test_queue_is_bounded(self) -> None:
        """No more waits for a server than is set; what is too much comes back at once, the rest later."""
        romeo = await self.start(send_queue_size=3)
        self.zone.silent.add("_xmpp-server._tcp.verona.example")
        for number in range(5):
            romeo.send(f"<message to='juliet@verona.example' id='{number}'><body>x</body></message>")
        answers = [await romeo.next() for _ in range(5)]
        conditions = {
            answer["id"]: next(answer.elements("jabber:client", "error")).firstChildElement().name
            for answer in answers
        }
        self.assertEqual([answer["id"] for answer in answers], ["3", "4", "0", "1", "2"])
        self.assertEqual({conditions["3"], conditions["4"]}, {"resource-constraint"})
        self.assertEqual({conditions[n] for n in "012"}, {"remote-server-timeout"})
        self.assertEqual(self.mantua._federation._waiting_bytes, 0)

    @run
    async def test_restart(self) -> None:
        """A server that is stopped and comes back in the middle of a conversation gets what follows."""
        romeo = await self.start(max_retry_delay=0.01)
        verona = await self.serve("verona.example", accounts=("juliet",))
        juliet = await self.log_in(verona, "juliet@verona.example/balcony")
        await self.say(romeo, juliet, "before")
        await verona.stopService()
        await self.until(lambda: not self.mantua._federation.routes, "no route")
        await self.bounced(romeo, "remote-server-not-found")
        verona = await self.serve("verona.example", accounts=("juliet",))
        juliet = await self.log_in(verona, "juliet@verona.example/balcony")
        await self.say(romeo, juliet, "after")

    @run
    async def test_connection_cut(self) -> None:
        """What a server had not acknowledged when the connection broke is sent again over the next one."""
        romeo = await self.start()
        verona = await self.serve("verona.example", accounts=("juliet",))
        juliet = await self.log_in(verona, "juliet@verona.example/balcony")
        await self.say(romeo, juliet, "before")
        (incoming,) = verona._federation._streams
        incoming.connection.transport.pauseProducing()
        romeo.send(f"<message to='{juliet.jid}' type='chat' id='m'><body>lost?</body></message>")
        await romeo.ask()
        incoming.connection.transport.abortConnection()
        came = [await juliet.next()]
        self.assertIn("lost?", [str(element.body) for element in came])

    @run
    async def test_idle(self) -> None:
        """A stream over which nothing is sent any more is closed."""
        romeo = await self.start(idle_close_s=1.0)
        verona = await self.serve("verona.example", accounts=("juliet",))
        juliet = await self.log_in(verona, "juliet@verona.example/balcony")
        await self.say(romeo, juliet, "there")
        await self.until(lambda: not self.mantua._federation._streams, "no stream")
        self.assertEqual(self.mantua._federation._links, {})
        await self.say(romeo, juliet, "again")

    @run
    async def test_status(self) -> None:
        """The server says how many streams there are."""
        romeo = await self.start()
        verona = await self.serve("verona.example", accounts=("juliet",))
        juliet = await self.log_in(verona, "juliet@verona.example/balcony")
        await self.say(romeo, juliet, "there")
        status = self.mantua.status()["federation"]
        self.assertEqual((status["outgoing"], status["routes"], status["waiting_domains"]), (1, 1, 0))
        self.assertEqual(verona.status()["federation"]["incoming"], 1)
