"""XEP-0279: Server IP Check."""

from __future__ import annotations

from palaver.errors import StanzaError
from palaver.markup import element, escape
from palaver.modules import BARE, HOST, SELF, Module, iq
from palaver.stanza import Stanza

NS_SIC = "urn:xmpp:sic:1"


class ServerIpCheck(Module):
    """Tells a client the address and port that its connection has from here."""

    features = (NS_SIC,)

    @iq("get", NS_SIC, "address", to=(HOST, SELF))
    def address(self, request: Stanza) -> bytes:
        """Give the asking client's own address; nobody else's is told."""
        if request.origin is None:
            raise StanzaError("forbidden", "Only clients of this server are told their address")
        stream = request.origin.stream
        if stream is None or not stream.address:
            raise StanzaError("internal-server-error", "The address is not known")
        inner = element("ip", None, escape(stream.address))
        if stream.port is not None:
            inner += element("port", None, str(stream.port).encode())
        return element("address", NS_SIC, inner)

    @iq("get", NS_SIC, "address", to=(BARE,))
    def refuse_others(self, request: Stanza) -> None:
        """Where somebody else is connected from is private."""
        raise StanzaError("forbidden")

    @iq("set", NS_SIC, "address", to=(HOST, SELF, BARE))
    def refuse_set(self, request: Stanza) -> None:
        """Nobody sets an address."""
        raise StanzaError("not-allowed")
