"""What waits for servers that never answer: bounded in memory, and idle."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from palaver.jid import JID
from palaver.routing.router import Router
from palaver.settings import S2s
from palaver.stanza import Stanza
from palaver.streams.flush import Flusher
from palaver.streams.s2s.federation import MAX_CONNECTING, MAX_LET_ALONE, MAX_LINKS, Federation
from palaver.streams.wheel import Wheel

DOMAINS = 10_000
# What a domain takes while one message waits for it, and how many functions are called for all in a second.
MAX_DOMAIN_BYTES = 4096
MAX_CALLS_A_SECOND = 200


class Sender:
    """Stands for a session that gets the errors."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def send(self, stanza: Stanza) -> bool:
        """Note the condition."""
        node = stanza.element.firstChildElement()
        self.errors.append(node.firstChildElement().name)
        return True


class Service:
    """A domain of ours."""

    domain = "mantua.example"


class Silent:
    """Name servers that never answer."""

    async def targets(self, domain: str) -> Any:
        """Wait for ever."""
        await Deferred()


class Waiting(SynchronousTestCase):
    """Ten thousand domains that never answer."""

    def setUp(self) -> None:
        """Make the service of links, with no name server that answers."""
        self.clock = Clock()
        wheel = Wheel(self.clock)
        wheel.start()
        router = Router()
        service: Any = Service()
        router.add(service)
        federation: Any = Federation(router, self.clock, wheel, Flusher(self.clock), None, "secret" * 4)
        federation.configure(S2s())
        federation.resolving = Silent()
        router.remote = federation
        self.federation, self.router, self.sender = federation, router, Sender()

    def send(self, number: int) -> None:
        """Send a message to one of many domains."""
        to = f"somebody@d{number}.example"
        attrs = {"from": "romeo@mantua.example/x", "to": to}
        origin: Any = self.sender
        self.router.route(Stanza("message", attrs, inner=b"", origin=origin))

    def test_many_domains(self) -> None:
        """They cost no timer each and few connections, and come back in time."""
        for number in range(DOMAINS):
            self.send(number)
        self.assertEqual(self.federation._connecting, MAX_CONNECTING)
        self.assertLess(len(self.clock.getDelayedCalls()), 5)
        self.assertEqual(self.sender.errors, [])
        for _ in range(92):
            self.clock.advance(1)
        self.assertEqual(self.sender.errors, ["remote-server-timeout"] * DOMAINS)
        self.assertEqual((self.federation._links, self.federation._waiting_bytes), ({}, 0))
        self.assertEqual(self.federation._connecting, 0)
        self.assertEqual(len(self.federation._let_alone), MAX_LET_ALONE)

    def test_cost(self) -> None:
        """Each takes few bytes, and while all of them wait a second costs next to nothing."""
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(DOMAINS):
            self.send(number)
        after, _ = tracemalloc.get_traced_memory()
        self.assertLess((after - before) / DOMAINS, MAX_DOMAIN_BYTES)
        tracemalloc.stop()
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += 1

        sys.setprofile(count)
        try:
            for _ in range(60):
                self.clock.advance(1)
        finally:
            sys.setprofile(None)
        self.assertEqual(self.sender.errors, [])
        self.assertLess(calls / 60, MAX_CALLS_A_SECOND)

    def test_too_many_domains(self) -> None:
        """Further domains than may wait are refused at once."""
        for number in range(MAX_LINKS + 1):
            self.send(number)
        self.assertEqual(self.sender.errors, ["resource-constraint"])

    def test_longer_each_time(self) -> None:
        """A domain is let alone twice as long after each failure, up to what is set."""
        delays = []
        for _ in range(8):
            self.send(1)
            for _ in range(92):
                self.clock.advance(1)
            alone = self.federation._let_alone["d1.example"]
            delays.append(alone.delay)
            self.clock.advance(alone.delay)
        self.assertEqual(delays, [5, 10, 20, 40, 80, 160, 300, 300])

    def test_foreign_sender(self) -> None:
        """What is neither from here nor for here goes nowhere."""
        stanza = Stanza("message", {"from": "a@b.example", "to": "c@d.example"})
        self.federation.deliver(stanza, JID("c", "d.example", ""))
        self.assertEqual(self.federation._links, {})
