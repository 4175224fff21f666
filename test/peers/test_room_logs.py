"""Pages of rooms' logs in Chromium: on a desk and on a phone, whatever was said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import TestCase

from palaver.roomlogs import pages
from palaver.roomlogs.lines import Line, as_html
from palaver.test.peers.browser import PHONE, Browser

AT = datetime(2026, 11, 21, 9, 5, 7, tzinfo=UTC)
SCRIPT = "<script>document.title='changed'</script><img src='x' onerror=\"document.title='changed'\">"
SAID = (
    ("join", f"J{SCRIPT}", "joins the room"),
    ("subject", "Romeo", f"has set the subject to: {SCRIPT}"),
    ("message", f"N{SCRIPT}", f"Look: {SCRIPT}"),
    ("message", "Juliet", "http://a/\"onmouseover=\"document.title='changed' javascript:alert(1)"),
    ("message", "Nurse", "x" * 500),
    ("message", "Juliet", "def window():\n    breaks()"),
    ("kick", "Tybalt", f"has been kicked: {SCRIPT}"),
)


class RoomLogTests(TestCase):
    """One page, as it is written."""

    def page(self) -> str:
        """Write it; give its address."""
        facts = pages.Facts(
            "verona@muc.example.org", f"Verona {SCRIPT}", SCRIPT, {"Title": SCRIPT}, [(SCRIPT, "visitor")]
        )
        look = pages.Look(None, "/", "Home")
        data = pages.header(look, facts, AT.date(), "GMT+00:00", "../20.html", "../22.html")
        for number, said in enumerate(SAID):
            data += as_html(Line(AT + timedelta(seconds=number), *said), True)
        path = Path(self.mktemp()).absolute()
        path.with_suffix(".html").write_bytes(data)
        return path.with_suffix(".html").as_uri()

    def test_page(self) -> None:
        """Nothing that was said runs or is wider than the screen, and lines keep their indents."""
        address = self.page()
        for name, mobile in (("desk", False), ("phone", True)):
            browser = Browser()
            self.addCleanup(browser.close)
            if mobile:
                # A window without a screen is never as narrow as a phone by itself.
                metrics = {"width": PHONE[0], "height": PHONE[1], "deviceScaleFactor": 2, "mobile": True}
                browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            browser.open(address)
            browser.expect("    breaks()")
            for summary in browser.all("summary"):
                summary.click()
            browser.picture(f"room-log-{name}")
            self.assertTrue(browser.driver.title.startswith("Verona <script>"), browser.driver.title)
            self.assertEqual(browser.all("script, img, [onmouseover]"), [])
            links = {link.get_attribute("href").partition(":")[0] for link in browser.all("main a")}
            self.assertEqual(links, {"file", "http"})
            script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
            self.assertEqual(browser.driver.execute_script(script), 0, name)
