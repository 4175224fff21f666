"""Roster sets as they are asked for (RFC 6121 section 2.1.5): read, and checked against limits."""

from __future__ import annotations

from typing import NamedTuple

from twisted.words.xish import domish

from palaver import jid
from palaver.errors import StanzaError
from palaver.routing.roster import NS_ROSTER
from palaver.stanza import Stanza

# As long as one part of an address may be; RFC 6121 section 2.3.3 leaves the limit to us.
MAX_NAME_BYTES = 1023
MAX_GROUPS = 100
# A roster is in memory while somebody is online: name and groups together are bounded too.
MAX_ITEM_BYTES = 4096


class Wanted(NamedTuple):
    """What somebody wants a contact to be like; ``subscription`` is as it came, "" for none."""

    contact: str
    name: str
    groups: tuple[str, ...]
    subscription: str


def read_set(request: Stanza, owner: str) -> Wanted:
    """Read the one item of a roster set for an account, given as its bare JID.

    Raises StanzaError ``bad-request``, ``not-allowed`` and ``not-acceptable``. Of an item that is to be
    removed only the address counts.
    """
    query = request.child(NS_ROSTER, "query")
    items = list(query.elements()) if query is not None else []
    if len(items) != 1 or (items[0].uri, items[0].name) != (NS_ROSTER, "item"):
        raise StanzaError("bad-request", "A roster set has exactly one item")
    return read_item(items[0], owner)


def read_item(item: domish.Element, owner: str) -> Wanted:
    """Read one item; see `read_set`. Its groups are in the item's own namespace."""
    contact = _contact(item)
    if contact == owner:
        raise StanzaError("not-allowed", "An account is not in its own roster")
    subscription = item.getAttribute("subscription", "")
    if subscription == "remove":
        return Wanted(contact, "", (), subscription)
    name = item.getAttribute("name", "")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise StanzaError("not-acceptable", f"A name has at most {MAX_NAME_BYTES} bytes")
    groups = _groups(item)
    if len("".join((name, *groups)).encode()) > MAX_ITEM_BYTES:
        raise StanzaError("not-acceptable", f"Name and groups have at most {MAX_ITEM_BYTES} bytes")
    return Wanted(contact, name, groups, subscription)


def _contact(item: domish.Element) -> str:
    """Give an item's address, which must be a bare JID."""
    try:
        contact = jid.parse(item.getAttribute("jid", ""))
    except jid.InvalidJID as error:
        raise StanzaError("bad-request", f"The item's jid is wrong: {error}") from None
    if contact.resource:
        raise StanzaError("bad-request", "A contact is a bare JID")
    return contact.bare


def _groups(item: domish.Element) -> tuple[str, ...]:
    """Give an item's groups, sorted; RFC 6121 section 2.3.3 says which ones are refused."""
    groups = [str(group) for group in item.elements(item.uri, "group")]
    if len(groups) > MAX_GROUPS:
        raise StanzaError("not-acceptable", f"A contact is in at most {MAX_GROUPS} groups")
    if any(not group or len(group.encode()) > MAX_NAME_BYTES for group in groups):
        raise StanzaError("not-acceptable", f"A group's name has 1 to {MAX_NAME_BYTES} bytes")
    if len(set(groups)) != len(groups):
        raise StanzaError("bad-request", "A group is named twice")
    return tuple(sorted(groups))
