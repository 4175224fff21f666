"""Errors of push services, counted (XEP-0357 section 7.1)."""

from __future__ import annotations

from collections import OrderedDict

from palaver.errors import StanzaError

# These are about the way to the service and not its own words; it may be back tomorrow.
ON_THE_WAY = frozenset(("remote-server-not-found", "remote-server-timeout"))
# Registrations with errors that are remembered; of a forgotten one the count begins anew.
MAX_COUNTED = 10_000


class Faults:
    """How many errors in a row each registration has brought."""

    def __init__(self, max_errors: int) -> None:
        self._max = max_errors
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()

    def is_final(self, local: str, key: str, error: StanzaError) -> bool:
        """Count an error; tells whether it is the end of the registration.

        One of the type cancel is, and the last of too many others. One of the type wait does not count.
        """
        if error.type == "wait":
            return False
        if error.type == "cancel" and error.condition not in ON_THE_WAY:
            return True
        count = self._counts.pop((local, key), 0) + 1
        self._counts[local, key] = count
        if len(self._counts) > MAX_COUNTED:
            self._counts.popitem(last=False)
        return count >= self._max

    def forget(self, local: str, key: str) -> None:
        """Begin anew: something was accepted, or the registration is another one."""
        self._counts.pop((local, key), None)
