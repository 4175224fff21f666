"""Rooms of the administrators' interface, of Multi-User Chat and MUC Light: MongooseIM's routes and JSON."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import Field

from palaver.interfaces import IRooms
from palaver.jid import JID, prepare_local
from palaver.markup import element, escape
from palaver.muclight.namespaces import NS_AFFILIATIONS, NS_CONFIGURATION, NS_CREATE, NS_DESTROY
from palaver.muclight.room import Room as LightRoom
from palaver.rooms import leaving
from palaver.rooms.namespaces import KICKED
from palaver.rooms.presence import Note
from palaver.rooms.room import Room
from palaver.routing.host import Host
from palaver.waiting import settled
from palaver.web.rest import chat
from palaver.web.rest.admin_accounts import MAX_JID_CHARS, existing, host_of
from palaver.web.rest.client_rooms import service_of
from palaver.web.rest.routes import Ask, Created, Given, RestError, Route

MAX_TEXT_CHARS = 4096
KICK_REASON = "An administrator has removed you"


class NewLight(Given):
    """A MUC Light room."""

    name: str = Field(max_length=MAX_TEXT_CHARS, description="What it is called.")
    owner: str = Field(max_length=MAX_JID_CHARS, description="The account that owns it.")
    subject: str = Field(max_length=MAX_TEXT_CHARS, description="What it is about.")


class NamedLight(NewLight):
    """A MUC Light room with a given id."""

    id: str = Field(min_length=1, max_length=256, description="The localpart of its address.")


class LightConfig(Given):
    """What a MUC Light room is to be like."""

    id: str = Field(min_length=1, max_length=256, description="The localpart of its address.")
    name: str = Field(max_length=MAX_TEXT_CHARS, description="What it is called.")
    user: str = Field(max_length=MAX_JID_CHARS, description="The account that changes it.")
    subject: str = Field(max_length=MAX_TEXT_CHARS, description="What it is about.")


class Taking(Given):
    """Who takes whom in."""

    sender: str = Field(max_length=MAX_JID_CHARS, description="The account that invites.")
    recipient: str = Field(max_length=MAX_JID_CHARS, description="Who is invited.")


class Inviting(Taking):
    """Who invites whom, and why."""

    reason: str = Field(max_length=MAX_TEXT_CHARS, description="Why.")


class Saying(Given):
    """What somebody says."""

    from_: str = Field(alias="from", max_length=MAX_JID_CHARS, description="The account that speaks.")
    body: str = Field(max_length=65_536, description="The text.")


class NewRoom(Given):
    """A room of Multi-User Chat."""

    name: str = Field(min_length=1, max_length=256, description="The localpart of its address.")
    owner: str = Field(max_length=MAX_JID_CHARS, description="The account that owns it.")
    nick: str = Field(max_length=256, description="Is not used: nobody enters.")


# -- MUC Light ------------------------------------------------------------------------------------


def _configuration(name: str, subject: str) -> bytes:
    return element("roomname", None, escape(name)) + element("subject", None, escape(subject))


async def _do(ask: Ask, host: Host, who: JID, to: str, payload: bytes) -> None:
    await chat.ask_for(host, who.local, chat.address_of(ask), chat.iq("set", to, payload))


async def make_light(ask: Ask) -> Created:
    """Make a room with an id of its own."""
    return await _make_light(ask, chat.new_id())


async def make_named_light(ask: Ask) -> Created:
    """Make a room with a given id."""
    return await _make_light(ask, prepare_local(ask.body.id))


async def _make_light(ask: Ask, name: str) -> Created:
    host = host_of(ask, ask.path["domain"])
    owner_host, owner = await existing(ask, ask.body.owner)
    service = service_of(host)
    if await service.find(name) is not None:
        raise RestError(HTTPStatus.FORBIDDEN, "Room already exists")
    inner = element("configuration", None, _configuration(ask.body.name, ask.body.subject))
    address = f"{name}@{service.domain}"
    await _do(ask, owner_host, owner, address, element("query", NS_CREATE, inner))
    return Created(address, address)


async def configure_light(ask: Ask) -> None:
    """Change what a room is called."""
    service = service_of(host_of(ask, ask.path["domain"]))
    host, user = await existing(ask, ask.body.user)
    name = prepare_local(ask.body.id)
    if await service.find(name) is None:
        raise RestError(HTTPStatus.NOT_FOUND, "room does not exist")
    inner = _configuration(ask.body.name, ask.body.subject)
    await _do(ask, host, user, f"{name}@{service.domain}", element("query", NS_CONFIGURATION, inner))


async def _light(ask: Ask, who: JID) -> LightRoom:
    """Give the room that has the name of the path among somebody's rooms. Raises RestError."""
    service = service_of(host_of(ask, ask.path["domain"]))
    names = await service.store.rooms_of(who.bare)
    if not names:
        raise RestError(HTTPStatus.FORBIDDEN, "given user does not occupy any room")
    for name in names:
        room = await service.find(name)
        if room is not None and ask.path["name"] in (room.config.get("roomname"), name):
            return room
    raise RestError(HTTPStatus.NOT_FOUND, "room does not exist")


def _address(room: LightRoom) -> str:
    return f"{room.name}@{room.service.domain}"


async def take_in(ask: Ask) -> None:
    """Take somebody into a room."""
    host, sender = await existing(ask, ask.body.sender)
    room = await _light(ask, sender)
    user = element("user", None, escape(chat.bare(ask.body.recipient)), affiliation="member")
    await _do(ask, host, sender, _address(room), element("query", NS_AFFILIATIONS, user))


async def say_light(ask: Ask) -> None:
    """Say something in a room."""
    host, sender = await existing(ask, ask.body.from_)
    room = await _light(ask, sender)
    message = chat.message("groupchat", _address(room), element("body", None, escape(ask.body.body)))
    await chat.send_for(host, sender.local, chat.address_of(ask), message)


async def destroy_light(ask: Ask) -> None:
    """Destroy a room of an owner's."""
    host, owner = await existing(ask, ask.path["owner"])
    room = await _light(ask, owner)
    if room.users.get(owner.bare) != "owner":
        raise RestError(HTTPStatus.FORBIDDEN, "you can not delete this room")
    await _do(ask, host, owner, _address(room), element("query", NS_DESTROY))


# -- Multi-User Chat ------------------------------------------------------------------------------


def _rooms(ask: Ask) -> Any:
    found = host_of(ask, ask.path["domain"]).query(IRooms)
    if found is None:
        raise RestError(HTTPStatus.NOT_IMPLEMENTED, "This server has no such rooms; mod_muc is off")
    return found


async def _room(ask: Ask) -> Room:
    name = prepare_local(ask.path["name"])
    service = _rooms(ask)
    found: Room | None = service.get(name) or await service.load(name)
    if found is None or found.gone:
        raise RestError(HTTPStatus.NOT_FOUND, "room not found")
    return found


async def make_room(ask: Ask) -> Created:
    """Make a room for an owner."""
    service, name = _rooms(ask), prepare_local(ask.body.name)
    _, owner = await existing(ask, ask.body.owner)
    await service.create(name, owner.bare)
    return Created(name, name)


async def invite(ask: Ask) -> None:
    """Send a direct invitation (XEP-0249)."""
    room = await _room(ask)
    host, sender = await existing(ask, ask.body.sender)
    payload = element("x", "jabber:x:conference", jid=room.jid.bare, reason=ask.body.reason)
    message = chat.message("normal", chat.bare(ask.body.recipient), payload)
    await chat.send_for(host, sender.local, chat.address_of(ask), message)


async def say(ask: Ask) -> None:
    """Say something for somebody who is in a room."""
    room = await _room(ask)
    host, sender = await existing(ask, ask.body.from_)
    user = host.users.get(sender.local)
    sessions = list(user.sessions.values()) if user is not None else []
    inside = [session for session in sessions if session.jid.full in room.seats]
    if not inside:
        raise RestError(HTTPStatus.FORBIDDEN, "given user does not occupy the room")
    message = chat.message("groupchat", room.jid.bare, element("body", None, escape(ask.body.body)))
    whole = message.replace(from_=inside[0].jid.full).with_origin(inside[0])
    await settled(inside[0].receive(whole))


async def kick(ask: Ask) -> None:
    """Remove an occupant."""
    room, nick = await _room(ask), ask.path["nick"]

    async def turn() -> None:
        occupant = room.occupants.get(nick)
        if occupant is None:
            raise RestError(HTTPStatus.NOT_FOUND, "nobody has this nick")
        leaving.remove(room, [occupant], Note(reason=KICK_REASON, codes=(KICKED,)))

    await room.order.take(turn)


NO_CONTENT, CREATED = HTTPStatus.NO_CONTENT, HTTPStatus.CREATED
_LIGHT, _MUC = "/muc-lights/{domain}", "/mucs/{domain}"
_LIGHT_ONE, _MUC_ONE = f"{_LIGHT}/{{name}}", f"{_MUC}/{{name}}"
_LIGHT_END = f"{_LIGHT_ONE}/{{owner}}/management"

ROOMS: tuple[Route, ...] = (
    Route("POST", _LIGHT, make_light, "Make a room", NewLight, status=CREATED, writes=True),
    Route("PUT", _LIGHT, make_named_light, "Make this room", NamedLight, status=CREATED, writes=True),
    Route("PUT", f"{_LIGHT}/config", configure_light, "Name", LightConfig, status=NO_CONTENT, writes=True),
    Route("POST", f"{_LIGHT_ONE}/participants", take_in, "Take in", Taking, status=NO_CONTENT, writes=True),
    Route("POST", f"{_LIGHT_ONE}/messages", say_light, "Say", Saying, status=NO_CONTENT, writes=True),
    Route("DELETE", _LIGHT_END, destroy_light, "Destroy", status=NO_CONTENT, writes=True),
    Route("POST", _MUC, make_room, "Make a room", NewRoom, status=CREATED, writes=True),
    Route("POST", f"{_MUC_ONE}/participants", invite, "Invite", Inviting, status=NO_CONTENT, writes=True),
    Route("POST", f"{_MUC_ONE}/messages", say, "Say", Saying, status=NO_CONTENT, writes=True),
    Route("DELETE", f"{_MUC_ONE}/{{nick}}", kick, "Kick", status=NO_CONTENT, writes=True),
)
