"""Several kinds of accounts on one host, asked in turn."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import alsoProvides, implementer

from palaver.auth.accounts import Credentials, NoSuchAccount, NotSupported
from palaver.auth.keys import HASHES, Keys
from palaver.interfaces import IAccounts, IUpgradableAccounts


@implementer(IAccounts)
class ChainedAccounts:
    """The accounts of all its members, the first ones first."""

    def __init__(self, members: Sequence[IAccounts]) -> None:
        self._members = tuple(members)
        self.hashes = tuple(name for name in HASHES if any(name in member.hashes for member in members))
        self.deletes = any(member.deletes for member in members)
        self._upgradable = [member for member in members if IUpgradableAccounts.providedBy(member)]
        if self._upgradable:
            self.iterations = self._upgradable[0].iterations
            alsoProvides(self, IUpgradableAccounts)

    def credentials(self, local: str) -> Deferred[Credentials | None]:
        """See IAccounts; a member that has keys goes before one that only checks passwords."""
        return Deferred.fromCoroutine(self._credentials(local))

    def check_password(self, local: str, password: str) -> Deferred[bool]:
        """See IAccounts; right when it is right for any member."""
        return Deferred.fromCoroutine(self._any("check_password", local, password))

    def exists(self, local: str) -> Deferred[bool]:
        """See IAccounts."""
        return Deferred.fromCoroutine(self._any("exists", local))

    def create(self, local: str, password: str) -> Deferred[None]:
        """See IAccounts; the first member that can make accounts makes it."""
        return Deferred.fromCoroutine(self._first("create", local, password))

    def set_password(self, local: str, password: str) -> Deferred[None]:
        """See IAccounts; the first member that has the account changes it."""
        return Deferred.fromCoroutine(self._first("set_password", local, password))

    def delete(self, local: str) -> Deferred[None]:
        """See IAccounts; the first member that has the account deletes it."""
        return Deferred.fromCoroutine(self._first("delete", local))

    def set_disabled(self, local: str, disabled: bool) -> Deferred[None]:
        """See IAccounts; the first member that has the account does it."""
        return Deferred.fromCoroutine(self._first("set_disabled", local, disabled))

    def add_keys(self, local: str, name: str, keys: Keys, known: Mapping[str, Keys]) -> Deferred[bool]:
        """See IUpgradableAccounts; the member that has the account takes them."""
        return Deferred.fromCoroutine(self._add_keys(local, name, keys, known))

    async def _add_keys(self, local: str, name: str, keys: Keys, known: Mapping[str, Keys]) -> bool:
        for member in self._upgradable:
            if await member.add_keys(local, name, keys, known):
                return True
        return False

    async def _credentials(self, local: str) -> Credentials | None:
        found = None
        for member in self._members:
            credentials: Credentials | None = await member.credentials(local)
            if credentials is not None and credentials.keys:
                return credentials
            found = found or credentials
        return found

    async def _any(self, method: str, *args: str) -> bool:
        for member in self._members:
            if await getattr(member, method)(*args):
                return True
        return False

    async def _first(self, method: str, *args: str | bool) -> Any:
        refusal: Exception = NotSupported("no kind of accounts here can do that")
        for member in self._members:
            try:
                return await getattr(member, method)(*args)
            except NoSuchAccount as error:
                refusal = error
            except NotSupported:
                continue
        raise refusal

    def list(self) -> Deferred[builtins.list[str]]:
        """See IAccounts; members that cannot list are left out."""
        return Deferred.fromCoroutine(_listed(self._members, "list"))

    def disabled(self) -> Deferred[builtins.list[str]]:
        """See IAccounts."""
        return Deferred.fromCoroutine(_listed(self._members, "disabled"))


async def _listed(members: Sequence[IAccounts], method: str) -> list[str]:
    found: set[str] = set()
    for member in members:
        try:
            found.update(await getattr(member, method)())
        except NotSupported:
            continue
    return sorted(found)
