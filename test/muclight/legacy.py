"""What the tests of the legacy mode share: a room, and requests in few words."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.words.xish import domish

from palaver.rooms.namespaces import NS_ADMIN, NS_MUC, NS_OWNER, NS_ROOM_CONFIG, NS_USER
from palaver.test.house import Client
from palaver.test.muclight.cases import ROOM, SERVICE, LightCase, bare
from palaver.xeps.privacy import Privacy

DATA = "jabber:x:data"
ENTER = f"<x xmlns='{NS_MUC}'/>"


class LegacyCase(LightCase):
    """Juliet's room with Romeo in it."""

    options: ClassVar[dict[str, Any]] = {"legacy_mode": True}

    def setUp(self) -> None:
        """Have privacy lists, and the room."""
        super().setUp()
        self.house.add(Privacy)
        self.enter(self.juliet)
        self.hush()
        self.affiliate(self.juliet, romeo="member")
        self.hush()

    def enter(self, client: Client, name: str = "garden", inner: str = ENTER, more: str = "") -> None:
        """Send presence to a room, under the sender's own address."""
        to = f"{name}@{SERVICE}/{client.session.user.bare}"
        client.send(f"<presence to='{to}'{more}>{inner}</presence>")

    def query(self, client: Client, kind: str, ns: str, inner: str = "", to: str = ROOM) -> domish.Element:
        """Send a request; gives the answer and leaves what else came."""
        client.send(f"<iq type='{kind}' id='q1' to='{to}'><query xmlns='{ns}'>{inner}</query></iq>")
        (answer,) = [got for got in client.received if got.name == "iq"]
        client.received.remove(answer)
        return answer.element

    def affiliate(self, client: Client, **affiliations: str) -> domish.Element:
        """Ask for other affiliations; gives the answer."""
        items = [f"<item affiliation='{is_}' jid='{bare(name)}'/>" for name, is_ in affiliations.items()]
        return self.query(client, "set", NS_ADMIN, "".join(items))

    def configure(self, client: Client, *fields: tuple[str, str], kind: str = "submit") -> domish.Element:
        """Submit a form; gives the answer."""
        inner = f"<field var='FORM_TYPE' type='hidden'><value>{NS_ROOM_CONFIG}</value></field>"
        inner += "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields)
        return self.query(client, "set", NS_OWNER, f"<x xmlns='{DATA}' type='{kind}'>{inner}</x>")

    def fields(self, client: Client) -> dict[str, str]:
        """Give the fields of the configuration form."""
        (query,) = self.query(client, "get", NS_OWNER).elements()
        (form,) = query.elements(DATA, "x")
        return {field["var"]: str(next(field.elements())) for field in form.elements(DATA, "field")}

    def xml(self, client: Client) -> list[str]:
        """Give what came, without addresses of whom it came to."""
        found = []
        for got in client.take():
            to = client.session.user.bare
            self.assertIn(got["to"], (to, client.session.jid.full))
            del got["to"]
            found.append(got.toXml().replace(" xmlns='jabber:client'", ""))
        return found


def shown(name: str, affiliation: str, role: str, more: str = "", nick: bool = True) -> str:
    """Give the presence that shows somebody's affiliation."""
    gone = " type='unavailable'" if affiliation == "none" else ""
    item = f"<item affiliation='{affiliation}' jid='{bare(name)}' role='{role}'"
    item += f" nick='{bare(name)}'/>" if nick else "/>"
    return f"<presence from='{ROOM}/{bare(name)}'{gone}><x xmlns='{NS_USER}'>{item}{more}</x></presence>"
