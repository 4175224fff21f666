"""Bodies on their way through: each side is read no faster than the other one takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

# What may wait for the upstream's connection before the client is held up.
MAX_WAITING_BYTES = 64 * 1024


@implementer(IBodyProducer)
class Body:
    """The body of a request: a file as twisted.web writes to it, and what an Agent sends.

    ``moved`` is called with each piece, and ``gone`` when the client leaves before the request is answered.
    """

    def __init__(
        self, transport: Any, length: int | None, moved: Callable[[], None], gone: Callable[[], None]
    ) -> None:
        """``transport`` is the client's; ``length`` None for chunks."""
        self.length = UNKNOWN_LENGTH if length is None else length
        self._transport = transport
        self._moved = moved
        self._gone = gone
        self._consumer: IConsumer | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._is_whole = False
        self._is_dropped = False
        self._is_paused = False
        self._sent: Deferred[None] = Deferred()

    # -- what twisted.web calls ---------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Take a piece from the client."""
        self._moved()
        if self._is_dropped:
            return
        if self._consumer is not None:
            self._consumer.write(data)
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= MAX_WAITING_BYTES:
            self.pauseProducing()

    def seek(self, *_: int) -> None:
        """Do nothing: nobody reads it from here."""

    def tell(self) -> int:
        """Give nothing."""
        return 0

    def close(self) -> None:
        """Note the end of the request, answered or not."""
        self._gone()

    # -- what the page calls ------------------------------------------------------------

    def end(self) -> None:
        """Note that all has come."""
        self._is_whole = True
        # Nobody would notice that a client leaves which is not read from.
        self.resumeProducing()
        if self._consumer is not None and not self._sent.called:
            self._sent.callback(None)

    def drop(self) -> None:
        """Forget what is here and what comes: nobody takes it any more."""
        self._is_dropped = True
        self._consumer = None
        self._waiting.clear()
        self.resumeProducing()

    # -- IBodyProducer --------------------------------------------------------------------

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """See IBodyProducer."""
        self._consumer = consumer
        for data in self._waiting:
            consumer.write(data)
        self._waiting.clear()
        self.resumeProducing()
        if self._is_whole:
            self._sent.callback(None)
        return self._sent

    def pauseProducing(self) -> None:
        """See IBodyProducer: the client is held up."""
        if not self._is_paused and not self._is_whole:
            self._is_paused = True
            self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """See IBodyProducer."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resumeProducing()

    def stopProducing(self) -> None:
        """See IBodyProducer: the upstream wants no more, or is gone."""
        self.drop()


@implementer(IPushProducer)
class Answer(Protocol):
    """The body of an answer on its way to the client."""

    transport: Any

    def __init__(self, request: Any, moved: Callable[[], None]) -> None:
        self.finished: Deferred[bool] = Deferred()
        self._request = request
        self._moved = moved

    def connectionMade(self) -> None:
        """See IProtocol."""
        self._request.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self._moved()
        self._request.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol; ``finished`` fires with whether all has come."""
        if not self.finished.called:
            self.finished.callback(bool(reason.check(ResponseDone, PotentialDataLoss)))

    def pauseProducing(self) -> None:
        """See IPushProducer: the client reads more slowly than the upstream sends."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._moved()
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """See IPushProducer: the client is gone."""
        self.transport.stopProducing()


class Unwanted(Protocol):
    """Takes an answer that nobody waits for any more, and ends its connection."""

    transport: Any

    def connectionMade(self) -> None:
        """See IProtocol."""
        self.transport.stopProducing()
