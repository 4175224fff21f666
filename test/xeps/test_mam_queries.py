"""XEP-0313: what the archive gives, page by page, and to whom."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import event
from twisted.words.xish import domish

from palaver.archive import pages, stanzaids
from palaver.archive.query import ArchiveQuery
from palaver.errors import StorageError
from palaver.jid import JID
from palaver.storage import Batch, Entry, ids
from palaver.test.archive.house import ArchiveCase
from palaver.test.house import Client, now
from palaver.test.storage.faulty import FaultyStorage
from palaver.test.storage.sqlite import SqliteCase
from palaver.times import stamp
from palaver.xeps.disco import ServiceDiscovery

NS_MAM = "urn:xmpp:mam:2"
NS_RSM = "http://jabber.org/protocol/rsm"
FIRST = ids.from_time(1_700_000_000)
"""The id of Juliet's first message; the others follow, one a second."""
SECOND = ids.from_time(1)


def field(name: str, *values: str) -> str:
    """Give a field of a form."""
    return f"<field var='{name}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"


def form(*fields: str, kind: str = "submit", form_type: str = NS_MAM) -> str:
    """Give a submitted form."""
    return f"<x xmlns='jabber:x:data' type='{kind}'>{field('FORM_TYPE', form_type)}{''.join(fields)}</x>"


def page(inner: str) -> str:
    """Give what asks for a page."""
    return f"<set xmlns='{NS_RSM}'>{inner}</set>"


def sid(number: int) -> str:
    """Give the id of Juliet's n-th message, from 0, as clients see it."""
    return stanzaids.to_text(FIRST + number * SECOND)


def when(number: int) -> str:
    """Give the time of Juliet's n-th message."""
    return stamp(1_700_000_000 + number)


class QueryCase(ArchiveCase):
    """Juliet has ten messages, 0 to 9, in turn from Romeo's two resources and the nurse."""

    def setUp(self) -> None:
        super().setUp()
        senders = ("romeo@example.org/orchard", "nurse@example.org/room", "romeo@example.org/garden")
        batch = Batch()
        for n in range(10):
            sender = senders[n % 3]
            payload = (
                f"<message from='{sender}' to='juliet@example.org' xmlns='jabber:client'>"
                f"<body>{n}</body></message>"
            )
            text = f"number {n} {'odd' if n % 2 else 'even'}"
            peer = sender.partition("/")[0]
            batch.append(
                Entry(
                    "example.org", "juliet", "archive", FIRST + n * SECOND, payload.encode(), peer, None, text
                )
            )
        now(self.house.storage.write(batch))

    def asks(self, inner: str = "", who: Client | None = None, name: str = "query") -> domish.Element:
        """Have somebody (Juliet) query; what came before the answer is in ``results``."""
        client = who or self.juliet
        client.take()
        client.send(f"<iq type='set' id='q'><{name} xmlns='{NS_MAM}' queryid='f'>{inner}</{name}></iq>")
        *self.results, answer = client.take()
        self.assertEqual((answer.name, answer["id"]), ("iq", "q"))
        return answer

    def bodies(self, inner: str = "") -> str:
        """Query; give the numbers of the messages that came, with an asterisk when the page is complete."""
        fin = self.asks(inner).firstChildElement()
        self.assertEqual((fin.uri, fin.name), (NS_MAM, "fin"))
        numbers = [str(result.result.forwarded.message.body) for result in self.results]
        place = fin.firstChildElement()
        self.assertEqual(place.first is None, not numbers)
        if numbers:
            ordered = sorted(numbers)
            self.assertEqual(
                (str(place.first), str(place.last)), (sid(int(ordered[0])), sid(int(ordered[-1])))
            )
        return "".join(numbers) + ("*" if fin.getAttribute("complete") == "true" else "")

    def refused(self, inner: str, who: Client | None = None, name: str = "query") -> str:
        """Query; give the condition of the error, before which nothing came."""
        answer = self.asks(inner, who, name)
        self.assertEqual((answer["type"], self.results), ("error", []))
        condition: str = answer.error.firstChildElement().name
        return condition


class ResultTests(QueryCase):
    """What a page looks like."""

    def test_result(self) -> None:
        """Each message comes inside a result with its id and time, from the account to who asked."""
        answer = self.asks()
        got = self.results[0]
        self.assertEqual((got["from"], got["to"]), ("juliet@example.org", "juliet@example.org/balcony"))
        result = got.result
        self.assertEqual((result.uri, result["queryid"], result["id"]), (NS_MAM, "f", sid(0)))
        delay, message = result.forwarded.elements()
        self.assertEqual((delay.uri, delay["stamp"]), ("urn:xmpp:delay", "2023-11-14T22:13:20Z"))
        self.assertEqual((message.uri, message["from"]), ("jabber:client", "romeo@example.org/orchard"))
        self.assertEqual(answer.fin["complete"], "true")

    def test_position(self) -> None:
        """What is known without counting is told: where the page lies, how much there is."""
        rows = (
            ("", "0", "10"), (page("<max>3</max>"), "0", None), (page("<max>3</max><before/>"), None, None),
            (page("<before/>"), "0", "10"), (page(f"<after>{sid(8)}</after>"), None, None),
        )  # fmt: skip
        for inner, index, count in rows:
            place = self.asks(inner).fin.firstChildElement()
            self.assertEqual(
                (place.first.getAttribute("index"), place.count and str(place.count)), (index, count)
            )

    def test_no_query_id(self) -> None:
        """Without a queryid the results have none; one with strange characters comes back as it was."""
        for attribute, given in (("", None), (" queryid=''", None), (" queryid='&lt;&apos;'", "<'")):
            self.juliet.take()
            self.juliet.send(f"<iq type='set' id='q'><query xmlns='{NS_MAM}'{attribute}/></iq>")
            self.assertEqual(self.juliet.take()[0].result.getAttribute("queryid"), given)

    def test_own_address(self) -> None:
        """An account may name itself."""
        self.juliet.send(f"<iq type='set' id='q' to='juliet@example.org'><query xmlns='{NS_MAM}'/></iq>")
        self.assertEqual(len(self.juliet.take()), 11)

    def test_empty(self) -> None:
        """An empty archive has an empty page, and metadata without ends."""
        answer = self.asks("", self.romeo)
        self.assertEqual((self.results, answer.fin["complete"]), ([], "true"))
        self.assertEqual(str(answer.fin.firstChildElement().count), "0")
        answer = self.romeo.ask(f"<iq type='get' id='m'><metadata xmlns='{NS_MAM}'/></iq>")
        self.assertEqual(list(answer.metadata.elements()), [])

    def test_metadata(self) -> None:
        """Metadata tell the first and the last message."""
        answer = self.juliet.ask(f"<iq type='get' id='m'><metadata xmlns='{NS_MAM}'/></iq>")
        ends = [(node.name, node["id"], node["timestamp"]) for node in answer.metadata.elements()]
        self.assertEqual(ends, [("start", sid(0), when(0)), ("end", sid(9), when(9))])

    def test_form(self) -> None:
        """The form names every field that may be asked for, and requires none."""
        answer = self.juliet.ask(f"<iq type='get' id='f'><query xmlns='{NS_MAM}'/></iq>")
        fields = {node["var"]: node["type"] for node in answer.query.x.elements()}
        self.assertEqual(
            fields,
            {
                "FORM_TYPE": "hidden", "with": "jid-single", "start": "text-single", "end": "text-single",
                "before-id": "text-single", "after-id": "text-single", "ids": "list-multi",
                "include-groupchat": "boolean", "{urn:xmpp:fulltext:0}fulltext": "text-single",
                "full-text-search": "text-single",
            },
        )  # fmt: skip
        (ids_field,) = [node for node in answer.query.x.elements() if node["var"] == "ids"]
        self.assertIsNotNone(ids_field.validate.open)

    def test_features(self) -> None:
        """Accounts announce what their archives can do."""
        self.house.add(ServiceDiscovery)
        answer = self.juliet.ask(
            "<iq type='get' id='d' to='juliet@example.org'>"
            "<query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        )
        features = {node["var"] for node in answer.query.elements() if node.name == "feature"}
        self.assertLessEqual(
            {
                NS_MAM, f"{NS_MAM}#extended", "urn:xmpp:sid:0", "urn:xmpp:fulltext:0",
                "urn:xmpp:message-retract:1", "urn:xmpp:message-retract:1#tombstone",
            },
            features,
        )  # fmt: skip


class PageTests(QueryCase):
    """Which messages come, in which order."""

    def test_pages(self) -> None:
        """Forwards, backwards, from the middle, at the ends, flipped, empty."""
        rows = {
            "": "0123456789*",
            page("<max>4</max>"): "0123",
            page("<max>10</max>"): "0123456789*",
            page(f"<max>4</max><after>{sid(3)}</after>"): "4567",
            page(f"<max>4</max><after>{sid(7)}</after>"): "89*",
            page(f"<max>2</max><after>{sid(7)}</after>"): "89*",
            page(f"<after>{sid(9)}</after>"): "*",
            page("<max>4</max><before/>"): "6789",
            page(f"<max>4</max><before>{sid(6)}</before>"): "2345",
            page(f"<max>4</max><before>{sid(2)}</before>"): "01*",
            page(f"<before>{sid(0)}</before>"): "*",
            page(f"<max>2</max><after>{sid(2)}</after><before/>"): "89",
            page(f"<max>5</max><after>{sid(2)}</after><before>{sid(6)}</before>"): "345*",
            page("<max>3</max>") + "<flip-page/>": "210",
            page("<max>3</max><before/>") + "<flip-page/>": "987",
        }
        for inner, numbers in rows.items():
            self.assertEqual(self.bodies(inner), numbers, inner)

    def test_filters(self) -> None:
        """By who, by when, by id, by words, and several of them."""
        rows = {
            form(): "0123456789*",
            form(field("with", "nurse@example.org")): "147*",
            form(field("with", "Romeo@example.org")): "0235689*",
            form(field("with", "romeo@example.org/garden")): "258*",
            form(field("with", "romeo@example.org/window")): "*",
            form(field("with", "juliet@example.org")): "*",
            form(field("with", "example.org")): "*",
            form(field("start", when(7))): "789*",
            form(field("end", when(2))): "012*",
            form(field("start", when(3)), field("end", when(3))): "3*",
            form(field("start", "2023-11-14T23:13:28+01:00")): "89*",
            form(field("start", "2999-01-01T00:00:00Z")): "*",
            form(field("end", "0001-01-01T00:00:00Z")): "*",
            form(field("end", "9999-12-31T23:59:59Z")): "0123456789*",
            form(field("after-id", sid(7))): "89*",
            form(field("before-id", sid(2))): "01*",
            form(field("after-id", sid(2)), field("before-id", sid(6))): "345*",
            form(field("after-id", sid(6)), field("before-id", sid(2))): "*",
            form(field("ids", sid(7))): "7*",
            form(field("ids", sid(7), sid(1), sid(7))): "17*",
            form(
                field("ids", sid(7), sid(1)), field("with", "nurse@example.org"), field("end", when(5))
            ): "1*",
            form(field("ids", sid(7), sid(2)), field("{urn:xmpp:fulltext:0}fulltext", "odd")): "7*",
            form(field("ids", sid(1), sid(5)), field("after-id", sid(3))): "5*",
            form(field("ids")): "*",
            form(field("{urn:xmpp:fulltext:0}fulltext", "ODD  number")): "13579*",
            form(field("full-text-search", "5")): "5*",
            form(field("full-text-search", "")): "0123456789*",
            form(field("full-text-search", "?!")): "*",
            form(field("full-text-search", "odd"), field("with", "nurse@example.org")): "17*",
            form(field("include-groupchat", "false")): "0123456789*",
            form(field("with")): "0123456789*",
        }
        for inner, numbers in rows.items():
            self.assertEqual(self.bodies(inner), numbers, inner)

    def test_pages_of_filters(self) -> None:
        """A filter holds on every page."""
        nurse, garden = (
            form(field("with", who)) for who in ("nurse@example.org", "romeo@example.org/garden")
        )
        named = form(field("ids", *map(sid, range(5))))
        rows = {
            nurse + page("<max>2</max>"): "14",
            nurse + page(f"<max>2</max><after>{sid(4)}</after>"): "7*",
            nurse + page(f"<max>1</max><after>{sid(2)}</after>"): "4",
            garden + page("<max>2</max>"): "25",
            garden + page("<max>2</max><before/>"): "58",
            garden + page(f"<max>2</max><before>{sid(5)}</before>"): "2*",
            named + page("<max>2</max>"): "01",
            named + page(f"<max>2</max><after>{sid(2)}</after>"): "34*",
            named + page("<max>2</max><before/>"): "34",
            form(field("before-id", sid(4))) + page("<max>3</max><before/>"): "123",
            form(field("after-id", sid(4))) + page("<max>3</max>"): "567",
        }
        for inner, numbers in rows.items():
            self.assertEqual(self.bodies(inner), numbers, inner)

    def test_message_to_oneself(self) -> None:
        """With one's own address only what one wrote to oneself comes."""
        self.write("me", "juliet@example.org", self.juliet)
        self.asks(form(field("with", "juliet@example.org")))
        self.assertEqual([str(got.result.forwarded.message.body) for got in self.results], ["me"])

    def test_count(self) -> None:
        """A page of no messages tells how many there are."""
        rows = {"": "10", form(field("with", "nurse@example.org")): "3", form(field("end", when(0))): "1"}
        for inner, count in rows.items():
            fin = self.asks(inner + page("<max>0</max>")).fin
            self.assertEqual((str(fin.firstChildElement().count), self.results), (count, []))
            self.assertFalse(fin.hasAttribute("complete"))

    def test_long_search_for_a_resource(self) -> None:
        """Messages of one resource are found behind many others, and the search for them ends."""
        self.patch(pages, "SCAN_SIZE", 2)
        garden = form(field("with", "romeo@example.org/garden"))
        self.assertEqual(self.bodies(garden), "258*")
        self.assertEqual(self.bodies(garden + page("<max>2</max><before/>")), "58")
        self.patch(pages, "MAX_SCANNED", 4)
        self.assertEqual(self.bodies(garden), "25")
        self.assertEqual(self.refused(form(field("with", "romeo@example.org/window"))), "resource-constraint")


class LimitTests(QueryCase):
    """How long a page is."""

    options: ClassVar[dict[str, Any]] = {"default_result_limit": 3, "max_result_limit": 5}

    def test_limits(self) -> None:
        """There is a usual length and a largest one."""
        self.assertEqual(self.bodies(), "012")
        self.assertEqual(self.bodies(page("<max>4</max>")), "0123")
        self.assertEqual(self.bodies(page("<max>1000000000000</max>")), "01234")
        self.assertEqual(self.bodies(page("<before/>")), "789")

    def test_walk(self) -> None:
        """Page after page brings everything once, in both directions."""
        for way, end in (("after", -1), ("before", 0)):
            seen, inner = "", "<before/>" if way == "before" else ""
            while not seen.endswith("*"):
                got = self.bodies(page(inner))
                seen = seen + got if way == "after" else got.rstrip("*") + seen + "*" * got.count("*")
                inner = f"<{way}>{sid(int(got.rstrip('*')[end]))}</{way}>"
            self.assertEqual(seen, "0123456789*")


class RefusalTests(QueryCase):
    """What is refused, and with which error."""

    def test_bad_queries(self) -> None:
        """Each mistake has the error that its specification names, and brings no message."""
        absent = stanzaids.to_text(FIRST + 1)
        rows = {
            form(form_type="urn:example"): "bad-request",
            form(kind="cancel"): "bad-request",
            form(field("with", "@")): "bad-request",
            form(field("with", "a@b", "c@d")): "bad-request",
            form(field("start", "yesterday")): "bad-request",
            form(field("start", "")): "bad-request",
            form(field("end", "2023-11-14T22:13:20")): "bad-request",
            form(field("start", "2023-13-14T22:13:20Z")): "bad-request",
            form(field("include-groupchat", "maybe")): "bad-request",
            form(field("colour", "blue")): "feature-not-implemented",
            form(field("before-id", absent)): "item-not-found",
            form(field("after-id", "nonsense")): "item-not-found",
            form(field("after-id", "")): "item-not-found",
            form(field("ids", sid(1), absent)): "item-not-found",
            form(field("ids", sid(1)), field("after-id", absent)): "item-not-found",
            form(field("ids", *(sid(n) for n in range(501)))): "resource-constraint",
            page(f"<after>{absent}</after>"): "item-not-found",
            page(f"<before>{absent}</before>"): "item-not-found",
            page("<after>ffffffffffffffffffff</after>"): "item-not-found",
            page("<after>0</after>"): "item-not-found",
            page(f"<after>{sid(3).upper()}</after>"): "item-not-found",
            page("<max>many</max>"): "bad-request",
            page("<max>-1</max>"): "bad-request",
            page("<index>2</index>"): "feature-not-implemented",
        }
        for inner, condition in rows.items():
            self.assertEqual(self.refused(inner), condition, inner)

    def test_ids_of_others(self) -> None:
        """An id of somebody else's archive is as unknown as any."""
        self.write("a", "nurse@example.org")
        (foreign,) = self.ids("nurse")
        for inner in (
            form(field("ids", foreign)), form(field("after-id", foreign)),
            page(f"<before>{foreign}</before>"),
        ):  # fmt: skip
            self.assertEqual(self.refused(inner), "item-not-found")

    def test_archives_of_others(self) -> None:
        """Nobody learns anything of somebody else's archive, not even whether there is one."""
        for to in ("juliet@example.org", "nobody@example.org"):
            for kind, name in (
                ("get", "query"), ("set", "query"), ("get", "metadata"), ("get", "prefs"), ("set", "prefs"),
            ):  # fmt: skip
                answer = self.romeo.ask(
                    f"<iq type='{kind}' id='q' to='{to}'><{name} xmlns='{NS_MAM}' default='never'/></iq>"
                )
                self.assertEqual(answer.error.firstChildElement().name, "forbidden", (to, kind, name))
        answer = self.juliet.ask(f"<iq type='get' id='p'><prefs xmlns='{NS_MAM}'/></iq>")
        self.assertEqual(answer.prefs["default"], "always")

    def test_nothing_to_ask(self) -> None:
        """The server itself has no archive, and metadata are not set."""
        self.assertEqual(self.refused("", name="metadata"), "service-unavailable")
        answer = self.juliet.ask(f"<iq type='set' id='q' to='example.org'><query xmlns='{NS_MAM}'/></iq>")
        self.assertEqual(answer.error.firstChildElement().name, "service-unavailable")

    def test_storage_fails(self) -> None:
        """When the archive cannot be read the answer is an error, and the next question finds it again."""
        storage = FaultyStorage(self.house.storage)
        self.put_storage(storage)
        for inner in ("", page(f"<after>{sid(3)}</after>")):
            storage.reads.fail()
            self.assertEqual(self.refused(inner), "internal-server-error")
            storage.reads.go_on()
        self.assertEqual(self.bodies(), "0123456789*")
        self.flushLoggedErrors(StorageError)

    def test_session_that_leaves(self) -> None:
        """Results for a session that has gone in the meantime reach nobody."""
        storage = FaultyStorage(self.house.storage)
        self.put_storage(storage)
        other = self.house.login("juliet", "garden", "<presence/>")
        other.take()
        storage.reads.stall()
        self.juliet.send(f"<iq type='set' id='q'><query xmlns='{NS_MAM}'/></iq>")
        self.juliet.session.unbind()
        other.take()
        storage.reads.go_on()
        self.assertEqual(other.take(), [])


class NoSearchTests(QueryCase):
    """A server that keeps no index of texts."""

    options: ClassVar[dict[str, Any]] = {"full_text_search": False}

    def test_search(self) -> None:
        """Searches are refused, and not offered."""
        for name in ("full-text-search", "{urn:xmpp:fulltext:0}fulltext"):
            self.assertEqual(self.refused(form(field(name, "odd"))), "feature-not-implemented")
        answer = self.juliet.ask(f"<iq type='get' id='f'><query xmlns='{NS_MAM}'/></iq>")
        self.assertNotIn("full-text-search", {node["var"] for node in answer.query.x.elements()})


class LargeArchiveTests(SqliteCase):
    """A page of a large archive on SQLite costs what one of a small archive costs."""

    SIZE = 20_000

    async def fill(self) -> None:
        """Give Juliet a large archive with many peers."""
        batch = Batch()
        for n in range(self.SIZE):
            payload = (
                f"<message from='p{n % 100}@b/r' xmlns='jabber:client'><body>{n}</body></message>".encode()
            )
            id = FIRST + n * SECOND
            batch.append(Entry("example.org", "juliet", "archive", id, payload, f"p{n % 100}@b", f"r{n}"))
        await self.storage.write(batch)

    async def test_pages(self) -> None:
        """Every kind of page is found by an index that gives it in order: nothing is sorted or scanned."""
        await self.fill()
        statements: list[tuple[str, Any]] = []

        def seen(connection: object, cursor: object, statement: str, parameters: Any, *_: object) -> None:
            statements.append((statement, parameters))

        event.listen(self.storage.reading, "before_cursor_execute", seen)
        archive = pages.Archive(self.storage.logs, "example.org", "juliet", "archive")
        queries = {
            "first": ArchiveQuery(),
            "last": ArchiveQuery(backwards=True),
            "middle": ArchiveQuery(after=FIRST + 9999 * SECOND, known=frozenset((FIRST + 9999 * SECOND,))),
            "peer": ArchiveQuery(peer=JID("p7", "b", ""), backwards=True),
        }
        found = {name: await pages.find(archive, query) for name, query in queries.items()}
        first = {name: got.entries[0].id for name, got in found.items()}
        self.assertEqual(
            {name: (id - FIRST) // SECOND for name, id in first.items()},
            {"first": 0, "last": self.SIZE - 50, "middle": 10_000, "peer": self.SIZE - 93 - 49 * 100},
        )
        self.assertEqual({len(got.entries) for got in found.values()}, {50})
        self.assertEqual(len(statements), 4)
        aside = self.aside()
        for statement, parameters in statements:
            plan = [row[3] for row in aside.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            self.assertEqual(len(plan), 1, plan)
            self.assertRegex(plan[0], r"^SEARCH entries USING INDEX entries_by_(id|peer) \(host=\?")
            self.assertIn("id", plan[0].partition("kind=?")[2], plan)
