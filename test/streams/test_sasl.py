"""Logging in on a stream (RFC 6120 section 6): order, data, steps that wait, and what ends them."""

from __future__ import annotations

from base64 import b64decode

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from palaver import metrics
from palaver.auth.accounts import Credentials
from palaver.auth.sasl import Success
from palaver.errors import StorageError
from palaver.streams.negotiation import State
from palaver.test.auth.client import ScramClient
from palaver.test.streams.talker import (
    END,
    HEADER,
    SASL,
    SERVER_HEADER,
    SUCCESS,
    Talker,
    auth,
    bind,
    bound,
    condition,
    encoded,
    error,
    failure,
    plain,
)  # fmt: skip

ABORT = f"<abort xmlns='{SASL}'/>"
BUSY = failure("malformed-request", "Another attempt is under way")
TOO_MANY = error("policy-violation", "Too many failed logins")


def response(data: str = "") -> str:
    return f"<response xmlns='{SASL}'>{data}</response>"


def challenge(data: str | bytes) -> str:
    return (
        f"<challenge xmlns='{SASL}'>{encoded(data)}</challenge>" if data else f"<challenge xmlns='{SASL}'/>"
    )


# Rows of (what is sent, what comes back); every row begins on a new stream.
ANSWERS = {
    "a right password": ((plain(), SUCCESS),),
    "a wrong password": ((plain("romeo", "wrong"), failure("not-authorized")),),
    "nobody": ((plain("tybalt"), failure("not-authorized")),),
    "no first message": ((auth("PLAIN"), challenge("")), (response(encoded("\0romeo\0pencil")), SUCCESS)),
    "an empty first message": ((auth("PLAIN", "="), failure("malformed-request")),),
    "bad base64": ((auth("PLAIN", "*"), failure("incorrect-encoding")),),
    "base64 cut short": ((auth("PLAIN", "AHJ"), failure("incorrect-encoding")),),
    "base64 that is no ASCII": ((auth("PLAIN", "é"), failure("incorrect-encoding")),),
    "an unknown mechanism": ((auth("X-OAUTH"), failure("invalid-mechanism")),),
    "no mechanism": ((f"<auth xmlns='{SASL}'/>", failure("invalid-mechanism")),),
    "a response to nothing": (
        (response("AAAA"), failure("not-authorized", "There is no attempt under way")),
        (plain(), SUCCESS),
    ),
    "the end of nothing": ((ABORT, failure("aborted")), (plain(), SUCCESS)),
    "given up": (
        (auth("PLAIN"), challenge("")), (ABORT, failure("aborted")),
        (response("AAAA"), failure("not-authorized", "There is no attempt under way")), (plain(), SUCCESS),
    ),
    "two at once": ((auth("PLAIN"), challenge("")), (plain(), BUSY), (plain(), SUCCESS)),
    "bad base64 half way": (
        (auth("PLAIN"), challenge("")), (response("*"), failure("incorrect-encoding")),
        (response("AAAA"), failure("not-authorized", "There is no attempt under way")),
    ),
}  # fmt: skip


class AnswerTests(SynchronousTestCase):
    """What comes back for what is sent."""

    def test_rows(self) -> None:
        """Every mistake has its condition, and the client may try again on the same stream."""
        for name, row in ANSWERS.items():
            talker = Talker()
            talker.send(HEADER)
            for sent, wanted in row:
                self.assertEqual(talker.send(sent), wanted, name)

    def test_scram(self) -> None:
        """SCRAM takes two steps, and the server proves itself with its success."""
        talker, client = Talker(), ScramClient()
        talker.send(HEADER)
        asked = talker.send(auth("SCRAM-SHA-1", encoded(client.first())))
        data = asked.removeprefix(f"<challenge xmlns='{SASL}'>").removesuffix("</challenge>")
        final = client.final(b64decode(data))
        wanted = f"<success xmlns='{SASL}'>{encoded(client.signature)}</success>"
        self.assertEqual(talker.send(response(encoded(final))), wanted)

    def test_empty_success(self) -> None:
        """Additional data that is empty is written as an equals sign (RFC 6120 section 6.4.6)."""
        talker, waiting = waiting_talker()
        waiting.callback(Success("romeo", b"", "PLAIN"))
        self.assertEqual(talker.take(), f"<success xmlns='{SASL}'>=</success>")

    def test_encryption_required(self) -> None:
        """Where TLS is required nobody logs in without it, whatever they try."""
        talker = Talker(tls="required")
        talker.send(HEADER)
        for mechanism in ("PLAIN", "SCRAM-SHA-1", "X-OAUTH"):
            self.assertEqual(talker.send(auth(mechanism)), failure("encryption-required"))
        self.assertIsNone(talker.stream.authenticated_as)

    def test_disabled(self) -> None:
        """A disabled account is told so by its password only."""
        talker = Talker()
        talker.accounts.found["romeo"] = Credentials(talker.accounts.found["romeo"].keys, disabled=True)
        talker.send(HEADER)
        self.assertEqual(talker.send(plain("romeo", "wrong")), failure("not-authorized"))
        self.assertEqual(talker.send(plain()), failure("account-disabled"))

    def test_attempts(self) -> None:
        """After so many failures the stream ends; what follows is not even tried."""
        talker = Talker(max_auth_attempts=3)
        talker.send(HEADER)
        wrong = plain("romeo", "wrong")
        answer = talker.send(wrong + ABORT + auth("X") + plain())
        wanted = [failure("not-authorized"), failure("aborted"), failure("invalid-mechanism"), TOO_MANY]
        self.assertEqual(answer, "".join(wanted))
        self.assertEqual((talker.connection.calls, talker.stream.authenticated_as), (["close"], None))

    def test_counted(self) -> None:
        """Logins are counted by mechanism, failures by their condition."""
        metrics.reset()
        talker = Talker()
        talker.send(HEADER)
        talker.send(plain("romeo", "wrong"))
        talker.send(plain())
        self.assertEqual(dict(metrics.logins), {"PLAIN": 1})
        self.assertEqual(dict(metrics.login_failures), {"not-authorized": 1})


def waiting_talker(**settings) -> tuple[Talker, Deferred[Success]]:
    """Give a client whose step waits, and what it waits for."""
    talker = Talker(**settings)
    waiting: Deferred[Success] = Deferred()
    talker.send(HEADER)

    class Waiting:
        def step(self, data):
            return waiting

        def abort(self):
            waiting.cancel()

    talker.host.authenticator.begin = lambda mechanism, facts: Waiting()
    assert talker.send(plain()) == ""
    return talker, waiting


PASSED = Success("romeo", None, "PLAIN")


class WaitingTests(SynchronousTestCase):
    """A step that waits for an account holds up only its own stream."""

    def test_nothing_pipelined(self) -> None:
        """A client that waits for its answer is never paused."""
        talker, waiting = waiting_talker()
        waiting.callback(PASSED)
        self.assertEqual((talker.take(), talker.connection.calls), (SUCCESS, []))

    def test_pipelined(self) -> None:
        """What comes meanwhile is taken afterwards, in order; the connection is paused and resumed once."""
        talker, waiting = waiting_talker()
        pipelined = HEADER + bind("orchard") + "<message to='romeo@example.org/orchard' id='m'/>"
        for cut in range(0, len(pipelined), 50):
            self.assertEqual(talker.send(pipelined[cut : cut + 50]), "")
        self.assertEqual(talker.connection.calls, ["pause"])
        waiting.callback(PASSED)
        answer = talker.take()
        self.assertTrue(answer.startswith(SUCCESS + SERVER_HEADER), answer)
        self.assertIn(bound("romeo@example.org/orchard") + "<message ", answer)
        self.assertEqual(talker.connection.calls, ["pause", "resume"])

    def test_one_segment(self) -> None:
        """A whole login in one segment works, whether its step waits or not."""
        for wait in (False, True):
            talker = Talker()
            gate: Deferred[bool] = Deferred()
            if wait:
                talker.accounts.check_password = lambda local, password, gate=gate: gate
            answer = talker.send(HEADER + plain() + HEADER + bind("orchard"))
            gate.callback(True)
            self.assertTrue((answer + talker.take()).endswith(bound("romeo@example.org/orchard")))

    def test_refused(self) -> None:
        """What is pipelined behind a login that fails is not obeyed."""
        talker = Talker()
        gate: Deferred[bool] = Deferred()
        talker.accounts.check_password = lambda local, password: gate
        talker.send(HEADER + plain("romeo", "wrong") + HEADER + bind("orchard"))
        gate.callback(False)
        text = talker.take()
        self.assertTrue(text.startswith(failure("not-authorized")), text)
        self.assertIsNotNone(condition(text))
        self.assertEqual(talker.host.users, {})

    def test_storage_failure(self) -> None:
        """A backend that fails says nothing about the password; the client may try again."""
        for reason in (StorageError("gone"), ZeroDivisionError("a defect")):
            talker = Talker()
            gate: Deferred[bool] = Deferred()
            talker.accounts.check_password = lambda local, password, gate=gate: gate
            talker.send(HEADER)
            talker.send(plain())
            gate.errback(reason)
            self.assertEqual(talker.take(), failure("temporary-auth-failure"))
            talker.accounts.check_password = lambda local, password: succeed(True)
            self.assertEqual(talker.send(plain()), SUCCESS)
        self.flushLoggedErrors(StorageError, ZeroDivisionError)


class EndTests(SynchronousTestCase):
    """Streams that end while somebody logs in."""

    def assert_nobody(self, talker: Talker) -> None:
        self.assertEqual(talker.stream.state, State.CLOSED)
        self.assertIsNone(talker.stream.authenticated_as)
        self.assertEqual((talker.host.users, talker.host.unbound), ({}, set()))
        self.assertEqual((talker.connection.logged_in, talker.take()), (0, ""))

    def test_connection_lost(self) -> None:
        """A login that comes through after the end of the connection makes no session."""
        talker = Talker()
        gate: Deferred[bool] = Deferred()
        talker.accounts.check_password = lambda local, password: gate
        talker.send(HEADER + plain() + HEADER + bind("orchard") + "<presence/>")
        talker.take()
        talker.stream.connection_lost()
        gate.callback(True)
        self.assert_nobody(talker)

    def test_time_out(self) -> None:
        """A login that takes too long ends the stream, and does not come through later."""
        talker = Talker()
        gate: Deferred[bool] = Deferred()
        talker.accounts.check_password = lambda local, password: gate
        talker.send(HEADER + plain() + HEADER + bind("orchard"))
        talker.take()
        talker.stream.time_out()
        self.assertEqual(talker.take(), error("connection-timeout", "The login has taken too long"))
        gate.callback(True)
        self.assert_nobody(talker)

    def test_good_bye(self) -> None:
        """Who leaves between two steps is let go."""
        talker = Talker()
        talker.send(HEADER)
        talker.send(auth("PLAIN"))
        self.assertEqual(talker.send(END), END)
        self.assert_nobody(talker)
