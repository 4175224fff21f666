"""Palaver with Palaver: what people on two servers do together, and how the servers come to believe it."""

from __future__ import annotations

from functools import partial
from typing import Any

from cryptography import x509

from palaver.auth.certificates import srv_name, xmpp_addr
from palaver.service import Palaver
from palaver.test.federation.authority import Authority
from palaver.test.federation.case import FederatedCase, run
from palaver.test.wire import Wire

INSECURE: dict[str, Any] = {"use_starttls": "optional"}
UNTRUSTED: dict[str, Any] = {"use_starttls": "required"}


class Pair(FederatedCase):
    """Romeo at mantua.example and Juliet at verona.example."""

    async def pair(self, **s2s: Any) -> tuple[Wire, Wire]:
        """Start both servers with the same table ``[s2s]``, and log in."""
        self.verona = await self.serve("verona.example", accounts=("juliet",), **s2s)
        self.mantua = await self.serve("mantua.example", **s2s)
        return await self.people()

    async def people(self) -> tuple[Wire, Wire]:
        """Log in."""
        romeo = await self.log_in(self.mantua, "romeo@mantua.example/exile")
        juliet = await self.log_in(self.verona, "juliet@verona.example/balcony")
        return romeo, juliet

    def kinds(self, palaver: Palaver) -> list[str]:
        """Give what the streams of a server came about by."""
        return sorted(stream.direction for stream in palaver._federation._streams)

    async def refused(self, wire: Wire, to: str = "juliet@verona.example") -> tuple[str, str]:
        """Send a message; give condition and text of the error that comes back."""
        wire.send(f"<message to='{to}' id='lost'><body>lost</body></message>")
        answer = await wire.next()
        self.assertEqual((answer["type"], answer["from"], answer["id"]), ("error", to, "lost"))
        children = list(next(answer.elements("jabber:client", "error")).elements())
        return children[0].name, str(children[1]) if len(children) > 1 else ""


class Conversations(Pair):
    """What people do."""

    @run
    async def test_messages(self) -> None:
        """A message goes to a friend on another server, and the answer comes back over the same stream."""
        romeo, juliet = await self.pair()
        await self.say(romeo, juliet, "there")
        await self.say(juliet, romeo, "back")
        self.assertEqual(self.kinds(self.mantua), ["out"])
        self.assertEqual(self.kinds(self.verona), ["in"])

    @run
    async def test_order(self) -> None:
        """A thousand messages arrive in their order, the first ones having waited for the stream."""
        romeo, juliet = await self.pair()
        for number in range(1000):
            romeo.send(f"<message to='{juliet.jid}' type='chat'><body>{number}</body></message>")
        came = [str((await juliet.next()).body) for _ in range(1000)]
        self.assertEqual(came, [str(number) for number in range(1000)])

    @run
    async def test_both_at_once(self) -> None:
        """Two servers that connect to each other at the same moment lose nothing."""
        romeo, juliet = await self.pair()
        romeo.send(f"<message to='{juliet.jid}' type='chat'><body>1</body></message>")
        juliet.send(f"<message to='{romeo.jid}' type='chat'><body>2</body></message>")
        self.assertEqual(str((await juliet.next()).body), "1")
        self.assertEqual(str((await romeo.next()).body), "2")

    @run
    async def test_subscription(self) -> None:
        """Contacts on two servers subscribe to each other, see each other come and go."""
        romeo, juliet = await self.pair()
        for wire in (romeo, juliet):
            wire.send("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>")
            await wire.until(partial(_has_two, wire), "roster and presence")
            wire.elements.clear()
        romeo.send("<presence to='juliet@verona.example' type='subscribe'/>")
        await self.seen(juliet, "subscribe", "romeo@mantua.example")
        juliet.send("<presence to='romeo@mantua.example' type='subscribed'/>")
        juliet.send("<presence to='romeo@mantua.example' type='subscribe'/>")
        await self.seen(romeo, "subscribed", "juliet@verona.example")
        await self.seen(romeo, None, juliet.jid)
        await self.seen(romeo, "subscribe", "juliet@verona.example")
        romeo.send("<presence to='juliet@verona.example' type='subscribed'/>")
        await self.seen(juliet, "subscribed", "romeo@mantua.example")
        await self.seen(juliet, None, romeo.jid)
        later = await self.log_in(self.mantua, "romeo@mantua.example/later")
        later.send("<presence/>")
        await self.seen(later, None, juliet.jid)
        await self.seen(juliet, None, later.jid)
        await later.close()
        await self.seen(juliet, "unavailable", later.jid)

    async def seen(self, wire: Wire, kind: str | None, sender: str) -> None:
        """Wait for a presence; what else comes meanwhile is dropped."""
        while True:
            element = await wire.next()
            if (
                element.name == "presence"
                and element["from"] == sender
                and element.getAttribute("type") == kind
            ):
                return

    @run
    async def test_iq(self) -> None:
        """A request goes to another server and to a client there, and is answered."""
        romeo, juliet = await self.pair()
        for to in ("verona.example", juliet.jid):
            romeo.send(f"<iq type='get' to='{to}' id='{len(to)}'><ping xmlns='urn:xmpp:ping'/></iq>")
            if to == juliet.jid:
                asked = await juliet.next()
                juliet.send(f"<iq type='result' to='{asked['from']}' id='{asked['id']}'/>")
            answer = await romeo.next()
            self.assertEqual((answer["type"], answer["from"], answer["id"]), ("result", to, str(len(to))))

    @run
    async def test_archive(self) -> None:
        """Both archives have a conversation between two servers."""
        more: dict[str, Any] = {"modules": {"mod_mam": {}}}
        self.verona = await self.serve("verona.example", accounts=("juliet",), more=more)
        self.mantua = await self.serve("mantua.example", more=more)
        romeo, juliet = await self.people()
        await self.say(romeo, juliet, "there")
        await self.say(juliet, romeo, "back")
        for wire in (romeo, juliet):
            wire.send("<iq type='set' id='mam'><query xmlns='urn:xmpp:mam:2'/></iq>")
            found = [await wire.next() for _ in range(3)]
            texts = [element.toXml() for element in found[:2]]
            self.assertIn(">there<", texts[0])
            self.assertIn(">back<", texts[1])

    @run
    async def test_namespaces(self) -> None:
        """What says that it is in the clients' namespace is in that of servers on the way."""
        romeo, juliet = await self.pair()
        forwarded = (
            "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>old</body></message>"
            "</forwarded>"
        )
        romeo.send(f"<message to='{juliet.jid}'><body xmlns='jabber:client'>new</body>{forwarded}</message>")
        came = await juliet.next()
        self.assertEqual((came.body.uri, str(came.body)), ("jabber:client", "new"))
        inner = next(came.elements("urn:xmpp:forward:0", "forwarded")).firstChildElement()
        self.assertEqual((inner.uri, str(inner.body)), ("jabber:client", "old"))

    @run
    async def test_nobody_there(self) -> None:
        """A message for somebody whom the other server does not know comes back."""
        romeo, _ = await self.pair()
        self.assertEqual((await self.refused(romeo, "nobody@verona.example"))[0], "service-unavailable")


class Believing(Pair):
    """Certificates and dialback."""

    @run
    async def test_dialback(self) -> None:
        """Without trusted certificates, servers that want none believe each other by DNS."""
        self.verona = await self.serve("verona.example", accounts=("juliet",), certificate=None, **UNTRUSTED)
        self.mantua = await self.serve("mantua.example", certificate=None, **UNTRUSTED)
        romeo, juliet = await self.people()
        await self.say(romeo, juliet, "there")
        await self.say(juliet, romeo, "back")

    @run
    async def test_dialback_in_the_clear(self) -> None:
        """Servers that speak no TLS at all, as their administrators want it, believe each other by DNS."""
        romeo, juliet = await self.pair(use_starttls="off")
        await self.say(romeo, juliet, "there")
        await self.say(juliet, romeo, "back")
        self.assertFalse(any(stream.secure for stream in self.mantua._federation._streams))

    @run
    async def test_direct_tls(self) -> None:
        """A server with TLS from the first byte alone is found and spoken to (XEP-0368)."""
        self.verona = await self.serve("verona.example", accounts=("juliet",), direct=True)
        self.mantua = await self.serve("mantua.example", direct=True)
        romeo, juliet = await self.people()
        await self.say(romeo, juliet, "there")
        await self.say(juliet, romeo, "back")

    async def believed(self, certificate: str | None) -> tuple[Wire, Wire]:
        """Start a server whose certificate is in question, and one that demands a valid one."""
        self.verona = await self.serve("verona.example", accounts=("juliet",), certificate=certificate)
        self.mantua = await self.serve("mantua.example")
        return await self.people()

    async def assert_not_believed(self, certificate: str | None) -> None:
        """Nothing goes there or comes from there, and nobody is told which server it is."""
        romeo, juliet = await self.believed(certificate)
        for wire, to in ((romeo, "juliet@verona.example"), (juliet, "romeo@mantua.example")):
            condition, text = await self.refused(wire, to)
            self.assertEqual(condition, "remote-server-timeout")
            self.assertNotIn("example", text)
        self.assertEqual(self.mantua._federation.routes, {})
        self.assertEqual(self.verona._federation.routes, {})

    @run
    async def test_expired(self) -> None:
        """A certificate that has expired is not believed."""
        await self.assert_not_believed(self.authority.for_domain("verona.example", days=-1))

    @run
    async def test_wrong_name(self) -> None:
        """A certificate for another name is not believed."""
        await self.assert_not_believed(self.authority.for_domain("venice.example"))

    @run
    async def test_self_signed(self) -> None:
        """A certificate that the server has made itself is not believed."""
        await self.assert_not_believed(None)

    @run
    async def test_unknown_authority(self) -> None:
        """A certificate of an authority that nobody knows is not believed."""
        other = Authority(self.folder / "other", "Somebody")
        await self.assert_not_believed(other.for_domain("verona.example"))

    @run
    async def test_insecure_by_name(self) -> None:
        """A server of the list needs no valid certificate."""
        allowed = [{"host": "verona.example", "policy": "insecure"}]
        self.verona = await self.serve("verona.example", accounts=("juliet",), certificate=None)
        self.mantua = await self.serve("mantua.example", host_policy=allowed)
        romeo, juliet = await self.people()
        await self.say(romeo, juliet, "there")
        await self.say(juliet, romeo, "back")

    @run
    async def test_secure_by_name(self) -> None:
        """A server of the list needs a valid certificate, though others do not."""
        demanded = [{"host": "verona.example", "policy": "secure"}]
        self.verona = await self.serve("verona.example", accounts=("juliet",), certificate=None, **INSECURE)
        self.mantua = await self.serve("mantua.example", host_policy=demanded, **INSECURE)
        romeo, juliet = await self.people()
        self.assertEqual((await self.refused(romeo))[0], "remote-server-timeout")
        self.assertEqual((await self.refused(juliet, "romeo@mantua.example"))[0], "remote-server-timeout")

    @run
    async def test_xmpp_names(self) -> None:
        """Certificates that name the domain as SRVName or xmppAddr alone are believed."""
        for kind, name in (
            ("srv", srv_name("xmpp-server", "verona.example")),
            ("addr", xmpp_addr("verona.example")),
        ):
            file = self.authority.sign(kind, [name, x509.DNSName("elsewhere.example")])
            romeo, juliet = await self.believed(file)
            await self.say(romeo, juliet, "there")
            await self.verona.stopService()
            await self.mantua.stopService()

    @run
    async def test_denied(self) -> None:
        """A server that is not to be spoken to is not, in either direction."""
        denied = [{"host": "verona.example", "policy": "deny"}]
        self.verona = await self.serve("verona.example", accounts=("juliet",))
        self.mantua = await self.serve("mantua.example", host_policy=denied)
        romeo, juliet = await self.people()
        self.assertEqual((await self.refused(romeo))[0], "service-unavailable")
        self.assertEqual((await self.refused(juliet, "romeo@mantua.example"))[0], "remote-server-timeout")

    @run
    async def test_only_certificates(self) -> None:
        """Where dialback is off, only certificates count."""
        self.verona = await self.serve("verona.example", accounts=("juliet",), certificate=None, **UNTRUSTED)
        self.mantua = await self.serve("mantua.example", dialback=False, **UNTRUSTED)
        romeo, juliet = await self.people()
        self.assertEqual((await self.refused(juliet, "romeo@mantua.example"))[0], "remote-server-timeout")
        await self.say(romeo, juliet, "there")

    @run
    async def test_second_domain(self) -> None:
        """Another domain of the same server is heard over the stream that is there already."""
        more: dict[str, Any] = {
            "general": {"hosts": ["mantua.example", "padua.example"], "data_dir": str(self.folder / "m")}
        }
        self.verona = await self.serve("verona.example", accounts=("juliet",), **UNTRUSTED)
        self.mantua = await self.serve("mantua.example", more=more, **UNTRUSTED)
        self.zone.serves("padua.example", *self.place(self.mantua, "s2s"))
        await self.mantua.hosts["padua.example"].accounts.create("petruchio", "sesame")
        romeo, juliet = await self.people()
        petruchio = await self.log_in(self.mantua, "petruchio@padua.example/home")
        await self.say(romeo, juliet, "one")
        await self.say(petruchio, juliet, "two")
        self.assertEqual(self.kinds(self.mantua), ["in", "out"])
        await self.say(juliet, petruchio, "back")


def _has_two(wire: Wire) -> bool:
    """Tell whether two elements have come."""
    return len(wire.elements) >= 2
