"""Accounts and twisted.cred, both ways."""

from __future__ import annotations

import builtins
import hmac
from collections.abc import Callable
from typing import Any

from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver.auth.accounts import Credentials, NotSupported
from palaver.auth.keys import InvalidPassword, prepare_password
from palaver.interfaces import IAccounts
from palaver.jid import InvalidJID, prepare_local


@implementer(IUsernamePassword, IUsernameHashedPassword)
class NameAndPassword:
    """A name and a password as bytes, for checkers that read the password and for those that compare it."""

    def __init__(self, username: bytes, password: bytes) -> None:
        self.username = username
        self.password = password

    def checkPassword(self, password: bytes | str) -> bool:
        """See IUsernameHashedPassword; takes the same time wherever they differ."""
        known = password.encode() if isinstance(password, str) else password
        return hmac.compare_digest(self.password, known)


@implementer(IAccounts)
class CredAccounts:
    """The accounts of an embedding application, by its checker.

    They can log in with PLAIN only, since a checker has to see the password, and they are made
    and changed where they belong.
    """

    hashes: tuple[str, ...] = ()
    deletes = False

    def __init__(
        self,
        checker: ICredentialsChecker,
        domain: str,
        *,
        full_names: bool = False,
        exists: Callable[[str], bool | Deferred[bool]] = lambda local: True,
    ) -> None:
        """Take a checker of passwords; raises ValueError for one of something else.

        ``full_names``: the checker's names are ``local@domain``. ``exists`` tells whether there is a
        localpart, which a checker cannot: without it messages are kept for every name.
        """
        asked = set(checker.credentialInterfaces)
        if not asked & {IUsernamePassword, IUsernameHashedPassword}:
            raise ValueError("the checker takes neither IUsernamePassword nor IUsernameHashedPassword")
        self._checker = checker
        self._suffix = f"@{domain}" if full_names else ""
        self._exists = exists

    def credentials(self, local: str) -> Deferred[Credentials | None]:
        """See IAccounts; without keys."""
        return self.exists(local).addCallback(lambda known: Credentials({}) if known else None)

    def check_password(self, local: str, password: str) -> Deferred[bool]:
        """See IAccounts."""
        try:
            prepared = prepare_password(password)
        except InvalidPassword:
            return succeed(False)
        given = NameAndPassword(f"{local}{self._suffix}".encode(), prepared)
        asked: Deferred[Any] = maybeDeferred(self._checker.requestAvatarId, given)
        return asked.addCallbacks(lambda avatar: avatar is not ANONYMOUS, _refused)

    def exists(self, local: str) -> Deferred[bool]:
        """See IAccounts."""
        ask: Callable[[str], Any] = self._exists
        answer: Deferred[bool] = maybeDeferred(ask, local)
        return answer

    def create(self, local: str, password: str) -> Deferred[None]:
        """See IAccounts."""
        return fail(NotSupported("accounts are made by the application"))

    def set_password(self, local: str, password: str) -> Deferred[None]:
        """See IAccounts."""
        return fail(NotSupported("passwords are changed by the application"))

    def delete(self, local: str) -> Deferred[None]:
        """See IAccounts."""
        return fail(NotSupported("accounts are deleted by the application"))

    def set_disabled(self, local: str, disabled: bool) -> Deferred[None]:
        """See IAccounts."""
        return fail(NotSupported("accounts are locked out by the application"))

    def disabled(self) -> Deferred[builtins.list[str]]:
        """See IAccounts."""
        return succeed([])

    def list(self) -> Deferred[builtins.list[str]]:
        """See IAccounts."""
        return fail(NotSupported("the application knows its accounts"))


def _refused(failure: Failure) -> bool:
    failure.trap(UnauthorizedLogin)
    return False


@implementer(ICredentialsChecker)
class AccountsChecker:
    """A checker over a host's accounts, for other parts of an application; the avatar id is the localpart."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, accounts: IAccounts) -> None:
        self._accounts = accounts

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """See ICredentialsChecker; fails with UnauthorizedLogin."""
        return Deferred.fromCoroutine(self._request(credentials.username, credentials.password))

    async def _request(self, username: bytes | str, password: bytes | str) -> bytes | tuple[()]:
        try:
            local = prepare_local(_text(username))
            right = await self._accounts.check_password(local, _text(password))
        except (InvalidJID, UnicodeDecodeError):
            raise UnauthorizedLogin("not a name or password") from None
        credentials = await self._accounts.credentials(local) if right else None
        if credentials is None or credentials.disabled:
            raise UnauthorizedLogin("wrong name or password")
        return local.encode()


def _text(given: bytes | str) -> str:
    return given.decode() if isinstance(given, bytes) else given
