"""What the tests of rooms share: a house with a service, and stanzas in few words."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.errors import NS_STANZAS
from palaver.markup import attribute
from palaver.rooms.config import FIELDS
from palaver.rooms.namespaces import NS_ADMIN, NS_MUC, NS_OWNER, NS_ROOM_CONFIG, NS_USER
from palaver.rooms.room import Room
from palaver.rooms.service import Service
from palaver.test.house import Client, House
from palaver.xeps.muc import MultiUserChat

SERVICE = "muc.example.org"
ROOM = f"verona@{SERVICE}"
PEOPLE = ("romeo", "juliet", "nurse", "mercutio")


def form(fields: dict[str, Any], form_type: str = NS_ROOM_CONFIG, kind: str = "submit") -> str:
    """Give a submitted form; fields of configurations by their short names, a list is several values."""
    parts = [f"<field var='FORM_TYPE' type='hidden'><value>{form_type}</value></field>"]
    for name, value in fields.items():
        values = value if isinstance(value, list) else [value]
        inner = "".join(f"<value>{attribute(str(text))}</value>" for text in values)
        var = FIELDS[name].var if form_type == NS_ROOM_CONFIG and name in FIELDS else name
        parts.append(f"<field var='{var}'>{inner}</field>")
    return f"<x xmlns='jabber:x:data' type='{kind}'>{''.join(parts)}</x>"


def fields(node: domish.Element) -> dict[str, list[str]]:
    """Give what a form inside an element holds, by name."""
    (x,) = node.elements("jabber:x:data", "x")
    return {
        field["var"]: [str(value) for value in field.elements("jabber:x:data", "value")]
        for field in x.elements("jabber:x:data", "field")
    }


def refusal(answer: domish.Element) -> tuple[str, str]:
    """Give an error's type and condition."""
    assert answer["type"] == "error", answer.toXml()
    (error,) = [child for child in answer.elements() if child.name == "error"]
    (condition,) = [
        child.name for child in error.elements() if child.uri == NS_STANZAS and child.name != "text"
    ]
    return error["type"], condition


def x_of(stanza: domish.Element) -> domish.Element:
    """Give what a room says with a stanza."""
    x: domish.Element
    (x,) = stanza.elements(NS_USER, "x")
    return x


def codes(stanza: domish.Element) -> list[str]:
    """Give the status codes of a stanza."""
    return [status["code"] for status in x_of(stanza).elements(NS_USER, "status")]


def item(stanza: domish.Element) -> domish.Element:
    """Give the item of a stanza."""
    found: domish.Element
    (found,) = x_of(stanza).elements(NS_USER, "item")
    return found


def bodies(stanzas: list[domish.Element]) -> list[str]:
    """Give the texts of the messages among some stanzas."""
    return [str(one.body) for one in stanzas if one.name == "message" and one.body is not None]


class RoomCase(SynchronousTestCase):
    """Four people with a service."""

    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Log everybody in."""
        self.house = House(MultiUserChat, MultiUserChat=self.options)
        self.login()

    def login(self) -> None:
        """Have everybody online."""
        for name in PEOPLE:
            setattr(self, name, self.house.login(name, "home", "<presence/>"))
        self.quiet()

    def quiet(self) -> None:
        """Forget what came so far."""
        for name in PEOPLE:
            getattr(self, name).take()

    romeo: Client
    juliet: Client
    nurse: Client
    mercutio: Client

    @property
    def module(self) -> Any:
        """The module."""
        return self.house.modules["MultiUserChat"]

    @property
    def service(self) -> Service:
        """The service."""
        service: Service = self.module.service
        return service

    @property
    def room(self) -> Room:
        """The room, which must be in memory."""
        return self.service.rooms["verona"]

    # -- stanzas ------------------------------------------------------------------------

    def enter(self, client: Client, nick: str, inner: str = "", room: str = ROOM) -> list[domish.Element]:
        """Enter a room; give what came."""
        client.take()
        client.send(f"<presence to='{room}/{nick}'><x xmlns='{NS_MUC}'>{inner}</x></presence>")
        return client.take()

    def refused(self, client: Client, nick: str, inner: str = "", room: str = ROOM) -> tuple[str, str]:
        """Try to enter; give the type and condition of the refusal."""
        (answer,) = self.enter(client, nick, inner, room)
        return refusal(answer)

    def make(self, *people: tuple[Client, str], **config: Any) -> None:
        """Have Romeo make and configure the room, and others enter it."""
        self.enter(self.romeo, "Romeo")
        self.configure(**config)
        for client, nick in people:
            self.enter(client, nick)
        self.quiet()

    def owner(self, client: Client, kind: str, inner: str, room: str = ROOM) -> domish.Element:
        """Send a request in the owners' namespace; give the answer."""
        return client.ask(
            f"<iq type='{kind}' id='o1' to='{room}'><query xmlns='{NS_OWNER}'>{inner}</query></iq>"
        )

    def configure(self, **config: Any) -> None:
        """Have Romeo configure the room."""
        answer = self.owner(self.romeo, "set", form(config))
        self.assertEqual(answer["type"], "result", answer.toXml())

    def admin(self, client: Client, kind: str, inner: str) -> domish.Element:
        """Send a request in the admins' namespace; give the answer."""
        return client.ask(
            f"<iq type='{kind}' id='a1' to='{ROOM}'><query xmlns='{NS_ADMIN}'>{inner}</query></iq>"
        )

    def affiliate(self, who: str, affiliation: str, client: Client | None = None, reason: str = "") -> None:
        """Give somebody an affiliation."""
        self.do(
            client or self.romeo,
            f"<item jid='{who}@example.org' affiliation='{affiliation}'><reason>{reason}</reason></item>",
        )

    def role(self, nick: str, role: str, client: Client | None = None) -> None:
        """Give somebody a role."""
        self.do(client or self.romeo, f"<item nick='{nick}' role='{role}'/>")

    def do(self, client: Client, inner: str) -> None:
        """Have something changed that may be."""
        client.send(f"<iq type='set' id='a2' to='{ROOM}'><query xmlns='{NS_ADMIN}'>{inner}</query></iq>")
        answers = [one for one in client.received if one.name == "iq" and one.id == "a2"]
        self.assertEqual([one.type for one in answers], ["result"], answers)
        for one in answers:
            client.received.remove(one)

    def listed(self, client: Client, **attrs: str) -> list[str]:
        """Give the bare JIDs of a list."""
        asked = " ".join(f"{name}='{value}'" for name, value in attrs.items())
        answer = self.admin(client, "get", f"<item {asked}/>")
        self.assertEqual(answer["type"], "result", answer.toXml())
        return [one["jid"].partition("/")[0] for one in answer.query.elements(NS_ADMIN, "item")]

    def say(self, client: Client, body: str, more: str = "", id: str = "m1") -> Any:
        """Say something to everybody."""
        return client.send(
            f"<message type='groupchat' id='{id}' to='{ROOM}'><body>{body}</body>{more}</message>"
        )

    def set_subject(self, client: Client, subject: str) -> None:
        """Set the subject."""
        client.send(f"<message type='groupchat' id='s1' to='{ROOM}'><subject>{subject}</subject></message>")

    def leave(self, client: Client, nick: str) -> None:
        """Leave the room."""
        client.send(f"<presence type='unavailable' to='{ROOM}/{nick}'/>")

    def restart(self) -> None:
        """Have everybody gone, and the module started anew on the same storage."""
        for name in PEOPLE:
            getattr(self, name).session.end(None)
        self.module.detach()
        self.house.add(MultiUserChat, **self.options)
        self.login()
