"""XEP-0357: who is notified of what, and what becomes of registrations."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from palaver.errors import StanzaError
from palaver.interfaces import IPushPlugin, IPushService
from palaver.log import Log
from palaver.mistakes import ConfigError
from palaver.push.outbox import SERVICES_SHARE
from palaver.push.plugins import PLUGINS, Plugin
from palaver.push.registrations import KIND
from palaver.push.service import DeviceGone, PushFailed
from palaver.routing.lifecycle import delete_account, set_password
from palaver.test.house import Client, House, now, stanza
from palaver.test.push.cases import (
    PUSH,
    SERVICE,
    Direct,
    PushService,
    disable,
    enable,
    form,
    message,
    read_publication,
    refusal,
)
from palaver.test.storage.faulty import FaultyStorage
from palaver.test.streams.talker import Talker
from palaver.xeps import event_pusher_push
from palaver.xeps.carboncopy import CarbonCopy
from palaver.xeps.csi import NS_CSI, ClientState
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.event_pusher import EventPusher
from palaver.xeps.event_pusher_push import Push
from palaver.xeps.offline import Offline
from palaver.xeps.stream_management import StreamManagement

NEW = {"message-count": "1", "last-message-body": "New Message!"}


class PushCase(SynchronousTestCase):
    """Juliet has enabled notifications for her phone, and has gone; Romeo writes to her."""

    options: ClassVar[dict[str, Any]] = {}
    others: ClassVar[tuple[Any, ...]] = ()

    def setUp(self) -> None:
        """Enable notifications, then end Juliet's session."""
        self.house = House(ServiceDiscovery, Offline, *self.others, EventPusher, Push, Push=self.options)
        self.host = self.house.host
        self.service = PushService(self.house)
        self.romeo = self.house.login("romeo")
        self.juliet = self.house.login("juliet", "phone")
        self.granted(enable())
        self.juliet.session.unbind()

    def granted(self, xml: str, client: Client | None = None) -> None:
        """Have a request answered with an empty result."""
        answer = (client or self.juliet).ask(xml)
        self.assertEqual((answer["type"], list(answer.elements())), ("result", []), answer.toXml())

    def refused(self, xml: str, client: Client | None = None) -> tuple[str, str]:
        """Have a request refused; give type and condition."""
        return refusal((client or self.juliet).ask(xml))

    def back(self, resource: str = "phone", presence: str | None = None) -> Client:
        """Log Juliet in again."""
        self.juliet = self.house.login("juliet", resource, presence)
        return self.juliet

    def say(self, *texts: str, **more: str) -> None:
        """Have Romeo say something to Juliet."""
        for text in texts:
            # All is done with it, whatever becomes of notifications.
            now(self.romeo.send(message(text, **more)))

    def nodes(self) -> list[str]:
        """Give the nodes that were published to since the last call, in order."""
        return [node for node, _ in self.service.take()]

    def stored(self, local: str = "juliet") -> list[str]:
        """Give the nodes of an account's registrations, oldest first."""
        found = now(self.house.storage.documents.list("example.org", local, [KIND]))
        return [document.value["node"] for document in found]


class EnableTests(PushCase):
    """Notifications are enabled and disabled."""

    def test_feature(self) -> None:
        """Accounts and the server announce it."""
        self.back()
        for to in ("", " to='juliet@example.org'", " to='example.org'"):
            answer = self.juliet.ask(
                f"<iq type='get' id='1'{to}><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
            )
            self.assertIn(f"<feature var='{PUSH}'/>", answer.toXml(), to)

    def test_published(self) -> None:
        """A message for somebody who is away is published, in the server's name and without its content."""
        self.say("swear not by the moon")
        (request,) = self.service.requests
        self.assertEqual(
            (request.type, request.attrs["from"], request.attrs["to"]), ("set", "example.org", SERVICE)
        )
        self.assertEqual(read_publication(request), ("phone", NEW, {}))
        self.assertNotIn(b"moon", request.inner)
        self.assertNotIn(b"romeo", request.inner)

    def test_options(self) -> None:
        """What the client wants published goes with each notification; the last request counts."""
        self.back()
        self.granted(enable(inner=form(secret="old", device_id="x")))
        self.granted(enable(inner=form(type="", secret="&lt;new&gt;")))
        self.juliet.session.unbind()
        self.say("hi")
        (request,) = self.service.requests
        wanted = {"FORM_TYPE": ["http://jabber.org/protocol/pubsub#publish-options"], "secret": ["<new>"]}
        self.assertEqual(read_publication(request)[2], wanted)
        self.assertEqual(self.stored(), ["phone"])

    def test_several(self) -> None:
        """Each node is notified once."""
        self.back()
        self.granted(enable("tablet"))
        self.granted(enable("phone", service="other.example.net"))
        self.juliet.session.unbind()
        self.say("hi")
        self.assertEqual(self.nodes(), ["phone", "tablet"])

    def test_addressee(self) -> None:
        """The own account and the server may be asked; somebody else's account may not."""
        self.back()
        for to in ("juliet@example.org", "example.org"):
            self.granted(enable().replace("<iq", f"<iq to='{to}'"))
            self.granted(disable().replace("<iq", f"<iq to='{to}'"))
        for iq in (enable(), disable()):
            wrong = self.refused(iq.replace("<iq", "<iq to='romeo@example.org'"))
            self.assertEqual(wrong, ("cancel", "service-unavailable"))
        self.assertEqual(self.stored("romeo"), [])

    def test_forged(self) -> None:
        """Nobody from outside enables notifications of an account, nor ends them."""
        sent: list[Any] = []
        self.service.deliver = lambda stanza, to: sent.append(stanza)  # type: ignore[method-assign]
        for iq in (enable("evil"), disable()):
            for sender in (SERVICE, f"juliet@{SERVICE}", "juliet@example.org/phone"):
                for to in ("example.org", "juliet@example.org"):
                    forged = stanza(iq).replace(from_=sender, to=to)
                    self.host.router.route(forged)
        self.assertEqual(self.stored(), ["phone"])
        self.assertEqual({one.type for one in sent}, {"error"})

    def test_bad_requests(self) -> None:
        """Requests without a service, a node or a right form are refused, and nothing changes."""
        self.back()
        wrong_form = "<x xmlns='jabber:x:data' type='submit'/>"
        bad = [
            f"<enable xmlns='{PUSH}' node='n'/>",
            f"<enable xmlns='{PUSH}' jid='' node='n'/>",
            f"<enable xmlns='{PUSH}' jid='@' node='n'/>",
            f"<enable xmlns='{PUSH}' jid='juliet@' node='n'/>",
            f"<enable xmlns='{PUSH}' jid='{SERVICE}'/>",
            f"<enable xmlns='{PUSH}' jid='{SERVICE}' node=''/>",
            f"<enable xmlns='{PUSH}' jid='{SERVICE}' node='{'n' * 1024}'/>",
            f"<enable xmlns='{PUSH}' jid='juliet@example.org/phone' node='n'/>",
            f"<enable xmlns='{PUSH}' jid='{SERVICE}' node='n'><x xmlns='urn:other'/></enable>",
            f"<enable xmlns='{PUSH}' jid='{SERVICE}' node='n'>{form(type='cancel')}</enable>",
            f"<enable xmlns='{PUSH}' jid='{SERVICE}' node='n'>{form(form_type='urn:other')}</enable>",
            f"<enable xmlns='{PUSH}' jid='{SERVICE}' node='n'>{form()}{form()}</enable>",
            f"<enable xmlns='{PUSH}' jid='{SERVICE}' node='n'>{wrong_form}</enable>",
            f"<disable xmlns='{PUSH}'/>",
            f"<disable xmlns='{PUSH}' jid='@'/>",
            f"<disable xmlns='{PUSH}' jid='{SERVICE}' node=''/>",
        ]
        for payload in bad:
            found = self.refused(f"<iq type='set' id='1'>{payload}</iq>")
            self.assertEqual(found, ("modify", "bad-request"), payload)
        for name in ("enable", "disable"):
            found = self.refused(
                f"<iq type='get' id='1'><{name} xmlns='{PUSH}' jid='{SERVICE}' node='n'/></iq>"
            )
            self.assertEqual(found, ("cancel", "not-allowed"))
        self.assertEqual(self.stored(), ["phone"])

    def test_too_much(self) -> None:
        """Options that nobody needs so much room for are refused."""
        self.back()
        for options in ({"secret": "x" * 8193}, {f"f{n}": "x" for n in range(33)}):
            found = self.refused(enable(inner=form(**options)))
            self.assertEqual(found, ("modify", "not-acceptable"))

    def test_disable(self) -> None:
        """One node is disabled by its name, all of a service without one; what is unknown is as well."""
        self.back()
        for node in ("tablet", "watch"):
            self.granted(enable(node))
        self.granted(enable("phone", service="other.example.net"))
        self.granted(disable("tablet"))
        self.granted(disable("unknown"))
        self.granted(disable(service="unknown.example.net"))
        self.assertEqual(self.stored(), ["phone", "watch", "phone"])
        self.granted(disable())
        self.assertEqual(self.stored(), ["phone"])
        self.juliet.session.unbind()
        self.say("hi")
        self.assertEqual(self.nodes(), [])

    def test_many(self) -> None:
        """There are only so many registrations; a new one takes the place of the oldest."""
        self.back()
        for number in range(5):
            self.granted(enable(f"n{number}"))
        self.granted(enable("n0"))
        self.assertEqual(self.stored(), ["n1", "n2", "n3", "n4", "n0"])
        self.granted(enable("phone"))
        self.assertEqual(self.stored(), ["n2", "n3", "n4", "n0", "phone"])

    def test_restart(self) -> None:
        """A registration holds over a restart of the module."""
        self.house.modules["Push"].detach()
        self.say("unheard")
        self.assertEqual(self.nodes(), [])
        self.house.add(Push)
        self.say("hi")
        self.assertEqual(self.nodes(), ["phone"])

    def test_secrets(self) -> None:
        """Neither the node nor the options are in the log."""
        lines: list[dict[str, Any]] = []

        class Listener(Log):
            def info(self, event: str, **values: Any) -> None:
                lines.append({"event": event, **values})

        self.patch(event_pusher_push, "log", Listener("push"))
        self.back()
        self.granted(enable("token-4711", form(secret="sesame")))
        text = repr(lines)
        self.assertIn("push-enabled", text)
        self.assertNotIn("4711", text)
        self.assertNotIn("sesame", text)


class StorageTests(PushCase):
    """A storage that fails or stalls."""

    def setUp(self) -> None:
        """Put the faulty storage in front of the module's."""
        super().setUp()
        self.faulty = FaultyStorage(self.house.storage)
        module: Any = self.house.modules["Push"]
        module._registrations._storage = self.faulty

    def test_enable(self) -> None:
        """What cannot be stored is refused, and may be tried again."""
        self.back()
        self.faulty.writes.fail()
        self.assertEqual(self.refused(enable("tablet")), ("wait", "internal-server-error"))
        self.assertEqual(self.refused(disable()), ("wait", "internal-server-error"))
        self.faulty.writes.go_on()
        self.assertEqual(self.stored(), ["phone"])

    def test_messages(self) -> None:
        """Messages are stored and acknowledged whether registrations can be read or not."""
        self.faulty.reads.stall()
        self.say("1")
        self.faulty.reads.fail()
        self.say("2")
        self.faulty.reads.go_on()
        kept = now(self.house.storage.logs.count("example.org", "juliet", "offline"))
        self.assertEqual((kept, self.nodes()), (2, []))
        self.say("3")
        self.assertEqual(self.nodes(), ["phone"])

    def test_refused(self) -> None:
        """A registration that cannot be deleted is tried once more, and deleted then."""
        self.service.error = StanzaError("gone")
        self.faulty.writes.fail()
        self.say("1")
        self.assertEqual(self.stored(), ["phone"])
        self.faulty.writes.go_on()
        self.say("2")
        self.assertEqual((self.nodes(), self.stored()), (["phone", "phone"], []))


class AccountTests(PushCase):
    """Accounts change."""

    def test_deleted(self) -> None:
        """Nothing is left of a deleted account, and nothing is sent for another one of its name."""
        self.service.silent = True
        self.say("1", "2")
        now(delete_account(self.host, "juliet"))
        self.assertEqual(self.stored(), [])
        (first,) = self.service.requests
        self.service.answer(first)
        self.assertEqual(len(self.service.requests), 1)
        self.house.accounts.names.add("juliet")
        self.say("3")
        self.assertEqual(len(self.service.requests), 1)

    def test_password(self) -> None:
        """With a new password only the device that has changed it is still notified."""
        other = self.back("tablet")
        self.granted(enable("tablet"))
        now(set_password(self.host, "juliet", "new", other.session))
        self.assertEqual(self.stored(), ["tablet"])
        now(set_password(self.host, "juliet", "newer"))
        self.assertEqual(self.stored(), [])


class ContentTests(PushCase):
    """What is told, and of which messages."""

    options: ClassVar[dict[str, Any]] = {
        "push_notification_with_body": True,
        "push_notification_with_sender": True,
    }

    def test_content(self) -> None:
        """Sender and body are told where the options say so."""
        self.say("parting is &lt;such&gt; sweet sorrow", identity="1")
        wanted = {
            "message-count": "1",
            "last-message-sender": "romeo@example.org",
            "last-message-body": "parting is <such> sweet sorrow",
        }
        self.assertEqual(self.service.take(), [("phone", wanted)])

    def test_long(self) -> None:
        """A long body is cut."""
        self.say("x" * 5000, identity="1")
        ((_, summary),) = self.service.take()
        self.assertEqual(summary["last-message-body"], "x" * 1000)

    def test_encrypted(self) -> None:
        """What nobody can read is notified of, without a body."""
        self.romeo.send(
            "<message to='juliet@example.org' type='chat' id='1'>"
            "<encrypted xmlns='eu.siacs.conversations.axolotl'/></message>"
        )
        ((_, summary),) = self.service.take()
        self.assertEqual(summary["last-message-body"], "New Message!")

    def test_unimportant(self) -> None:
        """Nobody is woken for a receipt, a headline or an empty body."""
        for inner in (
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            "<body/>",
            "<subject>x</subject>",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        ):
            self.romeo.send(f"<message to='juliet@example.org' type='chat'>{inner}</message>")
        self.say("news", type="headline")
        self.assertEqual(self.service.take(), [])

    def test_call(self) -> None:
        """A call wakes."""
        self.romeo.send(
            "<message to='juliet@example.org' type='chat'><propose xmlns='urn:xmpp:jingle-message:0' id='1'/>"
            "<store xmlns='urn:xmpp:hints'/></message>"
        )
        self.assertEqual(self.nodes(), ["phone"])


class PresenceTests(PushCase):
    """Whether somebody is online."""

    def test_online(self) -> None:
        """Somebody who gets the message is not notified; a negative priority is as being away."""
        self.back("desk", "<presence><priority>-1</priority></presence>")
        self.say("1")
        self.assertEqual(self.nodes(), ["phone"])
        self.juliet.send("<presence/>")
        self.say("2")
        self.assertEqual(self.nodes(), [])

    def test_resent(self) -> None:
        """A message that its sender sends again is not notified of again; the same words later are."""
        self.say("hi", "hi")
        self.assertEqual(self.nodes(), ["phone"])
        self.say("hi", identity="2")
        self.assertEqual(self.nodes(), ["phone"])

    def test_without_ids(self) -> None:
        """Messages without ids are each notified of, even when they say the same."""
        for _ in range(2):
            self.romeo.send("<message to='juliet@example.org' type='chat'><body>hi</body></message>")
        self.assertEqual(self.nodes(), ["phone", "phone"])

    def test_guests(self) -> None:
        """An account without registrations, and none at all, cost nothing but a look."""
        self.romeo.send(message(to="mercutio@example.org"))
        self.romeo.send(message(to="nobody@example.org"))
        self.assertEqual(self.nodes(), [])


class AnswerTests(PushCase):
    """What push services answer, or not."""

    options: ClassVar[dict[str, Any]] = {"push_max_errors": 3, "max_outstanding": 8}

    def test_cancel(self) -> None:
        """An error that ends it ends the registration."""
        self.service.error = StanzaError("item-not-found")
        self.say("1")
        self.assertEqual((self.nodes(), self.stored()), (["phone"], []))
        self.say("2")
        self.assertEqual(self.nodes(), [])

    def test_counted(self) -> None:
        """Other errors end it when there are too many in a row; one success, and they count anew."""
        for error in (StanzaError("forbidden"), StanzaError("bad-request")):
            self.service.error = error
            self.say(*(f"{error.condition} {n}" for n in range(2)))
            self.service.error = None
            self.say(f"{error.condition} ok")
        self.assertEqual(self.stored(), ["phone"])
        self.service.error = StanzaError("not-authorized")
        self.say("a", "b", "c")
        self.assertEqual(self.stored(), [])

    def test_wait(self) -> None:
        """An error that says to wait counts for nothing."""
        self.service.error = StanzaError("resource-constraint")
        self.say(*map(str, range(10)))
        self.assertEqual((self.stored(), len(self.nodes())), (["phone"], 10))

    def test_unreachable(self) -> None:
        """A server that cannot be reached may be back: that counts, but does not end it at once."""
        self.back()
        self.granted(disable())
        self.granted(enable("phone", service="nowhere.example.net"))
        self.juliet.session.unbind()
        self.say("1", "2")
        self.assertEqual(self.stored(), ["phone"])
        self.say("3")
        self.assertEqual(self.stored(), [])

    def test_forged_answer(self) -> None:
        """An answer from somebody else ends nothing."""
        self.service.silent = True
        self.say("1")
        (request,) = self.service.requests
        forged = request.error(StanzaError("gone")).replace(from_="evil.example.net")
        self.host.router.route(forged)
        self.host.router.route(forged.replace(from_=SERVICE, id="another"))
        self.assertEqual(self.stored(), ["phone"])

    def test_one_at_a_time(self) -> None:
        """While an answer is waited for, what comes is counted, and follows as one notification."""
        self.service.silent = True
        self.say("1", "2", "3", "4")
        (first,) = self.service.requests
        self.service.answer(first)
        self.assertEqual(self.service.take()[1:], [("phone", {**NEW, "message-count": "3"})])

    def test_never_answered(self) -> None:
        """A service that never answers gets one notification a time limit, and keeps its registration."""
        self.service.silent = True
        self.say("1", "2")
        self.house.clock.advance(59)
        self.assertEqual(len(self.service.requests), 1)
        self.house.clock.advance(2)
        self.assertEqual(len(self.service.requests), 2)
        self.house.clock.advance(61)
        self.assertEqual((len(self.service.requests), self.stored()), (2, ["phone"]))
        self.assertFalse(self.host.requests._waiting)

    def test_bounded(self) -> None:
        """A service that never answers has a share of what may be under way; others go on."""
        self.service.silent = True
        other = PushService.__new__(PushService)
        other.domain, other.requests, other.error, other.silent = "other.example.net", [], None, False
        other._router = self.house.router
        self.house.router.add(other)
        self.back()
        for node in ("a", "b", "c"):
            self.granted(enable(node))
        self.granted(enable("other", service="other.example.net"))
        self.juliet.session.unbind()
        self.say("1")
        self.assertEqual(self.nodes(), ["phone", "a"])
        self.assertEqual(8 // SERVICES_SHARE, 2)
        self.assertEqual([node for node, _ in other.take()], ["other"])

    def test_disabled_meanwhile(self) -> None:
        """What waits behind an answer is not sent when its node is disabled meanwhile."""
        self.service.silent = True
        self.say("1", "2")
        self.back()
        self.granted(disable())
        (first,) = self.service.requests
        self.service.answer(first)
        self.assertEqual(len(self.service.requests), 1)

    def test_enabled_meanwhile(self) -> None:
        """An error about the old registration does not end the one that has replaced it."""
        self.service.silent = True
        self.say("1")
        self.back()
        self.granted(enable(inner=form(secret="right")))
        (first,) = self.service.requests
        self.service.error = StanzaError("conflict")
        self.service.answer(first)
        self.assertEqual(self.stored(), ["phone"])


class VirtualTests(PushCase):
    """Services that are none: the notification goes straight to the host's push service."""

    options: ClassVar[dict[str, Any]] = {"virtual_pubsub_hosts": ("Push.Example.Net",), "push_max_errors": 1}

    def setUp(self) -> None:
        """Provide the push service."""
        super().setUp()
        self.direct = Direct()
        self.take_back = self.host.provide(self.direct, IPushService)

    def test_direct(self) -> None:
        """The same fields and options arrive, and the domain hears nothing even if there is one."""
        self.back()
        self.granted(enable(inner=form(device_id="4711", service="apns")))
        self.juliet.session.unbind()
        self.say("hi")
        self.assertEqual(self.direct.pushed, [(NEW, {"device_id": ["4711"], "service": ["apns"]})])
        self.assertEqual(self.nodes(), [])

    def test_gone(self) -> None:
        """A device that is gone ends the registration; another failure does not."""
        self.direct.failure = PushFailed("down")
        self.say("1", "2")
        self.assertEqual(self.stored(), ["phone"])
        self.direct.failure = DeviceGone()
        self.say("3")
        self.assertEqual(self.stored(), [])

    def test_defect(self) -> None:
        """A push service that raises something else is logged, and the next message is pushed."""
        self.direct.failure = ZeroDivisionError()
        self.say("1")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.direct.failure = None
        self.say("2")
        self.assertEqual((len(self.direct.pushed), self.stored()), (2, ["phone"]))

    def test_nobody(self) -> None:
        """Without a push service the notification is lost, and nothing else."""
        self.take_back()
        self.say("1")
        self.assertEqual((self.direct.pushed, self.stored()), ([], ["phone"]))


class WaitingCase(PushCase):
    """Sessions that wait for their clients (XEP-0198)."""

    others: ClassVar[tuple[Any, ...]] = (CarbonCopy, StreamManagement)

    def phone(self, resource: str = "phone", node: str = "phone") -> Talker:
        """Log Juliet in with stream management, notifications enabled."""
        phone = Talker(self.house).log_in("juliet", resource, "balcony")
        phone.send("<presence/><enable xmlns='urn:xmpp:sm:3' resume='true'/>" + enable(node))
        return phone


class WaitingTests(WaitingCase):
    """A device whose session waits is notified at once."""

    def test_woken(self) -> None:
        """A phone whose connection is lost is notified at once of what it has not acknowledged."""
        phone = self.phone()
        self.say("1", "2", "3")
        self.assertEqual(self.nodes(), [])
        phone.stream.connection_lost()
        self.assertEqual(self.service.take(), [("phone", {**NEW, "message-count": "3"})])
        self.say("4")
        self.assertEqual(self.service.take(), [("phone", NEW)])

    def test_acknowledged(self) -> None:
        """What the phone has got is nothing to wake it for."""
        phone = self.phone()
        self.say("1")
        managed: Any = self.host.users["juliet"].sessions["phone"].managed
        sent = len(managed.unacknowledged)
        phone.send(f"<a xmlns='urn:xmpp:sm:3' h='{sent}'/>")
        phone.stream.connection_lost()
        self.assertEqual(self.nodes(), [])

    def test_back(self) -> None:
        """A phone that is back before its registrations are read is not notified."""
        faulty = FaultyStorage(self.house.storage)
        module: Any = self.house.modules["Push"]
        module._registrations._storage = faulty
        phone = self.phone()
        faulty.reads.stall()
        self.say("1")
        phone.stream.connection_lost()
        session: Any = self.host.users["juliet"].sessions["phone"]
        session.managed.stream = object()
        faulty.reads.go_on()
        session.managed.stream = None
        self.assertEqual(self.nodes(), [])

    def test_own_device(self) -> None:
        """Only the device whose session waits is notified; the others have got it."""
        self.phone("desk", "desk")
        phone = self.phone()
        phone.stream.connection_lost()
        self.service.take()
        self.say("1")
        self.assertEqual(self.nodes(), ["phone"])

    def test_once(self) -> None:
        """When nobody resumes the session, and the message is stored, its device is not notified again."""
        phone = self.phone()
        phone.stream.connection_lost()
        self.say("1")
        self.assertEqual(self.nodes(), ["phone"])
        self.house.clock.advance(601)
        kept = now(self.house.storage.logs.count("example.org", "juliet", "offline"))
        self.assertEqual((kept, self.nodes()), (1, []))
        self.say("2")
        self.assertEqual(self.nodes(), ["phone"])

    def test_others_then(self) -> None:
        """When the message is stored in the end, the account's other devices are notified."""
        self.phone("tablet", "tablet").stream.end(None)
        phone = self.phone()
        for session in list(self.host.users["juliet"].sessions.values()):
            if session.jid.resource != "phone":
                session.unbind()
        phone.stream.connection_lost()
        self.say("1")
        self.assertEqual(self.nodes(), ["phone"])
        self.house.clock.advance(601)
        self.assertEqual(self.nodes(), ["tablet"])

    def test_resource(self) -> None:
        """A client that relies on what it has enabled in an earlier session is known by its resource."""
        phone = Talker(self.house).log_in("juliet", "phone", "balcony")
        phone.send("<presence/><enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        phone.stream.connection_lost()
        self.say("1")
        self.assertEqual(self.nodes(), ["phone"])

    def test_copies(self) -> None:
        """What the other client is sent wakes as a copy too; what it sends itself does not."""
        phone = self.phone()
        phone.send("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
        desk = self.back("desk", "<presence/>")
        phone.stream.connection_lost()
        self.service.take()
        self.say("1", to="juliet@example.org/desk")
        self.assertEqual(self.nodes(), ["phone"])
        desk.send(message("2", to="romeo@example.org"))
        self.assertEqual(self.nodes(), [])

    def test_thousands(self) -> None:
        """Of many messages the newest are looked at, for one notification."""
        phone = self.phone()
        self.say(*map(str, range(300)))
        phone.stream.connection_lost()
        ((_, summary),) = self.service.take()
        self.assertEqual(summary["message-count"], str(event_pusher_push.MAX_LOOKED_AT))


class DefaultPluginTests(WaitingCase):
    """With the default plugin of MongooseIM a session that waits is not woken."""

    options: ClassVar[dict[str, Any]] = {"plugin_module": "mod_event_pusher_push_plugin_defaults"}

    def test_woken(self) -> None:
        """The notification comes when the message is stored in the end."""
        self.phone().stream.connection_lost()
        self.say("1")
        self.assertEqual(self.nodes(), [])
        self.house.clock.advance(601)
        self.assertEqual(self.nodes(), ["phone"])


class InactiveTests(PushCase):
    """Clients that nobody looks at (XEP-0352)."""

    options: ClassVar[dict[str, Any]] = {"push_when_inactive": True}
    others: ClassVar[tuple[Any, ...]] = (ClientState,)

    def test_inactive(self) -> None:
        """Where the option says so, an inactive device is notified of what is sent to it."""
        self.back("phone", "<presence/>")
        self.granted(enable())
        self.say("1")
        self.assertEqual(self.nodes(), [])
        self.host.nonzas[NS_CSI, "inactive"](stanza(f"<inactive xmlns='{NS_CSI}'/>"), self.juliet)
        self.say("2")
        self.assertEqual(self.nodes(), ["phone"])
        self.host.nonzas[NS_CSI, "active"](stanza(f"<active xmlns='{NS_CSI}'/>"), self.juliet)
        self.say("3")
        self.assertEqual(self.nodes(), [])


class NotInactiveTests(InactiveTests):
    """Usually the connection is enough."""

    options: ClassVar[dict[str, Any]] = {}

    def test_inactive(self) -> None:
        """An inactive device that is connected is not notified."""
        self.back("phone", "<presence/>")
        self.granted(enable())
        self.host.nonzas[NS_CSI, "inactive"](stanza(f"<inactive xmlns='{NS_CSI}'/>"), self.juliet)
        self.say("1")
        self.assertEqual(self.nodes(), [])


@implementer(IPushPlugin)
class NotFromRomeo(Plugin):
    """Somebody's plugin."""

    def should_publish(self, message: Any, to: Any, registrations: Any) -> Any:
        """See IPushPlugin."""
        return [] if message.sender.local == "romeo" else registrations[-1:]

    def prepare(self, message: Any, to: Any) -> dict[str, str]:
        """See IPushPlugin."""
        return {"own": to.local}


class PluginTests(SynchronousTestCase):
    """An application says who is notified of what."""

    def house(self, **options: Any) -> House:
        """Have a host on which an application has registered its plugin."""
        house = House(Offline, EventPusher)
        house.host.registry.registerUtility(NotFromRomeo(), IPushPlugin, "quiet")
        house.add(Push, **options)
        return house

    def test_interfaces(self) -> None:
        """What is built in provides the interface."""
        for plugin in PLUGINS.values():
            verifyObject(IPushPlugin, plugin())

    def test_own(self) -> None:
        """The plugin's word counts, for the devices and for what they are told."""
        house = self.house(plugin_module="quiet")
        service = PushService(house)
        juliet = house.login("juliet", "phone")
        for node in ("phone", "tablet"):
            juliet.ask(enable(node))
        juliet.session.unbind()
        for name in ("romeo", "nurse"):
            house.login(name).send(message(name))
        self.assertEqual(service.take(), [("tablet", {"own": "juliet"})])

    def test_wrong(self) -> None:
        """A plugin or a domain that there is not stops the start, with a sentence."""
        for options, word in (
            ({"plugin_module": "nobody"}, "nobody"),
            ({"virtual_pubsub_hosts": ("not a domain",)}, "virtual_pubsub_hosts"),
        ):
            error = self.assertRaises(ConfigError, self.house, **options)
            self.assertIn(word, str(error))
