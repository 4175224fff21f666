"""Acknowledgements on components' streams (XEP-0198)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.test.components.talker import GATEWAY, Gates, Gateway
from palaver.test.streams.talker import condition

NS = "urn:xmpp:sm:3"
ENABLE, ASK = f"<enable xmlns='{NS}'/>", f"<r xmlns='{NS}'/>"
MESSAGE = "<message from='nick@irc.example.org' to='{}@example.org'><body>ahoy</body></message>"


def ack(count: int) -> str:
    """Give what the server says when so many stanzas are done with."""
    return f"<a xmlns='{NS}' h='{count}'/>"


class AcknowledgementTests(SynchronousTestCase):
    """A gateway that wants to know what has arrived."""

    gateway_class: type[Gateway] = Gateway

    def setUp(self) -> None:
        self.gates = Gates(gateway=self.gateway_class)
        self.gateway = self.gates.open()
        self.gateway.connect()
        self.romeo = self.gates.house.login("romeo", "orchard", "<presence/>")
        # What a message to Juliet waits for: her storage.
        self.stored: list[Deferred[Any]] = []
        route = self.gates.router.route

        def delayed(stanza: Any) -> Any:
            if stanza.attrs.get("to") != "juliet@example.org":
                return route(stanza)
            self.stored.append(Deferred())
            return self.stored[-1]

        self.patch(self.gates.router, "route", delayed)

    def test_counted(self) -> None:
        """Stanzas count from the moment when it is switched on."""
        self.gateway.send(MESSAGE.format("romeo"))
        self.assertEqual(self.gateway.send(ENABLE), f"<enabled xmlns='{NS}'/>")
        self.assertEqual(self.gateway.send(ASK), ack(0))
        self.gateway.send(MESSAGE.format("romeo"))
        self.assertEqual(self.gateway.send(MESSAGE.format("romeo") + ASK), ack(2))

    def test_stored_first(self) -> None:
        """A stanza is acknowledged once it is stored, and none before an earlier one."""
        self.gateway.send(
            ENABLE + MESSAGE.format("juliet") + MESSAGE.format("juliet") + MESSAGE.format("romeo")
        )
        self.assertEqual(self.gateway.send(ASK), ack(0))
        self.stored[0].callback(None)
        self.assertEqual(self.gateway.send(ASK), ack(1))
        self.stored[1].callback(None)
        # It is said without being asked again.
        self.assertEqual(self.gateway.take(), ack(3) * 2)

    def test_refused(self) -> None:
        """A session is not resumed, and nothing is switched on twice or answered before."""
        self.assertIn("<item-not-found", self.gateway.send(f"<resume xmlns='{NS}' previd='x' h='0'/>"))
        self.gateway.send(ENABLE)
        self.assertEqual(condition(self.gateway.send(ENABLE)), "policy-violation")
        again = self.gates.open()
        again.connect()
        self.assertEqual(condition(again.send(ASK)), "policy-violation")

    def test_strangers(self) -> None:
        """Before the handshake there is nothing to acknowledge."""
        stranger = self.gates.open()
        stranger.greet(GATEWAY)
        self.assertEqual(condition(stranger.send(ENABLE)), "not-authorized")
