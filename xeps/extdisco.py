"""XEP-0215: External Service Discovery: STUN, TURN and other servers, with credentials that expire."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from palaver.errors import StanzaError
from palaver.markup import element
from palaver.modules import HOST, Module, Settings, iq
from palaver.stanza import Stanza
from palaver.times import stamp

NS_EXTDISCO = "urn:xmpp:extdisco:2"
NS_EXTDISCO_1 = "urn:xmpp:extdisco:1"
# Tells accounts apart for the relay's quotas without telling who they are.
PSEUDONYM_CHARS = 16


class ExternalService(BaseModel):
    """One service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(min_length=1, description="What it is: stun, turn, turns, stuns, ftp.")
    host: str = Field(min_length=1, description="Its host name or IP address.")
    port: int | None = Field(None, ge=1, le=65535, description="Its port.")
    transport: Literal["udp", "tcp"] | None = Field(None, description="udp or tcp.")
    name: str | None = Field(None, description="What people call it.")
    username: str | None = Field(None, description="A user name that everybody uses.")
    password: SecretStr | None = Field(None, description="The password that goes with it.")
    secret: SecretStr | None = Field(
        None, description="What the relay and this server share; everybody gets a password that expires."
    )
    ttl: int = Field(86400, ge=60, description="After so many seconds such a password expires.")

    @model_validator(mode="after")
    def _one_kind(self) -> ExternalService:
        if self.secret is not None and (self.username is not None or self.password is not None):
            raise ValueError("a service has a secret, or a username and a password")
        if self.password is not None and self.username is None:
            raise ValueError("a password goes with a username")
        return self


class ExtDiscoSettings(Settings):
    """Options of mod_extdisco."""

    service: tuple[ExternalService, ...] = Field((), description="The services.")
    access: Literal["local", "all"] = Field(
        "local", description="Who is told of them, credentials included: the accounts of this host, or all."
    )


class ExternalServices(Module):
    """Tells clients which relays there are for calls, and how to log in there."""

    Settings = ExtDiscoSettings
    features = (NS_EXTDISCO, NS_EXTDISCO_1)

    settings: ExtDiscoSettings

    @iq("get", NS_EXTDISCO, "services", to=(HOST,))
    @iq("get", NS_EXTDISCO_1, "services", to=(HOST,))
    def services(self, request: Stanza) -> bytes:
        """List the services, or those of one type (sections 3.1 and 3.2)."""
        bare = self._asking(request)
        ns = request.children[0][0]
        query = request.child(ns, "services")
        assert query is not None
        kind = query.getAttribute("type")
        found = [self._encode(one, bare) for one in self.settings.service if kind in (None, one.type)]
        return element("services", ns, b"".join(found), type=kind)

    @iq("get", NS_EXTDISCO, "credentials", to=(HOST,))
    @iq("get", NS_EXTDISCO_1, "credentials", to=(HOST,))
    def credentials(self, request: Stanza) -> bytes:
        """Give the credentials for one service (section 3.3); for all of its ports unless one is named."""
        bare = self._asking(request)
        ns = request.children[0][0]
        query = request.child(ns, "credentials")
        asked = next(query.elements(ns, "service"), None) if query is not None else None
        if asked is None or not asked.getAttribute("host") or not asked.getAttribute("type"):
            raise StanzaError("bad-request", "A service has a host and a type")
        kind, port = asked["type"], asked.getAttribute("port")
        if kind not in {one.type for one in self.settings.service}:
            raise StanzaError("bad-request", "There is no service of this type")
        found = [
            self._encode(one, bare)
            for one in self.settings.service
            if (one.type, one.host) == (kind, asked["host"]) and port in (None, str(one.port))
        ]
        if not found:
            raise StanzaError("item-not-found", "There is no such service")
        return element("credentials", ns, b"".join(found))

    @iq("set", NS_EXTDISCO, "services", to=(HOST,))
    @iq("set", NS_EXTDISCO_1, "services", to=(HOST,))
    def refuse(self, request: Stanza) -> None:
        """Nobody changes them."""
        raise StanzaError("not-allowed")

    def _asking(self, request: Stanza) -> str:
        sender = request.sender
        if sender is None or (self.settings.access == "local" and sender.domain != self.host.domain):
            raise StanzaError("forbidden", "Only accounts of this server are told")
        return sender.bare

    def _encode(self, service: ExternalService, bare: str) -> bytes:
        username, expires = service.username, None
        password = service.password.get_secret_value() if service.password is not None else None
        if service.secret is not None:
            end = int(self.host.clock.seconds()) + service.ttl
            username, password = turn_credentials(service.secret.get_secret_value(), end, bare)
            expires = stamp(end)
        return element(
            "service",
            None,
            b"",
            type=service.type,
            host=service.host,
            port=str(service.port) if service.port is not None else None,
            transport=service.transport,
            name_=service.name,
            username=username,
            password=password,
            expires=expires,
            restricted="1" if username is not None else None,
        )


def turn_credentials(secret: str, expires: int, bare: str) -> tuple[str, str]:
    """Give a user name and password that a relay with the same secret takes until ``expires``, a Unix time.

    After draft-uberti-behave-turn-rest-00 section 2.2, as coturn does it (``use-auth-secret``).
    """
    pseudonym = hmac.new(secret.encode(), bare.encode(), hashlib.sha256).hexdigest()[:PSEUDONYM_CHARS]
    username = f"{expires}:{pseudonym}"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()
