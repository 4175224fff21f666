"""Token buckets by address."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from palaver.throttle import Address, Throttle, neighbourhood, parse_address


def address(text: str) -> Address:
    """Read an address that is one."""
    found = parse_address(text)
    assert found is not None
    return found


class AddressTests(SynchronousTestCase):
    """Which addresses count as one."""

    def test_parse(self) -> None:
        """IPv4 inside of IPv6 is IPv4, a zone does not count, and a local socket has no address."""
        self.assertEqual(str(parse_address("::ffff:192.0.2.1")), "192.0.2.1")
        self.assertEqual(str(parse_address("fe80::1%eth0")), "fe80::1")
        for text in ("", "local", "/run/palaver.sock", "192.0.2.999"):
            self.assertIsNone(parse_address(text), text)

    def test_neighbourhood(self) -> None:
        """An IPv4 address stands for itself, an IPv6 address for its customer's network."""
        self.assertEqual(str(neighbourhood(address("192.0.2.1"))), "192.0.2.1/32")
        self.assertEqual(str(neighbourhood(address("2001:db8::abcd"))), "2001:db8::/64")


class ThrottleTests(SynchronousTestCase):
    """How often an address may act."""

    def setUp(self) -> None:
        """Allow three at once, refilled in thirty seconds, for two addresses."""
        self.clock = Clock()
        self.throttle = Throttle(self.clock, 3, 30, 2)

    def allowed(self, text: str, tries: int) -> int:
        """Give how many of so many tries were allowed."""
        return sum(self.throttle.allow(address(text)) for _ in range(tries))

    def test_burst(self) -> None:
        """So many at once and no more, for each address."""
        self.assertEqual((self.allowed("192.0.2.1", 5), self.allowed("192.0.2.2", 5)), (3, 3))

    def test_refill(self) -> None:
        """One comes back after its part of the time, and never more than at first."""
        self.allowed("192.0.2.1", 3)
        self.clock.advance(10)
        self.assertEqual(self.allowed("192.0.2.1", 5), 1)
        self.clock.advance(1000)
        self.assertEqual(self.allowed("192.0.2.1", 5), 3)

    def test_asked_before(self) -> None:
        """To ask whether one more would be allowed counts as none, and nobody is remembered for it."""
        for left in (3, 2, 1):
            self.assertTrue(self.throttle.would_allow(address("192.0.2.1")), left)
            self.assertTrue(self.throttle.allow(address("192.0.2.1")))
        self.assertFalse(self.throttle.would_allow(address("192.0.2.1")))
        for number in range(5):
            self.assertTrue(self.throttle.would_allow(address(f"192.0.2.{number + 2}")))
        self.assertEqual(self.allowed("192.0.2.1", 1), 0)

    def test_refused_tries_cost_nothing(self) -> None:
        """Whoever keeps trying is let in as soon as the time is over."""
        self.allowed("192.0.2.1", 3)
        for _ in range(9):
            self.clock.advance(1)
            self.assertEqual(self.allowed("192.0.2.1", 1), 0)
        self.clock.advance(1.01)
        self.assertEqual(self.allowed("192.0.2.1", 1), 1)

    def test_bounded(self) -> None:
        """Only so many addresses are remembered; the one that was quiet longest is forgotten."""
        for text in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"):
            self.allowed(text, 3)
        self.assertEqual(self.allowed("192.0.2.1", 1), 0)
        self.assertEqual(self.allowed("192.0.2.2", 1), 1)
