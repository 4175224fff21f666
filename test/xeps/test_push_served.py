"""Push notifications all the way: clients, a server, its push service, and MongoosePush on the other side."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater

from palaver.service import Palaver
from palaver.test.push.cases import form, message
from palaver.test.push.web import WebServer
from palaver.test.services import PASSWORD, ServiceCase
from palaver.test.wire import Wire

reactor: Any = _reactor

SERVICE = "pubsub.localhost"
NODE = "phone"
PUBSUB = "http://jabber.org/protocol/pubsub"
ROMEO, JULIET = "romeo@localhost/orchard", "juliet@localhost/phone"
# Far more than a loaded machine needs.
MAX_LOOKS, LOOK_S = 2000, 0.005
ALERT = {"body": "New Message!", "title": "New message", "badge": 1}


class PushServedTests(ServiceCase):
    """Juliet's phone has notifications by a node of the server's own; Romeo writes to her."""

    def setUp(self) -> None:
        """Start the web server; the tests start Palaver."""
        self.web = WebServer()
        self.addCleanup(self.web.stop)

    async def start(self) -> Palaver:
        """Start Palaver on the storage of this test, with its tables as MongooseIM has them."""
        modules = {
            "mod_event_pusher": {"push": {}},
            "mod_push_service_mongoosepush": {"url": self.web.url},
        }
        palaver = self.begin(Palaver(self.config(modules=modules, storage={"url": "sqlite"})))
        await palaver.ready
        return palaver

    async def start_with_accounts(self) -> None:
        """Start Palaver, and make the accounts."""
        palaver = await self.start()
        for local in ("romeo", "juliet"):
            await palaver.hosts["localhost"].accounts.create(local, PASSWORD)

    async def phone(self, secret: str = "sesame") -> Wire:
        """Log Juliet in, make the node, and enable notifications."""
        wire = await self.log_in(JULIET)
        kind = f"{PUBSUB}#node_config"
        configure = f"<configure>{form(form_type=kind, **{'pubsub#secret': 'sesame'})}</configure>"
        create = f"<create node='{NODE}' type='push'/>{configure}"
        made = await wire.ask(
            f"<iq type='set' id='n' to='{SERVICE}'><pubsub xmlns='{PUBSUB}'>{create}</pubsub></iq>"
        )
        self.assertEqual(made["type"], "result", made.toXml())
        options = form(device_id="4711", service="fcm", mode="prod", secret=secret)
        enabled = await wire.ask(
            f"<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='{SERVICE}' node='{NODE}'>"
            f"{options}</enable></iq>"
        )
        self.assertEqual(enabled["type"], "result", enabled.toXml())
        return wire

    async def say(self, *texts: str) -> None:
        """Have Romeo log in, say something, and know that the server is done with it."""
        romeo = await self.log_in(ROMEO)
        for text in texts:
            romeo.send(message(text, to="juliet@localhost"))
        await romeo.ask("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        await romeo.close()

    async def posted(self, number: int) -> Any:
        """Wait for so many requests; give the body of the last one."""
        await self.web.wait_for(number)
        self.assertEqual(len(self.web.posted), number)
        return json.loads(self.web.posted[-1].body)

    async def registered(self) -> int:
        """Count Juliet's registrations."""
        storage: Any = self.palaver.hosts["localhost"].storage
        count: int = await storage.documents.count("localhost", "juliet", "push")
        return count

    async def test_away(self) -> None:
        """A message for somebody who has gone becomes a request; after a restart of the server too."""
        await self.start_with_accounts()
        await (await self.phone()).close()
        await self.say("hi")
        self.assertEqual(await self.posted(1), {"service": "fcm", "mode": "prod", "alert": ALERT})
        self.assertEqual(self.web.posted[0].uri, "/v3/notification/4711")
        await self.palaver.stopService()
        await self.start()
        await self.say("hi again")
        await self.posted(2)
        juliet = await self.log_in(JULIET)
        juliet.send("<presence/>")
        got = [await juliet.next() for _ in range(3)]
        self.assertEqual([one["id"] for one in got if one.name == "message"], ["hi", "hi again"])

    async def test_hibernated(self) -> None:
        """A phone whose connection breaks is woken, resumes its session, and has the message."""
        await self.start_with_accounts()
        phone = await self.phone()
        phone.send("<presence/><enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        token = ""
        while not token:
            token = (await phone.next()).getAttribute("id", "") or ""
        phone.drop()
        await phone.closed()
        await self.say("wake up")
        self.assertEqual((await self.posted(1))["alert"], ALERT)
        phone = await self.connect()
        await phone.features()
        await phone.authenticate("juliet", PASSWORD)
        await phone.features()
        phone.send(f"<resume xmlns='urn:xmpp:sm:3' previd='{token}' h='0'/>")
        names = []
        while "wake up" not in names:
            names.append((await phone.next()).getAttribute("id"))
        self.assertEqual(await self.registered(), 1)

    async def test_gone(self) -> None:
        """When the device is gone, nothing more is asked for."""
        await self.start_with_accounts()
        await (await self.phone()).close()
        self.web.status = 410
        await self.say("1")
        await self.posted(1)
        await self.until_unregistered()
        await self.say("2")
        self.assertEqual(len(self.web.posted), 1)

    async def test_wrong_secret(self) -> None:
        """With a wrong secret nothing reaches MongoosePush, and the registration is gone."""
        await self.start_with_accounts()
        await (await self.phone(secret="open")).close()
        await self.say("1")
        await self.until_unregistered()
        self.assertEqual(self.web.posted, [])

    async def test_disabled(self) -> None:
        """Nobody is notified who has disabled it."""
        await self.start_with_accounts()
        phone = await self.phone()
        await phone.ask(f"<iq type='set' id='d'><disable xmlns='urn:xmpp:push:0' jid='{SERVICE}'/></iq>")
        await phone.close()
        await self.say("1")
        self.assertEqual((await self.registered(), self.web.posted), (0, []))

    async def until_unregistered(self) -> None:
        """Wait until Juliet has no registration."""
        for _ in range(MAX_LOOKS):
            if not await self.registered():
                return
            await deferLater(reactor, LOOK_S)
        self.fail("the registration is still there")
