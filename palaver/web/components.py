"""Components over WebSocket: XEP-0114 in the frames of RFC 7395, with ``<open/>`` for the stream header."""

from __future__ import annotations

from typing import Any

from palaver.errors import StreamError
from palaver.stanza import NS_COMPONENT
from palaver.streams.components.connection import Lasting, stream_header
from palaver.web.interfaces import IWeb
from palaver.web.standalone import declaring
from palaver.web.upgrade import WebSocketPage
from palaver.web.websocket import WebSocketConnection, read_open


class ComponentWebSocket(Lasting, WebSocketConnection):
    """One WebSocket of a component; ``stream`` is a `palaver.streams.components.stream.ComponentStream`."""

    __slots__ = ()

    declared = staticmethod(declaring(NS_COMPONENT))

    def _element(self, data: bytes) -> None:
        """Take one element; ``<open/>`` is the stream header of XEP-0114, with the component's domain."""
        if data.startswith(b"<open"):
            try:
                data = stream_header({"xmlns": NS_COMPONENT, **read_open(data, "is_subdomain")})
            except StreamError as error:
                self.stream.end(error)
                return
        super()._element(data)

    def open_stream(self, attrs: dict[str, str]) -> None:
        """See Connection; the content namespace stands on every element."""
        super().open_stream({name: value for name, value in attrs.items() if name != "xmlns"})


class ComponentPage(WebSocketPage):
    """Where components connect."""

    connection = ComponentWebSocket

    def __init__(self, web: IWeb, always_secure: bool, listener: Any) -> None:
        super().__init__(web, (), always_secure)
        self._listener = listener

    def listener(self) -> Any:
        """See WebSocketPage."""
        return self._listener
