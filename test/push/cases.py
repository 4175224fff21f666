"""What the tests of push notifications share: a push service on a domain of its own, and requests."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.words.xish import domish
from zope.interface import implementer

from palaver.errors import StanzaError
from palaver.interfaces import IPushService, IService
from palaver.jid import JID
from palaver.push.elements import read_summary
from palaver.stanza import Stanza
from palaver.test.house import House

SERVICE = "push.example.net"
PUSH = "urn:xmpp:push:0"
OPTIONS = "http://jabber.org/protocol/pubsub#publish-options"


@implementer(IService)
class PushService:
    """Somebody's push service: keeps what is published, and answers as it is told to."""

    domain = SERVICE
    name = "push"

    def __init__(self, house: House) -> None:
        self._router = house.router
        self.requests: list[Stanza] = []
        self.error: StanzaError | None = None
        self.silent = False
        house.router.add(self)

    def deliver(self, stanza: Stanza, to: JID) -> Any:
        """See IService."""
        self.requests.append(stanza)
        if not self.silent:
            self.answer(stanza)
        return None

    def answer(self, stanza: Stanza) -> None:
        """Answer a request."""
        answer = stanza.result() if self.error is None else stanza.error(self.error)
        self._router.route(answer)

    def take(self) -> list[tuple[str, dict[str, str]]]:
        """Give (node, summary) of what was published since the last call."""
        requests, self.requests = self.requests, []
        return [read_publication(request)[:2] for request in requests]


@implementer(IPushService)
class Direct:
    """The push service of a host."""

    def __init__(self) -> None:
        self.pushed: list[tuple[Any, Any]] = []
        self.failure: Exception | None = None

    def push(self, summary: Any, options: Any) -> Deferred[None]:
        """See IPushService."""
        self.pushed.append((summary, options))
        return succeed(None) if self.failure is None else fail(self.failure)


def read_publication(request: Stanza) -> tuple[str, dict[str, str], dict[str, list[str]]]:
    """Give node, summary and publish options."""
    (pubsub,) = request.element.elements()
    (publish,) = [child for child in pubsub.elements() if child.name == "publish"]
    (item,) = publish.elements()
    (notification,) = item.elements()
    options = {
        field["var"]: [str(value) for value in field.elements()]
        for around in pubsub.elements()
        if around.name == "publish-options"
        for field in around.firstChildElement().elements()
    }
    return publish["node"], read_summary(notification), options


def form(type: str = "submit", form_type: str = OPTIONS, **fields: str) -> str:
    """Give a form with publish options."""
    rows = "".join(
        f"<field var='{name}'><value>{text}</value></field>"
        for name, text in {"FORM_TYPE": form_type, **fields}.items()
    )
    kind = f" type='{type}'" if type else ""
    return f"<x xmlns='jabber:x:data'{kind}>{rows}</x>"


def enable(node: str = "phone", inner: str = "", service: str = SERVICE, identity: str = "e") -> str:
    """Give the IQ that enables notifications."""
    return (
        f"<iq type='set' id='{identity}'><enable xmlns='{PUSH}' jid='{service}' node='{node}'>"
        f"{inner}</enable></iq>"
    )


def disable(node: str | None = None, service: str = SERVICE) -> str:
    """Give the IQ that disables notifications."""
    named = f" node='{node}'" if node is not None else ""
    return f"<iq type='set' id='d'><disable xmlns='{PUSH}' jid='{service}'{named}/></iq>"


def refusal(answer: domish.Element) -> tuple[str, str]:
    """Give an error's type and condition."""
    assert answer["type"] == "error", answer.toXml()
    (error,) = [child for child in answer.elements() if child.name == "error"]
    return error["type"], error.firstChildElement().name


def message(text: str = "hi", to: str = "juliet@example.org", identity: str = "", type: str = "chat") -> str:
    """Give a chat message."""
    identity = identity or text
    return f"<message type='{type}' to='{to}' id='{identity}'><body>{text}</body></message>"
