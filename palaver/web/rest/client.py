"""The client interface: an account's messages, contacts and rooms, with MongooseIM's routes and JSON."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from pydantic import Field
from twisted.words.xish import domish

from palaver.errors import StanzaError
from palaver.jid import InvalidJID, parse
from palaver.routing import subscriptions
from palaver.storage import Entry, ids
from palaver.web.rest import chat
from palaver.web.rest.client_rooms import ROOMS
from palaver.web.rest.routes import Ask, Given, RestError, Route
from palaver.web.rest.sse import listen

MS = 1000
DEFAULT_LIMIT = 50
MAX_LIMIT = 500
# The year 9999 in milliseconds; later ones are no time.
MAX_TIME_MS = 253_402_300_799_000
MAX_BODY_CHARS = 65_536
MAX_JID_CHARS = 3071


class NewMessage(Given):
    """A chat message."""

    to: str = Field(max_length=MAX_JID_CHARS, description="The address of who gets it.")
    body: str = Field(max_length=MAX_BODY_CHARS, description="The text.")


class Sent(Given):
    """A message is on its way."""

    id: str


class History(Given):
    """Which messages."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="How many at most.")
    before: int | None = Field(None, ge=0, le=MAX_TIME_MS, description="Before this time, ms since 1970.")


class Message(Given):
    """A message of the archive; times are ms since 1970."""

    from_: str = Field(alias="from")
    to: str
    id: str | None
    body: str | None
    timestamp: int
    thread: str | None = None
    parent: str | None = None
    properties: dict[str, str] | None = None


class Contact(Given):
    """A contact, and what is asked for."""

    jid: str
    subscription: Literal["none", "to", "from", "both"]
    ask: Literal["none", "in", "out", "both"]


class NewContact(Given):
    """Who becomes a contact."""

    jid: str = Field(max_length=MAX_JID_CHARS, description="The address.")


class ContactAction(Given):
    """What is done about a contact."""

    action: Literal["invite", "accept"] = Field(description="Ask for the presence, or give one's own.")


class Gone(Given):
    """Who is to go."""

    to_delete: list[str] = Field(max_length=1000, description="Addresses.")


class Kept(Given):
    """Who could not be deleted."""

    not_deleted: list[str]


# -- messages ----------------------------------------------------------------------------


async def send(ask: Ask) -> Sent:
    """Send a message."""
    to, id = parse(ask.body.to), chat.new_id()
    await chat.send_for(
        ask.host, ask.caller.local, chat.address_of(ask), chat.chat(to.full, ask.body.body, id)
    )
    return Sent(id=id)


async def history(ask: Ask) -> list[Message]:
    """Give messages of the archive."""
    peer = None
    if "with" in ask.path:
        try:
            peer = parse(ask.path["with"])
        except InvalidJID:
            raise RestError(HTTPStatus.NOT_FOUND, "That is no address") from None
    before = ask.query.before
    time_s = None if before is None else before / MS
    found = await chat.archived(ask.host, ask.caller.local, peer, time_s, ask.query.limit)
    return [_message(entry, node) for entry, node in found]


def _message(entry: Entry, node: domish.Element) -> Message:
    thread = next((child for child in node.elements() if child.name == "thread"), None)
    return Message.model_validate(
        {
            "from": node.getAttribute("from") or "",
            "to": node.getAttribute("to") or "",
            "id": node.getAttribute("id"),
            "body": chat.child_text(node, "body"),
            "timestamp": int(ids.to_time(entry.id) * MS),
            "thread": str(thread) if thread is not None else None,
            "parent": thread.getAttribute("parent") if thread is not None else None,
            "properties": chat.properties(node),
        }
    )


# -- contacts ------------------------------------------------------------------------------


async def contacts(ask: Ask) -> list[Contact]:
    """Give the contacts."""
    found = await chat.contacts(ask.host, ask.caller.local)
    return [Contact.model_validate({"jid": j, "subscription": s, "ask": a}) for j, s, a in found]


async def add_contact(ask: Ask) -> None:
    """Add a contact."""
    await subscriptions.update(ask.host, ask.caller.local, _bare(ask.body.jid), "", ())


async def change_contact(ask: Ask) -> None:
    """Ask for a contact's presence, or let it see one's own."""
    bare = _bare(ask.path["jid"])
    await _known(ask, bare)
    kind = "subscribe" if ask.body.action == "invite" else "subscribed"
    await subscriptions.send(ask.host, ask.caller.local, kind, bare)


async def delete_contact(ask: Ask) -> None:
    """Delete a contact."""
    bare = _bare(ask.path["jid"])
    await _known(ask, bare)
    await subscriptions.remove(ask.host, ask.caller.local, bare)


async def delete_contacts(ask: Ask) -> Kept:
    """Delete contacts, and say who was none."""
    kept = []
    for text in ask.body.to_delete:
        try:
            await subscriptions.remove(ask.host, ask.caller.local, _bare(text))
        except (StanzaError, InvalidJID):
            kept.append(text)
    return Kept(not_deleted=kept)


async def _known(ask: Ask, bare: str) -> None:
    if all(jid != bare for jid, _, _ in await chat.contacts(ask.host, ask.caller.local)):
        raise RestError(HTTPStatus.NOT_FOUND, f"{bare} is no contact")


def _bare(text: str) -> str:
    return parse(text).bare


NO_CONTENT = HTTPStatus.NO_CONTENT

ROUTES: tuple[Route, ...] = (
    Route("POST", "/messages", send, "Send a message", NewMessage, None, Sent, writes=True),
    Route("GET", "/messages", history, "Messages", None, History, list[Message]),
    Route("GET", "/messages/{with}", history, "Messages with somebody", None, History, list[Message]),
    Route("GET", "/contacts", contacts, "Contacts", None, None, list[Contact]),
    Route("POST", "/contacts", add_contact, "Add a contact", NewContact, status=NO_CONTENT, writes=True),
    Route(
        "PUT", "/contacts/{jid}", change_contact, "Subscribe", ContactAction, status=NO_CONTENT, writes=True
    ),
    Route("DELETE", "/contacts/{jid}", delete_contact, "Delete a contact", status=NO_CONTENT, writes=True),
    Route("DELETE", "/contacts", delete_contacts, "Delete contacts", Gone, None, Kept, writes=True),
    *ROOMS,
    Route("GET", "/sse", listen, "Messages as they come", None, None, Any),
)
