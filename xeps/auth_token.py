"""Tokens to log in with in the place of a password (SASL X-OAUTH), as MongooseIM has them."""

from __future__ import annotations

import base64
import time
from typing import Any

from pydantic import Field
from twisted.internet.defer import Deferred, DeferredLock

from palaver.auth import tokens
from palaver.auth.accounts import NotSupported
from palaver.auth.exchange import Challenge, Facts, Mechanism, SaslFailure, Success
from palaver.auth.held import Held
from palaver.auth.mechanisms import log_in
from palaver.auth.tokens import ACCESS, PROVISION, REFRESH, InvalidToken, Token
from palaver.auth.validity import Validity
from palaver.commands.accounts import existing
from palaver.commands.command import Arguments, Call, Done
from palaver.commands.typed import Account
from palaver.errors import StanzaError, StorageError, StreamError
from palaver.events import PasswordChanged
from palaver.interfaces import IKeystore
from palaver.jid import JID
from palaver.log import Log
from palaver.markup import element
from palaver.mistakes import ConfigError
from palaver.modules import SELF, Module, Settings, command, iq, on
from palaver.stanza import Stanza
from palaver.storage import Batch
from palaver.tree import parse_element
from palaver.vcards.stored import vcards
from palaver.web.interfaces import IHeldTokens

log = Log("auth")

NS_TOKENS = "erlang-solutions.com:xmpp:token-auth:0"
MECHANISM = "X-OAUTH"
KIND = "auth-token"
FIRST_SEQUENCE = 1
MAX_SEQUENCE_DIGITS = 18
# The names of the keys that sign each kind (MongooseIM's).
KEYS = {ACCESS: "token_secret", REFRESH: "token_secret", PROVISION: "provision_pre_shared"}


class Validities(Settings):
    """How long tokens are good for, by kind."""

    access: Validity = Field(
        Validity(value=1, unit="hours"), description="An access token: it cannot be taken back."
    )
    refresh: Validity = Field(
        Validity(value=25, unit="days"), description="A refresh token: good until it is revoked."
    )


class AuthTokenSettings(Settings):
    """Options of mod_auth_token."""

    validity_period: Validities = Field(
        Validities.model_validate({}), description="How long tokens are good for."
    )


class Revocation(Arguments):
    """Whose tokens."""

    accountjid: Account = Field(description="The account, user@host.")


class AuthToken(Module):
    """Gives accounts tokens to log in with, and takes them.

    An access token is good for a while, whatever happens. A refresh token is good until it expires, is
    revoked, or the password changes; whoever logs in with one gets a new access token. A provision token is
    made by somebody else, who has the key for that, and brings a vCard with it. Tokens are offered where
    PLAIN would be.
    """

    Settings = AuthTokenSettings
    requires = (IKeystore,)
    features = (NS_TOKENS,)

    settings: AuthTokenSettings

    def start(self) -> None:
        """Offer the mechanism; raises ConfigError when a key is missing."""
        if self._key(ACCESS) is None:
            raise ConfigError(f"{self.name} needs the key {KEYS[ACCESS]} in mod_keystore")
        # Revoking reads and writes back.
        self._turn = DeferredLock()
        self.host.mechanisms[MECHANISM] = lambda accounts, facts: TokenLogin(self, accounts, facts)
        self.undo(lambda: self.host.mechanisms.pop(MECHANISM))
        registry = self.host.registry
        registry.registerUtility(self, IHeldTokens, self.name)
        self.undo(lambda: registry.unregisterUtility(self, IHeldTokens, self.name))

    def _key(self, kind: str) -> bytes | None:
        key: bytes | None = self.host.query(IKeystore).key(KEYS[kind])
        return key

    # -- giving ---------------------------------------------------------------------------

    @iq("get", NS_TOKENS, "query", to=(SELF,))
    async def give(self, request: Stanza) -> bytes:
        """Give an access and a refresh token to whoever asks, for himself."""
        sender = request.sender
        assert sender is not None
        sequence = await self._sequence(sender.local)
        access = base64.b64encode(self.access_token(sender))
        refresh = base64.b64encode(
            self._issue(Token(REFRESH, sender, self._until(REFRESH), b"%d" % sequence))
        )
        return element(
            "items",
            NS_TOKENS,
            element("access_token", NS_TOKENS, access) + element("refresh_token", NS_TOKENS, refresh),
        )

    def access_token(self, jid: JID) -> bytes:
        """Give an access token that is good from now on."""
        return self._issue(Token(ACCESS, jid, self._until(ACCESS)))

    def _issue(self, token: Token) -> bytes:
        key = self._key(token.kind)
        if key is None:
            raise StanzaError("internal-server-error")
        return tokens.encode(token, key)

    def _until(self, kind: str) -> int:
        period = self.settings.validity_period
        validity = period.access if kind == ACCESS else period.refresh
        return int(time.time()) + validity.seconds

    # -- taking ---------------------------------------------------------------------------

    async def check(self, data: bytes) -> Token:
        """Give a token that is good now; raises InvalidToken, StorageError."""
        keys = {kind: key for kind in KEYS if (key := self._key(kind)) is not None}
        token = tokens.decode(data, keys)
        if token.jid.domain != self.host.domain or not token.jid.local:
            raise InvalidToken("of another host")
        if token.expires <= time.time():
            raise InvalidToken("expired")
        if token.kind == REFRESH:
            if not token.more.isdigit() or len(token.more) > MAX_SEQUENCE_DIGITS:
                raise InvalidToken("no sequence number")
            if int(token.more) < await self._sequence(token.jid.local):
                raise InvalidToken("revoked")
        return token

    async def provision(self, token: Token) -> None:
        """Store the vCard that comes with a provision token; the login goes on without."""
        cards = vcards(self.host)
        try:
            if cards is not None and parse_element(token.more).name == "vCard":
                await cards.put(token.jid.local, token.more)
        except (StorageError, NotSupported, StreamError) as error:
            log.warn("vcard-not-stored", user=token.jid.local, host=self.host.domain, reason=error)

    # -- taking back ------------------------------------------------------------------------

    async def _sequence(self, local: str) -> int:
        document = await self.host.storage.documents.get(self.host.domain, local, KIND)
        return document.value["sequence"] if document is not None else FIRST_SEQUENCE

    async def revoke(self, local: str) -> None:
        """Take back all refresh tokens of an account. Raises StorageError."""
        async with self._turn:
            value = {"sequence": await self._sequence(local) + 1}
            await self.host.storage.write(Batch().put(self.host.domain, local, KIND, "", value))

    async def held(self, local: str) -> list[Held]:
        """See IHeldTokens; nobody knows how many refresh tokens there are, or with whom."""
        return [Held("", "All that asked for tokens of mod_auth_token")]

    async def take_back(self, local: str, key: str) -> None:
        """See IHeldTokens."""
        await self.revoke(local)

    @command("revoke-token", "token revoke", "Revoke tokens", Revocation)
    async def revoked(self, call: Call, given: Revocation) -> Done:
        """Take back an account's refresh tokens; its sessions go on."""
        await self.revoke(await existing(call.host, given.accountjid))
        return Done("Revoked.")

    @on(PasswordChanged)
    async def changed(self, event: PasswordChanged) -> None:
        """Take back what was given to whoever knew the old password."""
        await self.revoke(event.jid.local)


class TokenLogin(Mechanism):
    """One message: a token."""

    def __init__(self, module: AuthToken, accounts: Any, facts: Facts) -> None:
        self._module = module
        self._accounts = accounts

    def step(self, data: bytes) -> Deferred[Any] | Challenge | Success:
        """See `Mechanism`."""
        return Deferred.fromCoroutine(self._check(data))

    async def _check(self, data: bytes) -> Success:
        try:
            token = await self._module.check(data)
        except InvalidToken:
            raise SaslFailure("not-authorized") from None
        self.local = token.jid.local
        success = await log_in(self._accounts, token.jid.local, MECHANISM)
        if token.kind == PROVISION:
            await self._module.provision(token)
        return success._replace(data=self._module.access_token(token.jid) if token.kind == REFRESH else None)
