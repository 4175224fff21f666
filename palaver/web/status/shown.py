"""What accounts let everybody see, and what is seen then."""

from __future__ import annotations

from typing import NamedTuple

from zope.interface import Interface

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


class IWebPresence(Interface):
    """Shows accounts of a host to everybody who asks over HTTP; found in the host's registry."""

    def path_of(local):
        """Give the path of an account's page."""

    def shown(local):
        """Give an awaitable of what an account lets be seen, a `Shown`; fails with StorageError."""

    def show(local, shown):
        """Store what an account lets be seen; an awaitable, fails with StorageError."""

    def status(local):
        """Give an awaitable of the `Status` that everybody may see; fails with StorageError.

        It does the same work for every name: nobody learns which accounts there are.
        """
