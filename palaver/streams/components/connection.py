"""TCP below the streams of components: as below client streams, with another header."""

from __future__ import annotations

from typing import Any

from palaver.markup import attributes
from palaver.settings import ComponentListener
from palaver.streams.listener import Listener
from palaver.streams.tcp import Connection

STREAM_HEADER = b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'%b>"


class ComponentConnection(Connection):
    """One accepted socket; ``stream`` is a `palaver.streams.components.stream.ComponentStream`."""

    def open_stream(self, attrs: dict[str, str]) -> None:
        """Write a stream header with these attributes, the content namespace among them."""
        self.write(STREAM_HEADER % attributes(attrs).encode())

    def _idle(self) -> None:
        """Write a space when nothing was read for long, so that a dead connection shows itself."""
        idle: float = self.factory.settings.idle_s
        quiet = self.factory.wheel.now() - self.heard
        if quiet >= idle:
            self.keep_alive()
            quiet = 0.0
        self.expire_in(idle - quiet, self._idle)


class ComponentPort(Listener):
    """What the connections of one port for components share."""

    protocol = ComponentConnection

    def __init__(self, table: ComponentListener, *arguments: Any) -> None:
        """``arguments`` are those of Listener."""
        super().__init__(*arguments)
        self.table = table
