"""Accounts by twisted.cred checkers, checkers over accounts, and several kinds of accounts at once."""

from __future__ import annotations

from typing import Any

from twisted.cred.checkers import (
    AllowAnonymousAccess,
    ICredentialsChecker,
    InMemoryUsernamePasswordDatabaseDontUse,
)
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from palaver.auth.accounts import AccountExists, NoSuchAccount, NotSupported, StoredAccounts
from palaver.auth.chain import ChainedAccounts
from palaver.auth.cred import AccountsChecker, CredAccounts
from palaver.auth.keys import HASHES
from palaver.auth.sasl import Authenticator, AuthSettings, SaslFailure
from palaver.interfaces import IAccounts
from palaver.storage.memory import MemoryStorage
from palaver.test.auth.client import BOUND, FACTS, ITERATIONS, ScramClient


@implementer(ICredentialsChecker)
class ComparingChecker:
    """A checker that only compares, as one over crypt(3) does."""

    credentialInterfaces = (IUsernameHashedPassword,)

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """See ICredentialsChecker."""
        if credentials.username == b"romeo" and credentials.checkPassword("pencil"):
            return succeed(42)
        return fail(UnauthorizedLogin())


@implementer(ICredentialsChecker)
class FailingChecker:
    """A checker whose database is away."""

    credentialInterfaces = (IUsernamePassword,)

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """See ICredentialsChecker."""
        return fail(OSError("away"))


def stored(storage: MemoryStorage | None = None) -> StoredAccounts:
    """Give stored accounts that hash at once."""
    return StoredAccounts(
        "example.org",
        storage or MemoryStorage(),
        tuple,
        secret=b"secret",
        iterations=ITERATIONS,
        in_thread=maybeDeferred,
    )


class CredAccountsTests(SynchronousTestCase):
    """An application's own checker behind a host."""

    def setUp(self) -> None:
        self.accounts = CredAccounts(InMemoryUsernamePasswordDatabaseDontUse(romeo=b"pencil"), "example.org")

    def test_interface(self) -> None:
        """They are IAccounts."""
        self.assertTrue(verifyObject(IAccounts, self.accounts))

    def test_login(self) -> None:
        """PLAIN, and nothing else, is offered and asks the checker."""
        auth = Authenticator(self.accounts, AuthSettings(b"secret"))
        self.assertEqual(auth.mechanisms(BOUND), ("PLAIN",))
        success: Any = self.successResultOf(auth.begin("PLAIN", FACTS).step(b"\0romeo\0pencil"))
        self.assertEqual((success.local, success.documents), ("romeo", None))
        for message in (b"\0romeo\0pen", b"\0juliet\0pencil"):
            failure = self.failureResultOf(auth.begin("PLAIN", FACTS).step(message), SaslFailure)
            self.assertEqual(failure.value.condition, "not-authorized")

    def test_comparing_checker(self) -> None:
        """A checker that compares hashes serves too."""
        accounts = CredAccounts(ComparingChecker(), "example.org")
        self.assertTrue(self.successResultOf(accounts.check_password("romeo", "pencil")))
        self.assertFalse(self.successResultOf(accounts.check_password("romeo", "pen")))

    def test_full_names(self) -> None:
        """A checker may know people by their whole address."""
        checker = InMemoryUsernamePasswordDatabaseDontUse(**{"romeo@example.org": b"pencil"})
        accounts = CredAccounts(checker, "example.org", full_names=True)
        self.assertTrue(self.successResultOf(accounts.check_password("romeo", "pencil")))

    def test_no_password(self) -> None:
        """An empty or unsuitable password never reaches the checker."""
        accounts = CredAccounts(FailingChecker(), "example.org")
        for password in ("", "a\0b"):
            self.assertFalse(self.successResultOf(accounts.check_password("romeo", password)))

    def test_anonymous_avatar(self) -> None:
        """A checker that lets anybody in as nobody lets nobody in here."""

        @implementer(ICredentialsChecker)
        class Lax(AllowAnonymousAccess):
            credentialInterfaces: Any = (IUsernamePassword,)

        accounts = CredAccounts(Lax(), "example.org")
        self.assertFalse(self.successResultOf(accounts.check_password("romeo", "pencil")))

    def test_checker_fails(self) -> None:
        """A checker whose database is away is no wrong password."""
        auth = Authenticator(CredAccounts(FailingChecker(), "example.org"), AuthSettings(b"secret"))
        failure = self.failureResultOf(auth.begin("PLAIN", FACTS).step(b"\0romeo\0pencil"), SaslFailure)
        self.assertEqual(failure.value.condition, "temporary-auth-failure")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_unfit_checker(self) -> None:
        """A checker of something else than passwords is refused at once."""
        self.assertRaises(ValueError, CredAccounts, AllowAnonymousAccess(), "example.org")

    def test_who_exists(self) -> None:
        """The application can say who exists; without that everybody might."""
        self.assertTrue(self.successResultOf(self.accounts.exists("anybody")))
        checker = InMemoryUsernamePasswordDatabaseDontUse(romeo=b"pencil")
        accounts = CredAccounts(checker, "example.org", exists=lambda local: local == "romeo")
        self.assertFalse(self.successResultOf(accounts.exists("anybody")))
        self.assertIsNone(self.successResultOf(accounts.credentials("anybody")))

    def test_changes(self) -> None:
        """Accounts of an application are changed there."""
        for change in (
            self.accounts.create("a", "b"),
            self.accounts.set_password("romeo", "b"),
            self.accounts.delete("romeo"),
            self.accounts.list(),
        ):
            self.failureResultOf(change, NotSupported)


class AccountsCheckerTests(SynchronousTestCase):
    """A host's accounts for the rest of an application."""

    def setUp(self) -> None:
        self.accounts = stored()
        self.successResultOf(self.accounts.create("romeo", "pencil"))
        self.checker = AccountsChecker(self.accounts)

    def test_interface(self) -> None:
        """It is a checker."""
        self.assertTrue(verifyObject(ICredentialsChecker, self.checker))

    def test_right(self) -> None:
        """The right password gives the prepared name."""
        asked = self.checker.requestAvatarId(UsernamePassword(b"Romeo", b"pencil"))
        self.assertEqual(self.successResultOf(asked), b"romeo")

    def test_wrong(self) -> None:
        """Everything else is refused."""
        for name, password in (
            (b"romeo", b"pen"),
            (b"juliet", b"pencil"),
            (b"romeo", b"\xff"),
            (b"a@b", b"pencil"),
        ):
            asked = self.checker.requestAvatarId(UsernamePassword(name, password))
            self.failureResultOf(asked, UnauthorizedLogin)

    def test_disabled(self) -> None:
        """A disabled account is refused."""
        self.successResultOf(self.accounts.set_disabled("romeo", True))
        asked = self.checker.requestAvatarId(UsernamePassword(b"romeo", b"pencil"))
        self.failureResultOf(asked, UnauthorizedLogin)


class ChainTests(SynchronousTestCase):
    """An application's accounts before those in the storage."""

    def setUp(self) -> None:
        checker = InMemoryUsernamePasswordDatabaseDontUse(juliet=b"balcony")
        self.stored = stored()
        self.successResultOf(self.stored.create("romeo", "pencil"))
        self.chain = ChainedAccounts(
            [CredAccounts(checker, "example.org", exists=lambda local: local == "juliet"), self.stored]
        )

    def test_interface(self) -> None:
        """They are IAccounts, with the hashes of all members."""
        self.assertTrue(verifyObject(IAccounts, self.chain))
        self.assertEqual(self.chain.hashes, tuple(HASHES))

    def test_logins(self) -> None:
        """Everybody gets in with the password of their own kind of account."""
        auth = Authenticator(self.chain, AuthSettings(b"secret", iterations=ITERATIONS))
        for message in (b"\0romeo\0pencil", b"\0juliet\0balcony"):
            self.successResultOf(auth.begin("PLAIN", FACTS).step(message))
        self.failureResultOf(auth.begin("PLAIN", FACTS).step(b"\0romeo\0balcony"), SaslFailure)
        exchange, client = auth.begin("SCRAM-SHA-1", FACTS), ScramClient()
        challenge: Any = self.successResultOf(exchange.step(client.first()))
        success: Any = self.successResultOf(exchange.step(client.final(challenge.data)))
        self.assertEqual(success.local, "romeo")

    def test_scram_passes_members_without_keys(self) -> None:
        """A member that knows every name but has no keys does not hide one that has."""
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        chain = ChainedAccounts([CredAccounts(checker, "example.org"), self.stored])
        found: Any = self.successResultOf(chain.credentials("romeo"))
        self.assertTrue(found.keys)

    def test_existence(self) -> None:
        """Somebody exists when any member says so."""
        exists = [self.successResultOf(self.chain.exists(name)) for name in ("romeo", "juliet", "nobody")]
        self.assertEqual(exists, [True, True, False])

    def test_changes(self) -> None:
        """A change goes to the first member that can make it."""
        self.successResultOf(self.chain.create("benvolio", "x"))
        self.failureResultOf(self.chain.create("benvolio", "x"), AccountExists)
        self.successResultOf(self.chain.set_password("benvolio", "y"))
        self.assertEqual(self.successResultOf(self.chain.list()), ["benvolio", "romeo"])
        self.successResultOf(self.chain.delete("benvolio"))
        self.failureResultOf(self.chain.delete("benvolio"), NoSuchAccount)
        self.failureResultOf(ChainedAccounts([]).delete("benvolio"), NotSupported)
