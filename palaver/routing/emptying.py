"""What is stored for a host that is removed, deleted in small steps with others' writes between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from palaver.auth.accounts import NoSuchAccount, NotSupported
from palaver.routing.lifecycle import delete_account, forget_guest
from palaver.routing.rosters import ROSTER_KINDS
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.routing.host import Host

OWNERS_A_STEP = 20
# Between two steps, for the rest of the server.
PAUSE_S = 0.01

GoesOn = Callable[[], bool]
"""Tells whether there is time for another step."""


async def delete_accounts(host: Host, goes_on: GoesOn) -> bool:
    """Delete a host's accounts, one at a time, as if each were deleted by hand.

    Gives False when it was told to leave the rest for another time. Raises StorageError.
    """
    for local in await _accounts(host):
        if not goes_on():
            return False
        try:
            await delete_account(host, local)
        except NoSuchAccount:
            continue
        except NotSupported:
            # The account is somebody else's; what it has stored here is not.
            await forget_guest(host, local)
        await deferLater(host.clock, PAUSE_S)
    return True


async def _accounts(host: Host) -> list[str]:
    """Give the accounts, or those of whom something is stored where they cannot be listed."""
    try:
        found: list[str] = await host.accounts.list()
    except NotSupported:
        kinds = dict.fromkeys((*ROSTER_KINDS, *host.login_kinds))
        owners = [await host.storage.documents.owners(host.domain, kind) for kind in kinds]
        found = sorted({owner for some in owners for owner in some if owner})
    return found


async def delete_stored(storage: Any, clock: IReactorTime, domain: str, goes_on: GoesOn) -> bool:
    """Delete whatever else has the name of a domain, rooms and nodes among it; see `delete_accounts`."""
    while owners := await storage.documents.owners(domain, None, limit=OWNERS_A_STEP):
        if not goes_on():
            return False
        batch = Batch()
        for owner in owners:
            batch.delete(domain, owner).drop(domain, owner)
        await storage.write(batch)
        await deferLater(clock, PAUSE_S)
    return True
