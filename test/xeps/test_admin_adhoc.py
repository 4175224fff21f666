"""XEP-0133, and announcements."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.auth.accounts import NotSupported
from palaver.commands import command as commands
from palaver.commands.command import Call
from palaver.errors import StorageError
from palaver.interfaces import IProcess
from palaver.test.house import Client, House, now
from palaver.xeps.adhoc import AdHocCommands
from palaver.xeps.admin_adhoc import ServiceAdministration
from palaver.xeps.announce import Announce
from palaver.xeps.last import LastActivity

NS = "http://jabber.org/protocol/commands"
ADMIN = "http://jabber.org/protocol/admin"
JULIET = "juliet@example.org"


class FakeProcess:
    """Notes how it is to end."""

    def __init__(self) -> None:
        self.ended: list[bool] = []

    def end(self, restart: bool) -> None:
        """See IProcess."""
        self.ended.append(restart)


def condition(answer: domish.Element) -> str:
    """Give an error's condition."""
    name: str = answer.error.firstChildElement().name
    return name


class AdministrationCase(SynchronousTestCase):
    """A host that Juliet administers."""

    def setUp(self) -> None:
        """Make the host, with a process that can end."""
        self.house = House(AdHocCommands, LastActivity)
        self.house.host.admins = self.house.host.server_admins = frozenset([JULIET])
        self.process = FakeProcess()
        self.house.host.registry.registerUtility(self.process, IProcess)
        self.house.add(ServiceAdministration)
        self.house.add(Announce)
        self.juliet = self.house.login("juliet", presence="<presence/>")

    def ask(self, node: str, inner: str = "", client: Client | None = None, **attrs: str) -> domish.Element:
        """Send one request for a command."""
        more = "".join(f" {name}='{value}'" for name, value in attrs.items())
        return (client or self.juliet).ask(
            f"<iq type='set' id='1' to='example.org'>"
            f"<command xmlns='{NS}' node='{ADMIN}#{node}'{more}>{inner}</command></iq>"
        )

    def do(self, node: str, **fields: Any) -> domish.Element:
        """Run a command with a form; gives the last answer."""
        first = self.ask(node)
        self.assertEqual(first.command["status"], "executing")
        self.form = {
            field["var"]: [str(value) for value in field.elements("jabber:x:data", "value")]
            for field in first.command.x.elements("jabber:x:data", "field")
        }
        inner = f"<field var='FORM_TYPE'><value>{ADMIN}</value></field>"
        for name, given in fields.items():
            values = given if isinstance(given, list) else [given]
            texts = "".join(f"<value>{value}</value>" for value in values)
            inner += f"<field var='{name.replace('_verify', '-verify')}'>{texts}</field>"
        form = f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>"
        return self.ask(node, form, sessionid=first.command["sessionid"])

    def values(self, answer: domish.Element) -> dict[str, list[str]]:
        """Give the fields of a result."""
        self.assertEqual(answer.command["status"], "completed")
        return {
            field["var"]: [str(value) for value in field.elements("jabber:x:data", "value")]
            for field in answer.command.x.elements("jabber:x:data", "field")
            if field["var"] != "FORM_TYPE"
        }


class AccountTests(AdministrationCase):
    """The life of accounts."""

    def test_add(self) -> None:
        """An administrator makes an account; the form wants the password."""
        answer = self.do(
            "add-user", accountjid="bill@example.org", password="Globe", password_verify="Globe", email="x"
        )
        self.assertEqual(str(answer.command.note), "bill@example.org has been created.")
        self.assertEqual(self.house.accounts.passwords, {"bill": "Globe"})

    def test_add_refused(self) -> None:
        """Names that are taken, no accounts, of another host, or with two passwords are refused."""
        for fields, expected in (
            ({"accountjid": "romeo@example.org"}, "conflict"),
            ({"accountjid": "example.org"}, "bad-request"),
            ({"accountjid": "bill@example.org/x"}, "bad-request"),
            ({"accountjid": "b@b@example.org"}, "bad-request"),
            ({"accountjid": "bill@example.com"}, "not-allowed"),
            ({"accountjid": "bill@example.org", "password_verify": "Other"}, "bad-request"),
            ({"accountjid": ["bill@example.org", "bull@example.org"]}, "bad-request"),
        ):
            self.assertEqual(condition(self.do("add-user", password="Globe", **fields)), expected, fields)
        self.assertNotIn("bill", self.house.accounts.names)

    def test_accounts_elsewhere(self) -> None:
        """Where accounts belong to somebody else, none is made."""
        self.patch(self.house.accounts, "create", lambda *_: fail(NotSupported()))
        answer = self.do("add-user", accountjid="bill@example.org", password="Globe")
        self.assertEqual(condition(answer), "not-allowed")

    def test_storage_fails(self) -> None:
        """A storage that fails is a failure that may pass."""
        self.patch(self.house.accounts, "create", lambda *_: fail(StorageError("down")))
        answer = self.do("add-user", accountjid="bill@example.org", password="Globe")
        self.assertEqual((condition(answer), answer.error["type"]), ("internal-server-error", "wait"))

    def test_delete(self) -> None:
        """Accounts are deleted, all or, when one is not there, none."""
        answer = self.do("delete-user", accountjids=["romeo@example.org", "nobody@example.org"])
        self.assertEqual(condition(answer), "item-not-found")
        self.assertIn("romeo", self.house.accounts.names)
        romeo = self.house.login("romeo")
        self.do("delete-user", accountjids=["romeo@example.org", "nurse@example.org"])
        self.assertEqual(self.house.accounts.names, {"juliet", "mercutio"})
        self.assertTrue(romeo.closed)

    def test_disable(self) -> None:
        """A disabled account's sessions end; it is counted and listed, and can be enabled again."""
        romeo = self.house.login("romeo")
        self.do("disable-user", accountjids="romeo@example.org")
        self.assertTrue(romeo.closed)
        self.assertEqual(self.values(self.ask("get-disabled-users-num")), {"disabledusersnum": ["1"]})
        listed = self.values(self.do("get-disabled-users-list"))
        self.assertEqual(listed, {"disableduserjids": ["romeo@example.org"]})
        self.do("reenable-user", accountjids="romeo@example.org")
        self.assertEqual(self.house.accounts.locked, set())

    def test_end_sessions(self) -> None:
        """One session ends, or all of an account."""
        clients = [self.house.login("romeo", name) for name in "abc"]
        answer = self.do("end-user-session", accountjids="romeo@example.org/b")
        self.assertEqual(str(answer.command.note), "1 session has been ended.")
        self.assertEqual([client.closed for client in clients], [False, True, False])
        self.do("end-user-session", accountjids="romeo@example.org")
        self.assertEqual([client.closed for client in clients], [True, True, True])
        answer = self.do("end-user-session", accountjids="romeo@example.com")
        self.assertEqual(condition(answer), "not-allowed")

    def test_change_password(self) -> None:
        """An account gets another password."""
        self.do("change-user-password", accountjid="romeo@example.org", password="Globe")
        self.assertEqual(self.house.accounts.passwords, {"romeo": "Globe"})

    def test_no_passwords(self) -> None:
        """Nobody is given a password: there is no such command."""
        self.assertEqual(condition(self.ask("get-user-password")), "item-not-found")

    def test_others(self) -> None:
        """Who is no administrator gets nothing done."""
        mercutio = self.house.login("mercutio")
        for node in ("add-user", "delete-user", "get-user-roster", "edit-admin", "announce", "shutdown"):
            self.assertEqual(condition(self.ask(node, client=mercutio)), "forbidden", node)


class ReportTests(AdministrationCase):
    """What an administrator may know."""

    def test_roster(self) -> None:
        """The contacts of accounts are given; strangers are not found."""
        self.house.login("romeo").send(
            "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='x@example.com'/></query></iq>"
        )
        found = self.values(self.do("get-user-roster", accountjids="romeo@example.org"))
        self.assertEqual(found["accountjids"], ["romeo@example.org"])
        answer = self.do("get-user-roster", accountjids="nobody@example.org")
        self.assertEqual(condition(answer), "item-not-found")

    def test_last_login(self) -> None:
        """Who is online is, who went did so at a time, and others have never been here."""
        self.house.clock.advance(60)
        self.house.login("romeo", presence="<presence/>").session.end()
        accounts = [JULIET, "romeo@example.org", "nurse@example.org"]
        found = self.values(self.do("get-user-lastlogin", accountjids=accounts))
        self.assertEqual(found["lastlogin"], ["online", "1970-01-01T00:01:00Z", "never"])

    def test_statistics(self) -> None:
        """An account's addresses and sessions are given."""
        self.house.login("romeo")
        found = self.values(self.do("user-stats", accountjid="romeo@example.org"))
        self.assertEqual(
            found, {"ipaddresses": ["127.0.0.1"], "rostersize": ["0"], "onlineresources": ["orchard"]}
        )

    def test_sessions(self) -> None:
        """Sessions are listed, found by a part of their address, and so many at most."""
        self.house.login("romeo", "orchard", "<presence><show>away</show></presence>")
        self.house.login("nurse", "hall")
        juliet = "juliet@example.org/orchard 127.0.0.1 available"
        nurse = "nurse@example.org/hall 127.0.0.1 unavailable"
        romeo = "romeo@example.org/orchard 127.0.0.1 away"
        found = commands.named(self.house.host, "session list")
        assert found is not None and found.arguments is not None
        for given, lines in (
            ({}, (juliet, nurse, romeo)),
            ({"find": "HALL"}, (nurse,)),
            ({"limit": 1}, (juliet,)),
        ):
            call = Call(self.house.host, self.juliet.session.jid)
            done = now(found.run(call, found.arguments.model_validate(given)))
            self.assertEqual(done.result.sessions, lines)

    def test_counts(self) -> None:
        """Registered, online, active and idle accounts are counted."""
        self.house.login("romeo", presence="<presence><show>away</show></presence>")
        for node, name, expected in (
            ("get-registered-users-num", "registeredusersnum", "4"),
            ("get-online-users-num", "onlineusersnum", "2"),
            ("get-active-users-num", "activeusersnum", "1"),
            ("get-idle-users-num", "idleusersnum", "1"),
        ):
            self.assertEqual(self.values(self.ask(node)), {name: [expected]})

    def test_lists(self) -> None:
        """The same are listed, as many as are wanted."""
        self.house.login("romeo", presence="<presence><show>xa</show></presence>")
        self.assertEqual(
            self.values(self.do("get-online-users-list", max_items="25"))["onlineuserjids"],
            [JULIET, "romeo@example.org"],
        )
        self.assertEqual(self.values(self.do("get-active-users"))["activeuserjids"], [JULIET])
        self.assertEqual(self.values(self.do("get-idle-users"))["activeuserjids"], ["romeo@example.org"])
        self.house.accounts.names.update(f"user{number}" for number in range(30))
        listed = self.values(self.do("get-registered-users-list", max_items="25"))
        self.assertEqual(len(listed["registereduserjids"]), 25)
        self.assertEqual(condition(self.do("get-registered-users-list", max_items="26")), "bad-request")


class ServerTests(AdministrationCase):
    """The administrators themselves, announcements, and the end of the server."""

    def test_admins(self) -> None:
        """An administrator makes another one, whose commands work; those of the configuration stay."""
        answer = self.do("edit-admin", adminjids=["romeo@example.org"])
        self.assertEqual(self.form["adminjids"], [JULIET])
        self.assertIn(f"still names {JULIET}", str(answer.command.note))
        romeo = self.house.login("romeo")
        self.assertEqual(self.ask("get-online-users-num", client=romeo)["type"], "result")
        self.do("edit-admin", adminjids=[JULIET])
        self.assertEqual(condition(self.ask("get-online-users-num", client=romeo)), "forbidden")

    def test_host_admins(self) -> None:
        """Who administers one host does not end the server for all."""
        self.do("edit-admin", adminjids=["romeo@example.org"])
        romeo = self.house.login("romeo")
        self.assertEqual(condition(self.ask("shutdown", client=romeo)), "forbidden")

    def test_announce(self) -> None:
        """An announcement reaches everybody who is online."""
        romeo = self.house.login("romeo", presence="<presence/>")
        away = self.house.login("nurse")
        romeo.take()
        answer = self.do("announce", subject="Tonight", announcement=["A feast", "at ten"])
        self.assertEqual(str(answer.command.note), "2 sessions have been told.")
        (message,) = romeo.take()
        self.assertEqual((message["from"], message["type"]), ("example.org", "headline"))
        self.assertEqual((str(message.subject), str(message.body)), ("Tonight", "A feast\nat ten"))
        self.assertEqual(away.take(), [])
        self.assertEqual(condition(self.do("announce", announcement="")), "bad-request")

    def test_shutdown(self) -> None:
        """The server ends after the delay, and people of every host are told; a second time is refused."""
        romeo = self.house.login("romeo", presence="<presence/>")
        romeo.take()
        other = House(domain="example.com")
        other.host.router = self.house.router
        self.house.router.add(other.host)
        elsewhere = other.login("romeo", presence="<presence/>")
        elsewhere.take()
        self.do("shutdown", delay="60", announcement="Good night")
        self.assertEqual([str(message.body) for message in romeo.take()], ["Good night"])
        self.assertEqual([str(message.body) for message in elsewhere.take()], ["Good night"])
        self.assertEqual(condition(self.do("restart", delay="30")), "conflict")
        self.house.clock.advance(59)
        self.assertEqual(self.process.ended, [])
        self.house.clock.advance(1)
        self.assertEqual(self.process.ended, [False])

    def test_restart(self) -> None:
        """The server can be started again; only with a delay of the list."""
        self.assertEqual(condition(self.do("restart", delay="1")), "bad-request")
        self.do("restart", delay="30")
        self.house.clock.advance(30)
        self.assertEqual(self.process.ended, [True])

    def test_unloaded(self) -> None:
        """When the module goes, so do its commands and an end that was planned."""
        self.do("shutdown", delay="30")
        self.house.modules["ServiceAdministration"].detach()
        self.house.clock.advance(30)
        self.assertEqual(self.process.ended, [])
        self.assertEqual(condition(self.ask("shutdown")), "item-not-found")

    def test_embedded(self) -> None:
        """A server inside of another application does not end the process."""
        house = House(AdHocCommands, ServiceAdministration)
        house.host.admins = house.host.server_admins = frozenset([JULIET])
        answer = self.ask("shutdown", client=house.login("juliet"))
        self.assertEqual(condition(answer), "item-not-found")
