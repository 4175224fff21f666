"""The handshake of a WebSocket (RFC 6455 section 4): a page of the site that hands its connection over."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from twisted.internet.interfaces import ISSLTransport
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from websockets.datastructures import Headers
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from palaver import metrics
from palaver.web.interfaces import IWeb
from palaver.web.problems import problem
from palaver.web.websocket import WebSocketConnection

SUBPROTOCOL = Subprotocol("xmpp")
PAGE = (
    b"<!doctype html><title>XMPP</title>"
    b"<p>Here speaks XMPP over WebSocket (RFC 7395). Give this address to a client."
)


class WebSocketPage(Resource):
    """Where clients connect."""

    isLeaf = True
    connection: ClassVar[type[WebSocketConnection]] = WebSocketConnection

    def __init__(self, web: IWeb, origins: Sequence[str], always_secure: bool) -> None:
        """``origins`` are the pages whose scripts may connect; empty for all."""
        super().__init__()
        self._web: Any = web
        self._origins = [Origin(origin) for origin in origins] or None
        self._always_secure = always_secure

    def render_GET(self, request: Any) -> bytes | int:
        """Accept a WebSocket, or say what this is."""
        if not request.requestHeaders.hasHeader(b"sec-websocket-key"):
            request.setHeader(b"content-type", b"text/html; charset=utf-8")
            return PAGE
        if SUBPROTOCOL not in _tokens(request, b"sec-websocket-protocol"):
            return problem(request, HTTPStatus.NOT_IMPLEMENTED, "Ask for the subprotocol xmpp (RFC 7395)")
        listener = self.listener()
        client = self._web.client(request)
        handshake = ServerProtocol(origins=self._origins, subprotocols=[SUBPROTOCOL])
        response = handshake.accept(Handshake(request.uri.decode("latin-1"), _headers(request)))
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return problem(request, HTTPStatus(response.status_code), _reason(response))
        if not listener.admission.admit(client.address):
            metrics.connections_refused[listener.name] += 1
            return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, "Too many have not logged in yet")
        metrics.connections[listener.name] += 1
        handshake.send_response(response)
        secure = client.secure or self._always_secure
        connection = self.connection(listener, client.address, secure)
        _hand_over(request, b"".join(handshake.data_to_send()), connection)
        return NOT_DONE_YET

    def listener(self) -> Any:
        """Give what the connections share."""
        return self._web.listener("websocket")


def _hand_over(request: Any, answer: bytes, connection: WebSocketConnection) -> None:
    """Write the end of HTTP, and give the transport to the WebSocket."""
    channel = request.channel
    channel.setTimeout(None)
    transport = channel.transport
    transport.unregisterProducer()
    # What else the channel would do when the socket is lost is for requests, and there are none.
    request.channel = None
    place = "wrappedProtocol" if ISSLTransport.providedBy(transport) else "protocol"
    request.site.channels.closed(channel)
    setattr(transport, place, connection)
    transport.write(answer)
    connection.makeConnection(transport)


def _headers(request: Any) -> Headers:
    headers = Headers()
    for name, values in request.requestHeaders.getAllRawHeaders():
        for value in values:
            headers[name.decode("latin-1")] = value.decode("latin-1")
    return headers


def _tokens(request: Any, name: bytes) -> list[str]:
    lines = request.requestHeaders.getRawHeaders(name, ())
    return [token.strip() for line in lines for token in line.decode("latin-1").split(",")]


def _reason(response: Any) -> str:
    """Give the library's sentence about a handshake that failed."""
    text: str = response.body.decode("utf-8", "replace").strip()
    return text.replace("\n", " ")
