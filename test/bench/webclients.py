"""Clients over WebSocket and BOSH for the load tool: prepared bytes out, needles counted in what comes."""

from __future__ import annotations

import base64
import os
import re
from collections import deque
from collections.abc import Iterator
from itertools import cycle
from typing import Any

from palaver.test.bench.xmppload import Client

NS_FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
NS_BODY = "http://jabber.org/protocol/httpbind"
NS_BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SOCKET_PATH = "/xmpp-websocket"
BOSH_PATH = "/http-bind"
# No server answers earlier than that with nothing, while the sessions of a run are set up.
WAIT_S = 120
FIRST_RID = 1000
READ_BYTES = 1 << 18

_TWO_BYTES = 126
_EIGHT_BYTES = 1 << 16
_find_length = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n").search


class WebClient(Client):  # type: ignore[misc]
    """What both transports share: each element is sent alone, and says its namespace itself."""

    jid: str
    buf: bytes
    sock: Any

    def __init__(self, opts: Any, user: str, number: int = 0) -> None:
        """See Client; ``opts.port`` is the one for HTTP."""
        super().__init__(opts, user, number)

    def login(self, resource: str = "load") -> WebClient:
        """Log in, bind, ask for the roster and become available."""
        self.open_stream()
        getattr(self, "auth_" + self.opts.sasl)()
        self.open_stream()
        bind = f"<bind xmlns='{NS_BIND}'><resource>{resource}</resource></bind>"
        self.send(f"<iq xmlns='jabber:client' type='set' id='b'>{bind}</iq>")
        found = re.search(rb"<jid>([^<]+)</jid>", self.until("</iq>"))
        assert found is not None
        self.jid = found[1].decode()
        self.send("<iq xmlns='jabber:client' type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        # The answer to the roster request may be an empty element.
        self.until("</iq>", "id='r'/>", 'id="r"/>')
        self.send("<presence xmlns='jabber:client'/>")
        self.until("<presence")
        return self


class SocketClient(WebClient):
    """A WebSocket; after the login ``sock`` is the pump's."""

    def __init__(self, opts: Any, user: str, number: int = 0) -> None:
        super().__init__(opts, user, number)
        key = base64.b64encode(os.urandom(16)).decode()
        super().send(
            f"GET {SOCKET_PATH} HTTP/1.1\r\nHost: {opts.domain}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"
        )
        answer = self.until("\r\n\r\n")
        if b" 101 " not in answer.splitlines()[0]:
            raise ConnectionError(f"no WebSocket: {answer!r}")

    def send(self, data: str) -> None:
        """Send an element as a frame."""
        super().send(frame(data.encode()))

    def open_stream(self) -> bytes:
        """See Client."""
        self.send(f"<open xmlns='{NS_FRAMING}' to='{self.opts.domain}' version='1.0'/>")
        return self.until("</stream:features>", "</features>")  # type: ignore[no-any-return]


def frame(data: bytes) -> bytes:
    """Give a masked frame; its mask is a random one, and work for the server."""
    mask = os.urandom(4)
    size = len(data)
    if size < _TWO_BYTES:
        head = bytes((0x81, 0x80 | size))
    elif size < _EIGHT_BYTES:
        head = bytes((0x81, 0x80 | _TWO_BYTES)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x81, 0x80 | _TWO_BYTES + 1)) + size.to_bytes(8, "big")
    return head + mask + bytes(one ^ other for one, other in zip(data, cycle(mask)))


class Wire:
    """One of the connections of a BOSH client."""

    def __init__(self, client: BoshClient, sock: Any) -> None:
        self.client = client
        self.sock = sock
        self._came = b""

    def answers(self, data: bytes) -> Iterator[bytes]:
        """Take bytes of it; give the body of each answer that is whole."""
        came = self._came + data
        while (end := came.find(b"\r\n\r\n")) >= 0:
            length = _find_length(came, 0, end + 4)
            if not came.startswith(b"HTTP/1.1 200") or length is None:
                raise ConnectionError(f"{self.client.user}: {came[:300]!r}")
            end += 4 + int(length[1])
            if len(came) < end:
                break
            body, came = came[end - int(length[1]) : end], came[end:]
            if b"terminate" in body[:300]:
                raise ConnectionError(f"{self.client.user}: {body!r}")
            yield body
        self._came = came


class BoshClient(WebClient):
    """A BOSH session that keeps one request with the server, and a second one for what it has to say."""

    def __init__(self, opts: Any, user: str, number: int = 0, wires: int = 2) -> None:
        super().__init__(opts, user, number)
        more = [Client(opts, user, number).sock for _ in range(wires - 1)]
        self.wires = [Wire(self, sock) for sock in (self.sock, *more)]
        self.free = deque(self.wires)
        # Those with a request that is not answered, the oldest first.
        self.asked: deque[Wire] = deque()
        self._rid = FIRST_RID
        self._sid = ""

    def request(self, inner: bytes, more: str = "") -> bytes:
        """Give the next request of the session."""
        self._rid += 1
        sid = f" sid='{self._sid}'" if self._sid else ""
        body = f"<body xmlns='{NS_BODY}' rid='{self._rid}'{sid}{more}>".encode() + inner + b"</body>"
        return (
            f"POST {BOSH_PATH} HTTP/1.1\r\nHost: {self.opts.domain}\r\n"
            f"Content-Type: text/xml; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def open_stream(self) -> bytes:
        """See Client."""
        session = f" to='{self.opts.domain}' xmlns:xmpp='urn:xmpp:xbosh' xml:lang='en'"
        if self._sid:
            self._ask(b"", session + " xmpp:restart='true'")
            return self.until("</stream:features>", "</features>")  # type: ignore[no-any-return]
        self._ask(b"", session + f" xmpp:version='1.0' ver='1.6' wait='{WAIT_S}' hold='1'")
        came = self.until("</stream:features>", "</features>")
        found = re.search(rb" sid=['\"]([^'\"]+)", came)
        assert found is not None
        self._sid = found[1].decode()
        return came  # type: ignore[no-any-return]

    def send(self, data: str) -> None:
        """Send an element."""
        self._ask(data.encode())

    def hold(self) -> None:
        """Have a request with the server."""
        if not self.asked:
            self._ask(b"")

    def until(self, *needles: str) -> bytes:
        """See Client; asks as long as nothing comes."""
        wanted = [needle.encode() for needle in needles]
        while not (found := [self.buf.index(each) + len(each) for each in wanted if each in self.buf]):
            self.hold()
            self._read()
        end = min(found)
        came, self.buf = self.buf[:end], self.buf[end:]
        return came

    def _ask(self, inner: bytes, more: str = "") -> None:
        while not self.free:
            self._read()
        wire = self.free.popleft()
        self.asked.append(wire)
        wire.sock.sendall(self.request(inner, more))

    def _read(self) -> None:
        """Wait for the answer of the oldest request."""
        wire = self.asked[0]
        while wire in self.asked:
            data = wire.sock.recv(READ_BYTES)
            if not data:
                raise ConnectionError(f"closed: {self.user}")
            for body in wire.answers(data):
                self.asked.remove(wire)
                self.free.append(wire)
                self.buf += body
