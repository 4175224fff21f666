"""A bot of Wokkel handlers: it sends back what it is told, and is everybody's friend."""

from twisted.words.protocols.jabber.xmlstream import toResponse
from wokkel.disco import DiscoHandler
from wokkel.generic import VersionHandler
from wokkel.ping import PingHandler
from wokkel.xmppim import MessageProtocol, PresenceProtocol


class Echo(MessageProtocol):
    def onMessage(self, message):
        if message.body is not None:
            answer = toResponse(message, message.getAttribute("type"))
            answer.addElement("body", content=str(message.body))
            self.send(answer)


class Friend(PresenceProtocol):
    def subscribeReceived(self, presence):
        self.subscribed(recipient=presence.sender, sender=presence.recipient)
        self.probeReceived(presence)

    def probeReceived(self, presence):
        self.available(recipient=presence.sender, status="All ears", sender=presence.recipient)


def make(version="1.0"):
    return [Echo(), Friend(), DiscoHandler(), PingHandler(), VersionHandler("Echo", version)]
