"""XEP-0321: Remote Roster Management."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Awaitable
from functools import partial
from typing import Any

from pydantic import Field

from palaver.errors import StanzaError
from palaver.events import RosterItemShown, SubscriptionChanged
from palaver.forms import NS_DATA, Form, encode, read
from palaver.forms import Field as FormField
from palaver.interfaces import IRemoteRosters, ISession
from palaver.markup import element, escape
from palaver.modules import BARE, Module, Settings, iq, on, phase
from palaver.routing.asked import Wanted, read_set
from palaver.routing.pipeline import FROM_CLIENT, HANDLED, Reply, Verdict, refusal
from palaver.routing.roster import NS_ROSTER, SEES_US, Roster, RosterItem
from palaver.routing.rosters import changing, push, roster_of, store
from palaver.routing.sharing import is_mutual, own_item, shown
from palaver.settings import Domain
from palaver.stanza import NS_CLIENT, Stanza, make
from palaver.storage import Batch, Document

NS_MANAGEMENT = "urn:xmpp:tmp:roster-management:0"
KIND = "remote-roster"

ASKED, GRANTED, REJECTED = "asked", "granted", "rejected"
SUBSCRIPTIONS = frozenset(("none", "to", "from", "both"))

# Nobody is asked about the same service again within a day, whatever it sends.
ASK_AGAIN_S = 86400
# Far more services than anybody is registered with.
MAX_SERVICES = 50
# The user reads it in one message.
MAX_REASON_BYTES = 1024
# Short enough to be typed; it tells an account's own questions apart and protects nothing.
CHALLENGES = 10**8

_TYPED = re.compile(r"\s*(yes|no)\s+([0-9]{1,8})\s*", re.IGNORECASE)


class RemoteRosterSettings(Settings):
    """Options of mod_remote_roster."""

    trusted: frozenset[Domain] = Field(
        frozenset(),
        description="Services of this server that need not ask users: each sees and changes its own contacts "
        "in every roster.",
    )


class RemoteRoster(Module):
    """Lets services, gateways above all, see and change those contacts in a roster that are on their domain.

    A service that sees the account's presence may ask for this. The user is asked by a message with a form,
    which is answered by the form, or by writing back. The user takes the permission back by a request, or by
    ending the service's subscription. No presence is sent for what a service changes.
    """

    Settings = RemoteRosterSettings
    settings: RemoteRosterSettings
    provides = (IRemoteRosters,)

    # -- permissions -------------------------------------------------------------------------

    @iq("set", NS_MANAGEMENT, "query", to=(BARE,))
    async def request(self, request: Stanza) -> None:
        """Take a service's request for permission; the user's answer is told to it by another IQ."""
        query = request.child(NS_MANAGEMENT, "query")
        if query is None or query.getAttribute("type") != "request":
            raise StanzaError("bad-request")
        reason = query.getAttribute("reason", "")
        if len(reason.encode()) > MAX_REASON_BYTES:
            raise StanzaError("not-acceptable", f"A reason has at most {MAX_REASON_BYTES} bytes")
        local, service = _parties(request)
        if not (await roster_of(self.host, local)).is_seen_by(service):
            raise StanzaError(
                "forbidden", "You must have a presence subscription to ask for this", type="modify"
            )
        if not self._trusts(service):
            await self._ask(local, service, reason)

    async def _ask(self, local: str, service: str, reason: str) -> None:
        """Ask the user, unless that was done lately or the answer is known."""
        held = await self._permission(local, service)
        state = held.value["state"] if held is not None else None
        now = self.host.clock.seconds()
        if state == GRANTED or (held is not None and now - held.value["at"] < ASK_AGAIN_S):
            if state == REJECTED:
                self._inform(local, service, REJECTED)
            return
        if (
            held is None
            and await self.host.storage.documents.count(self.host.domain, local, KIND) >= MAX_SERVICES
        ):
            raise StanzaError("policy-violation", f"At most {MAX_SERVICES} services manage one roster")
        challenge = str(secrets.randbelow(CHALLENGES))
        await self._put(local, service, state=ASKED, reason=reason, challenge=challenge, at=now)
        waiting = self.host.router.route(self._question(local, service, reason, challenge))
        if waiting is not None:
            await waiting

    def _question(self, local: str, service: str, reason: str, challenge: str) -> Stanza:
        """Give the message that asks the user (section 4.1)."""
        text = f"{service} wants to manage its contacts in your roster: {reason or 'no reason given'}"
        form = Form("form", "Permission to manage contacts", [text], NS_MANAGEMENT)
        form.addField(FormField("hidden", "challenge", challenge))
        form.addField(FormField("boolean", "answer", False, label=f"Allow {service} to manage its contacts?"))
        typed = f'{text}\nDo you allow it? Write back "yes {challenge}" or "no {challenge}".'
        attrs = {"from": self.host.domain, "to": self._bare(local), "id": secrets.token_hex(8)}
        message = make("message", attrs, element("body", None, escape(typed)))
        return message.with_child(encode(form), NS_DATA, "x")

    @phase(FROM_CLIENT, "rules", "message")
    def answered(self, message: Stanza, session: ISession) -> Awaitable[Verdict | None] | None:
        """Take what a user answers."""
        if message.attrs.get("to") != self.host.domain or message.type == "error":
            return None
        form = read(message.element, NS_MANAGEMENT)
        if form is not None and form.keys() >= {"challenge", "answer"}:
            (challenge,), (answer,) = form["challenge"][:1] or ("",), form["answer"][:1] or ("",)
            return self._decide(message, session, challenge, answer in ("1", "true"))
        body = message.child(NS_CLIENT, "body")
        typed = _TYPED.fullmatch(str(body)) if body is not None else None
        if typed is None:
            return None
        return self._decide(message, session, typed[2], typed[1].lower() == "yes")

    async def _decide(self, message: Stanza, session: ISession, challenge: str, yes: bool) -> Verdict:
        """Keep an answer, and tell the service."""
        local = session.user.local
        for held in await self.host.storage.documents.list(self.host.domain, local, [KIND]):
            asked: str = held.value.get("challenge", "")
            if hmac.compare_digest(asked.encode(), challenge.encode()):
                service, state = held.key, GRANTED if yes else REJECTED
                now = self.host.clock.seconds()
                await self._put(local, service, state=state, reason=held.value["reason"], at=now)
                self._inform(local, service, state)
                return HANDLED
        return refusal(message, StanzaError("item-not-found", "There is no such question"))

    @phase(FROM_CLIENT, "rules", "iq")
    def managed(self, request: Stanza, session: ISession) -> Awaitable[Verdict] | None:
        """Take what a client asks about its permissions, which the XEP has it address to the service."""
        if request.children[:1] != ((NS_MANAGEMENT, "query"),) or request.type not in ("get", "set"):
            return None
        return self._managed(request, session)

    async def _managed(self, request: Stanza, session: ISession) -> Verdict:
        local = session.user.local
        if request.type == "get":
            return Reply(request.result(await self._list(local)))
        query = request.child(NS_MANAGEMENT, "query")
        assert query is not None
        item = query.firstChildElement()
        service = item.getAttribute("jid", "") if item is not None else request.attrs.get("to", "")
        held = await self._permission(local, service)
        if query.getAttribute("type") != "reject":
            return refusal(request, StanzaError("bad-request"))
        if held is None or held.value["state"] != GRANTED:
            return refusal(request, StanzaError("item-not-found"))
        await self._revoke(local, service)
        return Reply(request.result())

    async def _list(self, local: str) -> bytes:
        """Give the services that may change the account's roster."""
        found = {held.key: held.value for held in await self._permissions(local)}
        granted = {key: value["reason"] for key, value in found.items() if value["state"] == GRANTED}
        named = {**{service: "" for service in self.settings.trusted if self._trusts(service)}, **granted}
        items = [element("item", jid=key, reason=reason or None) for key, reason in sorted(named.items())]
        return element("query", NS_MANAGEMENT, b"".join(items))

    @on(SubscriptionChanged)
    async def unsubscribed(self, event: SubscriptionChanged) -> None:
        """End the permission of a service that sees the account's presence no longer."""
        if "@" in event.contact or event.subscription in SEES_US:
            return
        if await self._permission(event.local, event.contact) is not None:
            await self._revoke(event.local, event.contact)

    async def _revoke(self, local: str, service: str) -> None:
        await self.host.storage.write(Batch().delete(self.host.domain, local, KIND, service))
        self._inform(local, service, REJECTED)

    def _inform(self, local: str, service: str, state: str) -> None:
        """Tell a service whether it may (sections 4.2, 4.3, 4.7)."""
        kind = "allowed" if state == GRANTED else "rejected"
        self._send(local, service, element("query", NS_MANAGEMENT, type=kind))

    # -- the roster --------------------------------------------------------------------------------

    async def handle(self, request: Stanza) -> bytes | None:
        """See IRemoteRosters."""
        local, service = _parties(request)
        if not await self._may(local, service):
            raise StanzaError("forbidden")
        if local not in self.host.users and not await self.host.accounts.exists(local):
            raise StanzaError("service-unavailable")
        if request.type == "get":
            return _contacts(await roster_of(self.host, local), service)
        wanted = read_set(request, self._bare(local))
        if wanted.contact.rpartition("@")[2] != service:
            raise StanzaError("bad-request", "You may change contacts on your own domain", type="modify")
        event = await changing(self.host, local, partial(self._change, local, wanted))
        waiting = self.host.events.fire(event) if event is not None else None
        if waiting is not None:
            await waiting
        return None

    async def _change(self, local: str, wanted: Wanted, roster: Roster) -> SubscriptionChanged | None:
        """Store and show an item as a service wants it; gives what there is to tell of its subscription."""
        old = roster.item(wanted.contact)
        if wanted.subscription != "remove":
            new = _changed(old, wanted)
            if is_mutual(roster, wanted.contact):
                new = shown(roster, own_item(roster, new))
        elif not old.listed:
            raise StanzaError("item-not-found", type="modify")
        elif wanted.contact in roster.shares:
            raise StanzaError("not-allowed", "The administrator has put this contact into the roster")
        else:
            new = RosterItem(wanted.contact, listed=False)
        if new != old:
            await store(self.host, local, roster, new)
        push(self.host, local, roster, new)
        if new.subscription == old.subscription:
            return None
        return SubscriptionChanged(local, new.jid, new.subscription if new.listed else "remove")

    @on(RosterItemShown)
    async def forward(self, event: RosterItemShown) -> None:
        """Tell a service what has become of a contact of its own (section 4.5)."""
        service = event.item.jid.rpartition("@")[2]
        if service != self.host.domain and await self._may(event.local, service):
            self._send(event.local, service, element("query", NS_ROSTER, event.item.encode()))

    # -- what both need ------------------------------------------------------------------------------

    def _trusts(self, service: str) -> bool:
        return service in self.settings.trusted and service in self.host.router.services

    async def _may(self, local: str, service: str) -> bool:
        """Tell whether a service may see and change its contacts in a roster."""
        if self._trusts(service):
            return True
        held = await self._permission(local, service)
        return held is not None and held.value["state"] == GRANTED

    async def _permission(self, local: str, service: str) -> Document | None:
        found: Document | None = await self.host.storage.documents.get(self.host.domain, local, KIND, service)
        return found

    async def _permissions(self, local: str) -> list[Document]:
        found: list[Document] = await self.host.storage.documents.list(self.host.domain, local, [KIND])
        return found

    async def _put(self, local: str, service: str, **value: Any) -> None:
        await self.host.storage.write(Batch().put(self.host.domain, local, KIND, service, value))

    def _send(self, local: str, service: str, payload: bytes) -> None:
        """Send an IQ for an account; what the service answers changes nothing."""
        attrs = {"type": "set", "id": secrets.token_hex(8), "from": self._bare(local), "to": service}
        self.host.guard(self.name, self.host.router.route, make("iq", attrs, payload))

    def _bare(self, local: str) -> str:
        return f"{local}@{self.host.domain}"


def _parties(request: Stanza) -> tuple[str, str]:
    """Give the account and the domain of a service; raises StanzaError ``forbidden`` for other senders."""
    sender, to = request.sender, request.to
    if sender is None or sender.local or to is None:
        raise StanzaError("forbidden", "Only services manage others' rosters")
    return to.local, sender.domain


def _contacts(roster: Roster, service: str) -> bytes:
    items = [item for item in roster.items.values() if item.listed and item.jid.rpartition("@")[2] == service]
    return element("query", NS_ROSTER, b"".join([item.encode() for item in items]))


def _changed(old: RosterItem, wanted: Wanted) -> RosterItem:
    """Give an item as a service wants it; other subscriptions than the four leave the one that is there."""
    subscription = wanted.subscription if wanted.subscription in SUBSCRIPTIONS else old.subscription
    return old._replace(
        name=wanted.name,
        groups=wanted.groups,
        subscription=subscription,
        approved=old.approved and subscription not in SEES_US,
        ask=old.ask and subscription not in ("to", "both"),
        request=None if subscription in SEES_US else old.request,
        listed=True,
    )
