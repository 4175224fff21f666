"""A component over a WebSocket that has no socket: the same words as over TCP, carried in frames."""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat

from twisted.internet.task import Clock
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from palaver.settings import ComponentListener
from palaver.streams.admission import Admission
from palaver.streams.components.stream import ComponentStream
from palaver.streams.flush import Flusher
from palaver.streams.listener import Listener
from palaver.streams.settings import StreamSettings
from palaver.streams.wheel import Wheel
from palaver.test.components.talker import NS, Gates, Gateway
from palaver.test.streams.sockets import ADDRESS, Socket
from palaver.web.components import ComponentWebSocket

NS_FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
NS_STREAM = "http://etherx.jabber.org/streams"
OWN = f" xmlns='{NS}'"


class RecordingWebSocket(ComponentWebSocket):
    """Notes what the stream asks of it beside writing."""

    __slots__ = ("calls", "logged_in")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.calls: list[str] = []
        self.logged_in = 0

    def pause(self) -> None:
        self.calls.append("pause")
        super().pause()

    def resume(self) -> None:
        self.calls.append("resume")
        super().resume()

    def close(self) -> None:
        self.calls.append("close")
        super().close()

    def authenticated(self) -> None:
        self.logged_in += 1
        super().authenticated()


class WebGateway(Gateway):
    """One component's end of its WebSocket, after the handshake of HTTP."""

    connection: Any

    def __init__(self, gates: Gates, listener: ComponentListener) -> None:
        self.clock = Clock()
        settings = StreamSettings(tls="off", max_stanza_bytes=listener.max_stanza_bytes)
        shared = Listener(
            "component", settings, self.clock, Flusher(self.clock), Wheel(self.clock),
            Admission(None, None), None,
            lambda connection: ComponentStream(connection, gates.components, listener, settings),
        )  # fmt: skip
        shared.admission.admit(ADDRESS)
        self.connection = RecordingWebSocket(shared, ADDRESS, False)
        self.socket = Socket(self.connection)
        self.connection.makeConnection(self.socket)
        self.stream = self.connection.stream
        self.client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
        self.frames: list[str] = []

    def send(self, text: str | bytes) -> str:
        """Send text, a frame for each element of it; gives what came back, in the words of TCP."""
        for element in elements(text.decode() if isinstance(text, bytes) else text):
            self.client.send_text(element.encode())
            self.deliver()
        return self.take()

    def deliver(self) -> None:
        """Send what the library wants to send."""
        for data in self.client.data_to_send():
            if self.socket.connected and data:
                self.connection.dataReceived(data)

    def take(self) -> str:
        """Give what was written since the last call, in the words of TCP."""
        self.connection.flush()
        sent, self.socket.sends = b"".join(self.socket.sends), []
        self.client.receive_data(sent)
        self.frames = [
            bytes(frame.data).decode()
            for frame in self.client.events_received()
            if isinstance(frame, Frame) and frame.opcode is Opcode.TEXT
        ]
        return "".join(map(over_tcp, self.frames))


def elements(text: str) -> list[str]:
    """Give what a text holds as frames: the ends of a stream in their own form, what is no XML as it is."""
    if text.startswith("<stream:stream ") and text.endswith(">"):
        said = re.sub(r" xmlns(:stream)?='[^']*'", "", text[len("<stream:stream") : -1])
        return [f"<open xmlns='{NS_FRAMING}'{said}/>"]
    if text == "</stream:stream>":
        return [f"<close xmlns='{NS_FRAMING}'/>"]
    text = text.replace("<stream:error>", f"<stream:error xmlns:stream='{NS_STREAM}'>")
    return _cut(text)


def _cut(text: str) -> list[str]:
    data = f"<frames>{text}</frames>".encode()
    found: list[str] = []
    starts: list[int] = []
    parser: Any = expat.ParserCreate()

    def started(name: str, attrs: object) -> None:
        starts.append(parser.CurrentByteIndex)

    def ended(name: str) -> None:
        begin = starts.pop()
        if len(starts) == 1:
            # Where its end tag begins; behind an element that has none.
            end = parser.CurrentByteIndex
            if data.startswith(f"</{name}>".encode(), end):
                end = data.index(b">", end) + 1
            found.append(data[begin:end].decode())

    parser.StartElementHandler, parser.EndElementHandler = started, ended
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        return [text]
    return found or [text]


def over_tcp(frame: str) -> str:
    """Give what the same would be over TCP."""
    if frame.startswith("<open "):
        said = frame.replace(f" xmlns='{NS_FRAMING}'", "")[len("<open") : -2]
        return f"<stream:stream{OWN}{said}>"
    if frame.startswith("<close "):
        return "</stream:stream>"
    return frame.replace(OWN, "", 1).replace(f" xmlns:stream='{NS_STREAM}'", "", 1)
