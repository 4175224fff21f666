"""How much there may be on a service, and how fast (MongooseIM's options of mod_muc)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from palaver.errors import StanzaError
from palaver.pubsub.fields import Values

if TYPE_CHECKING:
    from palaver.jid import JID
    from palaver.rooms.occupants import Occupant
    from palaver.rooms.room import Room
    from palaver.rooms.service import Service
    from palaver.stanza import Stanza

# Keys of the storage end at 200 characters, and a room is an owner there.
MAX_ROOM_ID_CHARS = 190
# What forms and orders say in one text; room names and descriptions have options of their own.
MAX_TEXT_CHARS = 1000
# A presence stays in memory, and goes to everybody who enters; those of clients have a few hundred bytes.
MAX_PRESENCE_BYTES = 16_384
# Clients that share a nick; each gets a copy of everything, and another server may make up any number.
MAX_SESSIONS = 20
# How many accounts' rates are remembered in one room.
MAX_BUCKETS = 10_000


class Limits(NamedTuple):
    """Names as in the options of mod_muc; intervals are in seconds, shapers in bytes a second, 0 for none."""

    max_users: int = 200
    max_users_admin_threshold: int = 5
    max_room_id: int = MAX_ROOM_ID_CHARS
    max_room_name: int = 1000
    max_room_desc: int = 1000
    max_nick_chars: int = 256
    max_history: int = 200
    max_user_conferences: int = 10
    max_affiliations: int = 20_000
    min_message_interval: float = 0
    min_presence_interval: float = 0
    user_message_shaper: int = 0
    user_presence_shaper: int = 0
    room_shaper: int = 0


class Bucket:
    """Bytes that may pass: one second's worth at once, refilled over a second."""

    __slots__ = ("_at", "_left")

    def __init__(self, now: float, rate: int) -> None:
        self._at = now
        self._left = float(rate)

    def take(self, now: float, rate: int, size: int) -> bool:
        """Let bytes pass; False when there were too many. A full bucket lets anything pass, into debt."""
        self._left = min(float(rate), self._left + (now - self._at) * rate)
        self._at = now
        if self._left <= 0:
            return False
        self._left -= size
        return True


def check_message(room: Room, occupant: Occupant, message: Stanza) -> None:
    """Refuse what is said too fast. Raises StanzaError(resource-constraint)."""
    limits, now = room.service.limits, room.service.clock.seconds()
    if limits.min_message_interval and now - occupant.said_at < limits.min_message_interval:
        raise too_fast(f"Wait {limits.min_message_interval:g} seconds between messages")
    _shape(room, occupant, "said", limits.user_message_shaper, limits.room_shaper, message, now)
    occupant.said_at = now


def check_presence(room: Room, occupant: Occupant, presence: Stanza) -> None:
    """Refuse changes of presence and nick that come too fast. Raises StanzaError(resource-constraint)."""
    limits, now = room.service.limits, room.service.clock.seconds()
    if limits.min_presence_interval and now - occupant.shown_at < limits.min_presence_interval:
        raise too_fast(f"Wait {limits.min_presence_interval:g} seconds between changes of presence")
    _shape(room, occupant, "shown", limits.user_presence_shaper, limits.room_shaper, presence, now)
    occupant.shown_at = now


def _shape(
    room: Room, occupant: Occupant, kind: str, user_rate: int, room_rate: int, stanza: Stanza, now: float
) -> None:
    for rate, key in ((user_rate, f"{kind}:{occupant.bare}"), (room_rate, "room")):
        if rate:
            buckets: dict[str, Bucket] = room.state.setdefault("shapers", {})
            bucket = buckets.get(key)
            if bucket is None:
                bucket = buckets[key] = Bucket(now, rate)
                if len(buckets) > MAX_BUCKETS:
                    del buckets[next(iter(buckets))]
            if not bucket.take(now, rate, len(stanza.inner)):
                raise too_fast("Traffic rate limit is exceeded")


def too_fast(text: str) -> StanzaError:
    """Give the error for what may be tried again later."""
    return StanzaError("resource-constraint", text, type="wait")


def check_size(presence: Stanza) -> None:
    """Refuse a presence that is too large to be shown to everybody. Raises StanzaError."""
    if len(presence.inner) > MAX_PRESENCE_BYTES:
        raise StanzaError("not-acceptable", f"Presence in a room has at most {MAX_PRESENCE_BYTES} bytes")


def check_seats(service: Service, sender: JID) -> None:
    """Refuse a session that is in many rooms already. Raises StanzaError(resource-constraint)."""
    most = service.limits.max_user_conferences
    if len(service.seats.get(sender.full, ())) >= most:
        raise StanzaError("resource-constraint", f"You are in {most} rooms already", type="wait")


def check_texts(limits: Limits, config: Values) -> None:
    """Refuse a configuration with a text that is too long, or too many occupants. Raises StanzaError."""
    longest = {"roomname": limits.max_room_name, "roomdesc": limits.max_room_desc}
    for name, value in config.items():
        most = longest.get(name, MAX_TEXT_CHARS)
        if isinstance(value, str) and len(value) > most:
            raise StanzaError("not-acceptable", f"{name} has at most {most} characters")
    users = config.get("maxusers")
    if isinstance(users, int) and users > limits.max_users:
        raise StanzaError("not-acceptable", f"A room has at most {limits.max_users} occupants")
