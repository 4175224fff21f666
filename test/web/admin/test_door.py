"""Who comes in to the pages for administrators, who sees what, and what no form can be made to do."""

from __future__ import annotations

import re
from typing import Any, ClassVar
from unittest import mock

from twisted.internet.defer import fail

from palaver.errors import StorageError
from palaver.test.served import PASSWORD
from palaver.test.web.admin.case import JULIET, ROMEO, AdminCase
from palaver.test.web.pages.visitor import key_of
from palaver.waiting import settled
from palaver.web import signin

LISTS = ("accounts", "sessions", "rooms", "invitations", "modules", "commands")


class DoorTests(AdminCase):
    """The way in and out."""

    async def test_strangers(self) -> None:
        """Whoever is not logged in gets the form for it at every address, and nothing else."""
        for path in ("", "/", "/localhost/accounts", "/localhost/sessions/romeo/x", "/nowhere", "/login"):
            text = await self.page(self.visitor(), path, 401)
            self.assertIn('type="password"', text)
            self.assertNotIn("romeo", text)
        answer = await self.visitor().post("/admin/localhost/commands/account-delete", {"sure": "yes"})
        self.assertEqual(answer.status, 401)

    async def test_no_administrators(self) -> None:
        """An account that administers nothing does not come in, however right its password is."""
        visitor = self.visitor()
        key = key_of(await visitor.get("/admin"))
        fields = {"key": key, "username": "nurse", "password": PASSWORD}
        answer = await visitor.post("/admin/login", fields)
        self.assertEqual(answer.status, 403)
        self.assertIn(signin.WRONG, answer.text)
        await self.page(visitor, "", 401)

    async def test_added_administrator(self) -> None:
        """Who was added as an administrator comes in, and is out as soon as that is taken back."""
        await self.command("admins edit", adminjids=["nurse@localhost"])
        visitor = await self.entered("nurse")
        await self.page(visitor, "/localhost/accounts")
        await self.command("admins edit", adminjids=[])
        await self.page(visitor, "/localhost/accounts", 401)

    async def test_out(self) -> None:
        """Who logs out is out."""
        visitor = await self.entered()
        key = key_of(await visitor.get("/admin"))
        answer = await visitor.post("/admin/logout", {"key": key})
        self.assertEqual(answer.status, 303)
        await self.page(visitor, "", 401)

    async def test_guesses(self) -> None:
        """One password after the other ends in waiting."""
        statuses = []
        for number in range(signin.TRIES + 1):
            visitor = self.visitor()
            key = key_of(await visitor.get("/admin"))
            fields = {"key": key, "username": "juliet", "password": f"guess{number}"}
            statuses.append((await visitor.post("/admin/login", fields)).status)
        self.assertEqual(statuses[-1], 429)

    async def test_headers(self) -> None:
        """A page allows nothing that stands in it to run, nobody to frame it, and no copy to be kept."""
        visitor = await self.entered()
        for path in ("/admin", "/admin/localhost/accounts", "/admin/nowhere"):
            head = (await visitor.get(path)).head.lower()
            policy = re.search(r"content-security-policy: (.*)", head)
            assert policy is not None
            self.assertIn("script-src 'self'; style-src 'self';", policy[1])
            self.assertNotIn("unsafe", policy[1])
            self.assertIn("frame-ancestors 'none'", policy[1])
            self.assertIn("cache-control: no-store", head)
        for name in ("", *(f"/localhost/{each}" for each in LISTS)):
            text = await self.page(visitor, name)
            self.assertNotIn("<style", text)
            self.assertNotRegex(text, r"<script(?! src=)|\son\w+=|style=")

    async def test_files(self) -> None:
        """Style and script are no secrets, and are kept by browsers."""
        for name, kind in (("style.css", "text/css"), ("live.js", "text/javascript")):
            answer = await self.visitor().get(f"/admin/{name}")
            self.assertEqual(answer.status, 200)
            self.assertIn(f"content-type: {kind}", answer.head.lower())
            self.assertIn("max-age", answer.head)

    async def test_methods(self) -> None:
        """Other methods than those of browsers are refused; a question for the head alone is answered."""
        visitor = await self.entered()
        self.assertEqual((await visitor.send("DELETE", "/admin")).status, 405)
        head = await visitor.send("HEAD", "/admin")
        self.assertEqual((head.status, head.text), (200, ""))

    async def test_no_storage(self) -> None:
        """While the storage does not answer, the page says so."""
        visitor = await self.entered()
        accounts = type(self.host.accounts)
        with mock.patch.object(accounts, "list", lambda *given: fail(StorageError("away"))):
            self.assertIn("storage", await self.page(visitor, "/localhost/accounts", 503))
        await self.page(visitor, "/localhost/accounts")

    async def test_odd_addresses(self) -> None:
        """What is no page's address shows none, however odd it is; a host's own shows its accounts."""
        visitor = await self.entered()
        for path in (
            "/%00",
            "/..",
            "/../..",
            "/localhost/accounts/%00",
            "/localhost/accounts/../sessions",
            "/localhost/commands/%2e%2e",
            "/localhost/sessions/romeo",
            "/localhost/sessions/romeo/" + "x" * 3000,
            "/localhost/rooms/%e2%80%ae",
            "/" + "a/" * 40,
            "/style.css/x",
            "/xn--localhost/accounts",
        ):
            self.assertEqual((await visitor.get(f"/admin{path}")).status, 404, path)
        self.assertIn("New account", await self.page(visitor, "/localhost"))
        for query in ("?find=%ff", "?after=%00&find=%00", "?find=a&find=b", "?find=" + "x" * 5000):
            for name in ("accounts", "sessions", "rooms"):
                await self.page(visitor, f"/localhost/{name}{query}")

    async def test_start_page(self) -> None:
        """The start page leads there, for those who look from the server's own machine."""
        self.assertIn('href="/admin"', (await self.visitor().get("/")).text)
        away = await self.visitor().get("/", X_Forwarded_For="198.51.100.7")
        self.assertNotIn('href="/admin"', away.text)

    async def test_large(self) -> None:
        """A form that is far too large is refused before it is read."""
        visitor = await self.entered()
        answer = await visitor.post("/admin/logout", {"key": "x" * 100_000})
        self.assertEqual(answer.status, 413)
        await self.page(visitor, "")


class ForgeryTests(AdminCase):
    """Forms that no page of ours has shown."""

    DELETE = "/admin/localhost/commands/account-delete"

    async def test_key(self) -> None:
        """A form without the key of the login, or with somebody else's, changes nothing."""
        visitor, other = await self.entered(), await self.entered("romeo")
        others = key_of(await other.get("/admin"))
        before = key_of(await self.visitor().get("/admin"))
        for key in ("", "x", "é", others, before):
            fields = {"accountjids": "nurse@localhost", "sure": "yes", "key": key}
            answer = await visitor.post(self.DELETE, fields)
            self.assertEqual(answer.status, 403, key)
        self.assertTrue(await self.host.accounts.exists("nurse"))

    async def test_site(self) -> None:
        """A form that another site sends changes nothing, though it has the key."""
        visitor = await self.entered()
        fields = {"accountjids": "nurse@localhost", "sure": "yes", "key": key_of(await visitor.get("/admin"))}
        for site in ("cross-site", "same-site"):
            self.assertEqual((await visitor.post(self.DELETE, fields, Sec_Fetch_Site=site)).status, 403)
        self.assertTrue(await self.host.accounts.exists("nurse"))

    async def test_reading(self) -> None:
        """An address alone changes nothing, whatever it says."""
        visitor = await self.entered()
        key = key_of(await visitor.get("/admin"))
        await self.page(
            visitor, f"/localhost/commands/account-delete?accountjids=nurse@localhost&sure=yes&key={key}"
        )
        self.assertTrue(await self.host.accounts.exists("nurse"))


class BoundsTests(AdminCase):
    """Who administers one host sees and does nothing elsewhere."""

    async def test_other_host(self) -> None:
        """No page and no command of another host, and nothing of the whole server."""
        await self.create_accounts(["escalus@verona.example"])
        romeo = await self.entered("romeo")
        for name in LISTS:
            await self.page(romeo, f"/localhost/{name}")
            text = await self.page(romeo, f"/verona.example/{name}", 404)
            self.assertNotIn("escalus", text)
        await self.page(romeo, "/verona.example/accounts/escalus", 404)
        key = key_of(await romeo.get("/admin"))
        fields = {"accountjids": "escalus@verona.example", "sure": "yes", "key": key}
        for host, status in (("verona.example", 404), ("localhost", 403)):
            answer = await romeo.post(f"/admin/{host}/commands/account-delete", fields)
            self.assertEqual(answer.status, status)
        self.assertTrue(await self.palaver.hosts["verona.example"].accounts.exists("escalus"))

    async def test_whole_server(self) -> None:
        """Figures, domains and commands of the whole server are for those who administer it."""
        romeo, juliet = await self.entered("romeo"), await self.entered()
        for path, text in (
            ("", "Storage"),
            ("", "verona.example"),
            ("/localhost/modules", "Domains of the server"),
            ("/localhost/commands", "domain-add"),
        ):
            self.assertNotIn(text, await self.page(romeo, path))
            self.assertIn(text, await self.page(juliet, path))
        await self.page(romeo, "/localhost/commands/domain-add", 404)
        key = key_of(await romeo.get("/admin"))
        answer = await romeo.post(
            "/admin/localhost/commands/domain-add", {"domain": "mantua.example", "key": key}
        )
        self.assertEqual(answer.status, 404)

    async def test_higher(self) -> None:
        """An account that administers more is not theirs to take over: neither password, end nor lock."""
        self.host.admins |= {"friar@localhost"}
        self.palaver.hosts["verona.example"].admins |= {"nurse@localhost"}
        romeo, juliet = await self.entered("romeo"), await self.entered()
        again: dict[str, Any] = {"password": PASSWORD, "password-verify": PASSWORD}
        for name, fields in (
            ("account passwd", {"accountjid": JULIET, "password": "mine now"}),
            ("account passwd", {"accountjid": "nurse@localhost", "password": "mine now"}),
            ("account delete", {"accountjids": JULIET, "sure": "yes"}),
            ("account disable", {"accountjids": f"{ROMEO}\n{JULIET}"}),
            ("account enable", {"accountjids": JULIET}),
        ):
            page = await self.run_command(romeo, name, status=403, **fields)
            self.assertIn("administers more than you do", page)
        self.assertTrue(await self.host.accounts.check_password("juliet", PASSWORD))
        self.assertFalse((await self.host.accounts.credentials("romeo")).disabled)
        # Names that the configuration gives rights to, and that nobody has yet.
        self.host.server_admins |= {"prince@localhost"}
        await self.run_command(romeo, "account create", status=403, accountjid="prince@localhost", **again)
        await self.run_command(romeo, "invite create", status=403, username="prince")
        await self.run_command(romeo, "account create", accountjid="friar@localhost", **again)
        await self.run_command(romeo, "account passwd", accountjid=ROMEO, password="a new one")
        await self.run_command(juliet, "account create", accountjid="prince@localhost", **again)
        await self.run_command(juliet, "account passwd", accountjid="nurse@localhost", password="a new one")

    async def test_elsewhere(self) -> None:
        """At the address of a host that is not theirs, they see their own."""
        host = self.palaver.hosts["verona.example"]
        self.assertNotIn(ROMEO, host.admins)
        romeo = self.visitor()
        page = await romeo.send("GET", "/admin", host="verona.example")
        body = f"username={ROMEO}&password={PASSWORD}&key={key_of(page)}".encode()
        kind = {"Content_Type": "application/x-www-form-urlencoded"}
        answer = await romeo.send("POST", "/admin/login", body, host="verona.example", **kind)
        self.assertEqual(answer.status, 303)
        answer = await romeo.send("GET", "/admin", host="verona.example")
        self.assertIn('href="/admin/localhost/accounts"', answer.text)
        answer = await romeo.send("GET", "/admin/verona.example/accounts", host="verona.example")
        self.assertEqual(answer.status, 404)


class PathTests(AdminCase):
    """Pages at another address."""

    modules: ClassVar[dict[str, Any]] = {"mod_admin_web": {"path": "/keep/inner"}}

    async def test_path(self) -> None:
        """Links, forms and the cookie are of the address that was configured; the usual one has nothing."""
        visitor = self.visitor()
        page = await visitor.get("/keep/inner")
        self.assertIn('action="/keep/inner/login"', page.text)
        fields = {"key": key_of(page), "username": "juliet", "password": PASSWORD}
        self.assertEqual((await visitor.post("/keep/inner/login", fields)).status, 303)
        self.assertIn("path=/keep/inner", visitor.flags["palaver-admin"])
        page = await visitor.get("/keep/inner/")
        self.assertEqual(page.status, 200)
        self.assertNotIn('"/admin', page.text)
        self.assertEqual((await visitor.get("/admin")).status, 404)

    async def test_off(self) -> None:
        """A module that is taken away takes its pages along."""
        module = self.host.modules["mod_admin_web"]
        self.assertEqual((await self.visitor().get("/keep/inner")).status, 401)
        await settled(module.detach())
        self.assertEqual((await self.visitor().get("/keep/inner")).status, 404)
        self.assertNotIn("/keep/inner", (await self.visitor().get("/")).text)
        await settled(module.attach())
