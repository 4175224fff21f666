"""What is answered alike in both codecs, by type and payload."""

from __future__ import annotations

from palaver.archive.messages import NS_MAM
from palaver.muclight import archived, discovery
from palaver.muclight.codec import Anywhere, Reads
from palaver.rooms.namespaces import NS_PING
from palaver.routing import disco

ANYWHERE: Anywhere = {
    ("get", (disco.NS_INFO, "query")): discovery.info,
    ("get", (disco.NS_ITEMS, "query")): discovery.items,
    ("get", (NS_PING, "ping")): discovery.ping,
}
"""For the service, and for those who need not be members of a room."""

READS: Reads = {
    ("get", (NS_MAM, "query")): archived.form,
    ("set", (NS_MAM, "query")): archived.query,
    ("get", (NS_MAM, "metadata")): archived.metadata,
}
"""For members, at once."""
