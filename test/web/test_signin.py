"""Logging in to pages, over real sockets."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from unittest import mock

from twisted.internet.defer import fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from palaver.errors import StorageError
from palaver.jid import JID, parse
from palaver.routing.host import Host
from palaver.routing.lifecycle import delete_account, set_password
from palaver.test.served import PASSWORD
from palaver.test.web.bosh import Answer
from palaver.test.web.pages.case import PageCase
from palaver.test.web.pages.visitor import Visitor, key_of
from palaver.web import logins, signin
from palaver.web.interfaces import IWeb
from palaver.web.logins import Logins
from palaver.web.pages.html import document, show, tag
from palaver.web.pages.respond import given, respond
from palaver.web.signin import SignIn

AWAY = {"X_Forwarded_For": "198.51.100.7"}
BY_HTTPS = {**AWAY, "X_Forwarded_Proto": "https"}


class Inner(Resource):
    """A page for those who are logged in, which greets them."""

    isLeaf = True

    def __init__(self, signin: SignIn) -> None:
        super().__init__()
        self.signin = signin

    def render(self, request: Any) -> int:
        """Answer."""
        return respond(request, self._answer(request))

    async def _answer(self, request: Any) -> bytes:
        posted = request.method == b"POST"
        if posted and request.postpath == [b"login"]:
            return await self.signin.enter(request)
        login = await self.signin.who(request, touch=request.postpath != [b"live"])
        if login is None:
            return self.signin.ask(request)
        if posted and not self.signin.is_ours(request, login):
            return self.signin.forged(request)
        if posted and given(request, "do") == "leave":
            return self.signin.leave(request)
        if posted:
            login = await self.signin.renewed(request, login)
        return show(
            request, document("In", tag("p", f"Hello {login.account.bare}"), self.signin.hidden(login))
        )


class SignInCase(PageCase):
    """Serves such a page."""

    may: Any = None

    async def _set_up(self) -> None:
        await super()._set_up()
        self.host = self.palaver.hosts["localhost"]
        self.web: Any = self.host.query(IWeb)

        async def may(found: JID) -> bool:
            return found.local != "nurse"

        def host_of(domain: str) -> Any:
            found = self.host.router.find(domain)
            return found if isinstance(found, Host) else None

        self.signin = SignIn(self.host, self.web, "inner", "/inner", "Come in", may, host_of)
        self.addCleanup(self.web.mount("localhost", "/inner", lambda: Inner(self.signin)))

    async def enter(
        self, visitor: Visitor, name: str = "romeo", password: str = PASSWORD, **headers: str
    ) -> Answer:
        """Send the form; gives what is answered."""
        key = key_of(await visitor.get("/inner", **headers))
        fields = {"key": key, "username": name, "password": password}
        return await visitor.post("/inner/login", fields, **headers)

    async def entered(self, **headers: str) -> Visitor:
        """Give somebody who is logged in."""
        visitor = self.visitor()
        answer = await self.enter(visitor, **headers)
        self.assertEqual(answer.status, 303, answer.text)
        return visitor

    async def assert_out(self, visitor: Visitor, **headers: str) -> None:
        """Somebody is asked for a password."""
        page = await visitor.get("/inner", **headers)
        self.assertEqual(page.status, 401)
        self.assertIn('type="password"', page.text)


class WayInTests(SignInCase):
    """The form."""

    async def test_in(self) -> None:
        """Whoever has a name and its password comes in, by the name or the whole address."""
        for name in ("romeo", "romeo@localhost", " ROMEO ", "romeo@LOCALHOST"):
            visitor = self.visitor()
            await self.assert_out(visitor)
            answer = await self.enter(visitor, name)
            self.assertEqual(answer.status, 303, name)
            self.assertIn("location: /inner\r\n", answer.head.lower())
            page = await visitor.get("/inner")
            self.assertEqual(page.status, 200)
            self.assertIn("Hello romeo@localhost", page.text)

    async def test_other_host(self) -> None:
        """An account of another host comes in where the page lets those in."""
        await self.create_accounts(["escalus@verona.example"])
        visitor = self.visitor()
        self.assertEqual((await self.enter(visitor, "escalus@verona.example")).status, 303)
        self.assertIn("Hello escalus@verona.example", (await visitor.get("/inner")).text)
        self.assertEqual((await self.enter(self.visitor(), "escalus")).status, 403)

    async def test_cookie(self) -> None:
        """Scripts cannot read the cookie, other sites cannot send it, and it stays below the page."""
        visitor = await self.entered()
        flags = visitor.flags["inner"]
        for flag in ("httponly", "samesite=strict", "path=/inner"):
            self.assertIn(flag, flags)
        self.assertNotIn("secure", flags)
        self.assertNotIn("max-age", flags)

    async def test_https(self) -> None:
        """From elsewhere a password is taken by HTTPS only, and the cookie never goes another way."""
        page = await self.visitor().get("/inner", **AWAY)
        self.assertEqual(page.status, 403)
        self.assertNotIn("password", page.text.replace("Passwords", ""))
        fields = {"username": "romeo", "password": PASSWORD}
        self.assertEqual((await self.visitor().post("/inner/login", fields, **AWAY)).status, 403)
        visitor = await self.entered(**BY_HTTPS)
        self.assertIn("secure", visitor.flags["__Secure-inner"])
        self.assertEqual((await visitor.get("/inner", **BY_HTTPS)).status, 200)
        await self.assert_out(visitor)

    async def test_wrong(self) -> None:
        """Wrong passwords, unknown names, what is no name, and those who may not, all get the same answer."""
        answers = set()
        for name, password in (
            ("romeo", "wrong"),
            ("romeo", ""),
            ("romeo", "\x00"),
            ("nobody", PASSWORD),
            ("nurse", PASSWORD),
            ("romeo@elsewhere.example", PASSWORD),
            ("romeo@localhost/orchard", PASSWORD),
            ("a b@c@d", PASSWORD),
            ("", ""),
            ("x" * 5000, PASSWORD),
        ):
            answer = await self.enter(self.visitor(), name, password)
            self.assertEqual(answer.status, 403, name)
            self.assertIn(signin.WRONG, answer.text)
            answers.add(answer.text.count("<p"))
        self.assertEqual(len(answers), 1)

    async def test_locked_out(self) -> None:
        """An account that is locked out does not come in."""
        await self.host.accounts.set_disabled("romeo", True)
        self.assertEqual((await self.enter(self.visitor())).status, 403)

    async def test_script(self) -> None:
        """A name that is HTML is shown as text."""
        answer = await self.enter(self.visitor(), '"><script>alert(1)</script>')
        self.assertNotIn("<script", answer.text)
        self.assertIn("&lt;script&gt;", answer.text)

    async def test_forms_of_others(self) -> None:
        """A form without our key, with somebody else's, or from another site lets nobody in."""
        visitor = self.visitor()
        key = key_of(await visitor.get("/inner"))
        others = key_of(await self.visitor().get("/inner"))
        fields = {"username": "romeo", "password": PASSWORD}
        for wrong in ("", others, "é", "0" * 64):
            self.assertEqual((await visitor.post("/inner/login", {**fields, "key": wrong})).status, 403)
        answer = await visitor.post("/inner/login", {**fields, "key": key}, Sec_Fetch_Site="cross-site")
        self.assertEqual(answer.status, 403)
        await self.assert_out(visitor)

    async def test_guesses(self) -> None:
        """Whoever tries one password after the other has to wait, with the right one too; others need not."""
        statuses = [
            (await self.enter(self.visitor(), password=f"guess{number}")).status
            for number in range(signin.TRIES)
        ]
        self.assertEqual(set(statuses), {403})
        late = await self.enter(self.visitor())
        self.assertEqual(late.status, HTTPStatus.TOO_MANY_REQUESTS)
        self.assertIn("retry-after", late.head.lower())
        await self.entered(**BY_HTTPS)

    async def test_no_storage(self) -> None:
        """While the storage does not answer nobody comes in, and those who are in are told to wait."""
        visitor = await self.entered()
        failing = fail(StorageError("away"))
        with mock.patch.object(type(self.host.accounts), "credentials", lambda *given: failing):
            self.assertEqual((await visitor.get("/inner")).status, 503)
        self.assertEqual((await visitor.get("/inner")).status, 200)


class StayTests(SignInCase):
    """What a login is good for, and for how long."""

    async def test_posts(self) -> None:
        """Only a form that this login was shown is taken."""
        visitor, other = await self.entered(), await self.entered()
        key, others = key_of(await visitor.get("/inner")), key_of(await other.get("/inner"))
        for wrong in ("", others, "é"):
            answer = await visitor.post("/inner", {"do": "leave", "key": wrong})
            self.assertEqual(answer.status, 403)
        answer = await visitor.post("/inner", {"do": "leave", "key": key}, Sec_Fetch_Site="same-site")
        self.assertEqual(answer.status, 403)
        self.assertEqual((await visitor.get("/inner")).status, 200)

    async def test_out(self) -> None:
        """Who logs out is out, with the old cookie too."""
        visitor = await self.entered()
        token = visitor.cookies["inner"]
        key = key_of(await visitor.get("/inner"))
        self.assertEqual((await visitor.post("/inner", {"do": "leave", "key": key})).status, 303)
        self.assertEqual(visitor.cookies["inner"], "")
        visitor.cookies["inner"] = token
        await self.assert_out(visitor)

    async def test_fixed(self) -> None:
        """A cookie that somebody has put into a browser is no login, and becomes none."""
        visitor = self.visitor()
        for planted in ("x" * 32, "\xff", ""):
            visitor.cookies["inner"] = planted
            await self.assert_out(visitor)
        visitor.cookies["inner"] = "x" * 32
        await self.enter(visitor)
        self.assertNotEqual(visitor.cookies["inner"], "x" * 32)
        # Logging in once more makes the token before worthless.
        old = visitor.cookies["inner"]
        fields = {"username": "juliet", "password": PASSWORD}
        key = key_of(await self._asked(visitor))
        await visitor.post("/inner/login", {**fields, "key": key})
        thief = self.visitor()
        thief.cookies["inner"] = old
        await self.assert_out(thief)

    async def _asked(self, visitor: Visitor) -> Answer:
        """Give the form as somebody sees it who comes with a login too."""
        page = await visitor.post("/inner/login", {"username": "", "password": ""})
        self.assertEqual(page.status, 403)
        return page

    async def test_other_page(self) -> None:
        """A login to one page is none to another."""
        visitor = await self.entered()
        other = SignIn(self.host, self.web, "other", "/other", "Come in")
        self.addCleanup(self.web.mount("localhost", "/other", lambda: Inner(other)))
        visitor.cookies["other"] = visitor.cookies["inner"]
        self.assertEqual((await visitor.get("/other")).status, 401)

    async def test_idle(self) -> None:
        """A login ends when nobody does anything, though the page refreshes itself."""
        visitor = await self.entered()
        clock = Clock()
        clock.advance(self.host.clock.seconds())
        self.web.shared("logins", lambda: None)._clock = clock
        clock.advance(signin.IDLE_S - 1)
        self.assertEqual((await visitor.get("/inner/live")).status, 200)
        self.assertEqual((await visitor.get("/inner")).status, 200)
        clock.advance(signin.IDLE_S - 1)
        self.assertEqual((await visitor.get("/inner/live")).status, 200)
        clock.advance(2)
        self.assertEqual((await visitor.get("/inner/live")).status, 401)
        await self.assert_out(visitor)

    async def test_life(self) -> None:
        """A login ends after a day's work, however busy it is."""
        visitor = await self.entered()
        clock = Clock()
        clock.advance(self.host.clock.seconds())
        self.web.shared("logins", lambda: None)._clock = clock
        for _ in range(int(signin.LIFE_S / 1000) - 1):
            clock.advance(1000)
            self.assertEqual((await visitor.get("/inner")).status, 200)
        clock.advance(1300)
        await self.assert_out(visitor)

    async def test_password(self) -> None:
        """Another password ends the logins of the account but the one that goes on with it."""
        visitor, other = await self.entered(), await self.entered()
        key = key_of(await visitor.get("/inner"))
        with mock.patch.object(SignIn, "renewed", _changing(self.host, SignIn.renewed)):
            page = await visitor.post("/inner", {"key": key})
        self.assertEqual(page.status, 200)
        self.assertEqual((await visitor.get("/inner")).status, 200)
        await self.assert_out(other)

    async def test_account_gone(self) -> None:
        """Who is locked out, deleted or may not be here any more is out at the next request."""
        visitor = await self.entered()
        await self.host.accounts.set_disabled("romeo", True)
        await self.assert_out(visitor)
        await self.host.accounts.set_disabled("romeo", False)
        await self.assert_out(visitor)
        visitor = await self.entered()
        await delete_account(self.host, "romeo")
        await self.create_accounts(["romeo@localhost"])
        await self.assert_out(visitor)


def _changing(host: Any, renewed: Any) -> Any:
    async def run(self: SignIn, request: Any, login: Any) -> Any:
        await set_password(host, "romeo", "another")
        return await renewed(self, request, login)

    return run


class LoginsTests(SynchronousTestCase):
    """The table of logins."""

    def test_bounds(self) -> None:
        """One account has so many logins and all together so many; the oldest goes."""
        table = Logins(Clock())
        first, _ = table.add("page", parse("romeo@localhost"), {})
        for _ in range(logins.MAX_LOGINS_EACH):
            last, _ = table.add("page", parse("romeo@localhost"), {})
        self.assertEqual(len(table), logins.MAX_LOGINS_EACH)
        self.assertIsNone(table.get("page", first, 1, 1))
        self.assertIsNotNone(table.get("page", last, 1, 1))
        with mock.patch.object(logins, "MAX_LOGINS", logins.MAX_LOGINS_EACH):
            table.add("page", parse("juliet@localhost"), {})
        self.assertEqual(len(table), logins.MAX_LOGINS_EACH)
