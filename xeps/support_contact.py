"""A contact for every new account: whoever helps people on this host is in their roster from the start."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from twisted.python.failure import Failure

from palaver import jid
from palaver.errors import StanzaError, StorageError
from palaver.events import AccountCreated
from palaver.log import Log
from palaver.modules import Module, Settings, on
from palaver.routing.subscriptions import befriend, update

Bare = Annotated[str, AfterValidator(lambda text: jid.parse(text).bare)]

log = Log("support")


class SupportContactSettings(Settings):
    """Options of mod_support_contact."""

    support_contact: Bare | None = Field(None, description="Who helps; without it support@ this host.")
    support_contact_nick: str = Field("Support", description="The name in the rosters of new accounts.")
    support_contact_group: str = Field(
        "Users", description="The group of the new accounts in the roster of who helps, where that is here."
    )


class SupportContact(Module):
    """Makes a new account and whoever helps each other's contacts; who is on another server is asked."""

    Settings = SupportContactSettings
    settings: SupportContactSettings

    @on(AccountCreated)
    async def created(self, event: AccountCreated) -> None:
        """Put both into each other's rosters; when that fails, the account is there all the same."""
        support = jid.parse(self.settings.support_contact or f"support@{self.host.domain}")
        here = support.domain == self.host.domain
        if support.bare == event.jid.bare:
            return
        if here and not await self.host.accounts.exists(support.local):
            log.warn("no-support-account", support=support.bare)
            return
        try:
            group = self.settings.support_contact_group
            await update(self.host, event.jid.local, support.bare, self.settings.support_contact_nick, ())
            if here:
                await update(self.host, support.local, event.jid.bare, "", (group,) if group else ())
            await befriend(self.host, event.jid.local, support.bare)
        except (StanzaError, StorageError):
            log.failure("not-introduced", Failure(), user=event.jid.local)
