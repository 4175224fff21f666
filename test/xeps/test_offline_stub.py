"""mod_offline_stub."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.test.house import House
from palaver.xeps.offline import Offline
from palaver.xeps.offline_stub import OfflineStub

MESSAGE = "<message type='chat' to='juliet@example.org'><body>Hark!</body></message>"


class OfflineStubTests(SynchronousTestCase):
    """Messages vanish without an error."""

    def test_vanish(self) -> None:
        """The sender hears nothing."""
        romeo = House(OfflineStub).login("romeo")
        romeo.send(MESSAGE)
        self.assertEqual(romeo.take(), [])

    def test_beside_the_store(self) -> None:
        """Where messages are kept, they are kept."""
        house = House(OfflineStub, Offline)
        house.login("romeo").send(MESSAGE)
        names = [got.name for got in house.login("juliet", presence="<presence/>").take()]
        self.assertIn("message", names)

    def test_unloaded(self) -> None:
        """Without the module the sender gets an error."""
        house = House(OfflineStub)
        house.modules["OfflineStub"].detach()
        romeo = house.login("romeo")
        romeo.send(MESSAGE)
        self.assertEqual(romeo.take()[0]["type"], "error")
