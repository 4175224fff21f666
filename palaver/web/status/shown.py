"""What accounts let everybody see, and what is seen then."""

from __future__ import annotations

from typing import NamedTuple

OFFLINE, ONLINE = "offline", "online"
# RFC 6121 section 4.7.2.1; what a client makes up besides is online.
AWAY_STATES = ("chat", "away", "xa", "dnd")
STATES = (ONLINE, *AWAY_STATES, OFFLINE)


class Shown(NamedTuple):
    """What an account lets everybody see: whether it is there, and its status text with that."""

    presence: bool = False
    text: bool = False


class Status(NamedTuple):
    """What a page says: an address ("" for none), one of `STATES`, and a text or None."""

    jid: str
    state: str = OFFLINE
    text: str | None = None
