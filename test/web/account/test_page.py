"""Looking after an account in a browser, on real sockets."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet import reactor as _reactor
from twisted.internet.defer import fail
from twisted.internet.task import deferLater

from palaver.auth.accounts import NotSupported
from palaver.errors import StorageError
from palaver.interfaces import IRosters
from palaver.storage import Batch, Entry, ids
from palaver.test.served import PASSWORD
from palaver.test.web.account.case import PATH, AccountCase, location
from palaver.test.web.pages.visitor import key_of
from palaver.web.interfaces import IWeb, IWebPresence
from palaver.web.status.shown import Shown

reactor: Any = _reactor

NEW = "wherefore art"
POLL_S = 0.01
MANY = 250
FORMS = ("password", "sessions", "tokens", "presence", "export", "delete", "logout")


class LoginTests(AccountCase):
    """Who gets in."""

    async def test_stranger(self) -> None:
        """Whoever has not logged in sees a form and nothing else, whatever page he asks for."""
        for path in (PATH, f"{PATH}/", f"{PATH}/delete"):
            page = await self.visitor().get(path)
            self.assertEqual(page.status, 401)
            self.assertIn(f'action="{PATH}/login"', page.text)
            self.assertNotIn("Save a copy", page.text)

    async def test_login(self) -> None:
        """With the password somebody sees the page of the own account, by name or address."""
        for name in ("romeo", "ROMEO@localhost"):
            visitor = await self.enter(name)
            page = await visitor.get(PATH)
            self.assertEqual(page.status, 200)
            for said in ("romeo@localhost", "Password", "Your data", "On the web", "Delete the account"):
                self.assertIn(said, page.text)

    async def test_wrong_password(self) -> None:
        """With a wrong password, a wrong name or none nobody gets in, and all look the same."""
        said = set()
        for name, password in (("romeo", "guess"), ("nobody", PASSWORD), ("", ""), ("a b", "c")):
            answer = await self.try_to_enter(self.visitor(), name, password)
            self.assertEqual(answer.status, 403)
            said.add(answer.text.count("This name and password do not go together"))
        self.assertEqual(said, {1})

    async def test_other_host(self) -> None:
        """An account of another host of this server does not log in here."""
        await self.create_accounts(["mercutio@verona.example"])
        answer = await self.try_to_enter(self.visitor(), "mercutio@verona.example")
        self.assertEqual(answer.status, 403)

    async def test_guesses(self) -> None:
        """Whoever tries one password after the other is stopped, and the next visitor is served."""
        visitor = self.visitor()
        statuses = [(await self.try_to_enter(visitor, "romeo", f"g{n}")).status for n in range(21)]
        self.assertEqual((statuses[0], statuses[-1]), (403, 429))
        await self.assert_serves()

    async def test_cookie(self) -> None:
        """The cookie is for no script, no other site and no other page."""
        visitor = await self.enter()
        flags = visitor.flags["palaver-account"]
        for said in ("httponly", "samesite=strict", f"path={PATH}"):
            self.assertIn(said, flags)

    async def test_unencrypted(self) -> None:
        """From elsewhere without HTTPS nobody is asked for a password; with it the cookie is for HTTPS."""
        page = await self.visitor().get(PATH, X_Forwarded_For="198.51.100.7")
        self.assertEqual(page.status, 403)
        self.assertNotIn("<form", page.text)
        headers = {"X_Forwarded_For": "198.51.100.7", "X_Forwarded_Proto": "https"}
        visitor = await self.enter(**headers)
        self.assertIn("secure", visitor.flags["__Secure-palaver-account"])

    async def test_logout(self) -> None:
        """After logging out the cookie opens nothing, even if somebody has kept it."""
        visitor = await self.enter()
        kept = dict(visitor.cookies)
        answer = await self.do(visitor, "logout")
        self.assertEqual(location(answer), PATH)
        visitor.cookies = kept
        self.assertEqual((await visitor.get(PATH)).status, 401)

    async def test_policy(self) -> None:
        """The page runs no script, is kept by nobody, and cannot be framed."""
        page = await (await self.enter()).get(PATH)
        head = page.head.lower()
        for said in (
            "default-src 'none'",
            "frame-ancestors 'none'",
            "no-store",
            "referrer-policy: no-referrer",
        ):
            self.assertIn(said, head)
        self.assertNotIn("<script", page.text)
        self.assertNotIn("javascript:", page.text)

    async def test_start_page(self) -> None:
        """The start page leads here."""
        self.assertIn(f'href="{PATH}"', (await self.visitor().get("/")).text)


class ForgedTests(AccountCase):
    """Forms that are not ours."""

    async def test_not_logged_in(self) -> None:
        """Without a login no form does anything."""
        for name in FORMS:
            answer = await self.visitor().post(f"{PATH}/{name}", {"key": "0" * 36, "password": PASSWORD})
            self.assertEqual(answer.status, 401, name)

    async def test_without_the_key(self) -> None:
        """A form without the key, with that of somebody else, or from another site does nothing."""
        visitor, other = await self.enter(), await self.enter("juliet")
        key, others = key_of(await visitor.get(PATH)), key_of(await other.get(PATH))
        for name in FORMS:
            for fields in ({}, {"key": others}, {"key": ""}, {"key": "ü"}):
                self.assertEqual((await visitor.post(f"{PATH}/{name}", fields)).status, 403, name)
            crossing = await visitor.post(f"{PATH}/{name}", {"key": key}, Sec_Fetch_Site="cross-site")
            self.assertEqual(crossing.status, 403, name)
        self.assertEqual((await visitor.get(PATH)).status, 200)

    async def test_by_link(self) -> None:
        """Nothing is done by following a link."""
        visitor = await self.enter()
        for name in (*FORMS, "login"):
            wanted = 200 if name == "delete" else 404
            self.assertEqual((await visitor.get(f"{PATH}/{name}?password={PASSWORD}")).status, wanted, name)
        self.assertTrue(await self.host.accounts.exists("romeo"))

    async def test_elsewhere(self) -> None:
        """Other paths are nobody's, for strangers and for others."""
        visitor = await self.enter()
        for path in ("x", "delete/x", "delete/", "../admin", "%2e%2e/x", "%00", "%ff"):
            self.assertEqual((await visitor.get(f"{PATH}/{path}")).status, 404, path)
            self.assertEqual((await visitor.post(f"{PATH}/{path}", {})).status, 404, path)

    async def test_large(self) -> None:
        """A form that is too large is refused, and the next visitor is served."""
        visitor = await self.enter()
        self.assertEqual((await self.do(visitor, "password", old="x" * 100_000)).status, 413)
        await self.assert_serves()


class PasswordTests(AccountCase):
    """Changing it."""

    async def change(self, visitor: Any, old: str = PASSWORD, new: str = NEW, again: str = NEW) -> Any:
        """Fill in the form."""
        return await self.do(visitor, "password", old=old, new=new, again=again)

    async def test_changed(self) -> None:
        """A new password counts from now on; sessions and other logins end, this one goes on."""
        visitor, other = await self.enter(), await self.enter()
        wire = await self.log_in("romeo@localhost/orchard")
        answer = await self.change(visitor)
        await self.assert_done(visitor, answer, "You have a new password.")
        self.assertIn("reset", (await wire.next()).toXml())
        self.assertEqual((await other.get(PATH)).status, 401)
        self.assertFalse(await self.host.accounts.check_password("romeo", PASSWORD))
        await self.enter("romeo", NEW)

    async def test_refused(self) -> None:
        """What is wrong is said, and the password stays."""
        visitor = await self.enter()
        for fields, status, said in (
            ({"old": "guess"}, 403, "That is not your password."),
            ({"old": ""}, 403, "That is not your password."),
            ({"again": "other"}, 400, "The two new passwords differ."),
            ({"new": "", "again": ""}, 400, "The new password cannot be empty."),
            ({"new": "abc", "again": "abc"}, 400, "The password is too weak."),
            ({"new": "tab\there more", "again": "tab\there more"}, 400, "That cannot be a password"),
        ):
            self.assert_refused(await self.change(visitor, **fields), status, said)
        self.assertTrue(await self.host.accounts.check_password("romeo", PASSWORD))

    async def test_guesses(self) -> None:
        """Whoever finds the browser of somebody else does not find out the password."""
        visitor = await self.enter()
        answers = [await self.change(visitor, old=f"guess{number}") for number in range(11)]
        self.assertEqual([answer.status for answer in answers], [403] * 10 + [429])
        self.assert_refused(await self.change(visitor), 429, "Too many tries.")
        self.assertTrue(await self.host.accounts.check_password("romeo", PASSWORD))

    async def test_of_another_program(self) -> None:
        """Where another program keeps the accounts, the page says that it has to do that."""
        visitor = await self.enter()
        self.patch(self.host.accounts, "set_password", lambda *_: fail(NotSupported()))
        self.assert_refused(await self.change(visitor), 403, "This account is kept by another program")

    async def test_storage_fails(self) -> None:
        """When the storage fails, the page says so, and the password stays."""
        visitor = await self.enter()
        key = key_of(await visitor.get(PATH))
        patched = self.patch(self.host.accounts, "set_password", lambda *_: fail(StorageError("gone")))
        fields = {"key": key, "old": PASSWORD, "new": NEW, "again": NEW}
        self.assertEqual((await visitor.post(f"{PATH}/password", fields)).status, 503)
        patched.restore()
        self.assertTrue(await self.host.accounts.check_password("romeo", PASSWORD))


class DeviceTests(AccountCase):
    """Sessions and tokens."""

    async def test_sessions(self) -> None:
        """Sessions are listed with where they come from; one ends, the other goes on."""
        one, other = await self.log_in("romeo@localhost/one"), await self.log_in("romeo@localhost/other")
        one.send("<presence><show>dnd</show></presence>")
        await one.next()
        visitor = await self.enter()
        page = await visitor.get(PATH)
        for said in ("<td>one</td>", "<td>other</td>", "127.0.0.1, not encrypted", "dnd", "End all"):
            self.assertIn(said, page.text)
        await self.assert_done(visitor, await self.do(visitor, "sessions", session="one"), "Ended.")
        self.assertIn("reset", (await one.next()).toXml())
        self.assertEqual(list(self.host.users["romeo"].sessions), ["other"])
        await self.assert_done(visitor, await self.do(visitor, "sessions", session="one"), "Ended.")
        await self.assert_done(visitor, await self.do(visitor, "sessions"), "Ended.")
        self.assertNotIn("romeo", self.host.users)
        self.assertTrue(other.lost or (await other.next()) is not None)

    async def test_heard(self) -> None:
        """A session says when it was last heard of, and whether it waits for its connection."""
        await self.log_in("romeo@localhost/one")
        session = self.host.users["romeo"].sessions["one"]
        visitor = await self.enter()
        for seconds, said in ((5, "now"), (130, "2 min ago"), (7300, "2 h ago")):
            heard = self.host.clock.seconds() - seconds
            patched = self.patch(type(session.stream), "heard", heard)
            self.assertIn(f"<td>{said}</td>", (await visitor.get(PATH)).text)
            patched.restore()
        wire = await self.log_in("romeo@localhost/phone")
        wire.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        await wire.next()
        wire.drop()
        await wire.closed()
        while self.host.users["romeo"].sessions["phone"].stream.address:
            await deferLater(reactor, POLL_S)
        self.assertIn("<td>waits for its connection</td>", (await visitor.get(PATH)).text)

    async def test_others_sessions(self) -> None:
        """Nobody ends a session of somebody else, and markup in a resource is text."""
        await self.log_in("juliet@localhost/balcony")
        await self.log_in("romeo@localhost/&lt;b&gt;x")
        visitor = await self.enter()
        self.assertIn("&lt;b&gt;x", (await visitor.get(PATH)).text)
        await self.do(visitor, "sessions", session="balcony")
        self.assertIn("juliet", self.host.users)

    async def test_tokens(self) -> None:
        """A program with a token is listed by its name, and after a withdrawal it does not get in."""
        module: Any = self.host.modules["mod_fast_auth_token"]
        slot: list[Any] = ["nonce", "HT-SHA-256-NONE", int(self.host.clock.seconds()) + 86400, 0]
        rank, kind = slot[2], "fast-token"
        value = {"current": slot, "agent": "Balcony <1>, Phone"}
        await self.host.storage.write(Batch().put("localhost", "romeo", kind, "c1", value, rank=rank))
        await self.host.storage.write(Batch().put("localhost", "juliet", kind, "c2", value, rank=rank))
        visitor = await self.enter()
        self.assertIn("Balcony &lt;1&gt;, Phone", (await visitor.get(PATH)).text)
        fields = {"module": "mod_fast_auth_token", "token": "c2"}
        await self.assert_done(visitor, await self.do(visitor, "tokens", **fields), "Withdrawn.")
        self.assertEqual(len(await module.held("juliet")), 1)
        await self.do(visitor, "tokens", **{**fields, "token": "c1"})
        self.assertEqual(await module.held("romeo"), [])
        self.assertNotIn("Balcony", (await visitor.get(PATH)).text)
        wrong = await self.do(visitor, "tokens", module="mod_ping", token="c1")
        self.assert_refused(wrong, 404, "There are no such tokens.")


class PresenceTests(AccountCase):
    """The switch for webpresence."""

    async def test_switch(self) -> None:
        """Somebody switches it on and off, and sees how it is."""
        module: Any = self.host.query(IWebPresence)
        visitor = await self.enter()
        page = await visitor.get(PATH)
        self.assertIn('href="/status/romeo@localhost/html"', page.text)
        self.assertNotIn("checked", page.text)
        for fields, shown, count in (
            ({"presence": "1", "text": "1"}, Shown(True, True), 2),
            ({"presence": "1"}, Shown(True, False), 1),
            ({"text": "1"}, Shown(False, False), 0),
        ):
            await self.assert_done(visitor, await self.do(visitor, "presence", **fields), "Stored.")
            self.assertEqual(await module.shown("romeo"), shown)
            self.assertEqual((await visitor.get(PATH)).text.count("checked"), count)
        self.assertEqual(await module.shown("juliet"), Shown())


class ExportTests(AccountCase):
    """A copy of the data."""

    async def test_copy(self) -> None:
        """The copy has what is stored, comes as a file, and has nothing of others."""
        wire = await self.log_in("romeo@localhost/orchard")
        wire.send("<message to='juliet@localhost' type='chat' id='m'><body>Wherefore?</body></message>")
        wire.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        await wire.next()
        answer = await self.do(await self.enter(), "export")
        self.assertEqual(answer.status, 200)
        head = answer.head.lower()
        self.assertIn('content-disposition: attachment; filename="romeo@localhost.xml"', head)
        self.assertIn("default-src 'none'; sandbox", head)
        self.assertIn("<body>Wherefore?</body>", answer.text)
        self.assertIn("</server-data>", answer.text)
        self.assertNotIn("Wherefore", (await self.do(await self.enter("nurse"), "export")).text)

    async def test_large(self) -> None:
        """A copy that is larger than what a connection takes at once is whole."""
        batch, text = Batch(), "x" * 8000
        for number in range(MANY):
            payload = f"<message xmlns='jabber:client' id='m{number}'><body>{text}</body></message>".encode()
            batch.append(Entry("localhost", "romeo", "archive", ids.new_id(), payload))
        await self.host.storage.write(batch)
        answer = await self.do(await self.enter(), "export")
        self.assertEqual(answer.text.count("<body>"), MANY)
        self.assertIn("</server-data>", answer.text)
        self.assertEqual(self.exporting, set())

    @property
    def exporting(self) -> set[str]:
        """Whose copies are on their way."""
        found: set[str] = self.host.query(IWeb).mounts.find("localhost", PATH).resource._pages.exporting
        return found

    async def test_one_at_a_time(self) -> None:
        """While a copy is on its way there is no other one."""
        visitor = await self.enter()
        self.exporting.add("romeo")
        self.assert_refused(await self.do(visitor, "export"), 429, "A copy is on its way already.")

    async def test_storage_fails_at_first(self) -> None:
        """When nothing can be read, the page says so."""
        visitor = await self.enter("nurse")
        key = key_of(await visitor.get(PATH))
        self.patch(self.host.query(IRosters), "load", lambda *_: fail(StorageError("gone")))
        answer = await visitor.post(f"{PATH}/export", {"key": key})
        self.assertEqual(answer.status, 503)

    async def test_storage_fails_later(self) -> None:
        """When something cannot be read later on, the file is cut off, and not whole."""
        visitor = await self.enter("nurse")
        key = key_of(await visitor.get(PATH))
        self.patch(self.host.storage.logs, "range", lambda *_: fail(StorageError("gone")))
        answer = await visitor.post(f"{PATH}/export", {"key": key})
        self.assertNotIn("</server-data>", answer.text)
        self.assertFalse(answer.text.endswith("0\r\n\r\n"))
        self.assertEqual(self.exporting, set())


class DeletionTests(AccountCase):
    """Leaving."""

    async def delete(self, visitor: Any, **fields: str) -> Any:
        """Fill in the form."""
        return await self.do(
            visitor, "delete", **{"address": "romeo@localhost", "password": PASSWORD, **fields}
        )

    async def test_deleted(self) -> None:
        """The account goes with what was stored for it, its sessions end, and the page says so."""
        wire = await self.log_in("romeo@localhost/orchard")
        visitor = await self.enter()
        page = await visitor.get(f"{PATH}/delete")
        self.assertIn("nobody can bring them back", page.text)
        answer = await self.delete(visitor)
        self.assertEqual((answer.status, location(answer)), (303, f"{PATH}/gone"))
        self.assertIn("has been deleted", (await visitor.get(location(answer))).text)
        self.assertIn("not-authorized", (await wire.next()).toXml())
        self.assertFalse(await self.host.accounts.exists("romeo"))
        self.assertEqual((await visitor.get(PATH)).status, 401)
        self.assertEqual((await self.try_to_enter(self.visitor())).status, 403)

    async def test_refused(self) -> None:
        """Without the password or the address nothing is deleted."""
        visitor = await self.enter()
        for fields, status, said in (
            ({"password": "guess"}, 403, "That is not your password."),
            ({"password": ""}, 403, "That is not your password."),
            ({"address": "juliet@localhost"}, 400, "That is not the address"),
            ({"address": ""}, 400, "That is not the address"),
            ({"address": "romeo@localhost/orchard"}, 400, "That is not the address"),
        ):
            self.assert_refused(await self.delete(visitor, **fields), status, said)
        for local in ("romeo", "juliet"):
            self.assertTrue(await self.host.accounts.exists(local))

    async def test_of_another_program(self) -> None:
        """Where another program keeps the accounts, none is deleted here."""
        visitor = await self.enter()
        self.patch(self.host.accounts, "deletes", False)
        self.assert_refused(await self.delete(visitor), 403, "This account is kept by another program")


class ClosedTests(AccountCase):
    """A server that lets nobody delete an account, and shows nobody on the web."""

    modules: ClassVar[dict[str, Any]] = {
        "mod_self_service": {"allow_deletion": False},
        "mod_webpresence": {"enabled": False},
    }

    async def test_no_deletion(self) -> None:
        """The page does not offer it, and does not do it."""
        visitor = await self.enter()
        page = await visitor.get(PATH)
        self.assertNotIn("Delete the account", page.text)
        self.assertNotIn("On the web", page.text)
        self.assertEqual((await visitor.get(f"{PATH}/delete")).status, 404)
        fields = {"address": "romeo@localhost", "password": PASSWORD}
        self.assertEqual((await self.do(visitor, "delete", **fields)).status, 404)
        self.assertTrue(await self.host.accounts.exists("romeo"))
        self.assert_refused(await self.do(visitor, "presence"), 404, "This server does not show that.")

    async def test_locked_out(self) -> None:
        """Whoever is locked out is out of these pages too."""
        visitor = await self.enter()
        await self.command("account disable", accountjids=["romeo@localhost"])
        self.assertEqual((await visitor.get(PATH)).status, 401)
