"""A BOSH client for tests: each request over a socket of its own, answers as text and as trees."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from palaver.test.wire import WAIT_S, bind, parsed, plain

reactor: Any = _reactor

NS_BODY = "http://jabber.org/protocol/httpbind"
FIRST_RID = 1_000_000


class Request(Protocol):
    """One HTTP request; ``done`` fires with the whole answer when it is there, or when the socket is gone."""

    transport: Any

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.came = b""
        self.lost = False
        self.done: Deferred[bytes] = Deferred()
        self._end: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """Send the request."""
        self.transport.write(self._data)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.came += data
        head, separator, body = self.came.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if separator and not self.done.called and (length is None or len(body) >= int(length[1])):
            self.done.callback(self.came)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """See IProtocol."""
        self.lost = True
        self._end.callback(None)
        if not self.done.called:
            self.done.callback(self.came)

    async def answer(self) -> Answer:
        """Wait for the answer."""
        return Answer(await self.done.addTimeout(WAIT_S, reactor))

    async def gone(self) -> None:
        """Wait for the end of the socket."""
        if not self.lost:
            await self._end

    def drop(self) -> None:
        """Go without an answer."""
        self.transport.abortConnection()


class Answer:
    """What was answered."""

    def __init__(self, data: bytes) -> None:
        self.head, _, body = data.decode().partition("\r\n\r\n")
        self.status = int(self.head.split()[1]) if self.head else 0
        self.text = body

    @property
    def body(self) -> Any:
        """The body of BOSH as a tree."""
        return parsed(self.text)

    def __getitem__(self, name: str) -> str | None:
        """Give an attribute of it."""
        found: str | None = self.body.getAttribute(name)
        return found


class Bosh:
    """One session."""

    def __init__(self, port: int, path: str = "/http-bind") -> None:
        self.port = port
        self.path = path
        self.sid = ""
        self.rid = FIRST_RID
        self.requests: list[Request] = []

    async def post(self, text: str | bytes, head: str = "", method: str = "POST") -> Request:
        """Send anything."""
        data = text.encode() if isinstance(text, str) else text
        first = (
            f"{method} {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n{head}\r\n"
        )
        request = Request(first.encode() + data)
        self.requests.append(request)
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), request)
        return request

    async def send(self, inner: str = "", *, rid: int | None = None, **attrs: str) -> Request:
        """Send the next request of the session, or the one with this number."""
        if rid is None:
            self.rid += 1
            rid = self.rid
        shown = "".join(f" {name.replace('__', ':')}='{value}'" for name, value in attrs.items())
        shown = f"sid='{self.sid}' rid='{rid}'{shown}"
        return await self.post(f"<body xmlns='{NS_BODY}' xmlns:xmpp='urn:xmpp:xbosh' {shown}>{inner}</body>")

    async def ask(self, inner: str = "", *, rid: int | None = None, **attrs: str) -> Answer:
        """Send a request as `send` does, and give its answer."""
        return await (await self.send(inner, rid=rid, **attrs)).answer()

    async def open(self, rest: str = "", *, to: str = "localhost", wait: int = 60, hold: int = 1) -> Answer:
        """Begin the session."""
        answer = await (
            await self.post(
                f"<body xmlns='{NS_BODY}' xmlns:xmpp='urn:xmpp:xbosh' rid='{self.rid}' to='{to}' ver='1.6' "
                f"wait='{wait}' hold='{hold}' xml:lang='en' xmpp:version='1.0' {rest}/>"
            )
        ).answer()
        self.sid = answer["sid"] or ""
        return answer

    async def log_in(self, local: str, resource: str = "web", rest: str = "", wait: int = 60) -> None:
        """Log in and bind a resource."""
        await self.open(rest, wait=wait)
        found = await self.until("<success", await self.send(plain(local, "sesame")))
        found = await self.ask(xmpp__restart="true", to="localhost")
        if "<bind" not in found.text:
            raise AssertionError(found.text)
        await self.until(f"/{resource}</jid>", await self.send(bind(resource)))

    async def until(self, text: str, request: Request) -> Answer:
        """Ask again until an answer holds this text; gives it."""
        answer = await request.answer()
        while text not in answer.text:
            if "terminate" in answer.text or answer.status != 200:
                raise AssertionError(f"no {text}: {answer.head} {answer.text}")
            answer = await self.ask()
        return answer

    def drop(self) -> None:
        """End every socket."""
        for request in self.requests:
            if not request.lost and request.transport is not None:
                request.drop()
