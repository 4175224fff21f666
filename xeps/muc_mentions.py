"""XEP-0452 and 0513: who may mention whom in rooms; members who are away get what mentions them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field as Option
from twisted.words.xish import domish

from palaver import forms
from palaver.archive.stanzaids import with_id
from palaver.errors import StanzaError
from palaver.forms import Field, Form
from palaver.markup import element
from palaver.modules import Module, Settings, on
from palaver.pubsub.fields import Spec, Value, texts_of
from palaver.rooms import mentions, owner
from palaver.rooms.affiliations import ROLE_RANK
from palaver.rooms.config import PREFIX, RoomField
from palaver.rooms.events import AffiliationChanged, RoomConfigured, RoomMessage
from palaver.rooms.hooks import PRIVATE, Announced, Hooks, RoomRequest, Said
from palaver.rooms.mentions import (
    ASSOCIATIONS,
    CHANNEL,
    HATS,
    INDIVIDUAL,
    MENTION,
    NS_EXPLICIT,
    kind_of,
)
from palaver.rooms.namespaces import NS_DELAY, NS_HATS
from palaver.rooms.room import Room
from palaver.stanza import Stanza, make
from palaver.storage import ids
from palaver.times import stamp

NS_MENTIONS = "urn:xmpp:mmn:0"
NS_FORWARD = "urn:xmpp:forward:0"
NAME = "forwardmentions"
COUNT = "mentions#count"
Who = Literal["participants", "moderators", "none"]
# The least role that each of them means.
LEAST = {"participants": ROLE_RANK["participant"], "moderators": ROLE_RANK["moderator"]}
LABELS = {
    INDIVIDUAL: "Who may mention people",
    CHANNEL: "Who may mention everybody in the room",
    ASSOCIATIONS: "Who may mention those with a role or an affiliation",
    HATS: "Who may mention those with a hat",
}


class MentionsSettings(Settings):
    """Options of mod_muc_mentions; what rooms have where their owners have not said."""

    max_forwarded: int = Option(
        100, ge=1, le=10_000, description="A message that mentions more absent members is forwarded to none."
    )
    default_count: int = Option(10, ge=0, le=1000, description="Mentions in one message.")
    default_individual: Who = Option("participants", description="Who may mention people.")
    default_channel: Who = Option("moderators", description="Who may mention everybody in a room.")
    default_associations: Who = Option(
        "participants", description="Who may mention those with a role or an affiliation."
    )
    default_hats: Who = Option("participants", description="Who may mention those with a hat.")


class Mentions(Module):
    """Forwards messages of rooms whose owners have asked for it, and says who may mention whom.

    People are mentioned as XEP-0513 says, alone or as those with an affiliation or a hat, and by references
    (XEP-0372) to a member's JID or to the occupant JID of a nick that a member has reserved.
    """

    Settings = MentionsSettings

    settings: MentionsSettings

    def start(self) -> None:
        """Add the switch and what owners say of mentions."""
        hooks = self._hooks = Hooks.of(self.host)
        spec = Spec("boolean", "Whether members who are not in the room get messages that mention them")
        self.undo(hooks.add_field(NAME, RoomField(f"{PREFIX}{NAME}", spec, False)))
        self._defaults: dict[str, Value] = {COUNT: self.settings.default_count}
        self._specs = {COUNT: Spec("number", "How many mentions a message may have")}
        for kind, label in LABELS.items():
            self._specs[_var(kind)] = Spec("choice", label, (*LEAST, "none"))
            self._defaults[_var(kind)] = getattr(self.settings, f"default_{kind}")
        for var, spec in self._specs.items():
            self.undo(hooks.add_field(var, RoomField(var, spec, self._defaults[var])))
        self.undo(hooks.add_room_info(self._tell))
        self.undo(hooks.add_phase("change", self.name, self._filter))
        self.undo(hooks.add_iq("get", NS_EXPLICIT, "query", self.name, self.get))
        self.undo(hooks.add_iq("set", NS_EXPLICIT, "query", self.name, self.set))

    # -- who may mention whom (section 3.6 of XEP-0513) ---------------------------------

    def _value(self, room: Room, var: str) -> Value:
        return room.config.get(var, self._defaults[var])

    def _vars(self) -> Iterator[str]:
        """Give the fields that make sense: there are no hats where no module gives any."""
        hats = any(child == (NS_HATS, "hats") for child, _ in self._hooks.presence)
        return (var for var in self._specs if hats or var != _var(HATS))

    def _fields(self, room: Room, names: Iterable[str], *, asks: bool) -> list[Field]:
        found = []
        for var in names:
            spec = self._specs[var]
            kind = "list-single" if spec.options else "text-single"
            options = dict.fromkeys(spec.options) if asks and spec.options else None
            values, label = texts_of(self._value(room, var)), spec.label if asks else None
            found.append(Field(kind, var, values=values, options=options, label=label, required=asks))
        return found

    def _tell(self, room: Room) -> Announced:
        names = tuple(self._vars())
        groups = [f"{NS_EXPLICIT}#{kind}" for kind in (CHANNEL, ASSOCIATIONS, HATS) if _var(kind) in names]
        return Announced((NS_EXPLICIT, *groups), self._fields(room, names, asks=False))

    def get(self, request: RoomRequest) -> bytes:
        """Give the form."""
        room = request.room
        assert room is not None
        fields = self._fields(room, self._vars(), asks=True)
        form = Form("form", "Permissions for mentions", formNamespace=NS_EXPLICIT, fields=fields)
        return element("query", NS_EXPLICIT, forms.encode(form))

    async def set(self, request: RoomRequest) -> None:
        """Take the form from an owner. Raises StanzaError, StorageError."""
        room, query = request.room, request.iq.child(NS_EXPLICIT, "query")
        assert room is not None and query is not None
        if not room.service.is_owner(room, request.sender.bare):
            raise StanzaError("forbidden", "Owners say who may mention whom")
        submitted = forms.read(query, NS_EXPLICIT)
        if submitted is None:
            raise StanzaError("bad-request", f"A form is submitted, and its FORM_TYPE is {NS_EXPLICIT}")
        given = {var: texts for var, texts in submitted.items() if var in self._specs}
        values = room.service.fields.read(given)
        await room.order.take(lambda: owner.configure(room, values, request.sender))

    @on(RoomConfigured)
    def configured(self, event: RoomConfigured) -> None:
        """Tell everybody what has changed of it."""
        changed = [var for var in self._vars() if var in event.changed]
        if changed:
            fields = self._fields(event.room, changed, asks=False)
            form = Form("result", "Permissions for mentions", formNamespace=NS_EXPLICIT, fields=fields)
            event.room.notify(forms.encode(form), ((forms.NS_DATA, "x"),))

    def _filter(self, said: Said) -> Stanza | None:
        """Take mentions off that their sender may not make; the text stays."""
        message, room = said.stanza, said.room
        if MENTION not in message.children or said.kind == PRIVATE:
            return None
        nodes = list(message.element.elements(*MENTION))
        most = self._value(room, COUNT)
        if isinstance(most, int) and len(nodes) > most:
            return message.without_child(*MENTION)
        if all(self._may(said, node) for node in nodes):
            return None
        return message.with_children(
            node
            for node in message.element.children
            if isinstance(node, str) or (node.uri, node.name) != MENTION or self._may(said, node)
        )

    def _may(self, said: Said, mention: domish.Element) -> bool:
        kind = kind_of(mention)
        least = str(self._value(said.room, _var(kind))) if kind else "participants"
        return least in LEAST and ROLE_RANK[said.occupant.role] >= LEAST[least]

    # -- those who are away (section 3.2 of XEP-0452) -----------------------------------

    @on(AffiliationChanged)
    def changed(self, event: AffiliationChanged) -> None:
        """Forget by which ids members are known."""
        mentions.forget_ids(event.room)

    @on(RoomMessage)
    def said(self, event: RoomMessage) -> None:
        """Forward a message to those whom it mentions."""
        room = event.room
        if not room.config.get(NAME) or not mentions.has_any(event.stanza):
            return
        if event.sender is None or event.id is None:
            return
        away = mentions.members(room, event.stanza) - {one.bare for one in room.occupants.values()}
        if not away or len(away) > self.settings.max_forwarded:
            return
        message = event.stanza.replace(to=room.jid.bare)
        if room.has_archive:
            message = with_id(message, room.jid.bare, event.id)
        delay = element("delay", NS_DELAY, stamp=stamp(ids.to_time(event.id)))
        forwarded = element("forwarded", NS_FORWARD, delay + message.encode(declare=True))
        payload = element("mentions", NS_MENTIONS, forwarded)
        for bare in sorted(away):
            self.host.router.route(make("message", {"from": room.jid.bare, "to": bare}, payload))


def _var(kind: str) -> str:
    return f"mentions#{kind}"
