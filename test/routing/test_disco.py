"""What a host announces about itself and its accounts, and its hash."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from palaver.routing.disco import NS_INFO, info, verification
from palaver.routing.iqs import HOST
from palaver.routing.nesting import Announced
from palaver.test.house import House
from palaver.tree import parse_element

# XEP-0115 section 5.2.
SIMPLE = (
    [("client", "pc", "Exodus 0.9.1")],
    [
        "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/muc",
        "http://jabber.org/protocol/caps", "http://jabber.org/protocol/disco#items",
    ],
    "QgayPKawpkPSDYmwT/WM94uAlu0=",
)  # fmt: skip


def module(**changes: Any) -> Any:
    """Give what disco wants of a module."""
    empty: dict[str, Any] = {
        "identities": (), "features": (), "account_identities": (), "account_features": (),
        "disco_forms": lambda: [],
    }  # fmt: skip
    return SimpleNamespace(**empty | changes)


def form(kind: str, **fields: list[str]) -> bytes:
    """Give a result form."""
    text = f"<field var='FORM_TYPE' type='hidden'><value>{kind}</value></field>"
    for var, values in fields.items():
        text = f"<field var='{var}'>{''.join(f'<value>{value}</value>' for value in values)}</field>" + text
    return f"<x xmlns='jabber:x:data' type='result'>{text}</x>".encode()


class HashTests(SynchronousTestCase):
    """XEP-0115's verification string."""

    def test_simple(self) -> None:
        """The standard's example, in any order and with doubles."""
        identities, features, wanted = SIMPLE
        for found in (features, features[::-1], features * 2):
            self.assertEqual(verification(identities, found, []), wanted)

    def test_forms(self) -> None:
        """Forms count by their kind, fields by their name, values in their order of bytes."""
        one, two = form("urn:a", os=["Mac"], ip=["ipv6", "ipv4"]), form("urn:b", x=["1"])
        again = form("urn:a", ip=["ipv4", "ipv6"], os=["Mac"])
        self.assertEqual(verification([], [], [one, two]), verification([], [], [two, again]))
        for other in (form("urn:c", os=["Mac"], ip=["ipv4", "ipv6"]), form("urn:a", os=["Mac"], ip=["ipv4"])):
            self.assertNotEqual(verification([], [], [one]), verification([], [], [other]))


class HostTests(SynchronousTestCase):
    """What modules have together."""

    def setUp(self) -> None:
        self.house: Any = House()
        self.disco = self.house.host.disco

    def test_together(self) -> None:
        """Identities and features of all modules, sorted, once each; gone with their module."""
        empty = self.disco.ver()
        one = module(identities=(("server", "im", "Palaver"),), features=("urn:b", "urn:a"))
        two = module(identities=(("server", "im", "Other"), ("pubsub", "pep", "")), features=("urn:b",))
        removes = [self.disco.add(one), self.disco.add(two)]
        identities = self.disco.announced().identities
        self.assertEqual(identities, (("pubsub", "pep", ""), ("server", "im", "Palaver")))
        self.assertEqual(self.disco.features(), ["urn:a", "urn:b"])
        self.assertNotEqual(self.disco.ver(), empty)
        for remove in removes:
            remove()
        self.assertEqual((self.disco.features(), self.disco.ver()), ([], empty))

    def test_hash(self) -> None:
        """The hash is that of what is announced; a module that changes says so."""
        kept = module(features=["urn:a"], disco_forms=lambda: [form("urn:f")])
        self.disco.add(kept)
        before = self.disco.ver()
        self.assertEqual(before, verification([], ["urn:a"], [form("urn:f")]))
        self.assertEqual(self.disco.node.partition("#")[2], before)
        self.assertEqual(parse_element(self.disco.caps())["ver"], before)
        kept.features.append("urn:b")
        self.assertEqual(self.disco.ver(), before)
        self.disco.changed()
        self.assertNotEqual(self.disco.ver(), before)

    def test_account(self) -> None:
        """Accounts have identities and features of their own."""
        self.disco.add(module(features=("urn:a",), account_identities=(("account", "registered", ""),)))
        self.disco.add(module(account_features=("urn:b", "urn:c")))
        node = parse_element(self.disco.account_info())
        self.assertEqual([child.name for child in node.elements()], ["identity", "feature", "feature"])
        self.assertNotIn("urn:a", node.toXml())

    def test_nested(self) -> None:
        """What a service announces of a namespace takes the place of what modules do, in the hash too."""
        self.disco.add(
            module(
                identities=(("pubsub", "service", "Ours"), ("server", "im", "")),
                features=("urn:a", "urn:a#x", "urn:ab"),
                account_features=("urn:a",),
                disco_forms=lambda: [form("urn:a#meta"), form("urn:ab")],
            )
        )
        before = self.disco.ver()
        theirs = Announced((("pubsub", "leaf", ""),), ("urn:a#y", "urn:ab"), (form("urn:c"),))
        remove = self.disco.nest(HOST, "urn:a", theirs)
        announced = self.disco.announced()
        self.assertEqual(announced.identities, (("pubsub", "leaf", ""), ("server", "im", "")))
        self.assertEqual(announced.features, ("urn:a#y", "urn:ab"))
        self.assertEqual(announced.forms, (form("urn:ab"), form("urn:c")))
        self.assertNotEqual(self.disco.ver(), before)
        self.assertIn(b"'urn:a'", self.disco.account_info())
        remove()
        self.assertEqual(self.disco.ver(), before)

    def test_items(self) -> None:
        """The services below this host are its items, those that hide only when asked for."""
        names = {"rooms.example.org": False, "secret.example.org": True, "badexample.org": False}
        for domain, hidden in names.items():
            self.house.router.add(SimpleNamespace(domain=domain, name=domain[:5], hidden=hidden))
        self.assertEqual(self.disco.items(), [("rooms.example.org", "rooms")])
        both = [("rooms.example.org", "rooms"), ("secret.example.org", "secre")]
        self.assertEqual(self.disco.items(hidden=True), both)

    def test_answer(self) -> None:
        """The answer is well-formed whatever is announced, and names the node that was asked for."""
        node = parse_element(info([("a", "b", "<'&\">")], ["urn:x&y"], [form("urn:f")], "node<1>"))
        self.assertEqual((node.uri, node["node"]), (NS_INFO, "node<1>"))
        identity, feature, found = node.elements()
        self.assertEqual((identity["name"], feature["var"], found.name), ("<'&\">", "urn:x&y", "x"))
        self.assertFalse(parse_element(info([("a", "b", "")], [])).firstChildElement().hasAttribute("name"))
