"""XEP-0215: which relays there are, and credentials for them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.stanza import Stanza
from palaver.test.house import House, stanza
from palaver.xeps.extdisco import ExtDiscoSettings, ExternalServices

NS = "urn:xmpp:extdisco:2"
SERVICES = [
    {"type": "stun", "host": "192.0.2.1", "port": 3478, "transport": "udp", "name": "S"},
    {
        "type": "turn",
        "host": "turn.example.org",
        "port": 3478,
        "transport": "udp",
        "secret": "north",
        "ttl": 3600,
    },
    {"type": "turn", "host": "turn.example.org", "port": 443, "transport": "tcp", "secret": "north"},
    {"type": "ftp", "host": "ftp.example.org", "username": "anna", "password": "p'w"},
]


class ServicesCase(SynchronousTestCase):
    """A host with relays."""

    def house_with(self, **options: Any) -> None:
        """Open a house."""
        self.house = House(ExternalServices, ExternalServices={"service": SERVICES, **options})
        self.house.clock.advance(1_700_000_000)
        self.romeo = self.house.login("romeo")

    def setUp(self) -> None:
        """Open a house with the usual options."""
        self.house_with()

    def ask(self, inner: str, kind: str = "get") -> domish.Element:
        """Ask the server."""
        return self.romeo.ask(f"<iq type='{kind}' id='1' to='example.org'>{inner}</iq>")

    def services(self, answer: domish.Element) -> list[dict[str, str]]:
        """Give the attributes of the services in an answer."""
        self.assertEqual(answer["type"], "result")
        return [dict(node.attributes) for node in answer.firstChildElement().elements()]

    def condition(self, answer: domish.Element) -> str:
        """Give an error's condition."""
        self.assertEqual(answer["type"], "error")
        name: str = answer.error.firstChildElement().name
        return name


class ListTests(ServicesCase):
    """What clients are told."""

    def test_all(self) -> None:
        """All services are listed, with what is known of each and nothing else."""
        for ns in (NS, "urn:xmpp:extdisco:1"):
            answer = self.ask(f"<services xmlns='{ns}'/>")
            self.assertEqual(answer.firstChildElement().uri, ns)
            stun, turn, _, ftp = self.services(answer)
            self.assertEqual(
                stun, {"type": "stun", "host": "192.0.2.1", "port": "3478", "transport": "udp", "name": "S"}
            )
            self.assertEqual((ftp["username"], ftp["password"], ftp["restricted"]), ("anna", "p'w", "1"))
            self.assertNotIn("expires", ftp)
            self.assertEqual((turn["host"], turn["expires"]), ("turn.example.org", "2023-11-14T23:13:20Z"))

    def test_type(self) -> None:
        """A client may ask for one type; one that there is not has no services."""
        for kind, count in (("turn", 2), ("stun", 1), ("other", 0)):
            answer = self.ask(f"<services xmlns='{NS}' type='{kind}'/>")
            self.assertEqual(answer.services["type"], kind)
            self.assertEqual([found["type"] for found in self.services(answer)], [kind] * count)

    def test_shared_secret(self) -> None:
        """A relay that knows the secret can check name and password, and when they expire."""
        turn = self.services(self.ask(f"<services xmlns='{NS}' type='turn'/>"))[0]
        self.assertEqual(turn["username"].partition(":")[0], str(1_700_000_000 + 3600))
        digest = hmac.new(b"north", turn["username"].encode(), hashlib.sha1).digest()
        self.assertEqual(turn["password"], base64.b64encode(digest).decode())
        self.assertNotIn("romeo", turn["username"])

    def test_pseudonym(self) -> None:
        """Accounts have different names at the relay, sessions of one account the same."""

        def name() -> str:
            return self.services(self.ask(f"<services xmlns='{NS}' type='turn'/>"))[0]["username"]

        first = name()
        self.romeo = self.house.login("romeo", "other")
        self.assertEqual(name(), first)
        self.romeo = self.house.login("juliet")
        self.assertNotEqual(name(), first)


class CredentialsTests(ServicesCase):
    """Credentials for one service."""

    def credentials(self, attributes: str, inside: str = "service") -> domish.Element:
        """Ask for credentials."""
        return self.ask(f"<credentials xmlns='{NS}'><{inside} {attributes}/></credentials>")

    def test_one(self) -> None:
        """Without a port those of every port are given, with one those of that."""
        found = self.services(self.credentials("type='turn' host='turn.example.org'"))
        self.assertEqual([one["port"] for one in found], ["3478", "443"])
        found = self.services(self.credentials("type='turn' host='turn.example.org' port='443'"))
        self.assertEqual([one["port"] for one in found], ["443"])
        self.assertTrue(found[0]["password"])

    def test_bad(self) -> None:
        """A question without host or type, for an unknown type, or about something else is refused."""
        for attributes, inside in (
            ("host='turn.example.org'", "service"),
            ("type='turn'", "service"),
            ("type='other' host='turn.example.org'", "service"),
            ("type='turn' host='turn.example.org'", "server"),
        ):
            self.assertEqual(self.condition(self.credentials(attributes, inside)), "bad-request", attributes)

    def test_unknown(self) -> None:
        """For a host or port that there is not there are no credentials."""
        for attributes in ("host='other.example.org'", "host='turn.example.org' port='1'"):
            answer = self.credentials(f"type='turn' {attributes}")
            self.assertEqual(self.condition(answer), "item-not-found")


class AccessTests(ServicesCase):
    """Who is told."""

    def test_strangers(self) -> None:
        """Credentials are for accounts of this host, unless the administrator likes it otherwise."""
        for access, expected in (("local", "error"), ("all", "result")):
            self.house_with(access=access)
            elsewhere = self.house.router.remote = Elsewhere()
            for inner in (
                f"<services xmlns='{NS}'/>",
                f"<credentials xmlns='{NS}'><service type='ftp' host='ftp.example.org'/></credentials>",
            ):
                head = "<iq type='get' id='1' from='tybalt@elsewhere.example/x' to='example.org'>"
                self.house.router.route(stanza(f"{head}{inner}</iq>"))
                self.assertEqual(elsewhere.stanzas.pop().type, expected)

    def test_set(self) -> None:
        """Nobody changes the services."""
        self.assertEqual(self.condition(self.ask(f"<services xmlns='{NS}'/>", "set")), "not-allowed")

    def test_options(self) -> None:
        """A service has a type and a host, and one kind of credentials; secrets do not show in logs."""
        for wrong in (
            {"type": "turn"},
            {"host": "x"},
            {"type": "turn", "host": "x", "port": 0},
            {"type": "turn", "host": "x", "transport": "sctp"},
            {"type": "turn", "host": "x", "secret": "s", "username": "u"},
            {"type": "turn", "host": "x", "password": "p"},
        ):
            with self.assertRaises(ValidationError, msg=str(wrong)):
                ExtDiscoSettings.model_validate({"service": [wrong]})
        self.assertNotIn("north", repr(ExtDiscoSettings.model_validate({"service": SERVICES})))


class Elsewhere:
    """Stands for other servers: keeps what is sent there."""

    def __init__(self) -> None:
        self.stanzas: list[Stanza] = []

    def deliver(self, given: Stanza, to: object) -> None:
        """See IService."""
        self.stanzas.append(given)
