"""HTTP connections: who is heard, who keeps silent, and for how long anybody may.

A connection is silent while no whole request of it is there: after it was opened, while a request
trickles in, and between two requests. So many of them are kept, and the longest silence ends first.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from palaver import metrics

# What the browsers of a few hundred people keep open between two requests.
MAX_SILENT = 1024
# For a whole request, and for the next one; what bodies into files take is not counted.
MAX_SILENCE_S = 60.0

# Longer bodies come in several pieces in any case.
MAX_LENGTH_DIGITS = 6

_find_length = re.compile(rb"\r\n[Cc]ontent-[Ll]ength:[ \t]*(\d+)\r\n").search
_DONE = Failure(ConnectionDone())


class Head(NamedTuple):
    """The head of a request to a resource with ``receive``; the next one is mostly the same."""

    before: bytes
    """What stands before the length of the body."""
    behind: bytes
    request: Any
    version: int
    """That of the mounts, when the owner was found."""


class WebChannel(HTTPChannel):
    """One HTTP connection."""

    site: Any
    transport: Any
    # Bytes go straight to the socket; TLS is not between.
    _direct = False
    _came = b""
    _head: Head | None = None

    def connectionMade(self) -> None:
        """See IProtocol."""
        super().connectionMade()
        self._direct = isinstance(self.transport, tcp.Connection)
        self.site.channels.opened(self)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol. A head that has come before, but for its length, is not read again."""
        if not self.requests and self.line_mode and not self._buffer:
            if self._request_again(data):
                return
            self._came = data
        super().dataReceived(data)
        self._came = b""

    def _request_again(self, data: bytes) -> bool:
        """Take a whole request whose head is that of the one before; False when it is another one."""
        head = self._head
        if head is None or not data.startswith(head.before):
            return False
        at = len(head.before)
        end = data.find(b"\r", at, at + MAX_LENGTH_DIGITS + 1)
        body = end + len(head.behind)
        digits = data[at:end]
        if (
            end < 0
            or not digits.isdigit()
            or not data.startswith(head.behind, end)
            or len(data) - body != int(digits)
        ):
            return False
        if head.version != self.site.mounts.version:
            self._head = None
            return False
        self._handlingRequest = True
        self.setRawMode()
        request = head.request.again(self)
        self.requests.append(request)
        request.taken(data[body:])
        return True

    def remember(self, request: Any) -> None:
        """Note the head of a request, when all of it came in one piece."""
        came, self._came = self._came, b""
        end = came.find(b"\r\n\r\n") + 4
        found = _find_length(came, 0, end)
        if (
            end >= 4
            and found is not None
            and self.persistent
            and not request.requestHeaders.hasHeader(b"expect")
        ):
            at, behind = found.span(1)
            self._head = Head(came[:at], came[behind:end], request, self.site.mounts.version)

    def send(self, data: bytes) -> None:
        """Write; at once, when nothing is before it."""
        transport = self.transport
        if self._direct and not transport.dataBuffer and not transport._tempDataBuffer:
            # The reactor's own way costs two epoll_ctl calls and a turn.
            try:
                data = data[transport.socket.send(data) :]
            except OSError:
                # Full, or broken: the reactor finds out.
                pass
        if data:
            transport.write(data)

    def connectionLost(self, reason: Failure = _DONE) -> None:
        """See IProtocol."""
        self.site.channels.closed(self)
        super().connectionLost(reason)

    def timeoutConnection(self) -> None:
        """See TimeoutMixin; nothing is owed to whoever sends half a body."""
        self.forceAbortClient()

    def forceAbortClient(self) -> None:
        """End it without another word; Twisted's own way writes a line about each."""
        self._abortingCall = None
        if self.transport is not None:
            self.transport.abortConnection()


class Channels:
    """Those of one port."""

    def __init__(self, clock: IReactorTime, max_silent: int = MAX_SILENT) -> None:
        self._clock: Any = clock
        self._max_silent = max_silent
        # Since when each one is silent, the longest silence first.
        self._silent: dict[WebChannel, float] = {}
        self._heard: set[WebChannel] = set()
        self._timer: Any = None

    def __len__(self) -> int:
        return len(self._silent) + len(self._heard)

    def all(self) -> list[WebChannel]:
        """Give every connection that speaks HTTP."""
        return [*self._silent, *self._heard]

    def opened(self, channel: WebChannel) -> None:
        """Note a new connection."""
        metrics.connections["http"] += 1
        self._is_silent(channel)

    def closed(self, channel: WebChannel) -> None:
        """Note that a connection is gone, or speaks something else from here on."""
        self._silent.pop(channel, None)
        self._heard.discard(channel)
        if not self._silent and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def asked(self, channel: WebChannel) -> None:
        """Note that a request is there."""
        if self._silent.pop(channel, None) is not None:
            self._heard.add(channel)

    def answered(self, channel: WebChannel) -> None:
        """Note that a request was answered."""
        if channel in self._heard:
            self._heard.discard(channel)
            self._is_silent(channel)

    def _is_silent(self, channel: WebChannel) -> None:
        self._silent[channel] = self._clock.seconds()
        if len(self._silent) > self._max_silent:
            metrics.connections_refused["http"] += 1
            next(iter(self._silent)).forceAbortClient()
        if self._timer is None:
            self._timer = self._clock.callLater(MAX_SILENCE_S, self._look)

    def _look(self) -> None:
        """End the silences that are too long."""
        self._timer = None
        now = self._clock.seconds()
        for channel, since in list(self._silent.items()):
            if since + MAX_SILENCE_S > now:
                self._timer = self._clock.callLater(since + MAX_SILENCE_S - now, self._look)
                return
            channel.forceAbortClient()
