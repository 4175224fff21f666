"""SCRAM: the RFCs' vectors, wrong data, channel binding and downgrades."""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from palaver.auth.accounts import Credentials
from palaver.auth.exchange import Challenge
from palaver.auth.sasl import Authenticator, AuthSettings, Exchange, Facts, SaslFailure, Success
from palaver.test.auth.client import BOUND, FACTS, ITERATIONS, FixedAccounts, ScramClient

ALL_PLUS = ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN")


class ScramTestCase(SynchronousTestCase):
    """An authenticator with one account, romeo."""

    def setUp(self) -> None:
        self.accounts: Any = FixedAccounts(romeo="pencil")
        self.auth = self.authenticator()

    def authenticator(self) -> Authenticator:
        return Authenticator(self.accounts, AuthSettings(b"secret", iterations=ITERATIONS))

    def begin(self, mechanism: str = "SCRAM-SHA-1", facts: Facts = FACTS) -> Exchange:
        return self.auth.begin(mechanism, facts)

    def fails(self, exchange: Exchange, data: bytes | None) -> tuple[str, str | None]:
        """Give condition and text of the failure that a message must bring."""
        failure = self.failureResultOf(exchange.step(data), SaslFailure).value
        return failure.condition, failure.text

    def challenge(self, exchange: Exchange, data: bytes) -> bytes:
        answer = self.successResultOf(exchange.step(data))
        assert isinstance(answer, Challenge)
        return answer.data

    def log_in(self, client: ScramClient, exchange: Exchange, channel: bytes = b"") -> Success:
        challenge = self.challenge(exchange, client.first())
        success = self.successResultOf(exchange.step(client.final(challenge, channel=channel)))
        assert isinstance(success, Success)
        return success


class VectorTests(ScramTestCase):
    """The exchanges that the RFCs print."""

    def play(self, mechanism: str, salt: str, nonces: tuple[str, str], proof: str, signature: str) -> None:
        self.accounts = FixedAccounts(base64.b64decode(salt), user="pencil")
        self.auth = self.authenticator()
        self.patch(secrets, "token_urlsafe", lambda size: nonces[1])
        exchange = self.begin(mechanism)
        challenge = self.challenge(exchange, f"n,,n=user,r={nonces[0]}".encode())
        self.assertEqual(challenge.decode(), f"r={''.join(nonces)},s={salt},i=4096")
        final = f"c=biws,r={''.join(nonces)},p={proof}".encode()
        success = self.successResultOf(exchange.step(final))
        self.assertEqual(success, Success("user", f"v={signature}".encode(), mechanism, documents=[]))

    def test_sha_1(self) -> None:
        """RFC 5802 section 5."""
        self.play(
            "SCRAM-SHA-1",
            "QSXCR+Q6sek8bf92",
            ("fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j"),
            "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        )

    def test_sha_256(self) -> None:
        """RFC 7677 section 3."""
        self.play(
            "SCRAM-SHA-256",
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            ("rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"),
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        )


class LoginTests(ScramTestCase):
    """What a right client meets."""

    def test_every_hash(self) -> None:
        """Each hash function logs in, and the server proves that it knows the key."""
        for mechanism, digest in (
            ("SCRAM-SHA-1", "sha1"),
            ("SCRAM-SHA-256", "sha256"),
            ("SCRAM-SHA-512", "sha512"),
        ):
            client = ScramClient(digest=digest)
            success = self.log_in(client, self.begin(mechanism))
            self.assertEqual(success, Success("romeo", client.signature, mechanism, documents=[]))

    def test_name_is_prepared(self) -> None:
        """Capitals in a name are folded, as in any address."""
        self.assertEqual(self.log_in(ScramClient("ROMEO"), self.begin()).local, "romeo")

    def test_escaped_name(self) -> None:
        """A comma and an equals sign in a name are escaped on the wire."""
        self.accounts.found["a,b=c"] = self.accounts.found["romeo"]
        self.assertEqual(self.log_in(ScramClient("a=2Cb=3Dc"), self.begin()).local, "a,b=c")

    def test_own_authzid(self) -> None:
        """Asking to act as oneself is allowed."""
        client = ScramClient(header="n,a=romeo@example.org,")
        self.assertEqual(self.log_in(client, self.begin()).local, "romeo")

    def test_unknown_extension(self) -> None:
        """An optional extension that nobody knows is passed over, but counts in the signature."""
        client = ScramClient()
        client.bare += ",x=whatever"
        self.assertEqual(self.log_in(client, self.begin()).local, "romeo")

    def test_nonces_differ(self) -> None:
        """The server's part of the nonce never comes twice."""
        seen = {self.challenge(self.begin(), ScramClient().first()) for _ in range(50)}
        self.assertEqual(len(seen), 50)


class RefusalTests(ScramTestCase):
    """What a wrong client meets."""

    def test_wrong_password(self) -> None:
        """A wrong password is not-authorized."""
        exchange, client = self.begin(), ScramClient(password="pen")
        challenge = self.challenge(exchange, client.first())
        self.assertEqual(self.fails(exchange, client.final(challenge)), ("not-authorized", None))

    def test_unknown_user_looks_like_any(self) -> None:
        """An absent account has a stable salt, the usual iterations, and fails like a wrong password."""
        challenges = []
        for _ in range(2):
            exchange, client = self.begin(), ScramClient("nobody")
            challenges.append(self.challenge(exchange, client.first()))
            self.assertEqual(self.fails(exchange, client.final(challenges[-1])), ("not-authorized", None))
        shapes = [challenge.partition(b",")[2] for challenge in challenges]
        real = self.challenge(self.begin(), ScramClient().first()).partition(b",")[2]
        self.assertEqual(shapes[0], shapes[1])
        self.assertEqual(len(shapes[0]), len(real))
        self.assertNotEqual(shapes[0], real)
        other = self.challenge(self.begin(), ScramClient("nobody2").first()).partition(b",")[2]
        self.assertNotEqual(shapes[0], other)

    def test_unknown_user_costs_the_same(self) -> None:
        """As many HMACs are computed for an absent account as for a present one."""
        counts = []
        digest: Any = hmac.digest
        for name in ("romeo", "nobody"):
            calls: list[object] = []

            def count(*args: object, calls: list[object] = calls) -> Any:
                calls.append(args)
                return digest(*args)

            exchange, client = self.begin(), ScramClient(name, "pen")
            patch = self.patch(hmac, "digest", count)
            challenge = self.challenge(exchange, client.first())
            patch.restore()
            final = client.final(challenge)
            patch = self.patch(hmac, "digest", count)
            self.fails(exchange, final)
            patch.restore()
            counts.append(len(calls))
        self.assertEqual(counts[0], counts[1])

    def test_hash_without_keys(self) -> None:
        """An account that has no keys for this hash cannot be told from an absent one."""
        self.accounts.found["romeo"] = Credentials({})
        exchange, client = self.begin(), ScramClient()
        challenge = self.challenge(exchange, client.first())
        self.assertEqual(self.fails(exchange, client.final(challenge)), ("not-authorized", None))

    def test_disabled(self) -> None:
        """Only who knows the password learns that the account is disabled."""
        found = self.accounts.found
        found["romeo"] = found["romeo"]._replace(disabled=True)
        for password, condition in (("pencil", "account-disabled"), ("pen", "not-authorized")):
            exchange, client = self.begin(), ScramClient(password=password)
            challenge = self.challenge(exchange, client.first())
            self.assertEqual(self.fails(exchange, client.final(challenge)), (condition, None))

    def test_malformed_first(self) -> None:
        """A first message against the grammar is malformed-request."""
        for message in (
            b"\xff",
            b"x,,n=romeo,r=abc",
            b"n,,n=romeo",
            b"n,,r=abc,n=romeo",
            b"n,,n=,r=abc",
            b"n,,n=ro=meo,r=abc",
            b"n,,n=romeo,r=",
            b"n,,n=romeo,r=a b",
            b"n,,n=ro\0meo,r=abc",
            b"n,b=c,n=romeo,r=abc",
            b"n,,n=a@b,r=abc",
            b"n,,m=must,n=romeo,r=abc",
            b"n,,n=romeo,r=abc,junk",
            b"n,,n=romeo,r=abc\n",
            b"p=,,n=romeo,r=abc",
            b"n,,n=romeo,r=" + "é".encode(),
            b"=",
        ):
            self.assertEqual(self.fails(self.begin(), message)[0], "malformed-request", message)

    def test_malformed_final(self) -> None:
        """A last message against the grammar, or with bad base64 within, is malformed-request."""
        for message in (
            b"",
            b"\xff",
            b"c=biws,r=NONCE",
            b"c=biws,r=NONCE,p=",
            b"r=NONCE,c=biws,p=AAAA",
            b"c=biws,r=NONCE,p=AAAA,x=y",
            b"c=bi!s,r=NONCE,p=AAAA",
            b"c=biw,r=NONCE,p=AAAA",
            b"c=bi==ws,r=NONCE,p=AAAA",
            b"c=biws,r=NONCE,p=A",
        ):
            exchange = self.begin()
            challenge = self.challenge(exchange, ScramClient().first())
            nonce = challenge[2:].partition(b",")[0]
            failure = self.fails(exchange, message.replace(b"NONCE", nonce))
            self.assertEqual(failure[0], "malformed-request", message)

    def test_short_proof(self) -> None:
        """A proof of the wrong length proves nothing."""
        exchange = self.begin()
        nonce = self.challenge(exchange, ScramClient().first())[2:].partition(b",")[0]
        self.assertEqual(self.fails(exchange, b"c=biws,r=" + nonce + b",p=AAAA")[0], "not-authorized")

    def test_replay(self) -> None:
        """What one exchange was ended with does not end another one."""
        client = ScramClient()
        exchange = self.begin()
        final = client.final(self.challenge(exchange, client.first()))
        self.successResultOf(exchange.step(final))
        again = self.begin()
        self.challenge(again, client.first())
        self.assertEqual(self.fails(again, final), ("not-authorized", "another nonce"))

    def test_authzid_of_somebody_else(self) -> None:
        """Nobody acts as somebody else, nor on another host, nor as a resource."""
        for authzid in ("juliet@example.org", "romeo@example.net", "romeo@example.org/x", "example.org", "@"):
            client = ScramClient(header=f"n,a={authzid},")
            self.assertEqual(self.fails(self.begin(), client.first())[0], "invalid-authzid", authzid)

    def test_changed_header(self) -> None:
        """Who takes the authzid out on the way is found out."""
        exchange, client = self.begin(), ScramClient(header="n,a=romeo@example.org,")
        challenge = self.challenge(exchange, client.first())
        client.header = "n,,"
        self.assertEqual(
            self.fails(exchange, client.final(challenge)), ("not-authorized", "channel-bindings-dont-match")
        )


class BindingTests(ScramTestCase):
    """Channel binding and what a man in the middle could try."""

    facts = BOUND._replace(offered=ALL_PLUS)

    def test_bound(self) -> None:
        """A client on the same TLS channel logs in with -PLUS, by any of the types."""
        for type_, data in (("tls-exporter", b"channel"), ("tls-unique", b"other")):
            client = ScramClient(header=f"p={type_},,")
            success = self.log_in(client, self.begin("SCRAM-SHA-1-PLUS", self.facts), data)
            self.assertEqual(success.mechanism, "SCRAM-SHA-1-PLUS")

    def test_other_channel(self) -> None:
        """A client on another TLS channel is refused though the password is right."""
        client = ScramClient(header="p=tls-exporter,,")
        exchange = self.begin("SCRAM-SHA-1-PLUS", self.facts)
        challenge = self.challenge(exchange, client.first())
        final = client.final(challenge, channel=b"elsewhere")
        self.assertEqual(self.fails(exchange, final), ("not-authorized", "channel-bindings-dont-match"))

    def test_unknown_type(self) -> None:
        """A type that this stream does not have is refused."""
        client = ScramClient(header="p=tls-server-end-point,,")
        self.assertEqual(
            self.fails(self.begin("SCRAM-SHA-1-PLUS", self.facts), client.first()),
            ("not-authorized", "unsupported-channel-binding-type"),
        )

    def test_downgrade(self) -> None:
        """A client that was told of no -PLUS, though it was offered, has somebody in the middle."""
        client = ScramClient(header="y,,")
        for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"):
            self.assertEqual(
                self.fails(self.begin(mechanism, self.facts), client.first()),
                ("not-authorized", "server-does-support-channel-binding"),
            )

    def test_capable_client(self) -> None:
        """A client that could bind logs in without where no -PLUS was offered."""
        facts = BOUND._replace(offered=("SCRAM-SHA-1",))
        self.assertEqual(self.log_in(ScramClient(header="y,,"), self.begin(facts=facts)).local, "romeo")

    def test_client_that_cannot_bind(self) -> None:
        """A client that knows no channel binding logs in without."""
        self.assertEqual(self.log_in(ScramClient(), self.begin(facts=self.facts)).local, "romeo")

    def test_flag_against_mechanism(self) -> None:
        """-PLUS without binding, and binding without -PLUS, are malformed."""
        for mechanism, header in (("SCRAM-SHA-1-PLUS", "n,,"), ("SCRAM-SHA-1", "p=tls-exporter,,")):
            client = ScramClient(header=header)
            self.assertEqual(
                self.fails(self.begin(mechanism, self.facts), client.first())[0], "malformed-request"
            )


class DowngradeTests(ScramTestCase):
    """What was offered is hashed into the exchange (XEP-0474)."""

    def hash(self, facts: Facts, mechanism: str = "SCRAM-SHA-1", digest: str = "sha1") -> str | None:
        """Give what the server says about its offers."""
        client = ScramClient(digest=digest, header="p=tls-exporter,," if "PLUS" in mechanism else "n,,")
        challenge = self.challenge(self.begin(mechanism, facts), client.first()).decode()
        return dict(part.split("=", 1) for part in challenge.split(",")).get("h")

    def test_vector(self) -> None:
        """The example of section 5.3."""
        bindings = {"tls-server-end-point": bytes, "tls-exporter": lambda: b"channel"}
        facts = Facts("example.org", True, bindings, offered=("SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"))
        self.assertEqual(self.hash(facts, "SCRAM-SHA-1-PLUS"), "G6k/rBLDqgOhRRaCuuatSDFkJ08=")

    def test_every_part_counts(self) -> None:
        """Another mechanism or channel binding, and another hash function, make another hash."""
        offers = [("SCRAM-SHA-1",), ("PLAIN", "SCRAM-SHA-1"), ("SCRAM-SHA-1", "SCRAM-SHA-1-PLUS")]
        rows = [Facts("example.org", True, {}, offered=offer) for offer in offers]
        rows += [BOUND._replace(offered=offer) for offer in offers[2:]]
        found = {self.hash(facts) for facts in rows}
        found.add(self.hash(rows[0], "SCRAM-SHA-256", "sha256"))
        self.assertEqual(len(found), 5)

    def test_order(self) -> None:
        """The order in which mechanisms stand does not count."""
        rows = [
            FACTS._replace(offered=offer) for offer in (("PLAIN", "SCRAM-SHA-1"), ("SCRAM-SHA-1", "PLAIN"))
        ]
        self.assertEqual(self.hash(rows[0]), self.hash(rows[1]))

    def test_bindings_without_use(self) -> None:
        """Channel bindings that were not announced do not count."""
        offer = ("SCRAM-SHA-1",)
        self.assertEqual(self.hash(BOUND._replace(offered=offer)), self.hash(FACTS._replace(offered=offer)))

    def test_login(self) -> None:
        """A client signs the hash with the rest, and gets in; one that saw another hash does not."""
        facts = FACTS._replace(offered=("SCRAM-SHA-1",))
        self.assertEqual(self.log_in(ScramClient(), self.begin(facts=facts)).local, "romeo")
        exchange, client = self.begin(facts=facts), ScramClient()
        challenge = self.challenge(exchange, client.first())
        forged = challenge[:-4] + b"AAA="
        self.assertEqual(self.fails(exchange, client.final(forged))[0], "not-authorized")
