"""What a stream announces, and in which order (XEP-0170, XEP-0440, XEP-0478)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from palaver import metrics
from palaver.auth.sasl import Authenticator, AuthSettings
from palaver.test.auth.client import FixedAccounts
from palaver.test.house import House
from palaver.test.streams.talker import HEADER, SASL, SERVER_HEADER, Talker, condition
from palaver.tree import parse_element

# The features by name for each kind of TLS, before and after it.
BEFORE_LOGIN = {
    ("off", False): ["mechanisms", "limits"],
    ("optional", False): ["starttls", "mechanisms", "limits"],
    ("required", False): ["starttls", "limits"],
    ("optional", True): ["mechanisms", "sasl-channel-binding", "limits"],
    ("required", True): ["mechanisms", "sasl-channel-binding", "limits"],
    ("direct", True): ["mechanisms", "sasl-channel-binding", "limits"],
}


def features(talker: Talker):
    """Open the stream and give the features as elements."""
    text = talker.send(HEADER)
    assert text.startswith(SERVER_HEADER), text
    return parsed(text.removeprefix(SERVER_HEADER))


def parsed(text: str):
    return list(parse_element(text.replace("stream:", "").encode()).elements())


def names(found) -> list[str]:
    return [node.name for node in found]


class BeforeLoginTests(SynchronousTestCase):
    """What a stranger may do."""

    def test_order(self) -> None:
        """TLS comes first and, where it is required, alone; then SASL; the limits are always told."""
        for (tls, secure), wanted in BEFORE_LOGIN.items():
            with self.subTest(tls=tls, secure=secure):
                self.assertEqual(names(features(Talker(tls=tls, secure=secure))), wanted)

    def test_required(self) -> None:
        """Only TLS that is required says so."""
        for tls, wanted in (("required", ["required"]), ("optional", [])):
            self.assertEqual(names(features(Talker(tls=tls))[0].elements()), wanted)

    def test_mechanisms(self) -> None:
        """The mechanisms come in the order of preference; -PLUS where there is a channel to bind to."""
        scrams = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"]
        plus = [f"{name}-PLUS" for name in scrams]
        plain, _ = features(Talker())
        self.assertEqual([str(node) for node in plain.elements()], [*scrams, "PLAIN"])
        secure, bindings, _ = features(Talker(secure=True, tls="required"))
        self.assertEqual([str(node) for node in secure.elements()], [*plus, *scrams, "PLAIN"])
        self.assertEqual(bindings.uri, "urn:xmpp:sasl-cb:0")
        self.assertEqual([node["type"] for node in bindings.elements()], ["tls-exporter"])

    def test_no_way_in(self) -> None:
        """A stream on which nobody can log in ends, and says why."""
        house = House()
        accounts: Any = FixedAccounts()
        accounts.hashes = ()
        house.host.authenticator = Authenticator(accounts, AuthSettings(b"secret"))
        text = Talker(house).send(HEADER)
        self.assertEqual((text.count("<?xml"), condition(text)), (1, "undefined-condition"))


class AfterLoginTests(SynchronousTestCase):
    """What somebody may do who has logged in."""

    def test_order(self) -> None:
        """Binding comes first, the old session is optional, then what modules have; TLS and SASL are over."""
        house: Any = House()
        for name in ("sm", "csi"):
            house.host.add_stream_feature(lambda stream, name=name: f"<{name} xmlns='urn:{name}'/>".encode())
        house.host.add_stream_feature(lambda stream: None)
        talker = Talker(house, tls="optional")
        found = parsed(talker.authenticate())
        self.assertEqual(names(found), ["bind", "session", "sm", "csi", "limits"])
        self.assertEqual(names(found[1].elements()), ["optional"])

    def test_module_that_fails(self) -> None:
        """A module whose feature fails is left out and counted; the login goes on."""
        metrics.reset()
        house: Any = House()
        house.host.add_stream_feature(lambda stream: 1 / 0)
        self.assertEqual(names(parsed(Talker(house).authenticate())), ["bind", "session", "limits"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2, "before the login and after it")
        self.assertEqual(metrics.module_failures["stream-features"], 2)


class LimitsTests(SynchronousTestCase):
    """XEP-0478: what a client must not exceed."""

    def test_limits(self) -> None:
        """Strangers have a lower limit; silence may last as long as the server waits."""
        talker = Talker(max_unauthenticated_bytes=1000, max_stanza_bytes=20000, idle_s=99.5)
        before = features(talker)[-1]
        talker = Talker(max_unauthenticated_bytes=1000, max_stanza_bytes=20000, idle_s=99.5)
        after = parsed(talker.authenticate())[-1]
        for limits, size in ((before, "1000"), (after, "20000")):
            self.assertEqual(limits.uri, "urn:xmpp:stream-limits:0")
            told = [(node.name, str(node)) for node in limits.elements()]
            self.assertEqual(told, [("max-bytes", size), ("idle-seconds", "99")])

    def test_namespace(self) -> None:
        """SASL's features are in its namespace."""
        self.assertEqual(features(Talker())[0].uri, SASL)
