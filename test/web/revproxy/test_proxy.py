"""The reverse proxy on real sockets: what passes, what does not, and at whose speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import deferLater

from palaver.test.federation.authority import Authority
from palaver.test.web.case import WebCase
from palaver.test.web.raw import Raw, connect
from palaver.test.web.revproxy.upstream import Behind, Upstream, reactor, until
from palaver.test.web.uploads import Reply, exchange

# Long enough for what is done at once, on a busy machine.
TIMEOUT_S = 1.0
MIB = 1024 * 1024


class ProxyCase(WebCase):
    """A server with routes to an upstream."""

    more: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> Any:
        """Start both."""
        self.upstream = Upstream()
        self.addCleanup(self.upstream.stop)
        local = f"http://127.0.0.1:{self.upstream.port}"
        self.routes = [
            {"host": "_", "path": "/app", "upstream": local, "headers": {"X-Key": "sesame"}},
            {"host": "_", "path": "/only", "method": "GET", "upstream": f"{local}/x/"},
            {"host": "_", "path": "/closed", "upstream": "http://127.0.0.1:1"},
        ]
        self.modules = {  # type: ignore[misc]
            "mod_revproxy": {"routes": self.routes, "timeout": TIMEOUT_S, **self.more}
        }
        return super().setUp()

    @property
    def page(self) -> Any:
        """The page, once something has been asked for."""
        return self.palaver.hosts["localhost"].modules["mod_revproxy"]._page

    def ask(self, method: str, target: str, body: bytes = b"", head: str = "") -> Deferred[Reply]:
        """Ask the proxy, and wait for nothing."""
        return Deferred.fromCoroutine(exchange(self.http_port, method, target, body, head))

    async def wire(self, text: str) -> Raw:
        """Give a connection over which the beginning of a request went."""
        wire = await connect(self.http_port)
        self.addCleanup(wire.drop)
        wire.transport.write(text.encode())
        return wire

    async def asked(
        self, method: str = "GET", target: str = "/app", **more: Any
    ) -> tuple[Deferred[Reply], Behind]:
        """Ask, and give the answer to come and what the upstream has got."""
        waiting = self.ask(method, target, **more)
        return waiting, await self.upstream.next()


class RequestTests(ProxyCase):
    """What the upstream gets."""

    async def test_head(self) -> None:
        """Method, path and query come as they were, headers too; what is for one connection stays behind."""
        head = (
            "Accept: text/*\r\nCookie: a=b\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\n"
            "Keep-Alive: 5\r\nUpgrade: websocket\r\nProxy-Authorization: Basic x\r\n"
            "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=x\r\n"
            "X-Forwarded-Host: evil.example\r\nX-Real-IP: 192.0.2.8\r\nX-Key: mine\r\nVia: 1.1 other\r\n"
        )
        waiting, behind = await self.asked("GET", "/app/%C3%BC/a+b?x=%20&y[]=1", head=head)
        self.assertEqual(
            behind.head,
            [
                "GET /app/%C3%BC/a+b?x=%20&y[]=1 HTTP/1.1",
                "accept: text/*",
                "cookie: a=b",
                f"host: 127.0.0.1:{self.upstream.port}",
                "via: 1.1 other",
                "via: 1.1 palaver",
                # This machine is a trusted proxy by default.
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: localhost",
                "x-forwarded-proto: http",
                "x-key: sesame",
            ],
        )
        behind.answer(b"there")
        self.assertEqual((await waiting).body, b"there")

    async def test_rest(self) -> None:
        """An upstream with a path gets what is behind the matched part."""
        waiting, behind = await self.asked("GET", "/only/a?b")
        self.assertEqual(behind.head[0], "GET /x/a?b HTTP/1.1")
        behind.answer()
        await waiting

    async def test_bodies(self) -> None:
        """Bodies arrive whole, with their length or in chunks, whatever the method."""
        for method, head, sent, expected in (
            ("PUT", "", b"abc", b"abc"),
            ("PUT", "", b"", b""),
            ("POST", "Content-Length: 3\r\n", b"abc", b"abc"),
            ("PATCH", "Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
            ("DELETE", "Content-Length: 0\r\n", b"", b""),
            ("GET", "", b"", b""),
        ):
            waiting, behind = await self.asked(method, "/app", body=sent, head=head)
            if "chunked" in head:
                await behind.has(b"0\r\n\r\n")
                self.assertIn("transfer-encoding: chunked", behind.head)
                self.assertEqual(b"".join(behind.body.split(b"\r\n")[1::2]), expected)
            else:
                await until(lambda behind=behind, expected=expected: behind.body == expected)
                lengths = [line for line in behind.head if line.startswith("content-length")]
                self.assertEqual(
                    lengths, [f"content-length: {len(expected)}"] if method not in ("GET", "DELETE") else []
                )
            # Another request is to come over another connection.
            behind.answer(b"ok", "Connection: close\r\n")
            self.assertEqual((await waiting).body, b"ok")

    async def test_kept(self) -> None:
        """Connections to the upstream are used again."""
        waiting, behind = await self.asked()
        behind.answer(b"1")
        await waiting
        waiting = self.ask("GET", "/app/2")
        await behind.has(b"/app/2")
        behind.answer(b"2")
        self.assertEqual((await waiting).body, b"2")
        self.assertEqual(len(self.upstream.connections), 1)

    async def test_at_once(self) -> None:
        """The upstream has the beginning of a body before its end was sent."""
        wire = await self.wire(
            "POST /app HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc"
        )
        behind = await self.upstream.next()
        await behind.has(b"\r\n\r\nabc")
        wire.transport.write(b"def")
        await behind.has(b"\r\n\r\nabcdef")
        behind.answer(b"all")
        self.assertEqual(Reply(await wire.all()).body, b"all")


class AnswerTests(ProxyCase):
    """What the client gets."""

    async def test_head(self) -> None:
        """Status and headers come as they were; what is for one connection stays behind."""
        waiting, behind = await self.asked()
        behind.answer(
            b"no",
            "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: theirs\r\nKeep-Alive: 5\r\n"
            "Location: http://elsewhere.example/\r\nTrailer: X\r\n",
            "302 Found It",
        )
        reply = await waiting
        self.assertEqual((reply.status, reply.body, reply.headers["content-length"]), (302, b"no", "2"))
        self.assertEqual(reply.headers["location"], "http://elsewhere.example/")
        self.assertEqual((reply.headers["server"], reply.headers["set-cookie"]), ("theirs", "b=2"))
        for name in ("keep-alive", "trailer", "content-type"):
            self.assertNotIn(name, reply.headers)

    async def test_kinds(self) -> None:
        """Answers of every kind end where they end."""
        chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        for method, status, head, body, expected in (
            ("GET", "200 OK", "Transfer-Encoding: chunked\r\nConnection: close\r\n", chunks, b"5"),
            ("HEAD", "200 OK", "Content-Length: 5\r\nConnection: close\r\n", b"", b""),
            ("GET", "204 No Content", "Content-Encoding: x\r\nConnection: close\r\n", b"", b""),
            ("GET", "304 Not Modified", "Content-Length: 5\r\nETag: x\r\nConnection: close\r\n", b"", b""),
            ("GET", "100 Continue\r\n\r\nHTTP/1.1 200 OK", "Connection: close\r\n", b"abc", b"abc"),
        ):
            waiting, behind = await self.asked(method)
            behind.answer(body, head, status)
            reply = await waiting
            self.assertEqual(reply.status, int(status.rpartition("HTTP/1.1 ")[2].split()[0]))
            if expected == b"5":
                self.assertEqual(b"".join(reply.body.split(b"\r\n")[1::2]), b"abcde")
            else:
                self.assertEqual(reply.body, expected)
                self.assertNotEqual(reply.headers.get("content-length"), "0")

    async def test_until_closed(self) -> None:
        """An answer without a length ends with the upstream's connection."""
        waiting, behind = await self.asked()
        behind.transport.write(b"HTTP/1.1 200 OK\r\n\r\nabc")
        behind.transport.loseConnection()
        self.assertIn(b"abc", (await waiting).body)

    async def test_at_once(self) -> None:
        """The client has the beginning of an answer before its end is known, as events need it."""
        wire = await self.wire("GET /app HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        behind = await self.upstream.next()
        behind.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        await until(lambda: wire.data.endswith(b"abc"))
        behind.transport.write(b"def")
        self.assertTrue((await wire.all()).endswith(b"abcdef"))


class SpeedTests(ProxyCase):
    """Neither side is sent more than it takes."""

    more: ClassVar[dict[str, Any]] = {"max_body_size": 200 * MIB, "timeout": 20}

    async def test_slow_client(self) -> None:
        """An upstream is held up by a client that does not read, and goes on when it does."""
        wire = await self.wire("GET /app HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        wire.transport.pauseProducing()
        behind = await self.upstream.next()
        size = 100 * MIB
        behind.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        sent = await self._pour(behind.transport, size)
        self.assertLess(sent, 40 * MIB)
        wire.transport.resumeProducing()
        await self._pour(behind.transport, size, sent)
        data = await wire.all()
        self.assertEqual(len(data) - data.index(b"\r\n\r\n") - 4, size)

    async def test_slow_upstream(self) -> None:
        """A client is held up by an upstream that does not read, and goes on when it does."""
        size = 100 * MIB
        wire = await self.wire(
            f"POST /app HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
        )
        behind = await self.upstream.next()
        behind.transport.pauseProducing()
        sent = await self._pour(wire.transport, size)
        self.assertLess(sent, 40 * MIB)
        counted = 0

        def count(data: bytes) -> None:
            nonlocal counted
            counted += len(data)

        behind.dataReceived = count  # type: ignore[method-assign]
        before = len(behind.body)
        behind.transport.resumeProducing()
        await self._pour(wire.transport, size, sent)
        await until(lambda: before + counted == size)
        behind.answer(b"all")
        self.assertTrue((await wire.all()).endswith(b"all"))

    async def _pour(self, transport: Any, size: int, sent: int = 0) -> int:
        """Write until there is no more, or until nothing is taken for a while; gives how much was written."""
        idle = 0
        while sent < size and idle < 60:
            if transport.dataBuffer or transport._tempDataBuffer:
                idle += 1
            else:
                idle = 0
                transport.write(bytes(MIB))
                sent += MIB
            await deferLater(reactor, 0.005 if idle else 0)
        return sent


class FaultTests(ProxyCase):
    """What goes wrong, and what the client is told."""

    more: ClassVar[dict[str, Any]] = {"max_connections": 3, "max_body_size": 1000}

    async def test_refused(self) -> None:
        """What is no request for an upstream never gets there."""
        for method, target, head, status in (
            ("GET", "/app/../x", "", 400),
            ("GET", "/app/%2e%2e/x", "", 400),
            ("GET", "/app/%00", "", 400),
            ("PUT", "/only", "", 404),
            ("GET", "/other", "", 404),
            ("TRACE", "/app", "", 501),
            ("CONNECT", "localhost:80", "", 404),
            ("POST", "/app", "Content-Length: 1001\r\n", 413),
        ):
            reply = await self.ask(method, target, head=head)
            self.assertEqual(reply.status, status, (method, target))
        self.assertEqual(self.upstream.connections, [])

    async def test_too_much(self) -> None:
        """Too much in chunks is seen on the way, and ends what has begun."""
        wire = await self.wire("POST /app HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        wire.transport.write(b"258\r\n" + bytes(600) + b"\r\n")
        behind = await self.upstream.next()
        wire.transport.write(b"258\r\n" + bytes(600) + b"\r\n")
        self.assertEqual(Reply(await wire.all()).status, 413)
        await until(lambda: behind.lost)
        self.assertEqual(self.page._open, set())

    async def test_down(self) -> None:
        """An upstream that does not listen is a bad gateway, with a body or without."""
        for method, body in (("GET", b""), ("PUT", b"abc"), ("HEAD", b"")):
            reply = await self.ask(method, "/closed/secret", body)
            self.assertEqual(reply.status, 502)
            self.assertEqual(bool(reply.body), method != "HEAD")

    async def test_garbage(self) -> None:
        """So is one that speaks no HTTP, or nothing at all."""
        for said in (b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b""):
            waiting, behind = await self.asked("POST", "/app")
            behind.transport.write(said)
            behind.transport.loseConnection()
            self.assertEqual((await waiting).status, 502, said)

    async def test_silent(self) -> None:
        """One that does not answer in time is told of, and its connection ended."""
        waiting, behind = await self.asked()
        self.assertEqual((await waiting).status, 504)
        await until(lambda: behind.lost)

    async def test_broken(self) -> None:
        """An answer that breaks off, or stops, is cut off for the client too: it must not look whole."""
        for ends in (True, False):
            wire = await self.wire("GET /app HTTP/1.1\r\nHost: localhost\r\n\r\n")
            behind = await self.upstream.next()
            behind.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            await until(lambda wire=wire: wire.data.endswith(b"abc"))
            if ends:
                behind.transport.abortConnection()
            self.assertTrue((await wire.all()).endswith(b"abc"))
            await until(lambda behind=behind: behind.lost)
        self.assertEqual(self.page._open, set())

    async def test_early(self) -> None:
        """An upstream may refuse a body before its end; the client gets that once it has sent it."""
        wire = await self.wire(
            "POST /app HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc"
        )
        behind = await self.upstream.next()
        behind.answer(b"no", "Connection: close\r\n", "403 Forbidden")
        behind.transport.loseConnection()
        await until(lambda: behind.lost)
        wire.transport.write(b"def")
        self.assertEqual(Reply(await wire.all()).status, 403)

    async def test_client_gone(self) -> None:
        """With the client goes the request, wherever it is."""
        for sent, answered in (
            ("POST /app HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc", b""),
            (
                "POST /app HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc",
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            ),
            ("GET /app HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
            (
                "GET /app HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            ),
        ):
            wire = await self.wire(sent)
            behind = await self.upstream.next()
            behind.transport.write(answered)
            if answered:
                await deferLater(reactor, 0.05)
            await wire.drop()
            await until(lambda behind=behind: behind.lost)
            await until(lambda: not self.page._open)

    async def test_stalled_client(self) -> None:
        """A client that sends half a body and no more is cut off in time."""
        wire = await self.wire("POST /app HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc")
        behind = await self.upstream.next()
        await wire.closed()
        await until(lambda: behind.lost)

    async def test_many(self) -> None:
        """One too many is told to come again; then there is room again."""
        waiting = [await self.asked() for _ in range(3)]
        reply = await self.ask("GET", "/app")
        self.assertEqual((reply.status, reply.headers["retry-after"]), (503, "5"))
        for answer, behind in waiting:
            behind.answer(b"x", "Connection: close\r\n")
            self.assertEqual((await answer).status, 200)
        answer, behind = await self.asked()
        behind.answer()
        self.assertEqual((await answer).status, 200)

    async def test_reload(self) -> None:
        """A request under way is answered though its module is gone, and the next one is not sent on."""
        waiting, behind = await self.asked()
        module = self.palaver.hosts["localhost"].modules.pop("mod_revproxy")
        await module.detach()
        self.assertEqual((await self.ask("GET", "/app")).status, 404)
        behind.answer(b"late", "Connection: close\r\n")
        self.assertEqual((await waiting).body, b"late")


class TlsTests(ProxyCase):
    """Upstreams over TLS."""

    def setUp(self) -> Any:
        """Have one with a certificate of a private authority."""
        authority = Authority(Path(self.mktemp()))
        file = authority.sign("upstream", [x509.DNSName("localhost")])
        self.secure = Upstream(DefaultOpenSSLContextFactory(file, file))
        self.addCleanup(self.secure.stop)
        self.more = {"ca_file": str(authority.path)}  # type: ignore[misc]
        return super().setUp()

    async def _set_up(self) -> None:
        for name in ("localhost", "127.0.0.1"):
            upstream = f"https://{name}:{self.secure.port}/"
            self.routes.append({"host": "_", "path": f"/{name}", "upstream": upstream})
        await super()._set_up()

    async def test_trusted(self) -> None:
        """A certificate of that authority is good for its own name, and for no other."""
        waiting = self.ask("GET", "/localhost/a")
        behind = await self.secure.next()
        self.assertEqual(behind.head[0], "GET /a HTTP/1.1")
        behind.answer(b"secret", "Connection: close\r\n")
        self.assertEqual((await waiting).body, b"secret")
        self.assertEqual((await self.ask("GET", "/127.0.0.1/a")).status, 502)
