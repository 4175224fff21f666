"""What rooms say themselves in MUC Light's own words: of affiliations, of the configuration, of their end."""

from __future__ import annotations

from collections.abc import Iterable

from palaver.markup import element, escape
from palaver.muclight.changes import NONE, Item
from palaver.muclight.codec import Changed, Notices, Told
from palaver.muclight.namespaces import NS_AFFILIATIONS, NS_CONFIGURATION, NS_DESTROY
from palaver.muclight.room import Room
from palaver.muclight.schema import Config
from palaver.stanza import NS_CLIENT, Stanza

_BODY = element("body")


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


def of_change(room: Room, changed: Changed) -> Told:
    """Tell of other affiliations; the archive has no version but the one that is current then."""
    _, id, done, before, version = changed
    of_items = of_users(done.items)
    everything = message(room, id, (NS_AFFILIATIONS, versions(version, before) + of_items))
    told: Notices = {}
    for bare in done.users:
        if bare in room.users:
            told[bare] = (everything,)
        else:
            own = versions(version) + user(bare, done.users[bare])
            told[bare] = (message(room, id, (NS_AFFILIATIONS, own)),)
    for bare in room.users.keys() - done.users.keys():
        told[bare] = (message(room, id, (NS_AFFILIATIONS, user(bare, NONE))),)
    return Told(told, message(room, id, (NS_AFFILIATIONS, versions(version) + of_items)))


def of_creation(room: Room, id: str) -> Told:
    """Tell each of his own affiliation; the archive has them all."""
    told: Notices = {
        bare: (message(room, id, (NS_AFFILIATIONS, versions(room.version) + user(bare, affiliation))),)
        for bare, affiliation in room.users.items()
    }
    everybody = of_users(Item(*pair) for pair in room.users.items())
    return Told(told, message(room, id, (NS_AFFILIATIONS, everybody)))


def of_end(room: Room, id: str) -> Told:
    """Tell each that the room is gone."""
    return Told(
        {
            bare: (message(room, id, (NS_DESTROY, b""), (NS_AFFILIATIONS, user(bare, NONE))),)
            for bare in room.users
        }
    )


def of_configuration(room: Room, id: str, changed: Config, before: str, version: str) -> Stanza:
    """Tell what is set."""
    content = versions(version, before) + room.service.schema.write(changed)
    return message(room, id, (NS_CONFIGURATION, content))
