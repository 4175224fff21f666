"""Who may learn what about an account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.jid import JID
from palaver.routing.rosters import roster_of

if TYPE_CHECKING:
    from palaver.routing.host import Host


async def sees_presence(host: Host, local: str, asker: JID) -> bool:
    """Tell whether somebody is subscribed to an account's presence; False when there is no such account.

    Raises StorageError.
    """
    return (await roster_of(host, local)).is_seen_by(asker.bare)
