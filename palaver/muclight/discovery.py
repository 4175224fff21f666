"""What the service tells of itself, and of the rooms that the asker belongs to, in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.words.xish import domish

from palaver import jid, rsm
from palaver.archive.messages import NS_MAM
from palaver.errors import StanzaError
from palaver.jid import InvalidJID
from palaver.markup import element
from palaver.muclight.requests import ServiceRequest
from palaver.muclight.schema import ROOM_NAME
from palaver.routing.disco import NS_INFO, NS_ITEMS
from palaver.routing.disco import info as disco_info

if TYPE_CHECKING:
    from palaver.muclight.service import Service


def info(request: ServiceRequest) -> bytes:
    """Say what the service is; rooms say the same."""
    codec = request.service.codec
    if request.node.getAttribute("node", "") not in ("", codec.feature):
        raise StanzaError("item-not-found", "There is no such node")
    features = [codec.feature, NS_INFO, NS_ITEMS, rsm.NS_RSM]
    if request.service.archives:
        features += [NS_MAM, f"{NS_MAM}#extended"]
    return disco_info([("conference", "text", codec.name)], sorted(features))


async def ping(request: ServiceRequest) -> None:
    """Say that the service is there (XEP-0199); that a room is there, to its members alone."""
    if request.name:
        room = await request.service.find(request.name)
        if room is None or request.sender.bare not in room.users:
            raise StanzaError("item-not-found")


async def items(request: ServiceRequest) -> bytes:
    """List the rooms that the asker belongs to, sorted by their JIDs."""
    service = request.service
    if request.name or request.node.getAttribute("node", "") not in ("", service.codec.feature):
        raise StanzaError("item-not-found")
    names = await service.store.rooms_of(request.sender.bare)
    start, end = _page(request.node, names, service)
    parts = []
    for name in names[start:end]:
        parts.append(await _item(request, name))
    if names:
        ends = [f"{name}@{service.domain}" for name in (names[start], names[end - 1])] if end > start else []
        first, last = ends or (None, None)
        parts.insert(0, rsm.encode(first, last, len(names), start if ends else None))
    return element("query", NS_ITEMS, b"".join(parts))


async def _item(request: ServiceRequest, name: str) -> bytes:
    service = request.service
    room = service.rooms.get(name) or await service.find(name)
    if room is None:
        # It has gone in the meantime.
        return b""
    title = str(room.config.get(ROOM_NAME, name))
    version = room.version if service.codec.lists_versions else None
    return element("item", None, jid=f"{name}@{service.domain}", name_=title, version=version)


def _page(node: domish.Element, names: Sequence[str], service: Service) -> tuple[int, int]:
    """Give where the page that is asked for begins and ends. Raises StanzaError."""
    most: int = service.rooms_per_page or len(names)
    asked = next(node.elements(rsm.NS_RSM, "set"), None)
    given = {child.name: str(child).strip() for child in asked.elements()} if asked is not None else {}
    size = min(_number(given["max"]), most) if "max" in given else most
    if "index" in given:
        start = _number(given["index"])
        if start >= len(names):
            raise _not_found()
    elif "after" in given:
        start = names.index(_name(given["after"], names)) + 1
    elif "before" in given:
        end = names.index(_name(given["before"], names)) if given["before"] else len(names)
        return max(0, end - size), end
    else:
        start = 0
    return start, min(start + size, len(names))


def _number(text: str) -> int:
    """Give a number; raises StanzaError for what is none, as for one that is negative."""
    if not (text.isascii() and text.isdigit() and len(text) <= rsm.MAX_DIGITS):
        raise _not_found()
    return int(text)


def _name(text: str, names: Sequence[str]) -> str:
    try:
        name = jid.parse(text).local
    except InvalidJID:
        name = ""
    if name not in names:
        raise _not_found()
    return name


def _not_found() -> StanzaError:
    return StanzaError("item-not-found", "There is no such room in the list")
