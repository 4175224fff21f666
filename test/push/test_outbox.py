"""Notifications on their way, one at a time for each registration, and few in all."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.jid import parse
from palaver.push import registrations
from palaver.push.elements import Summary
from palaver.push.notified import Notified
from palaver.push.outbox import Outbox, dropped, merge
from palaver.push.registrations import Registration
from palaver.test.house import stanza


def registration(node: str, service: str = "push.example.net") -> Registration:
    """Give a registration."""
    return registrations.new(service, node, {}, "phone")


class OutboxTests(SynchronousTestCase):
    """Sending is answered when the test says so."""

    def setUp(self) -> None:
        """Have an outbox for eight at a time."""
        self.sent: list[tuple[str, str, Summary]] = []
        self.answers: list[Deferred[bool]] = []
        self.outbox = Outbox(self.send, 8)

    def send(self, local: str, held: Registration, summary: Summary) -> Deferred[bool]:
        self.sent.append((local, held.node, summary))
        self.answers.append(Deferred())
        return self.answers[-1]

    def test_merged(self) -> None:
        """What comes while one is under way is one more, with the last one's words and all their counts."""
        phone = registration("phone")
        for number in "123":
            self.outbox.put("juliet", phone, {"message-count": "1", "last-message-body": number})
        self.assertEqual(len(self.sent), 1)
        self.answers[0].callback(True)
        self.assertEqual(self.sent[1][2], {"message-count": "2", "last-message-body": "3"})
        self.answers[1].callback(True)
        self.assertEqual((len(self.sent), len(self.outbox)), (2, 0))

    def test_gone(self) -> None:
        """Nothing follows when the registration is gone."""
        phone = registration("phone")
        self.outbox.put("juliet", phone, {})
        self.outbox.put("juliet", phone, {})
        self.answers[0].callback(False)
        self.assertEqual((len(self.sent), len(self.outbox)), (1, 0))

    def test_forget(self) -> None:
        """What follows is left out for one registration, or for all of an account."""
        phone, tablet = registration("phone"), registration("tablet")
        for local in ("juliet", "romeo"):
            for held in (phone, tablet) * 2:
                if len(self.outbox) < 2 or local == "juliet":
                    self.outbox.put(local, held, {})
        self.outbox.forget("juliet", phone.key)
        self.answers[0].callback(True)
        self.answers[1].callback(True)
        self.assertEqual([node for _, node, _ in self.sent], ["phone", "tablet", "tablet"])
        self.outbox.put("juliet", tablet, {})
        self.outbox.forget("juliet")
        self.answers[2].callback(True)
        self.assertEqual((len(self.sent), len(self.outbox)), (3, 0))

    def test_full(self) -> None:
        """A service has its share, all services have a limit, and what is too much is counted."""
        before = dropped.value
        for service in range(5):
            for node in range(3):
                self.outbox.put("juliet", registration(f"n{node}", f"s{service}.example"), {})
        self.assertEqual((len(self.sent), len(self.outbox), dropped.value - before), (8, 8, 7))
        for answer in self.answers:
            answer.callback(True)
        self.assertEqual((len(self.outbox), len(self.outbox._services)), (0, 0))

    def test_at_once(self) -> None:
        """Answers that come at once build up no stack."""
        sent = []

        async def at_once(local: str, held: Registration, summary: Summary) -> bool:
            sent.append(summary)
            return True

        outbox = Outbox(at_once, 8)
        for _ in range(3000):
            outbox.put("juliet", registration("phone"), {})
        self.assertEqual((len(sent), len(outbox)), (3000, 0))

    def test_merge(self) -> None:
        """Counts that are no numbers are not added."""
        for first, second, count in (("2", "3", "5"), ("x", "3", "3"), ("2", "²", "²")):
            merged = merge({"message-count": first, "a": "1"}, {"message-count": second, "b": "2"})
            self.assertEqual(merged, {"message-count": count, "b": "2"})
        self.assertEqual(merge({}, {"b": "2"}), {"b": "2"})


class NotifiedTests(SynchronousTestCase):
    """Which device was notified of which message."""

    def test_bounded(self) -> None:
        """What was long ago is forgotten."""
        notified, to = Notified(2), parse("juliet@example.org")
        messages = [stanza(f"<message from='romeo@x' id='{n}'><body>{n}</body></message>") for n in range(3)]
        for one in messages:
            self.assertTrue(notified.note(one, to, "phone"))
        self.assertFalse(notified.note(messages[2], to, "phone"))
        self.assertTrue(notified.note(messages[2], to, "tablet"))
        self.assertTrue(notified.note(messages[2], parse("nurse@example.org"), "phone"))
        self.assertTrue(notified.note(messages[0], to, "phone"))
