"""Servers that lie, or talk nonsense: what they get, and that nobody else notices."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet import reactor as _reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions

from palaver.streams.s2s.dialback import NS_DIALBACK, Keys
from palaver.test.federation.case import FederatedCase, run
from palaver.test.wire import NS_STREAM, NS_TLS, Wire, connect

reactor: Any = _reactor

KEYS = Keys("the secret of another server")
NS_SERVER = "jabber:server"


def stream_id(wire: Wire) -> str:
    """Give the id that the server has given a stream."""
    assert wire.header is not None
    return str(wire.header["id"])


class Liars(FederatedCase):
    """A socket that says it is mantua.example, at a server that believes by dialback, in the clear."""

    settings: ClassVar[dict[str, Any]] = {"use_starttls": "optional"}

    async def start(self, **s2s: Any) -> Wire:
        """Start the server; gives a connection on which nothing was said."""
        self.palaver = await self.serve("verona.example", accounts=("juliet",), **{**self.settings, **s2s})
        return await self.dial()

    async def dial(self) -> Wire:
        """Give another connection."""
        host, port = self.place(self.palaver, "s2s")
        wire = await connect(port, host)
        self.addCleanup(self._drop, wire)
        return wire

    @staticmethod
    def open(
        wire: Wire, sender: str = "mantua.example", to: str = "verona.example", ns: str = NS_SERVER
    ) -> None:
        """Send a stream header."""
        wire.send(
            f"<?xml version='1.0'?><stream:stream xmlns='{ns}' xmlns:stream='{NS_STREAM}'"
            f" xmlns:db='{NS_DIALBACK}' from='{sender}' to='{to}' version='1.0'>"
        )

    async def accepted(self) -> Wire:
        """Give a stream that speaks for mantua.example, which a second server of that name vouches for."""
        wire = await self.start()
        self.mantua = await self.serve("mantua.example", **self.settings)
        self.open(wire)
        await wire.next()
        key = self.mantua._federation.keys.make("verona.example", "mantua.example", stream_id(wire))
        wire.send(f"<db:result from='mantua.example' to='verona.example'>{key}</db:result>")
        answer = await wire.next()
        self.assertEqual((answer.name, answer["type"]), ("result", "valid"))
        return wire

    async def assert_serves(self) -> None:
        """See that the server still takes stanzas of others."""
        padua = await self.serve("padua.example", **self.settings)
        juliet = await self.log_in(self.palaver, "juliet@verona.example/balcony")
        romeo = await self.log_in(padua, "romeo@padua.example/home")
        await self.say(romeo, juliet, "there")

    async def assert_header_refused(self, condition: str, **header: str) -> None:
        """See a stream header answered with a stream error."""
        wire = await self.start()
        self.open(wire, **header)
        self.assertEqual(await wire.stream_error(), condition)

    @run
    async def test_unknown_host(self) -> None:
        """A stream for a domain that is not here ends."""
        await self.assert_header_refused("host-unknown", to="elsewhere.example")

    @run
    async def test_our_own_name(self) -> None:
        """A stream from a domain that is served here ends."""
        await self.assert_header_refused("undefined-condition", sender="verona.example")

    @run
    async def test_no_domain(self) -> None:
        """A stream whose header has no domain where one belongs ends."""
        await self.assert_header_refused("improper-addressing", sender="not a domain")

    @run
    async def test_clients_namespace(self) -> None:
        """A client that comes to the port for servers is sent away."""
        await self.assert_header_refused("invalid-namespace", ns="jabber:client")

    @run
    async def test_restart_under_another_name(self) -> None:
        """A stream that begins anew, within TLS, for other domains ends."""
        wire = await self.start()
        self.open(wire)
        await wire.next()
        wire.send(f"<starttls xmlns='{NS_TLS}'/>")
        await wire.next()
        wire.transport.startTLS(CertificateOptions())
        self.open(wire, sender="venice.example")
        self.assertEqual(await wire.stream_error(), "improper-addressing")

    @run
    async def test_unproved(self) -> None:
        """Stanzas before anybody has shown who they are end the stream."""
        wire = await self.start()
        self.open(wire)
        await wire.next()
        wire.send("<message from='romeo@mantua.example' to='juliet@verona.example'><body>x</body></message>")
        self.assertEqual(await wire.stream_error(), "not-authorized")

    @run
    async def test_wrong_key(self) -> None:
        """A key that the domain's own server has not made is not believed, and the stream ends."""
        wire = await self.start()
        self.mantua = await self.serve("mantua.example", **self.settings)
        self.open(wire)
        await wire.next()
        key = KEYS.make("verona.example", "mantua.example", stream_id(wire))
        wire.send(f"<db:result from='mantua.example' to='verona.example'>{key}</db:result>")
        self.assertEqual(await wire.stream_error(), "not-authorized")
        self.assertEqual(wire.elements[0]["type"], "invalid")
        await self.assert_serves()

    @run
    async def test_replayed_key(self) -> None:
        """A key that was good on another stream is not on this one."""
        first = await self.accepted()
        key = self.mantua._federation.keys.make("verona.example", "mantua.example", stream_id(first))
        second = await self.dial()
        self.open(second)
        await second.next()
        second.send(f"<db:result from='mantua.example' to='verona.example'>{key}</db:result>")
        self.assertEqual(await second.stream_error(), "not-authorized")
        self.assertFalse(first.lost)

    @run
    async def test_nobody_vouches(self) -> None:
        """A key of a domain that has no server is answered with an error, and the stream ends."""
        wire = await self.start()
        self.open(wire)
        await wire.next()
        wire.send("<db:result from='mantua.example' to='verona.example'>whatever</db:result>")
        self.assertEqual(await wire.stream_error(), "not-authorized")
        self.assertEqual(wire.elements[0]["type"], "error")

    @run
    async def test_unasked_verification(self) -> None:
        """Who says over a stream of his own that his key is good is not believed (XEP-0220 section 2.1.3)."""
        wire = await self.start()
        deaf = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
        self.addCleanup(deaf.stopListening)
        self.zone.serves("mantua.example", "127.0.0.1", deaf.getHost().port)
        self.open(wire)
        await wire.next()
        ours = stream_id(wire)
        wire.send(
            "<db:result from='mantua.example' to='verona.example'>whatever</db:result>"
            f"<db:verify from='mantua.example' to='verona.example' id='{ours}' type='valid'/>"
            "<message from='romeo@mantua.example' to='juliet@verona.example'><body>x</body></message>"
        )
        self.assertEqual(await wire.stream_error(), "not-authorized")

    @run
    async def test_answer_as_request(self) -> None:
        """An answer to a key that was never shown over the stream ends it."""
        wire = await self.start()
        self.open(wire)
        await wire.next()
        wire.send("<db:result from='mantua.example' to='verona.example' type='valid'/>")
        self.assertEqual(await wire.stream_error(), "invalid-from")

    async def assert_stanza_refused(self, stanza: str, condition: str) -> None:
        """See a stanza end a stream that is believed, while others go on."""
        wire = await self.accepted()
        wire.send(stanza)
        self.assertEqual(await wire.stream_error(), condition)
        await self.assert_serves()

    @run
    async def test_spoofed_sender(self) -> None:
        """A stanza from a domain that the stream does not speak for ends it."""
        await self.assert_stanza_refused(
            "<message from='pope@rome.example' to='juliet@verona.example'><body>x</body></message>",
            "invalid-from",
        )

    @run
    async def test_our_sender(self) -> None:
        """A stanza from somebody here, which comes from outside, ends the stream."""
        await self.assert_stanza_refused(
            "<message from='juliet@verona.example' to='juliet@verona.example'/>", "invalid-from"
        )

    @run
    async def test_foreign_addressee(self) -> None:
        """A stanza for a third server ends the stream: nothing is relayed."""
        await self.assert_stanza_refused(
            "<message from='romeo@mantua.example' to='pope@rome.example'/>", "host-unknown"
        )

    @run
    async def test_no_addresses(self) -> None:
        """A stanza without addresses ends the stream."""
        await self.assert_stanza_refused("<message from='romeo@mantua.example'/>", "improper-addressing")

    @run
    async def test_oversized(self) -> None:
        """A stanza above the limit ends the stream, before all of it has come."""
        text = "x" * (600 * 1024)
        await self.assert_stanza_refused(
            f"<message from='romeo@mantua.example' to='juliet@verona.example'><body>{text}",
            "policy-violation",
        )

    @run
    async def test_malformed_addressee(self) -> None:
        """A stanza for an address that is none comes back; the stream goes on."""
        wire = await self.accepted()
        juliet = await self.log_in(self.palaver, "juliet@verona.example/balcony")
        for to in ("juliet with spaces@verona.example", juliet.jid):
            wire.send(
                f"<message from='romeo@mantua.example/x' to='{to}' type='chat'><body>x</body></message>"
            )
        self.assertEqual(str((await juliet.next()).body), "x")
        host, _ = self.place(self.mantua, "s2s")
        self.assertTrue(host)

    @run
    async def test_second_stream_of_one_name(self) -> None:
        """Two streams of one domain both count; the end of one is not that of the other."""
        first = await self.accepted()
        second = await self.dial()
        self.open(second)
        await second.next()
        key = self.mantua._federation.keys.make("verona.example", "mantua.example", stream_id(second))
        second.send(f"<db:result from='mantua.example' to='verona.example'>{key}</db:result>")
        self.assertEqual((await second.next())["type"], "valid")
        await second.close()
        juliet = await self.log_in(self.palaver, "juliet@verona.example/balcony")
        first.send(f"<message from='romeo@mantua.example/x' to='{juliet.jid}'><body>still</body></message>")
        self.assertEqual(str((await juliet.next()).body), "still")

    @run
    async def test_verifies_for_itself(self) -> None:
        """Whoever asks about a key is told whether it is ours; others' domains are not ours."""
        wire = await self.start()
        self.open(wire)
        await wire.next()
        keys = self.palaver._federation.keys
        good = keys.make("mantua.example", "verona.example", "s1")
        for to, named, key, expected in (
            ("verona.example", "s1", good, "valid"),
            ("verona.example", "s2", good, "invalid"),
            ("venice.example", "s1", keys.make("mantua.example", "venice.example", "s1"), "invalid"),
        ):
            wire.send(f"<db:verify from='mantua.example' to='{to}' id='{named}'>{key}</db:verify>")
            answer = await wire.next()
            self.assertEqual((answer.name, answer["id"], answer["type"]), ("verify", named, expected))

    @run
    async def test_no_tls(self) -> None:
        """Where TLS is demanded, a key shown in the clear ends the stream."""
        wire = await self.start(use_starttls="required")
        self.open(wire)
        features = await wire.next()
        self.assertEqual([child.name for child in features.elements()], ["starttls", "limits"])
        wire.send("<db:result from='mantua.example' to='verona.example'>whatever</db:result>")
        self.assertEqual(await wire.stream_error(), "policy-violation")

    @run
    async def test_external_without_certificate(self) -> None:
        """SASL is refused in the clear, and for anything but EXTERNAL; the third failure ends the stream."""
        wire = await self.start()
        self.open(wire)
        await wire.next()
        for mechanism, condition in (
            ("PLAIN", "invalid-mechanism"),
            ("EXTERNAL", "encryption-required"),
            ("EXTERNAL", "encryption-required"),
        ):
            wire.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>=</auth>")
            failure = await wire.next()
            self.assertEqual((failure.name, failure.firstChildElement().name), ("failure", condition))
        self.assertEqual(await wire.stream_error(), "policy-violation")
