"""What watches the server: counts for Prometheus, and whether it lives and is ready."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.web.resource import Resource

from palaver import metrics
from palaver.errors import StorageError
from palaver.throttle import Network, parse_address
from palaver.web.pages.respond import respond
from palaver.web.problems import problem
from palaver.web.site import NOT_FOUND

# As Prometheus names its text format.
METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
# Whoever asks more often than that whether we are ready is answered at last; a probe gives up after it.
READY_S = 3.0

Answer = Callable[[Any], Awaitable[bytes]]


class Watched(Resource):
    """One page, for those who may watch: by their address, or by a token (``Authorization: Bearer``)."""

    def __init__(self, web: Any, networks: Sequence[Network], token: str | None, answer: Answer) -> None:
        super().__init__()
        self._web = web
        self._networks = networks
        self._token = token
        self._answer = answer

    def getChild(self, path: bytes, request: Any) -> Any:
        """Nothing is below."""
        return NOT_FOUND

    def render_GET(self, request: Any) -> Any:
        """Answer, or refuse."""
        request.setHeader(b"cache-control", b"no-store")
        if not self._may(request):
            return problem(request, HTTPStatus.FORBIDDEN, "Watch from an address that may, or with the token")
        return respond(request, self._given(request))

    async def _given(self, request: Any) -> bytes:
        return await self._answer(request)

    def _may(self, request: Any) -> bool:
        given = request.getHeader(b"authorization") or b""
        if self._token is not None and hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            return True
        address = parse_address(self._web.client(request).address)
        return address is not None and any(address in network for network in self._networks)


async def counts(request: Any) -> bytes:
    """Give all counts in the text format of Prometheus."""
    request.setHeader(b"content-type", METRICS_TYPE)
    return metrics.render()


async def alive(request: Any) -> bytes:
    """Say that the process answers."""
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return b"alive\n"


def ready(host: Any) -> Answer:
    """Give what says whether the storage of a host answers in time."""

    async def answer(request: Any) -> bytes:
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        # Of a log, since documents may be in memory.
        asked: Deferred[Any] = host.storage.logs.get(host.domain, "", "ready", [0])
        try:
            await asked.addTimeout(READY_S, host.clock)
        except (StorageError, TimeoutError):
            return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, "The storage does not answer")
        return b"ready\n"

    return answer
