"""MUC Light in the words of Multi-User Chat (XEP-0045), for clients that know nothing else.

There is less of it: no versions, and rooms begin with their creator alone. Presence is what tells of
affiliations; it has nothing to do with who is online. Requests in MUC Light's own words are answered too, as
the REST interfaces make them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from twisted.words.xish import domish

from palaver import jid
from palaver.errors import StanzaError
from palaver.forms import NS_DATA
from palaver.jid import JID, InvalidJID
from palaver.markup import element, escape
from palaver.muclight import modern, setting
from palaver.muclight.changes import AFFILIATIONS, MEMBER, NONE, OWNER, Item
from palaver.muclight.codec import Anywhere, Changed, Notices, Reads, Told, Writes
from palaver.muclight.requests import MAX_ITEMS, Request
from palaver.muclight.schema import SUBJECT, Config, read_value
from palaver.rooms.namespaces import (
    CONFIG_CHANGED,
    CREATED,
    NO_MEMBER_ANY_MORE,
    NS_ADMIN,
    NS_MUC,
    NS_OWNER,
    NS_ROOM_CONFIG,
    NS_USER,
    SELF,
    statuses,
)
from palaver.stanza import NS_CLIENT, Stanza

if TYPE_CHECKING:
    from palaver.muclight.room import Room

TITLE = "Configuration form for the room"
ROLES = {OWNER: "moderator", MEMBER: "participant", NONE: "none"}
_SUBJECT = ((NS_CLIENT, SUBJECT),)


# -- requests --------------------------------------------------------------------------------


def _form(request: Request) -> bytes:
    """Give the configuration as a form."""
    fields = [_field("FORM_TYPE", "hidden", NS_ROOM_CONFIG)]
    fields += [_field(name, "text-single", str(value), name) for name, value in request.room.config.items()]
    title = element("title", None, escape(TITLE))
    return element("query", NS_OWNER, element("x", NS_DATA, title + b"".join(fields), type="form"))


def _field(var: str, kind: str, value: str, label: str | None = None) -> bytes:
    return element("field", None, element("value", None, escape(value)), var=var, type=kind, label=label)


def _occupants(request: Request) -> bytes:
    """Give who belongs to the room, whatever is asked for."""
    return element("query", NS_ADMIN, b"".join(_item(*pair) for pair in request.room.users.items()))


async def _own(request: Request) -> None:
    """Destroy the room, or set some fields of its configuration."""
    if next(request.node.elements(NS_OWNER, "destroy"), None) is not None:
        await setting.destroy(request.room, request.sender.bare, request.id)
        return
    wanted = _read_form(request.node, request.room.service.schema.defaults)
    if wanted:
        await setting.configure(request.room, request.sender.bare, wanted, request.id)


def _read_form(node: domish.Element, defaults: Config) -> Config:
    """Give what a form sets; nothing for one that is cancelled. Raises StanzaError(bad-request)."""
    form = next(node.elements(NS_DATA, "x"), None)
    if form is None:
        raise StanzaError("bad-request", "This needs a form, or a room to be destroyed")
    wanted: Config = {}
    if form.getAttribute("type", "submit") == "cancel":
        return wanted
    for field in form.elements(NS_DATA, "field"):
        name, value = field.getAttribute("var", ""), next(field.elements(NS_DATA, "value"), None)
        if name == "FORM_TYPE":
            continue
        if name not in defaults:
            raise StanzaError("bad-request", f"{name}:not_found")
        if value is None:
            raise StanzaError("bad-request", f"{name} has no value")
        wanted[name] = read_value(name, str(value), defaults[name])
    return wanted


async def _affiliate(request: Request) -> None:
    """Take people in, out, or change what they are."""
    wanted = list(_items(request.node))
    if not 0 < len(wanted) <= MAX_ITEMS:
        raise StanzaError("bad-request", "Failed to parse affiliations")
    await setting.affiliate(request.room, request.sender.bare, wanted, request.id)


def _items(node: domish.Element) -> Iterator[Item]:
    for item in node.elements(NS_ADMIN, "item"):
        affiliation = item.getAttribute("affiliation")
        try:
            address = jid.parse(item.getAttribute("jid", ""))
        except InvalidJID:
            raise StanzaError("bad-request", "That is no JID") from None
        if affiliation not in AFFILIATIONS or not address.local:
            raise StanzaError("bad-request", "Failed to parse affiliations")
        yield Item(address.bare, affiliation)


ANYWHERE: Anywhere = modern.ANYWHERE
READS: Reads = {
    **modern.READS,
    ("get", (NS_OWNER, "query")): _form,
    ("get", (NS_ADMIN, "query")): _occupants,
}
WRITES: Writes = {
    **modern.WRITES,
    ("set", (NS_OWNER, "query")): _own,
    ("set", (NS_ADMIN, "query")): _affiliate,
}


# -- what rooms say --------------------------------------------------------------------------


def _item(bare: str, affiliation: str) -> bytes:
    nick = None if affiliation == NONE else bare
    return element("item", affiliation=affiliation, jid=bare, role=ROLES[affiliation], nick=nick)


def _presence(room: Room, bare: str, affiliation: str, inner: bytes) -> Stanza:
    """Give presence of somebody in a room; unavailable for who is not in it any more."""
    attrs = {"from": f"{room.jid.bare}/{bare}"}
    if affiliation == NONE:
        attrs["type"] = "unavailable"
    return Stanza("presence", attrs, ((NS_USER, "x"),), element("x", NS_USER, inner))


def _of_affiliation(room: Room, item: Item) -> Stanza:
    gone = statuses(NO_MEMBER_ANY_MORE) if item.affiliation == NONE else b""
    return _presence(room, item.bare, item.affiliation, _item(*item) + gone)


def _message(room: Room, inner: bytes) -> Stanza:
    return Stanza("message", {"from": room.jid.bare}, ((NS_USER, "x"),), element("x", NS_USER, inner))


class Legacy:
    """See `palaver.muclight.codec.Codec`."""

    name = "MUC Light (legacy)"
    feature = NS_MUC
    lists_versions = False

    def __init__(self) -> None:
        self.anywhere = ANYWHERE
        self.reads = READS
        self.writes = WRITES

    def makes_room(self, presence: Stanza, to: JID) -> bool:
        """See Codec; one enters no room, so all other presence means nothing."""
        if not to.local:
            raise StanzaError("bad-request")
        return "type" not in presence.attrs and (NS_MUC, "x") in presence.children

    def subject_of(self, message: Stanza) -> str | None:
        """Give the subject of a message that has nothing beside it."""
        return str(message.child(*_SUBJECT[0])) if message.children == _SUBJECT else None

    def refused(self, stanza: Stanza, error: StanzaError) -> tuple[Stanza, StanzaError]:
        """Leave out what the stanza holds; who wants to enter a room that is there may not."""
        if stanza.name != "presence":
            return Stanza(stanza.name, stanza.attrs, origin=stanza.origin), error
        if error.condition == "conflict":
            error = StanzaError("registration-required")
        x = element("x", NS_MUC)
        return Stanza("presence", stanza.attrs, ((NS_MUC, "x"),), x, origin=stanza.origin), error

    def of_creation(self, room: Room, id: str) -> Told:
        """Welcome the creator; whom else a request in other words has put into the room is invited."""
        creator = next((bare for bare, is_ in room.users.items() if is_ == OWNER), min(room.users))
        told: Notices = {bare: (_invitation(room, creator),) for bare in room.users if bare != creator}
        affiliation = room.users[creator]
        item = element("item", affiliation=affiliation, role=ROLES[affiliation])
        told[creator] = (_presence(room, creator, affiliation, item + statuses(SELF, CREATED)),)
        return Told(told)

    def of_change(self, room: Room, changed: Changed) -> Told:
        """Show presence of those who are concerned to those who stay, invite who is new."""
        done = changed.done
        everything = tuple([_of_affiliation(room, item) for item in done.items])
        invitation = _invitation(room, changed.actor)
        told: Notices = {bare: everything if bare in room.users else (invitation,) for bare in done.users}
        for bare in room.users.keys() - done.users.keys():
            told[bare] = (_of_affiliation(room, Item(bare, NONE)),)
        return Told(told)

    def of_end(self, room: Room, id: str) -> Told:
        """Show everybody that he is gone."""
        inner = element("item", affiliation=NONE, role=ROLES[NONE]) + element("destroy")
        return Told({bare: (_presence(room, bare, NONE, inner),) for bare in room.users})

    def of_configuration(
        self, room: Room, id: str, changed: Config, before: str, version: str
    ) -> tuple[Stanza, bool]:
        """Tell the subject, which the archive keeps; or, of more than that, that something has changed."""
        attrs = {"from": room.jid.bare, "type": "groupchat", "id": id}
        if changed.keys() == {SUBJECT}:
            subject = element(SUBJECT, None, escape(str(changed[SUBJECT])))
            return Stanza("message", attrs, _SUBJECT, subject), True
        said = _message(room, statuses(CONFIG_CHANGED))
        return Stanza("message", attrs, said.children, said.inner), False


def _invitation(room: Room, inviter: str) -> Stanza:
    return _message(room, element("invite", from_=inviter))
