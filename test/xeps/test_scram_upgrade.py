"""XEP-0480: keys for stronger hash functions, brought by clients."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.auth.accounts import StoredAccounts
from palaver.auth.chain import ChainedAccounts
from palaver.auth.guests import GuestAccounts
from palaver.auth.sasl import Authenticator, AuthSettings
from palaver.errors import StorageError
from palaver.test.auth.client import ScramClient
from palaver.test.house import House, now
from palaver.test.streams.authenticating import (
    SASL2,
    Device,
    attribute,
    authenticate,
    bind2,
    failure2,
    plain2,
)  # fmt: skip
from palaver.test.streams.talker import encoded
from palaver.tree import parse_element
from palaver.xeps.bind2 import Bind2
from palaver.xeps.sasl2 import ExtensibleSasl
from palaver.xeps.scram_upgrade import ScramUpgrade

SALT = "urn:xmpp:scram-upgrade:0"
TASKS = ("UPGR-SCRAM-SHA-256", "UPGR-SCRAM-SHA-512")


def upgrade(*names: str) -> str:
    return "".join(f"<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>{name}</upgrade>" for name in names)


def begun(name: str) -> str:
    return f"<next xmlns='{SASL2}' task='{name}'/>"


def hashed(data: str) -> str:
    return f"<task-data xmlns='{SASL2}'><hash xmlns='{SALT}'>{data}</hash></task-data>"


class UpgradeCase(SynchronousTestCase):
    """Romeo's account is from a time when there was SHA-1 alone."""

    def setUp(self) -> None:
        self.house = House(ExtensibleSasl, Bind2, ScramUpgrade)
        self.host: Any = self.house.host
        now(self.accounts("sha-1").create("romeo", "pencil"))
        self.use(self.accounts("sha-1", "sha-256", "sha-512"))

    def accounts(self, *hashes: str) -> StoredAccounts:
        return StoredAccounts(
            "example.org", self.house.storage, lambda: [],
            secret=b"secret", hashes=hashes, iterations=4096, in_thread=maybeDeferred,
        )  # fmt: skip

    def use(self, accounts: Any) -> None:
        self.host.accounts = accounts
        self.host.authenticator = Authenticator(accounts, AuthSettings(b"secret"), self.host.mechanisms)

    def scram(self, *more: str, digest: str = "sha1", password: str = "pencil") -> tuple[Device, str]:
        """Log in with SCRAM; gives what comes back as well."""
        device, client = Device(self.house), ScramClient(digest=digest, password=password)
        device.open()
        mechanism = f"SCRAM-{digest.upper().replace('SHA', 'SHA-')}"
        challenge = device.send(authenticate(mechanism, client.first(), *more))
        data = base64.b64decode(str(parse_element(challenge.encode()).children[0]))
        return device, device.send(f"<response xmlns='{SASL2}'>{encoded(client.final(data))}</response>")

    def do(self, device: Device, name: str, password: str = "pencil") -> str:
        """Do a task; gives what comes back."""
        asked = device.send(begun(name))
        salt = base64.b64decode(re.search(">([^<>]+)</salt>", asked)[1])  # type: ignore[index]
        digest = name.removeprefix("UPGR-SCRAM-").replace("-", "").lower()
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, int(attribute("iterations", asked)))
        return device.send(hashed(encoded(salted)))

    def has(self) -> set[str]:
        """Give the hash functions that the account has keys for."""
        return set(now(self.host.accounts.credentials("romeo")).keys)


class UpgradeTests(UpgradeCase):
    """What a client brings."""

    def test_feature(self) -> None:
        """Every hash function that accounts may have, but the weakest, is announced."""
        announced = Device(self.house).open()
        self.assertIn(upgrade(*TASKS) + "</authentication>", announced)
        self.use(self.accounts("sha-1", "sha-256"))
        self.assertIn(upgrade(TASKS[0]) + "</authentication>", Device(self.house).open())
        self.house.modules["ScramUpgrade"].settings = ScramUpgrade.Settings(offered_upgrades=("sha512",))
        self.assertNotIn("UPGR-", Device(self.house).open())

    def test_one(self) -> None:
        """The keys are stored, the login goes on as wished, and the next one may be stronger."""
        device, answer = self.scram(upgrade(TASKS[0]), bind2())
        self.assertIn(f"<tasks><task>{TASKS[0]}</task></tasks></continue>", answer)
        self.assertIn("<additional-data>", answer)
        answer = self.do(device, TASKS[0])
        self.assertRegex(
            answer, r"\A<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>romeo@.*<bound "
        )
        self.assertEqual(self.has(), {"sha-1", "sha-256"})
        for digest in ("sha1", "sha256"):
            self.assertIn("<success ", self.scram(digest=digest)[1])
            self.assertIn("<not-authorized ", self.scram(digest=digest, password="crayon")[1])

    def test_both(self) -> None:
        """Several are brought one after the other."""
        device, _ = self.scram(upgrade(*reversed(TASKS)))
        self.assertIn(f"<task>{TASKS[1]}</task>", self.do(device, TASKS[0]))
        self.assertIn("<success ", self.do(device, TASKS[1]))
        self.assertEqual(self.has(), {"sha-1", "sha-256", "sha-512"})

    def test_salts_differ(self) -> None:
        """Every attempt has a salt of its own."""
        salts = {self.scram(upgrade(TASKS[0]))[0].send(begun(TASKS[0])) for _ in range(3)}
        self.assertEqual(len(salts), 3)

    def test_not_needed(self) -> None:
        """An account that has the keys, and a client that asks for nothing, are let in at once."""
        self.do(self.scram(upgrade(TASKS[0]))[0], TASKS[0])
        for more in (upgrade(TASKS[0]), upgrade("UPGR-SPELL"), ""):
            self.assertIn("<success ", self.scram(more)[1])

    def test_only_with_the_password(self) -> None:
        """Keys are good for ever, so only a client that has proved the password over SCRAM brings them."""
        device = Device(self.house)
        device.open()
        self.assertIn("<success ", device.send(plain2(upgrade(*TASKS))))
        self.assertIn("<not-authorized ", self.scram(upgrade(*TASKS), password="crayon")[1])

    def test_chained(self) -> None:
        """Accounts among others are found."""
        self.use(
            ChainedAccounts([GuestAccounts(b"secret", "example.org"), self.accounts("sha-1", "sha-256")])
        )
        device, _ = self.scram(upgrade(TASKS[0]))
        self.assertIn("<success ", self.do(device, TASKS[0]))
        self.assertEqual(self.has(), {"sha-1", "sha-256"})
        self.use(ChainedAccounts([GuestAccounts(b"secret", "example.org")]))
        self.assertNotIn("UPGR-", Device(self.house).open())


class RefusalTests(UpgradeCase):
    """What is not stored."""

    def test_bad_data(self) -> None:
        """What cannot be a key fails the login."""
        wanted = failure2("malformed-request", "A &lt;hash/&gt; has 32 bytes")
        rows = {
            hashed(""): wanted,
            hashed(encoded("short")): wanted,
            hashed(encoded("x" * 33)): wanted,
            f"<task-data xmlns='{SASL2}'/>": wanted,
            hashed("*"): failure2("incorrect-encoding"),
        }
        for sent, answer in rows.items():
            device, _ = self.scram(upgrade(TASKS[0]), bind2())
            device.send(begun(TASKS[0]))
            self.assertEqual(device.send(sent), answer)
        self.assertEqual((self.has(), self.host.users), ({"sha-1"}, {}))

    def changed(self, change: Any) -> str:
        """Change the account in the middle of the task; gives what comes back."""
        device, _ = self.scram(upgrade(TASKS[0]))
        now(change())
        return self.do(device, TASKS[0])

    def test_changed_meanwhile(self) -> None:
        """Keys of an old password are not put beside those of a new one."""
        refused = failure2("not-authorized")
        old = self.accounts("sha-1")
        self.assertEqual(self.changed(lambda: old.set_password("romeo", "crayon")), refused)
        self.assertEqual(self.has(), {"sha-1"})

    def test_locked_out_meanwhile(self) -> None:
        """Who was locked out in the middle is not let in."""
        answer = self.changed(lambda: self.host.accounts.set_disabled("romeo", True))
        self.assertEqual(answer, failure2("not-authorized"))

    def test_deleted_meanwhile(self) -> None:
        """Nothing is stored for an account that is gone."""
        answer = self.changed(lambda: self.host.accounts.delete("romeo"))
        self.assertEqual(answer, failure2("not-authorized"))
        self.assertIsNone(now(self.host.accounts.credentials("romeo")))

    def test_not_committed(self) -> None:
        """Without a commit there is no success."""

        async def fails() -> None:
            raise StorageError("the disk is full")

        device, _ = self.scram(upgrade(TASKS[0]))
        self.patch(self.house.storage, "write", lambda batch: Deferred.fromCoroutine(fails()))
        self.assertEqual(self.do(device, TASKS[0]), failure2("temporary-auth-failure"))
