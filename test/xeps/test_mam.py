"""XEP-0313: what is archived, when, and under which id."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.errors import StorageError
from palaver.events import SessionBound
from palaver.routing.lifecycle import delete_account
from palaver.routing.pipeline import DROP, FROM_CLIENT, SENT, TO_USER
from palaver.storage import Batch, Document, Entry, ids
from palaver.storage.memory import MemoryStorage
from palaver.test.archive.house import BODY, NS_SID, ArchiveCase
from palaver.test.house import House, now, stanza
from palaver.test.storage.faulty import FaultyStorage
from palaver.xeps.mam import CLEANUP_S, MessageArchive
from palaver.xeps.offline import Offline
from palaver.xeps.roster import Roster


class KeepTests(ArchiveCase):
    """What becomes of a message."""

    def test_both_sides(self) -> None:
        """A message is in its sender's archive and in its addressee's, under ids of their own."""
        self.write("a")
        (sent,), (got,) = self.entries("romeo"), self.entries("juliet")
        self.assertEqual((sent.peer, got.peer), ("juliet@example.org", "romeo@example.org"))
        self.assertNotEqual(sent.id, got.id)
        self.assertEqual(sent.payload, got.payload)
        self.assertIn(b"from='romeo@example.org/orchard'", got.payload)

    def test_one_commit(self) -> None:
        """Both copies are committed together, before the message is delivered."""
        storage = FaultyStorage(self.house.storage)
        self.put_storage(storage)
        storage.writes.stall()
        self.write("a")
        self.assertEqual((storage.writes.asked, self.juliet.take()), (1, []))
        storage.writes.go_on()
        self.assertEqual((self.texts("romeo"), self.texts("juliet")), (["a"], ["a"]))
        self.assertEqual(len(self.juliet.take()), 1)

    def test_acknowledged_when_stored(self) -> None:
        """A message counts as handled only once it is committed, wherever it goes."""
        for to in ("juliet@example.org", "nobody@example.org", "example.com"):
            storage = FaultyStorage(self.house.storage)
            self.put_storage(storage)
            storage.writes.stall()
            done: list[Any] = []
            self.write("a", to).addCallback(done.append)
            self.assertEqual(done, [], to)
            storage.writes.go_on()
            self.assertEqual(done, [None], to)

    def test_id_for_the_addressee(self) -> None:
        """The addressee learns the id in his archive, and never the one in the sender's."""
        self.write("a")
        (got,) = self.juliet.take()
        self.assertEqual(self.sid(got), [("juliet@example.org", self.ids("juliet")[0])])

    def test_id_for_the_sender(self) -> None:
        """What is done with a message after it was routed, such as copies of it, has the sender's id."""
        seen: list[Any] = []
        self.house.host.pipeline.add(
            SENT, "copy", ("message",), "mod_carboncopy", lambda message, _: seen.append(message)
        )
        for to in ("juliet@example.org", "nobody@example.org"):
            self.write("a", to)
        self.assertEqual(
            [self.sid(message.element) for message in seen],
            [[("romeo@example.org", id)] for id in self.ids("romeo")],
        )

    def test_forged_ids(self) -> None:
        """An id that a client gives in the server's name is taken off; others' ids stay."""
        forged = f"<stanza-id xmlns='{NS_SID}' by='JULIET@example.org' id='x'/>"
        room = f"<stanza-id xmlns='{NS_SID}' by='room@muc.example.com' id='y'/>"
        self.write("a", more=forged + room)
        (got,) = self.juliet.take()
        self.assertEqual(
            self.sid(got),
            [("room@muc.example.com", "y"), ("juliet@example.org", self.ids("juliet")[0])],
        )
        for local in ("romeo", "juliet"):
            self.assertNotIn(b"JULIET", self.entries(local)[0].payload)

    def test_forged_from_elsewhere(self) -> None:
        """The same for what other servers send, even when it is not archived."""
        self.house.router.route(
            stanza(
                "<message to='juliet@example.org' from='eve@example.com'>"
                f"<stanza-id xmlns='{NS_SID}' by='juliet@example.org' id='x'/></message>"
            )
        )
        (got,) = self.juliet.take()
        self.assertEqual((self.sid(got), self.entries("juliet")), ([], []))

    def test_from_elsewhere(self) -> None:
        """What comes from another server is archived for its addressee."""
        self.house.router.route(
            stanza(f"<message to='juliet@example.org' from='eve@example.com/x'>{BODY}</message>")
        )
        self.assertEqual([entry.peer for entry in self.entries("juliet")], ["eve@example.com"])

    def test_to_oneself(self) -> None:
        """A message to oneself is archived once, and comes with its id."""
        self.write("a", "romeo@example.org")
        self.write("b", "romeo@example.org/orchard")
        self.romeo.send("<message type='chat' id='c'><body>c</body></message>")
        self.assertEqual([entry.peer for entry in self.entries("romeo")], ["romeo@example.org"] * 3)
        got = [self.sid(message)[0][1] for message in self.romeo.take()]
        self.assertEqual(got, self.ids("romeo"))

    def test_not_delivered(self) -> None:
        """What nobody gets is in its sender's archive all the same."""
        for to in ("nobody@example.org", "example.com"):
            self.write("a", to)
        self.assertEqual(
            [entry.peer for entry in self.entries("romeo")], ["nobody@example.org", "example.com"]
        )
        self.assertEqual(self.entries("nobody"), [])

    def test_refused(self) -> None:
        """What its addressee blocks is not in his archive, and is in the sender's."""
        self.house.host.pipeline.add(TO_USER, "guard", ("message",), "mod_blocking", lambda *_: DROP)
        self.write("a")
        self.assertEqual((len(self.entries("romeo")), self.entries("juliet")), (1, []))

    def test_refused_at_once(self) -> None:
        """What may not be sent is archived nowhere, and not with the next message either."""
        undo = self.house.host.pipeline.add(FROM_CLIENT, "notice", ("message",), "mod_last", lambda *_: DROP)
        self.write("a")
        undo()
        self.romeo.send("<message to='juliet@example.org'><thread>t</thread></message>")
        self.assertEqual((self.entries("romeo"), self.entries("juliet")), ([], []))

    def test_changed_on_the_way(self) -> None:
        """Each archive holds the message as its owner knows it."""
        self.house.host.pipeline.add(
            TO_USER, "change", ("message",), "mod_change", lambda message, _: message.replace(lang="it")
        )
        self.write("a")
        self.assertNotIn(b"xml:lang", self.entries("romeo")[0].payload)
        self.assertIn(b"xml:lang", self.entries("juliet")[0].payload)

    def test_not_archived(self) -> None:
        """What passes is delivered without any id, and waits for nothing."""
        outcome = self.romeo.send(
            "<message type='chat' to='juliet@example.org'>"
            "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
        )
        self.assertIsNone(outcome)
        (got,) = self.juliet.take()
        self.assertEqual((self.sid(got), self.entries("juliet")), ([], []))

    def test_bad_address(self) -> None:
        """A message to no address at all is refused and archived nowhere."""
        self.write("a", "@")
        (error,) = self.romeo.take()
        self.assertEqual((error["type"], self.entries("romeo")), ("error", []))

    def test_failing_storage(self) -> None:
        """When nothing can be stored the sender gets an error, and nobody the message."""
        storage = FaultyStorage(self.house.storage)
        self.put_storage(storage)
        storage.writes.fail()
        for to in ("juliet@example.org", "nurse@example.org"):
            self.write("a", to)
            (error,) = self.romeo.take()
            self.assertEqual((error["type"], error["id"]), ("error", "a"))
        self.assertEqual((self.juliet.take(), self.entries("romeo"), self.entries("juliet")), ([], [], []))
        self.flushLoggedErrors(StorageError)

    def test_account_deleted(self) -> None:
        """An account that is made again has an empty archive, and is found by what cleans up."""
        self.write("a")
        now(delete_account(self.house.host, "juliet"))
        self.assertEqual(self.entries("juliet"), [])
        self.house.accounts.names.add("juliet")
        self.house.login("juliet", presence="<presence/>")
        self.write("b")
        self.assertEqual(self.texts("juliet"), ["b"])
        self.assertEqual(
            now(self.house.storage.documents.owners("example.org", "archive-owner")), ["juliet", "romeo"]
        )


class AgainTests(ArchiveCase):
    """A message that is sent again."""

    def test_one_copy(self) -> None:
        """It is archived once; who gets it again gets it under the id that it has."""
        self.write("a")
        again = self.house.login("romeo", "garden")
        self.write("a", who=again)
        first, second = self.juliet.take()
        self.assertEqual((len(self.entries("romeo")), len(self.entries("juliet"))), (1, 1))
        self.assertEqual(self.sid(first), self.sid(second))

    def test_another_process(self) -> None:
        """The same after a restart, when nothing but the archive knows of the first one."""
        self.write("a")
        other = House(MessageArchive)
        other.host.storage = self.house.storage
        romeo, juliet = other.login("romeo"), other.login("juliet", "balcony", "<presence/>")
        juliet.take()
        self.write("a", who=romeo)
        (got,) = juliet.take()
        self.assertEqual(self.sid(got), [("juliet@example.org", self.ids("juliet")[0])])

    def test_same_id_other_text(self) -> None:
        """Some clients use an id for many messages: none is lost."""
        for body in ("a", "b"):
            self.romeo.send(f"<message to='juliet@example.org' id='1'><body>{body}</body></message>")
        self.assertEqual(self.texts("juliet"), ["a", "b"])


class AwayTests(ArchiveCase):
    """The archive beside the offline store."""

    modules = (Offline,)

    def test_stored_with_its_id(self) -> None:
        """Who comes later gets the message once, with the id under which the archive has it too."""
        self.write("a", "nurse@example.org")
        nurse = self.house.login("nurse", presence="<presence/>")
        got = [node for node in nurse.take() if node.name == "message"]
        self.assertEqual([self.sid(node) for node in got], [[("nurse@example.org", self.ids("nurse")[0])]])

    def test_results_are_not_kept(self) -> None:
        """What was asked for by a session that is gone is not kept for another one."""
        self.write("a")
        storage = FaultyStorage(self.house.storage)
        self.put_storage(storage)
        storage.reads.stall()
        self.juliet.send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
        self.juliet.session.unbind()
        storage.reads.go_on()
        found = now(self.house.storage.logs.count("example.org", "juliet", "offline"))
        self.assertEqual(found, 0)


class PreferenceTests(ArchiveCase):
    """XEP-0441."""

    def prefs(self, default: str, always: str = "", never: str = "", kind: str = "set") -> Any:
        """Set or get Juliet's preferences; gives the answer."""
        lists = "".join(
            f"<{name}>" + "".join(f"<jid>{item}</jid>" for item in items.split()) + f"</{name}>"
            for name, items in (("always", always), ("never", never))
        )
        return self.juliet.ask(
            f"<iq type='{kind}' id='p'><prefs xmlns='urn:xmpp:mam:2' default='{default}'>{lists}</prefs></iq>"
        )

    def test_what_is_set(self) -> None:
        """What was set is given back, prepared; before that it is the server's policy, with empty lists."""
        self.assertEqual(self.prefs("", kind="get").prefs["default"], "always")
        answer = self.prefs("roster", "Romeo@example.org", "nurse@example.org/x a@b")
        for got in (answer, self.prefs("", kind="get")):
            self.assertEqual(got.prefs["default"], "roster")
            lists = [[str(item) for item in node.elements()] for node in got.prefs.elements()]
            self.assertEqual(lists, [["romeo@example.org"], ["a@b", "nurse@example.org/x"]])

    def test_rows(self) -> None:
        """Whether Romeo's message is archived for Juliet, by what she has set."""
        romeo, resource = "romeo@example.org", "romeo@example.org/orchard"
        rows = (
            ("always", "", "", True), ("always", "", romeo, False), ("always", "", resource, False),
            ("always", "", "romeo@example.org/garden", True), ("never", "", "", False),
            ("never", romeo, "", True), ("never", resource, "", True), ("never", romeo, romeo, False),
            ("roster", "", "", False), ("roster", romeo, "", True),
        )  # fmt: skip
        for number, (default, always, never, kept) in enumerate(rows):
            self.prefs(default, always, never)
            before = len(self.entries("juliet"))
            self.write(str(number))
            self.assertEqual(len(self.entries("juliet")) - before, int(kept), (default, always, never))
            self.assertEqual(len(self.entries("romeo")), number + 1)
            (got,) = self.juliet.take()
            self.assertEqual(bool(self.sid(got)), kept)

    def test_what_is_sent(self) -> None:
        """For what the account sends the addressee counts."""
        self.prefs("always", never="romeo@example.org/garden")
        for resource in ("garden", "orchard"):
            self.write(resource, f"romeo@example.org/{resource}", self.juliet)
        self.assertEqual((self.texts("juliet"), self.texts("romeo")), (["orchard"], ["garden", "orchard"]))

    def test_roster(self) -> None:
        """With the policy roster contacts are archived, online or not; who only asks to be one is not."""
        self.house.add(Roster)
        self.prefs("roster")
        roster = "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='{}'/></query></iq>"
        self.juliet.send(roster.format("romeo@example.org"))
        self.write("online")
        self.juliet.session.unbind()
        self.write("away")
        self.house.login("mercutio").send(f"<message to='juliet@example.org'>{BODY}</message>")
        self.assertEqual(self.texts("juliet"), ["online", "away"])

    def test_read_for_the_absent(self) -> None:
        """Preferences count for who is away and was never seen by this process."""
        batch = Batch().put(
            "example.org", "nurse", "archive-prefs", "", {"default": "never", "always": [], "never": []}
        )
        now(self.house.storage.write(batch))
        self.write("a", "nurse@example.org")
        self.assertEqual((self.texts("nurse"), self.texts("romeo")), ([], ["a"]))

    def test_unreadable(self) -> None:
        """When preferences cannot be read nothing is archived against somebody's will."""
        storage = FaultyStorage(self.house.storage)
        self.put_storage(storage)
        storage.reads.fail()
        self.write("a", "nurse@example.org")
        (error,) = self.romeo.take()
        self.assertEqual((error["type"], self.entries("nurse"), self.entries("romeo")), ("error", [], []))
        self.flushLoggedErrors(StorageError)

    def test_read_at_login(self) -> None:
        """The login's one query brings the preferences."""
        self.assertIn("archive-prefs", self.house.host.login_kinds)
        value = {"default": "never", "always": [], "never": []}
        document = Document("example.org", "nurse", "archive-prefs", "", value)
        nurse = self.house.login("nurse", presence="<presence/>")
        now(self.house.host.events.fire(SessionBound(nurse.session, [document])))
        self.write("another")
        storage = FaultyStorage(self.house.storage)
        self.put_storage(storage)
        self.write("a", "nurse@example.org")
        self.assertEqual((self.texts("nurse"), storage.reads.asked), ([], 0))

    def test_bad_requests(self) -> None:
        """What cannot be read changes nothing."""
        rows = (
            ("", "", "bad-request"), ("sometimes", "", "bad-request"), ("always", "@", "jid-malformed"),
            ("always", " ".join(f"u{n}@b" for n in range(2001)), "resource-constraint"),
        )  # fmt: skip
        for default, always, condition in rows:
            answer = self.prefs(default, always)
            self.assertEqual(answer.error.firstChildElement().name, condition)
        self.assertEqual(self.prefs("", kind="get").prefs["default"], "always")


class RetractCase(ArchiveCase):
    """Somebody retracts a message."""

    def retract(
        self, target: str, who: Any = None, to: str = "juliet@example.org", old: bool = False
    ) -> None:
        """Have somebody (Romeo) retract a message, by the newer protocol or the older one."""
        inner = f"<retract xmlns='urn:xmpp:message-retract:1' id='{target}'/>"
        if old:
            retract = "<retract xmlns='urn:xmpp:message-retract:0'/>"
            inner = f"<apply-to xmlns='urn:xmpp:fasten:0' id='{target}'>{retract}</apply-to>"
        (who or self.romeo).send(f"<message type='chat' id='r' to='{to}'>{inner}</message>")

    def origin(self, body: str, **options: Any) -> None:
        """Have a message sent with an origin-id."""
        self.write(body, more=f"<origin-id xmlns='{NS_SID}' id='o-{body}'/>", **options)


class RetractTests(RetractCase):
    """XEP-0424."""

    def test_tombstones(self) -> None:
        """A retracted message leaves its id, its addresses and a mark in both archives, and no word of it."""
        self.origin("secret")
        before = [(entry.id, entry.peer) for local in ("romeo", "juliet") for entry in self.entries(local)]
        self.juliet.take()
        self.retract("o-secret")
        after = []
        for local in ("romeo", "juliet"):
            gone, retraction = self.entries(local)
            after.append((gone.id, gone.peer))
            self.assertIsNone(gone.text)
            message = stanza(gone.payload.decode())
            self.assertEqual(message.children, (("urn:xmpp:message-retract:1", "retracted"),))
            (mark,) = message.element.elements()
            self.assertEqual((mark["id"], message.id, message.type), ("r", "secret", "chat"))
            self.assertRegex(mark["stamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertIn(b"<retract ", retraction.payload)
        self.assertEqual(before, after)
        (got,) = self.juliet.take()
        self.assertEqual(got.retract["id"], "o-secret")

    def test_older_protocol(self) -> None:
        """The older protocol leaves its own kind of mark."""
        self.origin("secret")
        self.retract("o-secret", old=True)
        mark = next(stanza(self.entries("juliet")[0].payload.decode()).element.elements())
        self.assertEqual(
            (mark.uri, mark.firstChildElement()["id"]), ("urn:xmpp:message-retract:0", "o-secret")
        )

    def test_by_id(self) -> None:
        """A message without an origin-id is named by its id; of two the newer one goes."""
        for body in ("one", "two"):
            self.romeo.send(f"<message to='juliet@example.org' id='m'><body>{body}</body></message>")
        self.retract("m")
        self.assertEqual(self.texts("juliet"), ["one", None, None])

    def test_what_others_wrote(self) -> None:
        """Nobody retracts what another one wrote, or what was written to somebody else."""
        self.origin("a")
        self.origin("b", to="nurse@example.org")
        self.retract("o-a", self.juliet, "romeo@example.org")
        self.retract("o-a", self.house.login("mercutio"))
        self.retract("o-b")
        self.assertEqual(self.texts("juliet")[0], "a")
        self.assertEqual(self.texts("romeo")[:2], ["a", "b"])
        self.assertEqual(self.texts("nurse"), ["b"])

    def test_nothing_to_retract(self) -> None:
        """A retraction of what is not there is archived and delivered."""
        self.retract("o-none")
        self.retract("")
        self.assertEqual((len(self.entries("juliet")), len(self.juliet.take())), (2, 2))

    def test_far_back(self) -> None:
        """The message is found behind many others."""
        self.origin("secret")
        batch = Batch()
        for n in range(500):
            id = ids.new_id()
            batch.append(Entry("example.org", "juliet", "archive", id, b"<message/>", "romeo@example.org"))
            batch.append(Entry("example.org", "juliet", "archive", id + 1, b"o-secret", f"u{n}@b"))
        now(self.house.storage.write(batch))
        self.retract("o-secret")
        self.assertIsNone(self.texts("juliet")[0])


class NoRetractionTests(RetractCase):
    """The same server without tombstones."""

    options: ClassVar[dict[str, Any]] = {"message_retraction": False}

    def test_no_tombstones(self) -> None:
        """The retraction is archived and delivered, and what it retracts stays."""
        self.origin("secret")
        self.retract("o-secret")
        self.assertEqual((self.texts("juliet"), len(self.juliet.take())), (["secret", None], 2))


class OptionTests(SynchronousTestCase):
    """What an administrator may choose."""

    def archived(self, inner: str = BODY, **options: Any) -> tuple[list[Any], list[Any]]:
        """Give Juliet's archive after a message, and what she got."""
        case = ArchiveCase()
        case.options = options  # type: ignore[misc]
        case.setUp()
        case.romeo.send(f"<message to='juliet@example.org'>{inner}</message>")
        return case.entries("juliet"), [case.sid(got) for got in case.juliet.take()]

    def test_policy(self) -> None:
        """With the policy never nothing is archived until somebody wants it."""
        self.assertEqual(self.archived(default_archive_policy="never"), ([], [[]]))

    def test_no_search(self) -> None:
        """Without searches no text is indexed."""
        (entry,), _ = self.archived(full_text_search=False)
        self.assertIsNone(entry.text)

    def test_no_ids(self) -> None:
        """Ids may be kept from clients."""
        entries, sids = self.archived(no_stanzaid_element=True)
        self.assertEqual((len(entries), sids), (1, [[]]))

    def test_markers(self) -> None:
        """Chat markers may be left out."""
        marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"
        self.assertEqual(len(self.archived(marker)[0]), 1)
        self.assertEqual(self.archived(marker, archive_chat_markers=False), ([], [[]]))

    def test_refused(self) -> None:
        """What makes no sense is refused."""
        for options in (
            {"archive_expires_after": 1}, {"storage_archive_item_limit": 0}, {"max_result_limit": 0},
            {"default_archive_policy": "sometimes"}, {"default_result_limit": 5000}, {"colour": "blue"},
        ):  # fmt: skip
            self.assertRaises(ValidationError, MessageArchive.Settings, **options)


class RetentionTests(SynchronousTestCase):
    """What is too old or too much goes."""

    def house(self, **options: Any) -> House:
        """Give a house whose accounts have old messages and new ones."""
        house = House(MessageArchive, MessageArchive=options)
        batch = Batch()
        for local in ("juliet", "nurse"):
            batch.put("example.org", local, "archive-owner", "", {})
            for n in range(450):
                age = 7200 if n < 410 else 10
                id = ids.from_time(time.time() - age) + n
                batch.append(Entry("example.org", local, "archive", id, b"<message/>"))
            batch.append(Entry("example.org", local, "offline", ids.from_time(1), b"<message/>"))
        now(house.storage.write(batch))
        return house

    def left(self, house: House, passes: int = 60) -> list[int]:
        """Give how many entries are left after a clean-up, of both archives and of another log."""
        house.clock.advance(CLEANUP_S)
        for _ in range(passes):
            house.clock.advance(0.01)
        logs = house.storage.logs
        return [
            now(logs.count("example.org", local, kind))
            for local, kind in (("juliet", "archive"), ("nurse", "archive"), ("nurse", "offline"))
        ]

    def test_by_age(self) -> None:
        """Messages older than the limit go, of everybody's archive, and nothing else does."""
        self.assertEqual(self.left(self.house(archive_expires_after=3600)), [40, 40, 1])

    def test_by_number(self) -> None:
        """The oldest go until as many are left as the limit says."""
        self.assertEqual(self.left(self.house(storage_archive_item_limit=7)), [7, 7, 1])
        self.assertEqual(self.left(self.house(storage_archive_item_limit=451)), [450, 450, 1])

    def test_for_ever(self) -> None:
        """Nothing goes unless somebody wants it to."""
        self.assertEqual(self.left(self.house()), [450, 450, 1])

    def test_in_pieces(self) -> None:
        """A large archive goes piece by piece, with pauses in which others have their turn."""
        house = self.house(archive_expires_after=3600)
        seen = [self.left(house, 0)[0]]
        while seen[-1] > 40:
            seen.append(self.left_now(house))
        self.assertEqual(seen, [250, 50, 40])

    def left_now(self, house: House) -> int:
        """Give how many are left in Juliet's archive one pause later."""
        house.clock.advance(0.01)
        return int(now(house.storage.logs.count("example.org", "juliet", "archive")))

    def test_taken_away(self) -> None:
        """Nothing is deleted any more once the module is gone."""
        house = self.house(archive_expires_after=3600)
        house.clock.advance(CLEANUP_S)
        house.modules["MessageArchive"].detach()
        self.assertEqual(self.left(house), [250, 450, 1])

    def test_failure(self) -> None:
        """What fails is tried again the next time."""
        house = self.house(archive_expires_after=3600)
        faulty = FaultyStorage(house.storage)
        house.modules["MessageArchive"].detach()
        house.host.storage = faulty
        house.add(MessageArchive, archive_expires_after=3600)
        faulty.writes.fail()
        self.assertEqual(self.left(house), [450, 450, 1])
        faulty.writes.go_on()
        self.assertEqual(self.left(house), [40, 40, 1])
        self.flushLoggedErrors(StorageError)


class SlowTests(ArchiveCase):
    """Nobody waits for somebody else's archive."""

    def test_order(self) -> None:
        """Of one session's messages none overtakes another while the storage is slow."""
        waiting: list[Deferred[None]] = []
        memory = MemoryStorage()
        memory.write = lambda batch: waiting.append(Deferred()) or waiting[-1]  # type: ignore
        self.put_storage(memory)
        self.write("a")
        self.write("b", who=self.house.login("nurse"))
        waiting[1].callback(None)
        self.assertEqual([str(got.body) for got in self.juliet.take()], ["b"])
        waiting[0].callback(None)
        self.assertEqual([str(got.body) for got in self.juliet.take()], ["a"])
