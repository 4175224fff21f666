"""XEP-0356: Privileged Entity."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from typing import Any

from pydantic import Field
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, TimeoutError

from palaver.entities.contacts import ContactPresence
from palaver.entities.permissions import NS_PRIVILEGE, Privileges
from palaver.entities.wrapping import forwarded, inside, wrap
from palaver.errors import StanzaError
from palaver.events import (
    AccountDeleted,
    BecameAvailable,
    BecameUnavailable,
    PresenceReceived,
    RosterItemShown,
)
from palaver.interfaces import IComponents, IPrivileges
from palaver.jid import JID, InvalidJID
from palaver.markup import element
from palaver.modules import BARE, FULL, HOST, SELF, Module, Settings, iq, on
from palaver.routing import subscriptions
from palaver.routing.asked import read_set
from palaver.routing.pipeline import SENT
from palaver.routing.roster import NS_ROSTER, SEEN_BY_US, SEES_US
from palaver.routing.rosters import roster_of
from palaver.settings import Domain
from palaver.stanza import NS_CLIENT, Stanza, make

# Presence of contacts that waits for a roster to be read; beyond that it is shown to nobody.
MAX_WAITING = 10_000


class PrivilegeSettings(Settings):
    """Options of mod_privilege."""

    privileged_entities: dict[Domain, Privileges] = Field(
        {}, description="What services of this server may do, by their domain."
    )


class Privilege(Module):
    """Lets services that the configuration names act for accounts.

    They read and change rosters, send messages and requests in accounts' names, and see their presence and
    that of their contacts. The services are components or handlers of this server; each is told what it may
    when it connects.
    """

    Settings = PrivilegeSettings
    settings: PrivilegeSettings
    provides = (IPrivileges,)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Requests that services send in accounts' names: whose they are, by id.
        self._spoken: dict[str, str] = {}
        self._contacts = ContactPresence(lambda presence: self._show(presence, contacts=True))
        # What was received is noted in order, whatever has to be read for it.
        self._turns = DeferredLock()

    def in_use(self) -> bool:
        """See Module: services know contacts elsewhere as online, and are to hear that they go."""
        return bool(self._contacts.available())

    def start(self) -> None:
        """Take messages for the host, and see components connect and contacts' presence."""
        self.host.own_messages = self.take
        self.undo(lambda: setattr(self.host, "own_messages", None))
        if any(privileges.presence == "roster" for privileges in self.settings.privileged_entities.values()):
            self.undo(self.host.events.add(PresenceReceived, self.name, self.received))
            self.undo(self.host.pipeline.add(SENT, "notice", ("presence",), self.name, self.changed))
        components = self.host.query(IComponents)
        if components is not None:
            self.undo(components.watch(self.advertise))
        for domain in self.settings.privileged_entities:
            self.advertise(domain)

    def _privileges(self, sender: JID | None) -> Privileges | None:
        """Give what a sender may; None for one that is nobody special, or no service of this server."""
        if sender is None or not self.host.router.serves(sender.domain):
            return None
        return self.settings.privileged_entities.get(sender.domain)

    def _reaches(self, domain: str) -> bool:
        """Tell whether a service is there: what is for it goes nowhere else, and does not come back."""
        components = self.host.query(IComponents)
        return self.host.router.serves(domain) and not (components is not None and components.is_away(domain))

    def _send(self, stanza: Stanza) -> None:
        if self._reaches(stanza.attrs["to"]):
            self.host.guard(self.name, self.host.router.route, stanza)

    # -- what it may is told (sections 4.2, 5.2, 6.2 and 7.2) ------------------------------------

    def advertise(self, domain: str) -> None:
        """Tell a service that has connected what it may, and who is online."""
        privileges = self.settings.privileged_entities.get(domain)
        if privileges is None:
            return
        attrs = {"from": self.host.domain, "to": domain, "id": secrets.token_hex(8)}
        self._send(make("message", attrs, element("privilege", NS_PRIVILEGE, privileges.encode())))
        if privileges.presence == "none":
            return
        shown: list[Any] = [
            session.presence for user in self.host.users.values() for session in user.visible()
        ]
        if privileges.presence == "roster":
            shown += self._contacts.available()
        for presence in shown:
            self._show_to(domain, presence)

    # -- rosters (section 4) -----------------------------------------------------------------------

    def roster(self, request: Stanza) -> Awaitable[bytes | None] | None:
        """See IPrivileges."""
        privileges = self._privileges(request.sender)
        if privileges is None or privileges.roster == "none":
            return None
        if privileges.roster not in (request.type, "both"):
            raise StanzaError("forbidden")
        return self._roster(request)

    async def _roster(self, request: Stanza) -> bytes | None:
        account = request.to
        assert account is not None
        if not await self._exists(account):
            raise StanzaError("item-not-found")
        if request.type == "get":
            return (await roster_of(self.host, account.local)).encode()
        wanted = read_set(request, account.bare)
        if wanted.subscription == "remove":
            await subscriptions.remove(self.host, account.local, wanted.contact)
        else:
            await subscriptions.update(self.host, account.local, wanted.contact, wanted.name, wanted.groups)
        return None

    async def _exists(self, account: JID) -> bool:
        return account.local in self.host.users or bool(await self.host.accounts.exists(account.local))

    @on(RosterItemShown)
    def push(self, event: RosterItemShown) -> None:
        """Push a roster's change to those that may get it (section 4.4)."""
        for domain, privileges in self.settings.privileged_entities.items():
            if privileges.pushes:
                attrs = {
                    "type": "set", "id": secrets.token_hex(8), "to": domain,
                    "from": f"{event.local}@{self.host.domain}",
                }  # fmt: skip
                self._send(make("iq", attrs, element("query", NS_ROSTER, event.item.encode())))
        if not event.item.listed or event.item.subscription not in SEEN_BY_US:
            self._contacts.forget(event.local, event.item.jid)

    # -- messages (section 5) --------------------------------------------------------------------------

    def take(self, message: Stanza) -> Deferred[Any] | None:
        """Take a message for the host: what is inside is sent on, if that is a privilege of the sender."""
        router = self.host.router
        if not message.has(NS_PRIVILEGE, "privilege"):
            return router.bounce(message, StanzaError("service-unavailable"))
        privileges = self._privileges(message.sender)
        inner = forwarded(message, NS_PRIVILEGE, "privilege")
        if privileges is None or privileges.message != "outgoing" or not self._is_ours(inner):
            return router.bounce(message, StanzaError("forbidden"))
        assert inner is not None
        return router.route(inner)

    def _is_ours(self, message: Stanza | None) -> bool:
        """Tell whether a message is from the host or from a bare JID on it, and to somebody."""
        if message is None or message.name != "message" or "to" not in message.attrs:
            return False
        try:
            sender = message.sender
        except InvalidJID:
            return False
        return sender is not None and sender.domain == self.host.domain and not sender.resource

    # -- requests (section 6) ----------------------------------------------------------------------------

    @iq("get", NS_PRIVILEGE, "privileged_iq", to=(HOST, SELF, BARE, FULL))
    @iq("set", NS_PRIVILEGE, "privileged_iq", to=(HOST, SELF, BARE, FULL))
    async def request(self, request: Stanza) -> bytes:
        """Send a request in the name of an account, and give what comes back."""
        inner = inside(request.child(NS_PRIVILEGE, "privileged_iq"), NS_CLIENT)
        account, sender = request.to, request.sender
        if inner is None or account is None or sender is None or not self._may(request, inner):
            raise StanzaError("forbidden")
        if not await self._exists(account):
            raise StanzaError("forbidden")
        asked = inner.replace(from_=account.bare, to=_addressee(inner) or account.bare)
        try:
            answer = await self._speak(sender.domain, asked)
        except StanzaError as error:
            answer = asked.error(error)
        except (CancelledError, TimeoutError):
            raise StanzaError("remote-server-timeout") from None
        return wrap("privilege", NS_PRIVILEGE, answer.replace(id=inner.id, to=account.bare))

    def _may(self, request: Stanza, inner: Stanza) -> bool:
        """Tell whether a service may send a request in the name of an account (section 6.3)."""
        account = request.to
        privileges = self._privileges(request.sender)
        if privileges is None or account is None or not account.local or account.resource:
            return False
        if inner.name != "iq" or inner.type != request.type or len(inner.children) != 1:
            return False
        try:
            speaker = inner.sender
        except InvalidJID:
            return False
        allowed = privileges.iq.get(inner.children[0][0], "none")
        return allowed in (request.type, "both") and speaker in (None, account)

    async def _speak(self, domain: str, request: Stanza) -> Stanza:
        """Send a request in an account's name, known by its id as a service's until the answer is there."""
        sent: list[str] = []

        def route(request: Stanza) -> object:
            sent.append(request.attrs["id"])
            self._spoken[sent[0]] = domain
            return self.host.router.route(request)

        try:
            return await self.host.requests.send(request, route)
        finally:
            self._spoken.pop(sent[0], None)

    def speaker(self, request: Stanza) -> str | None:
        """See IPrivileges."""
        return self._spoken.get(request.id or "")

    # -- presence (section 7) ------------------------------------------------------------------------------

    @on(BecameAvailable)
    def appeared(self, event: BecameAvailable) -> None:
        """Show an account's session that has come online."""
        session: Any = event.session
        if event.initial and not session.invisible and session.presence is not None:
            session.remember(self.name)["shown"] = session.presence
            self._show(session.presence)

    @on(BecameUnavailable)
    def left(self, event: BecameUnavailable) -> None:
        """Show that one has gone."""
        if not event.session.invisible:
            self._show(event.presence)

    def changed(self, presence: Stanza, session: Any) -> None:
        """Show a later presence of an account that is a contact of another one here (section 7.4)."""
        told = session.remember(self.name)
        to = presence.attrs.get("to", session.user.bare)
        if presence.type is not None or to != session.user.bare or session.invisible:
            return
        if told.get("shown") is session.presence:
            return
        told["shown"] = session.presence
        if any(
            item.subscription in SEES_US and item.jid.endswith(f"@{self.host.domain}")
            for item in session.user.roster.items.values()
        ):
            self._show(presence, contacts=True)

    def received(self, event: PresenceReceived) -> Deferred[None] | None:
        """Note the presence of somebody elsewhere, who may be a contact (section 7.4)."""
        sender = event.presence.sender
        if event.presence.type not in (None, "unavailable") or sender is None:
            return None
        if sender.domain == self.host.domain or len(self._turns.waiting) >= MAX_WAITING:
            return None
        return self._turns.run(lambda: Deferred.fromCoroutine(self._note(event, sender)))

    async def _note(self, event: PresenceReceived, sender: JID) -> None:
        local = event.to.local
        item = (await roster_of(self.host, local)).items.get(sender.bare)
        if item is not None and item.subscription in SEEN_BY_US:
            self._contacts.received(event.presence, sender, local)

    @on(AccountDeleted)
    def forget(self, event: AccountDeleted) -> None:
        """Show no longer what an account saw that is gone."""
        self._contacts.forget(event.jid.local)

    def _show(self, presence: Stanza, contacts: bool = False) -> None:
        """Show a presence to those who may see it: that of an account, or of a contact."""
        seeing = ("roster",) if contacts else ("managed_entity", "roster")
        for domain, privileges in self.settings.privileged_entities.items():
            if privileges.presence in seeing:
                self._show_to(domain, presence)

    def _show_to(self, domain: str, presence: Stanza) -> None:
        sender = presence.sender
        # A gateway knows about its own people.
        if sender is not None and sender.domain != domain:
            self._send(presence.replace(to=domain).with_origin(None))


def _addressee(inner: Stanza) -> str | None:
    """Give whom a request inside is for, prepared; raises StanzaError."""
    try:
        return inner.to.full if inner.to is not None else None
    except InvalidJID as error:
        raise StanzaError("jid-malformed", str(error)) from None
