"""What happens on the way: phases, verdicts, and handlers that wait or fail."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from palaver import metrics
from palaver.errors import StanzaError, StorageError
from palaver.routing.pipeline import (
    DROP,
    FROM_CLIENT,
    HANDLED,
    SENT,
    TABLE,
    TO_USER,
    Direction,
    Pipeline,
    Reply,
    run,
)
from palaver.stanza import Stanza

MESSAGE = Stanza("message", {"from": "romeo@example.org/orchard", "to": "juliet@example.org", "id": "1"})


class OrderTests(SynchronousTestCase):
    """The table says who comes first."""

    def setUp(self) -> None:
        self.pipeline = Pipeline()
        self.seen: list[str] = []

    def note(self, name: str):
        return lambda stanza, context: self.seen.append(name)

    def add(self, phase: str, module: str):
        return self.pipeline.add(FROM_CLIENT, phase, ("message",), module, self.note(module))

    def test_phases_in_table_order(self) -> None:
        """Handlers run in the order of the phases, whatever the order in which they were added."""
        self.add("notice", "mod_last")
        self.add("archive", "mod_mam")
        self.add("guard", "mod_blocking")
        run(self.pipeline.from_client["message"], MESSAGE, None)
        self.assertEqual(self.seen, ["mod_blocking", "mod_mam", "mod_last"])

    def test_modules_in_table_order(self) -> None:
        """Within a phase the table's order counts; a module that it does not name comes last."""
        self.add("guard", "mod_aardvark")
        self.add("guard", "mod_blocking")
        self.add("guard", "mod_privacy")
        run(self.pipeline.from_client["message"], MESSAGE, None)
        self.assertEqual(self.seen, ["mod_privacy", "mod_blocking", "mod_aardvark"])

    def test_unknown_phase(self) -> None:
        """A phase that the direction does not have is refused when it is asked for."""
        with self.assertRaisesRegex(ValueError, "no phase 'store'"):
            self.add("store", "mod_offline")

    def test_taken_back(self) -> None:
        """What was added is gone after it is taken back, and an empty table costs one look-up."""
        undo = [self.add("guard", "mod_blocking"), self.add("archive", "mod_mam")]
        undo[0]()
        run(self.pipeline.from_client["message"], MESSAGE, None)
        self.assertEqual(self.seen, ["mod_mam"])
        undo[1]()
        self.assertEqual(self.pipeline.from_client, {})

    def test_sent_alone(self) -> None:
        """What happens after the routing is seen even when nothing happens before, and not for ever."""
        before = self.add("guard", "mod_blocking")
        after = self.pipeline.add(SENT, "copy", ("message",), "mod_carboncopy", lambda stanza, context: None)
        before()
        self.assertIs(run(self.pipeline.from_client["message"], MESSAGE, None), MESSAGE)
        after()
        self.assertEqual((self.pipeline.from_client, self.pipeline.sent), ({}, {}))

    def test_guarded(self) -> None:
        """A step for guarded accounts is on their track alone, in its place among the others."""
        names = ("message",)
        self.pipeline.add(FROM_CLIENT, "guard", names, "mod_privacy", self.note("mod_privacy"), guarded=True)
        after = self.pipeline.add(SENT, "copy", names, "mod_carboncopy", self.note("mod_carboncopy"))
        undo = self.add("archive", "mod_mam")
        run(self.pipeline.from_client["message"], MESSAGE, None)
        self.assertEqual(self.seen, ["mod_mam"])
        self.seen.clear()
        run(self.pipeline.guarded.from_client["message"], MESSAGE, None)
        self.assertEqual(self.seen, ["mod_privacy", "mod_mam"])
        undo()
        after()
        self.assertEqual(self.pipeline.from_client, {})
        self.assertEqual(len(self.pipeline.guarded.from_client["message"]), 1)
        self.assertEqual([row[3] for row in self.pipeline.rows()], ["mod_privacy"])

    def test_rows(self) -> None:
        """The printed table has a row a step, in order of execution."""
        self.add("archive", "mod_mam")
        self.add("guard", "mod_blocking")
        self.assertEqual(
            self.pipeline.rows(),
            [
                ("from-client", "message", "guard", "mod_blocking"),
                ("from-client", "message", "archive", "mod_mam"),
            ],
        )

    def test_every_direction_has_phases(self) -> None:
        """No direction is missing in the table."""
        self.assertEqual(set(TABLE), set(Direction))


class VerdictTests(SynchronousTestCase):
    """What a handler answers decides."""

    def setUp(self) -> None:
        metrics.reset()
        self.pipeline = Pipeline()

    def outcome(self, *handlers):
        for handler in handlers:
            self.pipeline.add(TO_USER, "change", ("message",), f"mod_{handler.__name__}", handler)
        return run(self.pipeline.to_user["message"], MESSAGE, "context")

    def test_none_goes_on(self) -> None:
        """None lets the stanza pass as it is."""
        self.assertIs(self.outcome(lambda stanza, context: None), MESSAGE)

    def test_changed_stanza(self) -> None:
        """The next handler gets what the one before made of the stanza."""

        def a(stanza, context):
            return stanza.replace(id="2")

        def b(stanza, context):
            return stanza.replace(type=f"seen-{stanza.id}")

        changed = self.outcome(a, b)
        self.assertEqual((changed.id, changed.type), ("2", "seen-2"))
        self.assertEqual(MESSAGE.attrs["id"], "1")

    def test_verdict_ends(self) -> None:
        """Behind a verdict nobody is asked."""
        for verdict in (DROP, HANDLED, Reply(MESSAGE)):
            self.pipeline = Pipeline()

            def a(stanza, context, verdict=verdict):
                return verdict

            def b(stanza, context):
                raise AssertionError("asked")

            self.assertIs(self.outcome(a, b), verdict)

    def test_refusal(self) -> None:
        """A StanzaError becomes the error for the sender."""

        def a(stanza, context):
            raise StanzaError("forbidden")

        verdict = self.outcome(a)
        self.assertEqual(verdict.stanza.attrs["to"], "romeo@example.org/orchard")
        self.assertIn(b"<forbidden", verdict.stanza.inner)

    def test_no_error_for_errors(self) -> None:
        """An error stanza that is refused is dropped."""

        def a(stanza, context):
            raise StanzaError("forbidden")

        self.pipeline.add(TO_USER, "change", ("message",), "a", a)
        self.assertIs(run(self.pipeline.to_user["message"], MESSAGE.replace(type="error"), None), DROP)

    def test_exception(self) -> None:
        """What a module gets wrong is logged, counted and answered with internal-server-error."""

        def a(stanza, context):
            raise ZeroDivisionError

        verdict = self.outcome(a)
        self.assertIn(b"<internal-server-error", verdict.stanza.inner)
        self.assertEqual(metrics.module_failures["mod_a"], 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_waiting(self) -> None:
        """A handler that waits holds up the others, and only then is the answer a Deferred."""
        gate: Deferred[None] = Deferred()
        order: list[str] = []

        async def a(stanza, context):
            await gate
            order.append("a")
            return stanza.replace(id="2")

        def b(stanza, context):
            order.append("b")
            return None

        waiting = self.outcome(a, b)
        self.assertNoResult(waiting)
        self.assertEqual(order, [])
        gate.callback(None)
        self.assertEqual(self.successResultOf(waiting).id, "2")
        self.assertEqual(order, ["a", "b"])

    def test_storage_failure_while_waiting(self) -> None:
        """A backend that fails makes the sender try again, and the Deferred does not fail."""
        gate: Deferred[None] = Deferred()

        async def a(stanza, context):
            await gate

        waiting = self.outcome(a)
        gate.errback(StorageError("disk full"))
        verdict = self.successResultOf(waiting)
        self.assertIn(b"<error type='wait'><internal-server-error", verdict.stanza.inner)
