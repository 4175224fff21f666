"""The page that is a reverse proxy: it finds the route of a request while its head is there, and no more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from palaver.push.http import trusted
from palaver.web.problems import problem
from palaver.web.revproxy.exchange import Exchange
from palaver.web.revproxy.headers import upstream_headers
from palaver.web.revproxy.routes import Route, Target, UnsafePath, query_of, segments_of

RETRY_S = "5"
# To one upstream, between two requests.
MAX_KEPT = 16
# Of methods, but for those that concern one connection or show secrets (RFC 9110 sections 9.3.6, 9.3.8).
_is_method = re.compile(rb"(?!(?:CONNECT|TRACE)\Z)[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}").fullmatch


class Limits(NamedTuple):
    """How much and how long."""

    max_exchanges: int
    max_body_bytes: int
    timeout_s: float
    connect_timeout_s: float


class ProxyPage(Resource):
    """Sends each request on by the first route that fits."""

    isLeaf = True

    def __init__(self, routes: Sequence[Route], limits: Limits, clock: Any, ca_file: Path | None) -> None:
        """``ca_file`` has the certificates to trust, instead of the system's. Raises OSError, ValueError."""
        super().__init__()
        self._routes = routes
        self._limits = limits
        self._clock = clock
        policy = BrowserLikePolicyForHTTPS(trusted(ca_file)) if ca_file else BrowserLikePolicyForHTTPS()
        self._pool = HTTPConnectionPool(clock)
        self._pool.maxPersistentPerHost = MAX_KEPT
        self._agent = Agent(clock, policy, connectTimeout=limits.connect_timeout_s, pool=self._pool)
        # A connection that was kept may end just when a request with a body begins, which cannot be repeated.
        self._fresh = Agent(clock, policy, connectTimeout=limits.connect_timeout_s)
        self._open: set[Exchange] = set()

    def close(self) -> Deferred[Any]:
        """Close the connections that are kept; what is under way goes on, or ends with its client."""
        closed: Deferred[Any] = self._pool.closeCachedConnections()
        return closed

    # -- before the body is read --------------------------------------------------------------

    def max_body_bytes(self, request: Any) -> int:
        """See WebRequest."""
        return self._limits.max_body_bytes

    def open_body(self, request: Any) -> Any:
        """See WebRequest: from here on the body goes straight to the upstream."""
        request.exchange, request.refused = None, None
        length = request.channel.length
        if length is not None and length > self._limits.max_body_bytes:
            # Refused at once by whoever has asked.
            return None
        if not _is_method(request.channel._command):
            request.refused = HTTPStatus.NOT_IMPLEMENTED, "This method is not for proxies"
            return None
        try:
            target = self._target(request)
        except UnsafePath:
            request.refused = HTTPStatus.BAD_REQUEST, "The path leads out of where it is"
            return None
        if target is None:
            request.refused = HTTPStatus.NOT_FOUND, "There is nothing at this address"
            return None
        if len(self._open) >= self._limits.max_exchanges:
            request.refused = HTTPStatus.SERVICE_UNAVAILABLE, "Too much is under way; try again in a moment"
            return None
        request.exchange = self._begin(request, length, target)
        return request.exchange.body

    def _target(self, request: Any) -> Target | None:
        path = request.channel._path.partition(b"?")[0]
        host = request.getRequestHostname().decode("latin-1").lower()
        method = request.channel._command.decode("latin-1")
        segments = segments_of(path)
        return next(filter(None, (route.find(host, segments, method) for route in self._routes)), None)

    def _begin(self, request: Any, length: int | None, target: Target) -> Exchange:
        exchange = Exchange(request, length, self._clock, self._limits.timeout_s)
        self._open.add(exchange)
        exchange.done.addCallback(lambda _: self._open.discard(exchange))
        channel = request.channel
        headers = upstream_headers(request, channel.site.port.client(request), target.headers)
        agent = self._agent if length == 0 else self._fresh
        exchange.start(agent, channel._command, f"{target.url}{query_of(channel._path)}", headers)
        return exchange

    # -- when it is there ---------------------------------------------------------------------

    def render(self, request: Any) -> Any:
        """Answer a request, of whatever method."""
        exchange: Exchange | None = request.exchange
        if exchange is not None:
            exchange.ready()
            return NOT_DONE_YET
        status, detail = request.refused
        more = {"retry_after": RETRY_S} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return problem(request, status, detail, **more)
