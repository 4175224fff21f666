"""Accounts kept as documents: SCRAM keys by hash function, never a password."""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, DeferredSemaphore
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from palaver.auth.keys import HASHES, InvalidPassword, Keys, decoy, derive, make_keys, prepare_password
from palaver.errors import StorageError
from palaver.interfaces import IStorage, IUpgradableAccounts
from palaver.log import Log
from palaver.storage import Batch, Conflict, Document, Json

KIND = "account"
# The tag by which the accounts that are locked out are found.
DISABLED = "disabled"
# PBKDF2 keeps a processor busy for milliseconds; the reactor's thread needs the others.
MAX_HASHING_AT_ONCE = 2

T = TypeVar("T")
InThread = Callable[..., Deferred[Any]]

log = Log("auth")


class AccountExists(Exception):
    """There is such an account already."""


class NoSuchAccount(Exception):
    """There is no such account."""


class NotSupported(Exception):
    """These accounts cannot do that; they belong to somebody else."""


class Credentials(NamedTuple):
    """What an account can be checked against.

    ``keys`` by hash function (`palaver.auth.keys.HASHES`), empty when only `IAccounts.check_password`
    can tell. ``documents`` is what one login reads besides, when it came with the account; else None.
    """

    keys: Mapping[str, Keys]
    disabled: bool = False
    documents: list[Document] | None = None


@implementer(IUpgradableAccounts)
class StoredAccounts:
    """The accounts of one host in its storage."""

    deletes = True

    def __init__(
        self,
        domain: str,
        storage: IStorage,
        login_kinds: Callable[[], Sequence[str]],
        *,
        secret: bytes,
        hashes: Sequence[str] = tuple(HASHES),
        iterations: int = 10000,
        in_thread: InThread = deferToThread,
    ) -> None:
        """``login_kinds`` gives the kinds of documents that a login reads; they come with the account."""
        self.hashes = tuple(name for name in HASHES if name in hashes)
        self._domain = domain
        self._storage = storage
        self._login_kinds = login_kinds
        self._secret = secret
        self.iterations = iterations
        self._in_thread = in_thread
        self._hashing = DeferredSemaphore(MAX_HASHING_AT_ONCE)
        # Reading and writing back must not meet another change of the same account.
        self._changing = DeferredLock()

    # -- IAccounts; each method's docstring is there -------------------------------

    def credentials(self, local: str) -> Deferred[Credentials | None]:
        """See IAccounts; everything that a login reads comes in the same query."""
        kinds = (KIND, *self._login_kinds())
        found: Deferred[list[Document]] = self._storage.documents.list(self._domain, local, kinds)
        return found.addCallback(_sort_out)

    def check_password(self, local: str, password: str) -> Deferred[bool]:
        """See IAccounts; keys that a newer configuration asks for are stored on the way."""
        return Deferred.fromCoroutine(self._check(local, password))

    def exists(self, local: str) -> Deferred[bool]:
        """See IAccounts."""
        return self._read(local).addCallback(lambda document: document is not None)

    def create(self, local: str, password: str) -> Deferred[None]:
        """See IAccounts; fails with InvalidPassword too."""
        return Deferred.fromCoroutine(self._create(local, password))

    def set_password(self, local: str, password: str) -> Deferred[None]:
        """See IAccounts; fails with InvalidPassword too."""
        return Deferred.fromCoroutine(self._set_password(local, password))

    def set_disabled(self, local: str, disabled: bool) -> Deferred[None]:
        """See IAccounts."""
        changed = Deferred.fromCoroutine(self._change(local, {"disabled": disabled}))
        return changed.addCallback(lambda _: None)

    def disabled(self) -> Deferred[list[str]]:
        """See IAccounts."""
        found: Deferred[list[Document]] = self._storage.documents.find(self._domain, KIND, DISABLED)
        return found.addCallback(lambda documents: [document.owner for document in documents])

    def delete(self, local: str) -> Deferred[None]:
        """See IAccounts."""
        return Deferred.fromCoroutine(self._delete(local))

    def list(self) -> Deferred[list[str]]:
        """See IAccounts."""
        owners: Deferred[list[str]] = self._storage.documents.owners(self._domain, KIND)
        return owners

    # -- IUpgradableAccounts ------------------------------------------------------------

    def add_keys(self, local: str, name: str, keys: Keys, known: Mapping[str, Keys]) -> Deferred[bool]:
        """See IUpgradableAccounts."""
        return Deferred.fromCoroutine(self._add_keys(local, name, keys, known))

    # -- how ------------------------------------------------------------------------

    def _read(self, local: str) -> Deferred[Document | None]:
        found: Deferred[Document | None] = self._storage.documents.get(self._domain, local, KIND)
        return found

    async def _hash(self, work: Callable[..., T], *args: Any) -> T:
        """Run PBKDF2 in a thread, a few at once."""
        result: T = await self._hashing.run(self._in_thread, work, *args)
        return result

    async def _check(self, local: str, password: str) -> bool:
        document = await self._read(local)
        keys = _keys(document.value) if document is not None else {}
        name = next((name for name in HASHES if name in keys), self.hashes[0])
        expected = keys.get(name) or decoy(self._secret, local, HASHES[name], self.iterations)
        try:
            prepared = prepare_password(password)
        except InvalidPassword:
            # The text alone decides here, so a quick answer tells nothing about the account.
            return False
        given = await self._hash(derive, prepared, HASHES[name], expected.salt, expected.iterations)
        if not hmac.compare_digest(given.stored_key, expected.stored_key) or document is None:
            return False
        if any(name not in keys or keys[name].iterations < self.iterations for name in self.hashes):
            await self._upgrade(document, prepared)
        return True

    async def _upgrade(self, document: Document, prepared: bytes) -> None:
        """Store the keys that are missing or weak, unless the account has changed meanwhile."""
        new = await self._hash(make_keys, prepared, self.hashes, self.iterations)
        try:
            await self._change(document.owner, {"keys": _encode(new)}, expected=document.value)
        except (NoSuchAccount, StorageError) as error:
            # The login is right all the same, and the next one tries again.
            log.warn("upgrade-failed", owner=document.owner, host=self._domain, reason=error)

    async def _add_keys(self, local: str, name: str, keys: Keys, known: Mapping[str, Keys]) -> bool:
        document = await self._read(local)
        if document is None or document.value.get("disabled") or _keys(document.value) != known:
            return False
        changes = {"keys": _encode({**known, name: keys})}
        try:
            return await self._change(local, changes, expected=document.value)
        except NoSuchAccount:
            return False

    async def _create(self, local: str, password: str) -> None:
        keys = await self._hash(make_keys, prepare_password(password), self.hashes, self.iterations)
        batch = Batch().put(self._domain, local, KIND, "", {"keys": _encode(keys)}, only="new")
        try:
            await self._storage.write(batch)
        except Conflict:
            raise AccountExists(local) from None

    async def _set_password(self, local: str, password: str) -> None:
        prepared = prepare_password(password)
        if await self._read(local) is None:
            raise NoSuchAccount(local)
        keys = await self._hash(make_keys, prepared, self.hashes, self.iterations)
        await self._change(local, {"keys": _encode(keys)})

    async def _change(self, local: str, changes: Json, expected: Json | None = None) -> bool:
        """Put fields into the account; with ``expected``, only while the account is still that.

        Tells whether that was so.
        """
        await self._changing.acquire()
        try:
            document = await self._read(local)
            if document is None:
                raise NoSuchAccount(local)
            if expected is not None and document.value != expected:
                return False
            value = {**document.value, **changes}
            tags = (DISABLED,) if value.get("disabled") else ()
            await self._storage.write(
                Batch().put(self._domain, local, KIND, "", value, tags=tags, only="old")
            )
            return True
        except Conflict:
            raise NoSuchAccount(local) from None
        finally:
            self._changing.release()

    async def _delete(self, local: str) -> None:
        if await self._read(local) is None:
            raise NoSuchAccount(local)
        await self._storage.write(Batch().delete(self._domain, local).drop(self._domain, local))


def _sort_out(documents: list[Document]) -> Credentials | None:
    """Split what one query gave into the account and the rest."""
    account = None
    others = []
    for document in documents:
        if document.kind == KIND:
            account = document.value
        else:
            others.append(document)
    if account is None:
        return None
    return Credentials(_keys(account), account.get("disabled", False), others)


def _keys(value: Json) -> dict[str, Keys]:
    decode = binascii.a2b_base64
    return {
        name: Keys(decode(salt), iterations, decode(stored), decode(server))
        for name, (salt, iterations, stored, server) in value["keys"].items()
    }


def _encode(keys: Mapping[str, Keys]) -> Json:
    def text(data: bytes) -> str:
        return binascii.b2a_base64(data, newline=False).decode()

    return {
        name: [text(salt), iterations, text(stored), text(server)]
        for name, (salt, iterations, stored, server) in keys.items()
    }
