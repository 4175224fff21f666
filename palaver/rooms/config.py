"""What a room is like: its configuration (XEP-0045 section 15.5.3), and what a form says about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from palaver.errors import StanzaError
from palaver.forms import Field, Form, encode
from palaver.pubsub.fields import Spec, Value, Values, read, texts_of
from palaver.rooms.namespaces import NS_ROOM_CONFIG
from palaver.storage import Json

PREFIX = "muc#roomconfig_"
ROLES = ("moderator", "participant", "visitor")
PM_ROLES = ("anyone", "participants", "moderators", "none")
_FORM_TYPES = {
    "boolean": "boolean",
    "choice": "list-single",
    "choices": "list-multi",
    "texts": "text-multi",
    "jids": "jid-multi",
}
SECRETS = ("roomsecret",)


class RoomField(NamedTuple):
    """One field: ``var`` is its name in forms, ``default`` what new rooms have.

    ``aliases`` are other names under which clients send it.
    """

    var: str
    spec: Spec
    default: Value
    aliases: tuple[str, ...] = ()


def _own(name: str, kind: str, label: str, default: Value, options: tuple[str, ...] = ()) -> RoomField:
    return RoomField(f"{PREFIX}{name}", Spec(kind, label, options), default)


FIELDS: dict[str, RoomField] = {
    "roomname": _own("roomname", "text", "Natural-language room name", ""),
    "roomdesc": _own("roomdesc", "text", "Short description of the room", ""),
    "lang": _own("lang", "text", "Natural language for the room's discussions", ""),
    "persistentroom": _own("persistentroom", "boolean", "Whether the room stays when nobody is in it", False),
    "publicroom": _own("publicroom", "boolean", "Whether the room is found by service discovery", True),
    "public_list": RoomField(
        "public_list", Spec("boolean", "Whether anybody may see who is in the room"), True
    ),
    "passwordprotectedroom": _own(
        "passwordprotectedroom", "boolean", "Whether a password is required to enter", False
    ),
    "roomsecret": _own("roomsecret", "text", "The room password", ""),
    "maxusers": _own("maxusers", "number", "Maximum number of room occupants", 200, ("none",)),
    "whois": _own(
        "whois", "choice", "Who may see occupants' real JIDs", "moderators", ("moderators", "anyone")
    ),
    "membersonly": _own("membersonly", "boolean", "Whether only members may enter", False),
    "moderatedroom": _own("moderatedroom", "boolean", "Whether only those with voice may speak", True),
    "members_by_default": RoomField(
        "members_by_default",
        Spec("boolean", "Whether those who enter a moderated room have voice"),
        True,
    ),
    "changesubject": _own("changesubject", "boolean", "Whether participants may change the subject", True),
    "allowinvites": _own("allowinvites", "boolean", "Whether occupants may invite others", False),
    "allowpm": _own("allowpm", "choice", "Who may send private messages", "anyone", PM_ROLES),
    "allow_query_users": RoomField(
        "allow_query_users", Spec("boolean", "Whether occupants may query each other's clients"), True
    ),
    "allowvisitorstatus": _own(
        "allowvisitorstatus", "boolean", "Whether visitors' status texts are shown", True
    ),
    "allowvisitornickchange": _own(
        "allowvisitornickchange", "boolean", "Whether visitors may change their nicks", True
    ),
    "allowmultisessions": _own(
        "allowmultisessions",
        "boolean",
        "Whether several clients of one account may share a nick",
        True,
    ),
    "presencebroadcast": _own(
        "presencebroadcast", "choices", "Roles whose presence is broadcast", list(ROLES), ROLES
    ),
    "getmemberlist": _own(
        "getmemberlist", "choices", "Roles that may retrieve the member list", ["moderator"], ROLES
    ),
    "maxhistoryfetch": RoomField(
        "muc#maxhistoryfetch",
        Spec("number", "Maximum number of history messages sent to whoever enters"),
        20,
    ),
    "enablearchiving": _own("enablearchiving", "boolean", "Whether messages are kept for later", True),
    "enablelogging": _own("enablelogging", "boolean", "Whether the room is logged publicly", False),
    "pubsub": _own("pubsub", "text", "XMPP URI of an associated publish-subscribe node", ""),
    "roomadmins": _own("roomadmins", "jids", "Room admins", []),
    "roomowners": _own("roomowners", "jids", "Room owners", []),
}
"""By the name that a room's ``config`` has them under; defaults as MongooseIM's, but for several sessions.

``roomadmins`` and ``roomowners`` are affiliations: they stand in the form only, and never in ``config``.
"""
LISTS = ("roomadmins", "roomowners")

# MongooseIM's names in ``default_room``, where they differ.
SETTING_NAMES = {
    "title": "roomname",
    "description": "roomdesc",
    "persistent": "persistentroom",
    "public": "publicroom",
    "password_protected": "passwordprotectedroom",
    "password": "roomsecret",
    "max_users": "maxusers",
    "members_only": "membersonly",
    "moderated": "moderatedroom",
    "allow_change_subj": "changesubject",
    "allow_user_invites": "allowinvites",
    "allow_visitor_status": "allowvisitorstatus",
    "allow_visitor_nickchange": "allowvisitornickchange",
    "allow_multiple_sessions": "allowmultisessions",
    "logging": "enablelogging",
}


class Fields:
    """All fields of a service's rooms: those of this file, and modules' own."""

    def __init__(self, more: Mapping[str, RoomField]) -> None:
        """``more`` is read whenever it is needed; modules add to it."""
        self._more = more

    def all(self) -> dict[str, RoomField]:
        """Give every field by name."""
        return {**FIELDS, **self._more}

    def defaults(self) -> Values:
        """Give what a room is like where nothing else is said."""
        return {name: field.default for name, field in self.all().items() if name not in LISTS}

    def form(self, values: Mapping[str, Value], title: str) -> bytes:
        """Give the form to be filled in, with values."""
        fields = []
        for name, field in self.all().items():
            spec = field.spec
            kind = "text-private" if name in SECRETS else _FORM_TYPES.get(spec.kind, "text-single")
            choices = dict.fromkeys(spec.options) if spec.kind in ("choice", "choices") else None
            fields.append(
                Field(
                    kind,
                    field.var,
                    values=texts_of(values.get(name, field.default)),
                    options=choices,
                    label=spec.label,
                )
            )
        return encode(Form("form", title=title, formNamespace=NS_ROOM_CONFIG, fields=fields))

    def read(self, submitted: Mapping[str, list[str]]) -> Values:
        """Give the values of a submitted form; fields that nobody knows are passed over.

        Raises StanzaError(not-acceptable) for a value of a wrong type.
        """
        names = {field.var: name for name, field in self.all().items()}
        for name, field in self.all().items():
            names.update(dict.fromkeys(field.aliases, name))
        specs = {name: field.spec for name, field in self.all().items()}
        given = {names[var]: texts for var, texts in submitted.items() if var in names}
        try:
            return read(specs, given)
        except ValueError as error:
            raise StanzaError("not-acceptable", str(error)) from None

    def different(self, values: Mapping[str, Value]) -> Json:
        """Give what differs from the defaults of `FIELDS` and modules, to be stored."""
        usual = self.defaults()
        return {name: value for name, value in values.items() if value != usual.get(name)}
