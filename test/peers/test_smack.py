"""The XMPP Interop Testing suite: what passed before passes now, and docs/interop.md says what does not."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from palaver.test.peers import interop, interop_page
from palaver.test.peers.interop import Outcome, Way

PASSING = interop.PROJECT / "passing.txt"
PAGE = interop.PROJECT.parents[2] / "docs" / "interop.md"


class SuiteTests(SynchronousTestCase):
    """The suite itself, against a server of its own."""

    def setUp(self) -> None:
        if not PASSING.exists():
            raise SkipTest("not run from a checkout: the suite's project is not installed")
        missing = interop.missing_tools()
        if missing:
            raise SkipTest(
                f"{', '.join(missing)} not installed: the suite needs Maven and a JDK of version 11 or newer"
            )
        interop.build()

    def test_nothing_lost(self) -> None:
        """Every test of the suite that once passed passes; new ones join the list."""
        before = set(PASSING.read_text("utf-8").splitlines())
        found = {way: interop.run(way) for way in interop.WAYS}
        PAGE.write_text(interop_page.page(found), "utf-8")
        PASSING.write_text(
            "".join(f"{name}\n" for name in sorted(before | interop_page.passed(found))), "utf-8"
        )
        lost = interop_page.lost(before, found)
        self.assertFalse(lost, "passed before, not now:\n" + "\n".join(lost))


class ReportTests(SynchronousTestCase):
    """How outcomes become the page and the verdict."""

    tcp = Way("tcp", "required")
    modular = Way("modular", "off")

    def test_read(self) -> None:
        """The outcomes are read as the suite's project writes them."""
        lines = ["passed\tRFC6121\tRosterTest.push\t", "failed\t\tLoginTest.bad\tNo answer"]
        expected = [
            Outcome("failed", "", "LoginTest.bad", "No answer"),
            Outcome("passed", "RFC6121", "RosterTest.push", ""),
        ]
        self.assertEqual(interop.read(lines), expected)

    def test_lost(self) -> None:
        """What passed and now fails, is impossible or is gone is lost; what never passed is not."""
        found = {
            self.tcp: [
                Outcome("failed", "", "T.a", "No answer"),
                Outcome("impossible", "", "T.b", "No such service"),
                Outcome("passed", "", "T.c", ""),
                Outcome("failed", "", "T.d", "No answer"),
            ]
        }
        before = [f"T.{name} (tcp, STARTTLS)" for name in "abce"]
        self.assertEqual(
            interop_page.lost(before, found),
            [
                "T.a (tcp, STARTTLS): failed No answer",
                "T.b (tcp, STARTTLS): impossible No such service",
                "T.e (tcp, STARTTLS): the suite no longer has it",
            ],
        )

    def test_page(self) -> None:
        """The page counts by specification and hides no test and no reason."""
        found = {
            self.tcp: [
                Outcome("passed", "RFC6121", "RosterTest.push", ""),
                Outcome("failed", "RFC6121", "RosterTest.remove", "No answer."),
                Outcome("impossible", "XEP-0045", "MucTest.join", "No rooms"),
            ],
            self.modular: [
                Outcome("passed", "RFC6121", "RosterTest.push", ""),
                Outcome("passed", "RFC6121", "RosterTest.remove", ""),
                Outcome("not-run", "XEP-0096", "FileTest.send", ""),
            ],
        }
        text = interop_page.page(found)
        for line in (
            "| [RFC 6121](https://www.rfc-editor.org/rfc/rfc6121) | 3 | 1 | 0 | 0 |",
            "| [XEP-0045](https://xmpp.org/extensions/xep-0045.html) | 0 | 0 | 1 | 0 |",
            "| all | 3 | 1 | 1 | 1 |",
            "rfc6121): No answer\n  - `RosterTest.remove` (tcp)\n",
            "xep-0045.html): No rooms\n  - `MucTest.join` (tcp)\n",
            f": {interop.LEFT_OUT['XEP-0096']}\n  - `FileTest.send` (modular)\n",
            "\n  - `RosterTest.push`\n  - `RosterTest.remove` (modular)\n",
        ):
            self.assertIn(line, text)
