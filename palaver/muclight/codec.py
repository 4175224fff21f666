"""The two ways in which clients and rooms speak; the engine knows of neither.

`palaver.muclight.modern` is MUC Light's own, `palaver.muclight.legacy` that of Multi-User Chat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.muclight.changes import Change
from palaver.muclight.requests import Request, ServiceRequest
from palaver.muclight.schema import Config
from palaver.stanza import Child, Stanza

if TYPE_CHECKING:
    from palaver.muclight.room import Room

Key = tuple[str, Child]
"""Type and payload of a request."""

Anywhere = Mapping[Key, Callable[[ServiceRequest], Any]]
Reads = Mapping[Key, Callable[[Request], Any]]
Writes = Mapping[Key, Callable[[Request], Awaitable[None]]]

Notices = dict[str, tuple[Stanza, ...]]
"""What each is told, by bare JID; those who are told the same share one Stanza."""


class Told(NamedTuple):
    """What a room says of something, and what its archive keeps of that; None: nothing."""

    notices: Notices
    kept: Stanza | None = None


class Changed(NamedTuple):
    """Affiliations change, by whom and from one version to another; ``id`` is that of the request."""

    actor: str
    id: str
    done: Change
    before: str
    version: str


class Codec(Protocol):
    """One of them. What it writes has no ``to``."""

    name: str
    """What the service is called."""
    feature: str
    """The namespace that stands for the service in service discovery."""
    lists_versions: bool
    """Whether lists of rooms tell their versions."""
    anywhere: Anywhere
    """Requests to the service, and of those who need not be members of a room."""
    reads: Reads
    """Requests of members that are answered at once."""
    writes: Writes
    """Requests of members that wait for the room's turn."""

    def makes_room(self, presence: Stanza, to: JID) -> bool:
        """Tell whether a presence asks for a new room; else it is passed over. Raises StanzaError."""

    def subject_of(self, message: Stanza) -> str | None:
        """Give the subject that a message sets; None for one that is simply said."""

    def refused(self, stanza: Stanza, error: StanzaError) -> tuple[Stanza, StanzaError]:
        """Give what is left of a stanza that is refused, and the error that its sender hears."""

    def of_creation(self, room: Room, id: str) -> Told:
        """Tell of a new room."""

    def of_change(self, room: Room, changed: Changed) -> Told:
        """Tell of other affiliations; ``room.users`` are those before."""

    def of_end(self, room: Room, id: str) -> Told:
        """Tell that the room is gone."""

    def of_configuration(
        self, room: Room, id: str, changed: Config, before: str, version: str
    ) -> tuple[Stanza, bool]:
        """Give what everybody is told of a new configuration, and whether the archive keeps it."""
