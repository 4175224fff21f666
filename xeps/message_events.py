"""XEP-0022: Message Events, the part of them that a server raises."""

from __future__ import annotations

from palaver.events import MessageKept
from palaver.jid import JID
from palaver.markup import element, escape
from palaver.modules import Module, on, phase
from palaver.routing.pipeline import DROP, UNDELIVERED, Drop
from palaver.stanza import Stanza

NS_EVENT = "jabber:x:event"


class MessageEvents(Module):
    """Tells a sender who asks for it that a message is kept for somebody who is away.

    What clients tell each other, such as that a message was shown, is not kept for later.
    """

    features = (NS_EVENT,)

    @phase(UNDELIVERED, "store", "message")
    def forget(self, message: Stanza, to: JID) -> Drop | None:
        """Forget an event for somebody who is away: its time is over."""
        x = message.child(NS_EVENT, "x")
        return DROP if x is not None and x.id is not None else None

    @on(MessageKept)
    def kept(self, event: MessageKept) -> None:
        """Tell the sender, once the message is committed."""
        message = event.message
        x = message.child(NS_EVENT, "x")
        if x is None or x.offline is None or "from" not in message.attrs:
            return
        told = element("id", None, escape(message.id or "")) + element("offline")
        attrs = {"from": message.attrs["to"], "to": message.attrs["from"]}
        notice = Stanza("message", attrs, ((NS_EVENT, "x"),), element("x", NS_EVENT, told))
        self.host.router.reply(message, notice)
