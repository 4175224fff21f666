"""Tells administrators, or whoever is named, of each account that somebody registers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from palaver import jid
from palaver.commands.admins import all_admins
from palaver.commands.notices import filled, say
from palaver.events import AccountCreated
from palaver.modules import Module, Settings, on

Jid = Annotated[str, AfterValidator(lambda text: jid.parse(text).full)]


class WatchRegistrationsSettings(Settings):
    """Options of mod_watch_registrations."""

    registration_watchers: tuple[Jid, ...] = Field(
        (), description="Who is told; nobody named: the administrators of the host."
    )
    registration_notification: str = Field(
        "User $username just registered on $host from $ip", description="What they are told."
    )


class WatchRegistrations(Module):
    """Sends a message for each account that somebody, and no administrator, has made."""

    Settings = WatchRegistrationsSettings
    settings: WatchRegistrationsSettings

    @on(AccountCreated)
    async def created(self, event: AccountCreated) -> None:
        """Tell the watchers."""
        if event.address is None:
            return
        words = {"username": event.jid.local, "host": self.host.domain, "ip": event.address}
        text = filled(self.settings.registration_notification, words)
        for watcher in self.settings.registration_watchers or await all_admins(self.host):
            await say(self.host, watcher, text, kind="chat")
