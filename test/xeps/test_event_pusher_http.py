"""mod_event_pusher_http: what web servers are told."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError
from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from palaver.interfaces import IEventRequests
from palaver.mistakes import ConfigError
from palaver.push.events import UserOnline
from palaver.test.house import House, now
from palaver.test.push.cases import message
from palaver.test.push.web import WebServer
from palaver.xeps.event_pusher import EventPusher
from palaver.xeps.event_pusher_http import ChatMessages, HttpEvents, posted
from palaver.xeps.offline import Offline

reactor: Any = _reactor

# Far more than a loaded machine needs.
MAX_LOOKS, LOOK_S = 2000, 0.005


@implementer(IEventRequests)
class Online:
    """An application's own requests."""

    events = frozenset((UserOnline,))

    def request(self, event: Any) -> Any:
        """See IEventRequests."""
        return ("text/plain", event.jid.full.encode()) if event.jid.local == "juliet" else None


class HttpEventsTests(TestCase):
    """A web server hears what is said."""

    def setUp(self) -> None:
        """Start it, and the module."""
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.house = House(Offline, EventPusher)
        self.house.host.registry.registerUtility(Online(), IEventRequests, "online")
        clock: Any = reactor
        self.house.host.clock = clock
        handlers = [
            {"url": self.web.url, "path": "/chat"},
            {"url": f"{self.web.url}/x/", "callback_module": "online"},
        ]
        module = self.house.add(HttpEvents, handlers=handlers)
        self.addCleanup(module.detach)
        self.romeo = self.house.login("romeo", presence="<presence/>")

    async def test_chat(self) -> None:
        """What somebody says in a chat is posted as a form."""
        now(self.romeo.send(message("M&amp;M = ü", identity="1")))
        await self.web.wait_for(1)
        (found,) = self.web.posted
        self.assertEqual(found[:3], ("POST", "/chat", "application/x-www-form-urlencoded"))
        wanted = {"author": "romeo", "server": "example.org", "receiver": "juliet", "message": "M&M = ü"}
        self.assertEqual({name: value for name, (value,) in parse_qs(found.body.decode()).items()}, wanted)

    async def test_others(self) -> None:
        """Nothing else that is said is posted, and an application's own requests are."""
        for kind in ("normal", "groupchat", "headline", "error"):
            self.romeo.send(message(kind, type=kind))
        self.romeo.send("<message type='chat' to='juliet@example.org'><body/></message>")
        self.house.login("juliet", presence="<presence/>")
        await self.web.wait_for(1)
        self.assertEqual(self.web.posted, [("POST", "/x/", "text/plain", b"juliet@example.org/orchard")])

    async def test_down(self) -> None:
        """A web server that is down holds nobody up; what it missed is counted."""
        before = posted["failed"]
        await self.web.stop()
        now(self.romeo.send(message()))
        for _ in range(MAX_LOOKS):
            if posted["failed"] > before:
                break
            await deferLater(reactor, LOOK_S)
        self.assertEqual(posted["failed"], before + 1)
        kept = now(self.house.storage.logs.count("example.org", "juliet", "offline"))
        self.assertEqual(kept, 1)


class SettingsTests(SynchronousTestCase):
    """Options."""

    def test_interface(self) -> None:
        """What is built in provides the interface."""
        verifyObject(IEventRequests, ChatMessages())

    def test_wrong(self) -> None:
        """There is a web server at least, and whoever says what is posted is there."""
        bad: list[list[dict[str, Any]]] = [[], [{}], [{"url": "x"}], [{"url": "http://x", "pool": 1}]]
        for handlers in bad:
            self.assertRaises(ValidationError, HttpEvents.Settings, handlers=handlers)
        house = House(EventPusher)
        wrong = [{"url": "http://x", "callback_module": "nobody"}]
        self.assertIn("nobody", str(self.assertRaises(ConfigError, house.add, HttpEvents, handlers=wrong)))
