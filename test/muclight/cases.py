"""What the tests of MUC Light share: a house with the service, and requests in few words."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.errors import NS_STANZAS
from palaver.muclight.namespaces import NS_AFFILIATIONS, NS_LIGHT
from palaver.muclight.service import Service
from palaver.test.house import Client, House
from palaver.xeps.muc_light import MucLight

SERVICE = "muclight.example.org"
ROOM = f"garden@{SERVICE}"
PEOPLE = ("romeo", "juliet", "nurse", "mercutio")


def bare(name: str) -> str:
    """Give somebody's bare JID."""
    return f"{name}@example.org"


def users(**affiliations: str) -> str:
    """Give ``<user/>`` elements, such as ``juliet="member"``."""
    return "".join(f"<user affiliation='{is_}'>{bare(name)}</user>" for name, is_ in affiliations.items())


def refusal(answer: domish.Element) -> tuple[str, str, str]:
    """Give an error's type, condition and text; what was refused is not echoed."""
    assert answer["type"] == "error", answer.toXml()
    (error,) = answer.elements()
    (condition,) = [child.name for child in error.elements() if child.name != "text"]
    text = "".join(str(child) for child in error.elements(NS_STANZAS, "text"))
    return error["type"], condition, text


def told(message: domish.Element, ns: str = NS_AFFILIATIONS) -> list[tuple[str, str]]:
    """Give what a room tells: names (or affiliations) and texts, in order."""
    (x,) = message.elements(ns, "x")
    return [(child.getAttribute("affiliation") or child.name, str(child)) for child in x.elements()]


class LightCase(SynchronousTestCase):
    """Four people online, and a room of Juliet's when `make` is called."""

    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Open the service."""
        self.house = House(MucLight, MucLight=self.options)
        module: Any = self.house.modules["MucLight"]
        self.service: Service = module.service
        self.clients = {name: self.house.login(name, presence="<presence/>") for name in PEOPLE}
        self.romeo, self.juliet, self.nurse, self.mercutio = (self.clients[name] for name in PEOPLE)
        self.hush()

    def hush(self) -> None:
        """Forget what everybody has received."""
        for client in self.clients.values():
            client.take()

    def ask(self, client: Client, kind: str, name: str, inner: str = "", to: str = ROOM) -> domish.Element:
        """Send a request of one of MUC Light's namespaces; gives the answer and leaves what else came."""
        query = f"<query xmlns='{NS_LIGHT}#{name}'>{inner}</query>"
        client.send(f"<iq type='{kind}' id='q1' to='{to}'>{query}</iq>")
        (answer,) = [got for got in client.received if got.name == "iq"]
        client.received.remove(answer)
        return answer.element

    def make(self, inner: str = "", **affiliations: str) -> domish.Element:
        """Have Juliet make the room; gives the answer."""
        occupants = f"<occupants>{users(**affiliations)}</occupants>"
        answer = self.ask(self.juliet, "set", "create", inner + occupants)
        self.hush()
        return answer

    def say(self, client: Client, body: str, id: str = "m1") -> None:
        """Send a message to the room."""
        client.send(f"<message type='groupchat' id='{id}' to='{ROOM}'><body>{body}</body></message>")

    def members(self) -> dict[str, str]:
        """Give affiliations by name, as they are stored."""
        rooms = self.service.rooms
        self.service.rooms = {}
        answer = self.ask(self.juliet, "get", "affiliations")
        self.service.rooms = rooms
        (query,) = answer.elements()
        return {
            str(user).partition("@")[0]: user["affiliation"]
            for user in query.elements()
            if user.name == "user"
        }
