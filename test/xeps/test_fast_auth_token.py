"""XEP-0484: tokens given, used, rotated and taken back."""

from __future__ import annotations

import base64
import hmac
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.auth.accounts import StoredAccounts
from palaver.auth.held import Held
from palaver.auth.sasl import Authenticator, AuthSettings
from palaver.commands import command as commands
from palaver.errors import StanzaError, StorageError
from palaver.routing.lifecycle import delete_account, set_password
from palaver.test.house import House, now
from palaver.test.streams.authenticating import (
    CHANNEL,
    FAST,
    LAPTOP,
    PHONE,
    Device,
    attribute,
    authenticate,
    bind2,
    failure2,
    hashed,
    plain2,
)  # fmt: skip
from palaver.web.interfaces import IHeldTokens
from palaver.xeps.bind2 import Bind2
from palaver.xeps.fast_auth_token import KIND, FastAuthToken, Forgetting
from palaver.xeps.sasl2 import ExtensibleSasl

NONE, EXPR = "HT-SHA-256-NONE", "HT-SHA-256-EXPR"
DAY_S = 86400
REFUSED = failure2("not-authorized")
MALFORMED = failure2("malformed-request")


def request(mechanism: str = NONE) -> str:
    return f"<request-token xmlns='{FAST}' mechanism='{mechanism}'/>"


def fast(more: str = "") -> str:
    return f"<fast xmlns='{FAST}'{more}/>"


class FastCase(SynchronousTestCase):
    """Romeo and Juliet have accounts in the storage; Romeo's phone has a token."""

    options: dict[str, Any] = {}  # noqa: RUF012

    def setUp(self) -> None:
        self.house = House(ExtensibleSasl, Bind2, FastAuthToken, FastAuthToken=self.options)
        self.host: Any = self.house.host
        self.clock = self.house.clock
        self.host.accounts = StoredAccounts(
            "example.org", self.house.storage, lambda: self.host.login_kinds,
            secret=b"secret", hashes=("sha-1",), iterations=4096, in_thread=maybeDeferred,
        )  # fmt: skip
        settings = AuthSettings(b"secret")
        self.host.authenticator = Authenticator(self.host.accounts, settings, self.host.mechanisms)
        for local, password in (("romeo", "pencil"), ("juliet", "balcony")):
            now(self.host.accounts.create(local, password))
        self.token = self.get()

    def device(self) -> Device:
        device = Device(self.house)
        device.open()
        return device

    def get(self, mechanism: str = NONE, **who: Any) -> str:
        """Log in with the password and get a token."""
        return attribute("token", self.device().send(plain2(request(mechanism), **who)))

    def use(
        self,
        token: str | None = None,
        *more: str,
        mechanism: str = NONE,
        said: str | None = None,
        name: str = "romeo",
        channel: bytes = b"",
        client: str | None = PHONE,
    ) -> str:
        """Log in with a token; gives what comes back."""
        data = hashed(token or self.token, name, channel)
        return self.device().send(
            authenticate(mechanism, data, fast() if said is None else said, *more, client=client)
        )

    def assert_in(self, answer: str) -> None:
        self.assertTrue(answer.startswith("<success "), answer)

    def hold(self) -> list[Deferred[None]]:
        """Hold up every read of tokens alone from here on; gives what `let_go` takes."""
        held: list[Deferred[None]] = []
        was = self.house.storage.documents.list

        def slow(host: str, owner: str, kinds: Any, **options: Any) -> Deferred[Any]:
            if self.through or tuple(kinds) != (KIND,):
                return was(host, owner, kinds, **options)
            held.append(Deferred())
            return held[-1].addCallback(lambda _: was(host, owner, kinds, **options))

        self.through = False
        self.patch(self.house.storage.documents, "list", slow)
        return held

    def let_go(self, held: list[Deferred[None]]) -> None:
        """Let the reads go on, and later ones pass."""
        self.through = True
        while held:
            held.pop(0).callback(None)

    def kept(self, local: str = "romeo") -> list[Any]:
        return list(now(self.house.storage.documents.list("example.org", local, (KIND,))))


class TokenTests(FastCase):
    """Giving and using."""

    def test_feature(self) -> None:
        """The mechanisms are announced that the stream can use, and only within the new profile."""
        device = Device(self.house)
        announced = device.open()
        inner = f"<fast xmlns='{FAST}'><mechanism>{EXPR}</mechanism><mechanism>{NONE}</mechanism></fast>"
        self.assertIn(inner, announced)
        self.assertEqual(announced.count("HT-SHA-256"), 2)

    def test_login(self) -> None:
        """A token logs in, the server proves that it knows it, and what was asked for is done."""
        answer = self.use(None, bind2())
        proof = base64.b64encode(hmac.digest(self.token.encode(), b"Responder", "sha256")).decode()
        self.assertIn(f"<additional-data>{proof}</additional-data>", answer)
        self.assertIn("<bound ", answer)
        self.assertNotIn("<token ", answer)

    def test_again_and_again(self) -> None:
        """A token is used as often as its client likes."""
        for _ in range(3):
            self.assert_in(self.use())

    def test_channel_binding(self) -> None:
        """A token for a mechanism with channel binding takes the channel's data."""
        token = self.get(EXPR)
        self.assert_in(self.use(token, mechanism=EXPR, channel=CHANNEL))
        self.assertEqual(self.use(token, mechanism=EXPR, channel=b"other"), REFUSED)

    def test_bound_to_mechanism(self) -> None:
        """A token is good for no other mechanism than that which it was asked for."""
        self.assertEqual(self.use(mechanism=EXPR, channel=CHANNEL), REFUSED)
        self.assertEqual(self.use(self.get(EXPR)), REFUSED)

    def test_bound_to_client(self) -> None:
        """A token is good for no other client and no other account; capitals in the id make no difference."""
        self.assertEqual(self.use(client=LAPTOP), REFUSED)
        self.assertEqual(self.use(name="juliet"), REFUSED)
        self.assertEqual(self.use(name="tybalt"), REFUSED)
        self.assert_in(self.use(client=PHONE.upper()))

    def test_wrong(self) -> None:
        """Forged tokens and data that is none are refused, each in its words."""
        rows = {
            "forged": (authenticate(NONE, hashed("forged"), fast()), REFUSED),
            "empty proof": (authenticate(NONE, "romeo\0", fast()), MALFORMED),
            "no proof": (authenticate(NONE, "romeo", fast()), MALFORMED),
            "no name": (authenticate(NONE, b"\0" + b"x" * 32, fast()), MALFORMED),
            "no UTF-8": (
                authenticate(NONE, b"\xff\0" + b"x" * 32, fast()), failure2("malformed-request", "not UTF-8"),
            ),
            "a name that nobody can have": (authenticate(NONE, "ro meo\0x", fast()), REFUSED),
            "another mechanism": (
                authenticate("PLAIN", "\0romeo\0pencil", fast()), failure2("invalid-mechanism"),
            ),
            "a binding that is not there": (
                authenticate("HT-SHA-256-UNIQ", hashed(self.token), fast()), failure2("invalid-mechanism"),
            ),
            "no client": (
                authenticate(NONE, hashed(self.token), fast(), client=None),
                failure2("malformed-request", "Tokens go with the id of a user agent"),
            ),
            "not said to be a token": (authenticate(NONE, hashed(self.token)), failure2("invalid-mechanism")),
        }  # fmt: skip
        for what, (sent, wanted) in rows.items():
            with self.subTest(what=what):
                device = self.device()
                self.assertEqual(device.send(sent), wanted)
                self.assert_in(device.send(plain2()))

    def test_not_given(self) -> None:
        """No token without a client's id, for a mechanism that is not offered, or to a wrong password."""
        for sent in (
            plain2(request(), client=None),
            plain2(request("HT-SHA-256-UNIQ")),
            plain2(request("PLAIN")),
            plain2(f"<request-token xmlns='{FAST}'/>"),
            plain2(request(), password="wrong"),
        ):
            self.assertNotIn("<token ", self.device().send(sent))

    def test_not_for_guests(self) -> None:
        """Who has no account gets no token."""
        settings = AuthSettings(b"secret", anonymous=True)
        self.host.authenticator = Authenticator(self.host.accounts, settings, self.host.mechanisms)
        answer = self.device().send(authenticate("ANONYMOUS", None, request()))
        self.assert_in(answer)
        self.assertNotIn("<token ", answer)

    def test_not_stored(self) -> None:
        """The storage does not hold what logs in."""
        (document,) = self.kept()
        self.assertNotIn(self.token, repr(document.value))

    def test_unguessable(self) -> None:
        """No two tokens are alike."""
        self.assertEqual(len({self.get() for _ in range(5)} | {self.token}), 6)

    def test_restart(self) -> None:
        """Tokens outlive the module, as they do the process."""
        self.house.modules["FastAuthToken"].detach()
        self.house.add(FastAuthToken)
        self.assert_in(self.use())

    def test_one_query(self) -> None:
        """A login with a token reads once."""
        self.use()
        reads: list[Any] = []
        documents = self.house.storage.documents
        for name in ("get", "list", "find"):
            was = getattr(documents, name)

            def read(*given: Any, name: str = name, was: Any = was, **options: Any) -> Any:
                reads.append(name)
                return was(*given, **options)

            self.patch(documents, name, read)
        self.assert_in(self.use(None, bind2()))
        self.assertEqual(reads, ["list"])

    def test_nobody(self) -> None:
        """Somebody who does not exist costs the same reads and hashes as somebody who does."""
        work: list[list[str]] = []
        for name in ("juliet", "tybalt"):
            done: list[str] = []
            listed, digest = self.house.storage.documents.list, hmac.digest

            def read(*given: Any, done: Any = done, was: Any = listed, **options: Any) -> Any:
                done.append("read")
                return was(*given, **options)

            def count(*given: Any, done: Any = done, was: Any = digest) -> bytes:
                done.append("hash")
                hashed: bytes = was(*given)
                return hashed

            sent = authenticate(NONE, hashed("forged", name), fast())
            device = self.device()
            undo = [
                self.patch(self.house.storage.documents, "list", read),
                self.patch(hmac, "digest", count),
            ]
            self.assertEqual(device.send(sent), REFUSED)
            for patched in undo:
                patched.restore()
            work.append(done)
        self.assertEqual(work[0], work[1])
        self.assertIn("hash", work[0])

    def test_accounts_of_others(self) -> None:
        """Accounts whose login reads no documents have tokens too."""
        credentials = self.host.accounts.credentials
        self.host.accounts.credentials = lambda local: credentials(local).addCallback(
            lambda found: found and found._replace(documents=None)
        )
        self.assert_in(self.use())
        self.assertEqual(self.use("forged"), REFUSED)


class EndTests(FastCase):
    """How a token ends."""

    def test_expired(self) -> None:
        """An expired token is named as that, to who has it."""
        self.clock.advance(21 * DAY_S)
        self.assertEqual(self.use(), failure2("credentials-expired"))
        self.assertEqual(self.use("forged"), REFUSED)

    def test_invalidated(self) -> None:
        """A client that logs out is let in once more; its token is gone, and it gets no other."""
        answer = self.use(said=fast(" invalidate='true'"))
        self.assert_in(answer)
        self.assertNotIn("<token ", answer)
        self.assertEqual(self.use(), REFUSED)
        self.assertEqual(self.kept(), [])

    def test_exchanged(self) -> None:
        """With a request a new token comes for the invalidated one."""
        new = attribute("token", self.use(None, request(), said=fast(" invalidate='1'")))
        self.assertEqual(self.use(), REFUSED)
        self.assert_in(self.use(new))

    def test_not_proved(self) -> None:
        """Nobody invalidates a token without having it."""
        self.assertEqual(self.use("forged", said=fast(" invalidate='true'")), REFUSED)
        self.assert_in(self.use())

    def test_password_changed(self) -> None:
        """A new password ends all tokens of the account, and of no other."""
        other = self.get(local="juliet", password="balcony")
        now(set_password(self.host, "romeo", "crayon"))
        self.assertEqual(self.use(), REFUSED)
        self.assert_in(self.use(other, name="juliet"))

    def test_deleted(self) -> None:
        """An account of the same name later is not opened by the token."""
        now(delete_account(self.host, "romeo"))
        self.assertEqual(self.kept(), [])
        now(self.host.accounts.create("romeo", "crayon"))
        self.assertEqual(self.use(), REFUSED)

    def test_forgotten(self) -> None:
        """An administrator ends the tokens of an account; its password is as it was."""
        forget: Any = commands.named(self.host, "token forget")
        call = commands.Call(self.host, None)
        now(forget.run(call, Forgetting(accountjid="romeo@example.org")))
        self.assertEqual(self.use(), REFUSED)
        self.assert_in(self.use(self.get()))
        self.failureResultOf(
            Deferred.fromCoroutine(forget.run(call, Forgetting(accountjid="tybalt@example.org"))), StanzaError
        )

    def test_locked_out(self) -> None:
        """Who is locked out is not let in, whatever the token."""
        now(self.host.accounts.set_disabled("romeo", True))
        self.assertEqual(self.use(), failure2("account-disabled"))

    def test_too_many_clients(self) -> None:
        """With too many clients the one whose token expires first loses it."""
        self.house.modules["FastAuthToken"].settings = FastAuthToken.Settings.model_validate(
            {"max_clients": 2}
        )
        self.clock.advance(1)
        laptop = self.get(client=LAPTOP)
        self.assert_in(self.use())
        self.clock.advance(1)
        self.get(client="00000000-0000-4000-8000-000000000000")
        self.assertEqual(self.use(), REFUSED)
        self.assert_in(self.use(laptop, client=LAPTOP))

    def test_expired_are_cleared(self) -> None:
        """Expired tokens of other clients go when a new one is given."""
        self.clock.advance(22 * DAY_S)
        self.get(client=LAPTOP)
        self.assertEqual([document.key for document in self.kept()], [LAPTOP])


class RotationTests(FastCase):
    """A newer token for the old one."""

    def test_due(self) -> None:
        """A token with a third of its time behind it is replaced, and ends when the new one is used."""
        self.assertNotIn("<token ", self.use())
        self.clock.advance(8 * DAY_S)
        answer = self.use()
        new = attribute("token", answer)
        self.assertIn(" expiry='1970-01-30T00:00:00Z'", answer)
        self.assert_in(self.use(new))
        self.assertEqual(self.use(), REFUSED)
        self.assertNotIn("<token ", self.use(new))

    def test_same_mechanism(self) -> None:
        """The newer token is for the same mechanism."""
        token = self.get(EXPR)
        self.clock.advance(8 * DAY_S)
        new = attribute("token", self.use(token, mechanism=EXPR, channel=CHANNEL))
        self.assertEqual(self.use(new), REFUSED)
        self.assert_in(self.use(new, mechanism=EXPR, channel=CHANNEL))

    def test_answer_lost(self) -> None:
        """A client that never gets the newer token comes with the old one; what it did not get is void."""
        self.clock.advance(8 * DAY_S)
        lost, got = (attribute("token", self.use()) for _ in range(2))
        self.assertEqual(self.use(lost), REFUSED)
        self.assert_in(self.use(got))

    def test_not_when_invalidated(self) -> None:
        """Who logs out gets no newer token."""
        self.clock.advance(8 * DAY_S)
        self.assertNotIn("<token ", self.use(said=fast(" invalidate='true'")))

    def test_options(self) -> None:
        """How long tokens are good for, and when they are replaced, are options."""
        hours, minutes = {"value": 2, "unit": "hours"}, {"value": 60, "unit": "minutes"}
        period = {"access": hours, "rotate_before_expire": minutes}
        self.house.modules["FastAuthToken"].settings = FastAuthToken.Settings.model_validate(
            {"validity_period": period}
        )
        token = self.get()
        self.assertNotIn("<token ", self.use(token))
        self.clock.advance(3600)
        self.assertIn("<token ", self.use(token))
        self.clock.advance(3600)
        self.assertEqual(self.use(token), failure2("credentials-expired"))


class CountTests(FastCase):
    """Counts against replay (section 3.4)."""

    def count(self, number: object, token: str | None = None) -> str:
        return self.use(token, said=fast(f" count='{number}'"))

    def test_rising(self) -> None:
        """A count that was seen, or is lower, is refused; it is kept over a rotation of the module."""
        self.assert_in(self.count(1))
        self.assert_in(self.count(5))
        self.house.modules["FastAuthToken"].detach()
        self.house.add(FastAuthToken)
        for number in (5, 4, 1):
            self.assertEqual(self.count(number), REFUSED)
        self.assert_in(self.count(6))

    def test_each_token(self) -> None:
        """Every token counts anew."""
        self.assert_in(self.count(5))
        self.assert_in(self.count(1, self.get()))

    def test_bad_counts(self) -> None:
        """A count is a positive number."""
        wanted = failure2("malformed-request", "The count of a token is a positive number")
        for number in ("", "0", "-1", "1.5", "many", "٣", "1" * 16):
            self.assertEqual(self.count(number), wanted, number)

    def test_forged(self) -> None:
        """Who has no token uses up no count."""
        self.assertEqual(self.use("forged", said=fast(" count='99'")), REFUSED)
        self.assert_in(self.count(1))

    def test_at_once(self) -> None:
        """Of two with the same count at the same time one gets in."""
        held = self.hold()
        devices = [self.device() for _ in range(2)]
        for device in devices:
            sent = authenticate(NONE, hashed(self.token), fast(" count='3'"))
            self.assertEqual(device.send(sent), "")
        self.let_go(held)
        answers = sorted(device.take() for device in devices)
        self.assertEqual(answers[0], REFUSED)
        self.assert_in(answers[1])


class HeldTests(FastCase):
    """What an account's owner is shown."""

    def module(self) -> Any:
        """Give the module as pages find it."""
        return self.host.registry.getUtility(IHeldTokens, "mod_fast_auth_token")

    def held_tokens(self) -> list[Held]:
        """Give what Romeo holds."""
        found: list[Held] = now(Deferred.fromCoroutine(self.module().held("romeo")))
        return found

    def test_names(self) -> None:
        """Each client that has a token is listed by what it calls itself, also after it has used it."""
        self.get(client=LAPTOP)
        self.assert_in(self.use(said=fast(" count='1'")))
        found = self.held_tokens()
        self.assertEqual(
            {(held.key, held.name, held.until) for held in found},
            {(client.lower(), "Balcony", 21.0 * DAY_S) for client in (PHONE, LAPTOP)},
        )

    def test_taken_back(self) -> None:
        """A token that is taken back logs nobody in; those of other clients do."""
        laptop = self.get(client=LAPTOP)
        now(Deferred.fromCoroutine(self.module().take_back("romeo", PHONE.lower())))
        now(Deferred.fromCoroutine(self.module().take_back("romeo", "never-was")))
        self.assertEqual(self.use(), REFUSED)
        self.assert_in(self.use(laptop, client=LAPTOP))
        self.assertEqual([held.key for held in self.held_tokens()], [LAPTOP.lower()])

    def test_expired(self) -> None:
        """What has expired is not listed."""
        self.clock.advance(22 * DAY_S)
        self.assertEqual(self.held_tokens(), [])


class FaultTests(FastCase):
    """Storage that fails."""

    def broken(self) -> None:
        async def fails(batch: Any) -> None:
            raise StorageError("the disk is full")

        self.patch(self.house.storage, "write", lambda batch: Deferred.fromCoroutine(fails(batch)))

    def test_not_committed(self) -> None:
        """What could not be noted lets nobody in; what need not be noted does."""
        self.use()
        self.broken()
        wanted = failure2("temporary-auth-failure")
        for said in (" count='1'", " invalidate='true'"):
            self.assertEqual(self.use(said=fast(said)), wanted)
        self.assert_in(self.use())
        self.flushLoggedErrors(StorageError)

    def test_not_given(self) -> None:
        """A login goes on without the token that could not be stored."""
        self.broken()
        answer = self.device().send(plain2(request(), bind2()))
        self.assertIn("<bound ", answer)
        self.assertNotIn("<token ", answer)


class RaceTests(FastCase):
    """A password that changes in the middle of a login."""

    def test_no_token_behind_it(self) -> None:
        """A token that was asked for with the old password is not given behind the change."""
        device = self.device()
        held = self.hold()
        device.send(plain2(request()))
        changed = Deferred.fromCoroutine(set_password(self.host, "romeo", "crayon"))
        self.let_go(held)
        now(changed)
        self.assertEqual(self.kept(), [])
        self.assertNotIn("<token ", device.take())
