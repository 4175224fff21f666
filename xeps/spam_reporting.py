"""XEP-0377: Blocking Command Reports, of spam and abuse."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver import jid
from palaver.log import Log
from palaver.markup import element, escape
from palaver.modules import Module, Settings, every, on
from palaver.privacy.changes import Blocked, Reported
from palaver.routing.announce import Waiting, settle
from palaver.stanza import NS_CLIENT, Stanza
from palaver.tree import serialize

log = Log("reports")

NS_REPORTING = "urn:xmpp:reporting:1"
NS_REPORTING_0 = "urn:xmpp:reporting:0"
NS_JID = "urn:xmpp:jid:0"
REASONS = {"spam": "urn:xmpp:reporting:spam", "abuse": "urn:xmpp:reporting:abuse"}

# A report is read by people; what does not fit is cut, and larger elements are not passed on.
MAX_TEXT_CHARS = 1000
MAX_REPORT_BYTES = 8192
# Nobody meets more spam than this in an hour, and those who read reports are people too.
MAX_REPORTS_PER_HOUR = 50
HOUR_S = 3600.0

Jid = Annotated[str, AfterValidator(lambda text: jid.parse(text).full)]


class SpamReportingSettings(Settings):
    """Options of mod_spam_reporting."""

    recipients: tuple[Jid, ...] = Field((), description="JIDs that get a message about every report.")


class SpamReporting(Module):
    """Takes reports of spam and abuse that come with a block: into the log, and to the people named.

    The block is carried out first, as if there were no report.
    """

    Settings = SpamReportingSettings
    features = (
        NS_REPORTING_0,
        f"{NS_REPORTING_0.removesuffix(':0')}:reason:spam:0",
        f"{NS_REPORTING_0.removesuffix(':0')}:reason:abuse:0",
        NS_REPORTING,
    )

    settings: SpamReportingSettings

    def start(self) -> None:
        """Begin with nothing counted."""
        self._counts: dict[str, int] = {}

    @every(HOUR_S)
    def forget(self) -> None:
        """Begin to count anew."""
        self._counts.clear()

    @on(Blocked)
    def blocked(self, event: Blocked) -> Deferred[object] | None:
        """Take the reports of a block that is stored."""
        waiting: Waiting = []
        reporter = event.session.user.local
        for item in event.items:
            node = next(iter(_reports(item)), None)
            if node is None:
                continue
            count = self._counts[reporter] = self._counts.get(reporter, 0) + 1
            if count > MAX_REPORTS_PER_HOUR:
                log.warn("too-many-reports", reporter=event.session.jid.bare)
                break
            waiting += self._take(_read(event, jid.parse(item["jid"]), node))
        return settle(waiting)

    def _take(self, report: Reported) -> Waiting:
        log.info(
            "reported",
            reporter=report.session.jid.bare,
            jid=report.jid.full,
            reason=_named(report.reason),
            text=report.text,
        )
        told = [
            self.host.events.fire(report),
            *[self.host.router.route(self._message(report, to)) for to in self.settings.recipients],
        ]
        return [waiting for waiting in told if waiting is not None]

    def _message(self, report: Reported, to: str) -> Stanza:
        text = f"{report.session.jid.bare} reported {_named(report.reason)} from {report.jid.full}"
        body = element("body", None, escape(f"{text}: {report.text or 'no reason given'}"))
        whom = element("jid", NS_JID, escape(report.jid.full))
        children = [(NS_CLIENT, "body"), (NS_JID, "jid")]
        inner = body + whom
        if len(report.report) <= MAX_REPORT_BYTES:
            ns = NS_REPORTING if report.report.find(NS_REPORTING.encode()) >= 0 else NS_REPORTING_0
            children.append((ns, "report"))
            inner += report.report
        attrs = {"from": self.host.domain, "to": to, "type": "normal"}
        return Stanza("message", attrs, tuple(children), inner)


def _reports(item: domish.Element) -> list[domish.Element]:
    return [*item.elements(NS_REPORTING, "report"), *item.elements(NS_REPORTING_0, "report")]


def _read(event: Blocked, reported: jid.JID, node: domish.Element) -> Reported:
    """Read a report of either version."""
    if node.uri == NS_REPORTING:
        reason = node.getAttribute("reason")
    else:
        named = [child.name for child in node.elements(NS_REPORTING_0) if child.name in REASONS]
        reason = REASONS[named[0]] if named else None
    text = next(node.elements(node.uri, "text"), "")
    return Reported(
        event.session, reported, reason, str(text).strip()[:MAX_TEXT_CHARS], serialize([node], NS_CLIENT)
    )


def _named(reason: str | None) -> str:
    """Give the short name of a reason."""
    return next((name for name, uri in REASONS.items() if uri == reason), "unknown")
