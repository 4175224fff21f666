"""XEP-0160, and XEP-0203 for the stamps."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from pydantic import ValidationError
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.errors import StorageError
from palaver.routing.lifecycle import delete_account
from palaver.routing.pipeline import TO_USER, UNDELIVERED
from palaver.storage import Batch, DeleteEntries, Entry, ids
from palaver.test.house import Client, House, now, stanza
from palaver.xeps.offline import FULL, MAX_HOLD_S, PAGE_SIZE, Offline

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"


def message(body: str, kind: str = "chat", more: str = "") -> str:
    """Give a message to Juliet."""
    return f"<message type='{kind}' id='{body}' to='juliet@example.org'><body>{body}</body>{more}</message>"


class OfflineTestCase(SynchronousTestCase):
    """Romeo writes, Juliet is away."""

    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Log Romeo in."""
        self.house = House(Offline, Offline=self.options)
        self.romeo = self.house.login("romeo")

    def juliet(self, presence: str = "<presence/>", resource: str = "balcony") -> Client:
        """Log Juliet in."""
        return self.house.login("juliet", resource, presence)

    def bodies(self, client: Client) -> list[str]:
        """Give the texts of the messages that a client got."""
        return [str(got.body) for got in client.take() if got.name == "message"]

    def queue(self) -> int:
        """Give how many messages are kept for Juliet."""
        return int(now(self.house.storage.logs.count("example.org", "juliet", "offline")))

    def error(self) -> domish.Element:
        """Give the error that Romeo got."""
        (got,) = self.romeo.take()
        self.assertEqual(got["type"], "error")
        error: domish.Element = got.error
        return error


class KeepTests(OfflineTestCase):
    """Which messages are kept."""

    def test_chat_and_normal(self) -> None:
        """Chat messages and those without a type are kept, and the sender hears nothing."""
        self.romeo.send(message("1") + message("2", "normal") + message("3").replace(" type='chat'", ""))
        self.assertEqual((self.queue(), self.romeo.take()), (3, []))

    def test_full_address(self) -> None:
        """A message for a resource that is gone is kept for the account."""
        self.romeo.send(message("1").replace("juliet@example.org", "juliet@example.org/balcony"))
        self.assertEqual(self.bodies(self.juliet()), ["1"])

    def test_negative_priority(self) -> None:
        """A session that takes no messages leaves them in the queue."""
        client = self.juliet("<presence><priority>-1</priority></presence>")
        self.romeo.send(message("1"))
        self.assertEqual((self.bodies(client), self.queue()), ([], 1))

    def test_headline_and_error(self) -> None:
        """Headlines and errors vanish."""
        self.romeo.send(message("1", "headline") + message("2", "error"))
        self.assertEqual((self.queue(), self.romeo.take()), (0, []))

    def test_groupchat(self) -> None:
        """A room's message for somebody who is away is refused."""
        self.romeo.send(message("1", "groupchat"))
        self.assertEqual(self.error().firstChildElement().name, "service-unavailable")
        self.assertEqual(self.queue(), 0)

    def test_nothing_to_keep(self) -> None:
        """Chat states, and messages with nothing in them, vanish; with anything else they are kept."""
        state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
        hint = "<no-store xmlns='urn:xmpp:hints'/>"
        for inner in (state, f" {state}<thread>t</thread>", state + hint, "", " "):
            self.romeo.send(f"<message type='chat' to='juliet@example.org'>{inner}</message>")
        self.assertEqual((self.queue(), self.romeo.take()), (0, []))
        self.romeo.send(message("1", more=state))
        self.assertEqual(self.queue(), 1)

    def test_receipt(self) -> None:
        """A message without a text, such as a receipt, is kept."""
        self.romeo.send(
            "<message to='juliet@example.org'><received xmlns='urn:xmpp:receipts' id='1'/></message>"
        )
        self.assertEqual(self.queue(), 1)

    def test_archive_result(self) -> None:
        """An archive's result is of no use later."""
        self.romeo.send(message("1", more="<result xmlns='urn:xmpp:mam:2' id='1'/>"))
        self.assertEqual((self.queue(), self.romeo.take()), (0, []))

    def test_no_store(self) -> None:
        """A message that must not be stored goes back to its sender."""
        self.romeo.send(message("1", more="<no-store xmlns='urn:xmpp:hints'/>"))
        self.assertEqual(self.error().firstChildElement().name, "service-unavailable")
        self.assertEqual(self.queue(), 0)

    def test_no_account(self) -> None:
        """Nothing is kept for an account that does not exist."""
        self.romeo.send(message("1").replace("juliet@", "nobody@"))
        self.assertEqual(self.error().firstChildElement().name, "service-unavailable")

    def test_sent_again(self) -> None:
        """A message that is sent again after a lost connection is kept once; a new one with an old id too."""
        self.romeo.send(message("1") + message("1"))
        self.assertEqual(self.queue(), 1)
        self.romeo.send(message("1").replace("<body>1<", "<body>2<"))
        self.assertEqual(self.bodies(self.juliet()), ["1", "2"])

    def test_sent_again_by_origin_id(self) -> None:
        """The client's own id counts where there is one."""
        more = "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>"
        self.romeo.send(message("1", more=more) + message("1", more=more).replace("id='1'", "id='2'", 1))
        self.assertEqual(self.queue(), 1)

    def test_without_id(self) -> None:
        """Messages without any id are all kept."""
        self.romeo.send(message("1").replace(" id='1'", "") * 2)
        self.assertEqual(self.queue(), 2)

    def test_acknowledged_when_stored(self) -> None:
        """What the stream waits for fires once the message is committed, and not before."""
        commits: list[Deferred[None]] = []

        def write(batch: Batch) -> Deferred[None]:
            commits.append(Deferred())
            return commits[-1]

        self.patch(self.house.storage, "write", write)
        waiting = self.romeo.send(message("1"))
        self.assertNoResult(waiting)
        commits[0].callback(None)
        self.successResultOf(waiting)

    def test_storage_fails(self) -> None:
        """When it cannot be stored the sender is told so and may try again; the count is right afterwards."""
        write = self.house.storage.write
        self.patch(self.house.storage, "write", lambda batch: fail(StorageError("down")))
        self.romeo.send(message("1"))
        error = self.error()
        self.assertEqual((error.firstChildElement().name, error["type"]), ("internal-server-error", "wait"))
        self.patch(self.house.storage, "write", write)
        self.romeo.send(message("2"))
        self.assertEqual(self.bodies(self.juliet()), ["2"])

    def test_count_fails(self) -> None:
        """When the queue cannot be counted the message is refused, not lost."""
        self.patch(self.house.storage.logs, "count", lambda *_: fail(StorageError("down")))
        self.romeo.send(message("1"))
        self.assertEqual(self.error()["type"], "wait")

    def test_unloaded(self) -> None:
        """Without the module the sender gets an error."""
        self.house.modules["Offline"].detach()
        self.romeo.send(message("1"))
        self.assertEqual(self.error().firstChildElement().name, "service-unavailable")


class LimitTests(OfflineTestCase):
    """A queue has an end."""

    options: ClassVar[dict[str, Any]] = {"access_max_user_messages": 2}

    def test_full(self) -> None:
        """One message too many goes back to its sender, with the reason."""
        self.romeo.send(message("1") + message("2") + message("3"))
        error = self.error()
        self.assertEqual((error.firstChildElement().name, error["type"]), ("resource-constraint", "wait"))
        self.assertEqual(str(error.text), FULL)
        self.assertEqual(self.bodies(self.juliet()), ["1", "2"])

    def test_room_again(self) -> None:
        """Once the messages are fetched there is room again."""
        self.romeo.send(message("1") + message("2"))
        client = self.juliet()
        client.session.end()
        self.romeo.send(message("3") + message("4") + message("5"))
        self.assertEqual(self.queue(), 2)

    def test_known_after_restart(self) -> None:
        """What was stored before a restart counts."""
        self.romeo.send(message("1") + message("2"))
        self.house.modules["Offline"].detach()
        self.house.add(Offline, **self.options)
        self.romeo.send(message("3"))
        self.assertEqual(self.error().firstChildElement().name, "resource-constraint")

    def test_together(self) -> None:
        """Messages that arrive while the queue is being counted are counted too."""
        counted: Deferred[int] = Deferred()
        second: Deferred[int] = Deferred()
        third: Deferred[int] = Deferred()
        answers = [counted, second, third]
        count = self.patch(self.house.storage.logs, "count", lambda *_: answers.pop(0))
        for body in "123":
            self.romeo.send(message(body))
        self.assertEqual(answers, [])
        for waiting in (counted, second, third):
            waiting.callback(0)
        count.restore()
        self.assertEqual(self.error().firstChildElement().name, "resource-constraint")
        self.assertEqual(self.queue(), 2)

    def test_infinity(self) -> None:
        """The administrator may lift the limit; a negative one, or a word, is refused."""
        Offline.Settings(access_max_user_messages="infinity")
        for limit in (-1, "many"):
            with self.assertRaises(ValidationError):
                Offline.Settings.model_validate({"access_max_user_messages": limit})

    def test_account_deleted(self) -> None:
        """An account that is made again begins with an empty queue."""
        self.romeo.send(message("1") + message("2"))
        now(delete_account(self.house.host, "juliet"))
        self.house.accounts.names.add("juliet")
        self.romeo.send(message("3") + message("4"))
        self.assertEqual(self.bodies(self.juliet()), ["3", "4"])


class HandOverTests(OfflineTestCase):
    """Somebody comes, and gets what was kept."""

    def test_order_and_stamp(self) -> None:
        """The messages come in the order in which they were sent, each with a stamp of the server's."""
        self.romeo.send(message("1") + message("2") + message("3"))
        got = [got for got in self.juliet().take() if got.name == "message"]
        self.assertEqual([str(one.body) for one in got], ["1", "2", "3"])
        for one in got:
            self.assertEqual((one["from"], one["type"]), ("romeo@example.org/orchard", "chat"))
            self.assertEqual((one.delay.uri, one.delay["from"]), ("urn:xmpp:delay", "example.org"))
            self.assertRegex(one.delay["stamp"], STAMP)
        self.assertEqual(self.queue(), 0)

    def test_once(self) -> None:
        """Who comes second gets nothing."""
        self.romeo.send(message("1"))
        self.juliet()
        self.assertEqual(self.bodies(self.juliet(resource="chamber")), [])

    def test_not_before_presence(self) -> None:
        """Nothing comes before the first presence, nor while its priority is negative."""
        self.romeo.send(message("1"))
        client = self.juliet("")
        client.send("<presence><priority>-5</priority></presence>")
        self.assertEqual(self.bodies(client), [])
        client.send("<presence><priority>1</priority></presence>")
        self.assertEqual(self.bodies(client), ["1"])

    def test_forged_stamp(self) -> None:
        """A stamp that claims to be this server's is taken away; others stay."""
        forged = "<delay xmlns='urn:xmpp:delay' from='example.org' stamp='2001-01-01T00:00:00Z'/>"
        room = "<delay xmlns='urn:xmpp:delay' from='hall@muc.example.com' stamp='2002-01-01T00:00:00Z'/>"
        self.romeo.send(message("1", more=forged + room))
        (got,) = [got for got in self.juliet().take() if got.name == "message"]
        stamps = {node["from"]: node["stamp"] for node in got.elements() if node.name == "delay"}
        self.assertEqual(stamps["hall@muc.example.com"], "2002-01-01T00:00:00Z")
        self.assertGreater(stamps["example.org"], "2020")

    def test_content(self) -> None:
        """Whatever is inside of a message comes out as it went in."""
        more = "<x xmlns='a' b='&lt;&apos;'><y xmlns='c'>&amp; \u2665</y></x>"
        self.romeo.send(message("1", more=more))
        (got,) = [got for got in self.juliet().take() if got.name == "message"]
        self.assertEqual((got.x["b"], got.x.y.uri, str(got.x.y)), ("<'", "c", "& \u2665"))

    def test_many(self) -> None:
        """A long queue comes whole, page by page."""
        count = 2 * PAGE_SIZE + 3
        for number in range(count):
            self.romeo.send(message(str(number)))
        self.assertEqual(self.bodies(self.juliet()), [str(number) for number in range(count)])
        self.assertEqual(self.queue(), 0)

    def test_session_gone(self) -> None:
        """What a session did not take stays for the next one."""
        for number in range(5):
            self.romeo.send(message(str(number)))
        client = self.juliet("")
        taken: list[Any] = []
        send = type(client.session).send

        def send_twice(session: Any, given: Any, encoded: Any = None) -> bool:
            if given.name == "message":
                if len(taken) == 2:
                    session.unbind()
                else:
                    taken.append(given)
            return bool(send(session, given, encoded))

        self.patch(type(client.session), "send", send_twice)
        client.send("<presence/>")
        self.assertEqual((self.bodies(client), self.queue()), (["0", "1"], 3))
        self.patch(type(client.session), "send", send)
        self.assertEqual(self.bodies(self.juliet()), ["2", "3", "4"])

    def test_read_fails(self) -> None:
        """When the queue cannot be read the session goes on, and the messages are there next time."""
        self.romeo.send(message("1"))
        read = self.house.storage.logs.range
        self.patch(self.house.storage.logs, "range", lambda *_: fail(StorageError("down")))
        client = self.juliet()
        self.romeo.send(message("2"))
        self.assertEqual(self.bodies(client), ["2"])
        self.patch(self.house.storage.logs, "range", read)
        client.send("<presence type='unavailable'/><presence/>")
        self.assertEqual(self.bodies(client), ["1"])

    def test_damaged(self) -> None:
        """An entry that cannot be read does not stand in the way of the others."""
        broken = Entry("example.org", "juliet", "offline", ids.new_id(), b"<broken")
        now(self.house.storage.write(Batch().append(broken)))
        self.romeo.send(message("1"))
        self.assertEqual(self.bodies(self.juliet()), ["1"])
        self.assertEqual(self.queue(), 0)


class ExpiryTests(OfflineTestCase):
    """Messages that are of no use after a while (XEP-0023)."""

    def test_table(self) -> None:
        """A message that waited for longer than it says is forgotten, and nobody is told."""
        rows = (("30", False), ("3600", True), ("0", True), ("-5", True), ("soon", True), ("", True))
        for seconds, comes in rows:
            self.romeo.send(message("1", more=f"<x xmlns='jabber:x:expire' seconds='{seconds}'/>"))
            self.patch(time, "time", lambda: time.time_ns() / 1e9 + 60)
            client = self.juliet()
            self.assertEqual((self.bodies(client), self.queue()), (["1"] if comes else [], 0), seconds)
            client.session.end()
        self.assertEqual(self.romeo.take(), [])


class SlowStorageTests(OfflineTestCase):
    """What happens while the storage takes its time."""

    def setUp(self) -> None:
        """Keep two messages, then have every deletion wait."""
        super().setUp()
        self.romeo.send(message("1") + message("2"))
        self.deletions: list[tuple[Batch, Deferred[None]]] = []
        self.write = self.house.storage.write
        self.house.storage.write = self.slow_write  # type: ignore[method-assign]

    def slow_write(self, batch: Batch) -> Deferred[None]:
        """Commit, deletions when they are told to."""
        if not isinstance(batch.changes[0], DeleteEntries):
            return self.write(batch)
        self.deletions.append((batch, Deferred()))
        return self.deletions[-1][1]

    def delete(self) -> None:
        """Let the oldest deletion happen."""
        batch, waiting = self.deletions.pop(0)
        self.write(batch).chainDeferred(waiting)

    def test_deleted_after_hand_over(self) -> None:
        """A message is deleted once a session has it."""
        client = self.juliet()
        self.assertEqual((self.bodies(client), self.queue()), (["1", "2"], 2))
        self.delete()
        self.assertEqual(self.queue(), 0)

    def test_newer_waits(self) -> None:
        """A message that comes meanwhile follows the older ones."""
        client = self.juliet()
        waiting = self.romeo.send(message("3"))
        self.assertEqual(self.bodies(client), ["1", "2"])
        self.assertNoResult(waiting)
        self.delete()
        self.assertEqual(self.bodies(client), ["3"])
        self.successResultOf(waiting)

    def test_held_up_before_somebody_came(self) -> None:
        """A message that was on its way to the archive when the queue began follows the older ones."""
        archived: Deferred[None] = Deferred()
        self.house.host.pipeline.add(TO_USER, "archive", ("message",), "mod_mam", lambda *_: archived)
        self.romeo.send(message("3"))
        client = self.juliet()
        archived.callback(None)
        self.assertEqual(self.bodies(client), ["1", "2"])
        self.delete()
        self.assertEqual(self.bodies(client), ["3"])

    def test_others_do_not_wait(self) -> None:
        """Messages of other kinds, and for others, do not wait."""
        client = self.juliet()
        self.bodies(client)
        nurse = self.house.login("nurse", presence="<presence/>")
        self.romeo.send(message("3", "headline"))
        self.romeo.send(message("4").replace("juliet@", "nurse@"))
        self.assertEqual((self.bodies(client), self.bodies(nurse)), (["3"], ["4"]))
        self.delete()

    def test_does_not_wait_for_ever(self) -> None:
        """With a storage that does not answer, newer messages come after a while all the same."""
        client = self.juliet()
        self.bodies(client)
        self.romeo.send(message("3"))
        self.house.clock.advance(MAX_HOLD_S + 1)
        self.assertEqual(self.bodies(client), ["3"])
        self.delete()
        self.assertEqual(self.house.clock.getDelayedCalls(), [])

    def test_not_twice(self) -> None:
        """A second session that comes meanwhile does not get the messages again."""
        self.juliet()
        self.assertEqual(self.bodies(self.juliet(resource="chamber")), [])
        self.delete()
        self.assertEqual(self.deletions, [])

    def test_delete_fails(self) -> None:
        """When the deletion fails, newer messages come, and the old ones come again next time."""
        client = self.juliet()
        self.romeo.send(message("3"))
        self.deletions.pop(0)[1].errback(StorageError("down"))
        self.assertEqual(self.bodies(client), ["1", "2", "3"])
        self.assertEqual(self.queue(), 2)

    def test_unload_waits(self) -> None:
        """Unloading the module waits for the hand-over, and leaves nothing behind."""
        self.juliet()
        waiting = self.house.modules["Offline"].detach()
        assert waiting is not None
        self.assertNoResult(waiting)
        self.delete()
        self.successResultOf(waiting)
        self.assertEqual(self.house.host.pipeline.rows(), [])

    def test_stored_while_somebody_comes(self) -> None:
        """A message whose commit is under way when somebody comes is handed over with the others."""
        commit: Deferred[None] = Deferred()
        write = self.house.storage.write
        batches: list[Batch] = []

        def slow(batch: Batch) -> Deferred[None]:
            batches.append(batch)
            return commit

        self.house.storage.write = slow  # type: ignore[method-assign]
        self.romeo.send(message("3"))
        self.house.storage.write = write  # type: ignore[method-assign]
        client = self.juliet()
        self.assertEqual(self.bodies(client), [])
        self.write(batches[0]).chainDeferred(commit)
        self.assertEqual(self.bodies(client), ["1", "2", "3"])
        self.delete()

    def test_decided_before_somebody_came(self) -> None:
        """A message that another module held up on its way to the store does not stay there."""
        notified: Deferred[None] = Deferred()
        self.house.host.pipeline.add(UNDELIVERED, "notify", ("message",), "mod_push", lambda *_: notified)
        self.romeo.send(message("3"))
        client = self.juliet()
        self.assertEqual(self.bodies(client), ["1", "2"])
        self.delete()
        notified.callback(None)
        self.assertEqual(self.bodies(client), ["3"])
        self.delete()
        self.assertEqual(self.queue(), 0)


class OfflineWithoutSenderTests(OfflineTestCase):
    """Messages that come from elsewhere."""

    def test_remote(self) -> None:
        """A message from another server is kept with its sender."""
        self.house.router.route(stanza(message("1").replace("<message ", "<message from='a@example.com/b' ")))
        (got,) = [got for got in self.juliet().take() if got.name == "message"]
        self.assertEqual(got["from"], "a@example.com/b")
