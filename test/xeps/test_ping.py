"""XEP-0199."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from palaver.test.house import Client, House
from palaver.xeps.ping import Ping

PING = "<iq type='get' id='1'{to}><ping xmlns='urn:xmpp:ping'/></iq>"


class FromClientTests(SynchronousTestCase):
    """A client pings."""

    def setUp(self) -> None:
        """Log in."""
        self.house = House(Ping)
        self.romeo = self.house.login("romeo")

    def test_server(self) -> None:
        """The server answers with an empty result from itself."""
        answer = self.romeo.ask(PING.format(to=" to='example.org'"))
        self.assertEqual((answer["type"], answer["from"], answer.children), ("result", "example.org", []))

    def test_own_account(self) -> None:
        """The server answers for one's own account, named or not."""
        for to in ("", " to='romeo@example.org'"):
            self.assertEqual(self.romeo.ask(PING.format(to=to))["type"], "result")

    def test_other_account(self) -> None:
        """Pinging somebody's account tells nothing about it, whether it exists or not."""
        for name in ("juliet", "nobody"):
            answer = self.romeo.ask(PING.format(to=f" to='{name}@example.org'"))
            self.assertEqual(answer.error.firstChildElement().name, "service-unavailable")

    def test_other_client(self) -> None:
        """A ping for a client reaches it unchanged, with the sender's full address."""
        juliet = self.house.login("juliet", "balcony")
        self.romeo.send(PING.format(to=" to='juliet@example.org/balcony'"))
        (got,) = juliet.take()
        self.assertEqual(
            (got["from"], got.firstChildElement().uri), ("romeo@example.org/orchard", "urn:xmpp:ping")
        )

    def test_set(self) -> None:
        """A ping is a get."""
        answer = self.romeo.ask(PING.format(to="").replace("get", "set"))
        self.assertEqual(answer["type"], "error")

    def test_unloaded(self) -> None:
        """Without the module nobody answers."""
        self.house.modules["Ping"].detach()
        self.assertEqual(self.romeo.ask(PING.format(to=" to='example.org'"))["type"], "error")


class ToClientTests(SynchronousTestCase):
    """The server pings clients that have been quiet."""

    def house(self, **options: Any) -> House:
        """Give a house with pings every 60 seconds, to be answered within 20."""
        house = House()
        house.add(Ping, send_pings=True, ping_interval=60, ping_req_timeout=20, **options)
        return house

    def pass_time(self, house: House, seconds: int) -> None:
        """Let time pass, a second at a time."""
        house.clock.pump([1.0] * seconds)

    def pings(self, client: Client) -> list[Any]:
        """Give the pings that a client got."""
        return [got for got in client.take() if got.name == "iq" and got.ping is not None]

    def test_quiet(self) -> None:
        """A client that has been quiet for the interval is pinged once, by the server."""
        house = self.house()
        romeo = house.login("romeo")
        self.pass_time(house, 59)
        self.assertEqual(self.pings(romeo), [])
        self.pass_time(house, 7)
        (ping,) = self.pings(romeo)
        self.assertEqual(
            (ping["type"], ping["from"], ping["to"]), ("get", "example.org", romeo.session.jid.full)
        )

    def test_busy(self) -> None:
        """A client that sends something is left alone."""
        house = self.house()
        romeo = house.login("romeo")
        for _ in range(10):
            self.pass_time(house, 20)
            romeo.heard = house.clock.seconds()
        self.assertEqual(self.pings(romeo), [])

    def test_answered(self) -> None:
        """Any sign of life settles a ping; the next one comes after another quiet interval."""
        house = self.house(timeout_action="kill")
        romeo = house.login("romeo")
        self.pass_time(house, 66)
        (ping,) = self.pings(romeo)
        romeo.heard = house.clock.seconds()
        romeo.send(f"<iq type='result' id='{ping['id']}' to='example.org'/>")
        self.pass_time(house, 50)
        self.assertEqual((self.pings(romeo), romeo.closed), ([], False))
        self.pass_time(house, 20)
        self.assertEqual(len(self.pings(romeo)), 1)

    def test_kill(self) -> None:
        """With kill, a client that does not answer in time loses its stream."""
        house = self.house(timeout_action="kill")
        romeo = house.login("romeo")
        self.pass_time(house, 66 + 26)
        self.assertIsNotNone(romeo.error)
        self.assertEqual(romeo.error.condition, "connection-timeout")  # type: ignore[union-attr]
        self.assertNotIn("romeo", house.host.users)

    def test_none(self) -> None:
        """With none, a client that does not answer stays."""
        house = self.house()
        romeo = house.login("romeo")
        self.pass_time(house, 300)
        self.assertFalse(romeo.closed)

    def test_gone(self) -> None:
        """A client that goes while a ping is out is forgotten."""
        house = self.house(timeout_action="kill")
        romeo = house.login("romeo")
        self.pass_time(house, 66)
        romeo.session.unbind()
        self.pass_time(house, 60)
        self.assertIsNone(romeo.error)

    def test_one_timer(self) -> None:
        """However many clients are quiet, there is one timer."""
        house = self.house()
        for number in range(5):
            house.login("romeo", f"r{number}")
        self.pass_time(house, 66)
        self.assertEqual(len(house.clock.getDelayedCalls()), 1)

    def test_off(self) -> None:
        """By default no client is pinged, and there is no timer."""
        house = House(Ping)
        self.assertEqual(house.clock.getDelayedCalls(), [])

    def test_unloaded(self) -> None:
        """Without the module there is no timer left."""
        house = self.house()
        house.modules["Ping"].detach()
        self.assertEqual(house.clock.getDelayedCalls(), [])

    def test_options(self) -> None:
        """An interval below a second, and an unknown action, are refused."""
        for options in ({"ping_interval": 0}, {"timeout_action": "shout"}, {"ping_req_timeout": -1}):
            with self.assertRaises(ValidationError):
                Ping.Settings(**options)
