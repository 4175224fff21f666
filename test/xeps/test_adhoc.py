"""XEP-0050."""

from __future__ import annotations

from pydantic import Field
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.commands.command import Answer, Arguments, Call, Done, Step
from palaver.errors import StanzaError
from palaver.modules import Module, command
from palaver.test.house import Client, House
from palaver.xeps.adhoc import AdHocCommands
from palaver.xeps.disco import ServiceDiscovery

NS = "http://jabber.org/protocol/commands"
INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"


class First(Arguments):
    """The first step."""

    name: str = Field(description="Who", max_length=10)
    loud: bool = Field(False, description="Loud")


class Second(Arguments):
    """The second step."""

    greeting: str = Field(description="What")


class Greeter(Module):
    """A command in two steps, for administrators."""

    @command("greet", "greet", "Greet somebody", First)
    async def greet(self, call: Call, given: First) -> Answer:
        """Ask for more."""

        async def finish(call: Call, more: Second) -> Done:
            if more.greeting == "Boo":
                raise StanzaError("not-acceptable", "Be nice")
            return Done(f"{more.greeting}, {given.name}{'!' if given.loud else '.'}")

        return Step(Second, finish, {"greeting": "Hello"})


def run(inner: str = "", node: str = "greet", **attrs: str) -> str:
    """Give the request for a command."""
    more = "".join(f" {name}='{value}'" for name, value in attrs.items())
    given = f"<command xmlns='{NS}' node='{node}'{more}>{inner}</command>"
    return f"<iq type='set' id='1' to='example.org'>{given}</iq>"


def form(form_type: str = "greet", **fields: str) -> str:
    """Give a submitted form."""
    inside = "".join(
        f"<field var='{var}'><value>{value}</value></field>"
        for var, value in {"FORM_TYPE": form_type, **fields}.items()
    )
    return f"<x xmlns='jabber:x:data' type='submit'>{inside}</x>"


def conditions(answer: domish.Element) -> list[str]:
    """Give an error's condition, and what XEP-0050 says besides."""
    return [child.name for child in answer.error.elements() if child.name != "text"]


class AdHocTests(SynchronousTestCase):
    """Finding and running commands."""

    def setUp(self) -> None:
        """Make a host with a command for its administrator, who is Juliet."""
        self.house = House(ServiceDiscovery, AdHocCommands, Greeter)
        self.house.host.admins = frozenset(["juliet@example.org"])
        self.juliet = self.house.login("juliet")
        self.romeo = self.house.login("romeo")

    def begin(self, client: Client | None = None) -> str:
        """Begin the command; gives the id of its session."""
        answer = (client or self.juliet).ask(run())
        return str(answer.command["sessionid"])

    def nodes(self, client: Client) -> list[str]:
        """Give the commands that a client is shown."""
        answer = client.ask(
            f"<iq type='get' id='1' to='example.org'><query xmlns='{ITEMS}' node='{NS}'/></iq>"
        )
        return [item["node"] for item in answer.query.elements()]

    def test_list(self) -> None:
        """Everybody is shown the commands that they may run, and no others."""
        self.assertEqual(self.nodes(self.juliet), ["greet", "ping"])
        self.assertEqual(self.nodes(self.romeo), ["ping"])

    def test_info(self) -> None:
        """A command says what it is to who may run it; for others there is none."""
        asked = f"<iq type='get' id='1' to='example.org'><query xmlns='{INFO}' node='greet'/></iq>"
        answer = self.juliet.ask(asked)
        self.assertEqual(answer.query.identity.attributes["type"], "command-node")
        self.assertEqual(answer.query.identity["name"], "Greet somebody")
        self.assertEqual(
            [node["var"] for node in answer.query.elements(INFO, "feature")], [NS, "jabber:x:data"]
        )
        self.assertEqual(conditions(self.romeo.ask(asked)), ["item-not-found"])

    def test_list_info(self) -> None:
        """The list itself says that it is one."""
        answer = self.romeo.ask(
            f"<iq type='get' id='1' to='example.org'><query xmlns='{INFO}' node='{NS}'/></iq>"
        )
        self.assertEqual(answer.query.identity["type"], "command-list")

    def test_reported(self) -> None:
        """With report_commands_node the node of the commands is among the server's items."""
        asked = f"<iq type='get' id='1' to='example.org'><query xmlns='{ITEMS}'/></iq>"
        self.assertEqual(list(self.romeo.ask(asked).query.elements()), [])
        house = House(ServiceDiscovery, AdHocCommands, AdHocCommands={"report_commands_node": True})
        (item,) = house.login("romeo").ask(asked).query.elements()
        self.assertEqual((item["jid"], item["node"], item["name"]), ("example.org", NS, "Commands"))

    def test_at_once(self) -> None:
        """A command that needs nothing is completed at once."""
        answer = self.romeo.ask(run(node="ping", action="execute"))
        self.assertEqual(answer.command["status"], "completed")
        self.assertEqual((str(answer.command.note), answer.command.note["type"]), ("Pong", "info"))

    def test_steps(self) -> None:
        """A command with two steps asks twice, then says what it has done."""
        answer = self.juliet.ask(run())
        self.assertEqual(answer.command["status"], "executing")
        self.assertEqual([node.name for node in answer.command.actions.elements()], ["next", "complete"])
        fields = {field["var"]: field for field in answer.command.x.elements() if field.name == "field"}
        self.assertEqual(list(fields), ["FORM_TYPE", "name", "loud"])
        self.assertIsNotNone(fields["name"].required)
        self.assertEqual((fields["loud"]["type"], str(fields["loud"].value)), ("boolean", "false"))
        key = answer.command["sessionid"]
        answer = self.juliet.ask(run(form(name="Nurse", loud="1"), sessionid=key, action="next"))
        self.assertEqual(
            [node.name for node in answer.command.actions.elements()], ["prev", "next", "complete"]
        )
        answer = self.juliet.ask(run(form(greeting="Hi"), sessionid=key, action="complete"))
        self.assertEqual((answer.command["status"], str(answer.command.note)), ("completed", "Hi, Nurse!"))
        again = self.juliet.ask(run(form(greeting="Hi"), sessionid=key))
        self.assertEqual(conditions(again), ["bad-request", "bad-sessionid"])

    def test_back(self) -> None:
        """One can go back to the step before, but not before the first."""
        key = self.begin()
        self.juliet.ask(run(form(name="Nurse"), sessionid=key))
        answer = self.juliet.ask(run(sessionid=key, action="prev"))
        self.assertIn(
            "name", [field["var"] for field in answer.command.x.elements() if field.name == "field"]
        )
        answer = self.juliet.ask(run(sessionid=key, action="prev"))
        self.assertEqual(conditions(answer), ["bad-request", "bad-action"])
        self.juliet.ask(run(form(name="Tybalt"), sessionid=key))
        answer = self.juliet.ask(run(form(greeting="Hi"), sessionid=key))
        self.assertEqual(str(answer.command.note), "Hi, Tybalt.")

    def test_cancel(self) -> None:
        """A command can be called off, and is over then."""
        key = self.begin()
        self.assertEqual(self.juliet.ask(run(sessionid=key, action="cancel")).command["status"], "canceled")
        answer = self.juliet.ask(run(form(name="Nurse"), sessionid=key))
        self.assertEqual(conditions(answer), ["bad-request", "bad-sessionid"])

    def test_bad_forms(self) -> None:
        """A form that is missing, of another type, incomplete or wrong changes nothing: one can try again."""
        key = self.begin()
        for wrong in (
            "",
            form("other", name="Nurse"),
            form(loud="1"),
            form(name=""),
            form(name="much too long"),
            form(name="Nurse", loud="perhaps"),
            form(name="Nurse").replace("<value>Nurse", "<value>Lady</value><value>Nurse"),
            form(name="Nurse").replace("submit", "result"),
        ):
            answer = self.juliet.ask(run(wrong, sessionid=key))
            self.assertEqual(conditions(answer), ["bad-request", "bad-payload"], wrong)
        self.assertEqual(
            self.juliet.ask(run(form(name="Nurse"), sessionid=key)).command["status"], "executing"
        )

    def test_refused_step(self) -> None:
        """What a command refuses can be corrected."""
        key = self.begin()
        self.juliet.ask(run(form(name="Nurse"), sessionid=key))
        answer = self.juliet.ask(run(form(greeting="Boo"), sessionid=key))
        self.assertEqual((conditions(answer), str(answer.error.text)), (["not-acceptable"], "Be nice"))
        self.assertEqual(
            self.juliet.ask(run(form(greeting="Hi"), sessionid=key)).command["status"], "completed"
        )

    def test_bad_actions(self) -> None:
        """Unknown actions, and those that need a session, are refused as the XEP says."""
        self.assertEqual(conditions(self.juliet.ask(run(action="fly"))), ["bad-request", "malformed-action"])
        self.assertEqual(conditions(self.juliet.ask(run(action="next"))), ["bad-request", "bad-action"])

    def test_unknown(self) -> None:
        """A command that does not exist is not found."""
        self.assertEqual(conditions(self.juliet.ask(run(node="fly"))), ["item-not-found"])

    def test_forbidden(self) -> None:
        """Who may not run a command cannot begin it, whatever they know of it."""
        self.assertEqual(conditions(self.romeo.ask(run())), ["forbidden"])

    def test_each_step_is_checked(self) -> None:
        """Who is no administrator any more cannot finish what was begun as one."""
        key = self.begin()
        self.house.host.admins = frozenset()
        self.assertEqual(conditions(self.juliet.ask(run(form(name="Nurse"), sessionid=key))), ["forbidden"])

    def test_others_sessions(self) -> None:
        """Nobody goes on with another client's command, even of the same account."""
        key = self.begin()
        balcony = self.house.login("juliet", "balcony")
        answer = balcony.ask(run(form(name="Nurse"), sessionid=key))
        self.assertEqual(conditions(answer), ["bad-request", "bad-sessionid"])
        self.assertEqual(
            self.juliet.ask(run(form(name="Nurse"), sessionid=key)).command["status"], "executing"
        )

    def test_expired(self) -> None:
        """A command that waits too long says so, and later is forgotten."""
        key = self.begin()
        self.house.clock.advance(601)
        answer = self.juliet.ask(run(form(name="Nurse"), sessionid=key))
        self.assertEqual(conditions(answer), ["not-allowed", "session-expired"])
        key = self.begin()
        self.house.clock.pump([60] * 21)
        answer = self.juliet.ask(run(form(name="Nurse"), sessionid=key))
        self.assertEqual(conditions(answer), ["bad-request", "bad-sessionid"])

    def test_too_many(self) -> None:
        """One client's oldest command gives way to a new one."""
        keys = [self.begin() for _ in range(11)]
        answers = [self.juliet.ask(run(form(name="Nurse"), sessionid=key)) for key in (keys[0], keys[-1])]
        self.assertEqual([answer["type"] for answer in answers], ["error", "result"])

    def test_too_many_of_all(self) -> None:
        """A full server refuses another command, and is free again when a client goes."""
        house = House(AdHocCommands, Greeter, AdHocCommands={"max_sessions": 2})
        house.host.admins = frozenset(["juliet@example.org"])
        clients = [house.login("juliet", name) for name in "abc"]
        answers = [client.ask(run()) for client in clients]
        self.assertEqual([answer["type"] for answer in answers], ["result", "result", "error"])
        self.assertEqual(conditions(answers[2]), ["resource-constraint"])
        clients[0].session.end()
        self.assertEqual(clients[2].ask(run())["type"], "result")

    def test_unloaded(self) -> None:
        """A command goes with the module that brought it."""
        self.house.modules["Greeter"].detach()
        self.assertEqual(self.nodes(self.juliet), ["ping"])

    def test_same_node(self) -> None:
        """Two commands cannot have one node."""
        self.assertRaises(ValueError, self.house.add, Greeter)
