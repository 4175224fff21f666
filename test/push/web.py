"""A web server on loopback for tests: keeps the requests, and answers as it is told to."""

from __future__ import annotations

from typing import Any, NamedTuple

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

reactor: Any = _reactor


class Posted(NamedTuple):
    """One request."""

    method: str
    uri: str
    content_type: str
    body: bytes


class WebServer(Resource):
    """Takes everything."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.posted: list[Posted] = []
        self.status = 200
        self.silent = False
        self.answer = b"{}"
        self._waiting: list[tuple[int, Deferred[None]]] = []
        self._factory = WrappingFactory(Site(self))
        self._port = reactor.listenTCP(0, self._factory, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self._port.getHost().port}"

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._factory.protocols)

    def render(self, request: Any) -> Any:
        """Keep a request and answer it."""
        content_type = request.getHeader("content-type") or ""
        self.posted.append(
            Posted(request.method.decode(), request.uri.decode(), content_type, request.content.read())
        )
        # Behind the answer, which the client is to have by then.
        reactor.callLater(0, self._tell)
        if self.silent:
            request.notifyFinish().addErrback(lambda _: None)
            return NOT_DONE_YET
        request.setResponseCode(self.status)
        return self.answer

    def _tell(self) -> None:
        for number, waiting in list(self._waiting):
            if len(self.posted) >= number:
                self._waiting.remove((number, waiting))
                waiting.callback(None)

    def wait_for(self, number: int) -> Deferred[None]:
        """Give a Deferred that fires once there have been so many requests."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((number, waiting))
        self._tell()
        return waiting.addTimeout(10, reactor)

    async def drop(self) -> None:
        """Close every connection, and wait for that."""
        for protocol in list(self._factory.protocols):
            protocol.transport.abortConnection()
        while self._factory.protocols:
            await deferLater(reactor, 0)

    def stop(self) -> Deferred[None]:
        """Stop listening, and close every connection."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if not self._port.disconnected:
            await self._port.stopListening()
        await self.drop()
