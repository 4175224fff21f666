"""XEP-0115 and XEP-0390: what clients can do, learned once for each hash."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from palaver.capabilities.hashes import KIND, OWNER
from palaver.capabilities.information import NS_CAPS, NS_ECAPS2, digest, read
from palaver.errors import StorageError
from palaver.events import BecameAvailable, CapabilitiesKnown
from palaver.interfaces import ICapabilities
from palaver.routing.roster import RosterItem
from palaver.stanza import Stanza
from palaver.storage import Batch
from palaver.test.house import Client, House, now, stanza
from palaver.tree import parse_element
from palaver.xeps import caps
from palaver.xeps.caps import ANSWER_S, Capabilities
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.time import Time

INFO = "http://jabber.org/protocol/disco#info"
EXODUS = (
    "<identity category='client' type='pc' name='Exodus 0.9.1'/><feature var='http://jabber.org/protocol/caps'/>"
    "<feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/>"
    "<feature var='http://jabber.org/protocol/muc'/>"
)
EXODUS_VER = "QgayPKawpkPSDYmwT/WM94uAlu0="
EXODUS_FEATURES = frozenset(
    f"http://jabber.org/protocol/{name}" for name in ("caps", "disco#info", "disco#items", "muc")
)
TUNES = "<identity category='client' type='phone'/><feature var='http://jabber.org/protocol/tune+notify'/>"


def hashed(answer: str, protocol: str = NS_CAPS, algorithm: str = "sha-1") -> str:
    """Give the hash of an answer."""
    return digest(
        read(parse_element(f"<query xmlns='{INFO}'>{answer}</query>".encode())), protocol, algorithm
    )


def presence(ver: str, hash: str = " hash='sha-1'", node: str = "n", extra: str = "") -> str:
    """Give a presence with a hash."""
    return f"<presence>{extra}<c xmlns='{NS_CAPS}'{hash} node='{node}' ver='{ver}'/></presence>"


def presence2(**hashes: str) -> str:
    """Give a presence with hashes of XEP-0390."""
    inner = "".join(
        f"<hash xmlns='urn:xmpp:hashes:2' algo='{name.replace('_', '-')}'>{value}</hash>"
        for name, value in hashes.items()
    )
    return f"<presence><c xmlns='{NS_ECAPS2}'>{inner}</c></presence>"


class CapsCase(SynchronousTestCase):
    """A host that learns what clients can do."""

    def setUp(self) -> None:
        """Listen to what becomes known."""
        self.house: Any = House(Capabilities, ServiceDiscovery)
        self.caps: Any = self.house.host.query(ICapabilities)
        self.told: list[tuple[str, frozenset[str]]] = []
        self.house.host.events.add(
            CapabilitiesKnown, "test", lambda event: self.told.append((event.full_jid, event.features))
        )

    def restart(self, **options: Any) -> None:
        """Take the module away and attach it anew, on the same storage."""
        self.house.modules["Capabilities"].detach()
        self.house.add(Capabilities, **options)
        self.caps = self.house.host.query(ICapabilities)

    def asked(self, client: Client) -> list[Any]:
        """Give the questions that came to a client since the last call."""
        return [node for node in client.take() if node.name == "iq" and node["type"] == "get"]

    def answer(self, client: Client, question: Any, inner: str) -> None:
        """Answer a question."""
        node = f" node='{question.query['node']}'" if question.query.hasAttribute("node") else ""
        query = f"<query xmlns='{INFO}'{node}>{inner}</query>"
        client.send(f"<iq type='result' to='{question['from']}' id='{question['id']}'>{query}</iq>")

    def learn(self, client: Client, inner: str, announced: str) -> None:
        """Have a client announce a hash, be asked, and answer."""
        client.send(announced)
        (question,) = self.asked(client)
        self.answer(client, question, inner)

    def known(self, client: Client) -> frozenset[str] | None:
        """Give what is known of a client."""
        found: frozenset[str] | None = self.caps.features(client.session.jid.full)
        return found


class LearnTests(CapsCase):
    """What hashes stand for."""

    def test_learn(self) -> None:
        """The client is asked for the node that stands for its hash, and what it answers is known."""
        romeo = self.house.login("romeo")
        romeo.send(presence(EXODUS_VER, node="http://exodus"))
        (question,) = self.asked(romeo)
        self.assertEqual(question["from"], "example.org")
        self.assertEqual(question.query["node"], f"http://exodus#{EXODUS_VER}")
        self.assertIsNone(self.known(romeo))
        self.answer(romeo, question, EXODUS)
        self.assertEqual(self.known(romeo), EXODUS_FEATURES)
        self.assertEqual(self.told, [("romeo@example.org/orchard", EXODUS_FEATURES)])

    def test_once(self) -> None:
        """Of 200 clients with the same hash one is asked, before and after the answer."""
        crowd = [self.house.login("romeo", f"r{number}") for number in range(99)]
        crowd += [self.house.login("juliet", f"r{number}") for number in range(99)]
        for client in crowd:
            client.send(presence(EXODUS_VER))
        questions = [(client, question) for client in crowd for question in self.asked(client)]
        self.assertEqual(len(questions), 1)
        self.answer(*questions[0], EXODUS)
        late = [
            self.house.login("nurse", "a", presence(EXODUS_VER, node="other")),
            self.house.login("nurse", "b"),
        ]
        late[1].send(presence(EXODUS_VER))
        for client in crowd + late:
            self.assertEqual(self.asked(client), [])
            self.assertEqual(self.known(client), EXODUS_FEATURES)

    def test_known_at_login(self) -> None:
        """With a known hash the features are there when the client becomes available, and nothing is told."""
        self.learn(self.house.login("juliet"), EXODUS, presence(EXODUS_VER))
        self.told.clear()
        seen: list[object] = []
        self.house.host.events.add(
            BecameAvailable, "test", lambda event: seen.append(self.caps.features(event.session.jid.full))
        )
        self.house.login("romeo", presence=presence(EXODUS_VER))
        self.assertEqual(seen, [EXODUS_FEATURES])
        self.assertEqual(self.told, [])

    def test_change(self) -> None:
        """A client that announces another hash is asked again, and the change is told."""
        romeo = self.house.login("romeo")
        self.learn(romeo, EXODUS, presence(EXODUS_VER))
        romeo.send(presence(EXODUS_VER))
        romeo.send("<presence/>")
        self.assertEqual(self.asked(romeo), [])
        self.learn(romeo, TUNES, presence(hashed(TUNES)))
        romeo.send(presence(EXODUS_VER))
        self.assertEqual([features for _, features in self.told].count(EXODUS_FEATURES), 2)
        self.assertEqual(self.known(romeo), EXODUS_FEATURES)

    def test_changes_while_asked(self) -> None:
        """An answer for a hash that the client has given up meanwhile is not about the client any more."""
        romeo, juliet = self.house.login("romeo"), self.house.login("juliet")
        romeo.send(presence(EXODUS_VER))
        (first,) = self.asked(romeo)
        romeo.send(presence(hashed(TUNES)))
        (second,) = self.asked(romeo)
        self.answer(romeo, first, EXODUS)
        self.assertIsNone(self.known(romeo))
        self.answer(romeo, second, TUNES)
        self.assertEqual(self.known(romeo), {"http://jabber.org/protocol/tune+notify"})
        juliet.send(presence(EXODUS_VER))
        self.assertEqual(self.known(juliet), EXODUS_FEATURES)

    def test_next_one(self) -> None:
        """When the one who is asked does not answer, or refuses, the next one with the hash is asked."""
        clients = [self.house.login(name) for name in ("romeo", "juliet", "nurse")]
        for client in clients:
            client.send(presence(EXODUS_VER))
        (question,) = self.asked(clients[0])
        self.house.clock.advance(ANSWER_S)
        (question,) = self.asked(clients[1])
        error = (
            "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        )
        clients[1].send(f"<iq type='error' to='example.org' id='{question['id']}'>{error}</iq>")
        (question,) = self.asked(clients[2])
        self.answer(clients[2], question, EXODUS)
        self.assertEqual(self.known(clients[2]), EXODUS_FEATURES)
        self.assertIsNone(self.known(clients[0]))
        # Who did not answer needs no question once somebody else has proved it.
        clients[0].send(presence(EXODUS_VER))
        self.assertEqual(self.known(clients[0]), EXODUS_FEATURES)

    def test_silent(self) -> None:
        """Who did not answer is asked again at the next presence; who refused is not."""
        romeo = self.house.login("romeo")
        romeo.send(presence(EXODUS_VER))
        self.assertEqual(len(self.asked(romeo)), 1)
        self.house.clock.advance(ANSWER_S)
        romeo.send(presence(EXODUS_VER))
        (question,) = self.asked(romeo)
        error = "<error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        romeo.send(f"<iq type='error' to='example.org' id='{question['id']}'>{error}</iq>")
        romeo.send(presence(EXODUS_VER))
        self.assertEqual(self.asked(romeo), [])

    def test_gone(self) -> None:
        """Of a session that has ended nothing is known, and it is waited for by nobody."""
        romeo, juliet = self.house.login("romeo"), self.house.login("juliet")
        self.learn(romeo, EXODUS, presence(EXODUS_VER))
        full = romeo.session.jid.full
        romeo.session.unbind()
        self.assertIsNone(self.caps.features(full))
        juliet.send(presence(hashed(TUNES)))
        juliet.session.unbind()
        self.house.clock.advance(ANSWER_S)
        self.assertIsNone(self.caps.features(juliet.session.jid.full))

    def test_ecaps2(self) -> None:
        """A hash of XEP-0390 is preferred, and asked for by its own node."""
        romeo = self.house.login("romeo")
        value = hashed(EXODUS, NS_ECAPS2, "sha-256")
        both = presence2(sha_1="x", sha_256=value).replace("</presence>", presence(EXODUS_VER)[10:])
        romeo.send(both)
        (question,) = self.asked(romeo)
        self.assertEqual(question.query["node"], f"urn:xmpp:caps#sha-256.{value}")
        self.answer(romeo, question, EXODUS)
        juliet = self.house.login("juliet", presence=presence2(sha_256=value))
        self.assertEqual(self.known(juliet), EXODUS_FEATURES)

    def test_unusual_xml(self) -> None:
        """A hash is read however the client writes its XML."""
        self.learn(self.house.login("romeo"), EXODUS, presence(EXODUS_VER))
        for number, inner in enumerate(
            (
                f"<c:c xmlns:c='{NS_CAPS}' hash='sha-1' node='n' ver='{EXODUS_VER}'/>",
                f"<c ver='{EXODUS_VER}' node='n'\n hash='sha-1' xmlns=\"{NS_CAPS}\"/>",
                f"<status>&lt;c/></status><c node='n' xmlns='{NS_CAPS}' ver='{EXODUS_VER}' hash='sha-1'></c>",
            )
        ):
            client = self.house.login("juliet", f"r{number}", f"<presence>{inner}</presence>")
            self.assertEqual(self.known(client), EXODUS_FEATURES, inner)

    def test_not_broadcast(self) -> None:
        """Presence for one addressee, and the end of presence, say nothing about the client."""
        romeo = self.house.login("romeo")
        for attrs in (" to='juliet@example.org'", " type='unavailable'"):
            romeo.send(presence(EXODUS_VER).replace("<presence", f"<presence{attrs}"))
            self.assertEqual(self.asked(romeo), [])

    def test_unusable(self) -> None:
        """An element without a node or a hash, or with a monstrous one, is nothing to ask about."""
        romeo = self.house.login("romeo")
        for given in (
            presence(""),
            presence("x", node=""),
            presence("x" * 101),
            presence("x", node="n" * 1025),
        ):
            romeo.send(given)
        romeo.send(presence2(md5="x"))
        self.assertEqual(self.asked(romeo), [])


class ServerTests(CapsCase):
    """What the server itself can do."""

    def test_hash(self) -> None:
        """The hash in stream features is that of the answer to its node; strangers do not get it."""
        romeo = self.house.login("romeo")
        module = self.house.modules["Capabilities"]
        found = parse_element(module.stream_feature(romeo)).hash
        node = f"urn:xmpp:caps#{found['algo']}.{found}"
        asked = f"<iq type='get' id='1' to='example.org'><query xmlns='{INFO}' node='{node}'/></iq>"
        query = romeo.ask(asked).query
        self.assertEqual(query["node"], node)
        self.assertEqual(digest(read(query), NS_ECAPS2, "sha-256"), str(found))
        romeo.authenticated_as = None
        self.assertIsNone(module.stream_feature(romeo))

    def test_old_hash(self) -> None:
        """When what the server can do changes, the old hash stands for nothing."""
        romeo = self.house.login("romeo")
        found = parse_element(self.house.modules["Capabilities"].stream_feature(romeo)).hash
        self.house.add(Time)
        node = f"urn:xmpp:caps#sha-256.{found}"
        answer = romeo.ask(
            f"<iq type='get' id='1' to='example.org'><query xmlns='{INFO}' node='{node}'/></iq>"
        )
        self.assertEqual(answer["type"], "error")


class DistrustTests(CapsCase):
    """Nobody decides what others can do."""

    def lie(self, ver: str, answer: str) -> Any:
        """Have a liar say that a hash means something; then juliet, who bears the hash, is asked herself."""
        mercutio = self.house.login("mercutio", f"r{self.house.clock.seconds()}")
        self.learn(mercutio, answer, presence(ver))
        juliet = self.house.login("juliet", f"r{self.house.clock.seconds()}", None)
        juliet.send(presence(ver))
        (question,) = self.asked(juliet)
        self.assertIsNone(self.known(juliet))
        self.answer(juliet, question, EXODUS)
        self.assertEqual(self.known(juliet), EXODUS_FEATURES)
        self.house.clock.advance(1)
        return mercutio

    def test_wrong_hash(self) -> None:
        """An answer that does not have the hash counts for the one who gave it, and for nobody else."""
        mercutio = self.lie(EXODUS_VER, TUNES)
        self.assertEqual(self.known(mercutio), {"http://jabber.org/protocol/tune+notify"})

    def test_waiting_others(self) -> None:
        """Who waits behind a liar is asked next."""
        mercutio, juliet = self.house.login("mercutio"), self.house.login("juliet")
        mercutio.send(presence(EXODUS_VER))
        juliet.send(presence(EXODUS_VER))
        (question,) = self.asked(mercutio)
        self.answer(mercutio, question, TUNES)
        (question,) = self.asked(juliet)
        self.answer(juliet, question, EXODUS)
        self.assertEqual(self.known(juliet), EXODUS_FEATURES)

    def test_same_string(self) -> None:
        """An answer of other parts that make the same string for the hash is believed of nobody else."""
        caps = "<feature var='http://jabber.org/protocol/caps'/>"
        moved = "<identity category='http:' type='' xml:lang='jabber.org' name='protocol/caps'/>"
        as_feature = EXODUS.replace(
            "<identity category='client' type='pc' name='Exodus 0.9.1'/>",
            "<feature var='client/pc//Exodus 0.9.1'/>",
        )
        form = (
            "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'>"
            "<value>http://jabber.org/protocol/disco#items</value></field>"
            "<field var='http://jabber.org/protocol/muc'/></x>"
        )
        last = EXODUS.index("<feature var='http://jabber.org/protocol/disco#items'/>")
        joined = EXODUS.replace(
            f"{caps}<feature var='http://jabber.org/protocol/disco#info'/>",
            "<feature var='http://jabber.org/protocol/caps&lt;http://jabber.org/protocol/disco#info'/>",
        )
        for answer in (EXODUS.replace(caps, moved), as_feature, EXODUS[:last] + form, joined):
            self.assertEqual(hashed(answer), EXODUS_VER, answer)
            self.lie(EXODUS_VER, answer)
            now(self.house.storage.write(Batch().delete("example.org", OWNER, KIND)))
            self.restart()

    def test_doubles(self) -> None:
        """An answer that says something twice proves nothing (XEP-0115 section 5.4)."""
        self.lie(EXODUS_VER, EXODUS + "<feature var='http://jabber.org/protocol/muc'/>")

    def test_form_counts(self) -> None:
        """A form of software information is part of the hash."""
        form = (
            "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'>"
            "<value>urn:xmpp:dataforms:softwareinfo</value></field>"
            "<field var='ip_version'><value>ipv4</value><value>ipv6</value></field>"
            "<field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>"
            "<field var='software'><value>Psi</value></field>"
            "<field var='software_version'><value>0.11</value></field></x>"
        )
        psi = EXODUS.replace(
            "<identity category='client' type='pc' name='Exodus 0.9.1'/>",
            "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>"
            "<identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>",
        )
        ver = "q07IKJEyjvHSyhy//CH0CxmKi8w="
        self.learn(self.house.login("romeo"), psi + form, presence(ver))
        self.assertEqual(self.known(self.house.login("juliet", presence=presence(ver))), EXODUS_FEATURES)

    def test_irregular_ecaps2(self) -> None:
        """XEP-0390 proves nothing with forms without a type, tables, or what is no disco at all."""
        for extra in ("<x xmlns='jabber:x:data' type='result'/>", "<other xmlns='urn:x'/>"):
            self.restart()
            value = hashed(EXODUS + extra, NS_ECAPS2, "sha-256")
            self.learn(self.house.login("mercutio"), EXODUS + extra, presence2(sha_256=value))
            juliet = self.house.login("juliet", presence=None)
            juliet.send(presence2(sha_256=value))
            self.assertEqual(len(self.asked(juliet)), 1)

    def test_unknown_function(self) -> None:
        """What cannot be verified is asked of each client, once for what it announces."""
        for hash in ("", " hash='md5'", " hash='md6'"):
            romeo, juliet = self.house.login("romeo"), self.house.login("juliet")
            self.learn(romeo, EXODUS, presence("1.0", hash))
            romeo.send(presence("1.0", hash, extra="<show>away</show>"))
            self.assertEqual(self.asked(romeo), [])
            self.learn(juliet, TUNES, presence("1.0", hash))
            self.assertEqual(self.known(romeo), EXODUS_FEATURES)
            self.assertEqual(self.known(juliet), {"http://jabber.org/protocol/tune+notify"})

    def test_somebody_else_answers(self) -> None:
        """Only the one who was asked can answer."""
        romeo, mercutio = self.house.login("romeo"), self.house.login("mercutio")
        romeo.send(presence(EXODUS_VER))
        (question,) = self.asked(romeo)
        self.answer(mercutio, question, EXODUS)
        self.assertIsNone(self.known(romeo))

    def test_huge(self) -> None:
        """An answer that is too large counts for nobody."""
        huge = "".join(f"<feature var='urn:feature:{number}'/>" for number in range(4000))
        romeo = self.house.login("romeo")
        self.learn(romeo, huge, presence(hashed(huge)))
        self.assertIsNone(self.known(romeo))

    def test_many_hashes(self) -> None:
        """A client that announces hash after hash without an answer is asked for a few, and later again."""
        romeo = self.house.login("romeo")
        for number in range(20):
            romeo.send(presence(f"ver{number}"))
        self.assertEqual(len(self.asked(romeo)), caps.MAX_QUESTIONS_EACH)
        self.house.clock.advance(ANSWER_S)
        self.learn(romeo, EXODUS, presence(EXODUS_VER))
        self.assertEqual(self.known(romeo), EXODUS_FEATURES)

    def test_no_answer_at_all(self) -> None:
        """An answer without a query counts for nobody."""
        romeo = self.house.login("romeo")
        romeo.send(presence(EXODUS_VER))
        (question,) = self.asked(romeo)
        romeo.send(f"<iq type='result' to='example.org' id='{question['id']}'/>")
        self.assertIsNone(self.known(romeo))


class KeepTests(CapsCase):
    """What is remembered, and for how long."""

    def is_asked(self, announced: str) -> bool:
        """Tell whether a client that comes now is asked."""
        client = self.house.login("nurse")
        client.send(announced)
        return bool(self.asked(client))

    def test_restart(self) -> None:
        """After a restart nobody is asked for what was proved before."""
        self.learn(self.house.login("romeo"), EXODUS, presence(EXODUS_VER))
        self.restart()
        juliet = self.house.login("juliet", presence=presence(EXODUS_VER))
        self.assertEqual(self.asked(juliet), [])
        self.assertEqual(self.known(juliet), EXODUS_FEATURES)

    def test_lies_are_not_stored(self) -> None:
        """What proved nothing is not stored."""
        self.learn(self.house.login("mercutio"), TUNES, presence(EXODUS_VER))
        self.assertEqual(now(self.house.storage.documents.count("example.org", OWNER, KIND)), 0)

    def test_life_time(self) -> None:
        """A hash that is older than its life is asked for again, from memory and from the storage."""
        self.restart(cache_life_time=3600)
        self.learn(self.house.login("romeo"), EXODUS, presence(EXODUS_VER))
        self.house.clock.pump([1800] * 4)
        self.assertTrue(self.is_asked(presence(EXODUS_VER)))
        self.assertEqual(now(self.house.storage.documents.count("example.org", OWNER, KIND)), 0)

    def test_stored_too_long(self) -> None:
        """What was stored too long ago is not believed after a restart."""
        self.restart(cache_life_time=3600)
        self.learn(self.house.login("romeo"), EXODUS, presence(EXODUS_VER))
        self.house.modules["Capabilities"].detach()
        self.house.clock.advance(3601)
        self.house.add(Capabilities, cache_life_time=3600)
        self.assertTrue(self.is_asked(presence(EXODUS_VER)))

    def test_bounded(self) -> None:
        """No more hashes are kept than allowed; the one that nobody used for the longest time goes first."""
        self.restart(cache_size=2)
        romeo = self.house.login("romeo")
        answers = [f"{EXODUS}<feature var='urn:x:{number}'/>" for number in range(3)]
        for answer in answers:
            self.learn(romeo, answer, presence(hashed(answer)))
        count = now(self.house.storage.documents.count("example.org", OWNER, KIND))
        self.assertEqual(count, 2)
        now(self.house.storage.write(Batch().delete("example.org", OWNER, KIND)))
        self.assertEqual(
            [self.is_asked(presence(hashed(answer))) for answer in answers], [True, False, False]
        )

    def test_sweep(self) -> None:
        """Of the stored ones the oldest go when there are too many."""
        self.learn(self.house.login("romeo"), EXODUS, presence(EXODUS_VER))
        self.house.clock.advance(1)
        self.learn(self.house.login("juliet"), TUNES, presence(hashed(TUNES)))
        self.restart(cache_size=1)
        now(self.house.modules["Capabilities"].sweep())
        self.restart()
        self.assertTrue(self.is_asked(presence(EXODUS_VER)))
        self.assertFalse(self.is_asked(presence(hashed(TUNES))))

    def test_storage_fails(self) -> None:
        """While the storage does not work clients are asked, and what they prove counts."""
        self.patch(self.house.storage.documents, "get", lambda *_: fail(StorageError("down")))
        self.patch(self.house.storage, "write", lambda batch: fail(StorageError("down")))
        self.learn(self.house.login("romeo"), EXODUS, presence(EXODUS_VER))
        self.flushLoggedErrors(StorageError)
        self.assertEqual(
            self.known(self.house.login("juliet", presence=presence(EXODUS_VER))), EXODUS_FEATURES
        )


class Elsewhere:
    """Stands for other servers: keeps what is sent there."""

    def __init__(self) -> None:
        self.stanzas: list[Stanza] = []

    def deliver(self, stanza: Stanza, to: object) -> None:
        """See IService."""
        self.stanzas.append(stanza)


class ContactTests(CapsCase):
    """Clients of contacts on other servers."""

    def setUp(self) -> None:
        """Have a contact elsewhere who sees romeo."""
        super().setUp()
        self.elsewhere = self.house.router.remote = Elsewhere()
        self.romeo = self.house.login("romeo")
        roster = self.romeo.session.user.roster
        roster.items["benvolio@elsewhere.example"] = RosterItem(
            "benvolio@elsewhere.example", subscription="from"
        )
        self.romeo.send("<presence/>")
        self.elsewhere.stanzas.clear()

    def arrive(self, xml: str, sender: str = "benvolio@elsewhere.example/x") -> list[Stanza]:
        """Have a presence for romeo arrive; gives what is asked."""
        self.elsewhere.stanzas.clear()
        head = f"<presence to='romeo@example.org' from='{sender}'"
        self.house.router.route(stanza(xml.replace("<presence", head, 1)))
        return [sent for sent in self.elsewhere.stanzas if sent.name == "iq"]

    def test_contact(self) -> None:
        """A contact's client is asked like one of our own, and forgotten when it goes."""
        (question,) = self.arrive(presence(EXODUS_VER))
        self.assertEqual(question.attrs["to"], "benvolio@elsewhere.example/x")
        query = f"<query xmlns='{INFO}'>{EXODUS}</query>"
        head = f"<iq type='result' id='{question.id}' from='{question.attrs['to']}' to='example.org'>"
        self.house.router.route(stanza(f"{head}{query}</iq>"))
        self.assertEqual(self.caps.features("benvolio@elsewhere.example/x"), EXODUS_FEATURES)
        self.assertEqual(self.told, [("benvolio@elsewhere.example/x", EXODUS_FEATURES)])
        self.arrive("<presence type='unavailable'/>")
        self.assertIsNone(self.caps.features("benvolio@elsewhere.example/x"))

    def test_stranger(self) -> None:
        """Nobody is asked who may not see the account."""
        self.assertEqual(self.arrive(presence(EXODUS_VER), "tybalt@elsewhere.example/x"), [])

    def test_bounded(self) -> None:
        """Of contacts elsewhere only so many are remembered, the one heard of last among them."""
        self.patch(caps, "MAX_REMOTE", 2)
        self.learn(self.house.login("juliet"), EXODUS, presence(EXODUS_VER))
        for resource in "xyz":
            self.arrive(presence(EXODUS_VER), f"benvolio@elsewhere.example/{resource}")
        known = [self.caps.features(f"benvolio@elsewhere.example/{resource}") for resource in "xyz"]
        self.assertEqual(known, [None, EXODUS_FEATURES, EXODUS_FEATURES])
