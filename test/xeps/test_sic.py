"""XEP-0279."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.test.house import House, stanza
from palaver.xeps.sic import ServerIpCheck

ASK = "<iq type='get' id='1'{to}><address xmlns='urn:xmpp:sic:1'/></iq>"


class ServerIpCheckTests(SynchronousTestCase):
    """A client asks for its address."""

    def setUp(self) -> None:
        """Log in."""
        self.house = House(ServerIpCheck)
        self.romeo = self.house.login("romeo")

    def test_own(self) -> None:
        """A client is told its address and port, by the server and by its own account."""
        for to in ("", " to='example.org'", " to='romeo@example.org'"):
            address = self.romeo.ask(ASK.format(to=to)).address
            self.assertEqual((str(address.ip), str(address.port)), ("127.0.0.1", str(self.romeo.port)))

    def test_port_unknown(self) -> None:
        """Where the port is not known, it is left out."""
        self.romeo.port = None
        self.assertIsNone(self.romeo.ask(ASK.format(to="")).address.port)

    def test_address_unknown(self) -> None:
        """A connection without an address (a local socket, say) gets an error."""
        self.romeo.address = ""
        answer = self.romeo.ask(ASK.format(to=""))
        self.assertEqual(answer.error.firstChildElement().name, "internal-server-error")

    def test_others(self) -> None:
        """Nobody is told somebody else's address."""
        self.house.login("juliet")
        answer = self.romeo.ask(ASK.format(to=" to='juliet@example.org'"))
        self.assertEqual(answer.error.firstChildElement().name, "forbidden")

    def test_remote(self) -> None:
        """Who does not come through a client's stream here is told nothing."""
        asked = stanza(ASK.format(to=" to='example.org' from='romeo@example.org/orchard'"))
        self.house.router.route(asked)
        (answer,) = self.romeo.take()
        self.assertEqual(answer.error.firstChildElement().name, "forbidden")

    def test_set(self) -> None:
        """An address is not set."""
        answer = self.romeo.ask(ASK.format(to="").replace("get", "set"))
        self.assertEqual(answer.error.firstChildElement().name, "not-allowed")

    def test_unloaded(self) -> None:
        """Without the module nobody answers."""
        self.house.modules["ServerIpCheck"].detach()
        self.assertEqual(self.romeo.ask(ASK.format(to=""))["type"], "error")
