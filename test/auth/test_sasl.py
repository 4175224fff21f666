"""SASL on one host: what is offered, the order of messages, PLAIN, EXTERNAL and ANONYMOUS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from palaver.auth.certificates import SRV_NAME, XMPP_ADDR, srv_name, xmpp_addr, xmpp_addresses
from palaver.auth.sasl import Authenticator, AuthSettings, Challenge, Facts, SaslFailure, Success
from palaver.errors import StorageError
from palaver.test.auth.client import BOUND, FACTS, FixedAccounts, ScramClient

SCRAMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")
PLUSES = tuple(f"{name}-PLUS" for name in SCRAMS)


def certificate(*names: x509.GeneralName) -> x509.Certificate:
    """Give a certificate with these alternative names."""
    key = ed25519.Ed25519PrivateKey.generate()
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        x509.Name([]), x509.Name([]), key.public_key(), 1, now, now + timedelta(days=1)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, None)


class SaslTestCase(SynchronousTestCase):
    """An authenticator with two accounts."""

    def setUp(self) -> None:
        self.accounts: Any = FixedAccounts(romeo="pencil", juliet="balcony")
        self.auth = self.authenticator()

    def authenticator(self, **settings: Any) -> Authenticator:
        return Authenticator(self.accounts, AuthSettings(b"secret", **settings))

    def refusal(self, mechanism: str, data: bytes | None = b"", facts: Facts = FACTS) -> str:
        """Give the condition with which a mechanism's first message fails."""
        try:
            exchange = self.auth.begin(mechanism, facts)
        except SaslFailure as failure:
            return failure.condition
        condition: str = self.failureResultOf(exchange.step(data), SaslFailure).value.condition
        return condition

    def success(self, mechanism: str, data: bytes | None, facts: Facts = FACTS) -> Any:
        return self.successResultOf(self.auth.begin(mechanism, facts).step(data))


class OfferTests(SaslTestCase):
    """Which mechanisms a stream sees."""

    def test_without_tls(self) -> None:
        """Without encryption no password is asked for in the clear."""
        self.assertEqual(self.auth.mechanisms(Facts("example.org", False, {})), SCRAMS)

    def test_plain_without_tls_when_allowed(self) -> None:
        """An administrator can allow PLAIN without encryption."""
        auth = self.authenticator(unencrypted_plain=True)
        self.assertEqual(auth.mechanisms(Facts("example.org", False, {})), (*SCRAMS, "PLAIN"))

    def test_with_tls(self) -> None:
        """With channel bindings the -PLUS variants come first, and the types are announced."""
        self.assertEqual(self.auth.mechanisms(BOUND), (*PLUSES, *SCRAMS, "PLAIN"))
        self.assertEqual(self.auth.binding_types(BOUND), ("tls-exporter", "tls-unique"))

    def test_without_bindings(self) -> None:
        """Without channel bindings nothing is announced about them."""
        self.assertEqual(self.auth.mechanisms(FACTS), (*SCRAMS, "PLAIN"))
        self.assertEqual(self.auth.binding_types(FACTS), ())

    def test_no_plus_offered(self) -> None:
        """Where the administrator offers no -PLUS, no binding types are announced."""
        auth = self.authenticator(mechanisms=("SCRAM-SHA-1", "PLAIN"))
        self.assertEqual(auth.binding_types(BOUND), ())

    def test_order_of_the_administrator(self) -> None:
        """A list in the config is offered in its order, as far as the stream allows."""
        auth = self.authenticator(mechanisms=("PLAIN", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "ANONYMOUS"))
        self.assertEqual(auth.mechanisms(BOUND), ("PLAIN", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"))

    def test_external_and_anonymous(self) -> None:
        """EXTERNAL needs a certificate and the setting, ANONYMOUS the setting."""
        auth = self.authenticator(external=True, anonymous=True)
        facts = FACTS._replace(certificate=certificate())
        self.assertEqual(auth.mechanisms(facts), ("EXTERNAL", *SCRAMS, "PLAIN", "ANONYMOUS"))
        self.assertNotIn("EXTERNAL", auth.mechanisms(FACTS))
        self.assertNotIn("EXTERNAL", self.auth.mechanisms(facts))

    def test_accounts_without_keys(self) -> None:
        """Accounts that only check passwords get no SCRAM."""
        self.accounts.hashes = ()
        self.assertEqual(self.authenticator().mechanisms(BOUND), ("PLAIN",))

    def test_what_is_not_offered_cannot_begin(self) -> None:
        """Each reason why a mechanism is not to be had has its condition."""
        clear = Facts("example.org", False, {})
        for mechanism, facts, condition in (
            ("X-MAGIC", FACTS, "invalid-mechanism"),
            ("scram-sha-1", FACTS, "invalid-mechanism"),
            ("", FACTS, "invalid-mechanism"),
            ("SCRAM-SHA-1-PLUS", FACTS, "invalid-mechanism"),
            ("PLAIN", clear, "encryption-required"),
            ("ANONYMOUS", FACTS, "invalid-mechanism"),
            ("EXTERNAL", FACTS, "invalid-mechanism"),
        ):
            self.assertEqual(self.refusal(mechanism, facts=facts), condition, mechanism)
        self.auth = self.authenticator(mechanisms=("SCRAM-SHA-256",))
        self.assertEqual(self.refusal("SCRAM-SHA-1"), "mechanism-too-weak")


class OrderTests(SaslTestCase):
    """Exchanges that go astray."""

    def test_no_initial_response(self) -> None:
        """A client that begins without data is asked for it by an empty challenge."""
        exchange = self.auth.begin("PLAIN", FACTS)
        self.assertEqual(self.successResultOf(exchange.step(None)), Challenge(b""))
        success: Any = self.successResultOf(exchange.step(b"\0romeo\0pencil"))
        self.assertEqual(success.local, "romeo")

    def test_asked_once(self) -> None:
        """A client that has nothing to say twice is refused."""
        exchange = self.auth.begin("PLAIN", FACTS)
        self.successResultOf(exchange.step(None))
        failure = self.failureResultOf(exchange.step(None), SaslFailure)
        self.assertEqual(failure.value.condition, "malformed-request")

    def test_after_the_end(self) -> None:
        """After success, failure or abort a further message is not-authorized."""
        for message in (b"\0romeo\0pencil", b"\0romeo\0wrong", None):
            exchange = self.auth.begin("PLAIN", FACTS)
            if message is None:
                exchange.abort()
            else:
                exchange.step(message).addErrback(lambda failure: None)
            failure = self.failureResultOf(exchange.step(b"\0romeo\0pencil"), SaslFailure)
            self.assertEqual(failure.value.condition, "not-authorized")

    def waiting(self) -> Deferred[Any]:
        """Let the accounts answer only when told; gives what they will answer through."""
        waiting: Deferred[Any] = Deferred()
        self.accounts.credentials = lambda local: waiting
        return waiting

    def test_step_during_a_step(self) -> None:
        """A client that does not wait for the answer is refused, and so is what it asked before."""
        answer = self.waiting()
        exchange = self.auth.begin("SCRAM-SHA-1", FACTS)
        first = exchange.step(ScramClient().first())
        second = exchange.step(b"more")
        answer.callback(self.accounts.found["romeo"])
        for step in (first, second):
            self.assertEqual(self.failureResultOf(step, SaslFailure).value.condition, "not-authorized")

    def test_abort_while_waiting(self) -> None:
        """A waiting step of an aborted exchange fails with aborted, whatever the accounts say later."""
        answer = self.waiting()
        exchange = self.auth.begin("SCRAM-SHA-1", FACTS)
        step = exchange.step(ScramClient().first())
        exchange.abort()
        self.assertEqual(self.failureResultOf(step, SaslFailure).value.condition, "aborted")
        answer.callback(None)

    def test_backend_fails(self) -> None:
        """When the accounts cannot be read the client may try later, and the log says why."""
        self.accounts.credentials = lambda local: fail(StorageError("gone"))
        self.assertEqual(self.refusal("SCRAM-SHA-1", ScramClient().first()), "temporary-auth-failure")
        self.assertEqual(len(self.flushLoggedErrors(StorageError)), 1)


class PlainTests(SaslTestCase):
    """PLAIN, RFC 4616."""

    def test_right(self) -> None:
        """Name and password log in, with or without one's own address as authorization identity."""
        for authzid in (b"", b"romeo@example.org", b"Romeo@EXAMPLE.org"):
            success = self.success("PLAIN", authzid + b"\0romeo\0pencil")
            self.assertEqual(success, Success("romeo", None, "PLAIN", documents=[]))

    def test_refusals(self) -> None:
        """Each mistake has its condition."""
        for message, condition in (
            (b"\0romeo\0wrong", "not-authorized"),
            (b"\0nobody\0pencil", "not-authorized"),
            (b"\0a@b\0pencil", "not-authorized"),
            (b"\0romeo\0", "malformed-request"),
            (b"\0\0pencil", "malformed-request"),
            (b"romeo\0pencil", "malformed-request"),
            (b"\0romeo\0pen\0cil", "malformed-request"),
            (b"", "malformed-request"),
            (b"\0romeo\0\xff", "malformed-request"),
            (b"juliet@example.org\0romeo\0pencil", "invalid-authzid"),
            (b"romeo@example.net\0romeo\0pencil", "invalid-authzid"),
            (b"romeo@example.org/x\0romeo\0pencil", "invalid-authzid"),
            (b"romeo\0romeo\0pencil", "invalid-authzid"),
        ):
            self.assertEqual(self.refusal("PLAIN", message), condition, message)

    def test_disabled(self) -> None:
        """A disabled account is refused with its own condition, after the password."""
        self.accounts.found["romeo"] = self.accounts.found["romeo"]._replace(disabled=True)
        self.assertEqual(self.refusal("PLAIN", b"\0romeo\0pencil"), "account-disabled")
        self.assertEqual(self.refusal("PLAIN", b"\0romeo\0wrong"), "not-authorized")

    def test_deleted_meanwhile(self) -> None:
        """An account that vanishes between password and reading does not get in."""
        del self.accounts.found["romeo"]
        self.assertEqual(self.refusal("PLAIN", b"\0romeo\0pencil"), "not-authorized")


class AnonymousTests(SaslTestCase):
    """ANONYMOUS, XEP-0175."""

    def test_guests(self) -> None:
        """Each guest gets a name of its own, with trace information or without."""
        self.auth = self.authenticator(anonymous=True)
        guests = [self.success("ANONYMOUS", data) for data in (None, b"", b"sirhc")]
        self.assertEqual(len({guest.local for guest in guests}), 3)
        self.assertTrue(all(guest.anonymous and len(guest.local) == 32 for guest in guests))


class ExternalTests(SaslTestCase):
    """EXTERNAL with a client's certificate, XEP-0178 section 2."""

    def setUp(self) -> None:
        super().setUp()
        self.auth = self.authenticator(external=True)

    def facts(self, *names: x509.GeneralName) -> Facts:
        return FACTS._replace(certificate=certificate(*names))

    def test_single_address(self) -> None:
        """One address logs in, whether it is named or not, begun with data or without."""
        facts = self.facts(xmpp_addr("Romeo@example.org"))
        expected = Success("romeo", None, "EXTERNAL", documents=[])
        for authzid in (b"", b"romeo@example.org"):
            self.assertEqual(self.success("EXTERNAL", authzid, facts), expected)
        exchange = self.auth.begin("EXTERNAL", facts)
        self.assertEqual(self.successResultOf(exchange.step(None)), Challenge(b""))
        self.assertEqual(self.successResultOf(exchange.step(b"")), expected)

    def test_several_addresses(self) -> None:
        """With several addresses the client must say which one."""
        facts = self.facts(xmpp_addr("romeo@example.org"), xmpp_addr("juliet@example.org"))
        self.assertEqual(self.success("EXTERNAL", b"juliet@example.org", facts).local, "juliet")
        self.assertEqual(self.refusal("EXTERNAL", b"", facts), "invalid-authzid")

    def test_other_domains_do_not_count(self) -> None:
        """An address at another host is no choice here."""
        facts = self.facts(xmpp_addr("romeo@example.org"), xmpp_addr("romeo@example.net"))
        self.assertEqual(self.success("EXTERNAL", b"", facts).local, "romeo")
        self.assertEqual(self.refusal("EXTERNAL", b"romeo@example.net", facts), "invalid-authzid")

    def test_somebody_else(self) -> None:
        """Nobody logs in as who the certificate does not name."""
        facts = self.facts(xmpp_addr("romeo@example.org"))
        for authzid in (b"juliet@example.org", b"romeo@example.org/x", b"romeo", b"@"):
            self.assertEqual(self.refusal("EXTERNAL", authzid, facts), "invalid-authzid", authzid)
        self.assertEqual(self.refusal("EXTERNAL", b"\xff", facts), "malformed-request")

    def test_no_address(self) -> None:
        """A certificate without an address of an account here lets nobody in."""
        for names in (
            (),
            (x509.DNSName("romeo.example.org"),),
            (xmpp_addr("example.org"),),
            (xmpp_addr("romeo@example.org/orchard"),),
            (xmpp_addr("@@"),),
            (x509.OtherName(XMPP_ADDR, b"\x16\x11romeo@example.org"),),
            (srv_name("xmpp-client", "example.org"),),
        ):
            self.assertEqual(self.refusal("EXTERNAL", b"", self.facts(*names)), "not-authorized", names)

    def test_no_account(self) -> None:
        """A certificate for an account that is not there, or disabled, lets nobody in."""
        facts = self.facts(xmpp_addr("tybalt@example.org"))
        self.assertEqual(self.refusal("EXTERNAL", b"", facts), "not-authorized")
        self.accounts.found["tybalt"] = self.accounts.found["romeo"]._replace(disabled=True)
        self.assertEqual(self.refusal("EXTERNAL", b"", facts), "account-disabled")

    def test_names(self) -> None:
        """Addresses beyond ASCII are read as they were written; other names are passed over."""
        names = (xmpp_addr("rómeo@example.org"), srv_name("xmpp-client", "example.org"))
        self.assertEqual(xmpp_addresses(certificate(*names)), ["rómeo@example.org"])
        self.assertEqual(names[1], x509.OtherName(SRV_NAME, b"\x16\x18_xmpp-client.example.org"))


class RevokeTests(SaslTestCase):
    """Exchanges that are under way when an account gets another password, or goes."""

    def test_scram(self) -> None:
        """What was read before the change lets nobody in; others' exchanges go on."""
        outcomes = []
        for name, password in (("romeo", "pencil"), ("juliet", "balcony")):
            client = ScramClient(name, password)
            exchange = self.auth.begin("SCRAM-SHA-1", FACTS)
            challenge = self.successResultOf(exchange.step(client.first())).data
            assert challenge is not None
            self.auth.revoke("romeo")
            outcomes.append(exchange.step(client.final(challenge)))
        self.assertEqual(self.failureResultOf(outcomes[0], SaslFailure).value.condition, "not-authorized")
        success = self.successResultOf(outcomes[1])
        assert isinstance(success, Success)
        self.assertEqual(success.local, "juliet")

    def test_plain(self) -> None:
        """A password that is being checked is no longer right."""
        gate: Deferred[bool] = Deferred()
        self.accounts.check_password = lambda local, password: gate
        step = self.auth.begin("PLAIN", FACTS).step(b"\0romeo\0pencil")
        self.auth.revoke("juliet")
        self.assertNoResult(step)
        self.auth.revoke("romeo")
        gate.callback(True)
        self.assertEqual(self.failureResultOf(step, SaslFailure).value.condition, "not-authorized")
