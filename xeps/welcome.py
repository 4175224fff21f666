"""A message that a new account finds (XEP-0133 sections 4.27 and 4.28)."""

from __future__ import annotations

from pydantic import Field
from twisted.internet.defer import Deferred

from palaver.commands import command as commands
from palaver.commands.accounts import NS_ADMIN
from palaver.commands.command import Arguments, Call, Command, Done
from palaver.commands.kept import KeptText
from palaver.commands.notices import filled, say
from palaver.commands.typed import Lines
from palaver.events import AccountCreated
from palaver.modules import Module, Settings, on


class WelcomeSettings(Settings):
    """Options of mod_welcome."""

    welcome_message: str = Field(
        "Hello $username, welcome to the $host IM server!",
        description="The message, until an administrator sets another; empty: none.",
    )


class NewWelcome(Arguments):
    """Another welcome."""

    welcome: Lines = Field(min_length=1, description="The message; $username and $host are filled in.")


class Welcome(Module):
    """Sends a message to each new account, whoever makes it; administrators set and delete it."""

    Settings = WelcomeSettings
    settings: WelcomeSettings

    def start(self) -> Deferred[None]:
        """Register the commands and read what was set."""
        self._welcome = KeptText(self.host, "welcome", self.settings.welcome_message)
        setting = Command(
            f"{NS_ADMIN}#set-welcome",
            "welcome set",
            "Set the welcome message",
            self._set,
            NewWelcome,
            form_type=NS_ADMIN,
            prefill=self._now,
        )
        deleting = Command(
            f"{NS_ADMIN}#delete-welcome", "welcome delete", "Delete the welcome message", self._delete
        )
        for command in (setting, deleting):
            self.undo(commands.add(self.host, command))
        return self._welcome.load()

    async def _now(self, call: Call) -> dict[str, str]:
        return {"welcome": self._welcome.text}

    async def _set(self, call: Call, given: NewWelcome) -> Done:
        await self._welcome.set(given.welcome)
        return Done("The welcome message has been set.")

    async def _delete(self, call: Call, given: None) -> Done:
        await self._welcome.set("")
        return Done("The welcome message has been deleted.")

    @on(AccountCreated)
    async def created(self, event: AccountCreated) -> None:
        """Send it."""
        if self._welcome.text:
            words = {"username": event.jid.local, "host": self.host.domain}
            await say(self.host, event.jid.bare, filled(self._welcome.text, words))
