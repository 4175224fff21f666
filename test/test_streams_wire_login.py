"""Wrong ways in, over real sockets: TLS, SASL and binding out of order or with bad data."""

from __future__ import annotations

from base64 import b64encode

from palaver.test.served import PASSWORD, ServedCase
from palaver.test.wire import NS_BIND, NS_SASL, NS_TLS, Wire, bind, plain

MAX_ATTEMPTS = 5
# A client that closes waits for the server to do the same, which takes it no time.
PROMPT_S = 3.0


def encoded(text: str) -> str:
    """Give text as SASL data."""
    return b64encode(text.encode()).decode()


def auth(mechanism: str, data: str = "") -> str:
    """Give ``<auth/>``."""
    return f"<auth xmlns='{NS_SASL}' mechanism='{mechanism}'>{data}</auth>"


def response(data: str = "") -> str:
    """Give ``<response/>``."""
    return f"<response xmlns='{NS_SASL}'>{data}</response>"


ABORT = f"<abort xmlns='{NS_SASL}'/>"
STARTTLS = f"<starttls xmlns='{NS_TLS}'/>"
SCRAM_FIRST = encoded("n,,n=romeo,r=abc")

# What is wrong with a first step of SASL, by the failure that it earns (RFC 6120 section 6.5).
WRONG_AUTH = {
    "no mechanism": (f"<auth xmlns='{NS_SASL}'/>", "invalid-mechanism"),
    "an unknown mechanism": (auth("KERBEROS_V4"), "invalid-mechanism"),
    "a mechanism in lower case": (auth("plain", encoded(f"\0romeo\0{PASSWORD}")), "invalid-mechanism"),
    "channel binding without a channel": (auth("SCRAM-SHA-1-PLUS", SCRAM_FIRST), "invalid-mechanism"),
    "no base64": (auth("PLAIN", "***"), "incorrect-encoding"),
    "base64 cut short": (auth("PLAIN", "AHJvbWV"), "incorrect-encoding"),
    "PLAIN with one part": (auth("PLAIN", encoded("romeo")), "malformed-request"),
    "PLAIN with four parts": (auth("PLAIN", encoded("\0romeo\0a\0b")), "malformed-request"),
    "PLAIN without a name": (auth("PLAIN", encoded(f"\0\0{PASSWORD}")), "malformed-request"),
    "PLAIN that is no UTF-8": (auth("PLAIN", b64encode(b"\0romeo\0\xff").decode()), "malformed-request"),
    "PLAIN for somebody else": (
        auth("PLAIN", encoded(f"juliet@localhost\0romeo\0{PASSWORD}")),
        "invalid-authzid",
    ),
    "PLAIN for no JID": (auth("PLAIN", encoded(f"a@b@c\0romeo\0{PASSWORD}")), "invalid-authzid"),
    "a wrong password": (plain("romeo", "wrong"), "not-authorized"),
    "an empty password": (plain("romeo", ""), "malformed-request"),
    "nobody": (plain("tybalt", PASSWORD), "not-authorized"),
    "a name that is none": (plain("ro meo", PASSWORD), "not-authorized"),
    "SCRAM that is none": (auth("SCRAM-SHA-1", encoded("hello")), "malformed-request"),
    "SCRAM without a nonce": (auth("SCRAM-SHA-1", encoded("n,,n=romeo")), "malformed-request"),
    "SCRAM with an extension": (auth("SCRAM-SHA-1", encoded("n,,m=x,n=romeo,r=abc")), "malformed-request"),
    "a response to nothing": (response(encoded("hello")), "not-authorized"),
    "the end of nothing": (ABORT, "aborted"),
}


class WrongLogin(ServedCase):
    """SASL with bad data fails, says why, and lets the client try again."""

    async def opened(self, tls: str = "off") -> Wire:
        """Give a connection whose stream is open."""
        wire = await self.connect(tls)
        await wire.features()
        return wire

    async def failure(self, wire: Wire, data: str) -> str:
        """Send something and give the condition of the SASL failure that comes back."""
        wire.send(data)
        answer = await wire.next()
        self.assertEqual((answer.uri, answer.name), (NS_SASL, "failure"), answer.toXml())
        return str(answer.firstChildElement().name)

    async def assert_lets_in(self, wire: Wire) -> None:
        """Log in on the same stream after all."""
        self.assertEqual((await wire.authenticate("romeo", PASSWORD)).name, "success")
        await self.assert_serves()

    async def test_data(self) -> None:
        """Every kind of bad data has its condition, and the stream stays for another attempt."""
        found = {}
        for name, (data, _) in WRONG_AUTH.items():
            wire = await self.opened()
            found[name] = await self.failure(wire, data)
            self.assertEqual((await wire.authenticate("romeo", PASSWORD)).name, "success", name)
        self.assertEqual(found, {name: condition for name, (_, condition) in WRONG_AUTH.items()})
        await self.assert_serves()

    async def test_scram_steps(self) -> None:
        """A second step of SCRAM that does not fit the first one fails."""
        wrong = {
            "another nonce": encoded("c=biws,r=xyz,p=AAAA"),
            "no proof": encoded("c=biws,r=abc"),
            "nothing": "",
            "no base64": "***",
        }
        for name, data in wrong.items():
            wire = await self.opened()
            wire.send(auth("SCRAM-SHA-1", SCRAM_FIRST))
            self.assertEqual((await wire.next()).name, "challenge")
            condition = await self.failure(wire, response(data))
            self.assertIn(condition, ("malformed-request", "not-authorized", "incorrect-encoding"), name)
            await wire.close()
        await self.assert_serves()

    async def test_unknown_looks_known(self) -> None:
        """SCRAM goes on for somebody who does not exist, and fails as for a wrong password."""
        wire = await self.opened()
        wire.send(auth("SCRAM-SHA-1", encoded("n,,n=tybalt,r=abc")))
        challenge = await wire.next()
        self.assertEqual(challenge.name, "challenge")
        await wire.close()
        await self.assert_serves()

    async def test_two_at_once(self) -> None:
        """A second attempt while one is under way fails both; the third one succeeds."""
        wire = await self.opened()
        wire.send(auth("SCRAM-SHA-1", SCRAM_FIRST))
        self.assertEqual((await wire.next()).name, "challenge")
        self.assertEqual(await self.failure(wire, plain("romeo", PASSWORD)), "malformed-request")
        await self.assert_lets_in(wire)

    async def test_abort(self) -> None:
        """An attempt may be given up."""
        wire = await self.opened()
        wire.send(auth("SCRAM-SHA-1", SCRAM_FIRST))
        self.assertEqual((await wire.next()).name, "challenge")
        self.assertEqual(await self.failure(wire, ABORT), "aborted")
        await self.assert_lets_in(wire)

    async def test_too_many_attempts(self) -> None:
        """After some wrong passwords the stream ends."""
        wire = await self.opened()
        for _ in range(MAX_ATTEMPTS):
            wire.send(plain("romeo", "wrong"))
        self.assertEqual(await wire.stream_error(), "policy-violation")
        self.assertEqual([element.name for element in wire.elements], ["failure"] * MAX_ATTEMPTS + ["error"])
        await self.assert_serves()

    async def test_without_tls(self) -> None:
        """Where TLS is required no password is taken in the clear."""
        wire = await self.opened("required")
        self.assertEqual(await self.failure(wire, plain("romeo", PASSWORD)), "encryption-required")
        await self.assert_serves()


class WrongOrder(ServedCase):
    """A step of the negotiation that does not belong where it comes ends the stream."""

    async def authenticated(self) -> Wire:
        """Give a connection that has logged in and opened its second stream."""
        wire = await self.connect()
        await wire.features()
        await wire.authenticate("romeo", PASSWORD)
        await wire.features()
        return wire

    async def assert_ends(self, wire: Wire, data: str, condition: str) -> None:
        """Send what ends the stream, and see that the next client is served."""
        wire.send(data)
        self.assertEqual(await wire.stream_error(), condition)
        await self.assert_serves()

    async def test_stanza_before_login(self) -> None:
        """No stanza is taken from a stranger, of whatever kind and whoever it is said to be from."""
        for stanza in (
            "<message from='romeo@localhost/orchard' to='juliet@localhost'><body>Let me in</body></message>",
            "<presence/>",
            "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
            bind("orchard"),
            "<iq type='set' id='1'><query xmlns='jabber:iq:register'><username>x</username></query></iq>",
        ):
            wire = await self.connect()
            await wire.features()
            await self.assert_ends(wire, stanza, "not-authorized")

    async def test_stanza_before_binding(self) -> None:
        """No stanza is taken from a client without a resource."""
        for stanza in (
            "<message to='juliet@localhost'><body>Let me in</body></message>",
            "<presence/>",
            "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
            f"<iq type='get' id='1'><bind xmlns='{NS_BIND}'/></iq>",
        ):
            await self.assert_ends(await self.authenticated(), stanza, "not-authorized")

    async def test_unknown_element(self) -> None:
        """What is no stanza and no step of the negotiation ends the stream at any stage."""
        unknown = "<hello xmlns='urn:example:hello'/>"
        stranger = await self.connect()
        await stranger.features()
        session = await self.log_in("romeo@localhost/orchard")
        for wire in (stranger, await self.authenticated(), session):
            await self.assert_ends(wire, unknown, "unsupported-stanza-type")

    async def test_login_twice(self) -> None:
        """Nobody logs in on a stream that is somebody's."""
        for wire in (await self.authenticated(), await self.log_in("romeo@localhost/orchard")):
            await self.assert_ends(wire, plain("juliet", PASSWORD), "policy-violation")

    async def test_tls_too_late(self) -> None:
        """TLS does not begin after the login, nor twice."""
        encrypted = await self.connect("required")
        await encrypted.features()
        await encrypted.start_tls()
        await encrypted.features()
        for wire in (encrypted, await self.authenticated(), await self.log_in("romeo@localhost/orchard")):
            await self.assert_ends(wire, STARTTLS, "policy-violation")

    async def test_other_host_after_login(self) -> None:
        """Who has logged in at one host does not become a user of another."""
        wire = await self.connect()
        await wire.features("localhost")
        self.assertEqual((await wire.authenticate("romeo", PASSWORD)).name, "success")
        wire.open("verona.example")
        self.assertEqual(await wire.stream_error(), "not-authorized")
        await self.assert_serves()

    async def test_bad_resource(self) -> None:
        """A resource that is none is refused, and another one may be asked for."""
        wire = await self.authenticated()
        for resource in ("x" * 1024, "a&#x9;b", "&#xE000;"):
            refused = await wire.ask(bind(resource))
            self.assertEqual(refused["type"], "error")
            self.assertEqual(refused.error.firstChildElement().name, "bad-request")
        bound = await wire.ask(bind("orchard"))
        self.assertEqual(bound["type"], "result")
        await self.assert_serves()


class Tls(ServedCase):
    """TLS by either way, and what is tried behind its back."""

    async def test_injection(self) -> None:
        """What is written in the clear behind <starttls/> is not taken for what comes within TLS."""
        wire = await self.connect("required")
        await wire.features()
        wire.send(STARTTLS + plain("romeo", PASSWORD) + "<message to='juliet@localhost'/>")
        self.assertEqual((await wire.next()).name, "proceed")
        wire.encrypt()
        features = await wire.features()
        self.assertIn("mechanisms", [child.name for child in features.elements()])
        self.assertEqual((await wire.authenticate("nurse", PASSWORD)).name, "success")
        await wire.features()
        self.assertEqual(str((await wire.ask(bind("kitchen"))).bind.jid), "nurse@localhost/kitchen")
        self.assertFalse(wire.elements)
        await self.assert_serves()

    async def test_no_tls_to_start(self) -> None:
        """TLS is refused where the port has none."""
        wire = await self.connect()
        await wire.features()
        wire.send(STARTTLS)
        await wire.stream_error()
        self.assertEqual([element.name for element in wire.elements], ["failure", "error"])
        await self.assert_serves()

    async def test_no_handshake(self) -> None:
        """A client that asks for TLS and then speaks something else is cut off."""
        wire = await self.connect("required")
        await wire.features()
        wire.send(STARTTLS)
        await wire.next()
        wire.send("<stream:stream>")
        await wire.closed()
        await self.assert_serves()

    async def test_direct(self) -> None:
        """On a port with direct TLS a client logs in without STARTTLS."""
        wire = await self.log_in("romeo@localhost/orchard", "direct")
        wire.send(f"<message to='{wire.jid}'/>")
        self.assertEqual((await wire.next())["from"], wire.jid)
        await self.assert_serves()

    async def test_no_direct_tls(self) -> None:
        """A client that speaks XML in the clear to a port with direct TLS is cut off."""
        wire = await self.connect("direct", encrypt=False)
        wire.send("<?xml version='1.0'?>")
        await wire.closed()
        await self.assert_serves()

    async def test_end(self) -> None:
        """A client that ends its stream sees the end of the server's, and of the connection, at once."""
        for tls in ("off", "required", "direct"):
            wire = await self.log_in("romeo@localhost/orchard", tls)
            wire.send("</stream:stream>")
            await wire.closed(PROMPT_S)
            self.assertTrue(wire.ended)
