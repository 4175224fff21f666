"""The administrators' interface: MongooseIM's routes and JSON, and every command of the host."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, Field, TypeAdapter
from twisted.words.xish import domish

from palaver.commands import command as commands
from palaver.commands.always import named_commands
from palaver.commands.command import Command, Done
from palaver.errors import StanzaError
from palaver.jid import parse
from palaver.routing import subscriptions
from palaver.stanza import from_element
from palaver.storage import ids
from palaver.tree import parse_element
from palaver.web.rest import chat
from palaver.web.rest.admin_accounts import (
    ACCOUNTS,
    MAX_JID_CHARS,
    account_of,
    call_of,
    existing,
    host_of,
    speaker,
)
from palaver.web.rest.admin_domains import DOMAINS
from palaver.web.rest.admin_inbox import INBOXES
from palaver.web.rest.admin_rooms import ROOMS
from palaver.web.rest.client import Contact, NewContact
from palaver.web.rest.routes import Ask, Given, RestError, Route

# The year 9999.
MAX_TIME_S = 253_402_300_799


class AdminMessage(Given):
    """A chat message for an account."""

    caller: str = Field(max_length=MAX_JID_CHARS, description="The account that sends.")
    to: str = Field(max_length=MAX_JID_CHARS, description="Who gets it.")
    body: str = Field(max_length=65_536, description="The text.")


class NewStanza(Given):
    """A stanza."""

    stanza: str = Field(max_length=200_000, description="As XML, with from and to.")


class AdminHistory(Given):
    """Which messages."""

    limit: int = Field(100, ge=1, le=500, description="How many at most.")
    before: int | None = Field(None, ge=0, le=MAX_TIME_S, description="Before this time, s since 1970.")


class Archived(Given):
    """A message of an archive; times are s since 1970."""

    sender: str
    timestamp: int
    message_id: str | None
    body: str | None


class NewContactOf(NewContact):
    """Who becomes whose contact."""

    caller: str = Field(max_length=MAX_JID_CHARS, description="The account.")


class Subscribing(Given):
    """What an account tells a contact."""

    action: Literal["subscribe", "subscribed"]


class Managing(Given):
    """What two accounts become."""

    action: Literal["connect", "disconnect"]


class CommandLine(Given):
    """A command that can be run by POST."""

    name: str
    category: str
    action: str
    method: str
    desc: str
    args: dict[str, Any]
    path: str


class Outcome(Given):
    """What a command has done, for people and for programs."""

    said: str = ""
    result: dict[str, Any] | None = None


# -- messages -----------------------------------------------------------------------------------


async def send(ask: Ask) -> None:
    """Send a message for an account."""
    host, caller = await speaker(ask, ask.body.caller)
    message = chat.chat(parse(ask.body.to).full, ask.body.body)
    await chat.send_for(host, caller.local, chat.address_of(ask), message)


async def send_stanza(ask: Ask) -> None:
    """Send any stanza for an account."""
    try:
        node = parse_element(ask.body.stanza.encode(), b"<r xmlns='jabber:client'>")
    except ValueError as error:
        raise RestError(HTTPStatus.BAD_REQUEST, f"Malformed stanza: {error}") from None
    if node.name not in ("message", "presence", "iq") or node.uri != "jabber:client":
        raise RestError(HTTPStatus.BAD_REQUEST, "Malformed stanza: message, presence or iq is wanted")
    if not (node.getAttribute("from") and node.getAttribute("to")):
        raise RestError(HTTPStatus.BAD_REQUEST, "both from and to are required")
    parse(node["to"])
    host, caller = await speaker(ask, node["from"])
    await chat.send_for(host, caller.local, chat.address_of(ask), from_element(node))


async def history(ask: Ask) -> list[Archived]:
    """Give messages of an account's archive."""
    host, caller = await existing(ask, ask.path["caller"])
    peer = parse(ask.path["with"]) if "with" in ask.path else None
    found = await chat.archived(host, caller.local, peer, ask.query.before, ask.query.limit)
    return [
        Archived(
            sender=_bare(node),
            timestamp=int(ids.to_time(entry.id)),
            message_id=node.getAttribute("id"),
            body=chat.child_text(node, "body"),
        )
        for entry, node in found
    ]


def _bare(node: domish.Element) -> str:
    return parse(node["from"]).bare


# -- contacts -----------------------------------------------------------------------------------


async def contacts(ask: Ask) -> list[Contact]:
    """Give an account's contacts."""
    host, caller = await existing(ask, ask.path["caller"])
    found = await chat.contacts(host, caller.local)
    return [Contact.model_validate({"jid": j, "subscription": s, "ask": a}) for j, s, a in found]


async def add_contact(ask: Ask) -> None:
    """Add a contact."""
    host, caller = await existing(ask, ask.path["caller"])
    await subscriptions.update(host, caller.local, parse(ask.body.jid).bare, "", ())


async def add_contact_of(ask: Ask) -> None:
    """Add a contact of an account that the body names."""
    await add_contact(ask._replace(path={"caller": ask.body.caller}))


async def subscribe(ask: Ask) -> None:
    """Subscribe for an account, or approve a subscription."""
    host, caller = await existing(ask, ask.path["caller"])
    await subscriptions.send(host, caller.local, ask.body.action, parse(ask.path["jid"]).bare)


async def manage(ask: Ask) -> None:
    """Make two accounts contacts of each other, or no longer."""
    host, caller = await existing(ask, ask.path["caller"])
    contact = parse(ask.path["jid"]).bare
    if ask.body.action == "connect":
        await subscriptions.update(host, caller.local, contact, "", ())
        await subscriptions.befriend(host, caller.local, contact)
        return
    await subscriptions.remove(host, caller.local, contact)
    other, found = account_of(ask, contact)
    try:
        await subscriptions.remove(other, found.local, caller.bare)
    except StanzaError:
        # It had no contact of this address.
        pass


async def delete_contact(ask: Ask) -> None:
    """Delete a contact."""
    host, caller = await existing(ask, ask.path["caller"])
    await subscriptions.remove(host, caller.local, parse(ask.path["jid"]).bare)


# -- commands -----------------------------------------------------------------------------------


def command_path(command: Command) -> str:
    """Give where a command is run."""
    return "/commands/{host}/" + command.name.replace(" ", "-").replace("/", "-")


async def list_commands(ask: Ask) -> list[CommandLine]:
    """Give the commands of the host."""
    found = [_line(command) for command in named_commands(ask.host).values()]
    return sorted(found, key=lambda line: line.path)


def _line(command: Command) -> CommandLine:
    model = command.arguments
    properties = model.model_json_schema().get("properties", {}) if model is not None else {}
    args = {name: schema.get("type", "string") for name, schema in properties.items()}
    words = command.name.split()
    return CommandLine(
        name=command.name.replace(" ", "_"),
        category=words[0],
        action="create",
        method="POST",
        desc=command.title,
        args=args,
        path=command_path(command),
    )


class Nothing(Given):
    """Nothing is needed."""


def _running(name: str) -> Callable[[Ask], Coroutine[Any, Any, Outcome]]:
    async def run(ask: Ask) -> Outcome:
        host = host_of(ask, ask.path["host"])
        command = named_commands(host).get(name)
        if command is None:
            raise RestError(HTTPStatus.NOT_FOUND, "There is no such command on this host")
        call = call_of(ask, host)
        await commands.check(command, call)
        given = ask.body if command.arguments is not None else None
        done = await command.run(call, given)
        if not isinstance(done, Done):
            raise RestError(HTTPStatus.NOT_IMPLEMENTED, "This command asks in several steps")
        result = TypeAdapter(type(done.result)).dump_python(done.result, mode="json", by_alias=True)
        return Outcome(said=done.said, result=result if isinstance(done.result, BaseModel) else None)

    return run


def command_routes(host: Any) -> list[Route]:
    """Give a route for each command that the host has now."""
    return [
        Route(
            "POST",
            command_path(command),
            _running(command.name),
            command.title,
            command.arguments or Nothing,
            None,
            Outcome,
            writes=True,
        )
        for command in named_commands(host).values()
    ]


NO_CONTENT, CREATED = HTTPStatus.NO_CONTENT, HTTPStatus.CREATED
_CONTACT = "/contacts/{caller}/{jid}"

ROUTES: tuple[Route, ...] = (
    Route("GET", "/commands", list_commands, "Commands", None, None, list[CommandLine]),
    *ACCOUNTS,
    *ROOMS,
    *DOMAINS,
    *INBOXES,
    Route("POST", "/messages", send, "Send a message", AdminMessage, status=NO_CONTENT, writes=True),
    Route("GET", "/messages/{caller}", history, "Messages", None, AdminHistory, list[Archived]),
    Route(
        "GET", "/messages/{caller}/{with}", history, "Messages with one", None, AdminHistory, list[Archived]
    ),
    Route("POST", "/stanzas", send_stanza, "Send a stanza", NewStanza, status=NO_CONTENT, writes=True),
    Route("GET", "/contacts/{caller}", contacts, "Contacts", None, None, list[Contact]),
    Route(
        "POST", "/contacts/{caller}", add_contact, "Add a contact", NewContact, None, None, NO_CONTENT, True
    ),
    Route("POST", "/contacts", add_contact_of, "Add one", NewContactOf, status=NO_CONTENT, writes=True),
    Route("PUT", _CONTACT, subscribe, "Subscribe", Subscribing, status=NO_CONTENT, writes=True),
    Route("PUT", f"{_CONTACT}/manage", manage, "Connect two", Managing, status=NO_CONTENT, writes=True),
    Route("DELETE", _CONTACT, delete_contact, "Delete a contact", status=NO_CONTENT, writes=True),
)
