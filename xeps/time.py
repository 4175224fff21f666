"""XEP-0202: Entity Time, and XEP-0090: Legacy Entity Time."""

from __future__ import annotations

from datetime import UTC, datetime

from palaver.errors import StanzaError
from palaver.markup import element
from palaver.modules import Module, iq
from palaver.stanza import Stanza

NS_TIME = "urn:xmpp:time"
NS_LEGACY = "jabber:iq:time"


class Time(Module):
    """Tells the time. The zone is always UTC: where the server stands is nobody's concern."""

    features = (NS_TIME, NS_LEGACY)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self.host.clock.seconds()), UTC)

    @iq("get", NS_TIME, "time")
    def time(self, request: Stanza) -> bytes:
        """Give the time (XEP-0202)."""
        utc = self._now().strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        return element("time", NS_TIME, element("tzo", None, b"+00:00") + element("utc", None, utc))

    @iq("get", NS_LEGACY, "query")
    def legacy(self, request: Stanza) -> bytes:
        """Give the time in the older format (XEP-0090): no separators in the date, and no zone in ``utc``."""
        now = self._now()
        parts = (
            element("utc", None, now.strftime("%Y%m%dT%H:%M:%S").encode()),
            element("tz", None, b"UTC"),
            element("display", None, now.strftime("%Y-%m-%d %H:%M:%S UTC").encode()),
        )
        return element("query", NS_LEGACY, b"".join(parts))

    @iq("set", NS_TIME, "time")
    @iq("set", NS_LEGACY, "query")
    def refuse(self, request: Stanza) -> None:
        """Nobody sets this clock."""
        raise StanzaError("not-allowed")
