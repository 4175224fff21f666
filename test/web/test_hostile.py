"""What strangers write who mean no good: requests that two readers could read differently, and odd bytes."""

from __future__ import annotations

import re

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from palaver.test.web.pages.case import PageCase
from palaver.test.web.raw import Raw, connect, reactor
from palaver.test.web.uploads import LOOKS, UploadCase

HOST = b"Host: localhost\r\n"
POST = b"POST /account/login HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
# What a request that is hidden in the body of another one would be answered with.
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class HostileCase(PageCase):
    """Writes bytes."""

    async def answers(self, data: bytes) -> list[int]:
        """Give the status of each answer to some bytes, until the server closes."""
        connection = await connect(self.http_port)
        connection.transport.write(data)
        came = await connection.all()
        return [int(status) for status in STATUS.findall(came)]


class FramingTests(HostileCase):
    """Where a request ends."""

    async def test_lengths(self) -> None:
        """A body with two lengths, or none that is a number, is refused, and nothing in it is a request."""
        for head in (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            b"Content-Length: 5\r\nContent-Length: 6\r\n",
            b"Content-Length: 5, 5\r\n",
            b"Content-Length: +5\r\n",
            b"Content-Length: -1\r\n",
            b"Content-Length: 0x5\r\n",
            b"Content-Length : 5\r\n",
            b"Transfer-Encoding: xchunked\r\n",
            b"Transfer-Encoding: chunked, identity\r\n",
            b"Transfer-Encoding : chunked\r\n",
        ):
            self.assertEqual(await self.answers(POST + head + b"\r\n0\r\n\r\n" + SMUGGLED), [400], head)

    async def test_chunks(self) -> None:
        """A chunk whose length is no plain number is refused, and nothing behind it is a request."""
        for size in (b"zz", b"0x1", b"-1", b"+1", b" 1", b"1_0", b"", b"1;" + b"a" * 70_000):
            self.assertEqual(
                await self.answers(CHUNKED + size + b"\r\na\r\n0\r\n\r\n" + SMUGGLED), [400], size
            )

    async def test_large_bodies(self) -> None:
        """Where nobody takes a body, no large one is read."""
        for path in (b"/nothing", b"/", b"/.well-known/host-meta", b"/chat"):
            head = (
                b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: %d\r\n\r\n"
            )
            self.assertEqual(await self.answers(head % 70_000 + b"a" * 70_000), [413])

    async def test_trailers(self) -> None:
        """What stands behind the last chunk changes nothing of the request, nor of the next one."""
        trailer = b"1\r\na\r\n0\r\nContent-Length: 9\r\nHost: verona.example\r\n\r\n"
        last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        self.assertEqual(await self.answers(CHUNKED + trailer + last), [403, 200])


class HeadTests(HostileCase):
    """Heads of requests."""

    async def test_hosts(self) -> None:
        """A request names one host (RFC 9112 section 3.2), so that nobody reads it for another one's."""
        for lines in (b"", HOST + HOST, HOST + b"Host: verona.example\r\n"):
            head = b"GET / HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n"
            self.assertEqual(await self.answers(head), [400], lines)
        self.assertEqual(await self.answers(b"GET / HTTP/1.0\r\n\r\n"), [200])

    async def test_post_to_no_host(self) -> None:
        """What names two hosts is given to nobody, who takes what is posted to them as it comes neither."""
        lines = HOST + b"Host: verona.example\r\nContent-Length: 1\r\nConnection: close\r\n\r\na"
        self.assertEqual(await self.answers(b"POST /http-bind HTTP/1.1\r\n" + lines), [400])

    async def test_not_text(self) -> None:
        """Headers that are no UTF-8 are read as far as they can be: no error of ours, no trace in the log."""
        odd = b"\xff\xfe<\"'>"
        for path in (b"/", b"/admin", b"/account", b"/chat", b"/register", b"/status/romeo", b"/healthz"):
            head = b"GET " + path + b" HTTP/1.1\r\nHost: " + odd + b"\r\n"
            for name in (b"Cookie", b"Authorization", b"Origin", b"Accept", b"Sec-Fetch-Site", b"Range"):
                head += name + b": " + odd + b"\r\n"
            (status,) = await self.answers(head + b"Connection: close\r\n\r\n")
            self.assertLess(status, 500, path)
        posted = POST + b"Sec-Fetch-Site: \xff\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self.assertEqual(await self.answers(posted), [403])

    async def test_paths(self) -> None:
        """Whatever a path tries, it leads to nothing, or to a page that is there for everybody."""
        for path in (
            b"/chat/../../../etc/passwd",
            b"/%2e%2e/%2e%2e/etc/passwd",
            b"/chat/dist/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
            b"/chat/%00",
            b"/%00",
            b"/%ff",
            b"/admin/%2e%2e/%00/x",
            b"/account/%0d%0aSet-Cookie:a=b",
            b"/.well-known/%2e%2e/admin/localhost/accounts",
            b"//evil.example/%2e%2e",
            b"/a" * 5000,
            b"/invite/" + b"a" * 10_000,
            b"/upload/" + b"a" * 10_000,
            b"/status/" + b"a" * 10_000 + b"/html",
            b"foo",
            b"http://evil.example/",
        ):
            connection = await connect(self.http_port)
            head = b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
            connection.transport.write(head)
            came = await connection.all()
            self.assertIn(int(came[9:12]), (200, 401, 403, 404), path[:60])
            self.assertNotIn(b"root:", came)
            self.assertNotIn(b"\nlocation:", came.lower())
            self.assertNotIn(b"a=b\r\n", came)

    async def test_nothing_there(self) -> None:
        """People who have mistyped an address get a page that says so, programs get JSON."""
        answer = await self.visitor().get("/nothing", Accept="text/html,*/*")
        self.assertEqual(answer.status, 404)
        self.assertIn("<p>There is nothing at this address.</p>", answer.text)
        self.assertIn("default-src 'none'", answer.head)
        self.assertIn('"status": 404', (await self.visitor().get("/nothing")).text)

    async def test_large_heads(self) -> None:
        """A head that is too long or has too many lines ends its connection."""
        for lines in (b"X: " + b"a" * 100_000 + b"\r\n", b"X: a\r\n" * 2000):
            head = b"GET / HTTP/1.1\r\n" + HOST + lines + b"\r\n"
            self.assertIn(await self.answers(head), ([], [400]))


class HalfOpenTests(HostileCase):
    """Many who never finish what they have begun."""

    # Half as many again as are kept; both ends of each are in this process.
    MANY = 1500

    async def test_next_client(self) -> None:
        """Whoever comes after a crowd of half-open requests is served, and so is who was there before."""
        visitor = self.visitor()
        self.assertEqual((await visitor.get("/healthz")).status, 200)
        crowd = []
        for _ in range(self.MANY // 100):
            crowd += await gatherResults([self._half_open() for _ in range(100)])
        self.assertEqual((await visitor.get("/healthz")).status, 200)
        for connection in crowd:
            await connection.drop()

    def _half_open(self) -> Deferred[Raw]:
        async def begun() -> Raw:
            connection = await connect(self.http_port)
            connection.transport.write(b"POST /http-bind HTTP/1.1\r\nHost: local")
            return connection

        return Deferred.fromCoroutine(begun())


class SlowReaderTests(UploadCase):
    """Many who ask for a large file and read nothing of it."""

    async def test_readers(self) -> None:
        """So many are kept, and whoever reads gets the file."""
        # Beyond what the system takes from us for each of them.
        body = bytes(7_900_000)
        get = await self.upload(body)
        (site,) = self.palaver._door.sites
        site.channels.stalled.most = 3
        crowd = []
        for _ in range(6):
            connection = await connect(self.http_port)
            connection.transport.pauseProducing()
            connection.transport.write(f"GET {get} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            crowd.append(connection)
        for _ in range(LOOKS):
            if len(site.channels) == 3 and len(site.channels.stalled) == 3:
                break
            await deferLater(reactor, 0.01)
        self.assertEqual((len(site.channels), len(site.channels.stalled)), (3, 3))
        self.assertEqual((await self.http("GET", get)).body, body)
        for connection in crowd:
            connection.transport.resumeProducing()
            await connection.drop()
