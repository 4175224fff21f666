"""XEP-0357: nodes of the type push, which make a push service of a PubSub service."""

from __future__ import annotations

from typing import Any

from palaver.interfaces import IPushService
from palaver.pubsub.conditions import NS_OWNER
from palaver.push.service import DeviceGone, PushFailed
from palaver.test.house import Client
from palaver.test.pubsub.cases import ENTRY, SERVICE, PubSubCase, events, fields, form
from palaver.test.push import cases
from palaver.test.push.cases import Direct, enable, message
from palaver.xeps.event_pusher import EventPusher
from palaver.xeps.event_pusher_push import Push
from palaver.xeps.offline import Offline

INFO = "http://jabber.org/protocol/disco#info"
SUMMARY = (
    "<notification xmlns='urn:xmpp:push:0'>"
    "<x xmlns='jabber:x:data' type='submit'>"
    "<field var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>"
    "<field var='message-count'><value>3</value></field></x></notification>"
)
DEVICE = {"device_id": "4711", "service": "fcm"}


class PushNodeCase(PubSubCase):
    """Romeo has a node for his phone; the host has a push service."""

    config: dict[str, Any] = {}  # noqa: RUF012  read only

    def setUp(self) -> None:
        """Make the node."""
        super().setUp()
        self.service = Direct()
        self.house.host.provide(self.service, IPushService)
        configure = f"<configure>{form(self.config)}</configure>" if self.config else ""
        self.do(self.romeo, "set", f"<create node='phone' type='push'/>{configure}")

    def publication(self, payload: str = SUMMARY, **options: str) -> str:
        """Give the request that publishes a notification."""
        given = cases.form(**{**DEVICE, **options})
        inner = f"<publish node='phone'><item>{payload}</item></publish>"
        return f"{inner}<publish-options>{given}</publish-options>"

    def pushed(self) -> list[Any]:
        """Give what came to the push service since the last call."""
        pushed, self.service.pushed = self.service.pushed, []
        return pushed


class OpenTests(PushNodeCase):
    """A node as it is at first: whoever knows its name may publish."""

    def test_handed_on(self) -> None:
        """A notification goes on to the push service with its summary and its options."""
        self.do(self.juliet, "set", self.publication(mode="prod"))
        ((summary, options),) = self.pushed()
        self.assertEqual(summary, {"message-count": "3"})
        self.assertEqual(
            {name: options[name] for name in ("device_id", "mode")}, {"device_id": ["4711"], "mode": ["prod"]}
        )

    def test_bad(self) -> None:
        """What is no notification, or for no device, goes nowhere."""
        refused = self.refused(self.juliet, "set", self.publication(ENTRY))
        self.assertEqual(refused, ("modify", "bad-request"))
        for name in DEVICE:
            refused = self.refused(self.juliet, "set", self.publication(**{name: ""}))
            self.assertEqual(refused, ("cancel", "conflict", "precondition-not-met"))
        refused = self.refused(self.juliet, "set", f"<publish node='phone'><item>{SUMMARY}</item></publish>")
        self.assertEqual(refused, ("cancel", "conflict", "precondition-not-met"))
        self.assertEqual(self.pushed(), [])

    def test_answers(self) -> None:
        """Whoever publishes hears that the device is gone, or that this one did not get through."""
        for failure, wanted in (
            (DeviceGone(), ("cancel", "not-acceptable", "device-not-registered")),
            (PushFailed("4711"), ("modify", "bad-request", "faild-to-submit-push-notification")),
        ):
            self.service.failure = failure
            answer = self.ask(self.juliet, "set", self.publication())
            self.assertEqual(cases.refusal(answer), wanted[:2])
            self.assertIn(wanted[2], answer.toXml())

    def test_discovery(self) -> None:
        """The service says that it is a push service too."""
        answer = self.juliet.ask(f"<iq type='get' id='1' to='{SERVICE}'><query xmlns='{INFO}'/></iq>").toXml()
        self.assertIn("category='pubsub' type='push'", answer)
        self.assertIn("<feature var='urn:xmpp:push:0'/>", answer)


class SecretTests(PushNodeCase):
    """A node with a secret: publishers have to know it."""

    config = {"secret": "sesame"}  # noqa: RUF012  read only

    def test_right(self) -> None:
        """With the secret a notification goes on, and the secret stays."""
        self.do(self.juliet, "set", self.publication(secret="sesame"))
        ((_, options),) = self.pushed()
        self.assertNotIn("secret", options)

    def test_wrong(self) -> None:
        """Without it, or with another one, nothing does; the answer does not tell it."""
        for options in ({}, {"secret": ""}, {"secret": "Sesame"}, {"secret": "sésame"}):
            answer = self.ask(self.juliet, "set", self.publication(**options))
            self.assertEqual(cases.refusal(answer), ("cancel", "conflict"))
            (error,) = [child for child in answer.elements() if child.name == "error"]
            self.assertNotIn("sesame", error.toXml())
        self.assertEqual(self.pushed(), [])

    def test_told(self) -> None:
        """The owner is shown the secret; subscribers and others are not."""
        answer = self.do(self.romeo, "get", "<configure node='phone'/>", NS_OWNER)
        self.assertEqual(fields(answer.configure)["secret"], ["sesame"])
        refused = self.refused(self.juliet, "get", "<configure node='phone'/>", NS_OWNER)
        self.assertEqual(refused, ("auth", "forbidden"))
        self.affiliate("juliet", "member", "phone")
        self.subscribe(self.juliet, "phone")
        self.juliet.take()
        self.configure("phone", notify_config="true", title="My phone")
        (event,) = events(self.juliet)
        self.assertIn("My phone", event.toXml())
        self.assertNotIn("sesame", event.toXml())
        query = f"<query xmlns='{INFO}' node='phone'/>"
        info = self.juliet.ask(f"<iq type='get' id='1' to='{SERVICE}'>{query}</iq>").toXml()
        self.assertNotIn("sesame", info)

    def test_changed(self) -> None:
        """The owner may change it."""
        self.configure("phone", secret="open")
        self.assertEqual(self.ask(self.juliet, "set", self.publication(secret="sesame"))["type"], "error")
        self.do(self.juliet, "set", self.publication(secret="open"))
        self.assertEqual(len(self.pushed()), 1)


class PublishersTests(PushNodeCase):
    """A node as it is recommended: nobody but the server may publish."""

    config = {"publish_model": "publishers"}  # noqa: RUF012  read only

    def setUp(self) -> None:
        """Let the server publish, and have push notifications."""
        super().setUp()
        inner = "<affiliation jid='example.org' affiliation='publish-only'/>"
        self.do(self.romeo, "set", f"<affiliations node='phone'>{inner}</affiliations>", NS_OWNER)
        for module in (Offline, EventPusher, Push):
            self.house.add(module)

    def test_forged(self) -> None:
        """Other publishers are refused, whatever they know."""
        for client in (self.juliet, self.mercutio):
            self.assertEqual(self.refused(client, "set", self.publication()), ("auth", "forbidden"))
        self.assertEqual(self.pushed(), [])

    def leave(self) -> Client:
        """Have Romeo enable notifications and go."""
        options = cases.form(**DEVICE)
        answer = self.romeo.ask(enable(inner=options, service=SERVICE))
        self.assertEqual(answer["type"], "result", answer.toXml())
        self.romeo.session.unbind()
        return self.romeo

    def test_the_whole_way(self) -> None:
        """A message for somebody who has gone reaches the push service through the node."""
        self.leave()
        self.juliet.send(message(to="romeo@example.org"))
        ((summary, options),) = self.pushed()
        self.assertEqual(summary, {"message-count": "1", "last-message-body": "New Message!"})
        self.assertEqual(options["device_id"], ["4711"])

    def test_gone(self) -> None:
        """A device that is gone is not asked for again."""
        self.leave()
        self.service.failure = DeviceGone()
        for text in ("1", "2"):
            self.juliet.send(message(text, to="romeo@example.org"))
        self.assertEqual(len(self.pushed()), 1)

    def test_subscribers(self) -> None:
        """Nobody sees notifications whom the owner has not let in."""
        refused = self.refused(self.juliet, "set", "<subscribe node='phone' jid='juliet@example.org'/>")
        self.assertEqual(refused, ("cancel", "not-allowed", "closed-node"))
        self.leave()
        self.juliet.take()
        self.juliet.send(message(to="romeo@example.org"))
        self.assertEqual(events(self.juliet), [])
