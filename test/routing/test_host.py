"""A host: its IQs, what modules put on it, and what becomes of their failures."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface
from zope.interface.verify import verifyObject

from palaver import metrics
from palaver.errors import StanzaError, StorageError
from palaver.interfaces import IHost, IService
from palaver.routing.iqs import BARE, FULL, HOST, SELF, IqRoute
from palaver.routing.pipeline import DROP, TO_USER, Reply
from palaver.test.house import House, now, stanza

NS = "urn:example:q"
ROMEO, JULIET = "romeo@example.org/orchard", "juliet@example.org/balcony"
CHILD = f"<q xmlns='{NS}'/>"

# IQs that are refused wherever they are for (RFC 6120 section 8.2.3).
WRONG = {
    "no id": f"<iq type='get'{{to}}>{CHILD}</iq>",
    "an empty id": f"<iq type='get' id=''{{to}}>{CHILD}</iq>",
    "no type": f"<iq id='1'{{to}}>{CHILD}</iq>",
    "another type": f"<iq type='push' id='1'{{to}}>{CHILD}</iq>",
    "no child": "<iq type='get' id='1'{to}/>",
    "only text": "<iq type='set' id='1'{to}>hello</iq>",
    "two children": f"<iq type='set' id='1'{{to}}>{CHILD}{CHILD}</iq>",
}
# Whom an IQ of Romeo's can be for, and the kind of route that answers it.
KINDS = {
    "": SELF,
    " to='romeo@example.org'": SELF,
    " to='example.org'": HOST,
    " to='example.org/x'": HOST,
    " to='juliet@example.org'": BARE,
}


class Sought(Interface):
    """Something that a module may provide."""


class HostCase(SynchronousTestCase):
    """Romeo asks."""

    def setUp(self) -> None:
        metrics.reset()
        self.house = House()
        self.host = self.house.host
        self.romeo = self.house.login("romeo")

    def route(self, handler: Any, kind: str = HOST, type: str = "get", policy: str = "no_queue") -> Any:
        return self.host.iqs.add(IqRoute(type, NS, "q", kind, "mod_test", handler, policy))

    def ask(self, to: str = " to='example.org'", type: str = "get") -> Any:
        return self.romeo.send(f"<iq type='{type}' id='1'{to}>{CHILD}</iq>")

    def answers(self) -> list[tuple[str, str | None]]:
        """Give (type, condition) of what came back; the condition with its type for errors."""
        found = []
        for node in self.romeo.take():
            error = next(node.elements("jabber:client", "error"), None)
            condition = f"{error['type']}/{error.firstChildElement().name}" if error is not None else None
            found.append((node["type"], condition))
        return found


class IqTests(HostCase):
    """Which IQ is answered by whom."""

    def test_wrong(self) -> None:
        """An IQ that is none is refused, whoever it is for, and nobody has to read it."""
        self.house.login("juliet", "balcony")
        for name, xml in WRONG.items():
            for to in (*KINDS, f" to='{JULIET}'"):
                self.romeo.send(xml.format(to=to))
                self.assertEqual((name, to, self.answers()), (name, to, [("error", "modify/bad-request")]))

    def test_kinds(self) -> None:
        """The addressee decides which route answers; no other one does."""
        for to, kind in KINDS.items():
            for wanted in (SELF, HOST, BARE):
                remove = self.route(lambda iq: None, wanted)
                self.ask(to)
                refused = ("error", "cancel/service-unavailable")
                self.assertEqual(self.answers(), [("result", None) if wanted == kind else refused], to)
                remove()

    def test_unknown(self) -> None:
        """What nobody answers is refused with service-unavailable, in the addressee's name."""
        for to in (*KINDS, f" to='{JULIET}'"):
            self.ask(to)
            (node,) = self.romeo.take()
            self.assertEqual(node.error.firstChildElement().name, "service-unavailable")
            self.assertEqual(node.getAttribute("from"), to[5:-1] if to else None)

    def test_never_answered(self) -> None:
        """Results and errors are never answered, be they wrong or for nobody."""
        for type in ("result", "error"):
            for to in (*KINDS, f" to='{JULIET}'", " to='nobody@example.org/x'", " to='a@b@c'"):
                for id in (" id='1'", ""):
                    self.romeo.send(f"<iq type='{type}'{id}{to}/>")
                    self.assertEqual(self.answers(), [], (type, to))

    def test_to_a_client(self) -> None:
        """An IQ for a full JID reaches the client, and its answer comes back."""
        juliet = self.house.login("juliet", "balcony")
        self.ask(f" to='{JULIET}'")
        (node,) = juliet.take()
        self.assertEqual((node["from"], node["to"], node["id"]), (ROMEO, JULIET, "1"))
        juliet.send(f"<iq type='result' id='1' to='{ROMEO}'/>")
        self.assertEqual(self.answers(), [("result", None)])

    def test_full_route(self) -> None:
        """A route for full JIDs takes the IQ away from the client, requests only."""
        juliet = self.house.login("juliet", "balcony")
        self.route(lambda iq: None, FULL)
        self.ask(f" to='{JULIET}'")
        self.assertEqual((juliet.take(), self.answers()), ([], [("result", None)]))
        self.romeo.send(f"<iq type='result' id='1' to='{JULIET}'/>")
        self.assertEqual(len(juliet.take()), 1)

    def test_guards(self) -> None:
        """The TO_USER phases may stop or refuse an IQ for a client, at once or later."""
        juliet = self.house.login("juliet", "balcony")
        refusal = Reply(stanza("<iq type='error' id='1'/>"))
        for verdict, answers in ((DROP, 0), (refusal, 1)):
            for late in (False, True):
                gate: Deferred[Any] = Deferred()
                answer = gate if late else verdict
                guard = lambda iq, to, answer=answer: answer  # noqa: E731
                remove = self.host.pipeline.add(TO_USER, "guard", ("iq",), "mod_guard", guard)
                self.ask(f" to='{JULIET}'")
                gate.callback(verdict)
                self.assertEqual((len(self.romeo.take()), juliet.take()), (answers, []))
                remove()


class HandlerTests(HostCase):
    """What a handler gives, and what it gets wrong."""

    def answer(self, handler: Any) -> list[tuple[str, str | None]]:
        remove = self.route(handler)
        self.ask()
        remove()
        return self.answers()

    def test_results(self) -> None:
        """Nothing, a payload or a whole stanza, now or later, becomes the answer."""

        async def later(value: Any) -> Any:
            return value

        for value in (lambda iq: None, lambda iq: CHILD.encode(), lambda iq: iq.result()):
            for handler in (value, lambda iq, value=value: later(value(iq))):
                self.assertEqual(self.answer(handler), [("result", None)])

    def test_failures(self) -> None:
        """A refusal is told; a backend's failure says wait; a defect is logged, counted and told."""
        rows = {
            "auth/forbidden": StanzaError("forbidden"),
            "wait/internal-server-error": StorageError("gone"),
            "cancel/internal-server-error": ZeroDivisionError(),
        }
        for wanted, reason in rows.items():

            def now_(iq: Any, reason: Exception = reason) -> None:
                raise reason

            async def later(iq: Any, reason: Exception = reason) -> None:
                raise reason

            for handler in (now_, later):
                self.assertEqual(self.answer(handler), [("error", wanted)])
        self.assertEqual(metrics.module_failures["mod_test"], 4)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_parallel(self) -> None:
        """A handler that may overlap holds up nothing; any other one holds up its session."""
        for policy, waits in (("no_queue", True), ("one_queue", True), ("parallel", False)):
            gate: Deferred[None] = Deferred()
            remove = self.route(lambda iq, gate=gate: gate, policy=policy)
            self.assertEqual((policy, self.ask() is not None), (policy, waits))
            gate.callback(None)
            self.assertEqual(self.answers(), [("result", None)])
            remove()

    def test_sender_gone(self) -> None:
        """An answer for who has gone meanwhile is for nobody."""
        gate: Deferred[None] = Deferred()
        self.route(lambda iq: gate)
        waiting = self.ask()
        self.romeo.session.end()
        gate.callback(None)
        now(waiting)
        self.assertEqual(self.answers(), [])


class RegistryTests(HostCase):
    """What modules put on a host, once, and take back."""

    def test_interfaces(self) -> None:
        """A host is what its interfaces say."""
        for interface in (IHost, IService):
            self.assertTrue(verifyObject(interface, self.host))

    def test_provide(self) -> None:
        """A component is found by its interface until it is taken back; there is one only."""
        self.assertIsNone(self.host.query(Sought))
        remove = self.host.provide(self, Sought)
        self.assertIs(self.host.query(Sought), self)
        self.assertRaises(ValueError, self.host.provide, object(), Sought)
        remove()
        self.assertIsNone(self.host.query(Sought))
        self.host.provide(self, Sought)

    def test_nonzas(self) -> None:
        """A top-level element has one owner."""
        remove = self.host.add_nonza(NS, "a", lambda nonza, stream: None)
        self.assertRaises(ValueError, self.host.add_nonza, NS, "a", lambda nonza, stream: None)
        remove()
        self.assertEqual(self.host.nonzas, {})

    def test_request(self) -> None:
        """The host may ask a client; only that client's answer counts."""
        juliet = self.house.login("juliet", "balcony")
        waiting = self.host.request(stanza(f"<iq type='get' to='{JULIET}'>{CHILD}</iq>"), 5)
        (node,) = juliet.take()
        self.assertEqual(node["from"], "example.org")
        answer = f"<iq type='result' id='{node['id']}' to='example.org'/>"
        self.romeo.send(answer)
        self.assertNoResult(waiting)
        juliet.send(answer)
        self.assertEqual(now(waiting).attrs["from"], JULIET)

    def test_guard(self) -> None:
        """A module's failure outside of any stanza is logged and counted, at once or later."""

        async def later() -> None:
            raise ZeroDivisionError

        for function in (lambda: 1 / 0, later):
            now(self.host.guard("mod_test", function))
        self.assertEqual(metrics.module_failures["mod_test"], 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
