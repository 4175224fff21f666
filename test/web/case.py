"""A server with a port for HTTP, in the process of the test."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from palaver.test.served import ServedCase
from palaver.test.web import socket as sockets
from palaver.test.web.bosh import Bosh
from palaver.test.web.socket import Socket
from palaver.test.wire import bind, plain

HTTP = re.compile(r"http 127\.0\.0\.1:(\d+) \((.*)\)")


class WebCase(ServedCase):
    """Also serves HTTP, on loopback."""

    listen: ClassVar[dict[str, Any]] = {"http": [{"port": 0}]}

    @property
    def http_port(self) -> int:
        """The port for HTTP."""
        matches = map(HTTP.fullmatch, self.palaver.addresses())
        return next(int(match[1]) for match in matches if match)

    async def socket(self, **options: Any) -> Socket:
        """Give a WebSocket; it is dropped after the test."""
        tls = self.listen["http"][0].get("tls") == "on"
        found = await sockets.connect(self.http_port, tls=tls, **options)
        self.addCleanup(self._end, found)
        return found

    @staticmethod
    async def _end(found: Socket) -> None:
        if not found.lost:
            found.transport.abortConnection()
            await found.closed()

    def bosh(self) -> Bosh:
        """Give a client over BOSH; its sockets are dropped after the test."""
        found = Bosh(self.http_port)
        self.addCleanup(self._drop_requests, found)
        return found

    @staticmethod
    async def _drop_requests(found: Bosh) -> None:
        found.drop()
        for request in found.requests:
            await request.gone()

    async def log_in_by_bosh(self, local: str, resource: str = "web", **options: Any) -> Bosh:
        """Give a session over BOSH."""
        found = self.bosh()
        await found.log_in(local, resource, **options)
        return found

    async def log_in_by_socket(self, local: str, resource: str = "web") -> Socket:
        """Give a WebSocket with a session."""
        found = await self.socket()
        for text, answer in (
            (sockets.OPEN, "<stream:features"),
            (plain(local, "sesame"), "<success"),
            (sockets.OPEN, "<stream:features"),
            (bind(resource), "<iq"),
        ):
            found.send(text)
            while not (await found.take()).startswith(answer):
                pass
        return found
