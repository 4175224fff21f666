"""XEP-0198: what is counted, kept, sent again and given to others."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.auth.sasl import Authenticator, AuthSettings
from palaver.errors import StreamError
from palaver.routing.iqs import SELF, IqRoute
from palaver.storage import LogQuery
from palaver.streams import managed
from palaver.test.auth.client import FixedAccounts
from palaver.test.house import House, now
from palaver.test.streams.talker import HEADER, Talker, bind, bound, condition, error
from palaver.xeps.carboncopy import CarbonCopy
from palaver.xeps.offline import Offline
from palaver.xeps.ping import Ping
from palaver.xeps.stream_management import MAX_STALE_PER_USER, StreamManagement

SM = "urn:xmpp:sm:3"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
ENABLE = f"<enable xmlns='{SM}' resume='true'/>"
R = f"<r xmlns='{SM}'/>"
ROMEO = "romeo@example.org/orchard"
JULIET = "juliet@example.org/balcony"
CONFLICT = error("conflict", "Replaced by new connection")


def a(h: object) -> str:
    return f"<a xmlns='{SM}' h='{h}'/>"


def resume(token: str, h: object = 0) -> str:
    return f"<resume xmlns='{SM}' previd='{token}' h='{h}'/>"


def resumed(token: str, h: int) -> str:
    return f"<resumed xmlns='{SM}' previd='{token}' h='{h}'/>"


def failed(name: str, more: str = "") -> str:
    return f"<failed xmlns='{SM}'{more}><{name} xmlns='{STANZAS}'/></failed>"


def message(identity: str, to: str = ROMEO, kind: str = "chat") -> str:
    return f"<message type='{kind}' to='{to}' id='{identity}'><body>{identity}</body></message>"


class Romeo(Talker):
    """A client that remembers what resumes its session."""

    token = ""

    @property
    def session(self) -> Any:
        return self.stream.session


class SmCase(SynchronousTestCase):
    """Romeo has stream management, Juliet has not; a gate holds up the IQs that wait."""

    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        self.house = House(StreamManagement, Offline, StreamManagement=self.options)
        self.clock = self.house.clock
        self.host: Any = self.house.host
        accounts: Any = FixedAccounts(romeo="pencil", juliet="balcony")
        self.host.authenticator = Authenticator(accounts, AuthSettings(b"secret", unencrypted_plain=True))
        self.gates: list[Deferred[None]] = []
        for name, policy in (("wait", "no_queue"), ("beside", "parallel")):
            self.host.iqs.add(IqRoute("get", "urn:test", name, SELF, "mod_test", self.wait, policy))
        self.juliet = Talker(self.house).log_in("juliet", "balcony", "balcony")

    def wait(self, stanza: Any) -> Deferred[None]:
        self.gates.append(Deferred())
        return self.gates[-1]

    def romeo(self, resource: str = "orchard", presence: str = "") -> Romeo:
        """Log Romeo in and switch stream management on."""
        romeo = Romeo(self.house)
        romeo.log_in(resource=resource)
        if presence:
            romeo.send(presence)
        enabled = romeo.send(ENABLE)
        romeo.token = enabled.split("'")[3]
        self.assertEqual(enabled, f"<enabled xmlns='{SM}' id='{romeo.token}' resume='true' max='600'/>")
        return romeo

    def back(self) -> Talker:
        """Log Romeo in without binding."""
        romeo = Talker(self.house)
        romeo.authenticate()
        return romeo

    def ids(self, text: str) -> list[str]:
        """Give the ids of the messages in what a client got."""
        return re.findall(r"<message [^>]*?\bid='([^']*)'", text)

    def kept(self, local: str = "romeo") -> list[str]:
        """Give the ids of the messages in the offline store."""
        self.clock.advance(0)
        page = now(self.house.storage.logs.range("example.org", local, "offline", LogQuery(limit=100)))
        return self.ids("".join(entry.payload.decode() for entry in page.entries))

    def available(self) -> list[str]:
        user = self.host.users.get("romeo")
        return [session.jid.resource for session in user.available()] if user is not None else []


class EnableTests(SmCase):
    """Switching it on."""

    def test_feature(self) -> None:
        """It is announced to those who have logged in, and to nobody else."""
        stranger = Talker(self.house)
        self.assertNotIn(SM, stranger.send(HEADER))
        self.assertIn(f"<sm xmlns='{SM}'/>", Talker(self.house).authenticate())

    def test_enable(self) -> None:
        """What the client gets depends on whether, and for how long, it wants to resume."""
        rows = {
            "": "",
            " resume='false'": "",
            " resume='true'": " id='?' resume='true' max='600'",
            " resume='1' max='30'": " id='?' resume='true' max='30'",
            " resume='1' max='9999'": " id='?' resume='true' max='600'",
            " resume='1' max='-1'": " id='?' resume='true' max='600'",
            " resume='1' max='0'": " id='?' resume='true' max='600'",
        }
        found = {}
        for row in rows:
            answer = Talker(self.house).log_in().send(f"<enable xmlns='{SM}'{row}/>")
            answer = re.sub(r" id='[^']{24}'", " id='?'", answer)
            found[row] = answer.removeprefix(f"<enabled xmlns='{SM}'").removesuffix("/>")
        self.assertEqual(found, rows)

    def test_too_early(self) -> None:
        """Nothing of it works before a resource is bound; the stream goes on."""
        romeo = self.back()
        for sent in (ENABLE, R, a(0)):
            self.assertEqual(romeo.send(sent), failed("unexpected-request"))
        self.assertEqual(romeo.send(bind("orchard")), bound(ROMEO))

    def test_before_login(self) -> None:
        """A stranger resumes nothing."""
        token = self.romeo().token
        stranger = Talker(self.house)
        stranger.send(HEADER)
        self.assertEqual(stranger.send(resume(token)), failed("unexpected-request"))

    def test_not_enabled(self) -> None:
        """Acknowledgements need stream management to be on."""
        for sent in (R, a(0)):
            self.assertEqual(self.juliet.send(sent), failed("unexpected-request"))

    def test_twice(self) -> None:
        """A second time ends the stream."""
        self.assertEqual(condition(self.romeo().send(ENABLE)), "policy-violation")

    def test_no_buffer(self) -> None:
        """Where nothing is kept, nobody can resume."""
        self.house = House(StreamManagement, StreamManagement={"buffer": False})
        self.assertEqual(Talker(self.house).log_in().send(ENABLE), f"<enabled xmlns='{SM}'/>")


class HandledTests(SmCase):
    """What the server acknowledges."""

    def test_counted(self) -> None:
        """Stanzas count from the moment it is on, and nothing else does."""
        romeo = Talker(self.house).log_in()
        romeo.send("<presence/>")
        self.assertIn("<enabled", romeo.send(ENABLE))
        self.assertEqual(romeo.send(R), a(0))
        self.assertEqual(romeo.send(message("1", JULIET) + "<presence/>" + R)[-len(a(2)) :], a(2))
        romeo.send(f"<iq type='get' id='x'><unknown xmlns='urn:test'/></iq>{a(0)}")
        self.assertEqual(romeo.send(R), a(3))

    def test_stored_first(self) -> None:
        """What waits for a commit is not acknowledged, nor is anything behind it."""
        romeo = self.romeo()
        text = romeo.send(message("1", JULIET) + wait("w") + message("2", JULIET) + R)
        self.assertEqual(text, "")
        self.gates[0].callback(None)
        self.assertEqual(romeo.take(), result("w") + R + a(3))

    def test_parallel(self) -> None:
        """An answer that holds nothing up is acknowledged when it is done, with what came behind it."""
        romeo = self.romeo()
        self.assertEqual(
            romeo.send(message("1", JULIET) + wait("p", "beside") + message("2", JULIET) + R), a(1)
        )
        self.assertEqual(romeo.send(wait("q", "beside") + message("3", JULIET) + R), a(1))
        self.gates[1].callback(None)
        self.assertEqual(romeo.take(), result("q") + R)
        romeo.send(a(1))
        self.gates[0].callback(None)
        self.assertEqual(romeo.take(), result("p") + a(5) * 2)

    def test_refused(self) -> None:
        """A stanza that is answered with an error is handled."""
        romeo = self.romeo()
        self.assertTrue(romeo.send(message("1", "a@b@c") + R).endswith(a(1)))

    def test_good_bye(self) -> None:
        """Whoever leaves is told what was handled."""
        romeo = self.romeo()
        romeo.send(message("1", JULIET))
        self.assertEqual(romeo.send("</stream:stream>"), a(1) + "</stream:stream>")
        self.assertNotIn("romeo", self.host.users)

    def test_wrap(self) -> None:
        """The counter starts again behind 2^32 - 1."""
        romeo = self.romeo()
        romeo.session.managed.received.count = managed.COUNTER_MODULO - 1
        self.assertEqual(romeo.send(message("1", JULIET) + R), a(0))


def wait(identity: str, name: str = "wait") -> str:
    return f"<iq type='get' id='{identity}'><{name} xmlns='urn:test'/></iq>"


def result(identity: str) -> str:
    return f"<iq type='result' id='{identity}' to='{ROMEO}'/>"


class AskTests(SmCase):
    """When the server asks, and what it is told."""

    options: ClassVar[dict[str, Any]] = {"ack_freq": 5}

    def test_asked(self) -> None:
        """The first stanza is asked for at once, more of them after a second or when there are many."""
        romeo = self.romeo()
        self.clock.advance(10)
        self.juliet.send("".join(message(str(number)) for number in range(3)))
        text = romeo.take()
        self.assertEqual((self.ids(text), text.count(R)), (["0", "1", "2"], 1))
        self.assertTrue(text.index(R) < text.index("id='1'"))
        self.clock.advance(5)
        # Nobody is asked again before the answer.
        self.assertEqual(romeo.take(), "")
        self.assertEqual(romeo.send(a(1)), "")
        self.clock.advance(1)
        self.assertEqual(romeo.take(), R)
        self.assertEqual(romeo.send(a(3)), "")
        self.juliet.send("".join(message(str(number)) for number in range(5)))
        self.assertEqual(romeo.take().count(R), 1)
        self.assertEqual(romeo.send(a(8)), "")
        self.clock.advance(5)
        self.assertEqual(romeo.take(), "")

    def test_many(self) -> None:
        """With more than enough still open the answer brings the next question."""
        romeo = self.romeo()
        self.juliet.send("".join(message(str(number)) for number in range(9)))
        self.assertEqual(romeo.take().count(R), 1)
        self.assertEqual(romeo.send(a(1)), R)

    def test_wrong(self) -> None:
        """What cannot be ends the stream."""
        for h, wanted in (
            ("", "policy-violation"),
            ("-1", "policy-violation"),
            ("one", "policy-violation"),
            ("4294967296", "policy-violation"),
            ("99999999999999999999", "policy-violation"),
            ("3", "undefined-condition"),
            ("4294967295", "undefined-condition"),
        ):
            romeo = self.romeo()
            self.juliet.send(message("1") + message("2"))
            romeo.take()
            text = romeo.send(a(h))
            self.assertEqual((h, condition(text)), (h, wanted))
            if wanted == "undefined-condition":
                self.assertIn(f"<handled-count-too-high xmlns='{SM}' h='{h}' send-count='2'/>", text)
        self.assertEqual(condition(self.romeo().send(f"<a xmlns='{SM}'/>")), "policy-violation")

    def test_decreasing(self) -> None:
        """Nobody takes back what was acknowledged."""
        romeo = self.romeo()
        self.juliet.send(message("1") + message("2"))
        romeo.send(a(2))
        self.assertEqual(condition(romeo.send(a(1))), "undefined-condition")

    def test_never_asked(self) -> None:
        """With `ack` off nobody is asked; who acknowledges unasked is heard."""
        self.house = House(StreamManagement, StreamManagement={"ack": False})
        romeo = Talker(self.house).log_in()
        juliet = Talker(self.house).log_in("juliet", "balcony", "balcony")
        romeo.send(ENABLE)
        juliet.send("".join(message(str(number)) for number in range(9)))
        self.house.clock.advance(5)
        self.assertNotIn(R, romeo.take())
        self.assertEqual(romeo.send(a(9)), "")


class ResumeTests(SmCase):
    """A connection breaks, another one comes."""

    def test_resumed(self) -> None:
        """What came meanwhile is there, with its time; nothing comes twice."""
        romeo = self.romeo(presence="<presence/>")
        self.juliet.send(message("1") + message("2") + message("3"))
        romeo.send(a(1) + message("x", JULIET))
        romeo.stream.connection_lost()
        self.juliet.send(message("4") + message("5", "romeo@example.org"))
        self.assertEqual(self.available(), ["orchard"])
        self.clock.advance(599)
        again = self.back()
        self.assertEqual(again.connection.logged_in, 0)
        text = again.send(resume(romeo.token, 2))
        self.assertTrue(text.startswith(resumed(romeo.token, 1)))
        self.assertEqual(self.ids(text), ["3", "4", "5"])
        self.assertTrue(text.endswith(R))
        delay = "<delay xmlns='urn:xmpp:delay' from='romeo@example.org' stamp='1970-01-01T00:00:00Z'/>"
        self.assertEqual((text.count(delay), again.connection.logged_in), (3, 1))
        self.assertEqual(again.send(a(5) + message("y", JULIET) + R), a(2))
        self.clock.advance(1200)
        self.assertEqual((self.available(), self.kept()), (["orchard"], []))
        self.juliet.take()
        self.juliet.send(message("6"))
        self.assertEqual(self.ids(again.take()), ["6"])

    def test_again_and_again(self) -> None:
        """A session survives any number of connections; its stamps are those of the first sending."""
        first = self.romeo()
        client: Talker = first
        self.juliet.send(message("1"))
        for _ in range(3):
            client.stream.connection_lost()
            self.clock.advance(500)
            client = self.back()
            text = client.send(resume(first.token))
            self.assertEqual((self.ids(text), text.count("stamp=")), (["1"], 1))
            self.assertIn("stamp='1970-01-01T00:00:00Z'", text)

    def test_times(self) -> None:
        """Each message has the time when it was sent, whatever was acknowledged before and behind it."""
        romeo = self.romeo()
        for number in range(6):
            self.juliet.send(message(f"{number}a") + message(f"{number}b"))
            self.clock.advance(1)
            if number == 3:
                romeo.send(a(5))
        romeo.stream.connection_lost()
        self.clock.advance(10)
        self.juliet.send(message("late"))
        text = self.back().send(resume(romeo.token, 6))
        stamps = re.findall(
            r"id='([^']*)'[^<]*<body>[^<]*</body><delay[^>]* stamp='1970-01-01T00:00:(\d\d)Z'", text
        )
        wanted = [(f"{number}{letter}", f"0{number}") for number in (3, 4, 5) for letter in "ab"]
        self.assertEqual(stamps, [*wanted, ("late", "16")])

    def test_wrap(self) -> None:
        """The number of what the client has got starts again behind 2^32 - 1 too."""
        romeo = self.romeo()
        romeo.session.managed._first = managed.COUNTER_MODULO - 1
        self.juliet.send("".join(message(str(number)) for number in range(4)))
        romeo.take()
        self.assertEqual(romeo.send(a(managed.COUNTER_MODULO - 1) + a(0) + a(1)), "")
        romeo.stream.connection_lost()
        self.assertEqual(self.ids(self.back().send(resume(romeo.token, 2))), ["3"])

    def test_iq(self) -> None:
        """An IQ is sent again as it was (XEP-0203 says nothing of IQs)."""
        romeo = self.romeo()
        self.juliet.send(f"<iq type='get' id='v' to='{ROMEO}'><query xmlns='jabber:iq:version'/></iq>")
        romeo.stream.connection_lost()
        text = self.back().send(resume(romeo.token))
        self.assertIn("<query xmlns='jabber:iq:version'/></iq>", text)
        self.assertNotIn("delay", text)

    def test_old_socket(self) -> None:
        """A connection that nobody has noticed to be dead makes room, and its end ends nothing."""
        romeo = self.romeo()
        romeo.send(message("1", JULIET))
        self.assertEqual(self.ids(self.juliet.take()), ["1"])
        again = self.back()
        self.juliet.send(message("2"))
        romeo.take()
        text = again.send(resume(romeo.token))
        self.assertTrue(text.startswith(resumed(romeo.token, 1)))
        self.assertEqual(self.ids(text), ["2"])
        self.assertEqual((romeo.take(), romeo.connection.calls), (CONFLICT, ["close"]))
        romeo.send(message("late", JULIET))
        romeo.stream.connection_lost()
        self.clock.advance(1000)
        self.assertEqual(self.juliet.take(), "")
        self.juliet.send(message("3"))
        self.assertEqual(self.ids(again.take()), ["3"])

    def test_under_way(self) -> None:
        """What is under way is counted before the session goes on; what waited behind it is not taken."""
        romeo = self.romeo()
        romeo.send(message("1", JULIET) + wait("w") + message("2", JULIET))
        for lost in (True, False):
            if lost:
                romeo.stream.connection_lost()
            again = self.back()
            self.assertEqual(again.send(resume(romeo.token)), "")
        self.gates[0].callback(None)
        self.assertEqual(again.take(), resumed(romeo.token, 2) + result("w") + R)
        self.assertEqual(again.send(message("2", JULIET) + R), a(3))
        self.assertEqual(self.ids(self.juliet.take()), ["1", "2"])

    def test_unknown(self) -> None:
        """Ids that are wrong, over or somebody else's are refused alike; the stream may bind."""
        romeo = self.romeo()
        romeo.stream.connection_lost()
        juliet = Talker(self.house)
        juliet.authenticate("juliet", "balcony")
        answers = {juliet.send(resume(token)) for token in ("", "nothing", romeo.token)}
        self.assertEqual(answers, {failed("item-not-found")})
        self.assertEqual(juliet.send(bind("garden")), bound("juliet@example.org/garden"))
        self.assertIn("<resumed", self.back().send(resume(romeo.token)))

    def test_expired(self) -> None:
        """Who comes too late hears what was handled, for an hour."""
        romeo = self.romeo()
        romeo.send(message("1", JULIET) + message("2", JULIET))
        romeo.stream.connection_lost()
        self.clock.advance(601)
        again = self.back()
        self.assertEqual(again.send(resume(romeo.token)), failed("item-not-found", " h='2'"))
        self.clock.pump([600] * 10)
        self.assertEqual(again.send(resume(romeo.token)), failed("item-not-found"))
        self.assertEqual(again.send(bind("orchard")), bound(ROMEO))

    def test_remembered(self) -> None:
        """Of each account the newest ones are remembered."""
        tokens = []
        for _ in range(MAX_STALE_PER_USER + 1):
            romeo = self.romeo()
            tokens.append(romeo.token)
            romeo.send("</stream:stream>")
        again = self.back()
        answers = [again.send(resume(token)) for token in tokens]
        self.assertEqual(answers[0], failed("item-not-found"))
        self.assertEqual(set(answers[1:]), {failed("item-not-found", " h='0'")})

    def test_bad_h(self) -> None:
        """An `h` that is none is refused; one that is too high ends the new stream, and nothing else."""
        romeo = self.romeo()
        self.juliet.send(message("1"))
        romeo.stream.connection_lost()
        again = self.back()
        for h in ("", "-1", "x"):
            self.assertEqual(again.send(resume(romeo.token, h)), failed("bad-request"))
        text = again.send(resume(romeo.token, 2))
        self.assertEqual(condition(text), "undefined-condition")
        self.assertIn(f"<handled-count-too-high xmlns='{SM}' h='2' send-count='1'/>", text)
        self.assertEqual(self.ids(self.back().send(resume(romeo.token))), ["1"])

    def test_bound(self) -> None:
        """A stream that has a session resumes no other."""
        romeo = self.romeo()
        other = Talker(self.house).log_in(resource="garden")
        self.assertEqual(other.send(resume(romeo.token)), failed("unexpected-request"))

    def test_clean_end(self) -> None:
        """Who has said good-bye cannot come back."""
        romeo = self.romeo()
        romeo.send("</stream:stream>")
        self.assertEqual(self.back().send(resume(romeo.token)), failed("item-not-found", " h='0'"))

    def test_clean_end_in_time(self) -> None:
        """A good-bye counts also when the connection is gone before its turn has come."""
        romeo = self.romeo()
        romeo.send(wait("w") + "</stream:stream>")
        romeo.stream.connection_lost()
        self.assertNotIn("romeo", self.host.users)
        self.gates[0].callback(None)
        self.assertEqual(self.back().send(resume(romeo.token)), failed("item-not-found", " h='0'"))

    def test_bad_xml(self) -> None:
        """A session that ends with a stream error is over: it would only fail again."""
        romeo = self.romeo()
        romeo.send(message("1", JULIET))
        self.assertEqual(
            romeo.send("<message></presence>"), a(1) + error("not-well-formed", "mismatched tag")
        )
        self.assertNotIn("romeo", self.host.users)

    def test_silent(self) -> None:
        """A client that does not answer pings loses its connection and not its session."""
        self.house.add(Ping, send_pings=True, ping_interval=60, ping_req_timeout=30, timeout_action="kill")
        romeo = self.romeo()
        self.clock.pump([15] * 8)
        self.assertEqual(condition(romeo.take()), "connection-timeout")
        self.clock.pump([15] * 8)
        Talker(self.house).log_in("juliet", "balcony", "balcony").send(message("1"))
        self.assertEqual(self.ids(self.back().send(resume(romeo.token))), ["1"])


class GivenBackTests(SmCase):
    """Nobody comes back."""

    options: ClassVar[dict[str, Any]] = {"max_waiting": 2, "buffer_max": 20, "ack_freq": 20}

    def test_stored(self) -> None:
        """Contacts hear that it is over when it is, and messages are stored once, with their time."""
        romeo = self.romeo(presence="<presence/>")
        self.juliet.send(message("1") + message("2") + message("3", kind="headline"))
        romeo.send(a(1))
        romeo.stream.connection_lost()
        self.juliet.send(message("4", "romeo@example.org") + message("5", kind="normal"))
        self.clock.advance(600)
        self.assertEqual((self.available(), self.kept()), ([], ["2", "4", "5"]))
        self.clock.advance(10)
        again = Talker(self.house).log_in()
        text = again.send("<presence/>")
        self.assertEqual(self.ids(text), ["2", "4", "5"])
        self.assertIn("from='romeo@example.org' stamp='1970-01-01T00:00:00Z'", text)

    def test_not_given_back(self) -> None:
        """Errors, headlines, room messages and copies are for one client alone."""
        romeo = self.romeo()
        for kind in ("error", "headline", "groupchat"):
            self.juliet.send(message(kind, kind=kind))
        session = romeo.session
        for ns, name in (("urn:xmpp:mam:2", "result"), ("urn:xmpp:carbons:2", "sent")):
            session.stream.write(
                f"<message to='{ROMEO}' id='{name}'><{name} xmlns='{ns}'/></message>".encode()
            )
        romeo.send(message("self", ROMEO))
        self.juliet.take()
        romeo.stream.connection_lost()
        self.clock.advance(600)
        self.assertEqual((self.kept(), self.juliet.take()), ([], ""))

    def test_request(self) -> None:
        """Whoever waits for an answer gets an error."""
        romeo = self.romeo()
        self.juliet.send(f"<iq type='get' id='v' to='{ROMEO}'><query xmlns='jabber:iq:version'/></iq>")
        romeo.stream.connection_lost()
        self.assertEqual(self.juliet.take(), "")
        self.clock.advance(600)
        self.assertIn(f"<service-unavailable xmlns='{STANZAS}'/>", self.juliet.take())

    def test_other_session(self) -> None:
        """Another session gets what it has not got yet."""
        romeo = self.romeo(presence="<presence/>")
        self.clock.advance(1)
        self.juliet.send(message("alone", "romeo@example.org"))
        self.clock.advance(1)
        other = Talker(self.house).log_in(resource="garden")
        other.send("<presence/>")
        self.clock.advance(1)
        self.juliet.send(message("full") + message("both", "romeo@example.org"))
        self.assertEqual(self.ids(other.take()), ["both"])
        romeo.stream.connection_lost()
        self.clock.advance(600)
        self.assertEqual((self.ids(other.take()), self.kept()), (["alone", "full"], []))

    def test_copied(self) -> None:
        """A session that got a copy when the message came does not get it again."""
        self.house.add(CarbonCopy)
        romeo = self.romeo(presence="<presence/>")
        other = Talker(self.house).log_in(resource="garden")
        other.send("<presence/><iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
        self.clock.advance(1)
        private = message("secret").replace("<body>", "<no-copy xmlns='urn:xmpp:hints'/><body>")
        self.juliet.send(message("1") + private)
        self.assertEqual(other.take().count("<body>"), 1)
        romeo.stream.connection_lost()
        self.clock.advance(600)
        text = other.take()
        self.assertEqual((self.ids(text), text.count("<body>"), self.kept()), (["secret"], 1, []))

    def test_other_priority(self) -> None:
        """A session that had another priority has not got what was for the highest."""
        romeo = self.romeo(presence="<presence><priority>5</priority></presence>")
        other = Talker(self.house).log_in(resource="garden")
        other.send("<presence/>")
        self.clock.advance(1)
        self.juliet.send(message("1", "romeo@example.org"))
        romeo.stream.connection_lost()
        self.clock.advance(600)
        self.assertEqual(self.ids(other.take()), ["1"])

    def test_same_resource(self) -> None:
        """Who binds the resource anew gets what was kept, and the old session is over for good."""
        romeo = self.romeo(presence="<presence/>")
        self.juliet.send(message("1"))
        romeo.stream.connection_lost()
        self.juliet.send(message("2"))
        again = self.romeo()
        self.assertEqual(self.ids(again.send("<presence/>")), ["1", "2"])
        self.clock.advance(700)
        self.assertEqual(self.available(), ["orchard"])
        self.assertEqual(self.back().send(resume(romeo.token)), failed("item-not-found", " h='0'"))

    def test_stream_error(self) -> None:
        """A session that ends while it is connected loses nothing either."""
        romeo = self.romeo()
        self.juliet.send(message("1"))
        romeo.session.end(StreamError("policy-violation"))
        self.assertEqual(self.kept(), ["1"])

    def test_shutdown(self) -> None:
        """What a server holds when it goes down is stored, and clients are told what was handled."""
        romeo, other = self.romeo(), self.romeo("garden")
        romeo.send(message("x", JULIET))
        self.juliet.send(message("1") + message("2", "romeo@example.org/garden"))
        other.stream.connection_lost()
        romeo.take()
        for session in list(self.host.users["romeo"].sessions.values()):
            stream = session.stream
            session.unbind("The server is going down")
            stream.end(StreamError("system-shutdown"))
        self.assertEqual(self.kept(), ["1", "2"])
        self.assertEqual(romeo.take(), a(1) + error("system-shutdown"))

    def test_too_many_waiting(self) -> None:
        """Of one account's waiting sessions the oldest ends."""
        tokens = []
        for resource in ("a", "b", "c"):
            romeo = self.romeo(resource)
            tokens.append(romeo.token)
            self.juliet.send(message(resource, f"romeo@example.org/{resource}"))
            romeo.stream.connection_lost()
        self.assertEqual(self.kept(), ["a"])
        self.assertEqual(sorted(self.host.users["romeo"].sessions), ["b", "c"])
        self.assertIn("<resumed", self.back().send(resume(tokens[1])))

    def test_full_while_waiting(self) -> None:
        """With more than may be kept a waiting session ends, and everything is stored."""
        romeo = self.romeo()
        romeo.stream.connection_lost()
        ids = [str(number) for number in range(25)]
        self.juliet.send("".join(message(identity) for identity in ids))
        self.clock.advance(0)
        self.assertEqual((self.kept(), "romeo" in self.host.users), (ids, False))

    def test_never_acknowledged(self) -> None:
        """A client that acknowledges nothing goes on, and cannot resume before it has caught up."""
        romeo = self.romeo()
        self.juliet.send("".join(message(str(number)) for number in range(25)))
        self.assertEqual(len(self.ids(romeo.take())), 25)
        other = self.back()
        self.assertEqual(other.send(resume(romeo.token)), failed("item-not-found"))
        self.assertEqual(romeo.send(a(5)), R)
        self.assertEqual(len(self.ids(other.send(resume(romeo.token, 10)))), 15)

    def test_many_bytes(self) -> None:
        """The limit is one of bytes as well."""
        self.patch(managed, "MAX_UNACKED_BYTES", 1000)
        romeo = self.romeo()
        romeo.stream.connection_lost()
        ids = [str(number) for number in range(10)]
        self.juliet.send("".join(message(identity) for identity in ids))
        self.assertEqual((self.kept(), "romeo" in self.host.users), (ids, False))


class ReloadTests(SmCase):
    """Another module takes over under open sessions."""

    def test_replaced(self) -> None:
        """Sessions that wait, and those that do not, go on with the new options."""
        romeo, other = self.romeo(), self.romeo("garden")
        romeo.stream.connection_lost()
        self.juliet.send(message("1"))
        self.host.modules.pop("mod_stream_management").detach()
        self.house.add(StreamManagement, ack_freq=1)
        self.assertEqual(other.send(R), a(0))
        self.assertEqual(self.ids(self.back().send(resume(romeo.token))), ["1"])
