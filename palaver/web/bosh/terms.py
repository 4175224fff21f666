"""What was agreed upon when a BOSH session began, and the requests that come in it."""

from __future__ import annotations

from typing import Any, NamedTuple

from palaver.web.bosh.body import Body


class Terms(NamedTuple):
    """What was agreed upon when the session began. Times are seconds."""

    wait: int
    hold: int
    inactivity: float
    polling: int
    max_pause: int
    acks: bool
    """Whether the server acknowledges requests."""
    client_acks: bool
    headers: bytes
    """Of every answer."""

    @property
    def requests(self) -> int:
        """How many requests may be open at once."""
        return self.hold + 1

    @property
    def polls(self) -> bool:
        """True when no request is held."""
        return not self.hold or not self.wait


class Poll:
    """A request that came."""

    __slots__ = ("arrived", "body", "repeats", "request", "rid")

    def __init__(self, rid: int, body: Body, request: Any, arrived: float) -> None:
        self.rid = rid
        self.body = body
        # None once its client is gone.
        self.request = request
        self.arrived = arrived
        self.repeats = 0
