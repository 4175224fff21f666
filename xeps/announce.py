"""Announcements to everybody who is online (XEP-0133 section 4.23)."""

from __future__ import annotations

from pydantic import Field

from palaver.commands import command as commands
from palaver.commands.accounts import NS_ADMIN
from palaver.commands.command import Arguments, Call, Command, Done
from palaver.commands.notices import everybody, say
from palaver.commands.typed import Lines
from palaver.modules import Module


class Announcement(Arguments):
    """What to tell everybody."""

    subject: str = Field("", description="The subject.", max_length=1024)
    announcement: Lines = Field(min_length=1, description="The text.")


class Announce(Module):
    """Lets those who administer the host tell something to everybody who is online."""

    def start(self) -> None:
        """Register the command."""
        announce = Command(
            f"{NS_ADMIN}#announce",
            "announce",
            "Announce to online users",
            self._announce,
            Announcement,
            form_type=NS_ADMIN,
        )
        self.undo(commands.add(self.host, announce))

    async def _announce(self, call: Call, given: Announcement) -> Done:
        """Send it to every session that is available."""
        to = everybody(self.host)
        for full in to:
            await say(self.host, full, given.announcement, given.subject, kind="headline")
        return Done(f"{len(to)} {'session has' if len(to) == 1 else 'sessions have'} been told.")
