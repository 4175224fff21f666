"""mod_event_pusher: what backends are told, and that nobody else pays for it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from palaver import metrics
from palaver.interfaces import IEventBackend, IEventPusher
from palaver.push import events
from palaver.push.events import (
    MessageMissed,
    MessageReceived,
    MessageSent,
    MessagesWaiting,
    MessageUnseen,
    UserOffline,
    UserOnline,
)
from palaver.test.house import House, stanza
from palaver.test.push.cases import message
from palaver.test.streams.talker import Talker
from palaver.xeps.csi import NS_CSI, ClientState
from palaver.xeps.event_pusher import EventPusher
from palaver.xeps.mam import MessageArchive
from palaver.xeps.offline import Offline
from palaver.xeps.stream_management import StreamManagement

ENABLE = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
JULIET = "juliet@example.org/balcony"


@implementer(IEventBackend)
class Backend:
    """Keeps what it is told."""

    name = "mod_test"

    def __init__(self, *kinds: type) -> None:
        self.events = frozenset(kinds)
        self.told: list[Any] = []

    def push(self, event: events.Event) -> Any:
        """See IEventBackend."""
        self.told.append(event)


class Broken(Backend):
    """Fails."""

    def push(self, event: events.Event) -> Any:
        """See IEventBackend."""
        raise RuntimeError("broken backend")


class EventPusherCase(SynchronousTestCase):
    """Romeo is online; Juliet comes and goes."""

    modules: tuple[Any, ...] = (Offline, EventPusher)

    def setUp(self) -> None:
        """Log Romeo in."""
        self.house = House(*self.modules)
        self.host = self.house.host
        self.pusher: Any = self.host.query(IEventPusher)
        self.romeo = self.house.login("romeo")

    def add(self, *kinds: type) -> Backend:
        """Add a backend for these events."""
        backend = Backend(*kinds)
        self.remove = self.pusher.add(backend)
        return backend


class AccountTests(EventPusherCase):
    """People come and go."""

    def test_interfaces(self) -> None:
        """The module and the backends provide their interfaces."""
        verifyObject(IEventPusher, self.pusher, tentative=True)
        verifyObject(IEventBackend, Backend())

    def test_online(self) -> None:
        """A session is online from its first presence, and only once; then offline."""
        backend = self.add(UserOnline, UserOffline)
        juliet = self.house.login("juliet", "balcony")
        self.assertEqual(backend.told, [])
        juliet.send("<presence/>")
        juliet.send("<presence><show>away</show></presence>")
        self.assertEqual(backend.told, [UserOnline(juliet.session.jid)])
        juliet.session.unbind()
        self.assertEqual(backend.told[1:], [UserOffline(juliet.session.jid)])


class MessageTests(EventPusherCase):
    """Messages are sent, received and missed."""

    def test_sent_and_received(self) -> None:
        """A message is told of on its way out and on its way in; errors are not."""
        backend = self.add(MessageSent, MessageReceived)
        self.house.login("juliet", "balcony", "<presence/>")
        self.romeo.send(message(to=JULIET))
        self.romeo.send(message(to=JULIET, type="error"))
        sent, received = backend.told
        self.assertEqual((sent.sender.full, sent.to.full), ("romeo@example.org/orchard", JULIET))
        self.assertEqual((received.message.id, received.to.full), ("hi", JULIET))

    def test_nowhere(self) -> None:
        """A message with a wrong address is none, and is refused as ever."""
        backend = self.add(MessageSent)
        self.romeo.send("<message to='@@' id='x'><body>hi</body></message>")
        self.assertEqual(backend.told, [])
        self.assertEqual(self.romeo.received[-1].type, "error")

    def test_missed(self) -> None:
        """A message is missed when it is stored for later, not when somebody gets it."""
        backend = self.add(MessageMissed)
        self.romeo.send(message("1"))
        self.house.login("juliet", "balcony", "<presence/>")
        self.romeo.send(message("2"))
        self.assertEqual([event.message.id for event in backend.told], ["1"])
        self.assertEqual(backend.told[0].to.full, "juliet@example.org")

    def test_not_kept(self) -> None:
        """What is not stored, or is for nobody, is not missed."""
        backend = self.add(MessageMissed)
        self.romeo.send(
            "<message to='juliet@example.org'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>"
        )
        self.romeo.send(message(to="nobody@example.org"))
        self.romeo.send(message(type="headline"))
        self.assertEqual(backend.told, [])

    def test_broken_backend(self) -> None:
        """A backend that fails takes neither the message nor the others' events; the failure is counted."""
        before = metrics.module_failures["mod_test"]
        self.pusher.add(Broken(MessageReceived))
        backend = self.add(MessageReceived)
        juliet = self.house.login("juliet", "balcony", "<presence/>")
        juliet.take()
        self.romeo.send(message(to=JULIET))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(metrics.module_failures["mod_test"], before + 1)
        self.assertEqual(([got["id"] for got in juliet.take()], len(backend.told)), (["hi"], 1))


class ArchiveTests(EventPusherCase):
    """A host that keeps nothing for later, but archives."""

    modules = (EventPusher, MessageArchive)

    def test_archived(self) -> None:
        """What only the archive has is missed too; what that has not is not."""
        backend = self.add(MessageMissed)
        self.romeo.send(message("1"))
        self.romeo.send(
            "<message to='juliet@example.org' id='2'><body>2</body>"
            "<no-permanent-store xmlns='urn:xmpp:hints'/></message>"
        )
        self.assertEqual([event.message.id for event in backend.told], ["1"])


class QuietTests(EventPusherCase):
    """What nobody wants to know costs nothing."""

    modules = (Offline, EventPusher, StreamManagement, ClientState)

    def steps(self) -> int:
        """Count the steps of the pipeline and the listeners that are the module's."""
        rows = [row for row in self.host.pipeline.rows() if row[3] == "mod_event_pusher"]
        listeners: Any = self.host.events
        heard = [name for each in listeners._listeners.values() for name, _ in each]
        return len(rows) + heard.count("mod_event_pusher")

    def test_nobody(self) -> None:
        """Without backends nothing is looked at; and not any more when the last one has gone."""
        self.assertEqual(self.steps(), 0)
        for kind in (UserOnline, UserOffline, MessageSent, MessageReceived, MessageMissed):
            self.add(kind)
            self.assertGreater(self.steps(), 0)
            self.remove()
            self.assertEqual(self.steps(), 0, kind)

    def test_push(self) -> None:
        """What push notifications need is no step of a message that somebody gets."""
        self.add(MessageMissed, MessagesWaiting, MessageUnseen)
        rows = {row[0] for row in self.host.pipeline.rows() if row[3] == "mod_event_pusher"}
        self.assertEqual(rows, {"undelivered"})

    def test_two(self) -> None:
        """A second backend is told as well, and still is when the first one has gone."""
        first = self.add(UserOnline)
        remove = self.remove
        second = self.add(UserOnline)
        remove()
        self.house.login("juliet", "balcony", "<presence/>")
        self.assertEqual((len(first.told), len(second.told)), (0, 1))

    def test_detached(self) -> None:
        """A module that goes looks at nothing any more."""
        self.add(MessageUnseen, MessagesWaiting, MessageMissed)
        self.house.modules["EventPusher"].detach()
        self.assertEqual(self.steps(), 0)


class ClientTests(EventPusherCase):
    """Clients that are gone for a while, or that nobody looks at."""

    modules = (ClientState, EventPusher, Offline, StreamManagement)

    def juliet(self) -> Talker:
        """Log Juliet in with stream management."""
        juliet = Talker(self.house).log_in("juliet", "balcony", "balcony")
        juliet.send("<presence/>" + ENABLE)
        return juliet

    def test_waiting(self) -> None:
        """What was not acknowledged when the connection broke is told at once, and each one after that."""
        backend = self.add(MessagesWaiting)
        juliet = self.juliet()
        self.romeo.send(message("1", JULIET))
        self.romeo.send("<iq type='get' id='2' to='juliet@example.org/balcony'><x xmlns='urn:x'/></iq>")
        self.romeo.send(message("3", JULIET))
        self.assertEqual(backend.told, [])
        juliet.stream.connection_lost()
        self.romeo.send(message("4", JULIET))
        self.romeo.send("<iq type='get' id='5' to='juliet@example.org/balcony'><x xmlns='urn:x'/></iq>")
        told = [[each.id for each in event.newest_first()] for event in backend.told]
        self.assertEqual(told, [["3", "1"], ["4"]])
        self.assertEqual({event.session.jid.full for event in backend.told}, {JULIET})

    def test_nothing_waiting(self) -> None:
        """A connection that breaks when everything is acknowledged is no event."""
        backend = self.add(MessagesWaiting)
        self.juliet().stream.connection_lost()
        self.assertEqual(backend.told, [])

    def test_unseen(self) -> None:
        """While a client is inactive, what is important enough to be sent to it is told; errors are not."""
        backend = self.add(MessageUnseen)
        juliet = self.house.login("juliet", "balcony", "<presence/>")
        other = self.house.login("juliet", "garden", "<presence/>")
        nonzas = self.host.nonzas
        nonzas[NS_CSI, "inactive"](stanza(f"<inactive xmlns='{NS_CSI}'/>"), juliet)
        self.romeo.send(message("1", JULIET))
        self.romeo.send(message("2", other.session.jid.full))
        self.romeo.send(f"<message to='{JULIET}' id='3'><composing xmlns='urn:x'/></message>")
        self.romeo.send(message("4", JULIET, type="error"))
        nonzas[NS_CSI, "active"](stanza(f"<active xmlns='{NS_CSI}'/>"), juliet)
        self.romeo.send(message("5", JULIET))
        self.assertEqual(
            [(event.session.jid.full, event.message.id) for event in backend.told], [(JULIET, "1")]
        )

    def test_inactive_and_gone(self) -> None:
        """Nothing is left of an inactive client that has gone, nor when nobody wants to know any more."""
        self.add(MessageUnseen)
        for end in ("gone", "removed"):
            juliet = self.house.login("juliet", "balcony", "<presence/>")
            self.host.nonzas[NS_CSI, "inactive"](stanza(f"<inactive xmlns='{NS_CSI}'/>"), juliet)
            self.assertIn("notice", [step.phase for step in self.host.pipeline.to_session["message"]])
            if end == "gone":
                juliet.session.unbind()
            else:
                self.remove()
            steps = self.host.pipeline.to_session.get("message", ())
            self.assertNotIn("mod_event_pusher", [step.module for step in steps])
