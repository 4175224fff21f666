"""Wokkel's PubSubService over nodes in memory: whoever publishes to a node makes it."""

from twisted.internet.defer import fail, succeed
from twisted.words.protocols.jabber.error import StanzaError
from wokkel.disco import DiscoHandler
from wokkel.pubsub import PubSubResource, PubSubService, Subscription


class Nodes(PubSubResource):
    features = ("publish", "subscribe", "retrieve-items", "auto-create")

    def __init__(self, max_items):
        self.max_items = max_items
        self.nodes = {}
        self.subscribers = {}
        self.service = PubSubService(self)

    def getNodes(self, requestor, service, nodeIdentifier):
        return succeed(sorted(self.nodes))

    def publish(self, request):
        node = self.nodes.setdefault(request.nodeIdentifier, [])
        node.extend(request.items)
        del node[: -self.max_items]
        told = [(who, [], request.items) for who in self.subscribers.get(request.nodeIdentifier, ())]
        self.service.notifyPublish(request.recipient, request.nodeIdentifier, told)
        return succeed(None)

    def subscribe(self, request):
        if request.subscriber.userhost() != request.sender.userhost():
            return fail(StanzaError("bad-request"))
        self.subscribers.setdefault(request.nodeIdentifier, set()).add(request.subscriber)
        return succeed(Subscription(request.nodeIdentifier, request.subscriber, "subscribed"))

    def items(self, request):
        if request.nodeIdentifier not in self.nodes:
            return fail(StanzaError("item-not-found"))
        return succeed(self.nodes[request.nodeIdentifier])


def make(max_items=10):
    return [Nodes(max_items).service, DiscoHandler()]
