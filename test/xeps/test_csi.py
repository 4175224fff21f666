"""XEP-0352."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.events import ClientActive, ClientInactive, Hibernated, Resumed
from palaver.interfaces import IClientState
from palaver.test.house import Client, House, stanza
from palaver.test.streams.talker import Talker
from palaver.xeps.csi import NS_CSI, ClientState
from palaver.xeps.offline import Offline

CARBONS = "urn:xmpp:carbons:2"
MUC_USER = "http://jabber.org/protocol/muc#user"
RECEIPT = "<received xmlns='urn:xmpp:receipts' id='1'/>"


class CsiCase(SynchronousTestCase):
    """Juliet's phone is inactive; Romeo sends her what wakes nobody, and what does."""

    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Log both in."""
        self.house = House(Offline, ClientState, ClientState=self.options)
        self.romeo = self.house.login("romeo")
        self.juliet = self.house.login("juliet", "phone", "<presence/>")
        self.juliet.take()
        self.state("inactive")

    def state(self, name: str, client: Client | None = None) -> None:
        """Have a client, Juliet's unless it is given, say its state."""
        client = client or self.juliet
        nonza = stanza(f"<{name} xmlns='{NS_CSI}'/>")
        self.house.host.nonzas[NS_CSI, name](nonza, client)

    def say(self, *names: str, inner: str = RECEIPT, type: str = "chat") -> None:
        """Have Romeo send messages with these ids."""
        for name in names:
            self.romeo.send(
                f"<message id='{name}' type='{type}' to='juliet@example.org/phone'>{inner}</message>"
            )

    def got(self) -> list[str]:
        """Give the ids of what came to Juliet's phone."""
        return [node.getAttribute("id") for node in self.juliet.take()]


class HoldTests(CsiCase):
    """What is held back, and until when."""

    def test_active(self) -> None:
        """What was held back comes when the client is active again, in order and once."""
        self.say("1", "2", "3")
        self.assertEqual(self.got(), [])
        self.state("active")
        self.assertEqual(self.got(), ["1", "2", "3"])
        self.say("4")
        self.state("active")
        self.assertEqual(self.got(), ["4"])

    def test_important(self) -> None:
        """Something important comes at once, behind what was held back before; the client stays inactive."""
        self.say("1", "2")
        self.say("3", inner="<body>wake up</body>")
        self.say("4")
        self.assertEqual(self.got(), ["1", "2", "3"])

    def test_answer(self) -> None:
        """An answer that the client waits for comes at once, behind what was held back before."""
        self.say("1")
        self.juliet.send("<iq type='get' id='2' to='example.org'><x xmlns='urn:example:unknown'/></iq>")
        self.assertEqual(self.got(), ["1", "2"])

    def test_full(self) -> None:
        """When more is held back than allowed, all of it is sent, and holding back begins anew."""
        names = [str(number) for number in range(23)]
        self.say(*names)
        self.assertEqual(self.got(), names[:21])
        self.state("active")
        self.assertEqual(self.got(), names[21:])

    def test_stamp(self) -> None:
        """What was held back says since when, in the account's name, and nothing says it twice."""
        older = "<delay xmlns='urn:xmpp:delay' from='muc.example.org' stamp='2001-01-01T00:00:00Z'/>"
        self.house.clock.advance(60)
        self.say("1")
        self.say("2", inner=RECEIPT + older)
        self.house.clock.advance(60)
        self.say("3", inner="<body>hi</body>")
        stamps = [_stamps(node) for node in self.juliet.take()]
        self.assertEqual(
            stamps,
            [
                [("juliet@example.org", "1970-01-01T00:01:00Z")],
                [("muc.example.org", "2001-01-01T00:00:00Z")],
                [],
            ],
        )

    def test_others(self) -> None:
        """Other clients of the account, which say nothing, get everything at once."""
        laptop = self.house.login("juliet", "laptop", "<presence/>")
        laptop.take()
        self.romeo.send(f"<message to='juliet@example.org' id='1'>{RECEIPT}</message>")
        self.assertEqual([node["id"] for node in laptop.take()], ["1"])
        self.assertEqual(self.got(), [])

    def test_hibernation(self) -> None:
        """When the connection is lost, all goes to whoever keeps it; after that the client is active."""
        self.say("1")
        self.house.host.events.fire(Hibernated(self.juliet.session))
        self.assertEqual(self.got(), ["1"])
        self.say("2")
        self.assertEqual(self.got(), ["2"])

    def test_resumption(self) -> None:
        """When the session goes on over another connection its client is active until it says otherwise."""
        self.say("1")
        self.house.host.events.fire(Resumed(self.juliet.session))
        self.say("2")
        self.assertEqual(self.got(), ["1", "2"])

    def test_end(self) -> None:
        """When the session ends, messages that it never got are kept; what is of no use later is not."""
        self.say("1")
        self.say("2", type="headline")
        copy = f"<received xmlns='{CARBONS}'><forwarded xmlns='urn:xmpp:forward:0'/></received>"
        self.juliet.session.send(
            stanza(f"<message id='3' type='chat' to='juliet@example.org'>{copy}</message>")
        )
        self.juliet.session.end()
        later = self.house.login("juliet", "laptop", "<presence/>")
        self.assertEqual([node["id"] for node in later.take() if node.name == "message"], ["1"])

    def test_end_with_others(self) -> None:
        """When others of the account are there, they get what was for this one alone, and nothing twice."""
        laptop = self.house.login("juliet", "laptop", "<presence/>")
        self.say("1")
        self.romeo.send(f"<message type='chat' id='2' to='juliet@example.org'>{RECEIPT}</message>")
        self.juliet.session.end()
        self.assertEqual([node["id"] for node in laptop.take() if node.name == "message"], ["2", "1"])

    def test_end_while_sending(self) -> None:
        """A session that ends while held stanzas are sent leaves nothing behind."""
        self.say("1", "2")
        self.patch(self.juliet, "write", lambda data: self.juliet.session.unbind())
        self.state("active")
        self.assertEqual([row for row in self.house.host.pipeline.rows() if row[3] == "mod_csi"], [])

    def test_unloaded(self) -> None:
        """Without the module everything comes, and what was held back first."""
        self.say("1")
        self.house.modules["ClientState"].detach()
        self.say("2")
        self.assertEqual(self.got(), ["1", "2"])


class UnlimitedTests(CsiCase):
    """The buffer without an end."""

    options: ClassVar[dict[str, Any]] = {"buffer_max": "infinity"}

    def test_never_full(self) -> None:
        """Nothing comes before the client is active."""
        names = [str(number) for number in range(100)]
        self.say(*names)
        self.assertEqual(self.got(), [])
        self.state("active")
        self.assertEqual(self.got(), names)


class StateTests(CsiCase):
    """What clients say, and who is told."""

    def rows(self) -> list[str]:
        """Give the modules that look at what is sent to sessions."""
        return [row[3] for row in self.house.host.pipeline.rows() if row[0] == "to-session"]

    def test_nothing_installed(self) -> None:
        """While every client is active, nothing passes the module."""
        self.assertEqual(self.rows(), ["mod_csi"] * 3)
        self.state("active")
        self.assertEqual(self.rows(), [])
        self.state("inactive")
        self.juliet.session.end()
        self.assertEqual(self.rows(), [])

    def test_said_again(self) -> None:
        """To say it again changes nothing, and other modules are told once."""
        told: list[object] = []
        for event in (ClientInactive, ClientActive):
            self.house.host.events.add(event, "mod_test", told.append)
        self.say("1")
        for name in ("inactive", "inactive", "active", "active"):
            self.state(name)
        session = self.juliet.session
        self.assertEqual((self.got(), told), (["1"], [ClientActive(session)]))

    def test_no_session(self) -> None:
        """Before a resource is bound, and after the session has ended, states mean nothing."""
        client = Client(self.house)
        gone = self.house.login("nurse")
        gone.session.unbind()
        for name in ("active", "inactive"):
            self.state(name, client)
            self.state(name, gone)
        self.state("active")
        self.assertEqual(self.rows(), [])

    def test_stream(self) -> None:
        """The feature is announced after the login; the states are said on a stream and not answered."""
        talker = Talker(House(ClientState))
        self.assertIn(f"<csi xmlns='{NS_CSI}'/>", talker.authenticate())
        talker = Talker(House(ClientState)).log_in()
        self.assertEqual(talker.send(f"<inactive xmlns='{NS_CSI}'/><active xmlns='{NS_CSI}'/>"), "")
        self.assertIn("id='p'", talker.send("<iq type='get' id='p'><x xmlns='urn:example:unknown'/></iq>"))


class ImportanceTests(SynchronousTestCase):
    """What is worth waking a client for."""

    def test_table(self) -> None:
        """For each stanza: whether it comes at once."""
        body, state = "<body>hi</body>", "<active xmlns='http://jabber.org/protocol/chatstates'/>"
        rows = (
            (True, "<iq type='result' id='1'/>"),
            (False, "<presence/>"),
            (False, "<presence type='unavailable'/>"),
            (True, "<presence type='subscribe'/>"),
            (True, "<presence type='error'/>"),
            (False, f"<presence><x xmlns='{MUC_USER}'><item/></x></presence>"),
            (True, f"<presence><x xmlns='{MUC_USER}'><item/><status code='110'/></x></presence>"),
            (True, _message(body)),
            (True, _message("<subject>s</subject>", "groupchat")),
            (False, _message(body, "headline")),
            (True, _message("", "error")),
            (False, _message(state)),
            (False, _message(RECEIPT)),
            (False, _message("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>")),
            (False, _message("<event xmlns='http://jabber.org/protocol/pubsub#event'/>")),
            (True, _message("<encryption xmlns='urn:xmpp:eme:0' namespace='n'/>")),
            (True, _message("<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>")),
            (True, _message("<x xmlns='jabber:x:conference' jid='hall@muc.example.org'/>")),
            (True, _message(f"<x xmlns='{MUC_USER}'><invite/></x>")),
            (False, _message(f"<x xmlns='{MUC_USER}'><decline/></x>")),
            (True, _message(_carbon("sent", state))),
            (True, _message(_carbon("received", body))),
            (False, _message(_carbon("received", state))),
            (False, _message(f"<received xmlns='{CARBONS}'/>")),
        )
        states = House(ClientState).host.query(IClientState)
        for wanted, xml in rows:
            self.assertEqual(states.is_important(stanza(xml)), wanted, xml)


def _message(inner: str, type: str = "chat") -> str:
    return f"<message type='{type}'>{inner}</message>"


def _carbon(way: str, inner: str) -> str:
    message = f"<message xmlns='jabber:client' type='chat'>{inner}</message>"
    return f"<{way} xmlns='{CARBONS}'><forwarded xmlns='urn:xmpp:forward:0'>{message}</forwarded></{way}>"


def _stamps(node: domish.Element) -> list[tuple[str, str]]:
    return [(delay["from"], delay["stamp"]) for delay in node.elements("urn:xmpp:delay", "delay")]
