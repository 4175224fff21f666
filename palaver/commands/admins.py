"""Who administers a host: those of the configuration, and those whom they have added."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from palaver.jid import JID
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.routing.host import Host

KIND = "admins"
# Documents of the host itself, which is no account.
OWNER = ""


async def added_admins(host: Host) -> list[str]:
    """Give the bare JIDs of those who are no administrators by the configuration. Raises StorageError."""
    document = await host.storage.documents.get(host.domain, OWNER, KIND)
    return list(document.value["jids"]) if document is not None else []


async def is_admin(host: Host, asker: JID) -> bool:
    """Tell whether somebody administers a host. Raises StorageError."""
    return asker.bare in host.admins or asker.bare in await added_admins(host)


async def set_added_admins(host: Host, jids: Iterable[str]) -> None:
    """Store who else administers a host; those of the configuration are left out. Raises StorageError."""
    value = {"jids": sorted(set(jids) - host.admins)}
    await host.storage.write(Batch().put(host.domain, OWNER, KIND, "", value))


async def all_admins(host: Host) -> list[str]:
    """Give the bare JIDs of all who administer a host, sorted. Raises StorageError."""
    return sorted({*host.admins, *await added_admins(host)})
