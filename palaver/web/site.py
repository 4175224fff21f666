"""The site: from a request's host and path to what a module has mounted there, with limits on bodies."""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO
from typing import Any
from weakref import WeakSet

from twisted.python.failure import Failure
from twisted.web.resource import Resource, getChildForRequest
from twisted.web.server import Request, Site

from palaver.log import Log
from palaver.web.mounts import Found, Mounts
from palaver.web.problems import problem

log = Log("web")

# For the head and the body of one request, and for the next one on a connection.
REQUEST_TIMEOUT_S = 60
# What a request may bring where its resource says nothing of it; so much is held in memory.
MAX_BODY_BYTES = 1024 * 1024

_TOO_LARGE = b'{"type":"about:blank","title":"Request Entity Too Large","status":413,"detail":"Send less."}'
TOO_LARGE = (
    b"HTTP/1.1 413 Request Entity Too Large\r\nconnection: close\r\n"
    b"content-type: application/problem+json\r\ncontent-length: %d\r\n\r\n%b" % (len(_TOO_LARGE), _TOO_LARGE)
)


class Refused(Resource):
    """Answers every request with one problem."""

    isLeaf = True

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__()
        self._status = status
        self._detail = detail

    def render(self, request: Any) -> bytes:
        """Refuse."""
        return problem(request, self._status, self._detail)


NOT_FOUND = Refused(HTTPStatus.NOT_FOUND, "There is nothing at this address")


class WebRequest(Request):
    """A request whose owner is known before its body is read.

    A resource that is mounted may say with ``max_body_bytes(request)`` how much it takes, and give with
    ``open_body(request)`` a file for it; otherwise bodies are small and in memory. One with
    ``receive(request)`` gets what is posted there as it came, and answers with `palaver.web.exchange`.
    """

    found: Found | None = None
    # Whoever holds it back for an answer, and is to be told when its client is gone.
    awaits: Any = None
    _limit = MAX_BODY_BYTES
    _taken = 0

    def gotLength(self, length: int | None) -> None:
        """See IRequest: the head has been read, the body has not."""
        channel: Any = self.channel
        path = channel._path.split(b"?", 1)[0].decode("latin-1")
        self.found = channel.site.find(self, path)
        owner = self.found.resource if self.found is not None else None
        limit = getattr(owner, "max_body_bytes", None)
        if limit is not None:
            self._limit = limit(self)
        opened = getattr(owner, "open_body", None)
        self.content = opened(self) if opened is not None else BytesIO()
        if length is not None and length > self._limit:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._taken += len(data)
        if self._taken <= self._limit:
            super().handleContentChunk(data)
        else:
            self._refuse()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """See Request."""
        receive = getattr(self.found.resource, "receive", None) if command == b"POST" and self.found else None
        if receive is None:
            super().requestReceived(command, path, version)
            return
        channel: Any = self.channel
        self.method, self.uri, self.clientproto = command, path, version
        self.site = channel.site
        content: Any = self.content
        content.seek(0)
        try:
            receive(self)
        except Exception:
            self.processingFailed(Failure())

    def connectionLost(self, reason: Failure) -> None:
        """See Request."""
        super().connectionLost(reason)
        awaits, self.awaits = self.awaits, None
        if awaits is not None:
            awaits.request_lost(self)

    def _refuse(self) -> None:
        """Answer at once, and read no more; a client that goes on sending is not waited for."""
        channel: Any = self.channel
        if channel is not None and channel.transport.connected:
            channel.transport.write(TOO_LARGE)
            channel.loseConnection()


class WebSite(Site):
    """The site of one listening port."""

    displayTracebacks = False

    def __init__(self, port: Any, mounts: Mounts, reactor: Any) -> None:
        """``port`` is the `HttpPort` that the site is behind."""
        super().__init__(NOT_FOUND, WebRequest, reactor=reactor, timeout=REQUEST_TIMEOUT_S)
        self.port = port
        self._mounts = mounts
        self._speaking: WeakSet[Any] = WeakSet()

    def buildProtocol(self, address: Any) -> Any:
        """See Site; who speaks HTTP is known, to be cut off at the end."""
        protocol = super().buildProtocol(address)
        self._speaking.add(protocol)
        return protocol

    def handed_over(self, protocol: Any) -> None:
        """Note a connection that speaks something else from here on."""
        self._speaking.discard(protocol)

    def close(self) -> None:
        """End the connections that speak HTTP, once they have got their answers."""
        for channel in self._channels():
            channel.loseConnection()

    def cut_off(self) -> None:
        """End the connections that speak HTTP."""
        for channel in self._channels():
            channel.transport.abortConnection()

    @property
    def is_silent(self) -> bool:
        """True when nobody is left."""
        return not self._channels()

    def _channels(self) -> list[Any]:
        channels = [protocol._channel for protocol in self._speaking]
        return [one for one in channels if one.transport is not None and one.transport.connected]

    def find(self, request: Any, path: str) -> Found | None:
        """Give the owner of a path on the host that the request names."""
        name = request.getRequestHostname().decode("latin-1")
        return self._mounts.find(self._mounts.domain(name), path)

    def getResourceFor(self, request: Any) -> Any:
        """See Site; the owner's part of the path is behind the request, the rest before it."""
        found = request.found
        request.site = self
        if found is None:
            return NOT_FOUND
        for _ in range(found.depth):
            request.prepath.append(request.postpath.pop(0))
        return getChildForRequest(found.resource, request)

    def log(self, request: Any) -> None:
        """Write no line in the format of old."""

    def acceptableProtocols(self) -> list[bytes]:
        """Speak HTTP/1.1: a WebSocket cannot be made of HTTP/2 here."""
        return [b"http/1.1"]
