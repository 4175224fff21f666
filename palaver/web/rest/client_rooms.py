"""Rooms of the client interface: MUC Light rooms, asked as a client asks."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from pydantic import Field, model_validator
from twisted.words.xish import domish

from palaver.errors import StanzaError
from palaver.jid import InvalidJID, parse
from palaver.markup import element, escape
from palaver.muclight.namespaces import NS_AFFILIATIONS, NS_CONFIGURATION, NS_CREATE, NS_INFO
from palaver.muclight.room import Room
from palaver.muclight.service import Service
from palaver.storage import LogQuery, ids
from palaver.tree import parse_element
from palaver.web.rest import chat
from palaver.web.rest.routes import Ask, Given, RestError, Route

MAX_TEXT_CHARS = 4096
MS = 1000
NS_MARKERS = "urn:xmpp:chat-markers:0"


class RoomConfig(Given):
    """What a room is called, and what it is about."""

    name: str = Field(max_length=MAX_TEXT_CHARS, description="Its name.")
    subject: str = Field(max_length=MAX_TEXT_CHARS, description="Its subject.")


class RoomId(Given):
    """A room's id."""

    id: str


class RoomLine(RoomConfig):
    """A room of the account's."""

    id: str


class Participant(Given):
    """Who belongs to a room."""

    user: str
    role: Literal["owner", "member"]


class RoomDetails(RoomConfig):
    """A room and its people."""

    participants: list[Participant]


class NewParticipant(Given):
    """Who is taken in."""

    user: str = Field(max_length=3071, description="The address.")


class Marker(Given):
    """How far somebody has come with a message."""

    type: Literal["received", "displayed", "acknowledged"]
    id: str = Field(max_length=1024)


class RoomMessage(Given):
    """What is said in a room: a text, or how far one has come."""

    body: str | None = Field(None, max_length=65_536)
    markable: bool = False
    chat_marker: Marker | None = None

    @model_validator(mode="after")
    def _something(self) -> RoomMessage:
        if self.body is None and self.chat_marker is None:
            raise ValueError("No valid message elements")
        return self


class RoomHistory(Given):
    """Which messages."""

    limit: int = Field(50, ge=1, le=500, description="How many at most.")
    before: int | None = Field(None, ge=0, le=253_402_300_799_000, description="ms since 1970.")


class RoomEntry(Given):
    """What was said, or who came and went; times are ms since 1970."""

    type: Literal["message", "affiliation"]
    id: str | None = None
    from_: str = Field(alias="from")
    timestamp: int
    body: str | None = None
    markable: bool | None = None
    chat_marker: Marker | None = None
    user: str | None = None
    affiliation: str | None = None


def service_of(host: Any) -> Service:
    """Give the host's MUC Light service. Raises RestError without one."""
    for _, service in host.router.below(host.domain):
        if isinstance(service, Service):
            return service
    raise RestError(HTTPStatus.NOT_IMPLEMENTED, "This server has no such rooms; mod_muc_light is off")


def room_jid(ask: Ask) -> str:
    """Give the room's address from its id, which may be an address of the caller's service."""
    service, text = service_of(ask.host), ask.path["id"]
    try:
        found = parse(text if "@" in text else f"{text}@{service.domain}")
    except InvalidJID:
        raise RestError(HTTPStatus.BAD_REQUEST, "invalid_room_id") from None
    if found.domain != service.domain or not found.local or found.resource:
        raise RestError(HTTPStatus.BAD_REQUEST, "invalid_room_id")
    return found.bare


async def room_of(ask: Ask) -> Room:
    """Give the room of a request, of which the caller is a member. Raises RestError, StorageError."""
    bare = room_jid(ask)
    room = await service_of(ask.host).find(parse(bare).local)
    if room is None:
        raise RestError(HTTPStatus.NOT_FOUND, "There is no such room")
    if ask.caller.bare not in room.users:
        raise RestError(HTTPStatus.FORBIDDEN, "You are not in this room")
    return room


async def _do(ask: Ask, kind: str, to: str, payload: bytes) -> Any:
    return await chat.ask_for(ask.host, ask.caller.local, chat.address_of(ask), chat.iq(kind, to, payload))


def configuration(config: RoomConfig) -> bytes:
    """Give a room's configuration as elements."""
    return element("roomname", None, escape(config.name)) + element("subject", None, escape(config.subject))


async def create(ask: Ask) -> RoomId:
    """Make a room with an id of its own."""
    return await _create(ask, f"{chat.new_id()}@{service_of(ask.host).domain}")


async def create_as(ask: Ask) -> RoomId:
    """Make a room with a given id."""
    return await _create(ask, room_jid(ask))


async def _create(ask: Ask, to: str) -> RoomId:
    payload = element("query", NS_CREATE, element("configuration", None, configuration(ask.body)))
    try:
        await _do(ask, "set", to, payload)
    except StanzaError as error:
        detail = f"Failed to create room: {error.text or error.condition}"
        raise RestError(HTTPStatus.BAD_REQUEST, detail) from None
    return RoomId(id=parse(to).local)


async def rooms(ask: Ask) -> list[RoomLine]:
    """Give the rooms that the caller is in."""
    service = service_of(ask.host)
    found = []
    for name in await service.store.rooms_of(ask.caller.bare):
        room = await service.find(name)
        if room is not None:
            found.append(RoomLine(id=name, **_config(room)))
    return sorted(found, key=lambda line: line.id)


def _config(room: Room) -> dict[str, str]:
    config = room.config
    return {"name": str(config.get("roomname", "")), "subject": str(config.get("subject", ""))}


async def room(ask: Ask) -> RoomDetails:
    """Give a room and its people."""
    await room_of(ask)
    answer = await _do(ask, "get", room_jid(ask), element("query", NS_INFO, element("version")))
    query = next(answer.element.elements(NS_INFO, "query"))
    config = {node.name: str(node) for part in _named(query, "configuration") for node in part.elements()}
    people = [
        Participant.model_validate({"user": str(node), "role": node.getAttribute("affiliation")})
        for part in _named(query, "occupants")
        for node in part.elements()
    ]
    return RoomDetails(
        name=config.get("roomname", ""), subject=config.get("subject", ""), participants=people
    )


def _named(node: domish.Element, name: str) -> list[domish.Element]:
    return [child for child in node.elements() if child.name == name]


async def configure(ask: Ask) -> None:
    """Change what a room is called."""
    await room_of(ask)
    await _do(ask, "set", room_jid(ask), element("query", NS_CONFIGURATION, configuration(ask.body)))


async def take_in(ask: Ask) -> None:
    """Take somebody in; owners may."""
    found = await room_of(ask)
    if found.users[ask.caller.bare] != "owner":
        raise RestError(HTTPStatus.FORBIDDEN, "Only owners take people in")
    await _affiliate(ask, parse(ask.body.user).bare, "member")


async def put_out(ask: Ask) -> None:
    """Put somebody out, or leave."""
    found = await room_of(ask)
    user = parse(ask.path["user"]).bare
    if found.users[ask.caller.bare] != "owner" and user != ask.caller.bare:
        raise RestError(HTTPStatus.FORBIDDEN, "Only owners put others out")
    await _affiliate(ask, user, "none")


async def _affiliate(ask: Ask, user: str, affiliation: str) -> None:
    item = element("user", None, escape(user), affiliation=affiliation)
    await _do(ask, "set", room_jid(ask), element("query", NS_AFFILIATIONS, item))


async def say(ask: Ask) -> RoomId:
    """Say something in a room."""
    await room_of(ask)
    given, parts = ask.body, []
    if given.body is not None:
        parts.append(element("body", None, escape(given.body)))
        if given.markable:
            parts.append(element("markable", NS_MARKERS))
    if given.chat_marker is not None:
        parts.append(element(given.chat_marker.type, NS_MARKERS, id=given.chat_marker.id))
    message = chat.message("groupchat", room_jid(ask), b"".join(parts))
    await chat.send_for(ask.host, ask.caller.local, chat.address_of(ask), message)
    return RoomId(id=message.id or "")


async def history(ask: Ask) -> list[RoomEntry]:
    """Give what was said and done in a room."""
    found = await room_of(ask)
    before = None if ask.query.before is None else ids.from_time(ask.query.before / MS)
    query = LogQuery(before=before, limit=ask.query.limit, backwards=True)
    page = await found.archive.range(query)
    return [_entry(entry.id, parse_element(entry.payload)) for entry in page.entries]


def _entry(id: int, node: domish.Element) -> RoomEntry:
    sender = parse(node.getAttribute("from") or "")
    value: dict[str, Any] = {
        "type": "message",
        "id": node.getAttribute("id"),
        "from": sender.resource or sender.bare,
        "timestamp": int(ids.to_time(id) * MS),
    }
    change = next((child for child in node.elements() if child.uri == NS_AFFILIATIONS), None)
    if change is not None:
        user = next(change.elements(), None)
        affiliation = user.getAttribute("affiliation") if user is not None else None
        value |= {"type": "affiliation", "user": str(user or ""), "affiliation": affiliation}
        return RoomEntry.model_validate(value)
    markers = [child for child in node.elements() if child.uri == NS_MARKERS]
    for child in markers:
        if child.name == "markable":
            value["markable"] = True
        else:
            value["chat_marker"] = {"type": child.name, "id": child.getAttribute("id") or ""}
    return RoomEntry.model_validate({**value, "body": chat.child_text(node, "body")})


NO_CONTENT, CREATED = HTTPStatus.NO_CONTENT, HTTPStatus.CREATED
_ID = "/rooms/{id}"

ROOMS: tuple[Route, ...] = (
    Route("POST", "/rooms", create, "Make a room", RoomConfig, None, RoomId, writes=True),
    Route("GET", "/rooms", rooms, "Rooms", None, None, list[RoomLine]),
    Route("PUT", _ID, create_as, "Make a room with this id", RoomConfig, None, RoomId, CREATED, True),
    Route("GET", _ID, room, "A room", None, None, RoomDetails),
    Route("PUT", f"{_ID}/config", configure, "Name a room", RoomConfig, status=NO_CONTENT, writes=True),
    Route("POST", f"{_ID}/users", take_in, "Take in", NewParticipant, status=NO_CONTENT, writes=True),
    Route("DELETE", f"{_ID}/users/{{user}}", put_out, "Put out", status=NO_CONTENT, writes=True),
    Route("POST", f"{_ID}/messages", say, "Say something", RoomMessage, None, RoomId, writes=True),
    Route("GET", f"{_ID}/messages", history, "What was said", None, RoomHistory, list[RoomEntry]),
)
