"""The page of Converse.js, without a browser; test_converse drives it in one."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from palaver.test.web.pages.case import PageCase
from palaver.xeps.conversejs import ConverseJsSettings


def options(script: str) -> Any:
    """Give the options that a start script has."""
    found = re.search(r"const options = (\{.*\});", script)
    assert found is not None
    return json.loads(found[1])


class FolderTests(PageCase):
    """Files of this machine."""

    def setUp(self) -> Any:
        folder = Path(tempfile.mkdtemp(dir=".")).resolve()
        (folder / "dist/sounds").mkdir(parents=True)
        (folder / "dist/converse.min.js").write_text("// chat")
        (folder / "dist/converse.min.css").write_text("")
        (folder / "secret.txt").write_text("do not read")
        type(self).modules = {
            "mod_conversejs": {"folder": str(folder / "dist"), "options": {"theme": "</script><b>"}}
        }
        return super().setUp()

    async def test_page(self) -> None:
        """The page loads the program from here, and has no script within itself."""
        page = await self.visitor().get("/chat")
        self.assertEqual(page.status, 200)
        self.assertIn('<script src="/chat/dist/converse.min.js" type="module"></script>', page.text)
        self.assertEqual(re.findall(r"<script[^>]*>([^<]+)</script>", page.text), [])
        policy = re.search("(?i)content-security-policy: (.*)", page.head)
        assert policy is not None
        self.assertIn("script-src 'self' 'wasm-unsafe-eval';", policy[1])

    async def test_options(self) -> None:
        """The addresses of WebSocket and BOSH are filled in, and options of the operator counts; as data."""
        script = (await self.visitor().get("/chat/start.js")).text
        found = options(script)
        self.assertEqual(
            (found["websocket_url"], found["bosh_service_url"], found["default_domain"], found["theme"]),
            ("/xmpp-websocket", "/http-bind", "localhost", "</script><b>"),
        )
        self.assertNotIn("</script>", script)
        # Else a session that was resumed after a reload is not resumed after the next cut.
        self.assertIn('save("smacks_resumed", false)', script)

    async def test_files(self) -> None:
        """Files of the folder are served, and nothing above it, nor what is in it."""
        visitor = self.visitor()
        answer = await visitor.get("/chat/dist/converse.min.js")
        self.assertEqual((answer.status, answer.text), (200, "// chat"))
        for path in (
            "../secret.txt",
            "%2e%2e/secret.txt",
            "..%2fsecret.txt",
            "%2e%2e%2fsecret.txt",
            "/etc/passwd",
            "%2fetc%2fpasswd",
            "",
            "sounds",
            "sounds/",
            "x\\..\\secret.txt",
            "a%00b",
        ):
            answer = await visitor.get(f"/chat/dist/{path}")
            self.assertIn(answer.status, (302, 400, 404), path)
            self.assertNotIn("do not read", answer.text)

    async def test_link(self) -> None:
        """The start page leads to the chat."""
        self.assertIn('href="/chat"', (await self.visitor().get("/")).text)


class AddressTests(PageCase):
    """Files of elsewhere."""

    modules: ClassVar[dict[str, Any]] = {"mod_conversejs": {"url": "https://cdn.example.net/11/dist"}}

    async def test_page(self) -> None:
        """The program may come from there and from no other place."""
        page = await self.visitor().get("/chat/")
        self.assertIn('src="https://cdn.example.net/11/dist/converse.min.js"', page.text)
        self.assertIn("script-src 'self' https://cdn.example.net 'wasm-unsafe-eval';", page.head)


class NoneTests(PageCase):
    """A server that has no Converse.js."""

    async def test_page(self) -> None:
        """The page says what is to be done, and the start page does not lead to it."""
        page = await self.visitor().get("/chat")
        self.assertIn("npm pack converse.js", page.text)
        self.assertNotIn('href="/chat"', (await self.visitor().get("/")).text)
        self.assertEqual((await self.visitor().get("/chat/dist/converse.min.js")).status, 404)


class OptionTests(SynchronousTestCase):
    """Mistakes in the configuration."""

    def test_wrong(self) -> None:
        """A folder that has no Converse.js, and two places at once, are refused at the start."""
        half = Path(self.mktemp())
        half.mkdir()
        (half / "converse.min.js").touch()
        for wrong in (
            {"folder": "/nonexistent"},
            {"folder": str(half)},
            {"url": "ftp://x"},
            {"url": "https://x", "folder": "/"},
        ):
            self.assertRaises(ValidationError, ConverseJsSettings.model_validate, wrong)
