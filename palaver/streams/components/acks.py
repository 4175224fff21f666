"""Acknowledgements on a component's stream (XEP-0198), without resumption.

A component that asks learns what of its stanzas is done with: stored, where they had to be stored.
What goes to a component is not kept for it; while it is away, senders hear so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from palaver.errors import StreamError
from palaver.markup import element
from palaver.stanza import Stanza
from palaver.streams.managed import COUNTER_MODULO, NS_SM
from palaver.streams.received import Received

FEATURE = element("sm", NS_SM)
_NO_RESUMPTION = element("failed", NS_SM, element("item-not-found", "urn:ietf:params:xml:ns:xmpp-stanzas"))


class Acknowledgements:
    """Those of one stream; nothing is counted before ``<enable/>``."""

    __slots__ = ("_received", "_write")

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._received: Received | None = None

    def note(self, waiting: Deferred[Any] | None) -> None:
        """Count a stanza, once what it waits for is done."""
        if self._received is not None:
            if waiting is not None:
                self._received.beside(waiting)
            self._received.take(None)

    def takes(self, nonza: Stanza) -> bool:
        """Take an element of stream management; False for any other. Raises `StreamError`."""
        if nonza.ns != NS_SM:
            return False
        if nonza.name == "enable":
            if self._received is not None:
                raise StreamError("policy-violation", "Stream management is on already")
            self._received = Received()
            self._write(element("enabled", NS_SM))
        elif nonza.name == "resume":
            self._write(_NO_RESUMPTION)
        elif self._received is None or nonza.name not in ("r", "a"):
            raise StreamError("policy-violation", f"<{nonza.name}/> does not belong here")
        elif nonza.name == "r":
            self._answer(self._received)
        return True

    def _answer(self, received: Received) -> None:
        def acknowledge() -> None:
            self._write(element("a", NS_SM, h=str(received.count % COUNTER_MODULO)))

        acknowledge()
        idle = received.idle()
        if idle is not None:
            # What is under way is acknowledged when it is done, without being asked again.
            idle.addCallback(lambda _: acknowledge())
