"""Rooms of MUC Light in the rosters of their members, with versions and pushes."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.words.xish import domish

from palaver.test.house import Client
from palaver.test.muclight.cases import ROOM, SERVICE, LightCase, bare, users
from palaver.xeps.groups import Groups
from palaver.xeps.roster import Roster

NS = "jabber:iq:roster"
NAMED = "<configuration><roomname>Garden</roomname></configuration>"


class RosterCase(LightCase):
    """Juliet's room with Romeo in it."""

    options: ClassVar[dict[str, Any]] = {"rooms_in_rosters": True}

    def setUp(self) -> None:
        """Have rosters, and the room."""
        super().setUp()
        self.house.add(Roster)
        self.make(NAMED, romeo="member")

    def roster(self, client: Client, version: str | None = None) -> domish.Element | None:
        """Ask for the roster; gives the query, None for who has this version."""
        ver = f" ver='{version}'" if version is not None else ""
        answer = client.ask(f"<iq type='get' id='r'><query xmlns='{NS}'{ver}/></iq>")
        self.assertEqual(answer["type"], "result")
        query: domish.Element | None = answer.firstChildElement()
        return query

    def version(self, client: Client) -> str:
        """Give the version of the roster."""
        query = self.roster(client)
        assert query is not None
        return str(query["ver"])

    def rooms(self, client: Client) -> list[domish.Element]:
        """Give the rooms in the roster."""
        query = self.roster(client)
        assert query is not None
        return [item for item in query.elements() if item["jid"].endswith(SERVICE)]

    def pushes(self, client: Client) -> list[domish.Element]:
        """Give the roster pushes that came, as queries."""
        return [got.firstChildElement() for got in client.take() if got.name == "iq" and got["type"] == "set"]


class ResultTests(RosterCase):
    """The roster as it is asked for."""

    def test_item(self) -> None:
        """A room is a contact of its group, with name and version; others' rosters are without it."""
        (item,) = self.rooms(self.romeo)
        self.assertEqual(item.attributes, {"jid": ROOM, "name": "Garden", "subscription": "to"})
        found = [(child.name, str(child)) for child in item.elements()]
        version = self.service.rooms["garden"].version
        self.assertEqual(found, [("group", "urn:xmpp:muclight:0"), ("version", version)])
        self.assertEqual(self.rooms(self.nurse), [])

    def test_known(self) -> None:
        """Who has the roster with the rooms as they are is not sent it again; after a change he is."""
        version = self.version(self.romeo)
        self.assertIsNone(self.roster(self.romeo, version))
        self.ask(self.juliet, "set", "configuration", "<roomname>Street</roomname>")
        query = self.roster(self.romeo, version)
        assert query is not None
        self.assertNotEqual(query["ver"], version)
        self.assertIsNone(self.roster(self.romeo, query["ver"]))

    def test_restart(self) -> None:
        """The version is the same when everything was read again."""
        version = self.version(self.romeo)
        self.romeo.session.unbind()
        self.service.rooms = {}
        again = self.house.login("romeo", presence="<presence/>")
        self.assertIsNone(self.roster(again, version))

    def test_missed(self) -> None:
        """What has changed while somebody was away gives another version."""
        version = self.version(self.romeo)
        self.romeo.session.unbind()
        self.ask(self.juliet, "set", "affiliations", users(nurse="member"))
        again = self.house.login("romeo", presence="<presence/>")
        self.assertIsNotNone(self.roster(again, version))

    def test_off(self) -> None:
        """Once the option is off again there are no rooms, and clients hear of it."""
        version = self.version(self.romeo)
        self.house.modules["MucLight"].detach()
        query = self.roster(self.romeo, version)
        assert query is not None
        self.assertEqual(list(query.elements()), [])


class PushTests(RosterCase):
    """What clients hear of changes."""

    def setUp(self) -> None:
        """Have Romeo and the nurse ask for their rosters."""
        super().setUp()
        for client in (self.romeo, self.nurse):
            self.roster(client)
        self.hush()

    def test_changed(self) -> None:
        """Another name, and another version, are pushed to members, with the roster's version."""
        self.ask(self.juliet, "set", "configuration", "<roomname>Street</roomname>")
        (query,) = self.pushes(self.romeo)
        (item,) = query.elements()
        self.assertEqual((item["jid"], item["name"], item["subscription"]), (ROOM, "Street", "to"))
        self.assertEqual(
            [str(child) for child in item.elements()],
            ["urn:xmpp:muclight:0", self.service.rooms["garden"].version],
        )
        self.assertIsNone(self.roster(self.romeo, query["ver"]))
        self.assertEqual(self.pushes(self.nurse), [])

    def test_nobody_asked(self) -> None:
        """Who has not asked for the roster gets no pushes."""
        self.ask(self.juliet, "set", "configuration", "<roomname>Street</roomname>")
        self.assertEqual(self.pushes(self.juliet), [])

    def test_members(self) -> None:
        """Who comes in gets the room, who goes loses it, and the versions hold."""
        self.ask(self.juliet, "set", "affiliations", users(nurse="member", romeo="none"))
        (query,) = self.pushes(self.nurse)
        self.assertEqual(query.firstChildElement()["name"], "Garden")
        self.assertIsNone(self.roster(self.nurse, query["ver"]))
        (query,) = self.pushes(self.romeo)
        self.assertEqual(query.firstChildElement().attributes, {"jid": ROOM, "subscription": "remove"})
        self.assertIsNone(self.roster(self.romeo, query["ver"]))

    def test_new_and_destroyed(self) -> None:
        """A new room is pushed, and so is its end."""
        other = f"other@{SERVICE}"
        inner = f"{NAMED}<occupants>{users(romeo='member')}</occupants>"
        wish = f"<query xmlns='urn:xmpp:muclight:0#{{}}'>{inner}</query>"
        self.nurse.send(f"<iq type='set' id='c' to='{other}'>{wish.format('create')}</iq>")
        for client in (self.nurse, self.romeo):
            (query,) = self.pushes(client)
            self.assertEqual(query.firstChildElement()["jid"], other)
        self.nurse.send(f"<iq type='set' id='d' to='{other}'>{wish.format('destroy')}</iq>")
        for client in (self.nurse, self.romeo):
            (query,) = self.pushes(client)
            self.assertEqual(query.firstChildElement()["subscription"], "remove")
            self.assertIsNone(self.roster(client, query["ver"]))

    def test_contacts(self) -> None:
        """A change of contacts is pushed with a version of the rooms too, and is stored without it."""
        item = f"<item jid='{bare('nurse')}' name='N'/>"
        self.romeo.send(f"<iq type='set' id='s'><query xmlns='{NS}'>{item}</query></iq>")
        (query,) = self.pushes(self.romeo)
        self.assertIsNone(self.roster(self.romeo, query["ver"]))
        self.romeo.session.unbind()
        again = self.house.login("romeo", presence="<presence/>")
        self.assertIsNone(self.roster(again, query["ver"]))

    def test_groups(self) -> None:
        """Shared contacts do not take the rooms away."""
        members = {bare("romeo"): "Romeo", bare("nurse"): "Nurse"}
        self.house.add(Groups, groups={"house": members})
        self.house.clock.advance(0)
        (query,) = self.pushes(self.romeo)
        self.assertIsNone(self.roster(self.romeo, query["ver"]))


class OffTests(LightCase):
    """Without the option."""

    def test_off(self) -> None:
        """Rosters are without rooms, and nothing is pushed."""
        self.house.add(Roster)
        self.make(NAMED, romeo="member")
        answer = self.romeo.ask(f"<iq type='get' id='r'><query xmlns='{NS}'/></iq>")
        self.assertEqual(list(answer.firstChildElement().elements()), [])
        self.ask(self.juliet, "set", "configuration", "<roomname>Street</roomname>")
        self.assertEqual([got.name for got in self.romeo.take()], ["message"])


class ListedTests(LightCase):
    """The service among those of the server."""

    def test_node(self) -> None:
        """Service discovery lists it under the node by which clients know it, which it answers for."""
        from palaver.xeps.disco import ServiceDiscovery

        self.house.add(ServiceDiscovery)
        items = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
        answer = self.romeo.ask(f"<iq type='get' id='d' to='example.org'>{items}</iq>")
        (item,) = [item for item in answer.firstChildElement().elements() if item["jid"] == SERVICE]
        self.assertEqual(item["node"], "urn:xmpp:muclight:0")
        info = f"<query xmlns='http://jabber.org/protocol/disco#info' node='{item['node']}'/>"
        self.assertEqual(
            self.romeo.ask(f"<iq type='get' id='d' to='{SERVICE}'>{info}</iq>")["type"], "result"
        )
