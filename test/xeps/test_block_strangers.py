"""mod_block_strangers."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail

from palaver.errors import StorageError
from palaver.routing.roster import RosterItem
from palaver.test.house import stanza
from palaver.test.routing.test_presence import JULIET, REMOTE, ROMEO, PresenceCase
from palaver.xeps import block_strangers
from palaver.xeps.block_strangers import BlockStrangers
from palaver.xeps.offline import Offline

FULL = f"{JULIET}/balcony"
GONE = ("cancel", "service-unavailable")


class StrangersTests(PresenceCase):
    """Juliet hears from those whom she knows."""

    def setUp(self) -> None:
        """Log Juliet and Romeo in, who do not know each other."""
        super().setUp()
        self.house.add(BlockStrangers)
        self.juliet = self.house.login("juliet", "balcony", "<presence/>")
        self.romeo = self.house.login("romeo", "orchard", "<presence/>")
        self.juliet.take()
        self.romeo.take()

    def arrives(self, kind: str = "chat", to: str = FULL, sender: str | None = None) -> bool:
        """Send Juliet a message; tells whether it arrives. The sender hears nothing in either case."""
        message = f"<message type='{kind}' to='{to}'><body>hi</body></message>"
        if sender is None:
            self.romeo.send(message)
        else:
            self.host.router.route(stanza(message).replace(from_=sender))
        self.assertEqual((self.romeo.take(), self.elsewhere.take()), ([], []))
        return len(self.juliet.take()) == 1

    def test_stranger(self) -> None:
        """Messages of a stranger vanish without an answer."""
        for kind in ("chat", "normal", "headline"):
            for to in (FULL, JULIET):
                self.assertFalse(self.arrives(kind, to), (kind, to))
                self.assertFalse(self.arrives(kind, to, f"{REMOTE}/phone"), (kind, to))

    def test_iq(self) -> None:
        """A stranger's request of a client is answered as if it were not there; answers pass."""
        answer = self.romeo.ask(f"<iq type='get' id='1' to='{FULL}'><ping xmlns='urn:xmpp:ping'/></iq>")
        absent = self.romeo.ask(
            f"<iq type='get' id='1' to='{JULIET}/none'><ping xmlns='urn:xmpp:ping'/></iq>"
        )
        self.assertEqual((answer.error["type"], answer.error.firstChildElement().name), GONE)
        self.assertEqual(answer.error.toXml(), absent.error.toXml())
        self.assertEqual(self.juliet.take(), [])
        for kind in ("result", "error"):
            self.romeo.send(f"<iq type='{kind}' id='1' to='{FULL}'/>")
            self.assertEqual(len(self.juliet.take()), 1)

    def test_contacts(self) -> None:
        """Contacts are known by a subscription in any direction, or by a request of one's own."""
        for item in (
            RosterItem(ROMEO, subscription="from"),
            RosterItem(ROMEO, subscription="to"),
            RosterItem(ROMEO, subscription="both"),
            RosterItem(ROMEO, ask=True),
        ):
            self.hold("juliet", item)
            self.assertTrue(self.arrives())
        self.hold("juliet", RosterItem(ROMEO, name="Just a name"))
        self.assertFalse(self.arrives())

    def test_request(self) -> None:
        """A stranger's subscription request arrives, and once it is granted the messages do."""
        self.romeo.send(f"<presence type='subscribe' to='{JULIET}'/>")
        self.assertEqual([node["type"] for node in self.juliet.take()], ["subscribe"])
        self.juliet.send(f"<presence type='subscribed' to='{ROMEO}'/>")
        self.juliet.take()
        self.romeo.take()
        self.assertTrue(self.arrives())

    def test_own_and_server(self) -> None:
        """One's own sessions and the server are no strangers; an error is an answer."""
        self.assertTrue(self.arrives(sender=f"{JULIET}/garden"))
        self.assertTrue(self.arrives(sender="example.org"))
        self.assertTrue(self.arrives("error", sender=REMOTE))
        self.assertFalse(self.arrives(sender="elsewhere.example"))

    def test_rooms(self) -> None:
        """From a room that a client is in everything passes; from other rooms what is said in them."""
        self.assertFalse(self.arrives("chat", sender="hall@muc.example/nick"))
        self.assertTrue(self.arrives("groupchat", sender="hall@muc.example/nick"))
        self.juliet.send("<presence to='hall@muc.example/juliet'/>")
        self.elsewhere.take()
        self.assertTrue(self.arrives("chat", sender="hall@muc.example/nick"))
        self.assertFalse(self.arrives("chat", sender="cellar@muc.example/nick"))

    def test_reply(self) -> None:
        """Whom one has written to may answer, and only as long as that is remembered."""
        self.patch(block_strangers, "MAX_REMEMBERED", 2)
        self.juliet.send(f"<message type='chat' to='{ROMEO}/orchard'><body>hi</body></message>")
        self.romeo.take()
        self.juliet.take()
        # He did not know her either.
        self.hold("romeo", RosterItem(JULIET, subscription="to"))
        self.juliet.send(f"<message type='chat' to='{ROMEO}/orchard'><body>hi</body></message>")
        self.assertEqual(len(self.romeo.take()), 1)
        self.assertTrue(self.arrives())
        for name in ("nurse", "mercutio"):
            self.juliet.send(f"<message type='chat' to='{name}@example.org'><body>hi</body></message>")
        self.juliet.take()
        self.juliet.send("<message type='chat' to='@'/>")
        self.juliet.take()
        self.assertFalse(self.arrives())

    def test_no_replies(self) -> None:
        """Where replies are not let through, only contacts are."""
        self.host.modules["mod_block_strangers"].detach()
        self.house.add(BlockStrangers, allow_replies=False)
        self.hold("romeo", RosterItem(JULIET, subscription="to"))
        self.juliet.send(f"<message type='chat' to='{ROMEO}/orchard'><body>hi</body></message>")
        self.romeo.take()
        self.assertFalse(self.arrives())

    def test_absent(self) -> None:
        """Nothing of a stranger's is kept for somebody who is away; what a contact sends is."""
        self.house.add(Offline)
        self.juliet.session.unbind()
        self.assertFalse(self.arrives())
        self.hold("juliet", RosterItem("nurse@example.org", subscription="both"))
        self.arrives(sender="nurse@example.org/house")
        back = self.house.login("juliet", "balcony", "<presence/>")
        messages: list[Any] = [node["from"] for node in back.take() if node.name == "message"]
        self.assertEqual(messages, ["nurse@example.org/house"])

    def test_unreadable(self) -> None:
        """While the roster cannot be read nothing passes, and the sender hears that trying again may help."""
        self.patch(self.house.storage.documents, "list", lambda *_: fail(StorageError("gone")))
        self.romeo.send("<message type='chat' to='nurse@example.org'><body>hi</body></message>")
        (answer,) = self.romeo.take()
        self.assertEqual(answer.error.firstChildElement().name, "internal-server-error")

    def test_unload(self) -> None:
        """Without the module everything passes."""
        self.host.modules["mod_block_strangers"].detach()
        self.assertEqual(self.host.pipeline.rows(), [])
        self.assertTrue(self.arrives())
