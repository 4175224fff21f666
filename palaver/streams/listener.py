"""The factory of a port's connections, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from palaver import metrics
from palaver.streams.admission import Admission
from palaver.streams.flush import Flusher
from palaver.streams.settings import StreamSettings
from palaver.streams.tcp import Connection
from palaver.streams.wheel import Wheel


class Listener:
    """What the connections of one listening port share; a Twisted factory for ``protocol``."""

    noisy = False
    protocol: ClassVar[type[Connection]] = Connection

    def __init__(
        self,
        name: str,
        settings: StreamSettings,
        clock: Any,
        flusher: Flusher,
        wheel: Wheel,
        admission: Admission,
        tls: Any,
        make_stream: Callable[[Any], Any],
    ) -> None:
        """``make_stream`` gives the stream of a connection."""
        self.name = name
        self.settings = settings
        self.clock = clock
        self.flusher = flusher
        self.wheel = wheel
        self.admission = admission
        self.tls = tls
        self.make_stream = make_stream
        self.connections: set[Connection] = set()

    def buildProtocol(self, address: Any) -> Any:
        """Give a connection, or None (the socket is closed at once) when there are too many strangers."""
        host = getattr(address, "host", "local")
        if not self.admission.admit(host):
            metrics.connections_refused[self.name] += 1
            return None
        metrics.connections[self.name] += 1
        return self.protocol(self, host)

    def doStart(self) -> None:
        """See IProtocolFactory."""

    def doStop(self) -> None:
        """See IProtocolFactory."""
