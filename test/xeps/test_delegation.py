"""mod_delegation: services that answer for the host and its accounts (XEP-0355)."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.entities.delegations import NS_DELEGATION, REST_OF_INFO, REST_OF_ITEMS
from palaver.entities.permissions import NS_PRIVILEGE
from palaver.errors import StanzaError
from palaver.interfaces import IComponents
from palaver.modules import BARE, HOST, SELF, Module, iq
from palaver.routing.disco import NS_INFO, NS_ITEMS
from palaver.stanza import Stanza
from palaver.test.components.talker import GATEWAY, SECRET, Gates
from palaver.test.house import House
from palaver.test.streams.talker import condition as stream_condition
from palaver.tree import parse_element
from palaver.xeps import delegation
from palaver.xeps.delegation import Delegation
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.privilege import Privilege
from palaver.xeps.roster import Roster

NS = "urn:example:notes"
ASK = f"<iq id='1' type='get'{{}}><notes xmlns='{NS}'/></iq>"
NS_RESULT = "<notes xmlns='urn:example:notes'><note>buy bread</note></notes>"


class Notes(Module):
    """A module that answers for the same namespace as the service."""

    features = (NS, f"{NS}#search", "urn:example:notes-of-others")
    account_features = (NS,)
    account_identities = (("notes", "own", ""), ("account", "registered", ""))

    @iq("get", NS, "notes", to=(HOST, SELF, BARE))
    @iq("set", NS, "notes", to=(HOST, SELF, BARE))
    def notes(self, request: Stanza) -> bytes:
        """Answer that it was here."""
        return b"<here xmlns='urn:example:here'/>"


class Case(SynchronousTestCase):
    """A host with romeo on it, and a gateway that answers for a namespace."""

    def serve(self, *delegations: Any, connect: bool = True, **options: Any) -> None:
        """Start the host; the gateway has these delegations."""
        self.house = House(ServiceDiscovery, Roster, Notes)
        self.gates = Gates(house=self.house)
        self.house.host.registry.registerUtility(self.gates.components, IComponents)
        self.entities = {GATEWAY: {"delegations": list(delegations or [NS])}}
        self.house.add(Delegation, managing_entities=self.entities, **options)
        self.gateway = self.gates.open()
        self.told = self.gateway.connect() if connect else ""
        self.romeo = self.house.login("romeo", "orchard")
        self.juliet = self.house.login("juliet", "balcony")

    def ask(self, text: str, client: Any = None) -> tuple[domish.Element, domish.Element]:
        """Have romeo ask; gives what the gateway was sent, and the request inside."""
        (client or self.romeo).send(text)
        outer = parse_element(self.gateway.take().encode())
        inner = next(outer.firstChildElement().firstChildElement().elements())
        return outer, inner

    def answer(self, outer: domish.Element, inner: str, kind: str = "result") -> str:
        """Have the gateway answer with this inside."""
        wrapped = (
            f"<delegation xmlns='{NS_DELEGATION}'><forwarded xmlns='urn:xmpp:forward:0'>{inner}"
            "</forwarded></delegation>"
        )
        return self.gateway.send(
            f"<iq type='{kind}' id='{outer['id']}' from='{GATEWAY}' to='example.org'>{wrapped}</iq>"
        )

    def result(self, inner: domish.Element, payload: str = NS_RESULT, **attrs: str) -> str:
        """Give the result of a request that was forwarded."""
        said = {"type": "result", "id": inner["id"], "to": inner["from"]} | attrs
        text = "".join(f" {name.rstrip('_')}='{value}'" for name, value in said.items() if value)
        return f"<iq xmlns='jabber:client'{text}>{payload}</iq>"

    def refusal(self, client: Any = None) -> str:
        """Give the condition of the one error that romeo got."""
        (node,) = (client or self.romeo).take()
        self.assertEqual(node["type"], "error", node.toXml())
        return str(node.error.firstChildElement().name)


class AdvertisementTests(Case):
    """What a service is told when it connects."""

    def test_told(self) -> None:
        """Every namespace is named, with the attributes that it goes by."""
        self.serve(NS, {"namespace": "urn:xmpp:mam:2", "attributes": ["node"]}, REST_OF_INFO)
        message = re.search("<message .*?</message>", self.told)
        assert message is not None
        self.assertIn("from='example.org'", message[0])
        for part in (
            f"<delegated namespace='{NS}'/>",
            "<delegated namespace='urn:xmpp:mam:2'><attribute name='node'/></delegated>",
            f"<delegated namespace='{REST_OF_INFO}'/>",
        ):
            self.assertIn(part, message[0])

    def test_others(self) -> None:
        """A component that is not named is told nothing."""
        self.serve()
        other = self.gates.open(secret=SECRET)
        self.assertEqual(other.connect("icq.example.org"), "<handshake/>")

    def test_below_hosts(self) -> None:
        """One that stands below every host is told what it answers for on each."""
        self.serve()
        house = self.house
        house.modules["Delegation"].detach()
        house.add(Delegation, managing_entities={"chat.example.org": {"delegations": [NS]}})
        gateway = self.gates.open(secret="all")
        told = gateway.connect("chat", "all", more=" is_subdomain='true'")
        self.assertIn(f"<delegated namespace='{NS}'/>", told)
        self.assertIn("to='chat.example.org'", told)

    def test_reload(self) -> None:
        """What has changed under an open stream is told; what is taken away is answered here again."""
        self.serve()
        self.house.modules["Delegation"].detach()
        self.assertEqual(self.romeo.ask(ASK.format("")).firstChildElement().name, "here")
        self.house.add(Delegation, managing_entities={GATEWAY: {"delegations": ["urn:example:other"]}})
        self.assertIn("<delegated namespace='urn:example:other'/>", self.gateway.take())

    def test_supported(self) -> None:
        """The host says that it can."""
        self.serve()
        self.assertIn(NS_DELEGATION, self.house.host.disco.features())


class ForwardTests(Case):
    """Requests on their way to a service and back."""

    def test_to_nobody(self) -> None:
        """A request without an address is forwarded as it came, and its answer comes back as if from here."""
        self.serve()
        outer, inner = self.ask(ASK.format(" xml:lang='it'"))
        self.assertEqual((outer["type"], outer["from"], outer["to"]), ("set", "example.org", GATEWAY))
        self.assertEqual(
            (inner.uri, inner["from"], inner["id"]), ("jabber:client", "romeo@example.org/orchard", "1")
        )
        self.assertEqual((inner.firstChildElement().uri, inner.hasAttribute("to")), (NS, False))
        self.assertEqual(self.answer(outer, self.result(inner)), "")
        (node,) = self.romeo.take()
        self.assertEqual((node["type"], node["id"], node.hasAttribute("from")), ("result", "1", False))
        self.assertEqual(str(node.notes.note), "buy bread")

    def test_addressed(self) -> None:
        """So are those to the host and to any account, whoever asks; the answer is from there."""
        self.serve()
        for to in ("example.org", "romeo@example.org", "juliet@example.org", "nobody@example.org"):
            outer, inner = self.ask(ASK.format(f" to='{to}'"))
            self.assertEqual(inner["to"], to)
            # The service may leave out whom it is from.
            self.answer(outer, self.result(inner, from_=to if to != "example.org" else ""))
            (node,) = self.romeo.take()
            self.assertEqual((node["type"], node["from"]), ("result", to))

    def test_account_speaks(self) -> None:
        """The answer to a request without an address may be in the account's name, or in the host's."""
        self.serve()
        for name in ("romeo@example.org", "example.org"):
            outer, inner = self.ask(ASK.format(""))
            self.answer(outer, self.result(inner, from_=name))
            self.assertEqual(self.romeo.take()[0]["from"], name)

    def test_empty_result(self) -> None:
        """A result with nothing inside is one."""
        self.serve()
        outer, inner = self.ask(ASK.format("").replace("'get'", "'set'"))
        self.answer(outer, self.result(inner, ""))
        (node,) = self.romeo.take()
        self.assertEqual((node["type"], node.children), ("result", []))

    def test_from_elsewhere(self) -> None:
        """Requests of other services are forwarded too."""
        self.serve()
        self.gates.configure({GATEWAY: {"secret": SECRET}, "icq.example.org": {"secret": SECRET}})
        other = self.gates.open()
        other.connect("icq.example.org")
        other.send(ASK.format(" from='icq.example.org' to='example.org'"))
        outer = parse_element(self.gateway.take().encode())
        inner = next(outer.firstChildElement().firstChildElement().elements())
        self.answer(outer, self.result(inner))
        self.assertIn("buy bread", other.take())

    def test_not_for_others(self) -> None:
        """What is for a session, or for another address of the host, is not the service's business."""
        self.serve()
        self.romeo.send(ASK.format(" to='juliet@example.org/balcony'"))
        self.assertEqual(self.gateway.take(), "")
        self.assertEqual(self.juliet.take()[0].firstChildElement().uri, NS)
        self.romeo.send(ASK.format(" to='example.org/x'"))
        self.assertEqual(self.gateway.take(), "")
        self.assertEqual(self.romeo.take()[0].firstChildElement().name, "here")

    def test_other_namespaces(self) -> None:
        """Requests of another namespace are answered here, and messages are never forwarded."""
        self.serve()
        self.romeo.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        self.romeo.send(f"<message to='juliet@example.org/balcony'><notes xmlns='{NS}'/></message>")
        self.assertEqual(self.gateway.take(), "")
        self.assertEqual(self.romeo.take()[0]["type"], "result")

    def test_own_requests(self) -> None:
        """What the service asks itself is answered here, or it would never end."""
        self.serve()
        answer = self.gateway.send(ASK.format(f" from='bot@{GATEWAY}' to='romeo@example.org'"))
        self.assertIn("<here ", answer)

    def test_own_requests_in_other_names(self) -> None:
        """What a privileged service asks in an account's name is answered here as well."""
        self.serve()
        self.house.add(Privilege, privileged_entities={GATEWAY: {"iq": {NS: "get"}}})
        self.gateway.take()
        inner = ASK.format("").replace("<iq ", "<iq xmlns='jabber:client' ")
        answer = self.gateway.send(
            f"<iq id='p' type='get' from='{GATEWAY}' to='romeo@example.org'>"
            f"<privileged_iq xmlns='{NS_PRIVILEGE}'>{inner}</privileged_iq></iq>"
        )
        self.assertIn("<here ", answer)
        # Afterwards nobody speaks for romeo but he.
        _, forwarded = self.ask(ASK.format(""))
        self.assertEqual(forwarded["from"], "romeo@example.org/orchard")

    def test_filter(self) -> None:
        """A service that watches over rosters takes requests, and makes changes itself (section 4.3.1)."""
        self.serve("jabber:iq:roster")
        self.house.add(Privilege, privileged_entities={GATEWAY: {"roster": "both", "push": False}})
        self.gateway.take()
        item = "<query xmlns='jabber:iq:roster'><item jid='tybalt@capulet.example'>{}</item></query>"
        outer, inner = self.ask(f"<iq type='set' id='1'>{item.format('')}</iq>")
        self.answer(outer, self.result(inner, ""))
        self.assertEqual(self.romeo.take()[0]["type"], "result")
        self.romeo.session.roster_interested = True
        changed = item.format("<group>Rivals</group>")
        answer = self.gateway.send(
            f"<iq type='set' id='2' from='{GATEWAY}' to='romeo@example.org'>{changed}</iq>"
        )
        self.assertIn("type='result'", answer)
        self.assertEqual(str(self.romeo.take()[0].query.item.group), "Rivals")

    def test_order(self) -> None:
        """While the service thinks, the same session's next stanzas are taken."""
        self.serve()
        outer, inner = self.ask(ASK.format(""))
        self.romeo.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        self.assertEqual(self.romeo.take()[0]["id"], "r")
        self.answer(outer, self.result(inner))
        self.assertEqual(self.romeo.take()[0]["id"], "1")


class FilterTests(Case):
    """Delegations that go by attributes."""

    def test_attributes(self) -> None:
        """Only requests with all of them are forwarded; the others are answered here."""
        self.serve({"namespace": NS, "attributes": ["node", "part"]})
        for attrs in ("", " node='a'", " part='b'"):
            answer = self.romeo.ask(f"<iq id='1' type='get'><notes xmlns='{NS}'{attrs}/></iq>")
            self.assertEqual(answer.firstChildElement().name, "here", attrs)
        self.assertEqual(self.gateway.take(), "")
        _, inner = self.ask(f"<iq id='1' type='get'><notes xmlns='{NS}' node='' part='b'/></iq>")
        self.assertEqual(inner.notes["part"], "b")


class RefusalTests(Case):
    """Services that are away, or answer wrongly."""

    def setUp(self) -> None:
        self.serve()

    def test_away(self) -> None:
        """While the service is away requests are refused, even where a module could answer."""
        self.gateway.stream.connection_lost()
        self.romeo.send(ASK.format(""))
        self.assertEqual(self.refusal(), "service-unavailable")
        self.gateway = self.gates.open()
        self.assertIn(f"<delegated namespace='{NS}'/>", self.gateway.connect())
        outer, inner = self.ask(ASK.format(""))
        self.answer(outer, self.result(inner))
        self.assertEqual(self.romeo.take()[0]["type"], "result")

    def test_away_for_good(self) -> None:
        """One whose domain is not even served is not looked for among other servers."""
        self.gates.configure({})
        sent: list[Stanza] = []
        self.patch(
            self.gates.router, "remote", type("Remote", (), {"deliver": lambda _, s, to: sent.append(s)})()
        )
        self.romeo.send(ASK.format(""))
        self.assertEqual((self.refusal(), sent), ("service-unavailable", []))

    def test_silent(self) -> None:
        """One that does not answer in time has not answered; what it says later is nobody's."""
        outer, inner = self.ask(ASK.format(""))
        self.house.clock.advance(59)
        self.assertEqual(self.romeo.take(), [])
        self.house.clock.advance(2)
        self.assertEqual(self.refusal(), "service-unavailable")
        self.answer(outer, self.result(inner))
        self.assertEqual(self.romeo.take(), [])

    def test_gone_meanwhile(self) -> None:
        """Nobody waits for a service that has gone, nor when its place is taken by a new stream."""
        self.ask(ASK.format(""))
        self.gateway.stream.connection_lost()
        self.assertEqual(self.refusal(), "service-unavailable")
        self.gateway = self.gates.open()
        self.gateway.connect()
        self.ask(ASK.format(""))
        self.gates.open(conflict_behaviour="kick_old").connect()
        self.assertEqual(self.refusal(), "service-unavailable")

    def test_error(self) -> None:
        """An error of the service's is the same to whoever asked, whatever it says."""
        outer, _ = self.ask(ASK.format(""))
        self.gateway.send(
            f"<iq type='error' id='{outer['id']}' from='{GATEWAY}' to='example.org'><error type='auth'>"
            "<forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        )
        self.assertEqual(self.refusal(), "service-unavailable")

    def test_wrong_answers(self) -> None:
        """An answer to another request, from or to somebody else, or of another kind does not count."""
        for wrong in (
            {"id": "2"},
            {"id": ""},
            {"to": "romeo@example.org"},
            {"to": "juliet@example.org/balcony"},
            {"to": ""},
            {"to": "a@b@c"},
            {"from_": "juliet@example.org"},
            {"from_": "evil.example"},
            {"from_": "a@b@c"},
            {"type": "error"},
            {"type": "set"},
        ):
            outer, inner = self.ask(ASK.format(""))
            self.answer(outer, self.result(inner, **wrong))
            self.assertEqual(self.refusal(), "service-unavailable", wrong)
        # Another addressee's name is wrong even when it is the asker's own.
        outer, inner = self.ask(ASK.format(" to='juliet@example.org'"))
        self.answer(outer, self.result(inner, from_="romeo@example.org"))
        self.assertEqual(self.refusal(), "service-unavailable")

    def test_wrong_wrapping(self) -> None:
        """Nor does one that is not wrapped as it has to be."""
        good = "<iq xmlns='jabber:client' type='result' id='1' to='romeo@example.org/orchard'/>"
        for inner in ("", good * 2, good.replace("jabber:client", "urn:x"), good.replace("iq", "message")):
            outer, _ = self.ask(ASK.format(""))
            self.answer(outer, inner)
            self.assertEqual(self.refusal(), "service-unavailable", inner)
        outer, _ = self.ask(ASK.format(""))
        self.gateway.send(
            f"<iq type='result' id='{outer['id']}' from='{GATEWAY}' to='example.org'>{good}</iq>"
        )
        self.assertEqual(self.refusal(), "service-unavailable")

    def test_foreign_answer(self) -> None:
        """Nobody but the service answers, be it with the right id."""
        outer, inner = self.ask(ASK.format(""))
        forged = (
            f"<iq type='result' id='{outer['id']}' to='example.org'><delegation xmlns='{NS_DELEGATION}'>"
            f"<forwarded xmlns='urn:xmpp:forward:0'>{self.result(inner)}</forwarded></delegation></iq>"
        )
        self.juliet.send(forged)
        self.gateway.send(forged.replace("<iq ", f"<iq from='other@{GATEWAY}' ", 1))
        self.assertEqual(self.romeo.take(), [])
        self.answer(outer, self.result(inner))
        self.assertEqual(self.romeo.take()[0]["type"], "result")
        spoofed = forged.replace("<iq ", "<iq from='example.org' ", 1)
        self.assertEqual(stream_condition(self.gateway.send(spoofed)), "invalid-from")

    def test_reload_meanwhile(self) -> None:
        """A request under way when the delegation is taken back is answered; later ones stay here."""
        outer, inner = self.ask(ASK.format(""))
        module: Any = self.house.host.modules.pop("mod_delegation")
        module.detach()
        self.answer(outer, self.result(inner))
        self.assertIn("buy bread", self.romeo.take()[0].toXml())
        self.romeo.send(ASK.format(""))
        self.assertIn("urn:example:here", self.romeo.take()[0].toXml())
        self.assertEqual(self.gateway.take(), "")

    def test_too_many(self) -> None:
        """What waits for services is bounded; when they have answered, there is room again."""
        self.house.clock.advance(61)
        self.patch(delegation, "MAX_PENDING", 1)
        outer, inner = self.ask(ASK.format(""))
        self.juliet.send(ASK.format(""))
        self.assertEqual(self.refusal(self.juliet), "resource-constraint")
        self.answer(outer, self.result(inner))
        self.ask(ASK.format(""), self.juliet)

    def test_too_many_of_one(self) -> None:
        """Who asks a silent service all the time has himself refused, and nobody else."""
        self.patch(delegation, "MAX_PENDING_EACH", 3)
        asked = [self.ask(ASK.format("")) for _ in range(3)]
        other = self.house.login("romeo", "exile")
        other.send(ASK.format(""))
        self.assertEqual(self.refusal(other), "resource-constraint")
        outer, inner = self.ask(ASK.format(""), self.juliet)
        self.answer(outer, self.result(inner))
        self.assertEqual(self.juliet.take()[0]["type"], "result")
        outer, inner = asked[0]
        self.answer(outer, self.result(inner))
        self.ask(ASK.format(""), other)
        self.house.clock.advance(61)
        module: Any = self.house.host.modules["mod_delegation"]
        self.assertEqual((module._pending, module._pending_bytes), ({}, 0))

    def test_too_many_bytes(self) -> None:
        """Nor may what waits be more than so many bytes, however few requests that are."""
        self.patch(delegation, "MAX_PENDING_BYTES", 2000)
        self.ask(ASK.format("").replace("/>", f"><x>{'y' * 1500}</x></notes>"))
        self.juliet.send(ASK.format("").replace("/>", f"><x>{'y' * 1500}</x></notes>"))
        self.assertEqual(self.refusal(self.juliet), "resource-constraint")
        self.ask(ASK.format(""), self.juliet)

    def test_asked_for(self) -> None:
        """Services do not get delegations by asking: the administrator grants them."""
        query = f"<query xmlns='{NS_DELEGATION}' to='romeo@example.org'><delegate namespace='urn:x'/></query>"
        answer = self.gateway.send(f"<iq id='1' type='get' from='{GATEWAY}' to='example.org'>{query}</iq>")
        self.assertIn("<forbidden ", answer)


class TimeoutTests(Case):
    """The option ``timeout``."""

    def test_timeout(self) -> None:
        """How long a service may take is an option."""
        self.serve(timeout=5)
        self.ask(ASK.format(""))
        self.house.clock.advance(5)
        self.assertEqual(self.refusal(), "service-unavailable")


class AnnouncedTests(Case):
    """What services have announced (section 7.2)."""

    def announce(self, payload: str, separator: str = "::", ns: str = NS) -> None:
        """Have the gateway answer what it was asked when it connected."""
        node = f"{NS_DELEGATION}{separator}{ns}"
        asked = re.search(
            rf"<iq [^>]*?id='([^']*)'[^>]*><query xmlns='{NS_INFO}' node='{node}'/></iq>", self.told
        )
        assert asked is not None, self.told
        self.gateway.send(
            f"<iq type='result' id='{asked[1]}' from='{GATEWAY}' to='example.org'>"
            f"<query xmlns='{NS_INFO}' node='{node}'>{payload}</query></iq>"
        )

    def info(self, to: str) -> tuple[set[str], set[str], str]:
        """Give categories, features, and the whole text of an answer."""
        answer = self.romeo.ask(f"<iq type='get' id='i' to='{to}'><query xmlns='{NS_INFO}'/></iq>")
        nodes = list(answer.query.elements())
        return (
            {f"{node['category']}/{node['type']}" for node in nodes if node.name == "identity"},
            {node["var"] for node in nodes if node.name == "feature"},
            answer.toXml(),
        )

    def test_of_the_host(self) -> None:
        """The host announces what the service says, and of the namespace nothing of its own."""
        self.serve()
        before = self.house.host.disco.ver()
        _, features, _ = self.info("example.org")
        self.assertTrue(features.isdisjoint({NS, f"{NS}#search"}))
        form = (
            "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'>"
            f"<value>{NS}#form</value></field></x>"
        )
        self.announce(
            f"<feature var='{NS}'/><feature var='{NS}#tags'/><identity category='a' type='b'/>{form}"
        )
        identities, features, text = self.info("example.org")
        self.assertLessEqual({NS, f"{NS}#tags", "urn:example:notes-of-others", NS_DELEGATION}, features)
        self.assertNotIn(f"{NS}#search", features)
        self.assertEqual(identities, {"a/b", "server/im"})
        self.assertIn(f"{NS}#form", text)
        self.assertNotEqual(self.house.host.disco.ver(), before)
        self.assertNotIn(NS, self.info("romeo@example.org")[1])

    def test_of_accounts(self) -> None:
        """So do accounts, with what it says of them; identities of a category make room for its own."""
        self.serve()
        self.announce(f"<identity category='notes' type='shared'/><feature var='{NS}#tags'/>", ":bare:")
        identities, features, _ = self.info("romeo@example.org")
        self.assertEqual(identities, {"account/registered", "notes/shared"})
        self.assertIn(f"{NS}#tags", features)
        self.assertNotIn(NS, features)
        self.assertNotIn(f"{NS}#tags", self.info("example.org")[1])

    def test_filtered(self) -> None:
        """The same holds for a namespace that is delegated in part."""
        self.serve({"namespace": NS, "attributes": ["node"]})
        self.announce(f"<feature var='{NS}#tags'/>")
        features = self.info("example.org")[1]
        self.assertIn(f"{NS}#tags", features)
        self.assertNotIn(f"{NS}#search", features)

    def test_kept(self) -> None:
        """What it has said stands while it is away, and is asked again when it is back."""
        self.serve()
        self.announce(f"<feature var='{NS}#tags'/>")
        self.gateway.stream.connection_lost()
        self.assertIn(f"{NS}#tags", self.info("example.org")[1])
        self.gateway = self.gates.open()
        self.told = self.gateway.connect()
        self.announce(f"<feature var='{NS}#more'/><feature/><identity type='x'/>")
        features = self.info("example.org")[1]
        self.assertEqual({name for name in features if name.startswith(f"{NS}#")}, {f"{NS}#more"})

    def test_silent(self) -> None:
        """A service that does not say announces nothing."""
        self.serve()
        self.house.clock.advance(61)
        self.assertNotIn(NS, self.info("example.org")[1])

    def test_detached(self) -> None:
        """Without the delegation modules announce their own again; late answers change nothing."""
        self.serve()
        self.house.modules["Delegation"].detach()
        self.announce(f"<feature var='{NS}#tags'/>")
        features = self.info("example.org")[1]
        self.assertLessEqual({NS, f"{NS}#search"}, features)
        self.assertNotIn(f"{NS}#tags", features)


class PublishedNodes:
    """What accounts publish, when a module does that: one node."""

    async def node_info(self, request: Stanza, node: str) -> bytes:
        """See Disco.add_account_nodes."""
        if node != "mine":
            raise StanzaError("forbidden" if node == "closed" else "item-not-found")
        return f"<query xmlns='{NS_INFO}' node='mine'/>".encode()

    node_items = node_info


class RestTests(Case):
    """Queries about accounts that nobody here can answer."""

    def query(self, ns: str, node: str = "", to: str = "romeo@example.org") -> str:
        """Give a request."""
        said = f" node='{node}'" if node else ""
        return f"<iq id='1' type='get' to='{to}'><query xmlns='{ns}'{said}/></iq>"

    def test_info(self) -> None:
        """Those about unknown nodes are forwarded, those about the account itself or known nodes are not."""
        self.serve(REST_OF_INFO)
        self.assertNotIn("disco#info' node", self.told)
        self.house.host.disco.add_node(
            SELF, NS_INFO, "known", lambda iq: f"<query xmlns='{NS_INFO}'/>".encode()
        )
        for node in ("", "known"):
            self.romeo.send(self.query(NS_INFO, node))
            self.assertEqual((self.gateway.take(), self.romeo.take()[0]["type"]), ("", "result"))
        outer, inner = self.ask(self.query(NS_INFO, "urn:xmpp:microblog:0"))
        self.assertEqual(inner.query["node"], "urn:xmpp:microblog:0")
        self.answer(outer, self.result(inner, f"<query xmlns='{NS_INFO}' node='urn:xmpp:microblog:0'/>"))
        (answer,) = self.romeo.take()
        self.assertEqual(
            (answer["from"], answer.query["node"]), ("romeo@example.org", "urn:xmpp:microblog:0")
        )
        # Items, and nodes of the host, are another matter.
        self.romeo.send(self.query(NS_ITEMS, "x"))
        self.romeo.send(self.query(NS_INFO, "x", "example.org"))
        self.romeo.send(self.query(NS_INFO, "x").replace("'get'", "'set'"))
        self.assertEqual(self.gateway.take(), "")

    def test_items(self) -> None:
        """With items delegated, those of accounts are the service's alone."""
        self.serve(REST_OF_ITEMS)
        for node in ("", "urn:xmpp:microblog:0"):
            outer, inner = self.ask(self.query(NS_ITEMS, node))
            item = f"<query xmlns='{NS_ITEMS}'><item jid='romeo@example.org' node='x'/></query>"
            self.answer(outer, self.result(inner, item))
            self.assertEqual([child["node"] for child in self.romeo.take()[0].query.elements()], ["x"])
        self.romeo.send(self.query(NS_INFO, "x"))
        self.assertEqual(self.gateway.take(), "")

    def test_strangers(self) -> None:
        """Who does not see the account's presence learns nothing, not even whether there is one."""
        self.serve(REST_OF_ITEMS, REST_OF_INFO)
        for to in ("juliet@example.org", "nobody@example.org"):
            for ns, node in ((NS_ITEMS, ""), (NS_ITEMS, "x"), (NS_INFO, "x")):
                self.romeo.send(self.query(ns, node, to))
                self.assertEqual((self.gateway.take(), self.refusal()), ("", "service-unavailable"))

    def test_published(self) -> None:
        """A node that somebody has published here is answered here."""
        self.serve(REST_OF_ITEMS, REST_OF_INFO)
        self.house.host.disco.add_account_nodes(PublishedNodes())
        for ns in (NS_INFO, NS_ITEMS):
            self.romeo.send(self.query(ns, "mine"))
            self.assertEqual((self.gateway.take(), self.romeo.take()[0].query["node"]), ("", "mine"))
            self.romeo.send(self.query(ns, "closed"))
            self.assertEqual((self.gateway.take(), self.refusal()), ("", "forbidden"))
            _, inner = self.ask(self.query(ns, "theirs"))
            self.assertEqual(inner.query["node"], "theirs")

    def test_away(self) -> None:
        """While the service is away, queries that it would get are refused."""
        self.serve(REST_OF_ITEMS, connect=False)
        self.romeo.send(self.query(NS_ITEMS))
        self.assertEqual(self.refusal(), "service-unavailable")


class OptionTests(SynchronousTestCase):
    """Options that are refused."""

    def test_namespaces(self) -> None:
        """The protocol's own namespace is not delegated, nor is nothing; special ones have no attributes."""
        lists: tuple[list[Any], ...] = (
            [NS_DELEGATION],
            [f"{NS_DELEGATION}::urn:x"],
            [""],
            [],
            [{"namespace": REST_OF_INFO, "attributes": ["node"]}],
            [{"attributes": ["node"]}],
            [{"namespace": "urn:x", "attribute": ["node"]}],
            [1],
        )
        for wrong in (
            *({"managing_entities": {GATEWAY: {"delegations": wrong}}} for wrong in lists),
            {"managing_entities": {"a b": {"delegations": ["urn:x"]}}},
            {"timeout": 0},
        ):
            with self.assertRaises(ValidationError, msg=str(wrong)):
                Delegation.Settings.model_validate(wrong)

    def test_twice(self) -> None:
        """A namespace has one service."""
        one = {"delegations": ["urn:x"]}
        for entities in (
            {GATEWAY: one, "icq.example.org": {"delegations": [{"namespace": "urn:x", "attributes": ["a"]}]}},
            {GATEWAY: {"delegations": ["urn:x", "urn:x"]}},
        ):
            with self.assertRaisesRegex(ValueError, "urn:x is delegated to"):
                House().add(Delegation, managing_entities=entities)

    def test_host(self) -> None:
        """A host cannot be the service, and then nothing is left of the module."""
        house = House()
        with self.assertRaisesRegex(ValueError, "example.org is a host"):
            house.add(Delegation, managing_entities={"example.org": {"delegations": ["urn:x"]}})
        self.assertIsNone(house.host.delegates)
