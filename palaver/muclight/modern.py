"""MUC Light as it is spoken in its own namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver import jid
from palaver.errors import StanzaError
from palaver.jid import JID, InvalidJID
from palaver.markup import element, escape
from palaver.muclight import answers, blocking, creating, notices, reading, setting
from palaver.muclight.blocking import ALLOW, DENY, ROOM, USER, Block
from palaver.muclight.changes import Item
from palaver.muclight.codec import Anywhere, Changed, Reads, Told, Writes
from palaver.muclight.namespaces import (
    NS_AFFILIATIONS,
    NS_BLOCKING,
    NS_CONFIGURATION,
    NS_CREATE,
    NS_DESTROY,
    NS_INFO,
    NS_LIGHT,
)
from palaver.muclight.requests import Request, ServiceRequest, children, items
from palaver.muclight.schema import Config
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.muclight.room import Room


async def _create(request: ServiceRequest) -> None:
    """Make a room, of the name that is asked for or of a new one."""
    service = request.service
    config: Config = {}
    wanted: list[Item] = []
    for node in children(request.node):
        if node.name == "configuration":
            config.update(service.schema.read(children(node)))
        elif node.name == "occupants":
            wanted += items(node)
        else:
            raise StanzaError("bad-request")
    wish = creating.Wish(request.sender.bare, request.name, config, wanted, request.iq.attrs["id"])
    await creating.create(service, wish)


async def _configure(request: Request) -> None:
    """Set some fields of the configuration."""
    nodes = list(children(request.node))
    if any(node.name == "version" for node in nodes):
        raise StanzaError("bad-request", "Version element not allowed")
    wanted = request.room.service.schema.read(nodes)
    await setting.configure(request.room, request.sender.bare, wanted, request.id)


async def _affiliate(request: Request) -> None:
    """Take people in, out, or change what they are."""
    wanted = items(request.node)
    if not wanted:
        raise StanzaError("bad-request", "Failed to parse affiliations")
    await setting.affiliate(request.room, request.sender.bare, wanted, request.id)


async def _destroy(request: Request) -> None:
    """Destroy the room."""
    await setting.destroy(request.room, request.sender.bare, request.id)


async def _blocked(request: ServiceRequest) -> bytes:
    """Give what somebody blocks."""
    _check_name(request)
    blocked = await blocking.of(request.service, request.sender.bare)
    inner = b"".join(element(what, None, escape(target), action=DENY) for what, target in blocked)
    return element("query", NS_BLOCKING, inner)


async def _block(request: ServiceRequest) -> None:
    """Block, or block no more."""
    _check_name(request)
    blocks = []
    for node in children(request.node):
        action = node.getAttribute("action")
        try:
            target = jid.parse(str(node).strip())
        except InvalidJID:
            raise StanzaError("bad-request", "That is no JID") from None
        if node.name not in (ROOM, USER) or action not in (DENY, ALLOW) or not target.local:
            raise StanzaError("bad-request")
        blocks.append(Block(node.name, target.bare, action == DENY))
    await blocking.change(request.service, request.sender.bare, blocks)


def _check_name(request: ServiceRequest) -> None:
    """Refuse what asks a room; lists are the service's."""
    if request.name:
        raise StanzaError("bad-request")


ANYWHERE: Anywhere = {
    **answers.ANYWHERE,
    ("get", (NS_BLOCKING, "query")): _blocked,
    ("set", (NS_BLOCKING, "query")): _block,
    ("set", (NS_CREATE, "query")): _create,
}
READS: Reads = {
    **answers.READS,
    ("get", (NS_CONFIGURATION, "query")): reading.configuration,
    ("get", (NS_AFFILIATIONS, "query")): reading.affiliations,
    ("get", (NS_INFO, "query")): reading.info,
}
WRITES: Writes = {
    ("set", (NS_CONFIGURATION, "query")): _configure,
    ("set", (NS_AFFILIATIONS, "query")): _affiliate,
    ("set", (NS_DESTROY, "query")): _destroy,
}


class Modern:
    """See `palaver.muclight.codec.Codec`."""

    name = "MUC Light (modern)"
    feature = NS_LIGHT
    lists_versions = True

    def __init__(self) -> None:
        self.anywhere = ANYWHERE
        self.reads = READS
        self.writes = WRITES

    def makes_room(self, presence: Stanza, to: JID) -> bool:
        """Refuse: there is no presence."""
        text = "Resource expected to be empty" if to.resource else "Failed to decode unknown format"
        raise StanzaError("bad-request", text)

    def subject_of(self, message: Stanza) -> str | None:
        """Give None: a subject is a field of the configuration."""
        return None

    def refused(self, stanza: Stanza, error: StanzaError) -> tuple[Stanza, StanzaError]:
        """Leave out what the stanza holds."""
        return Stanza(stanza.name, stanza.attrs, origin=stanza.origin), error

    def of_creation(self, room: Room, id: str) -> Told:
        """See Codec."""
        return notices.of_creation(room, id)

    def of_change(self, room: Room, changed: Changed) -> Told:
        """See Codec."""
        return notices.of_change(room, changed)

    def of_end(self, room: Room, id: str) -> Told:
        """See Codec."""
        return notices.of_end(room, id)

    def of_configuration(
        self, room: Room, id: str, changed: Config, before: str, version: str
    ) -> tuple[Stanza, bool]:
        """See Codec."""
        return notices.of_configuration(room, id, changed, before, version), True
