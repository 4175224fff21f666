"""IQs to rooms and to the service, as what answers them takes them; and the elements that they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from twisted.words.xish import domish

from palaver import jid
from palaver.errors import StanzaError
from palaver.jid import JID, InvalidJID
from palaver.muclight.changes import AFFILIATIONS, Item
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.muclight.room import Room
    from palaver.muclight.service import Service

# As many as fit into a stanza of a client's anyway; each costs a look at somebody's blocking list.
MAX_ITEMS = 1000


class ServiceRequest(NamedTuple):
    """A get or set for a room that need not be there, or for the service: ``name`` is empty then."""

    service: Service
    iq: Stanza
    sender: JID
    name: str
    node: domish.Element


class Request(NamedTuple):
    """A get or set of a member of a room; ``node`` is the payload."""

    room: Room
    iq: Stanza
    sender: JID
    node: domish.Element

    @property
    def id(self) -> str:
        """The IQ's id, which the room's messages bear as well."""
        return self.iq.attrs["id"]


def payload(iq: Stanza) -> domish.Element:
    """Give the one child of a request."""
    ns, name = iq.children[0]
    node = iq.child(ns, name)
    assert node is not None
    return node


def children(node: domish.Element) -> Iterator[domish.Element]:
    """Give the elements inside. Raises StanzaError(bad-request) for text between them."""
    for child in node.children:
        if isinstance(child, domish.Element):
            yield child
        elif str(child).strip():
            raise StanzaError("bad-request", "There is text where elements are expected")


def items(node: domish.Element) -> list[Item]:
    """Read ``<user affiliation='…'>JID</user>`` elements. Raises StanzaError(bad-request)."""
    found = [_item(child) for child in children(node)]
    if len(found) > MAX_ITEMS:
        raise StanzaError("bad-request", f"At most {MAX_ITEMS} users at once")
    return found


def _item(node: domish.Element) -> Item:
    wrong = StanzaError("bad-request", "Failed to parse affiliations")
    affiliation = node.getAttribute("affiliation")
    if node.name != "user" or len(node.attributes) != 1 or affiliation not in AFFILIATIONS:
        raise wrong
    if any(isinstance(child, domish.Element) for child in node.children):
        raise wrong
    try:
        address = jid.parse(str(node).strip())
    except InvalidJID:
        raise wrong from None
    if not address.local:
        raise wrong
    return Item(address.bare, affiliation)
