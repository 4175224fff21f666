"""What the tests of PubSub share: a house with a service, and requests in few words."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.markup import attribute
from palaver.pubsub.conditions import (
    NS_ERRORS,
    NS_EVENT,
    NS_NODE_CONFIG,
    NS_OWNER,
    NS_PUBSUB,
    NS_SUBSCRIBE_OPTIONS,
)
from palaver.test.house import Client, House
from palaver.xeps.pubsub import PubSub

SERVICE = "pubsub.example.org"
ENTRY = "<entry xmlns='http://www.w3.org/2005/Atom'><title>{}</title></entry>"


def form(fields: dict[str, Any], form_type: str = NS_NODE_CONFIG, kind: str = "submit") -> str:
    """Give a submitted form; a list is several values."""
    parts = [f"<field var='FORM_TYPE' type='hidden'><value>{form_type}</value></field>"]
    for name, value in fields.items():
        values = value if isinstance(value, list) else [value]
        inner = "".join(f"<value>{attribute(str(text))}</value>" for text in values)
        parts.append(f"<field var='pubsub#{name}'>{inner}</field>")
    return f"<x xmlns='jabber:x:data' type='{kind}'>{''.join(parts)}</x>"


def options(**given: Any) -> str:
    """Give the options that come with a subscription."""
    named = {name.replace("show_", "show-"): value for name, value in given.items()}
    return f"<options>{form(named, NS_SUBSCRIBE_OPTIONS)}</options>"


def fields(node: domish.Element) -> dict[str, list[str]]:
    """Give what a form holds, by name without its prefix."""
    (x,) = node.elements("jabber:x:data", "x")
    return {
        field["var"].removeprefix("pubsub#"): [
            str(value) for value in field.elements("jabber:x:data", "value")
        ]
        for field in x.elements("jabber:x:data", "field")
    }


def refusal(answer: domish.Element) -> tuple[str, ...]:
    """Give an error's type, condition and, if there is one, its PubSub condition."""
    assert answer["type"] == "error", answer.toXml()
    (error,) = [child for child in answer.elements() if child.name == "error"]
    conditions = [child for child in error.elements() if child.name != "text"]
    detail = [child.name for child in conditions if child.uri == NS_ERRORS]
    feature = [child["feature"] for child in conditions if child.hasAttribute("feature")]
    return (error["type"], conditions[0].name, *detail, *feature)


def events(client: Client) -> list[domish.Element]:
    """Give what is inside of the events that came since the last call."""
    return [
        event.firstChildElement()
        for message in client.take()
        for event in message.elements(NS_EVENT, "event")
    ]


class PubSubCase(SynchronousTestCase):
    """Romeo has nodes on a service; Juliet, the nurse and Mercutio come by."""

    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Log everybody in."""
        self.house = House(PubSub, PubSub=self.options)
        self.login()

    def login(self) -> None:
        """Have everybody online."""
        for name in ("romeo", "juliet", "nurse", "mercutio"):
            setattr(self, name, self.house.login(name, "home", "<presence/>"))
        for name in ("romeo", "juliet", "nurse", "mercutio"):
            getattr(self, name).take()

    @property
    def module(self) -> Any:
        """The module of the service."""
        return self.house.modules["PubSub"]

    romeo: Client
    juliet: Client
    nurse: Client
    mercutio: Client

    def ask(self, client: Client, kind: str, inner: str, ns: str = NS_PUBSUB) -> domish.Element:
        """Send a request and give the answer."""
        return client.ask(
            f"<iq type='{kind}' id='1' to='{SERVICE}'><pubsub xmlns='{ns}'>{inner}</pubsub></iq>"
        )

    def do(self, client: Client, kind: str, inner: str, ns: str = NS_PUBSUB) -> domish.Element:
        """Send a request that is granted; give the answer's payload, or the answer itself."""
        answer = self.ask(client, kind, inner, ns)
        self.assertEqual(answer["type"], "result", answer.toXml())
        return answer.firstChildElement() or answer

    def refused(self, client: Client, kind: str, inner: str, ns: str = NS_PUBSUB) -> tuple[str, ...]:
        """Send a request that is refused; give its type and conditions."""
        return refusal(self.ask(client, kind, inner, ns))

    def create(self, name: str = "musings", client: Client | None = None, **config: Any) -> None:
        """Make a node."""
        inner = f"<create node='{attribute(name)}'/>"
        if config:
            inner += f"<configure>{form(config)}</configure>"
        self.do(client or self.romeo, "set", inner)

    def configure(self, name: str = "musings", **config: Any) -> None:
        """Configure a node of Romeo's."""
        self.do(self.romeo, "set", f"<configure node='{name}'>{form(config)}</configure>", NS_OWNER)

    def publish(self, item: str = "1", name: str = "musings", client: Client | None = None) -> None:
        """Publish an item whose title is its id."""
        self.do(
            client or self.romeo,
            "set",
            f"<publish node='{name}'><item id='{item}'>{ENTRY.format(item)}</item></publish>",
        )

    def subscribe(self, client: Client, name: str = "musings", jid: str = "", options: str = "") -> Any:
        """Subscribe somebody's account; give the ``<subscription/>``."""
        who = jid or client.session.user.bare
        return self.do(client, "set", f"<subscribe node='{name}' jid='{who}'/>{options}").subscription

    def affiliate(self, name: str, affiliation: str, node: str = "musings") -> None:
        """Have Romeo give somebody an affiliation."""
        inner = f"<affiliation jid='{name}@example.org' affiliation='{affiliation}'/>"
        self.do(self.romeo, "set", f"<affiliations node='{node}'>{inner}</affiliations>", NS_OWNER)

    def items(self, client: Client, inner: str = "", more: str = "", name: str = "musings") -> list[str]:
        """Give the ids of the items that somebody gets."""
        answer = self.do(client, "get", f"<items node='{name}' {more}>{inner}</items>")
        return [item["id"] for item in next(answer.elements(NS_PUBSUB, "items")).elements(NS_PUBSUB, "item")]
