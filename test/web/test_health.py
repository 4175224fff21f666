"""Pages for what watches the server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from twisted.internet.defer import Deferred, fail

import palaver
from palaver import metrics
from palaver.errors import StorageError
from palaver.test.web.case import WebCase
from palaver.test.web.raw import connect
from palaver.web import health

TOKEN = "a token for those who watch"
AWAY = "X-Forwarded-For: 192.0.2.7\r\n"


class WatchTests(WebCase):
    """Over real sockets."""

    modules: ClassVar[dict[str, Any]] = {"mod_watch": {"token": TOKEN}}

    async def get(self, path: str, head: str = "", method: str = "GET") -> tuple[int, str]:
        """Give the status and the body of a page."""
        wire = await connect(self.http_port)
        self.addCleanup(wire.drop)
        wire.transport.write(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n".encode()
        )
        top, _, body = (await wire.all()).decode().partition("\r\n\r\n")
        return int(top.split()[1]), body

    async def test_metrics(self) -> None:
        """Prometheus reads what is counted."""
        metrics.reset()
        self.addCleanup(metrics.reset)
        await self.log_in("romeo@localhost/orchard")
        status, body = await self.get("/metrics")
        self.assertEqual(status, 200)
        self.assertIn("palaver_sessions 1.0\n", body)
        self.assertIn('palaver_logins_total{mechanism="PLAIN"} 1.0\n', body)

    async def test_dashboard(self) -> None:
        """The dashboard asks only for what is counted."""
        source = (Path(palaver.__file__).parent.parent / "docs" / "grafana.json").read_text()
        asked = set(re.findall(r"palaver_[a-z0-9_]+", source)) - {"palaver"}
        _, body = await self.get("/metrics")
        shown = set(re.findall(r"^# TYPE (\S+)", body, re.MULTILINE))
        for name in asked:
            self.assertIn(name.removesuffix("_bucket"), shown)
        self.assertGreater(len(asked), 10)

    async def test_lives(self) -> None:
        """Probes hear that the server lives and that its storage answers."""
        self.assertEqual(await self.get("/healthz"), (200, "alive\n"))
        self.assertEqual(await self.get("/readyz"), (200, "ready\n"))

    async def test_storage(self) -> None:
        """A storage that fails or keeps silent is no ready server, but a living one."""
        logs = self.palaver.hosts["localhost"].storage.logs
        with mock.patch.object(logs, "get", lambda *_: fail(StorageError("gone"))):
            self.assertEqual((await self.get("/readyz"))[0], 503)
            self.assertEqual((await self.get("/healthz"))[0], 200)
        with (
            mock.patch.object(logs, "get", lambda *_: Deferred()),
            mock.patch.object(health, "READY_S", 0.01),
        ):
            self.assertEqual((await self.get("/readyz"))[0], 503)

    async def test_strangers(self) -> None:
        """From elsewhere nobody watches, unless with the token."""
        for path in ("/metrics", "/healthz", "/readyz"):
            self.assertEqual((await self.get(path, AWAY))[0], 403)
            for wrong in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é"):
                self.assertEqual((await self.get(path, f"{AWAY}Authorization: {wrong}\r\n"))[0], 403)
            self.assertEqual((await self.get(path, f"{AWAY}Authorization: Bearer {TOKEN}\r\n"))[0], 200)

    async def test_elsewhere(self) -> None:
        """Nothing is below these pages, and nothing is posted there."""
        self.assertEqual((await self.get("/metrics/x"))[0], 404)
        self.assertEqual((await self.get("/healthz", "Content-Length: 0\r\n", "POST"))[0], 405)
