"""Push notifications tell how many messages of a conversation are unread, as the inbox counts them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from palaver.errors import StorageError
from palaver.interfaces import IPushPlugin
from palaver.push.outbox import Outbox
from palaver.push.plugins import Plugin
from palaver.push.registrations import new
from palaver.test.house import House, now
from palaver.test.muclight.cases import ROOM, bare, users
from palaver.test.push.cases import PushService, enable, message
from palaver.xeps.event_pusher import EventPusher
from palaver.xeps.event_pusher_push import Push
from palaver.xeps.inbox import Inbox
from palaver.xeps.muc_light import MucLight
from palaver.xeps.offline import Offline

CALL = "<propose xmlns='urn:xmpp:jingle-message:0' id='c'/>"


class UnreadCase(SynchronousTestCase):
    """Juliet has enabled notifications for her phone, and has gone; others write to her."""

    plugin = "mod_event_pusher_push_plugin_defaults"
    inbox = True

    def setUp(self) -> None:
        """Enable notifications, then end Juliet's session."""
        others = (Inbox,) if self.inbox else ()
        self.house = House(Offline, *others, MucLight, EventPusher)
        self.add_plugin()
        self.house.add(Push, plugin_module=self.plugin)
        self.service = PushService(self.house)
        self.romeo = self.house.login("romeo", presence="<presence/>")
        self.nurse = self.house.login("nurse", presence="<presence/>")
        juliet = self.house.login("juliet", "phone")
        self.assertEqual(juliet.ask(enable())["type"], "result")
        juliet.session.unbind()

    def add_plugin(self) -> None:
        """Nothing to do."""

    def counts(self) -> list[str]:
        """Give the counts of the notifications since the last call."""
        return [summary["message-count"] for _, summary in self.service.take()]


class CountTests(UnreadCase):
    """What is unread in conversations of two."""

    def test_counts(self) -> None:
        """Each notification has the number of its conversation, with the message that it is about."""
        for text in ("1", "2"):
            self.romeo.send(message(text))
        self.nurse.send(message("3"))
        self.romeo.send(message("4"))
        self.assertEqual(self.counts(), ["1", "2", "1", "3"])

    def test_read(self) -> None:
        """What was read on another device does not count."""
        for text in ("1", "2"):
            self.romeo.send(message(text))
        tablet = self.house.login("juliet", "tablet")
        mark = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"
        tablet.send(f"<message type='chat' to='{bare('romeo')}' id='k'>{mark}</message>")
        tablet.session.unbind()
        self.service.take()
        self.romeo.send(message("3"))
        self.assertEqual(self.counts(), ["2"])

    def test_call(self) -> None:
        """What the inbox does not count is one message all the same."""
        self.romeo.send(f"<message type='chat' to='{bare('juliet')}' id='c'>{CALL}</message>")
        self.assertEqual(self.counts(), ["1"])

    def test_merged(self) -> None:
        """What comes while one is under way is one more, with the newest numbers of all conversations."""
        self.service.silent = True
        for text in ("1", "2", "3"):
            self.romeo.send(message(text))
        self.nurse.send(message("4"))
        (first,) = self.service.requests
        self.assertEqual(self.counts(), ["1"])
        self.service.answer(first)
        self.assertEqual(self.counts(), ["4"])

    def test_storage_fails(self) -> None:
        """When nobody can tell how many are unread, the device hears of the message all the same."""
        self.romeo.send(message("1"))
        self.service.take()
        self.patch(self.house.storage.logs, "count", lambda *_: fail(StorageError("disk on fire")))
        self.romeo.send(message("2"))
        self.assertEqual(self.counts(), ["1"])


class RoomTests(UnreadCase):
    """Members of MUC Light rooms who are away."""

    def setUp(self) -> None:
        """Have Romeo take both into a room."""
        super().setUp()
        inner = f"<occupants>{users(juliet='member', nurse='member')}</occupants>"
        query = f"<query xmlns='urn:xmpp:muclight:0#create'>{inner}</query>"
        self.romeo.send(f"<iq type='set' id='l' to='{ROOM}'>{query}</iq>")

    def test_member(self) -> None:
        """A member who is away is notified of what is said, with what is unread in the room."""
        self.assertEqual(self.counts(), [])
        for text in ("1", "2"):
            self.romeo.send(message(text, ROOM, type="groupchat"))
        # Being taken in is a message in the inbox.
        self.assertEqual(self.counts(), ["2", "3"])

    def test_own(self) -> None:
        """Who is away and speaks by another way is not notified of what he has said himself."""
        juliet = self.house.login("juliet", "script")
        juliet.send(message("1", ROOM, type="groupchat"))
        self.assertEqual(self.counts(), [])


class NoInboxTests(UnreadCase):
    """Without an inbox."""

    inbox = False

    def test_counts(self) -> None:
        """A notification is about one message; the next one about all that came meanwhile."""
        self.romeo.send(message("1"))
        self.assertEqual(self.counts(), ["1"])
        self.service.silent = True
        for text in ("2", "3", "4"):
            self.romeo.send(message(text))
        (first,) = self.service.requests
        self.service.take()
        self.service.answer(first)
        self.assertEqual(self.counts(), ["2"])


class Late(Plugin):
    """An application's plugin, which asks somebody."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting_for: Deferred[Any] = Deferred()
        self.count = "1"

    def prepare(self, message: Any, to: Any) -> Any:
        """Give it when the test says so."""
        return self.waiting_for.addCallback(lambda _: {"message-count": self.count})


class PluginTests(UnreadCase):
    """A plugin that takes its time."""

    plugin = "late"

    def add_plugin(self) -> None:
        """Register it."""
        self.late = Late()
        self.house.host.registry.registerUtility(self.late, IPushPlugin, "late")

    def test_awaited(self) -> None:
        """The notification goes when the plugin has answered, with what is unread then."""
        self.assertIsNone(now(self.romeo.send(message("1"))))
        self.romeo.send(message("2"))
        self.assertEqual(self.counts(), [])
        self.late.waiting_for.callback(None)
        self.assertEqual(self.counts()[0], "2")

    def test_own_count(self) -> None:
        """A count of the plugin's own is left as it is."""
        self.late.count = "77"
        self.late.waiting_for.callback(None)
        self.romeo.send(message("1"))
        self.assertEqual(self.counts(), ["77"])


class OutboxTests(SynchronousTestCase):
    """Counts that stand for themselves."""

    def test_latest(self) -> None:
        """Of one conversation the latest number counts, and conversations are added up."""
        sent: list[str] = []
        answer: Deferred[bool] = Deferred()

        def send(local: str, held: Any, summary: dict[str, str]) -> Deferred[bool]:
            sent.append(summary["message-count"])
            return answer if len(sent) == 1 else succeed(True)

        outbox, phone = Outbox(send, 8), new("push.example.net", "phone", {}, "phone")
        for peer, number in (("a@b", 3), ("a@b", 4), ("c@b", 2), ("a@b", 5)):
            outbox.put("juliet", phone, {"message-count": str(number)}, {peer: number})
        answer.callback(True)
        self.assertEqual(sent, ["3", "7"])
