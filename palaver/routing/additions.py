"""What is sent with rosters and is not kept in them, such as the rooms that somebody belongs to.

The version of a roster says of which additions it is, so that clients with roster versioning miss none.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from palaver.routing.roster import query
from palaver.routing.rosters import push_payload

if TYPE_CHECKING:
    from palaver.routing.roster import Roster
    from palaver.routing.users import User

# As long as that of shared contacts: a version with both is a number with less than 20 digits.
STAMP_BYTES = 6
_STAMPS = 1 << (8 * STAMP_BYTES)


class Addition(NamedTuple):
    """One item as clients see it; ``version`` is another one whenever the item is."""

    jid: str
    version: str
    item: bytes

    @property
    def stamp(self) -> int:
        """What this adds to the version of a roster."""
        text = f"{self.jid}\n{self.version}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=STAMP_BYTES).digest(), "big")


def restamp(roster: Roster, additions: list[Addition]) -> None:
    """Give a roster the version that it has with these additions, and no others."""
    _restamp(roster, sum(addition.stamp for addition in additions))


def _restamp(roster: Roster, stamp: int) -> None:
    change = stamp % _STAMPS - roster.added
    if change:
        roster.added += change
        roster.stamp += change
        roster.apply((), (), roster.version + change)


def push_addition(user: User, before: Addition | None, now: Addition | None, removal: bytes) -> None:
    """Send an addition that is another one now to all sessions that have asked for the roster.

    ``before`` is None for a new one, ``now`` for one that is gone: then ``removal`` is sent.
    """
    if not any(session.roster_interested for session in user.sessions.values()):
        # Who asks next is given all of them anew.
        return
    roster = user.roster
    _restamp(roster, roster.added - (before.stamp if before else 0) + (now.stamp if now else 0))
    push_payload(user, query(roster.version, now.item if now else removal), f"push-{roster.version}")
