"""The start page, on a real socket."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from palaver.test.web.pages.case import PageCase


class StartTests(PageCase):
    """A server as it is without options."""

    async def test_page(self) -> None:
        """Somebody who opens the address of the server reads how to connect."""
        page = await self.visitor().get("/")
        self.assertEqual(page.status, 200)
        for said in ("<h1>localhost</h1>", "you@localhost", "ws://localhost/xmpp-websocket", "/http-bind"):
            self.assertIn(said, page.text)

    async def test_port(self) -> None:
        """The page names the port on which the server listens for clients, with STARTTLS if there is one."""
        ports = [line for line in self.palaver.addresses() if "STARTTLS" in line]
        (port,) = re.findall(r":(\d+) ", ports[0])
        self.assertIn(f"else <code>{port}</code>", (await self.visitor().get("/")).text)

    async def test_policy(self) -> None:
        """The page loads nothing and runs no script, and no other site may frame it."""
        page = await self.visitor().get("/")
        head = page.head.lower()
        for said in (
            "default-src 'none'",
            "frame-ancestors 'none'",
            "nosniff",
            "referrer-policy: no-referrer",
        ):
            self.assertIn(said, head)
        self.assertNotIn("<script", page.text)
        self.assertNotIn("src=", page.text)

    async def test_other_hosts(self) -> None:
        """Each host has a page of its own, by the name in the address."""
        page = await self.visitor().send("GET", "/", host="verona.example")
        self.assertIn("you@verona.example", page.text)

    async def test_elsewhere(self) -> None:
        """An address that nobody serves is not the start page."""
        for path in ("/nothing", "/index.html", "//", "/../etc/passwd", "/%2e%2e/etc/passwd"):
            answer = await self.visitor().get(path)
            self.assertEqual(answer.status, 404, path)

    async def test_names(self) -> None:
        """A host name with markup is shown as text."""
        page = await self.visitor().send("GET", "/", host="<script>alert(1)</script>")
        self.assertNotIn("<script>", page.text)

    async def test_methods(self) -> None:
        """Nothing is posted here."""
        answer = await self.visitor().post("/", {"a": "b"})
        self.assertEqual(answer.status, 405)
        head = await self.visitor().send("HEAD", "/")
        self.assertEqual((head.status, head.text), (200, ""))


class OwnTests(PageCase):
    """A server whose operator has something to say."""

    modules: ClassVar[dict[str, Any]] = {
        "mod_start_page": {"title": "Verona & Co", "about": "No <quarrels>."},
        "mod_register": {},
    }

    async def test_texts(self) -> None:
        """The operator's title and text are there, as text."""
        page = await self.visitor().get("/")
        self.assertIn("<h1>Verona &amp; Co</h1><p>No &lt;quarrels&gt;.</p>", page.text)

    async def test_registration(self) -> None:
        """Where strangers may make accounts, the page leads there."""
        page = await self.visitor().get("/")
        self.assertIn('href="/register"', page.text)
