"""XEP-0202 and XEP-0090."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.test.house import House
from palaver.xeps.time import Time

ASK = "<iq type='get' id='1' to='example.org'><time xmlns='urn:xmpp:time'/></iq>"
ASK_LEGACY = "<iq type='get' id='1' to='example.org'><query xmlns='jabber:iq:time'/></iq>"
# 2006-12-19T17:58:35Z, the example of XEP-0202.
EXAMPLE_S = 1166551115.25


class TimeTests(SynchronousTestCase):
    """A client asks for the time."""

    def setUp(self) -> None:
        """Log in at a known time."""
        self.house = House(Time)
        self.house.clock.advance(EXAMPLE_S)
        self.romeo = self.house.login("romeo")

    def test_time(self) -> None:
        """The time comes in UTC with a zone that says so."""
        time = self.romeo.ask(ASK).time
        self.assertEqual((str(time.utc), str(time.tzo)), ("2006-12-19T17:58:35Z", "+00:00"))

    def test_legacy(self) -> None:
        """The older format has no separators in its date."""
        query = self.romeo.ask(ASK_LEGACY).query
        self.assertEqual((str(query.utc), str(query.tz)), ("20061219T17:58:35", "UTC"))

    def test_set(self) -> None:
        """The clock cannot be set."""
        for xml in (ASK, ASK_LEGACY):
            answer = self.romeo.ask(xml.replace("get", "set"))
            self.assertEqual(answer.error.firstChildElement().name, "not-allowed")

    def test_unloaded(self) -> None:
        """Without the module nobody answers."""
        self.house.modules["Time"].detach()
        self.assertEqual(self.romeo.ask(ASK)["type"], "error")
