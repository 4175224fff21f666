"""XEP-0500: the owner of a room says how long everybody waits between two messages."""

from __future__ import annotations

from pydantic import Field as Option

from palaver.archive.messages import BODY
from palaver.errors import StanzaError
from palaver.forms import Field
from palaver.modules import Module, Settings
from palaver.pubsub.fields import Spec
from palaver.rooms.affiliations import ADMIN, RANK
from palaver.rooms.config import PREFIX, RoomField
from palaver.rooms.hooks import GROUPCHAT, Announced, Hooks, Said
from palaver.rooms.room import Room

NAME = "slow_mode_duration"
# A clock for each account that speaks; those that have run out are forgotten first.
MAX_CLOCKS = 10_000


class SlowModeSettings(Settings):
    """Options of mod_muc_slow_mode."""

    default_duration: int = Option(
        0, ge=0, le=86_400, description="Seconds between two messages in rooms whose owners have not said."
    )
    max_duration: int = Option(
        86_400, ge=1, le=31_536_000, description="Seconds that an owner may ask for at most."
    )


class SlowMode(Module):
    """Refuses whoever says something again too early; admins and owners speak when they want."""

    Settings = SlowModeSettings

    settings: SlowModeSettings

    def start(self) -> None:
        """Add the field, and look at what is said."""
        default = self.settings.default_duration
        spec = Spec("number", "Slow mode: seconds between two messages of one occupant; 0 for none")
        hooks = Hooks.of(self.host)
        self.undo(hooks.add_field(NAME, RoomField(f"{PREFIX}{NAME}", spec, default)))
        self.undo(hooks.add_phase("guard", self.name, self._guard))
        self.undo(hooks.add_room_info(self._tell))

    def _duration(self, room: Room) -> int:
        """Give a room's pace in seconds; 0 for none."""
        held = room.config.get(NAME, self.settings.default_duration)
        return min(held, self.settings.max_duration) if isinstance(held, int) and held > 0 else 0

    def _tell(self, room: Room) -> Announced:
        field = Field(var=f"muc#roominfo_{NAME}", value=str(self._duration(room)))
        return Announced(fields=(field,))

    def _guard(self, said: Said) -> None:
        """Refuse a text that comes too early (section 6). Raises StanzaError(policy-violation)."""
        room, bare = said.room, said.occupant.bare
        duration = self._duration(room)
        if not duration or said.kind != GROUPCHAT or BODY not in said.stanza.children:
            return
        if RANK[room.affiliation(bare)] >= RANK[ADMIN]:
            return
        now = self.host.clock.seconds()
        # Of accounts, not of occupants: who leaves and comes back waits as well.
        clocks: dict[str, float] = room.state.setdefault(self.name, {})
        before = clocks.get(bare)
        if before is not None and now - before < duration:
            left = duration - (now - before)
            raise StanzaError(
                "policy-violation",
                f"Slow mode: one message every {duration} seconds; wait {left:.0f} more",
                type="wait",
            )
        clocks.pop(bare, None)
        clocks[bare] = now
        while len(clocks) > MAX_CLOCKS:
            del clocks[next(iter(clocks))]
