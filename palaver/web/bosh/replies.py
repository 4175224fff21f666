"""The last answers of a BOSH session, kept for clients whose network has lost one (XEP-0124 section 14.3)."""

from __future__ import annotations

from typing import NamedTuple

# What a client that acknowledges nothing of what it promised to acknowledge may make us keep.
MAX_KEPT = 8


class Reply(NamedTuple):
    """What was answered."""

    data: bytes
    key: str | None
    """That of the request; whoever asks again must have it."""
    when: float
    """Seconds of the clock."""


class Replies:
    """Answers by the rid of their request."""

    __slots__ = ("_kept", "_size", "last")

    def __init__(self, size: int, acknowledged: bool) -> None:
        """``size`` answers are kept; more of them, until they are, when the client acknowledges them."""
        self._size = MAX_KEPT if acknowledged else size
        self._kept: dict[int, Reply] = {}
        # The highest rid that was answered.
        self.last = 0

    def add(self, rid: int, reply: Reply) -> None:
        """Keep an answer, and the oldest no longer."""
        self._kept[rid] = reply
        self.last = max(self.last, rid)
        if len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]

    def get(self, rid: int) -> Reply | None:
        """Give an answer that is kept."""
        return self._kept.get(rid)

    def acknowledge(self, rid: int) -> None:
        """Forget what the client has; the last answer stays, in case that it asks again nevertheless."""
        for number in [number for number in self._kept if number <= rid and number != self.last]:
            del self._kept[number]
