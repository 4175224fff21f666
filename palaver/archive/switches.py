"""Sessions that have switched archiving off for as long as they last (XEP-0136 section 2.2.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from palaver.interfaces import ISession

# Where a session remembers it, for the case that the module is loaded anew.
KEY = "archive-off"
# Ended sessions are looked for when there are twice as many as were left the last time, and some more.
SPARE = 64


class Switches:
    """Which sessions of a host have archiving switched off.

    They are in ``off``, so that where nobody has done that it costs one look. ``sessions`` are those
    that are there already.
    """

    def __init__(self, sessions: Iterable[ISession] = ()) -> None:
        self.off: set[ISession] = {one for one in sessions if one.state and one.state.get(KEY)}
        self._prune_at = SPARE

    def turn(self, session: Any, on: bool) -> None:
        """Switch archiving on or off for an ISession."""
        session.remember(KEY).clear()
        self.off.discard(session)
        if not on and session.stream is not None:
            if len(self.off) >= self._prune_at:
                self.off = {one for one in self.off if one.stream is not None}
                self._prune_at = 2 * len(self.off) + SPARE
            session.remember(KEY)["off"] = True
            self.off.add(session)

    def silence(self, sessions: Mapping[str, ISession], resource: str) -> bool:
        """Tell whether what comes for an account is left out: ``sessions`` are all that it has.

        What is for one of them follows its switch; the rest is left out when all are switched off.
        """
        one = sessions.get(resource)
        return (
            one in self.off if one is not None else bool(sessions) and self.off.issuperset(sessions.values())
        )
