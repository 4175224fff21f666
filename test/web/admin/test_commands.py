"""Commands as forms in the browser."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import fail

from palaver.commands import command as commands
from palaver.commands.command import Arguments, Call, Command, Done, Step
from palaver.errors import StorageError
from palaver.interfaces import IRooms
from palaver.test.web.admin.case import ROMEO, AdminCase
from palaver.test.web.pages.visitor import key_of
from palaver.web.admin import commands as web_commands


class CommandTests(AdminCase):
    """Every command has a page with its form."""

    async def test_all(self) -> None:
        """Each command that an administrator may run is listed, and its form can be opened."""
        juliet = await self.entered()
        text = await self.page(juliet, "/localhost/commands")
        found = [each for each in commands.commands(self.host) if each.name]
        self.assertGreater(len(found), 30)
        for each in found:
            path = f"/localhost/commands/{each.name.replace(' ', '-')}"
            self.assertIn(f'"/admin{path}"', text)
            form = await self.page(juliet, path)
            self.assertIn('method="post"', form)
            self.assertEqual("I am sure" in form, bool(each.harm), each.name)

    async def test_account(self) -> None:
        """An account is made, given another password, locked out, let in and deleted."""
        juliet, accounts = await self.entered(), self.host.accounts
        fields: dict[str, Any] = {"accountjid": "tybalt@localhost", "password": "prince of cats"}
        text = await self.run_command(juliet, "account create", **fields)
        self.assertIn("tybalt@localhost has been created", text)
        self.assertTrue(await accounts.check_password("tybalt", "prince of cats"))
        await self.run_command(juliet, "account passwd", **{**fields, "password": "rat-catcher"})
        self.assertTrue(await accounts.check_password("tybalt", "rat-catcher"))
        await self.run_command(juliet, "account disable", accountjids="tybalt@localhost")
        self.assertEqual(await accounts.disabled(), ["tybalt"])
        await self.run_command(juliet, "account enable", accountjids="tybalt@localhost")
        self.assertEqual(await accounts.disabled(), [])
        await self.run_command(juliet, "account delete", accountjids="tybalt@localhost", sure="yes")
        self.assertFalse(await accounts.exists("tybalt"))

    async def test_sure(self) -> None:
        """What cannot be taken back asks once more, says what is lost, and keeps what was typed."""
        juliet = await self.entered()
        text = await self.page(juliet, "/localhost/commands/account-delete?accountjids=nurse@localhost")
        self.assertIn("everything else that is stored", text)
        self.assertIn("nurse@localhost</textarea>", text)
        text = await self.run_command(juliet, "account delete", status=400, accountjids="nurse@localhost")
        self.assertIn("Tick the box", text)
        self.assertIn("nurse@localhost</textarea>", text)
        self.assertTrue(await self.host.accounts.exists("nurse"))

    async def test_left_empty(self) -> None:
        """Fields that may be left empty are, though browsers send them all."""
        juliet = await self.entered()
        fields: dict[str, Any] = {"accountjid": "tybalt@localhost", "password": "rats", "password-verify": ""}
        await self.run_command(juliet, "account create", **fields)
        await self.run_command(juliet, "account create", status=400, **{**fields, "password-verify": "cats"})
        fields = {"username": "", "accountjid": "", "uses": "2", "lifetime": ""}
        await self.run_command(juliet, "invite create", **fields)
        await self.run_command(juliet, "admins edit", adminjids="")

    async def test_several(self) -> None:
        """A field takes several values, one each line."""
        juliet = await self.entered()
        both = "nurse@localhost\r\n\r\nromeo@localhost\r\n"
        text = await self.run_command(juliet, "account delete", accountjids=both, sure="yes")
        self.assertIn("nurse@localhost, romeo@localhost have been deleted", text)

    async def test_wrong(self) -> None:
        """What is missing, wrong, taken or not there is said on the form, with the right status."""
        juliet = await self.entered()
        for name, fields, status in (
            ("account create", {"accountjid": "", "password": "x"}, 400),
            ("account create", {"accountjid": "a b", "password": "x"}, 400),
            ("account create", {"accountjid": "tybalt@localhost", "password": ""}, 400),
            ("account create", {"accountjid": ROMEO, "password": "x"}, 403),
            ("account create", {"accountjid": "x@elsewhere.example", "password": "x"}, 403),
            ("account delete", {"accountjids": "nobody@localhost", "sure": "yes"}, 404),
            ("account delete", {"accountjids": "x" * 40_000, "sure": "yes"}, 400),
            ("invite create", {"uses": "many"}, 400),
            ("invite create", {"uses": "0"}, 400),
            ("invite delete", {"invite": "'; drop"}, 400),
            ("list registered", {"max_items": "7"}, 400),
        ):
            text = await self.run_command(juliet, name, status=status, **fields)
            self.assertIn('role="alert"', text, (name, fields))

    async def test_not_text(self) -> None:
        """What is not UTF-8 is as if it was not there."""
        juliet = await self.entered()
        path = "/admin/localhost/commands/account-create"
        key = key_of(await juliet.get(path))
        body = b"accountjid=%ff@localhost&password=x&key=" + key.encode()
        kind = {"Content_Type": "application/x-www-form-urlencoded"}
        self.assertEqual((await juliet.send("POST", path, body, **kind)).status, 400)

    async def test_password_is_not_shown(self) -> None:
        """A password that was typed stands in no page, nor one of the address."""
        juliet = await self.entered()
        fields = {"accountjid": ROMEO, "password": "swordfish"}
        self.assertNotIn("swordfish", await self.run_command(juliet, "account create", status=403, **fields))
        text = await self.page(juliet, "/localhost/commands/account-create?password=swordfish")
        self.assertNotIn("swordfish", text)

    async def test_script(self) -> None:
        """What was typed and what is told are shown as text, and no address of a script is a link."""
        juliet = await self.entered()
        evil = '"><script>alert(1)</script>'
        text = await self.run_command(juliet, "account create", status=400, accountjid=evil, password="x")
        self.assertNotIn("<script>", text)
        text = await self.run_command(
            juliet, "account delete", status=400, accountjids=f"</textarea>{evil}", sure="yes"
        )
        self.assertNotIn("<script>", text)

        async def tell(call: Call, given: None) -> Done:
            from palaver.commands.reports import RosterReport

            return Done(evil, RosterReport(accountjids=("javascript:alert(1)",), contacts=(evil, evil)))

        self.addCleanup(commands.add(self.host, Command("x#tell", "tell all", evil, tell)))
        for text in (
            await self.run_command(juliet, "tell all"),
            await self.page(juliet, "/localhost/commands"),
        ):
            self.assertNotIn("<script>", text)
            self.assertNotIn('href="javascript', text)
            self.assertIn("&lt;script&gt;", text)

    async def test_rooms(self) -> None:
        """A room is made, stays, and is destroyed once somebody is sure."""
        juliet = await self.entered()
        fields: dict[str, Any] = {"room": "hall", "owner": ROMEO, "title": "Great hall", "persistent": "1"}
        self.assertIn("has been created", await self.run_command(juliet, "room create", **fields))
        rooms = self.host.query(IRooms)
        room = await rooms.load("hall")
        self.assertEqual((room.config["roomname"], room.is_persistent), ("Great hall", True))
        self.assertFalse(room.config["publicroom"])
        await self.run_command(juliet, "room destroy", status=400, room="hall")
        await self.run_command(juliet, "room destroy", room="hall", sure="yes")
        self.assertIsNone(await rooms.load("hall"))
        await self.run_command(juliet, "room destroy", status=404, room="hall", sure="yes")

    async def test_prefilled(self) -> None:
        """A form shows what is there now, and what options there are by default."""
        juliet = await self.entered()
        text = await self.page(juliet, "/localhost/commands/admins-edit")
        self.assertIn("juliet@localhost\nromeo@localhost</textarea>", text)
        text = await self.page(juliet, "/localhost/commands/room-create")
        self.assertIn('name="persistent" value="1" checked', text)
        self.assertNotIn('name="members_only" value="1" checked', text)

    async def test_log(self) -> None:
        """Who ran what is logged, without what was given."""
        juliet = await self.entered()
        with mock.patch.object(web_commands, "log") as noted:
            fields: dict[str, Any] = {"accountjid": "tybalt@localhost", "password": "swordfish"}
            await self.run_command(juliet, "account create", **fields)
        noted.info.assert_called_once_with(
            "web-command", command="account create", by="juliet@localhost", host="localhost"
        )

    async def test_unknown(self) -> None:
        """There is no page for a command that there is not, nor for one of several steps an outcome."""
        juliet = await self.entered()
        await self.page(juliet, "/localhost/commands/nothing", 404)

        async def ask(call: Call, given: None) -> Step:
            return Step(Arguments, ask)

        self.addCleanup(commands.add(self.host, Command("x#ask", "ask much", "Ask", ask)))
        await self.run_command(juliet, "ask much", status=501)

    async def test_no_storage(self) -> None:
        """While the storage does not answer, nothing is half done, and the page says so."""
        juliet = await self.entered()
        fields = {"accountjid": "tybalt@localhost", "password": "prince of cats"}
        path = "/admin/localhost/commands/account-create"
        key = key_of(await juliet.get(path))
        failing = mock.patch.object(
            type(self.host.accounts), "create", lambda *given: fail(StorageError("away"))
        )
        with failing:
            self.assertEqual((await juliet.post(path, {"key": key, **fields})).status, 503)
        self.assertFalse(await self.host.accounts.exists("tybalt"))
