"""The message of the day: what everybody reads at login (XEP-0133 sections 4.24 to 4.26)."""

from __future__ import annotations

from pydantic import Field
from twisted.internet.defer import Deferred

from palaver.commands import command as commands
from palaver.commands.accounts import NS_ADMIN
from palaver.commands.command import Arguments, Call, Command, Done
from palaver.commands.kept import KeptText
from palaver.commands.notices import say
from palaver.commands.typed import Lines
from palaver.events import BecameAvailable
from palaver.modules import Module, Settings, on


class MotdSettings(Settings):
    """Options of mod_motd."""

    motd_text: str = Field("", description="The message, until an administrator sets another; empty: none.")


class NewMotd(Arguments):
    """Another message of the day."""

    motd: Lines = Field(min_length=1, description="The message of the day.")


class MessageOfTheDay(Module):
    """Sends a message to each session that becomes available; administrators set, edit and delete it."""

    Settings = MotdSettings
    settings: MotdSettings

    def start(self) -> Deferred[None]:
        """Register the commands and read what was set."""
        self._motd = KeptText(self.host, "motd", self.settings.motd_text)
        for node, title, run, arguments, prefill in (
            ("set-motd", "Set the message of the day", self._set, NewMotd, None),
            ("edit-motd", "Edit the message of the day", self._set, NewMotd, self._now),
            ("delete-motd", "Delete the message of the day", self._delete, None, None),
        ):
            name = f"motd {node.partition('-')[0]}"
            command = Command(
                f"{NS_ADMIN}#{node}", name, title, run, arguments, form_type=NS_ADMIN, prefill=prefill
            )
            self.undo(commands.add(self.host, command))
        return self._motd.load()

    async def _now(self, call: Call) -> dict[str, str]:
        return {"motd": self._motd.text}

    async def _set(self, call: Call, given: NewMotd) -> Done:
        await self._motd.set(given.motd)
        return Done("The message of the day has been set.")

    async def _delete(self, call: Call, given: None) -> Done:
        await self._motd.set("")
        return Done("The message of the day has been deleted.")

    @on(BecameAvailable)
    async def greet(self, event: BecameAvailable) -> None:
        """Send it to a session that has just come."""
        if event.initial and self._motd.text:
            await say(self.host, event.session.jid.full, self._motd.text, kind="headline")
