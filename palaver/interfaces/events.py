"""Seams of what tells the world: events for others, and push notifications."""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IEventPusher(Interface):
    """Tells whoever wants to know what happens to accounts and their messages."""

    def add(backend):
        """Have an IEventBackend told; gives the function that takes it back."""


class IEventBackend(Interface):
    """Where events go to: devices, a web server, a message broker."""

    name = Attribute("The name of its module.")
    events = Attribute("The classes of palaver.push.events that it is told of; others cost nothing.")

    def push(event):
        """Take an event at once. No stanza waits for what this gives; a failure of it is logged."""


class IEventRequests(Interface):
    """How events become requests to a web server (mod_event_pusher_http)."""

    events = Attribute("The classes of palaver.push.events that are looked at.")

    def request(event):
        """Give (content type, body) of the POST for an event, a text and bytes; None: there is none."""


class IPushPlugin(Interface):
    """Which devices are notified of a message, and what they are told (XEP-0357)."""

    waiting = Attribute("True when devices are notified whose session waits for them to come back.")

    def should_publish(message, to, registrations):
        """Give those of the palaver.push.registrations.Registration values to notify of a message.

        ``to`` is the JID of the account that the message is for.
        """

    def prepare(message, to):
        """Give the fields of the summary form (XEP-0357 section 7) as texts by name, or an awaitable of them.

        A ``message-count`` of 1 stands for as many messages as there are; another one is left as it is.
        """


class IPushService(Interface):
    """Hands push notifications over to whoever reaches the devices."""

    def push(summary, options):
        """Hand one over; gives a Deferred.

        ``summary`` has the fields of the summary form as texts by name, ``options`` what the client gave when
        it enabled notifications, such as ``device_id``: lists of texts by name. Fails with
        palaver.push.service.DeviceGone or PushFailed.
        """
