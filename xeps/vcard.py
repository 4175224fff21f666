"""XEP-0054: vcard-temp, and XEP-0055: Jabber Search of vCards."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from twisted.internet.defer import Deferred

from palaver import jid
from palaver.auth.accounts import NotSupported
from palaver.errors import StanzaError
from palaver.events import VCardChanged
from palaver.interfaces import IVCards
from palaver.markup import element, escape
from palaver.mistakes import ConfigError
from palaver.modules import BARE, HOST, SELF, Module, Settings, iq
from palaver.routing.access import sees_presence
from palaver.stanza import Stanza
from palaver.tree import serialize
from palaver.vcards.directory import Directory
from palaver.vcards.photo import NS_VCARD
from palaver.vcards.stored import STORED, StoredVCards, vcards

# What "infinity" comes to: a result must fit into a stanza.
MAX_MATCHES = 1000


class VCardSettings(Settings):
    """Options of mod_vcard."""

    host: str = Field("vjud.@HOST@", description="The domain of the search; @HOST@ stands for the host's.")
    search: bool = Field(True, description="Let people search for others.")
    search_access: Literal["local", "all"] = Field(
        "local", description="Who may search: the accounts of this host, or all."
    )
    matches: int | Literal["infinity"] = Field(
        30, description=f"How many are found at most; infinity stands for {MAX_MATCHES}."
    )
    opt_in: bool = Field(
        False,
        description="Find only those whose vCard says that it is public (CLASS); otherwise all are found but "
        "those whose vCard says that it is private or confidential.",
    )
    access: Literal["all", "local", "contacts"] = Field(
        "all",
        description="Who may read somebody's vCard: all, the accounts of this host, or those who see the "
        "account's presence.",
    )
    max_size: int = Field(
        131_072,
        ge=1024,
        le=1_048_576,
        description="How large a vCard may be, in bytes of XML, photo included.",
    )


class VCard(Module):
    """Keeps a vCard for each account, shows it to others, and finds people by it.

    An application that has the data itself has a module that provides IVCards.
    """

    Settings = VCardSettings
    features = (NS_VCARD,)
    account_features = (NS_VCARD,)
    iq_policy = "parallel"

    settings: VCardSettings

    def start(self) -> None:
        """Open the search. Raises ConfigError when its domain is taken."""
        host, settings = self.host, self.settings
        kept = StoredVCards(host.domain, host.storage, settings.opt_in)
        host.registry.registerUtility(kept, IVCards, STORED)
        self.undo(lambda: host.registry.unregisterUtility(kept, IVCards, STORED))
        if not settings.search:
            return
        try:
            domain = jid.prepare_domain(settings.host.replace("@HOST@", host.domain))
            matches = MAX_MATCHES if settings.matches == "infinity" else min(settings.matches, MAX_MATCHES)
            service = Directory(host, domain, matches, settings.search_access == "local")
            self.undo(host.router.add(service))
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from None

    # -- reading ------------------------------------------------------------------------

    @iq("get", NS_VCARD, "vCard", to=(SELF, BARE))
    async def get(self, request: Stanza) -> Stanza:
        """Give an account's vCard; whether there is such an account is told to nobody (section 3.3)."""
        sender = request.sender
        assert sender is not None
        owner = (request.to or sender).without_resource()
        card = None
        if sender.bare == owner.bare or await self._may_read(sender, owner):
            card = await vcards(self.host).get(owner.local)
        if card is None:
            raise StanzaError("item-not-found")
        return request.result(card).replace(from_=owner.bare)

    async def _may_read(self, asker: jid.JID, owner: jid.JID) -> bool:
        access = self.settings.access
        if access == "contacts":
            return await sees_presence(self.host, owner.local, asker)
        return access == "all" or asker.domain == self.host.domain

    @iq("get", NS_VCARD, "vCard", to=(HOST,))
    def server(self, request: Stanza) -> bytes:
        """Give the server's own."""
        inner = element("FN", None, b"Palaver") + element("DESC", None, b"An XMPP server")
        return element("vCard", NS_VCARD, inner + element("NICKNAME", None, escape(self.host.domain)))

    # -- writing -------------------------------------------------------------------------

    @iq("set", NS_VCARD, "vCard", to=(SELF,))
    async def put(self, request: Stanza) -> None:
        """Store the sender's vCard (section 3.2)."""
        if len(request.inner) > self.settings.max_size:
            raise StanzaError("policy-violation", f"A vCard has at most {self.settings.max_size} bytes")
        sender, card = request.sender, request.child(NS_VCARD, "vCard")
        assert sender is not None and card is not None
        data = serialize([card], "")
        try:
            await vcards(self.host).put(sender.local, data)
        except NotSupported:
            raise StanzaError("not-allowed", "vCards are not changed here") from None
        told: Deferred[None] | None = self.host.events.fire(VCardChanged(self.host, sender.local, data))
        if told is not None:
            await told

    @iq("set", NS_VCARD, "vCard", to=(BARE, HOST))
    def refuse(self, request: Stanza) -> None:
        """Nobody changes what is somebody else's."""
        raise StanzaError("forbidden", "You may change your own vCard only")
