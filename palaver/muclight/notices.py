"""What rooms say themselves: of affiliations, of the configuration, of their end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from palaver import jid
from palaver.markup import element, escape
from palaver.muclight.changes import NONE, Change, Item
from palaver.muclight.namespaces import NS_AFFILIATIONS, NS_CONFIGURATION, NS_DESTROY
from palaver.muclight.room import KIND_LOG, Room
from palaver.muclight.schema import Config
from palaver.rooms.broadcast import Broadcast
from palaver.stanza import NS_CLIENT, Stanza
from palaver.storage import Batch, Entry, ids

_BODY = element("body")

Notices = dict[str, Stanza]
"""What each is told, by bare JID; those who are told the same share one Stanza."""


def user(bare: str, affiliation: str) -> bytes:
    """Give somebody's affiliation as an element."""
    return element("user", None, escape(bare), affiliation=affiliation)


def versions(current: str | None, before: str | None = None) -> bytes:
    """Give the elements with the version, and with that before."""
    return b"".join(
        element(name, None, escape(version))
        for name, version in (("prev-version", before), ("version", current))
        if version is not None
    )


def message(room: Room, id: str, *payloads: tuple[str, bytes]) -> Stanza:
    """Give a message of the room with ``<x/>`` elements: namespace and content of each."""
    inner = b"".join(element("x", ns, content) for ns, content in payloads) + _BODY
    children = (*((ns, "x") for ns, _ in payloads), (NS_CLIENT, "body"))
    attrs = {"from": room.jid.bare, "type": "groupchat", "id": id}
    return Stanza("message", attrs, children, inner)


def of_users(items: Iterable[Item]) -> bytes:
    """Give affiliations as elements."""
    return b"".join(user(*item) for item in items)


def of_change(room: Room, id: str, done: Change, before: str, version: str) -> Notices:
    """Tell of affiliations that change from one version to another; ``room.users`` are those before."""
    everything = message(room, id, (NS_AFFILIATIONS, versions(version, before) + of_users(done.items)))
    told: Notices = {}
    for bare in done.users:
        if bare in room.users:
            told[bare] = everything
        else:
            own = versions(version) + user(bare, done.users[bare])
            told[bare] = message(room, id, (NS_AFFILIATIONS, own))
    for bare in room.users.keys() - done.users.keys():
        told[bare] = message(room, id, (NS_AFFILIATIONS, user(bare, NONE)))
    return told


def of_creation(room: Room, id: str) -> Notices:
    """Tell each of his own affiliation."""
    return {
        bare: message(room, id, (NS_AFFILIATIONS, versions(room.version) + user(bare, affiliation)))
        for bare, affiliation in room.users.items()
    }


def of_end(room: Room, id: str) -> Notices:
    """Tell each that the room is gone."""
    return {
        bare: message(room, id, (NS_DESTROY, b""), (NS_AFFILIATIONS, user(bare, NONE))) for bare in room.users
    }


def of_configuration(room: Room, id: str, changed: Config, before: str, version: str) -> Stanza:
    """Tell what is set."""
    content = versions(version, before) + room.service.schema.write(changed)
    return message(room, id, (NS_CONFIGURATION, content))


def archive(batch: Batch, room: Room, said: Stanza) -> None:
    """Have the room's archive hold what it says."""
    if room.service.archives:
        payload = said.encode(declare=True)
        entry = Entry(room.service.domain, room.name, KIND_LOG, ids.new_id(), payload, room.jid.bare)
        batch.append(entry)


def tell(room: Room, notices: Mapping[str, Stanza]) -> None:
    """Send each what he is told."""
    encoded: dict[int, Broadcast] = {}
    for bare, said in notices.items():
        broadcast = encoded.get(id(said))
        if broadcast is None:
            broadcast = encoded[id(said)] = Broadcast(said)
        room.service.mail.send_to(broadcast, jid.parse(bare))
