"""TCP below the streams of components: as below client streams, with another header."""

from __future__ import annotations

from typing import Any

from palaver.markup import attributes
from palaver.settings import ComponentListener
from palaver.streams.listener import Listener
from palaver.streams.tcp import Connection

STREAM_HEADER = b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'%b>"


def stream_header(attrs: dict[str, str]) -> bytes:
    """Give a stream header with these attributes, the content namespace among them."""
    return STREAM_HEADER % attributes(attrs).encode()


class Lasting:
    """What becomes of a component's connection on which nothing comes: it has no session."""

    __slots__ = ()

    def _idle(self: Any) -> None:
        """Write what says nothing when nothing was read for long, so that a dead connection shows itself."""
        idle: float = self.factory.settings.idle_s
        quiet = self.factory.wheel.now() - self.heard
        if quiet >= idle:
            self.keep_alive()
            quiet = 0.0
        self.expire_in(idle - quiet, self._idle)


class ComponentConnection(Lasting, Connection):
    """One accepted socket; ``stream`` is a `palaver.streams.components.stream.ComponentStream`."""

    def open_stream(self, attrs: dict[str, str]) -> None:
        """See `stream_header`."""
        self.write(stream_header(attrs))


class ComponentPort(Listener):
    """What the connections of one port for components share."""

    protocol = ComponentConnection

    def __init__(self, table: ComponentListener, *arguments: Any) -> None:
        """``arguments`` are those of Listener."""
        super().__init__(*arguments)
        self.table = table
