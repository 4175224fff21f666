"""What both interfaces do with messages and contacts: archives as JSON, and stanzas for accounts."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Any

from twisted.words.xish import domish

from palaver.archive.pages import find
from palaver.archive.query import ArchiveQuery
from palaver.interfaces import IMessageArchives
from palaver.jid import JID, parse
from palaver.markup import element, escape
from palaver.routing.rosters import roster_of
from palaver.stanza import NS_CLIENT, Stanza, make
from palaver.storage import Entry, ids
from palaver.tree import parse_element
from palaver.web.interfaces import IWeb
from palaver.web.rest.routes import Ask, RestError
from palaver.web.rest.session import RestStream, error_of

NS_PROPERTIES = "http://www.jivesoftware.com/xmlns/xmpp/properties"


async def archived(
    host: Any, local: str, peer: JID | None, before_s: float | None, limit: int
) -> list[tuple[Entry, domish.Element]]:
    """Give the newest messages of an account's archive before a time, oldest first, each with its tree.

    Raises RestError without an archive, StanzaError, StorageError.
    """
    archives = host.query(IMessageArchives)
    if archives is None:
        raise RestError(HTTPStatus.NOT_IMPLEMENTED, "This server keeps no messages; mod_mam is off")
    until = None if before_s is None else ids.from_time(before_s)
    query = ArchiveQuery(peer=peer, before=until, limit=limit, backwards=True)
    found = await find(archives.archive(local), query)
    return [(entry, parse_element(entry.payload)) for entry in found.entries]


def address_of(ask: Ask) -> str:
    """Give where a request came from."""
    address: str = ask.host.query(IWeb).client(ask.request).address
    return address


def message(kind: str, to: str, payload: bytes, id: str | None = None) -> Stanza:
    """Give a message with one child or more."""
    node = parse_element(b"<message xmlns='jabber:client'>%b</message>" % payload)
    children = tuple((child.uri or NS_CLIENT, child.name) for child in node.elements())
    return Stanza("message", {"type": kind, "to": to, "id": id or new_id()}, children, payload)


def chat(to: str, body: str, id: str | None = None) -> Stanza:
    """Give a chat message."""
    return message("chat", to, element("body", None, escape(body)), id)


def bare(text: str) -> str:
    """Give the bare JID of an address. Raises InvalidJID."""
    return parse(text).bare


def new_id() -> str:
    """Give an id for a stanza, in the form of a UUID."""
    import uuid

    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


async def send_for(host: Any, local: str, address: str, stanza: Stanza) -> None:
    """Send a stanza as an account's client would; returns when it is stored. Raises StorageError.

    A refusal that is there by then is raised as StanzaError.
    """
    refused: list[Stanza] = []

    def heard(stanza_: Stanza) -> None:
        if stanza_.type == "error" and stanza_.id == stanza.id:
            refused.append(stanza_)

    stream = RestStream(host, local, address, heard)
    await stream.open("rest")
    try:
        await stream.send(stanza)
    finally:
        await stream.close()
    if refused:
        raise error_of(refused[0])


async def ask_for(host: Any, local: str, address: str, iq: Stanza) -> Stanza:
    """Ask as an account's client would; gives the result. Raises StanzaError, StorageError."""
    stream = RestStream(host, local, address)
    await stream.open("rest")
    try:
        return await stream.ask(iq)
    finally:
        await stream.close()


def iq(kind: str, to: str, payload: bytes) -> Stanza:
    """Give an IQ."""
    return make("iq", {"type": kind, "to": to, "id": "rest"}, payload)


async def contacts(host: Any, local: str) -> list[tuple[str, str, str]]:
    """Give an account's contacts as address, subscription and what is asked for: none, in, out or both."""
    roster = await roster_of(host, local)
    found = []
    for item in sorted(roster.items.values()):
        asking = (item.ask, item.request is not None)
        ask = {(False, False): "none", (True, False): "out", (False, True): "in", (True, True): "both"}[
            asking
        ]
        if item.listed or item.request is not None:
            found.append((item.jid, item.subscription, ask))
    return found


def child_text(node: domish.Element, name: str) -> str | None:
    """Give the text of a child of a message; None when there is none."""
    found = next((child for child in node.elements() if child.name == name), None)
    return str(found) if found is not None else None


def properties(node: domish.Element) -> dict[str, str] | None:
    """Give the values that programs have put into a message."""
    holder = next((child for child in node.elements() if child.uri == NS_PROPERTIES), None)
    if holder is None:
        return None
    return {
        str(child_text(one, "name")): child_text(one, "value") or ""
        for one in holder.elements()
        if one.name == "property"
    }
