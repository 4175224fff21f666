"""mod_filter_chatstates."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.test.house import House, stanza
from palaver.xeps.csi import NS_CSI, ClientState
from palaver.xeps.filter_chatstates import FilterChatStates

STATE = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"


class FilterTests(SynchronousTestCase):
    """Juliet's phone is inactive, and people type."""

    def setUp(self) -> None:
        """Log Juliet in with two clients, the first of them inactive."""
        self.house = House(ClientState, FilterChatStates)
        self.juliet = self.house.login("juliet", "phone", "<presence/>")
        self.laptop = self.house.login("juliet", "laptop", "<presence/>")
        self.romeo = self.house.login("romeo")
        self.juliet.take()
        self.laptop.take()
        self.state("inactive")

    def state(self, name: str) -> None:
        """Have the phone say its state."""
        self.house.host.nonzas[NS_CSI, name](stanza(f"<{name} xmlns='{NS_CSI}'/>"), self.juliet)

    def test_table(self) -> None:
        """For each message: what is left of it for an inactive client; None when it is not sent."""
        copy = (
            "<{way} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
            "<message xmlns='jabber:client' type='chat'>{inner}</message></forwarded></{way}>"
        )
        rows: tuple[tuple[str, list[str] | None], ...] = (
            (STATE, None),
            (STATE + "<thread>t</thread><no-store xmlns='urn:xmpp:hints'/>", None),
            (f"<body>hi</body>{STATE}", ["body"]),
            (f"<received xmlns='urn:xmpp:receipts' id='1'/>{STATE}", ["received"]),
            (f"{STATE}<store xmlns='urn:xmpp:hints'/>", ["store"]),
            ("<body>hi</body>", ["body"]),
            ("<thread>t</thread>", ["thread"]),
            ("", []),
            (copy.format(way="received", inner=STATE), None),
            (copy.format(way="sent", inner=STATE), None),
            (copy.format(way="received", inner=f"<body>hi</body>{STATE}"), ["received"]),
            ("<received xmlns='urn:xmpp:carbons:2'/>", ["received"]),
        )
        for inner, wanted in rows:
            self.state("inactive")
            self.juliet.session.send(stanza(f"<message type='chat'>{inner}</message>"))
            self.state("active")
            got = [
                [node.name for node in one.elements() if node.name != "delay"] for one in self.juliet.take()
            ]
            self.assertEqual(got, [] if wanted is None else [wanted], inner)

    def test_others(self) -> None:
        """Another client of the account gets the message as it was sent."""
        self.romeo.send(f"<message type='chat' to='juliet@example.org'><body>hi</body>{STATE}</message>")
        phone, laptop = self.juliet.take(), self.laptop.take()
        names = [[node.name for node in one.elements()] for (one,) in (phone, laptop)]
        self.assertEqual(names, [["body"], ["body", "composing"]])

    def test_error(self) -> None:
        """An error is left as it is."""
        self.juliet.session.send(stanza(f"<message type='error'>{STATE}<error/></message>"))
        (got,) = self.juliet.take()
        self.assertEqual([node.name for node in got.elements()], ["composing", "error"])

    def test_active(self) -> None:
        """An active client sees who is typing; what was filtered is not repeated."""
        self.juliet.session.send(stanza(f"<message type='chat' id='1'>{STATE}</message>"))
        self.state("active")
        self.juliet.session.send(stanza(f"<message type='chat' id='2'>{STATE}</message>"))
        self.assertEqual([node["id"] for node in self.juliet.take()], ["2"])

    def test_nothing_left(self) -> None:
        """Nothing stays behind of a session that ends, nor of the module."""
        self.juliet.session.end()
        self.assertEqual(self.house.host.pipeline.rows(), [])
        self.juliet = self.laptop
        self.state("inactive")
        for name in ("FilterChatStates", "ClientState"):
            self.house.modules[name].detach()
        self.assertEqual(self.house.host.pipeline.rows(), [])
