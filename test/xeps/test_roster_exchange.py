"""mod_roster_exchange."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.stanza import Stanza
from palaver.test.house import House, stanza
from palaver.tree import parse_element
from palaver.xeps.groups import Groups
from palaver.xeps.roster import Roster
from palaver.xeps.roster_exchange import RosterExchange

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
GATE, STAFF = "icq.example.com", "groups.example.com"
BUDDY, PAL = f"1@{GATE}", f"2@{GATE}"
NS = "http://jabber.org/protocol/rosterx"


class Service:
    """A domain of this server that keeps what it gets."""

    name = "A service"

    def __init__(self, house, domain):
        self.domain = domain
        self.house = house
        self.got = []
        house.router.add(self)

    def deliver(self, given, to):
        self.got.append(given)

    def take(self):
        found = [parse_element(given.encode(declare=True)) for given in self.got]
        self.got.clear()
        return found

    def ask(self, items, to=ROMEO):
        """Send suggestions in an IQ; gives the answer."""
        x = f"<x xmlns='{NS}'>{items}</x>"
        self.house.router.route(stanza(f"<iq type='set' id='q' from='{self.domain}' to='{to}'>{x}</iq>"))
        (answer,) = [got for got in self.take() if got.getAttribute("id") == "q"]
        return answer

    def write(self, items, body=""):
        """Send suggestions in a message."""
        x = f"{body}<x xmlns='{NS}'>{items}</x>"
        self.house.router.route(stanza(f"<message id='m' from='{self.domain}' to='{ROMEO}'>{x}</message>"))


def item(contact, *groups, action="", name=""):
    inner = "".join(f"<group>{group}</group>" for group in groups)
    wanted = f" action='{action}'" if action else ""
    return f"<item jid='{contact}' name='{name}'{wanted}>{inner}</item>"


def condition(node):
    """Give an error's type and condition."""
    return node.error["type"], node.error.firstChildElement().name


class RosterExchangeTests(SynchronousTestCase):
    """Romeo, a gateway, and a group service."""

    def setUp(self):
        self.house = House(Roster)
        self.house.add(RosterExchange, gateways=[GATE], group_services=[STAFF], max_items=3, max_suggested=2)
        self.gate, self.staff = Service(self.house, GATE), Service(self.house, STAFF)
        self.romeo = self.house.login("romeo", "orchard", "<presence/>")
        self.romeo.take()

    def items(self):
        """Give Romeo's contacts: name and groups by address."""
        answer = self.romeo.ask("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        return {
            found["jid"]: (found.getAttribute("name", ""), [str(group) for group in found.elements()])
            for found in answer.query.elements()
        }

    def test_add(self):
        """A gateway's contacts are added, pushed, and asked for their presence."""
        self.items()
        self.assertEqual(self.gate.ask(item(BUDDY, "ICQ", name="Buddy"))["type"], "result")
        pushed = [node.query.item["jid"] for node in self.romeo.take() if node.query]
        self.assertEqual(set(pushed), {BUDDY})
        self.assertEqual(self.items(), {BUDDY: ("Buddy", ["ICQ"])})
        self.assertTrue(self.romeo.session.user.roster.item(BUDDY).ask)

    def test_asks_for_presence(self):
        """The contact itself gets the request."""
        self.gate.write(item(BUDDY))
        self.assertEqual(
            [(g.name, g.getAttribute("type")) for g in self.gate.take()], [("presence", "subscribe")]
        )

    def test_add_again(self):
        """A contact that is there gets further groups and keeps its name; the same again changes nothing."""
        self.gate.ask(item(BUDDY, "ICQ", name="Buddy"))
        self.gate.ask(item(BUDDY, "Work", name="Other", action="add"))
        self.assertEqual(self.items(), {BUDDY: ("Buddy", ["ICQ", "Work"])})
        version = self.romeo.session.user.roster.version
        self.gate.ask(item(BUDDY, "Work"))
        self.assertEqual(self.romeo.session.user.roster.version, version)

    def test_delete(self):
        """A contact leaves a group, and the roster with the last one; who is not there is passed over."""
        self.gate.ask(item(BUDDY, "ICQ", "Work"))
        for groups, left in ((["None"], ["ICQ", "Work"]), (["Work"], ["ICQ"]), (["ICQ"], None)):
            self.assertEqual(self.gate.ask(item(BUDDY, *groups, action="delete"))["type"], "result")
            self.assertEqual(self.items(), {BUDDY: ("", left)} if left else {})
        self.gate.ask(item(PAL))
        self.gate.ask(item(PAL, action="delete") + item(BUDDY, action="delete"))
        self.assertEqual(self.items(), {})

    def test_modify(self):
        """Name and groups of a contact are changed; one that is not there is not added."""
        self.gate.ask(item(BUDDY, "ICQ", name="Buddy"))
        self.gate.ask(item(BUDDY, name="Pal", action="modify") + item(PAL, action="modify"))
        self.assertEqual(self.items(), {BUDDY: ("Pal", ["ICQ"])})
        self.gate.ask(item(BUDDY, "Work", action="modify"))
        self.assertEqual(self.items(), {BUDDY: ("Pal", ["Work"])})

    def test_message(self):
        """What a message suggests is done, and what it says besides is delivered."""
        self.gate.write(item(BUDDY), "<body>Welcome</body>")
        (message,) = [node for node in self.romeo.take() if node.name == "message"]
        self.assertEqual([child.name for child in message.elements()], ["body"])
        self.gate.write(item(PAL))
        self.assertEqual([node for node in self.romeo.take() if node.name == "message"], [])
        self.assertEqual(set(self.items()), {BUDDY, PAL})

    def test_foreign(self):
        """A gateway suggests contacts of its own, a group service anybody."""
        answer = self.gate.ask(item(BUDDY) + item(JULIET))
        self.assertEqual(condition(answer), ("auth", "forbidden"))
        self.assertEqual(self.items(), {})
        self.assertEqual(self.staff.ask(item(JULIET, "Crew"))["type"], "result")
        self.assertEqual(self.items(), {JULIET: ("", ["Crew"])})

    def test_wrong(self):
        """Nothing suggested, several actions, wrong addresses and too much are refused, with nothing done."""
        for items, expected in (
            ("", ("modify", "bad-request")),
            (item(BUDDY) + item(PAL, action="delete"), ("modify", "bad-request")),
            (item(BUDDY) + item(f"{PAL}/r"), ("modify", "bad-request")),
            (item(BUDDY) + "<item/>", ("modify", "bad-request")),
            (item(BUDDY) * 4, ("modify", "not-acceptable")),
        ):
            self.assertEqual(condition(self.gate.ask(items)), expected)
        self.assertEqual(self.items(), {})
        self.gate.write("")
        self.assertEqual(condition(self.gate.take()[0]), ("modify", "bad-request"))

    def test_unknown_action(self):
        """An action that nobody knows means that the contact is to be added."""
        self.gate.ask(item(BUDDY, action="embrace"))
        self.assertEqual(set(self.items()), {BUDDY})

    def test_nobody(self):
        """There is no roster for an account that there is not."""
        answer = self.gate.ask(item(BUDDY), to="nobody@example.org")
        self.assertEqual(condition(answer), ("cancel", "service-unavailable"))

    def test_away(self):
        """The roster of somebody who is away is changed too."""
        self.romeo.session.unbind()
        self.gate.ask(item(BUDDY))
        self.romeo = self.house.login("romeo")
        self.assertEqual(set(self.items()), {BUDDY})

    def test_others(self):
        """What others suggest reaches the client as it is; their IQs and too long lists are refused."""
        juliet = self.house.login("juliet", "balcony", "<presence/>")
        two = item("nurse@example.org") + item("friar@example.org")
        juliet.send(f"<message to='{ROMEO}'><x xmlns='{NS}'>{two}</x></message>")
        (message,) = [node for node in self.romeo.take() if node.name == "message"]
        self.assertEqual(len(list(message.x.elements())), 2)
        self.assertEqual(self.items(), {})
        juliet.take()
        juliet.send(f"<message to='{ROMEO}'><x xmlns='{NS}'>{two}{two}</x></message>")
        self.assertEqual(condition(juliet.take()[0]), ("modify", "not-acceptable"))
        answer = juliet.ask(f"<iq type='set' id='i' to='{ROMEO}'><x xmlns='{NS}'>{two}</x></iq>")
        self.assertEqual(condition(answer), ("auth", "forbidden"))

    def test_user_of_a_service(self):
        """An address on a trusted domain is not the service itself."""
        x = f"<x xmlns='{NS}'>{item(BUDDY)}</x>"
        self.house.router.route(stanza(f"<iq type='set' id='q' from='eve@{GATE}' to='{ROMEO}'>{x}</iq>"))
        self.assertEqual(condition(self.gate.take()[0]), ("auth", "forbidden"))

    def test_error(self):
        """An error that comes back is no suggestion."""
        x = stanza(f"<message><x xmlns='{NS}'>{item(BUDDY)}</x></message>")
        attrs = {"type": "error", "from": GATE, "to": ROMEO}
        self.house.router.route(Stanza("message", attrs, x.children, x.inner))
        self.assertEqual(self.items(), {})

    def test_shared(self):
        """A contact that the administrator has put there stays."""
        self.house.add(Groups, groups={"Crew": {ROMEO: "", BUDDY: ""}})
        self.house.clock.advance(0)
        self.assertEqual(self.gate.ask(item(BUDDY, action="delete"))["type"], "result")
        self.assertEqual(set(self.items()), {BUDDY})
