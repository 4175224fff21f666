"""Servers that take steps out of order, or write in the clear what looks as if it came within TLS."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.internet.defer import Deferred

from palaver.stanza import Stanza
from palaver.streams.s2s.federation import MAX_CONNECTING
from palaver.streams.s2s.incoming import IncomingStream
from palaver.streams.s2s.outgoing import OutgoingStream
from palaver.streams.s2s.stream import State
from palaver.test.federation.talker import OURS, THEIRS, Carrier, Service, Streams, header

NS_TLS = "urn:ietf:params:xml:ns:xmpp-tls"
NS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
FEATURES = (
    "<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>"
)
STARTTLS, PROCEED = f"<starttls xmlns='{NS_TLS}'/>", f"<proceed xmlns='{NS_TLS}'/>"
EXTERNAL = f"<auth xmlns='{NS_SASL}' mechanism='EXTERNAL'>=</auth>"
BIDI = "<bidi xmlns='urn:xmpp:bidi'/>"
KEY = f"<db:result from='{THEIRS}' to='{OURS}'>key</db:result>"
BELIEVED = f"<db:result from='{THEIRS}' to='{OURS}' type='valid'/>"
MESSAGE = f"<message from='romeo@{THEIRS}' to='juliet@{OURS}'><body>x</body></message>"


class Outgoing(Streams):
    """The server that we have connected to."""

    def established(self) -> OutgoingStream:
        """Give a stream over which we are believed."""
        stream = self.outgoing()
        self.say(stream, FEATURES, BELIEVED)
        self.assertTrue(stream.established.called)
        return stream

    def assert_no_step(self, stream: OutgoingStream, text: str) -> None:
        """See that something ends the stream, and nothing else."""
        self.assertIn("<unsupported-stanza-type ", self.say(stream, text))
        self.assertIs(stream.state, State.CLOSED)

    def test_steps_again(self) -> None:
        """What belongs to the beginning of a stream ends it later."""
        for text in (
            FEATURES,
            PROCEED,
            f"<success xmlns='{NS_SASL}'/>",
            f"<failure xmlns='{NS_SASL}'><not-authorized/></failure>",
        ):
            self.assert_no_step(self.established(), text)
            self.assert_no_step(self.waiting(), text)

    def waiting(self) -> OutgoingStream:
        """Give a stream whose key is being looked at."""
        stream = self.outgoing()
        self.say(stream, FEATURES)
        return stream

    def test_success_instead_of_features(self) -> None:
        """A success that nobody has asked for is none."""
        self.assert_no_step(self.outgoing(), f"<success xmlns='{NS_SASL}'/>")

    def test_injected(self) -> None:
        """What is written in the clear behind <proceed/> is not acted upon."""
        for injected in (header(THEIRS, OURS, id="evil") + FEATURES, FEATURES, "<oops", "</stream:stream>"):
            stream = self.outgoing()
            offer = f"<stream:features>{STARTTLS}</stream:features>"
            self.assertEqual(self.say(stream, offer), STARTTLS)
            self.assertEqual(self.say(stream, PROCEED + injected), "")
            self.assertTrue(stream.secure)
            self.assertIs(stream.state, State.OPENING)
            # In TLS the stream begins anew.
            stream.encrypted()
            self.assertIn("<stream:stream ", stream.connection.take())
            self.assertIn("<db:result ", self.say(stream, header(THEIRS, OURS, id="s2") + FEATURES))
            self.assertEqual(stream.id, "s2")

    def test_large_numbers(self) -> None:
        """Numbers of thousands of digits are none: one for a size is passed over, a count ends the stream."""
        digits = "9" * 5000
        limits = f"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{digits}</max-bytes></limits>"
        stream = self.outgoing()
        offer = FEATURES.replace("</stream:features>", f"{limits}</stream:features>")
        self.assertIn("<db:result ", self.say(stream, offer))
        self.assertIsNone(stream.outbound.max_bytes)
        self.assertIn("<bad-format ", self.say(stream, f"<a xmlns='urn:xmpp:sm:3' h='{digits}'/>"))

    def test_not_ours(self) -> None:
        """Stanzas over a stream of ours, which is for one direction, end it."""
        self.assertIn("<not-authorized ", self.say(self.established(), MESSAGE))
        self.assertEqual(self.service.delivered, [])

    def test_silent_about_a_domain(self) -> None:
        """A stream over which another domain of ours was never answered for ends when it is idle."""
        stream = self.established()
        waiting = stream.speak_for("padua.example")
        waiting.addErrback(lambda failure: None)
        self.assertIsNotNone(stream.fell_silent(1000))
        waiting.cancel()
        stream.was_used()
        self.assertIsNone(stream.fell_silent(1000))


class Incoming(Streams):
    """The server that has connected to us."""

    def vouched(self, *, known: bool = True) -> None:
        """Have every key be good."""

        async def check(local: str, remote: str, stream_id: str, key: str) -> bool:
            return known

        self.patch(self.federation, "check", check)

    def test_injected(self) -> None:
        """What is written in the clear behind <starttls/> is not acted upon."""
        for injected in (KEY, MESSAGE, header("evil.example", OURS), "<oops", "</stream:stream>"):
            self.vouched()
            stream = self.incoming()
            self.assertEqual(self.say(stream, STARTTLS + injected), PROCEED)
            self.assertEqual((stream.state, stream.inbound.domains), (State.OPENING, set()))
            self.assertIn("<stream:features>", self.say(stream, header(THEIRS, OURS)))
        self.assertEqual(self.service.delivered, [])

    def test_tls_while_a_key_is_looked_at(self) -> None:
        """TLS begins before any key is shown: the answer to one in the clear would count within TLS."""
        forever: Deferred[bool] = Deferred()

        async def check(*question: str) -> bool:
            return await forever

        self.patch(self.federation, "check", check)
        stream = self.incoming()
        self.assertIn("<policy-violation ", self.say(stream, KEY + STARTTLS))

    def nameless(self, **attrs: str) -> IncomingStream:
        """Give a stream within TLS whose header does not say whom it is for."""
        carrier: Any = Carrier()
        carrier.secure = True
        stream = IncomingStream(carrier, self.federation)
        self.federation.began(stream)
        self.answer = self.say(stream, header(THEIRS, "").replace(" to=''", ""))
        return stream

    def test_external_for_nobody(self) -> None:
        """Who does not say for whom a stream is gets no SASL: errors would have no sender."""
        self.patch(self.federation.authorities, "fault", lambda shown, domain: None)
        stream = self.nameless()
        self.assertNotIn("EXTERNAL", self.answer)
        self.assertIn("<not-authorized", self.say(stream, EXTERNAL))

    def test_malformed_addressee(self) -> None:
        """An error about an address that is none comes from our domain, though the header did not name it."""
        self.vouched()
        stream = self.nameless()
        self.assertIn("type='valid'", self.say(stream, KEY))
        routed: list[Stanza] = []
        self.patch(self.federation.router, "route", routed.append)
        self.say(stream, f"<message from='romeo@{THEIRS}' to='a b@{OURS}'/>")
        self.assertEqual(
            [(s.attrs["from"], s.attrs["to"], s.type) for s in routed], [(OURS, f"romeo@{THEIRS}", "error")]
        )
        self.assertTrue(stream.is_open)

    def test_order(self) -> None:
        """What waits for a server leaves first over the stream that it opens for both directions."""
        never: Any = Deferred()

        async def targets(domain: str) -> Any:
            return await never

        self.patch(self.federation.resolving, "targets", targets)
        self.vouched()

        def send(number: int) -> None:
            attrs = {"from": f"juliet@{OURS}", "to": f"romeo@{THEIRS}", "id": f"m{number}"}
            self.federation.router.route(Stanza("message", attrs))

        send(1)
        send(2)
        carrier: Any = Carrier()
        carrier.secure = True
        stream = IncomingStream(carrier, self.federation)
        self.federation.began(stream)
        self.say(stream, header(THEIRS, OURS), BIDI)
        carrier.take()
        answer = self.say(stream, KEY)
        send(3)
        answer += carrier.take()
        places = [answer.index(text) for text in ("type='valid'", "id='m1'", "id='m2'", "id='m3'")]
        self.assertEqual(places, sorted(places))
        self.assertEqual(self.federation.status()["waiting_domains"], 0)
        self.assertEqual(self.federation._waiting_bytes, 0)


class Ours(Streams):
    """A domain of another server's that is added here."""

    def setUp(self) -> None:
        """Have every key be good."""
        super().setUp()
        self.answers: list[Deferred[bool]] = []

        async def check(*question: str) -> bool:
            answer: Deferred[bool] = Deferred()
            self.answers.append(answer)
            return await answer

        self.patch(self.federation, "check", check)

    def add(self) -> None:
        """Serve their domain."""
        service: Any = Service(THEIRS)
        self.federation.router.add(service)

    def test_streams_end(self) -> None:
        """Streams of whoever had the domain before end: nobody elsewhere speaks for accounts here."""
        first, other = self.incoming(), self.incoming("padua.example")
        for stream, domain in ((first, THEIRS), (other, "padua.example")):
            self.say(stream, KEY.replace(THEIRS, domain))
            self.answers.pop().callback(True)
        outgoing = self.outgoing()
        self.add()
        self.assertEqual([first.is_open, outgoing.is_open, other.is_open], [False, False, True])

    def test_shared_stream(self) -> None:
        """So does a stream that speaks for the domain beside others."""
        stream = self.incoming("padua.example")
        for domain in ("padua.example", THEIRS):
            self.say(stream, KEY.replace(THEIRS, domain))
            self.answers.pop().callback(True)
        self.add()
        self.assertFalse(stream.is_open)

    def test_key_looked_at(self) -> None:
        """A key that is found good when the domain is here already counts for nothing."""
        stream = self.incoming("padua.example")
        self.say(stream, KEY.replace(THEIRS, "padua.example"))
        self.answers.pop().callback(True)
        self.say(stream, KEY)
        self.add()
        self.answers.pop().callback(True)
        carrier: Any = stream.connection
        self.assertIn("<not-allowed ", carrier.take())
        self.assertEqual(stream.inbound.domains, {"padua.example"})
        self.assertIn("<invalid-from ", self.say(stream, MESSAGE))


class Forgotten(Streams):
    """A server that lets others' keys wait for ever."""

    def leave_many(self) -> list[weakref.ref[IncomingStream]]:
        """Have streams come, show a key each, and go."""
        streams = []
        for _ in range(20):
            stream = self.incoming()
            self.say(stream, KEY)
            self.assertEqual(len(stream._asked), 1)
            stream.connection_lost()
            streams.append(weakref.ref(stream))
        return streams

    def assert_nothing_left(self, streams: list[weakref.ref[IncomingStream]]) -> None:
        """See that no stream is in memory any more."""
        gc.collect()
        self.assertEqual([stream() for stream in streams if stream() is not None], [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_asked(self) -> None:
        """Questions of streams that are gone are kept no longer, though they were never answered."""
        link = self.federation._link(OURS, THEIRS)
        link.stream = server = self.outgoing()
        self.say(server, FEATURES, BELIEVED)
        streams = self.leave_many()
        self.assertEqual(server._checks, {})
        self.assert_nothing_left(streams)

    def test_to_be_asked(self) -> None:
        """So are those that wait for a stream to be asked over."""
        never: Any = Deferred()

        async def targets(domain: str) -> Any:
            return await never

        self.patch(self.federation.resolving, "targets", targets)
        streams = self.leave_many()
        self.assertEqual(self.federation.status()["waiting_domains"], 0)
        self.assert_nothing_left(streams)

    def test_many_domains(self) -> None:
        """Whoever names many domains and goes takes no room from those who have something to send."""
        never: Any = Deferred()

        async def targets(domain: str) -> Any:
            return await never

        self.patch(self.federation.resolving, "targets", targets)
        for number in range(MAX_CONNECTING * 2):
            stream = self.incoming()
            self.say(stream, KEY.replace(THEIRS, f"d{number}.example"))
            stream.connection_lost()
        self.assertLessEqual(len(self.federation._links), MAX_CONNECTING)

    def test_answered_late(self) -> None:
        """An answer that comes when nobody waits is passed over."""
        link = self.federation._link(OURS, THEIRS)
        link.stream = server = self.outgoing()
        self.say(server, FEATURES, BELIEVED)
        stream = self.incoming()
        self.say(stream, KEY)
        verify = f"<db:verify from='{THEIRS}' to='{OURS}' id='{stream.id}' type='valid'/>"
        stream.connection_lost()
        carrier: Any = server.connection
        self.assertIn("<db:verify ", carrier.take())
        self.assertEqual(self.say(server, verify), "")
        self.assertTrue(server.is_open)
        self.assertEqual(stream.inbound.domains, set())
