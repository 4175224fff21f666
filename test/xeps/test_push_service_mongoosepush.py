"""mod_push_service_mongoosepush: what MongoosePush is asked, and what its answers mean."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from palaver.interfaces import IPushService
from palaver.mistakes import ConfigError
from palaver.push.service import DeviceGone, PushFailed
from palaver.test.house import House
from palaver.test.push.web import WebServer
from palaver.xeps.push_service_mongoosepush import MongoosePush

reactor: Any = _reactor

SUMMARY = {"message-count": "2", "last-message-sender": "romeo@example.org", "last-message-body": "hi"}
DEVICE = {"device_id": ["4711"], "service": ["apns"]}


class MongoosePushTests(TestCase):
    """A web server in the place of MongoosePush."""

    def setUp(self) -> None:
        """Start it, and the module."""
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.module = self.attach()

    def attach(self, **options: Any) -> Any:
        """Give the module on a house of its own."""
        house = House()
        clock: Any = reactor
        house.host.clock = clock
        module = house.add(MongoosePush, **{"url": self.web.url, **options})
        self.addCleanup(module.detach)
        return module

    async def push(self, summary: dict[str, str] | None = None, **options: str) -> Any:
        """Push something; give what was posted, read."""
        given = {**DEVICE, **{name: [text] for name, text in options.items()}}
        await self.module.push(SUMMARY if summary is None else summary, given)
        return json.loads(self.web.posted[-1].body)

    async def test_alert(self) -> None:
        """The usual notification is an alert."""
        found = await self.push(mode="prod", topic="com.example", tags="x", mutable_content="true")
        alert = {"body": "hi", "title": "romeo@example.org", "tag": "romeo@example.org", "badge": 2}
        wanted = {"service": "apns", "mode": "prod", "topic": "com.example", "mutable_content": "true"}
        self.assertEqual(found, {**wanted, "alert": alert})
        posted = self.web.posted[-1]
        self.assertEqual(posted[:3], ("POST", "/v3/notification/4711", "application/json"))

    async def test_options(self) -> None:
        """What an alert does is inside of it; the rest is beside it, as text."""
        found = await self.push(click_action="open", sound="bell", priority="high", time_to_live="60")
        self.assertEqual((found["alert"]["click_action"], found["alert"]["sound"]), ("open", "bell"))
        self.assertEqual((found["priority"], found["time_to_live"]), ("high", "60"))

    async def test_silent(self) -> None:
        """A silent notification is data; only the word true makes it one."""
        found = await self.push(service="fcm", silent="true")
        self.assertEqual(found, {"service": "fcm", "data": {**SUMMARY, "message-count": 2}})
        self.assertIn("alert", await self.push(silent="1"))

    async def test_untold(self) -> None:
        """Where neither sender nor body are told there is a title all the same."""
        found = await self.push({"message-count": "many"})
        self.assertEqual(found["alert"], {"body": "", "title": "New message", "badge": 1})

    async def test_names(self) -> None:
        """A device's name may hold anything, and stays inside of its place in the path."""
        await self.push(device_id="../a b?c#d%/é")
        self.assertEqual(self.web.posted[-1].uri, "/v3/notification/..%2Fa%20b%3Fc%23d%25%2F%C3%A9")

    async def test_address(self) -> None:
        """Version and path are as the options say; prefixed names of options are read too."""
        self.module = self.attach(url=f"{self.web.url}/push/", api_version="v2")
        await self.module.push(SUMMARY, {"pubsub#device_id": ["1"], "pubsub#service": ["fcm"]})
        self.assertEqual(self.web.posted[-1].uri, "/push/v2/notification/1")

    async def test_answers(self) -> None:
        """410 means that the device is gone; whatever else is no success is a failure."""
        for status, failure in (
            (200, None),
            (202, None),
            (410, DeviceGone),
            (302, PushFailed),
            (500, PushFailed),
        ):
            self.web.status = status
            if failure is None:
                await self.push()
            else:
                await self.assertFailure(Deferred.fromCoroutine(self.push()), failure)

    async def test_no_device(self) -> None:
        """Without a device, or a service, nobody is asked."""
        for options in (
            {},
            {"service": ["apns"]},
            {"device_id": ["1"]},
            {"device_id": [""], "service": ["x"]},
        ):
            await self.assertFailure(self.module.push(SUMMARY, options), PushFailed)
        self.assertEqual(self.web.posted, [])

    async def test_down(self) -> None:
        """A server that is down is a failure that tells no device's name."""
        await self.web.stop()
        error = await self.assertFailure(self.module.push(SUMMARY, DEVICE), PushFailed)
        self.assertNotIn("4711", str(error))


class SettingsTests(SynchronousTestCase):
    """Options."""

    def test_interface(self) -> None:
        """It is the push service of its host, until it is detached."""
        house = House()
        module = house.add(MongoosePush, url="http://127.0.0.1:1")
        verifyObject(IPushService, house.host.query(IPushService), tentative=True)
        module.detach()
        self.assertIsNone(house.host.query(IPushService))

    def test_wrong(self) -> None:
        """There is no server without a URL, and no trust without certificates."""
        self.assertRaises(ValidationError, MongoosePush.Settings)
        self.assertRaises(ValidationError, MongoosePush.Settings, url="nowhere")
        error = self.assertRaises(
            ConfigError, House().add, MongoosePush, url="https://x", cacertfile="/nonexistent/ca.pem"
        )
        self.assertIn("cacertfile", str(error))
