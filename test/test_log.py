"""Log lines: one a thing that happened, with its name and values, and no secrets."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

from twisted.logger import Logger, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from palaver import log


class LogTests(SynchronousTestCase):
    """What is written, as text and as JSON."""

    def setUp(self):
        self.addCleanup(log.set_level, "info")
        log.set_level("info")
        self.log = log.Log("c2s")

    def written(self, format="text"):
        """Have what follows written to a file that is given back."""
        out = io.StringIO()
        observer = log.LineObserver(out, format)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return out

    def test_a_line_has_time_level_part_event_and_values(self):
        """A line can be read by people and cut at its spaces by programs."""
        out = self.written()
        self.log.info("session-bound", jid="juliet@capulet.lit/balcony", count=3, new=True)
        time, _, rest = out.getvalue().partition(" ")
        self.assertRegex(time, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(rest, "info c2s session-bound jid=juliet@capulet.lit/balcony count=3 new=true\n")

    def test_json_has_the_same(self):
        """With log_format = json each line is one object."""
        out = self.written("json")
        self.log.warn("slow-client", address="127.0.0.1", bytes=7)
        entry = json.loads(out.getvalue())
        del entry["time"]
        self.assertEqual(
            entry,
            {
                "level": "warning",
                "part": "c2s",
                "event": "slow-client",
                "values": {"address": "127.0.0.1", "bytes": 7},
            },
        )

    def test_lines_leave_together(self):
        """Lines below warning wait for the end of the turn; a warning takes them along at once."""
        out = io.StringIO()
        turn: list[Callable[[], None]] = []
        observer = log.LineObserver(out, "text", turn.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.log.info("one")
        self.log.info("two")
        self.assertEqual((len(turn), out.getvalue()), (1, ""))
        turn.pop()()
        self.assertEqual(out.getvalue().count("\n"), 2)
        self.log.info("three")
        self.log.warn("four")
        self.assertEqual(out.getvalue().count("\n"), 4)

    def test_secrets_are_never_written(self):
        """Whatever is named like a password or a token is hidden in both formats."""
        names = ("password", "old_passwd", "client_secret", "resume_token", "ServerProof", "authorization")
        for format in ("text", "json"):
            out = self.written(format)
            self.log.error("oops", **dict.fromkeys(names, "hunter2"))
            self.assertNotIn("hunter2", out.getvalue())
            self.assertEqual(out.getvalue().count(log.HIDDEN), len(names))

    def test_a_stranger_cannot_forge_a_line(self):
        """A line break or a terminal's escape sequence in a value comes out escaped."""
        out = self.written()
        self.log.info("refused", reason="a\n2026 info c2s fake \x1b[2J \x9b2J\u2028")
        self.assertEqual(out.getvalue().count("\n"), 1)
        self.assertTrue(out.getvalue()[:-1].isprintable())

    def test_names_of_people_stay_readable(self):
        """Letters of other scripts are not escaped."""
        out = self.written()
        self.log.info("login", user="жук")
        self.assertIn('user="жук"', out.getvalue())

    def test_long_values_are_cut(self):
        """A stanza in a log line does not fill the disk."""
        out = self.written()
        self.log.info("odd", data=b"x" * 100_000)
        self.assertLess(len(out.getvalue()), log.MAX_VALUE_CHARS + 100)

    def test_what_is_below_the_level_is_not_written(self):
        """With loglevel = error only errors are written, and nobody pays for the rest."""
        out = self.written()
        log.set_level("error")
        self.log.debug("a")
        self.log.info("b")
        self.log.warn("c")
        self.log.error("d")
        self.log.critical("e")
        self.assertEqual([line.split()[3] for line in out.getvalue().splitlines()], ["d", "e"])
        self.assertFalse(self.log.debugging)

    def test_debugging_shows_everything(self):
        """With loglevel = debug, debug lines and what other libraries say are written."""
        out = self.written()
        log.set_level("debug")
        self.log.debug("a")
        Logger(namespace="other").info("said by {who}", who="somebody else")
        self.assertTrue(self.log.debugging)
        self.assertIn(" debug c2s a\n", out.getvalue())
        self.assertIn('info other "said by somebody else"', out.getvalue())

    def test_none_is_silence(self):
        """With loglevel = none not even a critical line is written."""
        out = self.written()
        log.set_level("none")
        self.log.critical("end")
        self.log.failure("end", Failure(ValueError()))
        self.assertEqual(out.getvalue(), "")

    def test_a_failure_has_its_traceback(self):
        """An exception that nobody expected can be found by its traceback, in both formats."""
        text, json_out = self.written(), self.written("json")
        try:
            raise ValueError("no such thing")
        except ValueError:
            self.log.failure("module-failed", Failure(), module="mod_ping")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIn("error c2s module-failed module=mod_ping\nTraceback", text.getvalue())
        self.assertIn("no such thing", json.loads(json_out.getvalue())["traceback"])
