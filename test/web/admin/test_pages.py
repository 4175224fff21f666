"""What the pages for administrators show."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from twisted.internet.defer import fail

from palaver import metrics
from palaver.auth.accounts import NotSupported
from palaver.interfaces import IRooms
from palaver.test.web.admin.case import AdminCase
from palaver.waiting import settled
from palaver.web.admin.frame import PAGE_ROWS

EVIL = "<script>alert(1)</script>\"'&"


class OverviewTests(AdminCase):
    """What the server does now."""

    async def test_figures(self) -> None:
        """Sessions, rooms, rates, storage and queues are there, for each host and for all."""
        await self.log_in("romeo@localhost/orchard")
        text = await self.page(await self.entered(), "")
        for name in ("Sessions", "Rooms in use", "Stanzas received", "Commits", "not acknowledged"):
            self.assertIn(name, text)
        self.assertIn("<dt>Sessions</dt><dd>1</dd>", text)
        self.assertIn('<a href="/admin/verona.example/accounts">verona.example</a>', text)

    async def test_live(self) -> None:
        """The page says how often it is to be fetched again; a piece of it comes alone with the rest."""
        juliet = await self.entered()
        self.assertIn('data-live="5"', await self.page(juliet, ""))
        self.assertIn('data-live="5"', await self.page(juliet, "?live=1"))

    async def test_rates(self) -> None:
        """Rates are those of the last minute."""
        from twisted.internet.task import Clock

        from palaver.web.admin.figures import SPAN_S, Figures

        clock = Clock()
        figures = Figures(clock)
        first = {rate.name: rate for rate in figures.rates()}
        self.assertIsNone(first["Logins"].each_second)
        clock.advance(10)
        metrics.logins["PLAIN"] += 20
        rates = {rate.name: rate for rate in figures.rates()}
        self.assertEqual(rates["Logins"].each_second, 2)
        self.assertEqual(rates["Logins"].total, first["Logins"].total + 20)
        for _ in range(100):
            clock.advance(SPAN_S / 20)
            figures.rates()
        self.assertEqual({rate.name: rate for rate in figures.rates()}["Logins"].each_second, 0)
        self.assertLess(len(figures._samples), 40)


class AccountTests(AdminCase):
    """Accounts."""

    async def test_list(self) -> None:
        """Accounts are listed by name, found by a part of it, and in pages."""
        names = [f"capulet{number:03}" for number in range(PAGE_ROWS + 3)]
        for name in names:
            await self.host.accounts.create(name, "peace of thee")
        juliet = await self.entered()
        first = await self.page(juliet, "/localhost/accounts?find=CAPULET")
        self.assertIn(names[0], first)
        self.assertNotIn("mercutio", first)
        self.assertNotIn(names[-1], first)
        more = re.search(r'href="/admin(/[^"]*)" rel="next"', first)
        assert more is not None
        second = await self.page(juliet, more[1].replace("&amp;", "&"))
        self.assertIn(names[-1], second)
        self.assertNotIn(names[0], second)
        self.assertNotIn('rel="next"', second)
        self.assertIn("no such account", await self.page(juliet, "/localhost/accounts?find=montague"))

    async def test_account(self) -> None:
        """An account's page has its state, its sessions, and what can be done with it."""
        await self.log_in("romeo@localhost/orchard")
        juliet = await self.entered()
        text = await self.page(juliet, "/localhost/accounts/romeo")
        for part in ("romeo@localhost/orchard", "127.0.0.1", "online", "may log in", "Lock out", "Delete"):
            self.assertIn(part, text)
        await self.host.accounts.set_disabled("nurse", True)
        self.assertIn("Let in again", await self.page(juliet, "/localhost/accounts/nurse"))
        self.assertIn("locked out", await self.page(juliet, "/localhost/accounts"))

    async def test_nobody(self) -> None:
        """What is no account has no page."""
        juliet = await self.entered()
        for name in ("nobody", "a%40b", "%ff", "a%20b", "romeo/x", "x" * 2000):
            await self.page(juliet, f"/localhost/accounts/{name}", 404)

    async def test_foreign(self) -> None:
        """Accounts that another program has and does not list are found by their whole name."""
        self.patch(self.host.accounts, "list", lambda: fail(NotSupported("the application knows them")))
        juliet = await self.entered()
        text = await self.page(juliet, "/localhost/accounts?find=romeo")
        self.assertIn("another program", text)
        self.assertIn('href="/admin/localhost/accounts/romeo"', text)


class SessionTests(AdminCase):
    """Sessions."""

    async def test_sessions(self) -> None:
        """Sessions are listed, found, looked at and ended."""
        romeo = await self.log_in("romeo@localhost/orchard")
        await self.log_in("nurse@localhost/hall")
        romeo.send("<presence><show>away</show><status>&lt;sad&gt;</status><priority>3</priority></presence>")
        await romeo.next()
        juliet = await self.entered()
        text = await self.page(juliet, "/localhost/sessions?find=ORCH")
        self.assertIn("romeo@localhost/orchard", text)
        self.assertNotIn("nurse@localhost", text)
        text = await self.page(juliet, "/localhost/sessions/romeo/orchard")
        for part in ("away", "&lt;sad&gt;", "<dd>3</dd>", "127.0.0.1", "End this session"):
            self.assertIn(part, text)
        text = await self.run_command(juliet, "account kick", accountjids="romeo@localhost/orchard")
        self.assertIn("1 session has been ended", text)
        self.assertIn("reset", (await romeo.next()).toXml())
        await self.page(juliet, "/localhost/sessions/romeo/orchard", 404)

    async def test_managed(self) -> None:
        """What stream management holds for a client is told."""
        romeo = await self.log_in("romeo@localhost/orchard")
        romeo.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        await romeo.next()
        juliet = await self.entered()
        self.assertIn("can be resumed", await self.page(juliet, "/localhost/sessions/romeo/orchard"))
        romeo.drop()
        await romeo.closed()
        self.assertIn("waits to be resumed", await self.page(juliet, "/localhost/sessions"))

    async def test_odd_resource(self) -> None:
        """A resource with slashes, spaces and HTML has a page, and is shown as text."""
        await self.log_in("romeo@localhost/a/b %2f&lt;b&gt;?#&amp;é")
        juliet = await self.entered()
        text = await self.page(juliet, "/localhost/sessions")
        self.assertNotIn("<b>", text)
        found = re.search(r'href="/admin(/localhost/sessions/romeo/[^"]+)"', text)
        assert found is not None
        self.assertIn("&lt;b&gt;", await self.page(juliet, found[1]))


class RoomTests(AdminCase):
    """Rooms."""

    async def _set_up(self) -> None:
        await super()._set_up()
        self.rooms: Any = self.host.query(IRooms)

    async def test_rooms(self) -> None:
        """Rooms are listed in pages, hidden ones too, found and looked at."""
        for number in range(PAGE_ROWS + 2):
            await self.rooms.create(
                f"hall{number:03}", "romeo@localhost", {"persistentroom": True, "publicroom": False}
            )
        await self.rooms.create("passing", "romeo@localhost", {"roomname": EVIL})
        juliet = await self.entered()
        first = await self.page(juliet, "/localhost/rooms")
        self.assertIn("hall000@", first)
        self.assertIn("hidden, stays", first)
        self.assertNotIn("passing@", first)
        more = re.search(r'href="/admin(/[^"]*)" rel="next"', first)
        assert more is not None
        second = await self.page(juliet, more[1].replace("&amp;", "&"))
        self.assertIn("hall051@", second)
        self.assertIn("passing@", second)
        self.assertIn("goes with the last one", second)
        self.assertNotIn("<script>", second)
        self.assertIn("no such room", await self.page(juliet, "/localhost/rooms?find=cellar"))
        found = await self.page(juliet, "/localhost/rooms/passing")
        self.assertNotIn("<script>", found)
        self.assertIn("&lt;script&gt;", found)
        for name in ("nowhere", "a%20b", "%ff"):
            await self.page(juliet, f"/localhost/rooms/{name}", 404)

    async def test_inside(self) -> None:
        """A room's page says who is in it; its password is not shown."""
        room = await self.rooms.create(
            "hall", "juliet@localhost", {"passwordprotectedroom": True, "roomsecret": "swordfish"}
        )
        romeo = await self.log_in("romeo@localhost/orchard")
        romeo.send(
            f"<presence to='{room.jid.bare}/&lt;i&gt;'>"
            "<x xmlns='http://jabber.org/protocol/muc'><password>swordfish</password></x></presence>"
        )
        while (await romeo.next()).name != "message":
            pass
        juliet = await self.entered()
        text = await self.page(juliet, "/localhost/rooms/hall")
        for part in ("romeo@localhost/orchard", "&lt;i&gt;", "juliet@localhost", "participant"):
            self.assertIn(part, text)
        self.assertNotIn("swordfish", text)
        self.assertNotIn("<i>", text)

    async def test_no_rooms(self) -> None:
        """A host without Multi-User Chat says so."""
        self.patch(self.host, "query", lambda interface: None)
        await self.page(await self.entered(), "/localhost/rooms", 501)


class LightTests(AdminCase):
    """Rooms of MUC Light."""

    modules: ClassVar[dict[str, Any]] = {"mod_muc_light": {}}

    async def test_rooms(self) -> None:
        """Rooms are made, listed, looked at, and destroyed once somebody is sure."""
        juliet = await self.entered()
        self.assertIn("/admin/localhost/light", await self.page(juliet, "/localhost/rooms"))
        fields: dict[str, Any] = {
            "room": "garden",
            "owner": "romeo@localhost",
            "title": EVIL,
            "members": "nurse@localhost",
        }
        await self.run_command(juliet, "light create", **fields)
        text = await self.page(juliet, "/localhost/light?find=gard")
        self.assertIn("garden@muclight.localhost", text)
        self.assertNotIn("<script>", text)
        self.assertIn("no such room", await self.page(juliet, "/localhost/light?find=cellar"))
        text = await self.page(juliet, "/localhost/light/garden")
        self.assertIn("nurse@localhost", text)
        self.assertNotIn("<script>", text)
        await self.run_command(juliet, "light destroy", status=400, room="garden")
        await self.run_command(juliet, "light destroy", room="garden", sure="yes")
        await self.page(juliet, "/localhost/light/garden", 404)

    async def test_off(self) -> None:
        """A host without MUC Light says so."""
        await settled(self.host.modules["mod_muc_light"].detach())
        await self.page(await self.entered(), "/localhost/light/x", 501)
        self.assertNotIn("MUC Light", await self.page(await self.entered(), "/localhost/rooms"))
        await settled(self.host.modules["mod_muc_light"].attach())


class InvitationTests(AdminCase):
    """Invitations."""

    async def test_invitations(self) -> None:
        """Invitations are listed, made and revoked; the link is shown this once."""
        juliet = await self.entered()
        self.assertIn("There is none", await self.page(juliet, "/localhost/invitations"))
        made = await self.run_command(juliet, "invite create", username="tybalt")
        link = re.search(r"preauth=([\w-]+)", made)
        assert link is not None
        self.assertIn(f'href="http://localhost:{self.http_port}/invite/', made)
        text = await self.page(juliet, "/localhost/invitations")
        self.assertIn("tybalt", text)
        self.assertNotIn(link[1], text)
        key = re.search(r"<code>([0-9a-f]{12})</code>", text)
        assert key is not None
        await self.run_command(juliet, "invite delete", invite=key[1])
        self.assertIn("There is none", await self.page(juliet, "/localhost/invitations"))

    async def test_came(self) -> None:
        """Who came by whom is told."""
        token = re.search(r"preauth=([\w-]+)", str((await self.command("invite create")).result))
        assert token is not None
        fields = {"username": "tybalt", "password": "prince of cats", "again": "prince of cats"}
        done = await self.visitor().fill_in(f"/register/{token[1]}", **fields)
        self.assertEqual(done.status, 201)
        text = await self.page(await self.entered(), "/localhost/invitations")
        self.assertIn("tybalt@localhost", text)
        self.assertIn("the operator", text)


class ModuleTests(AdminCase):
    """What the host is made of."""

    async def test_modules(self) -> None:
        """Modules and domains are listed, those that sleep too."""
        await self.command("domain add", domain="mantua.example")
        juliet = await self.entered()
        text = await self.page(juliet, "/localhost/modules")
        for part in ("mod_admin_web", "Administration in a browser", "mantua.example", "sleeps"):
            self.assertIn(part, text)
        text = await self.page(juliet, "/verona.example/modules")
        self.assertIn("of the configuration", text)

    async def test_sleeping(self) -> None:
        """A domain that sleeps wakes when whoever administers it all looks at it, unless it is disabled."""
        for domain in ("mantua.example", "padua.example"):
            await self.command("domain add", domain=domain)
        await self.command("domain disable", domain="padua.example")
        juliet, romeo = await self.entered(), await self.entered("romeo")
        await self.page(romeo, "/mantua.example/accounts", 404)
        self.assertNotIn("mantua.example", self.palaver.hosts)
        await self.page(juliet, "/mantua.example/accounts")
        self.assertIn("mantua.example", self.palaver.hosts)
        self.assertNotIn("sleeps", await self.page(juliet, "/localhost/modules"))
        await self.page(juliet, "/padua.example/accounts", 404)
        await self.page(juliet, "/nowhere.example/accounts", 404)
