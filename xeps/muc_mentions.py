"""XEP-0452: members who are mentioned in a room that they are not in get the message all the same."""

from __future__ import annotations

from itertools import islice
from urllib.parse import unquote

from palaver import jid
from palaver.archive.stanzaids import with_id
from palaver.jid import InvalidJID
from palaver.markup import element
from palaver.modules import Module, on
from palaver.pubsub.fields import Spec
from palaver.rooms.affiliations import MEMBER, RANK
from palaver.rooms.config import PREFIX, RoomField
from palaver.rooms.events import RoomMessage
from palaver.rooms.hooks import Hooks
from palaver.rooms.namespaces import NS_DELAY
from palaver.rooms.room import Room
from palaver.stanza import Stanza, make
from palaver.storage import ids
from palaver.times import stamp

NS_MENTIONS = "urn:xmpp:mmn:0"
NS_REFERENCE = "urn:xmpp:reference:0"
NS_FORWARD = "urn:xmpp:forward:0"
NAME = "forwardmentions"
# Who mentions more people than this in one message means everybody.
MAX_MENTIONED = 20


class Mentions(Module):
    """Forwards messages of rooms whose owners have asked for it, by references (XEP-0372) to people.

    A reference is to a member's JID, or to the occupant JID of a nick that a member has reserved.
    """

    def start(self) -> None:
        """Add the switch."""
        spec = Spec("boolean", "Whether members who are not in the room get messages that mention them")
        self.undo(Hooks.of(self.host).add_field(NAME, RoomField(f"{PREFIX}{NAME}", spec, False)))

    @on(RoomMessage)
    def said(self, event: RoomMessage) -> None:
        """Forward a message to those whom it mentions (section 3.2)."""
        room = event.room
        if not room.config.get(NAME) or (NS_REFERENCE, "reference") not in event.stanza.children:
            return
        if event.sender is None or event.id is None:
            return
        here = {one.bare for one in room.occupants.values()}
        away = _mentioned(room, event.stanza) - here
        if not away:
            return
        message = event.stanza.replace(to=room.jid.bare)
        if room.has_archive:
            message = with_id(message, room.jid.bare, event.id)
        delay = element("delay", NS_DELAY, stamp=stamp(ids.to_time(event.id)))
        forwarded = element("forwarded", NS_FORWARD, delay + message.encode(declare=True))
        payload = element("mentions", NS_MENTIONS, forwarded)
        for bare in sorted(away):
            self.host.router.route(make("message", {"from": room.jid.bare, "to": bare}, payload))


def _mentioned(room: Room, message: Stanza) -> set[str]:
    """Give the bare JIDs of the members whom a message mentions."""
    found: set[str] = set()
    for node in islice(message.element.elements(NS_REFERENCE, "reference"), MAX_MENTIONED):
        uri = node.getAttribute("uri", "")
        if node.getAttribute("type") != "mention" or not uri.startswith("xmpp:"):
            continue
        try:
            whom = jid.parse(unquote(uri[len("xmpp:") :].partition("?")[0]))
        except InvalidJID:
            continue
        bare: str | None = whom.bare
        if whom.bare == room.jid.bare:
            bare = room.reserved_for(whom.resource) if whom.resource else None
        if bare is not None and RANK[room.affiliation(bare)] >= RANK[MEMBER]:
            found.add(bare)
    return found
