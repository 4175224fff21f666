"""Messages with what clients tell each other: who gets them, who gets a copy, and what is kept of them.

XEP-0085, 0184, 0308, 0333, 0334, 0424, 0444 and 0461, with the modules of the daily set.
"""

from __future__ import annotations

from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.stanza import NS_CLIENT
from palaver.test.house import Client, House, now
from palaver.tree import serialize
from palaver.xeps.carboncopy import NS_CARBONS, CarbonCopy
from palaver.xeps.message_events import MessageEvents
from palaver.xeps.offline import Offline

BODY = "<body>hi</body>"
STATE = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
FALLBACK = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='9'/></fallback>"


def hint(name: str) -> str:
    """Give a processing hint."""
    return f"<{name} xmlns='urn:xmpp:hints'/>"


class Row(NamedTuple):
    """A message's content: whether it is copied, and what becomes of it while nobody is there."""

    xep: str
    inner: str
    copied: bool
    kept: bool
    refused: bool = False


ROWS = (
    Row("0085: a state with a text", BODY + STATE, True, True),
    Row("0085: a state alone", STATE, True, False),
    Row("0085: a state of a thread", f"{STATE}<thread>t</thread>", True, False),
    Row("0184: a request", f"{BODY}<request xmlns='urn:xmpp:receipts'/>", True, True),
    Row("0184: a receipt", "<received xmlns='urn:xmpp:receipts' id='1'/>", True, True),
    Row("0308: a correction", f"{BODY}<replace xmlns='urn:xmpp:message-correct:0' id='1'/>", True, True),
    Row("0333: a text to mark", f"{BODY}<markable xmlns='urn:xmpp:chat-markers:0'/>", True, True),
    Row("0333: a marker", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", True, True),
    Row("0424: a retraction", "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>", True, True),
    Row(
        "0444: a reaction",
        "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>\u2665</reaction></reactions>"
        + hint("store"),
        True,
        True,
    ),
    Row("0461: a reply", f"{BODY}<reply xmlns='urn:xmpp:reply:0' to='a@b' id='1'/>{FALLBACK}", True, True),
    Row("0334: not to be kept", BODY + hint("no-store"), True, False, refused=True),
    Row("0334: not to be kept for long", BODY + hint("no-permanent-store"), True, True),
    Row("0334: not to be copied", BODY + hint("no-copy"), False, True),
    Row("0334: to be kept, whatever it is", STATE + hint("store"), True, True),
    Row("0334: nothing worth to be refused", STATE + hint("no-store"), True, False),
)


class ExtensionTests(SynchronousTestCase):
    """Romeo writes to Juliet, who is there with two sessions, or away."""

    def setUp(self) -> None:
        """Log Romeo in."""
        self.house = House(Offline, MessageEvents, CarbonCopy)
        self.romeo = self.house.login("romeo")

    def juliet(self, resource: str, priority: int) -> Client:
        """Log Juliet in, with copies; gives the client with nothing received but messages."""
        client = self.house.login("juliet", resource)
        client.ask(f"<iq type='set' id='on'><enable xmlns='{NS_CARBONS}'/></iq>")
        client.send(f"<presence><priority>{priority}</priority></presence>")
        return client

    def send(self, row: Row) -> None:
        """Send a message."""
        self.romeo.send(f"<message type='chat' id='m' to='juliet@example.org'>{row.inner}</message>")

    def test_online(self) -> None:
        """What is sent comes as it was sent; the other session has a copy unless that is unwanted."""
        balcony, chamber = self.juliet("balcony", 5), self.juliet("chamber", 1)
        for row in ROWS:
            balcony.take()
            chamber.take()
            self.send(row)
            (got,) = balcony.received
            self.assertEqual(got.inner.decode(), row.inner, row.xep)
            copies = [copy.received.forwarded.message for copy in chamber.take()]
            self.assertEqual([_content(copy) for copy in copies], [row.inner] * row.copied, row.xep)
        self.assertEqual(self.romeo.take(), [])

    def test_away(self) -> None:
        """What is kept comes later as it was sent; what is not goes back, or is forgotten, by its kind."""
        for row in ROWS:
            self.send(row)
            self.assertEqual(len(self.romeo.take()), row.refused, row.xep)
            count = now(self.house.storage.logs.count("example.org", "juliet", "offline"))
            self.assertEqual(count, row.kept, row.xep)
            client = self.juliet("balcony", 0)
            got = [_content(node) for node in client.take() if node.name == "message"]
            self.assertEqual(got, [row.inner] * row.kept, row.xep)
            client.session.end()


def _content(message: domish.Element) -> str:
    """Give what is inside of a message, the stamp of its waiting left out."""
    return serialize([node for node in message.elements() if node.name != "delay"], NS_CLIENT).decode()
