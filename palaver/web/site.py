"""The site: from a request's host and path to what a module has mounted there, with limits on bodies."""

from __future__ import annotations

import re
from http import HTTPStatus
from io import BytesIO
from typing import Any

from twisted.python.failure import Failure
from twisted.web.resource import Resource, getChildForRequest
from twisted.web.server import Request, Site

from palaver import metrics
from palaver.log import HIDDEN, Log
from palaver.web.channels import Channels, WebChannel
from palaver.web.mounts import Found, Mounts
from palaver.web.pages.html import refusal
from palaver.web.problems import problem

log = Log("web")

# How long a body that goes into a file may make no progress.
BODY_TIMEOUT_S = 60
# What a request may bring where its resource says nothing of it; so much is held in memory.
MAX_BODY_BYTES = 64 * 1024

_TOO_LARGE = b'{"type":"about:blank","title":"Request Entity Too Large","status":413,"detail":"Send less."}'
TOO_LARGE = (
    b"HTTP/1.1 413 Request Entity Too Large\r\nconnection: close\r\n"
    b"content-type: application/problem+json\r\ncontent-length: %d\r\n\r\n%b" % (len(_TOO_LARGE), _TOO_LARGE)
)

# Words, or too short for a secret: what is shown of a path that is nobody's.
_is_plain = re.compile(rb"[a-z._-]*|.{0,15}", re.DOTALL).fullmatch


class Refused(Resource):
    """Answers every request with one problem; people with browsers get a page."""

    isLeaf = True

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__()
        self._status = status
        self._detail = detail

    def render(self, request: Any) -> bytes:
        """Refuse."""
        if b"text/html" in (request.getHeader(b"accept") or b""):
            return refusal(request, self._status, self._status.phrase, f"{self._detail}.")
        return problem(request, self._status, self._detail)


class Nowhere(BytesIO):
    """Takes the body of a request that is refused, and forgets it."""

    def write(self, data: Any) -> int:
        """Forget a piece."""
        return len(data)


NOT_FOUND = Refused(HTTPStatus.NOT_FOUND, "There is nothing at this address")
# RFC 9112 section 3.2: whoever stands before us may have read another one of them.
NO_HOST = Refused(HTTPStatus.BAD_REQUEST, "Name one host in one Host header")


class WebRequest(Request):
    """A request whose owner is known before its body is read.

    A resource that is mounted may say with ``max_body_bytes(request)`` how much it takes, and give with
    ``open_body(request)`` a file for it, or None for what it refuses; otherwise bodies are small and in
    memory. One with ``receive(request, data)`` gets what is posted there as it came, and answers with
    `palaver.web.exchange`.
    """

    found: Found | None = None
    # Whoever holds it back for an answer, and is to be told when its client is gone.
    awaits: Any = None
    # When its head had come, in seconds of the reactor's clock.
    began = 0.0
    names_a_host = True
    _limit = MAX_BODY_BYTES
    _taken = 0

    def getHeader(self, key: Any) -> Any:
        """See Request; what is no UTF-8 is read as far as it can be, where Twisted's own raises an error."""
        if isinstance(key, bytes):
            return super().getHeader(key)
        value = super().getHeader(key.encode())
        return value.decode("utf-8", "replace") if value is not None else None

    def gotLength(self, length: int | None) -> None:
        """See IRequest: the head has been read, the body has not."""
        channel: Any = self.channel
        path = channel._path.split(b"?", 1)[0].decode("latin-1")
        names = self.requestHeaders.getRawHeaders(b"host", ())
        self.names_a_host = len(names) == 1 or (not names and channel._version == b"HTTP/1.0")
        self.found = channel.site.find(self, path) if self.names_a_host else None
        self.began = channel.site.reactor.seconds()
        owner = self.found.resource if self.found is not None else None
        limit = getattr(owner, "max_body_bytes", None)
        if limit is not None:
            self._limit = limit(self)
        opened = getattr(owner, "open_body", None)
        self.content = BytesIO() if opened is None else opened(self)
        if self.content is None:
            self.content = Nowhere()
        elif opened is not None:
            # It may take as long as it makes some progress.
            channel.site.channels.asked(channel)
            channel.setTimeout(BODY_TIMEOUT_S)
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
        channel: Any = self.channel
        channel.site.channels.asked(channel)
        if command != b"POST" or self.found is None or not hasattr(self.found.resource, "receive"):
            super().requestReceived(command, path, version)
            return
        self.method, self.uri, self.clientproto = command, path, version
        self.path = path
        self.site = channel.site
        channel.remember(self)
        content: Any = self.content
        self.taken(content.getvalue())

    def again(self, channel: WebChannel) -> WebRequest:
        """Give a request with the same head."""
        request = WebRequest.__new__(WebRequest)
        request.__dict__.update(self.__dict__)
        request.channel, request.content, request.notifications = channel, None, []
        request.finished = request.startedWriting = 0
        request.began = channel.site.reactor.seconds()
        channel.site.channels.asked(channel)
        return request

    def taken(self, data: bytes) -> None:
        """Give the body to the owner."""
        assert self.found is not None
        try:
            self.found.resource.receive(self, data)
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
            metrics.http_requests["4xx"] += 1
            log.info("body-too-large", address=channel.site.port.client(self).address, limit=self._limit)
            channel.transport.write(TOO_LARGE)
            channel.loseConnection()


class WebSite(Site):
    """The site of one listening port."""

    displayTracebacks = False

    protocol: Any = WebChannel

    def __init__(self, port: Any, mounts: Mounts, reactor: Any) -> None:
        """``port`` is the `HttpPort` that the site is behind."""
        super().__init__(NOT_FOUND, WebRequest, reactor=reactor, timeout=None)
        self.port = port
        self.channels = Channels(reactor)
        self.mounts = mounts

    def close(self) -> None:
        """End the connections that speak HTTP, once they have got their answers."""
        for channel in self.channels.all():
            channel.loseConnection()

    def cut_off(self) -> None:
        """End the connections that speak HTTP."""
        for channel in self.channels.all():
            channel.forceAbortClient()

    def find(self, request: Any, path: str) -> Found | None:
        """Give the owner of a path on the host that the request names."""
        name = request.getRequestHostname().decode("latin-1")
        return self.mounts.find(self.mounts.domain(name), path)

    def getResourceFor(self, request: Any) -> Any:
        """See Site; the owner's part of the path is behind the request, the rest before it."""
        found = request.found
        request.site = self
        if found is None:
            return NOT_FOUND if request.names_a_host else NO_HOST
        for _ in range(found.depth):
            request.prepath.append(request.postpath.pop(0))
        return getChildForRequest(found.resource, request)

    def log(self, request: Any) -> None:
        """Count a request that is answered, and write a line about it.

        What is behind the owner's part of a path may be a secret, such as that of an invitation, and stays
        one when its owner finds nothing there or is switched off. Of long polls there are too many for a
        line each, unless somebody looks for a defect.
        """
        channel = request.channel
        self.channels.answered(channel)
        metrics.http_requests[f"{request.code // 100}xx"] += 1
        found = request.found
        polled = found is not None and hasattr(found.resource, "receive") and request.method == b"POST"
        if polled and not log.debugging:
            return
        path: object = shown_path(request.path)
        if found is not None and (found.depth or request.code != HTTPStatus.NOT_FOUND):
            path = found.path
        (log.debug if polled else log.info)(
            "request",
            address=self.port.client(request).address,
            host=request.getRequestHostname(),
            method=request.method,
            path=path,
            status=request.code,
            bytes=request.sentLength,
            ms=round((self.reactor.seconds() - request.began) * 1000, 1),
        )

    def acceptableProtocols(self) -> list[bytes]:
        """Speak HTTP/1.1: a WebSocket cannot be made of HTTP/2 here."""
        return [b"http/1.1"]


def shown_path(path: bytes) -> bytes:
    """Give a path as it may be written to a log, without what could be a secret."""
    segments = path.split(b"/")
    return b"/".join([segment if _is_plain(segment) else HIDDEN.encode() for segment in segments])
