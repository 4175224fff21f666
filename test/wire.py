"""A client of nothing but a socket: it sends what a test tells it to, and gives what comes back.

    wire = await connect(port)
    await wire.log_in("romeo@localhost/orchard", "sesame")
    wire.send("<message to='juliet@localhost'><body>hi</body></message>")
    answer = await wire.ask("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>")

It reads with Twisted's own XML stream, not with the server's, and waits for nothing without an end.
"""

from __future__ import annotations

import base64
import re
import socket
from collections import deque
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import quoteattr

from OpenSSL import SSL
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.words.xish import domish
from zope.interface import implementer

NS_STREAM = "http://etherx.jabber.org/streams"
NS_TLS = "urn:ietf:params:xml:ns:xmpp-tls"
NS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
NS_BIND = "urn:ietf:params:xml:ns:xmpp-bind"
NS_PING = "urn:xmpp:ping"

# The server declares XML before each of its stream headers, and nothing else may look like that.
DECLARATION = re.compile(rb"(?=<\?xml )")
ANSWERS = ("result", "error")

# Far more than a loaded machine needs for anything; a test that gets there has failed.
WAIT_S = 20.0
# The smallest receive buffer that a system gives is about this.
DEAF_BUFFER_BYTES = 4096

reactor: Any = _reactor


@implementer(IOpenSSLClientConnectionCreator)
class AnyCertificate:
    """TLS that names the host (SNI) and believes any certificate: the server's is self-signed."""

    def __init__(self, host: str, speaks: bytes = b"xmpp-client") -> None:
        self._host = host
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_alpn_protos([speaks])

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """See IOpenSSLClientConnectionCreator."""
        connection = SSL.Connection(self._context, None)
        connection.set_tlsext_host_name(self._host.encode())
        return connection


class Wire(Protocol):
    """One connection. ``elements`` holds what came and was not taken yet, oldest first."""

    transport: Any

    def __init__(self) -> None:
        self.elements: deque[domish.Element] = deque()
        self.header: domish.Element | None = None
        """The server's last stream header; None until there is one."""
        self.ended = False
        """True once the server's ``</stream:stream>`` has come."""
        self.lost = False
        """True once the connection is gone."""
        self.jid = ""
        """The full JID, once bound."""
        self._waiting: Deferred[None] | None = None
        self._asked = 0
        self._parser = self._new_parser()

    # -- the socket ------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        # A stream that begins anew is a new document. What follows an end tag belongs to none.
        for part in DECLARATION.split(data):
            if DECLARATION.match(part):
                self._parser = self._new_parser()
            if not self.ended:
                self._parser.parse(part)
        self._changed()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """See IProtocol."""
        self.lost = True
        self._changed()

    def _new_parser(self) -> Any:
        parser = domish.elementStream()
        parser.DocumentStartEvent = self._header_came
        parser.ElementEvent = self.elements.append
        parser.DocumentEndEvent = self._end_came
        return parser

    def _header_came(self, header: domish.Element) -> None:
        self.header = header

    def _end_came(self) -> None:
        self.ended = True

    def _changed(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = WAIT_S) -> None:
        """Wait until a condition holds, looking whenever something has come. Raises AssertionError."""
        deadline = reactor.seconds() + seconds
        while not condition():
            if self.lost:
                raise AssertionError(f"the connection ended before {what}")
            self._waiting = Deferred()
            self._waiting.addTimeout(max(deadline - reactor.seconds(), 0.001), reactor)
            try:
                await self._waiting
            except DeferredTimeout:
                self._waiting = None
                raise AssertionError(f"no {what} within {seconds} s") from None

    # -- bytes and elements -------------------------------------------------------------

    def send(self, data: str | bytes) -> None:
        """Send as it is."""
        self.transport.write(data.encode() if isinstance(data, str) else data)

    async def send_slowly(self, data: str) -> None:
        """Send every byte in a segment of its own."""
        for byte in data.encode():
            self.transport.write(bytes([byte]))
            # What is written in one turn of the reactor leaves in one segment.
            await deferLater(reactor, 0)

    async def next(self, seconds: float = WAIT_S) -> domish.Element:
        """Take the next element of the stream. Raises AssertionError when there is none."""
        await self.until(lambda: bool(self.elements), "an element", seconds)
        return self.elements.popleft()

    async def ask(self, iq: str | None = None) -> domish.Element:
        """Send an IQ, or a ping, and take the answer with its id; all else stays where it is.

        As stanzas are taken in order, all that was sent before is done when the answer is there.
        """
        if iq is None:
            self._asked += 1
            iq = f"<iq type='get' id='settle-{self._asked}'><ping xmlns='{NS_PING}'/></iq>"
        wanted = parsed(iq)["id"]
        self.send(iq)

        def answers() -> list[domish.Element]:
            found = (element for element in self.elements if element.name == "iq")
            return [iq for iq in found if iq.getAttribute("id") == wanted and iq["type"] in ANSWERS]

        await self.until(lambda: bool(answers()), f"answer to {wanted}")
        (answer,) = answers()
        self.elements.remove(answer)
        return answer

    async def closed(self, seconds: float = WAIT_S) -> None:
        """Wait for the end of the connection."""
        await self.until(lambda: self.lost, "end of the connection", seconds)

    async def stream_error(self, seconds: float = WAIT_S) -> str:
        """Give the condition of the error that ends the stream; raises AssertionError when it ends otherwise.

        The end tag and the end of the connection must follow; what came before the error is left out.
        """
        await self.closed(seconds)
        error = self.elements[-1] if self.elements else None
        if error is None or (error.uri, error.name) != (NS_STREAM, "error"):
            raise AssertionError(f"no stream error at the end: {error and error.toXml()}")
        if not self.ended:
            raise AssertionError("a stream error without the end of the stream")
        return str(error.firstChildElement().name)

    def drop(self) -> None:
        """End the connection without a word."""
        self.transport.abortConnection()

    async def close(self) -> None:
        """End the stream as a client should, and wait until the server has done the same."""
        self.send("</stream:stream>")
        await self.closed()

    def stop_reading(self) -> None:
        """Read no more, with as little room for unread bytes as the system allows."""
        self.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DEAF_BUFFER_BYTES)
        self.transport.pauseProducing()

    # -- the way in ------------------------------------------------------------------------

    def open(self, to: str = "localhost", rest: str = "version='1.0'") -> None:
        """Send a stream header."""
        self.send(
            f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='{NS_STREAM}'"
            f" to={quoteattr(to)} {rest}>"
        )

    async def features(self, to: str = "localhost") -> domish.Element:
        """Open a stream and give its features."""
        self.open(to)
        found = await self.next()
        if (found.uri, found.name) != (NS_STREAM, "features"):
            raise AssertionError(f"no features: {found.toXml()}")
        return found

    def encrypt(self, host: str = "localhost") -> None:
        """Speak TLS from here on."""
        self.transport.startTLS(AnyCertificate(host))

    async def start_tls(self, host: str = "localhost") -> None:
        """Ask for TLS (RFC 6120 section 5.4.2) and begin it."""
        self.send(f"<starttls xmlns='{NS_TLS}'/>")
        answer = await self.next()
        if answer.name != "proceed":
            raise AssertionError(f"no TLS: {answer.toXml()}")
        self.encrypt(host)

    async def authenticate(self, local: str, password: str) -> domish.Element:
        """Log in with SASL PLAIN; gives ``<success/>`` or ``<failure/>``."""
        self.send(plain(local, password))
        return await self.next()

    async def log_in(self, jid: str, password: str) -> None:
        """Open, encrypt where that is offered, log in with PLAIN, bind. Raises AssertionError."""
        local, _, rest = jid.partition("@")
        host, _, resource = rest.partition("/")
        features = await self.features(host)
        if any(child.name == "starttls" for child in features.elements()):
            await self.start_tls(host)
            await self.features(host)
        answer = await self.authenticate(local, password)
        if answer.name != "success":
            raise AssertionError(f"{jid} is not let in: {answer.toXml()}")
        await self.features(host)
        bound = await self.ask(bind(resource))
        if bound["type"] != "result":
            raise AssertionError(f"{jid} is not bound: {bound.toXml()}")
        self.jid = str(bound.firstChildElement().firstChildElement())


async def connect(port: int, host: str = "127.0.0.1") -> Wire:
    """Give a connection on which nothing was said yet. Raises `ConnectError`."""
    wire = Wire()
    await connectProtocol(TCP4ClientEndpoint(reactor, host, port), wire)
    return wire


def plain(local: str, password: str) -> str:
    """Give ``<auth/>`` for SASL PLAIN."""
    data = base64.b64encode(f"\0{local}\0{password}".encode()).decode()
    return f"<auth xmlns='{NS_SASL}' mechanism='PLAIN'>{data}</auth>"


def bind(resource: str = "") -> str:
    """Give the IQ that binds a resource, or lets the server choose one."""
    inner = f"<resource>{resource}</resource>" if resource else ""
    return f"<iq type='set' id='bind'><bind xmlns='{NS_BIND}'>{inner}</bind></iq>"


def parsed(xml: str) -> domish.Element:
    """Give the one element in some XML, in the client's namespace and with the prefix ``stream`` known."""
    (element,) = parsed_all(xml)
    return element


def parsed_all(xml: str) -> list[domish.Element]:
    """Give the elements in some XML, in the client's namespace and with the prefix ``stream`` known."""
    found: list[domish.Element] = []
    parser = domish.elementStream()
    parser.DocumentStartEvent = lambda header: None
    parser.ElementEvent = found.append
    parser.DocumentEndEvent = lambda: None
    parser.parse(f"<all xmlns='jabber:client' xmlns:stream='{NS_STREAM}'>{xml}</all>".encode())
    return found
