"""XEP-0022."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.storage import Batch
from palaver.test.house import House
from palaver.xeps.message_events import NS_EVENT, MessageEvents
from palaver.xeps.offline import Offline

ASKS = (
    f"<message to='juliet@example.org' id='m'><body>hi</body><x xmlns='{NS_EVENT}'><offline/></x></message>"
)


class EventTests(SynchronousTestCase):
    """Romeo writes, Juliet is away."""

    def setUp(self) -> None:
        """Log Romeo in."""
        self.house = House(MessageEvents, Offline)
        self.romeo = self.house.login("romeo", "orchard", "<presence/>")
        self.romeo.take()

    def queue(self) -> list[str]:
        """Give the texts of what is kept for Juliet."""
        juliet = self.house.login("juliet", "balcony", "<presence/>")
        kept = [str(node.body) for node in juliet.take() if node.name == "message"]
        juliet.session.end()
        return kept

    def test_told(self) -> None:
        """A sender who asks for it hears that the message is kept, and the message is kept."""
        self.romeo.send(ASKS)
        (notice,) = self.romeo.take()
        self.assertEqual((notice["from"], notice["to"]), ("juliet@example.org", "romeo@example.org/orchard"))
        self.assertEqual([str(notice.x.id), notice.x.offline is not None], ["m", True])
        self.assertEqual(self.queue(), ["hi"])

    def test_not_asked(self) -> None:
        """Who does not ask for it, or asks for other events, hears nothing."""
        self.romeo.send(ASKS.replace("offline", "displayed"))
        self.romeo.send("<message to='juliet@example.org'><body>hi</body></message>")
        self.assertEqual(self.romeo.take(), [])

    def test_online(self) -> None:
        """A message that is delivered is not kept."""
        self.house.login("juliet", "balcony", "<presence/>")
        self.romeo.send(ASKS)
        self.assertEqual(self.romeo.take(), [])

    def test_after_the_commit(self) -> None:
        """The sender is told when the message is committed, not before."""
        commits: list[Deferred[None]] = []

        def write(batch: Batch) -> Deferred[None]:
            commits.append(Deferred())
            return commits[-1]

        self.patch(self.house.storage, "write", write)
        self.romeo.send(ASKS)
        self.assertEqual(self.romeo.take(), [])
        commits[0].callback(None)
        self.assertEqual(len(self.romeo.take()), 1)

    def test_events_are_not_kept(self) -> None:
        """An event for somebody who is away is forgotten."""
        self.romeo.send(ASKS.replace("<offline/>", "<displayed/><id>7</id>"))
        self.assertEqual((self.queue(), self.romeo.take()), ([], []))
