"""HTTP requests to one server, on real loopback sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.iweb import IAgent
from zope.interface import implementer

from palaver.push.http import HttpPool, Url
from palaver.push.service import PushFailed
from palaver.test.push.web import WebServer

reactor: Any = _reactor


class PoolCase(TestCase):
    """A web server, and a pool of connections to it."""

    def setUp(self) -> None:
        """Start both."""
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.pool = self.make()

    def make(self, connections: int = 2, timeout_s: float = 5) -> HttpPool:
        """Give a pool, which is closed in the end."""
        pool = HttpPool(reactor, connections, timeout_s)
        self.addCleanup(pool.close)
        return pool

    def post(self, pool: HttpPool | None = None, body: bytes = b"hi", url: str = "") -> Deferred[int]:
        """Post something."""
        coroutine = (pool or self.pool).post(f"{url or self.web.url}/x?y=1", "text/plain", body)
        return Deferred.fromCoroutine(coroutine)

    async def failure(self, waiting: Deferred[int]) -> str:
        """Give why a request has failed."""
        try:
            status = await waiting
        except PushFailed as error:
            return str(error)
        self.fail(f"it has not failed: {status}")


class RequestTests(PoolCase):
    """Requests and their answers."""

    async def test_post(self) -> None:
        """The request arrives, and its status is given, whatever that is."""
        for status in (200, 204, 302, 410, 500):
            self.web.status = status
            self.assertEqual(await self.post(), status)
        one = self.web.posted[0]
        self.assertEqual(one, ("POST", "/x?y=1", "text/plain", b"hi"))

    async def test_kept(self) -> None:
        """A connection is used again."""
        for _ in range(5):
            await self.post()
        self.assertEqual(self.web.connections, 1)

    async def test_stale(self) -> None:
        """A connection that the server has closed costs no request."""
        await self.post()
        await self.web.drop()
        self.assertEqual(await self.post(), 200)
        self.assertEqual(len(self.web.posted), 2)

    async def test_few(self) -> None:
        """No more than so many requests are under way; the end of the pool is that of those that wait too."""
        self.web.silent = True
        pool = self.make(2, 5)
        waiting = [self.post(pool) for _ in range(5)]
        await self.web.wait_for(2)
        self.assertEqual(len(self.web.posted), 2)
        await pool.close()
        for one in waiting:
            await self.failure(one)
        self.assertEqual(len(self.web.posted), 2)

    async def test_refused(self) -> None:
        """Where nobody listens, the request fails."""
        await self.web.stop()
        self.assertIn("no answer", await self.failure(self.post()))

    async def test_silent(self) -> None:
        """A server that does not answer has its time, and gets no second request."""
        self.web.silent = True
        pool = self.make(1, 0.2)
        self.assertIn("TimeoutError", await self.failure(self.post(pool)))
        self.assertEqual(len(self.web.posted), 1)
        self.web.silent = False
        self.assertEqual(await self.post(pool), 200)

    async def test_huge(self) -> None:
        """An answer without an end is not read to its end; its status counts."""
        self.web.answer = b"x" * 10_000_000
        self.assertEqual(await self.post(), 200)

    async def test_no_tls(self) -> None:
        """A server without TLS is none with it."""
        secure = self.web.url.replace("http:", "https:")
        self.assertIn("no answer", await self.failure(self.post(self.make(1, 0.3), url=secure)))


@implementer(IAgent)
class Silent:
    """An agent that never answers."""

    def __init__(self) -> None:
        self.requests = 0

    def request(self, *arguments: Any, **options: Any) -> Deferred[Any]:
        """See IAgent."""
        self.requests += 1
        return Deferred()


class BoundTests(SynchronousTestCase):
    """What waits is bounded."""

    def test_waiting(self) -> None:
        """With too many waiting for a connection a request fails at once."""
        agent = Silent()
        pool = HttpPool(reactor, 1, 5, agent=agent)
        pool._max_waiting = 3
        waiting = [Deferred.fromCoroutine(pool.post("http://x/", "text/plain", b"")) for _ in range(5)]
        self.failureResultOf(waiting[4], PushFailed)
        self.assertEqual(agent.requests, 1)
        pool.close()
        for one in waiting[:4]:
            self.failureResultOf(one, PushFailed)

    def test_urls(self) -> None:
        """A URL in the settings is of a web server, and names no user."""
        adapter = TypeAdapter(Url)
        self.assertEqual(
            adapter.validate_python("https://push.example.org:8443/x/"), "https://push.example.org:8443/x"
        )
        for wrong in (
            "",
            "push.example.org",
            "ftp://x",
            "http://",
            "http://user:sesame@x",
            "http://bücher.example",
        ):
            error = self.assertRaises(ValidationError, adapter.validate_python, wrong)
            self.assertIn("it is no URL", str(error.errors()[0]["msg"]))

    def test_certificates(self) -> None:
        """A file without certificates is refused."""
        path = Path(self.mktemp())
        self.assertRaises(OSError, HttpPool, reactor, 1, 5, path)
        path.write_text("nothing")
        self.assertRaises(ValueError, HttpPool, reactor, 1, 5, path)
