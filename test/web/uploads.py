"""Uploads in tests: a server that gives slots, and requests over HTTP with their answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.words.xish import domish

from palaver.test.web.case import WebCase
from palaver.test.web.raw import Raw, connect
from palaver.web.uploads.asked import NS_UPLOAD

CLOSE = "Connection: close\r\n"
# A wait for threads ends after so many looks.
LOOKS = 500


class Reply:
    """An answer over HTTP."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1]) if first else 0
        self.headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }


async def exchange(
    port: int, method: str, target: str, body: bytes = b"", head: str = "", host: str = "localhost"
) -> Reply:
    """Give the answer to a request on a connection of its own; ``head`` are whole lines of headers."""
    wire = await connect(port)
    length = f"Content-Length: {len(body)}\r\n" if method == "PUT" and "Transfer" not in head else ""
    wire.transport.write(
        f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{CLOSE}{length}{head}\r\n".encode() + body
    )
    try:
        return Reply(await wire.all())
    finally:
        await wire.drop()


class UploadCase(WebCase):
    """Has slots for romeo."""

    modules: ClassVar[dict[str, Any]] = {
        "mod_mam": {},
        "mod_http_upload": {"max_file_size": 8_000_000, "quota": 9_000_000, "total_quota": 12_000_000},
    }

    async def _set_up(self) -> None:
        await super()._set_up()
        self.romeo = await self.log_in("romeo@localhost/orchard")
        self.module = self.palaver.hosts["localhost"].modules["mod_http_upload"]
        self.disk = Path(self.module._place._folder._folder)

    async def ask(self, xml: str, wire: Any = None, kind: str = "get") -> domish.Element:
        """Give the answer to a request of the service."""
        wire = wire or self.romeo
        wire.send(f"<iq type='{kind}' id='ask' to='upload.localhost'>{xml}</iq>")
        return await wire.next()  # type: ignore[no-any-return]

    async def slot(
        self, size: int, name: str = "moon.png", type: str = "image/png", more: str = ""
    ) -> tuple[str, str]:
        """Give the targets of a new slot."""
        attrs = f"filename='{name}' size='{size}' content-type='{type}'"
        answer = await self.ask(f"<request xmlns='{NS_UPLOAD}' {attrs}>{more}</request>")
        self.assertEqual(answer["type"], "result", answer.toXml())
        put, get = (urlsplit(each["url"]) for each in answer.slot.elements())
        self.assertEqual(f"{put.path}", get.path)
        return f"{put.path}?{put.query}", get.path

    async def http(self, method: str, target: str, body: bytes = b"", head: str = "") -> Reply:
        """Give the answer to a request on a connection of its own."""
        return await exchange(self.http_port, method, target, body, head)

    async def http_wire(self) -> Raw:
        """Give a connection to the port for HTTP."""
        wire = await connect(self.http_port)
        self.addCleanup(wire.drop)
        return wire

    async def put(self, target: str, body: bytes, type: str = "image/png") -> Reply:
        """Upload."""
        return await self.http("PUT", target, body, f"Content-Type: {type}\r\n")

    async def upload(self, body: bytes, **options: Any) -> str:
        """Give the target of a new file."""
        put, get = await self.slot(len(body), **options)
        self.assertEqual((await self.put(put, body, options.get("type", "image/png"))).status, 201)
        return get

    def on_disk(self) -> list[str]:
        """Give the names of all files below the folder of uploads."""
        return [name for _, _, names in os.walk(self.disk) for name in names]

    async def nothing_on_disk(self) -> None:
        """Wait until no file is left."""
        for _ in range(LOOKS):
            if not self.on_disk():
                return
            await deferLater(_reactor, 0.01)
        self.fail(f"left behind: {self.on_disk()}")
