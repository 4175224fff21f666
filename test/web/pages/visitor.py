"""A browser without a screen: requests over real sockets, with cookies and forms."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

from palaver.test.web.bosh import Answer, Request

reactor: Any = _reactor

KEY = re.compile(r'name="key" value="([0-9a-f]+)"')
COOKIE = re.compile(r"(?im)^set-cookie: ([^=]+)=([^;\r]*)(.*)$")


class Visitor:
    """Somebody who looks at pages of one port; ``cookies`` by name, ``flags`` as they were set."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}
        self.flags: dict[str, str] = {}
        self.requests: list[Request] = []

    async def send(
        self, method: str, path: str, body: bytes = b"", host: str = "localhost", **headers: str
    ) -> Answer:
        """Give the answer to any request; ``_`` stands for ``-`` in the names of headers."""
        answer = Answer((await self.ask(method, path, body, host, **headers)).came)
        for name, value, flags in COOKIE.findall(answer.head):
            self.cookies[name], self.flags[name] = value, flags.lower()
        return answer

    async def ask(
        self, method: str, path: str, body: bytes = b"", host: str = "localhost", **headers: str
    ) -> Request:
        """Give a request as `send` does it, with the bytes of its answer."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if self.cookies:
            lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        request = Request("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        self.requests.append(request)
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), request)
        await request.gone()
        return request

    async def get(self, path: str, **headers: str) -> Answer:
        """Load a page."""
        return await self.send("GET", path, b"", **headers)

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Send a form."""
        kind = "application/x-www-form-urlencoded"
        return await self.send("POST", path, urlencode(fields).encode(), Content_Type=kind, **headers)

    async def fill_in(self, path: str, **fields: str) -> Answer:
        """Load a page and send its form."""
        return await self.post(path, {"key": key_of(await self.get(path)), **fields})

    async def end(self) -> None:
        """Go, whatever is under way."""
        for request in self.requests:
            if not request.lost:
                request.drop()
            await request.gone()


def key_of(answer: Answer) -> str:
    """Give the key of the form on a page; "" when there is none."""
    found = KEY.search(answer.text)
    return unescape(found[1]) if found else ""
