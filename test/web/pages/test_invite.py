"""Landing pages of invitations and registration in the browser, on real sockets."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from palaver.test.web.pages.case import PageCase
from palaver.test.web.pages.visitor import key_of

MANY = 60


class InviteCase(PageCase):
    """A server that is closed to strangers."""

    modules: ClassVar[dict[str, Any]] = {
        "mod_register": {"allow_registration": False},
        "mod_invites": {"allow_user_invites": True},
    }

    async def token(self, name: str = "invite create", by: str | None = None, **values: object) -> str:
        """Give the token of a new invitation."""
        done = await self.command(name, by, **values)
        assert done.result is not None
        uri, landing = done.result.model_dump()["uri"], done.result.model_dump()["landing_url"]
        found = re.search(r"preauth=([\w-]+)", uri)
        assert found is not None
        self.assertEqual(landing, f"http://localhost:{self.http_port}/invite/{found[1]}")
        return found[1]


class LandingTests(InviteCase):
    """What somebody sees who opens an invitation."""

    async def test_contact(self) -> None:
        """The page says who invites, and links the invitation for programs and for this browser."""
        token = await self.token("invite contact", "romeo@localhost")
        page = await self.visitor().get(f"/invite/{token}")
        self.assertEqual(page.status, 200)
        self.assertIn("romeo@localhost invites you", page.text)
        self.assertIn(f'href="xmpp:romeo@localhost?roster;preauth={token};ibr=y"', page.text)
        self.assertIn(f'href="/register/{token}"', page.text)
        self.assertIn("no-store", page.head)

    async def test_operator(self) -> None:
        """The operator's invitation names the server, and until when it counts as people read it."""
        token = await self.token()
        page = await self.visitor().get(f"/invite/{token}")
        self.assertIn("<h1>You are invited to localhost</h1>", page.text)
        self.assertRegex(page.text, r"counts until \d\d [A-Z][a-z]+ \d{4}, \d\d:\d\d UTC\.")

    async def test_unknown(self) -> None:
        """A link that nobody made, or that is too long or not text, says so and nothing else."""
        for token in ("guess", "x" * 1000, "%ff%fe", "%3Cscript%3E", ""):
            page = await self.visitor().get(f"/invite/{token}")
            self.assertEqual(page.status, 404, token)
            self.assertIn("Ask whoever sent it", page.text)
        page = await self.visitor().get("/invite/a/b")
        self.assertEqual(page.status, 404)

    async def test_expired(self) -> None:
        """An invitation that is too old is refused on both pages."""
        token = await self.token()
        host = self.palaver.hosts["localhost"]
        documents = await host.storage.documents.list("localhost", "", ("invite",))
        from palaver.storage import Batch

        (document,) = documents
        value = {**document.value, "expires": 1}
        await host.storage.write(Batch().put("localhost", "", "invite", document.key, value))
        for path in ("/invite/", "/register/"):
            page = await self.visitor().get(path + token)
            self.assertEqual(page.status, 404, path)


class RegisterTests(InviteCase):
    """Making an account in the browser."""

    FIELDS: ClassVar[dict[str, str]] = {"username": "benvolio", "password": "peace", "again": "peace"}

    async def test_account(self) -> None:
        """With an invitation somebody makes an account, logs in, and has the inviter as a contact."""
        token = await self.token("invite contact", "romeo@localhost")
        page = await self.visitor().fill_in(f"/register/{token}", **self.FIELDS)
        self.assertEqual(page.status, 201, page.text)
        self.assertIn('href="/account"', page.text)
        self.assertIn("benvolio@localhost", page.text)
        wire = await self.connect()
        await wire.log_in("benvolio@localhost/web", "peace")
        wire.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        self.assertIn("romeo@localhost", (await wire.next()).toXml())

    async def test_once(self) -> None:
        """An invitation makes one account."""
        token = await self.token()
        first = await self.visitor().fill_in(f"/register/{token}", **self.FIELDS)
        self.assertEqual(first.status, 201)
        again = await self.visitor().get(f"/register/{token}")
        self.assertEqual(again.status, 404)

    async def test_name_that_is_kept(self) -> None:
        """An invitation for a name shows it, and makes no other account."""
        token = await self.token(username="tybalt")
        visitor = self.visitor()
        page = await visitor.get(f"/register/{token}")
        self.assertIn('value="tybalt" readonly', page.text)
        self.assertIn("<button>Make the account</button>", page.text)
        refused = await visitor.post(f"/register/{token}", {"key": key_of(page), **self.FIELDS})
        self.assertEqual(refused.status, 400)
        self.assertIn("tybalt", refused.text)

    async def test_wrong_fields(self) -> None:
        """What is missing, differs, is taken or cannot be used is said on the form, which keeps the name."""
        token = await self.token()
        for fields, status in (
            ({"password": "other"}, 400),
            ({"username": ""}, 400),
            ({"username": "a b@c"}, 400),
            ({"username": "romeo"}, 409),
            ({"username": "x" * 5000}, 400),
            ({"password": "\x00", "again": "\x00"}, 400),
        ):
            page = await self.visitor().fill_in(f"/register/{token}", **{**self.FIELDS, **fields})
            self.assertEqual(page.status, status, fields)
            self.assertIn('role="alert"', page.text)
        done = await self.visitor().fill_in(f"/register/{token}", **self.FIELDS)
        self.assertEqual(done.status, 201)

    async def test_forms_of_other_sites(self) -> None:
        """A form without our key, with somebody else's, or from another site makes nothing."""
        token = await self.token()
        path = f"/register/{token}"
        visitor, other = self.visitor(), self.visitor()
        key, others = key_of(await visitor.get(path)), key_of(await other.get(path))
        for fields in (self.FIELDS, {**self.FIELDS, "key": others}, {**self.FIELDS, "key": ""}):
            self.assertEqual((await visitor.post(path, fields)).status, 403)
        crossing = await visitor.post(path, {**self.FIELDS, "key": key}, Sec_Fetch_Site="cross-site")
        self.assertEqual(crossing.status, 403)
        bare = await self.visitor().post(path, {**self.FIELDS, "key": key})
        self.assertEqual(bare.status, 403)
        flags = visitor.flags["palaver-register"]
        self.assertIn("httponly", flags)
        self.assertIn("samesite=strict", flags)

    async def test_without_an_invitation(self) -> None:
        """Strangers get no form here, and what they post makes nothing."""
        visitor = self.visitor()
        page = await visitor.get("/register")
        self.assertEqual(page.status, 403)
        self.assertNotIn("<form", page.text)

    async def test_contact_only(self) -> None:
        """A link that makes contacts alone makes no account."""
        self.palaver.hosts["localhost"].modules["mod_invites"].settings.__dict__["allow_user_invites"] = False
        token = await self.token("invite contact", "romeo@localhost")
        self.assertEqual((await self.visitor().get(f"/register/{token}")).status, 404)
        self.assertNotIn("/register/", (await self.visitor().get(f"/invite/{token}")).text)

    async def test_guesses(self) -> None:
        """Whoever tries one token after the other is stopped."""
        statuses = [(await self.visitor().get(f"/invite/guess{n}")).status for n in range(MANY + 1)]
        self.assertEqual((statuses[0], statuses[-1]), (404, 429))

    async def test_large(self) -> None:
        """A form that is too large is refused, and the next visitor is served."""
        token = await self.token()
        answer = await self.visitor().post(f"/register/{token}", {"username": "x" * 100_000})
        self.assertEqual(answer.status, 413)
        await self.assert_serves()


class OpenTests(PageCase):
    """A server that is open to strangers, some."""

    modules: ClassVar[dict[str, Any]] = {
        "mod_register": {"registration_throttle_max": 2, "registration_allowlist": ["192.0.2.1"]}
    }

    async def test_open(self) -> None:
        """Without an invitation an account is made where that is allowed, but not many at once."""
        statuses = []
        for number in range(3):
            fields = {"username": f"servant{number}", "password": "ale", "again": "ale"}
            statuses.append((await self.visitor().fill_in("/register", **fields)).status)
        self.assertEqual(statuses, [201, 201, 429])

    async def test_closed_network(self) -> None:
        """Who comes through a proxy without encryption is not let in."""
        page = await self.visitor().get("/register", X_Forwarded_For="198.51.100.7")
        self.assertEqual(page.status, 403)
        page = await self.visitor().get(
            "/register", X_Forwarded_For="198.51.100.7", X_Forwarded_Proto="https"
        )
        self.assertEqual(page.status, 200)
        self.assertIn("; secure", page.head.lower())
