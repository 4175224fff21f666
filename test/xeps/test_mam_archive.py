"""XEP-0136 sections 5, 7, 9 and 11: collections of the archive, listed, read and removed."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver.archive import collections, removal
from palaver.archive.collections import NS_ARCHIVE
from palaver.archive.pauses import PAUSE_S
from palaver.interfaces import IMessageArchives
from palaver.jid import JID
from palaver.routing.users import bind
from palaver.storage import Batch, Entry, LogQuery, ids
from palaver.test.archive.house import ArchiveCase
from palaver.test.house import Client, House, now, stanza
from palaver.test.storage.faulty import FaultyStorage
from palaver.test.storage.sqlite import SqliteCase
from palaver.times import read_stamp
from palaver.waiting import settled
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.mam import MessageArchive
from palaver.xeps.mam_archive import MamArchive

DAY_S = 86400
DAY_1, DAY_2, DAY_3 = (f"2026-11-0{day}T00:00:00Z" for day in (1, 2, 3))
NS_RSM = "http://jabber.org/protocol/rsm"
ROMEO, NURSE = "romeo@example.org", "nurse@example.com"
HI = "<body>hi</body>"


def page(xml: str = "") -> str:
    """Give a ``<set/>``."""
    return f"<set xmlns='{NS_RSM}'>{xml}</set>"


def entry(at: str, peer: str, inner: str = HI, own: bool = False) -> Entry:
    """Give an entry of Juliet's archive, with somebody, at a time; ``own`` when she wrote it."""
    sender, to = ("juliet@example.org/r", peer) if own else (f"{peer}/r", "juliet@example.org")
    payload = f"<message from='{sender}' to='{to}' xmlns='jabber:client'>{inner}</message>".encode()
    return Entry("example.org", "juliet", "archive", ids.from_time(read_stamp(at)), payload, peer)


class CollectionsCase(ArchiveCase):
    """Juliet's archive is what a test puts there."""

    def setUp(self) -> None:
        super().setUp()
        self.module = self.house.add(MamArchive, **self.options)

    def put(self, *entries: Entry) -> None:
        """Put entries into archives."""
        batch = Batch()
        for one in entries:
            batch.append(one)
        now(self.house.storage.write(batch))

    def request(self, kind: str, name: str, attrs: str = "", inner: str = "") -> domish.Element:
        """Have Juliet ask; gives the answer."""
        xml = f"<iq type='{kind}' id='q'><{name} xmlns='{NS_ARCHIVE}' {attrs}>{inner}</{name}></iq>"
        return self.juliet.ask(xml)

    def got(self, kind: str, name: str, attrs: str = "", inner: str = "") -> domish.Element:
        """Have Juliet ask; gives what is in the result."""
        answer = self.request(kind, name, attrs, inner)
        self.assertEqual(answer["type"], "result", answer.toXml())
        found: domish.Element = answer.firstChildElement()
        return found

    def refused(self, kind: str, name: str, attrs: str = "", inner: str = "") -> str:
        """Have Juliet ask for what is refused; gives the condition."""
        answer = self.request(kind, name, attrs, inner)
        self.assertEqual(answer["type"], "error", answer.toXml())
        return str(answer.error.firstChildElement().name)

    def chats(self, attrs: str = "", inner: str = "") -> list[tuple[str, str, str]]:
        """Give (start, with, version) of the collections in a list."""
        found = self.got("get", "list", attrs, inner).elements(NS_ARCHIVE, "chat")
        return [(chat["start"], chat["with"], chat["version"]) for chat in found]

    def rsm(self, node: domish.Element) -> dict[str, str | None]:
        """Give what a ``<set/>`` says."""
        (found,) = node.elements(NS_RSM, "set")
        said: dict[str, str | None] = {child.name: str(child) for child in found.elements()}
        if found.first is not None:
            said["index"] = found.first.getAttribute("index")
        return said

    def left(self) -> list[str]:
        """Give with whom the messages are that the archive still has."""
        return [str(one.peer) for one in self.entries("juliet")]


class ListTests(CollectionsCase):
    """Lists of collections."""

    def fill(self) -> None:
        """Talk with two people on three days."""
        self.put(
            entry("2026-11-01T00:00:00Z", ROMEO),
            entry("2026-11-01T23:59:59.999999Z", ROMEO, own=True),
            entry("2026-11-02T00:00:00Z", ROMEO),
            entry("2026-11-02T10:00:00Z", NURSE),
            entry("2026-11-03T09:00:00Z", NURSE),
        )

    def test_rule(self) -> None:
        """A collection is a day with one contact; it starts at midnight, in order of time, then of name."""
        self.fill()
        every = [(DAY_1, ROMEO, "1"), (DAY_2, NURSE, "0"), (DAY_2, ROMEO, "0"), (DAY_3, NURSE, "0")]
        self.assertEqual(self.chats(), every)

    def test_real_messages(self) -> None:
        """Messages that were archived as they passed are in a collection."""
        self.write("a")
        self.write("b", ROMEO, self.juliet)
        (chat,) = self.chats()
        self.assertEqual(chat[1:], (ROMEO, "1"))

    def test_empty(self) -> None:
        """An archive with nothing in it, or nothing that was asked for, gives an empty list."""
        self.assertEqual(self.got("get", "list").children, [])
        self.fill()
        self.assertEqual(self.got("get", "list", "with='eve@example.com'").children, [])

    def test_with(self) -> None:
        """A bare JID stands for its collections, a domain for all its accounts, unless just it is meant."""
        self.fill()
        self.put(
            entry("2026-11-03T09:00:01Z", "example.com"), entry("2026-11-03T10:00:00Z", "x@y.example.com")
        )
        for attrs, starts in (
            (f"with='{ROMEO}'", [DAY_1, DAY_2]),
            (f"with='{NURSE}' exactmatch='true'", [DAY_2, DAY_3]),
            (f"with='{ROMEO}/orchard'", []),
            ("with='example.com'", [DAY_2, DAY_3, DAY_3]),
            ("with='example.com' exactmatch='1'", [DAY_3]),
        ):
            self.assertEqual([start for start, _, _ in self.chats(attrs)], starts, attrs)

    def test_times(self) -> None:
        """From a start on, and before an end; the beginning of time may be the year 0."""
        self.fill()
        for attrs, count in (
            (f"start='{DAY_2}'", 3),
            ("start='2026-11-02T00:00:01Z'", 1),
            (f"end='{DAY_2}'", 1),
            ("end='2026-11-02T00:00:01Z'", 3),
            (f"start='{DAY_2}' end='{DAY_3}'", 2),
            (f"start='{DAY_3}' end='{DAY_2}'", 0),
            ("start='0000-01-01T00:00:00Z' end='2038-01-01T00:00:00Z'", 4),
            ("end='1969-01-01T00:00:00Z'", 0),
            ("start='9999-12-31T00:00:00Z'", 0),
            (f"start='{DAY_2}' with='{ROMEO}'", 1),
        ):
            self.assertEqual(len(self.chats(attrs)), count, attrs)

    def test_pages(self) -> None:
        """Pages follow each other in both directions and hold each collection once."""
        self.fill()
        every = self.chats()
        for name, place in (("after", "last"), ("before", "first")):
            seen: list[Any] = []
            named = f"<{name}/>" if name == "before" else ""
            while found := self.got("get", "list", "", page(f"<max>1</max>{named}")):
                chats = [
                    (chat["start"], chat["with"], chat["version"])
                    for chat in found.elements(NS_ARCHIVE, "chat")
                ]
                if not chats:
                    break
                seen += chats
                named = f"<{name}>{self.rsm(found)[place]}</{name}>"
            self.assertEqual(seen, every if name == "after" else every[::-1])

    def test_where_pages_lie(self) -> None:
        """The number of all, and the place in the list, are told where they are known."""
        self.fill()
        for asked, said in (
            ("", ("4", "0")),
            ("<max>2</max>", ("4", "0")),
            ("<before/><max>1</max>", ("4", "3")),
            ("<max>0</max>", ("4", None)),
            (f"<after>{DAY_2}{NURSE}</after>", (None, None)),
        ):
            told = self.rsm(self.got("get", "list", "", page(asked)))
            self.assertEqual((told.get("count"), told.get("index")), said, asked)
        beyond = self.got("get", "list", "", page(f"<after>{DAY_3}{NURSE}</after>"))
        self.assertEqual(beyond.children, [])

    def test_at_most(self) -> None:
        """However much is asked for, a page holds what the option says, and 20 when nothing is asked."""
        self.put(*(entry(f"2026-11-01T00:00:{n:02}Z", f"p{n}@example.com") for n in range(60)))
        self.assertEqual(len(self.chats()), 20)
        self.assertEqual(len(self.chats("", page("<max>1000</max>"))), 50)
        self.assertEqual(len(self.chats("", page("<max>99999999999999999999</max>"))), 50)

    def test_bad_requests(self) -> None:
        """What cannot be read is refused, each with its condition."""
        self.fill()
        for attrs, inner, condition in (
            ("start='yesterday'", "", "bad-request"),
            ("start='2026-13-01T00:00:00Z'", "", "bad-request"),
            ("start=''", "", "bad-request"),
            ("end='2026-11-01'", "", "bad-request"),
            ("end='0000-02-31T00:00:00Z'", "", "bad-request"),
            ("with='a@b@c'", "", "jid-malformed"),
            ("with=''", "", "jid-malformed"),
            ("exactmatch='perhaps'", "", "bad-request"),
            ("", page("<max>many</max>"), "bad-request"),
            ("", page("<max>-1</max>"), "bad-request"),
            ("", page("<index>3</index>"), "feature-not-implemented"),
            ("", page("<after>x</after>"), "item-not-found"),
            ("", page(f"<after>{DAY_1}</after>"), "item-not-found"),
            ("", page(f"<after>{DAY_1}{NURSE}</after>"), "item-not-found"),
            ("", page(f"<before>2026-11-01T00:00:01Z{ROMEO}</before>"), "item-not-found"),
        ):
            self.assertEqual(self.refused("get", "list", attrs, inner), condition, attrs + inner)

    def test_interval(self) -> None:
        """The length of the intervals is an option."""
        self.module.detach()
        self.module = self.house.add(MamArchive, archive_conversation_interval=3600)
        self.fill()
        starts = [start for start, _, _ in self.chats(f"with='{ROMEO}'")]
        self.assertEqual(starts, [DAY_1, "2026-11-01T23:00:00Z", DAY_2])


class BusyListTests(CollectionsCase):
    """Lists of archives that are larger than what is read for one."""

    def setUp(self) -> None:
        super().setUp()
        # Four messages a day with two people, for twelve days.
        base = read_stamp(DAY_1)
        self.put(
            *(
                entry(DAY_1, (ROMEO, NURSE)[n % 2])._replace(id=ids.from_time(base + n * DAY_S / 4))
                for n in range(48)
            )
        )
        self.patch(collections, "SCAN_SIZE", 3)

    def listing(self, limit: int, **asked: Any) -> collections.Listing:
        """Read a page."""
        archive = self.house.host.query(IMessageArchives).archive("juliet")
        found: collections.Listing = now(
            collections.find(archive, self.module._intervals, collections.Selection(), limit, **asked)
        )
        return found

    def test_whole_collections(self) -> None:
        """A collection that lies across the pieces that are read is counted whole, from either side."""
        for backwards in (False, True):
            found = self.listing(5, backwards=backwards)
            self.assertEqual([one.size for one in found.collections], [2] * 5)
            self.assertIsNone(found.count)
        self.assertEqual(self.listing(5).index, 0)

    def test_shorter_pages(self) -> None:
        """When enough was read a page is shorter than asked for, and the next one goes on from there."""
        self.patch(collections, "MAX_SCANNED", 12)
        seen: list[Any] = []
        while found := self.listing(20, after=seen[-1].key if seen else None).collections:
            self.assertLess(len(found), 20)
            seen += found
        self.assertEqual((len(seen), {one.size for one in seen}), (24, {2}))

    def test_too_much(self) -> None:
        """What would take too long to count is refused, and the way out named."""
        self.patch(collections, "MAX_SCANNED", 3)
        self.assertEqual(self.refused("get", "list"), "resource-constraint")
        self.patch(collections, "MAX_SCANNED", 12)
        self.assertEqual(self.refused("get", "list", "", page("<max>0</max>")), "resource-constraint")


class RetrieveTests(CollectionsCase):
    """The messages of a collection."""

    ASK = f"with='{ROMEO}' start='{DAY_1}'"

    def fill(self) -> None:
        """Talk with Romeo at intervals of half a second and a bit."""
        self.put(
            *(
                entry(f"2026-11-01T00:00:{n * 0.51:09.6f}Z", ROMEO, f"<body>{n}</body>", n % 2 == 1)
                for n in range(9)
            )
        )
        self.put(entry("2026-11-01T00:00:02Z", NURSE), entry(DAY_2, ROMEO))

    def messages(self, inner: str = "") -> list[tuple[str, str, str]]:
        """Give (direction, seconds, body) of each message of a page."""
        chat = self.got("get", "retrieve", self.ASK, inner)
        return [(one.name, one["secs"], str(one.body)) for one in chat.elements() if one.uri == NS_ARCHIVE]

    def test_messages(self) -> None:
        """Messages bear who wrote them, and the time since the one before; the times add up."""
        self.fill()
        chat = self.got("get", "retrieve", self.ASK)
        self.assertEqual((chat["with"], chat["start"], chat["version"]), (ROMEO, DAY_1, "8"))
        found = self.messages()
        self.assertEqual([body for _, _, body in found], [str(n) for n in range(9)])
        self.assertEqual([name for name, _, _ in found], ["from", "to"] * 4 + ["from"])
        times = [int(secs) for _, secs, _ in found]
        self.assertEqual([sum(times[: n + 1]) for n in range(9)], [int(n * 0.51) for n in range(9)])

    def test_pages(self) -> None:
        """Pages follow each other in both directions, and each says where it lies."""
        self.fill()
        every = self.messages()
        for name, place in (("after", "last"), ("before", "first")):
            seen: list[Any] = []
            named = f"<{name}/>" if name == "before" else ""
            while got := self.messages(page(f"<max>2</max>{named}")):
                told = self.rsm(self.got("get", "retrieve", self.ASK, page(f"<max>2</max>{named}")))
                self.assertEqual(told["count"], "9")
                self.assertEqual(
                    told["index"], str(len(seen) if name == "after" else 9 - len(seen) - len(got))
                )
                seen = seen + got if name == "after" else got + seen
                named = f"<{name}>{told[place]}</{name}>"
            self.assertEqual(seen, every)

    def test_number(self) -> None:
        """A page of nothing tells how many there are."""
        self.fill()
        chat = self.got("get", "retrieve", self.ASK, page("<max>0</max>"))
        self.assertEqual(self.rsm(chat), {"count": "9"})

    def test_content(self) -> None:
        """A message comes with all that it held, its body in the archive's namespace."""
        rich = "<thread>t</thread><body xml:lang='it'>a &amp; b</body><x xmlns='urn:example'><y/></x>"
        self.put(entry(DAY_1, ROMEO, rich), entry("2026-11-01T00:00:01Z", ROMEO, "<subject>s</subject>"))
        first, second, _ = self.got("get", "retrieve", self.ASK).elements()
        self.assertEqual(
            [(node.uri, node.name) for node in first.elements()],
            [(NS_ARCHIVE, "body"), ("jabber:client", "thread"), ("urn:example", "x")],
        )
        self.assertEqual((str(first.body), str(first.thread)), ("a & b", "t"))
        self.assertIn("it", first.body.attributes.values())
        self.assertEqual([node.name for node in second.elements()], ["subject"])

    def test_bodies(self) -> None:
        """Who wants only bodies saved gets bodies; a message without one comes all the same."""
        rich = "<body>a</body><x xmlns='urn:example'/>"
        self.put(entry(DAY_1, ROMEO, rich), entry("2026-11-01T00:00:01Z", ROMEO, "<x xmlns='urn:example'/>"))
        self.got_nothing("pref", f"<item jid='{ROMEO}' save='body' otr='concede'/>")
        first, second, _ = self.got("get", "retrieve", self.ASK).elements()
        self.assertEqual([node.name for node in first.elements()], ["body"])
        self.assertEqual([node.name for node in second.elements()], ["x"])

    def got_nothing(self, name: str, inner: str) -> None:
        """Set something."""
        answer = self.request("set", name, "", inner)
        self.assertEqual((answer["type"], list(answer.elements())), ("result", []))

    def test_large(self) -> None:
        """However large the messages are, what comes in one stanza is bounded, and one comes at least."""
        large = "<body>" + "x" * 100_000 + "</body>"
        self.put(*(entry(f"2026-11-01T00:00:0{n}Z", ROMEO, large) for n in range(5)))
        for asked, index in (("", "0"), ("<before/>", "3")):
            chat = self.got("get", "retrieve", self.ASK, page(asked))
            self.assertEqual((self.count(chat), self.rsm(chat)["index"]), (2, index))
        huge = "<body>" + "x" * 300_000 + "</body>"
        self.put(entry(DAY_2, ROMEO, huge))
        chat = self.got("get", "retrieve", f"with='{ROMEO}' start='{DAY_2}'")
        self.assertEqual(self.count(chat), 1)

    def count(self, chat: domish.Element) -> int:
        """Count the messages of a page."""
        return sum(one.uri == NS_ARCHIVE for one in chat.elements())

    def test_refused(self) -> None:
        """What is not there, or cannot be read, is refused, each with its condition."""
        self.fill()
        elsewhere = self.ids("juliet")[-1]
        nurses = next(f"{one.id:x}" for one in self.entries("juliet") if one.peer == NURSE)
        for attrs, inner, condition in (
            (f"with='{ROMEO}' start='{DAY_3}'", "", "item-not-found"),
            (f"with='eve@example.com' start='{DAY_1}'", "", "item-not-found"),
            (f"with='{ROMEO}/orchard' start='{DAY_1}'", "", "item-not-found"),
            (f"with='{ROMEO}' start='2026-11-01T00:00:01Z'", "", "item-not-found"),
            (f"with='{ROMEO}' start='0000-01-01T00:00:00Z'", "", "item-not-found"),
            (f"with='{ROMEO}'", "", "bad-request"),
            (f"start='{DAY_1}'", "", "bad-request"),
            (f"with='{ROMEO}' start='soon'", "", "bad-request"),
            (f"with='@' start='{DAY_1}'", "", "jid-malformed"),
            (self.ASK, page("<max>x</max>"), "bad-request"),
            (self.ASK, page("<index>1</index>"), "feature-not-implemented"),
            (self.ASK, page("<after>x</after>"), "item-not-found"),
            (self.ASK, page("<after>1</after>"), "item-not-found"),
            (self.ASK, page(f"<before>{elsewhere}</before>"), "item-not-found"),
            (self.ASK, page(f"<before>{nurses}</before>"), "item-not-found"),
        ):
            self.assertEqual(self.refused("get", "retrieve", attrs, inner), condition, attrs + inner)


class RemoveTests(CollectionsCase):
    """Collections that go."""

    def fill(self) -> None:
        """Talk with two people on two days."""
        self.put(
            entry(DAY_1, ROMEO),
            entry("2026-11-01T10:00:00Z", NURSE),
            entry(DAY_2, ROMEO),
            entry("2026-11-02T10:00:00Z", NURSE),
        )

    def test_which(self) -> None:
        """One collection, those with somebody, those of a time, or all."""
        for attrs, left in (
            (f"with='{ROMEO}' start='{DAY_1}'", [NURSE, ROMEO, NURSE]),
            (f"with='{ROMEO}'", [NURSE, NURSE]),
            (f"with='{ROMEO}' start='{DAY_2}' end='{DAY_3}'", [ROMEO, NURSE, NURSE]),
            (f"start='{DAY_1}'", [ROMEO, NURSE]),
            (f"start='{DAY_2}' end='2038-01-01T00:00:00Z'", [ROMEO, NURSE]),
            (f"start='0000-01-01T00:00:00Z' end='{DAY_2}'", [ROMEO, NURSE]),
            (f"end='{DAY_2}'", [ROMEO, NURSE]),
            ("with='example.com'", [ROMEO, ROMEO]),
            ("", []),
        ):
            now(self.house.storage.write(Batch().drop("example.org", "juliet")))
            self.fill()
            answer = self.request("set", "remove", attrs)
            self.assertEqual((answer["type"], list(answer.elements())), ("result", []), attrs)
            self.assertEqual(self.left(), left, attrs)

    def test_open(self) -> None:
        """Only what is going on at the moment may be meant."""
        self.fill()
        self.write("a")
        answer = self.request("set", "remove", f"with='{ROMEO}' open='true'")
        self.assertEqual((answer["type"], len(self.left())), ("result", 4))
        self.assertEqual(self.refused("set", "remove", "open='1'"), "item-not-found")
        self.assertEqual(self.refused("set", "remove", f"open='1' end='{DAY_2}'"), "item-not-found")

    def test_refused(self) -> None:
        """What is not there, or cannot be read, is refused, and nothing is gone."""
        self.fill()
        for attrs, condition in (
            (f"with='{ROMEO}' start='{DAY_3}'", "item-not-found"),
            (f"with='{ROMEO}' start='2026-11-01T00:00:01Z'", "item-not-found"),
            (f"with='{ROMEO}/orchard' start='{DAY_1}'", "item-not-found"),
            (f"with='{ROMEO}/orchard'", "item-not-found"),
            ("with='example.com' exactmatch='true'", "item-not-found"),
            (f"start='{DAY_2}' end='{DAY_1}'", "item-not-found"),
            ("start='0000-01-01T00:00:00Z'", "item-not-found"),
            ("start='x'", "bad-request"),
            ("end='x'", "bad-request"),
            ("open='maybe'", "bad-request"),
            ("exactmatch='maybe'", "bad-request"),
            ("with='@'", "jid-malformed"),
        ):
            self.assertEqual(self.refused("set", "remove", attrs), condition, attrs)
        self.assertEqual(len(self.left()), 4)

    def test_in_pieces(self) -> None:
        """A large removal goes in pieces with pauses; meanwhile the client's other requests are answered."""
        self.put(*(entry(f"2026-11-01T00:00:{n:02}Z", ROMEO) for n in range(10)))
        self.patch(removal, "PAGE_SIZE", 4)
        self.juliet.take()
        self.juliet.send(f"<iq type='set' id='r'><remove xmlns='{NS_ARCHIVE}'/></iq>")
        self.assertEqual((len(self.left()), self.juliet.take()), (6, []))
        self.assertEqual(self.chats(), [(DAY_1, ROMEO, "5")])
        self.assertEqual(self.refused("set", "remove"), "resource-constraint")
        # What comes after the beginning stays.
        self.put(entry(DAY_3, NURSE))
        self.house.clock.pump([PAUSE_S] * 2)
        self.assertEqual([answer["type"] for answer in self.juliet.take()], ["result"])
        self.assertEqual(self.left(), [NURSE])
        self.assertEqual(self.request("set", "remove")["type"], "result")

    def test_stopped(self) -> None:
        """When the module is taken away in the middle, the client hears that not all is gone."""
        self.put(*(entry(f"2026-11-01T00:00:{n:02}Z", ROMEO) for n in range(10)))
        self.patch(removal, "PAGE_SIZE", 4)
        self.juliet.send(f"<iq type='set' id='r'><remove xmlns='{NS_ARCHIVE}'/></iq>")
        self.juliet.take()
        self.module.detach()
        (answer,) = self.juliet.take()
        self.assertEqual(answer.error.firstChildElement().name, "resource-constraint")
        self.assertEqual(len(self.left()), 6)
        self.module.attach()

    def test_failing_storage(self) -> None:
        """A removal that the storage cannot do is refused, and can be asked for again."""
        self.fill()
        storage = FaultyStorage(self.house.storage)
        self.put_storage(storage)
        storage.writes.fail()
        self.assertEqual(self.refused("set", "remove"), "internal-server-error")
        storage.writes.go_on()
        self.assertEqual(self.request("set", "remove")["type"], "result")

    def test_others_stay(self) -> None:
        """Nobody else's archive changes."""
        self.write("a")
        self.request("set", "remove")
        self.assertEqual((self.left(), len(self.entries("romeo"))), ([], 1))


class AccessTests(CollectionsCase):
    """Who may do what, and how clients know."""

    def test_archives_of_others(self) -> None:
        """Somebody else's archive is forbidden, whatever is asked and whether or not there is one."""
        for to in ("juliet@example.org", "nobody@example.org"):
            for kind in ("get", "set"):
                for name in ("list", "retrieve", "remove", "pref", "auto", "itemremove", "save", "modified"):
                    answer = self.romeo.ask(
                        f"<iq type='{kind}' id='q' to='{to}'><{name} xmlns='{NS_ARCHIVE}'/></iq>"
                    )
                    self.assertEqual(answer.error.firstChildElement().name, "forbidden", (to, kind, name))

    def test_own_address(self) -> None:
        """The own bare JID is as good as none."""
        answer = self.juliet.ask(
            f"<iq type='get' id='q' to='juliet@example.org'><list xmlns='{NS_ARCHIVE}'/></iq>"
        )
        self.assertEqual(answer["type"], "result")

    def test_not_there(self) -> None:
        """What is optional in the protocol and missing here says so."""
        for kind, name in (("set", "save"), ("get", "modified"), ("set", "sessionremove")):
            self.assertEqual(self.refused(kind, name), "feature-not-implemented", name)

    def test_wrong_type(self) -> None:
        """A get of what is set, or a set of what is got, is a mistake."""
        for kind, name in (
            ("get", "remove"),
            ("get", "auto"),
            ("get", "itemremove"),
            ("set", "list"),
            ("set", "retrieve"),
        ):
            self.assertEqual(self.refused(kind, name), "bad-request", name)

    def test_features(self) -> None:
        """Service discovery names what there is, and does not name what is missing."""
        self.house.add(ServiceDiscovery)
        answer = self.juliet.ask(
            "<iq type='get' id='q' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        )
        found = {node["var"] for node in answer.query.elements() if node.name == "feature"}
        wanted = {NS_ARCHIVE, *(f"{NS_ARCHIVE}:{name}" for name in ("auto", "manage", "pref"))}
        self.assertEqual({name for name in found if name.startswith(NS_ARCHIVE)}, wanted)

    def test_stream_feature(self) -> None:
        """Who has logged in is told that there is an archive, and whether it is on by default."""
        stranger = Client(self.house)
        self.assertIsNone(self.module.stream_feature(stranger))
        self.assertEqual(
            self.module.stream_feature(self.juliet),
            b"<feature xmlns='urn:xmpp:archive'><optional/><default/></feature>",
        )
        house = House(MessageArchive, MessageArchive={"default_archive_policy": "never"})
        self.assertEqual(
            house.add(MamArchive).stream_feature(self.juliet),
            b"<feature xmlns='urn:xmpp:archive'><optional/></feature>",
        )

    def test_from_elsewhere(self) -> None:
        """Another server's people are refused as well."""
        answers: list[Any] = []
        self.patch(self.house.router, "route", answers.append)
        self.house.host.deliver(
            stanza(
                "<iq type='get' id='q' from='eve@example.com/x' to='juliet@example.org'>"
                f"<list xmlns='{NS_ARCHIVE}'/></iq>"
            ),
            JID("juliet", "example.org", ""),
        )
        (answer,) = answers
        self.assertTrue(answer.type == "error" and b"forbidden" in answer.inner)


class RestartTests(SqliteCase):
    """On SQLite, before and after a restart."""

    async def client(self) -> Client:
        """Log Juliet in to a host on the stored file."""
        house = House()
        house.host.storage = self.storage
        house.add(MessageArchive)
        house.add(MamArchive)
        client = Client(house)
        client.session = await bind(house.host, client, "juliet", "r", None)
        return client

    async def ask(self, client: Client, kind: str, inner: str) -> domish.Element:
        """Ask; gives the answer."""
        client.take()
        await settled(client.send(f"<iq type='{kind}' id='q'>{inner}</iq>"))
        (answer,) = client.take()
        return answer

    async def test_restart(self) -> None:
        """What is listed, read and preferred before a restart is so after it; what was removed stays away."""
        batch = Batch()
        for one in (entry(DAY_1, ROMEO), entry("2026-11-01T10:00:00Z", NURSE), entry(DAY_2, ROMEO)):
            batch.append(one)
        await self.storage.write(batch)
        client = await self.client()
        pref = f"<pref xmlns='{NS_ARCHIVE}'><item jid='{NURSE}' save='false' otr='require'/></pref>"
        self.assertEqual((await self.ask(client, "set", pref))["type"], "result")
        gone: Deferred[None] = Deferred()
        client.write = lambda data: gone.callback(None)  # type: ignore[method-assign]
        client.send(f"<iq type='set' id='q'><remove xmlns='{NS_ARCHIVE}' with='{NURSE}'/></iq>")
        await gone
        await self.reopen()
        client = await self.client()
        answer = await self.ask(client, "get", f"<list xmlns='{NS_ARCHIVE}'/>")
        chats = [chat for chat in answer.list.elements() if chat.name == "chat"]
        self.assertEqual([(chat["start"], chat["with"]) for chat in chats], [(DAY_1, ROMEO), (DAY_2, ROMEO)])
        ask = f"<retrieve xmlns='{NS_ARCHIVE}' with='{ROMEO}' start='{DAY_2}'/>"
        self.assertEqual(str((await self.ask(client, "get", ask)).chat.elements().__next__().body), "hi")
        answer = await self.ask(client, "get", f"<pref xmlns='{NS_ARCHIVE}'/>")
        self.assertEqual((answer.pref.item["jid"], answer.pref.item["otr"]), (NURSE, "require"))

    async def test_own_archive_only(self) -> None:
        """A removal touches nobody else's archive in the same table."""
        await self.storage.write(Batch().append(entry(DAY_1, ROMEO)._replace(owner="romeo")))
        client = await self.client()
        refused: Deferred[bytes] = Deferred()
        client.write = refused.callback  # type: ignore[method-assign,assignment]
        client.send(f"<iq type='set' id='q'><remove xmlns='{NS_ARCHIVE}'/></iq>")
        self.assertIn(b"item-not-found", await refused)
        found = await self.storage.logs.range("example.org", "romeo", "archive", LogQuery())
        self.assertEqual(len(found.entries), 1)
