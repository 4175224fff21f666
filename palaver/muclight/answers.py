"""Which request is answered by what, by type and payload."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from palaver.archive.messages import NS_MAM
from palaver.muclight import archived, blocking, creating, discovery, reading, setting
from palaver.muclight.namespaces import (
    NS_AFFILIATIONS,
    NS_BLOCKING,
    NS_CONFIGURATION,
    NS_CREATE,
    NS_DESTROY,
    NS_INFO,
)
from palaver.muclight.requests import Request, ServiceRequest
from palaver.rooms.namespaces import NS_PING
from palaver.routing import disco
from palaver.stanza import Child

Key = tuple[str, Child]

ANYWHERE: dict[Key, Callable[[ServiceRequest], Any]] = {
    ("get", (disco.NS_INFO, "query")): discovery.info,
    ("get", (disco.NS_ITEMS, "query")): discovery.items,
    ("get", (NS_PING, "ping")): discovery.ping,
    ("get", (NS_BLOCKING, "query")): blocking.get,
    ("set", (NS_BLOCKING, "query")): blocking.set,
    ("set", (NS_CREATE, "query")): creating.create,
}
"""For the service, and for those who need not be members of a room."""

READS: dict[Key, Callable[[Request], Any]] = {
    ("get", (NS_CONFIGURATION, "query")): reading.configuration,
    ("get", (NS_AFFILIATIONS, "query")): reading.affiliations,
    ("get", (NS_INFO, "query")): reading.info,
    ("get", (NS_MAM, "query")): archived.form,
    ("set", (NS_MAM, "query")): archived.query,
    ("get", (NS_MAM, "metadata")): archived.metadata,
}
"""For members, at once."""

WRITES: dict[Key, Callable[[Request], Awaitable[None]]] = {
    ("set", (NS_CONFIGURATION, "query")): setting.configuration,
    ("set", (NS_AFFILIATIONS, "query")): setting.affiliations,
    ("set", (NS_DESTROY, "query")): setting.destroy,
}
"""For members, in the room's turn."""

KNOWN = frozenset(child for table in (ANYWHERE, READS, WRITES) for _, child in table)
"""Payloads that are right in a request of the other type."""
