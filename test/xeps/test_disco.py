"""XEP-0030, XEP-0115, XEP-0128 and XEP-0157."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.routing.disco import verification
from palaver.routing.roster import RosterItem
from palaver.test.house import Client, House
from palaver.tree import parse_element
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.ping import Ping

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"


def ask(client: Client, ns: str, to: str = "", node: str | None = None, kind: str = "get") -> domish.Element:
    """Ask as a client; gives the whole answer."""
    address = f" to='{to}'" if to else ""
    inside = f" node='{node}'" if node is not None else ""
    return client.ask(f"<iq type='{kind}' id='1'{address}><query xmlns='{ns}'{inside}/></iq>")


def condition(answer: domish.Element) -> str:
    """Give an error's condition."""
    name: str = answer.error.firstChildElement().name
    return name


def variables(answer: domish.Element) -> list[str]:
    """Give the features in a disco#info result."""
    return [node["var"] for node in answer.query.elements() if node.name == "feature"]


class ServerTests(SynchronousTestCase):
    """A client asks what the server is."""

    def house(self, **options: Any) -> House:
        """Give a house with discovery and pings."""
        return House(ServiceDiscovery, Ping, ServiceDiscovery=options)

    def test_info(self) -> None:
        """Identity and features are told, each feature once."""
        answer = ask(self.house(name="Verona").login("romeo"), INFO, "example.org")
        identity = answer.query.identity
        self.assertEqual(
            (identity["category"], identity["type"], identity["name"]), ("server", "im", "Verona")
        )
        found = variables(answer)
        self.assertEqual(len(found), len(set(found)))
        self.assertLessEqual({INFO, ITEMS, "urn:xmpp:ping", "jid\\20escaping"}, set(found))

    def test_features_follow_modules(self) -> None:
        """A module that is unloaded takes its features along."""
        house = self.house()
        before = house.host.disco.ver()
        house.modules["Ping"].detach()
        self.assertNotIn("urn:xmpp:ping", variables(ask(house.login("romeo"), INFO, "example.org")))
        self.assertNotEqual(house.host.disco.ver(), before)

    def test_capabilities(self) -> None:
        """The announced hash is that of the answer to its node, forms included (XEP-0115 section 5.1)."""
        house = self.house(contact_info={"abuse": ["mailto:abuse@example.org"]})
        romeo = house.login("romeo")
        feature = parse_element(house.modules["ServiceDiscovery"].stream_feature(romeo) or b"")
        node = f"{feature['node']}#{feature['ver']}"
        query = ask(romeo, INFO, "example.org", node).query
        self.assertEqual(query["node"], node)
        told = list(query.elements())
        identities = [(i["category"], i["type"], i["name"]) for i in told if i.name == "identity"]
        forms = [form.toXml().encode() for form in told if form.name == "x"]
        features = [feature["var"] for feature in told if feature.name == "feature"]
        self.assertEqual(verification(identities, features, forms), feature["ver"])

    def test_capabilities_after_login(self) -> None:
        """The hash is announced only to those who have logged in."""
        house = self.house()
        stranger = SimpleNamespace(authenticated_as=None)
        self.assertIsNone(house.modules["ServiceDiscovery"].stream_feature(stranger))

    def test_unknown_node(self) -> None:
        """A node that is not there is not found."""
        romeo = self.house().login("romeo")
        for ns in (INFO, ITEMS):
            self.assertEqual(condition(ask(romeo, ns, "example.org", "nowhere")), "item-not-found")

    def test_set(self) -> None:
        """What is there cannot be set."""
        romeo = self.house().login("romeo")
        for ns in (INFO, ITEMS):
            for to in ("", "example.org", "juliet@example.org"):
                self.assertEqual(condition(ask(romeo, ns, to, kind="set")), "not-allowed")

    def test_contacts(self) -> None:
        """Contact addresses are in a form of their own; fields without any are left out."""
        house = self.house(
            contact_info={"abuse": ["mailto:abuse@example.org", "xmpp:abuse@example.org"], "sales": []},
            server_info=[{"name": "admin-addresses", "urls": ["mailto:root@example.org"]}],
        )
        form = ask(house.login("romeo"), INFO, "example.org").query.x
        fields = {field["var"]: [str(value) for value in field.elements()] for field in form.elements()}
        self.assertEqual(
            fields,
            {
                "FORM_TYPE": ["http://jabber.org/network/serverinfo"],
                "admin-addresses": ["mailto:root@example.org"],
                "abuse-addresses": ["mailto:abuse@example.org", "xmpp:abuse@example.org"],
            },
        )

    def test_no_contacts(self) -> None:
        """Without contacts there is no form."""
        self.assertIsNone(ask(self.house().login("romeo"), INFO, "example.org").query.x)

    def service(self, house: House, domain: str, hidden: bool) -> None:
        """Add a service."""
        house.router.services[domain] = SimpleNamespace(domain=domain, name="A service", hidden=hidden)

    def items(self, house: House) -> list[str]:
        """Give the domains that a client is told of."""
        answer = ask(house.login("romeo"), ITEMS, "example.org")
        return [item["jid"] for item in answer.query.elements()]

    def test_items(self) -> None:
        """Services below the host are listed, and domains of the administrator's choice; others are not."""
        house = self.house(extra_domains=["search.example.net", "muc.example.org"])
        self.service(house, "muc.example.org", False)
        self.service(house, "muc.example.com", False)
        self.assertEqual(self.items(house), ["muc.example.org", "search.example.net"])

    def test_hidden(self) -> None:
        """Hidden services are shown to people, or not, as the administrator likes."""
        for visible, expected in ((True, ["secret.example.org"]), (False, [])):
            house = self.house(users_can_see_hidden_services=visible)
            self.service(house, "secret.example.org", True)
            self.assertEqual(self.items(house), expected)

    def test_options(self) -> None:
        """Contacts of unknown kinds, and domains that are none, are refused."""
        wrong: list[Any] = [
            {"contact_info": {"gossip": []}},
            {"contact_info": {"abuse": ["abuse@example.org"]}},
            {"contact_info": {"status": ["mailto: somebody"]}},
            {"extra_domains": ["not a domain"]},
            {"nam": "x"},
        ]
        for options in wrong:
            with self.assertRaises(ValidationError):
                ServiceDiscovery.Settings.model_validate(options)

    def test_unloaded(self) -> None:
        """Without the module nobody answers."""
        house = self.house()
        house.modules["ServiceDiscovery"].detach()
        self.assertEqual(condition(ask(house.login("romeo"), INFO, "example.org")), "service-unavailable")


class AccountTests(SynchronousTestCase):
    """A client asks what an account is."""

    def setUp(self) -> None:
        """Log in Romeo, who sees Juliet's presence, and Mercutio, who does not."""
        self.house = House(ServiceDiscovery)
        self.romeo = self.house.login("romeo", presence="<presence/>")
        self.mercutio = self.house.login("mercutio")
        self.juliet = self.house.login("juliet", "balcony", "<presence/>")
        self.juliet.session.user.roster.apply([RosterItem("romeo@example.org", subscription="both")], [], 1)

    def test_own(self) -> None:
        """One's own account answers, from its own address even when it was not named."""
        answer = ask(self.romeo, INFO)
        self.assertEqual(answer["from"], "romeo@example.org")
        self.assertEqual(
            (answer.query.identity["category"], answer.query.identity["type"]), ("account", "registered")
        )
        self.assertIn(INFO, variables(answer))

    def test_contact(self) -> None:
        """A contact's account answers, with its resources as items."""
        self.assertEqual(ask(self.romeo, INFO, "juliet@example.org")["type"], "result")
        items = ask(self.romeo, ITEMS, "juliet@example.org").query.elements()
        self.assertEqual([item["jid"] for item in items], ["juliet@example.org/balcony"])

    def test_stranger(self) -> None:
        """A stranger cannot tell whether there is such an account."""
        for name in ("juliet", "nobody"):
            for ns in (INFO, ITEMS):
                answer = ask(self.mercutio, ns, f"{name}@example.org", "any")
                self.assertEqual(condition(answer), "service-unavailable")

    def test_unknown_node(self) -> None:
        """A node that is not there is not found."""
        for ns in (INFO, ITEMS):
            self.assertEqual(condition(ask(self.romeo, ns, "juliet@example.org", "x")), "item-not-found")

    def test_client(self) -> None:
        """A question for a client is the client's to answer."""
        self.juliet.take()
        self.romeo.send(f"<iq type='get' id='1' to='juliet@example.org/balcony'><query xmlns='{INFO}'/></iq>")
        (got,) = self.juliet.take()
        self.assertEqual(got.query.uri, INFO)
