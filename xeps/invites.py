"""XEP-0401: Ad-hoc Account Invitation, with XEP-0379 (contacts by link) and XEP-0445 (registration by token).

A link brings its bearer in: as a contact of who made it, or with an account on this host. For accounts
mod_register has to be on, which may be closed to other strangers. Who invited whom is kept for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from pydantic import BaseModel, Field
from twisted.internet.defer import Deferred, DeferredLock

from palaver import jid
from palaver.commands import command as commands
from palaver.commands.accounts import check_rank
from palaver.commands.admins import is_admin
from palaver.commands.command import Arguments, Call, Command, Done
from palaver.commands.typed import Account
from palaver.errors import StanzaError
from palaver.events import AccountDeleted
from palaver.interfaces import IInvites, IRegistration
from palaver.invites import ID_CHARS, Invite, InviteStore, by, key_of, new_token, reserving
from palaver.log import Log
from palaver.modules import Module, Settings, every, on
from palaver.routing.subscriptions import befriend
from palaver.times import stamp
from palaver.web.interfaces import IInvitePages

NS_INVITE = "urn:xmpp:invite"
INVITATION = f"{NS_INVITE}#invitation"
WEEK_S = 7 * 86400
# XEP-0445: whoever was let in before the end may still finish.
GRACE_S = 86400
CLEAN_EVERY_S = 3600.0
NO_REGISTRATION = (
    "Accounts are made by mod_register, which is off. A table [modules.mod_register] switches it on, "
    "for those who are invited alone with allow_registration = false."
)

log = Log("invites")


class InvitesSettings(Settings):
    """Options of mod_invites."""

    invite_expiry: int = Field(WEEK_S, ge=60, le=52 * WEEK_S, description="Seconds for which a link counts.")
    allow_user_invites: bool = Field(
        False, description="Whoever is invited by a user may make an account, not only become a contact."
    )
    allow_contact_invites: bool = Field(True, description="Users may invite; off: only administrators.")
    max_invites_per_user: int = Field(
        20, ge=1, le=10000, description="How many links of one user may wait to be used."
    )
    invites_page: str | None = Field(
        None,
        pattern="^https?://",
        description="Address of a landing page; $token and $host are filled in. Without it that of "
        "mod_invites_page counts.",
    )


class NewInvite(Arguments):
    """A link for an account."""

    username: str = Field("", max_length=1023, description="The name of the account; empty: any.")
    roster_subscription: bool = Field(
        False, alias="roster-subscription", description="Make inviter and invitee contacts."
    )
    accountjid: Account | None = Field(None, description="Who invites; nobody: whoever asks.")
    uses: int = Field(1, ge=1, le=10000, description="How many accounts may be made with it.")
    lifetime: int | None = Field(None, ge=60, le=52 * WEEK_S, description="Seconds for which it counts.")


class OneInvite(Arguments):
    """Which link."""

    invite: str = Field(pattern=f"^[0-9a-f]{{{ID_CHARS}}}$", description="Its id, as the list shows it.")


class Invitation(BaseModel):
    """A link to give away."""

    uri: str = Field(description="The link.")
    landing_url: str | None = Field(None, alias="landing-url", description="The landing page.")
    expire: str = Field(description="Until when it counts.")


class Listed(BaseModel):
    """Lines for people."""

    lines: tuple[str, ...] = Field(description="One each.")


class Invites(Module):
    """Makes links that bring people in, and lets them in."""

    Settings = InvitesSettings
    provides = (IInvites,)

    settings: InvitesSettings

    def start(self) -> None:
        """Register the commands."""
        self._store = InviteStore(self.host.domain, self.host.storage)
        # Uses that are under way and not stored yet, by key.
        self._pending: Counter[str] = Counter()
        self._using = DeferredLock()
        who: commands.Permission = "local" if self.settings.allow_contact_invites else "admin"
        for command in (
            Command(f"{NS_INVITE}#invite", "invite contact", "Invite user", self._contact, None, who),
            Command(
                f"{NS_INVITE}#create-account", "invite create", "Create account", self._create, NewInvite
            ),
            Command(f"{NS_INVITE}#list", "invite list", "List invitations", self._list),
            Command(f"{NS_INVITE}#delete", "invite delete", "Delete an invitation", self._delete, OneInvite),
            Command(f"{NS_INVITE}#invited", "invite history", "Who invited whom", self._history),
        ):
            self.undo(commands.add(self.host, command))

    # -- making links -------------------------------------------------------------------------

    async def _contact(self, call: Call, given: None) -> Done:
        """Give who asks a link by which somebody becomes their contact (XEP-0401 section 4.1)."""
        if call.by is None:
            raise StanzaError("not-acceptable", "A contact is invited by an account, through its client.")
        inviter = call.by.bare
        admin = await is_admin(self.host, call.by)
        open_ones = await self._store.found(by(inviter))
        waiting = sum(self._counts(invite) for invite in open_ones.values())
        if not admin and waiting >= self.settings.max_invites_per_user:
            raise StanzaError("resource-constraint", "Too many of your invitations wait to be used.")
        register = (admin or self.settings.allow_user_invites) and self.host.query(IRegistration) is not None
        return await self._make(Invite("", inviter, "", 1, self._until(None), register, True))

    async def _create(self, call: Call, given: NewInvite) -> Done:
        """Give an administrator a link by which somebody makes an account (XEP-0401 section 4.4)."""
        if self.host.query(IRegistration) is None:
            raise StanzaError("not-allowed", NO_REGISTRATION)
        username = check_rank(call, await self._free(given.username)) if given.username else ""
        if username and given.uses > 1:
            raise StanzaError("not-acceptable", "A name can be registered once.")
        inviter = given.accountjid or (call.by.bare if call.by is not None else "")
        if given.roster_subscription and not inviter:
            raise StanzaError("not-acceptable", "Without an inviter there is nobody to become a contact of.")
        until = self._until(given.lifetime)
        subscribe = given.roster_subscription
        return await self._make(Invite("", inviter, username, given.uses, until, True, subscribe))

    async def _free(self, username: str) -> str:
        """Give a name that nobody has and no other link keeps. Raises StanzaError."""
        try:
            local = jid.prepare_local(username)
        except jid.InvalidJID as error:
            raise StanzaError("not-acceptable", f"{username!r} is no name: {error}.") from None
        if await self.host.accounts.exists(local) or await self._reserved(local, None):
            raise StanzaError("conflict", f"{local} is taken.")
        return local

    async def _make(self, invite: Invite) -> Done:
        token = new_token()
        key = key_of(token)
        invite = invite._replace(id=key[:ID_CHARS])
        await self._store.put(key, invite)
        log.info("invite-made", invite=invite.id, by=invite.inviter, host=self.host.domain)
        uri, expire, landing = (
            invite.uri(self.host.domain, token),
            stamp(invite.expires),
            self._landing(token),
        )
        return Done("", Invitation(uri=uri, expire=expire, **{"landing-url": landing}), INVITATION)

    def _landing(self, token: str) -> str | None:
        """Give the address of the landing page: the one that is configured, else our own if it is served."""
        page = self.settings.invites_page
        if page:
            return page.replace("$token", token).replace("$host", self.host.domain)
        pages = self.host.query(IInvitePages)
        found: str | None = pages.address(token) if pages is not None else None
        return found

    def _until(self, lifetime: int | None) -> float:
        return int(self.host.clock.seconds()) + (lifetime or self.settings.invite_expiry)

    def _counts(self, invite: Invite) -> bool:
        return invite.uses > 0 and invite.expires > self.host.clock.seconds()

    # -- looking after them -----------------------------------------------------------------------

    async def _list(self, call: Call, given: None) -> Done:
        lines = [
            f"{invite.id} by {invite.inviter or 'the operator'} for {invite.username or 'anybody'}, "
            f"{invite.uses} left, until {stamp(invite.expires)}"
            for invite in (await self._store.all()).values()
            if self._counts(invite)
        ]
        return Done("", Listed(lines=tuple(lines)))

    async def _delete(self, call: Call, given: OneInvite) -> Done:
        keys = [key for key in await self._store.all() if key.startswith(given.invite)]
        if not keys:
            raise StanzaError("item-not-found", f"There is no invitation {given.invite}.")
        await self._store.delete(*keys)
        return Done(f"The invitation {given.invite} has been deleted.")

    async def _history(self, call: Call, given: None) -> Done:
        lines = [
            f"{invitee} by {value['inviter'] or 'the operator'} at {stamp(value['time'])}"
            for invitee, value in (await self._store.inviters()).items()
        ]
        return Done("", Listed(lines=tuple(lines)))

    @every(CLEAN_EVERY_S)
    async def clean(self) -> None:
        """Delete what nobody can use any more."""
        end = self.host.clock.seconds() - GRACE_S
        gone = [key for key, invite in (await self._store.all()).items() if invite.expires < end]
        if gone:
            await self._store.delete(*gone)

    @on(AccountDeleted)
    async def deleted(self, event: AccountDeleted) -> None:
        """Delete the links of who is gone; whom they have brought stays known."""
        gone = await self._store.found(by(event.jid.bare))
        if gone:
            await self._store.delete(*gone)

    # -- letting people in: see IInvites --------------------------------------------------------------

    def check(self, token: str) -> Deferred[str | None]:
        """See IInvites."""
        return Deferred.fromCoroutine(self._check(token))

    async def _check(self, token: str) -> str | None:
        key = key_of(token)
        invite = await self._store.get(key)
        return key if invite is not None and invite.register and self._counts(invite) else None

    def look(self, token: str) -> Deferred[Invite | None]:
        """See IInvites."""
        return Deferred.fromCoroutine(self._look(token))

    async def _look(self, token: str) -> Invite | None:
        invite = await self._store.get(key_of(token))
        return invite if invite is not None and self._counts(invite) else None

    def reserved(self, local: str, key: str | None) -> Deferred[bool]:
        """See IInvites."""
        return Deferred.fromCoroutine(self._reserved(local, key))

    async def _reserved(self, local: str, key: str | None) -> bool:
        keeping = await self._store.found(reserving(local))
        return any(self._counts(invite) for other, invite in keeping.items() if other != key)

    def register(self, key: str, local: str, create: Callable[[], Awaitable[None]]) -> Deferred[None]:
        """See IInvites."""
        return Deferred.fromCoroutine(self._register(key, local, create))

    async def _register(self, key: str, local: str, create: Callable[[], Awaitable[None]]) -> None:
        invite = await self._store.get(key)
        if invite is None or invite.uses <= self._pending[key]:
            raise StanzaError("not-allowed", "The invitation has been used")
        if invite.username and invite.username != local:
            raise StanzaError("not-acceptable", f"The invitation is for the name {invite.username}")

        async def make_and_note() -> None:
            await create()
            await self._used(key, f"{local}@{self.host.domain}")

        await self._claiming(key, make_and_note)
        if invite.subscribe:
            await befriend(self.host, local, invite.inviter)

    def approve(self, local: str, contact: str, token: str) -> Deferred[bool]:
        """See IInvites."""
        return Deferred.fromCoroutine(self._approve(local, contact, token))

    async def _approve(self, local: str, contact: str, token: str) -> bool:
        key = key_of(token)
        invite = await self._store.get(key)
        if invite is None or not invite.subscribe or not self._counts(invite):
            return False
        if invite.inviter != f"{local}@{self.host.domain}" or invite.uses <= self._pending[key]:
            return False
        await self._claiming(key, lambda: self._used(key, contact))
        return True

    async def _claiming(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do something with one use of a link, which meanwhile is nobody else's."""
        self._pending[key] += 1
        try:
            await work()
        finally:
            self._pending[key] -= 1
            # A Counter keeps what has come to nothing.
            self._pending += Counter()

    async def _used(self, key: str, invitee: str) -> None:
        """Count a use by what is stored now: others may have used it at the same time."""
        await self._using.acquire()
        try:
            invite = await self._store.get(key)
            if invite is not None:
                await self._store.use(key, invite, invitee, self.host.clock.seconds())
                log.info("invite-used", invite=invite.id, by=invite.inviter, invitee=invitee)
        finally:
            self._using.release()
