"""Pages of what is said in rooms, one a day, for rooms whose owners switch that on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from palaver.archive.messages import body_text
from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.modules import Module, Settings, every, on
from palaver.pubsub.fields import Values
from palaver.roomlogs import pages
from palaver.roomlogs.files import Layout, Piece, Writer
from palaver.roomlogs.lines import Line, as_html, as_json, as_text
from palaver.rooms.events import (
    NickChanged,
    OccupantJoined,
    OccupantLeft,
    RoomConfigured,
    RoomCreated,
    RoomDestroyed,
    RoomMessage,
)
from palaver.rooms.hooks import Hooks
from palaver.rooms.messages import is_subject
from palaver.rooms.room import Room
from palaver.rooms.service import Access
from palaver.stanza import NS_CLIENT, Stanza

# Written together, so that a busy room costs a write a second.
FLUSH_S = 1
SUFFIXES = {"html": "html", "plaintext": "txt", "json": "json"}
# The first code that fits says why somebody has gone.
GONE = {
    "301": ("ban", "has been banned"),
    "307": ("kick", "has been kicked"),
    "321": ("kick", "has been kicked because of an affiliation change"),
    "322": ("kick", "has been kicked because the room has been changed to members-only"),
    "332": ("kick", "has been kicked because of a system shutdown"),
}
# What a page tells of its room; never a password.
TOLD = ("roomdesc", "persistentroom", "publicroom", "membersonly", "moderatedroom", "passwordprotectedroom")


class TopLink(Settings):
    """The link at the top of each page."""

    target: str = Field("/", description="Where it leads.")
    text: str = Field("Home", description="What it says.")


class MucLogSettings(Settings):
    """Options of mod_muc_log."""

    outdir: str = Field(
        "www/muc", min_length=1, description="The folder of the pages; others' readers serve it."
    )
    access_log: Access | Literal["muc_admin"] = Field(
        "muc_admin",
        description="Who may switch a room's logging: all (its owners), local, admin (general.admins), none; "
        "muc_admin is admin.",
    )
    dirtype: Literal["subdirs", "plain"] = Field(
        "subdirs", description="subdirs: ROOM/YYYY/MM/DD.html; plain: ROOM/YYYY-MM-DD.html."
    )
    dirname: Literal["room_jid", "room_name"] = Field(
        "room_jid", description="What a room's folder is called: its JID, or the part before the @."
    )
    file_format: Literal["html", "plaintext", "json"] = Field(
        "html", description="html, plaintext, or json: an object in each line."
    )
    css_file: str | None = Field(
        None, description="Address of a style sheet instead of the pages' own style."
    )
    timezone: Literal["local", "universal"] = Field("local", description="The time on the pages.")
    top_link: TopLink = Field(
        TopLink(target="/", text="Home"), description="The link at the top of each page."
    )
    spam_prevention: bool = Field(True, description="Search engines are told not to follow people's links.")


class RoomLogs(Module):
    """Writes what happens in rooms with logging into files, away from the reactor's thread."""

    Settings = MucLogSettings

    settings: MucLogSettings

    def start(self) -> None:
        """Make ready; a folder is made when something is to be written."""
        settings = self.settings
        suffix = SUFFIXES[settings.file_format]
        self._layout = Layout(Path(settings.outdir), settings.dirtype == "subdirs", suffix)
        self._look = pages.Look(settings.css_file, settings.top_link.target, settings.top_link.text)
        self._writer = Writer(self.in_thread)
        access = "admin" if settings.access_log == "muc_admin" else settings.access_log
        self.undo(Hooks.of(self.host).add_configuration(partial(self._guard, access)))

    def stop(self) -> Deferred[Any]:
        """Write what is left."""
        return Deferred.fromCoroutine(self._writer.close())

    @staticmethod
    def in_thread(work: Callable[[list[Piece]], None], pieces: list[Piece]) -> Deferred[None]:
        """Write beside the reactor."""
        return deferToThread(work, pieces)

    @every(FLUSH_S)
    def flush(self) -> None:
        """Write what has been said since the last time."""
        self._writer.flush()

    @staticmethod
    def _guard(access: Access, room: Room, config: Values, by: JID) -> None:
        """Refuse to switch logging. Raises StanzaError(not-allowed)."""
        if config["enablelogging"] != room.config["enablelogging"] and not room.service.may(by, access):
            raise StanzaError("not-allowed", "You may not switch the logging of rooms here")

    # -- what happens -------------------------------------------------------------------

    @on(RoomMessage)
    def said(self, event: RoomMessage) -> None:
        """Log a message or a subject."""
        if not event.room.config["enablelogging"]:
            return
        nick, stanza = event.occupant.nick if event.occupant is not None else "", event.stanza
        if is_subject(stanza):
            self._log(event.room, "subject", nick, f"has set the subject to: {_subject(stanza)}")
        elif text := body_text(stanza):
            if text.startswith("/me "):
                self._log(event.room, "action", nick, text[4:])
            else:
                self._log(event.room, "message", nick, text)

    @on(OccupantJoined)
    def joined(self, event: OccupantJoined) -> None:
        """Log who enters."""
        if event.first:
            self._log(event.room, "join", event.occupant.nick, "joins the room")

    @on(OccupantLeft)
    def left(self, event: OccupantLeft) -> None:
        """Log who leaves, and why."""
        if not event.last:
            return
        code = next((code for code in GONE if code in event.codes), None)
        kind, text = GONE[code] if code is not None else ("leave", "leaves the room")
        self._log(event.room, kind, event.occupant.nick, f"{text}: {event.reason}" if event.reason else text)

    @on(NickChanged)
    def renamed(self, event: NickChanged) -> None:
        """Log a change of a nick."""
        self._log(event.room, "nick", event.before, f"is now known as {event.occupant.nick}")

    @on(RoomConfigured)
    def configured(self, event: RoomConfigured) -> None:
        """Log that the room is another one."""
        self._log(event.room, "config", "", "Chatroom configuration modified")

    @on(RoomCreated)
    def created(self, event: RoomCreated) -> None:
        """Log the beginning."""
        self._log(event.room, "room", "", "Chatroom is created")

    @on(RoomDestroyed)
    def destroyed(self, event: RoomDestroyed) -> None:
        """Log the end."""
        reason = f": {event.reason}" if event.reason else ""
        self._log(event.room, "room", "", f"Chatroom is destroyed{reason}")

    # -- pages --------------------------------------------------------------------------

    def now(self) -> datetime:
        """Give the time as the pages show it."""
        at = datetime.fromtimestamp(time.time(), UTC)
        return at if self.settings.timezone == "universal" else at.astimezone()

    def _log(self, room: Room, kind: str, nick: str, text: str) -> None:
        if not room.config["enablelogging"]:
            return
        at = self.now()
        line = Line(at, kind, nick, text)
        name = room.jid.bare if self.settings.dirname == "room_jid" else room.name
        path = self._layout.path(name, at.date())
        before: Path | None = room.state.get(self.name)
        if before == path:
            self._writer.add(Piece(path, b"", self._data(line)))
            return
        room.state[self.name] = path
        if self.settings.file_format != "html":
            self._writer.add(Piece(path, b"", self._data(line)))
            return
        if before is None:
            # The room, or the server, was not there in between.
            before = self._layout.path(name, at.date() - timedelta(days=1))
        self._writer.add(Piece(path, self._header(room, at), self._data(line), before, pages.FOOTER))

    def _data(self, line: Line) -> bytes:
        if self.settings.file_format == "html":
            return as_html(line, self.settings.spam_prevention)
        return as_json(line) if self.settings.file_format == "json" else as_text(line)

    def _header(self, room: Room, at: datetime) -> bytes:
        held = room.subject
        offset = at.strftime("%z")
        facts = pages.Facts(
            room.jid.bare,
            str(room.config["roomname"]) or room.name,
            _subject(Stanza("message", {}, held.children, held.inner)),
            {self._label(room, name): str(room.config[name]) for name in TOLD if room.config[name]},
            [(one.nick, one.role) for one in room.occupants.values() if room.is_shown(one.role)],
        )
        day = at.date()
        layout = self._layout
        zone = f"GMT{offset[:3]}:{offset[3:]}"
        return pages.header(self._look, facts, day, zone, layout.link(day, -1), layout.link(day, 1))

    @staticmethod
    def _label(room: Room, name: str) -> str:
        return room.service.fields.all()[name].spec.label


def _subject(stanza: Stanza) -> str:
    node = stanza.child(NS_CLIENT, "subject")
    return str(node) if node is not None else ""
