"""XEP-0227: an account as a document."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.errors import StorageError
from palaver.portable import nodes, parts
from palaver.portable.document import NS_PIE, document
from palaver.test.house import House, now
from palaver.tree import parse_element
from palaver.xeps.blocking import Blocking
from palaver.xeps.mam import MessageArchive
from palaver.xeps.offline import Offline
from palaver.xeps.pep import PersonalEventing
from palaver.xeps.private import Private
from palaver.xeps.roster import Roster
from palaver.xeps.vcard import VCard

NS_PUBSUB = "http://jabber.org/protocol/pubsub"
TUNE = "http://jabber.org/protocol/tune"


class DocumentCase(SynchronousTestCase):
    """Romeo has something of everything."""

    def setUp(self) -> None:
        """Make the host."""
        self.house = House(Roster, VCard, Private, Blocking, Offline, PersonalEventing, MessageArchive)
        self.romeo = self.house.login("romeo", "orchard", "<presence/>")

    def ask(self, payload: str) -> domish.Element:
        """Send a set; it must succeed."""
        answer = self.romeo.ask(f"<iq type='set' id='1'>{payload}</iq>")
        self.assertEqual(answer["type"], "result", answer.toXml())
        return answer

    def pieces(self, local: str = "romeo") -> list[bytes]:
        """Give the pieces of an account's document."""

        async def all_of() -> list[bytes]:
            return [piece async for piece in document(self.house.host, local)]

        found: list[bytes] = now(all_of())
        return found

    def user(self, local: str = "romeo") -> domish.Element:
        """Give the ``<user/>`` of an account's document."""
        root = parse_element(b"".join(self.pieces(local)).partition(b"?>\n")[2])
        self.assertEqual((root.uri, root.name), (NS_PIE, "server-data"))
        self.assertEqual(root.host["jid"], "example.org")
        found: domish.Element = root.host.user
        self.assertEqual(found["name"], local)
        return found

    def child(self, uri: str, name: str) -> Any:
        """Give what Romeo's document has of a name."""
        (found,) = self.user().elements(uri, name)
        return found


class PartTests(DocumentCase):
    """Each part of it."""

    def test_roster(self) -> None:
        """Contacts are there with their names and groups, and requests that nobody has answered."""
        self.ask(
            "<query xmlns='jabber:iq:roster'><item jid='juliet@example.org' name='J &amp; C'>"
            "<group>Capulets</group></item></query>"
        )
        nurse = self.house.login("nurse", "house", "<presence/>")
        nurse.send(
            "<presence type='subscribe' to='romeo@example.org'>"
            "<nick xmlns='http://jabber.org/protocol/nick'>Nurse</nick></presence>"
        )
        (item,) = self.child("jabber:iq:roster", "query").elements()
        self.assertEqual(
            (item["jid"], item["name"], item["subscription"]), ("juliet@example.org", "J & C", "none")
        )
        self.assertEqual(str(item.group), "Capulets")
        request = self.child("jabber:client", "presence")
        self.assertEqual((request["type"], request["from"]), ("subscribe", "nurse@example.org"))
        self.assertEqual(str(request.nick), "Nurse")

    def test_vcard_and_private_data(self) -> None:
        """The vCard and private XML are there as they were stored."""
        self.ask("<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>")
        self.ask(
            "<query xmlns='jabber:iq:private'><prefs xmlns='exodus:prefs'><nick>R</nick></prefs></query>"
        )
        self.assertEqual(str(self.child("vcard-temp", "vCard").FN), "Romeo")
        (prefs,) = self.child("jabber:iq:private", "query").elements()
        self.assertEqual((prefs.uri, str(prefs.nick)), ("exodus:prefs", "R"))

    def test_block_list(self) -> None:
        """Who is blocked is denied in the default privacy list."""
        self.ask("<block xmlns='urn:xmpp:blocking'><item jid='tybalt@example.org'/></block>")
        query = self.child("jabber:iq:privacy", "query")
        self.assertEqual(query.default["name"], query.list["name"])
        item = query.list.item
        self.assertEqual((item["value"], item["action"], item["type"]), ("tybalt@example.org", "deny", "jid"))

    def test_nodes(self) -> None:
        """Nodes are there with what they are like and with all items, in order, however many there are."""
        options = (
            "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
            f"<value>{NS_PUBSUB}#publish-options</value></field><field var='pubsub#max_items'>"
            "<value>100</value></field><field var='pubsub#access_model'><value>whitelist</value></field></x>"
            "</publish-options>"
        )
        for number in range(nodes.PAGE + 2):
            self.ask(
                f"<pubsub xmlns='{NS_PUBSUB}'><publish node='tunes'><item id='n{number}'>"
                f"<tune xmlns='{TUNE}'><title>{number}</title></tune></item></publish>{options}</pubsub>"
            )
        configure = self.child(f"{NS_PUBSUB}#owner", "pubsub").configure
        self.assertEqual(configure["node"], "tunes")
        values = {field["var"]: str(field.value) for field in configure.x.elements() if field.name == "field"}
        self.assertEqual((values["pubsub#access_model"], values["pubsub#max_items"]), ("whitelist", "100"))
        found = list(self.child(NS_PUBSUB, "pubsub").items.elements())
        self.assertEqual([item["id"] for item in found], [f"n{number}" for number in range(nodes.PAGE + 2)])
        self.assertEqual((found[3].tune.uri, str(found[3].tune.title)), (TUNE, "3"))

    def test_archive(self) -> None:
        """The archive is there, oldest first, however long it is."""
        count = parts.PAGE + 3
        for number in range(count):
            self.romeo.send(
                f"<message to='juliet@example.org' id='m{number}'><body>&lt;{number}&gt;</body></message>"
            )
        found = list(self.child("urn:xmpp:pie:0#mam", "archive").elements())
        bodies = [str(next(result.forwarded.elements("jabber:client", "message")).body) for result in found]
        self.assertEqual(bodies, [f"<{number}>" for number in range(count)])
        self.assertTrue(found[0].forwarded.delay["stamp"].endswith("Z"))
        self.assertEqual((found[0].uri, found[0].name), ("urn:xmpp:mam:2", "result"))

    def test_offline(self) -> None:
        """Messages that wait are there in the document of whoever is away, more than a page of them."""
        count = 103
        for number in range(count):
            self.romeo.send(
                f"<message to='juliet@example.org' type='chat' id='m{number}'><body>{number}</body></message>"
            )
        (kept,) = self.user("juliet").elements(NS_PIE, "offline-messages")
        self.assertEqual([str(message.body) for message in kept.elements()], [str(n) for n in range(count)])
        first = kept.firstChildElement()
        self.assertEqual(
            (first.uri, first.name, first["from"]), ("jabber:client", "message", "romeo@example.org/orchard")
        )


class WholeTests(DocumentCase):
    """The document as such."""

    def test_nothing(self) -> None:
        """An account that has nothing has an empty roster and no other part."""
        self.assertEqual([child.name for child in self.user("juliet").elements()], ["query"])

    def test_others(self) -> None:
        """There is nothing of another account in it, and no password."""
        self.ask("<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>")
        self.assertNotIn(b"Romeo", b"".join(self.pieces("juliet")))
        self.assertNotIn(b"password", b"".join(self.pieces()))

    def test_pieces(self) -> None:
        """A long archive comes in pieces."""
        for number in range(3 * parts.PAGE):
            self.romeo.send(
                f"<message to='juliet@example.org' id='m{number}'><body>{'x' * 500}</body></message>"
            )
        found = self.pieces()
        self.assertLess(max(map(len, found)), sum(map(len, found)) / 2)

    def test_storage_fails(self) -> None:
        """When the storage fails, so does the document."""
        self.patch(self.house.storage.documents, "list", lambda *_, **__: fail(StorageError("gone")))
        self.assertRaises(StorageError, self.pieces, "juliet")
