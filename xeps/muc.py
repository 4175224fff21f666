"""XEP-0045: Multi-User Chat on a domain of its own, with 0249, 0307, 0410, and archives of rooms (0313)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator
from twisted.internet.defer import Deferred

from palaver import jid
from palaver.commands import command as commands
from palaver.events import AccountDeleted, SessionUnbound
from palaver.interfaces import IRooms
from palaver.jid import InvalidJID
from palaver.markup import element, escape
from palaver.mistakes import ConfigError
from palaver.modules import Module, Settings, every, on
from palaver.pubsub.fields import Values
from palaver.rooms.affiliations import AFFILIATIONS, NONE
from palaver.rooms.commands import ROOMS
from palaver.rooms.config import FIELDS, SETTING_NAMES
from palaver.rooms.limits import MAX_ROOM_ID_CHARS, Limits
from palaver.rooms.namespaces import NS_CONFERENCE
from palaver.rooms.room import Subject
from palaver.rooms.service import Access, Service

SWEEP_S = 30
Default = bool | int | str | list[str] | list[dict[str, str]]
Text = Literal["infinity"]


def _read_defaults(given: dict[str, Default]) -> Values:
    """Give a configuration from the table ``default_room``; raises ValueError, with a sentence."""
    found: Values = {}
    for name, value in given.items():
        if name == "anonymous":
            found["whois"] = "moderators" if value else "anyone"
        elif name == "allow_private_messages":
            found["allowpm"] = "anyone" if value else "none"
        elif name == "maygetmemberlist":
            found["getmemberlist"] = list(map(str, value)) if isinstance(value, list) else []
        elif name not in ("affiliations", "subject", "subject_author"):
            key = SETTING_NAMES.get(name, name)
            if key not in FIELDS:
                raise ValueError(f"there is no {name}; allowed: {', '.join((*SETTING_NAMES, *FIELDS))}")
            if isinstance(value, list):
                found[key] = [str(text) for text in value]
            elif isinstance(value, bool) != isinstance(FIELDS[key].default, bool):
                raise ValueError(
                    f"{name} is {'true or false' if not isinstance(value, bool) else 'no boolean'}"
                )
            else:
                found[key] = value
    return found


def _read_affiliations(given: dict[str, Default]) -> tuple[tuple[str, str], ...]:
    """Give who is affiliated with every new room; raises ValueError, with a sentence."""
    found = []
    entries = given.get("affiliations", [])
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or not {"user", "server", "affiliation"} <= entry.keys():
            raise ValueError("affiliations are tables with user, server, resource and affiliation")
        if entry["affiliation"] not in AFFILIATIONS or entry["affiliation"] == NONE:
            raise ValueError(f"{entry['affiliation']} is no affiliation")
        try:
            found.append((jid.make(entry["user"], entry["server"]).bare, entry["affiliation"]))
        except InvalidJID as error:
            raise ValueError(f"affiliations: {error}") from None
    return tuple(found)


class MucSettings(Settings):
    """Options of mod_muc."""

    host: str = Field("muc.@HOST@", description="The service's domain; @HOST@ stands for the host's.")
    name: str = Field("Chatrooms", description="What the service is called.")
    access: Access = Field(
        "all",
        description="Who may use it: all, local (accounts of this host), admin (general.admins) or none.",
    )
    access_create: Access = Field("all", description="Who may make rooms: all, local, admin or none.")
    access_admin: Literal["admin", "none"] = Field(
        "none", description="admin: those in general.admins have the rights of owners in every room."
    )
    access_persistent: Access = Field(
        "all", description="Who may make rooms that stay when nobody is in them: all, local, admin or none."
    )
    history_size: int = Field(20, ge=0, le=200, description="Messages that whoever enters a room is told.")
    max_users: int = Field(200, ge=1, le=100_000, description="Occupants of one room at most.")
    max_users_admin_threshold: int = Field(
        5, ge=0, le=1000, description="How many admins and owners may enter a room that is full."
    )
    max_user_conferences: int = Field(10, ge=1, le=10_000, description="Rooms that one session may be in.")
    max_room_id: int | Text = Field("infinity", description="How long a room's name in its JID may be.")
    max_room_name: int | Text = Field("infinity", description="How long a room's title may be.")
    max_room_desc: int | Text = Field("infinity", description="How long a room's description may be.")
    max_affiliations: int = Field(
        20_000,
        ge=2,
        le=1_000_000,
        description="How many people may be affiliated with one room; half of them may register themselves.",
    )
    min_message_interval: float = Field(
        0, ge=0, le=3600, description="Seconds between two messages of an occupant at least."
    )
    min_presence_interval: float = Field(
        0, ge=0, le=3600, description="Seconds between two changes of an occupant's presence at least."
    )
    room_shaper: int | Literal["none"] = Field(
        "none", description="Bytes a second that one room takes of all occupants together."
    )
    user_message_shaper: int | Literal["none"] = Field(
        "none", description="Bytes a second of messages that one account may send to a room."
    )
    user_presence_shaper: int | Literal["none"] = Field(
        "none", description="Bytes a second of presence that one account may send to a room."
    )
    hibernate_timeout: int = Field(
        90_000, ge=1000, description="Milliseconds after which a room that nobody is in is in memory no more."
    )
    room_locking: bool = Field(
        True, description="Let nobody else into a new room before its owner has configured it."
    )
    tombstone_expiry: int = Field(
        31 * 24 * 3600,
        ge=0,
        description="Seconds for which the name of a destroyed room is its owners' alone; 0 for none.",
    )
    default_room: dict[str, Default] = Field(
        default_factory=dict,
        description="What new rooms are like, by MongooseIM's names (title, persistent, members_only, "
        "anonymous, ...) or those of the fields in XEP-0045 without muc#roomconfig_; affiliations, subject.",
    )

    @field_validator("default_room")
    @classmethod
    def _known(cls, given: dict[str, Default]) -> dict[str, Default]:
        _read_defaults(given)
        _read_affiliations(given)
        return given


class MultiUserChat(Module):
    """Rooms to talk in."""

    Settings = MucSettings
    features = (NS_CONFERENCE,)

    settings: MucSettings

    def in_use(self) -> bool:
        """See Module: somebody may be in a room."""
        return bool(self.service.rooms)

    def start(self) -> None:
        """Serve the domain. Raises ConfigError for one that is taken."""
        settings, host = self.settings, self.host
        domain = jid.prepare_domain(settings.host.replace("@HOST@", host.domain))
        defaults: Values = {"maxhistoryfetch": settings.history_size, "maxusers": settings.max_users}
        defaults.update(_read_defaults(settings.default_room))
        service = self.service = Service(
            host, jid.JID("", domain, ""), settings.name, self._limits(), defaults
        )
        service.access = settings.access
        service.access_create = settings.access_create
        service.access_admin = settings.access_admin
        service.access_persistent = settings.access_persistent
        service.locks = settings.room_locking
        service.idle_s = settings.hibernate_timeout / 1000
        service.tombstone_s = settings.tombstone_expiry
        service.first_affiliations = _read_affiliations(settings.default_room)
        if subject := str(settings.default_room.get("subject", "")):
            inner = element("subject", None, escape(subject))
            service.first_subject = Subject(inner, (("jabber:client", "subject"),), "", 0.0)
        try:
            self.undo(host.router.add(service))
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from None
        self.undo(host.provide(service, IRooms))
        self.undo(service.shut_down)
        for command in ROOMS:
            self.undo(commands.add(host, command))

    def _limits(self) -> Limits:
        settings = self.settings

        def most(value: int | str, limit: int) -> int:
            return limit if isinstance(value, str) else min(value, limit)

        return Limits(
            max_users=settings.max_users,
            max_users_admin_threshold=settings.max_users_admin_threshold,
            max_room_id=most(settings.max_room_id, MAX_ROOM_ID_CHARS),
            max_room_name=most(settings.max_room_name, 1000),
            max_room_desc=most(settings.max_room_desc, 1000),
            max_user_conferences=settings.max_user_conferences,
            max_affiliations=settings.max_affiliations,
            min_message_interval=settings.min_message_interval,
            min_presence_interval=settings.min_presence_interval,
            room_shaper=0 if settings.room_shaper == "none" else settings.room_shaper,
            user_message_shaper=0 if settings.user_message_shaper == "none" else settings.user_message_shaper,
            user_presence_shaper=0
            if settings.user_presence_shaper == "none"
            else settings.user_presence_shaper,
        )

    @every(SWEEP_S)
    def sweep(self) -> None:
        """Take rooms out of memory that nobody uses."""
        self.service.sweep()

    @on(AccountDeleted)
    async def deleted(self, event: AccountDeleted) -> None:
        """Take away what the account was in rooms."""
        await self.service.forget_account(event.jid.bare)

    @on(SessionUnbound)
    def gone(self, event: SessionUnbound) -> Deferred[Any] | None:
        """Take a session out of its rooms, when what it should have sent did not get there."""
        return self.service.session_gone(event.session.jid.full) if self.service.seats else None
