"""mod_throttle_presence."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.test.house import House, stanza
from palaver.xeps.csi import NS_CSI, ClientState
from palaver.xeps.throttle_presence import MAX_HELD_PRESENCES, ThrottlePresence


class ThrottleTests(SynchronousTestCase):
    """Juliet's phone is inactive, and her contacts come and go."""

    def setUp(self) -> None:
        """Log Juliet in."""
        self.house = House(ClientState, ThrottlePresence)
        self.juliet = self.house.login("juliet", "phone", "<presence/>")
        self.juliet.take()
        self.state("inactive")

    def state(self, name: str) -> None:
        """Have the phone say its state."""
        self.house.host.nonzas[NS_CSI, name](stanza(f"<{name} xmlns='{NS_CSI}'/>"), self.juliet)

    def come(self, *stanzas: str) -> None:
        """Have stanzas come for the phone."""
        for xml in stanzas:
            self.juliet.session.send(stanza(xml))

    def got(self) -> list[str]:
        """Give what came to the phone, by id."""
        return [node.getAttribute("id", "") for node in self.juliet.take()]

    def test_latest(self) -> None:
        """When the client is active it gets the latest presence of each contact, and no other."""
        self.come(
            "<presence from='a@example.org/x' id='1'/>",
            "<presence from='b@example.org/x' id='2'/>",
            "<presence from='a@example.org/y' id='3'/>",
            "<presence from='a@example.org/x' type='unavailable' id='4'/>",
        )
        self.assertEqual(self.got(), [])
        self.state("active")
        self.assertEqual(self.got(), ["2", "3", "4"])
        self.come("<presence from='a@example.org/x' id='5'/>")
        self.assertEqual(self.got(), ["5"])

    def test_important(self) -> None:
        """Something important of somebody else's leaves presences where they are."""
        self.come("<presence from='a@example.org/x' id='1'/>")
        self.come("<message from='b@example.org/x' id='2'><body>hi</body></message>")
        self.assertEqual(self.got(), ["2"])

    def test_same_contact(self) -> None:
        """A message brings its sender's presence with it, before itself."""
        self.come("<presence from='a@example.org/x' id='1'/>")
        self.come("<presence from='b@example.org/x' id='2'/>")
        self.come("<message from='a@example.org/x' id='3'><body>hi</body></message>")
        self.assertEqual(self.got(), ["1", "3"])

    def test_same_contact_unimportant(self) -> None:
        """An unimportant message is held back behind its sender's presence, and both come in order."""
        self.come("<presence from='a@example.org/x' id='1'/>")
        self.come(
            "<message from='a@example.org/x' id='2'><received xmlns='urn:xmpp:receipts' id='9'/></message>"
        )
        self.come("<presence from='a@example.org/x' id='3'/>")
        self.assertEqual(self.got(), [])
        self.state("active")
        self.assertEqual(self.got(), ["1", "2", "3"])

    def test_passing(self) -> None:
        """Requests, errors and what a room says of the occupant itself come at once."""
        self.come(
            "<presence from='a@example.org' type='subscribe' id='1'/>",
            "<presence from='hall@muc.example.org/j' type='error' id='2'/>",
            "<presence from='hall@muc.example.org/j' id='3'>"
            "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>",
        )
        self.assertEqual(self.got(), ["1", "2", "3"])

    def test_many(self) -> None:
        """Memory has an end: when too many are held, all are sent."""
        for number in range(MAX_HELD_PRESENCES + 1):
            self.come(f"<presence from='hall@muc.example.org/{number}' id='{number}'/>")
        self.state("active")
        self.assertEqual(self.got(), [str(number) for number in range(MAX_HELD_PRESENCES + 1)])

    def test_end(self) -> None:
        """A session that ends leaves nothing behind."""
        self.come("<presence from='a@example.org/x' id='1'/>")
        self.juliet.session.end()
        self.assertEqual(self.house.host.pipeline.rows(), [])

    def test_unloaded(self) -> None:
        """Without the module, presences are held back like other stanzas; those held before come first."""
        self.come("<presence from='a@example.org/x' id='1'/>")
        self.house.modules["ThrottlePresence"].detach()
        self.come("<presence from='a@example.org/x' id='2'/>")
        self.state("active")
        self.assertEqual(self.got(), ["1", "2"])
        self.assertEqual(self.house.host.pipeline.rows(), [])

    def test_alone(self) -> None:
        """Without mod_csi no client is inactive, and every presence comes."""
        self.juliet = House(ThrottlePresence).login("juliet", "phone", "<presence/>")
        self.juliet.take()
        self.come("<presence from='a@example.org/x' id='1'/>")
        self.assertEqual(self.got(), ["1"])
