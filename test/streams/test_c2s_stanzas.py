"""Stanzas on a bound stream: one after the other, whatever waits, fails or ends meanwhile."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from palaver import metrics
from palaver.errors import StorageError, StreamError
from palaver.routing.iqs import SELF, IqRoute
from palaver.routing.pipeline import FROM_CLIENT
from palaver.streams.negotiation import State
from palaver.test.house import House
from palaver.test.streams.talker import END, HEADER, Talker, bind, condition, error, plain

NS = "urn:example:wait"
JULIET = "juliet@example.org/balcony"


def iq(identity: str, name: str = "wait", kind: str = "get") -> str:
    return f"<iq type='{kind}' id='{identity}'><{name} xmlns='{NS}'/></iq>"


def message(identity: str, to: str = JULIET) -> str:
    return f"<message to='{to}' id='{identity}'/>"


class StanzaCase(SynchronousTestCase):
    """Romeo, whose IQ `wait` waits for a gate, and Juliet, who reads what he sends."""

    def setUp(self) -> None:
        metrics.reset()
        self.house = House()
        self.host: Any = self.house.host
        self.gates: list[Deferred[None]] = []
        self.order: list[str] = []
        self.route("wait", self.wait)
        self.romeo = Talker(self.house).log_in()
        self.juliet = Talker(self.house).log_in("juliet", "balcony", "balcony")

    def route(self, name: str, handler, kind: str = "get") -> None:
        self.host.iqs.add(IqRoute(kind, NS, name, SELF, "mod_test", handler))

    def wait(self, stanza) -> Deferred[None]:
        self.order.append(stanza.id)
        self.gates.append(Deferred())
        return self.gates[-1]

    def ids(self, talker: Talker) -> list[str]:
        """Give the ids of what a client got, oldest first."""
        return [part.partition("'")[0] for part in talker.take().split(" id='")[1:]]


class OrderTests(StanzaCase):
    """What is taken when."""

    def test_in_order(self) -> None:
        """What comes behind a stanza that waits is taken after it, in order."""
        self.romeo.send(message("1") + iq("2") + message("3") + iq("4") + message("5"))
        self.assertEqual((self.ids(self.juliet), self.order), (["1"], ["2"]))
        self.gates[0].callback(None)
        self.assertEqual((self.ids(self.juliet), self.order), (["3"], ["2", "4"]))
        self.gates[1].callback(None)
        self.assertEqual((self.ids(self.juliet), self.ids(self.romeo)), (["5"], ["2", "4"]))
        self.assertEqual(self.romeo.connection.calls, [])

    def test_spoofed(self) -> None:
        """Whoever a client says that it is: its stanzas are from its full JID, waiting or not."""
        for sender in ("juliet@example.org/balcony", "example.org", "romeo@example.org/other", "a@b@c", ""):
            spoofed = message("m").replace("<message", f"<message from='{sender}'")
            self.romeo.send(spoofed + iq("w") + spoofed)
            self.gates.pop().callback(None)
            text = self.juliet.take()
            self.assertEqual((text.count("from="), text.count("from='romeo@example.org/orchard'")), (2, 2))

    def test_language(self) -> None:
        """A stanza without a language has that of its stream's header, if that is one."""
        for header, expected in (
            ("de-CH", [["de-CH"], ["fr"]]),
            (None, [[], ["fr"]]),
            ("no &lt;language", [[], ["fr"]]),
        ):
            talker = Talker(self.house)
            lang = f" xml:lang='{header}'" if header is not None else ""
            with_language = HEADER.replace(" to=", f"{lang} to=")
            talker.send(with_language)
            talker.send(plain())
            talker.send(with_language)
            talker.send(bind("spoken"))
            talker.send(message("a") + message("b").replace("/>", " xml:lang='fr'/>"))
            first, second = self.juliet.take().split("/>")[:2]
            self.assertEqual([re.findall("lang='(.*?)'", text) for text in (first, second)], expected)

    def test_end_of_the_account(self) -> None:
        """What a client has sent behind the end of its account is carried out for nobody."""
        self.romeo.send(iq("1") + iq("2") + message("3"))
        session = self.romeo.stream.session
        assert session is not None
        session.user.roster.end()
        self.gates[0].callback(None)
        self.assertEqual(self.ids(self.romeo), ["1"])
        self.romeo.send(message("4"))
        self.assertEqual((self.order, self.ids(self.juliet)), (["1"], []))

    def test_asked_and_gone(self) -> None:
        """What a client asked before it went is not answered to nobody; what it said and set is done."""
        self.route("set", lambda stanza: self.order.append(stanza.id), "set")
        self.romeo.send(iq("1") + iq("2") + iq("3", "set", "set") + message("4"))
        self.romeo.stream.connection_lost()
        self.gates[0].callback(None)
        self.assertEqual((self.order, self.ids(self.juliet)), (["1", "3"], ["4"]))

    def test_only_its_own_session(self) -> None:
        """Nobody else waits, not even another session of the same account."""
        other = Talker(self.house).log_in(resource="garden")
        self.romeo.send(iq("1"))
        other.send(message("2"))
        self.assertEqual(self.ids(self.juliet), ["2"])
        self.juliet.send(message("3", "romeo@example.org/orchard"))
        self.assertEqual(self.ids(self.romeo), ["3"])

    def test_paused(self) -> None:
        """With a hundred waiting the connection is paused once, and resumed once."""
        ids = [str(number) for number in range(250)]
        self.romeo.send(iq("first") + "".join(message(identity) for identity in ids[:99]))
        self.assertEqual(self.romeo.connection.calls, [])
        self.romeo.send("".join(message(identity) for identity in ids[99:]))
        self.assertEqual(self.romeo.connection.calls, ["pause"])
        self.gates[0].callback(None)
        self.assertEqual(self.ids(self.juliet), ids)
        self.assertEqual(self.romeo.connection.calls, ["pause", "resume"])

    def test_paused_again(self) -> None:
        """Every pause has its end, however often stanzas wait."""
        for number in range(3):
            self.romeo.send(iq("a") + message("m") * 99 + iq("b") + message("m") * 120)
            self.gates[2 * number].callback(None)
            self.gates[2 * number + 1].callback(None)
            self.assertEqual(len(self.ids(self.juliet)), 219)
        calls = self.romeo.connection.calls
        self.assertEqual(calls, ["pause", "resume"] * (len(calls) // 2))

    def test_many_that_do_not_wait(self) -> None:
        """Behind one that waits there may be thousands whose answers are there already."""
        self.route("ready", lambda stanza: succeed(None))
        self.romeo.send(iq("first") + iq("r", "ready") * 3000 + message("last"))
        self.gates[0].callback(None)
        self.assertEqual((len(self.ids(self.romeo)), self.ids(self.juliet)), (3001, ["last"]))

    def test_waiting_guard(self) -> None:
        """A phase that waits holds up what follows, too."""
        gate: Deferred[None] = Deferred()
        self.host.pipeline.add(FROM_CLIENT, "guard", ("message",), "mod_test", lambda stanza, session: gate)
        self.romeo.send(message("1") + iq("2"))
        self.assertEqual((self.ids(self.juliet), self.order), ([], []))
        gate.callback(None)
        self.assertEqual((self.ids(self.juliet), self.order), (["1"], ["2"]))

    def test_behind_the_binding(self) -> None:
        """Who does not wait for the answer to the binding loses nothing."""
        talker = Talker(self.house)
        talker.authenticate()
        talker.send(bind("garden") + message("1"))
        self.assertEqual(self.ids(self.juliet), ["1"])


class FailureTests(StanzaCase):
    """What modules get wrong."""

    def test_exceptions(self) -> None:
        """A defect is logged, counted and answered, at once or later; the session lives."""

        def broken(stanza):
            raise ZeroDivisionError

        self.route("broken", broken)
        self.route("late", lambda stanza: fail(ZeroDivisionError()))
        for name in ("broken", "late"):
            self.assertIn("<internal-server-error ", self.romeo.send(iq("1", name)))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(metrics.module_failures["mod_test"], 2)
        self.romeo.send(message("2"))
        self.assertEqual(self.ids(self.juliet), ["2"])

    def test_storage(self) -> None:
        """A backend that fails makes the client try again."""
        self.romeo.send(iq("1"))
        self.gates[0].errback(StorageError("gone"))
        self.assertIn("<error type='wait'><internal-server-error ", self.romeo.take())

    def test_core(self) -> None:
        """A defect of the core costs its stanza, not the session, nor those behind it."""
        self.romeo.send(iq("1") + message("2") + message("3"))
        deliver = self.host.deliver

        def broken(stanza, to):
            self.host.deliver = deliver
            raise ZeroDivisionError

        self.host.deliver = broken
        self.gates[0].callback(None)
        self.assertIn("<internal-server-error ", self.romeo.take())
        self.assertEqual((self.ids(self.juliet), len(self.flushLoggedErrors(ZeroDivisionError))), (["3"], 1))

    def test_waiting_core(self) -> None:
        """A wait of the core that fails is logged, and the queue goes on."""
        gate: Deferred[None] = Deferred()
        self.host.deliver, deliver = (lambda stanza, to: gate), self.host.deliver
        self.romeo.send(message("1") + message("2"))
        self.host.deliver = deliver
        gate.errback(ZeroDivisionError())
        self.assertEqual((self.ids(self.juliet), len(self.flushLoggedErrors(ZeroDivisionError))), (["2"], 1))


class NonzaTests(StanzaCase):
    """Top-level elements that are no stanzas."""

    def test_handler(self) -> None:
        """A module may take them; one that waits holds up what follows."""
        seen: list[str] = []
        gate: Deferred[None] = Deferred()

        def take(nonza, stream):
            seen.append(f"{nonza.name} on {stream.session.jid}")
            return gate

        self.host.add_nonza(NS, "a", take)
        self.romeo.send(f"<a xmlns='{NS}'/>" + message("1"))
        self.assertEqual((seen, self.ids(self.juliet)), (["a on romeo@example.org/orchard"], []))
        gate.callback(None)
        self.assertEqual(self.ids(self.juliet), ["1"])

    def test_failing_handler(self) -> None:
        """A handler that fails is counted, and the session lives."""
        self.host.add_nonza(NS, "a", lambda nonza, stream: 1 / 0)
        self.assertEqual(self.romeo.send(f"<a xmlns='{NS}'/>" + message("1")), "")
        self.assertEqual((self.ids(self.juliet), len(self.flushLoggedErrors(ZeroDivisionError))), (["1"], 1))

    def test_unknown(self) -> None:
        """What nobody takes ends the stream; what was sent before it has arrived, what follows has not."""
        for unknown in (f"<b xmlns='{NS}'/>", "<message xmlns='jabber:server'/>", "<body/>"):
            talker = Talker(self.house).log_in(resource="garden")
            text = talker.send(message("1") + unknown + message("2"))
            self.assertEqual((condition(text), self.ids(self.juliet)), ("unsupported-stanza-type", ["1"]))


class EndTests(StanzaCase):
    """Streams that end while stanzas wait."""

    def test_good_bye(self) -> None:
        """A client that says good-bye behind its messages has sent them; the end is answered after them."""
        text = self.romeo.send(iq("1") + message("2") + message("3") + END)
        self.assertEqual((text, self.romeo.connection.calls), ("", []))
        self.gates[0].callback(None)
        self.assertEqual(self.ids(self.juliet), ["2", "3"])
        self.assertTrue(self.romeo.take().endswith(END))
        self.assertEqual((self.romeo.connection.calls, self.romeo.stream.state), (["close"], State.CLOSED))

    def test_broken_xml(self) -> None:
        """What came whole before broken XML is taken."""
        self.romeo.send(iq("1") + message("2") + "</oops>")
        self.gates[0].callback(None)
        self.assertEqual((self.ids(self.juliet), condition(self.romeo.take())), (["2"], "not-well-formed"))

    def test_connection_lost(self) -> None:
        """So is what came whole before the connection was lost, but no presence of who has gone."""
        self.juliet.send("<presence/>")
        self.romeo.send(iq("1") + message("2") + f"<presence to='{JULIET}'/><presence/>" + message("3"))
        self.juliet.take()
        self.romeo.stream.connection_lost()
        self.assertNotIn("romeo", self.host.users)
        self.gates[0].callback(None)
        self.assertEqual(self.ids(self.juliet), ["2", "3"])
        self.assertNotIn("romeo", self.host.users)

    def test_ended_by_the_server(self) -> None:
        """Whom the server ends, that one's later stanzas are not obeyed."""
        self.romeo.send(iq("1") + message("2"))
        self.romeo.stream.end(StreamError("reset"))
        self.assertEqual((self.romeo.take(), self.romeo.stream.session), (error("reset"), None))
        self.gates[0].callback(None)
        self.assertEqual((self.ids(self.juliet), self.romeo.take()), ([], ""))

    def test_ends_itself(self) -> None:
        """A stanza that ends its own session is the last one of its segment."""
        self.route("end", lambda stanza: self.romeo.stream.end(StreamError("reset")))
        self.romeo.send(iq("1", "end") + message("2"))
        self.assertEqual(self.ids(self.juliet), [])

    def test_conflict(self) -> None:
        """A newer session with the same full JID ends the older one."""
        newer = Talker(self.house).log_in()
        self.assertEqual(self.romeo.take(), error("conflict", "Replaced by new connection"))
        self.romeo.stream.connection_lost()
        self.assertEqual(self.host.users["romeo"].sessions["orchard"].stream, newer.stream)
