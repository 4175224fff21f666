"""What members read of a room: its configuration and who belongs to it."""

from __future__ import annotations

from palaver.markup import element
from palaver.muclight import notices
from palaver.muclight.changes import Item
from palaver.muclight.requests import Request


def _version(request: Request) -> str:
    return "".join(str(child) for child in request.node.elements() if child.name == "version")


def configuration(request: Request) -> bytes | None:
    """Give the configuration; None to who has this version of it."""
    room = request.room
    if _version(request) == room.version:
        return None
    inner = notices.versions(room.version) + room.service.schema.write(room.config)
    return element("query", request.node.uri, inner)


def affiliations(request: Request) -> bytes | None:
    """Give who belongs to the room; None to who has this version of it."""
    room = request.room
    if _version(request) == room.version:
        return None
    users = notices.of_users(Item(*pair) for pair in room.users.items())
    return element("query", request.node.uri, notices.versions(room.version) + users)


def info(request: Request) -> bytes | None:
    """Give both; None to who has this version of them."""
    room = request.room
    if _version(request) == room.version:
        return None
    users = notices.of_users(Item(*pair) for pair in room.users.items())
    inner = notices.versions(room.version)
    inner += element("configuration", None, room.service.schema.write(room.config))
    return element("query", request.node.uri, inner + element("occupants", None, users))
