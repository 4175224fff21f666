"""XEP-0054 and XEP-0055: vCards, and finding people by them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish
from zope.interface import implementer

from palaver.auth.accounts import NotSupported
from palaver.errors import StorageError
from palaver.events import VCardChanged
from palaver.interfaces import IVCards
from palaver.mistakes import ConfigError
from palaver.routing.lifecycle import delete_account
from palaver.routing.roster import RosterItem
from palaver.stanza import Stanza
from palaver.test.house import Client, House, now, stanza
from palaver.vcards import stored
from palaver.xeps.vcard import VCard

NS = "vcard-temp"
SEARCH = "jabber:iq:search"
ROMEO = (
    "<FN>Romeo  Montague</FN><N><GIVEN>Romeo</GIVEN><FAMILY>Montague</FAMILY></N>"
    "<ADR><HOME/><LOCALITY>Verona</LOCALITY><CTRY>Italia</CTRY></ADR>"
    "<EMAIL><USERID>romeo@montague.example</USERID></EMAIL><ORG><ORGNAME>Montague</ORGNAME></ORG>"
)


def condition(answer: domish.Element) -> str:
    """Give an error's condition."""
    assert answer["type"] == "error", answer.toXml()
    name: str = answer.error.firstChildElement().name
    return name


class Elsewhere:
    """Stands for other servers: keeps what is sent there."""

    def __init__(self) -> None:
        self.stanzas: list[Stanza] = []

    def deliver(self, given: Stanza, to: object) -> None:
        """See IService."""
        self.stanzas.append(given)


class VCardCase(SynchronousTestCase):
    """A host with vCards."""

    def house_with(self, **options: Any) -> None:
        """Open a house with options; romeo and juliet are there."""
        self.house: Any = House(VCard, VCard=options)
        self.romeo, self.juliet = self.house.login("romeo"), self.house.login("juliet")

    def setUp(self) -> None:
        """Open a house."""
        self.house_with()

    def put(self, client: Client, inner: str, to: str = "") -> domish.Element:
        """Store a vCard."""
        return client.ask(f"<iq type='set' id='1'{to}><vCard xmlns='{NS}'>{inner}</vCard></iq>")

    def get(self, client: Client, to: str = "") -> domish.Element:
        """Ask for a vCard."""
        address = f" to='{to}'" if to else ""
        return client.ask(f"<iq type='get' id='1'{address}><vCard xmlns='{NS}'/></iq>")


class CardTests(VCardCase):
    """People keep a vCard and read others'."""

    def test_keep(self) -> None:
        """What is stored is given back, to its owner and to others, as from the account."""
        self.assertEqual(self.put(self.romeo, ROMEO)["type"], "result")
        for client, to in (
            (self.romeo, ""),
            (self.romeo, "romeo@example.org"),
            (self.juliet, "romeo@example.org"),
        ):
            answer = self.get(client, to)
            self.assertEqual(str(answer.vCard.FN), "Romeo  Montague")
            self.assertEqual(answer["from"], "romeo@example.org")

    def test_replace(self) -> None:
        """A new vCard takes the place of the old one as a whole."""
        self.put(self.romeo, ROMEO)
        self.put(self.romeo, "<NICKNAME>R</NICKNAME>", " to='romeo@example.org'")
        card = self.get(self.romeo).vCard
        self.assertEqual([node.name for node in card.elements()], ["NICKNAME"])

    def test_none(self) -> None:
        """Without a vCard, and without an account, the same is answered."""
        answers = [self.get(self.romeo, to) for to in ("juliet@example.org", "nobody@example.org", "")]
        self.assertEqual([condition(answer) for answer in answers], ["item-not-found"] * 3)
        self.assertEqual(answers[0].error.toXml(), answers[1].error.toXml())

    def test_others(self) -> None:
        """Nobody changes somebody else's vCard, or the server's."""
        self.put(self.romeo, ROMEO)
        for to in ("romeo@example.org", "nobody@example.org", "example.org"):
            self.assertEqual(condition(self.put(self.juliet, "<FN>x</FN>", f" to='{to}'")), "forbidden")
        self.assertEqual(str(self.get(self.romeo).vCard.FN), "Romeo  Montague")

    def test_server(self) -> None:
        """The server has a vCard too."""
        self.assertEqual(str(self.get(self.romeo, "example.org").vCard.FN), "Palaver")

    def test_large(self) -> None:
        """A vCard that is too large is refused before it is read, and the old one stays."""
        self.house_with(max_size=2000)
        self.put(self.romeo, ROMEO)
        self.patch(Stanza, "child", lambda *_: self.fail("it is parsed"))
        self.assertEqual(condition(self.put(self.romeo, f"<DESC>{'x' * 2000}</DESC>")), "policy-violation")
        self.assertEqual(str(self.get(self.romeo).vCard.FN), "Romeo  Montague")

    def test_access(self) -> None:
        """The administrator says who reads vCards; whoever may not learns nothing."""
        for access, expected in (
            ("all", ["result", "result", "result"]),
            ("local", ["result", "result", "error"]),
            ("contacts", ["result", "error", "error"]),
        ):
            self.house_with(access=access)
            self.put(self.romeo, ROMEO)
            roster = self.romeo.session.user.roster
            roster.items["juliet@example.org"] = RosterItem("juliet@example.org", subscription="from")
            elsewhere = self.house.router.remote = Elsewhere()
            nurse = self.house.login("nurse")
            kinds = [self.get(client, "romeo@example.org")["type"] for client in (self.juliet, nurse)]
            head = "<iq type='get' id='1' from='tybalt@elsewhere.example/x' to='romeo@example.org'>"
            self.house.router.route(stanza(f"{head}<vCard xmlns='{NS}'/></iq>"))
            self.assertEqual([*kinds, elsewhere.stanzas[0].type], expected, access)

    def test_told(self) -> None:
        """Other modules hear of a vCard that a client has stored."""
        told: list[VCardChanged] = []
        self.house.host.events.add(VCardChanged, "test", told.append)
        self.put(self.romeo, "<FN>R</FN>")
        (event,) = told
        self.assertEqual(
            (event.owner, event.card), ("romeo", b"<vCard xmlns='vcard-temp'><FN>R</FN></vCard>")
        )

    def test_storage_fails(self) -> None:
        """When nothing can be stored, the client may try again, and nobody is told."""
        self.house.host.events.add(VCardChanged, "test", lambda _: self.fail("told"))
        self.patch(self.house.storage, "write", lambda batch: fail(StorageError("down")))
        answer = self.put(self.romeo, ROMEO)
        self.assertEqual((condition(answer), answer.error["type"]), ("internal-server-error", "wait"))

    def test_deleted(self) -> None:
        """With the account its vCard goes, and nobody finds it any more."""
        self.put(self.romeo, ROMEO)
        now(delete_account(self.house.host, "romeo"))
        self.assertEqual(condition(self.get(self.juliet, "romeo@example.org")), "item-not-found")
        self.assertEqual(now(stored.vcards(self.house.host).search({"fn": "romeo*"}, 5)), [])

    def test_elsewhere(self) -> None:
        """An application that has the data takes the place of the storage; it may refuse changes."""

        @implementer(IVCards)
        class Directory:
            def get(self, local: str) -> Any:
                return succeed(f"<vCard xmlns='{NS}'><FN>{local}</FN></vCard>".encode())

            def put(self, local: str, card: bytes) -> Any:
                return fail(NotSupported("read-only"))

            def search(self, criteria: Any, limit: int) -> Any:
                return succeed([("romeo", {"fn": "Romeo"})])

        house = House(VCard)
        house.host.provide(Directory(), IVCards)
        romeo = house.login("romeo")
        self.assertEqual(str(self.get(romeo).vCard.FN), "romeo")
        self.assertEqual(condition(self.put(romeo, ROMEO)), "not-allowed")

    def test_domain_taken(self) -> None:
        """A search on a domain that is served already stops the start."""
        house = House()
        self.assertRaises(ConfigError, house.add, VCard, host="@HOST@")


class SearchTests(VCardCase):
    """People find others."""

    def ask(self, kind: str, inner: str = "", client: Client | None = None) -> domish.Element:
        """Ask the service."""
        xml = f"<iq type='{kind}' id='1' to='vjud.example.org'><query xmlns='{SEARCH}'>{inner}</query></iq>"
        return (client or self.juliet).ask(xml)

    def search(self, rsm: str = "", **fields: str) -> domish.Element:
        """Send a form."""
        given = "".join(f"<field var='{var}'><value>{text}</value></field>" for var, text in fields.items())
        kind = f"<field var='FORM_TYPE' type='hidden'><value>{SEARCH}</value></field>"
        return self.ask("set", f"<x xmlns='jabber:x:data' type='submit'>{kind}{given}</x>{rsm}")

    def found(self, answer: domish.Element) -> list[str]:
        """Give the addresses in a result."""
        items = answer.query.x.elements("jabber:x:data", "item")
        return [
            str(next(field.elements()))
            for item in items
            for field in item.elements()
            if field["var"] == "jid"
        ]

    def test_form(self) -> None:
        """The service says what can be searched for."""
        query = self.ask("get").query
        self.assertIn("x:data", str(query.instructions))
        fields = [field.getAttribute("var") for field in query.x.elements("jabber:x:data", "field")]
        self.assertLessEqual({"user", "fn", "last", "nick", "email", "orgunit"}, set(fields))

    def test_find(self) -> None:
        """All that is asked for has to match: whole values, or beginnings with a star, in any case."""
        self.put(self.romeo, ROMEO)
        self.put(self.juliet, "<FN>Juliet Capulet</FN><ADR><LOCALITY>Verona</LOCALITY></ADR>")
        for fields, expected in (
            ({"fn": "ROMEO montague"}, ["romeo"]),
            ({"fn": "romeo"}, []),
            ({"fn": "romeo*"}, ["romeo"]),
            ({"fn": "Romeo Mon*", "ctry": "italia"}, ["romeo"]),
            ({"fn": "Romeo Cap*"}, []),
            ({"locality": "verona"}, ["juliet", "romeo"]),
            ({"locality": "v*", "fn": "j*"}, ["juliet"]),
            ({"user": "jul*"}, ["juliet"]),
            ({"email": "romeo@montague.example"}, ["romeo"]),
            ({"fn": ""}, []),
            ({"fn": "*"}, []),
            ({"password": "x"}, []),
            ({}, []),
        ):
            answer = self.search(**fields)
            self.assertEqual(self.found(answer), [f"{name}@example.org" for name in expected], fields)

    def test_result(self) -> None:
        """A result has the columns, and a row for each that is found."""
        self.put(self.romeo, ROMEO)
        form = self.search(last="montague").query.x
        columns = [field["var"] for field in form.reported.elements()]
        (item,) = form.elements("jabber:x:data", "item")
        row = {field["var"]: str(next(field.elements())) for field in item.elements()}
        self.assertEqual(list(row), columns)
        self.assertEqual((row["jid"], row["locality"], row["nick"]), ("romeo@example.org", "Verona", ""))

    def test_changed(self) -> None:
        """Nobody is found by what the vCard no longer says."""
        self.put(self.romeo, ROMEO)
        self.put(self.romeo, "<FN>R</FN>")
        self.assertEqual(self.found(self.search(last="montague")), [])

    def test_private(self) -> None:
        """Whoever says that the vCard is private or confidential is not found; the vCard can be read."""
        for kind in ("PRIVATE", "CONFIDENTIAL"):
            self.put(self.romeo, ROMEO)
            self.put(self.romeo, f"{ROMEO}<CLASS><{kind}/></CLASS>")
            self.assertEqual(self.found(self.search(last="montague")), [])
            self.assertEqual(self.get(self.juliet, "romeo@example.org")["type"], "result")

    def test_opt_in(self) -> None:
        """Where the administrator likes, only those are found who say that the vCard is public."""
        self.house_with(opt_in=True)
        self.put(self.romeo, ROMEO)
        self.assertEqual(self.found(self.search(last="montague")), [])
        self.put(self.romeo, f"{ROMEO}<CLASS><PUBLIC/></CLASS>")
        self.assertEqual(self.found(self.search(last="montague")), ["romeo@example.org"])

    def fill(self, count: int) -> list[str]:
        """Have so many people with the same name; gives their addresses."""
        vcards = stored.vcards(self.house.host)
        names = [f"user{number:03}" for number in range(count)]
        for name in names:
            now(vcards.put(name, f"<vCard xmlns='{NS}'><FN>Smith</FN></vCard>".encode()))
        return [f"{name}@example.org" for name in names]

    def test_limit(self) -> None:
        """No more are found than the administrator allows."""
        self.house_with(matches=3)
        everybody = self.fill(5)
        self.assertEqual(self.found(self.search(fn="smi*")), everybody[:3])

    def test_many(self) -> None:
        """A search goes through more than one page of the storage, and gives up after very many."""
        self.house_with(matches="infinity")
        self.patch(stored, "PAGE", 4)
        everybody = self.fill(10)
        self.assertEqual(self.found(self.search(fn="smith")), everybody)
        self.patch(stored, "MAX_SCANNED", 5)
        self.assertEqual(self.found(self.search(fn="smith")), everybody[:8])

    def test_pages(self) -> None:
        """A result comes by pages when that is asked for."""
        everybody = self.fill(5)
        ns = "http://jabber.org/protocol/rsm"
        for inner, expected in (
            ("<max>2</max>", [0, 1]),
            ("<max>2</max><after>user001</after>", [2, 3]),
            ("<max>2</max><before/>", [3, 4]),
            ("<max>2</max><before>user003</before>", [1, 2]),
            ("<max>0</max>", []),
        ):
            answer = self.search(f"<set xmlns='{ns}'>{inner}</set>", fn="smith")
            self.assertEqual(self.found(answer), [everybody[number] for number in expected], inner)
            self.assertEqual(str(answer.query.set.count), "5")
        self.assertEqual(
            condition(self.search(f"<set xmlns='{ns}'><after>x</after></set>", fn="smith")), "item-not-found"
        )

    def test_no_form(self) -> None:
        """A search without a form, or with that of something else, is refused."""
        other = "<field var='FORM_TYPE' type='hidden'><value>urn:other</value></field>"
        cancelled = "<x xmlns='jabber:x:data' type='cancel'/>"
        for inner in (
            "",
            "<last>Montague</last>",
            cancelled,
            f"<x xmlns='jabber:x:data' type='submit'>{other}</x>",
        ):
            self.assertEqual(condition(self.ask("set", inner)), "bad-request")

    def test_stranger(self) -> None:
        """Only accounts of this host search, unless the administrator likes it otherwise."""
        for access, expected in (("local", "error"), ("all", "result")):
            self.house_with(search_access=access)
            elsewhere = self.house.router.remote = Elsewhere()
            head = "<iq type='get' id='1' from='tybalt@elsewhere.example/x' to='vjud.example.org'>"
            self.house.router.route(stanza(f"{head}<query xmlns='{SEARCH}'/></iq>"))
            self.assertEqual(elsewhere.stanzas[0].type, expected)

    def test_off(self) -> None:
        """The search can be left out."""
        self.house_with(search=False)
        self.assertNotIn("vjud.example.org", self.house.router.services)

    def test_disco(self) -> None:
        """The service says what it is, and has no items; a node is not there."""
        ns = "http://jabber.org/protocol/disco"
        ask = "<iq type='get' id='1' to='vjud.example.org'><query xmlns='{}#{}'{}/></iq>"
        found = self.romeo.ask(ask.format(ns, "info", "")).query
        self.assertEqual((found.identity["category"], found.identity["type"]), ("directory", "user"))
        self.assertIn(SEARCH, [node.getAttribute("var") for node in found.elements()])
        self.assertEqual(self.romeo.ask(ask.format(ns, "items", "")).query.children, [])
        for kind in ("info", "items"):
            self.assertEqual(condition(self.romeo.ask(ask.format(ns, kind, " node='x'"))), "item-not-found")
        self.assertEqual(str(self.get(self.romeo, "vjud.example.org").vCard.FN), "Palaver/mod_vcard")

    def test_nothing_else(self) -> None:
        """Whatever else comes is refused, or ignored where nobody waits for an answer."""
        other = "<iq type='get' id='1' to='vjud.example.org{}'><query xmlns='{}'/></iq>"
        for resource, ns in (("", "urn:other"), ("/x", SEARCH)):
            self.assertEqual(condition(self.romeo.ask(other.format(resource, ns))), "service-unavailable")
        self.romeo.send("<message to='vjud.example.org'><body>hi</body></message>")
        self.assertEqual([condition(node) for node in self.romeo.take()], ["service-unavailable"])
        self.romeo.send("<presence to='vjud.example.org'/><iq type='result' id='1' to='vjud.example.org'/>")
        self.assertEqual(self.romeo.take(), [])
