"""Accounts in the storage: what is kept, what is refused, upgrades at login."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from palaver.auth.accounts import (
    KIND,
    MAX_HASHING_AT_ONCE,
    AccountExists,
    NoSuchAccount,
    StoredAccounts,
)
from palaver.auth.keys import MAX_PASSWORD_BYTES, InvalidPassword, prepare_password
from palaver.errors import StorageError
from palaver.interfaces import IAccounts
from palaver.storage import Batch, Entry, LogQuery
from palaver.storage.memory import MemoryStorage

DOMAIN = "example.org"
ITERATIONS = 4096


class AccountsTestCase(SynchronousTestCase):
    """Accounts on memory storage, hashing at once."""

    def setUp(self) -> None:
        self.storage = MemoryStorage()
        self.accounts = self.make()
        self.successResultOf(self.accounts.create("romeo", "pencil"))

    def make(self, **options: Any) -> StoredAccounts:
        given = {"secret": b"secret", "iterations": ITERATIONS, "in_thread": maybeDeferred, **options}
        return StoredAccounts(DOMAIN, self.storage, lambda: ("roster", "block"), **given)

    def checks(self, password: str, local: str = "romeo", accounts: StoredAccounts | None = None) -> bool:
        right: bool = self.successResultOf((accounts or self.accounts).check_password(local, password))
        return right

    def stored(self) -> dict[str, Any]:
        document: Any = self.successResultOf(self.storage.documents.get(DOMAIN, "romeo", KIND))
        value: dict[str, Any] = document.value
        return value


class StoredTests(AccountsTestCase):
    """Making, checking, changing and deleting."""

    def test_interface(self) -> None:
        """Stored accounts are IAccounts."""
        self.assertTrue(verifyObject(IAccounts, self.accounts))

    def test_password(self) -> None:
        """The right password is right, others and those of absent accounts are wrong."""
        self.assertTrue(self.checks("pencil"))
        for password in ("pen", "", "Pencil", "pencil\0", "x" * (MAX_PASSWORD_BYTES + 1)):
            self.assertFalse(self.checks(password), password)
        self.assertFalse(self.checks("pencil", "nobody"))

    def test_no_password_is_kept(self) -> None:
        """What is stored has no password in it, and a salt of its own for each hash function."""
        text = json.dumps(self.stored())
        self.assertNotIn("pencil", text)
        self.assertEqual(set(self.stored()["keys"]), {"sha-1", "sha-256", "sha-512"})
        self.assertEqual(len({keys[0] for keys in self.stored()["keys"].values()}), 3)

    def test_create_twice(self) -> None:
        """A name is given once."""
        self.failureResultOf(self.accounts.create("romeo", "other"), AccountExists)
        self.assertTrue(self.checks("pencil"))

    def test_unsuitable_passwords(self) -> None:
        """Empty, over-long and forbidden texts cannot be passwords."""
        for password in ("", "x" * (MAX_PASSWORD_BYTES + 1), "é" * MAX_PASSWORD_BYTES, "a\tb", "a\0b"):
            self.failureResultOf(self.accounts.create("juliet", password), InvalidPassword)
            self.failureResultOf(self.accounts.set_password("romeo", password), InvalidPassword)
        self.assertFalse(self.successResultOf(self.accounts.exists("juliet")))

    def test_password_is_prepared(self) -> None:
        """Composed and decomposed letters, and all kinds of spaces, are one password (RFC 8265)."""
        self.assertEqual(prepare_password("cafe\u0301\u00a0noir"), "caf\u00e9 noir".encode())
        self.successResultOf(self.accounts.set_password("romeo", "caf\u00e9"))
        self.assertTrue(self.checks("cafe\u0301"))

    def test_set_password(self) -> None:
        """A new password replaces the old one, and what else was known of the account stays."""
        self.successResultOf(self.accounts.set_disabled("romeo", True))
        self.successResultOf(self.accounts.set_password("romeo", "sword"))
        self.assertTrue(self.checks("sword"))
        self.assertFalse(self.checks("pencil"))
        found: Any = self.successResultOf(self.accounts.credentials("romeo"))
        self.assertTrue(found.disabled)

    def test_disabled(self) -> None:
        """Those that are locked out are known, also after another password; and forgotten when let in."""
        self.successResultOf(self.accounts.set_disabled("romeo", True))
        self.successResultOf(self.accounts.set_password("romeo", "sword"))
        self.assertEqual(self.successResultOf(self.accounts.disabled()), ["romeo"])
        self.successResultOf(self.accounts.set_disabled("romeo", False))
        self.assertEqual(self.successResultOf(self.accounts.disabled()), [])

    def test_absent(self) -> None:
        """What is not there cannot be changed or deleted."""
        for change in (
            self.accounts.set_password("nobody", "x"),
            self.accounts.set_disabled("nobody", True),
            self.accounts.delete("nobody"),
        ):
            self.failureResultOf(change, NoSuchAccount)
        self.assertIsNone(self.successResultOf(self.accounts.credentials("nobody")))

    def test_list(self) -> None:
        """The accounts of the host are listed in order; documents of others make none."""
        self.successResultOf(self.accounts.create("benvolio", "x"))
        self.successResultOf(self.storage.write(Batch().put(DOMAIN, "ghost", "roster", "", {})))
        self.assertEqual(self.successResultOf(self.accounts.list()), ["benvolio", "romeo"])

    def test_delete(self) -> None:
        """Deleting an account takes all that was stored for it, and nothing of others."""
        batch = Batch().put(DOMAIN, "romeo", "roster", "juliet", {}).put(DOMAIN, "juliet", "roster", "", {})
        batch.append(Entry(DOMAIN, "romeo", "archive", 1, b"<message/>"))
        self.successResultOf(self.storage.write(batch))
        self.successResultOf(self.accounts.delete("romeo"))
        self.assertFalse(self.successResultOf(self.accounts.exists("romeo")))
        found = self.storage.documents.list(DOMAIN, "romeo", ("account", "roster"))
        self.assertEqual(self.successResultOf(found), [])
        page = self.successResultOf(self.storage.logs.range(DOMAIN, "romeo", "archive", LogQuery()))
        self.assertEqual(page.entries, [])
        self.assertEqual(self.successResultOf(self.storage.documents.count(DOMAIN, "juliet", "roster")), 1)


class LoginTests(AccountsTestCase):
    """What one login reads and leaves behind."""

    def test_one_query(self) -> None:
        """The account and everything that a login reads come in one query."""
        batch = Batch().put(DOMAIN, "romeo", "roster", "juliet@example.org", {"name": "J"})
        self.successResultOf(self.storage.write(batch.put(DOMAIN, "romeo", "vcard", "", {})))
        asked = []
        list_ = self.storage.documents.list

        def count(*args: Any) -> Any:
            asked.append(args)
            return list_(*args)

        self.patch(self.storage.documents, "list", count)
        self.patch(self.storage.documents, "get", None)
        found: Any = self.successResultOf(self.accounts.credentials("romeo"))
        self.assertEqual(len(asked), 1)
        self.assertEqual([document.kind for document in found.documents], ["roster"])
        self.assertEqual(set(found.keys), {"sha-1", "sha-256", "sha-512"})

    def test_missing_hashes_are_added(self) -> None:
        """A PLAIN login adds the keys that a newer configuration wants."""
        old = self.make(hashes=("sha-1",))
        self.successResultOf(old.set_password("romeo", "pencil"))
        self.assertEqual(set(self.stored()["keys"]), {"sha-1"})
        self.assertTrue(self.checks("pencil"))
        self.assertEqual(set(self.stored()["keys"]), {"sha-1", "sha-256", "sha-512"})
        self.assertTrue(self.checks("pencil"))

    def test_few_iterations_are_raised(self) -> None:
        """A PLAIN login makes keys anew that have fewer iterations than configured."""
        stronger = self.make(iterations=ITERATIONS + 1)
        self.assertTrue(self.checks("pencil", accounts=stronger))
        self.assertEqual({keys[1] for keys in self.stored()["keys"].values()}, {ITERATIONS + 1})

    def test_good_keys_stay(self) -> None:
        """A login changes nothing where nothing is missing, nor where the password is wrong."""
        before = self.stored()
        self.checks("pencil")
        self.checks("wrong", accounts=self.make(iterations=ITERATIONS + 1))
        self.assertEqual(self.stored(), before)

    def test_upgrade_never_undoes_a_change(self) -> None:
        """A password that is changed while an old one is upgraded stays changed."""
        waiting: list[tuple[Deferred[None], Any, Any]] = []

        def later(work: Any, *args: Any) -> Deferred[Any]:
            held: Deferred[None] = Deferred()
            waiting.append((held, work, args))
            return held.addCallback(lambda _: work(*args))

        slow = self.make(iterations=ITERATIONS + 1, in_thread=later)
        login = slow.check_password("romeo", "pencil")
        waiting.pop()[0].callback(None)
        upgrade = waiting.pop()[0]
        self.successResultOf(self.accounts.set_password("romeo", "sword"))
        upgrade.callback(None)
        self.assertTrue(self.successResultOf(login))
        self.assertTrue(self.checks("sword"))

    def test_upgrade_that_cannot_be_stored(self) -> None:
        """A login succeeds though its upgrade cannot be stored."""
        self.patch(self.storage, "write", lambda batch: fail(StorageError("full")))
        self.assertTrue(self.checks("pencil", accounts=self.make(iterations=ITERATIONS + 1)))

    def test_hashing_is_bounded(self) -> None:
        """However many log in, only a few hash at once, and all get their turn."""
        running: list[Deferred[None]] = []

        def later(work: Any, *args: Any) -> Deferred[Any]:
            running.append(Deferred())
            return running[-1].addCallback(lambda _: work(*args))

        slow = self.make(in_thread=later)
        logins = [slow.check_password("romeo", "pencil") for _ in range(5)]
        self.assertEqual(len(running), MAX_HASHING_AT_ONCE)
        while running:
            running.pop(0).callback(None)
        self.assertEqual([self.successResultOf(login) for login in logins], [True] * 5)

    def test_absent_account_hashes_too(self) -> None:
        """Checking a password costs the same hashing whether or not there is such an account."""
        for local in ("romeo", "nobody"):
            done: list[Any] = []

            def count(work: Any, *args: Any, done: list[Any] = done) -> Deferred[Any]:
                done.append((work, args[1:2], args[3]))
                return maybeDeferred(work, *args)

            self.checks("wrong", local, self.make(in_thread=count))
            self.assertEqual([(len(done), done[0][1][0].name, done[0][2])], [(1, "sha-512", ITERATIONS)])


class ThreadTests(TestCase):
    """With the reactor's own threads."""

    async def test_in_thread(self) -> None:
        """Passwords are hashed beside the reactor."""
        accounts = StoredAccounts(
            DOMAIN, MemoryStorage(), tuple, secret=b"secret", hashes=("sha-1",), iterations=ITERATIONS
        )
        await accounts.create("romeo", "pencil")
        self.assertTrue(await accounts.check_password("romeo", "pencil"))
