"""Short HTTP requests to one server: over kept connections, few at a time, each with a time limit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, TimeoutError, succeed
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, DNSLookupError, SSLError
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, ResponseFailed
from twisted.web.client import ResponseNeverReceived as NeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer
from zope.interface import implementer

from palaver.push.service import PushFailed

# Nobody reads what the server says beside its status.
MAX_ANSWER_BYTES = 64 * 1024
# How many requests may wait for a connection, for each connection.
MAX_WAITING = 100
USER_AGENT = b"palaver"

FAILURES = (
    CancelledError,
    ConnectError,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
    ResponseFailed,
    SSLError,
    TimeoutError,
)


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or "@" in parts.netloc
        or not url.isascii()
    ):
        # The text is not repeated: there may be a password in it.
        raise ValueError("it is no URL, or names a user; allowed: such as https://push.example.org:8443")
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_checked)]
"""Where a web server is, for settings; without a slash at its end."""


class HttpPool:
    """Posts to URLs, or asks otherwise; at most ``max_connections`` at a time, others wait."""

    def __init__(
        self,
        reactor: Any,
        max_connections: int,
        timeout_s: float,
        ca_file: Path | None = None,
        agent: IAgent | None = None,
    ) -> None:
        """``ca_file`` has the certificates to trust instead of the system's; ``agent`` is used if given.

        Raises OSError and ValueError for a file that cannot be used.
        """
        self._clock = reactor
        self._timeout_s = timeout_s
        self._turns = DeferredSemaphore(max_connections)
        self._posted: set[Deferred[int]] = set()
        self._closed = False
        self._max_waiting = max_connections * MAX_WAITING
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = max_connections
        policy = BrowserLikePolicyForHTTPS(trusted(ca_file)) if ca_file else BrowserLikePolicyForHTTPS()
        self._agent = agent or Agent(reactor, policy, connectTimeout=timeout_s, pool=self._pool)

    def close(self) -> Deferred[Any]:
        """Give up what is under way, and close the connections that are kept."""
        self._closed = True
        for posted in list(self._posted):
            posted.cancel()
        closed: Deferred[Any] = self._pool.closeCachedConnections()
        return closed

    async def post(self, url: str, content_type: str, body: bytes) -> int:
        """Give the status of the answer. Raises PushFailed."""
        return await self.request(b"POST", url, {b"content-type": content_type.encode()}, body)

    async def request(
        self, method: bytes, url: str, headers: Mapping[bytes, bytes], body: bytes | None = None
    ) -> int:
        """Give the status of the answer. Raises PushFailed."""
        if len(self._turns.waiting) >= self._max_waiting:
            raise PushFailed("too many requests are waiting")
        await self._turns.acquire()
        try:
            try:
                return await self._request(method, url, headers, body)
            except NeverReceived:
                # The server has closed a connection that was kept; another one is made.
                return await self._request(method, url, headers, body)
        except FAILURES as error:
            raise PushFailed(f"no answer: {type(error).__name__}") from None
        finally:
            self._turns.release()

    def _request(
        self, method: bytes, url: str, headers: Mapping[bytes, bytes], body: bytes | None
    ) -> Deferred[int]:
        if self._closed:
            raise PushFailed("no more requests are made")
        posted = Deferred.fromCoroutine(self._exchange(method, url, headers, body))
        self._posted.add(posted)
        posted.addTimeout(self._timeout_s, self._clock, _timed_out)
        return posted.addBoth(self._done, posted)

    def _done(self, outcome: Any, posted: Deferred[int]) -> Any:
        self._posted.discard(posted)
        return outcome

    async def _exchange(
        self, method: bytes, url: str, headers: Mapping[bytes, bytes], body: bytes | None
    ) -> int:
        lines = Headers({b"user-agent": [USER_AGENT], **{name: [value] for name, value in headers.items()}})
        content = None if body is None else _Body(body)
        response: Any = await self._agent.request(method, url.encode("ascii"), lines, content)
        answer = _Answer()
        response.deliverBody(answer)
        await answer.finished
        return int(response.code)


def _timed_out(outcome: Any, timeout_s: float) -> Any:
    """Give the same failure whatever was under way when the time was over."""
    return Failure(TimeoutError(timeout_s)) if isinstance(outcome, Failure) else outcome


def trusted(ca_file: Path) -> Any:
    """Give the certificates of a PEM file to trust. Raises OSError, ValueError."""
    end = b"-----END CERTIFICATE-----"
    parts = [part + end for part in ca_file.read_bytes().split(end)[:-1]]
    if not parts:
        raise ValueError(f"{ca_file} has no certificates")
    return trustRootFromCertificates([Certificate.loadPEM(part) for part in parts])


@implementer(IBodyProducer)
class _Body:
    """A request's body that is there already."""

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self._body = body

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """See IBodyProducer."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """See IBodyProducer."""

    def resumeProducing(self) -> None:
        """See IBodyProducer."""

    def stopProducing(self) -> None:
        """See IBodyProducer."""


class _Answer(Protocol):
    """Reads an answer's body to its end, so that the connection can be used again."""

    def __init__(self) -> None:
        self.finished: Deferred[None] = Deferred(self._abort)
        self._left = MAX_ANSWER_BYTES

    def dataReceived(self, data: bytes) -> None:
        """See Protocol; too much ends the connection."""
        self._left -= len(data)
        if self._left < 0:
            self._abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See Protocol; the status has come, and nobody needs more."""
        if not self.finished.called:
            self.finished.callback(None)

    def _abort(self, finished: object = None) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()
