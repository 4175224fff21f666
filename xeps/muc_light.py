"""MUC Light: MongooseIM's rooms that are lists of members without presence; with archives (XEP-0313)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from twisted.internet.defer import Deferred

from palaver import jid
from palaver.commands import command as commands
from palaver.events import AccountDeleted
from palaver.interfaces import IListElsewhere, IRosterAdditions
from palaver.mistakes import ConfigError
from palaver.modules import Module, Settings, every, on
from palaver.muclight.changes import Rules
from palaver.muclight.codec import Codec
from palaver.muclight.commands import ROOMS
from palaver.muclight.modern import Modern
from palaver.muclight.rosters import RosterRooms
from palaver.muclight.schema import DEFAULT_FIELDS, Config
from palaver.muclight.service import Service

SWEEP_S = 30
RESERVED = ("version", "prev-version")
Limit = Annotated[int, Field(ge=1)] | Literal["infinity"]


class FieldSettings(BaseModel):
    """A field of rooms' configurations; exactly one of the values is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")
    string_value: str | None = None
    integer_value: int | None = None
    float_value: float | None = None
    internal_key: str | None = None

    def value(self) -> str | int | float:
        """Give the default. Raises ValueError unless there is one."""
        values = [
            value for value in (self.string_value, self.integer_value, self.float_value) if value is not None
        ]
        if len(values) != 1:
            raise ValueError(f"{self.field} has one of string_value, integer_value and float_value")
        return values[0]


def _read_schema(fields: list[FieldSettings]) -> Config:
    config = {field.field: field.value() for field in fields}
    if len(config) != len(fields):
        raise ValueError("a field is there twice")
    if reserved := [name for name in RESERVED if name in config]:
        raise ValueError(f"a field cannot be called {reserved[0]}")
    return config


class MucLightSettings(Settings):
    """Options of mod_muc_light."""

    host: str = Field("muclight.@HOST@", description="The service's domain; @HOST@ stands for the host's.")
    equal_occupants: bool = Field(False, description="Rooms have no owners.")
    legacy_mode: bool = Field(
        False,
        description="Speak as Multi-User Chat does (a part of XEP-0045) with clients that know nothing else. "
        "They edit what they block as a privacy list, for which mod_privacy has to be on.",
    )
    rooms_per_user: Limit = Field("infinity", description="How many rooms somebody may be in.")
    blocking: bool = Field(True, description="People may block rooms, and others who take them into rooms.")
    all_can_configure: bool = Field(False, description="Members may change the configuration.")
    all_can_invite: bool = Field(False, description="Members may take others in.")
    max_occupants: Limit = Field("infinity", description="How many people a room may have.")
    rooms_per_page: Limit = Field(10, description="Rooms in one answer to disco#items at most.")
    config_schema: list[FieldSettings] | None = Field(
        None,
        description="Fields of rooms' configurations: tables with field and its default as string_value, "
        "integer_value or float_value; roomname and subject when not given.",
    )
    rooms_in_rosters: bool = Field(
        False, description="Show people their rooms as contacts of the group urn:xmpp:muclight:0."
    )
    archive: bool = Field(True, description="Keep what is said, for members who were away.")
    no_stanzaid_element: bool = Field(False, description="Do not tell clients the ids of archived messages.")

    @field_validator("config_schema")
    @classmethod
    def _sound(cls, given: list[FieldSettings] | None) -> list[FieldSettings] | None:
        if given is not None:
            _read_schema(given)
        return given


class MucLight(Module):
    """Rooms for members who need not be online."""

    Settings = MucLightSettings

    settings: MucLightSettings

    def in_use(self) -> bool:
        """See Module: somebody may be in a room."""
        return bool(self.service.rooms)

    def start(self) -> None:
        """Serve the domain. Raises ConfigError for one that is taken."""
        settings, host = self.settings, self.host
        domain = jid.prepare_domain(settings.host.replace("@HOST@", host.domain))
        schema = settings.config_schema
        fields = DEFAULT_FIELDS if schema is None else _read_schema(schema)
        service = self.service = Service(host, domain, self._codec(), self._rules(), fields)
        service.archives = settings.archive
        service.tells_ids = not settings.no_stanzaid_element
        service.rooms_per_page = _limit(settings.rooms_per_page)
        try:
            self.undo(host.router.add(service))
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from None

        for command in ROOMS:
            self.undo(commands.add(host, command))
        if settings.rooms_in_rosters:
            service.rosters = RosterRooms(service)
            self.undo(host.provide(service.rosters, IRosterAdditions))
        if settings.legacy_mode:
            from palaver.muclight.privacylist import BlockingAsList

            self.undo(host.provide(BlockingAsList(service), IListElsewhere))

    def _codec(self) -> Codec:
        if not self.settings.legacy_mode:
            return Modern()
        # Nobody else needs it in memory.
        from palaver.muclight.legacy import Legacy

        return Legacy()

    def _rules(self) -> Rules:
        settings = self.settings
        return Rules(
            equal_occupants=settings.equal_occupants,
            all_can_configure=settings.all_can_configure,
            all_can_invite=settings.all_can_invite,
            max_occupants=_limit(settings.max_occupants),
            rooms_per_user=_limit(settings.rooms_per_user),
            blocking=settings.blocking,
        )

    @every(SWEEP_S)
    def sweep(self) -> None:
        """Take rooms out of memory that nobody uses."""
        self.service.sweep()

    @on(AccountDeleted)
    def deleted(self, event: AccountDeleted) -> Deferred[None]:
        """Take an account out of its rooms."""
        return Deferred.fromCoroutine(self.service.forget(event.jid.bare))


def _limit(given: int | str) -> int | None:
    return given if isinstance(given, int) else None
