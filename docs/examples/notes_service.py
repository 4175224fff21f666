"""Wokkel handlers that answer for a namespace in the host's place (XEP-0355): what each account has noted."""

from twisted.words.protocols.jabber.xmlstream import toResponse
from twisted.words.xish.domish import Element
from wokkel.disco import DiscoFeature, DiscoHandler
from wokkel.iwokkel import IDisco
from wokkel.subprotocols import XMPPHandler
from zope.interface import implementer

NS = "urn:example:notes"
NS_DELEGATION = "urn:xmpp:delegation:2"
NS_FORWARD = "urn:xmpp:forward:0"


@implementer(IDisco)
class Notes(XMPPHandler):
    def __init__(self):
        super().__init__()
        self.notes = {}

    def connectionInitialized(self):
        path = f"/iq[@type='set']/delegation[@xmlns='{NS_DELEGATION}']"
        self.xmlstream.addObserver(path, self.delegated)

    def delegated(self, iq):
        request = iq.delegation.forwarded.iq
        account = request["from"].partition("/")[0]
        if request["type"] == "set":
            self.notes[account] = str(request.notes)
        result = Element(("jabber:client", "iq"))
        result.attributes |= {"type": "result", "id": request["id"], "to": request["from"]}
        result.addElement((NS, "notes"), content=self.notes.get(account, ""))
        answer = toResponse(iq, "result")
        forwarded = answer.addElement((NS_DELEGATION, "delegation")).addElement((NS_FORWARD, "forwarded"))
        forwarded.addChild(result)
        self.send(answer)
        iq.handled = True

    def getDiscoInfo(self, requestor, target, nodeIdentifier=""):
        return [DiscoFeature(NS)] if nodeIdentifier == f"{NS_DELEGATION}::{NS}" else []

    def getDiscoItems(self, requestor, target, nodeIdentifier=""):
        return []


def make():
    return [Notes(), DiscoHandler()]
