"""What becomes of a module's failure."""

from __future__ import annotations

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from palaver import metrics
from palaver.errors import StanzaError, StorageError
from palaver.routing.failures import failed


class FailureTests(SynchronousTestCase):
    """A log line, a count, an answer."""

    def setUp(self) -> None:
        metrics.reset()

    def outcome(self, error: Exception) -> tuple[str, str, int, int]:
        """Give condition and type of the answer, how often it was counted, and logged as a defect."""
        answer = failed("mod_test", Failure(error))
        counted = metrics.module_failures["mod_test"]
        return answer.condition, answer.type, counted, len(self.flushLoggedErrors(type(error)))

    def test_refusal(self) -> None:
        """A refusal is no failure: it is given back as it is."""
        refusal = StanzaError("forbidden", "No", extra=b"<x/>")
        self.assertIs(failed("mod_test", Failure(refusal)), refusal)
        self.assertEqual(self.outcome(refusal), ("forbidden", "auth", 0, 0))

    def test_storage(self) -> None:
        """A backend that fails is no defect of the module; trying again may help."""
        self.assertEqual(self.outcome(StorageError("disk full")), ("internal-server-error", "wait", 1, 0))

    def test_defect(self) -> None:
        """Anything else is a defect, logged with its traceback; the client learns nothing of it."""
        self.assertEqual(self.outcome(KeyError("secret")), ("internal-server-error", "cancel", 1, 1))
        self.assertIsNone(failed("mod_test", Failure(KeyError("secret"))).text)
        self.flushLoggedErrors(KeyError)
