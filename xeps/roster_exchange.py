"""XEP-0144: Roster Item Exchange."""

from __future__ import annotations

from collections.abc import Awaitable

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.modules import BARE, Module, Settings, iq, phase
from palaver.routing import subscriptions
from palaver.routing.asked import Wanted, read_item
from palaver.routing.pipeline import HANDLED, TO_USER, Verdict, refusal
from palaver.routing.roster import SEEN_BY_US, Roster, RosterItem
from palaver.routing.rosters import roster_of
from palaver.settings import Domain
from palaver.stanza import Stanza

NS_EXCHANGE = "http://jabber.org/protocol/rosterx"

ADD, DELETE, MODIFY = "add", "delete", "modify"


class RosterExchangeSettings(Settings):
    """Options of mod_roster_exchange."""

    gateways: frozenset[Domain] = Field(
        frozenset(),
        description="Services whose suggestions are carried out at once, as far as they are about contacts "
        "on the service's own domain.",
    )
    group_services: frozenset[Domain] = Field(
        frozenset(),
        description="Services whose suggestions about any contacts are carried out at once.",
    )
    max_items: int = Field(
        200, ge=1, description="How many contacts one of these services may suggest in one stanza."
    )
    max_suggested: int = Field(
        20, ge=0, description="How many contacts anybody else may suggest in one message."
    )


class RosterExchange(Module):
    """Carries out what trusted services suggest to add to a roster, to change and to remove.

    They send it to the account, in IQs or messages; contacts that are added are asked for their presence.
    What others suggest in messages reaches the account's clients, which ask their user; a message that
    suggests too many contacts is refused.
    """

    Settings = RosterExchangeSettings
    settings: RosterExchangeSettings
    account_features = (NS_EXCHANGE,)

    @iq("set", NS_EXCHANGE, "x", to=(BARE,))
    async def asked(self, request: Stanza) -> None:
        """Carry out a trusted service's suggestions; the answer tells that it is done."""
        sender, to, suggested = request.sender, request.to, request.child(NS_EXCHANGE, "x")
        if sender is None or to is None or suggested is None or not self._trusts(sender):
            raise StanzaError("forbidden")
        await self._carry_out(sender, to, suggested)

    @phase(TO_USER, "change", "message")
    def suggested(self, message: Stanza, to: JID) -> Awaitable[Verdict | Stanza] | Verdict | None:
        """Carry out suggestions of a trusted service, and keep too many of others' away."""
        if not message.has(NS_EXCHANGE, "x") or message.type == "error":
            return None
        sender, suggested = message.sender, message.child(NS_EXCHANGE, "x")
        assert suggested is not None
        if sender is not None and self._trusts(sender):
            return Deferred.fromCoroutine(self._take(message, sender, to, suggested))
        if len(list(suggested.elements())) > self.settings.max_suggested:
            text = f"At most {self.settings.max_suggested} contacts may be suggested at once"
            return refusal(message, StanzaError("not-acceptable", text))
        return None

    async def _take(
        self, message: Stanza, sender: JID, to: JID, suggested: domish.Element
    ) -> Verdict | Stanza:
        """Give what is left of a message once its suggestions are carried out."""
        try:
            await self._carry_out(sender, to, suggested)
        except StanzaError as error:
            return refusal(message, error)
        rest = message.without_child(NS_EXCHANGE, "x")
        return rest if rest.children else HANDLED

    def _trusts(self, sender: JID) -> bool:
        services = self.settings.gateways | self.settings.group_services
        return not sender.local and sender.domain in services

    async def _carry_out(self, sender: JID, to: JID, suggested: domish.Element) -> None:
        """Change the roster; everything is checked first. Raises StanzaError and StorageError.

        When the roster becomes full, what was added before stays.
        """
        action, wanted = self._read(sender, to, suggested)
        if to.local not in self.host.users and not await self.host.accounts.exists(to.local):
            raise StanzaError("service-unavailable")
        apply = {ADD: self._add, DELETE: self._delete, MODIFY: self._modify}[action]
        for contact in wanted:
            roster = await roster_of(self.host, to.local)
            await apply(to.local, roster, roster.item(contact.contact), contact)

    def _read(self, sender: JID, to: JID, suggested: domish.Element) -> tuple[str, list[Wanted]]:
        """Give the one action and the contacts of a suggestion."""
        items = list(suggested.elements(NS_EXCHANGE, "item"))
        if not items:
            raise StanzaError("bad-request", "There is nothing suggested")
        if len(items) > self.settings.max_items:
            raise StanzaError("not-acceptable", f"At most {self.settings.max_items} contacts at once")
        actions = {item.getAttribute("action", ADD) for item in items}
        if len(actions) > 1:
            raise StanzaError("bad-request", "A suggestion has one action for all contacts")
        # One that nobody knows stands for the usual one (section 3.1).
        action = actions.pop() if actions <= {ADD, DELETE, MODIFY} else ADD
        wanted = [read_item(item, to.bare) for item in items]
        anybody = sender.domain in self.settings.group_services
        if not anybody and any(one.contact.rpartition("@")[2] != sender.domain for one in wanted):
            raise StanzaError("forbidden", "A gateway suggests contacts on its own domain")
        return action, wanted

    async def _add(self, local: str, roster: Roster, held: RosterItem, wanted: Wanted) -> None:
        """Add a contact and ask for its presence; one that is there gets the groups that it lacks (3.1)."""
        if held.listed:
            groups = tuple(sorted({*held.groups, *wanted.groups}))
            if groups != held.groups:
                await self._update(local, held, held.name, groups)
            return
        await self._update(local, held, wanted.name, wanted.groups)
        if held.subscription not in SEEN_BY_US and not held.ask:
            await subscriptions.send(self.host, local, "subscribe", wanted.contact)

    async def _delete(self, local: str, roster: Roster, held: RosterItem, wanted: Wanted) -> None:
        """Take a contact out of groups, or out of the roster when it is in no other one (section 3.2)."""
        if not held.listed or wanted.contact in roster.shares:
            return
        rest = tuple(group for group in held.groups if group not in wanted.groups)
        if wanted.groups and rest == held.groups:
            return
        if wanted.groups and rest:
            await self._update(local, held, held.name, rest)
        else:
            await subscriptions.remove(self.host, local, wanted.contact)

    async def _modify(self, local: str, roster: Roster, held: RosterItem, wanted: Wanted) -> None:
        """Give a contact that is there another name or other groups, or both (section 3.3)."""
        name, groups = wanted.name or held.name, wanted.groups or held.groups
        if held.listed and (name, groups) != (held.name, held.groups):
            await self._update(local, held, name, groups)

    async def _update(self, local: str, held: RosterItem, name: str, groups: tuple[str, ...]) -> None:
        await subscriptions.update(self.host, local, held.jid, name, groups)
