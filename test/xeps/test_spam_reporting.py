"""XEP-0377."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail

from palaver.errors import StorageError
from palaver.privacy.changes import Reported
from palaver.test.privacy.case import JULIET, REMOTE, ROMEO, PrivacyCase
from palaver.xeps import spam_reporting
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.spam_reporting import SpamReporting

SPAM = "urn:xmpp:reporting:spam"
ABUSE = "urn:xmpp:reporting:abuse"


class ReportingTests(PrivacyCase):
    """Blocks with a report."""

    def setUp(self) -> None:
        """Let Romeo read the reports."""
        super().setUp()
        self.house.add(SpamReporting, recipients=["ROMEO@example.org"])
        self.reports: list[Reported] = []
        self.host.events.add(Reported, "test", self.reports.append)

    def report(self, *items: str) -> Any:
        """Block with these items; gives the answer."""
        return self.juliet.ask(
            f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>{''.join(items)}</block></iq>"
        )

    def test_versions(self) -> None:
        """Reports of both versions are read; one that gives no known reason is a report all the same."""
        new, old = "xmlns='urn:xmpp:reporting:1'", "xmlns='urn:xmpp:reporting:0'"
        text = "<text xml:lang='en'> Buy! </text>"
        rows = {
            f"<report {new} reason='{SPAM}'>{text}</report>": (SPAM, "Buy!"),
            f"<report {new} reason='{ABUSE}'/>": (ABUSE, ""),
            f"<report {new} reason='other'/>": ("other", ""),
            f"<report {new}/>": (None, ""),
            f"<report {old}><spam/>{text}</report>": (SPAM, "Buy!"),
            f"<report {old}><abuse/></report>": (ABUSE, ""),
            f"<report {old}/>": (None, ""),
        }
        for number, (xml, expected) in enumerate(rows.items()):
            answer = self.report(f"<item jid='S{number}@Spam.example'>{xml}</item>")
            self.assertEqual(answer["type"], "result")
            got = self.reports.pop()
            self.assertEqual((got.jid.full, got.reason, got.text), (f"s{number}@spam.example", *expected))
        self.assertEqual(len(self.blocked()), len(rows))

    def test_message(self) -> None:
        """Those named in the config get a message with the report as it came."""
        stanza_id = "<stanza-id xmlns='urn:xmpp:sid:0' by='a' id='7'/>"
        inner = f"{stanza_id}<text>Buy &lt;this&gt;</text>"
        report = f"<report xmlns='urn:xmpp:reporting:1' reason='{SPAM}'>{inner}</report>"
        self.report(f"<item jid='{REMOTE}'>{report}</item>")
        (message,) = self.romeo.take()
        self.assertEqual((message["from"], message["to"]), ("example.org", ROMEO))
        self.assertEqual(str(message.body), f"{JULIET} reported spam from {REMOTE}: Buy <this>")
        self.assertEqual(str(message.jid), REMOTE)
        self.assertEqual(
            (message.report["reason"], message.report.elements().__next__().name), (SPAM, "stanza-id")
        )

    def test_several(self) -> None:
        """Each item has its own report, or none; what is no report is none."""
        report = f"<report xmlns='urn:xmpp:reporting:1' reason='{SPAM}'/>"
        self.report(
            f"<item jid='a.example'>{report}</item>",
            "<item jid='b.example'/>",
            "<item jid='c.example'><report xmlns='urn:xmpp:reporting:9'/></item>",
            f"<item jid='d.example'>{report}</item>",
        )
        self.assertEqual([got.jid.full for got in self.reports], ["a.example", "d.example"])

    def test_block_refused(self) -> None:
        """Where the block is refused, nothing is reported."""
        report = f"<report xmlns='urn:xmpp:reporting:1' reason='{SPAM}'/>"
        self.assertEqual(
            self.condition(self.report(f"<item jid='a.example'>{report}</item>", "<item jid='@'/>")),
            ("modify", "jid-malformed"),
        )
        self.patch(self.house.storage, "write", lambda batch: fail(StorageError("full")))
        answer = self.report(f"<item jid='a.example'>{report}</item>")
        self.assertEqual(self.condition(answer), ("wait", "internal-server-error"))
        self.assertEqual((self.reports, self.romeo.take()), ([], []))

    def test_limits(self) -> None:
        """A long text is cut, a large report not passed on, and too many in an hour are not taken."""
        self.patch(spam_reporting, "MAX_REPORTS_PER_HOUR", 2)
        text = f"<text>{'x' * 9000}</text>"
        self.report(f"<item jid='a.example'><report xmlns='urn:xmpp:reporting:1'>{text}</report></item>")
        (message,) = self.romeo.take()
        self.assertLess(len(message.toXml()), 2000)
        self.assertIsNone(message.report)
        small = "<report xmlns='urn:xmpp:reporting:1'/>"
        for name in "bcd":
            self.assertEqual(self.report(f"<item jid='{name}.example'>{small}</item>")["type"], "result")
        self.assertEqual(len(self.reports), 2)
        self.house.clock.advance(3600)
        self.report(f"<item jid='e.example'>{small}</item>")
        self.assertEqual(len(self.reports), 3)

    def test_disco(self) -> None:
        """The server says that it takes reports."""
        self.house.add(ServiceDiscovery)
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        answer = self.juliet.ask(f"<iq type='get' id='1' to='example.org'>{query}</iq>").query
        found = {node.getAttribute("var") for node in answer.elements() if node.name == "feature"}
        names = ("0", "reason:spam:0", "reason:abuse:0", "1")
        self.assertLess({f"urn:xmpp:reporting:{name}" for name in names}, found)
