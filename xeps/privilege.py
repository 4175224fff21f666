"""XEP-0356: Privileged Entity."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from typing import Any, Literal

from pydantic import Field
from twisted.internet.defer import Deferred, TimeoutError
from twisted.words.xish import domish

from palaver.errors import StanzaError
from palaver.events import BecameAvailable, BecameUnavailable, RosterItemShown
from palaver.interfaces import IComponents, IPrivileges, ISession
from palaver.jid import JID, InvalidJID
from palaver.markup import element
from palaver.modules import BARE, Module, Settings, iq, on
from palaver.routing import subscriptions
from palaver.routing.asked import read_set
from palaver.routing.roster import NS_ROSTER
from palaver.routing.rosters import roster_of
from palaver.settings import Domain, Section
from palaver.stanza import NS_CLIENT, NS_FORWARD, Stanza, from_element, make

NS_PRIVILEGE = "urn:xmpp:privilege:2"

Access = Literal["none", "get", "set", "both"]


class Privileges(Section):
    """What one service may do for every account of the host."""

    roster: Access = Field("none", description="Which roster requests it may make.")
    push: bool = Field(True, description="Tell it of changes of rosters that it may get.")
    message: Literal["none", "outgoing"] = Field(
        "none", description="outgoing: it sends messages in the name of the host and of accounts."
    )
    presence: Literal["none", "managed_entity"] = Field(
        "none", description="managed_entity: it sees the presence of every account."
    )
    iq: dict[str, Access] = Field(
        {}, description="By the namespace of the payload, which requests it makes in the name of accounts."
    )


class PrivilegeSettings(Settings):
    """Options of mod_privilege."""

    privileged_entities: dict[Domain, Privileges] = Field(
        {}, description="What services may do, by their domain."
    )


class Privilege(Module):
    """Lets services that the configuration names act for accounts.

    They read and change rosters, send messages and requests in accounts' names, and see their presence. A
    component is told what it may when it connects.
    """

    Settings = PrivilegeSettings
    settings: PrivilegeSettings
    provides = (IPrivileges,)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Requests that services send in accounts' names: whose they are, by id.
        self._spoken: dict[str, str] = {}

    def start(self) -> None:
        """Take messages for the host, and see components connect."""
        self.host.own_messages = self.take
        self.undo(lambda: setattr(self.host, "own_messages", None))
        components = self.host.query(IComponents)
        if components is not None:
            self.undo(components.watch(self.advertise))
        for domain in self.settings.privileged_entities:
            if domain in self.host.router.services:
                self.advertise(domain)

    def _privileges(self, sender: JID | None) -> Privileges | None:
        """Give what a sender may; None for one that is nobody special."""
        return self.settings.privileged_entities.get(sender.domain) if sender is not None else None

    def _send(self, stanza: Stanza) -> None:
        self.host.guard(self.name, self.host.router.route, stanza)

    # -- what it may is told (sections 4.2, 5.2, 6.2 and 7.2) ------------------------------------

    def advertise(self, domain: str) -> None:
        """Tell a service that has connected what it may, and who is online."""
        privileges = self.settings.privileged_entities.get(domain)
        if privileges is None:
            return
        attrs = {"from": self.host.domain, "to": domain, "id": secrets.token_hex(8)}
        payload = element("privilege", NS_PRIVILEGE, _permissions(privileges))
        self._send(make("message", attrs, payload))
        if privileges.presence == "managed_entity":
            for user in self.host.users.values():
                for session in user.available():
                    self._show(session, session.presence, domain)

    # -- rosters (section 4) -----------------------------------------------------------------------

    def roster(self, request: Stanza) -> Awaitable[bytes | None] | None:
        """See IPrivileges."""
        sender = request.sender
        privileges = self._privileges(sender)
        if privileges is None or privileges.roster == "none":
            return None
        if privileges.roster not in (request.type, "both"):
            raise StanzaError("forbidden")
        return self._roster(request)

    async def _roster(self, request: Stanza) -> bytes | None:
        account = await self._account(request)
        if request.type == "get":
            return (await roster_of(self.host, account.local)).encode()
        wanted = read_set(request, account.bare)
        if wanted.subscription == "remove":
            await subscriptions.remove(self.host, account.local, wanted.contact)
        else:
            await subscriptions.update(self.host, account.local, wanted.contact, wanted.name, wanted.groups)
        return None

    def speaker(self, request: Stanza) -> str | None:
        """See IPrivileges."""
        return self._spoken.get(request.id or "")

    async def _account(self, request: Stanza) -> JID:
        """Give the account that a request is for; raises StanzaError when there is none."""
        account = request.to
        assert account is not None
        if account.local not in self.host.users and not await self.host.accounts.exists(account.local):
            raise StanzaError("item-not-found")
        return account

    @on(RosterItemShown)
    def push(self, event: RosterItemShown) -> None:
        """Push a roster's change to those that may get it (section 4.4)."""
        for domain, privileges in self.settings.privileged_entities.items():
            if privileges.roster in ("get", "both") and privileges.push:
                attrs = {
                    "type": "set", "id": secrets.token_hex(8), "to": domain,
                    "from": f"{event.local}@{self.host.domain}",
                }  # fmt: skip
                self._send(make("iq", attrs, element("query", NS_ROSTER, event.item.encode())))

    # -- messages (section 5) --------------------------------------------------------------------------

    def take(self, message: Stanza) -> Deferred[Any] | None:
        """Take a message for the host: what is inside is sent on, if that is a privilege of the sender."""
        router = self.host.router
        if not message.has(NS_PRIVILEGE, "privilege"):
            return router.bounce(message, StanzaError("service-unavailable"))
        privileges = self._privileges(message.sender)
        inner = _forwarded(message)
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

    @iq("get", NS_PRIVILEGE, "privileged_iq", to=(BARE,))
    @iq("set", NS_PRIVILEGE, "privileged_iq", to=(BARE,))
    async def request(self, request: Stanza) -> bytes:
        """Send a request in the name of an account, and give what comes back."""
        privileges = self._privileges(request.sender)
        inner = _inner(request)
        if privileges is None or inner is None or inner.type != request.type or inner.payload is None:
            raise StanzaError("forbidden")
        account = request.attrs["to"]
        allowed = privileges.iq.get(inner.payload[0], "none")
        if allowed not in (request.type, "both") or inner.attrs.get("from", account) != account:
            raise StanzaError("forbidden")
        account = (await self._account(request)).bare
        to = inner.attrs.get("to", account)
        try:
            answer = await self._speak(request.attrs["from"], inner.replace(from_=account, to=to))
        except StanzaError as error:
            answer = inner.replace(from_=account, to=to).error(error)
        except TimeoutError:
            raise StanzaError("remote-server-timeout") from None
        answer = answer.replace(id=inner.id, to=account)
        return element(
            "privilege", NS_PRIVILEGE, element("forwarded", NS_FORWARD, answer.encode(declare=True))
        )

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

    # -- presence (section 7) ------------------------------------------------------------------------------

    @on(BecameAvailable)
    def appeared(self, event: BecameAvailable) -> None:
        """Show an account's session that has come online."""
        if event.initial:
            self._show_all(event.session, event.session.presence)

    @on(BecameUnavailable)
    def left(self, event: BecameUnavailable) -> None:
        """Show that one has gone."""
        self._show_all(event.session, event.presence)

    def _show(self, session: Any, presence: Any, domain: str) -> None:
        # Nobody is told when the service is away.
        self._send(presence.replace(to=domain, from_=session.jid.full).with_origin(None))

    def _show_all(self, session: ISession, presence: Stanza) -> None:
        for domain, privileges in self.settings.privileged_entities.items():
            if privileges.presence == "managed_entity":
                self._show(session, presence, domain)


def _permissions(privileges: Privileges) -> bytes:
    parts = []
    if privileges.roster != "none":
        push = privileges.push and privileges.roster != "set"
        parts.append(element("perm", access="roster", type=privileges.roster, push=str(push).lower()))
    if privileges.message != "none":
        parts.append(element("perm", access="message", type=privileges.message))
    if privileges.iq:
        named = [element("namespace", ns=ns, type=access) for ns, access in privileges.iq.items()]
        parts.append(element("perm", None, b"".join(named), access="iq"))
    if privileges.presence != "none":
        parts.append(element("perm", access="presence", type=privileges.presence))
    return b"".join(parts)


def _forwarded(message: Stanza) -> Stanza | None:
    """Give the stanza that is forwarded in the privilege; None when there is none."""
    privilege = message.child(NS_PRIVILEGE, "privilege")
    wrapper = next(privilege.elements(NS_FORWARD, "forwarded"), None) if privilege is not None else None
    return _of_clients(wrapper)


def _inner(request: Stanza) -> Stanza | None:
    """Give the IQ inside a request; None when there is none."""
    inner = _of_clients(request.child(NS_PRIVILEGE, "privileged_iq"))
    return inner if inner is not None and inner.name == "iq" else None


def _of_clients(wrapper: domish.Element | None) -> Stanza | None:
    """Give the one stanza inside an element, which has to be of a client's namespace."""
    children = list(wrapper.elements()) if wrapper is not None else []
    if len(children) != 1 or children[0].uri != NS_CLIENT:
        return None
    return from_element(children[0])
