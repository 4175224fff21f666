"""Logging in by XEP-0388: order, data, what fails, and what is written when."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from palaver import metrics
from palaver.auth.sasl import Authenticator, AuthSettings, SaslFailure, Success
from palaver.errors import StorageError, StreamError
from palaver.interfaces import ILoginTasks
from palaver.modules import LOGIN, Module, inline
from palaver.routing.lifecycle import end_sessions
from palaver.streams.negotiation import State
from palaver.test.auth.client import ScramClient
from palaver.test.house import House, now
from palaver.test.streams.authenticating import (
    SASL2,
    Device,
    authenticate,
    bind2,
    failure2,
    identifier,
    plain2,
    success,
)  # fmt: skip
from palaver.test.streams.talker import (
    BIND,
    END,
    HEADER,
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
from palaver.tree import parse_element
from palaver.xeps.bind2 import Bind2
from palaver.xeps.sasl2 import ExtensibleSasl

ROMEO = success(identifier("romeo@example.org"))
FEATURES = "<stream:features>"


def response(data: str | bytes = "") -> str:
    return f"<response xmlns='{SASL2}'>{encoded(data)}</response>"


def nonza(name: str, more: str = "") -> str:
    return f"<{name} xmlns='{SASL2}'{more}/>"


def raw(initial: str, agent: str = "") -> str:
    return f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'>{initial}{agent}</authenticate>"


def initial(data: str) -> str:
    return f"<initial-response>{data}</initial-response>"


RIGHT = encoded("\0romeo\0pencil")
# What is sent on a fresh stream, and the failure that comes back; another attempt may follow.
REFUSED = {
    "a wrong password": (plain2(password="wrong"), failure2("not-authorized")),
    "nobody": (plain2(local="tybalt"), failure2("not-authorized")),
    "an empty first message": (authenticate("PLAIN", ""), failure2("malformed-request")),
    "bad base64": (raw(initial("*")), failure2("incorrect-encoding")),
    "an equals sign, which means nothing here": (raw(initial("=")), failure2("incorrect-encoding")),
    "white space in base64": (raw(initial("AHJv bWVv")), failure2("incorrect-encoding")),
    "an unknown mechanism": (authenticate("SPELL", ""), failure2("invalid-mechanism")),
    "no mechanism": (f"<authenticate xmlns='{SASL2}'/>", failure2("invalid-mechanism")),
    "a token's mechanism": (authenticate("HT-SHA-256-NONE", "romeo\0x"), failure2("invalid-mechanism")),
    "a token where there are none": (
        authenticate("HT-SHA-256-NONE", "romeo\0x", "<fast xmlns='urn:xmpp:fast:0'/>"),
        failure2("invalid-mechanism"),
    ),
    "a user agent that is no UUID": (
        plain2(client="balcony"), failure2("malformed-request", "The id of a user agent is a UUID"),
    ),
}  # fmt: skip
# What ends the stream in the middle of an exchange.
OUT_OF_ORDER = {
    "another attempt": (plain2(), "policy-violation"),
    "the old way": (plain(), "policy-violation"),
    "a task": (nonza("next", " task='UPGR-SCRAM-SHA-256'"), "policy-violation"),
    "a task's data": (nonza("task-data"), "policy-violation"),
    "a stanza": ("<message to='juliet@example.org'><body>hi</body></message>", "not-authorized"),
    "an IQ of a stranger": (
        "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>",
        "not-authorized",
    ),
    "something else": ("<hello xmlns='urn:example'/>", "unsupported-stanza-type"),
}


class FeatureTests(SynchronousTestCase):
    """What is announced."""

    def test_same_mechanisms(self) -> None:
        """The mechanisms are those of the old way, and stand in the same order."""
        found = parse_element(Device().open().partition("?>")[2].encode() + END.encode())
        features = found.firstChildElement()
        old, new = (
            [str(node) for node in parent.elements() if node.name == "mechanism"]
            for parent in features.elements()
            if parent.name in ("mechanisms", "authentication")
        )
        self.assertEqual(old, new)
        self.assertIn("SCRAM-SHA-256-PLUS", new)

    def test_encrypted_only(self) -> None:
        """Without encryption it is not offered, and refused."""
        talker = Talker(House(ExtensibleSasl, Bind2))
        self.assertNotIn(SASL2, talker.send(HEADER))
        self.assertEqual(talker.send(plain2()), failure2("encryption-required"))

    def test_off(self) -> None:
        """Without the module it does not exist."""
        talker = Talker(House(), secure=True)
        self.assertNotIn(SASL2, talker.send(HEADER))
        self.assertEqual(condition(talker.send(plain2())), "policy-violation")

    def test_mechanisms_of_modules(self) -> None:
        """A mechanism that a module brings is offered both ways, and goes both ways."""
        house = House(ExtensibleSasl)

        class Spell:
            local = None

            def step(self, data: bytes) -> Success:
                return Success("romeo", b"so mote it be", "SPELL")

        accounts: Any = house.accounts
        house.host.mechanisms["SPELL"] = lambda accounts, facts: Spell()
        house.host.authenticator = Authenticator(accounts, AuthSettings(b"secret"), house.host.mechanisms)
        device = Device(house)
        self.assertEqual(device.open().count("<mechanism>SPELL</mechanism>"), 2)
        answer = device.send(authenticate("SPELL", "abracadabra"))
        extra = f"<additional-data>{encoded('so mote it be')}</additional-data>"
        self.assertTrue(answer.startswith(success(extra + identifier("romeo@example.org"))), answer)


class LoginTests(SynchronousTestCase):
    """The way in."""

    def test_no_restart(self) -> None:
        """The features follow at once, and the stream goes on without a new header."""
        device = Device()
        answer = device.enter()
        self.assertTrue(answer.startswith(ROMEO + FEATURES), answer)
        self.assertIn(f"<bind xmlns='{BIND}'/>", answer)
        self.assertEqual(device.send(bind("orchard")), bound("romeo@example.org/orchard"))
        self.assertEqual(device.connection.logged_in, 1)

    def test_scram(self) -> None:
        """Challenge and response; the server's signature comes with the success."""
        device, client = Device(), ScramClient(digest="sha256")
        device.open()
        challenge = device.send(authenticate("SCRAM-SHA-256", client.first()))
        self.assertTrue(challenge.startswith(f"<challenge xmlns='{SASL2}'>"), challenge)
        data = parse_element(challenge.encode()).children[0]
        final = client.final(b64decode(str(data)))
        answer = device.send(response(final))
        signed = f"<additional-data>{encoded(client.signature)}</additional-data>"
        self.assertTrue(answer.startswith(success(signed + identifier("romeo@example.org"))), answer)

    def test_no_initial_response(self) -> None:
        """The client may wait to be asked."""
        device = Device()
        device.open()
        self.assertEqual(device.send(authenticate("PLAIN", None)), nonza("challenge"))
        self.assertTrue(device.send(response("\0romeo\0pencil")).startswith(ROMEO))

    def test_white_space_around(self) -> None:
        """Line breaks around the data do no harm."""
        device = Device()
        device.open()
        self.assertTrue(device.send(raw(initial(f"\n  {RIGHT}\n"))).startswith(ROMEO))

    def test_without_user_agent(self) -> None:
        """Nobody has to say what they are."""
        for sent in (raw(initial(RIGHT)), plain2(client=None)):
            device = Device()
            device.open()
            self.assertTrue(device.send(sent).startswith(ROMEO))

    def test_counted(self) -> None:
        """Logins and failures are counted as those by the old way."""
        metrics.reset()
        device = Device()
        device.enter(password="wrong")
        device.send(plain2())
        self.assertEqual(metrics.logins, {"PLAIN": 1})
        self.assertEqual(metrics.login_failures, {"not-authorized": 1})

    def test_from(self) -> None:
        """Who the stream header names has to be who logs in; a domain alone, or nonsense, says nothing."""
        wrong = failure2("invalid-authzid", "The stream header names somebody else")
        rows = {
            "romeo@example.org": ROMEO,
            "Romeo@EXAMPLE.org/phone": ROMEO,
            "example.org": ROMEO,
            "@": ROMEO,
            "juliet@example.org": wrong,
            "romeo@example.com": wrong,
        }
        for sender, wanted in rows.items():
            device = Device()
            device.open(sender)
            self.assertTrue(device.send(plain2(bind2())).startswith(wanted[:60]), sender)
            self.assertEqual(device.stream.authenticated_as, "romeo" if wanted == ROMEO else None)


class RefusalTests(SynchronousTestCase):
    """What goes wrong."""

    def test_rows(self) -> None:
        """Each mistake has its condition, does nothing that was asked for, and another attempt may follow."""
        for what, (sent, wanted) in REFUSED.items():
            with self.subTest(what=what):
                device = Device()
                device.open()
                self.assertEqual(device.send(sent), wanted)
                self.assertIs(device.stream.state, State.NEGOTIATING)
                self.assertEqual(device.host.users, {})
                self.assertTrue(device.send(plain2()).startswith(ROMEO))

    def test_out_of_order(self) -> None:
        """Whatever else comes during an exchange ends the stream."""
        for what, (sent, wanted) in OUT_OF_ORDER.items():
            with self.subTest(what=what):
                device = Device()
                device.open()
                device.send(authenticate("PLAIN", None))
                self.assertEqual(condition(device.send(sent)), wanted)

    def test_too_early(self) -> None:
        """There is nothing to go on with before a beginning."""
        for name in ("response", "abort", "next", "task-data"):
            device = Device()
            device.open()
            self.assertEqual(condition(device.send(nonza(name))), "policy-violation")

    def test_abort(self) -> None:
        """An attempt may be given up, and another one begun, the old way too."""
        device = Device()
        device.open()
        device.send(authenticate("PLAIN", None))
        self.assertEqual(device.send(nonza("abort")), failure2("aborted"))
        self.assertEqual(device.send(plain(password="wrong")), failure("not-authorized"))
        self.assertEqual(
            device.send(auth("PLAIN", RIGHT)), f"<success xmlns='{BIND.replace('bind', 'sasl')}'/>"
        )

    def test_twice(self) -> None:
        """Who has logged in does not log in again, with a resource or without."""
        for more in ((), (bind2(),)):
            device = Device()
            device.enter(*more)
            self.assertEqual(condition(device.send(plain2(local="juliet"))), "policy-violation")

    def test_too_many(self) -> None:
        """Attempts are counted whichever way they go."""
        device = Device(max_auth_attempts=3)
        device.enter(password="wrong")
        device.send(plain(password="wrong"))
        self.assertEqual(condition(device.send(plain2(password="wrong"))), "policy-violation")

    def test_storage_failure(self) -> None:
        """A backend that fails is no fault of the client's."""
        device = Device()
        device.open()
        device.accounts.check_password = lambda local, password: Deferred.fromCoroutine(fails())
        self.assertEqual(device.send(plain2()), failure2("temporary-auth-failure"))
        self.assertTrue(device.stream.is_open)
        self.flushLoggedErrors(StorageError)


async def fails() -> None:
    raise StorageError("the disk is full")


class Wishes(Module):
    """For tests: things that a client may ask for."""

    def start(self) -> None:
        self.gate: Deferred[bytes] = Deferred()

    @inline(LOGIN, "urn:example:wish", "wait")
    def wait(self, wish: Any, login: Any) -> Deferred[bytes]:
        return self.gate

    @inline(LOGIN, "urn:example:wish", "fail")
    def fail(self, wish: Any, login: Any) -> None:
        raise ZeroDivisionError

    @inline(LOGIN, "urn:example:wish", "end")
    def end(self, wish: Any, login: Any) -> None:
        raise StreamError("policy-violation", "no such wishes")

    @inline(LOGIN, "urn:example:wish", "ask")
    def ask(self, wish: Any, login: Any) -> bytes:
        return b"<granted xmlns='urn:example:wish'/>"


def wish(name: str) -> str:
    return f"<{name} xmlns='urn:example:wish'/>"


class InlineTests(SynchronousTestCase):
    """What is asked for within the login."""

    def setUp(self) -> None:
        self.house = House(ExtensibleSasl, Bind2)
        self.wishes = self.house.add(Wishes)
        self.device = Device(self.house)

    def test_answers(self) -> None:
        """Answers stand in the success; what nobody knows is passed over."""
        answer = self.device.enter(wish("unknown"), wish("ask"))
        granted = "<granted xmlns='urn:example:wish'/>"
        self.assertTrue(answer.startswith(success(identifier("romeo@example.org") + granted)), answer)

    def test_failing_module(self) -> None:
        """A module that fails takes only its own answer away."""
        answer = self.device.enter(wish("fail"), bind2())
        self.assertIn("<bound ", answer)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_end(self) -> None:
        """A module may end the stream; there is no success then."""
        self.assertEqual(self.device.enter(wish("end"), bind2()), error("policy-violation", "no such wishes"))
        self.assertEqual(self.house.host.users, {})

    def test_nothing_before_success(self) -> None:
        """What is sent to the new session while its login is still under way follows behind the success."""

        class Eager(Module):
            @inline("bind", "urn:example:eager", "hello")
            def hello(self, request: Any, session: Any) -> None:
                session.stream.write(b"<message/>")

        self.house.add(Eager)
        answer = self.device.enter(bind2("<hello xmlns='urn:example:eager'/>"))
        self.assertRegex(answer, r"\A<success .*</success><stream:features>.*</stream:features><message/>\Z")

    def test_held(self) -> None:
        """What a client sends before its success is taken after it."""
        self.assertEqual(self.device.enter(wish("wait")), "")
        self.assertEqual(self.device.send(bind("orchard")), "")
        self.wishes.gate.callback(b"")
        answer = self.device.take()
        self.assertTrue(answer.startswith(ROMEO), answer)
        self.assertTrue(answer.endswith(bound("romeo@example.org/orchard")), answer)

    def test_gone_meanwhile(self) -> None:
        """A client that goes during its login leaves nothing behind."""
        self.device.enter(wish("wait"), bind2())
        self.device.stream.connection_lost()
        self.wishes.gate.callback(b"")
        self.assertEqual(self.device.take(), "")
        self.assertEqual((self.house.host.users, self.house.host.unbound), ({}, set()))

    def test_revoked_meanwhile(self) -> None:
        """An account that is deleted during a login ends it."""
        self.device.enter(wish("wait"), bind2())
        now(end_sessions(self.house.host, "romeo", StreamError("not-authorized", "Account deleted")))
        self.assertEqual(self.device.take(), error("not-authorized", "Account deleted"))
        self.wishes.gate.callback(b"")
        self.assertEqual((self.device.take(), self.house.host.users), ("", {}))


class Riddle:
    """A task that one answer is right for."""

    name = "RIDDLE"

    def begin(self) -> bytes:
        return b"<riddle xmlns='urn:example:riddle'/>"

    def finish(self, node: Any) -> Deferred[None]:
        if node.firstChildElement() is None:
            raise SaslFailure("malformed-request")
        return succeed(None)


class Riddles(Module):
    """For tests: asks two riddles of everybody."""

    provides = (ILoginTasks,)

    def feature(self, stream: Any) -> bytes:
        return b"<riddles xmlns='urn:example:riddle'/>"

    async def needed(self, request: Any, outcome: Success) -> list[Riddle]:
        return [Riddle(), Riddle()]


NEXT = f"<next xmlns='{SASL2}' task='RIDDLE'/>"
ANSWER = f"<task-data xmlns='{SASL2}'><man xmlns='urn:example:riddle'/></task-data>"
CONTINUE = f"<continue xmlns='{SASL2}'><tasks><task>RIDDLE</task></tasks></continue>"
ASKED = f"<task-data xmlns='{SASL2}'><riddle xmlns='urn:example:riddle'/></task-data>"


class TaskTests(SynchronousTestCase):
    """Tasks between the mechanism and the success (section 2.6.3)."""

    def setUp(self) -> None:
        self.house = House(ExtensibleSasl, Bind2, Riddles)
        self.device = Device(self.house)

    def test_all(self) -> None:
        """They come one by one; only then is there a success, with what was asked for."""
        self.assertEqual(self.device.enter(bind2()), CONTINUE)
        self.assertIsNone(self.device.stream.authenticated_as)
        for wanted in (CONTINUE, "<success "):
            self.assertEqual(self.device.send(NEXT), ASKED)
            self.assertTrue(self.device.send(ANSWER).startswith(wanted))
        self.assertTrue(self.device.jid.startswith("romeo@example.org/Balcony/"))

    def test_data_of_the_mechanism(self) -> None:
        """What the mechanism has for the client comes with the first task."""
        client = ScramClient(digest="sha256")
        self.device.open()
        challenge = self.device.send(authenticate("SCRAM-SHA-256", client.first()))
        data = b64decode(str(parse_element(challenge.encode()).children[0]))
        answer = self.device.send(response(client.final(data)))
        self.assertIn(f"<additional-data>{encoded(client.signature)}</additional-data>", answer)
        self.device.send(NEXT)
        self.assertEqual(self.device.send(ANSWER), CONTINUE)

    def test_wrong(self) -> None:
        """Another task, or a wrong answer, fails the whole login."""
        other = NEXT.replace("RIDDLE", "OTHER")
        text = "Another task is to be done"
        self.device.enter(bind2())
        self.assertEqual(self.device.send(other), failure2("malformed-request", text))
        self.assertEqual(self.device.send(plain2(bind2())), CONTINUE)
        self.device.send(NEXT)
        self.assertEqual(self.device.send(nonza("task-data")), failure2("malformed-request"))
        self.assertEqual(self.house.host.users, {})

    def test_order(self) -> None:
        """A response, an answer without a question, and two questions at once end the stream."""
        for sent in ([response()], [ANSWER], [NEXT, NEXT], [plain2()]):
            device = Device(self.house)
            device.enter()
            self.assertEqual(condition([device.send(one) for one in sent][-1]), "policy-violation")

    def test_abort(self) -> None:
        """Tasks may be given up."""
        self.device.enter()
        self.assertEqual(self.device.send(nonza("abort")), failure2("aborted"))

    def test_revoked(self) -> None:
        """Who was locked out before the last answer is not let in by it."""
        self.device.enter(bind2())
        self.device.send(NEXT)
        now(end_sessions(self.house.host, "romeo", StreamError("not-authorized", "Account deleted")))
        self.assertEqual(self.device.send(ANSWER), failure2("not-authorized"))
        self.assertEqual(self.house.host.users, {})


class AbsentTests(SynchronousTestCase):
    """Whether there is an account is nobody's business."""

    def test_same_work(self) -> None:
        """Somebody who does not exist is asked for in the same steps and gets the same challenge."""
        texts = []
        for name in ("romeo", "tybalt"):
            device, client = Device(), ScramClient(name, digest="sha256")
            asked: list[str] = []
            credentials = device.accounts.credentials

            def ask(local: str, asked: list[str] = asked, was: Any = credentials) -> Any:
                asked.append(local)
                return was(local)

            device.accounts.credentials = ask
            device.open()
            challenge = device.send(authenticate("SCRAM-SHA-256", client.first()))
            self.assertEqual(asked, [name])
            texts.append(len(challenge))
        self.assertEqual(texts[0], texts[1])
