"""XEP-0030: Service Discovery, with XEP-0106, 0115 (capabilities), 0128 (forms), 0157 (contacts)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from palaver import forms, jid
from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.markup import element
from palaver.modules import BARE, HOST, SELF, Module, Settings, iq
from palaver.routing.access import sees_presence
from palaver.routing.disco import NS_CAPS, NS_INFO, NS_ITEMS
from palaver.stanza import Stanza

NS_SERVER_INFO = "http://jabber.org/network/serverinfo"
# XEP-0106: names that are no localparts travel escaped, which clients do and the server allows.
NS_ESCAPING = r"jid\20escaping"

Domain = Annotated[str, AfterValidator(jid.prepare_domain)]
# RFC 3986 section 3; clients open these (XEP-0157 section 3).
Uri = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$")]
Contact = Literal["abuse", "admin", "feedback", "sales", "security", "status", "support"]


class ServerInfo(BaseModel):
    """One field of the server information."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="The field's name, such as abuse-addresses.")
    urls: tuple[str, ...] = Field(description="Its values, such as mailto:abuse@example.org.")


class DiscoSettings(Settings):
    """Options of mod_disco."""

    name: str = Field("Palaver", description="What the server is called.")
    extra_domains: tuple[Domain, ...] = Field((), description="Domains to list beside the services.")
    server_info: tuple[ServerInfo, ...] = Field((), description="Fields of the server information.")
    contact_info: dict[Contact, tuple[Uri, ...]] = Field(
        default_factory=dict,
        description="URIs (mailto:, xmpp:, https:) of those who answer, by what for: "
        "abuse, admin, feedback, sales, security, status, support.",
    )
    users_can_see_hidden_services: bool = Field(
        True, description="List hidden services to people too, not only to servers."
    )


class ServiceDiscovery(Module):
    """Says what the server and its accounts are and can do."""

    Settings = DiscoSettings
    features = (NS_INFO, NS_ITEMS, NS_CAPS, NS_ESCAPING)
    account_features = (NS_INFO, NS_ITEMS)
    account_identities = (("account", "registered", ""),)

    iq_policy = "one_queue"

    settings: DiscoSettings

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.identities = (("server", "im", self.settings.name),)

    def stream_feature(self, stream: Any) -> bytes | None:
        """Give the hash of what the server can do to whoever has logged in (XEP-0115 section 6.3)."""
        return self.host.disco.caps() if stream.authenticated_as is not None else None

    def disco_forms(self) -> Iterable[bytes]:
        """Give the contact addresses (XEP-0157)."""
        fields = {info.name: info.urls for info in self.settings.server_info}
        for contact, uris in self.settings.contact_info.items():
            fields[f"{contact}-addresses"] = uris
        filled = [forms.Field("list-multi", name, values=list(uris)) for name, uris in fields.items() if uris]
        if not filled:
            return ()
        return (forms.encode(forms.Form("result", formNamespace=NS_SERVER_INFO, fields=filled)),)

    # -- the server ---------------------------------------------------------------------

    @iq("get", NS_INFO, "query")
    async def info(self, request: Stanza) -> bytes:
        """Say what the server is; the nodes of its capabilities are itself, others are modules'."""
        node = _node(request, NS_INFO)
        if node is not None and not self.host.disco.is_own(node):
            return await self._of_node(HOST, NS_INFO, node, request)
        return self.host.disco.info(node)

    @iq("get", NS_ITEMS, "query")
    async def items(self, request: Stanza) -> bytes:
        """List the services of this host."""
        node = _node(request, NS_ITEMS)
        if node is not None:
            return await self._of_node(HOST, NS_ITEMS, node, request)
        sender = request.sender
        hidden = self.settings.users_can_see_hidden_services or (sender is not None and not sender.local)
        services = self.host.disco.items(hidden)
        listed = {domain for domain, _ in services}
        parts = [
            element("item", jid=domain, node=self.host.disco.service_node(domain), name_=name)
            for domain, name in services
        ]
        parts += [
            element("item", jid=domain) for domain in self.settings.extra_domains if domain not in listed
        ]
        parts += [
            element("item", jid=self.host.domain, node=node, name_=name)
            for node, name in self.host.disco.listed_nodes
        ]
        return element("query", NS_ITEMS, b"".join(parts))

    # -- accounts -------------------------------------------------------------------------

    @iq("get", NS_INFO, "query", to=(SELF, BARE))
    async def account_info(self, request: Stanza) -> Stanza:
        """Say what an account is, to those who see its presence."""
        account = await self._authorised(request)
        node = _node(request, NS_INFO)
        if node is not None:
            return _from(account, request, await self._of_node(SELF, NS_INFO, node, request))
        return _from(account, request, self.host.disco.account_info())

    @iq("get", NS_ITEMS, "query", to=(SELF, BARE))
    async def account_items(self, request: Stanza) -> Stanza:
        """List the resources that are online and the nodes, to those who see the account's presence."""
        account = await self._authorised(request)
        node = _node(request, NS_ITEMS)
        if node is not None:
            return _from(account, request, await self._of_node(SELF, NS_ITEMS, node, request))
        user = self.host.users.get(account.local)
        resources = sorted(session.jid.full for session in user.visible()) if user is not None else []
        parts = [element("item", jid=resource) for resource in resources]
        if self.host.disco.account_nodes is not None:
            parts.append(await self.host.disco.account_nodes.listed(request))
        return _from(account, request, element("query", NS_ITEMS, b"".join(parts)))

    async def _of_node(self, to: str, ns: str, node: str, request: Stanza) -> bytes:
        """Have the module answer whose node it is; raises `StanzaError` when it is nobody's."""
        disco = self.host.disco
        handler = disco.nodes.get((to, ns, node))
        if handler is None and to == SELF and disco.account_nodes is not None:
            published = disco.account_nodes
            found: bytes = await (published.node_info if ns == NS_INFO else published.node_items)(
                request, node
            )
            return found
        if handler is None:
            for find in self.host.disco.finders if to == HOST else ():
                if (given := await find(ns, node, request)) is not None:
                    return given
            raise StanzaError("item-not-found", "Node does not exist")
        answer = handler(request)
        return answer if isinstance(answer, bytes) else await answer

    async def _authorised(self, request: Stanza) -> JID:
        """Give the account that is asked about; a stranger cannot tell whether there is one."""
        sender = request.sender
        assert sender is not None
        account = (request.to or sender).without_resource()
        if sender.bare != account.bare and not await sees_presence(self.host, account.local, sender):
            raise StanzaError("service-unavailable")
        return account

    # -- what nobody may do -----------------------------------------------------------------

    @iq("set", NS_INFO, "query", to=(HOST, SELF, BARE))
    @iq("set", NS_ITEMS, "query", to=(HOST, SELF, BARE))
    def refuse(self, request: Stanza) -> None:
        """Nobody changes what is there."""
        raise StanzaError("not-allowed")


def _node(request: Stanza, ns: str) -> str | None:
    """Give the node asked for; None when it is absent or empty."""
    query = request.child(ns, "query")
    return query.getAttribute("node") or None if query is not None else None


def _from(account: JID, request: Stanza, payload: bytes) -> Stanza:
    """Give the result with the account as its sender, which clients look for even without a ``to``."""
    return request.result(payload).replace(from_=account.bare)
