"""Writing a copy as fast as its reader takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.web.account.download import Outflow


class FakeRequest:
    """A request whose connection takes so many pieces, and then no more until it is told to go on."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.written: list[bytes] = []
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See IConsumer."""
        self.producer = producer

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self.producer = None

    def write(self, data: bytes) -> None:
        """See IConsumer."""
        self.written.append(data)
        if len(self.written) >= self.takes:
            self.producer.pauseProducing()
            # Twisted may say so more than once.
            self.producer.pauseProducing()


class OutflowTests(SynchronousTestCase):
    """A reader that is slower than we are."""

    def setUp(self) -> None:
        """Begin to write a hundred pieces to somebody who takes three."""
        self.request = FakeRequest(3)
        self.asked = 0
        self.waiting = Deferred.fromCoroutine(Outflow(self.request).write(self.pieces()))

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give pieces, some of them empty."""
        for number in range(100):
            self.asked += 1
            yield b"%d" % number
            yield b""

    def test_slow(self) -> None:
        """Nothing is read ahead of a reader that does not read, and all of it comes in the end."""
        self.assertEqual((self.request.written, self.asked), ([b"0", b"1", b"2"], 3))
        self.request.takes = 1000
        self.request.producer.resumeProducing()
        self.assertIsNone(self.successResultOf(self.waiting))
        self.assertEqual(self.request.written, [b"%d" % number for number in range(100)])
        self.assertIsNone(self.request.producer)

    def test_gone(self) -> None:
        """With the reader the writing ends."""
        self.request.producer.stopProducing()
        self.waiting.cancel()
        self.failureResultOf(self.waiting, CancelledError)
        self.assertEqual(self.asked, 3)
        self.assertIsNone(self.request.producer)
