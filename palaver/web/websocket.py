"""XMPP over WebSocket (RFC 7395): a connection for client streams, its elements in frames.

Short texts, which is what comes and goes all day, are read and written by `palaver.web.frames`; all other
frames that come are for the websockets library.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.interfaces import ISSLTransport
from websockets.exceptions import PayloadTooBig
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from palaver.errors import NS_ERRORS, StreamError
from palaver.framing import MAX_HEADER_BYTES
from palaver.markup import element
from palaver.streams.listener import Listener
from palaver.streams.tcp import Connection
from palaver.tree import parse_element
from palaver.web import frames
from palaver.web.opening import END, stream_header
from palaver.web.standalone import standalone

NS_FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"

# A client has no reason to cut a stanza; what stands between may, now and then.
MAX_FRAGMENTS = 64

_CLOSE = element("close", NS_FRAMING)
# How a stanza ends that begins so.
_STANZA_ENDS = {b"<m": b"</message>", b"<p": b"</presence>", b"<i": b"</iq>"}


class WebSocketConnection(Connection):
    """One WebSocket after its handshake; ``stream`` gets what a client over TCP would have sent."""

    __slots__ = ("_frames", "_head", "_owed", "_pieces")

    # Gives an element with the declarations that it leans on.
    declared = staticmethod(standalone)

    def __init__(self, factory: Listener, address: str, secure: bool) -> None:
        """``secure`` tells whether the client speaks TLS, to us or to a proxy that we trust."""
        super().__init__(factory, address)
        self.secure = secure
        # One byte more is refused as soon as a frame's header announces it.
        self._frames = ServerProtocol(state=State.OPEN, max_size=factory.settings.max_stanza_bytes)
        # The pieces of a message that came cut, up to its last one.
        self._pieces: list[bytes] = []
        # The head of a frame, when too little of it has come.
        self._head = b""
        # What the library has still to get of its frame, in bytes.
        self._owed = 0

    def connectionMade(self) -> None:
        """See Connection; TLS, if there is any, is below HTTP."""
        super().connectionMade()
        self._deliver = self._frames_received
        transport: Any = self.transport
        if ISSLTransport.providedBy(transport):
            self._direct = False
            self.transport.registerProducer(self, True)

    def bindings(self) -> Any:
        """Give no channel bindings: a browser cannot name them, and a proxy would break them."""
        return {}

    @property
    def may_compress(self) -> bool:
        """See Connection: a stream has frames here, and no place for XEP-0138."""
        return False

    def certificate(self) -> None:
        """Give no certificate: the client's TLS may end at a proxy."""

    # -- from the client ------------------------------------------------------------------

    def _frames_received(self, data: bytes) -> None:
        """Take bytes of the WebSocket."""
        if self._head:
            data, self._head = self._head + data, b""
        at, size = 0, len(data)
        limit = self.factory.settings.max_stanza_bytes
        while at < size:
            if not self._owed:
                if not self._pieces:
                    found, at = frames.texts(data, at, limit)
                    self._texts(found)
                    if at == size:
                        return
                length = frames.frame_bytes(data, at)
                if length is None:
                    self._head = data[at:]
                    return
                self._owed = length
            piece = data[at : at + self._owed]
            at += len(piece)
            self._owed -= len(piece)
            self._other(piece)

    def _texts(self, found: list[bytes]) -> None:
        """Take texts that came together; stanzas go to the stream together.

        That none of them is ended by the next one is looked for only as far as that costs nothing: it would
        be a stanza all the same.
        """
        stanzas: list[bytes] = []
        for text in found:
            end = _STANZA_ENDS.get(text[:2])
            if end is not None and text.endswith(end):
                stanzas.append(text)
                continue
            if stanzas:
                self._give(b"".join(stanzas))
                stanzas = []
            self._element(text)
        if stanzas:
            self._give(b"".join(stanzas))

    def _other(self, data: bytes) -> None:
        """Take a frame of another kind, or a part of one."""
        library = self._frames
        library.receive_data(data)
        for frame in library.events_received():
            if isinstance(frame, Frame):
                self._take(frame)
        if library.parser_exc is not None:
            self._broken(library.parser_exc)
        for answer in library.data_to_send():
            if answer:
                super().write(answer)
            else:
                # What follows the end of a WebSocket is for the library, which forgets it.
                self._owed = sys.maxsize
                self.close()

    def _take(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT and frame.fin:
            self._element(bytes(frame.data))
        elif opcode is Opcode.TEXT or opcode is Opcode.CONT:
            self._pieces.append(bytes(frame.data))
            if frame.fin:
                pieces, self._pieces = self._pieces, []
                self._element(b"".join(pieces))
            elif len(self._pieces) > MAX_FRAGMENTS:
                self._refuse(CloseCode.POLICY_VIOLATION, "Too many fragments")
        elif opcode is Opcode.BINARY:
            self._refuse(CloseCode.UNSUPPORTED_DATA, "A frame is text here")

    def _element(self, data: bytes) -> None:
        """Take one message of the WebSocket, which is one element (RFC 7395 section 3.3.3)."""
        try:
            if data.startswith(b"<open"):
                data = stream_header(read_open(data))
            elif data.startswith(b"<close"):
                data = END
            elif not data.startswith(b"<"):
                raise StreamError("bad-format", "A frame begins with an element")
        except StreamError as error:
            self.stream.end(error)
        else:
            self._give(data)

    def _give(self, data: bytes) -> None:
        """Give the stream whole elements."""
        stream = self.stream
        stream.data_received(data)
        if stream.is_open and stream.unfinished:
            stream.end(StreamError("not-well-formed", "A frame is a whole element"))

    def _refuse(self, code: CloseCode, text: str) -> None:
        """End the stream, and then the WebSocket with a code of its own."""
        self._frames.fail(code, text)
        self.stream.end(StreamError("policy-violation", text))

    def _broken(self, error: Exception) -> None:
        """End the session for a frame that is too large; it would only be sent again when it is resumed."""
        if isinstance(error, PayloadTooBig):
            self.stream.end(StreamError("policy-violation", extra=element("stanza-too-big", NS_ERRORS)))
        else:
            self.stream.end(StreamError("bad-format", "No WebSocket frame"))

    # -- to the client ------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Queue one element as one frame."""
        data = self.declared(data)
        super().write(frames.header(len(data)) + data)

    def open_stream(self, attrs: dict[str, str]) -> None:
        """See Connection."""
        self.write(element("open", NS_FRAMING, b"", **attrs))

    def close_stream(self) -> None:
        """See Connection."""
        self.write(_CLOSE)
        if self._frames.state is State.OPEN:
            self._frames.send_close(CloseCode.NORMAL_CLOSURE)
        for data in self._frames.data_to_send():
            if data:
                super().write(data)
        self.close()

    def keep_alive(self) -> None:
        """Ping: white space between elements has no place here (RFC 7395 section 3.8)."""
        self._frames.send_ping(b"")
        for data in self._frames.data_to_send():
            super().write(data)


def read_open(data: bytes, *more: str) -> dict[str, str]:
    """Give the attributes of a stream header that ``<open/>`` has, ``more`` too; raises StreamError."""
    if len(data) > MAX_HEADER_BYTES:
        raise StreamError("policy-violation", "too large a stream header")
    try:
        opening = parse_element(data)
    except ValueError as error:
        raise StreamError("not-well-formed", str(error)) from None
    if (opening.uri, opening.name) != (NS_FRAMING, "open"):
        raise StreamError("invalid-namespace")
    known = {name: opening.getAttribute(name) for name in ("to", "from", "version", "id", *more)}
    known["xml:lang"] = opening.attributes.get(("http://www.w3.org/XML/1998/namespace", "lang"))
    return {name: value for name, value in known.items() if value is not None}
