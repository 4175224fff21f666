"""HTTP connections: who is heard, who keeps silent, and for how long anybody may.

A connection is silent while no whole request of it is there: after it was opened, while a request
trickles in, and between two requests. It is stalled while its client does not read what it has asked for. So
many of either are kept, and the longest silence and the longest stall end first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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

# What is written and not read costs up to 1 MiB each, for a large file.
MAX_STALLED = 512
# Until half a MiB is read: who is slower than 2 KiB a second asks for the rest in parts.
MAX_STALL_S = 300.0

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

    def pauseProducing(self) -> None:
        """See IPushProducer: the client does not read as fast as it is written to."""
        self.site.channels.stalled.add(self)
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self.site.channels.read(self, bool(self.requests))
        super().resumeProducing()

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


class Queue:
    """Connections that are not waited for long: the one that came first goes for one too many, or in time."""

    def __init__(self, clock: IReactorTime, most: int, longest_s: float) -> None:
        self.most = most
        self._clock: Any = clock
        self._longest_s = longest_s
        # Since when each one is here, the first one first.
        self._since: dict[WebChannel, float] = {}
        self._timer: Any = None

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, channel: WebChannel) -> bool:
        return channel in self._since

    def __iter__(self) -> Iterator[WebChannel]:
        return iter(self._since)

    def add(self, channel: WebChannel) -> None:
        """Take one in; for one too many the first one is cut off."""
        self._since[channel] = self._clock.seconds()
        if len(self._since) > self.most:
            metrics.connections_refused["http"] += 1
            # It is gone a turn later only, and the next one that comes in this turn is to end another one.
            first = next(iter(self._since))
            del self._since[first]
            first.forceAbortClient()
        if self._timer is None:
            self._timer = self._clock.callLater(self._longest_s, self._look)

    def remove(self, channel: WebChannel) -> bool:
        """Let one out; False when it is not here."""
        found = self._since.pop(channel, None) is not None
        if not self._since and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return found

    def _look(self) -> None:
        """Cut off those that are here for too long."""
        self._timer = None
        now = self._clock.seconds()
        for channel, since in list(self._since.items()):
            if since + self._longest_s > now:
                self._timer = self._clock.callLater(since + self._longest_s - now, self._look)
                return
            channel.forceAbortClient()


class Channels:
    """Those of one port."""

    def __init__(self, clock: IReactorTime, max_silent: int = MAX_SILENT) -> None:
        self.silent = Queue(clock, max_silent, MAX_SILENCE_S)
        self.stalled = Queue(clock, MAX_STALLED, MAX_STALL_S)
        """Those that do not read their answers; the longest without a byte first."""
        self._heard: set[WebChannel] = set()

    def __len__(self) -> int:
        return len(self.silent) + len(self._heard)

    def all(self) -> list[WebChannel]:
        """Give every connection that speaks HTTP."""
        return [*self.silent, *self._heard]

    def opened(self, channel: WebChannel) -> None:
        """Note a new connection."""
        metrics.connections["http"] += 1
        self.silent.add(channel)

    def closed(self, channel: WebChannel) -> None:
        """Note that a connection is gone, or speaks something else from here on."""
        self.silent.remove(channel)
        self.stalled.remove(channel)
        self._heard.discard(channel)

    def asked(self, channel: WebChannel) -> None:
        """Note that a request is there."""
        if self.silent.remove(channel):
            self._heard.add(channel)

    def answered(self, channel: WebChannel) -> None:
        """Note that a request was answered; its client is not silent while it still reads that."""
        if channel in self._heard and channel not in self.stalled:
            self._heard.discard(channel)
            self.silent.add(channel)

    def read(self, channel: WebChannel, is_asked: bool) -> None:
        """Note that a client has read what was written; ``is_asked`` when more of an answer is to come."""
        self.stalled.remove(channel)
        if not is_asked:
            self.answered(channel)
