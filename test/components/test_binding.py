"""Components over XEP-0225: TLS, SASL, and any number of domains on one stream."""

from __future__ import annotations

import base64
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from palaver.test.components.talker import GATEWAY, SECRET, Gates, Gateway
from palaver.test.streams.talker import STARTTLS, condition

NS = "urn:xmpp:component:0"
FEATURE = "<sm xmlns='urn:xmpp:sm:3'/>"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
HEADER = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    f" from='{GATEWAY}' to='example.org' version='1.0'>"
)


def plain(name: str = GATEWAY, secret: str = SECRET) -> str:
    """Give ``<auth/>`` for PLAIN."""
    data = base64.b64encode(f"\0{name}\0{secret}".encode()).decode()
    return f"<auth xmlns='{SASL}' mechanism='PLAIN'>{data}</auth>"


def request(what: str, domain: str | None = GATEWAY) -> str:
    """Give the IQ that binds or unbinds a domain."""
    inner = f"<hostname>{domain}</hostname>" if domain is not None else ""
    return f"<iq id='1' type='set'><{what} xmlns='{NS}'>{inner}</{what}></iq>"


class BindingTests(SynchronousTestCase):
    """A gateway that speaks XEP-0225."""

    def setUp(self) -> None:
        self.gates = Gates(
            {
                GATEWAY: {"secret": SECRET},
                "icq.example.org": {"secret": SECRET},
                "x.example.org": {"secret": "?"},
            }
        )
        self.romeo = self.gates.house.login("romeo", "orchard")

    def logged_in(self, **listener: Any) -> Gateway:
        """Give a component that has logged in and bound nothing."""
        gateway = self.gates.open(**listener)
        gateway.send(HEADER)
        self.assertEqual(gateway.send(plain()), f"<success xmlns='{SASL}'/>")
        answer = gateway.send(HEADER)
        self.assertTrue(
            answer.endswith(f"<bind xmlns='{NS}'><required/></bind>{FEATURE}</stream:features>"), answer
        )
        return gateway

    def test_header(self) -> None:
        """The host speaks, to whom the component says that it is, and offers mechanisms."""
        answer = self.gates.open().send(HEADER)
        for part in (
            " from='example.org'",
            f" to='{GATEWAY}'",
            " xmlns='jabber:client'",
            "SCRAM-SHA-256<",
            "PLAIN<",
        ):
            self.assertIn(part, answer)

    def test_bind(self) -> None:
        """A domain that is bound is served: stanzas go to and fro."""
        gateway = self.logged_in()
        self.assertEqual(gateway.connection.logged_in, 0)
        answer = gateway.send(request("bind"))
        self.assertEqual(
            answer, f"<iq type='result' id='1'><bind xmlns='{NS}'><hostname>{GATEWAY}</hostname></bind></iq>"
        )
        self.assertEqual(gateway.connection.logged_in, 1)
        self.romeo.send(f"<message to='nick@{GATEWAY}'/>")
        self.assertIn("<message ", gateway.take())
        gateway.send("<message to='romeo@example.org/orchard'/>")
        self.assertEqual(self.romeo.take()[0]["from"], GATEWAY)

    def test_several(self) -> None:
        """One stream has several domains, and speaks for each; one that is unbound is served no more."""
        gateway = self.logged_in()
        gateway.send(request("bind"))
        self.assertIn("type='result'", gateway.send(request("bind", "ICQ.example.org")))
        gateway.send("<message from='1@icq.example.org' to='romeo@example.org/orchard'/>")
        self.assertEqual(self.romeo.take()[0]["from"], "1@icq.example.org")
        self.assertEqual(gateway.send(request("unbind", "icq.example.org")), "<iq type='result' id='1'/>")
        self.romeo.send("<message to='icq.example.org'/>")
        self.assertEqual(self.romeo.take()[0].error["type"], "wait")
        answer = gateway.send("<message from='1@icq.example.org' to='romeo@example.org/orchard'/>")
        self.assertEqual(condition(answer), "invalid-from")

    def test_refusals(self) -> None:
        """A domain that is somebody else's, is bound already, or is none, is refused; the stream goes on."""
        gateway = self.logged_in()
        gateway.send(request("bind"))
        for what, domain, wanted in (
            ("bind", GATEWAY, "conflict"),
            ("bind", "x.example.org", "not-allowed"),
            ("bind", "unknown.example.org", "not-allowed"),
            ("bind", "example.org", "not-allowed"),
            ("bind", "a b", "bad-request"),
            ("bind", None, "bad-request"),
            ("unbind", "icq.example.org", "item-not-found"),
            ("unbind", "", "bad-request"),
        ):
            answer = gateway.send(request(what, domain))
            self.assertIn(f"<{wanted} ", answer, (what, domain))
        self.assertIn("<conflict ", self.logged_in().send(request("bind")))

    def test_wrong_secret(self) -> None:
        """Who does not know the secret is not let in, and may try again a few times."""
        gateway = self.gates.open()
        gateway.send(HEADER)
        for name, secret in (
            (GATEWAY, "no"),
            ("unknown.example.org", SECRET),
            ("example.org", SECRET),
            (GATEWAY, ""),
        ):
            self.assertIn(
                "<not-authorized/>",
                gateway.send(plain(name, secret)).replace("malformed-request", "not-authorized"),
            )
        self.assertEqual(condition(gateway.send(plain(GATEWAY, "no"))), "policy-violation")

    def test_order(self) -> None:
        """Nothing but the next step is taken."""
        for steps in (
            (HEADER, request("bind")),
            (HEADER, "<message to='romeo@example.org'/>"),
            (HEADER, "<handshake xmlns='jabber:client'/>"),
        ):
            gateway = self.gates.open()
            answers = [gateway.send(step) for step in steps]
            self.assertEqual(condition(answers[-1]), "not-authorized", steps)
        gateway = self.logged_in()
        self.assertEqual(condition(gateway.send("<message to='romeo@example.org'/>")), "not-authorized")

    def test_headers(self) -> None:
        """A header to nobody here, or to another host after the login, ends the stream."""
        for old, new, wanted in (
            ("to='example.org'", "to='example.net'", "host-unknown"),
            ("to='example.org'", "", "improper-addressing"),
            ("to='example.org'", "to='a b'", "improper-addressing"),
        ):
            self.assertEqual(condition(self.gates.open().send(HEADER.replace(old, new))), wanted)

    def test_tls(self) -> None:
        """TLS begins where it is offered, and comes before the login where it is demanded."""
        gateway = self.gates.open(tls="required")
        answer = gateway.send(HEADER)
        self.assertIn("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>", answer)
        self.assertNotIn("mechanism", answer)
        injected = plain()
        self.assertEqual(
            gateway.send(STARTTLS + injected), "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
        )
        self.assertEqual(gateway.connection.tls_domain, "example.org")
        self.assertIn("PLAIN<", gateway.send(HEADER))
        self.assertIn("<success ", gateway.send(plain()))
        early = self.gates.open(tls="required")
        early.send(HEADER)
        self.assertEqual(condition(early.send(plain())), "policy-violation")

    def test_no_tls(self) -> None:
        """TLS is not begun where there is none, or a second time."""
        for listener in ({"tls": "off"}, {"tls": "direct"}):
            gateway = self.gates.open(**listener)
            gateway.send(HEADER)
            self.assertEqual(condition(gateway.send(STARTTLS)), "policy-violation")

    def test_plain_in_the_clear(self) -> None:
        """Where TLS could be had, the secret is not taken in the clear."""
        answer = self.gates.open(tls="optional").send(HEADER)
        self.assertIn("SCRAM-SHA-256<", answer)
        self.assertNotIn("PLAIN<", answer)

    def test_end(self) -> None:
        """With the stream all of its domains are away."""
        gateway = self.logged_in()
        gateway.send(request("bind"))
        gateway.send(request("bind", "icq.example.org"))
        gateway.stream.connection_lost()
        for domain in (GATEWAY, "icq.example.org"):
            self.assertIsNone(self.gates.router.services[domain].stream)


class ScramTests(TestCase):
    """The secret is shown to be known without being said."""

    def test_scram(self) -> Any:
        """SCRAM lets in who knows the secret; the keys are made in a thread."""
        return Deferred.fromCoroutine(self._scram())

    async def _scram(self) -> None:
        from palaver.streams.components.binding import ITERATIONS, SecretAccounts

        gates = Gates()
        accounts: Any = SecretAccounts(gates.components, gates.open().stream.listener, b"salt")
        found = await accounts.credentials(GATEWAY)
        self.assertEqual(found.keys["sha-256"].iterations, ITERATIONS)
        self.assertIsNone(await accounts.credentials("unknown.example.org"))
        self.assertIsNone(await accounts.credentials("a b"))
        self.assertTrue(await accounts.check_password(GATEWAY, SECRET))
        self.assertFalse(await accounts.check_password(GATEWAY, "no"))
