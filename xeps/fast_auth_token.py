"""XEP-0484: Fast Authentication Streamlining Tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field
from twisted.internet.defer import DeferredLock

from palaver.auth.exchange import Facts, SaslFailure, Success
from palaver.auth.fast import CURRENT, NEW, Claim, HashedToken, Owner, Slot, match, mechanisms, slots, token
from palaver.auth.held import Held
from palaver.auth.validity import Validity
from palaver.commands.accounts import existing
from palaver.commands.command import Arguments, Call, Done
from palaver.commands.typed import Account
from palaver.errors import StorageError
from palaver.events import PasswordChanged
from palaver.interfaces import IFastTokens
from palaver.log import Log
from palaver.markup import element
from palaver.modules import Module, Settings, command, on
from palaver.storage import Batch, Document, Json
from palaver.streams.sasl2 import NS_FAST
from palaver.times import stamp
from palaver.web.interfaces import IHeldTokens

if TYPE_CHECKING:
    from twisted.words.xish.domish import Element

    from palaver.streams.c2s import ClientStream
    from palaver.streams.sasl2 import ExtensibleLogin, Request

log = Log("auth")

KIND = "fast-token"
# Beside the tokens: what their client calls itself.
AGENT = "agent"
TRUE = ("true", "1")
# A count is a number of attempts; no honest client comes near this.
MAX_COUNT_DIGITS = 15


class Validities(Settings):
    """How long tokens are good for."""

    access: Validity = Field(
        # A phone that was in a drawer for a holiday still gets in.
        Validity(value=21, unit="days"),
        description="A token, from when it was given.",
    )
    rotate_before_expire: Validity = Field(
        Validity(value=14, unit="days"),
        description="Who logs in with a token that has no longer than this to go gets a new one.",
    )


class FastAuthTokenSettings(Settings):
    """Options of mod_fast_auth_token."""

    validity_period: Validities = Field(
        Validities.model_validate({}), description="How long tokens are good for."
    )
    max_clients: int = Field(
        20,
        ge=1,
        le=1000,
        description="How many clients of an account may have tokens; the oldest loses its own.",
    )


class _Use(NamedTuple):
    """What a client says with a token: ``number`` is its count, 0 when it counts nothing."""

    client: str
    number: int
    invalidate: bool


class Forgetting(Arguments):
    """Whose tokens."""

    accountjid: Account = Field(description="The account, user@host.")


class FastAuthToken(Module):
    """Gives clients tokens, with which they log in next time in one round trip and without the password.

    A token is for one client of one account and for one mechanism. It is good until it expires, its client
    has used a newer one or logs out, or the password changes. Storage alone does not give tokens away.
    """

    Settings = FastAuthTokenSettings
    provides = (IFastTokens,)

    settings: FastAuthTokenSettings

    def start(self) -> None:
        """Have the tokens read with the account."""
        # By localpart, while something is under way: reading and writing back must not meet another change.
        self._turns: dict[str, DeferredLock] = {}
        self.undo(self.host.add_login_kind(KIND))
        registry = self.host.registry
        registry.registerUtility(self, IHeldTokens, self.name)
        self.undo(lambda: registry.unregisterUtility(self, IHeldTokens, self.name))

    def inline_feature(self, stream: ClientStream) -> bytes:
        """Announce the mechanisms that this stream can use (section 3.1)."""
        return _encode(mechanisms(stream.facts().bindings))

    # -- taking back ------------------------------------------------------------------------

    @on(PasswordChanged)
    async def changed(self, event: PasswordChanged) -> None:
        """Take back what was given to whoever knew the old password."""
        await self._forget(event.jid.local)

    @command("forget-tokens", "token forget", "Forget clients' tokens", Forgetting)
    async def forgotten(self, call: Call, given: Forgetting) -> Done:
        """Take back the tokens of all clients of an account; its sessions go on."""
        await self._forget(await existing(call.host, given.accountjid))
        return Done("Forgotten.")

    async def _forget(self, local: str, client: str | None = None) -> None:
        async with self._turn(local):
            await self.host.storage.write(Batch().delete(self.host.domain, local, KIND, client))

    async def held(self, local: str) -> list[Held]:
        """See IHeldTokens."""
        now = self.host.clock.seconds()
        return [
            Held(document.key, document.value.get(AGENT) or document.key, float(document.rank))
            for document in await self._list(local)
            if document.rank > now
        ]

    async def take_back(self, local: str, key: str) -> None:
        """See IHeldTokens."""
        await self._forget(local, key)

    # -- taking ---------------------------------------------------------------------------

    def mechanism(self, request: Request, fast: Element, facts: Facts) -> HashedToken:
        """See IFastTokens (section 3.4)."""
        if request.client is None:
            raise SaslFailure("malformed-request", "Tokens go with the id of a user agent")
        count, invalidate = _count(fast.getAttribute("count")), fast.getAttribute("invalidate") in TRUE
        check = partial(self._check, request, _Use(request.client, count, invalidate))
        return HashedToken(request.mechanism, self.host.accounts, facts, check)

    async def _check(
        self, request: Request, use: _Use, local: str, documents: list[Document] | None, claim: Claim
    ) -> bytes:
        """See `palaver.auth.fast.Check`."""
        if documents is None:
            documents = await self._list(local)
        owner = Owner(f"{local}@{self.host.domain}", use.client)
        found = _slots(documents, use.client)
        matched = match(self._secret(), owner, found, claim)
        if matched is None:
            raise SaslFailure("not-authorized")
        place, answer = matched
        slot = found[place]
        if slot.expires <= self.host.clock.seconds():
            raise SaslFailure("credentials-expired")
        if place == NEW or use.number or use.invalidate:
            await self._note_use(local, use, slot)
        if not use.invalidate:
            request.notes[self.name] = slot
        return answer

    async def _note_use(self, local: str, use: _Use, used: Slot) -> None:
        """Commit what follows from the use of a token, before it lets anybody in (sections 3.4 to 3.6)."""
        async with self._turn(local):
            documents = await self._list(local)
            found = _slots(documents, use.client)
            place = next((place for place, slot in found.items() if slot.nonce == used.nonce), None)
            if place is None or (use.number and use.number <= found[place].counted):
                # It is over, or this was sent before.
                raise SaslFailure("not-authorized")
            batch = Batch()
            if use.invalidate:
                batch.delete(self.host.domain, local, KIND, use.client)
            else:
                slot = found.pop(place)
                found[CURRENT] = slot._replace(counted=use.number or slot.counted)
                self._put(batch, local, use.client, found, _agent(documents, use.client))
            await self.host.storage.write(batch)

    # -- giving ------------------------------------------------------------------------------

    async def settle(self, login: ExtensibleLogin, outcome: Success) -> bytes | None:
        """See IFastTokens: a token for who asks, and a newer one for who needs it (sections 3.3 and 3.5)."""
        client, used = login.request.client, login.request.notes.get(self.name)
        wanted = login.request.child(NS_FAST, "request-token")
        # What a module takes in the place of a password may be good for an hour only.
        if client is None or outcome.anonymous or outcome.mechanism in self.host.mechanisms:
            return None
        if wanted is not None:
            name = wanted.getAttribute("mechanism", "")
        elif used is not None and self._is_due(used):
            name = outcome.mechanism
        else:
            return None
        if name not in mechanisms(login.stream.facts().bindings):
            return None
        try:
            return await self._give(login, outcome.local, client, name)
        except StorageError as error:
            log.warn("token-not-stored", user=outcome.local, host=self.host.domain, reason=error)
            return None

    def _is_due(self, used: Slot) -> bool:
        left = used.expires - self.host.clock.seconds()
        return left <= self.settings.validity_period.rotate_before_expire.seconds

    async def _give(self, login: ExtensibleLogin, local: str, client: str, name: str) -> bytes | None:
        """Store a new token beside the one that is in use, and give it. Raises StorageError."""
        now = int(self.host.clock.seconds())
        slot = Slot.make(name, now + self.settings.validity_period.access.seconds)
        async with self._turn(local):
            if not login.stream.is_open:
                # The password may have changed, which has ended the stream.
                return None
            documents = await self._list(local)
            found = _slots(documents, client)
            batch = Batch()
            agent = login.request.agent or _agent(documents, client)
            self._put(batch, local, client, {**found, NEW: slot}, agent)
            for document in self._surplus(documents, client, now):
                batch.delete(self.host.domain, local, KIND, document.key)
            await self.host.storage.write(batch)
        owner = Owner(f"{local}@{self.host.domain}", client)
        return element(
            "token", NS_FAST, token=token(self._secret(), owner, slot), expiry=stamp(float(slot.expires))
        )

    def _surplus(self, documents: list[Document], client: str, now: int) -> Iterator[Document]:
        """Give the clients that lose their tokens for another: the expired, and the oldest of too many."""
        others = [document for document in documents if document.key != client]
        many = len(others) + 1 - self.settings.max_clients
        for place, document in enumerate(others):
            if place < many or document.rank <= now:
                yield document

    # -- what is kept --------------------------------------------------------------------------

    def _secret(self) -> bytes:
        secret: bytes = self.host.authenticator.derive("fast")
        return secret

    async def _list(self, local: str) -> list[Document]:
        """Give the tokens of all clients of an account, those that expire first coming first."""
        found: list[Document] = await self.host.storage.documents.list(self.host.domain, local, (KIND,))
        return found

    def _put(self, batch: Batch, local: str, client: str, found: dict[str, Slot], agent: str) -> None:
        value: Json = {place: list(slot) for place, slot in found.items()}
        if agent:
            value[AGENT] = agent
        rank = max(slot.expires for slot in found.values())
        batch.put(self.host.domain, local, KIND, client, value, rank=rank)

    @asynccontextmanager
    async def _turn(self, local: str) -> AsyncIterator[None]:
        """Wait for the other changes of an account's tokens."""
        turn = self._turns.setdefault(local, DeferredLock())
        try:
            async with turn:
                yield
        finally:
            if not turn.locked:
                self._turns.pop(local, None)


def _of(documents: list[Document], client: str) -> Json:
    """Give what is stored for a client."""
    mine = (document for document in documents if (document.kind, document.key) == (KIND, client))
    return next((document.value for document in mine), {})


def _slots(documents: list[Document], client: str) -> dict[str, Slot]:
    """Give the tokens of a client by their place."""
    return slots(_of(documents, client))


def _agent(documents: list[Document], client: str) -> str:
    """Give what a client has called itself; "" when it has not."""
    found: str = _of(documents, client).get(AGENT, "")
    return found


def _count(text: str | None) -> int:
    """Read a client's count, 0 for none; raises SaslFailure."""
    if text is None:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > MAX_COUNT_DIGITS or not int(text):
        raise SaslFailure("malformed-request", "The count of a token is a positive number")
    return int(text)


@lru_cache(16)
def _encode(names: tuple[str, ...]) -> bytes:
    inner = b"".join(element("mechanism", None, name.encode()) for name in names)
    return element("fast", NS_FAST, inner)
