"""XEP-0280."""

from __future__ import annotations

from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.interfaces import ICarbons
from palaver.routing.pipeline import DROP, TO_USER
from palaver.stanza import NS_FORWARD
from palaver.test.house import Client, House, stanza
from palaver.xeps.carboncopy import NS_CARBONS, CarbonCopy, is_eligible

ENABLE = f"<iq type='set' id='on'><enable xmlns='{NS_CARBONS}'/></iq>"
DISABLE = f"<iq type='set' id='off'><disable xmlns='{NS_CARBONS}'/></iq>"
MUC_USER = "http://jabber.org/protocol/muc#user"


class CarbonsCase(SynchronousTestCase):
    """Juliet has several sessions that want copies, and Romeo writes to her."""

    # Her sessions with their priorities.
    sessions: ClassVar[dict[str, int | None]] = {"balcony": 5, "chamber": 1, "garden": -1, "silent": None}

    def setUp(self) -> None:
        """Log everybody in."""
        self.house = House(CarbonCopy)
        self.romeo = self.house.login("romeo", "orchard", "<presence/>")
        self.juliet: dict[str, Client] = {}
        for name, priority in self.sessions.items():
            client = self.juliet[name] = self.house.login("juliet", name)
            client.send(ENABLE)
            if priority is not None:
                client.send(f"<presence><priority>{priority}</priority></presence>")
        self.take_all()

    def take_all(self) -> None:
        """Forget what came so far."""
        for client in (self.romeo, *self.juliet.values()):
            client.take()

    def got(self) -> dict[str, list[str]]:
        """Give what each of Juliet's sessions got: "original", "sent" or "received"."""
        found = {name: [_kind(node) for node in client.take()] for name, client in self.juliet.items()}
        return {name: kinds for name, kinds in found.items() if kinds}

    def errors(self, client: Client, request: str) -> str:
        """Give the condition with which a request is refused."""
        answer = client.ask(request)
        self.assertEqual(answer["type"], "error")
        return str(answer.error.firstChildElement().name)


def _kind(node: domish.Element) -> str:
    child = node.firstChildElement()
    return child.name if child is not None and child.uri == NS_CARBONS else "original"


def chat(to: str, inner: str = "<body>hi</body>", type: str = "chat") -> str:
    """Give a message."""
    return f"<message to='{to}' type='{type}' id='m'>{inner}</message>"


class ReceivedTests(CarbonsCase):
    """What others send to Juliet."""

    def test_full(self) -> None:
        """A message for one session is copied to all others, whatever their presence."""
        self.romeo.send(chat("juliet@example.org/chamber"))
        wanted = {"chamber": ["original"]} | {name: ["received"] for name in ("balcony", "garden", "silent")}
        self.assertEqual(self.got(), wanted)

    def test_bare(self) -> None:
        """A message for the account is copied to those whom ordinary delivery does not reach."""
        for to in ("juliet@example.org", "juliet@example.org/gone"):
            self.romeo.send(chat(to))
            self.assertEqual(
                self.got(),
                {
                    "balcony": ["original"],
                    "chamber": ["received"],
                    "garden": ["received"],
                    "silent": ["received"],
                },
            )

    def test_same_priority(self) -> None:
        """Sessions that share the highest priority all get the message itself."""
        self.juliet["chamber"].send("<presence><priority>5</priority></presence>")
        self.take_all()
        self.romeo.send(chat("juliet@example.org"))
        got = self.got()
        self.assertEqual((got["balcony"], got["chamber"]), (["original"], ["original"]))

    def test_shape(self) -> None:
        """A copy comes from the account, has the message's type, and the whole message inside."""
        self.romeo.send(chat("juliet@example.org/balcony", "<body>a &amp; b</body><thread>t</thread>"))
        (copy,) = self.juliet["garden"].take()
        self.assertEqual(
            (copy["from"], copy["to"], copy["type"]),
            ("juliet@example.org", "juliet@example.org/garden", "chat"),
        )
        (forwarded,) = copy.received.elements(NS_FORWARD, "forwarded")
        (message,) = forwarded.elements()
        self.assertEqual((message.uri, message["id"], str(message.body)), ("jabber:client", "m", "a & b"))
        self.assertEqual(
            (message["from"], message["to"]), ("romeo@example.org/orchard", "juliet@example.org/balcony")
        )
        self.assertEqual(str(message.thread), "t")

    def test_no_type(self) -> None:
        """A message without a type has copies without one."""
        self.romeo.send("<message to='juliet@example.org/balcony'><body>hi</body></message>")
        (copy,) = self.juliet["garden"].take()
        self.assertFalse(copy.hasAttribute("type"))

    def test_private(self) -> None:
        """A private message is not copied, and loses its mark."""
        self.romeo.send(chat("juliet@example.org/balcony", f"<body>hi</body><private xmlns='{NS_CARBONS}'/>"))
        (message,) = self.juliet["balcony"].take()
        self.assertEqual([child.name for child in message.elements()], ["body"])
        self.assertEqual(self.got(), {})

    def test_room(self) -> None:
        """A room's occupant is heard by the session in the room alone; an invitation by all."""
        occupant = f"<body>psst</body><x xmlns='{MUC_USER}'/>"
        self.romeo.send(chat("juliet@example.org/balcony", occupant))
        self.assertEqual(self.got(), {"balcony": ["original"]})
        invitation = f"<x xmlns='{MUC_USER}'><invite from='romeo@example.org'/></x>"
        self.romeo.send(chat("juliet@example.org", invitation, "normal"))
        self.assertEqual(self.got()["garden"], ["received"])

    def test_error(self) -> None:
        """A refusal by an account is copied, and one by a client when it shows that it answers a message."""
        error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        for sender, echo, copies in (
            ("nurse@example.org", "", ["received"]),
            ("nurse@example.org/x", "", None),
            ("nurse@example.org/x", "<body>hi</body>", ["received"]),
        ):
            attrs = f"type='error' from='{sender}' to='juliet@example.org/balcony'"
            self.house.router.route(stanza(f"<message {attrs}>{echo}{error}</message>"))
            got = self.got()
            self.assertEqual((got["balcony"], got.get("garden")), (["original"], copies))

    def test_stopped(self) -> None:
        """What a guard stops is not copied."""
        self.house.host.pipeline.add(TO_USER, "guard", ("message",), "mod_guard", lambda message, to: DROP)
        self.romeo.send(chat("juliet@example.org"))
        self.assertEqual(self.got(), {})


class SentTests(CarbonsCase):
    """What Juliet sends."""

    def test_sent(self) -> None:
        """What one session sends is copied to the others, and not to itself."""
        self.juliet["chamber"].send(chat("romeo@example.org/orchard"))
        self.assertEqual(self.got(), {name: ["sent"] for name in ("balcony", "garden", "silent")})
        (message,) = self.romeo.take()
        self.assertEqual(_kind(message), "original")

    def test_shape(self) -> None:
        """The copy holds what was sent, with its sender."""
        self.juliet["chamber"].send(chat("romeo@example.org"))
        (copy,) = self.juliet["garden"].take()
        message = copy.sent.forwarded.message
        self.assertEqual(
            (message["from"], message["to"]), ("juliet@example.org/chamber", "romeo@example.org")
        )
        self.assertEqual((copy["from"], copy["to"]), ("juliet@example.org", "juliet@example.org/garden"))

    def test_without_copies(self) -> None:
        """A session that wants no copies has its own copied all the same."""
        self.juliet["chamber"].send(DISABLE)
        self.take_all()
        self.juliet["chamber"].send(chat("romeo@example.org"))
        self.assertEqual(self.got()["garden"], ["sent"])

    def test_to_oneself(self) -> None:
        """A message to one's own account reaches each session once."""
        for to in (" to='juliet@example.org'", ""):
            self.juliet["chamber"].send(f"<message type='chat'{to}><body>note</body></message>")
            self.assertEqual(self.got(), {"balcony": ["original"], "garden": ["sent"], "silent": ["sent"]})
        self.juliet["chamber"].send(chat("juliet@example.org/garden"))
        self.assertEqual(self.got(), {"balcony": ["sent"], "garden": ["original"], "silent": ["sent"]})

    def test_nowhere(self) -> None:
        """A message to an address that is none is refused and not copied."""
        self.juliet["chamber"].send(chat("@example.org"))
        self.assertEqual(self.got(), {"chamber": ["original"]})

    def test_forged(self) -> None:
        """A client that sends copies, or bounces one, sets off no copies."""
        forged = f"<sent xmlns='{NS_CARBONS}'><forwarded xmlns='{NS_FORWARD}'/></sent>"
        self.juliet["chamber"].send(chat("juliet@example.org", forged, "error"))
        self.assertEqual(self.got(), {})
        self.juliet["chamber"].send(chat("romeo@example.org", forged))
        self.assertEqual(self.got(), {})


class RequestTests(CarbonsCase):
    """Copies are switched on and off."""

    def test_again(self) -> None:
        """Switching on twice, or off twice, is no mistake; each copy comes once."""
        balcony = self.juliet["balcony"]
        self.assertEqual([balcony.ask(ENABLE)["type"] for _ in range(2)], ["result"] * 2)
        self.romeo.send(chat("juliet@example.org/chamber"))
        self.assertEqual(self.got()["balcony"], ["received"])
        self.assertEqual([balcony.ask(DISABLE)["type"] for _ in range(2)], ["result"] * 2)
        self.romeo.send(chat("juliet@example.org/chamber"))
        self.assertNotIn("balcony", self.got())

    def test_refused(self) -> None:
        """A get, an element with content, and somebody else's account are refused."""
        balcony = self.juliet["balcony"]
        full = f"<iq type='set' id='1'><enable xmlns='{NS_CARBONS}'><x/></enable></iq>"
        self.assertEqual(self.errors(balcony, ENABLE.replace("'set'", "'get'")), "bad-request")
        self.assertEqual(self.errors(balcony, full), "bad-request")
        self.assertEqual(
            self.errors(balcony, ENABLE.replace("'set'", "'set' to='romeo@example.org'")), "not-allowed"
        )
        stranger = stanza(
            ENABLE.replace("'set'", "'set' from='juliet@example.org/x' to='juliet@example.org'")
        )
        self.house.router.route(stranger)
        self.assertEqual(self.got(), {})

    def test_nothing_installed(self) -> None:
        """While nobody wants copies, no message passes the module."""
        rows = self.house.host.pipeline.rows
        self.assertEqual([row[0] for row in rows()], ["sent", "to-user"])
        for name, client in self.juliet.items():
            if name == "balcony":
                client.send(DISABLE)
            else:
                client.session.end()
        self.assertEqual(rows(), [])

    def test_session_ended(self) -> None:
        """A session that has ended gets nothing, and its last requests leave nothing behind."""
        garden = self.juliet["garden"].session
        garden.unbind()
        self.house.host.query(ICarbons).enable(garden)
        self.romeo.send(chat("juliet@example.org/chamber"))
        self.assertNotIn("garden", self.got())

    def test_unloaded(self) -> None:
        """Without the module there are no copies."""
        self.house.modules["CarbonCopy"].detach()
        self.assertEqual(self.house.host.pipeline.rows(), [])
        self.assertEqual(self.errors(self.juliet["balcony"], ENABLE), "service-unavailable")


class RuleTests(SynchronousTestCase):
    """Which messages are copied."""

    def test_table(self) -> None:
        """For each kind of message: whether it is copied when it comes in, and when it goes out."""
        body, receipt = "<body>hi</body>", "<received xmlns='urn:xmpp:receipts' id='1'/>"
        ours, forged = (
            f"<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='{by}'/>"
            for by in ("juliet@example.org", "romeo@example.org")
        )
        invite = f"<x xmlns='{MUC_USER}'><invite/></x>"
        rows = (
            ("chat", "", True, True),
            ("chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", True, True),
            ("chat", f"{body}<private xmlns='{NS_CARBONS}'/>", False, False),
            ("chat", f"{body}<no-copy xmlns='urn:xmpp:hints'/>", False, False),
            ("chat", f"{body}<x xmlns='{MUC_USER}'/>", True, True),
            ("chat", f"<received xmlns='{NS_CARBONS}'/>", False, False),
            ("normal", "", False, False),
            ("normal", body, True, True),
            ("normal", receipt, True, True),
            ("normal", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", True, True),
            ("normal", "<active xmlns='http://jabber.org/protocol/chatstates'/>", True, True),
            ("normal", "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>", True, True),
            ("normal", "<x xmlns='jabber:x:conference' jid='hall@muc.example.org'/>", True, True),
            ("normal", invite, True, True),
            ("normal", f"<x xmlns='{MUC_USER}'><decline/></x>", False, False),
            ("normal", ours, True, False),
            ("normal", forged, False, False),
            ("normal", "<event xmlns='http://jabber.org/protocol/pubsub#event'/>", False, False),
            ("unheard", body, True, True),
            ("headline", body, False, False),
            ("groupchat", body, False, False),
            ("error", "", False, False),
            ("error", body, True, True),
            ("error", f"<sent xmlns='{NS_CARBONS}'/>", False, False),
        )
        to = stanza("<message to='juliet@example.org'/>").to
        for type, inner, received, sent in rows:
            message = stanza(f"<message type='{type}' from='romeo@example.org/orchard'>{inner}</message>")
            self.assertEqual(
                (is_eligible(message, to), is_eligible(message, None)), (received, sent), (type, inner)
            )
